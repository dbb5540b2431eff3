//! Channels, the API of Bird CRM: one message a call. Its batches are judged later, so that their answer
//! proves nothing.

use std::{num::NonZeroU32, slice};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ErrorKind, Health,
    Message, Outcomes, PhoneNumber, Profile, Receipt, ReportError, ReportParser, ReportRequest,
    SendError, SmsProvider, async_trait,
};
use postduif_http::{
    Refusal, Response,
    signature::{is_hmac_sha256, sha256},
    signing_secrets,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Vendor, classic::listed_reason, gives_no_id, is_about, is_to, report_code, report_id,
    send_singly, status, text,
};

/// What channels can do. The channel is the sender; fields for schedules and validity periods are not
/// confirmed.
pub(crate) const PROFILE: Profile = Profile::new("messagebird")
    .with_reports(true)
    .with_rate(NonZeroU32::new(500).unwrap());

pub(crate) const HOST: &str = "https://api.bird.com";
/// The answer that lists channels may be as long as that of so many messages.
const LISTED: usize = 100;

#[derive(Debug)]
pub(crate) struct Channels {
    vendor: Vendor,
    // Ids of the account, which `Debug` leaves out.
    workspace: SecretString,
    channel: SecretString,
}

impl Channels {
    pub(crate) fn new(
        vendor: Vendor,
        workspace: Option<&SecretString>,
        channel: Option<&SecretString>,
    ) -> Result<Self, ConfigError> {
        let id = |name: &str, id: Option<&SecretString>| {
            let id = id.map(|id| id.expose_secret()).ok_or_else(|| {
                ConfigError::new(format!("the API channels needs the option {name}"))
            })?;
            // What it must not do is leave its segment of the path; its form is the vendor's to judge.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let fits = (1..=64).contains(&id.len()) && id.bytes().all(plain);
            match fits && !id.starts_with("ws_") {
                true => Ok(id.to_ascii_lowercase().into()),
                false => Err(ConfigError::new(format!(
                    "option {name}: an id such as the API's UUID; what begins with ws_ in the dashboard's \
                     addresses is another id"
                ))),
            }
        };
        Ok(Self {
            vendor,
            workspace: id("workspace", workspace)?,
            channel: id("channel", channel)?,
        })
    }

    async fn attempt(&self, message: &Message) -> Result<Receipt, SendError> {
        self.vendor.profile.validate(message)?;
        let path = format!(
            "/workspaces/{}/channels/{}/messages",
            self.workspace.expose_secret(),
            self.channel.expose_secret()
        );
        let request = self.vendor.post(&path).with_json(&SendBody {
            receiver: Receiver {
                contacts: [Contact {
                    identifier_key: "phonenumber",
                    identifier_value: message.to().to_string(),
                }],
            },
            body: Body {
                kind: "text",
                text: BodyText {
                    text: message.text().as_str(),
                },
            },
            reference: message.reference().as_str(),
        });
        let answer = self.vendor.client.send(request).await?;
        if !answer.is_success() {
            gives_no_id(&answer)?;
            return Err(refused(&answer, message));
        }
        if spoken(&answer).is_some() {
            return Err(Response::contradiction());
        }
        let created: Created = answer.json()?;
        is_about(&created.reference, message)?;
        is_to(&created.receiver["contacts"][0]["identifierValue"], message)?;
        if let Some("rejected" | "sending_failed" | "delivery_failed") = created.status.as_str() {
            return Err(SendError::unknown(
                ErrorKind::Other,
                "the message had failed when the call was answered",
            ));
        }
        self.vendor.receipt(&created.id, &created.parts, message)
    }

    async fn probe(&self) -> Result<Health, SendError> {
        let path = format!("/workspaces/{}/channels", self.workspace.expose_secret());
        let request = self.vendor.get(&path).with_messages(LISTED);
        let answer = self.vendor.client.ask(request).await?;
        if !answer.is_success() {
            return Err(answer.refused(refusal(&answer, &[])));
        }
        answer
            .json::<Map<String, Value>>()
            .map(|_| Health::verified())
    }
}

#[derive(Serialize)]
struct SendBody<'a> {
    receiver: Receiver,
    body: Body<'a>,
    reference: &'a str,
}

