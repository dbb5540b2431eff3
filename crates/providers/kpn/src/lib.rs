//! [KPN](https://developer.kpn.com) as a provider: its SMS API, version 1.0.6.
//!
//! One message a call: KPN gives one id per call, so a call for several could not be told apart. It knows
//! no idempotency and no look-up: a message whose answer is lost stays in doubt.
//!
//! ```
//! use postduif_core::{Message, SmsProvider as _, Text};
//! use postduif_kpn::Kpn;
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
//! | option of the URL | meaning |
//! |---|---|
//! | `sender` | a name of at most 11 characters, or a short code; KPN's own default is `KPN` |
//! | `token_style` | `form` (default) or `basic`: how the credentials travel to the token endpoint |
//! | `webhook_url` | where KPN posts delivery reports; `{reference}` as the value of its query parameter `reference` is how a report finds its message |
//! | `sub_account` | only for customers with sub-accounts |

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ErrorKind, Health, Message,
    Outcomes, PhoneNumber, Profile, Receipt, Reference, ReportError, ReportParser, ReportRequest,
    SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait, singly,
};
use postduif_http::{
    Answer, BaseUrl, Client, ClientCredentials, Refusal, Request, Token, TokenCache, TokenStyle,
    VendorUrl, check_window, one_api, query_parameter,
    signature::{is_hmac_sha256, unhex},
    signing_secrets,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize, de::IgnoredAny};

/// What KPN can do. A validity period below 21 seconds is refused for numbers abroad, and KPN names no
/// longest one; three days is what networks keep a text for.
pub const PROFILE: Profile = Profile::new("kpn")
    .with_senders(&[SenderKind::Alphanumeric, SenderKind::ShortCode])
    .with_validity(Duration::from_secs(21), Duration::from_secs(259_200))
    .with_longest_text(TextLimit::Characters(1000));

const HOST: &str = "https://api-prd.kpn.com";
const TOKEN_PATH: &str = "/oauth/client_credential/accesstoken";
const SEND_PATH: &str = "/communication/kpn/sms/send";
/// A token is renewed when less is left of its hour.
const MINIMUM_TOKEN_LIFE: Duration = Duration::from_secs(120);
/// Calls of one batch under way at a time: KPN's spike limit is not published.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// KPN as a provider.
#[derive(Debug)]
pub struct Kpn {
    profile: Profile,
    client: Client,
    base: BaseUrl,
    tokens: TokenCache<ClientCredentials>,
    sender: Option<Sender>,
    webhook_url: Option<WebhookUrl>,
    sub_account: Option<String>,
}

impl Kpn {
    /// Settings for the client id and secret of a KPN project.
    pub fn builder(id: impl Into<SecretString>, secret: impl Into<SecretString>) -> KpnBuilder {
        KpnBuilder {
            id: id.into(),
            secret: secret.into(),
            base: None,
            client: None,
            token_style: TokenStyle::default(),
            sender: None,
            webhook_url: None,
            sub_account: None,
        }
    }

    /// A provider from a URL, with an HTTP client of its own.
    ///
    /// # Errors
    ///
    /// Where the URL is not `kpn://ID:SECRET@host?options`; the error never shows it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        KpnBuilder::from_url(url)?.build()
    }

    /// A provider from a URL, over a client that you configured.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_url_with(url: &str, client: &Client) -> Result<Self, ConfigError> {
        KpnBuilder::from_url(url)?
            .with_client(client.clone())
            .build()
    }
}

/// Settings for [`Kpn`]. Everything is checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct KpnBuilder {
    id: SecretString,
    secret: SecretString,
    base: Option<BaseUrl>,
    client: Option<Client>,
    token_style: TokenStyle,
    sender: Option<Sender>,
    webhook_url: Option<String>,
    sub_account: Option<String>,
}

