//! Loading and checking templates.

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

/// A builder for [`Templates`]. [`build`](Self::build) reads and checks everything.
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

    /// Sets the template of a language, a BCP 47 tag such as `nl` or `pt-BR`, and replaces an earlier one.
    pub fn with_text(mut self, language: impl Into<String>, text: impl Into<String>) -> Self {
        let (tag, text) = (language.into(), text.into());
        self.sources.push(Source::Text { tag, text });
        self
    }

    /// Reads the templates of a folder: one file per language, such as `nl.txt` or `pt-BR.txt`, in UTF-8. Other files
    /// are ignored. [`build`](Self::build) reads the folder once.
    ///
    /// ```
    /// # mod postduif { pub use postduif_onboarding as onboarding; }
    /// use postduif::onboarding::template::Templates;
    ///
    /// # let folder = std::env::temp_dir().join(format!("postduif-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// std::fs::write(folder.join("fr.txt"), "Bienvenue ! Votre code {{ pass }} est valable.\n")?;
    /// let templates = Templates::builder().with_folder(&folder).build()?;
    /// assert_eq!(templates.languages().collect::<Vec<_>>(), ["en", "fr", "nl"]);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.sources.push(Source::Folder(folder.into()));
        self
    }

    /// Sets the language for users whose preferred language is unknown or has no template. Defaults to `nl`.
    pub fn with_default_language(mut self, language: impl Into<String>) -> Self {
        self.default = language.into();
        self
    }

    /// Sets the maximum number of parts of a text. Defaults to 1.
    ///
    /// With two or three parts the built-in texts can contain names outside GSM 03.38. The vendor bills each part.
    pub const fn with_max_parts(mut self, parts: usize) -> Self {
        self.max_parts = parts;
        self
    }

    /// Sets the organisation's name: the variable `tenant`. The built-in texts contain it if there is room.
    pub fn with_tenant_name(mut self, name: impl Into<String>) -> Self {
        self.tenant = name.into();
        self
    }

    /// Sets the phone number of the support: the variable `support`. The built-in texts contain it if there is room.
    pub fn with_support(mut self, number: impl Into<String>) -> Self {
        self.support = number.into();
        self
    }

    /// Sets the date and time format of a language, as in [`chrono::format::strftime`]. Names of days and months are
    /// English. Common languages have a format; the others use `2026-11-23 10:00`.
    pub fn with_time_format(
        mut self,
        language: impl Into<String>,
        format: impl Into<String>,
    ) -> Self {
        self.formats.push((language.into(), format.into()));
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// If a folder or a file cannot be read, a language tag or another option is invalid, or a template fails one of
    /// the checks of the [module](super). The error names the template, the line if there is one, and what to do.
    pub fn build(self) -> Result<Templates, ConfigError> {
        if !(1..=Text::MAX_PARTS).contains(&self.max_parts) {
            return Err(ConfigError::new(format!(
                "invalid number of parts: 1 to {}",
                Text::MAX_PARTS
            )));
        }
        let setting = |what: &str, text: &str| {
            single_line(text).ok_or_else(|| {
                ConfigError::new(format!("invalid {what}: one line of up to 256 characters"))
            })
        };
        let tenant = setting("tenant name", &self.tenant)?;
        let support = setting("support number", &self.support)?;
        let mut formats = Vec::new();
        for (tag, format) in &self.formats {
            let read = TimeFormat::new(format).ok_or_else(|| {
                ConfigError::new(format!(
                    "invalid time format of {tag}: give one such as %d-%m-%Y %H:%M"
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
            "invalid language {tag:?}: give a tag such as nl or pt-BR"
        ))
    })
}

/// Reads a template, and checks what can be checked without rendering it.
fn read_template(tag: &str, source: &str, format: TimeFormat) -> Result<Template, ConfigError> {
    check_length(tag, source.len())?;
    let broken = |error: minijinja::Error| syntax_error(tag, &error);
    let written = Template::new(tag, source, format).map_err(broken)?;
    match written.unknown().map_err(broken)? {
        None => Ok(written),
        Some(name) => Err(ConfigError::new(format!(
            "template {tag}, line {}: unknown variable {name}: the variables are {}",
            line_of(source, &name),
            VARIABLES.join(", ")
        ))),
    }
}

fn check_length(tag: &str, length: usize) -> Result<(), ConfigError> {
    match length {
        0..=MAX_SOURCE => Ok(()),
        _ => Err(ConfigError::new(format!(
            "template {tag} is longer than {MAX_SOURCE} bytes"
        ))),
    }
}

fn syntax_error(tag: &str, error: &minijinja::Error) -> ConfigError {
    let line = error.line().unwrap_or(1);
    let detail = error.detail().unwrap_or_default();
    let kind = error.kind();
    ConfigError::new(format!(
        "template {tag}, line {line}: {kind}: {detail}; a template may use variables, if and else"
    ))
}

/// Returns the first line with a name.
fn line_of(source: &str, name: &str) -> usize {
    let part_of_name = |char: char| char.is_alphanumeric() || char == '_';
    let mut lines = source.lines();
    let at = lines.position(|line| {
        line.split(|char| !part_of_name(char))
            .any(|word| word == name)
    });
    at.map_or(1, |at| at + 1)
}

/// A function that makes a variable empty.
type Lack = fn(&mut Names, &mut Facts<'_>);

/// Renders a template in all cases, and returns the longest texts.
fn check(text: &Template, set: &Set) -> Result<Vec<Text>, ConfigError> {
    let tag = text.tag();
    let facts = set.longest_case(text);
    let written = |names: &Names, facts: &Facts<'_>, cuts| {
        text.write(names, facts, cuts).map_err(|fault| match fault {
            RenderError::Engine(error) => syntax_error(tag, &error),
            RenderError::PassCount(0) => ConfigError::new(format!(
                "template {tag} does not always contain the pass: add {{{{ pass }}}} outside of every if"
            )),
            RenderError::PassCount(passes) => ConfigError::new(format!(
                "template {tag} contains the pass {passes} times: remove all but one"
            )),
            RenderError::PassTouched(char) => ConfigError::new(format!(
                "template {tag}: the pass touches {char:?}, which may be part of a pass: put a space on both \
                 sides of {{{{ pass }}}}"
            )),
        })
    };
    let all = Names {
        display: "Anna".into(),
        given: "Anna".into(),
        sign_in: "anna@contoso.example".into(),
    };
    for cuts in 0..=MAX_CUTS {
        // Every user has some of these and lacks others.
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
                    "template {tag} leaves a gap if {name} is empty: put it and its space into \
                     {{% if {name} %}} .. {{% endif %}}"
                )));
            }
        }
    }
    check_room(text, set)?;
    let mut longest = Vec::new();
    for letter in ["", "W", "€", "Ł", "🕊"] {
        let names = longest_names(letter);
        let failed = || ConfigError::new(format!("template {tag} fails for long names"));
        let draft = text.fit(&names, &facts).map_err(|fault| match fault {
            RenderError::Engine(error) => syntax_error(tag, &error),
            _ => failed(),
        })?;
        check_size(tag, &draft, &facts)?;
        longest.push(draft.with(&facts.stand_in).map_err(|_| failed())?);
    }
    Ok(longest)
}

