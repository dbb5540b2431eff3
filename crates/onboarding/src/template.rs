//! The text that carries a pass, as the phone shows it: one template per language.
//!
//! > Hallo Anna de Vries, welkom! Je code X7k+q2Rm geldt tot 23-11-2026 10:00. Log in met je werkaccount en
//! > deze code. Alleen de nieuwste sms telt.
//!
//! Dutch and English are built in; others, and other words, are given to a [`TemplatesBuilder`] as text or as
//! a folder of files. A reader gets the language of their `preferredLanguage`, by the look-up of RFC 4647
//! (`nl-BE`, then `nl`), or else the default.
//!
//! ```
//! use chrono::{TimeZone, Utc};
//! use postduif_core::{Guid, directory::User};
//! use postduif_onboarding::template::Templates;
//!
//! let templates = Templates::builder()
//!     .tenant_name("Contoso")
//!     .text("de", "Hallo{% if given_name %} {{ given_name }}{% endif %}! Dein Code {{ pass }} gilt bis {{ valid_until }}.")
//!     .build()?;
//!
//! let mut user = User::new(Guid::random().into());
//! user.display_name = Some("Anna Schmidt".into());
//! user.given_name = Some("Anna".into());
//! user.preferred_language = Some("de-AT".into());
//! let (from, until) = (Utc.timestamp_opt(1_795_419_600, 0).unwrap(), Utc.timestamp_opt(1_795_423_200, 0).unwrap());
//! let text = templates.preview(&user, &from, &until)?;
//! assert_eq!(text.as_str(), "Hallo Anna! Dein Code X7k+q2Rm gilt bis 23.11.2026 08:40.");
//!
//! user.preferred_language = Some("en".into());
//! let text = templates.preview(&user, &from, &until)?;
//! assert!(text.as_str().starts_with("Hi Anna Schmidt, welcome to Contoso! Your code X7k+q2Rm works "));
//! assert_eq!(text.count().parts(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a template can say
//!
//! Templates are [minijinja]'s: `{{ variable }}`, `{% if variable %} .. {% else %} .. {% endif %}`, `and`, `or`,
//! `not`, comparisons. There are no filters, tests, macros and includes, and nothing is escaped as HTML is.
//!
//! | variable | what it is |
//! |---|---|
//! | `pass` | The pass. Each text has it once, with a space before it and after it (or the text's end), since it may itself end in a `!` or a `.`. |
//! | `valid_until` | Until when the pass works, in the reader's zone and the language's format. |
//! | `valid_from` | From when it works. |
//! | `display_name` | The name to show, cut where it must be; may be empty. |
//! | `given_name` | The given name, cut where it must be; may be empty. |
//! | `user_principal_name` | The name to sign in with, never cut; may be empty. **Whoever holds the phone, or reads the text on its locked screen, then holds all there is to sign in with.** The built-in texts leave it out. |
//! | `tenant` | The organisation's name, where [`tenant_name`](TemplatesBuilder::tenant_name) gives one, else empty. |
//! | `support` | Whom to call, where [`support`](TemplatesBuilder::support) says so, else empty. |
//! | `cuts` | How much should be left out, 0 to 3. See below. |
//!
//! What may be empty belongs into an `if`, together with its space: `Hallo{% if display_name %} {{ display_name
//! }}{% endif %}, welkom!`.
//!
//! # How a text is made to fit
//!
//! A text takes no more than [`max_parts`](TemplatesBuilder::max_parts) parts, one unless set. Where it would,
//! it is written again with `cuts` at 1, then 2, then 3, so that `{% if cuts < 1 %} Only the newest text
//! counts.{% endif %}` is what goes first. When that is not enough, names are cut to less than thirty
//! characters, each time between what a reader sees as two. The pass is never changed: the template only says
//! where it goes.
//!
//! A name with a character outside GSM 03.38 (`Zoë`) makes the whole text UCS-2, of which a part holds 70
//! characters in place of 160. It is written as it is where the text fits into the allowed parts with it: two or
//! three are enough for the built-in texts. Else it is written in GSM 03.38 (`Zoe`), or left out where that cannot
//! be (`李小龙`). Marks that nobody sees, such as a soft hyphen, are left out of every name.
//!
//! In a text from right to left a phone would show `X7kq2R!` as `!X7kq2R`. There the pass is put between two
//! left-to-right marks, with a space on each side that keeps them out of what is copied.
//!
//! # What is checked
//!
//! When the templates are loaded, so that no flow finds out: the syntax, that no variable is unknown, that the
//! pass is there once and stands free, that nothing is left hanging where a variable is empty, that the
//! longest case (a pass of 48 characters, a name and a sign-in name as long as Entra has them, a time in the
//! hour that comes twice) fits into the allowed parts, and that an ordinary text has room for the
//! organisation and the support where it says them. A template that fails all the same, in a branch that
//! no check could reach, is replaced by the built-in text, and an event says so.
//!
//! [minijinja]: https://docs.rs/minijinja

mod builder;
mod language;
mod recipient;
mod render;

