//! A parser of phone numbers as people write them, which uses a region and never guesses.
//!
//! [`PhoneNumber`]'s own parser takes a plus and digits and nothing else. A directory holds
//! `06-1234 5678`, `+31 (0)6 12345678` or `0031612345678`, with no-break spaces, full-width digits and
//! invisible marks in between. [`read`] returns the same [`PhoneNumber`], or an error that says what
//! a person should correct.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub extern crate postduif_numbers as numbers; }
//! use postduif::PhoneNumberErrorKind;
//! use postduif::numbers::{Mobile, read};
//!
//! let reading = read("06-1234 5678", Some("NL"))?;
//! assert_eq!(reading.number().to_string(), "+31612345678");
//! assert_eq!(reading.region(), Some("NL"));
//! assert_eq!(reading.mobile(), Mobile::Certainly);
//!
//! // A country code needs no region.
//! assert_eq!(read("+31 (0)6 12345678", None)?.number(), reading.number());
//!
//! // A field with two numbers is an error: it is not decided which one is meant.
//! let error = read("06-12345678 / 020-1234567", Some("NL")).unwrap_err();
//! assert_eq!(error.kind(), PhoneNumberErrorKind::TwoNumbers);
//! # Ok::<(), postduif::PhoneNumberError>(())
//! ```
//!
//! # Logs
//!
//! `rlibphonenumber`, which has the metadata, writes whole numbers at level trace through the crate `log`. If your program
//! forwards `log` and its filter lets trace pass, add `rlibphonenumber=off` to the filter.
//!
//! # What is read, and what is refused
//!
//! | written | read as |
//! |---|---|
//! | spaces of any kind, hyphens and dashes, dots, slashes, brackets | nothing |
//! | full-width and Arabic digits | digits |
//! | invisible marks (left-to-right and the like, zero-width, soft hyphen) | nothing |
//! | `tel:` in front | nothing |
//! | `00` in front, with or without a plus before it | a plus, or the region's own prefix (`0011`, `009`), whichever gives a number |
//! | `00` in front, if both give a number and the numbers differ | an error: `ambiguous` |
//! | a zero in front, separate from the zero that follows: `0 0151…`, `(0)0151…` | an error: `trunk_zero` |
//! | `(0)` after a country code | nothing, unless the plan keeps its zero (Italy) |
//! | a trunk zero after a country code, without brackets | nothing, if the plan has one |
//! | a national number, with a region | a number of that country |
//! | a national number, without one | an error: `no_region` |
//! | a national number, with a region that does not exist (`UK`, `Nederland`) | an error: `unknown_region` |
//! | two numbers, or possibly two | an error: `two_numbers` |
//! | one or two digits after a number that is complete without them: `-1`, ` 12`, `(12)` | an error: `two_numbers` |
//! | three or four digits after a complete mobile and any sign but a space: `-123`, `(1234)` | an error: `two_numbers` |
//! | one or two separate digits in front of a complete mobile, if both together are in no known range: `1. ` | an error: `two_numbers` |
//! | a number that a spreadsheet stored as a quantity: `1713920012.0`, `3,16E+10` | an error: `quantity` |
//! | an extension: `x12`, `ext. 12`, `#12`, `,12`, `toestel 12` | an error: `extension` |
//! | digits and any other letter, including `O` for zero | an error: `letter` |
//! | nothing, or spaces only | an error: `empty` |
//! | words or signs without digits | an error: `not_a_number` |
//! | one digit repeated, or all digits in order, in no known range | an error: `not_a_number` |
//! | more or fewer digits than the plan has | an error: `too_long`, `too_short` |
//! | a length that the plan skips, between two that it has | an error: `too_long`, `too_short`, or `wrong_length` if neither is certain |
//! | an unknown range of a length that no mobile of the plan has | an error: `too_long`, `too_short` |
//! | a short code that cannot be dialled from abroad: `14 020` in the Netherlands | an error: `too_short` |
//! | an unassigned country code | an error: `unknown_country` |
//! | any other range that the metadata does not know | the number, with [`Reading::is_known`] false |
//!
//! Metadata is always some months old, and programs have refused new ranges because of it. An unknown range is
//! therefore not an error by itself. Only a text that no new range can explain is an error:
//!
//! - a length that no mobile of the plan has;
//! - a mobile with digits missing, if every way to complete it gives a known mobile;
//! - a mobile with digits left over, if its beginning is a known mobile;
//! - a zero in front of a known number;
//! - a number without its island's own digit, which is then in another island's range.
//!
//! In a plan of varying lengths, one digit more or less cannot always be detected: German 016 and 017 numbers have
//! ten or eleven digits. For the same reason a short ending belongs to the number if the digits before it come in
//! groups of the same length after the same sign: `0664 12 34 56 78` is one Austrian number. A single digit is
//! not a group.
//!
//! A known number is in a known range, which does not mean that it is in use: only a delivery report shows that.
//!
//! # Why a separate crate, and why this port
//!
//! libphonenumber and its metadata take 2 MB, which a program that sends to E.164 numbers does not need. Measured in
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
//! phonelib takes no region, so every national form fails. phonenumber reads `0061…` in Australia as the country
//! code although `00` is not dialled there. It also calls some numbers valid that lack a digit, and has no type for
//! Benin's and Botswana's new ranges; its metadata is partly older. rlibphonenumber agrees everywhere and needs twice
//! the crates, most of them for its build script, so it is behind a feature.
//!
//! [`read`] reads every example number as libphonenumber does, in each way of writing, except three short codes and
//! one number of sixteen digits. Over all texts, cut and lengthened ones included, it agrees in 8,068 (91.2 %), if
//! "not possible" there and an error here count as agreement (`tests/tools/numbers.py`). It disagrees on purpose in
//! the other 781:
//!
//! | texts | libphonenumber | here | why |
//! |---|---|---|---|
//! | 306 | possible, not valid | `too_short` | digits missing: a length that no mobile of the plan has, or the beginning of a known mobile |
//! | 180 | possible, not valid | `too_long` | a length that no mobile of the plan has, or a known mobile with a digit left over |
//! | 1 | possible, not valid | `wrong_length` | a length of the Congo's plan that is neither certainly too long nor certainly too short |
//! | 219 | no number | a number | `00` where the region dials another prefix |
//! | 45 | another number | a number | the same, misread there: Australia's `0061…` as national, Brazil's `0055…` as a carrier's |
//! | 6 | another number | `ambiguous` | `00` in a region whose own prefix makes another number of it: Colombia's `005`, Thailand's `006` |
//! | 18 | valid | `too_short` | the short codes of Iran, the Netherlands and French Polynesia, which cannot be dialled from abroad |
//! | 5 | possible, not valid | `trunk_zero`, `not_a_number` | Lithuania, Russia, Kazakhstan: zeros that libphonenumber leaves in the number |
//! | 1 | valid | `too_long` | a German free number of sixteen digits: E.164 allows fifteen |
//!
//! A mobile of any of 244 regions, written after `0011`, `009` or another prefix that is dialled there, is read as
//! itself or refused as `ambiguous`, never read as another number.

