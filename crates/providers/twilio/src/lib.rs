//! [Twilio](https://www.twilio.com) as a provider: its Messages resource, version 2010-04-01.
//!
//! Each request carries one message to one recipient. Twilio has no idempotency key and no look-up by our reference: a
//! message whose response is lost stays in doubt.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_twilio as twilio; }
//! use postduif::{twilio::Twilio, Message, SmsProvider as _, Text};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "twilio://AC0123456789abcdef0123456789abcdef:auth-token@default?sender=Contoso";
//! let twilio = Twilio::from_url(url)?;
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = twilio.send(&message).await?;
//! println!("accepted as {:?}", receipt.id());
//! # Ok(())
//! # }
//! ```
//!
//! The credentials are the account SID and its auth token, or the SID of an API key, `SK…`, and its secret.
//!
//! | URL option | meaning |
//! |---|---|
//! | `sender` | a number, a short code, a name of at most 11 letters, digits, spaces and `+ - _ &`, or a messaging service, `MG` and 32 hexadecimal digits, for messages that name none; Twilio has no default |
//! | `account` | the account SID, with an API key |
//! | `report_url` | the https URL for delivery reports, whose query parameter `reference` has the value `{reference}`; without it, reports do not match their messages |
//! | `id`, `secret` | the credentials, if they are not before the `@` |
//! | `vendor_messages` | `true`: errors keep Twilio's own words, cleaned; defaults to `false` |
//!
//! Tokens and keys belong to a region. Outside of the United States the host is the region's, such as
//! `api.dublin.ie1.twilio.com`.
//!
//! Only a messaging service can schedule a message, 15 minutes to 35 days ahead.
//!
//! # A mock server
//!
//! `postduif-sandbox` responds as Twilio does, and so must a mock of yours. Any other response leaves a message in doubt,
//! apart from a few statuses such as 429.
//!
//! | response | what it must have |
//! |---|---|
//! | an acceptance, 201 | `sid`: `SM` and 32 hexadecimal digits |
//! | a refusal | the numbers `code` and `status`, the HTTP status; the texts `message` and `more_info` |
//! | to `check`: `GET …/Balance.json` | `account_sid`, and `balance` and `currency` as texts |
//!
//! The account SID of a test is `AC` and 32 hexadecimal digits, too: a provider with any other is not built.

mod inbound;
mod reports;
mod signed;