impl KpnBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = ["sender", "token_style", "webhook_url", "sub_account"];
        let url = VendorUrl::parse("kpn", url, &["id", "secret"], &options)?;
        Ok(Self {
            base: Some(url.base(HOST)?),
            token_style: match url.option("token_style") {
                None | Some("form") => TokenStyle::Form,
                Some("basic") => TokenStyle::Basic,
                Some(_) => return Err(ConfigError::new("option token_style: form or basic")),
            },
            sender: url.parsed_option("sender")?,
            webhook_url: url.option("webhook_url").map(str::to_owned),
            sub_account: url.option("sub_account").map(str::to_owned),
            ..Kpn::builder(url.credential("id")?, url.credential("secret")?)
        })
    }

    /// Another host than KPN's own.
    pub fn with_base(mut self, base: BaseUrl) -> Self {
        self.base = Some(base);
        self
    }

    /// An HTTP client that you configured.
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// How the credentials travel to the token endpoint.
    pub const fn with_token_style(mut self, style: TokenStyle) -> Self {
        self.token_style = style;
        self
    }

    /// The sender of messages that name none.
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// Where KPN posts delivery reports. `{reference}`, as the value of a query parameter named
    /// `reference`, becomes the message's reference: KPN has no other field for it.
    pub fn with_webhook_url(mut self, url: impl Into<String>) -> Self {
        self.webhook_url = Some(url.into());
        self
    }

    /// The sub-account to send for.
    pub fn with_sub_account(mut self, account: impl Into<String>) -> Self {
        self.sub_account = Some(account.into());
        self
    }

    /// Builds the provider. Nothing is sent yet; [`check`](SmsProvider::check) tries the credentials.
    ///
    /// # Errors
    ///
    /// Where the sender is of a kind that KPN does not take, the webhook URL is none, or the HTTP client
    /// cannot be built.
    pub fn build(self) -> Result<Kpn, ConfigError> {
        if self
            .sender
            .as_ref()
            .is_some_and(|sender| !PROFILE.senders().contains(&sender.kind()))
        {
            return Err(ConfigError::new(
                "option sender: KPN takes a name or a short code",
            ));
        }
        let webhook_url = self.webhook_url.map(WebhookUrl::new).transpose()?;
        let client = self.client.map_or_else(Client::new, Ok)?;
        let base = self.base.map_or_else(|| BaseUrl::parse(HOST), Ok)?;
        let credentials = ClientCredentials::new(
            client.clone(),
            base.clone(),
            TOKEN_PATH,
            self.id,
            self.secret,
        )
        .with_style(self.token_style)
        .with_query("grant_type", "client_credentials")
        .with_refusal(token_refusal);
        Ok(Kpn {
            profile: PROFILE.with_reports(
                webhook_url
                    .as_ref()
                    .is_some_and(WebhookUrl::names_the_message),
            ),
            client,
            base,
            tokens: TokenCache::new(credentials, MINIMUM_TOKEN_LIFE),
            sender: self.sender,
            webhook_url,
            sub_account: self.sub_account,
        })
    }
}

/// A webhook URL in which the reference has its place.
#[derive(Debug)]
struct WebhookUrl(String);

impl WebhookUrl {
    const PLACE: &str = "{reference}";

    fn new(url: String) -> Result<Self, ConfigError> {
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let https = path
            .strip_prefix("https://")
            .or_else(|| path.strip_prefix("http://"));
        let host = https.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        let elsewhere = query
            .split('&')
            .filter(|pair| *pair != "reference={reference}")
            .any(|pair| pair.contains('{'));
        if !host || url.contains(char::is_whitespace) || path.contains('{') || elsewhere {
            return Err(ConfigError::new(
                "option webhook_url: a URL such as https://hooks.example.com/kpn?reference={reference}",
            ));
        }
        Ok(Self(url))
    }

    fn names_the_message(&self) -> bool {
        self.0.contains(Self::PLACE)
    }

