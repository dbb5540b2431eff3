use std::{fmt, str::FromStr, time::SystemTime};

use crate::{ParseError, phone::masked, string_enum::serde_as_text};

/// The key of a message, which the vendor returns in delivery reports.
///
/// It has 1 to 32 ASCII letters and digits, the narrowest limit of any vendor. A message has a random
/// [ULID](https://github.com/ulid/spec) by default.
///
/// `Debug` masks a reference of digits only, which may be a phone number.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::Reference;
///
/// assert_eq!(Reference::random().as_str().len(), 26);
/// let given: Reference = "order42".parse()?;
/// assert_eq!(given.to_string(), "order42");
/// # Ok::<(), postduif::ParseError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reference {
    // Unused bytes stay zero, so that the derived order is the order of the texts.
    bytes: [u8; Self::MAX_LENGTH],
    length: u8,
}

impl Reference {
    /// The maximum length in characters.
    pub const MAX_LENGTH: usize = 32;

    /// Creates a ULID: 48 bits of time in milliseconds and 80 random bits of the operating system.
    ///
    /// # Panics
    ///
    /// Panics if the operating system has no random bytes, as std's hash maps do.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let ulid = now.as_millis() << 80 | u128::from_be_bytes(bytes) >> 48;
        let mut reference = Self {
            bytes: [0; Self::MAX_LENGTH],
            length: 26,
        };
        for (index, byte) in reference.bytes[..26].iter_mut().enumerate() {
            *byte = CROCKFORD[(ulid >> (5 * (25 - index)) & 31) as usize];
        }
        reference
    }

    /// Creates a reference from a UUID in its usual form, without the hyphens, which not every vendor accepts.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
    pub fn from_uuid(uuid: &str) -> Result<Self, ParseError> {
        uuid.parse::<crate::Guid>()
            .map(|guid| guid.simple())
            .and_then(|text| text.parse())
    }

    /// Returns the reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

/// Base 32 without I, L, O and U, as the ULID specification has it.
static CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl FromStr for Reference {
    type Err = ParseError;

    /// Reads 1 to 32 ASCII letters and digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut reference = Self {
            bytes: [0; Self::MAX_LENGTH],
            length: 0,
        };
        if text.is_empty()
            || text.len() > Self::MAX_LENGTH
            || !text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(ParseError::new(
                "a reference: use 1 to 32 ASCII letters and digits, such as a UUID without hyphens",
            ));
        }
        reference.bytes[..text.len()].copy_from_slice(text.as_bytes());
        reference.length = u8::try_from(text.len()).unwrap_or_default();
        Ok(reference)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                f.write_str(&masked(digits))
            }
            text => f.write_str(text),
        }
    }
}

serde_as_text!(Reference);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_display_writes_parses_back() {
        for text in [
            "a",
            "Order42",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            &"x".repeat(32),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_1_to_32_letters_and_digits_are_a_reference() {
        for text in ["", "a-b", "é", "a b", &"x".repeat(33)] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn random_references_are_ulids_of_now_and_differ() {
        let before = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_millis();
        let (one, two) = (Reference::random(), Reference::random());
        assert_ne!(one, two);
        let decoded = one.as_str().bytes().fold(0u128, |sum, byte| {
            sum << 5 | CROCKFORD.iter().position(|&known| known == byte).unwrap() as u128
        });
        let milliseconds = decoded >> 80;
        assert!((before..before + 10_000).contains(&milliseconds));
    }

    #[test]
    fn a_uuid_loses_its_hyphens() {
        let reference = Reference::from_uuid("F2A9D7C4-5f63-4c4e-9a0e-1e3f7b6a8d32").unwrap();
        assert_eq!(reference.as_str(), "f2a9d7c45f634c4e9a0e1e3f7b6a8d32");
        assert!(Reference::from_uuid("f2a9d7c45f634c4e9a0e1e3f7b6a8d32").is_err());
    }

    #[test]
    fn debug_masks_a_number_used_as_a_reference() {
        let reference: Reference = "31612345678".parse().unwrap();
        assert_eq!(format!("{reference:?}"), "316•••••678");
        assert_eq!(format!("{:?}", "1".parse::<Reference>().unwrap()), "1");
    }
}
