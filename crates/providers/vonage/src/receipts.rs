use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDateTime, Utc};
use md5::{Digest as _, Md5};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, Price, ReportError, ReportOptions,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    reports::{Entry, SigningSecrets, check_time, message_id, nonzero_code, recipient, status},
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

use crate::{REPORT_WINDOW, SECRET_MISSING, account::CURRENCY, inbound::is_sms_inbound};

/// How an account signs its reports, which is one of its settings.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SignatureMethod {
    /// `md5`: HMAC with MD5.
    Md5,
    /// `md5hash`, the default of an account: MD5 of the parameters followed by the secret.
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
    /// Returns the method that the options of a parser name.
    pub(crate) fn of(options: &ReportOptions) -> Result<Self, ConfigError> {
        options
            .signature_method()
            .map_or(Ok(Self::default()), str::parse)
    }

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
                    "invalid signature method: expected md5hash, md5, sha1, sha256 or sha512",
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

/// Parser for the delivery receipts of the SMS API. They are signed over all parameters and the time, once Vonage's
/// support has enabled it for the account.
///
/// The signature does not cover the URL. Within the time window a receipt can be replayed, which only repeats what it
/// reported before. A receipt reports one [part](DeliveryReport::part) of the text, which has its own id;
/// [`Delivery`](postduif_core::Delivery) combines them.
///
/// The account's settings choose GET, POST as a form, or POST as JSON; all three are supported. A GET without
/// parameters is Vonage's test of a URL, and has no report.
#[derive(Debug)]
pub struct VonageSmsReports {
    keys: SigningSecrets,
    method: SignatureMethod,
    window: Duration,
}

impl VonageSmsReports {
    /// Creates a parser that accepts receipts signed with any of these secrets, by this method only: several while one
    /// is being replaced. It is the signature secret of the account's settings, not the API secret.
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

    /// Sets the tolerance for the time of the signature. Defaults to 300 seconds. A repeat may have the time of the
    /// first attempt.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Returns the verified parameters of a request. `None` if it is Vonage's test of a URL, which has none.
    pub(crate) fn verified(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<Fields>, ReportError> {
        let fields = Fields::of(request)?;
        if request.method() == "GET" && fields.0.is_empty() {
            return Ok(None);
        }
        self.verify(&fields, now)?;
        Ok(Some(fields))
    }

    fn verify(&self, fields: &Fields, now: DateTime<Utc>) -> Result<(), ReportError> {
        let signature = fields
            .text("sig")
            .ok_or(ReportError::unsigned("the request has no signature"))?;
        let timestamp = fields
            .text("timestamp")
            .ok_or(ReportError::unsigned("the request has no timestamp"))?;
        let base = fields.base();
        let expected: Vec<_> = self
            .keys
            .as_slice()
            .iter()
            .map(|secret| self.method.sign(secret, &base))
            .collect();
        // Samples are in lower case for one method and in upper case for the others.
        if !is_secret(&expected, &signature.to_ascii_lowercase()) {
            return Err(ReportError::forged(
                "the request is not signed with our secret",
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
        let Some(fields) = self.verified(request, now)? else {
            return Ok(Vec::new());
        };
        let read = if fields.has_status() {
            Entry::Read(fields.report())
        } else if is_sms_inbound(&fields) {
            Entry::Other
        } else {
            Entry::Unreadable
        };
        read.into_result("the report has no status")
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
pub(crate) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads the query of a GET, or the body of any other method. Never both: only one of them is signed.
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
        const NO_REPORT: ReportError = ReportError::forged("the report is not a flat JSON object");
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

    /// Collects the parameters. A name with `&` or `=` is an error, since two parameters would then have the signature
    /// of one: `a=1` and `b=2` are signed like a parameter of the name `a=1&b`.
    fn from_pairs<Name: Into<String>, Text: Into<String>>(
        pairs: impl IntoIterator<Item = (Name, Text)>,
    ) -> Result<Self, ReportError> {
        let mut fields = BTreeMap::new();
        for (name, value) in pairs {
            let name = name.into();
            if name.contains(['&', '=']) {
                return Err(ReportError::forged(
                    "invalid parameter name: expected no & or =",
                ));
            }
            if fields.insert(name, value.into()).is_some() {
                return Err(ReportError::forged("duplicate parameter"));
            }
        }
        Ok(Self(fields))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    pub(crate) fn has_status(&self) -> bool {
        self.text("status")
            .is_some_and(|status| !status.trim().is_empty())
    }

    /// Returns the signed text: each parameter except the signature, in byte order of the names.
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
        // UTC by Vonage's page. `scts` is the operator's time, to the minute and without a documented zone.
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

/// The members of an object, including duplicates, which a map would drop.
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

/// Vonage's statuses of a part. `unknown` means that Vonage has no information; support articles also have
/// `undeliverable` and `deleted`.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("accepted", DeliveryStatus::Sent),
    ("buffered", DeliveryStatus::Buffered),
    ("delivered", DeliveryStatus::Delivered),
    ("expired", DeliveryStatus::Expired),
    ("failed", DeliveryStatus::Failed),
    ("rejected", DeliveryStatus::Rejected),
    ("unknown", DeliveryStatus::Unknown),
];
