use std::collections::BTreeMap;

use crate::{InboundMessage, string_enum::string_enum};

string_enum! {
    /// What a person asked for: no more texts, or texts again.
    #[expect(clippy::exhaustive_enums, reason = "a store must decide on each of them")]
    pub enum OptOut("an opt-out") {
        /// Texts again.
        Start = "start",
        /// No more texts.
        Stop = "stop",
    }
}

/// The words with which people opt out of texts, and back in.
///
/// A word counts only if it is the whole message: "Stop!" is an opt-out, "Stop by at eight" is not. Only letters and
/// digits are compared, without regard to case, so that blanks, punctuation, emoji and invisible characters make no
/// difference. Full-width letters are the same as others, and so are the Turkish dotted and dotless i.
///
/// | language | out | in |
/// |---|---|---|
/// | English | `STOP`, `STOPALL`, `UNSUBSCRIBE`, `CANCEL`, `END`, `QUIT`, `REVOKE`, `OPTOUT` | `START`, `UNSTOP` |
/// | Dutch | `STOP`, `UIT`, `AFMELDEN`, `UITSCHRIJVEN`, `OPZEGGEN`, `STOPPEN` | `AAN`, `AANMELDEN` |
///
/// The English words are those that Twilio acts on by default, which include those of the CTIA's Messaging Principles
/// and Best Practices. Its `YES` is left out: it may answer another question. The Dutch code of conduct for SMS
/// services has `STOP` and `UIT`; the other Dutch words are our choice. A word counts in whichever language the person
/// reads, so add those of each language in which you send.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{InboundMessage, OptOut, OptOutWords};
///
/// let words = OptOutWords::new().with_words(OptOut::Stop, ["arrêt", "arret"]);
/// let says = |text: &str| {
///     words.classify(&InboundMessage::new("kpn", "+31612345678".parse().unwrap(), text))
/// };
/// assert_eq!(says("Stop!"), Some(OptOut::Stop));
/// assert_eq!(says(" uit "), Some(OptOut::Stop));
/// assert_eq!(says("ARRÊT"), Some(OptOut::Stop));
/// assert_eq!(says("Aan."), Some(OptOut::Start));
/// assert_eq!(says("Stop by at eight"), None);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OptOutWords {
    words: BTreeMap<String, OptOut>,
    /// The length of the longest word, in bytes.
    longest: usize,
}

impl OptOutWords {
    /// Creates a set with the Dutch and the English words.
    pub fn new() -> Self {
        Self::none().with_dutch().with_english()
    }

    /// Creates a set without a word, in which only a vendor's own flag counts.
    pub const fn none() -> Self {
        Self {
            words: BTreeMap::new(),
            longest: 0,
        }
    }

    /// Adds the Dutch words.
    pub fn with_dutch(self) -> Self {
        self.with_words(OptOut::Stop, DUTCH_STOP)
            .with_words(OptOut::Start, DUTCH_START)
    }

    /// Adds the English words.
    pub fn with_english(self) -> Self {
        self.with_words(OptOut::Stop, ENGLISH_STOP)
            .with_words(OptOut::Start, ENGLISH_START)
    }

    /// Adds words with this meaning, in any case. A word that is there already gets the new meaning.
    ///
    /// A word without a letter or a digit is ignored. Add a word with an accent in both spellings.
    pub fn with_words(
        mut self,
        meaning: OptOut,
        words: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        for word in words {
            let word: String = folded(word.as_ref()).collect();
            if !word.is_empty() {
                self.longest = self.longest.max(word.len());
                self.words.insert(word, meaning);
            }
        }
        self
    }

    /// Returns what a message asks for. `None` if it is no opt-out and no opt-in.
    ///
    /// The vendor's own flag counts first. A [part](InboundMessage::part) of a long text is neither by its words.
    #[must_use]
    pub fn classify(&self, message: &InboundMessage) -> Option<OptOut> {
        if message.opt_out.is_some() || message.part.is_some() {
            return message.opt_out;
        }
        let mut word = String::with_capacity(self.longest);
        for letter in folded(message.text.as_str()) {
            if word.len() + letter.len_utf8() > self.longest {
                return None;
            }
            word.push(letter);
        }
        self.words.get(&word).copied()
    }
}

impl Default for OptOutWords {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the letters and digits of a text, in lower case.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .map(narrow)
        .flat_map(char::to_lowercase)
        // Also drops the dot above that a Turkish capital i leaves in lower case.
        .filter(|letter| letter.is_alphanumeric())
        .map(|letter| match letter {
            'ı' => 'i',
            'ς' => 'σ',
            letter => letter,
        })
}

