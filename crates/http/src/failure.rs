use std::{error::Error, sync::Arc};

use postduif_core::{Acceptance, ErrorKind, SendError};

/// No answer, or none that is whole, and whether the request may have left. The one place that decides it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: ErrorKind,
    acceptance: Acceptance,
    message: &'static str,
    source: Option<Arc<reqwest::Error>>,
}

impl Failure {
    /// The request could not even be made.
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
                    "no connection"
                },
                acceptance: Acceptance::NotAccepted,
                source: None,
            },
            _ if error.is_builder() => Self::before("the request cannot be made"),
            (false, true) => Self::after(ErrorKind::Timeout, "no answer in time"),
            _ if is_unreadable(&error) => {
                Self::after(ErrorKind::Protocol, "the answer is not HTTP")
            }
            _ => Self::after(
                ErrorKind::Unavailable,
                "the connection broke before the answer was whole",
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

    /// Whoever watches the call cut it off before anything left.
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

fn is_unreadable(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
