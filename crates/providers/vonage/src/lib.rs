//! [Vonage](https://developer.vonage.com), formerly Nexmo, as a provider: its Messages API v1, and its older
//! SMS API for accounts that have only that.
//!
//! Each call carries one message to one recipient. Vonage knows no idempotency and no look-up: a message whose
//! answer is lost stays in doubt.
//!
//! ```
//! use postduif_core::{Message, SmsProvider as _, Text};
//! use postduif_vonage::Vonage;
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
//! | option of the URL | meaning |
//! |---|---|
//! | `api` | `messages` (default) or `sms` |
//! | `sender` | a name of at most 11 of `A-Z a-z 0-9`, a number, or a short code, for messages that name none; Vonage has no default |
//! | `webhook_url` | where Vonage posts the delivery reports of these messages, in place of what the account or application says; https, with `api=sms` at most 100 characters |
//! | `key`, `secret` | of the account, where they do not stand before the `@` |
//! | `private_key` | of an application, in PEM, best as `file:PATH`; the user of the URL is then the application's id |
//! | `application_id` | the application's id, where it does not stand before the `@` |
//!
//! |  | Messages API | SMS API |
//! |---|---|---|
//! | credentials | key and secret, or an application's private key, with which each token is signed here | key and secret |
//! | wrong senders, barred numbers, no route | show in a report | are refused at once, as far as Vonage sees them |
//! | price and parts | in the reports | in the receipt |
//! | reports | [`VonageReports`], signed by default | [`VonageSmsReports`], signed once Vonage's support has switched it on |
//!
//! Vonage has a host for each API and for the balance. The host `default` means all of them; any other, a
//! regional one such as `api-eu.nexmo.com` included, stands for all of them.

mod messages;
mod sms;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use postduif_core::{
    ConfigError, ErrorKind, Health, Message, Outcomes, Price, Profile, Receipt, ReportParser,
    SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait, batch,
};
use postduif_http::{
    BaseUrl, Client, ConnectionUrl, Refusal, ReportUrl, Request, Response, TokenCache,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

pub use messages::VonageReports;
pub use sms::{SignatureMethod, VonageSmsReports};

use messages::{Application, Messages, Problem};
use sms::Sms;

/// What Vonage can do, by either of its APIs. Delivery reports arrive where the account, the application or
/// `webhook_url` says where to.
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

const API_HOST: &str = "https://api.nexmo.com";
const REST_HOST: &str = "https://rest.nexmo.com";
const BALANCE_PATH: &str = "/account/get-balance";
/// Calls of one batch under way at a time: an account has 30 a second unless agreed otherwise.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();
/// The longest URL for reports that the SMS API takes.
const LONGEST_CALLBACK: usize = 100;

/// Vonage as a provider.
#[derive(Debug)]
pub struct Vonage {
    profile: Profile,
    client: Client,
    wire: Wire,
    /// What the balance is asked with: an application cannot ask.
    account: Option<Account>,
    rest: BaseUrl,
    is_vendors_host: bool,
    /// The sender of messages that name none.
    sender: Option<Sender>,
    webhook_url: Option<ReportUrl>,
}

/// Which of Vonage's two APIs sends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Api {
    /// The Messages API v1, which Vonage recommends.
    #[default]
    Messages,
    /// The SMS API, which Vonage's dashboard calls legacy.
    Sms,
}

#[derive(Debug)]
enum Wire {
    Messages(Messages),
    Sms(Sms),
}

/// The key and secret of an account.
#[derive(Clone, Debug)]
struct Account {
    key: SecretString,
    secret: SecretString,
}

impl Account {
    fn authorize(&self, request: Request) -> Request {
        request.with_basic(self.key.expose_secret(), &self.secret)
    }
}

/// A message, and what the provider adds to it.
#[derive(Clone, Copy)]
struct Call<'a> {
    message: &'a Message,
    from: &'a str,
    webhook_url: Option<&'a str>,
}

impl Vonage {
    /// Settings for the key and secret of an account.
    pub fn builder(key: impl Into<SecretString>, secret: impl Into<SecretString>) -> VonageBuilder {
        VonageBuilder::new(Credentials::Account(Account {
            key: key.into(),
            secret: secret.into(),
        }))
    }

