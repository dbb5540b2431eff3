//! The digits of what a person wrote, and where it was broken up.

use postduif_core::PhoneNumberErrorKind as Kind;

/// More digits than two numbers have together are no number, and are not looked at further: the text
/// comes from outside and may be of any length.
const MOST_DIGITS: usize = 32;
/// As many digits as make a number by themselves; fewer behind a separator are an extension, or an
/// ending that replaces another.
const NUMBER: usize = 7;

/// A text that holds one number, as far as its signs tell.
pub(crate) struct Clean {
    /// Digits, behind a plus where the country code is written.
    digits: String,
    /// Where signs stood between two digits, and whether a slash was among them.
    gaps: Vec<(usize, bool)>,
    /// Where a zero stands that was written in brackets behind a country code.
    bracketed_zero: Option<usize>,
}

impl Clean {
    pub(crate) fn of(text: &str) -> Result<Self, Kind> {
        let mut plain = String::with_capacity(text.len());
        for char in text.trim().chars() {
            if let Some(char) = fold(char)? {
                plain.push(char);
            }
        }
        let text = plain.trim();
        let text = text.strip_prefix("tel:").unwrap_or(text);
        let text = text.trim_end_matches([' ', '\n', ',', ';', '|', '&', '/', '-', '.']);
        if let Some(at) =
            text.find(|char| !matches!(char, '0'..='9' | '+' | '(' | ')' | '-' | '.' | '/' | ' '))
        {
            return Err(beyond(&text[..at], &text[at..]));
        }
        check_pluses(text)?;

        let mut clean = Self {
            digits: String::new(),
            gaps: Vec::new(),
            bracketed_zero: None,
        };
        let (mut gap, mut slash) = (false, false);
        for (at, char) in text.char_indices() {
            match char {
                '+' => clean.digits.push('+'),
                '0'..='9' => {
                    if gap && !clean.digits.trim_start_matches('+').is_empty() {
                        clean.gaps.push((clean.digits.len(), slash));
                    }
                    (gap, slash) = (false, false);
                    let bracketed = text[..at].trim_end_matches(' ').ends_with('(')
                        && text[at + 1..].trim_start_matches(' ').starts_with(')');
                    if char == '0' && bracketed {
                        clean.bracketed_zero = clean.bracketed_zero.or(Some(clean.digits.len()));
                    }
                    clean.digits.push(char);
                }
                _ => {
                    gap = true;
                    slash |= char == '/';
                }
            }
        }
        if !clean.digits.ends_with(|char: char| char.is_ascii_digit()) {
            return Err(Kind::NotANumber);
        }
        if clean.digits.len() > MOST_DIGITS {
            return Err(Kind::TooLong);
        }
        clean.write_plus();
        Ok(clean)
    }

    /// Writes `00` as a plus. In every region: who types a number into a directory does not ask which
    /// prefix the reader's country dials, and no national number begins with two zeros. (Regional
    /// rules misread it: with Brazil's, the `0055` of its own country code is a carrier's.)
    fn write_plus(&mut self) {
        let Some(rest) = self.digits.strip_prefix("00") else {
            return;
        };
        self.digits = format!("+{rest}");
        self.gaps = self
            .gaps
            .iter()
            .filter(|(at, _)| *at > 2)
            .map(|(at, slash)| (at - 1, *slash))
            .collect();
        self.bracketed_zero = self.bracketed_zero.and_then(|at| at.checked_sub(1));
    }

    pub(crate) fn digits(&self) -> &str {
        &self.digits
    }

    /// The digits without the zero in brackets, where one stands behind a country code: one to three
    /// digits.
    pub(crate) fn without_bracketed_zero(&self) -> Option<String> {
        let at = self
            .bracketed_zero
            .filter(|at| self.digits.starts_with('+') && (2..=4).contains(at))?;
        let (before, after) = (self.digits.get(..at)?, self.digits.get(at + 1..)?);
        Some(format!("{before}{after}"))
    }

