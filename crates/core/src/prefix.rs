use std::{fmt, str::FromStr};

use crate::{ConfigError, PhoneNumber, string_enum::padded};

/// A range of phone numbers: all that start with a prefix, or one whole number.
///
/// A prefix of 1 to 9 digits matches every number that starts with it. One of 10 to 15 digits is a whole number and
/// matches only itself, since in some countries a longer number starts with a shorter one. A prefix made from a
/// [`PhoneNumber`] is always a whole number.
///
/// A prefix starts with a complete country code: `+3` would be some forty countries, and is an error.
///
/// `Debug` masks a prefix of seven digits or more, which may be a whole number.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::Prefix;
///
/// let dutch: Prefix = "+31".parse()?;
/// assert!(dutch.matches("+31612345678".parse()?));
/// assert!(!dutch.matches("+32470123456".parse()?));
/// assert!("0031".parse::<Prefix>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Prefix {
    digits: u64,
    length: u32,
    whole: bool,
}

impl Prefix {
    /// The fewest digits of a text that is read as a whole number.
    const WHOLE: usize = 10;

    /// Returns whether the number starts with the prefix, or equals it if the prefix is a whole number.
    #[must_use]
    pub const fn matches(self, number: PhoneNumber) -> bool {
        if self.whole {
            return number.to_u64() == self.digits;
        }
        let length = number.to_u64().ilog10() + 1;
        length >= self.length && number.to_u64() / 10_u64.pow(length - self.length) == self.digits
    }

    /// Returns the number of digits. Of two prefixes that match a number, the one with more digits is more specific.
    #[must_use]
    pub const fn digit_count(self) -> u32 {
        self.length
    }
}

impl From<PhoneNumber> for Prefix {
    /// Creates a prefix that matches only this number.
    fn from(number: PhoneNumber) -> Self {
        Self {
            digits: number.to_u64(),
            length: number.to_u64().ilog10() + 1,
            whole: true,
        }
    }
}

impl FromStr for Prefix {
    type Err = ConfigError;

    /// Reads a plus and 1 to 15 digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_prefix('+')
            .filter(|digits| {
                (1..=15).contains(&digits.len())
                    && !digits.starts_with('0')
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
            })
            // The text is left out: it may be a person's number.
            .ok_or_else(|| {
                ConfigError::new(
                    "invalid prefix: write a plus and 1 to 15 digits, such as +31 or a whole number",
                )
            })?;
        if !has_country_code(digits) {
            return Err(ConfigError::new(
                "invalid prefix: it starts with a complete country code, such as +31 or +352",
            ));
        }
        let too_long = |_| ConfigError::new("invalid prefix: it has at most 15 digits");
        Ok(Self {
            digits: digits.parse().map_err(too_long)?,
            length: digits.len().try_into().unwrap_or(u32::MAX),
            whole: digits.len() >= Self::WHOLE,
        })
    }
}

/// Returns whether digits start with a country code of E.164: `1` and `7`, those of two digits, and all others of
/// three.
fn has_country_code(digits: &str) -> bool {
    const OF_TWO: [&str; 43] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46",
        "47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63",
        "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95",
    ];
    digits.starts_with(['1', '7'])
        || digits.len() >= 3
        || digits == "98"
        || OF_TWO.contains(&digits)
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        padded(f, format_args!("+{}", self.digits))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_string().parse::<PhoneNumber>() {
            Ok(number) => fmt::Debug::fmt(&number, f),
            Err(_) if self.length < 7 => fmt::Display::fmt(self, f),
            Err(_) => f.write_str("+…"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_what_starts_with_it_as_text_does() {
        let numbers = [
            "+31612345678",
            "+316123456",
            "+12425550100",
            "+999999999999999",
        ];
        for number in numbers.map(|text| text.parse::<PhoneNumber>().unwrap()) {
            for text in ["+31", "+316", "+1", "+1242", "+316123456"] {
                let prefix: Prefix = text.parse().unwrap();
                assert_eq!(
                    prefix.matches(number),
                    number.to_string().starts_with(text),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn an_invalid_prefix_is_refused() {
        for text in [
            "",
            "+",
            "31",
            "0031",
            "+0",
            "+31 6",
            "+3",
            "+1234567890123456",
            "+٣١",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn debug_masks_what_may_be_a_whole_number() {
        for (text, shown) in [
            ("+31", "+31"),
            ("+31612345678", "+316•••••678"),
            ("+310612345", "+…"),
        ] {
            assert_eq!(format!("{:?}", text.parse::<Prefix>().unwrap()), shown);
        }
    }
}