#[derive(Serialize)]
struct Receiver {
    contacts: [Contact; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Contact {
    identifier_key: &'static str,
    identifier_value: String,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: BodyText<'a>,
}

#[derive(Serialize)]
struct BodyText<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct Created {
    id: String,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    parts: Value,
    #[serde(default)]
    reference: Value,
    #[serde(default)]
    receiver: Value,
}

/// Members of other people's error shapes, such as RFC 9457's.
const FOREIGN: [&str; 3] = ["type", "title", "detail"];

/// Refusals by status, in the vendor's shape.
static STATUSES: &[(u16, ErrorKind, &str)] = &[
    (
        400,
        ErrorKind::Misconfigured,
        "a field of the call is not valid",
    ),
    (401, ErrorKind::Unauthorized, "the key was refused"),
    (
        402,
        ErrorKind::InsufficientBalance,
        "the account has no credit",
    ),
    (
        403,
        ErrorKind::Unauthorized,
        "the key may not send, or not from this channel",
    ),
    (
        404,
        ErrorKind::Misconfigured,
        "there is no such workspace or channel",
    ),
    (
        422,
        ErrorKind::Misconfigured,
        "a field of the call is not valid",
    ),
    (429, ErrorKind::Throttled, "too many calls"),
];

/// The parts of the call that are the message's own, by where the path of a detail begins.
static FIELDS: &[(&str, ErrorKind, &str)] = &[
    (
        "receiver",
        ErrorKind::InvalidRecipient,
        "the recipient is not valid",
    ),
    ("body", ErrorKind::InvalidText, "the text is not valid"),
];

/// The only code and status that were seen of a refusal. No list is published, and codes of this form are also
/// written by other servers.
const SEEN: (u16, &str) = (422, "InvalidPayload");

/// What has the error shape that was seen: a `code` in the form of `InvalidPayload`, with words or details of it.
/// `None` where it is not the vendor speaking: everybody writes a lone `message`, a number as `code`, or a problem
/// of RFC 9457.
fn spoken(answer: &Response) -> Option<(String, Map<String, Value>)> {
    let spoken: Map<String, Value> = answer.json().ok()?;
    let code = spoken.get("code")?.as_str()?.to_owned();
    let is_word = code.starts_with(|first: char| first.is_ascii_uppercase())
        && code.bytes().all(|byte| byte.is_ascii_alphabetic())
        && code.bytes().any(|byte| byte.is_ascii_lowercase());
    let says_more = ["message", "details"]
        .iter()
        .any(|name| match spoken.get(*name) {
            Some(Value::String(words)) => !words.trim().is_empty(),
            Some(Value::Object(members)) => !members.is_empty(),
            Some(Value::Array(entries)) => !entries.is_empty(),
            _ => false,
        });
    let is_foreign = FOREIGN
        .iter()
        .any(|name| spoken.get(*name).is_some_and(|value| !value.is_null()));
    (is_word && says_more && !is_foreign).then_some((code, spoken))
}

/// What an answer to a send proves that is no success: in this shape nothing, unless code and status are those
/// that were seen. What is not proven keeps its kind.
fn refused(answer: &Response, message: &Message) -> SendError {
    let by_status = answer.refused(None);
    let Some((code, _)) = spoken(answer) else {
        return by_status;
    };
    let is_seen = (answer.status(), code.as_str()) == SEEN;
    let is_known = STATUSES
        .iter()
        .any(|(status, ..)| *status == answer.status());
    let told = answer.refused(refusal(answer, slice::from_ref(message)));
    match by_status.acceptance() {
        Acceptance::Unknown if is_seen => told,
        Acceptance::Unknown if is_known => told.in_doubt(),
        _ => by_status,
    }
}

/// What an answer in the vendor's error shape says. `None` where it is not in that shape.
fn refusal(answer: &Response, messages: &[Message]) -> Option<Refusal> {
    let (code, spoken) = spoken(answer)?;
    let by_status = STATUSES
        .iter()
        .find(|(status, ..)| *status == answer.status());
    let (kind, words) = match (answer.status(), spoken.get("details").and_then(field)) {
        (400 | 422, Some(found)) => found,
        (405 | 411 | 413 | 414 | 415 | 431, _) => return None,
        _ => by_status.map_or(
            (ErrorKind::Other, "MessageBird refused it"),
            |(_, kind, words)| (*kind, *words),
        ),
    };
    // No list of the codes is published.
    Some(Refusal::new(kind, words).with_unlisted_code(&code, messages))
}

/// Which part of the call the details speak of: paths are an object's names, or stand in an array's entries.
fn field(details: &Value) -> Option<(ErrorKind, &'static str)> {
    let paths: Vec<&str> = match details {
        Value::Object(members) => members.keys().map(String::as_str).collect(),
        Value::Array(entries) => entries
            .iter()
            .filter_map(|entry| {
                ["path", "field", "property", "param", "pointer"]
                    .iter()
                    .find_map(|name| entry.get(name)?.as_str())
            })
            .collect(),
        _ => Vec::new(),
    };
    let first = |path: &str| {
        let path = path.trim_start_matches(['$', '#', '.', '/']);
        path.split(['.', '/', '['])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    paths.into_iter().find_map(|path| {
        let known = FIELDS.iter().find(|(name, ..)| *name == first(path))?;
        Some((known.1, known.2))
    })
}

#[async_trait]
impl SmsProvider for Channels {
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

    /// Lists the workspace's channels, which tries the key; whether ours is among them is not read.
    async fn check(&self) -> Result<Health, SendError> {
        let health = self.probe().await;
        Health::of(health.map_err(|error| self.vendor.named(error)))
    }
}

/// The delivery reports of channels: signed over URL, body and time by `messagebird-signature`.
///
/// They come from a subscription to `sms.outbound` of the service `channels`, made with a signing key of
/// yours. A report that is repeated keeps its first time, and is repeated for hours: a signature holds for a
/// day, so de-duplicate by id and status. The URL is part of what is signed, so the configured public origin
/// must be exactly what was subscribed.
pub struct ChannelsReports {
    secrets: Vec<SecretString>,
}

impl ChannelsReports {
    /// Believes what any of these signing keys signed: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Where there is none, or one is blank.
    pub fn new(signing_keys: Vec<SecretString>) -> Result<Self, ConfigError> {
        signing_secrets(
            signing_keys,
            "channels signs its reports: give the signing key of the subscription",
        )
        .map(|secrets| Self { secrets })
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        let signature = request
            .header("messagebird-signature")?
            .filter(|signature| !signature.is_empty())
            .ok_or(ReportError::unsigned("the report has no signature"))?;
        let timestamp = request
            .header("messagebird-request-timestamp")?
            .ok_or(ReportError::unsigned("the report has no timestamp"))?;
        let tag = BASE64_STANDARD
            .decode(signature)
            .map_err(|_| ReportError::malformed("the signature is not base64"))?;
        let signed = [
            timestamp.as_bytes(),
            b"\n",
            request.url().as_bytes(),
            b"\n",
            &sha256(request.body()),
        ]
        .concat();
        if !is_hmac_sha256(&self.secrets, &signed, &tag) {
            return Err(ReportError::forged(
                "the report is not signed with our secret",
            ));
        }
        let at: i64 = timestamp
            .parse()
            .map_err(|_| ReportError::malformed("the timestamp is no number"))?;
        let age = now.timestamp().saturating_sub(at);
        if !(-CLOCKS..=OLDEST).contains(&age) {
            return Err(ReportError::stale(
                "the report was signed too long ago, or in the future",
            ));
        }
        Ok(())
    }
}

/// How old a signature may be, in seconds: receivers saw requests of 3 to 4 hours, and lost reports with a
/// narrower window.
const OLDEST: i64 = 86_400;
/// By how many seconds the vendor's clock may be ahead.
const CLOCKS: i64 = 300;

impl std::fmt::Debug for ChannelsReports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelsReports").finish_non_exhaustive()
    }
}

impl ReportParser for ChannelsReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request, now)?;
        let event: Event = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not an event"))?;
        // What is received, and whatever else a subscription can be for, is no report on a text of ours.
        if event.event != "sms.outbound" {
            return Ok(Vec::new());
        }
        let message: Reported = serde_json::from_value(event.payload)
            .map_err(|_| ReportError::malformed("the event has no message"))?;
        if text(&message.status).is_none_or(|word| word.is_empty()) {
            return Err(ReportError::malformed("the message has no status"));
        }
        Ok(vec![message.report()])
    }
}

