use std::{borrow::Cow, error::Error, fmt};

use chrono::{DateTime, Utc};
use postduif_core::{DeliveryStatus, ErrorKind};
use postduif_onboarding::JournalError;
use serde::Serialize;

/// What the outbox knows of a message. It contains no number, no text and no secret.
///
/// serde writes `state` and the fields of the variant.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageStatus {
    /// It waits to be sent.
    #[non_exhaustive]
    Queued {
        /// When it was enqueued.
        since: DateTime<Utc>,
        /// When it is sent at the earliest.
        next_try: DateTime<Utc>,
        /// Why the last try failed. `None` before the first.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_error: Option<SendFailure>,
    },
    /// A process is sending it.
    #[non_exhaustive]
    Sending {
        /// When it was enqueued.
        since: DateTime<Utc>,
    },
    /// A vendor accepted it.
    #[non_exhaustive]
    Accepted {
        /// When that was stored.
        at: DateTime<Utc>,
        /// The name of the provider that accepted it.
        provider: String,
        /// The vendor's id of it. `None` if the vendor assigns none.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// How many parts the vendor counted. `None` if it does not say.
        #[serde(skip_serializing_if = "Option::is_none")]
        parts: Option<u16>,
    },
    /// It was not accepted, for a reason that does not pass by itself. It is not sent any more.
    #[non_exhaustive]
    NotAccepted {
        /// When that was stored.
        at: DateTime<Utc>,
        /// The reason.
        error: SendFailure,
    },
    /// No vendor accepted it before it expired. It is not sent any more.
    #[non_exhaustive]
    Expired {
        /// When that was stored.
        at: DateTime<Utc>,
        /// Why the last try failed. `None` if there was none.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_error: Option<SendFailure>,
    },
    /// It may have been sent, and is never sent again. A delivery report can end the doubt.
    #[non_exhaustive]
    Unknown {
        /// When that was stored.
        at: DateTime<Utc>,
        /// What happened. `None` if the process that was sending it died.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<SendFailure>,
    },
    /// The phone has it, by its delivery reports.
    Delivered,
    /// The phone does not get it, by its delivery reports.
    #[non_exhaustive]
    Undelivered {
        /// The status, which is final.
        status: DeliveryStatus,
    },
}

impl MessageStatus {
    /// Returns whether it will not be sent any more: a vendor has accepted it, or none will, or it is in doubt.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        !matches!(self, Self::Queued { .. } | Self::Sending { .. })
    }
}

/// Why a message was not accepted, or may not have been.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SendFailure {
    /// The kind of error.
    pub kind: ErrorKind,
    /// The name of the provider. `None` if none was involved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The vendor's own code. `None` if it sent none that is safe to keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A message that is in the outbox.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Enqueued {
    /// Whether this call put it there. Otherwise the same message was there by its key.
    pub is_new: bool,
    /// What is known of it.
    pub status: MessageStatus,
}

/// A message that may not be in the outbox, or whose status is not known.
///
/// It contains no key, number or text.
#[derive(Clone)]
pub struct OutboxError {
    kind: OutboxErrorKind,
    message: Cow<'static, str>,
    source: Option<JournalError>,
}

/// What went wrong with the outbox.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OutboxErrorKind {
    /// Another message has this key or reference. Nothing was stored.
    Conflict,
    /// Too many messages wait. Nothing was stored.
    Full,
    /// The key or an option is out of range, or the message expires before it could be sent. Nothing was stored.
    Invalid,
    /// The queue has no store of messages, or no keys to seal them.
    Misconfigured,
    /// A message is there by this key, but its own key to compare it with is missing, or it was changed.
    Sealed,
    /// The store does not respond. The message may be stored: enqueue it again under the same key.
    Unavailable,
}

impl OutboxError {
    pub(crate) fn new(kind: OutboxErrorKind, message: &'static str) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Returns what went wrong.
    #[must_use]
    pub const fn kind(&self) -> OutboxErrorKind {
        self.kind
    }
}

impl From<JournalError> for OutboxError {
    fn from(error: JournalError) -> Self {
        Self {
            kind: OutboxErrorKind::Unavailable,
            message: "the store of the queue failed".into(),
            source: Some(error),
        }
    }
}

impl fmt::Display for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for OutboxError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