mod clean;

use std::fmt;

use postduif_core::{PhoneNumber, PhoneNumberError, PhoneNumberErrorKind as Kind};
use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumber as Number, PhoneNumberFormat,
    PhoneNumberType, Region, ValidationError, get_national_significant_number_owned,
};

use crate::clean::Clean;

/// The maximum length of a short code, in digits without the country code.
const SHORT_CODE: usize = 6;
/// The prefixes that are dialled before a country code, begin with `00`, and are not in the metadata.
static ALSO_DIALLED: &[(Region, &str)] = &[
    (Region::HK, "0080"),
    (Region::ID, "001"),
    (Region::ID, "007"),
    (Region::MN, "002"),
];
/// The maximum number of digits missing from a known mobile, or left over after one, that is detected.
const MISCOUNTED: usize = 3;
/// The number of equal digits at the end of an unknown range that no real number has.
const FILLER: usize = 7;

/// Reads a number as a person wrote it, with the region (ISO 3166, two letters) of a national form.
///
/// An empty region is the same as `None`. The region is ignored for a number with a plus and a country code. The
/// first call loads the metadata, which takes about ten milliseconds.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub extern crate postduif_numbers as numbers; }
/// use postduif::PhoneNumberErrorKind;
/// use postduif::numbers::read;
///
/// assert_eq!(read("079 123 45 67", Some("CH"))?.number().to_string(), "+41791234567");
///
/// let error = read("079 123 45 67", None).unwrap_err();
/// assert_eq!(error.kind(), PhoneNumberErrorKind::NoRegion);
///
/// let error = read("079 123 45 67", Some("Switzerland")).unwrap_err();
/// assert_eq!(error.kind(), PhoneNumberErrorKind::UnknownRegion);
/// # Ok::<(), postduif::PhoneNumberError>(())
/// ```
///
/// # Errors
///
/// Returns an error if the text is not a number, holds more than one, holds one that the plan does not allow, or if the
/// region does not exist. The table on the [crate] lists each case and its kind.
pub fn read(text: &str, region: Option<&str>) -> Result<Reading, PhoneNumberError> {
    let written = Clean::of(text)?;
    if written.has_zeros_apart() {
        return Err(Kind::TrunkZero.into());
    }
    let region = match region.map(str::trim).filter(|region| !region.is_empty()) {
        None => None,
        Some(_) if written.digits().starts_with('+') => None,
        Some(region) => Some(known_region(region).ok_or(Kind::UnknownRegion)?),
    };
    match (written.with_plus(2), region) {
        (Some(plus), Some(region)) => reconcile_all(&written, &plus, region),
        (plus, _) => read_clean(plus.as_ref().unwrap_or(&written), region),
    }
}

