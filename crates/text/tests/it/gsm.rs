//! The alphabet, compared with the tables of the standard.

use postduif_text::{Code, char_to_gsm, gsm_to_char, is_gsm, not_gsm, septets};

#[test]
fn the_basic_table_is_the_standards_in_both_directions() {
    assert_eq!(BASIC.len(), 0x80);
    for (septet, point) in (0..).zip(BASIC) {
        let code = Code::Basic(septet);
        if septet == Code::ESCAPE {
            assert_eq!(gsm_to_char(code), None);
            continue;
        }
        let char = char::from_u32(point).unwrap();
        assert_eq!(gsm_to_char(code), Some(char), "{septet:#04x}");
        assert_eq!(char_to_gsm(char), Some(code), "{char:?}");
        assert_eq!(septets(char), Some(1), "{char:?}");
    }
}

#[test]
fn the_extension_table_is_the_standards_in_both_directions() {
    for (septet, point) in EXTENSION {
        let (code, char) = (Code::Extension(septet), char::from_u32(point).unwrap());
        assert_eq!(gsm_to_char(code), Some(char), "{septet:#04x}");
        assert_eq!(char_to_gsm(char), Some(code), "{char:?}");
        assert_eq!(septets(char), Some(2), "{char:?}");
    }
}

#[test]
fn no_other_character_is_in_the_alphabet() {
    let known = ('\0'..=char::MAX).filter(|&char| is_gsm(char)).count();
    assert_eq!(known, BASIC.len() - 1 + EXTENSION.len());
    for char in ('\0'..=char::MAX).filter(|&char| !is_gsm(char)) {
        assert_eq!((char_to_gsm(char), septets(char)), (None, None), "{char:?}");
    }
}

#[test]
fn no_other_code_is_a_character() {
    for septet in 0..=u8::MAX {
        let extended = EXTENSION.iter().any(|&(known, _)| known == septet);
        assert_eq!(
            gsm_to_char(Code::Extension(septet)).is_some(),
            extended,
            "{septet:#04x}"
        );
        let basic = septet < 0x80 && septet != Code::ESCAPE;
        assert_eq!(
            gsm_to_char(Code::Basic(septet)).is_some(),
            basic,
            "{septet:#04x}"
        );
    }
}

#[test]
fn look_alikes_are_not_in_the_alphabet() {
    // Small c cedilla, Greek alpha, ohm sign, increment sign, micro sign, no-break space, dashes,
    // curly quotes, a combining accent, full-width A.
    for char in "çΑ\u{2126}\u{2206}µ\u{a0}–—‘’“”…\u{301}Ａ`\t\u{1b}\u{7f}".chars()
    {
        assert!(!is_gsm(char), "{char:?}");
    }
}

#[test]
fn the_characters_that_force_ucs2_are_listed_with_the_bytes_where_they_start() {
    let text = "é“a”🎉";
    let found: Vec<_> = not_gsm(text).collect();
    assert_eq!(found, [(2, '“'), (6, '”'), (9, '🎉')]);
    for (at, char) in found {
        assert!(text[at..].starts_with(char));
    }
    assert_eq!(not_gsm("Één €, [ok]\r\n").count(), 0);
    assert_eq!(not_gsm("").count(), 0);
}

/// 3GPP TS 23.038, 6.2.1, as Unicode code points; by the columns of the standard, one per paragraph.
#[rustfmt::skip]
const BASIC: [u32; 0x80] = [
    0x0040, 0x00a3, 0x0024, 0x00a5, 0x00e8, 0x00e9, 0x00f9, 0x00ec,
    0x00f2, 0x00c7, 0x000a, 0x00d8, 0x00f8, 0x000d, 0x00c5, 0x00e5,

    0x0394, 0x005f, 0x03a6, 0x0393, 0x039b, 0x03a9, 0x03a0, 0x03a8,
    0x03a3, 0x0398, 0x039e, 0x001b, 0x00c6, 0x00e6, 0x00df, 0x00c9,

    0x0020, 0x0021, 0x0022, 0x0023, 0x00a4, 0x0025, 0x0026, 0x0027,
    0x0028, 0x0029, 0x002a, 0x002b, 0x002c, 0x002d, 0x002e, 0x002f,

    0x0030, 0x0031, 0x0032, 0x0033, 0x0034, 0x0035, 0x0036, 0x0037,
    0x0038, 0x0039, 0x003a, 0x003b, 0x003c, 0x003d, 0x003e, 0x003f,

    0x00a1, 0x0041, 0x0042, 0x0043, 0x0044, 0x0045, 0x0046, 0x0047,
    0x0048, 0x0049, 0x004a, 0x004b, 0x004c, 0x004d, 0x004e, 0x004f,

    0x0050, 0x0051, 0x0052, 0x0053, 0x0054, 0x0055, 0x0056, 0x0057,
    0x0058, 0x0059, 0x005a, 0x00c4, 0x00d6, 0x00d1, 0x00dc, 0x00a7,

    0x00bf, 0x0061, 0x0062, 0x0063, 0x0064, 0x0065, 0x0066, 0x0067,
    0x0068, 0x0069, 0x006a, 0x006b, 0x006c, 0x006d, 0x006e, 0x006f,

    0x0070, 0x0071, 0x0072, 0x0073, 0x0074, 0x0075, 0x0076, 0x0077,
    0x0078, 0x0079, 0x007a, 0x00e4, 0x00f6, 0x00f1, 0x00fc, 0x00e0,
];

/// 3GPP TS 23.038, 6.2.1.1: form feed, `^`, `{`, `}`, `\`, `[`, `~`, `]`, `|`, `€`.
const EXTENSION: [(u8, u32); 10] = [
    (0x0a, 0x000c),
    (0x14, 0x005e),
    (0x28, 0x007b),
    (0x29, 0x007d),
    (0x2f, 0x005c),
    (0x3c, 0x005b),
    (0x3d, 0x007e),
    (0x3e, 0x005d),
    (0x40, 0x007c),
    (0x65, 0x20ac),
];
