use std::{fmt, num::NonZeroU64, str::FromStr};

use crate::string_enum::{padded, serde_as_text};

/// A phone number in E.164: a country code and a national number, up to 15 digits.
///
/// `Display` writes the whole number with its plus. `Debug` masks it, so that `{:?}` in a log does not reveal a
/// personal number.
///
/// Parsing is strict: a plus and digits, nothing else. The crate `postduif-numbers` reads numbers as people write
/// them, such as "06 1234 5678". [`PhoneNumber::from_msisdn`] reads numbers without a plus, as vendors write them.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::PhoneNumber;
///
/// let number: PhoneNumber = "+31612345678".parse()?;
/// assert_eq!(number.to_string(), "+31612345678");
/// assert_eq!(format!("{number:?}"), "+316•••••678");
/// assert!("0612345678".parse::<PhoneNumber>().is_err());
/// # Ok::<(), postduif::PhoneNumberError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PhoneNumber(NonZeroU64);

impl PhoneNumber {
    /// The fewest digits of a number that exists: Niue's, four after +683.
    const MIN_DIGITS: usize = 7;
    /// ITU-T E.164, section 6: at most fifteen digits, country code included.
    const MAX_DIGITS: usize = 15;

    /// Returns the number as an integer: its digits, country code first.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::PhoneNumber;
    ///
    /// let number: PhoneNumber = "+31612345678".parse()?;
    /// assert_eq!(number.to_u64(), 31_612_345_678);
    /// # Ok::<(), postduif::PhoneNumberError>(())
    /// ```
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0.get()
    }

    /// Returns the number as an MSISDN, the form of many vendors' APIs: its digits without the plus.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::PhoneNumber;
    ///
    /// let number: PhoneNumber = "+31612345678".parse()?;
    /// assert_eq!(number.msisdn().to_string(), "31612345678");
    /// assert_eq!(format!("00{}", number.msisdn()), "0031612345678");
    /// # Ok::<(), postduif::PhoneNumberError>(())
    /// ```
    #[must_use]
    pub fn msisdn(self) -> impl fmt::Display {
        Msisdn(self)
    }

    /// Reads a number as vendors write it: a country code and a national number, after a plus, `00` or nothing.
    ///
    /// Do not use it for what people write: without a plus, `0612345678` would be read with a country code of `06`.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::PhoneNumber;
    ///
    /// for text in ["31612345678", "0031612345678", "+31612345678"] {
    ///     assert_eq!(PhoneNumber::from_msisdn(text)?.to_string(), "+31612345678");
    /// }
    /// # Ok::<(), postduif::PhoneNumberError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not such a number; its [kind](PhoneNumberErrorKind) says why.
    pub fn from_msisdn(text: &str) -> Result<Self, PhoneNumberError> {
        let digits = text
            .strip_prefix('+')
            .or_else(|| text.strip_prefix("00"))
            .unwrap_or(text);
        format!("+{digits}").parse()
    }

    /// Returns the number for logs: its first and last three digits, or the last two of a number under nine digits.
    #[must_use]
    pub fn masked(self) -> impl fmt::Display + fmt::Debug {
        Masked(self)
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        padded(f, format_args!("+{}", self.0))
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.masked(), f)
    }
}

impl FromStr for PhoneNumber {
    type Err = PhoneNumberError;

