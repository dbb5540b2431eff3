use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{ExposeSecret as _, Message, SmsProvider};

use super::{
    Enqueued, MessageReports, MessageSender, MessageSenderBuilder, MessageStatus, Outbox,
    OutboxError, OutboxErrorKind, body, store::now,
};
use crate::Queue;

impl Queue {
    /// Puts a message into the outbox, so that it will be sent: await what this returns, or set options first.
    ///
    /// Once it is stored it survives a crash of any process, and a [sender](Self::sender) sends it. It is never sent
    /// twice by us: a message whose acceptance is unknown stays so.
    ///
    /// Under one key the same message is enqueued once. If it is there already, the result is its
    /// [status](Enqueued::status), so that a caller whose call failed may simply repeat it.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_queue as queue; }
    /// use postduif::{Message, SecretString, Text, queue::{Keys, Queue}};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let key = SecretString::from("6PDjC5CQXd5dXMZ6WmD2qyEtI1Hvgg4HkY+yuLxXcOM=");
    /// let queue = Queue::builder("memory").with_keys(Keys::new("2026-07", &key)?).open().await?;
    ///
    /// let message = Message::new("+31612345678".parse()?, Text::new("Your order has left")?);
    /// let enqueued = queue.send(message.clone()).with_key("order-42").await?;
    /// assert!(enqueued.is_new);
    ///
    /// // The caller does not know whether that worked, and repeats it.
    /// let again = queue.send(message).with_key("order-42").await?;
    /// assert!(!again.is_new);
    ///
    /// // Another message under this key is an error.
    /// let other = Message::new("+31612345678".parse()?, Text::new("Your order is late")?);
    /// assert!(queue.send(other).with_key("order-42").await.is_err());
    /// # Ok(()) }
    /// ```
    pub fn send(&self, message: Message) -> Enqueue<'_> {
        Enqueue::new(self.outbox(), message)
    }

    /// Returns what is known of the message with this key. `None` if there is none: it was never enqueued, or ended so
    /// long ago that it was [removed](crate::QueueBuilder::with_keep).
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    pub async fn message(&self, key: &str) -> Result<Option<MessageStatus>, OutboxError> {
        found(self.outbox())?.status(key).await
    }

    /// Waits until the message with this key has ended, and returns its status then, or that after `at_most`. `None`
    /// if there is no such message.
    ///
    /// It has ended when a vendor has accepted it, when it will not be sent any more, or when it is in doubt.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    pub async fn message_outcome(
        &self,
        key: &str,
        at_most: Duration,
    ) -> Result<Option<MessageStatus>, OutboxError> {
        found(self.outbox())?.outcome(key, at_most).await
    }

    /// Counts the messages that wait to be sent, and those that are being sent.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    pub async fn messages_waiting(&self) -> Result<u64, OutboxError> {
        let (waiting, _) = found(self.outbox())?.depth().await?;
        Ok(waiting)
    }

    /// Returns the sink of the messages' delivery reports.
    #[must_use]
    pub fn message_reports(&self) -> MessageReports {
        MessageReports::new(self.outbox().cloned())
    }

    /// Creates a builder of a sender, which sends the messages of the outbox with this provider.
    ///
    /// Any number of senders, on any number of machines, share the messages of a store. Each takes what is due, so give
    /// all of them the same vendors.
    pub fn sender(&self, provider: impl SmsProvider) -> MessageSenderBuilder {
        MessageSender::builder(self.outbox().cloned(), provider)
    }
}

fn found(outbox: Option<&Outbox>) -> Result<&Outbox, OutboxError> {
    const MESSAGE: &str = "the store of the queue has no messages: it is one of your own";
    outbox.ok_or(OutboxError::new(OutboxErrorKind::Misconfigured, MESSAGE))
}

/// A message on its way into the outbox, with its options. Await it.
#[must_use = "a message is enqueued when this is awaited"]
pub struct Enqueue<'a> {
    outbox: Option<&'a Outbox>,
    message: Message,
    key: Option<String>,
    not_before: Option<DateTime<Utc>>,
    expires: Option<DateTime<Utc>>,
}

impl<'a> Enqueue<'a> {
    pub(super) const fn new(outbox: Option<&'a Outbox>, message: Message) -> Self {
        Self {
            outbox,
            message,
            key: None,
            not_before: None,
            expires: None,
        }
    }

