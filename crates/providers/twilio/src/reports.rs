use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind,
    ReportOptions, ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    reports::{
        self, SigningSecrets, message_id, nonzero_code, proof_header, query_parameter, recipient,
    },
    signature::{Hash, hex, is_hmac, sha256, unbase64},
    text,
};
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::BODY_HASH;

const SIGNATURE: &str = "x-twilio-signature";
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";

/// Parser of Twilio's status callbacks: signed over the URL and every parameter, with the auth token or with the secret
/// of a shared key.
///
/// The URL of the request must be the one that Twilio was given, character for character: its origin is configured, and
/// its path and query are as received. Twilio signs no time, so a callback that is played back says again what it said
/// before. Statuses can come in the wrong order: let no status that is not final overwrite a final one.
#[derive(Debug)]
pub struct TwilioReports(SigningSecrets);

impl TwilioReports {
    /// Creates a parser that takes what any of these secrets signed: the auth token of the account or the subaccount,
    /// and the secrets of shared keys; several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Where there is no secret, or one is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing = "Twilio signs its reports: give the account's auth token, which an API key cannot replace";
        SigningSecrets::new(secrets, missing).map(Self)
    }

    /// Verifies the signature over everything that is read, and returns it.
    fn verified(&self, request: &ReportRequest<'_>) -> Result<Fields, ReportError> {
        let signature = proof_header(request, SIGNATURE)?;
        let hash = hash(request.header(SETTINGS)?.unwrap_or_default())?;
        let content = Content::of(request)?;
        let (fields, signed) = match content {
            Content::Form(form) => {
                let fields = Fields::from_form(form);
                let signed = fields.signed();
                (fields, signed)
            }
            Content::Json => (Fields::default(), String::new()),
            Content::Query => (
                Fields::from_form(query(request.url()).as_bytes()),
                String::new(),
            ),
        };
        let tag = unbase64(signature).unwrap_or_default();
        let is_signed = urls(request.url()).iter().fold(false, |found, url| {
            let data = [url, signed.as_str()].concat();
            is_hmac(hash, self.0.as_slice(), data.as_bytes(), &tag) | found
        });
        if !is_signed {
            return Err(FORGED);
        }
        match content {
            Content::Json => Fields::from_json(request),
            Content::Form(_) | Content::Query => Ok(fields),
        }
    }
}

const FORGED: ReportError = ReportError::forged("the report is not signed with our secret");

/// Returns the hash that the settings of a signature name. They may choose among these two only, and every hash asks
/// for the same secrets.
fn hash(settings: &str) -> Result<Hash, ReportError> {
    let named = settings.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name.trim() == "algorithm" && !value.trim().is_empty()).then(|| value.trim())
    });
    match named {
        None => Ok(Hash::Sha1),
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA1") => Ok(Hash::Sha1),
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA256") => Ok(Hash::Sha256),
        Some(_) => Err(ReportError::forged(
            "the report is signed with an algorithm that is not allowed here",
        )),
    }
}

/// What a signature covers beside the URL.
#[derive(Clone, Copy)]
enum Content<'r> {
    /// A body of parameters, each of which is signed.
    Form(&'r [u8]),
    /// A body whose hash is in the URL.
    Json,
    /// No body. The parameters are in the URL.
    Query,
}

impl<'r> Content<'r> {
    /// Returns what is signed. A body of any other type is not, even where the signature of the URL fits.
    fn of(request: &ReportRequest<'r>) -> Result<Self, ReportError> {
        let kind = request.header("content-type")?.unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        match request.method() {
            "GET" if request.body().is_empty() => Ok(Self::Query),
            "POST" if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") => {
                Ok(Self::Form(request.body()))
            }
            "POST" if kind.eq_ignore_ascii_case("application/json") => Ok(Self::Json),
            _ => Err(ReportError::unsigned(
                "Twilio signs no body but a form and JSON",
            )),
        }
    }
}

/// Returns the forms of a URL that Twilio may have signed: as it is, and without its port or with its scheme's. Only
/// those that both validators of Twilio's own take; for any other URL there is none.
fn urls(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Vec::new();
    };
    let standard = match scheme {
        "https" => "443",
        "http" => "80",
        _ => return Vec::new(),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    // One of the validators drops a separator with nothing behind it.
    let has_lone_separator =
        url.ends_with(['?', '#', ';']) || ["?#", ";?", ";#"].iter().any(|pair| url.contains(pair));
    if has_lone_separator || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Vec::new();
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port_at = host.rfind(']').unwrap_or_default();
    let as_it_is = url.to_owned();
    match host[port_at..].split_once(':') {
        None if host.is_empty() => Vec::new(),
        None => vec![as_it_is, format!("{scheme}://{authority}:{standard}{rest}")],
        Some((_, port)) if !port.parse().is_ok_and(|port: u16| port > 0) => Vec::new(),
        // Here one of them loses more than the port.
        Some(_) if authority.contains(['@', '[']) => vec![as_it_is],
        Some((host, _)) => vec![as_it_is, format!("{scheme}://{host}{rest}")],
    }
}

