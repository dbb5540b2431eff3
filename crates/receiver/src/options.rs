//! The command line, and what follows from it.

use std::{num::NonZeroUsize, process::ExitCode, sync::Arc, time::Duration};

use clap::{
    Parser, ValueEnum,
    error::{ContextKind, ErrorKind},
};
use postduif::{
    ConfigError, Guid, PhoneNumber, Prefix, SecretString, SmsProvider,
    directory::{AccessPackageStage, RequestType},
    entra::{CalloutParser, Cloud, Credential},
    layers::{OnlyTo, RedirectTo},
    numbers,
    onboarding::{CompleteOn, Numbers, ReadNumber},
};

use crate::{logs, operate, sandbox};

/// Receives Entra's call-outs, texts each new colleague a Temporary Access Pass, and tells Entra to go on.
///
/// Each option is also an environment variable: POSTDUIF_ and its name, several values separated by white space. The
/// tenant comes from ENTRA_TENANT_ID, ENTRA_CLIENT_ID and ENTRA_CLIENT_SECRET, or from a sandbox.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example, beside a sandbox (cargo run -p postduif-sandbox):\n  \
                  cargo run -p postduif-receiver -- --sandbox http://127.0.0.1:8160"
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<operate::Command>,
    /// The address to listen on
    #[arg(long, env = "POSTDUIF_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Where flows are stored: sqlite://FILE for one process; postgres://… for any number, where ?schema=NAME names a
    /// schema; nats://… for any number, too; or memory, which a restart forgets
    #[arg(
        long,
        env = "POSTDUIF_STORE",
        value_name = "URL",
        global = true,
        default_value = "sqlite://postduif.db",
        hide_env_values = true
    )]
    pub(crate) store: String,
    /// How long a flow stays with a process that has died: from 1s to 1h
    #[arg(long, env = "POSTDUIF_LEASE", default_value = "60s", value_parser = lease)]
    pub(crate) lease: Duration,
    /// The connection URL of a vendor; several are a failover, in order
    #[arg(
        long,
        env = "POSTDUIF_SMS_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(crate) sms_url: Vec<List<String>>,
    /// The URL of a sandbox that runs, for everything that is not given otherwise
    #[arg(long, env = "POSTDUIF_SANDBOX", value_name = "URL")]
    pub(crate) sandbox: Option<String>,
    /// What a call-out's token must be for: the service's application id, or its id URI
    #[arg(long, env = "POSTDUIF_AUDIENCE")]
    pub(crate) audience: Vec<List<String>>,
    /// The application ids that may call out
    #[arg(long, env = "POSTDUIF_CALLER", value_name = "GUID")]
    pub(crate) caller: Vec<List<Guid>>,
    /// Access packages of these catalogs only; defaults to all
    #[arg(long, env = "POSTDUIF_CATALOG", value_name = "GUID")]
    pub(crate) catalog: Vec<List<Guid>>,
    /// Access packages at these stages only; defaults to assignmentRequestGranted
    #[arg(long, env = "POSTDUIF_STAGE", value_name = "NAME")]
    pub(crate) stage: Vec<List<AccessPackageStage>>,
    /// Access packages of these types of request only; defaults to those that add an assignment
    #[arg(long, env = "POSTDUIF_REQUEST_TYPE", value_name = "NAME")]
    pub(crate) request_type: Vec<List<RequestType>>,
    /// The origin that vendors call, and that their signatures cover: https, or http on loopback
    #[arg(long, env = "POSTDUIF_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// A vendor's own signing secret of its delivery reports; several of one vendor are a rotation
    #[arg(
        long,
        env = "POSTDUIF_REPORT_SECRET",
        value_name = "VENDOR=SECRET",
        hide_env_values = true
    )]
    pub(crate) report_secret: Vec<List<VendorSecret>>,
    /// A secret of yours, of at least 16 characters, at the end of the path of a vendor that does not sign everything
    #[arg(
        long,
        env = "POSTDUIF_PATH_SECRET",
        value_name = "VENDOR=SECRET",
        hide_env_values = true
    )]
    pub(crate) path_secret: Vec<List<VendorSecret>>,
    /// Where events are posted, such as that a flow has failed: https, or http on loopback
    #[arg(
        long,
        env = "POSTDUIF_EVENT_URL",
        value_name = "URL",
        requires = "event_secret",
        hide_env_values = true
    )]
    pub(crate) event_url: Option<SecretString>,
    /// The secret that signs events by Standard Webhooks: whsec_ and base64
    #[arg(
        long,
        env = "POSTDUIF_EVENT_SECRET",
        value_name = "SECRET",
        requires = "event_url",
        hide_env_values = true
    )]
    pub(crate) event_secret: Option<SecretString>,
    /// How long a flow that has ended is kept whole; then its id and verdict stay
    #[arg(long, env = "POSTDUIF_KEEP_FLOWS", value_name = "DAYS", default_value = "30d", value_parser = days)]
    pub(crate) keep_flows: Duration,
    /// How long the audit is kept, and the ids and verdicts of flows: at least 30d
    #[arg(long, env = "POSTDUIF_KEEP_AUDIT", value_name = "DAYS", default_value = "730d", value_parser = days)]
    pub(crate) keep_audit: Duration,
    /// How many flows run at a time; those that wait, for Graph or for a report, do not count
    #[arg(long, env = "POSTDUIF_WORKERS", default_value = "16")]
    pub(crate) workers: NonZeroUsize,
    /// How long Entra waits for a lifecycle workflow's task, as configured there
    #[arg(long, env = "POSTDUIF_WINDOW", default_value = "PT30M", value_parser = window)]
    pub(crate) window: Duration,
    /// When a flow is complete
    #[arg(long, env = "POSTDUIF_COMPLETE_ON", default_value = "accepted")]
    pub(crate) complete_on: Complete,
    /// The region of numbers without a country code, where a user has none
    #[arg(long, env = "POSTDUIF_REGION", default_value = "NL", value_parser = region)]
    pub(crate) region: String,
    #[command(flatten)]
    pub(crate) safety: Safety,
    /// The format of the logs on stderr; RUST_LOG decides what is logged
    #[arg(long, env = "POSTDUIF_LOG", default_value = "text")]
    pub(crate) log: logs::Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Complete {
    /// When the vendor has accepted the text
    Accepted,
    /// When the vendor has reported that the text was delivered
    Delivered,
}