    /// Settings for an application of the Messages API: its id, and its private key in PEM.
    pub fn application(
        id: impl Into<SecretString>,
        private_key: impl Into<SecretString>,
    ) -> VonageBuilder {
        VonageBuilder::new(Credentials::Application {
            id: id.into(),
            private_key: private_key.into(),
        })
    }

    /// A provider from a URL, with an HTTP client of its own.
    ///
    /// # Errors
    ///
    /// Where the URL is neither `vonage://KEY:SECRET@host?options` nor
    /// `vonage://APPLICATION_ID@host?private_key=file:PATH`; the error never shows it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        VonageBuilder::from_url(url)?.build()
    }

    /// A provider from a URL, over a client that you configured.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_url_with(url: &str, client: &Client) -> Result<Self, ConfigError> {
        VonageBuilder::from_url(url)?
            .with_client(client.clone())
            .build()
    }
}

/// Settings for [`Vonage`]. Everything is checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct VonageBuilder {
    credentials: Credentials,
    api: Api,
    base: Option<BaseUrl>,
    client: Option<Client>,
    sender: Option<Sender>,
    /// Its path may hold a secret of ours.
    webhook_url: Option<SecretString>,
}

#[derive(Debug)]
enum Credentials {
    Account(Account),
    Application {
        id: SecretString,
        private_key: SecretString,
    },
}

impl VonageBuilder {
    const fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            api: Api::Messages,
            base: None,
            client: None,
            sender: None,
            webhook_url: None,
        }
    }

    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let credentials = ["key", "secret", "application_id", "private_key"];
        let url = ConnectionUrl::parse(
            "vonage",
            url,
            &credentials,
            &["api", "sender", "webhook_url"],
        )?;
        let (id, key) = (
            url.optional_credential("application_id"),
            url.optional_credential("key"),
        );
        let builder = match url.optional_credential("private_key") {
            None if id.is_some() => {
                return Err(ConfigError::new(
                    "private_key is missing: an application signs with one",
                ));
            }
            None => Vonage::builder(url.credential("key")?, url.credential("secret")?),
            Some(_) if url.optional_credential("secret").is_some() => {
                return Err(ConfigError::new(
                    "give the secret of an account or the private_key of an application, not both",
                ));
            }
            Some(private_key) => match (id, key) {
                (Some(id), None) | (None, Some(id)) => Vonage::application(id, private_key),
                (Some(_), Some(_)) => {
                    return Err(ConfigError::new("the application's id is given twice"));
                }
                (None, None) => {
                    return Err(ConfigError::new(
                        "application_id is missing: put it before the @, or among the options",
                    ));
                }
            },
        };
        let base = |host| url.host().cloned().map_or_else(|| BaseUrl::parse(host), Ok);
        let (api, rest) = (base(API_HOST)?, base(REST_HOST)?);
        Ok(Self {
            api: match url.option("api") {
                None | Some("messages") => Api::Messages,
                Some("sms") => Api::Sms,
                Some(_) => return Err(ConfigError::new("option api: messages or sms")),
            },
            // The host `default` is two hosts; one that is written stands for both.
            base: (api == rest).then_some(api),
            sender: url.parsed_option("sender")?,
            webhook_url: url.option("webhook_url").map(SecretString::from),
            ..builder
        })
    }

    /// Which API sends; the Messages API unless set.
    pub const fn with_api(mut self, api: Api) -> Self {
        self.api = api;
        self
    }

    /// Another host in the place of all of Vonage's own.
    pub fn with_base(mut self, base: BaseUrl) -> Self {
        self.base = Some(base);
        self
    }

    /// An HTTP client that you configured.
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// The sender of messages that name none.
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// Where Vonage posts the delivery reports of these messages, in place of what the account or the
    /// application says. https, or loopback.
    pub fn with_webhook_url(mut self, url: impl Into<SecretString>) -> Self {
        self.webhook_url = Some(url.into());
        self
    }

    /// Builds the provider. Nothing is sent yet; [`check`](SmsProvider::check) tries the credentials of an
    /// account.
    ///
    /// # Errors
    ///
    /// Where the sender is a name that Vonage would change, the webhook URL is none or, for the SMS API, holds a
    /// query parameter that Vonage adds, the private key is none, an application is to use the SMS API, or the HTTP client cannot be built.
    pub fn build(self) -> Result<Vonage, ConfigError> {
        if self
            .sender
            .as_ref()
            .is_some_and(|sender| from(sender).is_none())
        {
            return Err(ConfigError::new(
                "option sender: Vonage takes a name of letters A to Z and digits, a number, or a short code",
            ));
        }
        let webhook_url = self
            .webhook_url
            .map(|url| webhook_url(url.expose_secret(), self.api))
            .transpose()?;
        let is_vendors_host = self.base.is_none();
        let base = |host| self.base.clone().map_or_else(|| BaseUrl::parse(host), Ok);
        let (api, rest) = (base(API_HOST)?, base(REST_HOST)?);
        let (wire, account) = match (self.api, self.credentials) {
            (Api::Messages, Credentials::Account(account)) => (
                Wire::Messages(Messages::of_account(api, account.clone())),
                Some(account),
            ),
            (Api::Messages, Credentials::Application { id, private_key }) => {
                let application = Application::new(id, &private_key)?;
                let tokens = TokenCache::new(application, messages::MINIMUM_TOKEN_LIFE);
                (Wire::Messages(Messages::of_application(api, tokens)), None)
            }
            (Api::Sms, Credentials::Account(account)) => (
                Wire::Sms(Sms::new(rest.clone(), account.clone())),
                Some(account),
            ),
            (Api::Sms, Credentials::Application { .. }) => {
                return Err(ConfigError::new(
                    "the SMS API takes the key and secret of an account, not an application's private key",
                ));
            }
        };
        Ok(Vonage {
            profile: PROFILE.with_sender_required(self.sender.is_none()),
            client: self.client.map_or_else(Client::new, Ok)?,
            wire,
            account,
            rest,
            is_vendors_host,
            sender: self.sender,
            webhook_url,
        })
    }
}

