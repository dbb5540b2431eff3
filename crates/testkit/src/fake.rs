use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{ErrorKind, PhoneNumber, SmsProvider};

use crate::{HttpRequest, Reply};

/// A description of a vendor's wire, which the suite uses to simulate the vendor: how requests read and how it replies.
///
/// Write it from the vendor's documentation, not from the provider: the suite finds where the two disagree.
/// [`conformance!`](crate::conformance) shows a complete one.
pub trait FakeVendor: Clone + Send + Sync + 'static {
    /// Builds the provider under test as its users do, for the vendor at `base` (`http://127.0.0.1:port`). Its total
    /// deadline must be [`DEADLINE`].
    ///
    /// The suite sends messages without a sender. If the vendor requires one, build the provider with a default
    /// sender, and return one without it from [`without_sender`](Self::without_sender). It must not keep the vendor's
    /// words: [`with_vendor_messages`](Self::with_vendor_messages) builds the one that does.
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider>;

    /// Returns the reply to a request that sends nothing (for a token, a balance), and `None` for one that sends.
    fn other_reply(&self, request: &HttpRequest) -> Option<Reply>;

    /// Reads the messages in a request that sends, with every option of the profile that the wire has. An option that
    /// is left out here looks like one that the provider dropped: promises about options then fail.
    fn received(&self, request: &HttpRequest) -> Vec<Received>;

    /// Returns the reply that accepts these messages of the request and no others, in this order: `[0]` for a request
    /// with one message. For a batch, the suite also asks for shuffled, duplicate and missing entries.
    fn accept(&self, request: &HttpRequest, entries: &[usize]) -> Reply;

    /// Returns a reply that refuses the whole call in the vendor's own error shape, with `words` in each free text of
    /// that shape.
    fn refuse(&self, request: &HttpRequest, words: &str) -> Reply;

    /// Returns the kind that [`refuse`](Self::refuse) stands for.
    fn refusal(&self) -> ErrorKind;

    /// Returns the same refusal with `code` in place of the vendor's code, or `None` if the shape has no code.
    fn refuse_with_code(&self, request: &HttpRequest, code: &str) -> Option<Reply>;

    /// Returns a reply in the vendor's own error shape that no page of the vendor lists, or `None` if it would look
    /// like a listed refusal.
    ///
    /// Defaults to [`refuse_with_code`](Self::refuse_with_code) with an unlisted code.
    fn refuse_unlisted(&self, request: &HttpRequest) -> Option<Reply> {
        self.refuse_with_code(request, "7391")
    }

    /// Returns the credentials that [`provider`](Self::provider) is built with, and each of its URLs that may hold a
    /// secret. Each is at least 8 characters long and occurs nowhere else. None may appear in any output.
    ///
    /// Defaults to an empty list: credentials are then not searched for.
    fn credentials(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the reply to a request of any kind, also for a token, that refuses the credentials, or `None` if the
    /// vendor does not check them there.
    ///
    /// With it a [`send`](SmsProvider::send) must fail as `Unauthorized`. A [`check`](SmsProvider::check) must return a
    /// health that says so, or that the vendor cannot tell.
    ///
    /// Defaults to `None`: refused credentials are then not tried.
    fn refuse_credentials(&self, request: &HttpRequest) -> Option<Reply> {
        let _ = request;
        None
    }

    /// Returns whether a request asks for a token.
    ///
    /// Defaults to `false`: a stalled token request is then not tried.
    fn is_token(&self, request: &HttpRequest) -> bool {
        let _ = request;
        false
    }

    /// Returns the reply that accepts a request of one message under this id, or `None` if the vendor returns no id or
    /// receipts do not keep it.
    ///
    /// An id that is blank, too long or has control characters must leave the message in doubt:
    /// `Response::message_id` of `postduif-http` refuses it.
    ///
    /// Defaults to `None`: unusable ids are then not tried.
    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        let _ = (request, id);
        None
    }

    /// Returns whether an acceptance repeats our reference or the recipient, so that it names its message.
    ///
    /// Defaults to `false`: an acceptance of another message is then not tried.
    fn replies_name_the_message(&self) -> bool {
        false
    }

    /// Returns whether the vendor documents this reply as its own refusal, although other servers give it too.
    ///
    /// Defaults to `false`, which suits nearly every vendor.
    fn documents(&self, status: u16, body: &str) -> bool {
        let _ = (status, body);
        false
    }

    /// Builds the provider as [`provider`](Self::provider) does, with the option that its errors keep the vendor's own
    /// words. For each text of [`refuse`](Self::refuse), an error then has a
    /// [`vendor_message`](postduif_core::SendError::vendor_message).
    ///
    /// Defaults to `None`: what such words may repeat is then not tried.
    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        let _ = base;
        None
    }

    /// Builds the provider as [`provider`](Self::provider) does, without a default sender.
    ///
    /// Defaults to `None`: a message without a sender is then not tried.
    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        let _ = base;
        None
    }
}

/// The total deadline of a provider under test, 800 ms: short, so that a stall ends soon, and far more than loopback
/// needs.
pub const DEADLINE: Duration = Duration::from_millis(800);

/// A message as the vendor reads it from its wire.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// The recipient.
    pub to: PhoneNumber,
    /// The text.
    pub text: String,
    /// The sender, if the wire has one.
    pub sender: Option<String>,
    /// Our reference, if the wire has it.
    pub reference: Option<String>,
    /// The validity period, if the wire has one.
    pub validity: Option<Duration>,
    /// The send time, if the wire has one.
    pub send_at: Option<DateTime<Utc>>,
}

impl Received {
    /// Creates a message with a recipient and a text.
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
