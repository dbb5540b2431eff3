#![cfg_attr(feature = "kpn", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "kpn"),
    doc = "Text messages through any vendor. Turn on a vendor's feature, such as `kpn`."
)]

use std::sync::Arc;

pub use postduif_core::*;

#[cfg(feature = "entra")]
pub use postduif_entra as entra;
#[cfg(feature = "_http")]
pub use postduif_http as http;
#[cfg(feature = "kpn")]
pub use postduif_kpn as kpn;
#[cfg(feature = "onboarding")]
pub use postduif_onboarding as onboarding;
#[cfg(feature = "testing")]
pub use postduif_testkit as testing;

/// A provider from its connection URL, `vendor://id:secret@host?option=value`, with an HTTP client of its
/// own. The host `default` is the vendor's.
///
/// Credentials may also stand among the options, where each may be `env:NAME` or `file:PATH`.
///
/// ```
/// # #[cfg(feature = "kpn")] {
/// let sms = postduif::from_url("kpn://client-id:client-secret@default?sender=Contoso")?;
/// assert_eq!(sms.profile().name(), "kpn");
/// # }
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// # Errors
///
/// Where the URL is none, or of a vendor that is not compiled in: the error names the feature to turn on.
/// No error shows the URL.
pub fn from_url(url: &str) -> Result<Arc<dyn SmsProvider>, ConfigError> {
    open(url, None)
}

/// As [`from_url`], over an HTTP client that you configured: a proxy, roots, a resolver, deadlines.
///
/// # Errors
///
/// As [`from_url`].
#[cfg(feature = "_http")]
pub fn from_url_with(
    url: &str,
    client: &http::Client,
) -> Result<Arc<dyn SmsProvider>, ConfigError> {
    open(url, Some(client))
}

#[cfg(not(feature = "_http"))]
mod http {
    /// Without a vendor there is no client: a type without values.
    pub(crate) enum Client {}
}

/// One line for each vendor: its scheme, which is its feature, and its provider.
macro_rules! vendors {
    ($($scheme:literal => $provider:path),+ $(,)?) => {
        fn open(url: &str, client: Option<&http::Client>) -> Result<Arc<dyn SmsProvider>, ConfigError> {
            // No vendor may be there to use it.
            let _ = client;
            match url.split_once("://").map_or("", |(scheme, _)| scheme) {
                $(
                    #[cfg(feature = $scheme)]
                    $scheme => Ok(Arc::new(match client {
                        None => <$provider>::from_url(url)?,
                        Some(client) => <$provider>::from_url_with(url, client)?,
                    })),
                    #[cfg(not(feature = $scheme))]
                    $scheme => Err(ConfigError::new(concat!(
                        $scheme, ":// is not compiled in: turn on the feature `", $scheme, "` of postduif",
                    ))),
                )+
                _ => Err(ConfigError::new(concat!(
                    "no vendor has this scheme; known are", $(" ", $scheme, "://",)+
                ))),
            }
        }
    };
}

vendors! {
    "kpn" => kpn::Kpn,
}
