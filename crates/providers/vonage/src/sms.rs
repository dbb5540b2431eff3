//! The SMS API: a form, Basic, HTTP 200 for failures too, and an entry for each part.
//!
//! Sources: Vonage's definitions 1.0.10 (2021) and 1.5.1 (2026) and its page "API Errors: SMS".

use std::{slice, time::Duration};

use postduif_core::{
    Acceptance, ConfigError, Encoding, ErrorKind, Health, Message, Outcomes, Price, Profile,
    Receipt, SendError, SmsProvider, async_trait, batch,
};
use postduif_http::{
    Proof, Redactor, Refusal, Request, Response, codes,
    vendor::{
        Code, Endpoint, EndpointBuilder, ReportUrl, check_about, has_value, reports::message_id,
        text,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::{
    IN_FLIGHT, PROFILE, SENDER,
    account::{Account, CREDENTIALS_REFUSED, CURRENCY, is_error, json, label},
    receipts::PARAMETERS as REPORT_PARAMETERS,
    wire_sender,
};

const HOST: &str = "https://rest.nexmo.com";
const SEND_PATH: &str = "/sms/json";
/// The maximum number of characters of a report URL.
const MAX_REPORT_URL: usize = 100;

#[derive(Debug)]
pub(crate) struct Sms {
    endpoint: Endpoint,
    account: Account,
    report_url: Option<ReportUrl>,
}

impl Sms {
    pub(crate) fn new(
        endpoint: EndpointBuilder,
        account: Account,
        report_url: Option<&SecretString>,
    ) -> Result<Self, ConfigError> {
        let report_url = report_url.map(|url| {
            let url = ReportUrl::parse(url.expose_secret())?;
            if url.expose().chars().count() > MAX_REPORT_URL {
                return Err(ConfigError::new(
                    "option report_url: invalid URL: expected at most 100 characters for the SMS API",
                ));
            }
            url.without_parameters("Vonage", &REPORT_PARAMETERS)
        });
        Ok(Self {
            endpoint: endpoint.build(PROFILE, HOST)?,
            account,
            report_url: report_url.transpose()?,
        })
    }

    fn request(&self, message: &Message) -> Result<Request, SendError> {
        let from = self.endpoint.wire_sender(message, wire_sender, SENDER)?;
        let to = message.to().msisdn().to_string();
        let ttl = message
            .validity()
            .map(|validity| validity.as_millis().to_string());
        let required = [
            ("from", from.as_str()),
            ("to", &to),
            ("text", message.text().as_str()),
            ("client-ref", message.reference().as_str()),
        ];
        let is_unicode = message.text().encoding() == Encoding::Ucs2;
        let optional = [
            // Without it, characters outside the GSM tables are lost.
            ("type", is_unicode.then_some("unicode")),
            ("ttl", ttl.as_deref()),
            ("callback", self.report_url.as_ref().map(ReportUrl::expose)),
        ];
        let present = optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let request = self.account.authorize(self.endpoint.post(SEND_PATH));
        Ok(request.with_form(required.into_iter().chain(present)))
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let response = self.endpoint.client().send(self.request(message)?).await?;
        match json(&response).filter(|body| has_value(&body["messages"])) {
            Some(body) if body["messages"].is_array() => {
                let receipt = self.endpoint.receipt_without_id(message);
                Parts::new(&body).outcome(&response, message, receipt)
            }
            _ => Err(refused(&response, message)),
        }
    }
}

#[async_trait]
impl SmsProvider for Sms {
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

    async fn check(&self) -> Result<Health, SendError> {
        let balance = self.account.balance(self.endpoint.client());
        self.endpoint.probe(balance).await
    }
}

/// Vonage's codes for a part of a message, and whether they prove that the part was not sent.
static STATUSES: &[Code] = codes! {
    "1" => Throttled, Below500, "too many requests";
    "2" => Protocol, Below500, "a parameter is missing";
    "3" => Misconfigured, Below500, "a parameter is invalid";
    "4" => Unauthorized, Below500, "the key or the secret was refused";
    "5" => Unavailable, Nothing, "Vonage failed";
    "6" => InvalidRecipient, Below500, "the number's prefix is unknown";
    "7" => Blocked, Below500, "the number is barred";
    "8" => Unauthorized, Below500, "the account is suspended";
    "9" => InsufficientBalance, Below500, "the account has no credit";
    "10" => Throttled, Below500, "too many connections";
    "11" => Misconfigured, Below500, "the account is not enabled for this API";
    "12" => InvalidText, Below500, "the text is too long";
    "13" => Unavailable, Nothing, "Vonage could not forward the text";
    "14" => Unauthorized, Below500, "the signature was refused";
    "15" => InvalidSender, Below500, "the sender is not allowed";
    "16" => Misconfigured, Below500, "the validity period is invalid";
    "17" => Blocked, Below500, "blocked for its content";
    "18" => Protocol, Below500, "the request has several recipients";
    "19" => Misconfigured, Below500, "the account has no permission";
    "20" => Misconfigured, Below500, "the message class is invalid";
    "22" => Misconfigured, Below500, "the network code is invalid";
    "23" => Misconfigured, Below500, "the report URL is invalid";
    "29" => Misconfigured, Below500, "a trial account sends to its test numbers only";
    "32" => Misconfigured, Below500, "the request has both a signature and a secret";
    "33" => InvalidRecipient, Below500, "the number is deactivated";
};

/// The kinds of error for the parameters that status 2 or 3 names.
static PARAMETERS: &[(&str, ErrorKind)] = &[
    ("api_key", ErrorKind::Unauthorized),
    ("api_secret", ErrorKind::Unauthorized),
    ("from", ErrorKind::InvalidSender),
    ("text", ErrorKind::InvalidText),
    ("to", ErrorKind::InvalidRecipient),
];

/// Returns the kind of error for the parameter that an error text names: "Missing to param", or "to address is not
/// numeric" at its start. Two of the names are common words, so a name counts only beside a related word.
fn kind_by_parameter(text: &str) -> Option<ErrorKind> {
    let words: Vec<_> = text
        .split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.iter().enumerate().find_map(|(index, word)| {
        let (_, kind) = PARAMETERS.iter().find(|(name, _)| name == word)?;
        let before = index.checked_sub(1).map(|before| words[before].as_str());
        let is_named = before.is_some_and(|before| {
            ["missing", "invalid"].contains(&before) || before.starts_with("param")
        });
        let after = words.get(index + 1).map_or("", String::as_str);
        let is_first = before.is_none() && ["address", "is", "must"].contains(&after);
        (is_named || is_first || after.starts_with("param")).then_some(*kind)
    })
}

/// Returns the delay of a throttled part. Three wordings are known: "please wait [ 250 ] and retry", in milliseconds;
/// the same without a number; and the length of the interval with its elapsed time.
fn delay(text: &str) -> Duration {
    let number = |name: &str| -> Option<u64> {
        let (_, rest) = text.split_once(name)?;
        let (number, _) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
        number.trim().parse().ok()
    };
    let left = || Some(number(" INTERVAL")?.saturating_sub(number("_INTERVAL_START")?));
    let millis = number("please wait").or_else(left).unwrap_or_default();
    Duration::from_millis(millis.clamp(1000, 5000))
}

/// Returns whether a response's status alone proves that the message was not read. A 401 needs Vonage's own refusal.
fn is_proven_by_status(response: &Response) -> bool {
    response.status() != 401 && response.refused(None).acceptance() == Acceptance::NotAccepted
}

/// Returns what a response without entries proves.
fn refused(response: &Response, message: &Message) -> SendError {
    let refusal = match response.status() {
        _ if is_proven_by_status(response) || !is_error(response) => None,
        401..=403 => Some(Refusal::new(ErrorKind::Unauthorized, CREDENTIALS_REFUSED)),
        400..=499 => Some(Refusal::new(
            ErrorKind::Protocol,
            "Vonage refused the request",
        )),
        _ => None,
    };
    // The status is not a code of Vonage's list.
    let code = response.status().to_string();
    let messages = slice::from_ref(message);
    let label = label(response);
    response.refused(refusal.map(|refusal| {
        refusal
            .with_unlisted_code(&code, messages)
            .with_vendor_message(label.as_deref(), &response.redactor(messages))
    }))
}

/// The entries of a response, one for each part.
struct Parts<'a> {
    all: &'a [Value],
    /// Whether there are fewer than the response's own count.
    is_short: bool,
    /// Whether the response has the whole of Vonage's shape: as many entries as it counts, and a text for each failure.
    is_complete: bool,
}

impl<'a> Parts<'a> {
    fn new(body: &'a Value) -> Self {
        let all = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let count = text(&body["message-count"]).and_then(|count| count.parse::<usize>().ok());
        let has_text = |entry: &Value| {
            let text = entry["error-text"].as_str().unwrap_or_default();
            is_accepted(entry) || !text.trim().is_empty()
        };
        Self {
            all,
            is_short: count.is_some_and(|count| count > all.len()),
            is_complete: count == Some(all.len()) && all.iter().all(has_text),
        }
    }

    /// Returns the outcome of the message: accepted if all of its parts are, refused if all of them provably are.
    /// Accepted parts beside refused ones are sent and charged, so the message is then in doubt.
    fn outcome(
        &self,
        response: &Response,
        message: &Message,
        receipt: Receipt,
    ) -> Result<Receipt, SendError> {
        let accepts_none = !self.all.iter().any(is_accepted);
        let is_foreign = self
            .all
            .iter()
            .any(|entry| check_about(&entry["client-ref"], &entry["to"], message).is_err());
        let is_contradiction = is_error(response)
            || self.all.iter().any(|entry| {
                !is_accepted(entry)
                    && text(&entry["message-id"]).is_some_and(|id| !id.trim().is_empty())
            });
        let is_whole = !self.is_short && !is_foreign && !is_contradiction;
        let redactor = response.redactor([message]);
        let failures: Vec<_> = self
            .all
            .iter()
            .filter(|entry| !is_accepted(entry))
            .map(|entry| failure(entry, message, &redactor))
            .collect();
        let Some((refusal, _)) = failures.first() else {
            return match self.accepted(receipt) {
                Some(receipt) if is_whole && response.status() == 200 => Ok(receipt),
                _ if response.status() >= 500 => Err(response.refused(None)),
                _ => Err(SendError::unknown(
                    ErrorKind::Protocol,
                    "the response does not report every part as accepted",
                )),
            };
        };
        if accepts_none && !is_contradiction && is_proven_by_status(response) {
            return Err(response.refused(None));
        }
        // Vonage refuses with 200. Another status needs the whole shape, since other servers list verdicts too. The
        // statuses of a timeout prove nothing.
        let gave_up = matches!(response.status(), 408 | 409 | 425 | 499);
        if accepts_none && !response.is_success() && (gave_up || !self.is_complete) {
            return Err(response.refused(None).in_doubt());
        }
        let error = response.refused(Some(refusal.clone()));
        let is_proven = failures.iter().all(|(_, proof)| *proof != Proof::Nothing);
        let is_refusal = response.status() == 200 || !response.is_success();
        if accepts_none && is_whole && is_proven && is_refusal {
            Err(error)
        } else {
            Err(error.in_doubt())
        }
    }

    /// Returns the receipt. `None` if a part has no usable id, which Vonage returns for each.
    fn accepted(&self, receipt: Receipt) -> Option<Receipt> {
        let ids = self
            .all
            .iter()
            .map(|entry| message_id(&entry["message-id"]));
        let ids: Vec<_> = ids.collect::<Option<_>>()?;
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

    /// Returns the total price of all parts. `None` if one has no price.
    fn price(&self) -> Option<Price> {
        let nanos = self.all.iter().try_fold(0_i64, |sum, entry| {
            let price = Price::new(&text(&entry["message-price"])?, CURRENCY).ok()?;
            sum.checked_add(price.nanos())
        })?;
        if nanos < 0 {
            return None;
        }
        Price::from_nanos(nanos, CURRENCY).ok()
    }
}

fn is_accepted(entry: &Value) -> bool {
    text(&entry["status"]).as_deref() == Some("0")
}

/// Returns why a part was not accepted.
fn failure(entry: &Value, message: &Message, redactor: &Redactor) -> (Refusal, Proof) {
    let code = text(&entry["status"]).unwrap_or_default();
    let error_text = entry["error-text"].as_str().unwrap_or_default();
    let Some(row) = Code::find(STATUSES, &code) else {
        let unlisted = "Vonage returned a status that is not in its list";
        let refusal =
            Refusal::new(ErrorKind::Other, unlisted).with_vendor_message([error_text], redactor);
        let messages = slice::from_ref(message);
        return (refusal.with_unlisted_code(&code, messages), Proof::Nothing);
    };
    let kind = match row.code {
        "2" | "3" => kind_by_parameter(error_text).unwrap_or(row.kind),
        _ => row.kind,
    };
    // Without its proof, which depends on the other parts too.
    let refusal = Refusal::new(kind, row.message)
        .with_code(row.code)
        .with_vendor_message([error_text], redactor);
    let refusal = match row.code {
        "1" => refusal.with_retry_after(delay(error_text)),
        _ => refusal,
    };
    (refusal, row.proof)
}
