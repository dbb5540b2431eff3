//! The SMS API: a form, Basic, HTTP 200 for failures too, an entry for each part, and receipts signed by one
//! of five methods.
//!
//! Read from Vonage's definitions 1.0.10 (2021) and 1.5.1 (2026) and its pages "API Errors: SMS", "Signing
//! messages" and "Delivery receipts".

use std::{borrow::Cow, collections::BTreeMap, fmt, slice, str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDateTime, Utc};
use md5::{Digest as _, Md5};
use postduif_core::{
    Acceptance, Authenticity, ConfigError, DeliveryReport, DeliveryStatus, Encoding, ErrorKind,
    Message, PhoneNumber, Price, Receipt, ReportError, ReportParser, ReportRequest, SendError,
};
use postduif_http::{
    BaseUrl, Client, Refusal, Request, Response, check_window, signature::is_secret,
    signing_secrets,
};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use url::form_urlencoded;

use crate::{Account, Call, REPORT_WINDOW, SECRET_MISSING, report_code, report_id, text};

const SEND_PATH: &str = "/sms/json";
/// Vonage counts its prices in euros.
const CURRENCY: &str = "EUR";

#[derive(Debug)]
pub(crate) struct Sms {
    base: BaseUrl,
    account: Account,
}

impl Sms {
    pub(crate) const fn new(base: BaseUrl, account: Account) -> Self {
        Self { base, account }
    }

    fn request(&self, call: Call<'_>) -> Request {
        let message = call.message;
        let to = message.to().digits().to_string();
        let ttl = message
            .validity()
            .map(|validity| validity.as_millis().to_string());
        let required = [
            ("from", call.from),
            ("to", &to),
            ("text", message.text().as_str()),
            ("client-ref", message.reference().as_str()),
        ];
        let optional = [
            // Nothing chooses it for us: without it, what is not in the GSM tables is lost.
            (
                "type",
                (message.text().encoding() == Encoding::Ucs2).then_some("unicode"),
            ),
            ("ttl", ttl.as_deref()),
            ("callback", call.webhook_url),
        ];
        let given = optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        self.account
            .authorize(Request::post(&self.base, SEND_PATH))
            .with_header("accept", "application/json")
            .with_form(required.into_iter().chain(given))
    }

    /// Sends, and tells it by the `receipt`.
    pub(crate) async fn send(
        &self,
        client: &Client,
        call: Call<'_>,
        receipt: Receipt,
    ) -> Result<Receipt, SendError> {
        let answer = client.send(self.request(call)).await?;
        match entries(&answer) {
            Some(body) => Entries::new(&body).outcome(&answer, call.message, receipt),
            None => Err(refused(&answer, call.message)),
        }
    }
}

