use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::form_urlencoded;

use super::{BaseUrl, Body, Failure};
use crate::auth::Token;
use postduif_core::{ConfigError, departure::DepartureHandle};

/// The limit of a response to one message, in bytes.
const RESPONSE_LIMIT: usize = 64 * 1024;
/// What each message of a batch adds to that limit, in bytes.
const RESPONSE_LIMIT_PER_MESSAGE: usize = 8 * 1024;

/// A request to a path below a [`BaseUrl`].
///
/// An invalid value, such as a line break in a secret, is an error when the request is sent, not accepted.
pub struct Request {
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Vec<u8>>,
    response_limit: usize,
    fault: Option<&'static str>,
}

impl Request {
    /// Creates a GET of `path` below `base`, or of `base` itself if the path is empty. A variable part of the path must
    /// be an id that cannot leave its segment, such as a GUID.
    #[must_use]
    pub fn get(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::GET, base, path)
    }

    /// Creates a POST to `path` below `base`, or to `base` itself if the path is empty. Defaults to an empty body with a
    /// `Content-Length`.
    #[must_use]
    pub fn post(base: &BaseUrl, path: &str) -> Self {
        Self {
            body: Some(Vec::new()),
            ..Self::new(Method::POST, base, path)
        }
    }

    /// Creates a DELETE of `path` below `base`.
    #[must_use]
    pub fn delete(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::DELETE, base, path)
    }

    fn new(method: Method, base: &BaseUrl, path: &str) -> Self {
        Self {
            method,
            url: base.join(path),
            headers: Vec::new(),
            body: None,
            response_limit: RESPONSE_LIMIT,
            fault: None,
        }
    }

    /// Adds a query parameter, encoded.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Sets the whole query, which is encoded already. Any earlier one is replaced.
    #[must_use]
    pub fn with_query_text(mut self, query: &str) -> Self {
        self.url.set_query(Some(query));
        self
    }

    /// Sets a header that holds no secret.
    #[must_use]
    pub fn with_header(self, name: &'static str, value: &str) -> Self {
        self.header(HeaderName::from_static(name), value, false)
    }

    /// Sets a header that holds a credential.
    #[must_use]
    pub fn with_secret_header(self, name: &'static str, value: &SecretString) -> Self {
        self.header(HeaderName::from_static(name), value.expose_secret(), true)
    }

    /// Sets `Authorization: Bearer`.
    #[must_use]
    pub fn with_bearer(self, token: &Token) -> Self {
        self.header(
            AUTHORIZATION,
            &format!("Bearer {}", token.secret().expose_secret()),
            true,
        )
    }

    /// Sets `Authorization: Basic`.
    #[must_use]
    pub fn with_basic(self, user: &str, secret: &SecretString) -> Self {
        let pair = BASE64_STANDARD.encode(format!("{user}:{}", secret.expose_secret()));
        self.header(AUTHORIZATION, &format!("Basic {pair}"), true)
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn with_json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.body = Some(body),
            Err(_) => self.fault = Some("the body cannot be serialized as JSON"),
        }
        self.header(CONTENT_TYPE, "application/json", false)
    }

    /// Sets a body that is JSON already, byte for byte.
    #[must_use]
    pub fn with_json_text(mut self, json: impl Into<String>) -> Self {
        self.body = Some(json.into().into_bytes());
        self.header(CONTENT_TYPE, "application/json", false)
    }

    /// Sets a form-encoded body.
    #[must_use]
    pub fn with_form<'a>(mut self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.body = Some(body.into_bytes());
        self.header(CONTENT_TYPE, "application/x-www-form-urlencoded", false)
    }

    /// Sets how many messages the request carries, and with it the limit of its response: 64 KiB, and 8 KiB for each.
    #[must_use]
    pub const fn with_messages(mut self, messages: usize) -> Self {
        self.response_limit =
            RESPONSE_LIMIT.saturating_add(messages.saturating_mul(RESPONSE_LIMIT_PER_MESSAGE));
        self
    }

    fn header(mut self, name: HeaderName, value: &str, secret: bool) -> Self {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(secret);
                self.headers.push((name, value));
            }
            Err(_) if secret => {
                self.fault = Some("invalid credential: expected characters that a header can hold");
            }
            Err(_) => {
                self.fault = Some("invalid header: expected characters that a header can hold")
            }
        }
        self
    }

    /// Returns the body, which may be empty.
    pub(crate) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Returns whether there is a body that is not empty.
    pub(crate) fn has_body(&self) -> bool {
        !self.body().is_empty()
    }

    pub(crate) const fn response_limit(&self) -> usize {
        self.response_limit
    }

    /// Returns the reqwest request, whose body reports to `departure` when it starts to leave.
    pub(crate) fn into_reqwest(
        self,
        departure: DepartureHandle,
    ) -> Result<reqwest::Request, Failure> {
        if let Some(fault) = self.fault {
            return Err(Failure::before(fault));
        }
        let mut request = reqwest::Request::new(self.method, self.url);
        for (name, value) in self.headers {
            request.headers_mut().insert(name, value);
        }
        match self.body {
            // reqwest leaves the length of an empty body out, which some gateways require.
            Some(body) if body.is_empty() => {
                request
                    .headers_mut()
                    .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            body => {
                *request.body_mut() = body.map(|body| Body::new(body, departure).into_reqwest());
            }
        }
        Ok(request)
    }
}

/// Checks that a header can hold an option, so that an invalid one fails when the provider is built instead of at
/// every send.
///
/// # Errors
///
/// Returns an error if it is empty, starts or ends with a space, or has anything but printable ASCII. The error names
/// the option and never shows its value.
pub fn check_header_setting(name: &str, value: &str) -> Result<(), ConfigError> {
    let is_printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if value.is_empty() || value.trim() != value || !is_printable {
        return Err(ConfigError::new(format!(
            "invalid {name}: expected printable ASCII without spaces or line breaks around it"
        )));
    }
    Ok(())
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
