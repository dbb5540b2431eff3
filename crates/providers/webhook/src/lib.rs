//! Any HTTP gateway of your own as a provider: a small JSON request, and a response that says what happened.
//!
//! Write the gateway to this page, in front of a modem, a vendor without a crate, or a service inside your company.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_webhook as webhook; }
//! use postduif::{webhook::Webhook, Message, SmsProvider as _, Text};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = Webhook::from_url("webhook://token@sms.example.com/send?sender=Contoso")?;
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = gateway.send(&message).await?;
//! println!("accepted as {:?}", receipt.id());
//! # Ok(())
//! # }
//! ```
//!
//! The host and the path of the URL are the gateway's, over https, or plain http on loopback. There is no default host,
//! and the gateway's URL has no query: the options below are Postduif's.
//!
//! | URL option | meaning |
//! |---|---|
//! | `token` | sent as `Authorization: Bearer`; it may stand before the `@` |
//! | `secret` | signs every request by [Standard Webhooks](https://www.standardwebhooks.com): `whsec_` and base64 |
//! | `sender` | the sender of messages that name none; the gateway may have its own default |
//! | `validity` | the shortest and longest validity period of the gateway in seconds, such as `60-86400`; without it none is supported |
//! | `schedule_ahead` | how many seconds ahead the gateway schedules a message; without it none is scheduled |
//! | `reports` | `true`: the gateway sends delivery reports; defaults to `false` |
//! | `repeat_window` | for how many seconds the gateway recognizes a repeated request by its `Idempotency-Key`; without it no request is repeated |
//! | `vendor_messages` | `true`: errors keep the gateway's own words, cleaned; defaults to `false` |
//!
//! # The request
//!
//! A POST of JSON to the URL, one message each. `sender`, `validity_s` and `send_at` are left out if they are not set.
//!
//! ```json
//! {
//!     "to": "+31612345678",
//!     "text": "Your code is 482913",
//!     "reference": "01J9Z8Q4T6M2V7X3",
//!     "sender": "Contoso",
//!     "validity_s": 600,
//!     "send_at": "2026-12-24T08:30:00Z"
//! }
//! ```
//!
//! | member | what it holds |
//! |---|---|
//! | `to` | the recipient in E.164, with its plus |
//! | `text` | the text in Unicode; the gateway chooses the encoding |
//! | `reference` | our reference of the message, 1 to 32 ASCII letters and digits; delivery reports repeat it |
//! | `sender` | a name, a number with its plus, a short code of digits, or a messaging service, `MG…` |
//! | `validity_s` | the validity period in whole seconds |
//! | `send_at` | when to send it: RFC 3339 in UTC, whole seconds |
//!
//! | header | what it holds |
//! |---|---|
//! | `Authorization` | `Bearer` and the token, if one is set |
//! | `Idempotency-Key` | the reference. With `repeat_window`, a lost response is followed by the same key and the same body: send one text, and return the first response again |
//! | `webhook-id` | the reference, if a secret is set; so for the next two |
//! | `webhook-timestamp` | seconds since 1970 of this attempt |
//! | `webhook-signature` | `v1,` and base64(HMAC-SHA256(secret, "{webhook-id}.{webhook-timestamp}.{body}")), where the key is what the base64 after `whsec_` decodes to |
//!
//! # The response
//!
//! A JSON object. Members that are not listed are ignored.
//!
//! | status | body | meaning |
//! |---|---|---|
//! | 2xx | `{"status": "accepted", "id": "…"}` | accepted; the gateway has taken on the message |
//! | any below 500, but no redirect and not 408, 409, 425, 499 | `{"status": "refused", "kind": "…"}` | not accepted; the gateway is certain that the text is not and will not be sent |
//! | 404, 405, 411, 413, 414, 415, 429, 431, and 401 with `WWW-Authenticate` | anything else | not accepted: servers give these before they read a message, so never give one after |
//! | anything else, or no response | | in doubt: neither repeated nor sent through another vendor |
//!
//! `id` is the gateway's id of the message, as text or a number, at most 256 bytes without control characters. It is
//! required, since `{"status": "accepted"}` alone is also what queues and proxies write: a gateway without ids returns
//! the reference. A response may repeat our `reference`, and is in doubt if it is another message's. An acceptance
//! beside `kind` or `code`, or at another status than 2xx, and a refusal beside an `id` contradict themselves and are
//! in doubt.
//!
//! `kind` is the name of an [`ErrorKind`], which decides what happens next; any other is no refusal, and in doubt. The
//! optional `code` is the gateway's own, kept if it is at most four letters and digits, or five digits, and repeats
//! nothing of the message. The optional `message` says in words what is wrong; it is kept, cleaned, with the option
//! `vendor_messages`. With the kind `throttled`, `retry_after_s` or the header `Retry-After` is how many seconds
//! to wait.
//!
//! | `kind` | next | for example |
//! |---|---|---|
//! | `blocked`, `invalid_recipient`, `invalid_text` | nothing | the recipient opted out; no such number |
//! | `throttled`, `unavailable`, `timeout` | the same gateway later, or another vendor | the queue is full; no network |
//! | `insufficient_balance`, `invalid_sender`, `misconfigured`, `other`, `protocol`, `unauthorized`, `unsupported` | another vendor | no credit; a wrong token |
//!
//! # The check
//!
//! [`check`](SmsProvider::check) makes a GET to the same URL with the same headers, signed over an empty body with the
//! id `check`, and without `Idempotency-Key`. `{"status": "ready"}` with 2xx verifies the credentials, a refusal of the
//! kind `unauthorized` refuses them, and 405 means that the gateway has no check.
//!
//! # Delivery reports
//!
//! See [`WebhookReports`].
//!
//! # Inbound texts
//!
//! See [`WebhookInbound`].