    /// Reads a plus and digits, and nothing else.
    ///
    /// Digits without a plus are [`NoRegion`](PhoneNumberErrorKind::NoRegion): read them with a region, or with
    /// [`PhoneNumber::from_msisdn`] if they start with a country code.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(digits) = text.strip_prefix('+') else {
            let national = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            return Err(PhoneNumberError(if national {
                PhoneNumberErrorKind::NoRegion
            } else {
                PhoneNumberErrorKind::of_no_number(text)
            }));
        };
        if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PhoneNumberError(PhoneNumberErrorKind::of_no_number(text)));
        }
        match digits.len() {
            0 => return Err(PhoneNumberError(PhoneNumberErrorKind::NotANumber)),
            length if length < Self::MIN_DIGITS => {
                return Err(PhoneNumberError(PhoneNumberErrorKind::TooShort));
            }
            length if length > Self::MAX_DIGITS => {
                return Err(PhoneNumberError(PhoneNumberErrorKind::TooLong));
            }
            _ => {}
        }
        if has_trunk_zero(digits) {
            return Err(PhoneNumberError(PhoneNumberErrorKind::TrunkZero));
        }
        digits
            .parse()
            .map(Self)
            .map_err(|_| PhoneNumberError(PhoneNumberErrorKind::NotANumber))
    }
}

serde_as_text!(PhoneNumber);

/// An error for a text that is not a phone number.
///
/// It does not contain the text, which may be a person's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PhoneNumberError(PhoneNumberErrorKind);

impl PhoneNumberError {
    /// Returns what is wrong with the text.
    #[must_use]
    pub const fn kind(self) -> PhoneNumberErrorKind {
        self.0
    }
}

impl From<PhoneNumberErrorKind> for PhoneNumberError {
    /// Creates an error of this kind, for a parser other than [`PhoneNumber`]'s own.
    fn from(kind: PhoneNumberErrorKind) -> Self {
        Self(kind)
    }
}

impl fmt::Display for PhoneNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            PhoneNumberErrorKind::Ambiguous => {
                "an ambiguous phone number, which 00 and the region's own prefix read differently: write it \
                 with a plus and its country code"
            }
            PhoneNumberErrorKind::Empty => {
                "no phone number: write a plus, the country code and digits, such as +31612345678"
            }
            PhoneNumberErrorKind::Extension => {
                "a phone number with an extension, which no text message reaches: write a number without one"
            }
            PhoneNumberErrorKind::Letter => {
                "a phone number with a letter, such as O for 0: write digits only"
            }
            PhoneNumberErrorKind::NoRegion => {
                "a phone number without a plus or a region: write a plus and the country code"
            }
            PhoneNumberErrorKind::NotANumber => {
                "not a phone number: write a plus, the country code and digits, such as +31612345678"
            }
            PhoneNumberErrorKind::NotMobile => {
                "not a mobile number: write a mobile number"
            }
            PhoneNumberErrorKind::Quantity => {
                "a phone number that a spreadsheet turned into a quantity: format the column as text and \
                 enter the number again"
            }
            PhoneNumberErrorKind::TooLong => {
                "a phone number with too many digits: leave out those that do not belong to it"
            }
            PhoneNumberErrorKind::TooShort => {
                "a phone number with too few digits: add what is missing, such as the area code"
            }
            PhoneNumberErrorKind::TrunkZero => {
                "a phone number with a zero too many: leave out the one that is dialled within the country"
            }
            PhoneNumberErrorKind::TwoNumbers => {
                "two phone numbers, or one with a second ending: write only one"
            }
            PhoneNumberErrorKind::UnknownCountry => {
                "a phone number with an unassigned country code: check the digits after the plus"
            }
            PhoneNumberErrorKind::UnknownRegion => {
                "unknown region: write two letters of ISO 3166, such as NL"
            }
            PhoneNumberErrorKind::WrongLength => {
                "a phone number with too few or too many digits for its country: check the number and the country"
            }
        })
    }
}

impl std::error::Error for PhoneNumberError {}

