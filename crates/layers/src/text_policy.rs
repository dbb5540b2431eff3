//! **Does:** limits the encoding and the number of parts of texts, before any call: it refuses a text that does not
//! fit, or first rewrites characters outside GSM 03.38 if set to.
//!
//! **Never:** changes a text unless set to transliterate, and then only characters that GSM 03.38 lacks; never rewrites
//! one that would stay UCS-2 anyway.
//!
//! **Belongs** anywhere outside of [`Dedupe`](crate::Dedupe), which distinguishes texts by their contents.

use std::{borrow::Cow, num::NonZeroUsize};

use postduif_core::{
    Encoding, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    async_trait,
};

use crate::dispatch::{refusal, send_passed};

/// A layer that limits the encoding and the parts of a text.
///
/// A text that does not fit is refused as `InvalidText`, not accepted, and the error states the count. One character
/// outside GSM 03.38 turns a text of 160 characters into three parts instead of one, at three times the price.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use std::num::NonZeroUsize;
/// use postduif::layers::TextPolicy;
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
    /// Creates a layer that lets every text through unchanged: in GSM 03.38 if that has all its characters, else in
    /// UCS-2.
    #[must_use]
    pub const fn new(inner: P) -> Self {
        Self {
            inner,
            characters: Characters::Auto,
            max_parts: None,
        }
    }

    /// Sets the layer to refuse a text with a character outside GSM 03.38.
    #[must_use]
    pub const fn with_forced_gsm(mut self) -> Self {
        self.characters = Characters::ForceGsm;
        self
    }

    /// Sets the layer to rewrite a text for GSM 03.38 if that covers the whole text; otherwise it stays in UCS-2.
    #[cfg(feature = "transliteration")]
    #[must_use]
    pub const fn transliterate(mut self) -> Self {
        self.characters = Characters::Transliterate;
        self
    }

    /// Sets the most parts of a text, counted after any rewriting. Defaults to no limit.
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

/// Returns the text rewritten for GSM 03.38, or `None` if it stays unchanged.
#[cfg(feature = "transliteration")]
fn transliterated(text: &str) -> Option<Result<postduif_core::Text, postduif_core::TextError>> {
    use postduif_core::{Text, Transliteration};

    let rewritten = Transliteration::of(text);
    if rewritten.changes().is_empty() {
        return None;
    }
    let fits = rewritten.is_gsm();
    // Created even if it is not used: a `Text` leaves no copy of its contents in memory.
    let text = Text::new(rewritten.into_text());
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
