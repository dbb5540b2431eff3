//! Classic, REST v1. A request carries one text to one recipient, since id and reference are those of the request.

use std::{num::NonZeroU32, time::Duration};

use chrono::SecondsFormat;
use postduif_core::{
    ConfigError, Encoding, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError,
    Sender, SenderKind, SmsProvider, TextLimit, async_trait, batch,
};
use postduif_http::{
    Proof, Refusal, Response, codes,
    vendor::{Code, EndpointBuilder, ReportUrl, check_about, price, reports::recipient, text},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Access, IN_FLIGHT, PROVIDER, failed_already, has_no_id,
    reports::{CLASSIC_PARAMETERS, normalized},
};

/// The capabilities of classic. Its limits for validity periods and schedules are not documented. A week is the default
/// in a secondary schema, and 35 days are the limit of channels. Nine parts are that schema's 1377 characters.
pub(crate) const PROFILE: Profile = Profile::new(PROVIDER)
    .with_senders(&[SenderKind::Alphanumeric, SenderKind::Number])
    .with_sender_required(true)
    .with_validity(Duration::from_secs(1), Duration::from_secs(7 * 86_400))
    .with_max_schedule_ahead(Duration::from_secs(35 * 86_400))
    .with_longest_text(TextLimit::Parts(9))
    .with_reports(true)
    .with_rate(NonZeroU32::new(500).unwrap());

const HOST: &str = "https://rest.messagebird.com";
const SEND_PATH: &str = "/messages";
const BALANCE_PATH: &str = "/balance";
const SENDER: &str = "expected a name other than inbox, or a number";

#[derive(Debug)]
pub(crate) struct Classic {
    access: Access,
    report_url: Option<ReportUrl>,
}

impl Classic {
    pub(crate) fn new(
        endpoint: EndpointBuilder,
        key: &SecretString,
        report_url: Option<&SecretString>,
    ) -> Result<Self, ConfigError> {
        endpoint.check_sender(|sender| wire_sender(sender).is_some(), SENDER)?;
        let report_url = report_url.map(|url| {
            ReportUrl::parse(url.expose_secret())?
                .without_parameters("MessageBird", &CLASSIC_PARAMETERS)
        });
        Ok(Self {
            access: Access::new(endpoint.build(PROFILE, HOST)?, "AccessKey", key)?,
            report_url: report_url.transpose()?,
        })
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let body = self.body(message)?;
        let request = self.access.post(SEND_PATH).with_json(&body);
        let response = self.access.send(request).await?;
        if !response.is_success() {
            has_no_id(&response)?;
            return Err(refused(&response, Some(message)));
        }
        if faults(&response).is_some() {
            return Err(Response::contradiction());
        }
        self.outcome(response.json()?, message)
    }

    async fn balance(&self) -> Result<Health, SendError> {
        let response = self.access.ask(self.access.get(BALANCE_PATH)).await?;
        if !response.is_success() {
            return Err(refused(&response, None));
        }
        let balance: Balance = response.json()?;
        let is_money = balance.payment == "prepaid" && balance.unit == EUROS;
        Ok(match price(&balance.amount, &"EUR".into()) {
            Some(price) if is_money => Health::verified().with_balance(price),
            _ => Health::verified(),
        })
    }

    fn body<'a>(&'a self, message: &'a Message) -> Result<SendBody<'a>, SendError> {
        let endpoint = &self.access.endpoint;
        Ok(SendBody {
            originator: endpoint.wire_sender(message, wire_sender, SENDER)?,
            recipients: [message.to().msisdn().to_string()],
            body: message.text().as_str(),
            datacoding: match message.text().encoding() {
                Encoding::Gsm7 => "plain",
                Encoding::Ucs2 => "unicode",
            },
            reference: message.reference().as_str(),
            report_url: self.report_url.as_ref().map(ReportUrl::expose),
            validity: message.validity().map(|period| period.as_secs()),
            scheduled_datetime: message
                .send_at()
                .map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, false)),
        })
    }

    /// Returns the outcome of a success. A missing number proves a refusal only if the response counts no recipient at
    /// all: that invalid numbers are dropped is inferred from the text of error 9, and not documented.
    fn outcome(&self, created: Created, message: &Message) -> Result<Receipt, SendError> {
        check_about(&created.reference, &Value::Null, message)?;
        let Recipients {
            total_count,
            total_sent_count,
            items,
        } = created.recipients;
        let ours =
            |item: &&Item| recipient(&item.recipient).is_some_and(|number| number == message.to());
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
        let receipt = self.access.receipt(&created.id, parts, message)?;
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
                    "the number is invalid: the request has no recipient left",
                ))
            }
            None => Err(SendError::unknown(
                ErrorKind::Protocol,
                "the response does not have the number",
            )),
        }
    }
}

