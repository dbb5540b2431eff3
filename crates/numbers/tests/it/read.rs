//! Numbers as people write them in directories, and mistakes of general parsers.

use postduif_core::PhoneNumberErrorKind::{self as Kind, *};
use postduif_numbers::{Mobile, read};

fn e164(text: &str, region: &str) -> Result<String, Kind> {
    match read(text, Some(region)) {
        Ok(reading) => Ok(reading.number().to_string()),
        Err(error) => Err(error.kind()),
    }
}

#[test]
fn every_way_of_writing_a_dutch_mobile_is_read() {
    for text in [
        "+31 6 12345678",
        "+31612345678",
        "0031612345678",
        "00 31 6 12 34 56 78",
        "(0031) 6-12345678",
        "06-12345678",
        "06 - 12 34 56 78",
        "(06) 12 34 56 78",
        "06/12345678",
        "06/12.34.56.78",
        "06.12.34.56.78",
        "06–12345678",
        "06‑1234‑5678",
        "+31 (0)6 12345678",
        "+31(0)612345678",
        "+31 ( 0 ) 6 12345678",
        "0031 (0)6 12345678",
        "+31 06 12345678",
        "(+31) 6 12345678",
        "[+31] 6 12345678",
        "31 6 12345678",
        "6 12345678",
        "tel:+31612345678",
        "TEL:+31-6-12345678",
        "tel:06-12345678",
        "Tel: 06-12345678",
        "\u{a0}06\u{a0}1234\u{202f}5678\u{a0}",
        "０６−１２３４５６７８",
        "＋３１（０）６ １２３４ ５６７８",
        "٠٦ ١٢٣٤ ٥٦٧٨",
        "\u{202a}+31 6 12345678\u{202c}",
        "\u{200e}06-1234\u{200b}5678\u{feff}",
        "06\t12345678",
        "06-12345678;",
        "06-12345678.\n",
    ] {
        assert_eq!(e164(text, "NL").as_deref(), Ok("+31612345678"), "{text:?}");
    }
}

#[test]
fn each_fault_is_named() {
    for (text, region, kind) in [
        // Two numbers.
        ("06-12345678 / 020-1234567", "NL", TwoNumbers),
        ("06-12345678/020-1234567", "NL", TwoNumbers),
        ("0612345678/79", "NL", TwoNumbers),
        ("06-12345678; 06-87654321", "NL", TwoNumbers),
        ("06-12345678, 06-87654321", "NL", TwoNumbers),
        ("06-12345678 of 06-87654321", "NL", TwoNumbers),
        ("06-12345678 & 79", "NL", TwoNumbers),
        ("06-12345678\n06-87654321", "NL", TwoNumbers),
        ("06-12345678 06-87654321", "NL", TwoNumbers),
        ("+31612345678 +31687654321", "NL", TwoNumbers),
        ("+31612345678+31687654321", "NL", TwoNumbers),
        ("06-12345678 (thuis) 020-1234567 (werk)", "NL", TwoNumbers),
        ("581 2345 691 2345", "IS", TwoNumbers),
        // Extensions.
        ("06-12345678 x12", "NL", Extension),
        ("06-12345678 #12", "NL", Extension),
        ("06-12345678 ,12", "NL", Extension),
        ("06-12345678;12", "NL", Extension),
        ("020-1234567 toestel 12", "NL", Extension),
        ("+1 4255551234X12345", "US", Extension),
        ("+1 425 555 1234 ext. 12", "US", Extension),
        ("tel:+31612345678;ext=12", "NL", Extension),
        ("030 1234567 Durchwahl 12", "DE", Extension),
        // Letters and signs.
        ("O612345678", "NL", Letter),
        ("T0612345678", "NL", Letter),
        ("06 1234 567O", "NL", Letter),
        ("06-12345678 thuis", "NL", Letter),
        ("0800-CALLME1", "NL", Letter),
        ("06-12345678 x", "NL", Letter),
        ("geen", "NL", NotANumber),
        ("O6-12345678", "NL", Letter),
        ("", "NL", Empty),
        (" \u{a0}\u{200b} ", "NL", Empty),
        ("tel:", "NL", Empty),
        ("+", "NL", NotANumber),
        ("-", "NL", NotANumber),
        ("++31612345678", "NL", NotANumber),
        ("*#06#", "NL", NotANumber),
        ("06-12345678?", "NL", NotANumber),
        ("☎ 06-12345678", "NL", NotANumber),
        // Digits missing, or too many.
        ("+31 6 1245678", "NL", TooShort),
        ("06-1234567", "NL", TooShort),
        ("06", "NL", TooShort),
        ("+31 6 123456789", "NL", TooLong),
        ("06-123456789", "NL", TooLong),
        ("+49 151 234567", "DE", TooShort),
        ("+1 425 555 123", "US", TooShort),
        ("555 1234", "US", TooShort),
        // No country.
        ("+999 12345678", "NL", UnknownCountry),
        ("+210 12345678", "", UnknownCountry),
        // No region.
        ("06-12345678", "", NoRegion),
        ("06-12345678", " ", NoRegion),
        ("31612345678", "", NoRegion),
        // No such region.
        ("06-12345678", "XX", UnknownRegion),
        ("06-12345678", "001", UnknownRegion),
        ("0612345678", "Nederland", UnknownRegion),
        ("07700 900123", "UK", UnknownRegion),
        ("0031612345678", "Nederland", UnknownRegion),
    ] {
        assert_eq!(e164(text, region), Err(kind), "{text:?} in {region:?}");
    }
}

