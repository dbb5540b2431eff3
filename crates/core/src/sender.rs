use std::{fmt, str::FromStr};

use crate::{PhoneNumber, PhoneNumberError, string_enum::serde_as_text};

/// Who the text says it is from: a name, a number or a short code.
///
/// Which of them a vendor allows stands in its [`Profile`](crate::Profile); what a country allows, only
/// the vendor knows.
///
/// ```
/// use postduif_core::{Sender, SenderKind};
///
/// assert_eq!("Contoso".parse::<Sender>()?.kind(), SenderKind::Alphanumeric);
/// assert_eq!("+31612345678".parse::<Sender>()?.kind(), SenderKind::Number);
/// assert_eq!("1008".parse::<Sender>()?.kind(), SenderKind::ShortCode);
/// # Ok::<(), postduif_core::SenderError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Sender(Repr);

#[derive(Clone, Eq, Hash, PartialEq)]
enum Repr {
    Alphanumeric(Box<str>),
    Number(PhoneNumber),
    ShortCode(Box<str>),
}

impl Sender {
    /// Which of the three it is.
    #[must_use]
    pub const fn kind(&self) -> SenderKind {
        match self.0 {
            Repr::Alphanumeric(_) => SenderKind::Alphanumeric,
            Repr::Number(_) => SenderKind::Number,
            Repr::ShortCode(_) => SenderKind::ShortCode,
        }
    }

    /// The number, where the sender is one.
    #[must_use]
    pub const fn number(&self) -> Option<PhoneNumber> {
        match self.0 {
            Repr::Number(number) => Some(number),
            Repr::Alphanumeric(_) | Repr::ShortCode(_) => None,
        }
    }
}

impl From<PhoneNumber> for Sender {
    fn from(number: PhoneNumber) -> Self {
        Self(Repr::Number(number))
    }
}

impl FromStr for Sender {
    type Err = SenderError;

    /// A plus makes it a number, digits alone a short code (3 to 8 of them), all else a name of 1 to 11
    /// characters of the GSM 03.38 basic table.
    ///
    /// The address field of an SMS holds eleven septets of a name (3GPP TS 23.040, 9.1.2.5), so the
    /// extension table, where a character takes two, stays out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('+') {
            return text
                .parse()
                .map(|number| Self(Repr::Number(number)))
                .map_err(SenderError::Number);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.len() {
                3..=8 => Ok(Self(Repr::ShortCode(text.into()))),
                _ => Err(SenderError::ShortCodeLength),
            };
        }
        if text.is_empty() || text.trim() != text {
            return Err(SenderError::Empty);
        }
        if !text
            .chars()
            .all(|char| !char.is_control() && postduif_text::septets(char) == Some(1))
        {
            return Err(SenderError::Characters);
        }
        if text.chars().count() > 11 {
            return Err(SenderError::TooLong);
        }
        Ok(Self(Repr::Alphanumeric(text.into())))
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Alphanumeric(name) | Repr::ShortCode(name) => f.pad(name),
            Repr::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Alphanumeric(name) | Repr::ShortCode(name) => name.fmt(f),
            Repr::Number(number) => fmt::Debug::fmt(number, f),
        }
    }
}

serde_as_text!(Sender);

crate::string_enum::string_enum! {
    /// The three kinds of sender.
    #[expect(clippy::exhaustive_enums, reason = "the address types that a sender can have are settled")]
    pub enum SenderKind("a kind of sender") {
        /// A name of 1 to 11 characters.
        Alphanumeric = "alphanumeric",
        /// An E.164 number.
        Number = "number",
        /// A short code of 3 to 8 digits.
        ShortCode = "short_code",
    }
}

/// Why a text cannot be a sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SenderError {
    /// A character outside the GSM 03.38 basic table.
    Characters,
    /// Nothing, or blanks at an end.
    Empty,
    /// It starts with a plus and is not a phone number.
    Number(PhoneNumberError),
    /// Digits alone, and not 3 to 8 of them.
    ShortCodeLength,
    /// A name of more than 11 characters.
    TooLong,
}

impl fmt::Display for SenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Characters => "a sender name may hold only characters of the GSM 03.38 basic table",
            Self::Empty => "a sender name is not empty and has no blanks at its ends",
            Self::Number(_) => "a sender that starts with a plus is an E.164 number",
            Self::ShortCodeLength => {
                "a sender of digits alone is a short code of 3 to 8 digits; write a number with a plus"
            }
            Self::TooLong => "a sender name has at most 11 characters",
        })
    }
}

impl std::error::Error for SenderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Number(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_display_writes_parses_back() {
        for text in [
            "Contoso",
            "KPN API",
            "Ærø",
            "+31612345678",
            "1008",
            "12345678",
            "A1",
        ] {
            assert_eq!(text.parse::<Sender>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_no_network_would_carry_is_refused() {
        for (text, expected) in [
            ("", SenderError::Empty),
            (" Contoso", SenderError::Empty),
            ("ContosoGroup", SenderError::TooLong),
            ("Contoso\n!", SenderError::Characters),
            ("Zażółć", SenderError::Characters),
            ("[Contoso]", SenderError::Characters),
            ("12", SenderError::ShortCodeLength),
            ("31612345678", SenderError::ShortCodeLength),
        ] {
            assert_eq!(text.parse::<Sender>().unwrap_err(), expected, "{text:?}");
        }
        assert!(matches!(
            "+31".parse::<Sender>(),
            Err(SenderError::Number(_))
        ));
    }

    #[test]
    fn debug_masks_a_number() {
        let sender: Sender = "+31612345678".parse().unwrap();
        assert_eq!(format!("{sender:?}"), "+316•••••678");
    }
}
