//! The text that carries a pass: one template per language.
//!
//! > Hallo Anna de Vries, welkom! Je code X7k+q2Rm geldt tot 23-11-2026 10:00. Log in met je werkaccount en
//! > deze code. Alleen de nieuwste sms telt.
//!
//! Dutch and English are built in. A [`TemplatesBuilder`] takes other languages and other texts, as strings or as a
//! folder of files. The recipient's `preferredLanguage` chooses the template by the lookup of RFC 4647 (`nl-BE`, then
//! `nl`), or else the default is used.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_onboarding as onboarding; }
//! use chrono::{TimeZone, Utc};
//! use postduif::{directory::User, onboarding::template::Templates, Guid};
//!
//! let templates = Templates::builder()
//!     .with_tenant_name("Contoso")
//!     .with_text("de", "Hallo{% if given_name %} {{ given_name }}{% endif %}! Dein Code {{ pass }} gilt bis {{ valid_until }}.")
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
//! # Variables
//!
//! Templates use the syntax of [minijinja]: `{{ variable }}`, `{% if variable %} .. {% else %} .. {% endif %}`,
//! `and`, `or`, `not`, comparisons. There are no filters, tests, macros or includes, and no HTML escaping.
//!
//! | variable | value |
//! |---|---|
//! | `pass` | The pass. Each text has it once, with a space or the end of the text on each side, since it may itself end in `!` or `.`. |
//! | `valid_until` | When the pass expires, in the recipient's time zone and the language's format. |
//! | `valid_from` | When the pass starts to work. |
//! | `display_name` | The display name, cut if necessary; may be empty. |
//! | `given_name` | The given name, cut if necessary; may be empty. |
//! | `user_principal_name` | The sign-in name, never cut; may be empty. **A text with it contains everything that is needed to sign in, for anyone who has the phone or reads its locked screen.** The built-in texts leave it out. |
//! | `tenant` | The organisation's name from [`with_tenant_name`](TemplatesBuilder::with_tenant_name), or empty. |
//! | `support` | The number to call from [`with_support`](TemplatesBuilder::with_support), or empty. |
//! | `cuts` | How much to leave out, 0 to 3: see below. |
//!
//! Put a variable that may be empty into an `if`, together with its space: `Hallo{% if display_name %} {{
//! display_name }}{% endif %}, welkom!`.
//!
//! # How a text is made to fit
//!
//! A text takes at most [`with_max_parts`](TemplatesBuilder::with_max_parts) parts, one by default. If it would take more, it
//! is rendered again with `cuts` at 1, then 2, then 3. So `{% if cuts < 1 %} Only the newest text counts.{% endif %}`
//! is left out first. If that is not enough, names are cut to fewer than thirty characters, always between two
//! graphemes. The pass is never changed: the template only says where it goes.
//!
//! A name with a character outside GSM 03.38 (`Zoë`) makes the whole text UCS-2, with 70 characters in a part in
//! place of 160. The name is kept if the text fits into the allowed parts with it: two or three are enough for the
//! built-in texts. Otherwise it is transliterated to GSM 03.38 (`Zoe`), or left out if that is impossible (`李小龙`).
//! Invisible characters, such as a soft hyphen, are removed from every name.
//!
//! In a right-to-left text a phone would show `X7kq2R!` as `!X7kq2R`. There the pass is put between two left-to-right
//! marks, with a space on each side, so that the marks are not copied with the pass.
//!
//! # What is checked
//!
//! Templates are checked when they are loaded, so that no flow fails because of them:
//!
//! - The syntax is right, and every variable is known.
//! - The pass appears exactly once, with a space or the end of the text on each side.
//! - An empty variable leaves no gap and no stray punctuation.
//! - The longest case fits into the allowed parts: a pass of 48 characters, names as long as Entra allows, and a time
//!   in the repeated hour when summer time ends.
//! - An ordinary text has room for the tenant and the support number, if the template uses them.
//!
//! A template may still fail in a branch that no check reaches. Then the built-in text is sent, and an event reports
//! it.
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

/// The checked templates of all languages. Clones are cheap.
///
/// Set them with [`OnboardingBuilder::with_templates`](crate::OnboardingBuilder::with_templates).
#[derive(Clone)]
pub struct Templates(Arc<Set>);

struct Set {
    /// Never empty, since it contains the default.
    texts: Vec<Template>,
    default: usize,
    /// The built-in texts, Dutch and English, in place of a template that fails.
    fallback: [Template; 2],
    tenant: String,
    support: String,
    max_parts: usize,
    /// The longest texts, each with the index of its template.
    longest: Vec<(usize, Text)>,
}

impl Templates {
    /// Creates a builder with the built-in texts.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_onboarding as onboarding; }
    /// use postduif::onboarding::template::Templates;
    ///
    /// let templates = Templates::builder().with_default_language("en").build()?;
    /// assert_eq!(templates.language(Some("nl-BE")), "nl");
    /// assert_eq!(templates.language(Some("fr")), "en");
    /// assert_eq!(templates.language(None), "en");
    /// # Ok::<(), postduif::ConfigError>(())
    /// ```
    pub fn builder() -> TemplatesBuilder {
        TemplatesBuilder::new()
    }

    /// Returns the built-in texts, read and checked once per process.
    pub(crate) fn built_in() -> Result<Self, ConfigError> {
        static BUILT_IN: LazyLock<Result<Templates, ConfigError>> =
            LazyLock::new(|| Templates::builder().build());
        BUILT_IN.clone()
    }

    /// Reads the templates of a folder over the built-in ones: see [`TemplatesBuilder::with_folder`].
    ///
    /// # Errors
    ///
    /// The errors of [`TemplatesBuilder::build`].
    pub fn from_folder(folder: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::builder().with_folder(folder).build()
    }

    /// Returns the languages, as tags in lower case.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.0.texts.iter().map(Template::tag)
    }

    /// Returns the language for a preferred language, as the directory writes it.
    #[must_use]
    pub fn language(&self, preferred: Option<&str>) -> &str {
        self.choose(preferred).tag()
    }

    /// Renders the text for a user with a sample pass, for a preview. Times are shown in the time zone of the
    /// arguments.
    ///
    /// # Errors
    ///
    /// If rendering fails. A checked template does not fail in practice.
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

    /// Renders the text for a recipient.
    ///
    /// The template engine never handles the pass. It is inserted at the end, into a string of the right size, so
    /// that no copy of it is left in memory.
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

    /// Returns the longest texts of each language, to check the provider before the first flow.
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
    /// Returns the values that make the text of a language longest.
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

/// Returns names as long as Entra allows.
fn longest_names(letter: &str) -> Names {
    Names {
        display: letter.repeat(MAX_NAME),
        given: letter.repeat(64),
        // 64 characters, an at sign and 48 characters.
        sign_in: "x".repeat(113),
    }
}

/// The longest pass that a policy allows. Some of its characters take two septets.
const LONGEST_PASS: &str = "Aa1+!{Aa1+!{Aa1+!{Aa1+!{Aa1+!{Aa1+!{Aa1+!{Aa1+!{";

#[cfg(test)]
mod tests;