mod inbound;
mod reports;

use std::{num::NonZeroUsize, slice, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use postduif_core::{
    ConfigError, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, Sender,
    SenderKind, SmsProvider, async_trait, batch,
};
use postduif_http::{
    BaseUrl, Refusal, Request, Response, check_header_setting, provider_builder,
    vendor::{
        ConnectionUrl, Endpoint, EndpointBuilder, WebhookSecrets, check_about, is_given, text,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use inbound::{WebhookInbound, inbound_parser};
pub use reports::{WebhookReports, report_parser};

/// What every gateway can do. The options add what only its owner knows: validity periods, scheduling, delivery reports
/// and a repeat window.
///
/// It has no configured sender. A test takes [`SmsProvider::profile`] of a built provider, which has all that the
/// options configure.
pub const PROFILE: Profile = Profile::new("webhook").with_senders(SenderKind::ALL);

/// The maximum number of concurrent requests of a batch.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();
/// The id of the signature of a check, which has no message.
const CHECK_ID: &str = "check";
const ACCEPTED: &str = "accepted";
const REFUSED: &str = "refused";
const READY: &str = "ready";

/// A gateway of your own as a provider.
#[derive(Debug)]
pub struct Webhook {
    endpoint: Endpoint,
    /// The header's whole value.
    authorization: Option<SecretString>,
    secret: Option<WebhookSecrets>,
}

impl Webhook {
    /// Creates a builder from the gateway's URL.
    pub fn builder(url: BaseUrl) -> WebhookBuilder {
        WebhookBuilder {
            endpoint: EndpointBuilder::new().with_base(url),
            token: None,
            secret: None,
            validity: None,
            schedule_ahead: None,
            reports: false,
            repeat_window: None,
        }
    }
}

/// Builder for [`Webhook`]. All options are checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct WebhookBuilder {
    endpoint: EndpointBuilder,
    token: Option<SecretString>,
    secret: Option<SecretString>,
    validity: Option<(Duration, Duration)>,
    schedule_ahead: Option<Duration>,
    reports: bool,
    repeat_window: Option<Duration>,
}

provider_builder! {
    Webhook, WebhookBuilder,
    url: "`webhook://TOKEN@host/path?options`",
    base: "the gateway's URL, from which the builder was created",
    sender: "Defaults to `None`: the gateway chooses",
}

impl WebhookBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = [
            "sender",
            "validity",
            "schedule_ahead",
            "reports",
            "repeat_window",
            "vendor_messages",
        ];
        let url = ConnectionUrl::parse("webhook", url, &["token", "secret"], &options)?;
        if url.host().is_none() {
            return Err(ConfigError::new(
                "a webhook has no default host: expected the gateway's, such as \
                 webhook://token@sms.example.com/send",
            ));
        }
        Ok(Self {
            endpoint: EndpointBuilder::from_url(&url)?,
            token: url.optional_credential("token"),
            secret: url.optional_credential("secret"),
            validity: url.option("validity").map(period).transpose()?,
            schedule_ahead: seconds(&url, "schedule_ahead")?,
            reports: url.parsed_option("reports")?.unwrap_or_default(),
            repeat_window: seconds(&url, "repeat_window")?,
        })
    }

    /// Sets the token, which every request has as `Authorization: Bearer`. Defaults to `None`.
    pub fn with_token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the secret that signs every request by Standard Webhooks: `whsec_` and base64. Defaults to `None`.
    pub fn with_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Sets the shortest and longest validity period of the gateway, both inclusive and in whole seconds. Defaults to
    /// `None`: validity periods are then unsupported.
    pub const fn with_validity(mut self, shortest: Duration, longest: Duration) -> Self {
        self.validity = Some((shortest, longest));
        self
    }

    /// Sets how far ahead the gateway schedules a message. Defaults to `None`: scheduling is then unsupported.
    pub const fn with_schedule_ahead(mut self, ahead: Duration) -> Self {
        self.schedule_ahead = Some(ahead);
        self
    }

    /// Sets whether the gateway sends delivery reports. Defaults to `false`.
    pub const fn with_reports(mut self, reports: bool) -> Self {
        self.reports = reports;
        self
    }

    /// Sets for how long after a request the gateway recognizes the same `Idempotency-Key` with the same body, and sends
    /// one text for both. Defaults to `None`: no request is repeated.
    pub const fn with_repeat_window(mut self, window: Duration) -> Self {
        self.repeat_window = Some(window);
        self
    }

    /// Builds the provider. Nothing is sent; [`check`](SmsProvider::check) verifies the credentials.
    ///
    /// # Errors
    ///
    /// Returns an error if no header can hold the token, the secret is not `whsec_` and base64, a duration is shorter
    /// than a second, the shortest validity period exceeds the longest, or the HTTP client cannot be built.
    pub fn build(self) -> Result<Webhook, ConfigError> {
        if let Some(token) = &self.token {
            check_header_setting("token", token.expose_secret())?;
        }
        let secret = self.secret.clone().map(|secret| {
            let missing = "invalid secret: expected whsec_ and base64, as in Standard Webhooks";
            WebhookSecrets::new([secret], missing)
        });
        for (name, duration) in [
            ("schedule_ahead", self.schedule_ahead),
            ("repeat_window", self.repeat_window),
        ] {
            if duration.is_some_and(|duration| duration < SECOND) {
                return Err(not_seconds(name));
            }
        }
        let mut profile = PROFILE
            .with_reports(self.reports)
            .with_repeat_window(self.repeat_window);
        if let Some((shortest, longest)) = self.validity {
            if shortest < SECOND || shortest > longest {
                return Err(ConfigError::new(PERIOD));
            }
            profile = profile.with_validity(shortest, longest);
        }
        if let Some(ahead) = self.schedule_ahead {
            profile = profile.with_max_schedule_ahead(ahead);
        }
        let endpoint = self
            .endpoint
            .with_secrets([self.token.as_ref(), self.secret.as_ref()]);
        Ok(Webhook {
            // The base URL is set, so there is no other host.
            endpoint: endpoint.build(profile, "")?,
            authorization: self
                .token
                .map(|token| format!("Bearer {}", token.expose_secret()).into()),
            secret: secret.transpose()?,
        })
    }
}

