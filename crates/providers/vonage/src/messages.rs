//! The Messages API v1: JSON, a token or Basic, real HTTP statuses, and webhooks that are signed.
//!
//! Read from Vonage's definition 1.20.0 (2026) and its pages "API Errors: Messages" and "Webhooks".

use std::{
    fmt, slice,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ErrorKind, Guid,
    Message, PhoneNumber, Price, Receipt, ReportError, ReportParser, ReportRequest, SendError,
    async_trait, attempt,
};
use postduif_http::{
    BaseUrl, Client, Refusal, Request, Response, Token, TokenCache, TokenSource, check_window,
    signature::{Rs256Key, hs256_claims, sha256},
    signing_secrets,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Account, Call, REPORT_WINDOW, SECRET_MISSING, is_given, report_code, report_id, text};

const SEND_PATH: &str = "/v1/messages";
/// What a token without `exp` lives too; the most that Vonage allows are 24 hours.
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// A new token is signed when less is left of the old one.
pub(crate) const MINIMUM_TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);
/// The longest wait that `Retry-After` is believed for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Messages {
    base: BaseUrl,
    auth: Auth,
}

/// One of the two: Vonage refuses a call that has both.
#[derive(Debug)]
enum Auth {
    Account(Account),
    Application(Box<TokenCache<Application>>),
}

/// An application of the Messages API, which proves itself by tokens that it signs.
#[derive(Debug)]
pub(crate) struct Application {
    id: SecretString,
    key: Rs256Key,
}

impl Application {
    pub(crate) fn new(id: SecretString, private_key: &SecretString) -> Result<Self, ConfigError> {
        if id.expose_secret().is_empty() {
            return Err(ConfigError::new("the application's id is empty"));
        }
        let key = Rs256Key::from_pem(private_key)?;
        Ok(Self { id, key })
    }
}

#[async_trait]
impl TokenSource for Application {
    async fn fetch(&self) -> Result<Token, SendError> {
        let now = DateTime::<Utc>::from(SystemTime::now()).timestamp();
        let claims = json!({
            "application_id": self.id.expose_secret(),
            "iat": now,
            "jti": Guid::random().to_string(),
            "exp": now.saturating_add_unsigned(TOKEN_LIFE.as_secs()),
        });
        let token = self
            .key
            .sign(claims.to_string().as_bytes())
            .map_err(|error| {
                SendError::not_accepted(ErrorKind::Unavailable, "the token cannot be signed")
                    .with_source(error)
            })?;
        Ok(Token::new(token, TOKEN_LIFE))
    }
}

#[derive(Serialize)]
struct SendBody<'a> {
    channel: &'static str,
    message_type: &'static str,
    to: String,
    from: &'a str,
    /// Without `sms.encoding_type` Vonage chooses the encoding by the text.
    text: &'a str,
    client_ref: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<&'a str>,
    /// The form of the reports, which an account may have set to an older one.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_version: Option<&'static str>,
}

#[derive(Deserialize)]
struct Accepted {
    message_uuid: String,
}

impl Messages {
    pub(crate) const fn of_account(base: BaseUrl, account: Account) -> Self {
        Self {
            base,
            auth: Auth::Account(account),
        }
    }

    pub(crate) fn of_application(base: BaseUrl, tokens: TokenCache<Application>) -> Self {
        Self {
            base,
            auth: Auth::Application(Box::new(tokens)),
        }
    }

    fn request(&self, call: Call<'_>) -> Request {
        Request::post(&self.base, SEND_PATH)
            .with_header("accept", "application/json")
            .with_json(&SendBody {
                channel: "sms",
                message_type: "text",
                to: call.message.to().digits().to_string(),
                from: call.from,
                text: call.message.text().as_str(),
                client_ref: call.message.reference().as_str(),
                ttl: call.message.validity().map(|validity| validity.as_secs()),
                webhook_url: call.webhook_url,
                webhook_version: call.webhook_url.map(|_| "v1"),
            })
    }

