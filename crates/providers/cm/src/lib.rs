//! [CM.com](https://developers.cm.com/messaging/docs) as a provider: its Business Messaging API, version 1.0, in JSON.
//!
//! CM returns no id: the response and the delivery reports identify a message by its
//! [`Reference`](postduif_core::Reference) alone. A request carries up to 1000 messages with different texts and
//! senders, each with a separate verdict. CM has no idempotency key: a message whose response is lost stays in doubt.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_cm as cm; }
//! use postduif::{cm::Cm, Message, SmsProvider as _, Text};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let cm = Cm::from_url("cm://product-token@default?sender=Contoso")?;
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = cm.send(&message).await?;
//! println!("accepted as {}, in {:?} parts", receipt.reference(), receipt.parts());
//! # Ok(())
//! # }
//! ```
//!
//! | URL option | meaning |
//! |---|---|
//! | `token` | the product token, if it is not before the `@` |
//! | `sender` | a name of 3 to 11 characters, a number, or a short code, for messages that name none; CM has no default |
//! | `vendor_messages` | `true`: errors keep CM's own words, cleaned; defaults to `false` |
//!
//! The default host is the one that CM recommends, which is behind Cloudflare, Inc. (USA). The host `gw.cmtelecom.com`
//! is CM's own, without Cloudflare.

mod inbound;
mod reports;

use std::{
    num::NonZeroUsize,
    slice,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, BatchTexts, ConfigError, ErrorKind, Health, Message, Outcomes, PhoneNumber,
    Profile, Receipt, SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait, batch,
    departure::attempt,
};
use postduif_http::{
    Proof, Redactor, Refusal, Request, Response, check_header_setting, codes, provider_builder,
    vendor::{
        Code, ConnectionUrl, Endpoint, EndpointBuilder,
        batch::{Verdicts, with_distinct_references},
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::{Map, Value};

pub use inbound::{CmInbound, inbound_parser};
pub use reports::{CmReports, report_parser};

/// CM's capabilities. Every official client uses at most eight parts; whether more are possible is not documented.
/// Delivery reports need a URL of the account, which is set in CM's web app.
///
/// It has no configured sender. A test takes [`SmsProvider::profile`] of a built provider, which has all that the
/// options configure.
pub const PROFILE: Profile = Profile::new("cm")
    .with_batch(BATCH_SIZE, BatchTexts::Mixed)
    .with_senders(&[
        SenderKind::Alphanumeric,
        SenderKind::Number,
        SenderKind::ShortCode,
    ])
    .with_sender_required(true)
    .with_validity(Duration::from_secs(60), Duration::from_secs(48 * 3600))
    .with_longest_text(TextLimit::Parts(MAX_PARTS as usize))
    .with_reports(true);

const HOST: &str = "https://gw.messaging.cm.com";
const SEND_PATH: &str = "/v1.0/message";
/// By the documentation and the PHP SDK; the Python SDK has a limit of 100.
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// The maximum number of concurrent requests of a batch: CM states that it does not throttle, and publishes no rate.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(4).unwrap();
const MAX_PARTS: u8 = 8;
/// The approximate maximum number of requests for a batch that is too large for one: 1000 messages by 63.
const MAX_PIECES: usize = 16;
/// The minimum number of characters of a sender, by CM's description of the field.
const MIN_NAME: usize = 3;
/// The maximum number of digits of a number as sender, its `00` included. A message with a longer one was `Accepted`
/// and cancelled later (`cmdotcom/text-sdk-php`, issue 18), so the response is no evidence for it.
const MAX_DIGITS: usize = 16;
const SENDER: &str =
    "expected a name of 3 to 11 characters, a number of at most 14 digits, or a short code";

/// CM.com as a provider.
#[derive(Debug)]
pub struct Cm {
    endpoint: Endpoint,
    token: SecretString,
}

impl Cm {
    /// Creates a builder from a product token.
    pub fn builder(token: impl Into<SecretString>) -> CmBuilder {
        CmBuilder {
            token: token.into(),
            endpoint: EndpointBuilder::new(),
        }
    }
}

/// Builder for [`Cm`]. All options are checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct CmBuilder {
    token: SecretString,
    endpoint: EndpointBuilder,
}

provider_builder! {
    Cm, CmBuilder,
    url: "`cm://TOKEN@host?options`",
    base: "the one that CM recommends",
    sender: "CM has no default",
}

impl CmBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let url = ConnectionUrl::parse("cm", url, &["token"], &["sender", "vendor_messages"])?;
        Ok(Self {
            endpoint: EndpointBuilder::from_url(&url)?,
            ..Cm::builder(url.credential("token")?)
        })
    }

    /// Builds the provider. Nothing is sent.
    ///
    /// # Errors
    ///
    /// Returns an error if CM does not accept a sender of that length, no header can hold the token, or the HTTP client
    /// cannot be built.
    pub fn build(self) -> Result<Cm, ConfigError> {
        check_header_setting("token", self.token.expose_secret())?;
        self.endpoint
            .check_sender(|sender| wire_sender(sender).is_some(), SENDER)?;
        let endpoint = self.endpoint.with_secrets([Some(&self.token)]);
        Ok(Cm {
            endpoint: endpoint.build(PROFILE, HOST)?,
            token: self.token,
        })
    }
}

