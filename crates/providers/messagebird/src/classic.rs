//! Classic, REST v1: one text to one recipient a call, since id and reference are the call's.

use std::{num::NonZeroU32, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use postduif_core::{
    Acceptance, Authenticity, ConfigError, DeliveryReport, DeliveryStatus, Encoding, ErrorKind,
    Health, Message, Outcomes, PhoneNumber, Profile, Receipt, ReportError, ReportParser,
    ReportRequest, SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait,
};
use postduif_http::{
    Refusal, ReportUrl, Response, query_parameter,
    signature::{hmac_claims, is_secret},
    signing_secrets,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Vendor, gives_no_id, hex_sum, is_about, price, report_code, report_id, send_singly, status,
    text,
};

/// What classic can do. It names bounds neither for validity periods nor for schedules: a week is its
/// default by a secondary schema, and 35 days are what the vendor's own channels take. Nine parts are that
/// schema's 1377 characters.
pub(crate) const PROFILE: Profile = Profile::new("messagebird")
    .with_senders(&[SenderKind::Alphanumeric, SenderKind::Number])
    .with_sender_required(true)
    .with_validity(Duration::from_secs(1), Duration::from_secs(7 * 86_400))
    .with_max_schedule_ahead(Duration::from_secs(35 * 86_400))
    .with_longest_text(TextLimit::Parts(9))
    .with_reports(true)
    .with_rate(NonZeroU32::new(500).unwrap());

pub(crate) const HOST: &str = "https://rest.messagebird.com";
const SEND_PATH: &str = "/messages";
const BALANCE_PATH: &str = "/balance";

#[derive(Debug)]
pub(crate) struct Classic {
    vendor: Vendor,
    /// The sender of messages that name none.
    sender: Option<Sender>,
    report_url: Option<ReportUrl>,
}

impl Classic {
    pub(crate) fn new(
        vendor: Vendor,
        sender: Option<Sender>,
        report_url: Option<ReportUrl>,
    ) -> Result<Self, ConfigError> {
        if sender
            .as_ref()
            .is_some_and(|sender| originator(sender).is_none())
        {
            return Err(ConfigError::new(
                "option sender: classic takes a name other than inbox, or a number",
            ));
        }
        Ok(Self {
            vendor: Vendor {
                profile: PROFILE.with_sender_required(sender.is_none()),
                ..vendor
            },
            sender,
            report_url,
        })
    }

    async fn attempt(&self, message: &Message) -> Result<Receipt, SendError> {
        let body = self.body(message)?;
        let request = self.vendor.post(SEND_PATH).with_json(&body);
        let answer = self.vendor.client.send(request).await?;
        if !answer.is_success() {
            gives_no_id(&answer)?;
            return Err(refused(&answer));
        }
        if faults(&answer).is_some() {
            return Err(Response::contradiction());
        }
        self.outcome(answer.json()?, message)
    }

    async fn probe(&self) -> Result<Health, SendError> {
        let request = self.vendor.get(BALANCE_PATH);
        let answer = self.vendor.client.ask(request).await?;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        let balance: Balance = answer.json()?;
        let money = balance.payment == "prepaid" && balance.unit == EUROS;
        Ok(match price(&balance.amount, &"EUR".into()) {
            Some(price) if money => Health::verified().with_balance(price),
            _ => Health::verified(),
        })
    }

    fn body<'a>(&'a self, message: &'a Message) -> Result<SendBody<'a>, SendError> {
        self.vendor.profile.validate(message)?;
        let originator = message
            .sender()
            .or(self.sender.as_ref())
            .and_then(originator)
            .ok_or(SendError::not_accepted(
                ErrorKind::InvalidSender,
                "inbox is no name, it chooses among the account's numbers",
            ))?;
        Ok(SendBody {
            originator,
            recipients: [message.to().msisdn().to_string()],
            body: message.text().as_str(),
            datacoding: match message.text().encoding() {
                Encoding::Gsm7 => "plain",
                Encoding::Ucs2 => "unicode",
            },
            reference: message.reference().as_str(),
            report_url: self.report_url.as_ref().map(ReportUrl::expose),
            validity: message.validity().map(|wish| wish.as_secs()),
            scheduled_datetime: message
                .send_at()
                .map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, false)),
        })
    }

    /// What a success says of the message. That its number is missing proves a refusal only where the
    /// answer counts no recipient at all: that bad numbers are dropped is inferred from the wording of
    /// error 9, and nobody documents it.
    fn outcome(&self, created: Created, message: &Message) -> Result<Receipt, SendError> {
        is_about(&created.reference, message)?;
        let Recipients {
            total_count,
            total_sent_count,
            items,
        } = created.recipients;
        let ours = |item: &&Item| {
            text(&item.recipient).is_some_and(|number| {
                PhoneNumber::from_msisdn(&number).is_ok_and(|number| number == message.to())
            })
        };
        if let Some(failed) = items
            .iter()
            .flatten()
            .filter(ours)
            .find(|item| matches!(item.status.as_str(), Some("delivery_failed" | "expired")))
        {
            return Err(failed.error());
        }
        let item = items.iter().flatten().find(ours);
        let parts = item.map_or(&Value::Null, |item| &item.message_part_count);
        let receipt = self.vendor.receipt(&created.id, parts, message)?;
        match item {
            Some(item) => Ok(
                match price(&item.price["amount"], &item.price["currency"]) {
                    Some(price) => receipt.with_price(price),
                    None => receipt,
                },
            ),
            None if items.as_ref().is_some_and(Vec::is_empty)
                && total_count == Some(0)
                && total_sent_count.unwrap_or_default() == 0 =>
            {
                Err(SendError::not_accepted(
                    ErrorKind::InvalidRecipient,
                    "the number is not valid: the call had no recipient left",
                ))
            }
            None => Err(SendError::unknown(
                ErrorKind::Protocol,
                "the answer does not mention the number",
            )),
        }
    }
}

