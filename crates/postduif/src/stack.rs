use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use postduif_core::{ConfigError, Requirement, SmsProvider};
use postduif_layers::{
    Failover, Member, RateLimit, Retry, StartWithin, Suppress, SuppressionList, Timeout, Traced,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{DEADLINE, LIMITS, deadline_is_no_option, no_url};

/// How long one vendor call may take, unless told otherwise: after it the message is in doubt, so it is longer
/// than any vendor needs.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Messages a second where neither the vendor's page nor anybody else says: below what any of them allows.
const RATE: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// Builds the recommended stack over several vendors: their URLs in order, separated by white space.
///
/// ```text
/// Traced                       one span a call, one event an outcome
///  └ Failover                  the next vendor for what was certainly not sent
///     ├ Retry                  again, where that is certain and may pass
///     │  └ RateLimit           so many messages a second
///     │     └ Timeout          a deadline for each vendor call
///     │        └ kpn
///     └ Retry …
///        └ cm
/// ```
///
/// A health page checks each vendor alone, by a provider of its own URL ([`from_url`](crate::from_url)): the
/// [`check`](SmsProvider::check) of the stack has one answer for all.
///
/// Sending needs a tokio runtime with I/O and time enabled. Without it every message is refused as `Misconfigured`,
/// not accepted, before anything is sent.
///
/// One URL is a stack over one vendor. Two accounts of one vendor are told apart as `kpn` and `kpn-2`. The limits
/// are options of each URL, see [`Stack`]; for a deadline over the whole, or providers of your own, build a
/// [`Stack`].
///
/// ```
/// # #[cfg(all(feature = "kpn", feature = "cm"))] {
/// let sms = postduif::failover(
///     "kpn://id:secret@default?sender=Contoso&rate=20  cm://token@default?sender=Contoso",
/// )?;
/// assert_eq!(sms.profile().name(), "kpn,cm");
/// # }
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// # Errors
///
/// As [`from_url`](crate::from_url), for the first URL that is not one; where there is no URL, or a comma or a
/// semicolon is between two; and where a limit is not a number, or given twice.
pub fn failover(urls: &str) -> Result<Arc<dyn SmsProvider>, ConfigError> {
    Stack::new().with_urls(urls)?.build()
}

/// Builds as [`failover`] does, over an HTTP client that you configured.
///
/// # Errors
///
/// As [`failover`].
#[cfg(feature = "http")]
pub fn failover_with(
    urls: &str,
    client: &crate::http::Client,
) -> Result<Arc<dyn SmsProvider>, ConfigError> {
    Stack::new().with_urls(urls)?.with_client(client).build()
}

/// Builds the stack of [`failover`] with limits of your own.
///
/// An option of a URL limits that vendor. A method limits every vendor whose URL does not have the option.
///
/// | option | method | what it limits | default |
/// |---|---|---|---|
/// | `rate=20` | [`with_rate`](Self::with_rate) | messages a second | what the vendor's page allows, else 10 |
/// | `burst=40` | [`with_burst`](Self::with_burst) | messages at once after a pause | the messages of a second |
/// | `in_flight=8` | [`with_in_flight`](Self::with_in_flight) | calls under way | 32 |
/// | `max_wait=5` | [`with_max_wait`](Self::with_max_wait) | seconds that a message waits for its turn | 30 |
/// | `timeout=20` | [`with_timeout`](Self::with_timeout) | seconds for one vendor call | 20 |
/// | `attempts=3` | [`with_attempts`](Self::with_attempts) | tries at one vendor | 3 |
/// | | [`with_deadline`](Self::with_deadline) | seconds within which a call may begin, over all vendors | none |
/// | | [`with_suppression`](Self::with_suppression) | the numbers that get no texts | none |
///
/// A message whose turn would come later than `max_wait` is refused at once as `Throttled`, and goes to the next
/// vendor. Seconds may have decimals, up to a day.
///
/// ```
/// # #[cfg(all(feature = "kpn", feature = "cm"))] {
/// use std::time::Duration;
///
/// let sms = postduif::Stack::new()
///     .with_urls("kpn://id:secret@default?sender=Contoso&rate=20 cm://token@default?sender=Contoso")?
///     .with_timeout(Duration::from_secs(7))
///     .with_deadline(Duration::from_secs(15))
///     .build()?;
/// # }
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// The receipt has the attempts at the vendors before the one that accepted the message:
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use std::{num::NonZeroU32, sync::Arc};
/// use postduif::testing::{Recording, Scripted, block_on};
/// use postduif::{ErrorKind, Message, Profile, SmsProvider as _, Stack, Text};
///
/// let down = Recording::new(Profile::new("kpn"));
/// down.script([Scripted::refuse(ErrorKind::Unavailable)]);
/// let sms = Stack::new()
///     .with_provider("kpn", Arc::new(down))
///     .with_urls("null://")?
///     .with_attempts(NonZeroU32::MIN)
///     .build()?;
/// let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
/// let receipt = block_on(sms.send(&message))?;
/// assert_eq!(receipt.provider(), "null");
/// assert_eq!(receipt.attempts()[0].to_string(), "kpn: scripted");
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Stack {
    vendors: Vec<Vendor>,
    limits: Limits,
    deadline: Option<Duration>,
    suppression: Option<Arc<dyn SuppressionList>>,
    #[cfg(feature = "http")]
    client: Option<crate::HttpClient>,
}

enum Vendor {
    Url(SecretString, Limits, Vec<Requirement>),
    Provider(String, Arc<dyn SmsProvider>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    rate: Option<NonZeroU32>,
    burst: Option<NonZeroU32>,
    in_flight: Option<NonZeroUsize>,
    max_wait: Option<Duration>,
    timeout: Option<Duration>,
    attempts: Option<NonZeroU32>,
}

impl Stack {
    /// Creates a stack without a vendor.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds vendors by their URLs, separated by white space. They are tried in the order in which they are added.
    ///
    /// # Errors
    ///
    /// Where a comma or a semicolon is between two URLs, and where a limit is not a number, or given twice.
    /// [`build`](Self::build) checks the rest of the URL.
    pub fn with_urls(mut self, urls: &str) -> Result<Self, ConfigError> {
        for url in urls.split_whitespace() {
            if holds_two(url) {
                return Err(ConfigError::new(
                    "separate URLs by white space, not by a comma or a semicolon; \
                     one that belongs to a URL is written %2C or %3B",
                ));
            }
            let (url, limits) = Limits::taken_from(url)?;
            self.vendors.push(Vendor::Url(url, limits, Vec::new()));
        }
        Ok(self)
    }

    /// Adds a vendor by its settings. The limits in them are this vendor's.
    ///
    /// # Errors
    ///
    /// As [`with_urls`](Self::with_urls); and where they set a deadline, which is one for all vendors together.
    pub fn with_settings(mut self, settings: &crate::Settings) -> Result<Self, ConfigError> {
        let (url, limits) = Limits::taken_from(settings.member_url()?)?;
        let requirements = settings.requirements().to_vec();
        self.vendors.push(Vendor::Url(url, limits, requirements));
        Ok(self)
    }

    /// Adds a provider of your own, under this name.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # fn example(mine: impl postduif::SmsProvider) -> Result<(), postduif::ConfigError> {
    /// let sms = postduif::Stack::new()
    ///     .with_provider("mine", Arc::new(mine))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_provider(
        mut self,
        name: impl Into<String>,
        provider: Arc<dyn SmsProvider>,
    ) -> Self {
        self.vendors.push(Vendor::Provider(name.into(), provider));
        self
    }

    /// Sets the HTTP client of all vendors: a proxy, roots, a resolver, deadlines, headers such as `traceparent`.
    /// Defaults to the one that all providers share.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn with_client(mut self, client: &crate::http::Client) -> Self {
        self.client = Some(client.clone());
        self
    }

    /// Sets how many messages a second go to each vendor.
    #[must_use]
    pub const fn with_rate(mut self, per_second: NonZeroU32) -> Self {
        self.limits.rate = Some(per_second);
        self
    }

    /// Sets how many messages may go to a vendor at once after a pause.
    #[must_use]
    pub const fn with_burst(mut self, messages: NonZeroU32) -> Self {
        self.limits.burst = Some(messages);
        self
    }

    /// Sets how many calls to a vendor may be under way.
    #[must_use]
    pub const fn with_in_flight(mut self, calls: NonZeroUsize) -> Self {
        self.limits.in_flight = Some(calls);
        self
    }

    /// Sets the longest that a message waits for its turn at a vendor.
    #[must_use]
    pub const fn with_max_wait(mut self, wait: Duration) -> Self {
        self.limits.max_wait = Some(wait);
        self
    }

    /// Sets how long one vendor call may take, more than zero. After it the message is in doubt, unless nothing had
    /// left.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = Some(timeout);
        self
    }

    /// Sets how often a message is tried at one vendor, the first try included.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.limits.attempts = Some(attempts);
        self
    }

    /// Sets how long after `send` was called a call to any vendor may still begin. What has not left by then is not
    /// accepted; the error names the vendor that had the message and those that were not tried. A call under way goes
    /// on to its end, so the longest wait is the deadline plus the `timeout` of one call: see [`StartWithin`].
    ///
    /// Give each vendor a `timeout` of at most the deadline divided by the number of vendors. With a longer one, the
    /// first vendor may use up the time, and the second is never tried.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the list of numbers that want no more texts, which is asked before any vendor: see [`Suppress`].
    ///
    /// A message to one of them is refused as `Blocked`. A list that fails, or does not answer within 5 seconds, stops
    /// messages too.
    ///
    /// ```
    /// # #[cfg(feature = "kpn")] {
    /// use std::sync::Arc;
    /// use postduif::layers::SuppressedNumbers;
    ///
    /// let list = Arc::new(SuppressedNumbers::new());
    /// let sms = postduif::Stack::new()
    ///     .with_urls("kpn://id:secret@default?sender=Contoso")?
    ///     .with_suppression(Arc::clone(&list))
    ///     .build()?;
    /// # }
    /// # Ok::<(), postduif::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_suppression(mut self, list: impl SuppressionList) -> Self {
        self.suppression = Some(Arc::new(list));
        self
    }

    /// Builds the stack.
    ///
    /// # Errors
    ///
    /// As [`from_url`](crate::from_url), for the first URL that is not one; where there is no vendor, or two have
    /// one name; where the timeout is zero.
    pub fn build(self) -> Result<Arc<dyn SmsProvider>, ConfigError> {
        if self.limits.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(ConfigError::new(
                "a timeout of zero leaves no time for a call: set a longer one",
            ));
        }
        #[cfg(feature = "http")]
        let client = self.client.as_ref();
        #[cfg(not(feature = "http"))]
        let client = None;
        if self.vendors.is_empty() {
            return Err(no_url(""));
        }
        let mut members = Vec::new();
        for vendor in self.vendors {
            members.push(match vendor {
                Vendor::Url(url, limits, requirements) => {
                    let provider = crate::open(url.expose_secret(), client).map_err(with_limits)?;
                    provider.require(&requirements)?;
                    Member::of(limits.or(self.limits).around(provider))
                }
                Vendor::Provider(name, provider) => Member::new(name, self.limits.around(provider)),
            });
        }
        let mut stack: Arc<dyn SmsProvider> = Arc::new(Failover::new(members)?);
        if let Some(list) = self.suppression {
            stack = Arc::new(Suppress::new(stack, list));
        }
        if let Some(deadline) = self.deadline {
            stack = Arc::new(StartWithin::new(stack, deadline));
        }
        Ok(Arc::new(Traced::new(stack)))
    }
}