/// Vonage's codes for a part of a message, and whether one proves that the part was not sent.
static STATUSES: &[(&str, ErrorKind, Acceptance, &str)] = {
    use Acceptance::{NotAccepted, Unknown};
    use ErrorKind::{
        Blocked, InsufficientBalance, InvalidRecipient, InvalidSender, InvalidText, Misconfigured,
        Protocol, Throttled, Unauthorized, Unavailable,
    };
    &[
        ("1", Throttled, NotAccepted, "too many calls"),
        ("2", Protocol, NotAccepted, "a parameter is missing"),
        ("3", Misconfigured, NotAccepted, "a parameter is not valid"),
        (
            "4",
            Unauthorized,
            NotAccepted,
            "the key or the secret was refused",
        ),
        ("5", Unavailable, Unknown, "Vonage failed"),
        (
            "6",
            InvalidRecipient,
            NotAccepted,
            "the number's prefix is unknown",
        ),
        ("7", Blocked, NotAccepted, "the number is barred"),
        ("8", Unauthorized, NotAccepted, "the account is suspended"),
        (
            "9",
            InsufficientBalance,
            NotAccepted,
            "the account has no credit",
        ),
        ("10", Throttled, NotAccepted, "too many connections"),
        (
            "11",
            Misconfigured,
            NotAccepted,
            "the account is not enabled for this API",
        ),
        ("12", InvalidText, NotAccepted, "the text is too long"),
        (
            "13",
            Unavailable,
            Unknown,
            "Vonage could not hand the text on",
        ),
        ("14", Unauthorized, NotAccepted, "the signature was refused"),
        (
            "15",
            InvalidSender,
            NotAccepted,
            "the sender is not allowed",
        ),
        (
            "16",
            Misconfigured,
            NotAccepted,
            "the validity period is not valid",
        ),
        ("17", Blocked, NotAccepted, "blocked for what it says"),
        ("18", Protocol, NotAccepted, "several recipients"),
        (
            "19",
            Misconfigured,
            NotAccepted,
            "the account may not do this",
        ),
        (
            "20",
            Misconfigured,
            NotAccepted,
            "the message class is not valid",
        ),
        (
            "22",
            Misconfigured,
            NotAccepted,
            "the network code is not valid",
        ),
        (
            "23",
            Misconfigured,
            NotAccepted,
            "the URL for reports is not valid",
        ),
        (
            "29",
            Misconfigured,
            NotAccepted,
            "a trial account sends to its test numbers only",
        ),
        (
            "32",
            Misconfigured,
            NotAccepted,
            "a signature and a secret in one call",
        ),
        (
            "33",
            InvalidRecipient,
            NotAccepted,
            "the number is deactivated",
        ),
    ]
};

/// What a parameter that status 2 or 3 names is to us.
static PARAMETERS: &[(&str, ErrorKind)] = &[
    ("api_key", ErrorKind::Unauthorized),
    ("api_secret", ErrorKind::Unauthorized),
    ("from", ErrorKind::InvalidSender),
    ("text", ErrorKind::InvalidText),
    ("to", ErrorKind::InvalidRecipient),
];

/// The kind by the parameter that the vendor's words name: "Missing to param", or "to address is not numeric"
/// at their start. Two of the names are common words, so that one counts only beside a word that belongs to it.
fn kind_by_name(words: &str) -> Option<ErrorKind> {
    let words: Vec<_> = words
        .split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.iter().enumerate().find_map(|(place, word)| {
        let (_, kind) = PARAMETERS.iter().find(|(name, _)| name == word)?;
        let before = place.checked_sub(1).map(|before| words[before].as_str());
        let is_named = before.is_some_and(|before| {
            ["missing", "invalid"].contains(&before) || before.starts_with("param")
        });
        let after = words.get(place + 1).map_or("", String::as_str);
        let begins = before.is_none() && ["address", "is", "must"].contains(&after);
        (is_named || begins || after.starts_with("param")).then_some(*kind)
    })
}

/// How long a throttled part is to wait. Three wordings are known: "please wait [ 250 ] and retry", in
/// milliseconds; the same without a number; and an account of the interval and how much of it is over.
fn wait(words: &str) -> Duration {
    let number = |name: &str| -> Option<u64> {
        let (_, rest) = words.split_once(name)?;
        let (number, _) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
        number.trim().parse().ok()
    };
    let left = || Some(number(" INTERVAL")?.saturating_sub(number("_INTERVAL_START")?));
    let millis = number("please wait").or_else(left).unwrap_or_default();
    Duration::from_millis(millis.clamp(1000, 5000))
}

/// The body of an answer, if it speaks of parts.
fn entries(answer: &Response) -> Option<Value> {
    json(answer).filter(|body| {
        body["messages"]
            .as_array()
            .is_some_and(|entries| !entries.is_empty())
    })
}

/// The body as JSON. Answers of 2014 were ISO-8859-1.
fn json(answer: &Response) -> Option<Value> {
    let body = answer.body().ok()?;
    let text = match str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => body.iter().copied().map(char::from).collect(),
    };
    serde_json::from_str(&text).ok()
}

/// Whether this is Vonage's other error shape, which the balance shares.
pub(crate) fn is_error(answer: &Response) -> bool {
    json(answer).is_some_and(|body| {
        text(&body["error-code"]).is_some() && body["error-code-label"].is_string()
    })
}

