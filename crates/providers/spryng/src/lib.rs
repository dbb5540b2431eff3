//! [Spryng](https://developer.spryng.nl) as a provider: version 2 of its messaging API, and version 1 of its
//! REST API for accounts that still have that one.
//!
//! Which of the two an account has is never guessed: numbers, headers and most likely keys do not carry over.
//! Either way a request carries one message. Version 1 gives one id per request; of version 2 nobody says in which
//! order the ids come, or what one bad number does to the others. Neither has an idempotency key: a message whose
//! response is lost stays in doubt. Version 1 can be asked afterwards, by [`Spryng::look_up`].
//!
//! ```
//! use postduif_core::{Message, SmsProvider as _, Text};
//! use postduif_spryng::Spryng;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let spryng = Spryng::from_url("spryng://key@default?account=SPNL0000000&sender=Contoso")?;
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = spryng.send(&message).await?;
//! println!("accepted as {:?}", receipt.id());
//! # Ok(())
//! # }
//! ```
//!
//! | option of the URL | what it sets |
//! |---|---|
//! | `api` | `v2` (default) or `v1` |
//! | `account` | v2 only, and required there: the account reference, such as `SPNL0000000` |
//! | `sender` | a name of at most 11 characters, a number, or a short code, for messages that name none; v2 falls back on the account's own, v1 has none |
//! | `route` | v1 only: a route that Spryng gave you; defaults to `business` |
//!
//! Version 2 takes `[` and `]` for the ends of a variable and has no escape, so a text with one of them is refused as
//! `Unsupported`: another vendor can send it.
//!
//! A message cannot be scheduled. Version 2 has a request of its own for it, which gives no id; the time that
//! version 1 takes was noted to be read as Dutch local time, whatever its offset.

mod reports;
mod v1;
mod v2;

use std::{fmt, num::NonZeroUsize, str::FromStr, sync::Arc, time::Duration};

use postduif_core::{
    ConfigError, DeliveryReport, ErrorKind, Health, Message, Outcomes, Profile, Receipt, Reference,
    SendError, Sender, SenderKind, SmsProvider, async_trait,
};
use postduif_http::{
    BaseUrl, Client, Refusal, Response, check_header_setting, codes,
    vendor::{Code, ConnectionUrl, EndpointBuilder, has_value, text},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

pub use reports::{SpryngReports, report_parser};

/// What version 2 can do. It takes a moment that lies more than one minute and less than 72 hours ahead as
/// validity; a minute is kept off either end, for clocks that differ and calls that take their time. Delivery
/// reports arrive where the account has a subscription for them.
pub const PROFILE: Profile = Profile::new("spryng")
    .with_senders(SENDERS)
    .with_validity(
        Duration::from_secs(2 * 60),
        Duration::from_secs(72 * 3600 - 60),
    )
    .with_reports(true);

/// What version 1 can do. Delivery reports arrive where Spryng has a URL of the account for them.
pub const PROFILE_V1: Profile = Profile::new("spryng")
    .with_senders(SENDERS)
    .with_sender_required(true)
    .with_reports(true);

const SENDERS: &[SenderKind] = &[
    SenderKind::Alphanumeric,
    SenderKind::Number,
    SenderKind::ShortCode,
];
/// Requests of one batch under way at a time: neither version publishes its rate.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// Which of Spryng's APIs an account has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Api {
    /// Version 1 of the REST API.
    V1,
    /// Version 2 of the messaging API.
    #[default]
    V2,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

impl FromStr for Api {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(ConfigError::new("write v2 or v1")),
        }
    }
}

/// Spryng as a provider, over one of its APIs.
#[derive(Debug)]
pub struct Spryng {
    inner: Arc<dyn SmsProvider>,
    /// The same, where it can be asked for a reference.
    v1: Option<Arc<v1::V1>>,
}

impl Spryng {
    /// Starts building a provider from an API key.
    pub fn builder(key: impl Into<SecretString>) -> SpryngBuilder {
        SpryngBuilder {
            key: key.into(),
            api: Api::default(),
            account: None,
            endpoint: EndpointBuilder::new(),
            route: None,
        }
    }