    /// Sends, and tells it by the `receipt`.
    pub(crate) async fn send(
        &self,
        client: &Client,
        call: Call<'_>,
        receipt: Receipt,
    ) -> Result<Receipt, SendError> {
        let tokens = match &self.auth {
            Auth::Account(account) => {
                let request = account.authorize(self.request(call));
                return post(client, request, call.message, receipt).await;
            }
            Auth::Application(tokens) => tokens,
        };
        let with = |token: &Token| self.request(call).with_bearer(token);
        let token = tokens.token().await?;
        let first = attempt(post(client, with(&token), call.message, receipt.clone())).await;
        match &first {
            // Provenly refused, so once more is safe.
            Err(error) if is_expired(error) && tokens.forget(&token) => {}
            _ => return first,
        }
        let token = tokens.token().await?;
        attempt(post(client, with(&token), call.message, receipt)).await
    }
}

/// Makes the call, and tells it by the `receipt`.
async fn post(
    client: &Client,
    request: Request,
    message: &Message,
    receipt: Receipt,
) -> Result<Receipt, SendError> {
    let answer = client.send(request).await?;
    let is_refused = answer.status() != 202 || Problem::of(&answer).is_some();
    let has_id = answer
        .json::<Value>()
        .is_ok_and(|body| is_given(&body["message_uuid"]));
    if is_refused && has_id {
        return Err(Response::contradiction());
    }
    if answer.status() != 202 {
        return Err(refused(&answer, message));
    }
    let accepted = answer.json::<Accepted>()?;
    Ok(receipt.with_id(Response::message_id(&accepted.message_uuid)?))
}

/// What Vonage calls a token that has ended. No other refusal goes away with a new token.
const EXPIRED: &str = "jwt-expired";

fn is_expired(error: &SendError) -> bool {
    error.acceptance() == Acceptance::NotAccepted
        && error.kind() == ErrorKind::Unauthorized
        && error.code() == Some(EXPIRED)
}

/// Vonage's one error shape (RFC 7807): an object whose `type` is a page of Vonage's, with the code behind
/// a `#`. Anything else is somebody else speaking. A `#` alone would not do: ASP.NET's own problems have
/// types such as `https://tools.ietf.org/html/rfc9110#section-15.5.1`.
#[derive(Deserialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    page: String,
    #[serde(default)]
    title: Value,
    #[serde(default)]
    invalid_parameters: Value,
}

