//! [Smstools](https://www.smstools.be) as a provider: version 1 of its gateway API.
//!
//! A request carries one message. One for several recipients has a single text, and what an invalid number does to the
//! others is not documented. Smstools has no idempotency key and no look-up by reference: a message whose response is
//! lost stays in doubt. A response without an error does not prove that the number is valid; the delivery reports show
//! that.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_smstools as smstools; }
//! use postduif::{smstools::Smstools, Message, SmsProvider as _, Text};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let smstools = Smstools::from_url("smstools://client-id:client-secret@default?sender=Contoso")?;
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = smstools.send(&message).await?;
//! println!("accepted as {:?}", receipt.id());
//! # Ok(())
//! # }
//! ```
//!
//! | URL option | meaning |
//! |---|---|
//! | `id`, `secret` | the client id and secret, if they are not before the `@` |
//! | `sender` | a name of at most 11 characters or a number of at most 14 digits, for messages that name none; Smstools has no default |
//! | `sub_account` | the id of the sub-account for sending |
//! | `test` | `true`: Smstools validates every message and **sends none**; defaults to `false` |
//! | `vendor_messages` | `true`: errors keep Smstools' own words, cleaned; defaults to `false` |
//!
//! The default host, `api.smsgatewayapi.com`, is that of the documentation and of the one recorded live exchange. The
//! vendor's newer SDK calls `api.smstools.com`, which can be set instead.
//!
//! A message cannot be scheduled, since Smstools does not document the time zone of its schedule. What happens to
//! characters outside GSM 03.38 is not documented either: they may be replaced or refused.

mod inbound;
mod reports;

use std::{num::NonZeroUsize, slice};

use postduif_core::{
    Acceptance, ConfigError, ErrorKind, Health, Message, Outcomes, Price, Profile, Receipt,
    SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait, batch,
};
use postduif_http::{
    Refusal, Request, Response, check_header_setting, codes, provider_builder,
    vendor::{Code, ConnectionUrl, Endpoint, EndpointBuilder, is_given, text},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

pub use inbound::{SmstoolsInbound, inbound_parser};
pub use reports::{SmstoolsReports, report_parser};

/// Smstools' capabilities.
///
/// The longest text in any copy of its pages is 612 units of GSM 03.38, four parts. Most copies have 459, so above that
/// Smstools decides. A short code is not accepted as sender: error 110 requires a plus before digits. Delivery reports
/// need a webhook of the account, which is created in the dashboard.
///
/// It has no configured sender. A test takes [`SmsProvider::profile`] of a built provider, which has all that the
/// options configure.
pub const PROFILE: Profile = Profile::new("smstools")
    .with_senders(&[SenderKind::Alphanumeric, SenderKind::Number])
    .with_sender_required(true)
    .with_longest_text(TextLimit::Parts(4))
    .with_reports(true);

const HOST: &str = "https://api.smsgatewayapi.com";
const SEND_PATH: &str = "/v1/message/send";
const BALANCE_PATH: &str = "/v1/balance";
/// The maximum number of concurrent requests of a batch: Smstools does not publish its rate limit.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// The maximum number of digits of a number as sender, by error 111.
const MAX_DIGITS: usize = 14;
const SENDER: &str = "expected a name, or a number of at most 14 digits";
/// The only error text without a code in the documentation, at status 400.
const UNREADABLE: &str = "error parsing json";

/// Smstools as a provider.
#[derive(Debug)]
pub struct Smstools {
    endpoint: Endpoint,
    id: SecretString,
    secret: SecretString,
    sub_account: Option<String>,
    test: bool,
}

impl Smstools {
    /// Creates a builder from a client id and its secret.
    pub fn builder(
        id: impl Into<SecretString>,
        secret: impl Into<SecretString>,
    ) -> SmstoolsBuilder {
        SmstoolsBuilder {
            id: id.into(),
            secret: secret.into(),
            endpoint: EndpointBuilder::new(),
            sub_account: None,
            test: false,
        }
    }
}

/// Builder for [`Smstools`]. All options are checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct SmstoolsBuilder {
    id: SecretString,
    secret: SecretString,
    endpoint: EndpointBuilder,
    sub_account: Option<String>,
    test: bool,
}

provider_builder! {
    Smstools, SmstoolsBuilder,
    url: "`smstools://ID:SECRET@host?options`",
    base: "the host of Smstools' documentation",
    sender: "Smstools has no default",
}

