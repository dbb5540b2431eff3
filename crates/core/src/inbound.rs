use std::{borrow::Cow, fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, Serializer};

use crate::{
    Authenticity, OptOut, PhoneNumber, Reference, ReportError, ReportRequest, ReportSinkError,
    report::default_reply,
};

/// A text that a person sent to one of your numbers, or an opt-out that the vendor registered itself.
///
/// A vendor that registers an opt-out without a text has an event for it: [`opt_out`](Self::opt_out) is then set, and
/// the text is empty. [`OptOutWords`](crate::OptOutWords) says what a message means for further texts.
///
/// A text from a sender without a phone number, such as a short code or a name, is no message: nobody can answer it,
/// and no text goes there. The same holds for messages of other channels, such as WhatsApp.
///
/// serde writes the fields below by their names; absent values are null. **The sender and the text are written as they
/// are**, which is personal data. `Debug` masks both.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::InboundMessage;
///
/// let message = InboundMessage::new("kpn", "+31612345678".parse()?, "Kan het een uur later?");
/// assert_eq!(message.text.as_str(), "Kan het een uur later?");
/// let shown = format!("{message:?}");
/// assert!(shown.contains("+316•••••678") && !shown.contains("later"));
/// # Ok::<(), postduif::PhoneNumberError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InboundMessage {
    /// The provider's name, as in its profile.
    pub provider: Cow<'static, str>,
    /// The vendor's id of this message. A repeated request has the same one. `None` if the vendor gives none.
    pub id: Option<String>,
    /// The person who sent it.
    pub from: PhoneNumber,
    /// Your number, short code or sender that it was sent to, as the vendor writes it.
    pub to: Option<String>,
    /// The text, unchanged. Empty if the message has none, such as one with pictures only.
    pub text: InboundText,
    /// The part of a long text that this is, from a vendor that delivers the parts separately. `None` for a whole text.
    pub part: Option<InboundPart>,
    /// Your reference of the message that it answers, if the vendor tells.
    pub in_reply_to: Option<Reference>,
    /// The vendor's id of the message that it answers, if the vendor tells.
    pub in_reply_to_id: Option<String>,
    /// What the vendor itself says that it means for further texts. `None` if the vendor says nothing.
    pub opt_out: Option<OptOut>,
    /// When it was sent or received, if the vendor tells with a known time zone.
    pub at: Option<DateTime<Utc>>,
}

impl InboundMessage {
    /// Creates a message of a sender and a text, and nothing else.
    #[must_use]
    pub fn new(
        provider: impl Into<Cow<'static, str>>,
        from: PhoneNumber,
        text: impl Into<InboundText>,
    ) -> Self {
        Self {
            provider: provider.into(),
            id: None,
            from,
            to: None,
            text: text.into(),
            part: None,
            in_reply_to: None,
            in_reply_to_id: None,
            opt_out: None,
            at: None,
        }
    }
}

/// The text of an [`InboundMessage`], which may be empty.
///
/// `Debug` shows only its length, there is no `Display`, and its memory is zeroed on drop. serde writes the text.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::InboundText;
///
/// let text = InboundText::from("Stop!");
/// assert_eq!(text.as_str(), "Stop!");
/// assert_eq!(format!("{text:?}"), "InboundText(5 characters)");
/// ```
#[derive(Clone)]
pub struct InboundText(SecretString);

impl InboundText {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for InboundText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "InboundText({} characters)",
            self.as_str().chars().count()
        )
    }
}

impl PartialEq for InboundText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for InboundText {}

impl From<String> for InboundText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for InboundText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Serialize for InboundText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The place of a part in a long text, from a vendor that delivers the parts separately.
///
/// A parser has no memory, so it does not join them: the parts of a text have the same sender, receiver and
/// `reference`, and arrive in any order. A part is never an opt-out by itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InboundPart {
    /// What the parts of a text have in common. It is not unique for long: phones count it in one or two bytes.
    pub reference: String,
    /// The index of this part, from 1.
    pub index: u16,
    /// The number of parts.
    pub total: u16,
}

impl InboundPart {
    /// Creates a part. `None` unless `index` is from 1 to `total`.
    #[must_use]
    pub fn new(reference: impl Into<String>, index: u16, total: u16) -> Option<Self> {
        (1..=total).contains(&index).then(|| Self {
            reference: reference.into(),
            index,
            total,
        })
    }
}

