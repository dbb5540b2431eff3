use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{ErrorKind, PhoneNumber, SmsProvider};

use crate::{HttpRequest, Reply};

/// What the suite must know of a vendor to pretend to be it: how its wire reads and what it answers.
///
/// Write it from the vendor's documentation, not from the provider: where the two disagree, that is what the
/// suite is for.
pub trait PretendVendor: Clone + Send + Sync + 'static {
    /// The provider under test, built as its users build it, for the vendor at `base`
    /// (`http://127.0.0.1:port`). Its deadline in all must be [`DEADLINE`].
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider>;

    /// The answer to a request that is not for sending (a token, a balance). None where it is.
    fn aside(&self, request: &HttpRequest) -> Option<Reply>;

    /// How a request for sending reads, message by message.
    fn received(&self, request: &HttpRequest) -> Vec<Received>;

    /// The answer that accepts these of the request's messages, in this order and no others: `[0]` for a
    /// request of one; a batch is also answered shuffled, doubled and with entries left out.
    fn accept(&self, request: &HttpRequest, entries: &[usize]) -> Reply;

    /// An answer that refuses the whole call in the vendor's own error shape, with `words` wherever that
    /// shape has room for words.
    fn refuse(&self, request: &HttpRequest, words: &str) -> Reply;

    /// How [`refuse`](Self::refuse) must be understood.
    fn refusal(&self) -> ErrorKind;

    /// The same refusal with `code` where the vendor's code stands. None where the shape has no code.
    fn refuse_with_code(&self, request: &HttpRequest, code: &str) -> Option<Reply>;
}

/// The deadline in all that a provider under test is built with: short, so that a stall is over soon, and
/// far above what loopback needs.
pub const DEADLINE: Duration = Duration::from_millis(800);

/// A message as a vendor reads it from its wire.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// Whom it is for.
    pub to: PhoneNumber,
    /// The text.
    pub text: String,
    /// Who it is from, where the wire says so.
    pub sender: Option<String>,
    /// Our reference, where the wire has it.
    pub reference: Option<String>,
    /// The validity period, where the wire says so.
    pub validity: Option<Duration>,
    /// When to send it, where the wire says so.
    pub send_at: Option<DateTime<Utc>>,
}

impl Received {
    /// A message with a recipient and a text.
    #[must_use]
    pub fn new(to: PhoneNumber, text: impl Into<String>) -> Self {
        Self {
            to,
            text: text.into(),
            sender: None,
            reference: None,
            validity: None,
            send_at: None,
        }
    }
}
