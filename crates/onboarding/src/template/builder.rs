//! How templates are loaded, and what is checked then.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use postduif_core::{ConfigError, Encoding, Text};

use super::{
    Facts, Names, Set, Templates,
    language::{self, TimeFormat},
    longest_names,
    recipient::single_line,
    render::{Draft, MAX_CUTS, RenderError, Template, VARIABLES},
};

/// Sets up [`Templates`]. Nothing is read or checked before [`build`](Self::build).
#[derive(Debug)]
#[must_use = "it does nothing until it is built"]
pub struct TemplatesBuilder {
    sources: Vec<Source>,
    formats: Vec<(String, String)>,
    default: String,
    tenant: String,
    support: String,
    max_parts: usize,
}

#[derive(Debug)]
enum Source {
    Text { tag: String, text: String },
    Folder(PathBuf),
}

impl TemplatesBuilder {
    pub(super) fn new() -> Self {
        Self {
            sources: Vec::new(),
            formats: Vec::new(),
            default: "nl".into(),
            tenant: String::new(),
            support: String::new(),
            max_parts: 1,
        }
    }

    /// Sets the text of a language, replacing the one that it has. The language is a BCP 47 tag: `nl`, `pt-BR`.
    pub fn text(mut self, language: impl Into<String>, text: impl Into<String>) -> Self {
        let (tag, text) = (language.into(), text.into());
        self.sources.push(Source::Text { tag, text });
        self
    }

    /// Reads the texts of a folder: a file for each language, `nl.txt`, `pt-BR.txt`, in UTF-8. Other files are
    /// left alone. It is read once, when this is built.
    ///
    /// ```
    /// use postduif_onboarding::template::Templates;
    ///
    /// # let folder = std::env::temp_dir().join(format!("postduif-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// std::fs::write(folder.join("fr.txt"), "Bienvenue ! Votre code {{ pass }} est valable.\n")?;
    /// let templates = Templates::builder().folder(&folder).build()?;
    /// assert_eq!(templates.languages().collect::<Vec<_>>(), ["en", "fr", "nl"]);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.sources.push(Source::Folder(folder.into()));
        self
    }

    /// Sets the language of people who prefer one without a text, or none. Defaults to `nl`.
    pub fn default_language(mut self, language: impl Into<String>) -> Self {
        self.default = language.into();
        self
    }

    /// Sets the parts that a text may take. Defaults to 1.
    ///
    /// Two or three let the built-in texts greet people whose names are outside GSM 03.38; each such text is
    /// billed as that many.
    pub const fn max_parts(mut self, parts: usize) -> Self {
        self.max_parts = parts;
        self
    }

    /// Sets the organisation's name, as readers know it: `tenant`. The built-in texts say it where there is room.
    pub fn tenant_name(mut self, name: impl Into<String>) -> Self {
        self.tenant = name.into();
        self
    }

    /// Sets the number to call when it does not work: `support`. The built-in texts say it where there is room.
    pub fn support(mut self, number: impl Into<String>) -> Self {
        self.support = number.into();
        self
    }

    /// Sets how a language writes date and time, as [`chrono::format::strftime`] has it; names of days and months
    /// come in English. Common languages have their format; another has `2026-11-23 10:00`.
    pub fn time_format(mut self, language: impl Into<String>, format: impl Into<String>) -> Self {
        self.formats.push((language.into(), format.into()));
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// Names the template, the line where there is one, and what to do: for a folder or a file that cannot be
    /// read, a language that is none, a template that the [module](super) says is checked, and settings that
    /// cannot be part of a text.
    pub fn build(self) -> Result<Templates, ConfigError> {
        if !(1..=Text::MAX_PARTS).contains(&self.max_parts) {
            return Err(ConfigError::new(format!(
                "a text may take 1 to {} parts",
                Text::MAX_PARTS
            )));
        }
        let setting = |what: &str, text: &str| {
            single_line(text).ok_or_else(|| {
                ConfigError::new(format!(
                    "the {what} cannot stand in a text: give one line of up to 256 characters"
                ))
            })
        };
        let tenant = setting("tenant's name", &self.tenant)?;
        let support = setting("number of the support", &self.support)?;
        let mut formats = Vec::new();
        for (tag, format) in &self.formats {
            let read = TimeFormat::new(format).ok_or_else(|| {
                ConfigError::new(format!(
                    "the time format of {tag} is none: give one such as %d-%m-%Y %H:%M"
                ))
            })?;
            formats.push((tag_of(tag)?, read));
        }
        let format = |tag: &str| {
            let get = |tag: &str| formats.iter().rev().find(|(known, _)| known == tag);
            language::look_up(tag, get)
                .map_or_else(|| TimeFormat::of(tag), |(_, format)| format.clone())
        };

        let mut texts: Vec<Template> = Vec::new();
        let mut put = |tag: &str, source: &str| -> Result<(), ConfigError> {
            let tag = tag_of(tag)?;
            let written = read_template(&tag, source, format(&tag))?;
            match texts.binary_search_by(|text| text.tag().cmp(&tag)) {
                Ok(at) => texts[at] = written,
                Err(at) => texts.insert(at, written),
            }
            Ok(())
        };
        let fallback = [
            read_template("nl", DUTCH, TimeFormat::of("nl"))?,
            read_template("en", ENGLISH, TimeFormat::of("en"))?,
        ];
        put("nl", DUTCH)?;
        put("en", ENGLISH)?;
        for source in &self.sources {
            match source {
                Source::Text { tag, text } => put(tag, text)?,
                Source::Folder(folder) => {
                    for (tag, text) in files(folder)? {
                        put(&tag, &text)?;
                    }
                }
            }
        }
        let default = tag_of(&self.default)?;
        let default = texts.iter().position(|text| text.tag() == default);
        let default = default.ok_or_else(|| {
            ConfigError::new(format!(
                "there is no template for the default language {}: add one, or choose another default",
                self.default
            ))
        })?;
        let mut set = Set {
            texts,
            default,
            fallback,
            tenant,
            support,
            max_parts: self.max_parts,
            longest: Vec::new(),
        };
        let mut longest = Vec::new();
        for (at, text) in set.texts.iter().enumerate() {
            longest.extend(check(text, &set)?.into_iter().map(|text| (at, text)));
        }
        set.longest = longest;
        Ok(Templates(Arc::new(set)))
    }
}