/// Returns the ASCII form of a full-width character.
fn narrow(letter: char) -> char {
    match letter {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0).unwrap_or(letter),
        letter => letter,
    }
}

static ENGLISH_STOP: [&str; 8] = [
    "stop",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "revoke",
    "optout",
];
static ENGLISH_START: [&str; 2] = ["start", "unstop"];
static DUTCH_STOP: [&str; 6] = [
    "stop",
    "uit",
    "afmelden",
    "uitschrijven",
    "opzeggen",
    "stoppen",
];
static DUTCH_START: [&str; 2] = ["aan", "aanmelden"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InboundPart;

    fn message(text: &str) -> InboundMessage {
        InboundMessage::new("kpn", "+31612345678".parse().unwrap(), text)
    }

    fn says(text: &str) -> Option<OptOut> {
        OptOutWords::new().classify(&message(text))
    }

    #[test]
    fn an_opt_out_is_recognized_however_it_is_typed() {
        for text in [
            "STOP",
            "stop",
            "  Stop \r\n",
            "Stop.",
            "“STOP”!!",
            "S T O P",
            "stop 🛑✋🏽",
            "ＳＴＯＰ",
            "ｓｔｏｐ！",
            "\u{feff}STOP\u{200b}",
            "st\u{ad}op",
            "opt-out",
            "Opt out",
            "Stop all",
            "UNSUBSCRİBE",
            "unsubscrıbe",
            "QUİT",
            "Uit",
            "afmelden",
            "UITSCHRIJVEN",
        ] {
            assert_eq!(says(text), Some(OptOut::Stop), "{text:?}");
        }
        for text in ["START", "unstop", "Aan!", "aanmelden"] {
            assert_eq!(says(text), Some(OptOut::Start), "{text:?}");
        }
    }

    #[test]
    fn a_word_counts_only_as_the_whole_message() {
        for text in [
            "",
            " ",
            "!?",
            "🛑",
            "Stop please",
            "stop 2",
            "stopp",
            "sto",
            "nonstop",
            "I cannot end this",
            "uit huis",
            "yes",
            "nee",
            "停止",
        ] {
            assert_eq!(says(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_huge_text_is_not_copied() {
        assert_eq!(says(&"stop ".repeat(1_000_000)), None);
        assert_eq!(says(&" ".repeat(4_000_000)), None);
        assert_eq!(
            says(&("\u{200b}".repeat(1_000_000) + "STOP")),
            Some(OptOut::Stop)
        );
    }

    #[test]
    fn the_vendors_flag_is_more_than_the_words() {
        let mut message = message("STOP");
        message.opt_out = Some(OptOut::Start);
        assert_eq!(OptOutWords::new().classify(&message), Some(OptOut::Start));
        message.opt_out = Some(OptOut::Stop);
        assert_eq!(OptOutWords::none().classify(&message), Some(OptOut::Stop));
        message.part = InboundPart::new("1", 1, 2);
        assert_eq!(OptOutWords::none().classify(&message), Some(OptOut::Stop));
    }

    #[test]
    fn a_part_of_a_text_is_no_opt_out() {
        let mut message = message("STOP");
        message.part = InboundPart::new("1", 2, 2);
        assert_eq!(OptOutWords::new().classify(&message), None);
    }

    #[test]
    fn words_of_other_languages_are_added_and_no_word_is_an_empty_message() {
        let words = OptOutWords::none()
            .with_words(OptOut::Stop, ["Arrêt", "", "!", "إيقاف", "ΣΤΟΠ", "стоп"])
            .with_words(OptOut::Start, ["arrêt de bus"]);
        let says = |text| words.classify(&message(text));
        for text in ["ARRÊT", "arrêt!", "إيقاف", "στοπ", "Стоп."] {
            assert_eq!(says(text), Some(OptOut::Stop), "{text:?}");
        }
        assert_eq!(says("Arrêt  de bus"), Some(OptOut::Start));
        assert_eq!(says("STOP"), None, "no English words were added");
        assert_eq!(says(""), None);
        assert_eq!(says("?"), None);
        assert_eq!(OptOutWords::none().classify(&message("")), None);
    }

    #[test]
    fn one_language_can_be_left_out() {
        let english = OptOutWords::none().with_english();
        assert_eq!(english.classify(&message("uit")), None);
        assert_eq!(english.classify(&message("end")), Some(OptOut::Stop));
        let dutch = OptOutWords::none().with_dutch();
        assert_eq!(dutch.classify(&message("end")), None);
        assert_eq!(dutch.classify(&message("stop")), Some(OptOut::Stop));
    }
}
