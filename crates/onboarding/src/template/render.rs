//! One language's text, and how it is made to fit.

use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, Value};
use postduif_core::{Count, Encoding, Text, TextError};

use super::{Names, language::TimeFormat};

/// A template that is syntactically right and knows all its variables.
#[derive(Clone)]
pub(super) struct Template {
    tag: Box<str>,
    format: TimeFormat,
    engine: Arc<Environment<'static>>,
}

/// What a text says beside names.
pub(super) struct Facts<'a> {
    /// Of the pass: see [`stand_in`].
    pub(super) stand_in: String,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) tenant: &'a str,
    pub(super) support: &'a str,
    pub(super) max_parts: usize,
}

/// Why no text comes of a template.
pub(super) enum RenderError {
    Engine(minijinja::Error),
    /// There is no pass in it, or more than one.
    PassCount(usize),
    /// The pass touches this.
    PassTouched(char),
}

impl RenderError {
    /// Tells nothing of the text.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Engine(_) => "engine",
            Self::PassCount(_) => "passes",
            Self::PassTouched(_) => "glued",
        }
    }
}

impl From<minijinja::Error> for RenderError {
    fn from(error: minijinja::Error) -> Self {
        Self::Engine(error)
    }
}

impl Template {
    /// Reads a template. Its unknown variables are told by [`unknown`](Self::unknown).
    pub(super) fn new(
        tag: &str,
        source: &str,
        format: TimeFormat,
    ) -> Result<Self, minijinja::Error> {
        let mut engine = Environment::empty();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_fuel(Some(FUEL));
        engine.set_recursion_limit(DEPTH);
        engine.add_template_owned(tag.to_owned(), source.to_owned())?;
        Ok(Self {
            tag: tag.into(),
            format,
            engine: Arc::new(engine),
        })
    }

    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    pub(super) const fn format(&self) -> &TimeFormat {
        &self.format
    }

    /// The first of the variables that there are none of, by name.
    pub(super) fn unknown(&self) -> Result<Option<String>, minijinja::Error> {
        let used = self
            .engine
            .get_template(&self.tag)?
            .undeclared_variables(false);
        let unknown = used
            .into_iter()
            .filter(|name| !VARIABLES.contains(&name.as_str()));
        Ok(unknown.min())
    }

    /// Writes the text as long as it may be.
    ///
    /// The text is too long only where it can be made no shorter: too many parts are better than none.
    pub(super) fn fit(&self, names: &Names, facts: &Facts<'_>) -> Result<Draft, RenderError> {
        let mut names = names.clone();
        if names.need_ucs2() {
            let bare = self.write(&names.cut(0), facts, MAX_CUTS)?;
            // Where the words are UCS-2 anyway, such a name costs no more than another.
            if bare.count(&facts.stand_in).encoding() == Encoding::Gsm7 {
                if let Some(draft) = self.fit_with_whole_names(&names, facts)? {
                    return Ok(draft);
                }
                names = names.transliterated().without_ucs2();
            }
        }
        if let Some(draft) = self.fit_with_whole_names(&names, facts)? {
            return Ok(draft);
        }
        match self.longest(&names, 0, MIN_NAME, facts, MAX_CUTS)? {
            Some(draft) => Ok(draft),
            None => self.write(&names.cut(0), facts, MAX_CUTS),
        }
    }

    /// The text with the fewest cuts in which names have thirty characters, or all of them.
    fn fit_with_whole_names(
        &self,
        names: &Names,
        facts: &Facts<'_>,
    ) -> Result<Option<Draft>, RenderError> {
        for cuts in 0..=MAX_CUTS {
            let draft = self.longest(names, MIN_NAME, usize::MAX, facts, cuts)?;
            if draft.is_some() {
                return Ok(draft);
            }
        }
        Ok(None)
    }

    /// The text that fits with the longest names, none shorter than `least` where it could be longer.
    fn longest(
        &self,
        names: &Names,
        least: usize,
        most: usize,
        facts: &Facts<'_>,
        cuts: u8,
    ) -> Result<Option<Draft>, RenderError> {
        let fitting = |longest| -> Result<Option<Draft>, RenderError> {
            let draft = self.write(&names.cut(longest), facts, cuts)?;
            let fits = draft.count(&facts.stand_in).parts() <= facts.max_parts;
            Ok(fits.then_some(draft))
        };
        let (mut fits, mut fails) = (least, names.longest().min(most).saturating_add(1));
        let Some(mut found) = fitting(fits)? else {
            return Ok(None);
        };
        while fits + 1 < fails {
            let middle = fits.midpoint(fails);
            match fitting(middle)? {
                Some(draft) => (fits, found) = (middle, draft),
                None => fails = middle,
            }
        }
        Ok(Some(found))
    }

