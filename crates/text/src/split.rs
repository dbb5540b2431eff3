//! Splitting a text into its parts.

use core::iter::FusedIterator;

use crate::{Count, Encoding};

/// Returns the text of each part, in order.
///
/// Joined, they are the whole text. Their number is [`Count::parts`]; the empty text has one empty part. Each is as
/// full as [`Count::per_part`] units allow without splitting a character. The encoding is that of the whole text, even
/// if a part alone would fit GSM 03.38.
///
/// A flag or a letter with a combining accent consists of several characters, and may be split between them: the phone
/// shows the parts joined.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::{Count, parts};
///
/// // 161 septets. The brackets at 153 and 154 are one character: it moves to the second part.
/// let text = format!("{}[{}", "a".repeat(152), "b".repeat(7));
/// let split: Vec<_> = parts(&text).collect();
/// assert_eq!(split, ["a".repeat(152).as_str(), "[bbbbbbb"]);
/// assert_eq!(split.len(), Count::of(&text).parts());
/// assert_eq!(split.concat(), text);
/// ```
pub fn parts(text: &str) -> impl ExactSizeIterator<Item = &str> + FusedIterator + Clone {
    let count = Count::of(text);
    Parts {
        rest: text,
        remaining: count.parts(),
        encoding: count.encoding(),
        per_part: count.per_part(),
    }
}

#[derive(Clone)]
struct Parts<'a> {
    rest: &'a str,
    remaining: usize,
    encoding: Encoding,
    per_part: usize,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let (at, _) = self.encoding.fill(self.rest, self.per_part);
        let (piece, rest) = self.rest.split_at(at);
        self.rest = rest;
        Some(piece)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Parts<'_> {}

impl FusedIterator for Parts<'_> {}
