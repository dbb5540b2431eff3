//! The signature of a status callback.

use std::collections::{BTreeMap, BTreeSet};

use postduif_core::{ReportError, ReportRequest};
use postduif_http::vendor::{
    reports::{proof_header, query_parameter},
    signature::{Hash, hex, is_hmac, sha256, unbase64},
    text,
};
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::form_urlencoded;

/// The query parameter that Twilio adds if the body is JSON.
pub(crate) const BODY_HASH: &str = "bodySHA256";
const SIGNATURE: &str = "x-twilio-signature";
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";

/// A callback's parameters, in the order of the signature: by code point, and a duplicate pair once.
#[derive(Default)]
pub(crate) struct Fields(BTreeMap<String, BTreeSet<String>>);

impl Fields {
    /// Returns the parameters of a request with a signature by one of these secrets.
    ///
    /// # Errors
    ///
    /// Returns `Unsigned` if there is no signature or it does not cover the body, `Forged` if none of the secrets made
    /// it, and `Malformed` if a header is a duplicate or the body cannot be read.
    pub(crate) fn verified(
        request: &ReportRequest<'_>,
        secrets: &[SecretString],
    ) -> Result<Self, ReportError> {
        let signature = proof_header(request, SIGNATURE)?;
        let hash = hash(request.header(SETTINGS)?.unwrap_or_default())?;
        let content = Content::of(request)?;
        let (fields, signed) = match content {
            Content::Form(form) => {
                let fields = Self::from_form(form);
                let signed = fields.signed();
                (fields, signed)
            }
            Content::Json => (Self::default(), String::new()),
            Content::Query => (
                Self::from_form(query(request.url()).as_bytes()),
                String::new(),
            ),
        };
        let tag = unbase64(signature).unwrap_or_default();
        let is_signed = urls(request.url()).iter().fold(false, |found, url| {
            let data = [url, signed.as_str()].concat();
            is_hmac(hash, secrets, data.as_bytes(), &tag) | found
        });
        if !is_signed {
            return Err(ReportError::forged(
                "the request is not signed with our secret",
            ));
        }
        match content {
            Content::Json => Self::from_json(request),
            Content::Form(_) | Content::Query => Ok(fields),
        }
    }

    /// Returns a parameter. `None` if it is missing or empty.
    ///
    /// # Errors
    ///
    /// Returns `Malformed` if it has two values.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, ReportError> {
        let mut values = self.0.get(name).into_iter().flatten();
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(ReportError::malformed("duplicate parameter")),
            (value, _) => Ok(value.map(String::as_str).filter(|value| !value.is_empty())),
        }
    }

    /// Returns whether there is such a parameter, also an empty one.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns the status of the message.
    ///
    /// # Errors
    ///
    /// Returns `Malformed` if it has two values.
    pub(crate) fn status(&self) -> Result<Option<&str>, ReportError> {
        match self.text("MessageStatus")? {
            None => self.text("SmsStatus"),
            status => Ok(status),
        }
    }

    fn from_form(form: &[u8]) -> Self {
        let mut fields: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(form) {
            let values = fields.entry(name.into_owned()).or_default();
            values.insert(value.into_owned());
        }
        Self(fields)
    }

    /// Reads a JSON body, whose hash is in the URL.
    fn from_json(request: &ReportRequest<'_>) -> Result<Self, ReportError> {
        let given = query_parameter(request.url(), BODY_HASH)?;
        let given = given.ok_or(ReportError::unsigned("the URL has no hash of the body"))?;
        if hex(&sha256(request.body())) != given {
            return Err(ReportError::forged("the body is not the signed one"));
        }
        let body: Map<String, Value> = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the request is not a JSON object"))?;
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
}

/// Returns the hash that the settings of a signature name: one of two, and the same secrets for both, so the choice
/// gives nothing away.
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
            "the request is signed with an algorithm that is not allowed here",
        )),
    }
}

/// What a signature covers besides the URL.
#[derive(Clone, Copy)]
enum Content<'r> {
    /// A body of parameters, each of which is signed.
    Form(&'r [u8]),
    /// A JSON body, whose hash is in the URL.
    Json,
    /// No body. The parameters are in the URL.
    Query,
}

impl<'r> Content<'r> {
    /// Returns what the signature covers. It covers no body of any other type, even if the URL's signature is right.
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
                "the signature covers only a form or JSON",
            )),
        }
    }
}

/// Returns the forms of a URL that Twilio may have signed: as it is, and without its port or with its scheme's default.
/// Twilio's own validators, for Node and Python, both accept these; a URL on which they differ has none.
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
    // One of the validators drops a separator without a value.
    let (address, fragment) = split(rest, '#');
    let (path, query) = split(address, '?');
    let has_lone_separator = path.ends_with(';') || [query, fragment].contains(&Some(""));
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
        // Here one of them removes more than the port.
        Some(_) if authority.contains(['@', '[']) => vec![as_it_is],
        Some((host, _)) => vec![as_it_is, format!("{scheme}://{host}{rest}")],
    }
}

fn query(url: &str) -> &str {
    let (address, _) = split(url, '#');
    split(address, '?').1.unwrap_or_default()
}

/// Splits a text at the first separator. `None` if there is none.
fn split(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}
