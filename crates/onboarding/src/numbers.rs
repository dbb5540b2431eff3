use std::{fmt, sync::Arc};

use postduif_core::{PhoneNumber, PhoneNumberError, directory::User};

/// A reader of phone numbers from the directory. Defaults to [`strict`](Self::strict).
///
/// Directories contain numbers as people typed them ("06 1234 5678", "+31 (0)6 …"). The strict parser accepts a plus
/// and digits only. `postduif-numbers` reads the rest, with the user's region. It is not built in, since its
/// metadata is several times larger than this crate:
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_onboarding as onboarding; }
/// use postduif::{onboarding::Numbers, PhoneNumber};
///
/// // With the feature `regional-numbers` of postduif:
/// // Numbers::reading("NL", |text, region| {
/// //     let reading = postduif::numbers::read(text, Some(region))?;
/// //     Ok(ReadNumber::new(reading.require_mobile()?, reading.is_known()))
/// // })
///
/// let numbers = Numbers::reading("NL", |text, _region| Ok(text.parse::<PhoneNumber>()?.into()));
/// # let _ = numbers;
/// ```
#[derive(Clone)]
pub struct Numbers(Option<Regional>);

#[derive(Clone)]
struct Regional {
    default_region: String,
    read: Arc<Read>,
}

/// A function that reads a text in a region.
type Read = dyn Fn(&str, &str) -> Result<ReadNumber, PhoneNumberError> + Send + Sync;

/// A phone number, and whether it is in a known range.
///
/// A flow uses a number of an unknown range, and reports it in an event and in its ending. It refuses such a number only
/// under [`refuse_unknown_numbers`](crate::OnboardingBuilder::refuse_unknown_numbers).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReadNumber {
    /// The number.
    pub number: PhoneNumber,
    /// Whether its range is known.
    pub known: bool,
}

impl ReadNumber {
    /// Creates a number of a known or an unknown range.
    #[must_use]
    pub const fn new(number: PhoneNumber, known: bool) -> Self {
        Self { number, known }
    }
}

impl From<PhoneNumber> for ReadNumber {
    /// Creates a number of a known range: a reader that knows no ranges treats all as known.
    fn from(number: PhoneNumber) -> Self {
        Self::new(number, true)
    }
}

impl Numbers {
    /// Creates a reader that accepts a plus, the country code and digits, and nothing else.
    #[must_use]
    pub const fn strict() -> Self {
        Self(None)
    }

    /// Creates a reader from a function that takes a text and a region, and returns whether the range is known.
    ///
    /// The region is the user's `usageLocation`, or `default_region` if there is none (ISO 3166 alpha-2).
    #[must_use]
    pub fn reading(
        default_region: impl Into<String>,
        read: impl Fn(&str, &str) -> Result<ReadNumber, PhoneNumberError> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Regional {
            default_region: default_region.into(),
            read: Arc::new(read),
        }))
    }

    pub(crate) fn read(&self, text: &str, user: &User) -> Result<ReadNumber, PhoneNumberError> {
        match &self.0 {
            None => text.parse().map(PhoneNumber::into),
            Some(Regional {
                default_region,
                read,
            }) => read(text, user.region.as_deref().unwrap_or(default_region)),
        }
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::strict()
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Numbers(strict)"),
            Some(Regional { default_region, .. }) => {
                write!(f, "Numbers(reading, {default_region})")
            }
        }
    }
}