const SECOND: Duration = Duration::from_secs(1);
const PERIOD: &str =
    "option validity: expected the shortest and the longest in seconds, such as 60-86400";

/// Parses an option in whole seconds. `None` if it is missing.
fn seconds(url: &ConnectionUrl, name: &'static str) -> Result<Option<Duration>, ConfigError> {
    let parsed = url.option(name).map(|seconds| match seconds.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => Err(not_seconds(name)),
    });
    parsed.transpose()
}

fn not_seconds(name: &'static str) -> ConfigError {
    ConfigError::new(format!(
        "option {name}: expected a number of seconds, at least 1"
    ))
}

fn period(text: &str) -> Result<(Duration, Duration), ConfigError> {
    let seconds = |text: &str| text.parse().map(Duration::from_secs).ok();
    let pair = text.split_once('-');
    pair.and_then(|(shortest, longest)| Some((seconds(shortest)?, seconds(longest)?)))
        .ok_or(ConfigError::new(PERIOD))
}

/// The body of a send. A member without a value is left out.
#[derive(Serialize)]
struct SendBody<'a> {
    to: String,
    text: &'a str,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<String>,
}

/// The members of a response by which the gateway is recognized, if they are present.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseBody {
    status: Value,
    id: Value,
    reference: Value,
    kind: Value,
    code: Value,
    message: Value,
    retry_after_s: Value,
}

