//! Texts rewritten in the characters of GSM 03.38.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

use crate::gsm::is_gsm;

/// A text rewritten to fit GSM 03.38, with a list of the changes and of the characters that stayed.
///
/// Behind a feature, because it changes what the reader sees. Curly quotes become straight ones, dashes hyphens, an
/// ellipsis three dots, odd spaces plain ones, and ligatures their letters. A Latin letter with a mark that GSM lacks
/// becomes the nearest letter that it has: `ç` a `c`, since only `Ç` is in the table, and `ő` an `ö`. A character of
/// GSM 03.38 is never changed.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::{Count, Transliteration};
///
/// let text = "Graças à “Zoë” – tot zo…";
/// let rewritten = Transliteration::of(text);
/// assert_eq!(rewritten.text(), "Gracas à \"Zoe\" - tot zo...");
/// assert_eq!((Count::of(text).units(), Count::of(rewritten.text()).units()), (24, 26));
/// assert!(rewritten.is_gsm());
///
/// let change = rewritten.changes()[0];
/// assert_eq!((change.at(), change.from(), change.to()), (3, "ç", "c"));
/// ```
///
/// A character without a good replacement stays, and is listed: another script, an emoji, a fraction or a power
/// (`3½` would become 31/2). One such character keeps the whole text in UCS-2, and then the changes save nothing:
/// send the original text.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::Transliteration;
///
/// let rewritten = Transliteration::of("“Ура” 🎉");
/// assert_eq!(rewritten.text(), "\"Ура\" 🎉");
/// assert!(!rewritten.is_gsm());
/// assert_eq!(rewritten.left().len(), 4);
/// assert_eq!(rewritten.left()[3], (13, '🎉'));
/// ```
///
/// `Debug` shows sizes and never the text.
#[derive(Clone, Eq, PartialEq)]
pub struct Transliteration<'a> {
    text: Cow<'a, str>,
    changes: Vec<Change<'a>>,
    left: Vec<(usize, char)>,
}

impl<'a> Transliteration<'a> {
    /// Rewrites a text. A text that already fits is borrowed, without allocation.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let (mut changes, mut left) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(char) = text[at..].chars().next() {
            let after = at + char.len_utf8();
            let end = after + marks(&text[after..]);
            let to = if end > after && (is_latin(char) || replacement(char).is_some_and(is_letters))
            {
                // A letter and its marks are one to the reader, so they are replaced as one.
                Some((end, replace_marked(char, &text[after..end])))
            } else if is_gsm(char) {
                None
            } else {
                let to = replacement(char);
                if to.is_none() {
                    left.push((at, char));
                }
                to.map(|to| (after, to))
            };
            let Some((end, to)) = to else {
                at = after;
                continue;
            };
            let from = &text[at..end];
            changes.push(Change { at, from, to });
            at = end;
        }
        Self {
            text: rewrite(text, &changes),
            changes,
            left,
        }
    }

    /// Returns the rewritten text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the rewritten text, borrowed if nothing was changed.
    #[must_use]
    pub fn into_text(self) -> Cow<'a, str> {
        self.text
    }

    /// Returns the changes, in order.
    #[must_use]
    pub fn changes(&self) -> &[Change<'a>] {
        &self.changes
    }

    /// Returns the characters outside GSM 03.38 that stayed, each with the index of its first byte in the original
    /// text.
    #[must_use]
    pub fn left(&self) -> &[(usize, char)] {
        &self.left
    }

    /// Returns whether the rewritten text fits GSM 03.38.
    #[must_use]
    pub fn is_gsm(&self) -> bool {
        self.left.is_empty()
    }
}

impl fmt::Debug for Transliteration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transliteration")
            .field("bytes", &self.text.len())
            .field("changes", &self.changes.len())
            .field("left", &self.left.len())
            .finish()
    }
}

/// One change of a [`Transliteration`]: a character, or a letter with its combining marks, and its replacement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change<'a> {
    at: usize,
    from: &'a str,
    to: &'static str,
}

