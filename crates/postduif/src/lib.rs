#![cfg_attr(feature = "kpn", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "kpn"),
    doc = "Text messages through any vendor. Turn on a vendor's feature, such as `kpn`."
)]
#![cfg_attr(
    all(
        feature = "all-providers",
        feature = "axum",
        feature = "callouts",
        feature = "layers",
        feature = "regional-numbers",
        feature = "sandbox",
    ),
    doc = "
## Where things are

| task | items |
|---|---|
| send messages | [`from_url`], [`Settings`], [`Message`], [`SmsProvider`], [`Receipt`], [`SendError`] |
| several vendors, limits | [`failover`], [`Stack`], [`layers`] |
| delivery reports | [`webhooks::Reports`] has the routes, [`LatestReports`] is a store; for routes of your own [`report_parser`] |
| inbound texts, opt-outs | [`webhooks::Inbound`] has the routes, [`layers::OptOuts`] fills the list of [`layers::Suppress`]; for routes of your own [`inbound_parser`], [`OptOutWords`] |
| phone numbers, texts | [`PhoneNumber`], [`numbers`], [`Text`], [`mod@text`] |
| the HTTP client | [`http::Client`] |
| test a service | [`testing::Recording`]; its routes of reports: [`testing::sandbox::ReportOrder`] |
| a provider of your own | [`http::vendor`], [`testing::conformance!`] |
| onboarding | [`onboarding::Onboarding`], [`queue::Queue`] and its [`queue::Worker`], or [`onboarding::Runner`] without a store, [`entra::Entra`], [`entra::CallerVerifier`], [`webhooks::Callouts`] |
| a store of your own | [`queue::Engine`], [`testing::engine_conformance!`]; without a queue [`onboarding::Journal`], [`testing::journal_conformance!`] |
| one vendor | [`cm`], [`kpn`], [`messagebird`], [`smstools`], [`spryng`], [`twilio`], [`vonage`], and [`webhook`], a gateway of yours |
"
)]

use std::sync::Arc;

pub mod _documentation {
    //! The pages of this project that are not about a single item.

    #[doc = include_str!("../docs/compare.md")]
    pub mod compare {}

    #[doc = include_str!("../docs/design.md")]
    pub mod design {}

    #[doc = include_str!("../docs/outbox.md")]
    pub mod outbox {}

    #[doc = include_str!("../docs/vendors.md")]
    pub mod vendors {}

    /// Programs to copy from. The repository has more of them in `examples/`.
    pub mod examples {
        /// Several vendors, and what moves to the next one.
        #[doc = concat!("```text\n", include_str!("../docs/examples/failover.rs"), "```")]
        pub mod failover {}

        /// A web service that receives delivery reports, with axum.
        #[doc = concat!("```text\n", include_str!("../docs/examples/report_routes.rs"), "```")]
        pub mod report_routes {}

        /// A provider of your own.
        #[doc = concat!("```text\n", include_str!("../docs/examples/custom_provider.rs"), "```")]
        pub mod custom_provider {}
    }
}

pub use postduif_core::*;

#[cfg(feature = "entra")]
pub use postduif_entra as entra;
#[cfg(feature = "http")]
pub use postduif_http as http;
#[cfg(feature = "queue")]
pub mod queue;
mod settings;
#[cfg(feature = "layers")]
mod stack;

#[cfg(feature = "layers")]
pub use postduif_layers as layers;
#[cfg(feature = "regional-numbers")]
pub use postduif_numbers as numbers;
#[cfg(feature = "onboarding")]
pub use postduif_onboarding as onboarding;
#[cfg(feature = "testing")]
pub use postduif_testkit as testing;
pub use postduif_text as text;
#[cfg(feature = "webhooks")]
pub use postduif_webhooks as webhooks;
pub use settings::Settings;

/// Creates a provider from its connection URL, `vendor://id:secret@host?option=value`, over the HTTP client that all
/// providers of the process share. The host `default` is the vendor's own.
///
/// The first provider of a process takes about 20 ms to build, since the system's certificates are read; each further
/// one a fraction of a millisecond. Build it once all the same, and share it, since its token is kept.
///
/// Sending needs a tokio runtime with I/O and time enabled; without it a send fails as `Misconfigured`. Several runtimes
/// may send through one provider, and each has connections of its own.
///
/// Credentials may also stand among the options, where each may be `env:NAME` or `file:PATH`. `null://`, with anything
/// behind it, is [`Null`]: it needs no feature, accepts every message and sends none.
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
/// Where the URL is invalid, or of a vendor that is not compiled in: the error names the feature to enable.
/// No error shows the URL.
pub fn from_url(url: &str) -> Result<Arc<dyn SmsProvider>, ConfigError> {
    has_no_limits(url)?;
    open(url, None)
}

