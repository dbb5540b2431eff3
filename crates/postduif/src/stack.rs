use std::{num::NonZeroU32, sync::Arc, time::Duration};

use postduif_core::{ConfigError, SmsProvider};
use postduif_layers::{Failover, Member, RateLimit, Retry, Timeout, Traced};

/// How long one vendor call may take: after it the message is in doubt, so it is longer than any vendor needs.
const DEADLINE: Duration = Duration::from_secs(20);
/// Messages a second and vendor: below what any of them allows by its page.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// The recommended stack over several vendors: their URLs in order, separated by white space.
///
/// ```text
/// Traced                       one span a call, one event an outcome
///  └ Failover                  the next vendor for what was certainly not sent
///     ├ Retry                  again, where that is certain and may pass
///     │  └ RateLimit           10 messages a second
///     │     └ Timeout          20 seconds a vendor call
///     │        └ kpn
///     └ Retry …
///        └ cm
/// ```
///
/// One URL is a stack over one vendor. Two accounts of one vendor are told apart as `kpn` and `kpn-2`. For
/// other limits, put the [layers](crate::layers) together yourself: it is five lines.
///
/// ```
/// # #[cfg(all(feature = "kpn", feature = "cm"))] {
/// let sms = postduif::failover("kpn://id:secret@default?sender=Contoso  cm://token@default?sender=Contoso")?;
/// assert_eq!(sms.profile().name(), "kpn,cm");
/// # }
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// # Errors
///
/// As [`from_url`](crate::from_url), for the first URL that is none; and where there is no URL.
pub fn failover(urls: &str) -> Result<Arc<dyn SmsProvider>, ConfigError> {
    stack(urls, crate::from_url)
}

/// As [`failover`], over an HTTP client that you configured.
///
/// # Errors
///
/// As [`failover`].
#[cfg(feature = "_http")]
pub fn failover_with(
    urls: &str,
    client: &crate::http::Client,
) -> Result<Arc<dyn SmsProvider>, ConfigError> {
    stack(urls, |url| crate::from_url_with(url, client))
}

fn stack(
    urls: &str,
    open: impl Fn(&str) -> Result<Arc<dyn SmsProvider>, ConfigError>,
) -> Result<Arc<dyn SmsProvider>, ConfigError> {
    let mut members: Vec<(String, Member)> = Vec::new();
    for url in urls.split_whitespace() {
        let vendor = open(url)?;
        let name = vendor.profile().name().to_owned();
        let same = members.iter().filter(|(known, _)| *known == name).count();
        let member = match same {
            0 => name.clone(),
            earlier => format!("{name}-{}", earlier + 1),
        };
        let stack = Retry::new(RateLimit::new(Timeout::new(vendor, DEADLINE), PER_SECOND));
        members.push((name, Member::new(member, stack)));
    }
    let members = members.into_iter().map(|(_, member)| member);
    Ok(Arc::new(Traced::new(Failover::new(members)?)))
}

#[cfg(all(test, feature = "kpn", feature = "cm"))]
mod tests {
    use super::*;

    const TWO: &str = "kpn://id:hunter2@default\n  cm://hunter2@default?sender=Contoso";

    #[test]
    fn the_recommended_stack_stands_in_the_order_of_the_readme() {
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
    fn two_accounts_of_one_vendor_are_told_apart() {
        let sms =
            failover("kpn://a:b@default kpn://c:d@default cm://e@default?sender=Contoso").unwrap();
        assert_eq!(sms.profile().name(), "kpn,kpn-2,cm");
    }

    #[test]
    fn what_is_no_list_of_urls_is_refused_without_showing_it() {
        for urls in [
            "",
            "  ",
            "kpn://a:hunter2@default nonsense-hunter2",
            "kpn://a:hunter2@default xyz://hunter2@default",
        ] {
            let error = failover(urls).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