use std::{num::NonZeroUsize, slice, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use postduif_core::{
    ConfigError, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, Sender,
    SenderKind, SmsProvider, TextLimit, async_trait, batch,
};
use postduif_http::{
    Refusal, Request, Response, codes, provider_builder,
    vendor::{
        Code, ConnectionUrl, Endpoint, EndpointBuilder, ReportUrl, check_about, is_given, price,
        text,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

pub use inbound::{TwilioInbound, inbound_parser};
pub use reports::{TwilioReports, report_parser};

use signed::BODY_HASH;

/// The capabilities of Twilio. If the configured sender is a messaging service, or none is configured, a message can
/// also be scheduled up to 35 days ahead.
///
/// It has no configured sender. A test takes [`SmsProvider::profile`] of a built provider, which has all that the
/// options configure.
pub const PROFILE: Profile = Profile::new("twilio")
    .with_senders(SenderKind::ALL)
    .with_sender_required(true)
    .with_validity(Duration::from_secs(1), Duration::from_secs(36_000))
    .with_longest_text(TextLimit::Characters(1600));

const HOST: &str = "https://api.twilio.com";
/// How far ahead a message can be scheduled, by the page of error 35114. A newer page of 35115 has five minutes as the
/// lower bound.
const SOONEST: Duration = Duration::from_secs(15 * 60);
const LATEST: Duration = Duration::from_secs(35 * 24 * 60 * 60);
/// The maximum number of concurrent requests of a batch: no limit is published.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();
/// The SID of a message that does not exist: for credentials that may read messages the response is 20404.
const NO_MESSAGE: &str = "SM00000000000000000000000000000000";
const SENDER: &str = "expected a number, a short code, a messaging service, or a name of letters A to Z, digits, \
                      spaces and + - _ & with a letter in it";

/// Twilio as a provider.
#[derive(Debug)]
pub struct Twilio {
    endpoint: Endpoint,
    account: SecretString,
    key: Option<SecretString>,
    secret: SecretString,
    report_url: Option<ReportUrl>,
}

impl Twilio {
    /// Creates a builder from an account SID, `AC` and 32 hexadecimal digits, and its auth token.
    pub fn builder(
        account: impl Into<SecretString>,
        token: impl Into<SecretString>,
    ) -> TwilioBuilder {
        TwilioBuilder {
            account: account.into(),
            key: None,
            secret: token.into(),
            endpoint: EndpointBuilder::new(),
            report_url: None,
        }
    }

    /// Creates a builder from an account SID and an API key of the account: its SID, `SK` and 32 hexadecimal digits, and
    /// its secret.
    pub fn api_key(
        account: impl Into<SecretString>,
        key: impl Into<SecretString>,
        secret: impl Into<SecretString>,
    ) -> TwilioBuilder {
        TwilioBuilder {
            key: Some(key.into()),
            ..Self::builder(account, secret)
        }
    }
}

/// Builder for [`Twilio`]. All options are checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct TwilioBuilder {
    account: SecretString,
    key: Option<SecretString>,
    secret: SecretString,
    endpoint: EndpointBuilder,
    // May hold a secret.
    report_url: Option<SecretString>,
}

provider_builder! {
    Twilio, TwilioBuilder,
    url: "`twilio://ACCOUNT_SID:AUTH_TOKEN@host?options` or \
          `twilio://KEY_SID:SECRET@host?account=ACCOUNT_SID&options`",
    base: "`https://api.twilio.com`",
    sender: "Twilio has no default",
}

impl TwilioBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let credentials = ["id", "secret", "account"];
        let options = ["sender", "report_url", "vendor_messages"];
        let url = ConnectionUrl::parse("twilio", url, &credentials, &options)?;
        let (id, secret) = (url.credential("id")?, url.credential("secret")?);
        let builder = match url.optional_credential("account") {
            None if is_sid("SK", &id) => {
                return Err(ConfigError::new(
                    "account is missing: with an API key, write the account SID as an option",
                ));
            }
            None => Twilio::builder(id, secret),
            Some(_) if is_sid("AC", &id) => {
                return Err(ConfigError::new(
                    "option account: expected none beside an account SID as the id",
                ));
            }
            Some(account) => Twilio::api_key(account, id, secret),
        };
        Ok(Self {
            endpoint: EndpointBuilder::from_url(&url)?,
            report_url: url.option("report_url").map(SecretString::from),
            ..builder
        })
    }

    /// Sets where Twilio posts status callbacks: an https URL, or plain http on loopback. Defaults to `None`.
    ///
    /// `{reference}`, as the value of a query parameter named `reference`, becomes the message's reference: Twilio has no
    /// other field for it.
    pub fn with_report_url(mut self, url: impl Into<String>) -> Self {
        self.report_url = Some(url.into().into());
        self
    }

    /// Builds the provider. Nothing is sent yet; [`check`](SmsProvider::check) tries the credentials.
    ///
    /// # Errors
    ///
    /// Returns an error if the account or the key is not a SID, the secret is blank, Twilio does not accept the sender,
    /// the report URL is invalid or one that Twilio does not accept, or the HTTP client cannot be built.
    pub fn build(self) -> Result<Twilio, ConfigError> {
        if !is_sid("AC", &self.account) {
            return Err(ConfigError::new(
                "invalid account SID: expected AC and 32 hexadecimal digits",
            ));
        }
        if self.key.as_ref().is_some_and(|key| !is_sid("SK", key)) {
            return Err(ConfigError::new(
                "invalid SID of an API key: expected SK and 32 hexadecimal digits",
            ));
        }
        if self.secret.expose_secret().trim().is_empty() {
            return Err(ConfigError::new(
                "secret is missing: write the auth token, or the secret of the API key",
            ));
        }
        self.endpoint
            .check_sender(|sender| wire_sender(sender).is_some(), SENDER)?;
        let report_url = self.report_url.as_ref().map(report_url).transpose()?;
        let has_reports = report_url.as_ref().is_some_and(ReportUrl::has_reference);
        let profile = PROFILE.with_reports(has_reports);
        let profile = match self.endpoint.sender().map(Sender::kind) {
            None | Some(SenderKind::MessagingService) => profile.with_max_schedule_ahead(LATEST),
            Some(_) => profile,
        };
        let endpoint = self.endpoint.with_secrets([
            Some(&self.account),
            self.key.as_ref(),
            Some(&self.secret),
            self.report_url.as_ref(),
        ]);
        Ok(Twilio {
            endpoint: endpoint.build(profile, HOST)?,
            account: self.account,
            key: self.key,
            secret: self.secret,
            report_url,
        })
    }
}