impl ResponseBody {
    /// Returns the refusal. `None` if it is not in the gateway's shape, which has a known kind.
    fn refusal(&self, response: &Response, messages: &[Message]) -> Option<Refusal> {
        if self.status != REFUSED {
            return None;
        }
        let kind: ErrorKind = self.kind.as_str()?.parse().ok()?;
        let refusal = Refusal::new(kind, format!("the gateway refused the request: {kind}"))
            .with_vendor_message(self.message.as_str(), &response.redactor(messages));
        let refusal = match text(&self.code) {
            Some(code) => refusal.with_unlisted_code(&code, messages),
            None => refusal,
        };
        Some(match self.retry_after_s.as_u64() {
            Some(seconds) => refusal.with_retry_after(Duration::from_secs(seconds)),
            None => refusal,
        })
    }

    /// Returns whether it both accepts and refuses.
    fn contradicts_itself(&self, is_success: bool) -> bool {
        match self.status.as_str() {
            Some(ACCEPTED) => !is_success || is_given(&self.kind) || is_given(&self.code),
            Some(REFUSED) => is_given(&self.id),
            _ => false,
        }
    }
}

impl Webhook {
    /// Adds the credentials to a request with its body.
    fn authorized(&self, request: Request, id: &str) -> Request {
        let request = match &self.authorization {
            Some(authorization) => request.with_secret_header("authorization", authorization),
            None => request,
        };
        match &self.secret {
            Some(secret) => secret.sign(request, id, now()),
            None => request,
        }
    }

    /// Returns the request. Its key and its body are the same for the same message, so that a repeat is harmless.
    fn request(&self, message: &Message) -> Request {
        let reference = message.reference().as_str();
        let request = self.endpoint.post("").with_json(&SendBody {
            to: message.to().to_string(),
            text: message.text().as_str(),
            reference,
            sender: self.endpoint.sender(message).map(Sender::to_string),
            validity_s: message.validity().map(|validity| validity.as_secs()),
            send_at: message
                .send_at()
                .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)),
        });
        self.authorized(request.with_header("idempotency-key", reference), reference)
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let response = self.endpoint.client().send(self.request(message)).await?;
        let body: ResponseBody = match response.json() {
            Ok(body) => body,
            Err(error) if response.is_success() => return Err(error),
            Err(_) => ResponseBody::default(),
        };
        check_about(&body.reference, &Value::Null, message)?;
        if body.contradicts_itself(response.is_success()) {
            return Err(Response::contradiction());
        }
        if body.status == ACCEPTED {
            let id = text(&body.id).unwrap_or_default();
            return self.endpoint.receipt(message, &id);
        }
        Err(response.refused(body.refusal(&response, slice::from_ref(message))))
    }

    async fn probe(&self) -> Result<Health, SendError> {
        let request = self.authorized(self.endpoint.get(""), CHECK_ID);
        let response = self.endpoint.client().ask(request).await?;
        let body: ResponseBody = response.json().unwrap_or_default();
        if response.is_success() && body.status == READY {
            return Ok(Health::verified());
        }
        match (body.refusal(&response, &[]), response.status()) {
            (None, 405) => Ok(Health::unknown()),
            (refusal, _) => Err(response.refused(refusal)),
        }
    }
}

fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

#[async_trait]
impl SmsProvider for Webhook {
    fn profile(&self) -> &Profile {
        self.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let message = &self.endpoint.fit(message);
        self.endpoint
            .send_one(message, self.exchange(message))
            .await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    /// Makes a GET to the gateway's URL. A gateway that responds with 405 has no check.
    async fn check(&self) -> Result<Health, SendError> {
        self.endpoint.probe(self.probe()).await
    }
}
