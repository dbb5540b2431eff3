use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{Acceptance, ErrorKind, Message, SendError};
use reqwest::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use secrecy::zeroize::Zeroizing;
use serde::de::DeserializeOwned;

use super::{Failure, Proof, Redactor, Refusal, on_tokio, redactor::Private};

/// The longest delay that is accepted from a server.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

const MAX_ID: usize = 256;
const GAVE_UP: &str = "a server may have given up waiting";

/// A response: its status, its headers, and its body or why there is none.
pub struct Response {
    status: u16,
    headers: HeaderMap,
    // Zeroed on drop: a response may hold a token or a pass.
    body: Result<Zeroizing<Vec<u8>>, Failure>,
    /// `None` if the vendor's words are not kept.
    private: Option<Private>,
}

impl Response {
    pub(super) async fn read(
        mut response: reqwest::Response,
        limit: usize,
        private: Option<Private>,
    ) -> Self {
        let (status, headers) = (
            response.status().as_u16(),
            std::mem::take(response.headers_mut()),
        );
        // Allocated once if the server states the length: a vector that grows leaves copies behind.
        let expected = response
            .content_length()
            .and_then(|length| usize::try_from(length).ok());
        let mut body = Zeroizing::new(Vec::with_capacity(expected.unwrap_or_default().min(limit)));
        let body = loop {
            let chunk = match on_tokio(|| response.chunk()).await {
                Ok(chunk) => chunk,
                Err(ended) => break Err(ended.if_left(true)),
            };
            match chunk {
                Ok(None) => break Ok(body),
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    break Err(Failure::after(
                        ErrorKind::Protocol,
                        "the response is longer than the limit",
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
            private,
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

    /// Returns the first value of a header. `None` if it is missing or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the body.
    ///
    /// # Errors
    ///
    /// Returns an error in doubt if the body is incomplete, late, or longer than its limit.
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
    /// Returns an error in doubt if the body is incomplete, or not an object of this shape. An array is an error,
    /// although serde would read a struct from it: `["x"]` of another server must not count as a vendor's id.
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
                    "the response does not have the vendor's shape",
                )
            })
    }

    /// Returns the server's delay, at most a day: `Retry-After` as seconds, decimals included, or as a date.
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

    /// Returns whether the same request with a new token is safe and useful.
    ///
    /// It is if the vendor refused the token by a code that it lists, or by a 401 with a bearer challenge. A body in
    /// the vendor's shape alone is not enough: after a wrong guess, a second request is a second text.
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

    /// Returns the vendor's id of a message, trimmed, for a receipt.
    ///
    /// # Errors
    ///
    /// Returns an error in doubt if it is blank, longer than 256 bytes, or has control characters: such an acceptance
    /// is not the vendor's.
    pub fn message_id(id: &str) -> Result<&str, SendError> {
        let id = id.trim();
        if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
            return Err(SendError::unknown(
                ErrorKind::Protocol,
                "the response has no usable message id",
            ));
        }
        Ok(id)
    }

    /// Returns what takes out of the vendor's words all that the request for these messages held, and the credentials.
    ///
    /// It leaves none at all unless the endpoint is built to keep them: see
    /// [`EndpointBuilder::with_vendor_messages`](crate::vendor::EndpointBuilder::with_vendor_messages).
    pub fn redactor<'m>(&self, messages: impl IntoIterator<Item = &'m Message>) -> Redactor {
        Redactor::new(self.private.as_ref(), messages)
    }

    /// Returns the error of a response that contradicts itself, such as a refusal with an id: the message is in doubt
    /// at any status.
    #[must_use]
    pub fn contradiction() -> SendError {
        SendError::unknown(
            ErrorKind::Protocol,
            "the response contradicts itself about the message",
        )
    }

    /// Returns what this response proves, if it is not an acceptance. Only this function decides it.
    ///
    /// `refusal` is the vendor's own, in its error shape. Pass `None` if another server may have written the body:
    /// only a few statuses then prove that the message was not read. Every other response leaves it in doubt, because
    /// proxies and filters replace responses after the vendor has the text.
    ///
    /// A refusal that [proves nothing](Proof::Nothing) leaves the message in doubt, unless the status alone proves a
    /// refusal. 408, 409, 425 and 499 mean that a server gave up waiting, in any body, so there only a code that the
    /// vendor lists is a refusal.
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

    /// Returns what the vendor's own refusal proves at this status.
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

    /// Returns what the status alone proves.
    fn refused_by_status(&self) -> SendError {
        match self.status {
            300..=399 => redirect(),
            401 if self.headers.contains_key(WWW_AUTHENTICATE) => {
                SendError::not_accepted(ErrorKind::Unauthorized, "the credentials were refused")
            }
            404 | 405 | 411 | 413 | 414 | 415 | 431 => SendError::not_accepted(
                ErrorKind::Misconfigured,
                "the configured address does not accept this request",
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

    /// Adds the refusal's code and words to its error, and the delay if it is throttled.
    fn with_details(&self, error: SendError, refusal: Refusal) -> SendError {
        let error = match refusal.code {
            Some(code) => error.with_code(code),
            None => error,
        };
        let error = match refusal.words {
            Some(words) => error.with_vendor_message(words.0),
            None => error,
        };
        let header = || self.retry_after(std::time::SystemTime::now().into());
        match refusal.retry_after.or_else(header) {
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