    /// The digits before and after each slash.
    pub(crate) fn slashes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.gaps
            .iter()
            .filter(|(_, slash)| *slash)
            .map(|(at, _)| self.digits.split_at(*at))
    }

    /// The digits before and after each place where the text is broken up.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = (&str, &str)> {
        self.gaps.iter().map(|(at, _)| self.digits.split_at(*at))
    }
}

/// One sign for all that look or mean the same; nothing for what is invisible.
fn fold(char: char) -> Result<Option<char>, Kind> {
    Ok(Some(match char {
        '0'..='9' => char,
        '\u{ff10}'..='\u{ff19}' => digit(char, '\u{ff10}'),
        '\u{660}'..='\u{669}' => digit(char, '\u{660}'),
        '\u{6f0}'..='\u{6f9}' => digit(char, '\u{6f0}'),
        '+' | '＋' => '+',
        '(' | '（' | '[' => '(',
        ')' | '）' | ']' => ')',
        '-' | '－' | 'ー' | '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '.' | '．' | '·' | '•' => '.',
        '/' | '／' | '\u{2044}' | '\u{2215}' => '/',
        ',' | '，' => ',',
        ';' | '；' => ';',
        '#' | '＃' => '#',
        ':' | '：' => ':',
        '|' | '&' | '=' => char,
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        // What copying from a contact card or a web page brings along: soft hyphen, zero-width
        // characters, marks and embeddings of direction, word joiner, byte order mark.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => return Ok(None),
        '\u{2060}'..='\u{2069}' | '\u{feff}' => return Ok(None),
        _ if char.is_whitespace() => ' ',
        _ if char.is_alphabetic() => char.to_ascii_lowercase(),
        _ => return Err(Kind::NotANumber),
    }))
}

fn digit(char: char, zero: char) -> char {
    char::from_digit(u32::from(char) - u32::from(zero), 10).unwrap_or('0')
}

/// What is wrong with a text that goes on, after a number or nothing, with a letter or a separator.
fn beyond(head: &str, tail: &str) -> Kind {
    let count = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let (before, after) = (count(head), count(tail));
    if before < 5 || after == 0 {
        return Kind::NotANumber;
    }
    let mark = tail
        .split(|char: char| char.is_ascii_digit())
        .next()
        .unwrap_or_default();
    let word: String = mark.chars().filter(|char| char.is_alphabetic()).collect();
    match word.as_str() {
        "" if after >= NUMBER || mark.contains(['|', '&', '\n']) => Kind::TwoNumbers,
        "" if mark.contains([',', ';', '#']) => Kind::Extension,
        word if EXTENSION.contains(&word) => Kind::Extension,
        // "06-12345678 of 020-1234567", and a remark between two.
        _ if before >= NUMBER && after >= NUMBER => Kind::TwoNumbers,
        _ => Kind::NotANumber,
    }
}

/// What an extension is called: libphonenumber's words, and those of Dutch, German, Polish and Turkish.
static EXTENSION: &[&str] = &[
    "anexo",
    "app",
    "dahili",
    "doorkies",
    "durchwahl",
    "dw",
    "ext",
    "extn",
    "extension",
    "int",
    "interno",
    "poste",
    "toestel",
    "tst",
    "wew",
    "x",
    "xtn",
];

/// A plus stands in front, once.
fn check_pluses(text: &str) -> Result<(), Kind> {
    let mut pieces = text
        .split('+')
        .map(|piece| piece.bytes().filter(u8::is_ascii_digit).count());
    let in_front = pieces.next().unwrap_or_default();
    let behind: Vec<_> = pieces.collect();
    match (in_front, behind.as_slice()) {
        (_, []) | (0, [_]) => Ok(()),
        // As many as one number has, more than once.
        _ => {
            let numbers = behind
                .iter()
                .chain([&in_front])
                .filter(|digits| **digits >= NUMBER);
            Err(match numbers.count() {
                0 | 1 => Kind::NotANumber,
                _ => Kind::TwoNumbers,
            })
        }
    }
}