/// Returns whether this is a SID: two letters for its kind, and 32 hexadecimal digits. It cannot leave its segment of a
/// path.
fn is_sid(kind: &str, sid: &SecretString) -> bool {
    let digits = sid.expose_secret().strip_prefix(kind).unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn report_url(text: &SecretString) -> Result<ReportUrl, ConfigError> {
    let url = ReportUrl::parse_with_reference(text.expose_secret())?;
    let (_, rest) = url.expose().split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    if host.contains('_') {
        return Err(ConfigError::new(
            "option report_url: invalid host: Twilio refuses an underscore",
        ));
    }
    url.without_parameters("Twilio", &[BODY_HASH])
}

/// Returns a sender in the form of the wire. `None` if it is a name with characters that the page of the AlphaSender
/// resource does not list.
fn wire_sender(sender: &Sender) -> Option<String> {
    let name = sender.to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" +-_&".contains(&byte);
    let fits = sender.kind() != SenderKind::Alphanumeric
        || name.bytes().all(plain) && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    fits.then_some(name)
}

/// Returns the time of a scheduled message in the form of the wire. `None` if it is not scheduled.
fn wire_time(
    message: &Message,
    sender: Option<SenderKind>,
    now: DateTime<Utc>,
) -> Result<Option<String>, SendError> {
    let refused = |why| Err(SendError::not_accepted(ErrorKind::Unsupported, why));
    let Some(send_at) = message.send_at() else {
        return Ok(None);
    };
    // Without a service Twilio sends the text at once (help page), or refuses it with 35118 (list of errors).
    if sender != Some(SenderKind::MessagingService) {
        return refused("only a messaging service as sender can schedule a message");
    }
    if (send_at - now).to_std().unwrap_or_default() < SOONEST {
        return refused("this vendor accepts a time at least 900 seconds ahead");
    }
    Ok(Some(send_at.to_rfc3339_opts(SecondsFormat::Secs, true)))
}

/// The members of a response by which Twilio is recognized, if they are present.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseBody {
    sid: Value,
    account_sid: Value,
    /// The status of the message, or the HTTP status of a refusal.
    status: Value,
    to: Value,
    num_segments: Value,
    error_code: Value,
    code: Value,
    message: Value,
    more_info: Value,
    balance: Value,
    currency: Value,
}

impl ResponseBody {
    /// Returns the code of a refusal. `None` if it does not have Twilio's shape, which is all four members.
    fn refusal_code(&self, status: u16) -> Option<String> {
        let is_refusal = self.code.is_u64()
            && self.message.is_string()
            && self.more_info.is_string()
            && self.status.as_u64() == Some(status.into());
        is_refusal.then(|| self.code.to_string())
    }
}

const RESOURCE_MISSING: &str = "20404";
const NOT_ALLOWED: &str = "70051";

/// Twilio's codes for a message, and what each proves. Twilio split some of them in 2024 and warns against logic on
/// codes: an unlisted one is a refusal of unknown cause.
static CODES: &[Code] = codes! {
    "20003" => Unauthorized, Below500, "the credentials were refused";
    RESOURCE_MISSING => Misconfigured, Below500, "the account has no such resource";
    "20429" => Throttled, Below500, "too many requests";
    "21211" => InvalidRecipient, Below500, "the number is not valid";
    "21212" => InvalidSender, Below500, "the sender is not valid";
    "21266" => InvalidRecipient, Below500, "the recipient is the sender";
    // Not about the recipient alone: another vendor may reach it.
    "21408" => Misconfigured, Below500, "the account may not send to this region";
    "21603" => InvalidSender, Below500, "there is no sender";
    "21606" => InvalidSender, Below500, "the sender cannot send to this number";
    "21608" => Misconfigured, Below500, "a trial account sends to verified numbers only";
    "21610" => Blocked, Below500, "the recipient has opted out";
    "21612" => Misconfigured, Below500, "there is no route from the sender to this number";
    "21614" => InvalidRecipient, Below500, "the number cannot receive texts";
    "21617" => InvalidText, Below500, "the text is too long";
    "21619" => InvalidText, Below500, "there is no text";
    "35114" => Unsupported, Below500, "the time is not 15 minutes to 35 days ahead";
    "35118" => Unsupported, Below500, "only a messaging service can schedule a message";
    // The key is unknown, or is restricted and lacks the permission.
    NOT_ALLOWED => Unauthorized, Below500, "the credentials may not do this";
    "90007" => Unsupported, Below500, "the validity period is not valid";
};

/// Returns the refusal in a response to a request for these messages. `None` if Twilio did not write it.
fn refusal(response: &Response, body: &ResponseBody, messages: &[Message]) -> Option<Refusal> {
    let code = body.refusal_code(response.status())?;
    let refusal = match Code::find(CODES, &code) {
        Some(row) => row.refusal(),
        None => {
            let kind = match response.status() {
                429 => ErrorKind::Throttled,
                _ => ErrorKind::Other,
            };
            Refusal::new(kind, "Twilio refused it").with_unlisted_code(&code, messages)
        }
    };
    Some(refusal.with_vendor_message(body.message.as_str(), &response.redactor(messages)))
}