    fn of(&self, message: &Message) -> String {
        self.0.replace(Self::PLACE, message.reference().as_str())
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

#[derive(Deserialize)]
struct Accepted {
    document_id: String,
}

/// KPN's error shapes but the token endpoint's. Anything else is somebody else speaking.
#[derive(Deserialize)]
#[serde(untagged)]
enum Spoken {
    Product {
        #[serde(rename = "errorResponse")]
        _response: ErrorResponse,
    },
    Gateway {
        fault: Fault,
    },
    Other {
        #[serde(rename = "transactionId")]
        _transaction_id: String,
    },
    OtherWrapped {
        #[serde(rename = "error")]
        _error: Transaction,
    },
}

#[derive(Deserialize)]
struct ErrorResponse {
    #[serde(rename = "code")]
    _code: IgnoredAny,
}

#[derive(Deserialize)]
struct Transaction {
    #[serde(rename = "transactionId")]
    _transaction_id: String,
}

#[derive(Deserialize)]
struct Fault {
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    errorcode: String,
}

/// The gateway's fault codes that say that nothing was done, whatever the status: Apigee's default for
/// quota and spike limits is a plain 500 ("Comparing Quota and SpikeArrest policies"), and a sibling
/// product answered 500 to a token that had run out.
static FAULTS: &[(&str, ErrorKind, &str)] = &[
    (
        "keymanagement.service.access_token_expired",
        ErrorKind::Unauthorized,
        TOKEN_REFUSED,
    ),
    (
        "keymanagement.service.invalid_access_token",
        ErrorKind::Unauthorized,
        TOKEN_REFUSED,
    ),
    (
        "oauth.v2.AccessTokenExpired",
        ErrorKind::Unauthorized,
        TOKEN_REFUSED,
    ),
    (
        "oauth.v2.InvalidAccessToken",
        ErrorKind::Unauthorized,
        TOKEN_REFUSED,
    ),
    (
        "policies.ratelimit.QuotaViolation",
        ErrorKind::Throttled,
        "the project's quota is used up",
    ),
    (
        "policies.ratelimit.SpikeArrestViolation",
        ErrorKind::Throttled,
        "too many calls at once",
    ),
];

const TOKEN_REFUSED: &str = "the token was refused";

/// KPN's refusals by status, where it names no cause that a program could read.
static STATUSES: &[(u16, ErrorKind, &str)] = &[
    (
        400,
        ErrorKind::Other,
        "KPN refused the number, the sender or the text, and does not say which",
    ),
    (401, ErrorKind::Unauthorized, "the credentials were refused"),
    (
        403,
        ErrorKind::Unauthorized,
        "the SMS product is not on the project, or not allowed",
    ),
    (
        404,
        ErrorKind::Misconfigured,
        "there is no SMS product at the configured address",
    ),
    (
        405,
        ErrorKind::Misconfigured,
        "the SMS product does not take this call",
    ),
    (429, ErrorKind::Throttled, "too many calls"),
];

/// What KPN said in an answer of the send call. None where it is not KPN speaking.
fn refusal(answer: &Answer) -> Option<Refusal> {
    let by_status = || {
        let known = STATUSES
            .iter()
            .find(|(status, ..)| *status == answer.status());
        let (kind, words) = known
            .map_or((ErrorKind::Other, "KPN refused it"), |(_, kind, words)| {
                (*kind, *words)
            });
        // Every product repeats the status as its code.
        Refusal::new(kind, words).with_code(answer.status().to_string())
    };
    let refusal = match answer.json().ok() {
        Some(Spoken::Gateway { fault }) => match FAULTS
            .iter()
            .find(|(code, ..)| *code == fault.detail.errorcode)
        {
            Some((code, kind, words)) => {
                Refusal::new(*kind, *words).with_code(*code).at_any_status()
            }
            None => by_status(),
        },
        Some(Spoken::Product { .. } | Spoken::Other { .. } | Spoken::OtherWrapped { .. }) => {
            by_status()
        }
        None if answer.status() == 429 => by_status(),
        None => return None,
    };
    Some(
        match quota_reset(answer, std::time::SystemTime::now().into()) {
            Some(wait) => refusal.with_retry_after(wait),
            None => refusal,
        },
    )
}

/// The token endpoint's own shape, at 401 or, on a sibling product, at 500.
fn token_refusal(answer: &Answer) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "ErrorCode")]
        code: String,
    }
    match answer.json::<Body>() {
        Ok(Body { code }) if code == "invalid_client" => {
            let refused = Refusal::new(
                ErrorKind::Unauthorized,
                "the client id or secret was refused",
            );
            Some(refused.with_code("invalid_client").at_any_status())
        }
        Ok(_) => Some(Refusal::new(
            ErrorKind::Unauthorized,
            "the token was refused",
        )),
        Err(_)
            if answer
                .body()
                .is_ok_and(|body| body.windows(14).any(|window| window == b"invalid_client")) =>
        {
            let refused = Refusal::new(
                ErrorKind::Unauthorized,
                "the client id or secret was refused",
            );
            Some(refused.with_code("invalid_client").at_any_status())
        }
        Err(_) => refusal(answer),
    }
}