#[test]
fn a_country_code_after_a_plus_needs_no_region_that_exists() {
    for region in ["XX", "Nederland", " nl "] {
        assert_eq!(
            e164("+31 6 12345678", region).as_deref(),
            Ok("+31612345678")
        );
    }
    assert_eq!(e164("06-12345678", " nl ").as_deref(), Ok("+31612345678"));
}

#[test]
fn a_zero_after_the_country_code_is_decided_by_the_plan() {
    for (text, number) in [
        // Dialled inside the country only: dropped.
        ("+90 0532 123 45 67", "+905321234567"),
        ("+33 06 12 34 56 78", "+33612345678"),
        ("+49 0171 1234567", "+491711234567"),
        ("+41 079 123 45 67", "+41791234567"),
        ("+32 (0)475 12 34 56", "+32475123456"),
        ("+44 (0)20 7946 0000", "+442079460000"),
        // Part of the number: kept, in brackets too.
        ("+39 06 1234 5678", "+390612345678"),
        ("+39 (0)6 1234 5678", "+390612345678"),
        // No such zero in the plan, but written anyway.
        ("+34 (0)612 34 56 78", "+34612345678"),
        ("+1 (0)425 555 0123", "+14255550123"),
        ("+39 (0)347 123 4567", "+393471234567"),
    ] {
        assert_eq!(e164(text, "").as_deref(), Ok(number), "{text:?}");
    }
}

#[test]
fn the_region_is_used_only_without_a_country_code() {
    for (text, region, number) in [
        ("0171/1234567", "DE", "+491711234567"),
        ("089/123456", "DE", "+4989123456"),
        ("0475/12.34.56", "BE", "+32475123456"),
        ("0475/12/34/56", "BE", "+32475123456"),
        ("079 123 45 67", "ch", "+41791234567"),
        ("0532 123 45 67", "TR", "+905321234567"),
        ("512 345 678", "PL", "+48512345678"),
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("011 15-2345-6789", "AR", "+5491123456789"),
        ("(425) 555-0123", "US", "+14255550123"),
        ("011 31 6 12345678", "US", "+31612345678"),
        // `00` is a plus if the region's own prefix makes no number of it.
        ("0031612345678", "US", "+31612345678"),
        ("0061 412 345 678", "AU", "+61412345678"),
        ("0055 11 96123 4567", "BR", "+5511961234567"),
        ("+31612345678", "BR", "+31612345678"),
    ] {
        assert_eq!(
            e164(text, region).as_deref(),
            Ok(number),
            "{text:?} in {region}"
        );
    }
}

#[test]
fn an_unknown_range_is_accepted_and_reported_as_unknown() {
    for text in ["+44 7700 900123", "+44 1632 960001", "+31 6 91 234 567"] {
        let Ok(reading) = read(text, None) else {
            panic!("{text} is refused")
        };
        assert_eq!(
            reading.mobile() == Mobile::Possibly,
            !reading.is_known(),
            "{text}"
        );
        assert!(reading.require_mobile().is_ok(), "{text}");
    }
    assert!(!read("+44 7700 900123", None).unwrap().is_known());
    assert!(read("+44 20 7946 0000", None).unwrap().is_known());
}

