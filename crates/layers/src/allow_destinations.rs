//! **Does:** lets messages through to the countries and prefixes on its list only, and to none that is blocked. Most
//! toll fraud goes to countries where a service has no users, so this is the first protection against it.
//!
//! **Never:** makes a call for a message that it refuses; never changes a message.
//!
//! **Belongs** outside of [`Failover`](crate::Failover), beside [`Budget`](crate::Budget). It checks the recipient
//! that the message has at that point of the stack.

use std::borrow::Cow;

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};

use crate::{
    Country, Prefix,
    dispatch::{refusal, send_passed},
};

/// A layer that sends to listed countries and prefixes only.
///
/// A message to any other number is refused as `Blocked`, not accepted, before any call, and goes to no other vendor.
/// A blocked prefix stays blocked, even where a longer one is allowed. An empty list allows nothing.
///
/// # What a country code covers
///
/// Most country codes belong to one country: `+31` is the Netherlands. A few are shared, so a prefix allows more than
/// its best-known country:
///
/// | code | covers |
/// |---|---|
/// | `+1` | the United States, Canada, and 23 islands and territories from Jamaica (`+1876`) to Guam (`+1671`), some of which are known for toll fraud; premium numbers (`+1900`) |
/// | `+7` | Russia, and Kazakhstan (`+76`, `+77`) |
/// | `+44` | the United Kingdom, Jersey, Guernsey, the Isle of Man; personal numbers (`+4470`), which cost as much as premium ones, and pagers (`+4476`) |
/// | `+39`, `+47`, `+61`, `+212`, `+262`, `+358`, `+590`, `+599` | Italy and the Vatican, Norway and Svalbard, Australia and its islands, Morocco and Western Sahara, Réunion and Mayotte, Finland and Åland, Guadeloupe and its neighbours, Curaçao and Bonaire |
///
/// For the first three, name a [`Country`] instead: [`with_countries`](Self::with_countries).
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use postduif::layers::AllowDestinations;
///
/// # fn example(vendor: impl SmsProvider) -> Result<(), ConfigError> {
/// let provider = AllowDestinations::new(vendor, ["+31".parse()?, "+32".parse()?])
///     .with_blocked(["+31900".parse()?, "+3197".parse()?]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AllowDestinations<P> {
    inner: P,
    allowed: Vec<Prefix>,
    countries: Vec<Country>,
    blocked: Vec<Prefix>,
}

impl<P: SmsProvider> AllowDestinations<P> {
    /// Allows messages to numbers with one of these prefixes.
    #[must_use]
    pub fn new(inner: P, allowed: impl IntoIterator<Item = Prefix>) -> Self {
        Self {
            inner,
            allowed: allowed.into_iter().collect(),
            countries: Vec::new(),
            blocked: Vec::new(),
        }
    }

    /// Allows messages to these countries, in addition to the prefixes.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
    /// # use postduif::*;
    /// use postduif::layers::{AllowDestinations, Country};
    ///
    /// # fn example(vendor: impl SmsProvider) {
    /// let provider = AllowDestinations::new(vendor, [])
    ///     .with_countries([Country::UNITED_STATES, Country::CANADA]);
    /// # }
    /// ```
    #[must_use]
    pub fn with_countries(mut self, countries: impl IntoIterator<Item = Country>) -> Self {
        self.countries.extend(countries);
        self
    }

    /// Blocks numbers with these prefixes, in addition to those already blocked.
    #[must_use]
    pub fn with_blocked(mut self, blocked: impl IntoIterator<Item = Prefix>) -> Self {
        self.blocked.extend(blocked);
        self
    }

    fn check_recipient(&self, message: &Message) -> Result<(), SendError> {
        let to = message.to();
        let any = |prefixes: &[Prefix]| prefixes.iter().any(|prefix| prefix.matches(to));
        let allowed = any(&self.allowed) || self.countries.iter().any(|c| c.contains(to));
        if allowed && !any(&self.blocked) {
            Ok(())
        } else {
            Err(refusal(
                self.inner.profile(),
                ErrorKind::Blocked,
                "no text may go to this destination",
            ))
        }
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for AllowDestinations<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.check_recipient(message)?;
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let checked = |message| {
            self.check_recipient(message)
                .map(|()| Cow::Borrowed(message))
        };
        send_passed(&self.inner, messages, checked).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}