/// Whether an answer's status alone proves that nobody read the message. At 401 it is what Vonage says that
/// counts.
fn is_proven_by_status(answer: &Response) -> bool {
    answer.status() != 401 && answer.refused(None).acceptance() == Acceptance::NotAccepted
}

/// What an answer that speaks of no part proves.
fn refused(answer: &Response, message: &Message) -> SendError {
    let refusal = match answer.status() {
        _ if is_proven_by_status(answer) || !is_error(answer) => None,
        401..=403 => Some(Refusal::new(
            ErrorKind::Unauthorized,
            "the key or the secret was refused",
        )),
        400..=499 => Some(Refusal::new(ErrorKind::Protocol, "Vonage refused the call")),
        _ => None,
    };
    // The status is no code of Vonage's list.
    let code = answer.status().to_string();
    answer
        .refused(refusal.map(|refusal| refusal.with_unlisted_code(&code, slice::from_ref(message))))
}

/// What an answer says of each part.
struct Entries<'a> {
    all: &'a [Value],
    /// Fewer than the answer itself counts.
    is_short: bool,
    /// As many as the answer itself counts, and what failed has words: the whole of Vonage's shape.
    is_complete: bool,
}

impl<'a> Entries<'a> {
    fn new(body: &'a Value) -> Self {
        let all = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let count = text(&body["message-count"]).and_then(|count| count.parse::<usize>().ok());
        let has_words = |entry: &Value| {
            let words = entry["error-text"].as_str().unwrap_or_default();
            is_taken(entry) || !words.trim().is_empty()
        };
        Self {
            all,
            is_short: count.is_some_and(|count| count > all.len()),
            is_complete: count == Some(all.len()) && all.iter().all(has_words),
        }
    }

    /// A message is accepted where all of its parts are, and refused where all of them are, provenly. Parts
    /// that were taken beside parts that were not are sent and charged.
    fn outcome(
        &self,
        answer: &Response,
        message: &Message,
        receipt: Receipt,
    ) -> Result<Receipt, SendError> {
        let taken = self.all.iter().filter(|entry| is_taken(entry)).count();
        let is_foreign = self
            .all
            .iter()
            .any(|entry| is_about_another(entry, message));
        let is_contradiction = is_error(answer)
            || self.all.iter().any(|entry| {
                !is_taken(entry)
                    && text(&entry["message-id"]).is_some_and(|id| !id.trim().is_empty())
            });
        let is_whole = !self.is_short && !is_foreign && !is_contradiction;
        let failures: Vec<_> = self
            .all
            .iter()
            .filter(|entry| !is_taken(entry))
            .map(|entry| failure(entry, message))
            .collect();
        let Some((refusal, _)) = failures.first() else {
            return match self.accepted(receipt) {
                Some(receipt) if is_whole && answer.status() == 200 => Ok(receipt),
                _ if answer.status() >= 500 => Err(answer.refused(None)),
                _ => Err(SendError::unknown(
                    ErrorKind::Protocol,
                    "the answer does not say of every part that it was taken",
                )),
            };
        };
        if taken == 0 && !is_contradiction && is_proven_by_status(answer) {
            return Err(answer.refused(None));
        }
        // Vonage refuses with 200. With another status its whole shape is asked for, since others list verdicts
        // too; and where somebody gave up waiting none proves anything.
        let gave_up = matches!(answer.status(), 408 | 409 | 425 | 499);
        if taken == 0 && !answer.is_success() && (gave_up || !self.is_complete) {
            return Err(answer.refused(None).in_doubt());
        }
        let error = answer.refused(Some(refusal.clone()));
        let is_proven = failures
            .iter()
            .all(|(_, acceptance)| *acceptance == Acceptance::NotAccepted);
        let is_told = answer.status() == 200 || !answer.is_success();
        match taken == 0 && is_whole && is_proven && is_told {
            true => Err(error),
            false => Err(error.in_doubt()),
        }
    }

