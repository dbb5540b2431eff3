//! [KPN](https://developer.kpn.com) as a provider: its SMS API, version 1.0.6.
//!
//! A request carries one message, since KPN returns one id per request. KPN has no idempotency key and no look-up: a
//! message whose response is lost stays in doubt.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_kpn as kpn; }
//! use postduif::{kpn::Kpn, Message, SmsProvider as _, Text};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let kpn = Kpn::from_url("kpn://client-id:client-secret@default?sender=Contoso")?;
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = kpn.send(&message).await?;
//! println!("accepted as {:?}", receipt.id());
//! # Ok(())
//! # }
//! ```
//!
//! | URL option | meaning |
//! |---|---|
//! | `id`, `secret` | the client id and secret of the KPN project, if they are not before the `@` |
//! | `sender` | a name of at most 11 characters, or a short code; KPN's own default is `KPN` |
//! | `token_style` | `form` (default) or `basic`: how the token request carries the credentials |
//! | `report_url` | the https URL for delivery reports, whose query parameter `reference` has the value `{reference}`; without it, reports do not match their messages |
//! | `sub_account` | only for customers with sub-accounts |
//! | `vendor_messages` | `true`: errors keep KPN's own words, cleaned; defaults to `false` |

mod inbound;
mod reports;

use std::{num::NonZeroUsize, slice, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, ConfigError, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError,
    Sender, SenderKind, SmsProvider, TextLimit, async_trait, batch, departure::attempt,
};
use postduif_http::{
    Proof, Refusal, Request, Response,
    auth::{ClientCredentials, Token, TokenCache, TokenStyle, TokenVerdict},
    check_header_setting, codes, provider_builder,
    vendor::{Code, ConnectionUrl, Endpoint, EndpointBuilder, ReportUrl, is_given},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use inbound::{KpnInbound, inbound_parser};
pub use reports::{KpnReports, report_parser};

/// KPN's capabilities. A validity period below 21 seconds is refused for foreign numbers. KPN states no maximum;
/// networks keep a text for three days.
///
/// It has no configured sender. A test takes [`SmsProvider::profile`] of a built provider, which has all that the
/// options configure.
pub const PROFILE: Profile = Profile::new("kpn")
    .with_senders(&[SenderKind::Alphanumeric, SenderKind::ShortCode])
    .with_validity(Duration::from_secs(21), Duration::from_secs(259_200))
    .with_longest_text(TextLimit::Characters(1000));

const HOST: &str = "https://api-prd.kpn.com";
const TOKEN_PATH: &str = "/oauth/client_credential/accesstoken";
const SEND_PATH: &str = "/communication/kpn/sms/send";
/// A token is renewed once it is valid for less than this.
const MINIMUM_TOKEN_LIFE: Duration = Duration::from_secs(120);
/// The maximum number of concurrent requests of a batch: KPN does not publish its spike limit.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// KPN as a provider.
#[derive(Debug)]
pub struct Kpn {
    endpoint: Endpoint,
    tokens: TokenCache<ClientCredentials>,
    report_url: Option<ReportUrl>,
    sub_account: Option<String>,
}

impl Kpn {
    /// Creates a builder from the client id and secret of a KPN project.
    pub fn builder(id: impl Into<SecretString>, secret: impl Into<SecretString>) -> KpnBuilder {
        KpnBuilder {
            id: id.into(),
            secret: secret.into(),
            endpoint: EndpointBuilder::new(),
            token_style: TokenStyle::default(),
            report_url: None,
            sub_account: None,
        }
    }
}

/// Builder for [`Kpn`]. All options are checked in [`build`](Self::build).
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_kpn as kpn; }
/// use postduif::{kpn::Kpn, SmsProvider as _};
///
/// let kpn = Kpn::builder("client-id", "client-secret")
///     .with_sender("Contoso".parse()?)
///     .with_report_url("https://sms.example.com/reports/kpn/5f0c1e9a7b3d4862?reference={reference}")
///     .build()?;
/// assert_eq!(kpn.profile().name(), "kpn");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct KpnBuilder {
    id: SecretString,
    secret: SecretString,
    endpoint: EndpointBuilder,
    token_style: TokenStyle,
    // May hold a secret.
    report_url: Option<SecretString>,
    sub_account: Option<String>,
}

provider_builder! {
    Kpn, KpnBuilder,
    url: "`kpn://ID:SECRET@host?options`",
    base: "KPN's own",
    sender: "Defaults to KPN's default",
}

