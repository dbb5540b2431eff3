//! The GSM 03.38 default alphabet: 3GPP TS 23.038, 6.2.1 (basic table) and 6.2.1.1 (extension table).

/// Returns whether a character is in the GSM 03.38 default alphabet, basic or extension table.
///
/// Compares code points, not shapes: the Latin `A` is in the alphabet and the Greek capital alpha is not. `Ω` is in
/// it as the Greek letter (U+03A9), not as the ohm sign (U+2126). Some letters with an accent are in it, a combining
/// accent never is. U+001B (escape) is not a character of the alphabet: it makes the next septet one of the
/// extension table.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::is_gsm;
///
/// assert!("Café: 5 € [ok]".chars().all(is_gsm));
/// assert!(!is_gsm('ë'));
/// assert!(!is_gsm('`'));
/// assert!(!is_gsm('🎉'));
/// ```
#[must_use]
pub const fn is_gsm(char: char) -> bool {
    lookup(char) != NONE
}

/// Returns the septets a character takes in GSM 03.38: one in the basic table, two in the extension table, `None`
/// in neither.
///
/// An escape septet precedes each character of the extension table: `€`, `[`, `]`, `{`, `}`, `\`, `^`, `|`, `~` and
/// the form feed.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::septets;
///
/// assert_eq!(septets('e'), Some(1));
/// assert_eq!(septets('é'), Some(1));
/// assert_eq!(septets('€'), Some(2));
/// assert_eq!(septets('ê'), None);
/// ```
#[must_use]
pub const fn septets(char: char) -> Option<usize> {
    match lookup(char) {
        NONE => None,
        code if code & EXTENDED == 0 => Some(1),
        _ => Some(2),
    }
}

/// Returns the code of a character in the GSM 03.38 default alphabet, or `None` if it is not in it.
///
/// [`gsm_to_char`] is the inverse.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::{Code, char_to_gsm};
///
/// assert_eq!(char_to_gsm('@'), Some(Code::Basic(0x00)));
/// assert_eq!(char_to_gsm('€'), Some(Code::Extension(0x65)));
/// assert_eq!(char_to_gsm('ç'), None); // only the capital Ç is in the table
/// ```
#[must_use]
pub const fn char_to_gsm(char: char) -> Option<Code> {
    match lookup(char) {
        NONE => None,
        code if code & EXTENDED == 0 => Some(Code::Basic(code)),
        code => Some(Code::Extension(code & !EXTENDED)),
    }
}

/// Returns the character of a code in the GSM 03.38 default alphabet.
///
/// Returns `None` for a code above 0x7F, for the escape, and for a code of the extension table that the standard
/// leaves free. A phone shows the basic table's character for a free code; a decoder may do the same.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::{Code, gsm_to_char};
///
/// assert_eq!(gsm_to_char(Code::Basic(0x00)), Some('@'));
/// assert_eq!(gsm_to_char(Code::Extension(0x65)), Some('€'));
/// assert_eq!(gsm_to_char(Code::Basic(0x1b)), None);
/// ```
#[must_use]
pub const fn gsm_to_char(code: Code) -> Option<char> {
    match code {
        Code::Basic(ESCAPE) => None,
        Code::Basic(septet) if septet < 0x80 => Some(BASIC[septet as usize]),
        Code::Basic(_) => None,
        Code::Extension(septet) => {
            let mut i = 0;
            while i < EXTENSION.len() {
                if EXTENSION[i].0 == septet {
                    return Some(EXTENSION[i].1);
                }
                i += 1;
            }
            None
        }
    }
}

/// Returns the characters that force a text into UCS-2, in order, each with the index of its first byte.
///
/// Empty for a text that fits GSM 03.38. The indices are those of [`str::char_indices`], so they slice the text.
/// Convert them for an editor that counts UTF-16 code units, such as a browser.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::not_gsm;
///
/// let text = "Één “code” voor ons";
/// assert_eq!(not_gsm(text).collect::<Vec<_>>(), [(6, '“'), (13, '”')]);
/// assert_eq!(&text[6..13], "“code");
/// ```
pub fn not_gsm(text: &str) -> impl DoubleEndedIterator<Item = (usize, char)> + Clone {
    text.char_indices().filter(|&(_, char)| !is_gsm(char))
}