    /// Creates a provider from a connection URL, with an HTTP client of its own.
    ///
    /// # Errors
    ///
    /// Where the URL is neither `spryng://KEY@host?account=A&options` nor `spryng://KEY@host?api=v1&options`;
    /// the error never shows it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        SpryngBuilder::from_url(url)?.build()
    }

    /// Creates a provider from a connection URL, over the given HTTP client.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_url_with(url: &str, client: &Client) -> Result<Self, ConfigError> {
        SpryngBuilder::from_url(url)?
            .with_client(client.clone())
            .build()
    }

    /// Returns what Spryng has under this reference: a report for each recipient of each message. Version 1 only.
    ///
    /// It is the way to find out what became of a message in doubt. A report means that Spryng has the message. No
    /// report means that Spryng did not list it at this moment, and no more: how soon a message is listed is not
    /// documented, and a reference is not unique there. Wait well beyond your deadline before you send again.
    ///
    /// # Errors
    ///
    /// Where Spryng could not be asked; `Unsupported` in version 2. Acceptance is always unknown: nothing was
    /// learned of the message.
    pub async fn look_up(&self, reference: &Reference) -> Result<Vec<DeliveryReport>, SendError> {
        let listed = match &self.v1 {
            Some(v1) => v1.look_up(reference).await,
            None => Err(SendError::unknown(
                ErrorKind::Unsupported,
                "version 2 cannot be asked for a reference",
            )),
        };
        let name = || self.profile().owned_name();
        listed.map_err(|error| error.with_provider(name()).in_doubt())
    }
}

#[async_trait]
impl SmsProvider for Spryng {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.inner.send_batch(messages).await
    }

    /// Asks for the balance, which only a good key is told. The figure is left out: neither version says in
    /// which currency it is, and version 1 counts credits. In version 2 only prepaid accounts have one; what
    /// another account is told is not documented.
    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

/// Builder for [`Spryng`]. Everything is checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct SpryngBuilder {
    key: SecretString,
    api: Api,
    account: Option<SecretString>,
    endpoint: EndpointBuilder,
    /// One that Spryng gave the account.
    route: Option<SecretString>,
}

impl SpryngBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = ["sender", "api", "route"];
        let url = ConnectionUrl::parse("spryng", url, &["key", "account"], &options)?;
        let api = url.parsed_option("api")?.unwrap_or_default();
        Ok(Self {
            api,
            account: match api {
                Api::V1 => url.optional_credential("account"),
                Api::V2 => Some(url.credential("account")?),
            },
            endpoint: EndpointBuilder::from_url(&url)?,
            route: url.option("route").map(SecretString::from),
            ..Spryng::builder(url.credential("key")?)
        })
    }

    /// Sets the API. Defaults to [`Api::V2`].
    pub const fn with_api(mut self, api: Api) -> Self {
        self.api = api;
        self
    }

    /// Sets the account reference, `SPNL` and seven digits, which version 2 requires.
    pub fn with_account(mut self, account: impl Into<SecretString>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets the base URL. Defaults to the API's own.
    pub fn with_base(mut self, base: BaseUrl) -> Self {
        self.endpoint = self.endpoint.with_base(base);
        self
    }

    /// Sets the HTTP client. Defaults to one of its own.
    pub fn with_client(mut self, client: Client) -> Self {
        self.endpoint = self.endpoint.with_client(client);
        self
    }

    /// Sets the sender of messages that name none. Version 2 has a default of the account's, version 1 has none.
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.endpoint = self.endpoint.with_sender(sender);
        self
    }

    /// Sets the route that version 1 sends by. Defaults to `business`.
    pub fn with_route(mut self, route: impl Into<String>) -> Self {
        self.route = Some(route.into().into());
        self
    }

    /// Builds the provider. Nothing is sent yet; [`check`](SmsProvider::check) tries the key.
    ///
    /// # Errors
    ///
    /// Where no header can carry the key or the account, version 2 has no account or a route, version 1 has an
    /// account or a sender that is too long a number, or the HTTP client cannot be built.
    pub fn build(self) -> Result<Spryng, ConfigError> {
        check_header_setting("key", self.key.expose_secret())?;
        let takes_none = |option| {
            let message = format!(
                "option {option}: the API {} takes none, leave it out",
                self.api
            );
            Err(ConfigError::new(message))
        };
        match (self.api, self.account, self.route) {
            (Api::V1, Some(_), _) => takes_none("account"),
            (Api::V2, _, Some(_)) => takes_none("route"),
            (Api::V2, None, None) => Err(ConfigError::new(
                "account is missing: the API v2 requires the account reference, such as SPNL0000000",
            )),
            (Api::V1, None, route) => {
                let v1 = Arc::new(v1::V1::new(self.endpoint, &self.key, route)?);
                Ok(Spryng {
                    inner: Arc::clone(&v1) as _,
                    v1: Some(v1),
                })
            }
            (Api::V2, Some(account), None) => {
                check_header_setting("account", account.expose_secret())?;
                Ok(Spryng {
                    inner: Arc::new(v2::V2::new(self.endpoint, self.key, account)?),
                    v1: None,
                })
            }
        }
    }
}