fn known_region(region: &str) -> Option<Region> {
    let region = region.to_ascii_uppercase().parse().ok()?;
    PHONE_NUMBER_UTIL
        .get_country_code_for_region(region)
        .map(|_| region)
}

/// Reads a text that begins with `00` by every prefix that begins so.
fn reconcile_all(
    written: &Clean,
    plus: &Clean,
    region: Region,
) -> Result<Reading, PhoneNumberError> {
    let by_region = read_clean(written, Some(region)).and_then(|reading| {
        // After the country's own prefix a zero is left, and no new range begins with one.
        if !reading.known && is_of(reading.number, region) {
            return Err(Kind::NotANumber.into());
        }
        Ok(reading)
    });
    let first = reconcile(read_clean(plus, Some(region)), by_region);
    ALSO_DIALLED
        .iter()
        .filter(|(own, prefix)| *own == region && written.digits().starts_with(prefix))
        .filter_map(|(_, prefix)| written.with_plus(prefix.len()))
        .map(|written| read_clean(&written, Some(region)))
        .fold(first, reconcile)
}

fn is_of(number: PhoneNumber, region: Region) -> bool {
    PHONE_NUMBER_UTIL
        .get_country_code_for_region(region)
        .is_some_and(|code| number.to_string().starts_with(&format!("+{code}")))
}

/// Chooses between two readings of a text that begins with `00`, or refuses it if the choice is not certain.
fn reconcile(
    one: Result<Reading, PhoneNumberError>,
    other: Result<Reading, PhoneNumberError>,
) -> Result<Reading, PhoneNumberError> {
    match (one, other) {
        (Ok(one), Ok(other)) if one.number != other.number => Err(Kind::Ambiguous.into()),
        (Err(error), _) | (_, Err(error)) if error.kind() == Kind::TwoNumbers => Err(error),
        (Err(error), _) if error.kind() == Kind::Ambiguous => Err(error),
        // Without a country code after it, this was not the prefix.
        (Err(error), Err(other)) if error.kind() == Kind::UnknownCountry => Err(other),
        (Ok(reading), _) | (Err(_), Ok(reading)) => Ok(reading),
        (Err(error), Err(_)) => Err(error),
    }
}

