//! The encoding, the length and the parts of a text.

use core::{array, fmt};

use crate::gsm;

/// The encoding of a text, its length in units, and the parts it is billed as.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::{Count, Encoding};
///
/// let count = Count::of(&"a".repeat(161));
/// assert_eq!(count.encoding(), Encoding::Gsm7);
/// assert_eq!(count.units(), 161);
/// assert_eq!(count.parts(), 2);
/// assert_eq!(count.per_part(), 153);
/// assert_eq!(count.left(), 145);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Count {
    encoding: Encoding,
    units: usize,
    parts: usize,
    left: usize,
}

impl Count {
    /// Counts a text exactly as it is given: CR LF counts as two characters, and a combining accent as a
    /// separate one.
    ///
    /// Takes a text of any length. No more than 255 parts can be joined, so limit the parts yourself.
    ///
    /// ```
    /// # mod postduif { pub use postduif_text as text; }
    /// use postduif::text::Count;
    ///
    /// assert_eq!(Count::of("a\nb").units(), 3);
    /// assert_eq!(Count::of("a\r\nb").units(), 4);
    /// assert_eq!(Count::of("€ 5").units(), 4);
    /// ```
    #[must_use]
    pub fn of(text: &str) -> Self {
        match Size::of_gsm(text) {
            Some(size) => Self::new(text, Encoding::Gsm7, size),
            None => Self::new(text, Encoding::Ucs2, Size::of_utf16(text)),
        }
    }

    fn new(text: &str, encoding: Encoding, size: Size) -> Self {
        let Size { units, pairs } = size;
        if units <= encoding.alone() {
            let left = encoding.alone() - units;
            return Self {
                encoding,
                units,
                parts: 1,
                left,
            };
        }
        let limit = encoding.joined();
        if pairs == 0 {
            let parts = units.div_ceil(limit);
            return Self {
                encoding,
                units,
                parts,
                left: parts * limit - units,
            };
        }
        // A pair at an edge moves to the next part, so only walking the text finds the edges.
        let (mut parts, mut last, mut rest) = (1, units, text);
        while last > limit {
            let (at, filled) = encoding.fill(rest, limit);
            (parts, last, rest) = (parts + 1, last - filled, &rest[at..]);
        }
        Self {
            encoding,
            units,
            parts,
            left: limit - last,
        }
    }

    /// Returns the encoding in which the text is sent.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns the length of the text: septets for [`Encoding::Gsm7`], UTF-16 code units for
    /// [`Encoding::Ucs2`].
    ///
    /// A unit that stays empty at the end of a part, to keep a pair together, is not counted.
    #[must_use]
    pub const fn units(&self) -> usize {
        self.units
    }

    /// Returns the number of parts the text is billed as, at least one.
    ///
    /// The empty text has one part: a vendor that takes it sends one message, and an editor shows "1 part, 160 left"
    /// before the first key.
    ///
    /// ```
    /// # mod postduif { pub use postduif_text as text; }
    /// use postduif::text::Count;
    ///
    /// let count = Count::of("");
    /// assert_eq!((count.units(), count.parts(), count.left()), (0, 1, 160));
    /// ```
    #[must_use]
    pub const fn parts(&self) -> usize {
        self.parts
    }

    /// Returns the units that each part of this text can hold: 160 septets or 70 code units if it has one part,
    /// otherwise 153 or 67.
    #[must_use]
    pub const fn per_part(&self) -> usize {
        if self.parts == 1 {
            self.encoding.alone()
        } else {
            self.encoding.joined()
        }
    }

    /// Returns the units still free in the last part.
    ///
    /// With one unit left, a character that takes two units starts a new part.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.left
    }
}

/// The encoding in which a text is sent.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::Encoding;
///
/// assert_eq!(Encoding::of("Één code: 482913"), Encoding::Gsm7);
/// assert_eq!(Encoding::of("Zoë, je code: 482913"), Encoding::Ucs2);
/// assert_eq!(Encoding::Gsm7.to_string(), "gsm7");
/// assert_eq!(Encoding::Ucs2.to_string(), "ucs2");
/// ```
#[expect(
    clippy::exhaustive_enums,
    reason = "the standard's third coding, 8-bit data, carries no text"
)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Encoding {
    /// The GSM 03.38 default alphabet, seven bits a septet.
    Gsm7,
    /// UCS-2, which phones read as UTF-16: a character beyond U+FFFF takes two code units.
    Ucs2,
}

