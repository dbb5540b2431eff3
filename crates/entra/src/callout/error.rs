use std::{error::Error, fmt};

/// A call-out that is not taken. It shows nothing of the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CalloutError {
    kind: CalloutErrorKind,
    message: &'static str,
}

/// Why a call-out is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CalloutErrorKind {
    /// Its callback path leads elsewhere than its ids: a security event.
    Hostile,
    /// It is not what Entra sends.
    Malformed,
    /// Its catalog or stage is not among those that are listed.
    Unlisted,
}

impl CalloutError {
    pub(super) const fn new(kind: CalloutErrorKind, message: &'static str) -> Self {
        Self { kind, message }
    }

    pub(super) const fn malformed(message: &'static str) -> Self {
        Self::new(CalloutErrorKind::Malformed, message)
    }

    /// Returns why the call-out was refused.
    #[must_use]
    pub const fn kind(&self) -> CalloutErrorKind {
        self.kind
    }
}

impl fmt::Display for CalloutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the call-out is not taken: {}", self.message)
    }
}

impl Error for CalloutError {}
