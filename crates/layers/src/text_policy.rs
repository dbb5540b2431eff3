//! **Does:** holds texts to an encoding and to a number of parts, before any call: refuses what does not fit, or
//! first rewrites what GSM 03.38 lacks, where you ask for that.
//!
//! **Never:** changes a text unless it is told to transliterate, and then only characters that GSM 03.38 lacks;
//! never rewrites one that would stay UCS-2 all the same.
//!
//! **Belongs** anywhere outside of [`Dedupe`](crate::Dedupe), which tells texts apart by their words.

use std::{num::NonZeroUsize, slice};

use postduif_core::{
    Encoding, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    async_trait,
};

use crate::way::Way;

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
/// let provider = TextPolicy::new(vendor).force_gsm().with_max_parts(NonZeroUsize::MIN);
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
    pub const fn force_gsm(mut self) -> Self {
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

    async fn run(&self, messages: &[Message], way: Way) -> Outcomes {
        way.send_passed(&self.inner, messages, |message| self.admit(message))
            .await
    }

    fn admit(&self, message: &Message) -> Result<Message, SendError> {
        let message = match self.characters {
            Characters::Auto => message.clone(),
            Characters::ForceGsm => {
                if message.text().encoding() != Encoding::Gsm7 {
                    let outside = postduif_core::not_gsm(message.text().as_str()).count();
                    return Err(self.refusal(format!(
                        "the text has {outside} character(s) outside GSM 03.38"
                    )));
                }
                message.clone()
            }
            #[cfg(feature = "transliteration")]
            Characters::Transliterate => transliterated(message)?,
        };
        let parts = message.text().count().parts();
        match self.max_parts {
            Some(most) if parts > most.get() => Err(self.refusal(format!(
                "the text takes {parts} parts, and at most {most} are allowed"
            ))),
            _ => Ok(message),
        }
    }

    fn refusal(&self, message: String) -> SendError {
        SendError::not_accepted(ErrorKind::InvalidText, message)
            .with_provider(self.inner.profile().owned_name())
    }
}

#[cfg(feature = "transliteration")]
fn transliterated(message: &Message) -> Result<Message, SendError> {
    use postduif_core::{Text, Transliteration};

    let said = Transliteration::of(message.text().as_str());
    if said.changes().is_empty() || !said.is_gsm() {
        return Ok(message.clone());
    }
    let text = Text::new(said.into_text())
        .map_err(|error| SendError::not_accepted(ErrorKind::InvalidText, error.to_string()))?;
    Ok(message.clone().with_text(text))
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for TextPolicy<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.run(slice::from_ref(message), Way::Single)
            .await
            .into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.run(messages, Way::Batch).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}