    /// Writes the text with these words. The pass stands free in it.
    pub(super) fn write(
        &self,
        names: &Names,
        facts: &Facts<'_>,
        cuts: u8,
    ) -> Result<Draft, RenderError> {
        let values = [
            Value::from(MARK.to_string()),
            Value::from(facts.until.as_str()),
            Value::from(facts.from.as_str()),
            Value::from(names.display.as_str()),
            Value::from(names.given.as_str()),
            Value::from(names.sign_in.as_str()),
            Value::from(facts.tenant),
            Value::from(facts.support),
            Value::from(u32::from(cuts)),
        ];
        let context = Value::from_pairs(VARIABLES.into_iter().zip(values));
        let text = self.engine.get_template(&self.tag)?.render(context)?;
        let text = text.trim();
        let passes = text.matches(MARK).count();
        let (before, after) = match text.split_once(MARK) {
            Some(halves) if passes == 1 => halves,
            _ => return Err(RenderError::PassCount(passes)),
        };
        let beside = [before.chars().next_back(), after.chars().next()];
        if let Some(char) = beside.into_iter().flatten().find(|&char| char != ' ') {
            return Err(RenderError::PassTouched(char));
        }
        Ok(if text.contains(is_right_to_left) {
            Draft {
                before: isolated(before.trim_end(), false),
                after: isolated(after.trim_start(), true),
            }
        } else {
            Draft {
                before: before.into(),
                after: after.into(),
            }
        })
    }
}

/// What stands beside a pass in a text from right to left: a mark and a space, so that a phone shows the pass from
/// left to right, with its own punctuation where it belongs. The space keeps the mark out of what is copied.
fn isolated(beside: &str, follows: bool) -> String {
    match (beside.is_empty(), follows) {
        // What stands first decides the direction of all.
        (true, false) => String::new(),
        (false, false) => format!("{beside}{LEFT_TO_RIGHT} "),
        (_, true) => format!(" {LEFT_TO_RIGHT}{beside}"),
    }
}

/// Whether a letter is written from right to left.
const fn is_right_to_left(char: char) -> bool {
    matches!(
        char,
        '\u{590}'..='\u{8ff}'
            | '\u{fb1d}'..='\u{fdff}'
            | '\u{fe70}'..='\u{fefe}'
            | '\u{10800}'..='\u{10fff}'
            | '\u{1e800}'..='\u{1efff}'
    )
}

const LEFT_TO_RIGHT: char = '\u{200e}';

/// A text, but for the pass.
pub(super) struct Draft {
    before: String,
    after: String,
}

impl Draft {
    /// What it costs with a pass of this stand_in.
    pub(super) fn count(&self, stand_in: &str) -> Count {
        Count::of(&self.around(stand_in))
    }

    /// The text with the pass in its place.
    pub(super) fn with(&self, pass: &str) -> Result<Text, TextError> {
        Text::new(self.around(pass))
    }

    /// Of the right size at once: a string that grows leaves copies of the pass behind.
    pub(super) fn around(&self, pass: &str) -> String {
        let parts = [&self.before, pass, &self.after];
        let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.into_iter().for_each(|part| text.push_str(part));
        text
    }
}

/// Something that costs exactly what the pass does and tells nothing of it, to count with.
pub(super) fn stand_in(pass: &str) -> String {
    let alike = |char: char| match Count::of(char.encode_utf8(&mut [0; 4])) {
        count if count.encoding() == Encoding::Gsm7 && count.units() == 1 => 'x',
        count if count.encoding() == Encoding::Gsm7 => '^',
        count if count.units() == 1 => 'ę',
        _ => '🕊',
    };
    pass.chars().map(alike).collect()
}

/// What a template can name, in the order in which [`Template::write`] gives the values.
pub(super) const VARIABLES: [&str; 9] = [
    "pass",
    "valid_until",
    "valid_from",
    "display_name",
    "given_name",
    "user_principal_name",
    "tenant",
    "support",
    "cuts",
];

/// Stands where the pass goes. Private use, so that no case, and nothing else that a template does to a text,
/// changes it; names and settings that hold it are refused.
const MARK: char = '\u{f8ff}';

/// The most that a text leaves out.
pub(super) const MAX_CUTS: u8 = 3;

/// The characters of a name that matter more than the sentences that can be left out.
const MIN_NAME: usize = 30;

/// What one render may use: instructions, and 64 bytes each. An ordinary text takes about fifty.
const FUEL: u64 = 5_000;

/// How deep a template can nest.
const DEPTH: usize = 50;