impl fmt::Debug for Stack {
    /// Shows how many vendors there are, and no URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("vendors", &self.vendors.len())
            .field("limits", &self.limits)
            .field("deadline", &self.deadline)
            .field("suppression", &self.suppression.is_some())
            .finish_non_exhaustive()
    }
}

impl Limits {
    /// Takes the limits out of a URL's options: they are ours, and the vendor does not know them.
    fn taken_from(url: &str) -> Result<(SecretString, Self), ConfigError> {
        let mut limits = Self::default();
        let Some((front, options)) = url.split_once('?') else {
            return Ok((url.into(), limits));
        };
        let mut left = String::with_capacity(url.len());
        left.push_str(front);
        for option in options.split('&') {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if LIMITS.contains(&name) {
                limits.set(name, value)?;
            } else if name == DEADLINE {
                return Err(deadline_is_no_option());
            } else {
                left.push(if left.len() == front.len() { '?' } else { '&' });
                left.push_str(option);
            }
        }
        Ok((left.into(), limits))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        match name {
            "rate" => number(&mut self.rate, name, value),
            "burst" => number(&mut self.burst, name, value),
            "in_flight" => number(&mut self.in_flight, name, value),
            "attempts" => number(&mut self.attempts, name, value),
            "max_wait" => once(&mut self.max_wait, name, seconds(name, value)?),
            _ => match seconds(name, value)? {
                Duration::ZERO => Err(ConfigError::new(format!(
                    "option {name}: a call needs more time than 0 seconds, such as 20 or 0.5"
                ))),
                timeout => once(&mut self.timeout, name, timeout),
            },
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            rate: self.rate.or(other.rate),
            burst: self.burst.or(other.burst),
            in_flight: self.in_flight.or(other.in_flight),
            max_wait: self.max_wait.or(other.max_wait),
            timeout: self.timeout.or(other.timeout),
            attempts: self.attempts.or(other.attempts),
        }
    }

