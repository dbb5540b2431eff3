use std::{fmt, str::FromStr};

use crate::{PhoneNumber, PhoneNumberError, string_enum::serde_as_text};

/// The sender that the phone shows: a name, a number or a short code.
///
/// The [`Profile`](crate::Profile) of a provider lists the kinds that its vendor accepts. What a country allows, only
/// the vendor knows.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{Sender, SenderKind};
///
/// assert_eq!("Contoso".parse::<Sender>()?.kind(), SenderKind::Alphanumeric);
/// assert_eq!("+31612345678".parse::<Sender>()?.kind(), SenderKind::Number);
/// assert_eq!("1008".parse::<Sender>()?.kind(), SenderKind::ShortCode);
/// # Ok::<(), postduif::SenderError>(())
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
    /// Returns the kind of sender.
    #[must_use]
    pub const fn kind(&self) -> SenderKind {
        match self.0 {
            Repr::Alphanumeric(_) => SenderKind::Alphanumeric,
            Repr::Number(_) => SenderKind::Number,
            Repr::ShortCode(_) => SenderKind::ShortCode,
        }
    }

    /// Returns the number, or `None` if the sender is a name or a short code.
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

    /// Reads a number with a plus, a short code of 3 to 8 digits, or a name of 1 to 11 characters.
    ///
    /// The characters of a name are those of the GSM 03.38 basic table. The address field of an SMS holds eleven
    /// septets (3GPP TS 23.040, 9.1.2.5), so the extension table, whose characters take two, is excluded.
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
    /// A kind of sender.
    #[expect(clippy::exhaustive_enums, reason = "the address types that a sender can have are settled")]
    pub enum SenderKind("a kind of sender") {
        /// A name of 1 to 11 characters.
        Alphanumeric = "alphanumeric",
        /// A phone number in E.164.
        Number = "number",
        /// A short code of 3 to 8 digits.
        ShortCode = "short_code",
    }
}

/// An error for a text that is not a sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SenderError {
    /// A character outside the GSM 03.38 basic table.
    Characters,
    /// An empty text, or one that starts or ends with a blank.
    Empty,
    /// A plus without a valid phone number.
    Number(PhoneNumberError),
    /// Digits only, but not 3 to 8 of them.
    ShortCodeLength,
    /// A name of more than 11 characters.
    TooLong,
}

impl fmt::Display for SenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Characters => {
                "invalid sender: a name takes only characters of the GSM 03.38 basic table"
            }
            Self::Empty => {
                "invalid sender: a name is not empty and does not start or end with a blank"
            }
            Self::Number(_) => "invalid sender: after a plus, write a phone number in E.164",
            Self::ShortCodeLength => {
                "invalid sender: a short code has 3 to 8 digits; write a phone number with a plus"
            }
            Self::TooLong => "invalid sender: a name has at most 11 characters",
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
