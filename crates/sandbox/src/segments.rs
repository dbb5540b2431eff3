//! The segments of a text, by the sandbox's own reading of the standard.

/// Counts the segments of `text`: 160 septets or 153 each in GSM 03.38, 70 code units or 67 each in UCS-2.
pub(crate) fn count(text: &str) -> u32 {
    let septets: Option<Vec<usize>> = text.chars().map(septets).collect();
    match septets {
        Some(sizes) => split(&sizes, 160, 153),
        None => count_unicode(text),
    }
}

/// Counts the segments of `text` in UCS-2, needed or not.
fn count_unicode(text: &str) -> u32 {
    let units: Vec<_> = text.chars().map(char::len_utf16).collect();
    split(&units, 70, 67)
}

/// The encoding that a request selects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Encoding {
    /// GSM 03.38 if the text fits, else UCS-2.
    Auto,
    /// GSM 03.38, in which other characters are replaced.
    Gsm,
    /// UCS-2, needed or not.
    Unicode,
}

impl Encoding {
    /// Returns the text as it goes to the phone, and the number of its segments.
    pub(crate) fn apply(self, text: &str) -> (String, u32) {
        match self {
            Self::Auto => (text.to_owned(), count(text)),
            Self::Gsm => {
                let text = to_gsm(text);
                let parts = count(&text);
                (text, parts)
            }
            Self::Unicode => (text.to_owned(), count_unicode(text)),
        }
    }
}

/// Returns whether every character of `text` is in GSM 03.38.
pub(crate) fn is_gsm(text: &str) -> bool {
    text.chars().all(|c| septets(c).is_some())
}

/// Replaces the characters of `text` outside GSM 03.38 with question marks.
///
/// Vendors document that they replace such characters, not with what. Most use a question mark.
pub(crate) fn to_gsm(text: &str) -> String {
    text.chars()
        .map(|c| if septets(c).is_some() { c } else { '?' })
        .collect()
}

// An escape pair or a surrogate pair is never split: it moves to the next segment as a whole.
fn split(sizes: &[usize], alone: usize, joined: usize) -> u32 {
    if sizes.iter().sum::<usize>() <= alone {
        return 1;
    }
    let mut parts = 1;
    let mut used = 0;
    for size in sizes {
        if used + size > joined {
            parts += 1;
            used = 0;
        }
        used += size;
    }
    parts
}

fn septets(c: char) -> Option<usize> {
    if BASIC.contains(c) {
        Some(1)
    } else if EXTENSION.contains(c) {
        Some(2)
    } else {
        None
    }
}

/// 3GPP TS 23.038, 6.2.1, in the order of the code points; the escape itself is not a character.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// 3GPP TS 23.038, 6.2.1.1: each costs an escape and a septet.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_its_127_characters_and_10_more() {
        assert_eq!(BASIC.chars().count(), 127);
        assert_eq!(EXTENSION.chars().count(), 10);
    }

    #[test]
    fn gsm_breaks_at_160_and_then_every_153() {
        assert_eq!(count(""), 1);
        assert_eq!(count(&"a".repeat(160)), 1);
        assert_eq!(count(&"a".repeat(161)), 2);
        assert_eq!(count(&"a".repeat(306)), 2);
        assert_eq!(count(&"a".repeat(307)), 3);
    }

    #[test]
    fn an_escape_pair_is_never_split() {
        // 76 pairs a segment, not 76 and a half.
        assert_eq!(count(&"]".repeat(152)), 2);
        assert_eq!(count(&"]".repeat(153)), 3);
    }

    #[test]
    fn one_character_outside_the_alphabet_makes_it_ucs2() {
        assert_eq!(count(&format!("{}ë", "a".repeat(69))), 1);
        assert_eq!(count(&format!("{}ë", "a".repeat(70))), 2);
    }

    #[test]
    fn characters_outside_gsm_are_replaced_where_gsm_is_selected() {
        assert_eq!(to_gsm("Zoë €1 🌷"), "Zo? €1 ?");
        assert_eq!(count_unicode(&"a".repeat(71)), 2);
    }

    #[test]
    fn a_surrogate_pair_is_never_split() {
        // 33 pairs a segment of 67 units.
        assert_eq!(count(&"🌷".repeat(66)), 2);
        assert_eq!(count(&"🌷".repeat(67)), 3);
    }
}
