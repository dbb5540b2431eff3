use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{Acceptance, ErrorKind, SendError};
use reqwest::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use secrecy::zeroize::Zeroizing;
use serde::de::DeserializeOwned;

use super::{Failure, Proof, Refusal};

/// The longest wait that is taken from a server.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

const MAX_ID: usize = 256;
const GAVE_UP: &str = "a server on the way gave up waiting";

/// A response: its status, its headers, and its body as far as it came.
pub struct Response {
    status: u16,
    headers: HeaderMap,
    // Zeroed on drop: a response may hold a token or a pass.
    body: Result<Zeroizing<Vec<u8>>, Failure>,
}

impl Response {
    pub(crate) async fn read(mut response: reqwest::Response, limit: usize) -> Self {
        let (status, headers) = (
            response.status().as_u16(),
            std::mem::take(response.headers_mut()),
        );
        // Of the right size at once where the server says it: a vector that grows leaves copies behind.
        let expected = response
            .content_length()
            .and_then(|length| usize::try_from(length).ok());
        let mut body = Zeroizing::new(Vec::with_capacity(expected.unwrap_or_default().min(limit)));
        let body = loop {
            match response.chunk().await {
                Ok(None) => break Ok(body),
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    break Err(Failure::after(
                        ErrorKind::Protocol,
                        "the response is longer than any real one",
                    ));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => break Err(Failure::from_reqwest(error)),
            }
        };
        Self {
            status,
            headers,
            body,
        }
    }

    /// Returns the status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns whether the status is 200 to 299.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Returns the first value of a header. `None` where it is missing or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the body.
    ///
    /// # Errors
    ///
    /// Unknown, where the body did not come whole, in time, or within its limit.
    pub fn body(&self) -> Result<&[u8], SendError> {
        self.body
            .as_ref()
            .map(|body| body.as_slice())
            .map_err(|failure| failure.clone().into_send_error())
    }

