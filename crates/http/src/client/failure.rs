use std::{error::Error, sync::Arc};

use postduif_core::{Acceptance, ErrorKind, SendError};

/// Why there is no complete response, and whether the request may have left. The one place that decides it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: ErrorKind,
    acceptance: Acceptance,
    message: &'static str,
    source: Option<Arc<reqwest::Error>>,
}

impl Failure {
    /// The request could not be created.
    pub(crate) const fn before(message: &'static str) -> Self {
        Self {
            kind: ErrorKind::Misconfigured,
            acceptance: Acceptance::NotAccepted,
            message,
            source: None,
        }
    }

    /// Something went wrong once the request may have been written.
    pub(crate) const fn after(kind: ErrorKind, message: &'static str) -> Self {
        Self {
            kind,
            acceptance: Acceptance::Unknown,
            message,
            source: None,
        }
    }

    pub(crate) fn from_reqwest(error: reqwest::Error) -> Self {
        let failure = match (error.is_connect(), error.is_timeout()) {
            // A connection is made before a request is written to it: TLS included, nothing has left.
            (true, timeout) => Self {
                kind: if timeout {
                    ErrorKind::Timeout
                } else {
                    ErrorKind::Unavailable
                },
                message: if timeout {
                    "no connection in time"
                } else {
                    cause(&error)
                },
                acceptance: Acceptance::NotAccepted,
                source: None,
            },
            _ if error.is_builder() => Self::before("the request cannot be created"),
            (false, true) => Self::after(ErrorKind::Timeout, "no response in time"),
            _ if is_unreadable(&error) => {
                Self::after(ErrorKind::Protocol, "the response is not HTTP")
            }
            _ => Self::after(
                ErrorKind::Unavailable,
                "the connection broke before the response was complete",
            ),
        };
        // Without the URL: some vendors take credentials in it.
        Self {
            source: Some(Arc::new(error.without_url())),
            ..failure
        }
    }

    /// The same failure where no byte of the body had left.
    pub(crate) fn before_it_left(self) -> Self {
        Self {
            acceptance: Acceptance::NotAccepted,
            ..self
        }
    }

    /// The call was cut off before anything left.
    pub(crate) const fn cut_off() -> Self {
        Self {
            kind: ErrorKind::Timeout,
            acceptance: Acceptance::NotAccepted,
            message: "no time was left to begin",
            source: None,
        }
    }

    pub(crate) fn into_send_error(self) -> SendError {
        let error = match self.acceptance {
            Acceptance::NotAccepted => SendError::not_accepted(self.kind, self.message),
            Acceptance::Unknown => SendError::unknown(self.kind, self.message),
        };
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    /// The same failure where the request was not for a text: whatever became of it, no text left.
    pub(crate) fn into_token_error(self) -> SendError {
        self.before_it_left().into_send_error()
    }
}

/// Returns why there is no connection, as an operator needs it.
fn cause(error: &reqwest::Error) -> &'static str {
    for cause in causes(error) {
        let io = cause.downcast_ref::<std::io::Error>();
        if let Some(kind) = io.map(std::io::Error::kind) {
            match kind {
                std::io::ErrorKind::ConnectionRefused => return "no connection: it was refused",
                std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
                    return "no connection: the host cannot be reached";
                }
                _ => {}
            }
        }
        if is_tls(cause) {
            return "no connection: the TLS handshake failed";
        }
        // The library beneath says it in words only.
        if cause.to_string() == "dns error" {
            return "no connection: the name of the host was not found";
        }
    }
    "no connection"
}

/// An I/O error hides what it holds from `source`.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let held = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || held.is_some_and(|held| is_tls(held))
}

fn is_unreadable(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse)
    })
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}
