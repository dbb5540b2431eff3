use std::{error::Error, fmt, time::Duration};

use postduif_core::SendError;

/// Why a caller was refused. It contains nothing of the token.
///
/// Respond with [`status`](Self::status), [`www_authenticate`](Self::www_authenticate) and
/// [`retry_after`](Self::retry_after), and with an empty body. The error is for a log, limited to one entry a second
/// of each [`kind`](Self::kind): anyone can cause it.
#[derive(Clone, Debug)]
pub struct CallerError {
    kind: CallerErrorKind,
    message: &'static str,
    outage: Option<Outage>,
}

/// Why there are no keys.
#[derive(Clone, Debug)]
struct Outage {
    retry_after: Duration,
    cause: SendError,
}

/// The kind of a [`CallerError`].
///
/// Up to `Forged`, anyone can cause it. From `Claims` on, the token is signed by Entra.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CallerErrorKind {
    /// The tenant's keys were never fetched, and cannot be fetched now. It says nothing about the caller.
    Unavailable,
    /// The request has no `Authorization` header.
    Missing,
    /// The request does not have exactly one bearer token, or it is not a well-formed JSON Web Token.
    Malformed,
    /// The token is signed with another algorithm than RS256, or not at all.
    Algorithm,
    /// The tenant has no key with the token's key id.
    UnknownKey,
    /// The tenant's key did not sign the token.
    Forged,
    /// A required claim is missing, or a claim has another type, or is duplicate.
    Claims,
    /// The token has expired.
    Expired,
    /// The token is not valid yet.
    NotYetValid,
    /// The token was issued by another issuer, or for another tenant.
    Issuer,
    /// The token is for another service.
    Audience,
    /// The application is not in the list of callers.
    Caller,
    /// The token is a user's, and not an application's own.
    User,
}

impl CallerError {
    pub(super) const fn new(kind: CallerErrorKind, message: &'static str) -> Self {
        Self {
            kind,
            message,
            outage: None,
        }
    }

    pub(super) const fn malformed(message: &'static str) -> Self {
        Self::new(CallerErrorKind::Malformed, message)
    }

    pub(super) const fn claims(message: &'static str) -> Self {
        Self::new(CallerErrorKind::Claims, message)
    }

    /// `wait` is the time until a fetch may begin.
    pub(super) fn unavailable(wait: Duration, cause: SendError) -> Self {
        let started = u64::from(wait.subsec_nanos() > 0);
        let retry_after = Duration::from_secs(wait.as_secs().saturating_add(started));
        Self {
            kind: CallerErrorKind::Unavailable,
            message: "the tenant's keys are not available",
            outage: Some(Outage { retry_after, cause }),
        }
    }

    /// Returns the kind.
    #[must_use]
    pub const fn kind(&self) -> CallerErrorKind {
        self.kind
    }

    /// Returns the status of the response: 503 if it is [`Unavailable`](CallerErrorKind::Unavailable), else 401.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.kind {
            CallerErrorKind::Unavailable => 503,
            _ => 401,
        }
    }

    /// Returns the value of the response's `WWW-Authenticate` header (RFC 6750, section 3). `None` at 503.
    ///
    /// It does not say what is wrong with the token.
    #[must_use]
    pub const fn www_authenticate(&self) -> Option<&'static str> {
        match self.kind {
            CallerErrorKind::Unavailable => None,
            // By RFC 6750, a request without a token gets no error code.
            CallerErrorKind::Missing => Some("Bearer"),
            _ => Some(r#"Bearer error="invalid_token""#),
        }
    }

    /// Returns the delay for the response's `Retry-After` header: a whole number of seconds, 1 to 60. `None` at 401.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.outage.as_ref().map(|outage| outage.retry_after)
    }
}

impl fmt::Display for CallerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            CallerErrorKind::Unavailable => f.write_str(self.message),
            _ => write!(f, "the caller is refused: {}", self.message),
        }
    }
}

impl Error for CallerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let outage = self.outage.as_ref()?;
        Some(&outage.cause)
    }
}
