//! What a text costs.

use core::fmt;

use crate::{gsm, split};

/// What a text costs: its encoding, its length in units, and the parts it is billed as.
///
/// ```
/// use postduif_text::{Count, Encoding};
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
    /// Counts a text exactly as it is given: CR LF is two characters, a combining accent one of its
    /// own.
    ///
    /// The text may be of any length, though no more than 255 parts can be joined; refusing it is the
    /// caller's business.
    ///
    /// ```
    /// use postduif_text::Count;
    ///
    /// assert_eq!(Count::of("a\nb").units(), 3);
    /// assert_eq!(Count::of("a\r\nb").units(), 4);
    /// assert_eq!(Count::of("€ 5").units(), 4);
    /// ```
    #[must_use]
    pub fn of(text: &str) -> Self {
        if let Some(Size { units, pairs }) = Size::of_gsm(text) {
            Self::new(text, Encoding::Gsm7, units, pairs)
        } else {
            let Size { units, pairs } = Size::of_utf16(text);
            Self::new(text, Encoding::Ucs2, units, pairs)
        }
    }

    fn new(text: &str, encoding: Encoding, units: usize, pairs: usize) -> Self {
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
        // With pairs no division tells: each edge falls where the parts before it left it.
        let (mut parts, mut last, mut rest) = (0, 0, text);
        while !rest.is_empty() {
            let (at, filled) = split::fill(rest, encoding, limit);
            (parts, last, rest) = (parts + 1, filled, &rest[at..]);
        }
        Self {
            encoding,
            units,
            parts,
            left: limit - last,
        }
    }

    /// How the text travels.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The length of the text: septets for [`Encoding::Gsm7`], UTF-16 code units for
    /// [`Encoding::Ucs2`]. What stays empty at the edge of a part, to keep a pair together, is not in
    /// it.
    #[must_use]
    pub const fn units(&self) -> usize {
        self.units
    }

    /// The parts the text is billed as, at least one.
    ///
    /// One for the empty text too: a vendor that takes it sends one message with nothing in it, an
    /// editor shows "1 part, 160 left" before the first key, and nothing is ever offered for free.
    ///
    /// ```
    /// use postduif_text::Count;
    ///
    /// let count = Count::of("");
    /// assert_eq!((count.units(), count.parts(), count.left()), (0, 1, 160));
    /// ```
    #[must_use]
    pub const fn parts(&self) -> usize {
        self.parts
    }

    /// The units that each part of this text can hold: 160 septets or 70 code units where it is one
    /// part, else 153 or 67.
    #[must_use]
    pub const fn per_part(&self) -> usize {
        if self.parts == 1 {
            self.encoding.alone()
        } else {
            self.encoding.joined()
        }
    }

    /// The units still free in the last part. Where it is one, a character that takes two opens a new
    /// part.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.left
    }
}

/// How a text travels.
///
/// ```
/// use postduif_text::Encoding;
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
    /// UCS-2 by name; phones have long read it as UTF-16, so that a character beyond U+FFFF takes two
    /// code units.
    Ucs2,
}

