use std::{fmt, str::FromStr};

use crate::{PhoneNumber, PhoneNumberError, string_enum::serde_as_text};

/// The sender that the phone shows: a name, a number or a short code; or a messaging service, which chooses one.
///
/// The [`Profile`](crate::Profile) of a provider lists the kinds that its vendor accepts. Which of them a country
/// allows, only the vendor knows.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{Sender, SenderKind};
///
/// assert_eq!("Contoso".parse::<Sender>()?.kind(), SenderKind::Alphanumeric);
/// assert_eq!("+31612345678".parse::<Sender>()?.kind(), SenderKind::Number);
/// assert_eq!("1008".parse::<Sender>()?.kind(), SenderKind::ShortCode);
/// let service: Sender = "MG0123456789abcdef0123456789abcdef".parse()?;
/// assert_eq!(service.kind(), SenderKind::MessagingService);
/// # Ok::<(), postduif::SenderError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Sender(Repr);

#[derive(Clone, Eq, Hash, PartialEq)]
enum Repr {
    Alphanumeric(Box<str>),
    MessagingService(Box<str>),
    Number(PhoneNumber),
    ShortCode(Box<str>),
}

impl Sender {
    /// Returns the kind of sender.
    #[must_use]
    pub const fn kind(&self) -> SenderKind {
        match self.0 {
            Repr::Alphanumeric(_) => SenderKind::Alphanumeric,
            Repr::MessagingService(_) => SenderKind::MessagingService,
            Repr::Number(_) => SenderKind::Number,
            Repr::ShortCode(_) => SenderKind::ShortCode,
        }
    }

    /// Returns the number, or `None` if the sender is of another kind.
    #[must_use]
    pub const fn number(&self) -> Option<PhoneNumber> {
        match self.0 {
            Repr::Number(number) => Some(number),
            Repr::Alphanumeric(_) | Repr::MessagingService(_) | Repr::ShortCode(_) => None,
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

    /// Reads a number with a plus, a short code of 3 to 8 digits, a name of 1 to 11 characters, or a messaging service,
    /// which is `MG` and 32 hexadecimal digits.
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
                9.. => Err(SenderError::MissingPlus),
                _ => Err(SenderError::ShortCodeLength),
            };
        }
        if is_channel_address(text) {
            return Err(SenderError::Channel);
        }
        if let Some(digits) = service_digits(text) {
            return match digits.len() {
                32 => Ok(Self(Repr::MessagingService(text.into()))),
                _ => Err(SenderError::MessagingService),
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
        if text.chars().count() > LONGEST_NAME {
            return Err(SenderError::TooLong);
        }
        Ok(Self(Repr::Alphanumeric(text.into())))
    }
}

/// Returns whether this is an address of WhatsApp, in any form. Some vendors accept it instead of a sender, and then
/// send no SMS.
fn is_channel_address(text: &str) -> bool {
    let (prefix, _) = text.split_once(':').unwrap_or_default();
    prefix.trim().eq_ignore_ascii_case("whatsapp")
}

/// Returns the digits of a text that is written as a messaging service, possibly with too few digits, and too long for
/// a name.
fn service_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("MG")?;
    let is_service =
        text.len() > LONGEST_NAME && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_service.then_some(digits)
}

/// The address field of an SMS holds eleven septets.
const LONGEST_NAME: usize = 11;

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Alphanumeric(name) | Repr::MessagingService(name) | Repr::ShortCode(name) => {
                f.pad(name)
            }
            Repr::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Alphanumeric(name) | Repr::MessagingService(name) | Repr::ShortCode(name) => {
                name.fmt(f)
            }
            Repr::Number(number) => fmt::Debug::fmt(number, f),
        }
    }
}

serde_as_text!(Sender);

crate::string_enum::string_enum! {
    /// A kind of sender.
    #[non_exhaustive]
    pub enum SenderKind("a kind of sender") {
        /// A name of 1 to 11 characters.
        Alphanumeric = "alphanumeric",
        /// A messaging service of Twilio, which chooses the sender: `MG` and 32 hexadecimal digits.
        MessagingService = "messaging_service",
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
    /// An address of WhatsApp, such as `whatsapp:+31612345678`.
    Channel,
    /// A character outside the GSM 03.38 basic table.
    Characters,
    /// An empty text, or one that starts or ends with a blank.
    Empty,
    /// `MG` and hexadecimal digits, but not 32 of them.
    MessagingService,
    /// Nine or more digits without a plus: a phone number that is not in E.164.
    MissingPlus,
    /// A plus without a valid phone number.
    Number(PhoneNumberError),
    /// One or two digits.
    ShortCodeLength,
    /// A name of more than 11 characters.
    TooLong,
}

impl fmt::Display for SenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Channel => {
                "invalid sender: this is an address of WhatsApp, and only SMS is sent here; write the number \
                 without whatsapp:"
            }
            Self::Characters => {
                "invalid sender: a name takes only characters of the GSM 03.38 basic table"
            }
            Self::Empty => {
                "invalid sender: a name is not empty and does not start or end with a blank"
            }
            Self::MessagingService => {
                "invalid sender: a messaging service is MG and 32 hexadecimal digits"
            }
            Self::MissingPlus => {
                "invalid sender: write a phone number with a plus and its country code, such as +31612345678; \
                 PhoneNumber::from_msisdn reads one without"
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
            "MG 1",
            "MGabc",
            "MGBarbados",
            "MG0123456789abcdef0123456789ABCDEF",
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
            ("1", SenderError::ShortCodeLength),
            ("031612345", SenderError::MissingPlus),
            ("31612345678", SenderError::MissingPlus),
            ("0031612345678", SenderError::MissingPlus),
            ("whatsapp:+31612345678", SenderError::Channel),
            ("WhatsApp: 1", SenderError::Channel),
            ("whatsapp:", SenderError::Channel),
            (
                "MG0123456789abcdef0123456789abcde",
                SenderError::MessagingService,
            ),
            (
                "MG0123456789abcdef0123456789abcdef0",
                SenderError::MessagingService,
            ),
            ("MG0123456789", SenderError::MessagingService),
            ("MG0123456789abcdef0123456789abcdeg", SenderError::TooLong),
            ("mg0123456789abcdef0123456789abcdef", SenderError::TooLong),
        ] {
            assert_eq!(text.parse::<Sender>().unwrap_err(), expected, "{text:?}");
        }
        assert!(matches!(
            "+31".parse::<Sender>(),
            Err(SenderError::Number(_))
        ));
    }

    #[test]
    fn the_kind_follows_from_the_form() {
        for (text, kind) in [
            ("MG012345678", SenderKind::Alphanumeric),
            (
                "MG0123456789abcdef0123456789abcdef",
                SenderKind::MessagingService,
            ),
            ("12345678", SenderKind::ShortCode),
            ("+12345678", SenderKind::Number),
        ] {
            let sender: Sender = text.parse().unwrap();
            assert_eq!(sender.kind(), kind, "{text}");
            assert_eq!(sender.number().is_some(), kind == SenderKind::Number);
            let json = serde_json::to_string(&sender).unwrap();
            assert_eq!(serde_json::from_str::<Sender>(&json).unwrap(), sender);
        }
    }

    #[test]
    fn debug_masks_a_number() {
        let sender: Sender = "+31612345678".parse().unwrap();
        assert_eq!(format!("{sender:?}"), "+316•••••678");
    }
}