/// Creates a provider as [`from_url`] does, over the given HTTP client: a proxy, roots, a resolver, deadlines, headers
/// such as `traceparent`.
///
/// ```
/// # #[cfg(feature = "kpn")] {
/// let client = postduif::http::Client::builder()
///     .with_proxy("http://proxy.example.com:3128")
///     .build()?;
/// let sms = postduif::from_url_with("kpn://client-id:client-secret@default", &client)?;
/// # }
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// # Errors
///
/// As [`from_url`].
#[cfg(feature = "http")]
pub fn from_url_with(
    url: &str,
    client: &http::Client,
) -> Result<Arc<dyn SmsProvider>, ConfigError> {
    has_no_limits(url)?;
    open(url, Some(client))
}

/// The options of a URL that are limits around a vendor, not the vendor's.
const LIMITS: [&str; 6] = [
    "rate",
    "burst",
    "in_flight",
    "max_wait",
    "timeout",
    "attempts",
];

/// What somebody who looks for `Stack::with_deadline` would write.
const DEADLINE: &str = "deadline";

fn deadline_is_no_option() -> ConfigError {
    ConfigError::new(
        "deadline is no option of a URL: it is one for all vendors together, so set it with \
         postduif::Stack::with_deadline; timeout limits the calls to one vendor",
    )
}

/// Refuses what `failover` takes and a single vendor does not know.
fn has_no_limits(url: &str) -> Result<(), ConfigError> {
    let options = url.split_once('?').map_or("", |(_, options)| options);
    let mut names = options
        .split('&')
        .map(|option| option.split('=').next().unwrap_or_default());
    match names.find(|name| LIMITS.contains(name) || *name == DEADLINE) {
        Some(DEADLINE) => Err(deadline_is_no_option()),
        Some(name) => Err(ConfigError::new(format!(
            "the option {name} is a limit around a vendor: build it with postduif::failover, \
             which takes one URL, too"
        ))),
        None => Ok(()),
    }
}

#[cfg(feature = "http")]
use http::Client as HttpClient;

/// Without a vendor there is no client: a type without values.
#[cfg(not(feature = "http"))]
enum HttpClient {}

#[cfg(all(feature = "layers", feature = "http"))]
pub use stack::failover_with;
#[cfg(feature = "layers")]
pub use stack::{Stack, failover};

/// Creates a parser of a vendor's delivery reports, chosen at run time.
///
/// The API is that of the connection URL, where a vendor has several:
///
/// | vendor | APIs |
/// |---|---|
/// | `messagebird` | `platform`, `classic`, `channels`; without one the secret tells the first two apart |
/// | `spryng` | `v2`, the default; `v1` |
/// | `vonage` | `messages`, the default; `sms` |
///
/// Vonage's SMS API signs by one method for each account: `md5hash` unless the account was changed, or `md5`, `sha1`,
/// `sha256` or `sha512`. Set it with [`ReportOptions::with_signature_method`]. Reports of one of its APIs are unsigned
/// to the parser of the other.
///
/// ```
/// # #[cfg(feature = "kpn")] {
/// use postduif::ReportOptions;
///
/// let parser = postduif::report_parser("kpn", ReportOptions::new(["signing-secret"]))?;
/// assert_eq!(parser.authenticity(), postduif::Authenticity::BodyOnly);
/// # }
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// In a test, with the feature `sandbox`, `testing::sandbox` makes the requests of each vendor, signed with a secret of
/// the test:
///
/// ```
/// # #[cfg(all(feature = "sandbox", feature = "smstools"))] {
/// use std::time::SystemTime;
///
/// use postduif::testing::ReportCall;
/// use postduif::testing::sandbox::{ReportOrder, ReportStatus};
/// use postduif::{DeliveryStatus, ReportErrorKind, ReportOptions};
///
/// let parser = postduif::report_parser("smstools", ReportOptions::new(["test-secret"]))?;
/// let url = "https://hooks.example.com/reports/smstools";
/// let order = ReportOrder::new("01J9Z8Q4T6M2V7X3", ReportStatus::Delivered);
///
/// let genuine = ReportCall::from(order.clone().secret("test-secret").request("smstools", url)?);
/// let reports = genuine.parse(&*parser, SystemTime::now().into())?;
/// assert_eq!(reports[0].status, DeliveryStatus::Delivered);
/// assert_eq!(reports[0].reference.unwrap().as_str(), "01J9Z8Q4T6M2V7X3");
///
/// let forged = ReportCall::from(order.secret("another-secret").request("smstools", url)?);
/// let error = forged.parse(&*parser, SystemTime::now().into()).unwrap_err();
/// assert_eq!(error.kind(), ReportErrorKind::Forged);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Where the vendor is not compiled in, has no such API or signature method, or there is no secret: no parser
/// believes a report without one.
pub fn report_parser(
    vendor: &str,
    options: ReportOptions,
) -> Result<Arc<dyn ReportParser>, ConfigError> {
    reports(vendor, options)
}