    /// Reads the body as a JSON object, which every vendor's response is.
    ///
    /// # Errors
    ///
    /// Unknown, where there is no whole body, or it is not an object of this shape. An array is refused, although
    /// serde would read a struct from it: a stranger's `["x"]` must not pass for a vendor's id.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, SendError> {
        let body = self.body()?;
        let object = body.trim_ascii_start().starts_with(b"{");
        // The cause is left out: it may quote the body.
        object
            .then(|| serde_json::from_slice(body).ok())
            .flatten()
            .ok_or_else(|| {
                SendError::unknown(
                    ErrorKind::Protocol,
                    "the response does not have the vendor's form",
                )
            })
    }

    /// Returns how long the server asks to wait, at most a day: `Retry-After` as seconds, decimals included, or as a
    /// date.
    #[must_use]
    pub fn retry_after(&self, now: DateTime<Utc>) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match value.parse::<f64>() {
            Ok(seconds) if seconds.is_nan() => return None,
            Ok(seconds) => {
                Duration::try_from_secs_f64(seconds.clamp(0.0, MAX_WAIT.as_secs_f64())).ok()?
            }
            Err(_) => (DateTime::parse_from_rfc2822(value).ok()?.to_utc() - now)
                .to_std()
                .unwrap_or_default(),
        };
        Some(wait.min(MAX_WAIT))
    }

    /// Returns whether the same request with a new token is worth a try: the vendor refused the token by a
    /// code that it lists, or answered 401 and asked for a bearer token. A body in the vendor's shape alone
    /// is not enough, since a second request after a wrong guess is a second text.
    #[must_use]
    pub fn refuses_token(&self, refusal: Option<&Refusal>) -> bool {
        if (300..=399).contains(&self.status) {
            return false;
        }
        let names_token = refusal
            .is_some_and(|refusal| refusal.listed && refusal.kind == ErrorKind::Unauthorized);
        names_token || self.status == 401 && self.asks_for_bearer()
    }

    fn asks_for_bearer(&self) -> bool {
        self.headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| {
                value
                    .get(..6)
                    .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
            })
    }

    /// Returns the vendor's id of a message, as a receipt may keep it.
    ///
    /// # Errors
    ///
    /// Unknown, where it is blank, longer than 256 bytes, or holds control characters: an acceptance with an unusable
    /// id is not the vendor's.
    pub fn message_id(id: &str) -> Result<&str, SendError> {
        let id = id.trim();
        if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
            return Err(SendError::unknown(
                ErrorKind::Protocol,
                "the response holds no usable id of the message",
            ));
        }
        Ok(id)
    }

    /// Returns the error of a response that contradicts itself, such as a refusal with an id: the message is in doubt,
    /// whatever the status.
    #[must_use]
    pub fn contradiction() -> SendError {
        SendError::unknown(
            ErrorKind::Protocol,
            "the response contradicts itself about the message",
        )
    }

    /// Returns what this response proves, where it is not an acceptance. The one place that decides it.
    ///
    /// `refusal` is what the vendor itself said, in its own error shape: `None` where anybody else wrote the body.
    /// Without it only a few statuses prove that nobody read the message. Every other response leaves it in doubt,
    /// because proxies and filters replace responses after the vendor has the text.
    ///
    /// A refusal that [proves nothing](Proof::Nothing) leaves the message in doubt, unless the status alone proves a
    /// refusal. 408, 409, 425 and 499 say that something gave up waiting, whoever wrote the body, so there only a
    /// code that the vendor lists is a refusal.
    #[must_use]
    pub fn refused(&self, refusal: Option<Refusal>) -> SendError {
        match refusal {
            Some(refusal) if refusal.proof == Proof::Nothing => {
                let by_status = self.refused(None);
                match by_status.acceptance() {
                    Acceptance::NotAccepted => by_status,
                    Acceptance::Unknown => self
                        .refused(Some(refusal.with_proof(Proof::Below500)))
                        .in_doubt(),
                }
            }
            Some(refusal) => self.refused_by_vendor(refusal),
            None => self.refused_by_status(),
        }
    }

    /// What the vendor's own refusal proves at this status.
    fn refused_by_vendor(&self, refusal: Refusal) -> SendError {
        match self.status {
            300..=399 => redirect(),
            500.. if refusal.proof != Proof::Always => self.with_details(
                SendError::unknown(ErrorKind::Unavailable, self.server_failed()),
                refusal,
            ),
            408 | 409 | 425 | 499 if !refusal.listed => {
                SendError::unknown(ErrorKind::Protocol, GAVE_UP)
            }
            _ => self.with_details(
                SendError::not_accepted(refusal.kind, refusal.message.clone()),
                refusal,
            ),
        }
    }

    /// What the status alone proves.
    fn refused_by_status(&self) -> SendError {
        match self.status {
            300..=399 => redirect(),
            401 if self.headers.contains_key(WWW_AUTHENTICATE) => {
                SendError::not_accepted(ErrorKind::Unauthorized, "the credentials were refused")
            }
            404 | 405 | 411 | 413 | 414 | 415 | 431 => SendError::not_accepted(
                ErrorKind::Misconfigured,
                "nothing takes this request at the configured address",
            ),
            429 => {
                let refusal = Refusal::new(ErrorKind::Throttled, "too many requests");
                self.refused_by_vendor(refusal)
            }
            500.. => SendError::unknown(ErrorKind::Unavailable, self.server_failed()),
            status => match self.body() {
                Ok(_) => SendError::unknown(
                    ErrorKind::Protocol,
                    format!("the response is not the vendor's (HTTP {status})"),
                ),
                Err(broken) => broken,
            },
        }
    }

    /// Adds the refusal's code to an error of it, and how long to wait where it is throttled.
    fn with_details(&self, error: SendError, refusal: Refusal) -> SendError {
        let error = match refusal.code {
            Some(code) => error.with_code(code),
            None => error,
        };
        let asked = || self.retry_after(std::time::SystemTime::now().into());
        match refusal.retry_after.or_else(asked) {
            Some(wait) if error.kind() == ErrorKind::Throttled => {
                error.with_retry_after(wait.min(MAX_WAIT))
            }
            _ => error,
        }
    }

    fn server_failed(&self) -> String {
        format!("the server failed (HTTP {})", self.status)
    }
}

fn redirect() -> SendError {
    SendError::unknown(ErrorKind::Protocol, "a redirect, which is never followed")
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
