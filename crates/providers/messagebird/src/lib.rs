//! [MessageBird](https://bird.com), called Bird since 2024, as a provider: one vendor, three APIs that send a
//! text, each with hosts, keys, error shapes and signatures of its own.
//!
//! | API | for whom | what is special |
//! |---|---|---|
//! | platform (2026) | new users; keys begin with `bk_` and a region | it knows our key of a message, so that a lost answer can be settled by repeating the call; batches of 100 |
//! | classic (REST v1) | holders of older keys | validity periods, scheduling, a balance |
//! | channels (Bird CRM) | workspaces with an SMS channel | the channel is the sender |
//!
//! The API follows from what is given: a key that begins with `bk_` is the platform's, a workspace and a
//! channel are of channels, anything else is classic. [`with_api`](MessageBirdBuilder::with_api) overrides
//! it, and what contradicts it is an error.
//!
//! ```
//! use postduif_core::{Message, SmsProvider as _, Text};
//! use postduif_messagebird::{Api, MessageBird};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bird = MessageBird::from_url("messagebird://bk_eu1_key@default?sender=Contoso")?;
//! assert_eq!(bird.api(), Api::Platform);
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = bird.send(&message).await?;
//! println!("accepted as {:?}", receipt.id());
//! # Ok(())
//! # }
//! ```
//!
//! | option of the URL | meaning |
//! |---|---|
//! | `sender` | platform, classic: a name of at most 11 characters or a number, on the platform also a short code, for messages that name none; there is no default |
//! | `api` | `platform`, `classic` or `channels`, where the key does not tell |
//! | `category` | platform: `transactional` (default), `authentication` (codes and passes, of which the vendor then keeps no copy), `marketing` or `service` |
//! | `report_url` | classic: where delivery reports go, in place of the account's own URL; https |
//! | `workspace`, `channel` | channels: both ids, which are UUIDs |
//!
//! The platform asks for a `User-Agent`: a [`Client`] made from a builder of yours must set one.

mod channels;
mod classic;
mod platform;

use std::{fmt, num::NonZeroUsize, str::FromStr, sync::Arc};

use postduif_core::{
    ConfigError, DeliveryStatus, ErrorKind, Health, Message, Outcomes, PhoneNumber, Price, Profile,
    Receipt, ReportParser, SendError, Sender, SmsProvider, async_trait, batch,
};
use postduif_http::{
    BaseUrl, Client, ConnectionUrl, ReportUrl, Request, Response, check_header_setting,
    signature::sha256,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;

pub use channels::ChannelsReports;
pub use classic::ClassicReports;
pub use platform::PlatformReports;

/// Single calls of one batch under way at a time: 100 calls a second are the narrowest limit that a page of
/// the vendor names.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// The APIs of MessageBird that send a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Api {
    /// Bird CRM, where a workspace has channels.
    Channels,
    /// REST v1.
    Classic,
    /// The newest, of 2026.
    Platform,
}

impl Api {
    /// What a provider over this API can do. One that has a default sender does not ask each message for it.
    #[must_use]
    pub const fn profile(self) -> Profile {
        match self {
            Self::Channels => channels::PROFILE,
            Self::Classic => classic::PROFILE,
            Self::Platform => platform::PROFILE,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Channels => "channels",
            Self::Classic => "classic",
            Self::Platform => "platform",
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Api {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Channels, Self::Classic, Self::Platform]
            .into_iter()
            .find(|api| api.as_str() == text)
            .ok_or(ConfigError::new("platform, classic or channels"))
    }
}

/// What the platform is told that a text is for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Codes and passes. The vendor then keeps no copy of the text.
    Authentication,
    /// Advertising.
    Marketing,
    /// Service.
    Service,
    /// What follows from something that the recipient does.
    #[default]
    Transactional,
}

impl FromStr for Category {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "authentication" => Self::Authentication,
            "marketing" => Self::Marketing,
            "service" => Self::Service,
            "transactional" => Self::Transactional,
            _ => {
                return Err(ConfigError::new(
                    "transactional, authentication, marketing or service",
                ));
            }
        })
    }
}

