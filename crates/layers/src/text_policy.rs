//! **Does:** holds texts to an encoding and to a number of parts, before any call: refuses what does not fit, or
//! first rewrites what GSM 03.38 lacks, where you ask for that.
//!
//! **Never:** changes a text unless it was set to transliterate, and then only characters that GSM 03.38 lacks;
//! never rewrites one that would stay UCS-2 all the same.
//!
//! **Belongs** anywhere outside of [`Dedupe`](crate::Dedupe), which tells texts apart by their words.

use std::{borrow::Cow, num::NonZeroUsize};

use postduif_core::{
    Encoding, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    async_trait,
};

use crate::dispatch::{refusal, send_passed};

/// Which encoding a text may have, and how many parts.
///
/// A text that does not fit is refused as `InvalidText`, not accepted, and the error tells the count. One
/// character outside GSM 03.38 makes a text of 160 characters three parts instead of one: that is what this
/// keeps from being found out on the bill.
///
/// ```
/// # use postduif_core::*;
/// use std::num::NonZeroUsize;
/// use postduif_layers::TextPolicy;
///
/// # fn example(vendor: impl SmsProvider) {
/// let provider = TextPolicy::new(vendor).with_forced_gsm().with_max_parts(NonZeroUsize::MIN);
/// # }
/// ```
#[derive(Debug)]
pub struct TextPolicy<P> {
    inner: P,
    characters: Characters,
    max_parts: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, Debug)]
enum Characters {
    Auto,
    ForceGsm,
    #[cfg(feature = "transliteration")]
    Transliterate,
}

impl<P: SmsProvider> TextPolicy<P> {
    /// Lets every text through as it is: GSM 03.38 where that has its characters, else UCS-2.
    #[must_use]
    pub const fn new(inner: P) -> Self {
        Self {
            inner,
            characters: Characters::Auto,
            max_parts: None,
        }
    }

    /// Refuses a text with a character outside GSM 03.38.
    #[must_use]
    pub const fn with_forced_gsm(mut self) -> Self {
        self.characters = Characters::ForceGsm;
        self
    }

    /// Rewrites a text for GSM 03.38 where all of it can be said well so; else it goes as it is, in UCS-2.
    #[cfg(feature = "transliteration")]
    #[must_use]
    pub const fn transliterate(mut self) -> Self {
        self.characters = Characters::Transliterate;
        self
    }

    /// Refuses a text of more parts than this, counted as it goes out.
    #[must_use]
    pub const fn with_max_parts(mut self, parts: NonZeroUsize) -> Self {
        self.max_parts = Some(parts);
        self
    }

    fn admit<'a>(&self, message: &'a Message) -> Result<Cow<'a, Message>, SendError> {
        let message = match self.characters {
            Characters::Auto => Cow::Borrowed(message),
            Characters::ForceGsm => {
                if message.text().encoding() != Encoding::Gsm7 {
                    let outside = postduif_core::not_gsm(message.text().as_str()).count();
                    return Err(self.refusal(format!(
                        "the text has {outside} character(s) outside GSM 03.38"
                    )));
                }
                Cow::Borrowed(message)
            }
            #[cfg(feature = "transliteration")]
            Characters::Transliterate => match transliterated(message.text().as_str()) {
                Some(Ok(text)) => Cow::Owned(message.clone().with_text(text)),
                Some(Err(error)) => return Err(self.refusal(error.to_string())),
                None => Cow::Borrowed(message),
            },
        };
        let Some(most) = self.max_parts else {
            return Ok(message);
        };
        match message.text().count().parts() {
            parts if parts > most.get() => Err(self.refusal(format!(
                "the text takes {parts} parts, and at most {most} are allowed"
            ))),
            _ => Ok(message),
        }
    }

    fn refusal(&self, message: String) -> SendError {
        refusal(self.inner.profile(), ErrorKind::InvalidText, message)
    }
}

/// The text as GSM 03.38 can say it; `None` where it stays as it is.
#[cfg(feature = "transliteration")]
fn transliterated(text: &str) -> Option<Result<postduif_core::Text, postduif_core::TextError>> {
    use postduif_core::{Text, Transliteration};

    let said = Transliteration::of(text);
    if said.changes().is_empty() {
        return None;
    }
    let fits = said.is_gsm();
    // Also where it is not used: a `Text` leaves no copy of the words behind in memory.
    let text = Text::new(said.into_text());
    fits.then_some(text)
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for TextPolicy<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.inner.send(&*self.admit(message)?).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        send_passed(&self.inner, messages, |message| self.admit(message)).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}
