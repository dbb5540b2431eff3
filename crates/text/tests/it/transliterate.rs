//! The replacements of characters outside GSM.

use postduif_text::{Encoding, Transliteration, is_gsm};

fn rewrite(text: &str) -> String {
    Transliteration::of(text).text().to_owned()
}

#[test]
fn five_languages_read_well() {
    for (text, expected) in [
        // Dutch.
        (
            "Zoë, één coöperatie in Curaçao",
            "Zoe, één coöperatie in Curacao",
        ),
        ("ĲSSELMEER en ĳs", "IJSSELMEER en ijs"),
        ("geïnteresseerd, crêpe, maïs", "geinteresseerd, crepe, mais"),
        ("foto’s – ‘s morgens…", "foto's - 's morgens..."),
        // French.
        (
            "« Ça va ? » Le cœur à l’œuvre, où naît l’été.",
            "\" Ça va ? \" Le coeur à l'oeuvre, où nait l'été.",
        ),
        (
            "Garçon, L’Haÿ-les-Roses, ŒUVRE",
            "Garcon, L'Hay-les-Roses, OEUVRE",
        ),
        (
            "Noël, forêt, hôtel, sûr, aiguë",
            "Noel, foret, hotel, sur, aigue",
        ),
        // German: all of it is in GSM but the quotes, the dash and the capital sharp s.
        ("„Größe“ – Übung für ‚Käse‘", "\"Größe\" - Übung für 'Käse'"),
        ("STRAẞE", "STRASSE"),
        // Polish.
        ("Zażółć gęślą jaźń", "Zazolc gesla jazn"),
        ("ŁÓDŹ, ŚWIĘTY, ŻÓŁĆ, CIEŃ", "LODZ, SWIETY, ZOLC, CIEN"),
        // Turkish: the dotless and the dotted i keep their case.
        ("İstanbul’da ılık ığdır", "Istanbul'da ilik igdir"),
        (
            "Şişli, Beyoğlu, çağrı, kâğıt, ÖÜÇ",
            "Sisli, Beyoglu, cagri, kagit, ÖÜÇ",
        ),
    ] {
        let transliteration = Transliteration::of(text);
        assert_eq!(transliteration.text(), expected);
        assert!(transliteration.is_gsm(), "{text}");
        assert_eq!(Encoding::of(expected), Encoding::Gsm7, "{text}");
    }
}

#[test]
fn the_nearest_letter_is_the_one_gsm_has() {
    // Hungarian, Danish, pinyin, Vietnamese, Welsh, Czech.
    for (text, expected) in [
        ("Őry, fűtő", "Öry, fütö"),
        ("ǿ Ǻ ǽ", "ø Å æ"),
        ("nǚ lǜ", "nü lü"),
        ("Nguyễn Thị Ngọc Ánh, phở", "Nguyen Thi Ngoc Anh, pho"),
        ("tŷ, dŵr", "ty, dwr"),
        ("Dvořák, Šárka, Žižka", "Dvorak, Sarka, Zizka"),
    ] {
        assert_eq!(rewrite(text), expected);
    }
}

#[test]
fn a_character_of_gsm_is_never_changed() {
    let all: String = (0..0x3000)
        .filter_map(char::from_u32)
        .filter(|&char| is_gsm(char))
        .collect();
    let transliteration = Transliteration::of(&all);
    assert_eq!(transliteration.text(), all);
    assert!(transliteration.changes().is_empty() && transliteration.left().is_empty());
    assert!(matches!(
        transliteration.into_text(),
        std::borrow::Cow::Borrowed(_)
    ));
}

#[test]
fn every_character_is_replaced_by_gsm_or_left_and_listed() {
    for char in (0..=0x10_ffff).filter_map(char::from_u32) {
        let text = char.to_string();
        let rewritten = Transliteration::of(&text);
        match (rewritten.changes(), rewritten.left()) {
            ([], []) => assert!(is_gsm(char) && rewritten.text() == text, "{char:?}"),
            ([change], []) => {
                assert_eq!((change.at(), change.from()), (0, text.as_str()));
                assert_eq!(change.to(), rewritten.text());
                assert!(
                    !is_gsm(char) && rewritten.text().chars().all(is_gsm),
                    "{char:?}"
                );
            }
            ([], left) => assert_eq!((left, rewritten.text()), (&[(0, char)][..], text.as_str())),
            _ => panic!("{char:?} is both"),
        }
    }
}

#[test]
fn each_change_has_its_index_in_the_original() {
    let text = "Één “ç” e\u{301} 🎉…";
    let rewritten = Transliteration::of(text);
    let changes: Vec<_> = rewritten
        .changes()
        .iter()
        .map(|change| (change.at(), change.from(), change.to()))
        .collect();
    assert_eq!(
        changes,
        [
            (6, "“", "\""),
            (9, "ç", "c"),
            (11, "”", "\""),
            (15, "e\u{301}", "é"),
            (23, "…", "..."),
        ]
    );
    for &(at, from, _) in &changes {
        assert!(text[at..].starts_with(from));
    }
    assert_eq!(rewritten.left(), [(19, '🎉')]);
}