/// MessageBird as a provider, over one of its APIs.
#[derive(Debug)]
pub struct MessageBird {
    api: Api,
    inner: Box<dyn SmsProvider>,
}

impl MessageBird {
    /// Settings for an access key.
    pub fn builder(key: impl Into<SecretString>) -> MessageBirdBuilder {
        MessageBirdBuilder {
            key: key.into(),
            api: None,
            base: None,
            client: None,
            sender: None,
            category: None,
            report_url: None,
            workspace: None,
            channel: None,
        }
    }

    /// A provider from a URL, with an HTTP client of its own.
    ///
    /// # Errors
    ///
    /// Where the URL is not `messagebird://KEY@host?options`; the error never shows it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        MessageBirdBuilder::from_url(url)?.build()
    }

    /// A provider from a URL, over a client that you configured.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_url_with(url: &str, client: &Client) -> Result<Self, ConfigError> {
        MessageBirdBuilder::from_url(url)?
            .with_client(client.clone())
            .build()
    }

    /// Which API it sends over.
    #[must_use]
    pub const fn api(&self) -> Api {
        self.api
    }
}

#[async_trait]
impl SmsProvider for MessageBird {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.inner.send_batch(messages).await
    }

    /// Platform: lists one message, which a key that may only send is not allowed to; then it cannot tell.
    /// Classic: the balance. Channels: lists the workspace's channels.
    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

/// Settings for [`MessageBird`]. Everything is checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct MessageBirdBuilder {
    key: SecretString,
    api: Option<Api>,
    base: Option<BaseUrl>,
    client: Option<Client>,
    sender: Option<Sender>,
    category: Option<Category>,
    /// Its path may hold a secret of ours.
    report_url: Option<SecretString>,
    workspace: Option<SecretString>,
    channel: Option<SecretString>,
}

