use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    price,
    reports::{Entry, SigningSecrets, check_window, code, json, message_id, recipient, time},
    signature::{hex, hs256_claims, sha256},
    text,
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::{REPORT_WINDOW, SECRET_MISSING, inbound::is_inbound};

/// Parser for the status webhooks of the Messages API, version 1. The account's signature secret signs their body and
/// the time.
///
/// The signature does not cover the URL. Within the time window a report can be replayed, which only repeats what it
/// reported before. Reports have no guaranteed order.
///
/// Vonage documents that an unsigned report can occur after an internal error. It repeats the report, signed, if the
/// response is a 5xx. Whether a repeat has a new signature is not known, so an old report may be repeated too.
#[derive(Debug)]
pub struct VonageReports {
    keys: SigningSecrets,
    window: Duration,
}

impl VonageReports {
    /// Creates a parser that accepts reports signed with any of these secrets: several while one is being replaced, or
    /// one for each account. It is the signature secret of the account's settings, not the API secret.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no secret, or one is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: SigningSecrets::new(secrets, SECRET_MISSING)?,
            window: REPORT_WINDOW,
        })
    }

    /// Sets the tolerance for the time of the signature. Defaults to 300 seconds.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    pub(crate) fn verify(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), ReportError> {
        #[derive(Deserialize)]
        struct Claims {
            iat: i64,
            payload_hash: String,
        }
        let (_, token) = request
            .header("authorization")?
            .ok_or(ReportError::unsigned(
                "the request has no token; one of the SMS API needs the parser for that API",
            ))?
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .ok_or(ReportError::forged(
                "invalid token: expected a bearer token",
            ))?;
        let claims = hs256_claims(token.trim(), self.keys.as_slice())?;
        let claims: Claims = serde_json::from_slice(&claims)
            .map_err(|_| ReportError::forged("the token has no time or no hash of the body"))?;
        let hash = hex(&sha256(request.body()));
        if !claims.payload_hash.eq_ignore_ascii_case(&hash) {
            return Err(ReportError::forged("the token covers another body"));
        }
        check_window(claims.iat, now, self.window)
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
        let body = json(request)?;
        let read = if text(&body["status"]).is_some() {
            Entry::Read(report(&body))
        } else if is_inbound(&body) {
            Entry::Other
        } else {
            Entry::Unreadable
        };
        read.into_result("the report has no status")
    }

    /// 503 for what is unsigned or too old: Vonage sends it again, signed.
    fn reply(&self, result: &Result<Vec<DeliveryReport>, ReportError>) -> (u16, &'static str) {
        reply(result)
    }
}

pub(crate) fn reply<T>(result: &Result<Vec<T>, ReportError>) -> (u16, &'static str) {
    match result {
        Err(error) => match error.kind() {
            ReportErrorKind::Unsigned | ReportErrorKind::Stale => (503, ""),
            ReportErrorKind::Malformed => (200, "OK"),
            _ => (401, ""),
        },
        Ok(_) => (200, "OK"),
    }
}

/// Returns the time of a webhook.
pub(crate) fn at(timestamp: &Value) -> Option<DateTime<Utc>> {
    time(timestamp).or_else(|| {
        // The format of older payloads.
        let time = text(timestamp)?;
        let time = DateTime::parse_from_str(&time, "%Y-%m-%d %H:%M:%S %z").ok()?;
        Some(time.to_utc())
    })
}

fn report(body: &Value) -> DeliveryReport {
    // The title is the code, a number in older payloads. The type repeats it.
    let code = code(&body["error"]["title"], 4).or_else(|| {
        let page = text(&body["error"]["type"])?;
        let (_, number) = page.split_once('#')?;
        code(&number.into(), 4)
    });
    let status = text(&body["status"]);
    let mut report = DeliveryReport::new("vonage", status_of(status.as_deref(), code.as_deref()))
        .with_reference_text(&text(&body["client_ref"]).unwrap_or_default());
    report.id = message_id(&body["message_uuid"]);
    report.recipient = recipient(&body["to"]);
    report.code = code;
    report.at = at(&body["timestamp"]);
    report.price = price(&body["usage"]["price"], &body["usage"]["currency"]);
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
        // The phone is busy, and the text is retried for a day or two.
        Some("submitted") if code == Some("1220") => DeliveryStatus::Buffered,
        Some("submitted") => DeliveryStatus::Sent,
        Some("delivered") => DeliveryStatus::Delivered,
        Some("rejected") => rejected(DeliveryStatus::Rejected),
        Some("undeliverable") => rejected(DeliveryStatus::Failed),
        _ => DeliveryStatus::Unknown,
    }
}

/// The codes for which `rejected` is not a refusal: Vonage also uses it for expired and failed texts. With two codes
/// the text, or some of its parts, may have been delivered, so they are not a failure.
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