impl KpnBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = [
            "sender",
            "token_style",
            "report_url",
            "sub_account",
            "vendor_messages",
        ];
        let url = ConnectionUrl::parse("kpn", url, &["id", "secret"], &options)?;
        Ok(Self {
            endpoint: EndpointBuilder::from_url(&url)?,
            token_style: match url.option("token_style") {
                None | Some("form") => TokenStyle::Form,
                Some("basic") => TokenStyle::Basic,
                Some(_) => {
                    return Err(ConfigError::new(
                        "invalid option token_style: expected form or basic",
                    ));
                }
            },
            report_url: url.option("report_url").map(SecretString::from),
            sub_account: url.option("sub_account").map(str::to_owned),
            ..Kpn::builder(url.credential("id")?, url.credential("secret")?)
        })
    }

    /// Sets how the token request carries the credentials. Defaults to [`TokenStyle::Form`].
    pub const fn with_token_style(mut self, style: TokenStyle) -> Self {
        self.token_style = style;
        self
    }

    /// Sets the URL for delivery reports: https, or plain http on loopback. Defaults to no reports.
    ///
    /// `{reference}`, as the value of a query parameter named `reference`, becomes the message's reference: KPN has no
    /// other field for it.
    pub fn with_report_url(mut self, url: impl Into<String>) -> Self {
        self.report_url = Some(url.into().into());
        self
    }

    /// Sets the sub-account for sending. Defaults to `None`.
    pub fn with_sub_account(mut self, account: impl Into<String>) -> Self {
        self.sub_account = Some(account.into());
        self
    }

    /// Builds the provider. Nothing is sent; [`check`](SmsProvider::check) verifies the credentials.
    ///
    /// # Errors
    ///
    /// Returns an error if KPN does not accept the kind of sender, no header can hold the sub-account, or the HTTP
    /// client cannot be built. The same holds if the report URL is invalid or has a duplicate query parameter
    /// `reference`.
    pub fn build(self) -> Result<Kpn, ConfigError> {
        if let Some(account) = &self.sub_account {
            check_header_setting("option sub_account", account)?;
        }
        let report_url = self.report_url.as_ref();
        let report_url = report_url
            .map(|url| ReportUrl::parse_with_reference(url.expose_secret()))
            .transpose()?;
        let has_reports = report_url.as_ref().is_some_and(ReportUrl::has_reference);
        let sub_account = self.sub_account.clone().map(SecretString::from);
        let endpoint = self
            .endpoint
            .with_secrets([
                Some(&self.id),
                Some(&self.secret),
                self.report_url.as_ref(),
                sub_account.as_ref(),
            ])
            .build(PROFILE.with_reports(has_reports), HOST)?;
        let credentials = ClientCredentials::new(
            endpoint.client().clone(),
            endpoint.base().clone(),
            TOKEN_PATH,
            self.id,
            self.secret,
        )
        .with_style(self.token_style)
        .with_query("grant_type", "client_credentials")
        .with_refusal(token_refusal);
        Ok(Kpn {
            endpoint,
            tokens: TokenCache::new(credentials, MINIMUM_TOKEN_LIFE),
            report_url,
            sub_account: self.sub_account,
        })
    }
}

#[derive(Serialize)]
struct SendBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
    /// A string of digits by KPN's specification, not a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    expirein: Option<String>,
    messages: [MessageBody<'a>; 1],
}

#[derive(Serialize)]
struct MessageBody<'a> {
    mobile_number: String,
    content: &'a str,
}

/// The members of a response that identify KPN. Each may be missing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseBody {
    document_id: Value,
    #[serde(rename = "errorResponse")]
    error_response: Value,
    fault: Value,
    error: Value,
    #[serde(rename = "transactionId")]
    transaction_id: Value,
    status: Value,
    message: Value,
}

impl ResponseBody {
    /// Returns KPN's own words, in each of its error shapes.
    fn words(&self) -> impl Iterator<Item = &str> {
        let members = [
            &self.error_response["message"],
            &self.fault["faultstring"],
            &self.error["message"],
            &self.message,
        ];
        members.into_iter().filter_map(Value::as_str)
    }

    /// Returns the gateway's code.
    fn fault(&self) -> Option<&str> {
        self.fault["detail"]["errorcode"].as_str()
    }

    /// Returns whether it is one of the error shapes of KPN's products. Other servers have a `transactionId` too, but
    /// KPN repeats the HTTP status beside it.
    fn is_refusal(&self, status: u16) -> bool {
        let status = status.to_string();
        let repeats = |value: &Value| match value {
            Value::String(text) => *text == status,
            Value::Number(number) => number.to_string() == status,
            _ => false,
        };
        let code = &self.error_response["code"];
        code.is_string()
            || code.is_number()
            || self.transaction_id.is_string() && repeats(&self.status)
            || self.error["transactionId"].is_string() && repeats(&self.error["status"])
    }
}

