//! **Does:** asks your list before each message whether its recipient wants no more texts, and refuses those to whoever
//! does not.
//!
//! **Never:** makes a call for a message that it refuses; sends one while the list cannot answer; adds a number to the
//! list or removes one.
//!
//! **Belongs** outside of [`Failover`](crate::Failover), so that the list is asked once for all vendors, and inside of
//! [`StartWithin`](crate::StartWithin) and [`Dedupe`](crate::Dedupe). It checks the recipient that the message has at
//! that point of the stack.

use std::{
    borrow::Cow,
    collections::HashSet,
    error::Error,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use postduif_core::{
    ErrorKind, Health, Message, OptOut, Outcomes, PhoneNumber, Profile, Receipt, SendError,
    SmsProvider, async_trait, departure::hold_until_closed,
};
use tokio::time::Instant;

use crate::{
    clock::{Late, can_wait, ended, timeout_at},
    dispatch::{IN_FLIGHT, cut_off, later, lock, refusal, send_passed},
};

/// Your list of the numbers that want no more texts, such as a table of a database.
///
/// Fill it with what [`OptOutWords`](postduif_core::OptOutWords) says of inbound messages, as
/// [`OptOuts`](crate::OptOuts) does.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// use std::error::Error;
/// use postduif::{PhoneNumber, async_trait, layers::SuppressionList};
///
/// # struct Pool;
/// # impl Pool { async fn has_row(&self, _: &str, _: i64) -> Result<bool, std::io::Error> { Ok(false) } }
/// struct Table {
///     pool: Pool, // of your database
/// }
///
/// #[async_trait]
/// impl SuppressionList for Table {
///     async fn contains(&self, number: PhoneNumber) -> Result<bool, Box<dyn Error + Send + Sync>> {
///         let number = i64::try_from(number.to_u64())?;
///         Ok(self.pool.has_row("SELECT 1 FROM opt_outs WHERE number = $1", number).await?)
///     }
/// }
/// ```
#[async_trait]
pub trait SuppressionList: Send + Sync + 'static {
    /// Returns whether this number wants no more texts.
    ///
    /// It may be called several times at once. A call that takes too long is dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if the list cannot answer: the message is then not sent. The error becomes the
    /// [`source`](Error::source) of the [`SendError`], so its `Display` output must not contain the number.
    async fn contains(&self, number: PhoneNumber) -> Result<bool, Box<dyn Error + Send + Sync>>;
}

const _: fn(&dyn SuppressionList) = |_| {};

#[async_trait]
impl<L: SuppressionList + ?Sized> SuppressionList for Arc<L> {
    async fn contains(&self, number: PhoneNumber) -> Result<bool, Box<dyn Error + Send + Sync>> {
        L::contains(self, number).await
    }
}

/// A layer that sends nothing to numbers on your list.
///
/// A message to a listed number is refused as `Blocked`, not accepted, before any call, and goes to no other vendor. Of
/// a batch, only the messages to listed numbers are refused.
///
/// A message is also refused, as `Unavailable`, if the list fails or does not answer within
/// [`with_max_wait`](Self::with_max_wait). It may be sent again later; [`Retry`](crate::Retry) does not, since no vendor
/// failed. There is no option to send all the same: a list that should not stop messages answers `Ok(false)` itself.
///
/// An opt-out that is stored while a message is on its way does not stop that message.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use std::sync::Arc;
/// use postduif::{ErrorKind, OptOut, SmsProvider as _, layers::{Suppress, SuppressedNumbers}};
///
/// # async fn example(vendor: impl SmsProvider, message: Message) {
/// let list = Arc::new(SuppressedNumbers::new());
/// let provider = Suppress::new(vendor, Arc::clone(&list));
/// list.record(message.to(), OptOut::Stop);
/// let refused = provider.send(&message).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Blocked);
/// assert!(!refused.may_reroute());
/// # }
/// ```
pub struct Suppress<P> {
    inner: P,
    list: Box<dyn SuppressionList>,
    max_wait: Duration,
}

/// Far longer than an answer from a database takes, and short beside what a vendor may take.
const MAX_WAIT: Duration = Duration::from_secs(5);

impl<P: SmsProvider> Suppress<P> {
    /// Creates a layer that asks this list, which may be shared by an `Arc`.
    #[must_use]
    pub fn new(inner: P, list: impl SuppressionList) -> Self {
        Self {
            inner,
            list: Box::new(list),
            max_wait: MAX_WAIT,
        }
    }

