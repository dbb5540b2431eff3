use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDateTime, Utc};
use md5::{Digest as _, Md5};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, Price, ReportError, ReportParser,
    ReportRequest,
};
use postduif_http::vendor::{
    reports::{SigningSecrets, check_time, message_id, nonzero_code, recipient, status},
    signature::{hex, is_secret},
};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use url::form_urlencoded;

use crate::{REPORT_WINDOW, SECRET_MISSING, account::CURRENCY};

/// How an account signs its reports, by its own setting.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SignatureMethod {
    /// `md5`: HMAC with MD5.
    Md5,
    /// `md5hash`, the default of an account: MD5 of the parameters and the secret behind them.
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
    /// Returns the signature of `base`, in hexadecimal digits.
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
                    "invalid signature method: write md5hash, md5, sha1, sha256 or sha512",
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

/// Parser of the delivery receipts of the SMS API, one for each part: signed over all parameters and the time, once
/// Vonage's support has switched signing on for the account.
///
/// The signature does not cover the URL: within the time window a receipt can be replayed, which changes
/// nothing, since it says the same again. A receipt is of one [part](DeliveryReport::part) of the text, by an id
/// of its own; [`Delivery`](postduif_core::Delivery) joins them. GET, POST as a form and POST as JSON are read, by the account's setting. A GET without any parameter is
/// how Vonage tries a URL, and no report.
#[derive(Debug)]
pub struct VonageSmsReports {
    keys: SigningSecrets,
    method: SignatureMethod,
    window: Duration,
}

impl VonageSmsReports {
    /// Creates a parser that takes what any of these signature secrets signed, by this method and no other: several while one is
    /// being replaced. The secret is that of the account's settings, not the API secret.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no secret, or one is blank.
    pub fn new(secrets: Vec<SecretString>, method: SignatureMethod) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: SigningSecrets::new(secrets, SECRET_MISSING)?,
            method,
            window: REPORT_WINDOW,
        })
    }

    /// Sets how far the time of signing may lie from now. Defaults to 300 seconds. A repeat may carry the time of
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
            .keys
            .as_slice()
            .iter()
            .map(|secret| self.method.sign(secret, &base))
            .collect();
        // Samples have small letters for one method and capitals for the others.
        if !is_secret(&expected, &signature.to_ascii_lowercase()) {
            return Err(ReportError::forged(
                "the report is not signed with our secret",
            ));
        }
        check_time(timestamp, now, self.window)
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
            _ => Err(ReportError::malformed("the report has no status")),
        }
    }
}

/// The query parameters of a receipt.
pub(crate) const PARAMETERS: [&str; 14] = [
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
            ReportError::malformed("the report is not a flat JSON object");
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
                return Err(ReportError::malformed("duplicate parameter"));
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
        let field = |name| self.text(name).map_or(Value::Null, Value::from);
        let status = status(STATUSES, self.text("status").unwrap_or_default());
        let mut report = DeliveryReport::new("vonage", status)
            .with_reference_text(self.text("client-ref").unwrap_or_default());
        report.id = message_id(&field("messageId"));
        report.part.clone_from(&report.id);
        // `to` is the sender here.
        report.recipient = recipient(&field("msisdn"));
        report.code = nonzero_code(&field("err-code"), 4);
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

/// An object's members, with the duplicates that a map would hide.
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
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("accepted", DeliveryStatus::Sent),
    ("buffered", DeliveryStatus::Buffered),
    ("delivered", DeliveryStatus::Delivered),
    ("expired", DeliveryStatus::Expired),
    ("failed", DeliveryStatus::Failed),
    ("rejected", DeliveryStatus::Rejected),
    ("unknown", DeliveryStatus::Unknown),
];