crate::string_enum::string_enum! {
    /// What is wrong with a text that is not a phone number.
    #[non_exhaustive]
    pub enum PhoneNumberErrorKind("a kind of phone number error") {
        /// Two different readings: `00` as a plus, or as the start of the region's own prefix.
        Ambiguous = "ambiguous",
        /// Empty, or only spaces.
        Empty = "empty",
        /// A number with an extension.
        Extension = "extension",
        /// Digits with a letter, such as `O` for a zero, or with a word.
        Letter = "letter",
        /// Digits without a plus or a region. Read them with a region, or with [`PhoneNumber::from_msisdn`] if they
        /// start with a country code.
        NoRegion = "no_region",
        /// Words, signs or placeholder digits instead of a number.
        NotANumber = "not_a_number",
        /// Certainly not a mobile number, in a numbering plan that separates mobile numbers.
        NotMobile = "not_mobile",
        /// A number that a spreadsheet turned into a quantity, such as `31612345678.0` or `3,16E+10`.
        Quantity = "quantity",
        /// More than fifteen digits, or more than the country's numbering plan has.
        TooLong = "too_long",
        /// Fewer than seven digits, or fewer than the country's numbering plan has.
        TooShort = "too_short",
        /// A zero that is only dialled within the country, after the country code or before another zero.
        TrunkZero = "trunk_zero",
        /// Two numbers, or a number with a second ending.
        TwoNumbers = "two_numbers",
        /// An unassigned country code.
        UnknownCountry = "unknown_country",
        /// A region that does not exist.
        UnknownRegion = "unknown_region",
        /// A length that the country's numbering plan does not have, between its shortest and longest.
        WrongLength = "wrong_length",
    }
}

impl PhoneNumberErrorKind {
    /// What is wrong with a text that is certainly no number in E.164.
    fn of_no_number(text: &str) -> Self {
        let text = text.trim();
        let has = |is: fn(char) -> bool| text.contains(is);
        if text.is_empty() {
            Self::Empty
        } else if is_quantity(text) {
            Self::Quantity
        } else if has(char::is_alphabetic) && has(|char| char.is_ascii_digit()) {
            Self::Letter
        } else {
            Self::NotANumber
        }
    }
}

/// Returns whether a spreadsheet took a number for a quantity: `31612345678.0`, `3,16E+10`.
fn is_quantity(text: &str) -> bool {
    let are_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('+').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    are_digits(whole)
        && fraction.is_none_or(are_digits)
        && match (exponent, fraction) {
            (Some(exponent), _) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                are_digits(digits) && digits.len() <= LONGEST_EXPONENT
            }
            // Digits after the sign that are not all zeros belong to another number, or are an extension.
            (None, Some(fraction)) => {
                whole.len() >= PhoneNumber::MIN_DIGITS
                    && fraction.bytes().all(|digit| digit == b'0')
            }
            (None, None) => false,
        }
}

/// ASCII digits as a log may show them; see [`PhoneNumber::masked`].
pub(crate) fn masked(digits: &str) -> String {
    let (first, last) = if digits.len() < 9 { (0, 2) } else { (3, 3) };
    let last = digits.len().saturating_sub(last).max(first);
    let middle = "•".repeat(last - first);
    format!("{}{middle}{}", &digits[..first], &digits[last..])
}

struct Msisdn(PhoneNumber);

impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As text: an integer would be aligned to the right.
        padded(f, format_args!("{}", self.0.0))
    }
}

struct Masked(PhoneNumber);

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("+{}", masked(&self.0.msisdn().to_string())))
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The digits of the largest exponent that a spreadsheet writes.
const LONGEST_EXPONENT: usize = 3;

fn has_trunk_zero(digits: &str) -> bool {
    (2..=3).any(|length| {
        digits[length..].starts_with('0')
            && digits[..length]
                .parse()
                .is_ok_and(|code: u16| TRUNK_ZERO.binary_search(&code).is_ok())
    })
}

