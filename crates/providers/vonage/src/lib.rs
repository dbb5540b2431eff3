//! [Vonage](https://developer.vonage.com), formerly Nexmo, as a provider: its Messages API v1, and its older
//! SMS API for accounts that have only that.
//!
//! A request carries one message to one recipient. Vonage has no idempotency key and no look-up: a message whose
//! response is lost stays in doubt.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_vonage as vonage; }
//! use postduif::{vonage::Vonage, Message, SmsProvider as _, Text};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let vonage = Vonage::from_url("vonage://api-key:api-secret@default?sender=Contoso")?;
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = vonage.send(&message).await?;
//! println!("accepted as {:?}", receipt.id());
//! # Ok(())
//! # }
//! ```
//!
//! | URL option | meaning |
//! |---|---|
//! | `api` | `messages` (default) or `sms` |
//! | `sender` | a name of at most 11 of `A-Z a-z 0-9`, a number, or a short code, for messages that name none; Vonage has no default |
//! | `report_url` | the https URL for the delivery reports of these messages; defaults to that of the account or application; with `api=sms` at most 100 characters |
//! | `key`, `secret` | the account's, if they are not before the `@` |
//! | `private_key` | an application's, in PEM, best as `file:PATH`; the user of the URL is then the application's id |
//! | `application_id` | the application's id, if it is not before the `@` |
//! | `vendor_messages` | `true`: errors keep Vonage's own words, cleaned; defaults to `false` |
//!
//! |  | Messages API | SMS API |
//! |---|---|---|
//! | credentials | key and secret, or an application's private key, which signs each token | key and secret |
//! | invalid senders, barred numbers, no route | appear in a report | are refused at once, if Vonage detects them |
//! | price and parts | in the reports | in the receipt |
//! | reports | [`VonageReports`], signed by default | [`VonageSmsReports`], signed once Vonage's support has enabled it |
//!
//! Vonage has one host for each API and one for the balance. The host `default` means all of them. Any other host, such
//! as the regional `api-eu.nexmo.com`, replaces all of them.

mod account;
mod inbound;
mod messages;
mod problem;
mod receipts;
mod reports;
mod sms;

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use postduif_core::{
    ConfigError, Health, Message, Outcomes, Profile, Receipt, ReportOptions, ReportParser,
    SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait,
};
use postduif_http::{
    provider_builder,
    vendor::{
        ConnectionUrl, EndpointBuilder,
        reports::{api, one_signature_method},
    },
};
use secrecy::SecretString;

pub use inbound::{VonageInbound, VonageSmsInbound, inbound_parser};
pub use receipts::{SignatureMethod, VonageSmsReports};
pub use reports::VonageReports;

use account::Account;
use messages::{Application, Messages};
use sms::Sms;

/// Vonage's capabilities, in both APIs. Delivery reports need a URL of the account, the application, or `report_url`.
///
/// It has no configured sender. A test takes [`SmsProvider::profile`] of a built provider, which has all that the
/// options configure.
pub const PROFILE: Profile = Profile::new("vonage")
    .with_senders(&[
        SenderKind::Alphanumeric,
        SenderKind::Number,
        SenderKind::ShortCode,
    ])
    .with_sender_required(true)
    .with_validity(Duration::from_secs(20), Duration::from_secs(604_800))
    .with_longest_text(TextLimit::Characters(3200))
    .with_reports(true)
    .with_rate(NonZeroU32::new(30).unwrap());

/// The maximum number of concurrent requests of a batch: an account has 30 a second by default.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();
/// The tolerance for the time of a report's signature. Vonage documents none; Symfony chose 300 seconds in 2026
/// (`symfony/symfony`, pull request 65700).
const REPORT_WINDOW: Duration = Duration::from_secs(300);
const SECRET_MISSING: &str =
    "invalid secret for Vonage's reports: expected the account's signature secret";
const SENDER: &str = "expected a name of letters A to Z and digits, a number, or a short code";

/// One of Vonage's two APIs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Api {
    /// The Messages API v1, which Vonage recommends.
    #[default]
    Messages,
    /// The SMS API, called legacy in Vonage's dashboard.
    Sms,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Messages => "messages",
            Self::Sms => "sms",
        })
    }
}

impl FromStr for Api {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "messages" => Ok(Self::Messages),
            "sms" => Ok(Self::Sms),
            _ => Err(ConfigError::new("expected messages or sms")),
        }
    }
}

/// Vonage as a provider, over one of its APIs.
#[derive(Debug)]
pub struct Vonage {
    inner: Box<dyn SmsProvider>,
}

impl Vonage {
    /// Creates a builder from the key and secret of an account.
    pub fn builder(key: impl Into<SecretString>, secret: impl Into<SecretString>) -> VonageBuilder {
        VonageBuilder::new(Credentials::Account(key.into(), secret.into()))
    }

    /// Creates a builder from an application of the Messages API: its id and its private key in PEM.
    pub fn application(
        id: impl Into<SecretString>,
        private_key: impl Into<SecretString>,
    ) -> VonageBuilder {
        VonageBuilder::new(Credentials::Application(id.into(), private_key.into()))
    }
}

#[async_trait]
impl SmsProvider for Vonage {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.inner.send_batch(messages).await
    }

    /// Requests the balance, which proves the key and the secret. It is not available to an application's private key,
    /// or from a regional host of the Messages API: the health of the credentials is then unknown.
    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

/// Builder for [`Vonage`]. All options are checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct VonageBuilder {
    credentials: Credentials,
    api: Api,
    endpoint: EndpointBuilder,
    /// May hold a secret.
    report_url: Option<SecretString>,
}

