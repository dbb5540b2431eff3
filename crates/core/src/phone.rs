use std::{fmt, num::NonZeroU64, str::FromStr};

use crate::words::serde_as_text;

/// An E.164 number: a country code and a national number, at most 15 digits.
///
/// `Display` writes the whole number with its plus; `Debug` masks it, so that a log line made with
/// `{:?}` cannot give a person away.
///
/// Parsing is strict: a plus and digits, nothing else. What people write in directories
/// ("06 1234 5678", "+31 (0)6 …") is read by the regional parser, which ends in this type.
///
/// ```
/// use postduif_core::PhoneNumber;
///
/// let number: PhoneNumber = "+31612345678".parse()?;
/// assert_eq!(number.to_string(), "+31612345678");
/// assert_eq!(format!("{number:?}"), "+316•••••678");
/// assert!("0612345678".parse::<PhoneNumber>().is_err());
/// # Ok::<(), postduif_core::PhoneNumberError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PhoneNumber(NonZeroU64);

impl PhoneNumber {
    /// The fewest digits of a number that exists: Niue's, four behind +683.
    const MIN_DIGITS: usize = 7;
    /// ITU-T E.164, section 6: at most fifteen digits, country code included.
    const MAX_DIGITS: usize = 15;

    /// The digits, country code first, without the plus: what several vendors want on their wire.
    ///
    /// ```
    /// # use postduif_core::PhoneNumber;
    /// let number: PhoneNumber = "+31612345678".parse()?;
    /// assert_eq!(number.digits(), 31612345678);
    /// assert_eq!(format!("00{}", number.digits()), "0031612345678");
    /// # Ok::<(), postduif_core::PhoneNumberError>(())
    /// ```
    #[must_use]
    pub const fn digits(self) -> u64 {
        self.0.get()
    }

    /// Reads a number as vendors write it on their wires: digits with the country code first, behind a
    /// plus, `00` or nothing.
    ///
    /// Not for what people write: `0612345678` is no MSISDN, and what has no plus here is taken to start
    /// with a country code.
    ///
    /// ```
    /// # use postduif_core::PhoneNumber;
    /// for text in ["31612345678", "0031612345678", "+31612345678"] {
    ///     assert_eq!(PhoneNumber::from_msisdn(text)?.to_string(), "+31612345678");
    /// }
    /// # Ok::<(), postduif_core::PhoneNumberError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn from_msisdn(text: &str) -> Result<Self, PhoneNumberError> {
        let digits = text
            .strip_prefix('+')
            .or_else(|| text.strip_prefix("00"))
            .unwrap_or(text);
        format!("+{digits}").parse()
    }

    /// The number as logs may show it: first and last three digits, of a short number the last two.
    #[must_use]
    pub fn masked(self) -> impl fmt::Display + fmt::Debug {
        Masked(self)
    }

    /// Whether the number, written with its plus, starts with `prefix`.
    ///
    /// A whole number is a prefix of itself alone among the numbers of its plan, which is what lists of
    /// allowed destinations build on.
    #[must_use]
    pub fn starts_with(self, prefix: &str) -> bool {
        self.to_string().starts_with(prefix)
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.masked(), f)
    }
}

impl FromStr for PhoneNumber {
    type Err = PhoneNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(digits) = text.strip_prefix('+') else {
            let national = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            return Err(PhoneNumberError(match national {
                true => PhoneNumberErrorKind::NoRegion,
                false => PhoneNumberErrorKind::NotANumber,
            }));
        };
        if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PhoneNumberError(PhoneNumberErrorKind::NotANumber));
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

/// What is wrong with a text that should be a phone number.
///
/// The text itself is left out of the error: it is somebody's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PhoneNumberError(PhoneNumberErrorKind);

impl PhoneNumberError {
    /// Which rule the text breaks.
    #[must_use]
    pub const fn kind(self) -> PhoneNumberErrorKind {
        self.0
    }
}

impl From<PhoneNumberErrorKind> for PhoneNumberError {
    /// For whoever reads numbers in another way than [`PhoneNumber`]'s own, such as the regional reader.
    fn from(kind: PhoneNumberErrorKind) -> Self {
        Self(kind)
    }
}

