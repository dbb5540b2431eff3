use std::{borrow::Cow, fmt, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{ErrorKind, Message, SendError};
use reqwest::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use secrecy::zeroize::Zeroizing;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The longest wait that a server's hint is believed for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

const LONGEST_ID: usize = 256;
const GAVE_UP: &str = "something on the way gave up waiting";

/// An answer: its status, its headers, and its body as far as it came.
pub struct Answer {
    status: u16,
    headers: HeaderMap,
    // Zeroed on drop: an answer may hold a token or a pass.
    body: Result<Zeroizing<Vec<u8>>, Failure>,
}

impl Answer {
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
                        "the answer is longer than any real one",
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

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 200 to 299.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The first value of a header, where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, or how reading it ended.
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

    /// The body read as JSON: an object, as every vendor's answer is.
    ///
    /// # Errors
    ///
    /// Unknown, where there is no whole body, or it is no object of this shape. An array is none, although
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
                    "the answer is not in the vendor's form",
                )
            })
    }

    /// How long the server asks to wait: `Retry-After` as seconds, decimals included, or as a date.
    /// At most a day.
    #[must_use]
    pub fn retry_after(&self, now: DateTime<Utc>) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match value.parse::<f64>() {
            Ok(seconds) if seconds.is_nan() => return None,
            Ok(seconds) => {
                Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST_WAIT.as_secs_f64())).ok()?
            }
            Err(_) => (DateTime::parse_from_rfc2822(value).ok()?.to_utc() - now)
                .to_std()
                .unwrap_or_default(),
        };
        Some(wait.min(LONGEST_WAIT))
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
    /// Unknown, where it is blank, longer than 256 bytes, or holds control characters: an acceptance whose id
    /// nobody can use is not the vendor's.
    pub fn message_id(id: &str) -> Result<&str, SendError> {
        let id = id.trim();
        if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
            return Err(SendError::unknown(
                ErrorKind::Protocol,
                "the answer holds no usable id of the message",
            ));
        }
        Ok(id)
    }

    /// Returns the error of an answer that contradicts itself, as one does that refuses a message and gives its
    /// id too: the message is in doubt, whatever the status.
    #[must_use]
    pub fn contradiction() -> SendError {
        SendError::unknown(
            ErrorKind::Protocol,
            "the answer contradicts itself about the message",
        )
    }

    /// What this answer proves, where it is no acceptance.
    ///
    /// `refusal` is what the vendor itself said, in its own error shape: `None` where the body is anybody
    /// else's. Without it only a few statuses prove that nobody read the message; every other answer
    /// leaves it in doubt, because proxies and filters replace answers after the vendor has the text.
    ///
    /// 408, 409, 425 and 499 say that somebody gave up waiting, whoever wrote the body, so there only a
    /// code that the vendor lists is a refusal.
    #[must_use]
    pub fn refused(&self, refusal: Option<Refusal>) -> SendError {
        let said = |refusal: Refusal, otherwise: fn(ErrorKind, Cow<'static, str>) -> SendError| {
            let mut error = otherwise(refusal.kind, refusal.message);
            if let Some(code) = refusal.code {
                error = error.with_code(code);
            }
            match refusal
                .retry_after
                .or_else(|| self.retry_after(std::time::SystemTime::now().into()))
            {
                Some(wait) if refusal.kind == ErrorKind::Throttled => {
                    error.with_retry_after(wait.min(LONGEST_WAIT))
                }
                _ => error,
            }
        };
        match (self.status, refusal) {
            (300..=399, _) => {
                SendError::unknown(ErrorKind::Protocol, "a redirect, which is never followed")
            }
            (status @ 500.., Some(refusal)) if !refusal.at_any_status => said(
                Refusal {
                    kind: ErrorKind::Unavailable,
                    message: server_failed(status),
                    ..refusal
                },
                SendError::unknown,
            ),
            (408 | 409 | 425 | 499, Some(refusal)) if !refusal.listed => {
                SendError::unknown(ErrorKind::Protocol, GAVE_UP)
            }
            (_, Some(refusal)) => said(refusal, SendError::not_accepted),
            (429, None) => said(
                Refusal::new(ErrorKind::Throttled, "too many calls"),
                SendError::not_accepted,
            ),
            (401, None) if self.headers.contains_key(WWW_AUTHENTICATE) => {
                SendError::not_accepted(ErrorKind::Unauthorized, "the credentials were refused")
            }
            (404 | 405 | 411 | 413 | 414 | 415 | 431, None) => SendError::not_accepted(
                ErrorKind::Misconfigured,
                "nothing takes this request at the configured address",
            ),
            (status @ 500.., None) => {
                SendError::unknown(ErrorKind::Unavailable, server_failed(status))
            }
            (status, None) => match self.body() {
                Ok(_) => SendError::unknown(
                    ErrorKind::Protocol,
                    format!("the answer is not the vendor's (HTTP {status})"),
                ),
                Err(broken) => broken,
            },
        }
    }
}

fn server_failed(status: u16) -> Cow<'static, str> {
    format!("the server failed (HTTP {status})").into()
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What a vendor said in its own error shape: a proof that it did not take the message.
#[derive(Clone, Debug)]
#[must_use]
pub struct Refusal {
    kind: ErrorKind,
    message: Cow<'static, str>,
    code: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    at_any_status: bool,
    listed: bool,
}

impl Refusal {
    /// The kind by the vendor's table, and our own words for it. Never the vendor's words: they may
    /// repeat the text.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            retry_after: None,
            at_any_status: false,
            listed: false,
        }
    }

    /// Sets the vendor's code: one that its documentation lists, from the provider's own table. It makes the
    /// refusal count at statuses where a shape alone does not.
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self.listed = true;
        self
    }

    /// A code that is not in the provider's table, where it can give nothing away: at most four characters,
    /// so that no longer secret hides in it, and not an [echo](postduif_core::Message::echoes) of any of the
    /// messages.
    pub fn with_unlisted_code(mut self, code: &str, messages: &[Message]) -> Self {
        let plain =
            (1..=4).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain && !messages.iter().any(|message| message.echoes(code)) {
            self.code = Some(code.to_owned().into());
        }
        self
    }

    /// Returns whether it has a code that the vendor lists.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        self.listed
    }

    /// How long the vendor asks to wait, where its answer says so elsewhere than in `Retry-After`.
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The code itself says that nothing was done, so that it proves this from status 500 up too.
    pub const fn at_any_status(mut self) -> Self {
        self.at_any_status = true;
        self
    }
}