/// Returns the refusal of this status, in both versions, where Spryng names no cause.
fn refusal_by_status(status: u16) -> Refusal {
    let (kind, message) = match status {
        401 | 403 => (
            ErrorKind::Unauthorized,
            "the key was refused, or may not do this",
        ),
        404 | 405 | 411 | 413 | 414 | 415 | 431 => (
            ErrorKind::Misconfigured,
            "nothing takes this request at the configured address",
        ),
        429 => (ErrorKind::Throttled, "too many requests"),
        _ => (ErrorKind::Other, "Spryng refused it"),
    };
    Refusal::new(kind, message)
}

/// What it means that Spryng complains of a field. The first row that fits counts.
static FIELDS: &[Code] = codes! {
    "recipients" => InvalidRecipient, Below500, "the number is not valid";
    "msisdn" => InvalidRecipient, Below500, "the number is not valid";
    "body" => InvalidText, Below500, "the text is not valid";
    "text" => InvalidText, Below500, "the text is not valid";
    "originator" => InvalidSender, Below500, "the sender is not valid";
    "from" => InvalidSender, Below500, "the sender is not valid";
    "credit" => InsufficientBalance, Below500, NO_CREDIT;
    "credits" => InsufficientBalance, Below500, NO_CREDIT;
    "balance" => InsufficientBalance, Below500, NO_CREDIT;
    "route" => Misconfigured, Below500, "the account may not use this route";
};

const NO_CREDIT: &str = "the account has too little credit";

/// Returns the refusal for one of these fields, where any of them is known.
fn refusal_by_field(named: &[&str]) -> Option<Refusal> {
    let is_named = |row: &&Code| {
        named
            .iter()
            .any(|field| row.code.eq_ignore_ascii_case(field))
    };
    let row = FIELDS.iter().find(is_named)?;
    Some(Refusal::new(row.kind, row.message))
}

/// Returns whether one of these is among the words, whole.
fn names(words: &str, wanted: &[&str]) -> bool {
    words
        .split(|char: char| !char.is_alphanumeric())
        .any(|word| {
            wanted
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(word))
        })
}

/// Makes sure that a response gives none of these ids: a refusal that gives one contradicts itself.
fn gives_no_id<'v>(ids: impl IntoIterator<Item = &'v Value>) -> Result<(), SendError> {
    if ids.into_iter().any(has_value) {
        return Err(Response::contradiction());
    }
    Ok(())
}

/// Returns the body of a success. One with errors in it contradicts itself.
fn without_errors(response: &Response) -> Result<Map<String, Value>, SendError> {
    let body: Map<String, Value> = response.json()?;
    if body.get("errors").is_some_and(has_value) {
        return Err(Response::contradiction());
    }
    Ok(body)
}

/// Returns a member of a JSON object as text, whatever the case of its name.
fn member(object: &Map<String, Value>, name: &str) -> Option<String> {
    let (_, value) = object
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    text(value)
}

/// Returns a word without case, spaces and underscores: Spryng's pages and its service write these differently.
fn plain(word: &str) -> String {
    word.replace([' ', '_'], "").to_ascii_lowercase()
}