#[test]
fn german_mobiles_have_ten_digits_or_eleven() {
    for text in ["+49 172 1234567", "+49 172 12345678", "+49 151 12345678"] {
        let reading = read(text, None).unwrap();
        assert!(
            reading.is_known() && reading.mobile() == Mobile::Certainly,
            "{text}"
        );
    }
}

#[test]
fn only_a_certain_landline_or_service_is_refused_for_a_text() {
    for (text, mobile) in [
        ("+31612345678", Mobile::Certainly),
        ("+31201234567", Mobile::Not),
        ("+318001234", Mobile::Not),
        ("+14255550123", Mobile::Possibly),
        ("+447700900123", Mobile::Possibly),
        ("+442079460000", Mobile::Not),
        ("+393471234567", Mobile::Certainly),
        ("+881612345678", Mobile::Certainly),
    ] {
        let reading = read(text, None).unwrap();
        assert_eq!(reading.mobile(), mobile, "{text}");
        let kind = reading.require_mobile().map_err(|error| error.kind());
        match mobile {
            Mobile::Not => assert_eq!(kind, Err(NotMobile)),
            _ => assert_eq!(kind, Ok(reading.number())),
        }
    }
}

#[test]
fn the_region_of_a_reading_is_the_numbers_own() {
    for (text, region, own) in [
        ("06-12345678", "NL", Some("NL")),
        ("+32475123456", "NL", Some("BE")),
        ("+1 204 234 5678", "US", Some("CA")),
        ("+44 7700 900123", "GB", None),
        ("+881612345678", "NL", None),
    ] {
        assert_eq!(read(text, Some(region)).unwrap().region(), own, "{text}");
    }
}

#[test]
fn no_text_makes_it_panic_and_what_is_read_is_strict() {
    // Every short text of the significant signs, and long ones.
    let signs = [
        "0", "6", "31", "+", "(0)", "(", ")", "/", "-", ",", "x", "\u{a0}", "٠", "é", "12345678",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..(seed % 9) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text.push_str(signs[(seed % signs.len() as u64) as usize]);
        }
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let region = ["NL", "US", "IT", "BR", ""][(seed % 5) as usize];
        if let Ok(reading) = read(&text, Some(region)) {
            let number = reading.number().to_string();
            assert_eq!(number.parse(), Ok(reading.number()), "{text:?}");
        }
    }
    for text in ["0", "(", "+", "1/", " ", "x", "é"] {
        assert!(read(&text.repeat(100_000), Some("NL")).is_err(), "{text}");
    }
}

#[test]
fn no_error_and_no_debug_shows_the_number() {
    let reading = read("06-87654321", Some("NL")).unwrap();
    assert!(!format!("{reading:?}").contains("87654321"));
    let error = read("06-87654321 thuis", Some("NL")).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("87654321"));
}

#[test]
fn every_example_number_of_the_metadata_is_read_from_its_national_form() {
    use rlibphonenumber::{PHONE_NUMBER_UTIL as util, PhoneNumberFormat, PhoneNumberType as Type};
    let kinds = [
        Type::FixedLine,
        Type::Mobile,
        Type::TollFree,
        Type::PremiumRate,
        Type::SharedCost,
        Type::VoIP,
        Type::PersonalNumber,
        Type::Pager,
        Type::UAN,
        Type::VoiceMail,
    ];
    let (mut read_back, mut refused) = (0, Vec::new());
    for region in util.get_supported_regions() {
        for kind in kinds {
            let Ok(example) = util.get_example_number_for_type_and_region(region, kind) else {
                continue;
            };
            let number = util.format(&example, PhoneNumberFormat::E164);
            let national = util.format(&example, PhoneNumberFormat::National);
            let code = region.as_region_str();
            match read(&national, Some(code.as_str())) {
                Ok(reading) => {
                    assert_eq!(reading.number().to_string(), number);
                    assert!(reading.is_known(), "{number}");
                    if kind == Type::Mobile {
                        assert!(reading.require_mobile().is_ok(), "{number}");
                    }
                    read_back += 1;
                }
                Err(error) => refused.push(format!("{code} {national}: {}", error.kind())),
            }
        }
    }
    assert!(read_back > 1_000, "{read_back}");
    refused.sort();
    // Short codes, which cannot be dialled from abroad.
    assert_eq!(
        refused,
        [
            "IR 09601: too_short",
            "NL 14 020: too_short",
            "PF 44 01 23: too_short"
        ],
        "of {read_back}"
    );
}
