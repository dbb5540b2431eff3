//! Phone numbers as people write them in directories, read with a region and never guessed.
//!
//! [`PhoneNumber`]'s own parser takes a plus and digits and nothing else. A directory holds
//! `06-1234 5678`, `+31 (0)6 12345678`, `0031612345678`, with no-break spaces, full-width digits and
//! invisible marks in between. [`read`] ends in the same [`PhoneNumber`], or in an error that says what
//! a person should put right.
//!
//! ```
//! use postduif_core::PhoneNumberErrorKind;
//! use postduif_numbers::{Mobile, read};
//!
//! let reading = read("06-1234 5678", Some("NL"))?;
//! assert_eq!(reading.number().to_string(), "+31612345678");
//! assert_eq!(reading.region(), Some("NL"));
//! assert_eq!(reading.mobile(), Mobile::Certainly);
//!
//! // A country code needs no region.
//! assert_eq!(read("+31 (0)6 12345678", None)?.number(), reading.number());
//!
//! // Two numbers in a field are nobody's to choose from.
//! let error = read("06-12345678 / 020-1234567", Some("NL")).unwrap_err();
//! assert_eq!(error.kind(), PhoneNumberErrorKind::TwoNumbers);
//! # Ok::<(), postduif_core::PhoneNumberError>(())
//! ```
//!
//! # What is read, and what is refused
//!
//! | written | read as |
//! |---|---|
//! | spaces of any kind, hyphens and dashes, dots, slashes, brackets | nothing |
//! | full-width and Arabic digits | digits |
//! | invisible marks (left-to-right and the like, zero-width, soft hyphen) | nothing |
//! | `tel:` in front | nothing |
//! | `00` in front | a plus, in every region |
//! | `(0)` behind a country code | nothing, unless the plan keeps its zero (Italy) |
//! | a trunk zero behind a country code, without brackets | nothing, where the plan has one |
//! | a national number, with a region | that country's |
//! | a national number, without one | an error: `no_region` |
//! | two numbers, or what may be two | an error: `two_numbers` |
//! | an extension: `x12`, `ext. 12`, `#12`, `,12`, `toestel 12` | an error: `extension` |
//! | any other letter, the `O` for a zero included | an error: `not_a_number` |
//! | more or fewer digits than the plan has | an error: `too_long`, `too_short` |
//! | a country code that no country has | an error: `unknown_country` |
//! | a range that the metadata does not know | the number, with [`Reading::is_known`] false |
//!
//! Metadata is always some months old, and new ranges have been refused for it: so an unknown range is
//! no error. What is refused is a mobile with digits missing or left over: a number that is no known
//! one, while every way of ending it, or its beginning, is a known mobile. In a plan whose lengths
//! vary, a digit more or less is not always to be seen: German 016 and 017 numbers have ten digits or
//! eleven.
//!
//! Known means inside a range, never in use: only a delivery report tells that.
//!
//! # Why a crate of its own, and why this port
//!
//! libphonenumber and its metadata are 2 MB, and whoever sends to E.164 numbers needs none of it. Measured in
//! November 2026 with Rust 1.95 on two shared cores (release, stripped; a program that reads lines and
//! prints number, validity and type), against libphonenumber 9.0.43 in Python over 8,849 texts: its
//! example number for every region and type, in four ways of writing, with `00`, without a region, and
//! with a digit more and less.
//!
//! | | rlibphonenumber 2.2.15 | phonenumber 0.3.10 | phonelib 2.1.0 |
//! |---|---|---|---|
//! | crates, build scripts included | 81 | 41 | 1 |
//! | of them in the program | 42 | 39 | 1 |
//! | build from nothing | 71 s | 62 s | 10 s |
//! | added to the program | 2,268,832 B | 3,339,840 B | 172,312 B |
//! | the same number | 8,849 (100 %) | 8,721 (98.6 %) | 5,952 (67.3 %) |
//! | and validity | 8,849 (100 %) | 8,676 (98.0 %) | 5,351 (60.5 %) |
//! | and type | 8,849 (100 %) | 8,554 (96.7 %) | 5,027 (56.8 %) |
//! | the 8,849 texts | 0.7 s | 1.4 s | 0.01 s |
//!
//! phonelib takes no region, so that every national form fails. phonenumber reads `0061…` in Australia
//! as the country code although `00` is not dialled there, calls some numbers valid that are a digit
//! short, and knows no type for Benin's and Botswana's new ranges: older metadata in part. The one that
//! agrees everywhere costs twice the crates, most of them for its build script; that is why it stands
//! behind a feature.
//!
//! [`read`] itself over the same texts agrees with libphonenumber in 8,389 (94.8 %), where "not
//! possible" there and an error here count as agreement (`tests/tools/numbers.py`). It disagrees on
//! purpose in the other 460:
//!
//! | texts | libphonenumber | here | why |
//! |---|---|---|---|
//! | 219 | nothing | a number | `00` where the region dials another prefix |
//! | 51 | another number | a number | the same, misread there: Australia's `0061…` as national, Brazil's `0055…` as a carrier's |
//! | 122 | possible, not valid | `too_short` | a known mobile with digits missing, or a length between two that the plan has |
//! | 58 | possible, not valid | `too_long` | a known mobile with a digit left over, or such a length |
//! | 6 | valid | `too_short` | Iran's access number 9601: six digits with its country code, where the strict parser takes seven |
//! | 3 | possible, not valid | `trunk_zero` | Lithuania, whose trunk zero libphonenumber leaves in the number |
//! | 1 | valid | `too_long` | a German free number of sixteen digits: E.164 has fifteen |

