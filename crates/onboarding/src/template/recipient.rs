//! The recipient of a text.

use postduif_core::{Encoding, Transliteration, directory::User};
use unicode_segmentation::UnicodeSegmentation;

/// What the directory says of a recipient, prepared for a text. It has no `Debug`, since all of it is personal.
pub(crate) struct Recipient {
    pub(super) names: Names,
    /// The preferred language, as the directory writes it.
    pub(super) language: Option<String>,
    region: Option<String>,
}

impl Recipient {
    pub(crate) fn of(user: &User) -> Self {
        let line =
            |text: &Option<String>| text.as_deref().and_then(single_line).unwrap_or_default();
        Self {
            names: Names {
                display: line(&user.display_name),
                given: line(&user.given_name),
                sign_in: line(&user.user_principal_name),
            },
            language: user.preferred_language.clone(),
            region: user.region.clone(),
        }
    }

    /// Returns the country, as the directory writes it.
    pub(crate) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }
}

/// The names in a text, each empty if there is none.
#[derive(Clone, Default)]
pub(super) struct Names {
    pub(super) display: String,
    pub(super) given: String,
    pub(super) sign_in: String,
}

impl Names {
    /// Returns the names with at most this number of graphemes. A sign-in name is never cut.
    pub(super) fn cut(&self, longest: usize) -> Self {
        Self {
            display: cut(&self.display, longest).into(),
            given: cut(&self.given, longest).into(),
            sign_in: self.sign_in.clone(),
        }
    }

    /// Returns the length of the longer name.
    pub(super) fn longest(&self) -> usize {
        let length = |name: &str| name.graphemes(true).count();
        length(&self.display).max(length(&self.given))
    }

    /// Returns whether a name would make a text UCS-2.
    pub(super) fn need_ucs2(&self) -> bool {
        needs_ucs2(&self.display) || needs_ucs2(&self.given)
    }

    /// Transliterates the names that would make a text UCS-2 to GSM 03.38: `Zoe` for `Zoë`.
    pub(super) fn transliterated(mut self) -> Self {
        for name in [&mut self.display, &mut self.given] {
            *name = Transliteration::of(name).into_text().into_owned();
        }
        self
    }

    /// Removes the names that would make a text UCS-2.
    pub(super) fn without_ucs2(mut self) -> Self {
        for name in [&mut self.display, &mut self.given] {
            if needs_ucs2(name) {
                name.clear();
            }
        }
        self
    }
}

fn needs_ucs2(name: &str) -> bool {
    Encoding::of(name) == Encoding::Ucs2
}

/// Returns the beginning of a name, cut between two graphemes.
fn cut(name: &str, longest: usize) -> &str {
    match name.grapheme_indices(true).nth(longest) {
        Some((end, _)) => name[..end].trim_end(),
        None => name,
    }
}

/// Returns the text in one line, without invisible characters. `None` if it contains what no name does: control
/// characters, direction overrides, or private use characters, one of which marks the position of the pass.
pub(super) fn single_line(text: &str) -> Option<String> {
    // They come from copied text, have no meaning, and would make a text UCS-2.
    let seen: String = text.chars().filter(|char| !is_invisible(*char)).collect();
    let words = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let odd = |char: char| {
        char.is_control()
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(char, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..)
    };
    // Graph has no longer names.
    let within = words.chars().count() <= MAX_NAME;
    (within && !words.contains(odd)).then_some(words)
}

/// Returns whether a character is invisible: a soft hyphen, a zero-width space, a direction mark, a word joiner, or a
/// byte order mark. The joiners that shape letters and emoji are kept.
const fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2060}'
            | '\u{feff}'
    )
}

/// The maximum length of a name in Graph, in characters.
pub(super) const MAX_NAME: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_between_graphemes() {
        for (name, longest, expected) in [
            ("Anna de Vries", 4, "Anna"),
            ("Anna de Vries", 5, "Anna"),
            ("Anna de Vries", 99, "Anna de Vries"),
            ("Anna", 0, ""),
            // A letter with its accent, a family, a flag, a syllable.
            ("Zoe\u{308} B", 3, "Zoe\u{308}"),
            ("👩‍👩‍👧x", 1, "👩‍👩‍👧"),
            ("🇳🇱🇧🇪", 1, "🇳🇱"),
            ("க்ஷி", 0, ""),
        ] {
            assert_eq!(cut(name, longest), expected, "{name}");
        }
    }

    #[test]
    fn a_name_in_several_lines_is_one_line() {
        assert_eq!(
            single_line("Anna\r\nde\tVries ").as_deref(),
            Some("Anna de Vries")
        );
    }

    #[test]
    fn invisible_characters_are_removed() {
        for name in [
            "Anna\u{200e} de Vries",
            "An\u{ad}na de Vries",
            "\u{feff}Anna\u{200b} de Vries\u{2060}",
        ] {
            assert_eq!(
                single_line(name).as_deref(),
                Some("Anna de Vries"),
                "{name:?}"
            );
        }
        // The family stays one character.
        assert_eq!(single_line("👩‍👩‍👧").as_deref(), Some("👩‍👩‍👧"));
    }

    #[test]
    fn a_name_outside_gsm_is_transliterated_if_possible() {
        for (name, expected) in [
            ("Zoë", "Zoe"),
            ("Daniël", "Daniel"),
            ("François", "Francois"),
            ("Zoe\u{308}", "Zoe"),
            ("Rene\u{301}e", "Renée"),
            ("Łukasz Żółć", "Lukasz Zolc"),
        ] {
            let names = Names {
                display: name.into(),
                ..Names::default()
            };
            assert_eq!(names.transliterated().display, expected);
        }
    }

    #[test]
    fn a_name_with_forbidden_characters_is_dropped() {
        for name in ["A\u{7}b", "A\u{202e}b", "A\u{e000}b", &"x".repeat(257)] {
            assert_eq!(single_line(name), None, "{name:?}");
        }
    }
}