impl MessageBirdBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = [
            "api",
            "category",
            "channel",
            "report_url",
            "sender",
            "workspace",
        ];
        let url = ConnectionUrl::parse("messagebird", url, &["key"], &options)?;
        let id = |name| url.option(name).map(SecretString::from);
        Ok(Self {
            api: url.parsed_option("api")?,
            // None where the host is `default`: which that is depends on the API.
            base: url.host().cloned(),
            sender: url.parsed_option("sender")?,
            category: url.parsed_option("category")?,
            report_url: url.option("report_url").map(SecretString::from),
            workspace: id("workspace"),
            channel: id("channel"),
            ..MessageBird::builder(url.credential("key")?)
        })
    }

    /// The API, where the key does not tell.
    pub const fn with_api(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// Another host than the API's own.
    pub fn with_base(mut self, base: BaseUrl) -> Self {
        self.base = Some(base);
        self
    }

    /// An HTTP client that you configured.
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Platform, classic: the sender of messages that name none.
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// Platform: what the texts are for.
    pub const fn with_category(mut self, category: Category) -> Self {
        self.category = Some(category);
        self
    }

    /// Classic: where delivery reports go, in place of the account's own URL. https, or loopback.
    pub fn with_report_url(mut self, url: impl Into<SecretString>) -> Self {
        self.report_url = Some(url.into());
        self
    }

    /// Channels: the workspace's id, which is a UUID today.
    pub fn with_workspace(mut self, id: impl Into<String>) -> Self {
        self.workspace = Some(id.into().into());
        self
    }

    /// Channels: the channel's id, which is a UUID today.
    pub fn with_channel(mut self, id: impl Into<String>) -> Self {
        self.channel = Some(id.into().into());
        self
    }

    /// Builds the provider. Nothing is sent yet; [`check`](SmsProvider::check) tries the key.
    ///
    /// # Errors
    ///
    /// Where key, API and options contradict each other, a platform key names no region and no host is
    /// given, no header can carry the key, the API does not take the sender, an id or the report URL is none, the
    /// report URL holds a query parameter that MessageBird adds, or the HTTP client cannot be built.
    pub fn build(self) -> Result<MessageBird, ConfigError> {
        let api = self.choose_api()?;
        let (host, scheme) = match api {
            Api::Channels => (Some(channels::HOST.to_owned()), "AccessKey"),
            Api::Classic => (Some(classic::HOST.to_owned()), "AccessKey"),
            Api::Platform => (platform::host(&self.key), "Bearer"),
        };
        let base = match (self.base, host) {
            (Some(base), _) => base,
            (None, Some(host)) => BaseUrl::parse(&host)?,
            (None, None) => {
                return Err(ConfigError::new(
                    "the key names no region, as bk_eu1_… does: give the platform's host",
                ));
            }
        };
        check_header_setting("key", self.key.expose_secret())?;
        let report_url = self
            .report_url
            .map(|url| {
                ReportUrl::parse(url.expose_secret())?
                    .without_parameters("MessageBird", &classic::REPORT_PARAMETERS)
            })
            .transpose()?;
        let vendor = Vendor {
            profile: api.profile(),
            client: self.client.map_or_else(Client::new, Ok)?,
            base,
            authorization: format!("{scheme} {}", self.key.expose_secret()).into(),
        };
        let inner: Box<dyn SmsProvider> = match api {
            Api::Channels => Box::new(channels::Channels::new(
                vendor,
                self.workspace.as_ref(),
                self.channel.as_ref(),
            )?),
            Api::Classic => Box::new(classic::Classic::new(vendor, self.sender, report_url)?),
            Api::Platform => Box::new(platform::Platform::new(
                vendor,
                self.sender,
                self.category.unwrap_or_default(),
            )?),
        };
        Ok(MessageBird { api, inner })
    }

    fn choose_api(&self) -> Result<Api, ConfigError> {
        let of_platform = self.key.expose_secret().starts_with("bk_");
        let of_channels = self.workspace.is_some() || self.channel.is_some();
        let api = match self.api {
            Some(api) => api,
            None if of_platform => Api::Platform,
            None if of_channels => Api::Channels,
            None => Api::Classic,
        };
        if of_platform && api != Api::Platform {
            return Err(ConfigError::new(format!(
                "a key that begins with bk_ works on the platform alone, not on {api}"
            )));
        }
        let strays = [
            ("category", self.category.is_some(), api == Api::Platform),
            ("channel", self.channel.is_some(), api == Api::Channels),
            ("report_url", self.report_url.is_some(), api == Api::Classic),
            ("sender", self.sender.is_some(), api != Api::Channels),
            ("workspace", self.workspace.is_some(), api == Api::Channels),
        ];
        match strays.iter().find(|(_, given, taken)| *given && !taken) {
            Some((name, ..)) => Err(ConfigError::new(format!(
                "option {name}: the API {api} takes none, leave it out"
            ))),
            None => Ok(api),
        }
    }
}

/// What every API needs to make its calls.
#[derive(Debug)]
struct Vendor {
    profile: Profile,
    client: Client,
    base: BaseUrl,
    /// The header's whole value.
    authorization: SecretString,
}

impl Vendor {
    fn get(&self, path: &str) -> Request {
        self.with_headers(Request::get(&self.base, path))
    }

    fn post(&self, path: &str) -> Request {
        self.with_headers(Request::post(&self.base, path))
    }

    fn with_headers(&self, request: Request) -> Request {
        request
            .with_secret_header("authorization", &self.authorization)
            .with_header("accept", "application/json")
    }

    fn named(&self, error: SendError) -> SendError {
        error.with_provider(self.profile.owned_name())
    }

    /// A receipt where the id is one, as far as that can be told.
    fn receipt(&self, id: &str, parts: &Value, message: &Message) -> Result<Receipt, SendError> {
        let receipt = Receipt::new(self.profile.owned_name(), *message.reference());
        let receipt = match parts.as_u64().map(u16::try_from) {
            Some(Ok(parts @ 1..)) => receipt.with_parts(parts),
            _ => receipt,
        };
        Ok(receipt.with_id(Response::message_id(id)?))
    }
}

