use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{ErrorKind, PhoneNumber, SmsProvider};

use crate::{HttpRequest, Reply};

/// What the suite must know of a vendor to pretend to be it: how its wire reads and what it answers.
///
/// Write it from the vendor's documentation, not from the provider: where the two disagree, that is what the
/// suite is for. [`conformance!`](crate::conformance) shows a whole one.
pub trait FakeVendor: Clone + Send + Sync + 'static {
    /// The provider under test, built as its users build it, for the vendor at `base`
    /// (`http://127.0.0.1:port`). Its deadline in all must be [`DEADLINE`].
    ///
    /// The suite sends messages without a sender, so build it with a default sender where the vendor requires one;
    /// describe the provider without it by [`without_sender`](Self::without_sender).
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider>;

    /// The answer to a request that is not for sending (a token, a balance). None where it is.
    fn other_reply(&self, request: &HttpRequest) -> Option<Reply>;

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

    /// An answer in the vendor's own error shape that no page of the vendor lists. `None` where the shape alone
    /// cannot be told from a listed refusal.
    ///
    /// Defaults to [`refuse_with_code`](Self::refuse_with_code) with a code that nobody lists.
    fn refuse_unlisted(&self, request: &HttpRequest) -> Option<Reply> {
        self.refuse_with_code(request, "7391")
    }

    /// The credentials that [`provider`](Self::provider) is built with, and every URL of it that may hold a
    /// secret, each at least 8 characters long and found nowhere else. None of them may show anywhere.
    ///
    /// Defaults to none, and then nothing looks for them.
    fn credentials(&self) -> Vec<String> {
        Vec::new()
    }

    /// The answer to a request of any kind, for a token too, that says that the credentials are wrong. `None`
    /// where the vendor does not check them there.
    ///
    /// The suite tries a [`send`](SmsProvider::send) with it, which must be refused as `Unauthorized`, and a
    /// [`check`](SmsProvider::check), which may answer that it cannot tell.
    ///
    /// Defaults to `None`, and then refused credentials are not tried.
    fn refuse_credentials(&self, request: &HttpRequest) -> Option<Reply> {
        let _ = request;
        None
    }

    /// Whether a request asks for a token.
    ///
    /// Defaults to no, and then a token that does not come is not tried.
    fn is_token(&self, request: &HttpRequest) -> bool {
        let _ = request;
        false
    }

    /// The answer that accepts a request of one message under this id. `None` where the vendor gives none, or
    /// where no receipt keeps it. An id that is blank, too long or has control characters must leave the message
    /// in doubt: `Answer::message_id` of `postduif-http` tells.
    ///
    /// Defaults to `None`, and then ids that nobody can use are not tried.
    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        let _ = (request, id);
        None
    }

    /// Whether an acceptance repeats our reference or the recipient, so that one can be told from another's.
    ///
    /// Defaults to no, and then an acceptance of another message is not tried.
    fn replies_name_the_message(&self) -> bool {
        false
    }

    /// Whether the vendor itself documents this very answer as its refusal, although anybody could give it.
    ///
    /// Defaults to no, which is what nearly every vendor can say.
    fn documents(&self, status: u16, body: &str) -> bool {
        let _ = (status, body);
        false
    }

    /// The provider, as [`provider`](Self::provider) builds it, without a default sender.
    ///
    /// Defaults to `None`, and then a message without a sender is not tried.
    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        let _ = base;
        None
    }
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