fn webhook_url(url: &str, api: Api) -> Result<ReportUrl, ConfigError> {
    let read = ReportUrl::parse(url)?;
    if api != Api::Sms {
        return Ok(read);
    }
    if url.chars().count() > LONGEST_CALLBACK {
        return Err(ConfigError::new(
            "option webhook_url: the SMS API takes at most 100 characters",
        ));
    }
    read.without_parameters("Vonage", &sms::REPORT_PARAMETERS)
}

/// A sender as Vonage takes it: digits without a plus, or letters and digits. None where Vonage would drop
/// characters, or change the sender on the way, and not say so.
fn from(sender: &Sender) -> Option<String> {
    if let Some(number) = sender.number() {
        return Some(number.digits().to_string());
    }
    let name = sender.to_string();
    let zeros = sender.kind() == SenderKind::ShortCode && name.starts_with("00");
    (!zeros && name.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(name)
}

impl Vonage {
    async fn attempt(&self, message: &Message) -> Result<Receipt, SendError> {
        let from = message
            .sender()
            .or(self.sender.as_ref())
            .and_then(from)
            .ok_or(SendError::not_accepted(
                ErrorKind::InvalidSender,
                "Vonage takes a name of letters A to Z and digits, a number, or a short code as sender",
            ))?;
        let call = Call {
            message,
            from: &from,
            webhook_url: self.webhook_url.as_ref().map(ReportUrl::expose),
        };
        let receipt = || Receipt::new(self.profile.owned_name(), *message.reference());
        match &self.wire {
            Wire::Messages(messages) => messages.send(&self.client, call, receipt()).await,
            Wire::Sms(sms) => sms.send(&self.client, call, receipt()).await,
        }
    }

    async fn probe(&self, account: &Account) -> Result<Health, SendError> {
        let request =
            Request::get(&self.rest, BALANCE_PATH).with_header("accept", "application/json");
        let answer = self.client.ask(account.authorize(request)).await?;
        match (answer.status(), &self.wire) {
            (200, _) => {
                let body: Value = answer.json()?;
                let balance = body.get("value").ok_or(SendError::unknown(
                    ErrorKind::Protocol,
                    "an answer without a balance",
                ))?;
                let health = Health::good();
                Ok(
                    match amount(balance).and_then(|amount| Price::new(&amount, "EUR").ok()) {
                        Some(balance) => health.with_balance(balance),
                        None => health,
                    },
                )
            }
            // A regional host is one of the Messages API alone; the secret goes to no other than it.
            (404, Wire::Messages(_)) if !self.is_vendors_host => Ok(Health::cannot_tell()),
            (status, _) => {
                let spoken = sms::is_error(&answer) || Problem::of(&answer).is_some();
                let refusal = spoken.then(|| match status {
                    401 | 403 => refusal(
                        status,
                        ErrorKind::Unauthorized,
                        "the key or the secret was refused",
                    ),
                    429 => refusal(status, ErrorKind::Throttled, "too many calls"),
                    _ => refusal(
                        status,
                        ErrorKind::Protocol,
                        "Vonage refused to tell the balance",
                    ),
                });
                Err(answer.refused(refusal))
            }
        }
    }
}

fn refusal(status: u16, kind: ErrorKind, words: &'static str) -> Refusal {
    Refusal::new(kind, words).with_unlisted_code(&status.to_string(), &[])
}

/// A report's id, where it can be one.
fn report_id(id: &str) -> Option<String> {
    Response::message_id(id).ok().map(str::to_owned)
}

/// An amount as a plain decimal number, whether JSON has it as number or as text.
fn amount(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => number.as_f64().map(|number| format!("{number:.9}")),
        value => text(value),
    }
}

