use std::{fmt, str::FromStr};

use crate::{ParseError, string_enum::serde_as_text};

/// A GUID, by which Microsoft Entra identifies users, workflows and executions.
///
/// It is read in either case and written in lower case, with hyphens.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::Guid;
///
/// let guid: Guid = "5E2F9D1C-0b7a-4a63-8f3d-9c1e2b7a6d43".parse()?;
/// assert_eq!(guid.to_string(), "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43");
/// assert!("../users".parse::<Guid>().is_err());
/// # Ok::<(), postduif::ParseError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Guid(u128);

impl Guid {
    /// Creates a random GUID (RFC 9562, version 4).
    ///
    /// # Panics
    ///
    /// Panics if the operating system has no random bytes, as std's hash maps do.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(u128::from_be_bytes(bytes))
    }

    /// Creates a GUID from its 128 bits, most significant first.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::Guid;
    ///
    /// let guid = Guid::from_u128(0x5e2f9d1c_0b7a_4a63_8f3d_9c1e2b7a6d43);
    /// assert_eq!(guid.to_string(), "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43");
    /// assert_eq!(Guid::from_u128(guid.as_u128()), guid);
    /// ```
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the 128 bits, most significant first.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The 32 digits without hyphens.
    pub(crate) fn simple(self) -> String {
        format!("{:032x}", self.0)
    }
}

impl FromStr for Guid {
    type Err = ParseError;

    /// Reads 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12, separated by hyphens.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NOT_A_GUID: ParseError = ParseError::new("a GUID");
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return Err(NOT_A_GUID);
        }
        let mut value = 0;
        for (index, &byte) in bytes.iter().enumerate() {
            match (index, byte) {
                (8 | 13 | 18 | 23, b'-') => {}
                (8 | 13 | 18 | 23, _) => return Err(NOT_A_GUID),
                _ => {
                    let digit = char::from(byte).to_digit(16).ok_or(NOT_A_GUID)?;
                    value = value << 4 | u128::from(digit);
                }
            }
        }
        Ok(Self(value))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.simple();
        let [a, b, c, d, e] = [
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..],
        ];
        f.pad(&format!("{a}-{b}-{c}-{d}-{e}"))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Guid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_display_writes_parses_back() {
        let guid = Guid::random();
        assert_eq!(guid.to_string().parse::<Guid>().unwrap(), guid);
        assert_eq!(guid.to_string().as_bytes()[14], b'4');
    }

    #[test]
    fn only_a_guid_in_its_usual_form_is_read() {
        for text in [
            "",
            "5e2f9d1c0b7a4a638f3d9c1e2b7a6d43",
            "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d4",
            "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43 ",
            "5e2f9d1c-0b7a-4a63-8f3d_9c1e2b7a6d43",
            "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d4g",
            "{e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43",
            "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6é4",
        ] {
            assert!(text.parse::<Guid>().is_err(), "{text:?}");
        }
    }
}