use std::{
    fmt::{self, Display},
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use chrono::{DateTime, TimeZone};
use postduif_core::{ConfigError, Text, TextError, directory::User};

pub use builder::TemplatesBuilder;
pub(crate) use recipient::Recipient;
use recipient::{MAX_NAME, Names};
use render::{Facts, Template};

/// The texts of all languages, checked.
///
/// Cheap to clone. Put it into [`OnboardingBuilder::with_templates`](crate::OnboardingBuilder::with_templates).
#[derive(Clone)]
pub struct Templates(Arc<Set>);

struct Set {
    /// Never empty: the default is one of them.
    texts: Vec<Template>,
    default: usize,
    /// The built-in texts, Dutch and English, for a template that fails.
    fallback: [Template; 2],
    tenant: String,
    support: String,
    max_parts: usize,
    /// The longest that come of a text, by its place.
    longest: Vec<(usize, Text)>,
}

impl Templates {
    /// Starts from the built-in texts.
    ///
    /// ```
    /// use postduif_onboarding::template::Templates;
    ///
    /// let templates = Templates::builder().default_language("en").build()?;
    /// assert_eq!(templates.language(Some("nl-BE")), "nl");
    /// assert_eq!(templates.language(Some("fr")), "en");
    /// assert_eq!(templates.language(None), "en");
    /// # Ok::<(), postduif_core::ConfigError>(())
    /// ```
    pub fn builder() -> TemplatesBuilder {
        TemplatesBuilder::new()
    }

    /// The built-in texts as they are, read and checked once in a process.
    pub(crate) fn built_in() -> Result<Self, ConfigError> {
        static BUILT_IN: LazyLock<Result<Templates, ConfigError>> =
            LazyLock::new(|| Templates::builder().build());
        BUILT_IN.clone()
    }

    /// Reads the built-in texts, and over them those of a folder: see [`TemplatesBuilder::folder`].
    ///
    /// # Errors
    ///
    /// As for [`TemplatesBuilder::build`].
    pub fn from_folder(folder: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::builder().folder(folder).build()
    }

    /// Returns the languages, as tags in lower case.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.0.texts.iter().map(Template::tag)
    }

    /// Returns the language for somebody who prefers this one, as the directory writes it.
    #[must_use]
    pub fn language(&self, preferred: Option<&str>) -> &str {
        self.choose(preferred).tag()
    }

    /// Renders the text that a user would get, with a sample in place of the pass, for somebody to look at. The times
    /// are written in the zone that they come in.
    ///
    /// # Errors
    ///
    /// Where no text comes of it; a template that was checked gives one.
    pub fn preview<Z>(
        &self,
        user: &User,
        valid_from: &DateTime<Z>,
        valid_until: &DateTime<Z>,
    ) -> Result<Text, TextError>
    where
        Z: TimeZone,
        Z::Offset: Display,
    {
        self.compose(&Recipient::of(user), "X7k+q2Rm", valid_from, valid_until)
    }

    /// Writes the text for a reader.
    ///
    /// The pass is no part of what the template engine handles: it is put into its place at the end, into a
    /// string of the right size, which leaves no copy behind.
    pub(crate) fn compose<Z>(
        &self,
        recipient: &Recipient,
        pass: &str,
        valid_from: &DateTime<Z>,
        valid_until: &DateTime<Z>,
    ) -> Result<Text, TextError>
    where
        Z: TimeZone,
        Z::Offset: Display,
    {
        let chosen = self.choose(recipient.language.as_deref());
        let draft = |text: &Template| {
            let facts = Facts {
                stand_in: render::stand_in(pass),
                from: text.format().write(valid_from),
                until: text.format().write(valid_until),
                tenant: &self.0.tenant,
                support: &self.0.support,
                max_parts: self.0.max_parts,
            };
            text.fit(&recipient.names, &facts)
        };
        let draft = draft(chosen).or_else(|error| {
            tracing::error!(
                language = chosen.tag(),
                fault = error.name(),
                "a template failed: the built-in text goes out"
            );
            let [dutch, english] = &self.0.fallback;
            draft(if chosen.tag().starts_with("nl") {
                dutch
            } else {
                english
            })
        });
        match draft {
            Ok(draft) => draft.with(pass),
            Err(_) => Err(TextError::Empty),
        }
    }

    /// The longest texts that can come of each language, to ask a provider about before the first flow.
    pub(crate) fn longest(&self) -> impl Iterator<Item = (&str, &Text)> {
        self.0
            .longest
            .iter()
            .map(|(at, text)| (self.0.texts[*at].tag(), text))
    }

    fn choose(&self, preferred: Option<&str>) -> &Template {
        let Set { texts, default, .. } = &*self.0;
        let get = |tag: &str| texts.iter().find(|text| text.tag() == tag);
        let found = preferred.and_then(|preferred| language::look_up(preferred, get));
        found.unwrap_or(&texts[*default])
    }
}

impl Set {
    /// What makes a text of the language longest.
    fn longest_case(&self, text: &Template) -> Facts<'_> {
        let time = text.format().longest();
        Facts {
            stand_in: render::stand_in(LONGEST_PASS),
            from: time.clone(),
            until: time,
            tenant: &self.tenant,
            support: &self.support,
            max_parts: self.max_parts,
        }
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates")
            .field("languages", &self.languages().collect::<Vec<_>>())
            .field("default", &self.language(None))
            .field("max_parts", &self.0.max_parts)
            .finish_non_exhaustive()
    }
}

/// The names of somebody whom Entra could not give longer ones.
fn longest_names(letter: &str) -> Names {
    Names {
        display: letter.repeat(MAX_NAME),
        given: letter.repeat(64),
        // 64, an at sign and 48.
        sign_in: "x".repeat(113),
    }
}

/// As many characters as a policy allows, some of which take two septets.
const LONGEST_PASS: &str = "Aa1+!{Aa1+!{Aa1+!{Aa1+!{Aa1+!{Aa1+!{Aa1+!{Aa1+!{";

#[cfg(test)]
mod tests;