fn read_clean(clean: &Clean, region: Option<Region>) -> Result<Reading, PhoneNumberError> {
    for (before, after) in clean.slashes() {
        // A slash may separate groups, two numbers, or a number and another ending.
        if is_known(before, region) && !after.is_empty() {
            return Err(Kind::TwoNumbers.into());
        }
    }
    let is_a_mobile = |digits: &str| {
        read_digits(digits, region)
            .is_ok_and(|reading| reading.known && reading.mobile != Mobile::Not)
    };
    let reading = match clean.without_bracketed_zero() {
        None => read_digits(clean.digits(), region),
        // Only in a plan that keeps its zero is the number known with it and unknown without it.
        Some(bracketed) => match read_digits(clean.digits(), region) {
            Ok(reading) if reading.known => Ok(reading),
            _ => read_digits(&bracketed, region),
        },
    };
    let two = match reading {
        Ok(reading) if !reading.known && clean.after_a_mark().is_some_and(is_a_mobile) => true,
        Ok(reading) => clean.short_ending().is_some_and(|ending| {
            let whole = if ending.may_be_an_extension() {
                is_a_mobile(ending.before)
            } else {
                is_known(ending.before, region)
            };
            whole && !(ending.alike && ending.digits == last_group(reading.number))
        }),
        Err(error) if matches!(error.kind(), Kind::TooLong | Kind::WrongLength) => clean
            .gaps()
            .any(|(before, after)| is_known(before, region) && is_known(after, region)),
        Err(_) => false,
    };
    if two {
        Err(Kind::TwoNumbers.into())
    } else {
        reading
    }
}

/// Counts the digits after the last separator of the number in its country's own format.
fn last_group(number: PhoneNumber) -> usize {
    let util = &*PHONE_NUMBER_UTIL;
    util.parse(number.to_string(), None).map_or(0, |number| {
        let national = util.format(&number, PhoneNumberFormat::National);
        let digits = |char: &char| char.is_ascii_digit();
        national.chars().rev().take_while(digits).count()
    })
}

/// Returns whether a part of a text is by itself a number of a known range.
fn is_known(digits: &str, region: Option<Region>) -> bool {
    read_digits(digits, region).is_ok_and(|reading| reading.known)
}

/// Reads digits, with or without a plus in front.
fn read_digits(digits: &str, region: Option<Region>) -> Result<Reading, PhoneNumberError> {
    let reading = read_all_digits(digits, region);
    let is_of = |reading: &Result<Reading, _>, kind| *reading == Err(PhoneNumberError::from(kind));
    // Too long with a trunk prefix and too short without it: neither is certain.
    match without_prefix(digits) {
        Some(rest)
            if is_of(&reading, Kind::TooLong)
                && is_of(&read_all_digits(rest, region), Kind::TooShort) =>
        {
            Err(Kind::WrongLength.into())
        }
        _ => reading,
    }
}

/// Removes the trunk prefix from national digits: zeros, and the 1 or 8 of some countries.
fn without_prefix(digits: &str) -> Option<&str> {
    let rest = digits.trim_start_matches('0');
    let rest = rest.strip_prefix(['1', '8']).unwrap_or(rest);
    (rest.len() < digits.len()).then_some(rest)
}