#[derive(Serialize)]
struct SendBody<'a> {
    messages: Batch<'a>,
}

#[derive(Serialize)]
struct Batch<'a> {
    msg: &'a [Msg<'a>],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Msg<'a> {
    /// Without it, CM may use any channel of the account: WhatsApp, RCS, Viber.
    allowed_channels: [&'static str; 1],
    from: String,
    /// Only one, so that each recipient has a separate reference.
    to: [Recipient; 1],
    body: Body<'a>,
    minimum_number_of_message_parts: u8,
    maximum_number_of_message_parts: u8,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity: Option<String>,
}

#[derive(Serialize)]
struct Recipient {
    number: String,
}

#[derive(Serialize)]
struct Body<'a> {
    /// Without it, CM reads the text as GSM 03.38.
    #[serde(rename = "type")]
    encoding: &'static str,
    content: &'a str,
}

/// CM's response, which has one shape for success and failure.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseBody {
    details: Option<String>,
    error_code: i64,
    /// `None` if the member is missing.
    #[serde(default, deserialize_with = "present")]
    messages: Option<Option<Vec<Entry>>>,
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl ResponseBody {
    /// Returns whether a refusal in it is CM's: many servers write an `errorCode`, but CM always writes `details` and
    /// `messages` beside it.
    const fn is_own(&self) -> bool {
        self.details.is_some() && self.messages.is_some()
    }

    /// Returns the entries of messages, if any.
    fn entries(&self) -> &[Entry] {
        match &self.messages {
            Some(Some(entries)) => entries,
            _ => &[],
        }
    }
}

/// An entry of one message. An unreadable entry does not affect the others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Readable(Verdict),
    Unreadable(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    to: Option<String>,
    reference: Option<String>,
    status: String,
    #[serde(default)]
    parts: Value,
    message_error_code: Option<i64>,
    #[serde(default)]
    message_details: Value,
}

impl Verdict {
    fn reference(&self) -> Option<&str> {
        self.reference.as_deref().filter(|text| !text.is_empty())
    }

    fn to(&self) -> Option<&str> {
        self.to.as_deref().filter(|text| !text.is_empty())
    }

    /// Returns whether no part was accepted: the count is absent, or a zero of any type.
    fn has_no_parts(&self) -> bool {
        match &self.parts {
            Value::Null => true,
            Value::Number(parts) => parts.as_f64() == Some(0.0),
            Value::String(parts) => match parts.trim() {
                "" => true,
                parts => parts.parse() == Ok(0.0),
            },
            _ => false,
        }
    }
}

/// CM's codes for a request as a whole, and whether they prove that nothing of it was sent.
static REQUEST_CODES: &[Code] = codes! {
    "101" => Unauthorized, Below500, "the token was refused";
    "102" => InsufficientBalance, Below500, "no credit left";
    "103" => Unauthorized, Below500, "the token is malformed";
    "202" => Protocol, Below500, "CM could not read the request";
    BAD_LIST => Protocol, Below500, "CM refused the list of messages, which may be too long";
    "500" => Unavailable, Nothing, "CM failed";
    "999" => Other, Nothing, "CM failed for an unknown reason";
};