/// Makes sure that an answer that is no success gives no id, of the message or of those of a batch, and counts
/// no message as sent.
fn gives_no_id(answer: &Response) -> Result<(), SendError> {
    let Ok(body) = answer.json::<Value>() else {
        return Ok(());
    };
    let is_given = |value: &Value| match value {
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(members) => !members.is_empty(),
        value => text(value).is_some_and(|text| !text.is_empty()),
    };
    let recipients = &body["recipients"];
    let ids = [
        &body["id"],
        &body["data"]["id"],
        &body["error"]["id"],
        &recipients["items"],
    ];
    let is_taken = body["data"]
        .as_array()
        .is_some_and(|taken| !taken.is_empty());
    let is_sent = text(&recipients["totalSentCount"]).is_some_and(|count| count != "0");
    match is_taken || is_sent || ids.into_iter().any(is_given) {
        false => Ok(()),
        true => Err(Response::contradiction()),
    }
}

/// Makes sure that an answer does not repeat another reference than the message's. One that it leaves out says
/// nothing.
fn is_about(reference: &Value, message: &Message) -> Result<(), SendError> {
    match text(reference) {
        Some(told) if !told.is_empty() && told != message.reference().as_str() => Err(another()),
        _ => Ok(()),
    }
}

/// Makes sure that an answer does not name another number than the message's.
fn is_to(number: &Value, message: &Message) -> Result<(), SendError> {
    let told = text(number).and_then(|number| PhoneNumber::from_msisdn(&number).ok());
    match told {
        Some(told) if told != message.to() => Err(another()),
        _ => Ok(()),
    }
}

fn another() -> SendError {
    SendError::unknown(ErrorKind::Protocol, "the answer is about another message")
}

/// A call for each message.
async fn send_singly(provider: &impl SmsProvider, messages: &[Message]) -> Outcomes {
    batch::one_by_one(messages, IN_FLIGHT, |message| provider.send(message)).await
}

/// A parser of the vendor's reports, chosen at run time: `platform`, `classic` or `channels`. Where none is
/// named the secret tells the platform's, which begins with `whsec_`, from the classic one's, which does not.
///
/// # Errors
///
/// Where there is no such API, or there is no secret.
pub fn report_parser(
    options: postduif_core::ReportOptions,
) -> Result<Arc<dyn ReportParser>, ConfigError> {
    let api = options.api().map(str::to_owned);
    let (api, secrets) = (api.as_deref(), options.into_secrets());
    let of_platform = |secret: &SecretString| secret.expose_secret().starts_with("whsec_");
    let api = match api {
        Some(api) => api.parse()?,
        None if !secrets.is_empty() && secrets.iter().all(of_platform) => Api::Platform,
        None => Api::Classic,
    };
    Ok(match api {
        Api::Channels => Arc::new(ChannelsReports::new(secrets)?),
        Api::Classic => Arc::new(ClassicReports::new(secrets)?),
        Api::Platform => Arc::new(PlatformReports::new(secrets)?),
    })
}

/// An amount that stands there as a number or as text.
fn price(amount: &Value, currency: &Value) -> Option<Price> {
    Price::new(&text(amount)?, currency.as_str()?).ok()
}

/// A report's id of a message, where it can be one.
fn report_id(id: &str) -> Option<String> {
    Response::message_id(id).ok().map(str::to_owned)
}

/// Text, or a number as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The SHA-256 of the data, in lower-case hexadecimal digits.
fn hex_sum(data: &[u8]) -> String {
    sha256(data)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A report's code: all that are known are numbers of at most five digits, and 0 is none.
fn report_code(code: &str) -> Option<String> {
    let plain = (1..=5).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
    (plain && code != "0").then(|| code.to_owned())
}

/// What this word means in a table; a word that is not in it is no failure.
fn status(table: &[(&str, DeliveryStatus)], word: &str) -> DeliveryStatus {
    table
        .iter()
        .find(|(known, _)| *known == word)
        .map_or(DeliveryStatus::Unknown, |(_, status)| *status)
}