fn read_all_digits(digits: &str, region: Option<Region>) -> Result<Reading, PhoneNumberError> {
    let national = match (digits.starts_with('+'), region) {
        (true, _) => None,
        (false, None) => return Err(Kind::NoRegion.into()),
        (false, Some(region)) => Some(region),
    };
    let util = &*PHONE_NUMBER_UTIL;
    let parsed = util.parse(digits, region).map_err(|error| match error {
        ParseError::InvalidCountryCode => Kind::UnknownCountry,
        ParseError::NotANumber(_) => Kind::NotANumber,
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn => Kind::TooShort,
        ParseError::TooLongNsn => Kind::TooLong,
    })?;
    let known = util.is_valid_number(&parsed);
    if known {
        check_known(&parsed)?;
    } else {
        check_unknown(&parsed)?;
    }
    check_beginning(&parsed, known, national)?;
    // The result must be an E.164 number by core's own rules, too.
    let number = e164(&parsed).parse()?;
    Ok(Reading {
        number,
        region: region_of(&parsed)
            .and_then(|region| <[u8; 2]>::try_from(region.as_region_str().as_str().as_bytes()).ok())
            .filter(|region| region.iter().all(u8::is_ascii_uppercase)),
        known,
        mobile: mobile_of(&parsed),
    })
}

/// Refuses a short code, such as a Dutch town hall's 14 020: it cannot be dialled from abroad and has no E.164 form.
fn check_known(number: &Number) -> Result<(), Kind> {
    let short = PHONE_NUMBER_UTIL
        .is_possible_number_for_type_with_reason(number, PhoneNumberType::Mobile)
        == Err(ValidationError::TooShort)
        && get_national_significant_number_owned(number).len() <= SHORT_CODE;
    if short && !PHONE_NUMBER_UTIL.can_be_internationally_dialled(number) {
        Err(Kind::TooShort)
    } else {
        Ok(())
    }
}

/// Refuses a number that no new range explains: a length that no mobile of the plan has, a mobile with digits missing
/// or left over, an extra zero, a filler.
fn check_unknown(number: &Number) -> Result<(), Kind> {
    let util = &*PHONE_NUMBER_UTIL;
    check_length(number, PhoneNumberType::Unknown)?;
    if has_mobiles(number) {
        check_length(number, PhoneNumberType::Mobile)?;
    }
    let international = e164(number);
    if is_short_of_a_mobile(&international) {
        return Err(Kind::TooShort);
    }
    let left_over = |digits| {
        let whole = international.len().checked_sub(digits);
        whole.is_some_and(|whole| is_mobile(&international[..whole]))
    };
    if (1..=MISCOUNTED).any(left_over) {
        return Err(Kind::TooLong);
    }
    let national = get_national_significant_number_owned(number);
    if is_filler(&national) || is_no_north_american(number, &national) {
        return Err(Kind::NotANumber);
    }
    let without_zero = national.strip_prefix('0').is_some_and(|rest| {
        util.parse(format!("+{}{rest}", number.country_code), None)
            .is_ok_and(|number| util.is_valid_number(&number))
    });
    if without_zero {
        Err(Kind::TrunkZero)
    } else {
        Ok(())
    }
}

fn check_length(number: &Number, kind: PhoneNumberType) -> Result<(), Kind> {
    match PHONE_NUMBER_UTIL.is_possible_number_for_type_with_reason(number, kind) {
        Ok(NumberLengthType::IsPossible) => Ok(()),
        Ok(NumberLengthType::IsPossibleLocalOnly) | Err(ValidationError::TooShort) => {
            Err(Kind::TooShort)
        }
        Err(ValidationError::InvalidCountryCode) => Err(Kind::UnknownCountry),
        Err(ValidationError::TooLong) => Err(Kind::TooLong),
        // A length between two that the plan has.
        Err(ValidationError::InvalidLength) => Err(wrong_length(number)),
    }
}

/// Returns whether the plan has ranges for mobiles: that of an international free number has none.
fn has_mobiles(number: &Number) -> bool {
    let util = &*PHONE_NUMBER_UTIL;
    match util.get_region_for_country_code(number.country_code) {
        None => false,
        Some(Region::World) => util
            .get_supported_types_for_non_geo_entity(number.country_code)
            .is_some_and(|kinds| kinds.contains(&PhoneNumberType::Mobile)),
        Some(region) => util
            .get_supported_types_for_region(region)
            .is_some_and(|kinds| kinds.contains(&PhoneNumberType::Mobile)),
    }
}