mod clean;

use std::fmt;

use postduif_core::{PhoneNumber, PhoneNumberError, PhoneNumberErrorKind as Kind};
use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumberFormat, PhoneNumberType, Region,
    ValidationError,
};

use crate::clean::Clean;

/// Reads a number as a person wrote it, with the region (ISO 3166, two letters) that a national form
/// belongs to.
///
/// A region that is empty or unknown is none. Where the number names its country, the region does not
/// matter. The first call sets the metadata up, which takes some ten milliseconds.
///
/// ```
/// use postduif_core::PhoneNumberErrorKind;
/// use postduif_numbers::read;
///
/// assert_eq!(read("079 123 45 67", Some("CH"))?.number().to_string(), "+41791234567");
///
/// let error = read("079 123 45 67", None).unwrap_err();
/// assert_eq!(error.kind(), PhoneNumberErrorKind::NoRegion);
/// # Ok::<(), postduif_core::PhoneNumberError>(())
/// ```
///
/// # Errors
///
/// Where it is no number, more than one, or one that a plan cannot have; see the table on the
/// [crate].
pub fn read(text: &str, region: Option<&str>) -> Result<Reading, PhoneNumberError> {
    let region = region
        .and_then(|region| region.to_ascii_uppercase().parse().ok())
        .filter(|region| {
            PHONE_NUMBER_UTIL
                .get_country_code_for_region(*region)
                .is_some()
        });
    let clean = Clean::of(text)?;
    for (before, after) in clean.slashes() {
        // A slash may be a form of writing, or stand between two numbers, or before another ending.
        if is_known(before, region) && !after.is_empty() {
            return Err(Kind::TwoNumbers.into());
        }
    }
    let reading = read_clean(&clean, region);
    if reading.is_err_and(|error| error.kind() == Kind::TooLong)
        && clean
            .gaps()
            .any(|(before, after)| is_known(before, region) && is_known(after, region))
    {
        return Err(Kind::TwoNumbers.into());
    }
    reading
}

fn read_clean(clean: &Clean, region: Option<Region>) -> Result<Reading, PhoneNumberError> {
    let Some(bracketed) = clean.without_bracketed_zero() else {
        return read_digits(clean.digits(), region);
    };
    // Where the plan keeps its zero, and only there, the number is known with it and not without it.
    match read_digits(clean.digits(), region) {
        Ok(reading) if reading.known => Ok(reading),
        _ => read_digits(&bracketed, region),
    }
}

/// Whether a piece of a text is by itself a number of a known range.
fn is_known(digits: &str, region: Option<Region>) -> bool {
    read_digits(digits, region).is_ok_and(|reading| reading.known)
}

/// Reads digits, with a plus in front or not.
fn read_digits(digits: &str, region: Option<Region>) -> Result<Reading, PhoneNumberError> {
    if !digits.starts_with('+') && region.is_none() {
        return Err(Kind::NoRegion.into());
    }
    let util = &*PHONE_NUMBER_UTIL;
    let parsed = util.parse(digits, region).map_err(|error| match error {
        ParseError::InvalidCountryCode => Kind::UnknownCountry,
        ParseError::NotANumber(_) => Kind::NotANumber,
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn => Kind::TooShort,
        ParseError::TooLongNsn => Kind::TooLong,
    })?;
    let international = util.format(&parsed, PhoneNumberFormat::E164);
    let known = util.is_valid_number(&parsed);
    if !known {
        match util.is_possible_number_with_reason(&parsed) {
            Ok(NumberLengthType::IsPossible) => {}
            Ok(NumberLengthType::IsPossibleLocalOnly) | Err(ValidationError::TooShort) => {
                return Err(Kind::TooShort.into());
            }
            Err(ValidationError::InvalidCountryCode) => return Err(Kind::UnknownCountry.into()),
            Err(ValidationError::TooLong) => return Err(Kind::TooLong.into()),
            // A length that the plan skips: between two that it has.
            Err(ValidationError::InvalidLength) => return Err(wrong_length(&international).into()),
        }
        if is_short_of_a_mobile(&international) {
            return Err(Kind::TooShort.into());
        }
        if is_mobile(&international[..international.len() - 1]) {
            return Err(Kind::TooLong.into());
        }
    }
    // Strict to the end: whatever was read must be an E.164 number by core's own rules.
    let number = international.parse()?;
    let region = util
        .get_region_for_number(&parsed)
        .and_then(|region| <[u8; 2]>::try_from(region.as_region_str().as_str().as_bytes()).ok())
        .filter(|region| region.iter().all(u8::is_ascii_uppercase));
    Ok(Reading {
        number,
        region,
        known,
        mobile: Mobile::of(util.get_number_type(&parsed)),
    })
}

