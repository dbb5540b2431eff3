//! Delivery reports: what a vendor reports later on a text that it accepted.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::{
    client,
    error::SandboxError,
    names,
    proof::{Proof, ReceiptForm, SignatureMethod},
    record::SentMessage,
    vendor_request::{VendorRequest, form},
    vendors,
};

/// The status in a report, in terms that all vendors share.
///
/// A vendor without such a status reports its nearest one. `Unknown` is a status that no client knows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReportStatus {
    /// The operator keeps trying.
    Buffered,
    /// The phone has it.
    Delivered,
    /// Its validity ended before it arrived.
    Expired,
    /// It will not arrive.
    Failed,
    /// The vendor or the operator refused it.
    Rejected,
    /// The operator accepted it.
    Sent,
    /// A status outside the vendor's documentation.
    Unknown,
}

impl ReportStatus {
    /// All statuses.
    pub const ALL: &[Self] = &[
        Self::Buffered,
        Self::Delivered,
        Self::Expired,
        Self::Failed,
        Self::Rejected,
        Self::Sent,
        Self::Unknown,
    ];

    /// Returns the name in JSON, such as `delivered`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Sent => "sent",
            Self::Unknown => "unknown",
        }
    }
}

impl FromStr for ReportStatus {
    type Err = SandboxError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        names::find("status", name, Self::ALL, Self::name)
    }
}

/// The text to report on, and the status to report.
///
/// [`Sandbox::report`](crate::Sandbox::report) makes the request for a text that a vendor of a running sandbox accepted,
/// [`request`](Self::request) for any text.
///
/// ```
/// use postduif_sandbox::{ReportOrder, ReportStatus};
///
/// let order = ReportOrder::new("01J9Z8", ReportStatus::Failed).code("23");
/// let order = ReportOrder::by_id("e8077d803532c0b5937c639b60216938", ReportStatus::Delivered);
/// ```
#[derive(Clone, Debug)]
pub struct ReportOrder {
    reference: Option<String>,
    id: Option<String>,
    to: Option<String>,
    api: Option<String>,
    pub(crate) status: ReportStatus,
    pub(crate) code: Option<String>,
    pub(crate) proof: Proof,
}

impl ReportOrder {
    /// Creates a report on the last text with this reference.
    pub fn new(reference: impl Into<String>, status: ReportStatus) -> Self {
        Self {
            reference: Some(reference.into()),
            ..Self::of(status)
        }
    }

    /// Creates a report on the last text with this id of the vendor.
    pub fn by_id(id: impl Into<String>, status: ReportStatus) -> Self {
        Self {
            id: Some(id.into()),
            ..Self::of(status)
        }
    }

    /// Returns whether the report is on this text.
    pub(crate) fn is_on(&self, message: &SentMessage) -> bool {
        let has_id = |id: &String| message.id == *id || message.extra.more_ids.contains(id);
        let reference = self.reference.as_ref();
        self.id.as_ref().is_none_or(has_id)
            && reference.is_none_or(|reference| message.reference.as_ref() == Some(reference))
            && self.to.as_ref().is_none_or(|to| message.to == *to)
    }

    fn of(status: ReportStatus) -> Self {
        Self {
            reference: None,
            id: None,
            to: None,
            api: None,
            status,
            code: None,
            proof: Proof::default(),
        }
    }

    /// Sets the vendor's id, beside a reference.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Selects, of several texts with one reference or id, the one to this number in E.164.
    ///
    /// [`request`](Self::request) reports on a text to this number, which defaults to `+31612345678` there.
    #[must_use]
    pub fn to(mut self, number: impl Into<String>) -> Self {
        self.to = Some(number.into());
        self
    }