impl From<Complete> for CompleteOn {
    fn from(complete: Complete) -> Self {
        match complete {
            Complete::Accepted => Self::Accepted,
            Complete::Delivered => Self::Delivered,
        }
    }
}

/// Options that keep a test system from texting strangers.
#[derive(clap::Args, Debug)]
pub(crate) struct Safety {
    /// Send to these numbers or prefixes only; every other is refused before any call
    #[arg(long, env = "POSTDUIF_ONLY_TO", value_name = "NUMBER|PREFIX")]
    only_to: Vec<List<Prefix>>,
    /// Send everything to this number instead, with the masked original in front
    #[arg(long, env = "POSTDUIF_REDIRECT_TO", value_name = "NUMBER")]
    redirect_to: Option<PhoneNumber>,
}

impl Safety {
    /// Wraps a provider. With both options, `--only-to` checks the number of `--redirect-to`.
    pub(crate) fn around(&self, mut provider: Arc<dyn SmsProvider>) -> Arc<dyn SmsProvider> {
        if !self.only_to.is_empty() {
            provider = Arc::new(OnlyTo::new(provider, all(&self.only_to)));
        }
        match self.redirect_to {
            Some(number) => Arc::new(RedirectTo::new(provider, number)),
            None => provider,
        }
    }
}

/// One or more values, separated by white space. None is refused: an empty list of what is allowed would allow all.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(Vec<T>);

impl<T> std::str::FromStr for List<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let values = text.split_whitespace().map(str::parse);
        let values: Vec<T> = values
            .collect::<Result<_, T::Err>>()
            .map_err(|error| error.to_string())?;
        if values.is_empty() {
            return Err("no value is given".to_owned());
        }
        Ok(Self(values))
    }
}

/// Returns the values of an option that was given any number of times.
pub(crate) fn all<T: Clone>(lists: &[List<T>]) -> Vec<T> {
    lists.iter().flat_map(|list| list.0.clone()).collect()
}

