use std::{fmt, str::FromStr};

use postduif_core::{ConfigError, PhoneNumber};

/// The beginning of a phone number: a country code, a range, or a whole number.
///
/// Written with a plus and 1 to 15 digits. `Debug` masks one of seven digits or more, which may be
/// somebody's whole number.
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
}

impl Prefix {
    /// Whether the number starts with it.
    #[must_use]
    pub const fn matches(self, number: PhoneNumber) -> bool {
        let length = number.digits().ilog10() + 1;
        length >= self.length && number.digits() / 10_u64.pow(length - self.length) == self.digits
    }

    /// How many digits it has: of two that match, the longer one says more.
    pub(crate) const fn length(self) -> u32 {
        self.length
    }
}

impl From<PhoneNumber> for Prefix {
    /// A whole number, which allows itself alone.
    fn from(number: PhoneNumber) -> Self {
        Self {
            digits: number.digits(),
            length: number.digits().ilog10() + 1,
        }
    }
}

impl FromStr for Prefix {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('+')
            .filter(|digits| {
                (1..=15).contains(&digits.len())
                    && !digits.starts_with('0')
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
            })
            .and_then(|digits| {
                Some(Self {
                    digits: digits.parse().ok()?,
                    length: u32::try_from(digits.len()).ok()?,
                })
            })
            // The text is left out: it may be somebody's number.
            .ok_or_else(|| {
                ConfigError::new(
                    "a prefix is a plus and 1 to 15 digits, such as +31 or a whole number",
                )
            })
    }
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
            for text in [
                "+3",
                "+31",
                "+316",
                "+1",
                "+1242",
                "+31612345678",
                "+316123456789",
            ] {
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