/// A parser of what people send to your numbers through one vendor, which accepts only verified requests.
///
/// It is the counterpart of [`ReportParser`](crate::ReportParser), with the same requests, secrets and errors, and is
/// likewise always built with a secret.
///
/// # Contract
///
/// `parse` verifies the raw bytes before it reads them, compares in constant time, and never takes the algorithm from
/// the request. It never panics.
///
/// A verified request that holds only delivery reports or other events of the vendor is an empty list. So is one that
/// holds only inbound messages for a `ReportParser`. One URL can therefore serve both: give each request to both
/// parsers, and respond 200 if either [replies](Self::reply) so.
///
/// # Repeats
///
/// A vendor repeats a request without a successful response, and a signed request can be replayed within its time
/// window. Take each [`id`](InboundMessage::id) once, so that an old opt-in does not undo a later opt-out.
///
/// ```
/// # use postduif_core as postduif;
/// use std::time::SystemTime;
/// use postduif::{InboundParser, OptOut, OptOutWords, PhoneNumber, ReportRequest};
///
/// /// Returns status and body of the response. `record` stores an opt-out or an opt-in.
/// fn respond(
///     parser: &dyn InboundParser,
///     words: &OptOutWords,
///     request: &ReportRequest<'_>,
///     mut record: impl FnMut(PhoneNumber, OptOut),
/// ) -> (u16, &'static str) {
///     let result = parser.parse(request, SystemTime::now().into());
///     for message in result.iter().flatten() {
///         if let Some(opt_out) = words.classify(message) {
///             record(message.from, opt_out);
///         }
///     }
///     parser.reply(&result)
/// }
/// ```
pub trait InboundParser: fmt::Debug + Send + Sync + 'static {
    /// Returns what the vendor's signature proves.
    fn authenticity(&self) -> Authenticity;

    /// Verifies a request and reads its messages. A signature is too old or not as of `now`.
    ///
    /// # Errors
    ///
    /// Returns an error if the request cannot be verified or read. Use nothing of such a request.
    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError>;

    /// Returns the response to a request with this result: status and body.
    ///
    /// Send it once the messages are stored; if they cannot be, respond 503, and the vendor repeats the request.
    ///
    /// Defaults to 200 and `OK` for messages, and for a verified request that cannot be read, since repeating it does
    /// not help; and to 401 for all others.
    fn reply(&self, result: &Result<Vec<InboundMessage>, ReportError>) -> (u16, &'static str) {
        default_reply(result)
    }
}

/// A store of inbound texts: what a web service calls with each message that its [`InboundParser`] has verified.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{InboundMessage, InboundSink, ReportSinkError, async_trait};
/// # #[derive(Debug)]
/// # struct Database;
/// # impl Database {
/// #     async fn insert(&self, _: Option<&str>, _: u64, _: &str) -> Result<(), std::io::Error> { Ok(()) }
/// # }
///
/// #[derive(Debug)]
/// struct Answers {
///     database: Database,
/// }
///
/// #[async_trait]
/// impl InboundSink for Answers {
///     async fn store(&self, message: &InboundMessage) -> Result<(), ReportSinkError> {
///         // A repeated one has the same id: `INSERT … ON CONFLICT (id) DO NOTHING`.
///         let inserted = self.database.insert(message.id.as_deref(), message.from.to_u64(), message.text.as_str());
///         inserted.await.map_err(|error| ReportSinkError::new("the database failed").with_source(error))
///     }
/// }
/// ```
///
/// # Contract
///
/// - The message was verified: a sink trusts it, as far as its sender may be believed.
/// - `store` returns once the message would survive whatever the sink promises to survive.
/// - Messages arrive in any order, and may arrive more than once: those of a request of which one was not stored come
///   again, all of them.
/// - Every call ends, and no call panics. An error holds neither the number nor the text.
#[async_trait]
pub trait InboundSink: fmt::Debug + Send + Sync + 'static {
    /// Stores a message.
    ///
    /// # Errors
    ///
    /// If the message may not be stored. The vendor should send it again.
    async fn store(&self, message: &InboundMessage) -> Result<(), ReportSinkError>;
}

const _: fn(&dyn InboundSink) = |_| {};

#[async_trait]
impl<S: InboundSink + ?Sized> InboundSink for Arc<S> {
    async fn store(&self, message: &InboundMessage) -> Result<(), ReportSinkError> {
        (**self).store(message).await
    }
}

const _: fn(&dyn InboundParser) = |_| {};

impl<P: InboundParser + ?Sized> InboundParser for Arc<P> {
    fn authenticity(&self) -> Authenticity {
        (**self).authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        (**self).parse(request, now)
    }

    fn reply(&self, result: &Result<Vec<InboundMessage>, ReportError>) -> (u16, &'static str) {
        (**self).reply(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_neither_text_nor_number() {
        let mut message =
            InboundMessage::new("cm", "+31612345678".parse().unwrap(), "Mijn naam is Ada");
        message.opt_out = Some(OptOut::Stop);
        let shown = format!("{message:?} {message:#?}");
        for private in ["Ada", "naam", "612345678"] {
            assert!(!shown.contains(private), "{shown}");
        }
        assert!(shown.contains("Stop"), "{shown}");
    }

    #[test]
    fn a_stored_message_has_all_that_was_received() {
        let mut message = InboundMessage::new("cm", "+31612345678".parse().unwrap(), "Héé");
        message.part = InboundPart::new("7", 2, 3);
        message.opt_out = Some(OptOut::Start);
        let written = serde_json::to_value(&message).unwrap();
        assert_eq!(
            written,
            serde_json::json!({
                "provider": "cm", "id": null, "from": "+31612345678", "to": null, "text": "Héé",
                "part": {"reference": "7", "index": 2, "total": 3}, "in_reply_to": null,
                "in_reply_to_id": null, "opt_out": "start", "at": null
            })
        );
    }

    #[test]
    fn a_part_is_one_of_its_text() {
        for (index, total) in [(0, 0), (0, 2), (3, 2)] {
            assert_eq!(InboundPart::new("1", index, total), None);
        }
        assert!(InboundPart::new("1", 2, 2).is_some());
    }
}