#[test]
fn the_changes_rebuild_the_text() {
    let text = "“Crème brûlée” – ﬁn… Ж ½ 👩\u{200d}💻 o\u{308}\u{301}x\u{323}\u{a0}é";
    let rewritten = Transliteration::of(text);
    let (mut rebuilt, mut at) = (String::new(), 0);
    for change in rewritten.changes() {
        rebuilt.push_str(&text[at..change.at()]);
        rebuilt.push_str(change.to());
        at = change.at() + change.from().len();
    }
    rebuilt.push_str(&text[at..]);
    assert_eq!(rebuilt, rewritten.text());
}

#[test]
fn a_letter_and_its_combining_marks_are_replaced_as_one() {
    for (text, expected) in [
        ("e\u{301}", "é"),
        ("C\u{327}", "Ç"),
        ("c\u{327}", "c"),
        ("u\u{308}\u{304}", "ü"),
        ("a\u{323}\u{302}", "a"),
        ("é\u{323}", "é"),
        ("à\u{300}", "à"),
        ("ä\u{308}", "ä"),
        ("É\u{301}", "É"),
        ("ş\u{301}", "s"),
    ] {
        assert_eq!(rewrite(text), expected, "{text:?}");
    }
    // Not after another script, a sign or nothing.
    for text in ["и\u{306}", "\u{301}", "1\u{301}", "Ω\u{301}"] {
        assert_eq!(rewrite(text), text, "{text:?}");
    }
}

#[test]
fn a_character_without_a_good_replacement_is_left() {
    // A fraction after a digit would be another number; a name in another script cannot be spelled reliably;
    // the joiner holds the emoji together.
    for text in [
        "3½",
        "10²",
        "Жанна",
        "Ελένη",
        "王",
        "👩\u{200d}💻",
        "20 °C",
        "±5",
    ] {
        let rewritten = Transliteration::of(text);
        assert_eq!(rewritten.text(), text);
        assert!(!rewritten.is_gsm());
    }
}

#[test]
fn spaces_and_invisible_characters_take_no_more_than_a_space() {
    assert_eq!(
        rewrite("a\u{a0}b\u{202f}c\td\u{3000}e\u{200b}f\u{ad}g\u{feff}h\u{200e}i\u{2028}j"),
        "a b c d efghi\nj"
    );
    assert_eq!(rewrite("ＡＢＣ１２３！～"), "ABC123!~");
}

#[test]
fn the_marks_that_fluent_puts_around_every_variable_cost_nothing() {
    let text = "Hi \u{2068}Zoé\u{2069}, \u{2066}1\u{2069} \u{2067}2\u{2069} \u{202a}3\u{202b}4\u{202c}\u{202d}5\u{202e}";
    assert_eq!(rewrite(text), "Hi Zoé, 1 2 345");
    assert!(Transliteration::of(text).is_gsm());
    assert_eq!(
        rewrite("a\u{200f}b\u{61c}c\u{180e}d\u{2061}e\u{34f}f\u{fffb}g"),
        "abcdefg"
    );
}

#[test]
fn signs_that_look_like_one_of_gsm_are_replaced_by_it() {
    assert_eq!(
        rewrite("5 µg, 3 k\u{2126}, nº 1, 1ª"),
        "5 ug, 3 kΩ, no 1, 1a"
    );
}

#[test]
fn a_rewritten_text_takes_no_more_memory_than_it_needs() {
    let text = "“Crème brûlée” – ﬁn… ™©®№ \u{2068}x\u{2069}".repeat(20);
    let std::borrow::Cow::Owned(rewritten) = Transliteration::of(&text).into_text() else {
        panic!("it is rewritten");
    };
    assert_eq!(rewritten.capacity(), rewritten.len());
}

#[test]
fn debug_shows_no_text() {
    let debug = format!("{:?}", Transliteration::of("Pass “K7-secret”"));
    assert!(!debug.contains("secret"), "{debug}");
}

#[test]
fn deunicode_agrees_except_for_the_listed_characters() {
    let mut differ = String::new();
    for char in ('\u{a0}'..='\u{24f}')
        .chain('\u{1e00}'..='\u{1eff}')
        .chain('\u{fb00}'..='\u{fb06}')
    {
        let text = char.to_string();
        let rewritten = Transliteration::of(&text);
        let [change] = rewritten.changes() else {
            continue;
        };
        if deunicode::deunicode_char(char) != Some(change.to()) {
            // Letters that GSM has and ASCII lacks are the purpose of this table.
            if change.to().is_ascii() {
                differ.push(char);
            } else {
                let plain = deunicode::deunicode_char(change.to().chars().next().unwrap());
                let theirs = deunicode::deunicode_char(char);
                assert_eq!(theirs, plain, "{char}");
            }
        }
    }
    assert_eq!(differ, DIFFER);
}

/// Signs in capitals, quotes of one septet, a middle dot that is a dot (Catalan's `ŀ` too), `Ŋ` in its own
/// case, the schwa that deunicode writes as `@`, and the sharp s of a text in capitals.
const DIFFER: &str = "©«®·»ĿŀŊŋƏẞ";
