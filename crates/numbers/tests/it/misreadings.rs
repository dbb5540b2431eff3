//! No text is read as a number other than the one that was written.

use postduif_core::PhoneNumberErrorKind::{self as Kind, *};
use postduif_numbers::{Mobile, read};
use rlibphonenumber::{
    PHONE_NUMBER_UTIL, PhoneNumberFormat as Format, PhoneNumberType as Type,
    get_national_significant_number_owned,
};

/// Reads a text, and returns the number and whether its range is known.
fn reading(text: &str, region: &str) -> Result<(String, bool), Kind> {
    match read(text, Some(region)) {
        Ok(reading) => Ok((reading.number().to_string(), reading.is_known())),
        Err(error) => Err(error.kind()),
    }
}

/// A mobile of every region that has any.
struct Example {
    region: String,
    e164: String,
    national: String,
    international: String,
    /// The digits after the country code.
    bare: String,
}

fn mobiles() -> Vec<Example> {
    let util = &*PHONE_NUMBER_UTIL;
    let regions = util.get_supported_regions();
    let mobiles: Vec<_> = regions
        .filter_map(|region| {
            let number = util
                .get_example_number_for_type_and_region(region, Type::Mobile)
                .ok()?;
            let e164 = util.format(&number, Format::E164).to_string();
            let code = number.country_code.to_string();
            Some(Example {
                region: region.as_region_str().as_str().to_owned(),
                bare: e164[1 + code.len()..].to_owned(),
                national: util.format(&number, Format::National).to_string(),
                international: util.format(&number, Format::International).to_string(),
                e164,
            })
        })
        .collect();
    assert!(mobiles.len() > 240, "{}", mobiles.len());
    mobiles
}

/// The prefixes that countries dial before a country code, other than 00.
static OWN_PREFIXES: &[(&str, &[&str])] = &[
    ("AU", &["0011"]),
    ("BR", &["0021", "0031"]),
    ("CO", &["005", "00414"]),
    ("HK", &["001", "0080", "009"]),
    ("ID", &["001", "008"]),
    ("KE", &["000"]),
    ("KR", &["006", "00700"]),
    ("MN", &["002"]),
    ("NG", &["009"]),
    ("RU", &["810"]),
    ("SG", &["002", "008"]),
    ("TH", &["004"]),
    ("US", &["011"]),
];

#[test]
fn a_prefix_of_the_region_never_leads_to_another_number() {
    let mobiles = mobiles();
    for (region, prefixes) in OWN_PREFIXES {
        for prefix in *prefixes {
            let mut read_right = 0;
            for mobile in &mobiles {
                let text = format!("{prefix} {}", &mobile.e164[1..]);
                if let Ok((number, _)) = reading(&text, region) {
                    assert_eq!(number, mobile.e164, "{text:?} in {region}");
                    read_right += 1;
                }
            }
            // The others are ambiguous.
            assert!(read_right > 120, "{region} {prefix}: {read_right}");
        }
    }
}

#[test]
fn two_zeros_as_a_plus_never_lead_to_another_number() {
    let util = &*PHONE_NUMBER_UTIL;
    let mobiles = mobiles();
    let (mut read_right, mut ambiguous) = (0, 0);
    for region in util.get_supported_regions() {
        let region = region.as_region_str();
        // Every region with the numbers of some, those that dial 00 with the numbers of all.
        let goes_on = OWN_PREFIXES.iter().any(|(own, _)| *own == region.as_str());
        for mobile in mobiles.iter().step_by(if goes_on { 1 } else { 40 }) {
            let text = format!("00{}", &mobile.e164[1..]);
            match reading(&text, region.as_str()) {
                Ok(read) => {
                    assert_eq!(read, (mobile.e164.clone(), true), "{text} in {region}");
                    read_right += 1;
                }
                Err(kind) => {
                    assert_eq!(kind, Ambiguous, "{text} in {region}");
                    ambiguous += 1;
                }
            }
        }
    }
    assert!(
        read_right > ambiguous * 15,
        "{ambiguous} of {read_right} ambiguous"
    );
}