/// A sender as classic takes it: digits of a number, or a name. `inbox` would choose among the account's
/// numbers instead.
fn originator(sender: &Sender) -> Option<String> {
    match sender.number() {
        Some(number) => Some(number.msisdn().to_string()),
        None if sender.kind() == SenderKind::ShortCode => None,
        None => Some(sender.to_string()).filter(|name| !name.eq_ignore_ascii_case("inbox")),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SendBody<'a> {
    originator: String,
    recipients: [String; 1],
    body: &'a str,
    /// Left out it is `plain`, which replaces what is outside GSM 03.38 without a word.
    datacoding: &'static str,
    /// Without it no report is sent at all.
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    report_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_datetime: Option<String>,
}

#[derive(Deserialize)]
struct Created {
    id: String,
    #[serde(default)]
    reference: Value,
    #[serde(default)]
    recipients: Recipients,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Recipients {
    total_count: Option<u64>,
    total_sent_count: Option<u64>,
    items: Option<Vec<Item>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Item {
    recipient: Value,
    status: Value,
    status_reason: Value,
    status_error_code: Value,
    message_part_count: Value,
    price: Value,
}

impl Item {
    /// An item that had failed when the call was answered: observed, and no page says whether anything
    /// went out.
    fn error(&self) -> SendError {
        let code = self.status_error_code.as_u64();
        let reason = text(&self.status_reason).unwrap_or_default();
        let error = SendError::unknown(
            network_kind(code, &reason),
            "the message had failed when the call was answered",
        );
        match code {
            Some(code @ 1..=999) => error.with_code(code.to_string()),
            _ => error,
        }
    }
}

/// The vendor's numbers for what went wrong in a network. 1, 2, 3, 5, 34, 103 and 104 come from its pages or
/// live records; the others are the GSM MAP numbers that its list follows.
static NETWORK_CODES: &[(&[u64], ErrorKind)] = &[
    (
        &[1, 2, 3, 5, 7, 9, 10, 11, 12, 21],
        ErrorKind::InvalidRecipient,
    ),
    (&[13, 103], ErrorKind::Blocked),
    (&[34, 35, 36], ErrorKind::Unavailable),
    (&[6, 8, 27, 31, 32, 33], ErrorKind::Other),
    (&[104], ErrorKind::InvalidSender),
];

/// What the number means, and the reason where there is none or the number is the vendor's own.
fn network_kind(code: Option<u64>, reason: &str) -> ErrorKind {
    let known = NETWORK_CODES
        .iter()
        .find(|(codes, _)| code.is_some_and(|code| codes.contains(&code)));
    match (known, code, reason_word(reason).as_str()) {
        (Some((_, kind)), ..) => *kind,
        (None, Some(37..=100), _) => ErrorKind::Other,
        (None, _, "carrier_rejected") => ErrorKind::Blocked,
        (None, None, "unknown_subscriber") => ErrorKind::InvalidRecipient,
        _ => ErrorKind::Other,
    }
}

/// Without case; spaces and underscores are one.
fn reason_word(reason: &str) -> String {
    reason.trim().to_ascii_lowercase().replace(' ', "_")
}

/// Classic's one error shape, with words beside each code: filters write bare codes too. Anything else is
/// somebody else speaking.
#[derive(Deserialize)]
struct Spoken {
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: i64,
    description: String,
    #[serde(default)]
    parameter: Value,
}

/// What classic says is wrong. None where it is not classic speaking.
fn faults(answer: &Response) -> Option<Vec<Fault>> {
    let Spoken { errors } = answer.json().ok()?;
    let has_words = |fault: &Fault| !fault.description.trim().is_empty();
    (!errors.is_empty() && errors.iter().all(has_words)).then_some(errors)
}

const NOT_ENOUGH_BALANCE: i64 = 25;
const INTERNAL_ERROR: i64 = 99;

/// The statuses that validation was seen with.
const INVALID: &[u16] = &[400, 422];

/// A code and the statuses that it comes with, the parameters for which the row holds (a row without any holds
/// for the rest), and what it means.
type Row = (
    i64,
    &'static [u16],
    &'static [&'static str],
    ErrorKind,
    &'static str,
);

/// Classic's codes.
static CODES: &[Row] = &[
    (
        2,
        &[401, 403],
        &[],
        ErrorKind::Unauthorized,
        "the key was refused",
    ),
    (
        9,
        INVALID,
        &["recipient", "recipients"],
        ErrorKind::InvalidRecipient,
        "no recipient that can be sent to",
    ),
    (
        9,
        INVALID,
        &["originator"],
        ErrorKind::InvalidSender,
        "the sender is missing",
    ),
    (
        9,
        INVALID,
        &["body"],
        ErrorKind::InvalidText,
        "the text is missing",
    ),
    (
        9,
        INVALID,
        &[],
        ErrorKind::Misconfigured,
        "something that the call needs is missing",
    ),
    (
        10,
        INVALID,
        &["recipient", "recipients"],
        ErrorKind::InvalidRecipient,
        "the recipient is not valid",
    ),
    (
        10,
        INVALID,
        &["originator"],
        ErrorKind::InvalidSender,
        "the sender is not valid",
    ),
    (
        10,
        INVALID,
        &["body", "datacoding"],
        ErrorKind::InvalidText,
        "the text is not valid",
    ),
    (
        10,
        INVALID,
        &[],
        ErrorKind::Misconfigured,
        "a field of the call is not valid",
    ),
    (
        20,
        &[404],
        &[],
        ErrorKind::Misconfigured,
        "there is nothing at the configured address",
    ),
    (
        21,
        INVALID,
        &[],
        ErrorKind::Misconfigured,
        "the call cannot be read",
    ),
    (
        NOT_ENOUGH_BALANCE,
        &[400, 402, 422],
        &[],
        ErrorKind::InsufficientBalance,
        "the account has no credit",
    ),
    (
        98,
        &[404, 405],
        &[],
        ErrorKind::Misconfigured,
        "there is no API at the configured address",
    ),
];

impl Fault {
    /// The row of its code and parameter, where the code comes with this status.
    fn row(&self, status: u16) -> Option<&'static Row> {
        let parameter = self.parameter.as_str().unwrap_or_default();
        CODES.iter().find(|(code, statuses, parameters, ..)| {
            *code == self.code
                && statuses.contains(&status)
                && (parameters.is_empty() || parameters.contains(&parameter))
        })
    }
}

/// What an answer proves that is no success.
fn refused(answer: &Response) -> SendError {
    let by_status = answer.refused(None);
    let Some(errors) = faults(answer) else {
        return by_status;
    };
    if errors.iter().any(|fault| fault.code == INTERNAL_ERROR) {
        if by_status.acceptance() == Acceptance::NotAccepted {
            return by_status;
        }
        let refusal = Refusal::new(ErrorKind::Unavailable, "MessageBird failed").with_code("99");
        return answer.refused(Some(refusal)).in_doubt();
    }
    let mut rows = errors.iter().filter_map(|fault| fault.row(answer.status()));
    // As in the vendor's PHP SDK.
    let balance = rows.clone().find(|(code, ..)| *code == NOT_ENOUGH_BALANCE);
    // What is not listed may be another server's: a firewall writes numbers and words too.
    match balance.or_else(|| rows.next()) {
        Some((code, _, _, kind, words)) => answer.refused(Some(
            Refusal::new(*kind, *words).with_code(code.to_string()),
        )),
        None => by_status,
    }
}

#[derive(Deserialize)]
struct Balance {
    payment: String,
    #[serde(rename = "type")]
    unit: String,
    amount: Value,
}

/// The only name of a currency that is known; credits are none, and other names stay untold.
const EUROS: &str = "euros";

#[async_trait]
impl SmsProvider for Classic {
    fn profile(&self) -> &Profile {
        &self.vendor.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.attempt(message)
            .await
            .map_err(|error| self.vendor.named(error))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        send_singly(self, messages).await
    }

    /// Asks for the balance, which is told where it is money that was paid before.
    async fn check(&self) -> Result<Health, SendError> {
        let health = self.probe().await;
        Health::of(health.map_err(|error| self.vendor.named(error)))
    }
}

/// Classic's delivery reports: signed over URL, body and time by `MessageBird-Signature-JWT`.
///
/// The URL is part of what is signed, so the configured public origin must be exactly what MessageBird
/// calls. The older `MessageBird-Signature` proves neither host nor path and is not believed: a report with
/// it alone is refused. A signature holds for a minute, in which it can be repeated; a repeated report says
/// the same again. Answer with `OK`.
pub struct ClassicReports {
    secrets: Vec<SecretString>,
}

impl ClassicReports {
    /// Believes what any of these signing keys signed: several while one is being replaced. A signing key
    /// is no access key; it stands beside it in the developer settings.
    ///
    /// # Errors
    ///
    /// Where there is none, or one is blank.
    pub fn new(signing_keys: Vec<SecretString>) -> Result<Self, ConfigError> {
        signing_secrets(
            signing_keys,
            "MessageBird signs its reports: give the signing key of the developer settings",
        )
        .map(|secrets| Self { secrets })
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        let token = request
            .header("messagebird-signature-jwt")?
            .filter(|token| !token.is_empty())
            .ok_or(ReportError::unsigned(
                "the report has no MessageBird-Signature-JWT",
            ))?;
        // MessageBird signs with HS256; its own reference cases take the other two as well.
        let claims: Claims = serde_json::from_slice(&hmac_claims(token, &self.secrets)?)
            .map_err(|_| ReportError::malformed("the signature lacks what it must claim"))?;
        if claims.iss != "MessageBird" || claims.jti.is_empty() {
            return Err(ReportError::forged("the signature is not MessageBird's"));
        }
        let now = now.timestamp();
        let begins = claims.nbf.max(claims.iat.unwrap_or(claims.nbf));
        if begins.saturating_sub(LEEWAY) > now || claims.exp.saturating_add(LEEWAY) < now {
            return Err(ReportError::stale(
                "the signature is too old, or from the future",
            ));
        }
        if !is_sum(&claims.url_hash, request.url().as_bytes()) {
            return Err(ReportError::forged("the signature is for another URL"));
        }
        let whole = match (claims.payload_hash, request.body()) {
            (None, []) => true,
            (None, _) | (Some(_), []) => false,
            (Some(sum), body) => is_sum(&sum, body),
        };
        if !whole {
            return Err(ReportError::forged("the signature is for another body"));
        }
        Ok(())
    }
}

/// By how many seconds the clocks may differ: what the vendor's Node SDK allows, the most of its SDKs.
const LEEWAY: i64 = 5;

#[derive(Deserialize)]
struct Claims {
    iss: String,
    nbf: i64,
    exp: i64,
    #[serde(default)]
    iat: Option<i64>,
    jti: String,
    url_hash: String,
    #[serde(default)]
    payload_hash: Option<String>,
}

/// Whether this is the SHA-256 of the data, in lower-case hexadecimal digits.
fn is_sum(claimed: &str, data: &[u8]) -> bool {
    is_secret(&[hex_sum(data).into()], claimed)
}

impl std::fmt::Debug for ClassicReports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClassicReports").finish_non_exhaustive()
    }
}