/// The gateway's fault codes that prove at any status that nothing was done. Apigee's default for quota and spike
/// limits is a plain 500 ("Comparing Quota and SpikeArrest policies"), and a sibling product responded with 500 to an
/// expired token.
///
/// Apigee documents that it returns each of them before it calls the target ("OAuth HTTP status code reference",
/// "Verify AccessToken", "404 Unable to identify proxy for host"). Any other code proves nothing: it may come from
/// behind KPN, or from another gateway.
static FAULTS: &[Code] = codes! {
    "keymanagement.service.access_token_not_approved" => Unauthorized, Always, TOKEN_REFUSED;
    "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound" => Unauthorized, Always, NO_PRODUCT;
    "keymanagement.service.apiresource_doesnot_exist" => Unauthorized, Always, NO_PRODUCT;
    "messaging.adaptors.http.flow.ApplicationNotFound" => Misconfigured, Always, NO_ADDRESS;
    QUOTA_VIOLATION => Throttled, Always, "the project's quota is used up";
    "policies.ratelimit.SpikeArrestViolation" => Throttled, Always, "too many requests at once";
};

/// The fault codes for which a new token helps.
static TOKEN_FAULTS: &[Code] = codes! {
    "keymanagement.service.access_token_expired" => Unauthorized, Always, TOKEN_REFUSED;
    "keymanagement.service.invalid_access_token" => Unauthorized, Always, TOKEN_REFUSED;
    "oauth.v2.AccessTokenExpired" => Unauthorized, Always, TOKEN_REFUSED;
    "oauth.v2.InvalidAccessToken" => Unauthorized, Always, TOKEN_REFUSED;
};

const TOKEN_REFUSED: &str = "the token was refused";
const CLIENT_REFUSED: &str = "the client id or secret was refused";
const NO_PRODUCT: &str = "the SMS product is not part of the project, or not allowed";
const NO_ADDRESS: &str = "there is no SMS product at the configured address";
const QUOTA_VIOLATION: &str = "policies.ratelimit.QuotaViolation";

/// KPN's refusals by status, since it names no machine-readable cause.
static STATUSES: &[Code] = codes! {
    "400" => Other, Below500, "KPN refused the number, the sender or the text";
    "401" => Unauthorized, Below500, "the credentials were refused";
    "403" => Unauthorized, Below500, NO_PRODUCT;
    "404" => Misconfigured, Below500, NO_ADDRESS;
    "405" => Misconfigured, Below500, "the SMS product does not accept this request";
    "429" => Throttled, Below500, "too many requests";
};

/// Returns the refusal in a response to a request for these messages. `None` if KPN did not write it.
fn refusal(response: &Response, body: &ResponseBody, messages: &[Message]) -> Option<Refusal> {
    let redactor = response.redactor(messages);
    let listed = body
        .fault()
        .and_then(|fault| Code::find(FAULTS, fault).or_else(|| Code::find(TOKEN_FAULTS, fault)));
    let Some(fault) = listed else {
        if !body.is_refusal(response.status()) {
            return None;
        }
        // Every product repeats the status as its code.
        let code = response.status().to_string();
        let (kind, message) = Code::find(STATUSES, &code)
            .map_or((ErrorKind::Other, "KPN refused the request"), |status| {
                (status.kind, status.message)
            });
        let refusal = Refusal::new(kind, message).with_unlisted_code(&code, messages);
        return Some(refusal.with_vendor_message(body.words(), &redactor));
    };
    // Every response has the reset of the quota: it is a delay only for a used up quota, and only without a
    // `Retry-After`.
    let now = std::time::SystemTime::now().into();
    let refusal = fault.refusal().with_vendor_message(body.words(), &redactor);
    Some(match quota_reset(response, now) {
        Some(wait) if fault.code == QUOTA_VIOLATION && response.retry_after(now).is_none() => {
            refusal.with_retry_after(wait)
        }
        _ => refusal,
    })
}

/// Returns the refusal of the token endpoint, whose shape has status 401 or, on a sibling product, 500.
fn token_refusal(response: &Response) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "ErrorCode")]
        code: String,
        #[serde(default, rename = "Error")]
        words: Value,
    }
    const INVALID_CLIENT: &str = "invalid_client";
    let redactor = response.redactor([]);
    let body = response.body().unwrap_or_default();
    let (is_named, words) = match response.json::<Body>() {
        Ok(Body { code, words }) if code != INVALID_CLIENT => {
            let refused = Refusal::new(ErrorKind::Unauthorized, TOKEN_REFUSED);
            return Some(refused.with_vendor_message(words.as_str(), &redactor));
        }
        Ok(Body { words, .. }) => (true, words),
        Err(_) => {
            let mut windows = body.windows(INVALID_CLIENT.len());
            let is_named = windows.any(|window| window == INVALID_CLIENT.as_bytes());
            (is_named, Value::Null)
        }
    };
    if is_named {
        let refused = Refusal::new(ErrorKind::Unauthorized, CLIENT_REFUSED)
            .with_vendor_message(words.as_str(), &redactor);
        return Some(refused.with_code(INVALID_CLIENT).with_proof(Proof::Always));
    }
    refusal(response, &response.json().ok()?, &[])
}

