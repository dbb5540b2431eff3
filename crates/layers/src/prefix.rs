use std::{fmt, str::FromStr};

use postduif_core::{ConfigError, PhoneNumber};

/// The beginning of a phone number, or a whole one.
///
/// Written with a plus: a country code or a range of 1 to 9 digits, which every number matches that starts with
/// it; or a whole number of 10 to 15 digits, which only that number matches. In some countries a longer number
/// begins with a whole shorter one. A [`PhoneNumber`] is a whole one, however short it is.
///
/// It begins with a whole country code: `+3` would be some forty countries, and is an error. [`AllowDestinations`](crate::AllowDestinations)
/// lists what a shared code such as `+1` covers.
///
/// `Debug` masks one of seven digits or more, which may be somebody's whole number.
///
/// ```
/// use postduif_layers::Prefix;
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
    /// From so many digits on, what is written is a whole number.
    const WHOLE: usize = 10;

    /// Returns whether the number starts with it, or, where it is a whole number, is the same.
    #[must_use]
    pub const fn matches(self, number: PhoneNumber) -> bool {
        if self.whole {
            return number.digits() == self.digits;
        }
        let length = number.digits().ilog10() + 1;
        length >= self.length && number.digits() / 10_u64.pow(length - self.length) == self.digits
    }

    /// How many digits it has: of two that match, the longer one says more.
    pub(crate) const fn length(self) -> u32 {
        self.length
    }
}

impl From<PhoneNumber> for Prefix {
    /// A whole number, which matches itself alone.
    fn from(number: PhoneNumber) -> Self {
        Self {
            digits: number.digits(),
            length: number.digits().ilog10() + 1,
            whole: true,
        }
    }
}

impl FromStr for Prefix {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_prefix('+')
            .filter(|digits| {
                (1..=15).contains(&digits.len())
                    && !digits.starts_with('0')
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
            })
            // The text is left out: it may be somebody's number.
            .ok_or_else(|| {
                ConfigError::new(
                    "a prefix is a plus and 1 to 15 digits, such as +31 or a whole number",
                )
            })?;
        if !has_country_code(digits) {
            return Err(ConfigError::new(
                "a prefix begins with a whole country code, such as +31 or +352",
            ));
        }
        let too_long = |_| ConfigError::new("a prefix has at most 15 digits");
        Ok(Self {
            digits: digits.parse().map_err(too_long)?,
            length: digits.len().try_into().unwrap_or(u32::MAX),
            whole: digits.len() >= Self::WHOLE,
        })
    }
}

/// Whether digits begin with a country code of E.164: `1` and `7`, these of two digits, and all others of three.
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
        write!(f, "+{}", self.digits)
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
                assert_eq!(prefix.matches(number), number.starts_with(text), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
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