fn tag_of(tag: &str) -> Result<String, ConfigError> {
    language::normalized(tag).ok_or_else(|| {
        ConfigError::new(format!(
            "{tag:?} is no language: give a tag such as nl or pt-BR"
        ))
    })
}

/// A template, as far as it can be judged without writing it.
fn read_template(tag: &str, source: &str, format: TimeFormat) -> Result<Template, ConfigError> {
    check_length(tag, source.len())?;
    let broken = |error: minijinja::Error| syntax_error(tag, &error);
    let written = Template::new(tag, source, format).map_err(broken)?;
    match written.unknown().map_err(broken)? {
        None => Ok(written),
        Some(name) => Err(ConfigError::new(format!(
            "template {tag}, line {}: there is no variable {name}; there are {}",
            line_of(source, &name),
            VARIABLES.join(", ")
        ))),
    }
}

fn check_length(tag: &str, length: usize) -> Result<(), ConfigError> {
    match length {
        0..=MAX_SOURCE => Ok(()),
        _ => Err(ConfigError::new(format!(
            "template {tag} is longer than {MAX_SOURCE} bytes: shorten it"
        ))),
    }
}

fn syntax_error(tag: &str, error: &minijinja::Error) -> ConfigError {
    let line = error.line().unwrap_or(1);
    let detail = error.detail().unwrap_or_default();
    let kind = error.kind();
    ConfigError::new(format!(
        "template {tag}, line {line}: {kind}: {detail}; a template has variables, if and else"
    ))
}