impl<'a> Change<'a> {
    /// Returns the index of its first byte in the original text, as [`str::char_indices`] and
    /// [`not_gsm`](crate::not_gsm) count.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Returns the replaced characters.
    #[must_use]
    pub const fn from(&self) -> &'a str {
        self.from
    }

    /// Returns the replacement: characters of GSM 03.38, or nothing for an invisible character.
    #[must_use]
    pub const fn to(&self) -> &'static str {
        self.to
    }
}

fn rewrite<'a>(text: &'a str, changes: &[Change<'a>]) -> Cow<'a, str> {
    if changes.is_empty() {
        return Cow::Borrowed(text);
    }
    let removed: usize = changes.iter().map(|change| change.from.len()).sum();
    let added: usize = changes.iter().map(|change| change.to.len()).sum();
    // Allocated once: growing would leave copies of the text in memory.
    let mut rewritten = String::with_capacity(text.len() - removed + added);
    let mut copied = 0;
    for change in changes {
        rewritten.push_str(&text[copied..change.at]);
        rewritten.push_str(change.to);
        copied = change.at + change.from.len();
    }
    rewritten.push_str(&text[copied..]);
    Cow::Owned(rewritten)
}

/// Returns the length in bytes of the combining marks that a text begins with: U+0300 to U+036F, the block that
/// composes with Latin.
fn marks(text: &str) -> usize {
    text.find(|char| !matches!(char, '\u{300}'..='\u{36f}'))
        .unwrap_or(text.len())
}

/// Returns the replacement of a letter with combining marks: the letter that GSM has for it, else the letter alone.
fn replace_marked(letter: char, marks: &str) -> &'static str {
    marks
        .chars()
        .find_map(|mark| compose(letter, mark))
        .or_else(|| slice(LETTERS, letter))
        .or_else(|| replacement(letter))
        .unwrap_or_default()
}

/// Returns the replacement of a character outside GSM 03.38, or `None` if there is no good one.
///
/// Kept by hand rather than taken from a crate. deunicode 1.6 and any_ascii 0.3 were tried: for the
/// letters of Dutch, French, German, Polish and Turkish both agree with this table, but they know no GSM
/// (they turn `ő` and `ǿ` into `o`), spend two septets on `«`, replace characters that should stay (`½`,
/// Cyrillic, emoji), and add 475 and 582 KB to a binary for some 600 letters; deunicode swaps the cases
/// of `Ŋ`, and makes a schwa an `@`. A test compares this table with deunicode's, and lists the differences.
fn replacement(char: char) -> Option<&'static str> {
    Some(match char {
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' => "\"",
        '‘' | '’' | '‚' | '‛' | '‹' | '›' | '′' | 'ʼ' | 'ʻ' | '´' | '`' => "'",
        // A hyphen each, the long dash too: two of them cost a septet and read no better.
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "-",
        '…' => "...",
        '•' => "*",
        '·' => ".",
        '×' => "x",
        '⁄' => "/",
        // Spaces of every width, breaking or not: a phone breaks lines by its own rules.
        '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => " ",
        '\u{85}' | '\u{2028}' | '\u{2029}' => "\n",
        // Invisible by themselves: soft hyphen, zero-width space, the marks that direct, embed, override and
        // isolate a direction, word joiner and invisible operators, deprecated format characters, byte order
        // mark, fillers. The joiners U+200C and U+200D and the variation selectors are left: they hold emoji
        // and other scripts together.
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => "",
        'º' => "o",
        'ª' => "a",
        'µ' => "u",
        '\u{2126}' => "Ω",
        'Œ' => "OE",
        'œ' => "oe",
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ẞ' => "SS",
        'Þ' => "Th",
        'þ' => "th",
        'Ŋ' => "Ng",
        'ŋ' => "ng",
        'ŉ' => "'n",
        'Ŀ' => "L.",
        'ŀ' => "l.",
        'Ə' => "E",
        'ə' => "e",
        'Ơ' => "O",
        'ơ' => "o",
        'Ư' => "U",
        'ư' => "u",
        'Ǆ' | 'Ǳ' => "DZ",
        'ǅ' | 'ǲ' => "Dz",
        'ǆ' | 'ǳ' => "dz",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' | 'ﬆ' => "st",
        '™' => "TM",
        '®' => "(R)",
        '©' => "(C)",
        '№' => "No",
        // The full-width forms of ASCII, in its order; its grave accent is not in GSM either.
        '\u{ff40}' => "'",
        '\u{ff01}'..='\u{ff5e}' => {
            let at = char as usize - 0xff01;
            ASCII.get(at..=at)?
        }
        _ => return letter(char),
    })
}