impl SmstoolsBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = ["sender", "sub_account", "test", "vendor_messages"];
        let url = ConnectionUrl::parse("smstools", url, &["id", "secret"], &options)?;
        Ok(Self {
            endpoint: EndpointBuilder::from_url(&url)?,
            sub_account: url.option("sub_account").map(str::to_owned),
            test: url.parsed_option("test")?.unwrap_or_default(),
            ..Smstools::builder(url.credential("id")?, url.credential("secret")?)
        })
    }

    /// Sets the sub-account for sending. Defaults to `None`.
    pub fn with_sub_account(mut self, account: impl Into<String>) -> Self {
        self.sub_account = Some(account.into());
        self
    }

    /// Sets whether Smstools validates every message and sends none. Defaults to `false`.
    ///
    /// A receipt then only means that the message is valid: it may have no id, and no delivery report follows.
    pub const fn with_test(mut self, test: bool) -> Self {
        self.test = test;
        self
    }

    /// Builds the provider. Nothing is sent; [`check`](SmsProvider::check) verifies the credentials.
    ///
    /// # Errors
    ///
    /// Returns an error if the sender is a short code or a number of more than 14 digits, or the HTTP client cannot be
    /// built. The same holds if no header can hold the id, the secret or the sub-account.
    pub fn build(self) -> Result<Smstools, ConfigError> {
        self.endpoint
            .check_sender(|sender| wire_sender(sender).is_some(), SENDER)?;
        check_header_setting("id", self.id.expose_secret())?;
        check_header_setting("secret", self.secret.expose_secret())?;
        if let Some(account) = &self.sub_account {
            check_header_setting("option sub_account", account)?;
        }
        let profile = PROFILE.with_reports(!self.test);
        let sub_account = self.sub_account.clone().map(SecretString::from);
        let endpoint =
            self.endpoint
                .with_secrets([Some(&self.id), Some(&self.secret), sub_account.as_ref()]);
        Ok(Smstools {
            endpoint: endpoint.build(profile, HOST)?,
            id: self.id,
            secret: self.secret,
            sub_account: self.sub_account,
            test: self.test,
        })
    }
}

/// The body of a send. A member without a value is left out, since the documentation has no empty values.
#[derive(Serialize)]
struct SendBody<'a> {
    message: &'a str,
    /// Digits alone, and one number: an array has a single response for all.
    to: String,
    sender: &'a str,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subid: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
}

/// Smstools' codes, one list for all requests, and whether they prove that nothing was sent.
static CODES: &[Code] = codes! {
    "102" => InvalidText, Below500, "there is no text";
    "103" => InvalidRecipient, Below500, "the number is missing or invalid";
    "104" => Unauthorized, Below500, "the client id or secret was refused";
    // Its text is that of a refusal, but does not say that the message was not accepted.
    "105" => Unavailable, Nothing, "Smstools has a problem";
    "106" => InvalidRecipient, Below500, "the number is missing or invalid";
    "108" => InsufficientBalance, Below500, "the account has no credit";
    "109" => InvalidSender, Below500, "the sender is empty";
    "110" => InvalidSender, Below500, "a number as sender needs a plus";
    "111" => InvalidSender, Below500, "the sender is invalid";
    "112" => InvalidText, Below500, "there is no text";
    "113" => Other, Below500, "there is no order";
    "114" => Other, Below500, "the request is empty";
    "116" => Unauthorized, Below500, "the account is deactivated after long inactivity";
    "118" => InvalidText, Below500, "the text is too long";
    "121" => Other, Below500, "the time is invalid or in the past";
    "122" => Other, Below500, "there are no contacts";
    "123" => Other, Below500, "an object has no id";
    "124" => Other, Below500, "the group is missing";
    "125" => Other, Below500, "the group does not exist";
    "126" => Other, Below500, "the name is missing";
    "128" => Other, Below500, "the group does not exist";
    "129" => Other, Below500, "the number is in the group already";
    "131" => Blocked, Below500, "the number is on the account's opt-out list";
    "132" => Other, Below500, "the inbox does not exist";
    "133" => Other, Below500, "the message does not exist";
    "134" => Other, Below500, "the webhook does not exist";
    "135" => Other, Below500, "the limit is invalid";
    "136" => Other, Below500, "the page is invalid";
    "137" => Other, Below500, "the window of a WhatsApp conversation is over";
    "138" => Unauthorized, Below500, "the account is not set up correctly";
    "139" => Other, Below500, "a parameter is missing or invalid";
    "140" => Other, Below500, "the WhatsApp account is invalid";
    "200" => Unauthorized, Below500, "the account does not allow this IP address";
    "1002" => Unauthorized, Below500, "too many failed logins: wait before the next";
    "1403" => Unauthorized, Below500, "this user of the account has no permission";
};

/// Returns a sender in Smstools' format. `None` if it is a number that is too long. A number keeps its plus, which
/// error 110 requires although the documentation's examples lack it.
fn wire_sender(sender: &Sender) -> Option<String> {
    let fits = sender
        .number()
        .is_none_or(|number| number.msisdn().to_string().len() <= MAX_DIGITS);
    fits.then(|| sender.to_string())
}

