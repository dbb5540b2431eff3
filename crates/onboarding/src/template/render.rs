//! The template of one language, and how its text is made to fit.

use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, Value};
use postduif_core::{Count, Encoding, Text, TextError};

use super::{Names, language::TimeFormat};

/// A template with valid syntax and known variables.
#[derive(Clone)]
pub(super) struct Template {
    tag: Box<str>,
    format: TimeFormat,
    engine: Arc<Environment<'static>>,
}

/// The values of a text other than names.
pub(super) struct Facts<'a> {
    /// The stand-in for the pass: see [`stand_in`].
    pub(super) stand_in: String,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) tenant: &'a str,
    pub(super) support: &'a str,
    pub(super) max_parts: usize,
}

/// The error of a template that renders no text.
pub(super) enum RenderError {
    Engine(minijinja::Error),
    /// The text has no pass, or more than one.
    PassCount(usize),
    /// The pass touches this character.
    PassTouched(char),
}

impl RenderError {
    /// Returns the name of the error, which contains nothing of the text.
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
    /// Reads a template. [`unknown`](Self::unknown) returns its unknown variables.
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

    /// Returns the first unknown variable, by name.
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

    /// Renders the longest text that fits.
    ///
    /// If even the shortest text is too long, it is returned all the same: too many parts are better than no text.
    pub(super) fn fit(&self, names: &Names, facts: &Facts<'_>) -> Result<Draft, RenderError> {
        let mut names = names.clone();
        if names.need_ucs2() {
            let bare = self.write(&names.cut(0), facts, MAX_CUTS)?;
            // If the template itself is UCS-2, such a name costs no more than another.
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

    /// Renders the text with the fewest cuts whose names have at least thirty characters or are complete.
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

    /// Renders the text that fits with the longest names, if names of `least` characters fit.
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

    /// Renders the text with these names and values. The pass must stand free in it.
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

/// Adds a mark and a space to the text beside a pass in a right-to-left text. So a phone shows the pass and its
/// punctuation from left to right, and the mark is not copied with it.
fn isolated(beside: &str, follows: bool) -> String {
    match (beside.is_empty(), follows) {
        // The first character decides the direction of the whole text.
        (true, false) => String::new(),
        (false, false) => format!("{beside}{LEFT_TO_RIGHT} "),
        (_, true) => format!(" {LEFT_TO_RIGHT}{beside}"),
    }
}

/// Returns whether a letter is written from right to left.
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

/// A rendered text without the pass.
pub(super) struct Draft {
    before: String,
    after: String,
}

impl Draft {
    /// Counts the text with a stand-in for the pass.
    pub(super) fn count(&self, stand_in: &str) -> Count {
        Count::of(&self.around(stand_in))
    }

    /// Inserts the pass.
    pub(super) fn with(&self, pass: &str) -> Result<Text, TextError> {
        Text::new(self.around(pass))
    }

    /// Joins the text and a pass. The string has its final size from the start: a growing string would leave copies
    /// of the pass in memory.
    pub(super) fn around(&self, pass: &str) -> String {
        let parts = [&self.before, pass, &self.after];
        let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.into_iter().for_each(|part| text.push_str(part));
        text
    }
}

/// Returns a stand-in for a pass: it costs the same as the pass and reveals nothing of it.
pub(super) fn stand_in(pass: &str) -> String {
    let alike = |char: char| match Count::of(char.encode_utf8(&mut [0; 4])) {
        count if count.encoding() == Encoding::Gsm7 && count.units() == 1 => 'x',
        count if count.encoding() == Encoding::Gsm7 => '^',
        count if count.units() == 1 => 'ę',
        _ => '🕊',
    };
    pass.chars().map(alike).collect()
}

/// The variables of a template, in the order of the values in [`Template::write`].
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

/// The character that marks the position of the pass. It is for private use, so no template changes its case; names
/// and options that contain it are refused.
const MARK: char = '\u{f8ff}';

/// The maximum value of `cuts`.
pub(super) const MAX_CUTS: u8 = 3;

/// The length of a name that matters more than optional sentences.
const MIN_NAME: usize = 30;

/// The limit of one rendering, in instructions. An ordinary text takes about fifty.
const FUEL: u64 = 5_000;

/// The maximum depth of nested blocks.
const DEPTH: usize = 50;