/// Refuses a number without its island's own digit, which then is in the range of another island: Curaçao's
/// `512 3456` for +599 9 512 3456.
fn check_beginning(number: &Number, known: bool, national: Option<Region>) -> Result<(), Kind> {
    let util = &*PHONE_NUMBER_UTIL;
    // A known number without a country code may still be the end of another one.
    let is_certain = known && (national.is_none() || mobile_of(number) == Mobile::Not);
    if is_certain
        || region_of(number).is_some_and(|region| national.is_none_or(|own| own == region))
    {
        return Ok(());
    }
    let rest = get_national_significant_number_owned(number);
    let missing = (1..=9).any(|digit| {
        let longer = format!("{digit}{rest}");
        util.parse(format!("+{}{longer}", number.country_code), None)
            .is_ok_and(|number| {
                get_national_significant_number_owned(&number) == longer
                    && util.is_valid_number(&number)
                    && region_of(&number)
                        .is_some_and(|region| national.is_none_or(|own| own == region))
            })
    });
    if missing { Err(Kind::TooShort) } else { Ok(()) }
}

/// Returns whether the digits only fill a mandatory field: one digit repeated, all digits in order, or two zeros in
/// front.
fn is_filler(national: &str) -> bool {
    let digits = national.as_bytes();
    let mut ending = digits.iter().rev().take(FILLER);
    let ascends = |pair: &[u8]| pair[1] == pair[0] + 1 || pair == b"90";
    digits.len() >= FILLER && ending.all(|digit| Some(digit) == digits.last())
        || digits.windows(2).all(ascends)
        || national.starts_with("00")
}

/// Returns whether a number with the code 1 has an area or exchange that begins with a zero or a one: North America
/// has none.
fn is_no_north_american(number: &Number, national: &str) -> bool {
    number.country_code == 1
        && [0, 3].iter().any(|at| {
            national
                .get(*at..)
                .is_some_and(|rest| rest.starts_with(['0', '1']))
        })
}

fn e164(number: &Number) -> String {
    PHONE_NUMBER_UTIL
        .format(number, PhoneNumberFormat::E164)
        .into_owned()
}

fn mobile_of(number: &Number) -> Mobile {
    Mobile::of(PHONE_NUMBER_UTIL.get_number_type(number))
}

fn region_of(number: &Number) -> Option<Region> {
    PHONE_NUMBER_UTIL.get_region_for_number(number)
}

/// Returns whether a length that the plan skips is too long or too short, as far as that is certain.
fn wrong_length(number: &Number) -> Kind {
    let international = e164(number);
    let is_valid = |text: &str| {
        PHONE_NUMBER_UTIL
            .parse(text, None)
            .is_ok_and(|number| PHONE_NUMBER_UTIL.is_valid_number(&number))
    };
    let shorter = is_valid(&international[..international.len() - 1]);
    let longer = (0..=9).any(|digit| is_valid(&format!("{international}{digit}")));
    match (shorter, longer) {
        (true, false) => Kind::TooLong,
        (false, true) => Kind::TooShort,
        _ => beside_the_usual(number),
    }
}