/// What JSON has as text or as number: Vonage's own clients and fixtures disagree on many fields.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a member of an answer holds an id, in whatever form.
fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    }
}

/// A code of a report: Vonage's all have one to four digits, and a longer one might be taken from a text.
fn report_code(text: Option<String>) -> Option<String> {
    text.filter(|code| {
        (1..=4).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A parser of Vonage's reports, chosen at run time: `messages`, which is the default, or `sms`, which signs
/// as the account says. That is `sms:METHOD`, with the name of a [`SignatureMethod`]; `sms` alone is
/// `sms:md5hash`.
///
/// # Errors
///
/// Where there is no such API or method, or there is no secret.
pub fn report_parser(
    options: postduif_core::ReportOptions,
) -> Result<Arc<dyn ReportParser>, ConfigError> {
    let method: Result<Option<SignatureMethod>, _> =
        options.signature_method().map(str::parse).transpose();
    let api = options.api().map(str::to_owned);
    let (api, secrets) = (api.as_deref(), options.into_secrets());
    match api {
        None | Some("messages") => Ok(Arc::new(VonageReports::new(secrets)?)),
        Some("sms") => Ok(Arc::new(VonageSmsReports::new(
            secrets,
            method?.unwrap_or_default(),
        )?)),
        Some(_) => Err(ConfigError::new("invalid api: write messages or sms")),
    }
}

/// What to give where the secret of the reports is missing.
const SECRET_MISSING: &str = "Vonage signs its reports: give the account's signature secret";

/// How far the time of a signature may lie from now, unless set. Vonage names no tolerance; Symfony took
/// 300 seconds in 2026 (`symfony/symfony`, pull request 65700).
const REPORT_WINDOW: Duration = Duration::from_secs(300);

#[async_trait]
impl SmsProvider for Vonage {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.profile.validate(message)?;
        self.attempt(message)
            .await
            .map_err(|error| error.with_provider(self.profile.owned_name()))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    /// Asks for the balance, which proves the key and the secret. An application's private key cannot ask,
    /// and neither can a regional host of the Messages API: then nothing can be told.
    async fn check(&self) -> Result<Health, SendError> {
        match &self.account {
            Some(account) => self
                .probe(account)
                .await
                .map_err(|error| error.of_check().with_provider(self.profile.owned_name())),
            None => Ok(Health::cannot_tell()),
        }
    }
}
