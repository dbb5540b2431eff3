use std::{error::Error, fmt};

/// An error of a refused call-out. It contains nothing of the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CalloutError {
    kind: CalloutErrorKind,
    message: &'static str,
}

/// The kind of a [`CalloutError`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CalloutErrorKind {
    /// The callback path does not match the ids. Treat it as a security event.
    Hostile,
    /// The body is not as Entra sends it.
    Malformed,
    /// The catalog, the stage or the type of request is not one of those that the parser accepts.
    Unlisted,
}

impl CalloutError {
    pub(super) const fn new(kind: CalloutErrorKind, message: &'static str) -> Self {
        Self { kind, message }
    }

    pub(super) const fn malformed(message: &'static str) -> Self {
        Self::new(CalloutErrorKind::Malformed, message)
    }

    /// Returns the kind.
    #[must_use]
    pub const fn kind(&self) -> CalloutErrorKind {
        self.kind
    }
}

impl fmt::Display for CalloutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid call-out: {}", self.message)
    }
}

impl Error for CalloutError {}