    /// None where a part has no id: Vonage gives each one.
    fn accepted(&self, receipt: Receipt) -> Option<Receipt> {
        let ids: Option<Vec<_>> = self
            .all
            .iter()
            .map(|entry| report_id(&text(&entry["message-id"])?))
            .collect();
        let ids = ids?;
        let receipt = receipt.with_id(ids.first()?.as_str()).with_part_ids(ids);
        let receipt = match u16::try_from(self.all.len()) {
            Ok(parts) => receipt.with_parts(parts).with_expected_reports(parts),
            Err(_) => receipt,
        };
        Some(match self.price() {
            Some(price) => receipt.with_price(price),
            None => receipt,
        })
    }

    /// All parts together; none where one has no price.
    fn price(&self) -> Option<Price> {
        let nanos = self.all.iter().try_fold(0_i64, |sum, entry| {
            let price = Price::new(&text(&entry["message-price"])?, CURRENCY).ok()?;
            sum.checked_add(price.nanos())
        })?;
        let sum = u64::try_from(nanos).ok()?;
        let unit = 1_000_000_000;
        Price::new(&format!("{}.{:09}", sum / unit, sum % unit), CURRENCY).ok()
    }
}

fn is_taken(entry: &Value) -> bool {
    text(&entry["status"]).as_deref() == Some("0")
}

/// Whether an entry repeats another reference or number than the message's.
fn is_about_another(entry: &Value, message: &Message) -> bool {
    let to = text(&entry["to"]).and_then(|to| PhoneNumber::from_msisdn(&to).ok());
    text(&entry["client-ref"]).is_some_and(|given| given != message.reference().as_str())
        || to.is_some_and(|to| to != message.to())
}

/// Why a part was not taken, and whether that is proven.
fn failure(entry: &Value, message: &Message) -> (Refusal, Acceptance) {
    let code = text(&entry["status"]).unwrap_or_default();
    let words = entry["error-text"].as_str().unwrap_or_default();
    let Some(&(code, kind, acceptance, ours)) = STATUSES.iter().find(|(known, ..)| *known == code)
    else {
        let refusal = Refusal::new(
            ErrorKind::Other,
            "Vonage gives a status that is not in its list",
        );
        let refusal = refusal.with_unlisted_code(&code, slice::from_ref(message));
        return (refusal, Acceptance::Unknown);
    };
    let kind = match code {
        "2" | "3" => kind_by_name(words).unwrap_or(kind),
        _ => kind,
    };
    let refusal = Refusal::new(kind, ours).with_code(code);
    match code {
        "1" => (refusal.with_retry_after(wait(words)), acceptance),
        _ => (refusal, acceptance),
    }
}

/// How an account signs, by its own setting.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the account's setting knows these five"
)]
pub enum SignatureMethod {
    /// `md5`: HMAC with MD5.
    Md5,
    /// `md5hash`, what an account has unless set: MD5 of the parameters and the secret behind them.
    #[default]
    Md5Hash,
    /// `sha1`: HMAC with SHA-1.
    Sha1,
    /// `sha256`: HMAC with SHA-256.
    Sha256,
    /// `sha512`: HMAC with SHA-512.
    Sha512,
}

impl SignatureMethod {
    /// The signature of `base`, in small hexadecimal digits.
    fn sign(self, secret: &SecretString, base: &str) -> SecretString {
        let secret = secret.expose_secret().as_bytes();
        let hmac = |algorithm| {
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), base.as_bytes());
            hex(tag.as_ref())
        };
        match self {
            Self::Md5 => hex(&hmac_md5(secret, base.as_bytes())),
            Self::Md5Hash => hex(&Md5::new()
                .chain_update(base)
                .chain_update(secret)
                .finalize()),
            Self::Sha1 => hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => hmac(hmac::HMAC_SHA256),
            Self::Sha512 => hmac(hmac::HMAC_SHA512),
        }
        .into()
    }
}