/// CM's codes for one message, if its status is `Rejected`.
static MESSAGE_CODES: &[Code] = codes! {
    "301" => InvalidSender, Below500, "the sender is invalid";
    "302" => InvalidRecipient, Below500, "the recipient is invalid";
    "303" => InvalidRecipient, Below500, "the number is invalid";
    "304" => InvalidText, Below500, "the text is empty or too long";
    "305" => Misconfigured, Below500, "an unnamed field is invalid";
    "401" => Blocked, Below500, "stopped by the spam filter";
    "402" => Blocked, Below500, "the number or the sender is on a block list";
    "403" => Other, Below500, "rejected without a reason";
    "500" => Other, Below500, "rejected because CM failed";
    "999" => Other, Below500, "rejected for an unknown reason";
};

/// CM's codes that are a refusal only if the message's status and its count of parts agree.
const REFUSED_WITHOUT_PARTS: [i64; 2] = [500, UNKNOWN_REASON];
const UNKNOWN_REASON: i64 = 999;

const UNLISTED: &str = "CM returned a code that is not in its list";

/// The code of a request of which some or all messages were rejected.
const SOME_REJECTED: i64 = 201;
/// The code of a request whose list of messages is missing, empty or too long.
const BAD_LIST: &str = "203";

/// Returns a number in CM's format.
fn digits(number: PhoneNumber) -> String {
    format!("00{}", number.msisdn())
}

/// Returns a sender in CM's format. `None` if the name is too short or the number too long. What a country forbids
/// beyond that appears in a report.
fn wire_sender(sender: &Sender) -> Option<String> {
    match sender.number() {
        Some(number) => Some(digits(number)).filter(|digits| digits.len() <= MAX_DIGITS),
        None => Some(sender.to_string()).filter(|name| name.chars().count() >= MIN_NAME),
    }
}

/// Returns a validity period in one of the formats of CM's page: whole hours, whole minutes below one hour, else an
/// instant by our clock. Minutes stay relative: on arrival, an instant one minute ahead is below CM's minimum.
fn validity(period: Duration, now: DateTime<Utc>) -> String {
    match period.as_secs() {
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 && seconds < 3600 => format!("{}m", seconds / 60),
        _ => (now + period).format("%Y-%m-%d %H:%M:%S GMT").to_string(),
    }
}

/// Returns whether a response of any shape reports a message as accepted.
fn accepts_any(response: &Response) -> bool {
    let body: Map<String, Value> = response.json().unwrap_or_default();
    let entries = body.get("messages").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .any(|entry| entry["status"] == "Accepted")
}

/// Returns what a response without entries proves about the whole request.
fn refused(response: &Response, body: Option<&ResponseBody>, messages: &[Message]) -> SendError {
    // Cloudflare's statuses for an origin that did not respond.
    if matches!(response.status(), 522 | 524) {
        return SendError::unknown(ErrorKind::Timeout, "the gateway in front of CM timed out");
    }
    // A success without entries proves nothing about any message, whatever its code.
    let own = body.filter(|body| body.is_own() && !response.is_success());
    let error = response.refused(own.map(|body| {
        let code = body.error_code.to_string();
        let refusal = match Code::find(REQUEST_CODES, &code) {
            Some(row) => row.refusal(),
            None => Refusal::new(ErrorKind::Other, UNLISTED)
                .with_unlisted_code(&code, messages)
                .with_proof(Proof::Nothing),
        };
        refusal.with_vendor_message(body.details.as_deref(), &response.redactor(messages))
    }));
    if error.acceptance() == Acceptance::NotAccepted && accepts_any(response) {
        return Response::contradiction();
    }
    error
}

/// Returns whether a request was refused for its size: by a 413 of any server, or by CM's own code.
fn is_too_large(response: &Response, body: Option<&ResponseBody>) -> bool {
    match body {
        Some(body) if !body.entries().is_empty() => false,
        Some(body) if body.is_own() => body.error_code.to_string() == BAD_LIST,
        _ => response.status() == 413,
    }
}

