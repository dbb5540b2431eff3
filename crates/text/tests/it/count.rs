//! The count, compared with published bills, the limits of the standard and a slow count.

use postduif_text::{
    Count,
    Encoding::{self, Gsm7, Ucs2},
    parts,
};

#[test]
fn the_count_is_what_a_vendor_billed() {
    // Twilio's live bills, as published: TwilioDevEd/message-segment-calculator, issues 66, 39, 18.
    for (text, encoding, billed) in [
        (a(80) + "\r\n" + &a(79), Gsm7, 2),
        (a(80) + "\n" + &a(79), Gsm7, 1),
        (a(200) + "\r\n" + &a(105), Gsm7, 3),
        ("é".repeat(70), Gsm7, 1),
        ("e\u{301}".repeat(70), Ucs2, 3),
        ("“Welkom”".into(), Ucs2, 1),
        ("]".repeat(153), Gsm7, 3),
        (a(84) + "]🎉", Ucs2, 2),
    ] {
        let count = Count::of(&text);
        assert_eq!(
            (count.encoding(), count.parts()),
            (encoding, billed),
            "{text:?}"
        );
    }
}

#[test]
fn each_limit_is_the_standards() {
    for (units, parts, left) in [
        (0, 1, 160),
        (1, 1, 159),
        (139, 1, 21),
        (159, 1, 1),
        (160, 1, 0),
        (161, 2, 145),
        (306, 2, 0),
        (307, 3, 152),
        (459, 3, 0),
        (460, 4, 152),
    ] {
        expect(&a(units), Gsm7, units, parts, left);
    }
    for (units, parts, left) in [
        (1, 1, 69),
        (70, 1, 0),
        (71, 2, 63),
        (134, 2, 0),
        (135, 3, 66),
        (139, 3, 62),
        (201, 3, 0),
        (202, 4, 66),
    ] {
        expect(&"ж".repeat(units), Ucs2, units, parts, left);
    }
}

#[test]
fn an_empty_text_is_one_empty_part() {
    expect("", Gsm7, 0, 1, 160);
    assert_eq!(parts("").collect::<Vec<_>>(), [""]);
}

#[test]
fn an_extension_character_takes_two_septets_but_one_code_unit() {
    expect("€[]{}\\^|~\u{c}", Gsm7, 20, 1, 140);
    expect("€[]{}\\^|~\u{c}ж", Ucs2, 11, 1, 59);
    expect(&"€".repeat(80), Gsm7, 160, 1, 0);
    expect(&"[".repeat(70).replacen('[', "ж", 1), Ucs2, 70, 1, 0);
}

#[test]
fn an_escape_pair_at_the_edge_moves_to_the_next_part() {
    // It would take septets 153 and 154, so 153 stays empty: two parts hold 305, not 306.
    expect(&(a(152) + "€" + &a(151)), Gsm7, 305, 2, 0);
    expect(&(a(152) + "€" + &a(152)), Gsm7, 306, 3, 152);
    // One septet earlier it fits.
    expect(&(a(151) + "€" + &a(153)), Gsm7, 306, 2, 0);
    // In a text of one part there is no such edge.
    expect(&(a(152) + "€" + &a(6)), Gsm7, 160, 1, 0);
}

#[test]
fn a_surrogate_pair_at_the_edge_moves_to_the_next_part() {
    let zhe = |n| "ж".repeat(n);
    expect(&(zhe(66) + "🎉" + &zhe(65)), Ucs2, 133, 2, 0);
    expect(&(zhe(66) + "🎉" + &zhe(66)), Ucs2, 134, 3, 66);
    expect(&(zhe(65) + "🎉" + &zhe(67)), Ucs2, 134, 2, 0);
    expect(&(zhe(66) + "🎉" + &zhe(2)), Ucs2, 70, 1, 0);
    expect(&"🎉".repeat(35), Ucs2, 70, 1, 0);
    expect(&"🎉".repeat(36), Ucs2, 72, 2, 61);
}

#[test]
fn a_flag_takes_four_code_units_and_may_be_cut_between_its_two_characters() {
    expect("🇳🇱", Ucs2, 4, 1, 66);
    let text = "ж".repeat(64) + "🇳🇱" + "жжж";
    expect(&text, Ucs2, 71, 2, 62);
    assert!(parts(&text).nth(1).unwrap().starts_with('🇱'));
}

#[test]
fn every_part_may_waste_a_unit() {
    // Each part wastes its last septet, or its last code unit.
    expect(&"[".repeat(76 * 100 + 1), Gsm7, 15_202, 101, 151);
    expect(&"🎉".repeat(33 * 100 + 1), Ucs2, 6_602, 101, 65);
}

#[test]
fn encodings_print_their_names() {
    assert_eq!(Gsm7.to_string(), "gsm7");
    assert_eq!(format!("{Ucs2:>6}"), "  ucs2");
}