impl ReportParser for ClassicReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request, now)?;
        // Reports come by GET; that a POST has the same fields, as a form, is the reading of others.
        let form = (!request.body().is_empty())
            .then(|| str::from_utf8(request.body()).map(|body| format!("?{body}")))
            .transpose()
            .map_err(|_| ReportError::malformed("the report is not text"))?;
        let url = form.as_deref().unwrap_or(request.url());
        let field = |name| {
            query_parameter(url, name).map(|value| value.filter(|value| !value.trim().is_empty()))
        };
        let word = field("status")?.ok_or(ReportError::malformed("the report tells no status"))?;
        let mut report = DeliveryReport::new(PROFILE.owned_name(), status(STATUSES, &word));
        if let Some(reference) = field("reference")? {
            report = report.with_reference_text(&reference);
        }
        report.id = field("id")?.as_deref().and_then(report_id);
        report.recipient =
            field("recipient")?.and_then(|number| PhoneNumber::from_msisdn(&number).ok());
        let reason = field("statusReason")?.map(|reason| reason_word(&reason));
        report.code = field("statusErrorCode")?
            .and_then(|code| report_code(code.trim()))
            .or_else(|| listed_reason(reason.as_deref()));
        // The plus of the zone arrives bare too, and a form reads it as a space.
        report.at = field("statusDatetime")?
            .and_then(|time| DateTime::parse_from_rfc3339(&time.replace(' ', "+")).ok())
            .map(|time| time.to_utc());
        report.price = match (field("price[amount]")?, field("price[currency]")?) {
            (Some(amount), Some(currency)) => price(&amount.into(), &currency.into()),
            _ => None,
        };
        Ok(vec![report])
    }
}

/// What a report tells, as query parameters.
pub(crate) const REPORT_PARAMETERS: [&str; 9] = [
    "id",
    "price[amount]",
    "price[currency]",
    "recipient",
    "reference",
    "status",
    "statusDatetime",
    "statusErrorCode",
    "statusReason",
];

/// How far a text has come.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("scheduled", DeliveryStatus::Buffered),
    ("sent", DeliveryStatus::Sent),
    ("buffered", DeliveryStatus::Buffered),
    ("delivered", DeliveryStatus::Delivered),
    ("expired", DeliveryStatus::Expired),
    ("delivery_failed", DeliveryStatus::Failed),
];

/// The reasons of failures that were seen, for reports without a number.
static REASONS: &[&str] = &[
    "capacity_limit_reached",
    "carrier_rejected",
    "dlr_not_received",
    "expired",
    "received_network_error",
    "unavailable_subscriber",
    "unknown_subscriber",
];

/// A reason as a code.
pub(crate) fn listed_reason(reason: Option<&str>) -> Option<String> {
    let known = REASONS.iter().find(|known| Some(**known) == reason);
    known.map(|known| (*known).to_owned())
}