#[derive(Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    payload: Value,
}

/// A message as a report has it: of the payload only the message's own fields are known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reported {
    id: String,
    #[serde(default)]
    reference: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    reason: Value,
    #[serde(default)]
    failure: Value,
    #[serde(default)]
    last_status_at: Value,
    #[serde(default)]
    receiver: Value,
}

impl Reported {
    fn report(self) -> DeliveryReport {
        let word = self.status.as_str().unwrap_or_default();
        let mut report = DeliveryReport::new(PROFILE.owned_name(), status(REPORT_STATUSES, word));
        report.code = self.code();
        report.id = report_id(&self.id);
        report.recipient = self.receiver["contacts"][0]["identifierValue"]
            .as_str()
            .and_then(|number| PhoneNumber::from_msisdn(number).ok());
        report.at = self
            .last_status_at
            .as_str()
            .and_then(|time| DateTime::parse_from_rfc3339(time).ok())
            .map(|time| time.to_utc());
        match self.reference.as_str() {
            Some(reference) => report.with_reference_text(reference),
            None => report,
        }
    }

    /// The network's number where one is given, else the vendor's own, else the reason where it is listed.
    fn code(&self) -> Option<String> {
        let reason = self.reason.as_str().unwrap_or_default();
        let told = |name: &str| {
            let mut parts = reason.split(';').filter_map(|part| part.split_once(':'));
            parts.find_map(|(known, value)| (known.trim() == name).then(|| value.trim()))
        };
        let source = &self.failure["source"];
        let network = (source["name"] == "sms-messagebird")
            .then(|| text(&source["code"]))
            .flatten();
        [
            network,
            told("code").map(str::to_owned),
            text(&self.failure["code"]),
        ]
        .into_iter()
        .flatten()
        .find_map(|code| report_code(&code))
        .or_else(|| listed_reason(told("reason").or(Some(reason))))
    }
}

/// How far a text has come. More exist.
static REPORT_STATUSES: &[(&str, DeliveryStatus)] = &[
    ("accepted", DeliveryStatus::Sent),
    ("sent", DeliveryStatus::Sent),
    ("delivered", DeliveryStatus::Delivered),
    ("sending_failed", DeliveryStatus::Failed),
    ("delivery_failed", DeliveryStatus::Failed),
    ("rejected", DeliveryStatus::Rejected),
];