#[derive(Debug)]
enum Credentials {
    /// Key and secret.
    Account(SecretString, SecretString),
    /// Id and private key.
    Application(SecretString, SecretString),
}

provider_builder! {
    Vonage, VonageBuilder,
    url: "`vonage://KEY:SECRET@host?options` or `vonage://APPLICATION_ID@host?private_key=file:PATH`",
    base: "Vonage's own hosts, and replaces all of them",
    sender: "Vonage has no default",
}

impl VonageBuilder {
    const fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            api: Api::Messages,
            endpoint: EndpointBuilder::new(),
            report_url: None,
        }
    }

    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let credentials = ["key", "secret", "application_id", "private_key"];
        let options = ["api", "sender", "report_url", "vendor_messages"];
        let url = ConnectionUrl::parse("vonage", url, &credentials, &options)?;
        let (id, key) = (
            url.optional_credential("application_id"),
            url.optional_credential("key"),
        );
        let builder = match url.optional_credential("private_key") {
            None if id.is_some() => {
                return Err(ConfigError::new(
                    "private_key is missing: expected it beside application_id",
                ));
            }
            None => Vonage::builder(url.credential("key")?, url.credential("secret")?),
            Some(_) if url.optional_credential("secret").is_some() => {
                return Err(ConfigError::new(
                    "invalid credentials: expected the secret of an account or the private_key of an application, not both",
                ));
            }
            Some(private_key) => match (id, key) {
                (Some(id), None) | (None, Some(id)) => Vonage::application(id, private_key),
                (Some(_), Some(_)) => {
                    return Err(ConfigError::new("duplicate credential application_id"));
                }
                (None, None) => {
                    return Err(ConfigError::new(
                        "application_id is missing: expected it before the @, or among the options",
                    ));
                }
            },
        };
        Ok(Self {
            api: url.parsed_option("api")?.unwrap_or_default(),
            endpoint: EndpointBuilder::from_url(&url)?,
            report_url: url.option("report_url").map(SecretString::from),
            ..builder
        })
    }

    /// Sets the API. Defaults to [`Api::Messages`].
    pub const fn with_api(mut self, api: Api) -> Self {
        self.api = api;
        self
    }

    /// Sets the URL for the delivery reports of these messages: https, or plain http on loopback. Defaults to the URL
    /// of the account or the application.
    pub fn with_report_url(mut self, url: impl Into<SecretString>) -> Self {
        self.report_url = Some(url.into());
        self
    }

    /// Builds the provider. Nothing is sent; [`check`](SmsProvider::check) verifies the credentials of an account.
    ///
    /// # Errors
    ///
    /// Returns an error if the sender is a name that Vonage would change, the private key or the report URL is invalid,
    /// or the HTTP client cannot be built. For the SMS API, an application is an error, and so is a report URL with a
    /// query parameter that Vonage adds.
    pub fn build(self) -> Result<Vonage, ConfigError> {
        self.endpoint
            .check_sender(|sender| wire_sender(sender).is_some(), SENDER)?;
        // A private key is in no request.
        let (id, secret) = match &self.credentials {
            Credentials::Account(key, secret) => (key, Some(secret)),
            Credentials::Application(id, _) => (id, None),
        };
        let endpoint = self
            .endpoint
            .with_secrets([Some(id), secret, self.report_url.as_ref()]);
        let inner: Box<dyn SmsProvider> = match (self.api, self.credentials) {
            (Api::Messages, Credentials::Account(key, secret)) => {
                let account = Account::new(key, secret, endpoint.base())?;
                Box::new(Messages::new(
                    endpoint,
                    account.into(),
                    self.report_url.as_ref(),
                )?)
            }
            (Api::Messages, Credentials::Application(id, private_key)) => {
                let application = Application::new(id, &private_key)?;
                Box::new(Messages::new(
                    endpoint,
                    application.into(),
                    self.report_url.as_ref(),
                )?)
            }
            (Api::Sms, Credentials::Account(key, secret)) => {
                let account = Account::new(key, secret, endpoint.base())?;
                Box::new(Sms::new(endpoint, account, self.report_url.as_ref())?)
            }
            (Api::Sms, Credentials::Application(..)) => {
                return Err(ConfigError::new(
                    "invalid credentials for the SMS API: expected the key and secret of an account",
                ));
            }
        };
        Ok(Vonage { inner })
    }
}

/// Returns a sender in Vonage's format: digits without a plus, or letters and digits. `None` if Vonage would silently
/// drop characters or change the sender.
fn wire_sender(sender: &Sender) -> Option<String> {
    if let Some(number) = sender.number() {
        return Some(number.msisdn().to_string());
    }
    let name = sender.to_string();
    let zeros = sender.kind() == SenderKind::ShortCode && name.starts_with("00");
    (!zeros && name.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(name)
}

/// Creates a parser for Vonage's reports, chosen at run time: of the API `messages` (default) or `sms`. For `sms` the
/// signature method is a [`SignatureMethod`] and defaults to `md5hash`, as in an account.
///
/// # Errors
///
/// Returns an error if there is no such API or method, or no secret.
pub fn report_parser(options: ReportOptions) -> Result<Arc<dyn ReportParser>, ConfigError> {
    match api(&options)?.unwrap_or_default() {
        Api::Messages => {
            one_signature_method(&options)?;
            Ok(Arc::new(VonageReports::new(options.into_secrets())?))
        }
        Api::Sms => {
            let method = SignatureMethod::of(&options)?;
            Ok(Arc::new(VonageSmsReports::new(
                options.into_secrets(),
                method,
            )?))
        }
    }
}
