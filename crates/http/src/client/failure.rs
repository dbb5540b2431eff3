use std::{error::Error, sync::Arc};

use postduif_core::{Acceptance, ErrorKind, SendError};

/// Why there is no complete response, and whether the request may have left. Only this type decides it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: ErrorKind,
    acceptance: Acceptance,
    message: &'static str,
    source: Option<Arc<reqwest::Error>>,
    /// Whether this process is the reason, so that it says nothing about the other side.
    is_local: bool,
}

impl Failure {
    /// Creates the failure of a request that could not be created.
    pub(crate) const fn before(message: &'static str) -> Self {
        Self {
            kind: ErrorKind::Misconfigured,
            acceptance: Acceptance::NotAccepted,
            message,
            source: None,
            is_local: false,
        }
    }

    /// The tokio runtime lacks something.
    pub(crate) fn runtime(message: &'static str) -> Self {
        Self {
            is_local: true,
            ..Self::before(message)
        }
    }

    /// The tokio runtime was shut down.
    pub(crate) fn runtime_ended() -> Self {
        Self::runtime(RUNTIME_ENDED)
    }

    /// Returns the same failure for a request that may have left before the runtime ended.
    pub(crate) fn if_left(self, has_left: bool) -> Self {
        if has_left && self.message == RUNTIME_ENDED {
            Self {
                is_local: true,
                ..Self::after(ErrorKind::Unavailable, RUNTIME_ENDED)
            }
        } else {
            self
        }
    }

    /// Creates a failure after the request may have been written.
    pub(crate) const fn after(kind: ErrorKind, message: &'static str) -> Self {
        Self {
            kind,
            acceptance: Acceptance::Unknown,
            message,
            source: None,
            is_local: false,
        }
    }

    pub(crate) fn from_reqwest(error: reqwest::Error) -> Self {
        let failure = match (error.is_connect(), error.is_timeout()) {
            // A request is written only once its connection is open, TLS included: nothing has left.
            (true, timeout) => Self {
                kind: if timeout {
                    ErrorKind::Timeout
                } else {
                    ErrorKind::Unavailable
                },
                message: if timeout {
                    "no connection within the deadline"
                } else {
                    cause(&error)
                },
                acceptance: Acceptance::NotAccepted,
                source: None,
                is_local: false,
            },
            _ if error.is_builder() => Self::before("the request cannot be created"),
            (false, true) => Self::after(ErrorKind::Timeout, "no response within the deadline"),
            _ if is_unreadable(&error) => {
                Self::after(ErrorKind::Protocol, "the response is not HTTP")
            }
            _ => Self::after(
                ErrorKind::Unavailable,
                "the connection broke before the response was complete",
            ),
        };
        // Without the URL: some vendors expect credentials in it.
        Self {
            source: Some(Arc::new(error.without_url())),
            ..failure
        }
    }

    /// Returns the same failure for a body of which no byte had left.
    pub(crate) fn before_it_left(self) -> Self {
        Self {
            acceptance: Acceptance::NotAccepted,
            ..self
        }
    }

    /// Creates the failure of a call that was cut off before anything left.
    pub(crate) const fn cut_off() -> Self {
        Self {
            kind: ErrorKind::Timeout,
            acceptance: Acceptance::NotAccepted,
            message: "the deadline passed before the request was sent",
            source: None,
            is_local: false,
        }
    }

    pub(crate) fn into_send_error(self) -> SendError {
        let error = match self.acceptance {
            Acceptance::NotAccepted => SendError::not_accepted(self.kind, self.message),
            Acceptance::Unknown => SendError::unknown(self.kind, self.message),
        };
        let error = if self.is_local { error.local() } else { error };
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    /// Returns the same failure as an error of a request that carries no text: it is never in doubt.
    pub(crate) fn into_token_error(self) -> SendError {
        self.before_it_left().into_send_error()
    }
}

const RUNTIME_ENDED: &str = "the tokio runtime was shut down before the response";

/// Returns why there is no connection, in words for an operator.
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
        // hyper reports this in text only.
        if cause.to_string() == "dns error" {
            return "no connection: the name of the host was not found";
        }
    }
    "no connection"
}

/// Returns whether an error is of TLS. An I/O error does not show the error inside it as its `source`.
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