fn query(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}

/// Creates a parser of Twilio's status callbacks, chosen at run time.
///
/// # Errors
///
/// As [`TwilioReports::new`]; and where the options name an API or a signature method, since Twilio has one API, and
/// says itself how it signed.
pub fn report_parser(options: ReportOptions) -> Result<Arc<dyn ReportParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(TwilioReports::new(options.into_secrets())?))
}

impl ReportParser for TwilioReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        let fields = self.verified(request)?;
        let status = match fields.text("MessageStatus")? {
            None => fields.text("SmsStatus")?,
            status => status,
        };
        match status.ok_or(ReportError::malformed("the report has no status"))? {
            // A text that came in.
            "received" | "receiving" => Ok(Vec::new()),
            status => Ok(vec![report(&fields, status, request.url())?]),
        }
    }

    /// Without a body: where a text that came in is reported to the same URL, Twilio sends a body of plain text back to
    /// the phone.
    fn reply(&self, result: &Result<Vec<DeliveryReport>, ReportError>) -> (u16, &'static str) {
        match result {
            Err(error) if error.kind() != ReportErrorKind::Malformed => (401, ""),
            _ => (200, ""),
        }
    }
}

fn report(fields: &Fields, status: &str, url: &str) -> Result<DeliveryReport, ReportError> {
    let value = |name| Ok(fields.text(name)?.map_or(Value::Null, Value::from));
    let reference = query_parameter(url, "reference")?.unwrap_or_default();
    let mut report = DeliveryReport::new("twilio", reports::status(STATUSES, status))
        .with_reference_text(&reference);
    report.id = message_id(&match value("MessageSid")? {
        Value::Null => value("SmsSid")?,
        id => id,
    });
    let to = fields.text("To")?.unwrap_or_default();
    report.recipient = recipient(&to.strip_prefix("whatsapp:").unwrap_or(to).into());
    report.code = nonzero_code(&value("ErrorCode")?, 6);
    if report.status == DeliveryStatus::Failed && report.code.as_deref() == Some(VALIDITY_OVER) {
        report.status = DeliveryStatus::Expired;
    }
    // `RawDlrDoneDate` is the operator's time, of a zone that is not given.
    Ok(report)
}

const VALIDITY_OVER: &str = "30036";

/// How far a text has come. Of one to several recipients a part failed where it is `partially_delivered`.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("accepted", DeliveryStatus::Sent),
    ("canceled", DeliveryStatus::Rejected),
    ("delivered", DeliveryStatus::Delivered),
    ("failed", DeliveryStatus::Failed),
    ("partially_delivered", DeliveryStatus::Failed),
    ("queued", DeliveryStatus::Sent),
    ("read", DeliveryStatus::Delivered),
    ("scheduled", DeliveryStatus::Sent),
    ("sending", DeliveryStatus::Sent),
    ("sent", DeliveryStatus::Sent),
    ("undelivered", DeliveryStatus::Failed),
];

/// A callback's parameters, in the order in which they are signed: by code point, and a doubled pair once.
#[derive(Default)]
struct Fields(BTreeMap<String, BTreeSet<String>>);

impl Fields {
    fn from_form(form: &[u8]) -> Self {
        let mut fields: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(form) {
            let values = fields.entry(name.into_owned()).or_default();
            values.insert(value.into_owned());
        }
        Self(fields)
    }

    /// Reads a body that the URL has the hash of.
    fn from_json(request: &ReportRequest<'_>) -> Result<Self, ReportError> {
        let given = query_parameter(request.url(), BODY_HASH)?;
        let given = given.ok_or(ReportError::unsigned(
            "the URL has no hash of the report's body",
        ))?;
        if hex(&sha256(request.body())) != given {
            return Err(ReportError::forged(
                "the report's body is not the signed one",
            ));
        }
        let body: Map<String, Value> = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not a JSON object"))?;
        let members = body
            .into_iter()
            .filter_map(|(name, value)| Some((name, BTreeSet::from([text(&value)?]))));
        Ok(Self(members.collect()))
    }

    fn signed(&self) -> String {
        let pairs = self.0.iter();
        pairs
            .flat_map(|(name, values)| values.iter().flat_map(move |value| [name, value]))
            .map(String::as_str)
            .collect()
    }

    /// Returns a parameter. `None` where it is missing or empty.
    fn text(&self, name: &str) -> Result<Option<&str>, ReportError> {
        let mut values = self.0.get(name).into_iter().flatten();
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(ReportError::malformed("duplicate parameter")),
            (value, _) => Ok(value.map(String::as_str).filter(|value| !value.is_empty())),
        }
    }
}
