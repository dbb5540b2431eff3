//! The digits of a number as a person wrote it, and the signs between them.

use postduif_core::{PhoneNumber, PhoneNumberErrorKind as Kind};

/// The maximum number of digits that is read, more than two numbers have together. The text is input of any length.
const MOST_DIGITS: usize = 32;
/// The minimum number of digits of a number; fewer after a separator are an extension or an alternative ending.
const NUMBER: usize = 7;
/// The longest group of digits that may be a list mark in front, or an alternative ending after a space.
const PAIR: usize = 2;
/// The longest group of digits that may be an alternative ending after any other sign.
const LONGEST_ENDING: usize = 4;

/// The digits and signs of a text that holds one number, as far as its signs show.
pub(crate) struct Clean {
    /// The digits, after a plus if one was written.
    digits: String,
    /// The signs between two digits.
    gaps: Vec<Gap>,
    /// The index in `digits` of a zero in brackets.
    bracketed_zero: Option<usize>,
}

struct Gap {
    /// The index in `digits` of the digit after the signs.
    at: usize,
    signs: String,
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
        if let kind @ (Kind::Empty | Kind::Quantity) = strict_error(text) {
            return Err(kind);
        }
        let text = text.trim_end_matches([' ', '\n', ',', ';', '|', '&', '/', '-', '.']);
        if let Some(at) =
            text.find(|char| !matches!(char, '0'..='9' | '+' | '(' | ')' | '-' | '.' | '/' | ' '))
        {
            return Err(match beyond(&text[..at], &text[at..]) {
                Kind::NotANumber => strict_error(text),
                kind => kind,
            });
        }
        check_pluses(text)?;

        let mut clean = Self {
            digits: String::new(),
            gaps: Vec::new(),
            bracketed_zero: None,
        };
        let mut signs = String::new();
        for (at, char) in text.char_indices() {
            match char {
                '+' => clean.digits.push('+'),
                '0'..='9' => {
                    let signs = std::mem::take(&mut signs);
                    if !signs.is_empty() && !clean.digits.trim_start_matches('+').is_empty() {
                        let at = clean.digits.len();
                        clean.gaps.push(Gap { at, signs });
                    }
                    let bracketed = text[..at].trim_end_matches(' ').ends_with('(')
                        && text[at + 1..].trim_start_matches(' ').starts_with(')');
                    if char == '0' && bracketed {
                        clean.bracketed_zero = clean.bracketed_zero.or(Some(clean.digits.len()));
                    }
                    clean.digits.push(char);
                }
                _ => signs.push(char),
            }
        }
        if !clean.digits.ends_with(|char: char| char.is_ascii_digit()) {
            return Err(Kind::NotANumber);
        }
        if clean.digits.starts_with("+00") {
            clean.drop_plus();
        }
        if clean.digits.len() > MOST_DIGITS {
            return Err(Kind::TooLong);
        }
        if text.matches('.').count() == 1 && clean.is_a_float() {
            return Err(Kind::Quantity);
        }
        Ok(clean)
    }

    /// Removes the plus in front of `00`, which means the same.
    fn drop_plus(&mut self) {
        self.digits.remove(0);
        for gap in &mut self.gaps {
            gap.at -= 1;
        }
        self.bracketed_zero = self.bracketed_zero.map(|at| at - 1);
    }

    /// Returns whether a spreadsheet stored the number as a quantity: `1713920012.0`.
    fn is_a_float(&self) -> bool {
        self.gaps.last().is_some_and(|gap| {
            let (before, after) = self.digits.split_at(gap.at);
            gap.signs == "." && before.len() >= NUMBER && after.bytes().all(|digit| digit == b'0')
        })
    }

    /// Replaces a prefix of `prefix` digits by a plus; `None` if the number does not begin with `00`.
    pub(crate) fn with_plus(&self, prefix: usize) -> Option<Self> {
        let rest = self.digits.get(prefix..)?;
        let gaps = self.gaps.iter().filter(|gap| gap.at > prefix);
        self.digits.starts_with("00").then(|| Self {
            digits: format!("+{rest}"),
            gaps: gaps
                .map(|gap| Gap {
                    at: gap.at - prefix + 1,
                    signs: gap.signs.clone(),
                })
                .collect(),
            bracketed_zero: self
                .bracketed_zero
                .filter(|at| *at >= prefix)
                .map(|at| at - prefix + 1),
        })
    }

    /// Returns whether a zero is separate from the zero after it: `0 0151 23456789`, `(0)0151 23456789`.
    ///
    /// The two are not the `00` in front of a country code.
    pub(crate) fn has_zeros_apart(&self) -> bool {
        self.digits.starts_with("00") && self.gaps.first().is_some_and(|gap| gap.at == 1)
    }

    pub(crate) fn digits(&self) -> &str {
        &self.digits
    }

    /// Returns the digits without a zero in brackets after a country code of one to three digits.
    pub(crate) fn without_bracketed_zero(&self) -> Option<String> {
        let at = self
            .bracketed_zero
            .filter(|at| self.digits.starts_with('+') && (2..=4).contains(at))?;
        let (before, after) = (self.digits.get(..at)?, self.digits.get(at + 1..)?);
        Some(format!("{before}{after}"))
    }

    /// Returns the digits before and after each slash.
    pub(crate) fn slashes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.gaps
            .iter()
            .filter(|gap| gap.signs.contains('/'))
            .map(|gap| self.digits.split_at(gap.at))
    }

    /// Returns the digits before and after each gap.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = (&str, &str)> {
        self.gaps.iter().map(|gap| self.digits.split_at(gap.at))
    }

    /// Returns the digits after one or two separate ones in front, which may be a list mark: `1. `, `(2) `.
    pub(crate) fn after_a_mark(&self) -> Option<&str> {
        let first = self.gaps.first().filter(|gap| gap.at <= PAIR)?;
        self.digits
            .starts_with(|char| matches!(char, '1'..='9'))
            .then(|| &self.digits[first.at..])
    }

    /// Returns an ending that may not belong to the number: one or two digits after any sign (`-12`, ` 12`, `(12)`),
    /// or three or four after any sign but a space (`-123`, `(1234)`).
    ///
    /// `None` if the group before it has the same length and sign: `0664 12 34 56 78`. A single digit is not a group.
    pub(crate) fn short_ending(&self) -> Option<Ending<'_>> {
        let (last, others) = self.gaps.split_last()?;
        let digits = self.digits.len() - last.at;
        let longest = match last.signs.trim_matches(' ') {
            "" => PAIR,
            _ => LONGEST_ENDING,
        };
        let alike = others.last().filter(|gap| gap.signs == last.signs);
        let goes_on = digits >= PAIR && alike.is_some_and(|gap| last.at - gap.at == digits);
        (digits <= longest && !goes_on).then(|| Ending {
            before: &self.digits[..last.at],
            digits,
            alike: alike.is_some(),
        })
    }
}