/// Returns what a response with an error proves: by its code first, by its status second.
///
/// Other gateways have a member `error` too. It is Smstools' own only with a code of its list, beside `errorMsg`, or
/// with the one text of the documentation. A code that repeats the status does not count: many servers write it.
fn refused(response: &Response, messages: &[Message]) -> SendError {
    let by_status = response.refused(None);
    let Ok(body) = response.json::<Map<String, Value>>() else {
        return by_status;
    };
    let gives_id = |id: &Value| is_given(id) && id.as_array().is_none_or(|ids| !ids.is_empty());
    if ["messageid", "messageids"]
        .iter()
        .any(|name| body.get(*name).is_some_and(gives_id))
    {
        return Response::contradiction();
    }
    let Some(error) = body.get("error").and_then(text) else {
        return by_status;
    };
    let words = body.get("errorMsg").and_then(Value::as_str);
    let has_text = words.is_some();
    let redactor = response.redactor(messages);
    // A request without a text is never in doubt, so there the author of the response is irrelevant.
    let repeats_status =
        !has_text && !messages.is_empty() && error == response.status().to_string();
    if let Some(row) = Code::find(CODES, &error).filter(|_| !repeats_status) {
        return response.refused(Some(row.refusal().with_vendor_message(words, &redactor)));
    }
    let is_own = has_text || error == UNREADABLE && response.status() == 400;
    // On a success only a listed code is a refusal.
    if !is_own || response.is_success() || by_status.acceptance() == Acceptance::NotAccepted {
        return by_status;
    }
    let refusal = match response.status() {
        401 | 403 => Refusal::new(ErrorKind::Unauthorized, "Smstools refused the credentials"),
        _ => Refusal::new(ErrorKind::Other, "Smstools refused the request"),
    };
    let refusal = refusal.with_vendor_message(words, &redactor);
    let is_code = error.bytes().all(|byte| byte.is_ascii_digit());
    response.refused(Some(if is_code {
        refusal.with_unlisted_code(&error, messages)
    } else {
        refusal
    }))
}

/// Returns the id of the message, in either of Smstools' two formats.
fn id(body: &Map<String, Value>) -> Option<&Value> {
    match body.get("messageid") {
        None | Some(Value::Null) => body.get("messageids")?.as_array()?.first(),
        id => id,
    }
}

impl Smstools {
    fn authorized(&self, request: Request) -> Request {
        request
            .with_secret_header("x-client-id", &self.id)
            .with_secret_header("x-client-secret", &self.secret)
    }

    fn request(&self, message: &Message) -> Result<Request, SendError> {
        let sender = self.endpoint.wire_sender(message, wire_sender, SENDER)?;
        let request = self.authorized(self.endpoint.post(SEND_PATH));
        Ok(request.with_json(&SendBody {
            message: message.text().as_str(),
            to: message.to().msisdn().to_string(),
            sender: &sender,
            reference: message.reference().as_str(),
            subid: self.sub_account.as_deref(),
            test: self.test,
        }))
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let response = self.endpoint.client().send(self.request(message)?).await?;
        if !response.is_success() {
            return Err(refused(&response, slice::from_ref(message)));
        }
        let body: Map<String, Value> = response.json()?;
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(refused(&response, slice::from_ref(message)));
        }
        match id(&body) {
            // The response to a test is not documented; nothing is sent then.
            None if self.test => Ok(self.endpoint.receipt_without_id(message)),
            id => {
                let id = id.and_then(Value::as_str).unwrap_or_default();
                self.endpoint.receipt(message, id)
            }
        }
    }

    /// Requests the balance.
    async fn balance(&self) -> Result<Health, SendError> {
        let request = self.authorized(self.endpoint.get(BALANCE_PATH));
        let response = self.endpoint.client().ask(request).await?;
        if !response.is_success() {
            return Err(refused(&response, &[]));
        }
        let body: Map<String, Value> = response.json()?;
        // Two of the vendor's clients disagree on the name, and on whether it is text or a number.
        let amount = ["credits", "balance"]
            .iter()
            .find_map(|name| body.get(*name).and_then(text));
        let Some(amount) = amount else {
            return Err(refused(&response, &[]));
        };
        let currency = body.get("currency").and_then(Value::as_str);
        let balance = currency.and_then(|currency| Price::new(&amount, currency).ok());
        Ok(balance.map_or(Health::verified(), |balance| {
            Health::verified().with_balance(balance)
        }))
    }
}

#[async_trait]
impl SmsProvider for Smstools {
    fn profile(&self) -> &Profile {
        self.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let accepts = |message: &Message| self.request(message).is_ok();
        let message = &self.endpoint.fit_where(message, accepts);
        self.endpoint
            .send_one(message, self.exchange(message))
            .await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    /// Requests the balance, which proves the credentials. It is returned if it has a currency: a balance in credits is
    /// not a price.
    async fn check(&self) -> Result<Health, SendError> {
        self.endpoint.probe(self.balance()).await
    }
}
