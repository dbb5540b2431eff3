use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{ParseError, string_enum::serde_as_text};

/// Graph's id of a pass. It is not a secret.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TapId(Box<str>);

impl TapId {
    /// Returns the id as Graph wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TapId {
    type Err = ParseError;

    /// Reads 1 to 128 letters, digits, hyphens and underscores, since it becomes a path segment.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=128).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(ParseError::new("the id of a pass"))
        }
    }
}

impl fmt::Display for TapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_as_text!(TapId);

/// The options of a new pass. The tenant's policy decides what is left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TapRequest {
    /// The lifetime in whole minutes: 10 to 43,200, and within the policy's bounds. `None` is the policy's
    /// default.
    pub lifetime: Option<Duration>,
    /// Whether the pass works only once. `None` is the policy's default. `Some(false)` is refused if the policy
    /// requires one-time passes.
    pub one_time: Option<bool>,
}

impl TapRequest {
    /// Creates a request for a one-time pass with the policy's default lifetime.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lifetime: None,
            one_time: Some(true),
        }
    }

    /// Sets the lifetime, in whole minutes.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets whether the pass works only once. `None` leaves it to the policy.
    #[must_use]
    pub const fn with_one_time(mut self, one_time: Option<bool>) -> Self {
        self.one_time = one_time;
        self
    }
}

impl Default for TapRequest {
    fn default() -> Self {
        Self::new()
    }
}

/// What Graph states about a pass after it was issued: everything but the secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TapInfo {
    /// Graph's id of the pass.
    pub id: TapId,
    /// When the pass becomes valid, by Graph's clock.
    pub start: DateTime<Utc>,
    /// How long the pass is valid.
    pub lifetime: Duration,
    /// Whether the pass works only once.
    pub one_time: bool,
    /// Whether the pass can be used now.
    pub usable: bool,
    /// Whether the pass becomes usable by itself, at its start.
    pub not_yet_valid: bool,
}

impl TapInfo {
    /// Creates the description of a usable one-time pass.
    #[must_use]
    pub const fn new(id: TapId, start: DateTime<Utc>, lifetime: Duration) -> Self {
        Self {
            id,
            start,
            lifetime,
            one_time: true,
            usable: true,
            not_yet_valid: false,
        }
    }

    /// Returns when the pass expires: its start plus its lifetime, both by Graph's clock.
    #[must_use]
    pub fn valid_until(&self) -> DateTime<Utc> {
        chrono::TimeDelta::from_std(self.lifetime)
            .ok()
            .and_then(|lifetime| self.start.checked_add_signed(lifetime))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Returns whether the pass can be used to sign in, now or from its start on.
    #[must_use]
    pub const fn opens(&self) -> bool {
        self.usable || self.not_yet_valid
    }
}

/// A Temporary Access Pass with its secret, which Graph returns only once.
///
/// It is not `Clone`: a pass goes into one text. `Debug` does not show the secret, and its memory is zeroed on
/// drop.
#[derive(Debug)]
pub struct TemporaryAccessPass {
    info: TapInfo,
    secret: SecretString,
}

impl TemporaryAccessPass {
    /// Creates a pass from its description and its secret.
    #[must_use]
    pub const fn new(info: TapInfo, secret: SecretString) -> Self {
        Self { info, secret }
    }

    /// Returns everything but the secret.
    #[must_use]
    pub const fn info(&self) -> &TapInfo {
        &self.info
    }

    /// Returns the secret, for the text.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> TapInfo {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        TapInfo::new(
            "c6a1f0d2".parse().unwrap(),
            start,
            Duration::from_secs(3600),
        )
    }

    #[test]
    fn a_pass_ends_at_start_plus_lifetime() {
        assert_eq!(info().valid_until().timestamp(), 1_800_003_600);
        let endless = TapInfo {
            lifetime: Duration::MAX,
            ..info()
        };
        assert_eq!(endless.valid_until(), DateTime::<Utc>::MAX_UTC);
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let pass = TemporaryAccessPass::new(info(), SecretString::from("X7k+q2Rm"));
        assert!(!format!("{pass:?}{pass:#?}").contains("X7k"));
        assert_eq!(pass.secret(), "X7k+q2Rm");
    }

    #[test]
    fn an_id_that_would_leave_its_path_segment_is_refused() {
        for text in ["", "..", "a/b", "a%2fb", "a b", &"x".repeat(129)] {
            assert!(text.parse::<TapId>().is_err(), "{text:?}");
        }
    }
}