impl FromStr for SignatureMethod {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "md5" => Self::Md5,
            "md5hash" => Self::Md5Hash,
            "sha1" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha512" => Self::Sha512,
            _ => {
                return Err(ConfigError::new(
                    "a signature method: md5hash, md5, sha1, sha256 or sha512",
                ));
            }
        })
    }
}

/// HMAC (RFC 2104) with MD5, which ring does not have.
fn hmac_md5(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..16].copy_from_slice(&Md5::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pass = |pad: u8, data: &[u8]| {
        let key = block.map(|byte| byte ^ pad);
        Md5::new().chain_update(key).chain_update(data).finalize()
    };
    pass(0x5c, &pass(0x36, data)).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Delivery receipts of the SMS API, one for each part: signed over all parameters and the time, once
/// Vonage's support has switched signing on for the account.
///
/// The signature does not cover the URL: within the time window a receipt can be replayed, which changes
/// nothing, since it says the same again. A receipt is of one [part](DeliveryReport::part) of the text, by an id
/// of its own; [`Delivery`](postduif_core::Delivery) joins them. GET, POST as a form and POST as JSON are read, by the account's setting. A GET without any parameter is
/// how Vonage tries a URL, and no report.
pub struct VonageSmsReports {
    secrets: Vec<SecretString>,
    method: SignatureMethod,
    window: Duration,
}

impl VonageSmsReports {
    /// Believes what any of these signature secrets signed, by this method and no other: several while one is
    /// being replaced. The secret is that of the account's settings, not the API secret.
    ///
    /// # Errors
    ///
    /// Where there is none, or one is blank.
    pub fn new(secrets: Vec<SecretString>, method: SignatureMethod) -> Result<Self, ConfigError> {
        Ok(Self {
            secrets: signing_secrets(secrets, SECRET_MISSING)?,
            method,
            window: REPORT_WINDOW,
        })
    }

    /// How far the time of signing may lie from now; 300 seconds unless set. A repeat may carry the time of
    /// the first try.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    fn verify(&self, fields: &Fields, now: DateTime<Utc>) -> Result<(), ReportError> {
        let signature = fields
            .text("sig")
            .ok_or(ReportError::unsigned("the report has no signature"))?;
        let timestamp = fields
            .text("timestamp")
            .ok_or(ReportError::unsigned("the report has no timestamp"))?;
        let base = fields.base();
        let expected: Vec<_> = self
            .secrets
            .iter()
            .map(|secret| self.method.sign(secret, &base))
            .collect();
        // Samples have small letters for one method and capitals for the others.
        if !is_secret(&expected, &signature.to_ascii_lowercase()) {
            return Err(ReportError::forged(
                "the report is not signed with our secret",
            ));
        }
        let at = timestamp
            .parse()
            .map_err(|_| ReportError::malformed("the timestamp is no number"))?;
        check_window(at, now, self.window)
    }
}

impl fmt::Debug for VonageSmsReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VonageSmsReports")
            .field("method", &self.method)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

impl ReportParser for VonageSmsReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        let fields = Fields::of(request)?;
        if request.method() == "GET" && fields.0.is_empty() {
            return Ok(Vec::new());
        }
        self.verify(&fields, now)?;
        match fields.text("status") {
            Some(status) if !status.trim().is_empty() => Ok(vec![fields.report()]),
            // A text that came in.
            _ if fields.text("text").is_some() => Ok(Vec::new()),
            _ => Err(ReportError::malformed("the report tells no status")),
        }
    }
}

/// What a receipt tells, as query parameters.
pub(crate) const REPORT_PARAMETERS: [&str; 14] = [
    "api-key",
    "client-ref",
    "err-code",
    "message-timestamp",
    "messageId",
    "msisdn",
    "network-code",
    "nonce",
    "price",
    "scts",
    "sig",
    "status",
    "timestamp",
    "to",
];

/// A receipt's parameters, in the order in which they are signed.
struct Fields(BTreeMap<String, String>);