/// The secret of a vendor, as `VENDOR=SECRET`.
#[derive(Clone, Debug)]
pub(crate) struct VendorSecret {
    pub(crate) vendor: String,
    pub(crate) secret: SecretString,
}

impl std::str::FromStr for VendorSecret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((vendor, secret)) if !vendor.is_empty() && !secret.is_empty() => Ok(Self {
                vendor: vendor.to_owned(),
                secret: secret.into(),
            }),
            _ => Err("expected VENDOR=SECRET"),
        }
    }
}

/// Reads a duration of hours and minutes as Entra shows it, such as `PT30M` or `PT1H30M`.
fn window(text: &str) -> Result<Duration, String> {
    let expected =
        || "expected a duration such as PT30M or PT1H30M, of 5 minutes to 3 hours".to_owned();
    let mut rest = text.strip_prefix("PT").ok_or_else(expected)?;
    let mut minutes = 0;
    for (unit, length) in [('H', 60), ('M', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let number: u64 = number.parse().map_err(|_| expected())?;
            minutes += number.min(1_000) * length;
            rest = after;
        }
    }
    match (rest, minutes) {
        ("", 5..=180) => Ok(Duration::from_secs(minutes * 60)),
        _ => Err(expected()),
    }
}

/// Reads a duration of seconds or minutes, such as `60s` or `2m`.
fn lease(text: &str) -> Result<Duration, &'static str> {
    let expected = "expected a duration such as 60s or 2m";
    let (number, unit) = match text.strip_suffix('s') {
        Some(number) => (number, 1),
        None => (text.strip_suffix('m').ok_or(expected)?, 60),
    };
    let number: u32 = number.parse().map_err(|_| expected)?;
    Ok(Duration::from_secs(u64::from(number) * unit))
}

/// Reads a number of days, such as `30d`.
fn days(text: &str) -> Result<Duration, &'static str> {
    let expected = "expected a number of days such as 30d";
    let number: u16 = text
        .strip_suffix('d')
        .ok_or(expected)?
        .parse()
        .map_err(|_| expected)?;
    Ok(Duration::from_secs(u64::from(number) * 24 * 3600))
}

/// Reads a region, since a wrong one would refuse every number without a country code.
fn region(text: &str) -> Result<String, &'static str> {
    use postduif::PhoneNumberErrorKind as Kind;
    match numbers::read("0", Some(text)).map_err(|error| error.kind()) {
        Err(Kind::UnknownRegion | Kind::NoRegion) => {
            Err("expected a region of ISO 3166, two letters such as NL")
        }
        Ok(_) | Err(_) => Ok(text.to_owned()),
    }
}

/// Says what is wrong with the configuration.
pub(crate) fn wrong(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(2)
}

fn is_a_name(error: &clap::Error) -> bool {
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    argument.is_some_and(|argument| argument.starts_with('-'))
        || error.get(ContextKind::SuggestedSubcommand).is_some()
}

impl Options {
    /// Reads the command line and the environment. Prints what is wrong with it, or the help.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| match error.kind() {
            // clap's message repeats the value, which may be a secret.
            ErrorKind::ValueValidation => {
                let option = error.get(ContextKind::InvalidArg).map(ToString::to_string);
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                wrong(&format!(
                    "{}: {}",
                    option.unwrap_or_default(),
                    cause.unwrap_or_default()
                ))
            }
            // So do these, unless it is the name of an option or resembles a command.
            ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument if !is_a_name(&error) => {
                wrong(
                    "an argument is neither a command nor behind its option: give each value behind its option, and \
                     several as several options",
                )
            }
            _ => {
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
        })
    }

    /// Returns the parser of call-outs.
    pub(crate) fn parser(&self) -> CalloutParser {
        let mut parser = CalloutParser::new();
        if !self.catalog.is_empty() {
            parser = parser.with_catalogs(all(&self.catalog));
        }
        if !self.stage.is_empty() {
            parser = parser.with_stages(all(&self.stage));
        }
        if !self.request_type.is_empty() {
            parser = parser.with_request_types(all(&self.request_type));
        }
        parser
    }
}