    fn around(self, vendor: Arc<dyn SmsProvider>) -> impl SmsProvider {
        let rate = self.rate.or(vendor.profile().rate()).unwrap_or(RATE);
        let timeout = Timeout::new(vendor, self.timeout.unwrap_or(TIMEOUT));
        let mut limit = RateLimit::new(timeout, rate);
        if let Some(burst) = self.burst {
            limit = limit.with_burst(burst);
        }
        if let Some(in_flight) = self.in_flight {
            limit = limit.with_in_flight(in_flight);
        }
        if let Some(max_wait) = self.max_wait {
            limit = limit.with_max_wait(max_wait);
        }
        let retry = Retry::new(limit);
        match self.attempts {
            Some(attempts) => retry.with_attempts(attempts),
            None => retry,
        }
    }
}

/// Adds the limits to the options that a vendor knows: here, they are known too.
fn with_limits(error: ConfigError) -> ConfigError {
    let words = error.to_string();
    if words.starts_with("unknown option ") {
        ConfigError::new(format!("{words}; limits are {}", LIMITS.join(", ")))
    } else {
        error
    }
}

fn number<N: FromStr>(limit: &mut Option<N>, name: &str, value: &str) -> Result<(), ConfigError> {
    let number = value
        .parse()
        .map_err(|_| ConfigError::new(format!("option {name}: write a whole number from 1 up")))?;
    once(limit, name, number)
}

