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
//! | `webhook_url` | the https URL where KPN posts delivery reports; `{reference}` as the value of its query parameter `reference` is how a report finds its message |
//! | `sub_account` | only for customers with sub-accounts |

use std::{num::NonZeroUsize, slice, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ErrorKind, Health,
    Message, Outcomes, PhoneNumber, Profile, Receipt, ReportError, ReportParser, ReportRequest,
    SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait, attempt, singly,
};
use postduif_http::{
    Answer, BaseUrl, Client, ClientCredentials, Refusal, ReportUrl, Request, Token, TokenCache,
    TokenStyle, VendorUrl, check_header_setting, check_window, one_api, query_parameter,
    signature::{is_hmac_sha256, unhex},
    signing_secrets,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    // Its path or query may hold a secret of ours.
    webhook_url: Option<SecretString>,
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
            webhook_url: url.option("webhook_url").map(SecretString::from),
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

    /// Sets where KPN posts delivery reports: an https URL, or plain http on this machine. `{reference}`, as
    /// the value of a query parameter named `reference`, becomes the message's reference: KPN has no other
    /// field for it.
    pub fn with_webhook_url(mut self, url: impl Into<String>) -> Self {
        self.webhook_url = Some(url.into().into());
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
    /// Where the sender is of a kind that KPN does not take, the webhook URL is no https URL or holds the query
    /// parameter `reference` twice, no header can carry the sub-account, or the HTTP client cannot be built.
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
        if let Some(account) = &self.sub_account {
            check_header_setting("option sub_account", account)?;
        }
        let webhook_url = self.webhook_url.as_ref().map(WebhookUrl::new).transpose()?;
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
struct WebhookUrl(ReportUrl);

impl WebhookUrl {
    const PLACE: &str = "{reference}";

    fn new(text: &SecretString) -> Result<Self, ConfigError> {
        let url = ReportUrl::parse("webhook_url", text.expose_secret())?;
        let (path, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
        let elsewhere = query
            .split('&')
            .filter(|pair| *pair != "reference={reference}")
            .any(|pair| pair.contains('{'));
        if query_parameter(url.expose(), "reference").is_err() {
            return Err(ConfigError::new(
                "option webhook_url: write the query parameter reference once",
            ));
        }
        if path.contains('{') || elsewhere {
            return Err(ConfigError::new(
                "option webhook_url: write {reference} as the value of the query parameter reference only, as \
                 in https://hooks.example.com/kpn?reference={reference}",
            ));
        }
        Ok(Self(url))
    }

    fn names_the_message(&self) -> bool {
        self.0.expose().contains(Self::PLACE)
    }

    fn of(&self, message: &Message) -> String {
        let reference = message.reference().as_str();
        self.0.expose().replace(Self::PLACE, reference)
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

/// The members of an answer that tell KPN from somebody else, as far as they are there.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Spoken {
    document_id: Value,
    #[serde(rename = "errorResponse")]
    error_response: Value,
    fault: Value,
    error: Value,
    #[serde(rename = "transactionId")]
    transaction_id: Value,
    status: Value,
}

impl Spoken {
    /// The gateway's code.
    fn fault(&self) -> Option<&str> {
        self.fault["detail"]["errorcode"].as_str()
    }

    /// Whether it gives the id of a message, in whatever form.
    fn has_id(&self) -> bool {
        match &self.document_id {
            Value::Null => false,
            Value::String(id) => !id.trim().is_empty(),
            _ => true,
        }
    }

    /// Whether it is one of the error shapes of KPN's products. A `transactionId` is anybody's, unless the HTTP
    /// status stands beside it, as KPN repeats it.
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

/// The gateway's fault codes that say that nothing was done, whatever the status: Apigee's default for
/// quota and spike limits is a plain 500 ("Comparing Quota and SpikeArrest policies"), and a sibling
/// product answered 500 to a token that had run out. Apigee documents each of them as given before the target is
/// called. Any other code proves nothing: it may come from behind KPN, or from a gateway that is not KPN's.
static FAULTS: &[(&str, ErrorKind, &str)] = {
    use ErrorKind::{Misconfigured, Throttled, Unauthorized};
    &[
        (TOKEN_FAULTS[0], Unauthorized, TOKEN_REFUSED),
        (TOKEN_FAULTS[1], Unauthorized, TOKEN_REFUSED),
        (TOKEN_FAULTS[2], Unauthorized, TOKEN_REFUSED),
        (TOKEN_FAULTS[3], Unauthorized, TOKEN_REFUSED),
        // "OAuth HTTP status code reference", "Verify AccessToken".
        (
            "keymanagement.service.access_token_not_approved",
            Unauthorized,
            TOKEN_REFUSED,
        ),
        (
            "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound",
            Unauthorized,
            NO_PRODUCT,
        ),
        (
            "keymanagement.service.apiresource_doesnot_exist",
            Unauthorized,
            NO_PRODUCT,
        ),
        // "404 Unable to identify proxy for host": no route, so no target.
        (
            "messaging.adaptors.http.flow.ApplicationNotFound",
            Misconfigured,
            NO_ADDRESS,
        ),
        (QUOTA_VIOLATION, Throttled, "the project's quota is used up"),
        (
            "policies.ratelimit.SpikeArrestViolation",
            Throttled,
            "too many calls at once",
        ),
    ]
};

/// The fault codes that a new token cures.
const TOKEN_FAULTS: [&str; 4] = [
    "keymanagement.service.access_token_expired",
    "keymanagement.service.invalid_access_token",
    "oauth.v2.AccessTokenExpired",
    "oauth.v2.InvalidAccessToken",
];

const TOKEN_REFUSED: &str = "the token was refused";
const NO_PRODUCT: &str = "the SMS product is not on the project, or not allowed";
const NO_ADDRESS: &str = "there is no SMS product at the configured address";
const QUOTA_VIOLATION: &str = "policies.ratelimit.QuotaViolation";

/// KPN's refusals by status, where it names no cause that a program could read.
static STATUSES: &[(u16, ErrorKind, &str)] = &[
    (
        400,
        ErrorKind::Other,
        "KPN refused the number, the sender or the text, and does not say which",
    ),
    (401, ErrorKind::Unauthorized, "the credentials were refused"),
    (403, ErrorKind::Unauthorized, NO_PRODUCT),
    (404, ErrorKind::Misconfigured, NO_ADDRESS),
    (
        405,
        ErrorKind::Misconfigured,
        "the SMS product does not take this call",
    ),
    (429, ErrorKind::Throttled, "too many calls"),
];

/// What KPN said in an answer to a call for these messages. `None` where it is not KPN speaking.
fn refusal(answer: &Answer, spoken: &Spoken, messages: &[Message]) -> Option<Refusal> {
    let fault = spoken
        .fault()
        .and_then(|fault| FAULTS.iter().find(|(code, ..)| *code == fault));
    let Some((code, kind, words)) = fault else {
        if !spoken.is_refusal(answer.status()) {
            return None;
        }
        let known = STATUSES
            .iter()
            .find(|(status, ..)| *status == answer.status());
        let (kind, words) = known
            .map_or((ErrorKind::Other, "KPN refused it"), |(_, kind, words)| {
                (*kind, *words)
            });
        // Every product repeats the status as its code.
        let code = answer.status().to_string();
        return Some(Refusal::new(kind, words).with_unlisted_code(&code, messages));
    };
    let refusal = Refusal::new(*kind, *words).with_code(*code).at_any_status();
    // KPN sends the reset of the quota with every answer: it is a wait only for a quota that is used up,
    // and only where no other wait is asked for.
    let now = std::time::SystemTime::now().into();
    Some(match quota_reset(answer, now) {
        Some(wait) if *code == QUOTA_VIOLATION && answer.retry_after(now).is_none() => {
            refusal.with_retry_after(wait)
        }
        _ => refusal,
    })
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
        Err(_) => refusal(answer, &answer.json().ok()?, &[]),
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

    async fn post_with_token(&self, message: &Message) -> Result<Receipt, SendError> {
        let token = self.tokens.token().await?;
        let (outcome, again) = self.post(message, &token).await;
        if !again {
            return outcome;
        }
        let token = self.tokens.token().await?;
        self.post(message, &token).await.0
    }

    /// Makes one call, and tells whether the same with a new token is worth a try.
    async fn post(
        &self,
        message: &Message,
        token: &Arc<Token>,
    ) -> (Result<Receipt, SendError>, bool) {
        let mut again = false;
        let outcome = attempt(async {
            let answer = self.client.send(self.request(message, token)).await?;
            if answer.is_success() {
                return self.accepted(&answer, message);
            }
            let spoken: Spoken = answer.json().unwrap_or_default();
            if spoken.has_id() {
                return Err(Answer::contradiction());
            }
            let error = answer.refused(refusal(&answer, &spoken, slice::from_ref(message)));
            let is_cured = error
                .code()
                .is_some_and(|code| TOKEN_FAULTS.contains(&code));
            let refuses_token = is_cured || answer.refuses_token(None);
            // The gateway refused the call before it reached the SMS service: proven, so once more is safe.
            // A 401 in KPN's shape alone ends the token too, but is not enough to post a second time.
            if error.acceptance() == Acceptance::NotAccepted
                && (refuses_token || answer.status() == 401)
            {
                again = self.tokens.forget(token) && refuses_token;
            }
            Err(error)
        })
        .await;
        (outcome, again)
    }

    fn accepted(&self, answer: &Answer, message: &Message) -> Result<Receipt, SendError> {
        let spoken: Spoken = answer.json()?;
        if spoken.fault().is_some() || spoken.is_refusal(answer.status()) {
            return Err(Answer::contradiction());
        }
        let id = Answer::message_id(spoken.document_id.as_str().unwrap_or_default())?;
        Ok(Receipt::new(self.profile.owned_name(), *message.reference()).with_id(id))
    }
}

#[async_trait]
impl SmsProvider for Kpn {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.profile.admit(message)?;
        self.post_with_token(message)
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
            Err(error) => Err(error.of_check().with_provider(self.profile.owned_name())),
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
    /// Where there is none, or one is blank.
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
        let reference = query_parameter(request.url(), "reference")?;
        let body: Value = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not JSON"))?;
        let entries = match &body {
            Value::Array(entries) => entries,
            entry => slice::from_ref(entry),
        };
        if entries.len() > REPORT_LIMIT {
            return Err(ReportError::malformed("too many reports in one request"));
        }
        // One that cannot be read takes no other down with it.
        let reports: Vec<_> = entries
            .iter()
            .filter_map(|entry| report(&Fields(entry.as_object()?), reference.as_deref()))
            .collect();
        match reports.is_empty() {
            true => Err(ReportError::malformed("the request holds no report")),
            false => Ok(reports),
        }
    }
}

/// `None` where no member tells that it is a report: inbound texts have a `message_id` too.
fn report(fields: &Fields<'_>, reference: Option<&str>) -> Option<DeliveryReport> {
    let status = fields.text(&[
        "status",
        "statuscode",
        "deliverystatus",
        "deliverystatuscode",
    ]);
    if status.is_none()
        && fields
            .text(&[
                "statusdatetime",
                "recipientphonenumber",
                "documentid",
                "dlrid",
            ])
            .is_none()
    {
        return None;
    }
    let status = status.and_then(|status| REPORT_STATUSES.iter().find(|(code, _)| *code == status));
    let mut report = DeliveryReport::new(
        "kpn",
        status.map_or(DeliveryStatus::Unknown, |(_, status)| *status),
    )
    .with_reference_text(reference.unwrap_or_default());
    report.id = fields
        .text(&["messageid", "documentid", "dlrid"])
        .filter(|id| Answer::message_id(id).is_ok());
    report.recipient = fields
        .text(&["recipientphonenumber"])
        .and_then(|number| PhoneNumber::from_msisdn(&number).ok());
    report.code = fields
        .text(&["errorcode", "error", "reason", "statuserrorcode"])
        .filter(|code| code.len() <= 3 && code.bytes().all(|byte| byte.is_ascii_digit()))
        // The list begins at 001.
        .filter(|code| code.bytes().any(|byte| byte != b'0'))
        .map(|code| format!("{code:0>3}"));
    report.at = fields.text(&["statusdatetime"]).and_then(|time| {
        let number: i64 = time.parse().ok()?;
        // Seconds or milliseconds, KPN does not say: nothing happened before 1973 in milliseconds.
        match number > 100_000_000_000 {
            true => DateTime::from_timestamp_millis(number),
            false => DateTime::from_timestamp(number, 0),
        }
    });
    Some(report)
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
struct Fields<'a>(&'a serde_json::Map<String, Value>);

impl Fields<'_> {
    /// The first of these that is there and not blank, as text.
    fn text(&self, names: &[&str]) -> Option<String> {
        let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        names.iter().find_map(|name| {
            let (_, value) = self.0.iter().find(|(known, _)| plain(known) == **name)?;
            match value {
                Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            }
        })
    }
}