/// The last digits of a text, which may be an alternative ending.
pub(crate) struct Ending<'a> {
    /// The digits before it.
    pub(crate) before: &'a str,
    /// The number of its digits.
    pub(crate) digits: usize,
    /// Whether the same signs precede it as the group before it.
    pub(crate) alike: bool,
}

impl Ending<'_> {
    /// Returns whether it is as long as a switchboard's extension, which is part of a landline's number.
    pub(crate) fn may_be_an_extension(&self) -> bool {
        self.digits > PAIR
    }
}

/// Replaces signs that look or mean the same by one, and an invisible character by `None`.
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
        // Copied along from a contact card or a web page: soft hyphen, zero-width
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

/// Returns the error of core's strict parser for a text that it does not read.
fn strict_error(text: &str) -> Kind {
    match text.parse::<PhoneNumber>() {
        Ok(_) => Kind::NotANumber,
        Err(error) => error.kind(),
    }
}

/// Returns the error of a text in which a letter or a separator follows a number or nothing.
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
        // "06-12345678 of 020-1234567", or a remark between two numbers.
        _ if before >= NUMBER && after >= NUMBER => Kind::TwoNumbers,
        _ => Kind::NotANumber,
    }
}

/// The words for an extension: libphonenumber's, and those of Dutch, German, Polish and Turkish.
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

/// Refuses a plus anywhere but once in front.
fn check_pluses(text: &str) -> Result<(), Kind> {
    let mut pieces = text
        .split('+')
        .map(|piece| piece.bytes().filter(u8::is_ascii_digit).count());
    let in_front = pieces.next().unwrap_or_default();
    let behind: Vec<_> = pieces.collect();
    match (in_front, behind.as_slice()) {
        (_, []) | (0, [_]) => Ok(()),
        // Two parts, each long enough for a number.
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
