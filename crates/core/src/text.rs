use std::{fmt, str::FromStr};

use postduif_text::{Count, Encoding};
use secrecy::{ExposeSecret, SecretString};

/// The body of a message, as the phone will show it.
///
/// A text may carry a pass, so it is kept as a secret: `Debug` prints its size and encoding, never its
/// words, there is no `Display`, and its memory is zeroed on drop.
///
/// ```
/// use postduif_core::Text;
///
/// let text = Text::new("Your code is 482913")?;
/// assert_eq!(text.count().parts(), 1);
/// assert_eq!(format!("{text:?}"), "Text(19 units of gsm7, 1 part)");
/// # Ok::<(), postduif_core::TextError>(())
/// ```
#[derive(Clone)]
pub struct Text(SecretString);

impl Text {
    /// The most parts a text can have: the header that joins them counts in one octet
    /// (3GPP TS 23.040, 9.2.3.24.1).
    pub const MAX_PARTS: usize = 255;

    /// Takes a text as it will go out. Nothing in it is changed.
    ///
    /// # Errors
    ///
    /// Where it is empty, or longer than [`MAX_PARTS`](Self::MAX_PARTS).
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if Count::of(&text).parts() > Self::MAX_PARTS {
            return Err(TextError::TooLong);
        }
        Ok(Self(text.into()))
    }

    /// The words themselves, for the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the text costs: encoding, units and parts.
    #[must_use]
    pub fn count(&self) -> Count {
        Count::of(self.as_str())
    }

    /// How the text travels: GSM 03.38 where every character is in its tables, else UCS-2.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.count().encoding()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        let s = if count.parts() == 1 { "" } else { "s" };
        write!(
            f,
            "Text({} units of {}, {} part{s})",
            count.units(),
            count.encoding(),
            count.parts()
        )
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl FromStr for Text {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for Text {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Text {
    type Error = TextError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

/// Why something cannot be the text of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TextError {
    /// There is nothing to send.
    Empty,
    /// More parts than one message can be split into.
    TooLong,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the text is empty",
            Self::TooLong => "the text takes more than 255 parts",
        })
    }
}

impl std::error::Error for TextError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_neither_empty_nor_endless() {
        assert_eq!(Text::new("").unwrap_err(), TextError::Empty);
        assert!(Text::new("x".repeat(153 * 255)).is_ok());
        assert_eq!(
            Text::new("x".repeat(153 * 255 + 1)).unwrap_err(),
            TextError::TooLong
        );
    }

    #[test]
    fn debug_shows_the_size_and_no_word() {
        let text = Text::new("geheim".repeat(40)).unwrap();
        assert_eq!(format!("{text:?}"), "Text(240 units of gsm7, 2 parts)");
    }
}