/// Returns `TooLong` or `TooShort` if the usual numbers of the plan are all shorter or all longer.
fn beside_the_usual(number: &Number) -> Kind {
    let util = &*PHONE_NUMBER_UTIL;
    let digits = get_national_significant_number_owned(number).len();
    let usual = util
        .get_region_for_country_code(number.country_code)
        .into_iter()
        .flat_map(|region| {
            [PhoneNumberType::FixedLine, PhoneNumberType::Mobile]
                .into_iter()
                .filter_map(move |kind| {
                    util.get_example_number_for_type_and_region(region, kind)
                        .ok()
                })
        })
        .map(|example| get_national_significant_number_owned(&example).len());
    let (least, most) = usual.fold((usize::MAX, 0), |(least, most), length| {
        (least.min(length), most.max(length))
    });
    if most == 0 {
        Kind::WrongLength
    } else if digits > most {
        Kind::TooLong
    } else if digits < least {
        Kind::TooShort
    } else {
        Kind::WrongLength
    }
}

/// Returns whether the digits are the beginning of a mobile: each digit from 0 to 9, repeated once to three times,
/// completes a known one.
fn is_short_of_a_mobile(international: &str) -> bool {
    let completed = |more: usize| {
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
            .iter()
            .all(|digit| is_mobile(&format!("{international}{}", digit.repeat(more))))
    };
    (1..=MISCOUNTED).any(completed)
}

fn is_mobile(international: &str) -> bool {
    PHONE_NUMBER_UTIL
        .parse(international, None)
        .is_ok_and(|number| PHONE_NUMBER_UTIL.get_number_type(&number) == PhoneNumberType::Mobile)
}

/// A number that [`read`] found in a text, with its region, and what the metadata states about it.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub extern crate postduif_numbers as numbers; }
/// use postduif::PhoneNumberErrorKind;
/// use postduif::numbers::{Mobile, read};
///
/// // The range is not in the metadata: log a warning, and send.
/// let reading = read("+44 7700 900123", None)?;
/// assert!(!reading.is_known());
/// assert_eq!(reading.mobile(), Mobile::Possibly);
/// assert_eq!(reading.require_mobile()?, reading.number());
///
/// // A landline: no text message arrives there.
/// let reading = read("020 123 4567", Some("NL"))?;
/// assert_eq!(reading.mobile(), Mobile::Not);
/// assert_eq!(reading.require_mobile().unwrap_err().kind(), PhoneNumberErrorKind::NotMobile);
/// # Ok::<(), postduif::PhoneNumberError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    number: PhoneNumber,
    region: Option<[u8; 2]>,
    known: bool,
    mobile: Mobile,
}

impl Reading {
    /// Returns the number.
    #[must_use]
    pub const fn number(&self) -> PhoneNumber {
        self.number
    }

    /// Returns the region of the number (ISO 3166, two letters), which may differ from the region it was read with.
    ///
    /// `None` for a number of no single region: a satellite phone, or an unknown range of a shared country code.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region
            .as_ref()
            .and_then(|region| std::str::from_utf8(region).ok())
    }

    /// Returns whether the number is in a range of the metadata.
    ///
    /// If it is not, log that and send anyway: the metadata may be older than the range.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// Returns whether the number is a mobile, as far as the plan shows.
    #[must_use]
    pub const fn mobile(&self) -> Mobile {
        self.mobile
    }

    /// Returns the number, for a text message, unless it is certainly not a mobile.
    ///
    /// # Errors
    ///
    /// Returns an error of kind `NotMobile` for [`Mobile::Not`].
    pub fn require_mobile(&self) -> Result<PhoneNumber, PhoneNumberError> {
        match self.mobile {
            Mobile::Certainly | Mobile::Possibly => Ok(self.number),
            Mobile::Not => Err(Kind::NotMobile.into()),
        }
    }
}

/// The certainty that a number is a mobile.
#[expect(
    clippy::exhaustive_enums,
    reason = "yes, no and perhaps: there is no fourth"
)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mobile {
    /// The number is in a range for mobiles.
    Certainly,
    /// The plan does not separate mobiles (North America), the range is unknown, or it is one to which some operators
    /// send texts: internet telephony, personal numbers, pagers.
    Possibly,
    /// The number is a landline, a free or paid service, or a voice mailbox.
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

    /// Returns the name in lower case, as `Display` writes it: `certainly`, `possibly` or `not`.
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