impl Cm {
    /// Returns a message in the wire format.
    fn msg<'a>(&self, message: &'a Message) -> Result<Msg<'a>, SendError> {
        self.endpoint.profile().validate(message)?;
        Ok(Msg {
            allowed_channels: ["SMS"],
            from: self.endpoint.wire_sender(message, wire_sender, SENDER)?,
            to: [Recipient {
                number: digits(message.to()),
            }],
            body: Body {
                encoding: "auto",
                content: message.text().as_str(),
            },
            minimum_number_of_message_parts: 1,
            maximum_number_of_message_parts: MAX_PARTS,
            reference: message.reference().as_str(),
            validity: message
                .validity()
                .map(|period| validity(period, SystemTime::now().into())),
        })
    }

    /// Sends at most as many messages as one request carries by CM's page, in smaller requests if that proves too many.
    /// Only messages that were provably refused are sent again.
    async fn send_piece(&self, messages: &[Message]) -> Outcomes {
        let accepts = |message: &Message| self.msg(message).is_ok();
        let fitted = self.endpoint.fit_all(messages, accepts);
        let messages = &*fitted;
        let mut outcomes = Outcomes::in_doubt(messages);
        let (mut start, mut size) = (0, messages.len());
        let smallest = size.div_ceil(MAX_PIECES);
        while start < messages.len() {
            let end = messages.len().min(start + size);
            let (sent, too_large) = self.send_chunk(&messages[start..end]).await;
            if too_large && end - start > smallest {
                size = (end - start).div_ceil(2);
                continue;
            }
            for (index, outcome) in sent.into_iter().enumerate() {
                let outcome = outcome.map_err(|error| self.endpoint.named(error));
                outcomes.set(start + index, outcome);
            }
            start = end;
        }
        fitted.report(outcomes)
    }

    /// Sends these messages in one request. A message with a duplicate reference goes in a separate request, after the
    /// first.
    ///
    /// Also returns whether nothing was sent because the request is too large.
    async fn send_chunk(&self, messages: &[Message]) -> (Outcomes, bool) {
        let mut outcomes = Outcomes::in_doubt(messages);
        let mut valid: Vec<Option<Msg<'_>>> = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let msg = self.msg(message);
            valid.push(msg.map_err(|error| outcomes.set(index, Err(error))).ok());
        }
        let fit = (0..messages.len()).filter(|&index| valid[index].is_some());
        let requests = with_distinct_references(messages, fit);
        for (number, indices) in requests.iter().enumerate() {
            let msg: Vec<_> = indices
                .iter()
                .filter_map(|&index| valid[index].take())
                .collect();
            let (sent, too_large) = self.exchange(messages, indices, &msg).await;
            for &index in indices {
                if let Some(outcome) = sent.get(index) {
                    outcomes.set(index, outcome.clone());
                }
            }
            if let Some(error) = too_large.filter(|_| number == 0) {
                for &index in requests.iter().flatten() {
                    outcomes.set(index, Err(error.clone()));
                }
                return (outcomes, true);
            }
        }
        (outcomes, false)
    }

    /// Makes one request for the messages at these indices, as a separate attempt, so that a proven refusal does not
    /// count as departed. Also returns the error if nothing was sent because the request is too large.
    async fn exchange(
        &self,
        messages: &[Message],
        indices: &[usize],
        msg: &[Msg<'_>],
    ) -> (Outcomes, Option<SendError>) {
        let mut too_large = None;
        let outcomes = attempt(async {
            // This request does not send the messages that it does not carry.
            let elsewhere = SendError::not_accepted(ErrorKind::Other, "not in this request");
            let mut outcomes = Outcomes::failed(messages, &elsewhere);
            let verdicts = match self.endpoint.client().send(self.request(msg)).await {
                Ok(response) => {
                    let body: Option<ResponseBody> = response.json().ok();
                    let verdicts = self.read(&response, body.as_ref(), messages, indices);
                    if is_too_large(&response, body.as_ref()) {
                        let first = verdicts.first().and_then(|verdict| verdict.as_ref().err());
                        let is_refusal =
                            |error: &&SendError| error.acceptance() == Acceptance::NotAccepted;
                        too_large = first.filter(is_refusal).cloned();
                    }
                    verdicts
                }
                Err(error) => vec![Err(error); indices.len()],
            };
            for (&index, verdict) in indices.iter().zip(verdicts) {
                outcomes.set(index, verdict);
            }
            outcomes
        })
        .await;
        (outcomes, too_large)
    }

    fn request(&self, msg: &[Msg<'_>]) -> Request {
        self.endpoint
            .post(SEND_PATH)
            .with_secret_header("x-cm-producttoken", &self.token)
            .with_messages(msg.len())
            .with_json(&SendBody {
                messages: Batch { msg },
            })
    }

    /// Reads the verdicts of a response on these messages, in their order.
    fn read(
        &self,
        response: &Response,
        body: Option<&ResponseBody>,
        messages: &[Message],
        indices: &[usize],
    ) -> Vec<Result<Receipt, SendError>> {
        let has_entries = response.is_success() || matches!(response.status(), 400..=499);
        let Some(body) = body.filter(|body| has_entries && !body.entries().is_empty()) else {
            return vec![Err(refused(response, body, messages)); indices.len()];
        };
        let mut verdicts = Verdicts::new(indices.iter().map(|&index| &messages[index]).collect());
        // Of all messages: an entry could repeat another's text.
        let redactor = response.redactor(messages);
        for entry in body.entries() {
            let Entry::Readable(verdict) = entry else {
                continue;
            };
            let Some(index) = verdicts.find(verdict.reference(), verdict.to()) else {
                continue;
            };
            if let Some(message) = verdicts.message(index) {
                verdicts.add(
                    index,
                    self.outcome(response, body, verdict, message, &redactor),
                );
            }
        }
        verdicts.finish()
    }

    /// Returns the outcome of a verdict. It is in doubt if the verdict's number, or the status or code of the response,
    /// contradicts it.
    fn outcome(
        &self,
        response: &Response,
        body: &ResponseBody,
        verdict: &Verdict,
        message: &Message,
        redactor: &Redactor,
    ) -> Result<Receipt, SendError> {
        let call_code = body.error_code;
        if verdict
            .to()
            .is_some_and(|to| PhoneNumber::from_msisdn(to) != Ok(message.to()))
        {
            return Err(Response::contradiction());
        }
        match (verdict.status.as_str(), verdict.message_error_code) {
            ("Accepted", None | Some(0))
                if response.is_success() && matches!(call_code, 0 | SOME_REJECTED) =>
            {
                let receipt = self.endpoint.receipt_without_id(message);
                Ok(match verdict.parts.as_u64().map(u16::try_from) {
                    // CM may report each segment separately, under one reference.
                    Some(Ok(parts @ 1..)) => receipt.with_parts(parts).with_expected_reports(parts),
                    _ => receipt,
                })
            }
            ("Rejected", code) if call_code != 0 && code != Some(0) => {
                // Responses of 2017 had no code for a message, which counts as the code for an unknown reason.
                let number = code.unwrap_or(UNKNOWN_REASON);
                if REFUSED_WITHOUT_PARTS.contains(&number) && !verdict.has_no_parts() {
                    return Err(Response::contradiction());
                }
                let listed = Code::find(MESSAGE_CODES, &number.to_string());
                let refusal = match listed {
                    Some(row) if code.is_some() => row.refusal(),
                    listed => {
                        let (kind, meaning) = listed
                            .map_or((ErrorKind::Other, UNLISTED), |row| (row.kind, row.message));
                        let messages = slice::from_ref(message);
                        Refusal::new(kind, meaning)
                            .with_unlisted_code(&number.to_string(), messages)
                    }
                };
                let refusal =
                    refusal.with_vendor_message(verdict.message_details.as_str(), redactor);
                Err(response.refused(body.is_own().then_some(refusal)))
            }
            _ => Err(Response::contradiction()),
        }
    }
}

#[async_trait]
impl SmsProvider for Cm {
    fn profile(&self) -> &Profile {
        self.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.send_piece(slice::from_ref(message))
            .await
            .into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::in_chunks(messages, BATCH_SIZE, IN_FLIGHT, async |piece| {
            self.send_piece(piece).await
        })
        .await
    }

    /// Never makes a request. The balance is the only request that would check the token without a text. It needs an
    /// account id and goes to another host, for which the token is not configured.
    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::unknown())
    }
}