    /// Sets the vendor's error code. Defaults to one that fits the status.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Sets the API whose reports [`request`](Self::request) makes, such as `classic`. A text of a running sandbox has
    /// its own.
    ///
    /// Defaults to the first of these: MessageBird's `platform`, `classic` and `channels`, Spryng's `v2` and `v1`, Vonage's
    /// `messages` and `sms`. Other vendors have one API without a name.
    #[must_use]
    pub fn api(mut self, api: impl Into<String>) -> Self {
        self.api = Some(api.into());
        self
    }

    /// Sets the secret that the vendor signs with, in the vendor's form. Defaults to the sandbox's own.
    ///
    /// MessageBird's platform and the webhook gateway write it as `whsec_` and base64. CM and Spryng do not sign, and
    /// ignore it: a secret for them is a part of the target.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.proof.secret = Some(secret.into());
        self
    }

    /// Sets the time of the status and of the signature. Defaults to now.
    #[must_use]
    pub fn at(mut self, time: DateTime<Utc>) -> Self {
        self.proof.at = Some(time);
        self
    }

    /// Sets the form of Vonage's SMS API; other reports ignore it.
    #[must_use]
    pub fn form(mut self, form: ReceiptForm) -> Self {
        self.proof.form = form;
        self
    }

    /// Sets the signature method of Vonage's SMS API; other reports ignore it.
    #[must_use]
    pub fn signature_method(mut self, method: SignatureMethod) -> Self {
        self.proof.method = method;
        self
    }

    /// Returns the vendor's request that reports to this URL on a text of one part, without a running sandbox.
    ///
    /// It is for tests of a route of yours: signed with your secret where the vendor signs, at the time of
    /// [`at`](Self::at). Another secret makes it a forged request, and an older time a stale one. KPN and Twilio have the
    /// reference in the query of the URL only, as the parameter `reference`, which is appended unless the target has it.
    ///
    /// ```
    /// use postduif_sandbox::{ReportOrder, ReportStatus};
    ///
    /// let order = ReportOrder::new("01J9Z8Q4T6M2V7X3", ReportStatus::Delivered).secret("my-test-secret");
    /// let request = order.request("smstools", "https://hooks.example.com/reports/smstools")?;
    /// assert_eq!(request.method, "POST");
    /// assert!(request.body.contains("01J9Z8Q4T6M2V7X3"));
    /// let signature = request.headers.iter().find(|(name, _)| *name == "X-Smstools-Signature");
    /// assert!(signature.is_some());
    /// # Ok::<(), postduif_sandbox::SandboxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the vendor or the API is unknown, the target not an `http` or `https` URL, the secret not in
    /// the vendor's form, or the report one that the vendor does not send: MessageBird's classic API and the
    /// webhook gateway report only on texts with a reference.
    pub fn request(&self, vendor: &str, target: &str) -> Result<VendorRequest, SandboxError> {
        let vendor = vendors::named(vendor)?;
        let api = vendor.api(self.api.as_deref())?;
        let target = client::without_fragment(target)?;
        let now = self.proof.now();
        let id = self.id.clone().unwrap_or_else(|| vendor.new_id(api));
        let to = self.to.as_deref().unwrap_or(RECIPIENT);
        let mut message = SentMessage::new(vendor.name(), to, SENDER, TEXT, &id, now);
        message.extra.api = api;
        if let Some(reference) = &self.reference {
            message.reference = Some(reference.clone());
            message.extra.metadata = json!({ "reference": reference });
            let query = form([("reference", reference.as_str())]);
            message.extra.report_url = vendors::reference_in(target)
                .is_none()
                .then(|| format!("http://localhost/?{query}"));
        }
        let reports = vendor.report(&message, self, target, now)?;
        reports.into_iter().next().ok_or_else(|| {
            SandboxError::new(
                "this API reports only on texts with a reference, so the order needs one",
            )
        })
    }
}

/// The text that [`ReportOrder::request`] reports on.
const RECIPIENT: &str = "+31612345678";
const SENDER: &str = "Postduif";
const TEXT: &str = "Hello";