    /// Sets how long a send waits for the list, or a batch for all answers together. Defaults to 5 seconds.
    #[must_use]
    pub const fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Returns an error unless the recipient may get texts.
    async fn check_recipient(&self, to: PhoneNumber, deadline: Instant) -> Result<(), SendError> {
        let profile = self.inner.profile();
        can_wait(profile)?;
        let unavailable = |what| refusal(profile, ErrorKind::Unavailable, what);
        // Nothing leaves while the list answers.
        let answer = hold_until_closed(timeout_at(deadline, self.list.contains(to))).await;
        match answer {
            Err(_closed) => Err(cut_off(profile)),
            Ok(Err(Late::RuntimeEnded)) => Err(ended(profile)),
            Ok(Err(Late::Deadline)) => {
                Err(unavailable("the suppression list did not answer in time"))
            }
            Ok(Ok(Err(error))) => {
                Err(unavailable("the suppression list failed").with_source(ListError(error)))
            }
            Ok(Ok(Ok(true))) => Err(refusal(
                profile,
                ErrorKind::Blocked,
                "the recipient wants no more texts",
            )),
            Ok(Ok(Ok(false))) => Ok(()),
        }
    }

    fn deadline(&self) -> Instant {
        later(Instant::now(), self.max_wait)
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Suppress<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.check_recipient(message.to(), self.deadline()).await?;
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let deadline = self.deadline();
        let numbers: Vec<_> = messages.iter().map(Message::to).collect();
        let verdicts: Vec<_> = stream::iter(numbers)
            .map(|number| self.check_recipient(number, deadline))
            .buffered(IN_FLIGHT.get())
            .collect()
            .await;
        let mut verdicts = verdicts.into_iter();
        send_passed(&self.inner, messages, |message| {
            let verdict = verdicts
                .next()
                .unwrap_or_else(|| Err(cut_off(self.profile())));
            verdict.map(|()| Cow::Borrowed(message))
        })
        .await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

impl<P: fmt::Debug> fmt::Debug for Suppress<P> {
    /// Leaves out the list, which holds numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suppress")
            .field("inner", &self.inner)
            .field("max_wait", &self.max_wait)
            .finish_non_exhaustive()
    }
}

/// The error of a list, as the source of another one.
#[derive(Debug)]
pub(crate) struct ListError(pub(crate) Box<dyn Error + Send + Sync>);

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for ListError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A [`SuppressionList`] in memory, for tests and small services.
///
/// It grows by 8 to 16 bytes for each number, and nothing is ever dropped to make room. **A restart forgets it**: keep the
/// opt-outs elsewhere too, and fill it from there.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// use postduif::{OptOut, PhoneNumber, layers::SuppressedNumbers};
///
/// let number: PhoneNumber = "+31612345678".parse()?;
/// let list = SuppressedNumbers::from_iter([number]);
/// assert!(list.has(number));
/// list.record(number, OptOut::Start);
/// assert!(!list.has(number));
/// # Ok::<(), postduif::PhoneNumberError>(())
/// ```
#[derive(Default)]
pub struct SuppressedNumbers(Mutex<HashSet<PhoneNumber>>);

impl SuppressedNumbers {
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the number for [`OptOut::Stop`], and removes it for [`OptOut::Start`].
    pub fn record(&self, number: PhoneNumber, opt_out: OptOut) {
        let mut numbers = lock(&self.0);
        match opt_out {
            OptOut::Stop => numbers.insert(number),
            OptOut::Start => numbers.remove(&number),
        };
    }

    /// Returns whether the number is on the list.
    #[must_use]
    pub fn has(&self, number: PhoneNumber) -> bool {
        lock(&self.0).contains(&number)
    }
}

impl FromIterator<PhoneNumber> for SuppressedNumbers {
    fn from_iter<I: IntoIterator<Item = PhoneNumber>>(numbers: I) -> Self {
        Self(Mutex::new(numbers.into_iter().collect()))
    }
}

impl fmt::Debug for SuppressedNumbers {
    /// Shows how many numbers there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SuppressedNumbers")
            .field("numbers", &lock(&self.0).len())
            .finish()
    }
}

#[async_trait]
impl SuppressionList for SuppressedNumbers {
    async fn contains(&self, number: PhoneNumber) -> Result<bool, Box<dyn Error + Send + Sync>> {
        Ok(self.has(number))
    }
}