pub(crate) fn seconds(name: &str, value: &str) -> Result<Duration, ConfigError> {
    const DAY: f64 = 86_400.0;
    value
        .parse()
        .ok()
        .filter(|seconds| (0.0..=DAY).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| {
            ConfigError::new(format!(
                "option {name}: write a number of seconds up to 86400, such as 20 or 0.5"
            ))
        })
}

fn once<T>(limit: &mut Option<T>, name: &str, value: T) -> Result<(), ConfigError> {
    match limit.replace(value) {
        Some(_) => Err(ConfigError::new(format!(
            "the option {name} is given twice"
        ))),
        None => Ok(()),
    }
}

/// Whether somebody separated two URLs by something else than white space.
fn holds_two(url: &str) -> bool {
    let separators = [',', ';'];
    let another = |separator| {
        let mut pieces = url.split(separator).skip(1);
        pieces.any(|piece| {
            let scheme = piece.split_once("://").map_or("", |(scheme, _)| scheme);
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    url.ends_with(separators) || url.starts_with(separators) || separators.into_iter().any(another)
}

#[cfg(all(test, feature = "kpn", feature = "cm"))]
mod tests {
    use super::*;

    const TWO: &str = "kpn://id:hunter2@default\n  cm://hunter2@default?sender=Contoso";

    #[test]
    fn the_recommended_stack_is_in_the_order_of_the_readme() {
        let shown = format!("{:?}", failover(TWO).unwrap());
        let mut rest = shown.as_str();
        for layer in [
            "Traced",
            "Failover",
            "Retry",
            "RateLimit",
            "Timeout",
            "Kpn",
            "Retry",
            "RateLimit",
            "Timeout",
            "Cm",
        ] {
            let place = rest
                .find(layer)
                .unwrap_or_else(|| panic!("{layer} is not where it belongs: {shown}"));
            rest = &rest[place + layer.len()..];
        }
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_suppression_list_is_around_all_vendors_and_inside_of_the_deadline() {
        let list = postduif_layers::SuppressedNumbers::new();
        let stack = Stack::new()
            .with_urls(TWO)
            .unwrap()
            .with_suppression(list)
            .with_deadline(Duration::from_secs(15));
        let shown = format!("{:?}", stack.build().unwrap());
        let places =
            ["Traced", "StartWithin", "Suppress", "Failover"].map(|layer| shown.find(layer));
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{shown}"
        );
    }

    #[test]
    fn two_accounts_of_one_vendor_are_told_apart() {
        let sms =
            failover("kpn://a:b@default kpn://c:d@default cm://e@default?sender=Contoso").unwrap();
        assert_eq!(sms.profile().name(), "kpn,kpn-2,cm");
    }

    #[test]
    fn a_limit_of_the_url_goes_before_that_of_the_builder() {
        let ten = NonZeroU32::new(10).unwrap();
        let stack = Stack::new()
            .with_urls(
                "kpn://a:b@default?rate=4&sender=Contoso&timeout=2.5 cm://t@default?sender=Contoso",
            )
            .unwrap()
            .with_rate(ten)
            .with_timeout(Duration::from_secs(7))
            .with_deadline(Duration::from_secs(15));
        let shown = format!("{:?}", stack.build().unwrap());
        for (words, times) in [
            ("interval: 250ms", 1),
            ("interval: 100ms", 1),
            ("deadline: 2.5s", 1),
            ("deadline: 7s", 1),
            ("StartWithin", 1),
        ] {
            assert_eq!(shown.matches(words).count(), times, "{words}: {shown}");
        }
    }

    #[test]
    fn every_limit_is_an_option_of_a_url() {
        let url = "cm://t@default?sender=Contoso&rate=7&burst=9&in_flight=3&max_wait=0.5&timeout=4&attempts=2";
        let (rest, limits) = Limits::taken_from(url).unwrap();
        assert_eq!(rest.expose_secret(), "cm://t@default?sender=Contoso");
        assert_eq!(limits.rate, NonZeroU32::new(7));
        assert_eq!(limits.burst, NonZeroU32::new(9));
        assert_eq!(limits.in_flight, NonZeroUsize::new(3));
        assert_eq!(limits.max_wait, Some(Duration::from_millis(500)));
        assert_eq!(limits.timeout, Some(Duration::from_secs(4)));
        assert_eq!(limits.attempts, NonZeroU32::new(2));
        let (rest, _) = Limits::taken_from("cm://t@default?rate=7").unwrap();
        assert_eq!(rest.expose_secret(), "cm://t@default");
    }

    #[test]
    fn a_limit_that_is_not_a_number_or_twice_is_an_error() {
        for options in [
            "rate=0",
            "rate=x",
            "rate",
            "timeout=-1",
            "timeout=NaN",
            "timeout=0",
            "timeout=-0",
            "timeout=0.0000000001",
            "max_wait=1e9",
            "rate=1&rate=2",
        ] {
            let error =
                failover(&format!("cm://hunter2@default?sender=Contoso&{options}")).unwrap_err();
            let name = options.split('=').next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn no_wait_at_all_is_a_limit_and_no_time_for_a_call_is_none() {
        let url = "cm://hunter2@default?sender=Contoso&max_wait=0";
        let (_, limits) = Limits::taken_from(url).unwrap();
        assert_eq!(limits.max_wait, Some(Duration::ZERO));
        let stack = Stack::new().with_urls(url).unwrap();
        let error = stack.with_timeout(Duration::ZERO).build().unwrap_err();
        assert!(error.to_string().contains("timeout"), "{error}");
    }

    #[test]
    fn a_limit_of_a_single_vendor_names_who_takes_it() {
        let error = crate::from_url("cm://hunter2@default?sender=Contoso&rate=5").unwrap_err();
        let shown = error.to_string();
        assert!(
            shown.contains("rate") && shown.contains("failover"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_missing_is_told_as_missing() {
        for urls in ["", " \n "] {
            let error = failover(urls).unwrap_err().to_string();
            assert!(error.starts_with("no connection URL was given"), "{error}");
            let error = crate::from_url(urls).unwrap_err().to_string();
            assert!(error.starts_with("no connection URL was given"), "{error}");
        }
        let error = Stack::new().build().unwrap_err().to_string();
        assert!(error.starts_with("no connection URL was given"), "{error}");
    }

    #[test]
    fn what_is_before_the_scheme_is_told() {
        for url in ["hunter2", "default?sender=hunter2"] {
            let error = failover(url).unwrap_err().to_string();
            assert!(error.contains("has no ://"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for url in [
            "SMS_URL=cm://hunter2@default?sender=Contoso",
            "\"cm://hunter2@default?sender=Contoso\"",
        ] {
            let error = failover(url).unwrap_err().to_string();
            assert!(error.contains("leave out what is before it"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_scheme_is_read_in_any_case() {
        let sms = failover("KPN://a:b@default  Cm://t@default?sender=Contoso").unwrap();
        assert_eq!(sms.profile().name(), "kpn,cm");
    }

    #[test]
    fn an_unknown_option_of_a_stack_is_told_the_limits_too() {
        let error = failover("cm://hunter2@default?sender=Contoso&rat=5").unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains("unknown option rat; known are"), "{shown}");
        for limit in LIMITS {
            assert!(shown.contains(limit), "{limit}: {shown}");
        }
    }

    #[test]
    fn a_deadline_in_a_url_names_who_takes_it() {
        let url = "cm://hunter2@default?sender=Contoso&deadline=5";
        for error in [
            failover(url).unwrap_err(),
            crate::from_url(url).unwrap_err(),
        ] {
            let shown = error.to_string();
            assert!(shown.contains("Stack::with_deadline"), "{shown}");
        }
    }

    #[test]
    fn urls_are_separated_by_white_space_only() {
        for urls in [
            "kpn://a:hunter2@default,cm://C@default?sender=Acme",
            "kpn://a:hunter2@default;cm://C@default?sender=Acme",
            "kpn://a:hunter2@default, cm://C@default?sender=Acme",
            "kpn://a:hunter2@default?sender=Acme,cm://C@default?sender=Acme",
            "kpn://a:hunter2@default ,cm://C@default?sender=Acme",
        ] {
            let error = failover(urls).unwrap_err();
            assert!(error.to_string().contains("white space"), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(!holds_two(
            "kpn://a:b@default?report_url=https://x.test/a,b?c=d"
        ));
    }

    #[test]
    fn a_provider_of_ones_own_is_a_member() {
        let own = crate::from_url("cm://t@default?sender=Contoso").unwrap();
        let sms = Stack::new()
            .with_provider("mine", own)
            .with_urls(TWO)
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(sms.profile().name(), "mine,kpn,cm");
    }

    #[test]
    fn what_is_not_a_list_of_urls_is_refused_without_showing_it() {
        for urls in [
            "",
            "  ",
            "kpn://a:hunter2@default nonsense-hunter2",
            "kpn://a:hunter2@default xyz://hunter2@default",
        ] {
            let error = failover(urls).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let stack = Stack::new().with_urls(TWO).unwrap();
        assert!(!format!("{stack:?}").contains("hunter2"));
    }
}