impl Encoding {
    /// Returns the encoding of a text: GSM 03.38 if every character is in its tables, otherwise UCS-2.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if Size::of_gsm(text).is_some() {
            Self::Gsm7
        } else {
            Self::Ucs2
        }
    }

    /// Returns the name in lower case, as `Display` writes it: `gsm7` or `ucs2`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm7",
            Self::Ucs2 => "ucs2",
        }
    }

    /// Returns the units in a text of one part, which is 140 octets.
    const fn alone(self) -> usize {
        match self {
            Self::Gsm7 => 160,
            Self::Ucs2 => 70,
        }
    }

    /// Returns the units in each of several parts: the header that joins them takes six octets, and septets start at
    /// the next multiple of seven bits.
    const fn joined(self) -> usize {
        match self {
            Self::Gsm7 => 153,
            Self::Ucs2 => 67,
        }
    }

    /// Returns the length, in bytes and in units, of the longest start of a text that `limit` units hold without
    /// cutting a pair.
    pub(crate) fn fill(self, text: &str, limit: usize) -> (usize, usize) {
        let (mut at, mut filled) = (0, 0);
        for chunk in text.as_bytes().chunks_exact(CHUNK) {
            let units = self.units(chunk);
            if filled + units > limit {
                break;
            }
            (at, filled) = (at + CHUNK, filled + units);
        }
        // The bytes after a character's first have no units, so the edge falls before a first byte, or at the end.
        for &byte in &text.as_bytes()[at..] {
            let units = self.units_at(byte);
            if filled + units > limit {
                break;
            }
            (at, filled) = (at + 1, filled + units);
        }
        (at, filled)
    }

    /// Returns the units in some bytes of a text that has this encoding.
    ///
    /// They may begin and end within a character: [`units_at`](Self::units_at) counts it at its first byte.
    fn units(self, bytes: &[u8]) -> usize {
        match self {
            Self::Gsm7 => sum(bytes, gsm_units_at),
            Self::Ucs2 => sum(bytes, utf16_units_at),
        }
    }

    /// Returns the units of the character that starts with a byte, and zero for the other bytes of one.
    pub(crate) const fn units_at(self, byte: u8) -> usize {
        match self {
            Self::Gsm7 => gsm_units_at(byte) as usize,
            Self::Ucs2 => utf16_units_at(byte) as usize,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The length of a text, and the number of its characters that take two units.
#[derive(Clone, Copy)]
struct Size {
    units: usize,
    pairs: usize,
}

impl Size {
    /// Counts septets; `None` for a text with a character outside the alphabet.
    fn of_gsm(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (mut units, mut pairs) = (bytes.len(), 0);
        for (i, chunk) in bytes.chunks(CHUNK).enumerate() {
            let mut padded = [b' '; CHUNK];
            let chunk = chunk.first_chunk().unwrap_or_else(|| {
                padded[..chunk.len()].copy_from_slice(chunk);
                &padded
            });
            if let Some(brackets) = brackets(chunk) {
                units += brackets;
                pairs += brackets;
            } else {
                // First the vectors: the compiler makes none of bytes that it has already read as words.
                let brackets = brackets(&with_substitutes(*chunk))?;
                let (chars, euros) = beyond_ascii(bytes, i * CHUNK, chunk)?;
                // A character beyond ASCII takes a septet less than it has bytes: the two bytes of `é` one septet,
                // the three of `€` two.
                units = units + brackets - chars;
                pairs += brackets + euros;
            }
        }
        Some(Self { units, pairs })
    }

    /// Counts UTF-16 code units.
    fn of_utf16(text: &str) -> Self {
        let pairs = sum(text.as_bytes(), beyond_bmp);
        Self {
            units: sum(text.as_bytes(), starts) + pairs,
            pairs,
        }
    }
}

/// Counts the brackets and the like in a chunk of printable ASCII and line ends; `None` for a chunk with any other
/// character, or with one outside the alphabet.
///
/// The loop has no branch and no table, so that the compiler turns it into a few vector instructions on any target.
fn brackets(chunk: &[u8; CHUNK]) -> Option<usize> {
    let (mut brackets, mut odd) = (0, false);
    for &byte in chunk {
        brackets += bracket(byte);
        let printable = byte.wrapping_sub(b' ') < 0x5f;
        let line_end = (byte == b'\n') | (byte == b'\r');
        odd |= !(printable | line_end) | (byte == b'`');
    }
    (!odd).then_some(usize::from(brackets))
}

/// Replaces the characters that [`brackets`] does not count: a form feed by a bracket, which takes two septets as well,
/// and each byte beyond ASCII by a space.
fn with_substitutes(mut chunk: [u8; CHUNK]) -> [u8; CHUNK] {
    for byte in &mut chunk {
        *byte = match *byte {
            FORM_FEED => b'[',
            0x80.. => b' ',
            byte => byte,
        };
    }
    chunk
}

/// Counts the characters beyond ASCII that start in a chunk of a text, and the `€` among them; `None` if one of
/// them is outside the alphabet.
fn beyond_ascii(text: &[u8], at: usize, chunk: &[u8; CHUNK]) -> Option<(usize, usize)> {
    let (mut chars, mut euros) = (0, 0);
    for start in (0..CHUNK).step_by(8) {
        let word = u64::from_le_bytes(array::from_fn(|i| chunk[start + i]));
        // A character beyond ASCII starts at a byte whose two highest bits are set: the highest of each is found.
        let mut found = word & (word << 1) & u64::from_le_bytes([0x80; 8]);
        while found != 0 {
            let first = at + start + found.trailing_zeros() as usize / 8;
            let size = gsm::size_beyond_ascii(&text[first..])?;
            chars += 1;
            euros += usize::from(size == 3);
            found &= found - 1;
        }
    }
    Some((chars, euros))
}

/// Adds up `each` over all bytes: 0, 1 or 2.
fn sum(bytes: &[u8], each: impl Fn(u8) -> u8) -> usize {
    let add = |chunk: &[u8]| usize::from(chunk.iter().map(|&byte| each(byte)).sum::<u8>());
    let mut chunks = bytes.chunks_exact(CHUNK);
    let whole: usize = chunks.by_ref().map(add).sum();
    whole + add(chunks.remainder())
}

/// Returns the septets of the character of the alphabet that starts with this byte, and zero within a character.
const fn gsm_units_at(byte: u8) -> u8 {
    starts(byte) + (bracket(byte) | (byte == FORM_FEED) as u8 | (byte == EURO_LEAD) as u8)
}

/// Returns the code units of the character that starts with this byte, and zero within a character.
const fn utf16_units_at(byte: u8) -> u8 {
    starts(byte) + beyond_bmp(byte)
}

/// Returns one for the first byte of a character: any byte but 0x80 to 0xBF.
const fn starts(byte: u8) -> u8 {
    (byte < 0x80 || byte >= 0xc0) as u8
}

/// Returns one for `[ \ ] ^` and `{ | } ~`: four in a row each, 0x20 apart.
const fn bracket(byte: u8) -> u8 {
    ((byte | 0x20).wrapping_sub(b'{') < 4) as u8
}

/// Returns one for the first byte of a character beyond U+FFFF, which has four bytes.
const fn beyond_bmp(byte: u8) -> u8 {
    (byte >= 0xf0) as u8
}

/// The bytes counted together: two vectors of the smallest kind in use, and few enough for a sum in a byte.
const CHUNK: usize = 32;

/// The form feed, the only other ASCII character of the extension table.
const FORM_FEED: u8 = 0x0c;

/// The first byte of `€`: no other character of the alphabet starts with it.
const EURO_LEAD: u8 = 0xe2;