impl Fields {
    /// The query of a GET, the body of anything else, never both: only one of them is signed.
    fn of(request: &ReportRequest<'_>) -> Result<Self, ReportError> {
        if request.method() == "GET" {
            let url = request.url().split('#').next().unwrap_or_default();
            let query = url.split_once('?').map_or("", |(_, query)| query);
            return Self::from_pairs(form_urlencoded::parse(query.as_bytes()));
        }
        let kind = request.header("content-type")?.unwrap_or_default();
        if kind.to_ascii_lowercase().contains("json")
            || request.body().trim_ascii_start().starts_with(b"{")
        {
            return Self::from_json(request.body());
        }
        Self::from_pairs(form_urlencoded::parse(request.body()))
    }

    fn from_json(body: &[u8]) -> Result<Self, ReportError> {
        const NO_REPORT: ReportError =
            ReportError::malformed("the report is no flat object of JSON");
        let members: Members = serde_json::from_slice(body).map_err(|_| NO_REPORT)?;
        let pairs: Option<Vec<_>> = members
            .0
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => Some((name, text)),
                Value::Number(_) | Value::Bool(_) => Some((name, value.to_string())),
                _ => None,
            })
            .collect();
        Self::from_pairs(pairs.ok_or(NO_REPORT)?)
    }

    /// A name with one of the two characters that join the signed text would let two parameters pass as one:
    /// `a=1` and `b=2` are signed as a parameter of the name `a=1&b` would be.
    fn from_pairs<Name: Into<String>, Text: Into<String>>(
        pairs: impl IntoIterator<Item = (Name, Text)>,
    ) -> Result<Self, ReportError> {
        let mut fields = BTreeMap::new();
        for (name, value) in pairs {
            let name = name.into();
            if name.contains(['&', '=']) {
                return Err(ReportError::malformed("a parameter's name joins two"));
            }
            if fields.insert(name, value.into()).is_some() {
                return Err(ReportError::malformed("a parameter stands there twice"));
            }
        }
        Ok(Self(fields))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// What is signed: each parameter but the signature, by name in the order of bytes.
    fn base(&self) -> String {
        let signed = self.0.iter().filter(|(name, _)| *name != "sig");
        signed
            .map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_")))
            .collect()
    }

    fn report(&self) -> DeliveryReport {
        let status = self.text("status");
        let known = REPORT_STATUSES
            .iter()
            .find(|(known, _)| Some(*known) == status);
        let mut report = DeliveryReport::new(
            "vonage",
            known.map_or(DeliveryStatus::Unknown, |(_, status)| *status),
        );
        if let Some(reference) = self.text("client-ref") {
            report = report.with_reference_text(reference);
        }
        report.id = self.text("messageId").and_then(report_id);
        report.part.clone_from(&report.id);
        // `to` is the sender here.
        report.recipient = self
            .text("msisdn")
            .and_then(|number| PhoneNumber::from_msisdn(number).ok());
        report.code =
            report_code(self.text("err-code").map(str::to_owned)).filter(|code| code != "0");
        // UTC by Vonage's page. `scts` is the operator's time: to the minute, of a zone that nobody names.
        report.at = self.text("message-timestamp").and_then(|time| {
            let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").ok()?;
            Some(time.and_utc())
        });
        report.price = self
            .text("price")
            .and_then(|price| Price::new(price, CURRENCY).ok());
        report
    }
}

/// An object's members, those that stand there twice included, which a map would hide.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// How far a part has come. Of `unknown` Vonage says that nothing useful is known; support articles have
/// `undeliverable` and `deleted` beside these.
static REPORT_STATUSES: &[(&str, DeliveryStatus)] = &[
    ("accepted", DeliveryStatus::Sent),
    ("buffered", DeliveryStatus::Buffered),
    ("delivered", DeliveryStatus::Delivered),
    ("expired", DeliveryStatus::Expired),
    ("failed", DeliveryStatus::Failed),
    ("rejected", DeliveryStatus::Rejected),
    ("unknown", DeliveryStatus::Unknown),
];
