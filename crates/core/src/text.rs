use std::{fmt, str::FromStr};

use postduif_text::{Count, Encoding};
use secrecy::{ExposeSecret, SecretString};

/// The text of a message, as the phone shows it.
///
/// A text may contain a password, so it is kept as a secret. `Debug` shows only its size and encoding, there is no
/// `Display`, and its memory is zeroed on drop.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::Text;
///
/// let text = Text::new("Your code is 482913")?;
/// assert_eq!(text.count().parts(), 1);
/// assert_eq!(format!("{text:?}"), "Text(19 units of gsm7, 1 part)");
/// # Ok::<(), postduif::TextError>(())
/// ```
#[derive(Clone)]
pub struct Text(SecretString);

impl Text {
    /// The maximum number of parts, which the header of a part counts in one octet (3GPP TS 23.040, 9.2.3.24.1).
    pub const MAX_PARTS: usize = 255;

    /// Creates a text, which is sent unchanged.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is empty, or takes more than [`MAX_PARTS`](Self::MAX_PARTS).
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

    /// Returns the text, for a request.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.expose_secret()
    }

    /// Counts the text: its encoding, units and parts.
    #[must_use]
    pub fn count(&self) -> Count {
        Count::of(self.as_str())
    }

    /// Returns the encoding: GSM 03.38 if its tables have every character, else UCS-2.
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

/// An error for a text that cannot be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TextError {
    /// The text is empty.
    Empty,
    /// The text takes more than [`Text::MAX_PARTS`].
    TooLong,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Empty => "invalid text: it is empty",
            Self::TooLong => "invalid text: it takes more than 255 parts",
        })
    }
}

impl std::error::Error for TextError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_neither_empty_nor_too_long() {
        assert_eq!(Text::new("").unwrap_err(), TextError::Empty);
        assert!(Text::new("x".repeat(153 * 255)).is_ok());
        assert_eq!(
            Text::new("x".repeat(153 * 255 + 1)).unwrap_err(),
            TextError::TooLong
        );
    }

    #[test]
    fn debug_shows_the_size_and_nothing_of_the_text() {
        let text = Text::new("geheim".repeat(40)).unwrap();
        assert_eq!(format!("{text:?}"), "Text(240 units of gsm7, 2 parts)");
    }
}