impl Problem {
    pub(crate) fn of(answer: &Response) -> Option<Self> {
        let problem: Self = answer.json().ok()?;
        let (page, _) = problem.page.split_once('#')?;
        let (_, rest) = page.split_once("://")?;
        let host = rest.split('/').next().unwrap_or_default();
        // `developer.nexmo.com`, `developer.vonage.com`, and `www.nexmo.com` in 2020.
        let is_vonage = ["nexmo.com", "vonage.com"].iter().any(|name| {
            host.strip_suffix(name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
        is_vonage.then_some(problem)
    }

    fn code(&self) -> &str {
        self.page.split_once('#').map_or("", |(_, code)| code)
    }

    /// What a 422 means. The numbers in its bodies are not those of Vonage's published list (1060 is "client
    /// reference" in the one and "account barred" in the other), so that the fields and the title decide, and
    /// the number only where both say nothing.
    fn unprocessable(&self) -> (ErrorKind, Acceptance, &'static str) {
        let names: Vec<_> = self
            .invalid_parameters
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let known = PARAMETERS.iter().find(|(name, ..)| names.contains(name));
        let by_title = || {
            let title = self.title.as_str()?;
            TITLES.iter().find(|(known, ..)| *known == title)
        };
        if let Some((_, kind, words)) = known {
            (*kind, Acceptance::NotAccepted, words)
        } else if !names.is_empty() {
            (
                ErrorKind::Misconfigured,
                Acceptance::NotAccepted,
                "Vonage refused a field that is none of the message's",
            )
        } else if let Some((_, kind, words)) = by_title() {
            (*kind, Acceptance::NotAccepted, words)
        } else if let Some((kind, acceptance, words, _)) = CODES
            .iter()
            .find(|(.., codes)| codes.contains(&self.code()))
        {
            (*kind, *acceptance, words)
        } else {
            (
                ErrorKind::Other,
                Acceptance::Unknown,
                "Vonage gives a code that is not in its list",
            )
        }
    }
}

/// Vonage's refusals by status and by what follows the `#`; the empty code is any.
static PROBLEMS: &[(u16, &str, ErrorKind, &str)] = {
    use ErrorKind::{Blocked, InsufficientBalance, Misconfigured, Protocol, Unauthorized};
    &[
        (400, "", Protocol, "Vonage could not read the call"),
        (
            401,
            "multiple-auth-methods",
            Misconfigured,
            "two ways to prove who calls",
        ),
        (401, "", Unauthorized, "the credentials were refused"),
        (402, "", InsufficientBalance, "the account has no credit"),
        (
            403,
            "multiple-auth-methods",
            Misconfigured,
            "two ways to prove who calls",
        ),
        (403, "", Unauthorized, "the account may not do this"),
        (404, "", Misconfigured, "nothing takes this call there"),
        (405, "", Protocol, "Vonage does not take this call"),
        (406, "", Protocol, "Vonage cannot answer in this form"),
        (415, "", Protocol, "Vonage does not read this form"),
        (451, "", Blocked, "not allowed for legal reasons"),
    ]
};

/// Codes that are words. Only these are kept in an error.
static WORDS: &[&str] = &[
    "InvalidParams",
    "accept-header",
    "account-suspended",
    "application-suspended",
    "content-type-header",
    "forbidden",
    "invalid-api-key",
    "invalid-ip",
    "invalid-json",
    "invalid-signature",
    EXPIRED,
    "jwt-revoked",
    "low-balance",
    "multiple-auth-methods",
    "not-found",
    "throttled",
    // As the definition spells it.
    "unathorized",
    "unauthorized",
    "unavailable-legal",
    "unprovisioned",
    "wrong-verb",
];

/// The message's own fields, by their names in `invalid_parameters`.
static PARAMETERS: &[(&str, ErrorKind, &str)] = &[
    (
        "to",
        ErrorKind::InvalidRecipient,
        "the recipient is not valid",
    ),
    ("from", ErrorKind::InvalidSender, "the sender is not valid"),
    ("text", ErrorKind::InvalidText, "the text is not valid"),
];

/// The titles of the definition's 422 bodies.
static TITLES: &[(&str, ErrorKind, &str)] = {
    use ErrorKind::{InvalidRecipient, InvalidSender, Misconfigured, Protocol};
    &[
        (
            "Unsupported channel",
            Misconfigured,
            "SMS is not a channel of the account",
        ),
        (
            "Invalid channel parameters",
            Misconfigured,
            "Vonage refused a setting of the channel",
        ),
        ("Invalid sender", InvalidSender, "the sender is not valid"),
        (
            "Invalid recipient",
            InvalidRecipient,
            "the recipient is not valid",
        ),
        (
            "Invalid message type",
            Protocol,
            "Vonage refused the type of message",
        ),
        (
            "Invalid params",
            Misconfigured,
            "Vonage refused a field and does not say which",
        ),
        (
            "Invalid client reference",
            Misconfigured,
            "Vonage refused the reference",
        ),
    ]
};

/// Vonage's published codes by what they mean, and whether they prove that nothing was sent. They stand in
/// reports, and maybe in a 422.
static CODES: &[(ErrorKind, Acceptance, &str, &[&str])] = &[
    (
        ErrorKind::Blocked,
        Acceptance::NotAccepted,
        "blocked by a filter, by the operator or by the recipient",
        &[
            "1050", "1210", "1240", "1270", "1280", "1282", "1290", "1470", "1473", "1474", "1475",
            "1483", "2001",
        ],
    ),
    (
        ErrorKind::InsufficientBalance,
        Acceptance::NotAccepted,
        "the account's quota is used up",
        &["1070"],
    ),
    (
        ErrorKind::InvalidRecipient,
        Acceptance::NotAccepted,
        "the recipient is not valid, or not reachable",
        &[
            "1040", "1170", "1190", "1200", "1260", "1300", "1310", "1430",
        ],
    ),
    (
        ErrorKind::InvalidSender,
        Acceptance::NotAccepted,
        "the sender is not valid, or not allowed there",
        &["1120", "1420", "1476", "1481"],
    ),
    (
        ErrorKind::InvalidText,
        Acceptance::NotAccepted,
        "the text is too long",
        &["1090"],
    ),
    (
        ErrorKind::Misconfigured,
        Acceptance::NotAccepted,
        "the account is not set up for this, or Vonage refused a setting",
        &[
            "1020", "1021", "1022", "1080", "1130", "1140", "1150", "1160", "1242", "1400", "1410",
            "1440", "1450", "1480", "1482", "1484",
        ],
    ),
    (
        ErrorKind::Other,
        Acceptance::NotAccepted,
        "a fault of another channel, or for good and without a reason",
        &[
            "1330", "1340", "1350", "1370", "1380", "1381", "1382", "1451", "1461", "2002", "2003",
        ],
    ),
    // Sent already; not all parts were heard of.
    (
        ErrorKind::Other,
        Acceptance::Unknown,
        "the text, or a part of it, may have been sent already",
        &["1320", "1490"],
    ),
    (
        ErrorKind::Protocol,
        Acceptance::NotAccepted,
        "Vonage could not read the call",
        &["1010", "1431", "invalid-json"],
    ),
    (
        ErrorKind::Throttled,
        Acceptance::NotAccepted,
        "too many texts",
        &["1000", "1241", "1460", "1472"],
    ),
    (
        ErrorKind::Timeout,
        Acceptance::NotAccepted,
        "the validity period ended first",
        &["1360"],
    ),
    (
        ErrorKind::Unauthorized,
        Acceptance::NotAccepted,
        "the account is barred",
        &["1060"],
    ),
    (
        ErrorKind::Unavailable,
        Acceptance::NotAccepted,
        "no route, or the phone or its network is out of reach",
        &["1180", "1230", "1250", "1251"],
    ),
    (
        ErrorKind::Unavailable,
        Acceptance::Unknown,
        "Vonage or the operator failed, or is trying again",
        &["1030", "1100", "1220", "1331"],
    ),
];

/// What an answer that is no success proves.
fn refused(answer: &Response, message: &Message) -> SendError {
    let (status, by_status) = (answer.status(), answer.refused(None));
    let problem = Problem::of(answer).filter(|_| status >= 400);
    let code = problem.as_ref().map_or("", Problem::code);
    let known = PROBLEMS
        .iter()
        .find(|(known, of, ..)| *known == status && (of.is_empty() || *of == code));
    let (kind, acceptance, words) = match (status, &problem) {
        (429, _) => (
            ErrorKind::Throttled,
            Acceptance::NotAccepted,
            "too many calls",
        ),
        (422, Some(problem)) => problem.unprocessable(),
        // Proven by these two statuses, whoever speaks; the kind is Vonage's.
        (405 | 415, None) | (_, Some(_)) => match known {
            Some((_, _, kind, words)) => (*kind, Acceptance::NotAccepted, *words),
            // Vonage speaks, and neither its definition nor its pages have this status.
            None => (
                by_status.kind(),
                by_status.acceptance(),
                "Vonage answers with a status that is not in its list",
            ),
        },
        (_, None) => return by_status,
    };
    let refusal = Refusal::new(kind, words);
    let listed = WORDS
        .iter()
        .copied()
        .chain(CODES.iter().flat_map(|(.., codes)| codes.iter().copied()))
        .find(|known| *known == code);
    let refusal = match listed {
        Some(code) => refusal.with_code(code),
        None => refusal.with_unlisted_code(code, slice::from_ref(message)),
    };
    let refusal = match answer.retry_after(SystemTime::now().into()) {
        Some(wait) => refusal.with_retry_after(wait.min(LONGEST_WAIT)),
        None => refusal,
    };
    let error = answer.refused(Some(refusal));
    match acceptance {
        Acceptance::NotAccepted => error,
        Acceptance::Unknown => error.in_doubt(),
    }
}

/// Status webhooks of the Messages API, form v1: signed by the account's signature secret over the body, with
/// the time of signing.
///
/// The signature covers neither the URL nor what came before: within the time window a report can be
/// replayed, which changes nothing, since it says the same again. Reports come in no promised order. Vonage
/// says that an unsigned one can occur after a fault of its own, and that it comes again signed where it is
/// answered with a 5xx; whether a repeat is signed anew is not known, so that a merely old one may come again
/// too.
pub struct VonageReports {
    secrets: Vec<SecretString>,
    window: Duration,
}

impl VonageReports {
    /// Believes what any of these signature secrets signed: several while one is being replaced, or one for
    /// each account. The secret is that of the account's settings, not the API secret.
    ///
    /// # Errors
    ///
    /// Where there is none, or one is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        Ok(Self {
            secrets: signing_secrets(secrets, SECRET_MISSING)?,
            window: REPORT_WINDOW,
        })
    }

