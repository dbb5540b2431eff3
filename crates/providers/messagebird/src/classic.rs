//! Classic, REST v1: one text to one recipient a request, since id and reference are the request's.

use std::{num::NonZeroU32, time::Duration};

use chrono::SecondsFormat;
use postduif_core::{
    ConfigError, Encoding, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError,
    Sender, SenderKind, SmsProvider, TextLimit, async_trait, batch,
};
use postduif_http::{
    Proof, Refusal, Response, codes,
    vendor::{Code, EndpointBuilder, ReportUrl, reports::recipient, text},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Access, IN_FLIGHT, PROVIDER, failed_already, gives_no_id, is_about, price,
    reports::{CLASSIC_PARAMETERS, reason_word},
};

/// What classic can do. It names bounds neither for validity periods nor for schedules: a week is its
/// default by a secondary schema, and 35 days are what the vendor's own channels take. Nine parts are that
/// schema's 1377 characters.
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
        endpoint.check_sender(
            |sender| wire_sender(sender).is_some(),
            "classic takes a name other than inbox, or a number",
        )?;
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
            gives_no_id(&response)?;
            return Err(refused(&response));
        }
        if faults(&response).is_some() {
            return Err(Response::contradiction());
        }
        self.outcome(response.json()?, message)
    }

    async fn balance(&self) -> Result<Health, SendError> {
        let response = self.access.ask(self.access.get(BALANCE_PATH)).await?;
        if !response.is_success() {
            return Err(refused(&response));
        }
        let balance: Balance = response.json()?;
        let is_money = balance.payment == "prepaid" && balance.unit == EUROS;
        Ok(match price(&balance.amount, &"EUR".into()) {
            Some(price) if is_money => Health::verified().with_balance(price),
            _ => Health::verified(),
        })
    }

    fn body<'a>(&'a self, message: &'a Message) -> Result<SendBody<'a>, SendError> {
        Ok(SendBody {
            originator: self.access.endpoint.wire_sender(
                message,
                wire_sender,
                "inbox is no name, it chooses among the account's numbers",
            )?,
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

    /// Returns what a success says of the message. That its number is missing proves a refusal only where the
    /// response counts no recipient at all: that bad numbers are dropped is inferred from the wording of
    /// error 9, and nobody documents it.
    fn outcome(&self, created: Created, message: &Message) -> Result<Receipt, SendError> {
        is_about(&created.reference, message)?;
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
                    "the number is not valid: the request had no recipient left",
                ))
            }
            None => Err(SendError::unknown(
                ErrorKind::Protocol,
                "the response does not mention the number",
            )),
        }
    }
}

/// Returns a sender as classic takes it: digits of a number, or a name. `None` for a short code, and for `inbox`, which
/// would choose among the account's numbers instead.
fn wire_sender(sender: &Sender) -> Option<String> {
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
    /// Returns the error of an item that had failed when the request was answered, as was observed.
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

/// Returns what the number means, or the reason where there is no number or it is the vendor's own.
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

/// Classic's one error shape, with words beside each code: filters write bare codes too. Anything else is not
/// classic's.
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

/// Returns what classic says is wrong. `None` where classic did not write the body.
fn faults(response: &Response) -> Option<Vec<Fault>> {
    let ErrorBody { errors } = response.json().ok()?;
    let has_words = |fault: &Fault| !fault.description.trim().is_empty();
    (!errors.is_empty() && errors.iter().all(has_words)).then_some(errors)
}

const NOT_ENOUGH_BALANCE: &str = "25";
const INTERNAL_ERROR: i64 = 99;

/// The statuses that validation was seen with.
const INVALID: &[u16] = &[400, 422];

/// Classic's codes by the statuses that they come with, and by the parameters for which they hold. Rows without a
/// parameter hold for the rest.
static CODES: &[(&[u16], &[&str], &[Code])] = &[
    (
        INVALID,
        &["recipient", "recipients"],
        codes! {
            "9" => InvalidRecipient, Below500, "no recipient that can be sent to";
            "10" => InvalidRecipient, Below500, "the recipient is not valid";
        },
    ),
    (
        INVALID,
        &["originator"],
        codes! {
            "9" => InvalidSender, Below500, "the sender is missing";
            "10" => InvalidSender, Below500, "the sender is not valid";
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
        codes! { "10" => InvalidText, Below500, "the text is not valid"; },
    ),
    (
        INVALID,
        &[],
        codes! {
            "9" => Misconfigured, Below500, "something that the request needs is missing";
            "10" => Misconfigured, Below500, "a field of the request is not valid";
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
    /// Returns the row of its code and parameter, where the code comes with this status.
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
fn refused(response: &Response) -> SendError {
    let Some(errors) = faults(response) else {
        return response.refused(None);
    };
    if errors.iter().any(|fault| fault.code == INTERNAL_ERROR) {
        let refusal = Refusal::new(ErrorKind::Unavailable, "MessageBird failed").with_code("99");
        return response.refused(Some(refusal.with_proof(Proof::Nothing)));
    }
    let mut rows = errors
        .iter()
        .filter_map(|fault| fault.row(response.status()));
    // As in the vendor's PHP SDK.
    let balance = rows.clone().find(|row| row.code == NOT_ENOUGH_BALANCE);
    // What is not listed may be another server's: a firewall writes numbers and words too.
    response.refused(balance.or_else(|| rows.next()).map(Code::refusal))
}

#[derive(Deserialize)]
struct Balance {
    payment: String,
    #[serde(rename = "type")]
    unit: String,
    amount: Value,
}

/// The only name of a currency that is known; credits are not money.
const EUROS: &str = "euros";

#[async_trait]
impl SmsProvider for Classic {
    fn profile(&self) -> &Profile {
        self.access.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let exchange = self.exchange(message);
        self.access.endpoint.send_one(message, exchange).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    /// Asks for the balance, which is given where it is money that was paid before.
    async fn check(&self) -> Result<Health, SendError> {
        self.access.endpoint.probe(self.balance()).await
    }
}
