use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportParser,
    ReportRequest,
};
use postduif_http::vendor::{
    price,
    reports::{SigningSecrets, message_id, nonzero_code, query_parameter, recipient, status, time},
    signature::{hex, hmac_claims, is_secret, sha256},
    text,
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{MAX_CODE, listed_reason, normalized, signature};
use crate::{PROVIDER, inbound::is_classic_inbound};

/// Parser for classic's delivery reports. The header `MessageBird-Signature-JWT` signs URL, body and time.
///
/// The URL is signed, so the configured public origin must be exactly the one that MessageBird calls. The older
/// `MessageBird-Signature` covers neither host nor path: a report with it alone is refused.
///
/// A signature is valid for a minute, in which it can be replayed, which only repeats what the report said before.
/// Respond with `OK`.
#[derive(Debug)]
pub struct ClassicReports(SigningSecrets);

impl ClassicReports {
    /// Creates a parser that accepts reports signed with any of these keys: several while one is being replaced. A
    /// signing key is not an access key; the developer settings show both.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no key, or one is blank.
    pub fn new(signing_keys: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing = "invalid signing key for MessageBird's reports: expected that of the developer settings";
        SigningSecrets::new(signing_keys, missing).map(Self)
    }

    pub(crate) fn verify(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), ReportError> {
        let token = signature(request, "messagebird-signature-jwt")?;
        // MessageBird signs with HS256; its own reference cases accept the other two as well.
        let claims: Claims = serde_json::from_slice(&hmac_claims(token, self.0.as_slice())?)
            .map_err(|_| ReportError::malformed("the signature lacks a required claim"))?;
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
        let is_whole = match (claims.payload_hash, request.body()) {
            (None, []) => true,
            (None, _) | (Some(_), []) => false,
            (Some(sum), body) => is_sum(&sum, body),
        };
        if !is_whole {
            return Err(ReportError::forged("the signature is for another body"));
        }
        Ok(())
    }
}

/// The tolerance for differing clocks, in seconds: that of the vendor's Node SDK, the largest of its SDKs.
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

/// Returns whether this is the SHA-256 of the data, in lower-case hexadecimal digits.
fn is_sum(claimed: &str, data: &[u8]) -> bool {
    is_secret(&[hex(&sha256(data)).into()], claimed)
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
        // Reports are GETs; by third parties, a POST has the same fields as a form.
        let form = (!request.body().is_empty())
            .then(|| str::from_utf8(request.body()).map(|body| format!("?{body}")))
            .transpose()
            .map_err(|_| ReportError::malformed("the report is not text"))?;
        let url = form.as_deref().unwrap_or(request.url());
        let field = |name| query_parameter(url, name).map(Value::from);
        let name = match text(&field("status")?) {
            Some(name) => name,
            None if is_classic_inbound(request)? => return Ok(Vec::new()),
            None => return Err(ReportError::malformed("the report has no status")),
        };
        let reference = text(&field("reference")?).unwrap_or_default();
        let mut report =
            DeliveryReport::new(PROVIDER, status(STATUSES, &name)).with_reference_text(&reference);
        report.id = message_id(&field("id")?);
        report.recipient = recipient(&field("recipient")?);
        let reason = text(&field("statusReason")?).map(|reason| normalized(&reason));
        report.code = nonzero_code(&field("statusErrorCode")?, MAX_CODE)
            .or_else(|| listed_reason(reason.as_deref()));
        // The plus of the zone may not be encoded, and is then decoded as a space.
        let at = text(&field("statusDatetime")?).unwrap_or_default();
        report.at = time(&at.replace(' ', "+").into());
        report.price = price(&field("price[amount]")?, &field("price[currency]")?);
        Ok(vec![report])
    }
}

/// The query parameters of a report.
pub(crate) const PARAMETERS: [&str; 9] = [
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

/// The statuses of classic.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("scheduled", DeliveryStatus::Buffered),
    ("sent", DeliveryStatus::Sent),
    ("buffered", DeliveryStatus::Buffered),
    ("delivered", DeliveryStatus::Delivered),
    ("expired", DeliveryStatus::Expired),
    ("delivery_failed", DeliveryStatus::Failed),
];