#[test]
fn two_readings_that_differ_are_ambiguous() {
    for (text, region) in [
        ("009 16492311234", "NG"),
        ("001 5016221234", "HK"),
        ("001 3546111234", "HK"),
        ("008 12015550123", "SG"),
    ] {
        assert_eq!(reading(text, region), Err(Ambiguous), "{text} in {region}");
    }
    assert_eq!(Ambiguous.as_str(), "ambiguous");
}

#[test]
fn one_possible_reading_is_taken() {
    for (text, region, number) in [
        // Only the region's own prefix makes a number of it.
        ("009 31 6 12345678", "NG", "+31612345678"),
        ("000 31 6 12345678", "KE", "+31612345678"),
        ("0011 31 6 12345678", "AU", "+31612345678"),
        ("0011 31 (0)6 12345678", "AU", "+31612345678"),
        // Only a plus does.
        ("00 31 6 12345678", "NG", "+31612345678"),
        ("0061 412 345 678", "AU", "+61412345678"),
        ("0031 (0)6 12345678", "AU", "+31612345678"),
        // Both, and they agree.
        ("00 852 5123 4567", "HK", "+85251234567"),
    ] {
        assert_eq!(
            reading(text, region),
            Ok((number.to_owned(), true)),
            "{text} in {region}"
        );
    }
    // Without a region two zeros are a plus.
    let number = read("0031 6 12345678", None).map(|reading| reading.number().to_string());
    assert_eq!(number.as_deref(), Ok("+31612345678"));
}

#[test]
fn a_number_that_a_spreadsheet_made_a_quantity_is_refused() {
    for mobile in mobiles() {
        for whole in [&mobile.bare, &mobile.e164[1..].to_owned(), &mobile.e164] {
            for tail in [".0", ".00"] {
                let text = format!("{whole}{tail}");
                if let Ok(read) = reading(&text, &mobile.region) {
                    panic!("{text} in {}: {read:?}", mobile.region);
                }
            }
        }
    }
    for text in [
        "1713920012.0",
        "1713920012.00",
        "1713920012.0 ",
        "1713920012.0000000",
        "491713920012.0",
        "+491713920012.0",
        "171 3920012.0",
        "015112345678.0",
        "１７１３９２００１２．０",
        "1713920012,0",
        "491713920012,00",
        "3,16E+10",
        "3.16e+10",
        "4,91713920012E+11",
        "4E+11",
    ] {
        assert_eq!(reading(text, "DE"), Err(Quantity), "{text}");
    }
    // Dots as people write them.
    for (text, region, number) in [
        ("06.12.34.56.00", "FR", "+33612345600"),
        ("0171.3920000", "DE", "+491713920000"),
        ("06.12345600", "NL", "+31612345600"),
    ] {
        assert_eq!(
            reading(text, region),
            Ok((number.to_owned(), true)),
            "{text}"
        );
    }
}

#[test]
fn a_short_ending_after_a_whole_number_is_not_part_of_it() {
    for mobile in mobiles() {
        for whole in [
            &mobile.national,
            &mobile.international,
            &mobile.bare,
            &mobile.e164,
        ] {
            for tail in [
                "-1", "-12", " 12", " 1", "(12)", " (12)", ".12", ".5", " - 2", "–12",
            ] {
                // Formats that end in a pair go on with one.
                if whole.len() > 3 && whole[..whole.len() - 2].ends_with([' ', '-']) {
                    continue;
                }
                let text = format!("{whole}{tail}");
                if let Ok((number, _)) = reading(&text, &mobile.region) {
                    panic!("{text:?} in {}: {number}", mobile.region);
                }
            }
        }
    }
    for (text, region) in [
        ("0664 123456-12", "AT"),
        ("0664 123456 12", "AT"),
        ("0664 123456 (12)", "AT"),
        ("0664 123456-1", "AT"),
        ("+43 664 123456-12", "AT"),
        ("041 2345678-1", "FI"),
    ] {
        assert_eq!(reading(text, region), Err(TwoNumbers), "{text}");
    }
}