/// The line in which a name stands first.
fn line_of(source: &str, name: &str) -> usize {
    let part_of_name = |char: char| char.is_alphanumeric() || char == '_';
    let mut lines = source.lines();
    let at = lines.position(|line| {
        line.split(|char| !part_of_name(char))
            .any(|word| word == name)
    });
    at.map_or(1, |at| at + 1)
}

/// Makes a variable empty.
type Lack = fn(&mut Names, &mut Facts<'_>);

/// Writes a template in all its cases, and gives the longest that come of it.
fn check(text: &Template, set: &Set) -> Result<Vec<Text>, ConfigError> {
    let tag = text.tag();
    let facts = set.longest_case(text);
    let written = |names: &Names, facts: &Facts<'_>, cuts| {
        text.write(names, facts, cuts).map_err(|fault| match fault {
            RenderError::Engine(error) => syntax_error(tag, &error),
            RenderError::PassCount(0) => ConfigError::new(format!(
                "template {tag} does not always say the pass: put {{{{ pass }}}} into it, outside every if"
            )),
            RenderError::PassCount(passes) => ConfigError::new(format!(
                "template {tag} says the pass {passes} times: once is enough"
            )),
            RenderError::PassTouched(char) => ConfigError::new(format!(
                "template {tag}: the pass touches {char:?} and may end in one itself: put a space on both \
                 sides of {{{{ pass }}}}, or the text's end"
            )),
        })
    };
    let all = Names {
        display: "Anna".into(),
        given: "Anna".into(),
        sign_in: "anna@contoso.example".into(),
    };
    for cuts in 0..=MAX_CUTS {
        // Every reader has some of these and lacks others.
        for lacks in 0..8 {
            let mut names = all.clone();
            for (bit, name) in [&mut names.display, &mut names.given, &mut names.sign_in]
                .into_iter()
                .enumerate()
            {
                if lacks & (1 << bit) != 0 {
                    name.clear();
                }
            }
            written(&names, &facts, cuts)?;
        }
        let without = |change: Lack| {
            let (mut names, mut facts) = (all.clone(), set.longest_case(text));
            (facts.tenant, facts.support) = ("Contoso", "020");
            change(&mut names, &mut facts);
            written(&names, &facts, cuts)
        };
        let whole = gaps(&without(|_, _| {})?);
        let lacking: [(&str, bool, Lack); 5] = [
            ("display_name", true, |names, _| names.display.clear()),
            ("given_name", true, |names, _| names.given.clear()),
            ("user_principal_name", true, |names, _| {
                names.sign_in.clear()
            }),
            ("tenant", set.tenant.is_empty(), |_, facts| {
                facts.tenant = ""
            }),
            ("support", set.support.is_empty(), |_, facts| {
                facts.support = ""
            }),
        ];
        for (name, may_lack, change) in lacking {
            if may_lack && gaps(&without(change)?) > whole {
                return Err(ConfigError::new(format!(
                    "template {tag} leaves a gap where {name} is empty: put it and the space beside it into \
                     {{% if {name} %}} .. {{% endif %}}"
                )));
            }
        }
    }
    check_room(text, set)?;
    let mut longest = Vec::new();
    for letter in ["", "W", "€", "Ł", "🕊"] {
        let names = longest_names(letter);
        let failed = || ConfigError::new(format!("template {tag} fails with long names"));
        let draft = text.fit(&names, &facts).map_err(|fault| match fault {
            RenderError::Engine(error) => syntax_error(tag, &error),
            _ => failed(),
        })?;
        check_size(tag, &draft, &facts)?;
        longest.push(draft.with(&facts.stand_in).map_err(|_| failed())?);
    }
    Ok(longest)
}