/// Returns how numbers are read: as people type them, in the user's region or this one.
pub(crate) fn numbers(region: &str) -> Numbers {
    Numbers::reading(region.to_owned(), |typed, region| {
        let reading = numbers::read(typed, Some(region))?;
        let is_known = reading.is_known();
        Ok(ReadNumber::new(reading.require_mobile()?, is_known))
    })
}

/// The tenant: where it is, what this service is there, and who calls.
pub(crate) struct Directory {
    pub(crate) tenant: String,
    pub(crate) credential: Credential,
    pub(crate) cloud: Cloud,
    pub(crate) audiences: Vec<String>,
    pub(crate) callers: Vec<Guid>,
    /// What a sandbox says about its vendors.
    pub(crate) sandbox: Option<sandbox::Vendors>,
}

impl Directory {
    /// Reads the environment, or asks the sandbox. An option of its own overrides the sandbox's value.
    pub(crate) async fn of(options: &Options) -> Result<Self, ConfigError> {
        let mut directory = match &options.sandbox {
            Some(url) => sandbox::directory(url).await?,
            None => Self::from_environment()?,
        };
        if !options.audience.is_empty() {
            directory.audiences = all(&options.audience);
        }
        if !options.caller.is_empty() {
            directory.callers = all(&options.caller);
        }
        Ok(directory)
    }

    /// Refuses a service that nobody could call, by the names of its options.
    pub(crate) fn check_callers(&self) -> Result<(), ConfigError> {
        if self.audiences.is_empty() {
            return Err(ConfigError::new(
                "no audience: give the application id of this service, or its application id URI, with --audience",
            ));
        }
        if self.callers.is_empty() {
            return Err(ConfigError::new(
                "no caller: give the application id of who calls out, with --caller",
            ));
        }
        Ok(())
    }

    fn from_environment() -> Result<Self, ConfigError> {
        let variable = |name: &str| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            value.ok_or_else(|| {
                ConfigError::new(format!(
                    "{name} is not set: set ENTRA_TENANT_ID, ENTRA_CLIENT_ID and ENTRA_CLIENT_SECRET, or use --sandbox"
                ))
            })
        };
        let tenant = variable("ENTRA_TENANT_ID")?;
        let (id, secret) = (
            variable("ENTRA_CLIENT_ID")?,
            variable("ENTRA_CLIENT_SECRET")?,
        );
        Ok(Self {
            credential: Credential::client_secret(tenant.clone(), id, secret),
            tenant,
            cloud: Cloud::GLOBAL,
            audiences: Vec::new(),
            callers: Vec::new(),
            sandbox: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_one_that_entra_allows() {
        for (text, minutes) in [("PT30M", 30), ("PT5M", 5), ("PT3H", 180), ("PT1H30M", 90)] {
            assert_eq!(
                window(text),
                Ok(Duration::from_secs(minutes * 60)),
                "{text}"
            );
        }
        for text in [
            "",
            "30",
            "30m",
            "PT",
            "PT4M",
            "PT181M",
            "PT4H",
            "P1D",
            "PT30M1H",
            "PT-5M",
            "PT99999999999H",
        ] {
            assert!(window(text).is_err(), "{text}");
        }
    }

    #[test]
    fn several_values_are_separated_by_any_white_space_and_none_is_refused() {
        let guids: List<Guid> = " 9b1c3e5f-2d4a-4c6e-8a90-1b2c3d4e5f60\n\t\
                                 5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43  "
            .parse()
            .unwrap();
        assert_eq!(all(&[guids.clone(), guids]).len(), 4);
        for text in ["", " ", "x"] {
            assert!(text.parse::<List<Guid>>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_region_is_one_that_exists() {
        for text in ["NL", "nl", "GB"] {
            assert!(region(text).is_ok(), "{text}");
        }
        for text in ["", "UK", "Nederland", "EU"] {
            assert!(region(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_of_a_vendor_and_is_not_shown() {
        let secret: VendorSecret = "kpn=a=b".parse().unwrap();
        assert_eq!(secret.vendor, "kpn");
        assert!(!format!("{secret:?}").contains("a=b"));
        for text in ["", "kpn", "=x", "kpn="] {
            assert!(text.parse::<VendorSecret>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Options::command().debug_assert();
    }
}