impl Encoding {
    /// Tells how a text travels: GSM 03.38 where every character is in its tables, else UCS-2.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if Size::of_gsm(text).is_some() {
            Self::Gsm7
        } else {
            Self::Ucs2
        }
    }

    /// Its name in lower case, the same as `Display` writes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm7",
            Self::Ucs2 => "ucs2",
        }
    }

    /// The units in a text of one part: a part is 140 octets.
    const fn alone(self) -> usize {
        match self {
            Self::Gsm7 => 160,
            Self::Ucs2 => 70,
        }
    }

    /// The units in each of several parts: the header that joins them takes six octets, and septets
    /// start at the next multiple of seven bits.
    const fn joined(self) -> usize {
        match self {
            Self::Gsm7 => 153,
            Self::Ucs2 => 67,
        }
    }

    /// The units in a piece of a text, of which the encoding is already known.
    ///
    /// A character's units are counted at its first byte and tell themselves by it, so a piece may begin
    /// and end anywhere: of the characters of three bytes the GSM tables hold only `€`, which alone
    /// begins with 0xE2.
    pub(crate) fn units(self, bytes: &[u8]) -> usize {
        match self {
            Self::Gsm7 => sum(bytes, |byte| starts(byte) + extended(byte)),
            Self::Ucs2 => sum(bytes, |byte| starts(byte) + beyond_bmp(byte)),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text's length, and how many of its characters take two units.
struct Size {
    units: usize,
    pairs: usize,
}

impl Size {
    /// In septets; `None` where a character is outside the alphabet.
    fn of_gsm(text: &str) -> Option<Self> {
        let (mut chars, mut pairs) = (0, 0);
        for (i, chunk) in text.as_bytes().chunks(CHUNK).enumerate() {
            let settled = match chunk.first_chunk() {
                Some(chunk) => extended_in(chunk),
                None => {
                    let mut padded = [b' '; CHUNK];
                    padded[..chunk.len()].copy_from_slice(chunk);
                    extended_in(&padded)
                }
            };
            if let Some(extended) = settled {
                chars += chunk.len();
                pairs += extended;
            } else if is_gsm(text, i * CHUNK, chunk) {
                chars += sum(chunk, starts);
                pairs += sum(chunk, extended);
            } else {
                return None;
            }
        }
        Some(Self {
            units: chars + pairs,
            pairs,
        })
    }

    /// In UTF-16 code units.
    fn of_utf16(text: &str) -> Self {
        let pairs = sum(text.as_bytes(), beyond_bmp);
        Self {
            units: sum(text.as_bytes(), starts) + pairs,
            pairs,
        }
    }
}

/// How many of these bytes are characters of the extension table; `None` where one of them is more than
/// a look at ASCII can settle: beyond it, a control character, or not in the alphabet.
///
/// No branch and no table in the loop, so that the compiler makes it a few vector instructions on any
/// target.
fn extended_in(chunk: &[u8; CHUNK]) -> Option<usize> {
    let (mut pairs, mut odd) = (0, 0);
    for &byte in chunk {
        pairs += bracket(byte);
        let printable = byte.wrapping_sub(b' ') < 0x5f;
        let newline = (byte == b'\n') | (byte == b'\r');
        odd |= u8::from(!(printable | newline) | (byte == b'`'));
    }
    (odd == 0).then_some(usize::from(pairs))
}

/// Whether every character that starts in a chunk of a text is in the alphabet.
fn is_gsm(text: &str, at: usize, chunk: &[u8]) -> bool {
    (at..).zip(chunk).all(|(at, &byte)| match byte {
        0x00..0x80 => gsm::is_gsm(char::from(byte)),
        0x80..0xc0 => true,
        0xc0.. => text[at..].chars().next().is_some_and(gsm::is_gsm),
    })
}

/// Adds up what `each` says of every byte: 0, 1 or 2.
fn sum(bytes: &[u8], each: impl Fn(u8) -> u8) -> usize {
    let add = |chunk: &[u8]| usize::from(chunk.iter().map(|&byte| each(byte)).sum::<u8>());
    let mut chunks = bytes.chunks_exact(CHUNK);
    let whole: usize = chunks.by_ref().map(add).sum();
    whole + add(chunks.remainder())
}

/// One where a character starts: everywhere but at the continuation bytes, 0x80 to 0xBF.
const fn starts(byte: u8) -> u8 {
    (byte < 0x80 || byte >= 0xc0) as u8
}

/// One where a character of the extension table starts, in a text that is in the alphabet.
const fn extended(byte: u8) -> u8 {
    // A bracket and the like, form feed, the first byte of `€`.
    bracket(byte) | (byte == 0x0c) as u8 | (byte == 0xe2) as u8
}

/// One for `[ \ ] ^` and `{ | } ~`: four in a row each, 0x20 apart.
const fn bracket(byte: u8) -> u8 {
    ((byte | 0x20).wrapping_sub(b'{') < 4) as u8
}

/// One where a character beyond U+FFFF starts: it has four bytes.
const fn beyond_bmp(byte: u8) -> u8 {
    (byte >= 0xf0) as u8
}

/// Bytes looked at together: two vectors of the smallest kind in use, and few enough to be counted in
/// a byte.
pub(crate) const CHUNK: usize = 32;