/// Refuses a value for which an ordinary text has no room: no user would ever read it.
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

/// Returns why a text is UCS-2, or an empty string.
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
        "template {tag} can take {} parts of {} allowed, with a pass of 48 characters{why}: \
         shorten it, put what can be left out into {{% if cuts < 1 %}} .. {{% endif %}}, or allow more parts",
        count.parts(),
        facts.max_parts,
    )))
}

/// Counts the superfluous spaces of a text, as an empty variable leaves them.
fn gaps(draft: &Draft) -> usize {
    let text = draft.around("x");
    let hanging = |char: char| char.is_whitespace() || ",.;:!?".contains(char);
    let chars = text.chars();
    let pairs = chars.clone().zip(chars.clone().skip(1));
    let inside = pairs.filter(|&(char, next)| char == ' ' && hanging(next));
    inside.count() + usize::from(chars.take(1).any(hanging))
}

/// Reads the templates of a folder, each with its language.
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
                "the folder of templates {} contains more than {MAX_FILES} templates",
                folder.display()
            )));
        }
    }
    if paths.is_empty() {
        return Err(ConfigError::new(format!(
            "the folder of templates {} contains no templates: name them by language, such as nl.txt",
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
                "the folder of templates {} contains {tag} twice",
                folder.display()
            )));
        }
        let mut text = Vec::new();
        // One byte more than allowed, so that a longer file is refused and not cut.
        File::open(&path)
            .and_then(|file| file.take(MAX_SOURCE as u64 + 1).read_to_end(&mut text))
            .map_err(|error| fault("the template", &path, error))?;
        check_length(&tag, text.len())?;
        let text = String::from_utf8(text).map_err(|_| {
            ConfigError::new(format!(
                "the template {} is not UTF-8: save it as UTF-8",
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

/// The maximum length of a template in bytes: about thirty parts.
const MAX_SOURCE: usize = 8 * 1024;

const MAX_FILES: usize = 200;