/// `quota-reset-UTC`, whose form KPN does not document: seconds or milliseconds since 1970, or a date.
fn quota_reset(answer: &Answer, now: DateTime<Utc>) -> Option<Duration> {
    let value = answer.header("quota-reset-utc")?.trim();
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
        let request = Request::post(&self.base, SEND_PATH)
            .with_bearer(token)
            .with_header("accept", "application/json")
            .with_json(&SendBody {
                sender: message
                    .sender()
                    .or(self.sender.as_ref())
                    .map(Sender::to_string),
                webhook_url: self.webhook_url.as_ref().map(|url| url.of(message)),
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

    async fn attempt(&self, message: &Message) -> Result<Receipt, SendError> {
        let token = self.tokens.token().await?;
        let mut answer = self.client.send(self.request(message, &token)).await?;
        // The gateway refused the call before it reached the SMS service: proven, so once more is safe.
        if refused(&answer).is_some_and(|error| is_token_refusal(&answer, &error)) {
            self.tokens.forget(&token);
            let token = self.tokens.token().await?;
            answer = self.client.send(self.request(message, &token)).await?;
        }
        if let Some(error) = refused(&answer) {
            return Err(error);
        }
        match answer.json::<Accepted>() {
            Ok(Accepted { document_id }) if (1..=128).contains(&document_id.len()) => Ok(
                Receipt::new(self.profile.owned_name(), *message.reference()).with_id(document_id),
            ),
            Ok(_) => Err(SendError::unknown(
                ErrorKind::Protocol,
                "a success without its document_id",
            )),
            Err(error) => Err(error),
        }
    }
}

/// How an answer that is no success is to be read; none where it is one.
fn refused(answer: &Answer) -> Option<SendError> {
    (!answer.is_success()).then(|| answer.refused(refusal(answer)))
}

/// Whether it is the token that was refused, and provenly: at 401, or by one of the gateway's token faults.
fn is_token_refusal(answer: &Answer, error: &SendError) -> bool {
    error.acceptance() == postduif_core::Acceptance::NotAccepted
        && error.kind() == ErrorKind::Unauthorized
        && answer.status() != 403
}

#[async_trait]
impl SmsProvider for Kpn {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.profile.admit(message)?;
        self.attempt(message)
            .await
            .map_err(|error| error.with_provider(self.profile.owned_name()))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        singly(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    /// Fetches a new token. It proves the credentials, not that the SMS product is on the project: KPN
    /// issues a token without it.
    async fn check(&self) -> Result<Health, SendError> {
        match self.tokens.renew().await {
            Ok(_) => Ok(Health::good()),
            Err(error) => Err(error.with_provider(self.profile.owned_name())),
        }
    }
}

/// KPN's delivery reports: signed over the body alone, so the route that takes them needs a secret of its
/// own beside.
///
/// A report finds its message by the `reference` in the query of the URL that it was sent to, which no
/// signature covers. KPN makes a signing key by itself at the first report; make and activate one before the
/// first send, or reveal KPN's.
pub struct KpnReports {
    secrets: Vec<SecretString>,
}

impl KpnReports {
    /// Believes what any of these signing secrets signed: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Where there is none, or one is empty.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        Ok(Self {
            secrets: signing_secrets(
                secrets,
                "KPN signs its reports: give the webhook key's secret",
            )?,
        })
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        let signature = request
            .header("x-kpn-webhook-signature")?
            .ok_or(ReportError::unsigned("the report has no signature"))?;
        let timestamp = request
            .header("x-kpn-webhook-timestamp")?
            .ok_or(ReportError::unsigned("the report has no timestamp"))?;
        let tag = unhex(signature.strip_prefix("sha256=").unwrap_or(signature))
            .ok_or(ReportError::malformed("the signature is not hexadecimal"))?;
        if !is_hmac_sha256(&self.secrets, request.body(), &tag) {
            return Err(ReportError::forged(
                "the report is not signed with our secret",
            ));
        }
        let at: i64 = timestamp
            .parse()
            .map_err(|_| ReportError::malformed("the timestamp is no number"))?;
        check_window(at, now, REPORT_WINDOW)
    }
}

