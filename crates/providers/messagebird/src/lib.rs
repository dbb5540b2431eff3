//! [MessageBird](https://bird.com), called Bird since 2024, as a provider. It has three APIs that send texts, with
//! different hosts, keys, error shapes and signatures.
//!
//! | API | for | features |
//! |---|---|---|
//! | platform (2026) | new users; keys start with `bk_` and a region | an idempotency key, so that a repeated request settles a lost response; batches of 100 |
//! | classic (REST v1) | holders of older keys | validity periods, scheduling, a balance |
//! | channels (Bird CRM) | workspaces with an SMS channel | the channel is the sender |
//!
//! The key and the options select the API: a key that starts with `bk_` selects the platform. With any other key, a
//! workspace or a channel selects channels, and without both it is classic. [`with_api`](MessageBirdBuilder::with_api)
//! sets it instead; a key or an option that contradicts it is an error.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_messagebird as messagebird; }
//! use postduif::{messagebird::{Api, MessageBird}, Message, SmsProvider as _, Text};
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
//! | URL option | meaning |
//! |---|---|
//! | `key` | the access key, if it is not before the `@` |
//! | `sender` | platform, classic: a name of at most 11 characters or a number, on the platform also a short code, for messages that name none; there is no default |
//! | `api` | `platform`, `classic` or `channels`; defaults to the one that the key and the options select |
//! | `category` | platform: `transactional` (default), `authentication` (codes and passes, of which the vendor keeps no copy), `marketing` or `service` |
//! | `report_url` | classic: the https URL for delivery reports; defaults to the account's own |
//! | `workspace`, `channel` | channels: both ids, which are UUIDs |
//! | `vendor_messages` | `true`: errors keep MessageBird's own words, cleaned; defaults to `false` |
//!
//! The platform requires a `User-Agent`: a [`Client`](postduif_http::Client) from a reqwest builder must set one.

mod channels;
mod classic;
mod inbound;
mod platform;
mod platform_refusals;
mod reports;

use std::{fmt, num::NonZeroUsize, str::FromStr};

use postduif_core::{
    ConfigError, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    async_trait,
};
use postduif_http::{
    Request, Response, check_header_setting, provider_builder,
    vendor::{ConnectionUrl, Endpoint, EndpointBuilder, has_value, text},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;

pub use inbound::{ChannelsInbound, ClassicInbound, PlatformInbound, inbound_parser};
pub use reports::{ChannelsReports, ClassicReports, PlatformReports, report_parser};

const PROVIDER: &str = "messagebird";
/// The maximum number of concurrent single requests of a batch: the lowest documented limit is 100 a second.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// One of MessageBird's APIs that send texts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Api {
    /// The channels API of Bird CRM.
    Channels,
    /// The REST API v1.
    Classic,
    /// The platform API of 2026, the newest.
    Platform,
}

impl Api {
    /// Returns the capabilities of a provider over this API. With a configured sender, messages need not name one.
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
            .ok_or(ConfigError::new("expected platform, classic or channels"))
    }
}

/// The purpose of a text, which the platform requires.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Codes and passes, of which the vendor keeps no copy.
    Authentication,
    /// Advertising.
    Marketing,
    /// Service messages.
    Service,
    /// Messages that follow an action of the recipient.
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
                    "expected transactional, authentication, marketing or service",
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
    /// Creates a builder from an access key.
    pub fn builder(key: impl Into<SecretString>) -> MessageBirdBuilder {
        MessageBirdBuilder {
            key: key.into(),
            api: None,
            endpoint: EndpointBuilder::new(),
            category: None,
            report_url: None,
            workspace: None,
            channel: None,
        }
    }

    /// Returns the API that the provider uses.
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

    /// Makes a request that proves the key. Platform: lists one message; for a key that may only send, the health is
    /// unknown. Classic: requests the balance. Channels: lists the workspace's channels.
    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

/// Builder for [`MessageBird`]. All options are checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct MessageBirdBuilder {
    key: SecretString,
    api: Option<Api>,
    endpoint: EndpointBuilder,
    category: Option<Category>,
    /// May hold a secret.
    report_url: Option<SecretString>,
    workspace: Option<SecretString>,
    channel: Option<SecretString>,
}

provider_builder! {
    MessageBird, MessageBirdBuilder,
    url: "`messagebird://KEY@host?options`",
    base: "the API's own",
    sender: "Platform and classic only; there is no default",
}