/// Creates a parser of what people send to your numbers at a vendor, chosen at run time.
///
/// The secrets, the APIs and the signature methods are those of [`report_parser`], and the same URL may serve both.
/// Spryng documents no inbound texts for its API `v1`, which is an error here.
///
/// ```
/// # #[cfg(feature = "kpn")] {
/// use postduif::ReportOptions;
///
/// let parser = postduif::inbound_parser("kpn", ReportOptions::new(["signing-secret"]))?;
/// assert_eq!(parser.authenticity(), postduif::Authenticity::BodyOnly);
/// # }
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// # Errors
///
/// As [`report_parser`].
pub fn inbound_parser(
    vendor: &str,
    options: ReportOptions,
) -> Result<Arc<dyn InboundParser>, ConfigError> {
    inbound(vendor, options)
}

/// A text that is no URL at all.
fn no_url(text: &str) -> ConfigError {
    let what = match text.trim() {
        "" => "no connection URL was given",
        _ => "this is no connection URL: it has no ://",
    };
    ConfigError::new(format!(
        "{what}; write vendor://id:secret@host?option=value, which begins with one of {KNOWN}"
    ))
}

fn no_scheme() -> ConfigError {
    ConfigError::new(
        "the connection URL does not begin with a vendor's scheme: leave out what is before it, such as \
         SMS_URL= or a quotation mark",
    )
}

fn is_scheme(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// One line for each vendor: its scheme, which is its feature, its crate, which has `report_parser` and
/// `inbound_parser`, and the provider.
macro_rules! vendors {
    ($($scheme:literal => $package:ident as $vendor:ident::$provider:ident),+ $(,)?) => {
        $(
            #[cfg(feature = $scheme)]
            pub use $package as $vendor;
        )+

        fn open(url: &str, client: Option<&HttpClient>) -> Result<Arc<dyn SmsProvider>, ConfigError> {
            // No vendor may be there to use it.
            let _ = client;
            let Some((before, _)) = url.split_once("://") else {
                return Err(no_url(url));
            };
            let scheme = before.trim_start().to_ascii_lowercase();
            match scheme.as_str() {
                $(
                    #[cfg(feature = $scheme)]
                    $scheme => Ok(Arc::new(match client {
                        None => $vendor::$provider::from_url(url)?,
                        Some(client) => $vendor::$provider::from_url_with(url, client)?,
                    })),
                    #[cfg(not(feature = $scheme))]
                    $scheme => Err(not_compiled_in($scheme)),
                )+
                "null" => Ok(Arc::new(Null::new())),
                scheme if !is_scheme(scheme) => Err(no_scheme()),
                _ => Err(ConfigError::new(format!("unknown scheme; known are {KNOWN}"))),
            }
        }

        /// The vendors that are compiled in, by scheme, in alphabetical order.
        ///
        /// ```
        /// # #[cfg(feature = "kpn")]
        /// assert!(postduif::VENDORS.contains(&"kpn"));
        /// ```
        pub const VENDORS: &[&str] = &[$(#[cfg(feature = $scheme)] $scheme),+];

        /// What a URL may begin with.
        const KNOWN: &str = concat!($($scheme, "://, ",)+ "null://");

        fn reports(
            vendor: &str,
            options: ReportOptions,
        ) -> Result<Arc<dyn ReportParser>, ConfigError> {
            // No vendor may be there to use them.
            let _ = &options;
            match vendor {
                $(
                    #[cfg(feature = $scheme)]
                    $scheme => $vendor::report_parser(options),
                )+
                _ => Err(no_such_vendor(vendor)),
            }
        }

        fn inbound(
            vendor: &str,
            options: ReportOptions,
        ) -> Result<Arc<dyn InboundParser>, ConfigError> {
            // No vendor may be there to use them.
            let _ = &options;
            match vendor {
                $(
                    #[cfg(feature = $scheme)]
                    $scheme => $vendor::inbound_parser(options),
                )+
                _ => Err(no_such_vendor(vendor)),
            }
        }

        fn no_such_vendor(vendor: &str) -> ConfigError {
            match vendor {
                $(
                    #[cfg(not(feature = $scheme))]
                    $scheme => not_compiled_in($scheme),
                )+
                _ => ConfigError::new(concat!("unknown vendor; known are", $(" ", $scheme,)+)),
            }
        }

        #[cfg(not(all($(feature = $scheme),+)))]
        fn not_compiled_in(vendor: &str) -> ConfigError {
            ConfigError::new(format!(
                "{vendor} is not compiled in: turn on the feature `{vendor}` of postduif"
            ))
        }
    };
}

vendors! {
    "cm" => postduif_cm as cm::Cm,
    "kpn" => postduif_kpn as kpn::Kpn,
    "messagebird" => postduif_messagebird as messagebird::MessageBird,
    "smstools" => postduif_smstools as smstools::Smstools,
    "spryng" => postduif_spryng as spryng::Spryng,
    "twilio" => postduif_twilio as twilio::Twilio,
    "vonage" => postduif_vonage as vonage::Vonage,
    "webhook" => postduif_webhook as webhook::Webhook,
}