/// A code of the GSM 03.38 default alphabet: the table, and the septet in it (0 to 0x7F).
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::{Code, char_to_gsm};
///
/// // Unpacked septets, one a byte, as some protocols (SMPP) carry them.
/// let mut bytes = Vec::new();
/// for char in "5 €".chars() {
///     match char_to_gsm(char) {
///         Some(Code::Basic(septet)) => bytes.push(septet),
///         Some(Code::Extension(septet)) => bytes.extend([Code::ESCAPE, septet]),
///         None => unreachable!("all of them are in the alphabet"),
///     }
/// }
/// assert_eq!(bytes, [0x35, 0x20, 0x1b, 0x65]);
/// ```
#[expect(
    clippy::exhaustive_enums,
    reason = "the default alphabet is settled: two tables"
)]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Code {
    /// One septet, of the basic table.
    Basic(u8),
    /// The second of two septets, of the extension table; the first is the [escape](Self::ESCAPE).
    Extension(u8),
}

impl Code {
    /// The septet that precedes each one of the extension table.
    pub const ESCAPE: u8 = ESCAPE;
}

/// Returns the septet of a character, with the top bit set for the extension table, or [`NONE`] if it is in neither
/// table.
const fn lookup(char: char) -> u8 {
    match char as u32 {
        code @ 0..=0xff => LATIN[code as usize],
        code @ GREEK_FIRST..=GREEK_LAST => GREEK[(code - GREEK_FIRST) as usize],
        EURO => 0x65 | EXTENDED,
        _ => NONE,
    }
}

/// Returns the number of bytes of the character beyond ASCII that some UTF-8 starts with; `None` if it is not in
/// the alphabet.
///
/// Counting uses the bytes: decoding each character and looking it up would take most of its time.
pub(crate) fn size_beyond_ascii(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [lead @ 0xc0..0xe0, next, ..] => {
            let row = TWO_BYTES[usize::from(lead - 0xc0)];
            (row >> (next & 0x3f) & 1 == 1).then_some(2)
        }
        _ => bytes.starts_with("€".as_bytes()).then_some(3),
    }
}

/// The characters of two bytes: a row for each first byte, from 0xC0, and in it a bit for each second byte.
static TWO_BYTES: [u64; 0x20] = {
    let mut rows = [0; 0x20];
    let mut code = 0x80;
    while code < 0x800 {
        if let Some(char) = char::from_u32(code) {
            rows[code as usize >> 6] |= (is_gsm(char) as u64) << (code & 0x3f);
        }
        code += 1;
    }
    rows
};

const NONE: u8 = 0xff;
const EXTENDED: u8 = 0x80;
const ESCAPE: u8 = 0x1b;
const EURO: u32 = '€' as u32;
const GREEK_FIRST: u32 = 'Γ' as u32;
const GREEK_LAST: u32 = 'Ω' as u32;

/// The septets of U+0000 to U+00FF, filled from the tables below so that the two cannot disagree.
static LATIN: [u8; 0x100] = reverse(0);
/// The septets from `Γ` to `Ω`.
static GREEK: [u8; (GREEK_LAST - GREEK_FIRST + 1) as usize] = reverse(GREEK_FIRST);

const fn reverse<const N: usize>(first: u32) -> [u8; N] {
    let mut codes = [NONE; N];
    let mut i = 0;
    while i < BASIC.len() {
        let at = (BASIC[i] as u32).wrapping_sub(first) as usize;
        if at < N && i != ESCAPE as usize {
            codes[at] = i as u8;
        }
        i += 1;
    }
    let mut i = 0;
    while i < EXTENSION.len() {
        let at = (EXTENSION[i].1 as u32).wrapping_sub(first) as usize;
        if at < N {
            codes[at] = EXTENSION[i].0 | EXTENDED;
        }
        i += 1;
    }
    codes
}

/// The basic table, sixteen per line, with U+001B for the escape.
#[rustfmt::skip]
static BASIC: [char; 0x80] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å',
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É',
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/',
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?',
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O',
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§',
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The extension table. The standard reserves 0x0D and 0x1B in it and leaves the rest free.
static EXTENSION: [(u8, char); 10] = [
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];