/// Returns the replacement of a Latin letter with a mark, from [`MARKED`].
fn letter(char: char) -> Option<&'static str> {
    let (first, letters) = MARKED
        .iter()
        .take_while(|(first, _)| *first <= char)
        .last()?;
    let nth = (char as usize) - (*first as usize);
    let (at, letter) = letters.char_indices().nth(nth)?;
    (letter != ' ').then(|| &letters[at..at + letter.len_utf8()])
}

/// Returns the letter of GSM that a letter and a mark compose to.
fn compose(letter: char, mark: char) -> Option<&'static str> {
    let row = match mark {
        '\u{300}' => "aàeèiìoòuù",
        '\u{301}' => "EÉeé",
        '\u{303}' => "NÑnñ",
        '\u{308}' => "AÄOÖUÜaäoöuü",
        '\u{30a}' => "AÅaå",
        '\u{30b}' => "OÖUÜoöuü",
        '\u{327}' => "CÇ",
        _ => return None,
    };
    row.split_inclusive(|char: char| !char.is_ascii())
        .find_map(|pair| pair.strip_prefix(letter))
}

/// Returns the part of a row that is a character.
fn slice(row: &'static str, char: char) -> Option<&'static str> {
    let at = row.find(char)?;
    Some(&row[at..at + char.len_utf8()])
}

/// Returns whether a character is a Latin letter that GSM has.
fn is_latin(char: char) -> bool {
    LETTERS.contains(char)
}

fn is_letters(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_latin)
}

static LETTERS: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzÄÅÆÇÉÑÖØÜßàäåæèéìñòöøùü";

static ASCII: &str = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";

/// Latin letters with marks: the first of each run of code points, and one letter for each of the run;
/// a space if no single letter replaces one.
///
/// From Unicode's canonical decompositions: the letter that GSM has with one of the marks (`ǿ` is
/// an `ø`, `ǖ` a `ü`), else the base letter. It also has the letters with a stroke, the dotless
/// `ı`, the long `ſ`, and Hungarian's `ő` and `ű`, whose nearest are `ö` and `ü`.
#[rustfmt::skip]
static MARKED: &[(char, &str)] = &[
    ('\u{c0}', "AAAAÄÅÆÇEÉEEIIIIDÑOOOOÖ ØUUUÜY ßàaaaäåæcèéeeìiiidñòoooö øùuuüy y"),
    ('\u{100}', "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi  JjKkkLlLlLl  Ll"),
    ('\u{143}', "NnNnNn   OoOoÖö  RrRrRrSsSsSsSsTtTtTtUuUuUuUuÜüUuWwYyYZzZzZzs"),
    ('\u{1cd}', "AaIiOoUuÜüÜüÜüÜü"),
    ('\u{1de}', "ÄäAaÆæGgGgKkOoOo  j   Gg"),
    ('\u{1f8}', "NnÅåÆæØøAaAaEeEeIiIiOoOoRrRrUuUuSsTt  Hh      AaEeÖöOoOoOoYy"),
    ('\u{1e00}', "AaBbBbBbÇcDdDdDdDdDdEèÉéEeEeEeFfGgHhHhHhHhHhIiIiKkKkKkLlLlLlLl"),
    ('\u{1e3e}', "MmMmMmNnNnNnNnOoÖöOòOoPpPpRrRrRrRrSsSsSsSsSsTtTtTtTtUuUuUuUuÜü"),
    ('\u{1e7c}', "VvVvWwWwWwWwWwXxXxYyZzZzZzhtwy s"),
    ('\u{1ea0}', "AaAaAaAàAaAaAaAaAàAaAaAaEeEeEeÉéEèEeEeEeIiIiOoOoOoOòOoOoOoOoOòOoOoOoUuUuUuUùUuUuUuYyYyYyYy"),
];