/// A parser of KPN's reports, chosen at run time. KPN has one API, so none is named.
///
/// # Errors
///
/// As [`KpnReports::new`]; and where an API is named.
pub fn report_parser(
    api: Option<&str>,
    secrets: Vec<SecretString>,
) -> Result<Arc<dyn ReportParser>, ConfigError> {
    one_api(api)?;
    Ok(Arc::new(KpnReports::new(secrets)?))
}

/// KPN tries four times within seven minutes, and does not say whether each try has a time of its own.
const REPORT_WINDOW: Duration = Duration::from_secs(600);
/// The most reports that are read from one request.
const REPORT_LIMIT: usize = 1000;

impl std::fmt::Debug for KpnReports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KpnReports").finish_non_exhaustive()
    }
}

impl ReportParser for KpnReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::BodyOnly
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request, now)?;
        let reference = query_parameter(request.url(), "reference")?
            .map(|reference| reference.parse::<Reference>())
            .transpose()
            .map_err(|_| ReportError::malformed("the reference in the URL is none of ours"))?;
        let body: serde_json::Value = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not JSON"))?;
        let entries = match body {
            serde_json::Value::Array(entries) => entries,
            entry => vec![entry],
        };
        if entries.len() > REPORT_LIMIT {
            return Err(ReportError::malformed("too many reports in one request"));
        }
        entries
            .iter()
            .map(|entry| {
                let fields = entry
                    .as_object()
                    .ok_or(ReportError::malformed("a report is no object"))?;
                Ok(report(&Fields(fields), reference))
            })
            .collect()
    }
}

fn report(fields: &Fields<'_>, reference: Option<Reference>) -> DeliveryReport {
    let status = fields.text(&[
        "status",
        "statuscode",
        "deliverystatus",
        "deliverystatuscode",
    ]);
    let status = status.and_then(|status| REPORT_STATUSES.iter().find(|(code, _)| *code == status));
    let mut report = DeliveryReport::new(
        "kpn",
        status.map_or(DeliveryStatus::Unknown, |(_, status)| *status),
    );
    report.reference = reference;
    report.id = fields.text(&["messageid", "documentid", "dlrid"]);
    report.recipient = fields
        .text(&["recipientphonenumber"])
        .and_then(|number| PhoneNumber::from_msisdn(&number).ok());
    report.code = fields
        .text(&["errorcode", "error", "reason", "statuserrorcode"])
        .filter(|code| code.len() <= 3 && code.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|code| format!("{code:0>3}"));
    report.at = fields.text(&["statusdatetime"]).and_then(|time| {
        let number: i64 = time.parse().ok()?;
        // Seconds or milliseconds, KPN does not say: nothing happened before 1973 in milliseconds.
        match number > 100_000_000_000 {
            true => DateTime::from_timestamp_millis(number),
            false => DateTime::from_timestamp(number, 0),
        }
    });
    report
}

/// KPN's numbers for how far a text has come.
static REPORT_STATUSES: &[(&str, DeliveryStatus)] = &[
    ("1", DeliveryStatus::Delivered),
    ("2", DeliveryStatus::Buffered),
    ("3", DeliveryStatus::Sent),
    ("4", DeliveryStatus::Failed),
    ("5", DeliveryStatus::Rejected),
    ("6", DeliveryStatus::Expired),
];

/// A report's members. KPN publishes no schema, so names are looked up without case, hyphens and underscores.
struct Fields<'a>(&'a serde_json::Map<String, serde_json::Value>);

impl Fields<'_> {
    /// The first of these that is there, as text.
    fn text(&self, names: &[&str]) -> Option<String> {
        let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        names.iter().find_map(|name| {
            let (_, value) = self.0.iter().find(|(known, _)| plain(known) == **name)?;
            match value {
                serde_json::Value::String(text) if !text.is_empty() => Some(text.trim().to_owned()),
                serde_json::Value::Number(number) => Some(number.to_string()),
                _ => None,
            }
        })
    }
}
