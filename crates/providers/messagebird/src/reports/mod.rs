//! The delivery reports of each API.

mod channels;
mod classic;
mod platform;

use std::sync::Arc;

use postduif_core::{ConfigError, ReportError, ReportOptions, ReportParser, ReportRequest};
use postduif_http::vendor::reports::{api, one_signature_method};
use secrecy::{ExposeSecret as _, SecretString};

use crate::Api;

pub use channels::ChannelsReports;
pub use classic::ClassicReports;
pub(crate) use classic::PARAMETERS as CLASSIC_PARAMETERS;
pub use platform::PlatformReports;

/// Creates a parser for the vendor's reports, chosen at run time: of the API `platform`, `classic` or `channels`.
/// Defaults to `platform` if the secrets start with `whsec_`, else to `classic`.
///
/// # Errors
///
/// Returns an error if there is no such API, or no secret.
pub fn report_parser(options: ReportOptions) -> Result<Arc<dyn ReportParser>, ConfigError> {
    let api = api_of(&options)?;
    let secrets = options.into_secrets();
    Ok(match api {
        Api::Channels => Arc::new(ChannelsReports::new(secrets)?),
        Api::Classic => Arc::new(ClassicReports::new(secrets)?),
        Api::Platform => Arc::new(PlatformReports::new(secrets)?),
    })
}

/// Returns the API that the options name. Defaults to `platform` if the secrets start with `whsec_`, else to `classic`.
pub(crate) fn api_of(options: &ReportOptions) -> Result<Api, ConfigError> {
    one_signature_method(options)?;
    let of_platform = |secret: &SecretString| secret.expose_secret().starts_with("whsec_");
    let secrets = options.secrets();
    let by_secret = if !secrets.is_empty() && secrets.iter().all(of_platform) {
        Api::Platform
    } else {
        Api::Classic
    };
    Ok(api(options)?.unwrap_or(by_secret))
}

/// Returns a header that proves a report, such as a signature.
fn signature<'r>(request: &'r ReportRequest<'_>, name: &str) -> Result<&'r str, ReportError> {
    let value = request.header(name)?.filter(|value| !value.is_empty());
    value.ok_or(ReportError::unsigned("the request has no signature"))
}

/// The maximum number of digits of a code. All known codes are numbers.
const MAX_CODE: usize = 5;

/// The observed reasons of failures, for reports without a code.
static REASONS: &[&str] = &[
    "capacity_limit_reached",
    "carrier_rejected",
    "dlr_not_received",
    "expired",
    "received_network_error",
    "unavailable_subscriber",
    "unknown_subscriber",
];

/// Returns a reason as a code. `None` if it is not listed.
fn listed_reason(reason: Option<&str>) -> Option<String> {
    let listed = REASONS.iter().find(|listed| Some(**listed) == reason);
    listed.map(|listed| (*listed).to_owned())
}

/// Returns a reason in lower case, with underscores for spaces.
pub(crate) fn normalized(reason: &str) -> String {
    reason.trim().to_ascii_lowercase().replace(' ', "_")
}