#[test]
fn pairs_of_digits_are_groups_of_one_number() {
    for (text, region, number) in [
        ("0664 12 34 56 78", "AT", "+4366412345678"),
        ("0664/12 34 56 78", "AT", "+4366412345678"),
        ("0664 12 34 567", "AT", "+436641234567"),
        ("0664-12-34-56-78", "AT", "+4366412345678"),
        ("040 123 45 67", "FI", "+358401234567"),
        ("0171 39 20 01 2", "DE", "+491713920012"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("079 123 45 67", "CH", "+41791234567"),
        ("8 912 345-67-89", "RU", "+79123456789"),
    ] {
        assert_eq!(
            reading(text, region),
            Ok((number.to_owned(), true)),
            "{text}"
        );
    }
}

#[test]
fn two_separate_zeros_are_not_a_plus() {
    let util = &*PHONE_NUMBER_UTIL;
    for region in util.get_supported_regions() {
        let code = region.as_region_str();
        for kind in [Type::Mobile, Type::FixedLine] {
            let Ok(number) = util.get_example_number_for_type_and_region(region, kind) else {
                continue;
            };
            let bare = get_national_significant_number_owned(&number);
            for zeros in ["0 0", "(0)0", "(0) 0", "0-0", "0/0", "0.0", "0 (0)", "+0 0"] {
                let text = format!("{zeros}{bare}");
                assert_eq!(reading(&text, code.as_str()), Err(TrunkZero), "{text}");
            }
        }
    }
    for (text, region) in [
        ("(0)0151 23456789", "DE"),
        ("(0) 0151 / 23456789", "DE"),
        ("0 0151 23456789", "DE"),
        ("0-0151-23456789", "DE"),
        ("0/0151/23456789", "DE"),
        ("0 0131 2345 6789", "CN"),
        ("0 0612345678", "NL"),
        ("0 0151 23456789", ""),
    ] {
        assert_eq!(reading(text, region), Err(TrunkZero), "{text} in {region}");
    }
}

#[test]
fn two_zeros_after_a_plus_are_part_of_it() {
    let mobiles = mobiles();
    for region in mobiles.iter().map(|mobile| &mobile.region) {
        for mobile in mobiles.iter().step_by(40) {
            let text = format!("+00{}", &mobile.e164[1..]);
            assert_eq!(
                reading(&text, region),
                reading(&text[1..], region),
                "{text} in {region}"
            );
        }
    }
    assert_eq!(reading("+00573211234567", "CO"), Err(Ambiguous));
    assert_eq!(
        reading("+00 31 (0)6 12345678", "NL"),
        Ok(("+31612345678".into(), true))
    );
}

#[test]
fn a_single_digit_after_pairs_is_not_a_pair() {
    for mobile in mobiles() {
        for sign in [" ", "-", ".", "/"] {
            // From the front, and with a trunk zero.
            for digits in [mobile.bare.clone(), format!("0{}", mobile.bare)] {
                if !reading(&digits, &mobile.region).is_ok_and(|(_, known)| known) {
                    continue;
                }
                let pairs: Vec<_> = digits
                    .as_bytes()
                    .chunks(2)
                    .map(|pair| String::from_utf8_lossy(pair))
                    .collect();
                let text = format!("{}{sign}1", pairs.join(sign));
                if let Ok((number, _)) = reading(&text, &mobile.region) {
                    panic!("{text:?} in {}: {number}", mobile.region);
                }
            }
        }
    }
    for (text, region) in [("06 03 12 34 1", "GA"), ("0664 12 34 56 1", "AT")] {
        assert_eq!(reading(text, region), Err(TwoNumbers), "{text}");
    }
}

#[test]
fn an_ending_of_three_or_four_digits_after_a_mobile_is_not_part_of_it() {
    for mobile in mobiles() {
        for whole in [
            &mobile.national,
            &mobile.international,
            &mobile.bare,
            &mobile.e164,
        ] {
            for tail in [
                "-123", "-1234", "/123", "/1234", ".123", ".1234", "(123)", " (1234)", " - 123",
            ] {
                // Formats that end in as many digits after the same sign go on with them.
                let group = whole.rsplit(['-', ' ']).next().unwrap_or_default().len();
                if whole.contains('-') && tail.starts_with('-') && group == tail.len() - 1 {
                    continue;
                }
                let text = format!("{whole}{tail}");
                if let Ok((number, _)) = reading(&text, &mobile.region) {
                    panic!("{text:?} in {}: {number}", mobile.region);
                }
            }
        }
    }
    for (text, region) in [
        ("0664 123456-123", "AT"),
        ("0664-123456-123", "AT"),
        ("0664 123456.1234", "AT"),
        ("0664 123456 (123)", "AT"),
        ("+43 664 123456-123", "AT"),
    ] {
        assert_eq!(reading(text, region), Err(TwoNumbers), "{text}");
    }
}

#[test]
fn groups_of_three_and_four_digits_belong_to_one_number() {
    for (text, region, number) in [
        ("0664 123456 789", "AT", "+43664123456789"),
        ("0664-123-4567", "AT", "+436641234567"),
        ("0664.123.456.789", "AT", "+43664123456789"),
        ("0664/123 4567", "AT", "+436641234567"),
        ("040-123 4567", "FI", "+358401234567"),
        ("040 1234 567", "FI", "+358401234567"),
        ("0812-3456-7890", "ID", "+6281234567890"),
        ("0812-345-678-901", "ID", "+62812345678901"),
        ("0171-392-0012", "DE", "+491713920012"),
        // A landline's extension is part of its number.
        ("089 123456-123", "DE", "+4989123456123"),
    ] {
        assert_eq!(
            reading(text, region),
            Ok((number.to_owned(), true)),
            "{text}"
        );
    }
}

#[test]
fn a_mark_in_front_of_a_mobile_is_not_part_of_it() {
    for mobile in mobiles() {
        for mark in ["1. ", "1) ", "(1) ", "2 ", "1-", "1/", "12. "] {
            let text = format!("{mark}{}", mobile.national);
            // If both together are in a known range, it may be a prefix.
            if let Ok((number, false)) = reading(&text, &mobile.region) {
                panic!("{text:?} in {}: {number}", mobile.region);
            }
        }
    }
    for (text, region) in [("1. 06 12345678", "NL"), ("(1) 0664 123456", "AT")] {
        assert_eq!(reading(text, region), Err(TwoNumbers), "{text}");
    }
}

#[test]
fn up_to_three_missing_digits_of_a_known_mobile_are_too_few() {
    for mobile in mobiles() {
        for missing in 1..=3 {
            let text = &mobile.e164[..mobile.e164.len() - missing];
            if let Ok((number, false)) = reading(text, &mobile.region) {
                panic!("{text} in {}: {number}", mobile.region);
            }
        }
    }
    assert_eq!(reading("071 1234", "ZA"), Err(TooShort));
}

#[test]
fn digits_left_over_after_a_known_mobile_are_too_many() {
    for mobile in mobiles() {
        for more in ["1", "12", "00", "99", "123", "000"] {
            let text = format!("{}{more}", mobile.e164);
            if let Ok((number, false)) = reading(&text, &mobile.region) {
                panic!("{text} in {}: {number}", mobile.region);
            }
        }
    }
    for (text, region) in [
        ("061234567812", "NL"),
        ("+3161234567812", ""),
        ("+220301234512", ""),
        ("+959212345612", ""),
        ("+354611123412", ""),
    ] {
        assert_eq!(reading(text, region), Err(TooLong), "{text}");
    }
}

#[test]
fn a_length_that_no_mobile_of_the_plan_has_is_refused() {
    for (text, region, kind) in [
        // A zero of a plan that has none.
        ("0 512 345 678", "PL", TooLong),
        ("+48 0 512 345 678", "", TooLong),
        ("0347 1234567", "IT", TooLong),
        ("+39 0347 1234567", "", TooLong),
        // The rest of a number.
        ("06 1234", "NL", TooShort),
        ("+31 6 1234", "", TooShort),
        ("06 12345", "NL", TooShort),
        ("07700 9001", "GB", TooShort),
        // Between two lengths that the plan has.
        ("1234567890", "NL", TooLong),
        ("1713920012", "NL", TooLong),
        ("01713920012", "NL", TooLong),
        // Too many with the prefix that is dialled in front, too few without it.
        ("0 1 713 920 012", "US", WrongLength),
        ("8 029 491 191", "BY", WrongLength),
        // A short code, which cannot be dialled from abroad.
        ("14 020", "NL", TooShort),
        ("+31 14 020", "", TooShort),
    ] {
        assert_eq!(reading(text, region), Err(kind), "{text:?} in {region:?}");
    }
}

#[test]
fn a_digit_too_many_is_never_too_few_and_vice_versa() {
    let mut wrong = Vec::new();
    for mobile in mobiles() {
        for text in [&mobile.national, &mobile.e164] {
            let text: String = text
                .chars()
                .filter(|char| matches!(char, '0'..='9' | '+'))
                .collect();
            for more in ["1", "5", "00", "55"] {
                let longer = format!("{text}{more}");
                if reading(&longer, &mobile.region) == Err(TooShort) {
                    wrong.push(format!("{}: {longer} is too short", mobile.region));
                }
            }
            for less in 1..=2 {
                let shorter = &text[..text.len() - less];
                if reading(shorter, &mobile.region) == Err(TooLong) {
                    wrong.push(format!("{}: {shorter} is too long", mobile.region));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_missing_island_digit_never_leads_to_another_island() {
    assert_eq!(reading("512 3456", "CW"), Err(TooShort));
    assert_eq!(
        reading("9 512 3456", "CW"),
        Ok(("+59995123456".into(), true))
    );
    assert_eq!(reading("318 1234", "BQ"), Ok(("+5993181234".into(), true)));
    assert_eq!(
        reading("+599 318 1234", "CW"),
        Ok(("+5993181234".into(), true))
    );
    // Neighbours in one plan call each other by the whole number.
    assert_eq!(
        reading("204 234 5678", "US"),
        Ok(("+12042345678".into(), true))
    );
    assert_eq!(
        reading("07781 123456", "GB"),
        Ok(("+447781123456".into(), true))
    );
}

#[test]
fn a_zero_that_hides_a_known_number_is_a_trunk_zero() {
    assert_eq!(reading("0 5123456", "EE"), Err(TrunkZero));
    assert_eq!(reading("0 347 123456", "IT"), Err(TrunkZero));
}

#[test]
fn a_filler_is_not_a_number() {
    for (text, region) in [
        ("123456789", "NL"),
        ("999999999", "NL"),
        ("0600000000", "NL"),
        ("06 00000000", "NL"),
        ("+31 6 00000000", ""),
        ("5555555555", "US"),
        // North American areas and exchanges begin with 2 to 9.
        ("4520123456", "US"),
        ("+1 125 555 0123", ""),
    ] {
        assert_eq!(reading(text, region), Err(NotANumber), "{text} in {region}");
    }
    // Numbers in known ranges may exist, whatever the digits.
    assert_eq!(
        reading("06 11111111", "NL"),
        Ok(("+31611111111".into(), true))
    );
}

#[test]
fn a_new_range_is_accepted_and_reported_as_unknown() {
    for (text, region) in [
        ("06 9123 4567", "NL"),
        ("07700 900123", "GB"),
        ("+1 555 234 5678", "US"),
        ("0190 1234567", "DE"),
    ] {
        let reading = read(text, Some(region)).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(!reading.is_known(), "{text}");
        assert_eq!(reading.mobile(), Mobile::Possibly, "{text}");
        assert_eq!(reading.require_mobile(), Ok(reading.number()), "{text}");
    }
}