#[test]
fn the_fast_count_agrees_with_a_slow_one() {
    // Each alphabet favours other characters, so that short texts cover all of its rules.
    let alphabets = [
        "abc",
        "ab\n\r [",
        "a€[]{}\\^|~\u{c}é",
        "aéèßÄ€Ωñ¿",
        "abcdefghijklmnopqrstuvwxyz 0123456789.,üöä",
        "aж🎉[€",
        "🎉🇳🇱",
        "ab`",
        "a\u{1b}\u{7f}\t\0",
        "aéçΑ\u{a0}“\u{301}\u{fffd}\u{ffff}\u{10000}\u{10ffff}",
        "aÖ€€ΓΔß[\u{c}",
        "aéΓ€ĂαÜΩ\u{37e}€",
        "aé€₫₭\u{20a8}‚ö",
    ];
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for round in 0..10_000 {
        let alphabet: Vec<char> = alphabets[round % alphabets.len()].chars().collect();
        let mut text = String::new();
        // Long runs of one letter move the next character to any offset from an edge.
        while random.below(12) != 0 {
            let char = alphabet[random.below(alphabet.len())];
            let run = if random.below(4) == 0 {
                random.below(160)
            } else {
                1
            };
            text.extend(std::iter::repeat_n(char, run));
        }
        check(&text);
    }
}

#[test]
fn every_character_is_counted_alone_and_at_every_index_of_a_chunk() {
    for char in '\0'..=char::MAX {
        let count = Count::of(char.encode_utf8(&mut [0; 4]));
        let (encoding, units, parts, left) = slow(&char.to_string());
        assert_eq!(
            (count.encoding(), count.units(), count.parts(), count.left()),
            (encoding, units, parts, left)
        );
    }
    for char in "az{[`~\u{7f}\u{1b}\u{c}\n\0éßç€“Ωж\u{ffff}🎉\u{10ffff}".chars() {
        for before in 0..70 {
            for after in [0, 1, 31, 32, 33, 100] {
                check(&format!("{}{char}{}", a(before), a(after)));
            }
        }
    }
}

#[test]
fn every_character_is_counted_across_the_edge_of_a_chunk() {
    // Its first byte is the last of 32, and characters of two and of three bytes are beside it.
    let mut text = format!("é€{}", a(26));
    for char in '\0'..=char::MAX {
        text.truncate(31);
        text.push(char);
        text.push_str("€é");
        let (encoding, units) = match size(char, Gsm7) {
            0 => (Ucs2, 30 + char.len_utf16()),
            septets => (Gsm7, 32 + septets),
        };
        let count = Count::of(&text);
        assert_eq!(
            (count.encoding(), count.units()),
            (encoding, units),
            "{char:?}"
        );
    }
}

#[track_caller]
fn expect(text: &str, encoding: Encoding, units: usize, parts: usize, left: usize) {
    let count = Count::of(text);
    assert_eq!(
        (count.encoding(), count.units(), count.parts(), count.left()),
        (encoding, units, parts, left)
    );
    check(text);
}

/// Compares the count with the slow one, and the split parts with both.
#[track_caller]
fn check(text: &str) {
    let count = Count::of(text);
    let (encoding, units, many, left) = slow(text);
    assert_eq!(
        (count.encoding(), count.units(), count.parts(), count.left()),
        (encoding, units, many, left),
        "{text:?}"
    );
    assert_eq!(Encoding::of(text), encoding);
    let single = if encoding == Gsm7 { 160 } else { 70 };
    let joined = if encoding == Gsm7 { 153 } else { 67 };
    assert_eq!(count.per_part(), if many == 1 { single } else { joined });

    let pieces: Vec<&str> = parts(text).collect();
    assert_eq!(parts(text).len(), many);
    assert_eq!(pieces.len(), many, "{text:?}");
    assert_eq!(pieces.concat(), text);
    let sizes: Vec<usize> = pieces
        .iter()
        .map(|piece| piece.chars().map(|char| size(char, encoding)).sum())
        .collect();
    assert!(
        sizes.iter().all(|&size| size <= count.per_part()),
        "{text:?}: {sizes:?}"
    );
    assert_eq!(count.per_part() - sizes[many - 1], left);
    // Full: the next character would not have fitted.
    for (at, piece) in pieces.iter().enumerate().skip(1) {
        let first = piece
            .chars()
            .next()
            .expect("only the empty text has an empty piece");
        assert!(
            sizes[at - 1] + size(first, encoding) > count.per_part(),
            "{text:?}: {sizes:?}"
        );
    }
}

/// Counts by the rules of the standard, one by one: encoding, units, parts, units left in the last part.
fn slow(text: &str) -> (Encoding, usize, usize, usize) {
    let encoding = if text.chars().all(|char| size(char, Gsm7) > 0) {
        Gsm7
    } else {
        Ucs2
    };
    let (alone, joined) = if encoding == Gsm7 {
        (160, 153)
    } else {
        (70, 67)
    };
    let units = text.chars().map(|char| size(char, encoding)).sum();
    if units <= alone {
        return (encoding, units, 1, alone - units);
    }
    let (mut parts, mut used) = (1, 0);
    for char in text.chars() {
        if used + size(char, encoding) > joined {
            (parts, used) = (parts + 1, 0);
        }
        used += size(char, encoding);
    }
    (encoding, units, parts, joined - used)
}

/// Returns the units of a character, or zero if GSM does not have it.
fn size(char: char, encoding: Encoding) -> usize {
    match char {
        _ if encoding == Ucs2 => char.len_utf16(),
        '\u{c}' | '^' | '{' | '}' | '\\' | '[' | '~' | ']' | '|' | '€' => 2,
        '\n' | '\r' | ' '..='_' | 'a'..='z' => 1,
        _ if "£¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà".contains(char) => {
            1
        }
        _ => 0,
    }
}

fn a(n: usize) -> String {
    "a".repeat(n)
}

/// Marsaglia's xorshift: the same texts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