    /// Sets the key, under which the message is enqueued once: up to 200 bytes without control characters. Defaults to
    /// the message's reference, which is random unless it was set.
    ///
    /// It is stored as it is: it should be no number and no name.
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets when the message is sent at the earliest. Defaults to immediately, as does a time that is over.
    ///
    /// The store schedules it, also for a vendor that cannot. With [`Message::with_send_at`] the vendor does.
    pub const fn with_not_before(mut self, at: DateTime<Utc>) -> Self {
        self.not_before = Some(at);
        self
    }

    /// Sets from when on the message is useless: a vendor that has not accepted it by then does not get it. Defaults to
    /// the message's validity period, or else 24 hours, from when it may be sent.
    pub const fn with_expiry(mut self, at: DateTime<Utc>) -> Self {
        self.expires = Some(at);
        self
    }

    /// Seals the message without storing it, for an `INSERT` in a transaction of your own: then the order and its text
    /// are stored together, or neither is. The page `docs/outbox.md` has the statements.
    ///
    /// # Errors
    ///
    /// As those of enqueuing, but for the store's.
    pub fn seal(&self) -> Result<SealedMessage, OutboxError> {
        let invalid = |message| OutboxError::new(OutboxErrorKind::Invalid, message);
        let keys = found(self.outbox)?.keys()?;
        let reference = self.message.reference().as_str();
        let key = self.key.as_deref().unwrap_or(reference);
        if !(1..=MAX_KEY).contains(&key.len()) || key.chars().any(char::is_control) {
            return Err(invalid(
                "the key of a message has 1 to 200 bytes and no control characters",
            ));
        }
        let now = now();
        // What was due long ago is due now, and has its whole life before it.
        let not_before = self.not_before.filter(|at| *at > now);
        let begins = not_before.unwrap_or(now);
        if self.expires.is_some_and(|expires| expires <= begins) {
            return Err(invalid("the message expires before it may be sent"));
        }
        let validity = self.message.validity();
        let validity = validity.or_else(|| self.message.validity_where_possible());
        let lifetime = validity.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME);
        let plain = body::write(&self.message);
        let plain = plain.ok_or_else(|| invalid("a validity period is in whole seconds"))?;
        let Some((key_id, sealed)) = keys.seal(reference, key, plain.expose_secret()) else {
            return Err(OutboxError::new(
                OutboxErrorKind::Unavailable,
                "the operating system gives no random bytes",
            ));
        };
        Ok(SealedMessage {
            key: key.to_owned(),
            reference: reference.to_owned(),
            key_id: key_id.to_owned(),
            sealed,
            not_before,
            expires: self.expires,
            lifetime,
            created_at: now,
        })
    }

    async fn enqueue(self) -> Result<Enqueued, OutboxError> {
        let sealed = self.seal()?;
        found(self.outbox)?.enqueue(&sealed, &self.message).await
    }
}

impl<'a> IntoFuture for Enqueue<'a> {
    type Output = Result<Enqueued, OutboxError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    /// Stores the message, and returns once it is durable.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.enqueue())
    }
}

impl fmt::Debug for Enqueue<'_> {
    /// Shows neither the key nor the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enqueue")
            .field("not_before", &self.not_before)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A message as it is stored: its text, recipient and sender are encrypted.
///
/// It is what an `INSERT` into the outbox in a transaction of your own needs.
#[derive(Clone)]
pub struct SealedMessage {
    key: String,
    reference: String,
    key_id: String,
    sealed: Vec<u8>,
    pub(super) not_before: Option<DateTime<Utc>>,
    pub(super) expires: Option<DateTime<Utc>>,
    pub(super) lifetime: Duration,
    created_at: DateTime<Utc>,
}

impl SealedMessage {
    /// Returns the message's key, the column `key`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the message's reference, the column `reference`.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Returns the id of the key that sealed it, the column `key_id`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the encrypted message, the column `sealed`.
    #[must_use]
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// Returns when the message is sent at the earliest, the columns `not_before` and `due_at`.
    #[must_use]
    pub fn not_before(&self) -> DateTime<Utc> {
        self.not_before.unwrap_or(self.created_at)
    }

    /// Returns when the message expires, the column `expires_at`.
    #[must_use]
    pub fn expires(&self) -> DateTime<Utc> {
        let lifetime = chrono::TimeDelta::from_std(self.lifetime).unwrap_or_default();
        let end = self.not_before().checked_add_signed(lifetime);
        self.expires.or(end).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl fmt::Debug for SealedMessage {
    /// Shows neither the key nor the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedMessage")
            .field("key_id", &self.key_id)
            .field("not_before", &self.not_before)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

const MAX_KEY: usize = 200;

const DEFAULT_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Vendors' longest validity periods are days.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3600);