impl Twilio {
    fn path(&self, resource: &str) -> String {
        let account = self.account.expose_secret();
        format!("/2010-04-01/Accounts/{account}/{resource}.json")
    }

    fn authorized(&self, request: Request) -> Request {
        let user = self.key.as_ref().unwrap_or(&self.account);
        request.with_basic(user.expose_secret(), &self.secret)
    }

    fn request(&self, message: &Message) -> Result<Request, SendError> {
        let sender = self.endpoint.wire_sender(message, wire_sender, SENDER)?;
        let kind = self.endpoint.sender(message).map(Sender::kind);
        let send_at = wire_time(message, kind, std::time::SystemTime::now().into())?;
        let to = message.to().to_string();
        let report_url = self.report_url.as_ref().map(|url| url.for_message(message));
        let validity = message
            .validity()
            .map(|validity| validity.as_secs().to_string());
        let sender_field = match kind {
            Some(SenderKind::MessagingService) => "MessagingServiceSid",
            _ => "From",
        };
        let fields = [
            ("To", Some(to.as_str())),
            ("StatusCallback", report_url.as_deref()),
            ("ValidityPeriod", validity.as_deref()),
            ("ScheduleType", send_at.as_ref().map(|_| "fixed")),
            ("SendAt", send_at.as_deref()),
            (sender_field, Some(sender.as_str())),
            ("Body", Some(message.text().as_str())),
        ];
        let given = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let request = self.authorized(self.endpoint.post(&self.path("Messages")));
        Ok(request.with_form(given))
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let response = self.endpoint.client().send(self.request(message)?).await?;
        if response.is_success() {
            return self.accepted(&response.json()?, message);
        }
        let body: ResponseBody = response.json().unwrap_or_default();
        if is_given(&body.sid) {
            return Err(Response::contradiction());
        }
        Err(response.refused(refusal(&response, &body, slice::from_ref(message))))
    }

    fn accepted(&self, body: &ResponseBody, message: &Message) -> Result<Receipt, SendError> {
        let has_failed = body
            .status
            .as_str()
            .is_some_and(|status| ["canceled", "failed", "undelivered"].contains(&status));
        if has_failed || is_given(&body.code) || is_given(&body.error_code) {
            return Err(Response::contradiction());
        }
        check_about(&Value::Null, &body.to, message)?;
        let id = body.sid.as_str().unwrap_or_default();
        let is_message = |kind| is_sid(kind, &id.into());
        let id = if is_message("SM") || is_message("MM") {
            id
        } else {
            ""
        };
        let receipt = self.endpoint.receipt(message, id)?;
        // A messaging service has not counted them yet, and returns 0.
        let parts = text(&body.num_segments).and_then(|parts| parts.parse().ok());
        Ok(match parts.filter(|&parts| parts > 0) {
            Some(parts) => receipt.with_parts(parts),
            None => receipt,
        })
    }

    /// Asks for the balance, or with an API key for a message that does not exist.
    async fn probe(&self) -> Result<Health, SendError> {
        let resource = match self.key {
            None => "Balance",
            Some(_) => &format!("Messages/{NO_MESSAGE}"),
        };
        let request = self.authorized(self.endpoint.get(&self.path(resource)));
        let response = self.endpoint.client().ask(request).await?;
        let body: ResponseBody = response.json().unwrap_or_default();
        if response.is_success() {
            return if body.account_sid.as_str() == Some(self.account.expose_secret()) {
                Ok(health(&body))
            } else {
                Err(response.refused(None))
            };
        }
        match body.refusal_code(response.status()).as_deref() {
            // Twilio looks for it after it has verified the credentials, and a subaccount has no balance.
            Some(RESOURCE_MISSING) if response.status() == 404 => Ok(Health::verified()),
            // Also the refusal of a restricted key that may send and not read.
            Some(NOT_ALLOWED) if self.key.is_some() && response.status() < 500 => {
                Ok(Health::unknown())
            }
            _ => Err(response.refused(refusal(&response, &body, &[]))),
        }
    }
}

/// Returns the health of accepted credentials, with the balance if the account has one.
fn health(body: &ResponseBody) -> Health {
    let balance = price(&body.balance, &body.currency);
    balance.map_or(Health::verified(), |balance| {
        Health::verified().with_balance(balance)
    })
}

#[async_trait]
impl SmsProvider for Twilio {
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

    /// Asks for the balance with an auth token. With an API key it asks for a message that does not exist, since a
    /// standard key may not read the account. A restricted key without the permission to read messages stays unknown.
    async fn check(&self) -> Result<Health, SendError> {
        self.endpoint.probe(self.probe()).await
    }
}