impl MessageBirdBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = [
            "api",
            "category",
            "channel",
            "report_url",
            "sender",
            "vendor_messages",
            "workspace",
        ];
        let url = ConnectionUrl::parse("messagebird", url, &["key"], &options)?;
        let secret = |name| url.option(name).map(SecretString::from);
        Ok(Self {
            api: url.parsed_option("api")?,
            endpoint: EndpointBuilder::from_url(&url)?,
            category: url.parsed_option("category")?,
            report_url: secret("report_url"),
            workspace: secret("workspace"),
            channel: secret("channel"),
            ..MessageBird::builder(url.credential("key")?)
        })
    }

    /// Sets the API. Defaults to the one that the key and the other options select.
    pub const fn with_api(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// Sets the purpose of the texts. Platform only; defaults to [`Category::Transactional`].
    pub const fn with_category(mut self, category: Category) -> Self {
        self.category = Some(category);
        self
    }

    /// Sets the URL for delivery reports: https, or plain http on loopback. Classic only; defaults to the account's
    /// own.
    pub fn with_report_url(mut self, url: impl Into<SecretString>) -> Self {
        self.report_url = Some(url.into());
        self
    }

    /// Sets the workspace's id, currently a UUID. Channels only.
    pub fn with_workspace(mut self, id: impl Into<String>) -> Self {
        self.workspace = Some(id.into().into());
        self
    }

    /// Sets the channel's id, currently a UUID. Channels only.
    pub fn with_channel(mut self, id: impl Into<String>) -> Self {
        self.channel = Some(id.into().into());
        self
    }

    /// Builds the provider. Nothing is sent; [`check`](SmsProvider::check) verifies the key.
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - the key, the API and the options contradict each other;
    /// - a platform key has no region and no host is set;
    /// - no header can hold the key, or the API does not accept the sender;
    /// - an id or the report URL is invalid, or the latter has a query parameter that MessageBird adds;
    /// - the HTTP client cannot be built.
    pub fn build(self) -> Result<MessageBird, ConfigError> {
        let api = self.choose_api()?;
        let key = &self.key;
        let endpoint = self.endpoint.with_secrets([
            Some(key),
            self.report_url.as_ref(),
            self.workspace.as_ref(),
            self.channel.as_ref(),
        ]);
        let inner: Box<dyn SmsProvider> = match api {
            Api::Channels => Box::new(channels::Channels::new(
                endpoint,
                key,
                self.workspace.as_ref(),
                self.channel.as_ref(),
            )?),
            Api::Classic => Box::new(classic::Classic::new(
                endpoint,
                key,
                self.report_url.as_ref(),
            )?),
            Api::Platform => Box::new(platform::Platform::new(
                endpoint,
                key,
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
                "invalid API {api}: expected platform for a key that starts with bk_"
            )));
        }
        let options = [
            ("category", self.category.is_some(), api == Api::Platform),
            ("channel", self.channel.is_some(), api == Api::Channels),
            ("report_url", self.report_url.is_some(), api == Api::Classic),
            (
                "sender",
                self.endpoint.sender().is_some(),
                api != Api::Channels,
            ),
            ("workspace", self.workspace.is_some(), api == Api::Channels),
        ];
        match options
            .iter()
            .find(|(_, is_set, is_supported)| *is_set && !is_supported)
        {
            Some((name, ..)) => Err(ConfigError::new(format!(
                "option {name}: expected none for the API {api}"
            ))),
            None => Ok(api),
        }
    }
}

/// An API's endpoint and the header with the credential.
#[derive(Debug)]
struct Access {
    endpoint: Endpoint,
    /// The header's whole value.
    authorization: SecretString,
}

impl Access {
    fn new(endpoint: Endpoint, scheme: &str, key: &SecretString) -> Result<Self, ConfigError> {
        check_header_setting("key", key.expose_secret())?;
        Ok(Self {
            endpoint,
            authorization: format!("{scheme} {}", key.expose_secret()).into(),
        })
    }

    fn get(&self, path: &str) -> Request {
        self.authorized(self.endpoint.get(path))
    }

    fn post(&self, path: &str) -> Request {
        self.authorized(self.endpoint.post(path))
    }

    fn authorized(&self, request: Request) -> Request {
        request.with_secret_header("authorization", &self.authorization)
    }

    async fn send(&self, request: Request) -> Result<Response, SendError> {
        self.endpoint.client().send(request).await
    }

    async fn ask(&self, request: Request) -> Result<Response, SendError> {
        self.endpoint.client().ask(request).await
    }

    /// Creates a receipt, with the number of parts if the response has it.
    fn receipt(&self, id: &str, parts: &Value, message: &Message) -> Result<Receipt, SendError> {
        let receipt = self.endpoint.receipt(message, id)?;
        Ok(match parts.as_u64().map(u16::try_from) {
            Some(Ok(parts @ 1..)) => receipt.with_parts(parts),
            _ => receipt,
        })
    }
}

/// Checks that a response that is not a success has no id of a message, and counts no message as sent.
fn has_no_id(response: &Response) -> Result<(), SendError> {
    let Ok(body) = response.json::<Value>() else {
        return Ok(());
    };
    let recipients = &body["recipients"];
    let ids = [
        &body["id"],
        &body["data"]["id"],
        &body["error"]["id"],
        &recipients["items"],
    ];
    let has_data = body["data"].as_array().is_some_and(|data| !data.is_empty());
    let is_sent = text(&recipients["totalSentCount"]).is_some_and(|count| count != "0");
    if has_data || is_sent || ids.into_iter().any(has_value) {
        return Err(Response::contradiction());
    }
    Ok(())
}

/// Returns the error of a message that is reported as failed in the response to its send. Whether anything was sent is
/// not documented.
fn failed_already(kind: ErrorKind) -> SendError {
    SendError::unknown(kind, "the message is reported as failed already")
}