/// Country codes whose plan dials a zero inside the country and has no national number that starts with one. Computed
/// from libphonenumber's metadata 9.0.43 (national prefix `0`, no general pattern that admits a leading zero);
/// countries where the zero is part of the number, such as Italy and Ivory Coast, are not listed.
static TRUNK_ZERO: &[u16] = &[
    20, 27, 31, 32, 33, 40, 41, 43, 44, 46, 49, 51, 53, 54, 55, 57, 58, 60, 61, 63, 64, 66, 84, 86,
    90, 91, 92, 93, 94, 95, 98, 211, 212, 213, 218, 231, 232, 233, 234, 243, 249, 251, 252, 254,
    255, 256, 260, 261, 262, 263, 264, 265, 291, 353, 355, 358, 359, 370, 373, 374, 377, 380, 381,
    382, 383, 385, 386, 387, 389, 421, 423, 508, 590, 591, 593, 594, 595, 596, 686, 850, 855, 856,
    880, 886, 961, 962, 963, 964, 966, 967, 970, 971, 972, 976, 977, 994, 995, 996,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> PhoneNumberErrorKind {
        text.parse::<PhoneNumber>().unwrap_err().kind()
    }

    #[test]
    fn an_optional_number_is_eight_bytes() {
        assert_eq!(size_of::<PhoneNumber>(), 8);
        assert_eq!(size_of::<Option<PhoneNumber>>(), 8);
    }

    #[test]
    fn what_display_writes_parses_back() {
        for text in [
            "+31612345678",
            "+15550100",
            "+6834002",
            "+390612345678",
            "+999999999999999",
        ] {
            assert_eq!(text.parse::<PhoneNumber>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_a_plus_and_digits_are_a_number() {
        use PhoneNumberErrorKind as Kind;
        for (text, expected) in [
            ("", Kind::Empty),
            (" ", Kind::Empty),
            ("+", Kind::NotANumber),
            ("call me", Kind::NotANumber),
            ("0612345678", Kind::NoRegion),
            ("31612345678", Kind::NoRegion),
            ("+31 612345678", Kind::NotANumber),
            ("+3161234567O", Kind::Letter),
            ("O612345678", Kind::Letter),
            ("06e12345678", Kind::Letter),
            ("31612345678.0", Kind::Quantity),
            ("31612345678,00", Kind::Quantity),
            ("3.16E+10", Kind::Quantity),
            ("3,16E+10", Kind::Quantity),
            ("+3E10", Kind::Quantity),
            ("31612345678.5", Kind::NotANumber),
            ("+٣١٦١٢٣٤٥٦٧٨", Kind::NotANumber),
            ("++31612345678", Kind::NotANumber),
            ("+031612345678", Kind::NotANumber),
            ("+31612345678\n", Kind::NotANumber),
            ("+316123", Kind::TooShort),
            ("+1234567890123456", Kind::TooLong),
        ] {
            assert_eq!(kind(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_error_states_what_is_wrong_and_what_to_write() {
        let error = "31612345678".parse::<PhoneNumber>().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("write a plus and the country code")
        );
        for &kind in PhoneNumberErrorKind::ALL {
            let error = PhoneNumberError(kind).to_string();
            assert!(!error.contains("::") && !error.contains('_'), "{error}");
            // What is wrong, and what to do about it.
            assert!(error.contains(": "), "{error}");
        }
    }

    #[test]
    fn a_trunk_zero_is_refused_if_the_plan_has_none() {
        for text in [
            "+310612345678",
            "+4901721234567",
            "+9005321234567",
            "+3530851234567",
        ] {
            assert_eq!(kind(text), PhoneNumberErrorKind::TrunkZero, "{text}");
        }
        // Italy and Ivory Coast keep the zero.
        for text in ["+390612345678", "+2250102030405"] {
            assert!(text.parse::<PhoneNumber>().is_ok(), "{text}");
        }
    }

    #[test]
    fn debug_and_mask_hide_the_middle() {
        for (text, masked) in [
            ("+31612345678", "+316•••••678"),
            ("+123456789", "+123•••789"),
            ("+12345678", "+••••••78"),
            ("+1234567", "+•••••67"),
        ] {
            let number: PhoneNumber = text.parse().unwrap();
            assert_eq!(number.masked().to_string(), masked);
            assert_eq!(format!("{number:?}"), masked);
            assert_eq!(format!("{number:#?}"), masked);
        }
    }

    #[test]
    fn the_table_of_trunk_zeros_is_sorted() {
        assert!(TRUNK_ZERO.is_sorted());
    }
}
