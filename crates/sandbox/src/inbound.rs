//! Inbound texts: what people send to a number at a vendor, and the vendor delivers to its customer.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::{
    client::{self, Target},
    error::SandboxError,
    proof::{Proof, ReceiptForm, SignatureMethod},
    record::SentMessage,
    vendor_request::VendorRequest,
    vendors::{self, is_number, is_short_code},
    world::World,
};

/// The longest text in characters: ours, since it arrives in one request.
const MAX_CHARACTERS: usize = 3200;

/// A text that a person sends to a number at a vendor.
///
/// [`Sandbox::inbound`](crate::Sandbox::inbound) makes the vendor's request in a running sandbox, where the text replies to
/// the last one that the vendor accepted for that person. [`request`](Self::request) makes it without a sandbox.
///
/// `Debug` leaves out the text, the person's number and the secret.
///
/// ```
/// use postduif_sandbox::InboundOrder;
///
/// let order = InboundOrder::new("twilio", "+31612345678", "+3197010203040", "STOP").secret("my-test-secret");
/// let request = order.request("https://hooks.example.com/inbound/twilio")?;
/// assert!(request.body.contains("Body=STOP"));
/// # Ok::<(), postduif_sandbox::SandboxError>(())
/// ```
#[derive(Clone)]
pub struct InboundOrder {
    vendor: String,
    api: Option<String>,
    from: String,
    to: String,
    text: String,
    pub(crate) proof: Proof,
}

impl InboundOrder {
    /// Creates a text from this number in E.164 to a number, in E.164 or as a short code, that the customer has at the
    /// vendor.
    pub fn new(
        vendor: impl Into<String>,
        from: impl Into<String>,
        to: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            vendor: vendor.into(),
            api: None,
            from: from.into(),
            to: to.into(),
            text: text.into(),
            proof: Proof::default(),
        }
    }

    /// Sets the API that delivers it, as [`ReportOrder::api`](crate::ReportOrder::api). Defaults to the same one.
    #[must_use]
    pub fn api(mut self, api: impl Into<String>) -> Self {
        self.api = Some(api.into());
        self
    }

    /// Sets the secret that the vendor signs with, as [`ReportOrder::secret`](crate::ReportOrder::secret). Defaults to the
    /// sandbox's own.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.proof.secret = Some(secret.into());
        self
    }

    /// Sets the time of the text and of the signature. Defaults to now.
    #[must_use]
    pub fn at(mut self, time: DateTime<Utc>) -> Self {
        self.proof.at = Some(time);
        self
    }

    /// Sets the form of Vonage's SMS API; other APIs ignore it.
    #[must_use]
    pub fn form(mut self, form: ReceiptForm) -> Self {
        self.proof.form = form;
        self
    }

    /// Sets the signature method of Vonage's SMS API; other APIs ignore it.
    #[must_use]
    pub fn signature_method(mut self, method: SignatureMethod) -> Self {
        self.proof.method = method;
        self
    }

    /// Returns the vendor's request that delivers the text to this URL, without a running sandbox.
    ///
    /// # Errors
    ///
    /// Returns an error if the vendor or the API is unknown or documents no inbound texts, as Spryng's `v1`; if a number
    /// is in another form, the text longer than 3200 characters, the target not an `http` or `https` URL, or the secret
    /// not in the vendor's form.
    pub fn request(&self, target: &str) -> Result<VendorRequest, SandboxError> {
        self.make(target, None)
    }

    fn make(
        &self,
        target: &str,
        earlier: Option<&SentMessage>,
    ) -> Result<VendorRequest, SandboxError> {
        let vendor = vendors::named(&self.vendor)?;
        let api = vendor.api(self.api.as_deref())?;
        if !is_number(&self.from) {
            return Err(SandboxError::new(
                "invalid \"from\": expected a number such as +31612345678",
            ));
        }
        if !is_number(&self.to) && !is_short_code(&self.to) {
            return Err(SandboxError::new(
                "invalid \"to\": expected a number such as +3197010203040, or a short code",
            ));
        }
        if self.text.chars().count() > MAX_CHARACTERS {
            return Err(SandboxError::new(
                "invalid \"text\": expected at most 3200 characters",
            ));
        }
        let text = InboundText {
            api,
            from: &self.from,
            to: &self.to,
            text: &self.text,
            earlier,
            proof: &self.proof,
            now: self.proof.now(),
        };
        vendor.inbound(&text, client::without_fragment(target)?)
    }
}

impl fmt::Debug for InboundOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundOrder")
            .field("vendor", &self.vendor)
            .field("api", &self.api)
            .field("to", &self.to)
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}

/// A valid [`InboundOrder`], as its vendor reads it.
pub(crate) struct InboundText<'a> {
    pub(crate) api: &'static str,
    /// In E.164.
    pub(crate) from: &'a str,
    /// In E.164, or a short code.
    pub(crate) to: &'a str,
    pub(crate) text: &'a str,
    /// The text that it replies to.
    pub(crate) earlier: Option<&'a SentMessage>,
    pub(crate) proof: &'a Proof,
    pub(crate) now: DateTime<Utc>,
}

impl InboundText<'_> {
    /// Returns the person's number without its plus.
    pub(crate) fn sender_digits(&self) -> &str {
        self.from.trim_start_matches('+')
    }

    /// Returns the customer's number without its plus.
    pub(crate) fn recipient_digits(&self) -> &str {
        self.to.trim_start_matches('+')
    }

    /// Returns the first word in upper case.
    pub(crate) fn keyword(&self) -> String {
        let first = self.text.split_whitespace().next();
        first.unwrap_or_default().to_uppercase()
    }
}

/// Makes the vendor's request in a running sandbox.
pub(crate) fn make(
    world: &World,
    order: &InboundOrder,
    target: &str,
) -> Result<VendorRequest, SandboxError> {
    let state = world.state();
    let is_earlier =
        |message: &&SentMessage| message.vendor == order.vendor && message.to == order.from;
    order.make(target, state.messages.iter().rev().find(is_earlier))
}

/// Sends the vendor's request, and returns the status of the response, or `None` where none came.
pub(crate) async fn deliver(
    world: &World,
    order: &InboundOrder,
    target: &str,
) -> Result<Option<u16>, SandboxError> {
    let request = make(world, order, target)?;
    Ok(Target::parse(&request.url)?.deliver(&request).await)
}
