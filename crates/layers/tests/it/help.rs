//! Helpers of the tests.

use std::{
    future::{Future, poll_fn},
    num::NonZeroU32,
    pin::Pin,
    task::Poll,
    time::Duration,
};

use postduif_core::{
    Acceptance, BatchTexts, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError,
    SenderKind, SmsProvider, Text, async_trait,
    departure::{DepartureHandle, hold},
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
        .with_batch(size(batch), BatchTexts::Mixed)
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

/// Creates this number of messages to different recipients.
pub(crate) fn messages(count: usize) -> Vec<Message> {
    (0..count)
        .map(|index| {
            message_to(
                &format!("+316{:08}", 10_000_000 + index),
                &format!("{index}"),
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

/// Polls once, and returns whether there is no outcome yet.
pub(crate) async fn waits(mut future: Pin<&mut impl Future>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

/// A provider that waits for a while before its request leaves, as for a token or a connection.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    wait: Duration,
    inner: Recording,
}

pub(crate) fn slow(inner: &Recording, wait: Duration) -> Slow {
    Slow {
        wait,
        inner: inner.clone(),
    }
}

impl Slow {
    /// Waits an hour for texts that ask for it, and not for others.
    pub(crate) fn by_text(inner: &Recording) -> Self {
        Self {
            wait: Duration::ZERO,
            inner: inner.clone(),
        }
    }

    async fn begin(&self, messages: &[Message]) -> Result<(), SendError> {
        let waits = messages
            .iter()
            .any(|message| message.text().as_str() == "waits");
        hold(tokio::time::sleep(if waits { HOUR } else { self.wait })).await;
        match DepartureHandle::current() {
            Some(departure) => departure
                .begin()
                .map_err(|closed| SendError::not_accepted(ErrorKind::Timeout, closed.to_string())),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl SmsProvider for Slow {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.begin(std::slice::from_ref(message)).await?;
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        match self.begin(messages).await {
            Ok(()) => self.inner.send_batch(messages).await,
            Err(error) => Outcomes::failed(messages, &error),
        }
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.begin(&[]).await?;
        self.inner.check().await
    }
}

/// A provider that returns one outcome too few for a batch.
#[derive(Clone, Debug)]
pub(crate) struct Short(pub(crate) Recording);

#[async_trait]
impl SmsProvider for Short {
    fn profile(&self) -> &Profile {
        self.0.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.0.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let mut outcomes = self.0.send_batch(messages).await.into_iter();
        let all_but_one = messages.split_last().map_or(messages, |(_, rest)| rest);
        Outcomes::from_fn(all_but_one, |_| outcomes.next().unwrap())
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.0.check().await
    }
}

/// A runtime whose clock is paused.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}
