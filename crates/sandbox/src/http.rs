//! Requests and responses as the simulated services see them: whole, and without a connection.

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap, Method, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue},
};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A request's line and headers, which are read before its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) host: String,
    /// The path as received.
    pub(crate) raw_path: String,
    /// The path's segments, each decoded.
    segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
}

impl Head {
    pub(crate) fn new(parts: hyper::http::request::Parts) -> Self {
        let host = match parts.uri.authority() {
            Some(authority) => authority.as_str(),
            None => parts
                .headers
                .get(hyper::header::HOST)
                .and_then(|host| host.to_str().ok())
                .unwrap_or_default(),
        };
        let path = parts.uri.path();
        Self {
            host: host.to_owned(),
            segments: path
                .split('/')
                .skip(1)
                .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
                .collect(),
            query: pairs(parts.uri.query().unwrap_or_default()),
            raw_path: path.to_owned(),
            method: parts.method,
            headers: parts.headers,
        }
    }

    /// Returns the first segment of the path, which names the service.
    pub(crate) fn service(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }

    /// Returns the decoded segments of the path after the service's.
    pub(crate) fn path(&self) -> Vec<&str> {
        self.segments.iter().skip(1).map(String::as_str).collect()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        value(&self.query, name)
    }

    /// Returns the token of `Authorization: Bearer`, with the scheme in any case.
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.credentials("bearer")
    }

    /// Returns the user and secret of `Authorization: Basic`.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let plain = STANDARD.decode(self.credentials("basic")?).ok()?;
        let (user, secret) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
        Some((user.to_owned(), secret.to_owned()))
    }

    /// Returns the key of `Authorization: AccessKey`, which is MessageBird's own scheme.
    pub(crate) fn access_key(&self) -> Option<&str> {
        self.credentials("accesskey")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns whether `Content-Type` is this media type, with any parameters.
    pub(crate) fn is(&self, media_type: &str) -> bool {
        self.headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case(media_type))
    }

    fn credentials(&self, scheme: &str) -> Option<&str> {
        let (written, rest) = self
            .headers
            .get(AUTHORIZATION)?
            .to_str()
            .ok()?
            .split_once(' ')?;
        written.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }
}

/// A whole request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(crate) fn json_object(&self) -> Option<Value> {
        self.json().filter(Value::is_object)
    }

    /// Returns the fields of a form, or none where the body is not a form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        if !self.head.is("application/x-www-form-urlencoded") {
            return Vec::new();
        }
        std::str::from_utf8(&self.body)
            .map(pairs)
            .unwrap_or_default()
    }
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Response {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(crate) fn text(
        status: StatusCode,
        media_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let mut response = Self::empty(status);
        response.body = body.into();
        response.with(CONTENT_TYPE, media_type)
    }

    /// Sets a header, unless its value is invalid.
    pub(crate) fn with(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        if let Ok(value) = value.try_into() {
            self.headers.insert(name, value);
        }
        self
    }
}

/// Returns the decoded fields of a query or a form.
pub(crate) fn pairs(encoded: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    encoded
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// Returns the value of the first field of this name.
pub(crate) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = pairs("a=1%2B1&b=two+words&c&d=x=y");
        assert_eq!(value(&form, "a"), Some("1+1"));
        assert_eq!(value(&form, "b"), Some("two words"));
        assert_eq!(value(&form, "c"), Some(""));
        assert_eq!(value(&form, "d"), Some("x=y"));
        assert_eq!(value(&form, "e"), None);
    }
}