impl fmt::Display for PhoneNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            PhoneNumberErrorKind::Ambiguous => {
                "a phone number that reads as two different ones, by 00 and by the region's own prefix: \
                 write it with a plus and its country code"
            }
            PhoneNumberErrorKind::Extension => {
                "a phone number with an extension, which no text message reaches"
            }
            PhoneNumberErrorKind::NoRegion => {
                "digits without a plus, and no region to read them in: write a plus and the country code, or \
                 read what begins with a country code with PhoneNumber::from_msisdn"
            }
            PhoneNumberErrorKind::NotANumber => {
                "not a phone number: write a plus, the country code and digits, such as +31612345678"
            }
            PhoneNumberErrorKind::NotMobile => "a phone number that is not a mobile's",
            PhoneNumberErrorKind::TooLong => "a phone number of too many digits",
            PhoneNumberErrorKind::TooShort => "a phone number of too few digits",
            PhoneNumberErrorKind::TrunkZero => {
                "a zero too many: leave out the one that is dialled inside the country"
            }
            PhoneNumberErrorKind::TwoNumbers => {
                "two phone numbers, or one and another ending, where one number belongs"
            }
            PhoneNumberErrorKind::UnknownCountry => "a phone number whose country code is no country's",
        })
    }
}

impl std::error::Error for PhoneNumberError {}

crate::words::words! {
    /// Which rule a text breaks that should be a phone number.
    #[non_exhaustive]
    pub enum PhoneNumberErrorKind("a kind of phone number error") {
        /// Two readings that differ: `00` as a plus, and as the beginning of the region's own prefix.
        Ambiguous = "ambiguous",
        /// An extension behind the number.
        Extension = "extension",
        /// Digits without a plus, and nobody said of which country.
        NoRegion = "no_region",
        /// Letters, signs, or nothing at all.
        NotANumber = "not_a_number",
        /// Certainly not a mobile, in a plan that tells mobiles from others.
        NotMobile = "not_mobile",
        /// More than fifteen digits, or more than the country's plan has.
        TooLong = "too_long",
        /// Fewer than seven digits, or fewer than the country's plan has.
        TooShort = "too_short",
        /// A zero that is dialled inside the country only, behind the country code or in front of another zero.
        TrunkZero = "trunk_zero",
        /// Two numbers, or what may be two, or one and another ending: which one is meant is never guessed.
        TwoNumbers = "two_numbers",
        /// A country code that no country has.
        UnknownCountry = "unknown_country",
    }
}

/// Writes digits as a log may show them; see [`PhoneNumber::masked`].
pub(crate) fn write_masked(digits: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (first, last) = if digits.len() < 9 { (0, 2) } else { (3, 3) };
    let last = digits.len().saturating_sub(last).max(first);
    f.write_str(&digits[..first])?;
    (first..last).try_for_each(|_| f.write_str("•"))?;
    f.write_str(&digits[last..])
}

struct Masked(PhoneNumber);

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("+")?;
        write_masked(&self.0.digits().to_string(), f)
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn has_trunk_zero(digits: &str) -> bool {
    (2..=3).any(|length| {
        digits[length..].starts_with('0')
            && digits[..length]
                .parse()
                .is_ok_and(|code: u16| TRUNK_ZERO.binary_search(&code).is_ok())
    })
}

/// Country codes whose plan dials a zero inside the country and has no national number that starts
/// with one. Computed from libphonenumber's metadata 9.0.43 (national prefix `0`, no general pattern
/// that admits a leading zero); Italy, Ivory Coast and their like are not in it, there the zero counts.
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
    fn fits_in_a_word_even_when_optional() {
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
            ("", Kind::NotANumber),
            ("+", Kind::NotANumber),
            ("0612345678", Kind::NoRegion),
            ("31612345678", Kind::NoRegion),
            ("+31 612345678", Kind::NotANumber),
            ("+3161234567O", Kind::NotANumber),
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
    fn digits_without_a_plus_are_told_what_reads_them() {
        let error = "31612345678".parse::<PhoneNumber>().unwrap_err();
        assert!(error.to_string().contains("PhoneNumber::from_msisdn"));
        assert!(!error.to_string().contains("31612345678"));
    }

    #[test]
    fn a_trunk_zero_is_refused_where_the_plan_has_none() {
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