    /// How far the time of signing may lie from now; 300 seconds unless set.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        #[derive(Deserialize)]
        struct Claims {
            iat: i64,
            payload_hash: String,
        }
        let (scheme, token) = request
            .header("authorization")?
            .ok_or(ReportError::unsigned(
                "the report has no token; a report of the SMS API is read by the parser of that API",
            ))?
            .split_once(' ')
            .ok_or(ReportError::malformed("the report's token is none"))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ReportError::malformed("the report's token is none"));
        }
        let claims = hs256_claims(token.trim(), &self.secrets)?;
        let claims: Claims = serde_json::from_slice(&claims)
            .map_err(|_| ReportError::forged("the token covers no body, or has no time"))?;
        let hash = sha256(request.body())
            .map(|byte| format!("{byte:02x}"))
            .concat();
        if !claims.payload_hash.eq_ignore_ascii_case(&hash) {
            return Err(ReportError::forged("the token covers another body"));
        }
        check_window(claims.iat, now, self.window)
    }
}

impl fmt::Debug for VonageReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VonageReports")
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

impl ReportParser for VonageReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request, now)?;
        let body: Value = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not JSON"))?;
        if !body.is_object() {
            return Err(ReportError::malformed("the report is no object"));
        }
        if text(&body["status"]).is_none_or(|status| status.trim().is_empty()) {
            return Err(ReportError::malformed("the report tells no status"));
        }
        Ok(vec![report(&body)])
    }
}

