//! What the tests have in common.

use std::{num::NonZeroU32, time::Duration};

use postduif_core::{
    Acceptance, ErrorKind, Message, Outcomes, Profile, Receipt, SendError, SenderKind, Text,
};

pub(crate) use std::num::NonZeroUsize;

pub(crate) use crate::recording::{Recording, Scripted};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn size(size: usize) -> NonZeroUsize {
    NonZeroUsize::new(size).unwrap()
}

pub(crate) fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

pub(crate) fn profile(name: &'static str, batch: usize) -> Profile {
    Profile::new(name)
        .with_batch(size(batch), true)
        .with_senders(&[SenderKind::Alphanumeric, SenderKind::Number])
}

pub(crate) fn vendor(name: &'static str, batch: usize) -> Recording {
    Recording::new(profile(name, batch))
}

pub(crate) fn message(text: &str) -> Message {
    message_to("+31612345678", text)
}

pub(crate) fn message_to(to: &str, text: &str) -> Message {
    Message::new(to.parse().unwrap(), Text::new(text).unwrap())
}

/// So many messages to different recipients.
pub(crate) fn messages(count: usize) -> Vec<Message> {
    (0..count)
        .map(|place| {
            message_to(
                &format!("+316{:08}", 10_000_000 + place),
                &format!("{place}"),
            )
        })
        .collect()
}

pub(crate) fn kind_of(outcome: &Result<Receipt, SendError>) -> Option<(ErrorKind, Acceptance)> {
    let error = outcome.as_ref().err()?;
    Some((error.kind(), error.acceptance()))
}

pub(crate) fn refused(kind: ErrorKind) -> Option<(ErrorKind, Acceptance)> {
    Some((kind, Acceptance::NotAccepted))
}

pub(crate) fn in_doubt(kind: ErrorKind) -> Option<(ErrorKind, Acceptance)> {
    Some((kind, Acceptance::Unknown))
}

pub(crate) fn kinds(outcomes: &Outcomes) -> Vec<Option<(ErrorKind, Acceptance)>> {
    outcomes.iter().map(kind_of).collect()
}
