use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportParser,
    ReportRequest,
};
use postduif_http::vendor::{
    reports::{SigningSecrets, message_id, nonzero_code, proof_header, recipient, status, time},
    signature::{is_hmac_sha256, sha256},
    text,
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{MAX_CODE, listed_reason, signature};
use crate::PROVIDER;

/// Parser for the delivery reports of channels. The header `messagebird-signature` signs URL, body and time.
///
/// Create a subscription to `sms.outbound` of the service `channels`, with your own signing key. The URL is signed, so
/// the configured public origin must be exactly that of the subscription.
///
/// A repeated report keeps its first time, and is repeated for hours. A signature is therefore valid for a day: ignore
/// duplicates of id and status.
#[derive(Debug)]
pub struct ChannelsReports(SigningSecrets);

impl ChannelsReports {
    /// Creates a parser that accepts reports signed with any of these keys: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no key, or one is blank.
    pub fn new(signing_keys: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing =
            "invalid signing key for the reports of channels: expected the subscription's";
        SigningSecrets::new(signing_keys, missing).map(Self)
    }

    pub(crate) fn verify(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), ReportError> {
        let signature = signature(request, "messagebird-signature")?;
        let timestamp = proof_header(request, "messagebird-request-timestamp")?;
        let tag = BASE64_STANDARD
            .decode(signature)
            .map_err(|_| ReportError::forged("the signature is not base64"))?;
        let signed = [
            timestamp.as_bytes(),
            b"\n",
            request.url().as_bytes(),
            b"\n",
            &sha256(request.body()),
        ]
        .concat();
        if !is_hmac_sha256(self.0.as_slice(), &signed, &tag) {
            return Err(ReportError::forged(
                "the request is not signed with our secret",
            ));
        }
        let at: i64 = timestamp
            .parse()
            .map_err(|_| ReportError::malformed("the timestamp is not a number"))?;
        let age = now.timestamp().saturating_sub(at);
        if !(-MAX_AHEAD..=MAX_AGE).contains(&age) {
            return Err(ReportError::stale(
                "the request was signed too long ago, or in the future",
            ));
        }
        Ok(())
    }
}

/// The maximum age of a signature, in seconds. Receivers observed requests of 3 to 4 hours, and lost reports with a
/// narrower window.
const MAX_AGE: i64 = 86_400;
/// The tolerance for a clock of the vendor that is ahead, in seconds.
const MAX_AHEAD: i64 = 300;

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
        // A subscription may have other events, such as inbound texts, which are not reports.
        if event.event != "sms.outbound" {
            return Ok(Vec::new());
        }
        let message: Reported = serde_json::from_value(event.payload)
            .map_err(|_| ReportError::malformed("the event has no message"))?;
        if text(&message.status).is_none() {
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

/// The message of a report. Only these fields of the payload are known.
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
        let name = self.status.as_str().unwrap_or_default();
        let reference = self.reference.as_str().unwrap_or_default();
        let mut report =
            DeliveryReport::new(PROVIDER, status(STATUSES, name)).with_reference_text(reference);
        report.code = self.code();
        report.id = message_id(&self.id.into());
        report.recipient = recipient(&self.receiver["contacts"][0]["identifierValue"]);
        report.at = time(&self.last_status_at);
        report
    }

    /// Returns the network's code, else the vendor's own, else the reason if it is listed.
    fn code(&self) -> Option<String> {
        let reason = self.reason.as_str().unwrap_or_default();
        let part = |name: &str| {
            let mut parts = reason.split(';').filter_map(|part| part.split_once(':'));
            parts.find_map(|(known, value)| (known.trim() == name).then(|| value.trim()))
        };
        let source = &self.failure["source"];
        let of_network = source["name"] == "sms-messagebird";
        [
            of_network.then(|| source["code"].clone()),
            part("code").map(Value::from),
            Some(self.failure["code"].clone()),
        ]
        .into_iter()
        .flatten()
        .find_map(|code| nonzero_code(&code, MAX_CODE))
        .or_else(|| listed_reason(part("reason").or(Some(reason))))
    }
}

/// The known statuses of channels; there are more.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("accepted", DeliveryStatus::Sent),
    ("sent", DeliveryStatus::Sent),
    ("delivered", DeliveryStatus::Delivered),
    ("sending_failed", DeliveryStatus::Failed),
    ("delivery_failed", DeliveryStatus::Failed),
    ("rejected", DeliveryStatus::Rejected),
];