/// Returns a sender in classic's format: digits of a number, or a name. `None` for `inbox`, which would select one of
/// the account's numbers instead.
fn wire_sender(sender: &Sender) -> Option<String> {
    match sender.number() {
        Some(number) => Some(number.msisdn().to_string()),
        None => Some(sender.to_string()).filter(|name| !name.eq_ignore_ascii_case("inbox")),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SendBody<'a> {
    originator: String,
    recipients: [String; 1],
    body: &'a str,
    /// Defaults to `plain`, which silently replaces characters outside GSM 03.38.
    datacoding: &'static str,
    /// Required for reports: without it, MessageBird sends none.
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
    /// Returns the error of an item that has failed already, as was observed in responses.
    fn error(&self) -> SendError {
        let code = self.status_error_code.as_u64();
        let reason = text(&self.status_reason).unwrap_or_default();
        let error = failed_already(network_kind(code, &reason));
        match code {
            Some(code @ 1..=999) => error.with_code(code.to_string()),
            _ => error,
        }
    }
}

/// The vendor's codes for network errors. 1, 2, 3, 5, 34, 103 and 104 are from its pages or live records; the others
/// are the GSM MAP codes that its list follows.
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

/// Returns the meaning of the code, or of the reason if there is no code or it is the vendor's own.
fn network_kind(code: Option<u64>, reason: &str) -> ErrorKind {
    let known = NETWORK_CODES
        .iter()
        .find(|(codes, _)| code.is_some_and(|code| codes.contains(&code)));
    match (known, code, normalized(reason).as_str()) {
        (Some((_, kind)), ..) => *kind,
        (None, Some(37..=100), _) => ErrorKind::Other,
        (None, _, "carrier_rejected") => ErrorKind::Blocked,
        (None, None, "unknown_subscriber") => ErrorKind::InvalidRecipient,
        _ => ErrorKind::Other,
    }
}

/// Classic's error shape. Each code has a description, since filters write bare codes too.
#[derive(Deserialize)]
struct ErrorBody {
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: i64,
    description: String,
    #[serde(default)]
    parameter: Value,
}

/// Returns the errors of classic. `None` if classic did not write the body.
fn faults(response: &Response) -> Option<Vec<Fault>> {
    let ErrorBody { errors } = response.json().ok()?;
    let is_described = |fault: &Fault| !fault.description.trim().is_empty();
    (!errors.is_empty() && errors.iter().all(is_described)).then_some(errors)
}

const NOT_ENOUGH_BALANCE: &str = "25";
const INTERNAL_ERROR: i64 = 99;

/// The statuses at which validation errors were observed.
const INVALID: &[u16] = &[400, 422];

/// Classic's codes by their statuses and parameters. Rows without a parameter match any other.
static CODES: &[(&[u16], &[&str], &[Code])] = &[
    (
        INVALID,
        &["recipient", "recipients"],
        codes! {
            "9" => InvalidRecipient, Below500, "no valid recipient";
            "10" => InvalidRecipient, Below500, "the recipient is invalid";
        },
    ),
    (
        INVALID,
        &["originator"],
        codes! {
            "9" => InvalidSender, Below500, "the sender is missing";
            "10" => InvalidSender, Below500, "the sender is invalid";
        },
    ),
    (
        INVALID,
        &["body"],
        codes! { "9" => InvalidText, Below500, "the text is missing"; },
    ),
    (
        INVALID,
        &["body", "datacoding"],
        codes! { "10" => InvalidText, Below500, "the text is invalid"; },
    ),
    (
        INVALID,
        &[],
        codes! {
            "9" => Misconfigured, Below500, "a required field of the request is missing";
            "10" => Misconfigured, Below500, "a field of the request is invalid";
            "21" => Misconfigured, Below500, "the request cannot be read";
        },
    ),
    (
        &[401, 403],
        &[],
        codes! { "2" => Unauthorized, Below500, "the key was refused"; },
    ),
    (
        &[404],
        &[],
        codes! { "20" => Misconfigured, Below500, "there is nothing at the configured address"; },
    ),
    (
        &[400, 402, 422],
        &[],
        codes! { NOT_ENOUGH_BALANCE => InsufficientBalance, Below500, "the account has no credit"; },
    ),
    (
        &[404, 405],
        &[],
        codes! { "98" => Misconfigured, Below500, "there is no API at the configured address"; },
    ),
];

impl Fault {
    /// Returns the row of its code and parameter at this status. `None` if no row matches.
    fn row(&self, status: u16) -> Option<&'static Code> {
        let code = self.code.to_string();
        let parameter = self.parameter.as_str().unwrap_or_default();
        let rows = CODES.iter().filter(|(statuses, parameters, _)| {
            statuses.contains(&status) && (parameters.is_empty() || parameters.contains(&parameter))
        });
        rows.flat_map(|(.., rows)| *rows)
            .find(|row| row.code == code)
    }
}

/// Returns what a response that is not a success proves.
fn refused(response: &Response, message: Option<&Message>) -> SendError {
    let Some(errors) = faults(response) else {
        return response.refused(None);
    };
    let redactor = response.redactor(message);
    let with_words = |refusal: Refusal| {
        let words = errors.iter().map(|fault| fault.description.as_str());
        refusal.with_vendor_message(words, &redactor)
    };
    if errors.iter().any(|fault| fault.code == INTERNAL_ERROR) {
        let refusal = Refusal::new(ErrorKind::Unavailable, "MessageBird failed").with_code("99");
        return response.refused(Some(with_words(refusal.with_proof(Proof::Nothing))));
    }
    let mut rows = errors
        .iter()
        .filter_map(|fault| fault.row(response.status()));
    // As in the vendor's PHP SDK.
    let balance = rows.clone().find(|row| row.code == NOT_ENOUGH_BALANCE);
    // An unlisted code may be another server's: a firewall writes codes with descriptions too.
    let row = balance.or_else(|| rows.next());
    response.refused(row.map(|row| with_words(row.refusal())))
}

#[derive(Deserialize)]
struct Balance {
    payment: String,
    #[serde(rename = "type")]
    unit: String,
    amount: Value,
}

/// The only known currency; credits are not money.
const EUROS: &str = "euros";

#[async_trait]
impl SmsProvider for Classic {
    fn profile(&self) -> &Profile {
        self.access.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let accepts = |message: &Message| self.body(message).is_ok();
        let message = &self.access.endpoint.fit_where(message, accepts);
        let exchange = self.exchange(message);
        self.access.endpoint.send_one(message, exchange).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    /// Requests the balance. It is returned for prepaid accounts in euros.
    async fn check(&self) -> Result<Health, SendError> {
        self.access.endpoint.probe(self.balance()).await
    }
}