/// Returns the time until `quota-reset-UTC`, whose format KPN does not document: seconds or milliseconds since 1970, or
/// a date.
fn quota_reset(response: &Response, now: DateTime<Utc>) -> Option<Duration> {
    let value = response.header("quota-reset-utc")?.trim();
    let at = match value.parse::<i64>() {
        Ok(number) if number > 100_000_000_000 => DateTime::from_timestamp_millis(number)?,
        Ok(number) => DateTime::from_timestamp(number, 0)?,
        Err(_) => DateTime::parse_from_rfc3339(value)
            .or_else(|_| DateTime::parse_from_rfc2822(value))
            .ok()?
            .to_utc(),
    };
    (at - now).to_std().ok()
}

impl Kpn {
    fn request(&self, message: &Message, token: &Token) -> Request {
        let request = self
            .endpoint
            .post(SEND_PATH)
            .with_bearer(token)
            .with_json(&SendBody {
                sender: self.endpoint.sender(message).map(Sender::to_string),
                webhook_url: self.report_url.as_ref().map(|url| url.for_message(message)),
                expirein: message
                    .validity()
                    .map(|validity| validity.as_secs().to_string()),
                messages: [MessageBody {
                    mobile_number: message.to().to_string(),
                    content: message.text().as_str(),
                }],
            });
        match &self.sub_account {
            Some(account) => request.with_header("subaccount", account),
            None => request,
        }
    }

    /// Makes one request, and returns what its outcome means for the token.
    async fn exchange(
        &self,
        message: &Message,
        token: Arc<Token>,
    ) -> (Result<Receipt, SendError>, TokenVerdict) {
        let mut verdict = TokenVerdict::Good;
        let outcome = attempt(async {
            let request = self.request(message, &token);
            let response = self.endpoint.client().send(request).await?;
            let outcome;
            (outcome, verdict) = self.outcome(&response, message);
            outcome
        })
        .await;
        (outcome, verdict)
    }

    fn outcome(
        &self,
        response: &Response,
        message: &Message,
    ) -> (Result<Receipt, SendError>, TokenVerdict) {
        let body: Result<ResponseBody, _> = response.json();
        if response.is_success() {
            return (
                body.and_then(|body| self.accepted(response, &body, message)),
                TokenVerdict::Good,
            );
        }
        let body = body.unwrap_or_default();
        if is_given(&body.document_id) {
            return (Err(Response::contradiction()), TokenVerdict::Good);
        }
        let error = response.refused(refusal(response, &body, slice::from_ref(message)));
        let needs_token = error
            .code()
            .is_some_and(|code| Code::find(TOKEN_FAULTS, code).is_some());
        // A listed fault or a bearer challenge proves that the gateway refused the request before the SMS service, so
        // a second request is safe. A 401 in KPN's shape alone does not prove it, but ends the token too.
        let verdict = if error.acceptance() != Acceptance::NotAccepted {
            TokenVerdict::Good
        } else if needs_token || response.refuses_token(None) {
            TokenVerdict::Refused
        } else if response.status() == 401 {
            TokenVerdict::Suspect
        } else {
            TokenVerdict::Good
        };
        (Err(error), verdict)
    }

    fn accepted(
        &self,
        response: &Response,
        body: &ResponseBody,
        message: &Message,
    ) -> Result<Receipt, SendError> {
        if body.fault().is_some() || body.is_refusal(response.status()) {
            return Err(Response::contradiction());
        }
        let id = body.document_id.as_str().unwrap_or_default();
        self.endpoint.receipt(message, id)
    }
}

#[async_trait]
impl SmsProvider for Kpn {
    fn profile(&self) -> &Profile {
        self.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let message = &self.endpoint.fit(message);
        let exchange = self
            .tokens
            .with_token(|token| self.exchange(message, token));
        self.endpoint.send_one(message, exchange).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    /// Fetches a new token, which proves the credentials. It does not prove that the SMS product is part of the
    /// project: KPN issues a token without it.
    async fn check(&self) -> Result<Health, SendError> {
        let fetched = async { self.tokens.renew().await.map(|_| Health::verified()) };
        self.endpoint.probe(fetched).await
    }
}