/// Refuses a setting that an ordinary text of the template has no room for: nobody would ever read it.
fn check_room(text: &Template, set: &Set) -> Result<(), ConfigError> {
    let tag = text.tag();
    let facts = Facts {
        stand_in: "x".repeat(8),
        ..set.longest_case(text)
    };
    let names = Names {
        display: "Anna de Vries".into(),
        given: "Anna".into(),
        sign_in: "anna.de.vries@contoso.example".into(),
    };
    let said = |draft: Result<Draft, RenderError>| {
        draft.map(|draft| draft.around("x")).unwrap_or_default()
    };
    let (whole, fitting) = (
        said(text.write(&names, &facts, 0)),
        said(text.fit(&names, &facts)),
    );
    for (name, value) in [("tenant", &set.tenant), ("support", &set.support)] {
        if whole.contains(value.as_str()) && !fitting.contains(value.as_str()) {
            return Err(ConfigError::new(format!(
                "template {tag} has no room for {name}{}: shorten it, or allow more parts",
                reason_for_ucs2(value)
            )));
        }
    }
    Ok(())
}

/// Why a text is UCS-2, where it is.
fn reason_for_ucs2(text: &str) -> String {
    let outside = |char: &char| Encoding::of(char.encode_utf8(&mut [0; 4])) == Encoding::Ucs2;
    let reason_for_ucs2 = text.chars().find(outside);
    reason_for_ucs2.map_or_else(String::new, |char| {
        format!(", since {char:?} is outside GSM 03.38")
    })
}

fn check_size(tag: &str, draft: &Draft, facts: &Facts<'_>) -> Result<(), ConfigError> {
    let count = draft.count(&facts.stand_in);
    if count.parts() <= facts.max_parts {
        return Ok(());
    }
    let why = reason_for_ucs2(&draft.around(&facts.stand_in));
    Err(ConfigError::new(format!(
        "template {tag} can take {} parts of {} allowed, with a pass of 48 characters and what cannot be cut{why}: \
         shorten it, put what can go into {{% if cuts < 1 %}} .. {{% endif %}}, or allow more parts",
        count.parts(),
        facts.max_parts,
    )))
}

/// How often a text has a space too many, as one that lacks a word does.
fn gaps(draft: &Draft) -> usize {
    let text = draft.around("x");
    let hanging = |char: char| char.is_whitespace() || ",.;:!?".contains(char);
    let chars = text.chars();
    let pairs = chars.clone().zip(chars.clone().skip(1));
    let inside = pairs.filter(|&(char, next)| char == ' ' && hanging(next));
    inside.count() + usize::from(chars.take(1).any(hanging))
}

/// The templates of a folder, by their files' names.
fn files(folder: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let fault = |what: &str, path: &Path, error: std::io::Error| {
        ConfigError::new(format!("{what} {} cannot be read", path.display())).with_source(error)
    };
    let unread = |error| fault("the folder of templates", folder, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            paths.push(path);
        }
        if paths.len() > MAX_FILES {
            return Err(ConfigError::new(format!(
                "the folder of templates {} holds more than {MAX_FILES} texts",
                folder.display()
            )));
        }
    }
    if paths.is_empty() {
        return Err(ConfigError::new(format!(
            "the folder of templates {} holds none: name them by language, nl.txt, en.txt",
            folder.display()
        )));
    }
    paths.sort();
    let mut texts: Vec<(String, String)> = Vec::new();
    for path in paths {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let tag = tag_of(stem.unwrap_or_default())?;
        if texts.iter().any(|(known, _)| *known == tag) {
            return Err(ConfigError::new(format!(
                "the folder of templates {} holds {tag} twice",
                folder.display()
            )));
        }
        let mut text = Vec::new();
        // One byte more than is allowed, so that what is longer is refused and not cut.
        File::open(&path)
            .and_then(|file| file.take(MAX_SOURCE as u64 + 1).read_to_end(&mut text))
            .map_err(|error| fault("the template", &path, error))?;
        check_length(&tag, text.len())?;
        let text = String::from_utf8(text).map_err(|_| {
            ConfigError::new(format!(
                "the template {} is not UTF-8: save it so",
                path.display()
            ))
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
        texts.push((tag, text));
    }
    Ok(texts)
}

const DUTCH: &str = include_str!("nl.txt");
const ENGLISH: &str = include_str!("en.txt");

/// The longest template, in bytes: some thirty parts.
const MAX_SOURCE: usize = 8 * 1024;

const MAX_FILES: usize = 200;