fn wrong_length(international: &str) -> Kind {
    let known = |text: &str| {
        PHONE_NUMBER_UTIL
            .parse(text, None)
            .is_ok_and(|number| PHONE_NUMBER_UTIL.is_valid_number(&number))
    };
    match known(&international[..international.len() - 1]) {
        true => Kind::TooLong,
        false => Kind::TooShort,
    }
}

/// Whether every way of adding one digit, or the same digit twice, gives a known mobile: then the
/// beginning is a mobile's, and the rest is missing.
fn is_short_of_a_mobile(international: &str) -> bool {
    let completed = |more: usize| {
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
            .iter()
            .all(|digit| is_mobile(&format!("{international}{}", digit.repeat(more))))
    };
    completed(1) || completed(2)
}

fn is_mobile(international: &str) -> bool {
    PHONE_NUMBER_UTIL
        .parse(international, None)
        .is_ok_and(|number| PHONE_NUMBER_UTIL.get_number_type(&number) == PhoneNumberType::Mobile)
}

/// What [`read`] made of a text.
///
/// ```
/// use postduif_core::PhoneNumberErrorKind;
/// use postduif_numbers::{Mobile, read};
///
/// // The range is not in the metadata: warn, and try.
/// let reading = read("+44 7700 900123", None)?;
/// assert!(!reading.is_known());
/// assert_eq!(reading.mobile(), Mobile::Possibly);
/// assert_eq!(reading.require_mobile()?, reading.number());
///
/// // A landline of a plan that tells: no text message arrives there.
/// let reading = read("020 123 4567", Some("NL"))?;
/// assert_eq!(reading.mobile(), Mobile::Not);
/// assert_eq!(reading.require_mobile().unwrap_err().kind(), PhoneNumberErrorKind::NotMobile);
/// # Ok::<(), postduif_core::PhoneNumberError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    number: PhoneNumber,
    region: Option<[u8; 2]>,
    known: bool,
    mobile: Mobile,
}

impl Reading {
    /// The number.
    #[must_use]
    pub const fn number(&self) -> PhoneNumber {
        self.number
    }

    /// The region the number belongs to (ISO 3166, two letters): not always the one it was read with.
    /// `None` where no region has it alone: a satellite's, or an unknown range of a country code that
    /// several share.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region
            .as_ref()
            .and_then(|region| std::str::from_utf8(region).ok())
    }

    /// Whether the number is in a range that the metadata knows. Where it is not, say so to whoever can
    /// look at it, and send: the metadata may be the older of the two.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// Whether it is a mobile's, as far as the plan tells.
    #[must_use]
    pub const fn mobile(&self) -> Mobile {
        self.mobile
    }

    /// The number, for a text message.
    ///
    /// # Errors
    ///
    /// `not_mobile` where the number is certainly none.
    pub fn require_mobile(&self) -> Result<PhoneNumber, PhoneNumberError> {
        match self.mobile {
            Mobile::Certainly | Mobile::Possibly => Ok(self.number),
            Mobile::Not => Err(Kind::NotMobile.into()),
        }
    }
}

/// Whether a number is a mobile's.
#[expect(
    clippy::exhaustive_enums,
    reason = "yes, no and perhaps: there is no fourth"
)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mobile {
    /// The plan has ranges for mobiles, and this is in one.
    Certainly,
    /// The plan does not tell (North America), the range is unknown, or it is of a kind that some
    /// operators send texts to: internet telephony, personal numbers, pagers.
    Possibly,
    /// The plan tells, and it is a landline, a free or paid service, or a voice mailbox.
    Not,
}

impl Mobile {
    const fn of(kind: PhoneNumberType) -> Self {
        match kind {
            PhoneNumberType::Mobile => Self::Certainly,
            PhoneNumberType::FixedLineOrMobile
            | PhoneNumberType::Pager
            | PhoneNumberType::PersonalNumber
            | PhoneNumberType::Unknown
            | PhoneNumberType::VoIP => Self::Possibly,
            PhoneNumberType::FixedLine
            | PhoneNumberType::PremiumRate
            | PhoneNumberType::SharedCost
            | PhoneNumberType::TollFree
            | PhoneNumberType::UAN
            | PhoneNumberType::VoiceMail => Self::Not,
        }
    }

    /// Its name in lower case, the same as `Display` writes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certainly => "certainly",
            Self::Possibly => "possibly",
            Self::Not => "not",
        }
    }
}

impl fmt::Display for Mobile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