fn report(body: &Value) -> DeliveryReport {
    let field = |name| text(&body[name]);
    // The title is the code; older payloads have it as a number, and the type repeats it.
    let code = report_code(text(&body["error"]["title"])).or_else(|| {
        let page = text(&body["error"]["type"])?;
        report_code(page.split_once('#').map(|(_, code)| code.to_owned()))
    });
    let status = field("status");
    let mut report = DeliveryReport::new("vonage", status_of(status.as_deref(), code.as_deref()));
    if let Some(reference) = field("client_ref") {
        report = report.with_reference_text(&reference);
    }
    report.id = field("message_uuid").as_deref().and_then(report_id);
    report.recipient = field("to").and_then(|to| PhoneNumber::from_msisdn(&to).ok());
    report.code = code;
    report.at = field("timestamp").and_then(|time| {
        DateTime::parse_from_rfc3339(&time)
            // As older payloads have it.
            .or_else(|_| DateTime::parse_from_str(&time, "%Y-%m-%d %H:%M:%S %z"))
            .ok()
            .map(|time| time.to_utc())
    });
    let usage = &body["usage"];
    report.price = text(&usage["price"])
        .zip(text(&usage["currency"]))
        .and_then(|(price, currency)| Price::new(&price, &currency).ok());
    report
}

fn status_of(status: Option<&str>, code: Option<&str>) -> DeliveryStatus {
    let rejected = |otherwise| {
        let known = REJECTIONS
            .iter()
            .find(|(_, codes)| code.is_some_and(|code| codes.contains(&code)));
        known.map_or(otherwise, |(status, _)| *status)
    };
    match status {
        // The phone is busy, and tried again for a day or two.
        Some("submitted") if code == Some("1220") => DeliveryStatus::Buffered,
        Some("submitted") => DeliveryStatus::Sent,
        Some("delivered") => DeliveryStatus::Delivered,
        Some("rejected") => rejected(DeliveryStatus::Rejected),
        Some("undeliverable") => rejected(DeliveryStatus::Failed),
        _ => DeliveryStatus::Unknown,
    }
}

/// What `rejected` covers beside a refusal: Vonage says it of what expired or failed too. Two codes say that
/// the text, or some of its parts, may have arrived, and so no failure.
static REJECTIONS: &[(DeliveryStatus, &[&str])] = &[
    (DeliveryStatus::Expired, &["1360"]),
    (
        DeliveryStatus::Failed,
        &[
            "1180", "1190", "1200", "1220", "1230", "1250", "1251", "1260", "1300", "1310", "1330",
            "1331",
        ],
    ),
    (DeliveryStatus::Unknown, &["1320", "1490"]),
];
