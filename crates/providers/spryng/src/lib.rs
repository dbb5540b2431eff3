//! [Spryng](https://developer.spryng.nl) as a provider: version 2 of its messaging API, and version 1 of its
//! REST API for accounts that still have it.
//!
//! The version is a setting and never guessed: number formats, headers and probably keys differ. In both versions a
//! request carries one message. Version 1 returns one id per request. For version 2 neither the order of the ids nor
//! the effect of one invalid number on the others is documented.
//!
//! Neither version has an idempotency key: a message whose response is lost stays in doubt. In version 1,
//! [`Spryng::look_up`] can find it afterwards.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_spryng as spryng; }
//! use postduif::{spryng::Spryng, Message, SmsProvider as _, Text};
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
//! | URL option | meaning |
//! |---|---|
//! | `key` | the API key, if it is not before the `@` |
//! | `api` | `v2` (default) or `v1` |
//! | `account` | v2 only, and required there: the account reference, such as `SPNL0000000`; it may be after the key, before the `@` |
//! | `sender` | a name of at most 11 characters, a number, or a short code, for messages that name none; v2 defaults to the account's own, v1 has no default |
//! | `route` | v1 only: a route that Spryng assigned to you; defaults to `business` |
//! | `vendor_messages` | `true`: errors keep Spryng's own words, cleaned; defaults to `false` |
//!
//! Version 2 reads `[` and `]` as the delimiters of a variable and has no escape. A text with one of them is refused as
//! `Unsupported`, since another vendor can send it.
//!
//! A message cannot be scheduled. Version 2 has a separate request for it, which returns no id. Version 1 was observed
//! to read a time as Dutch local time, whatever its offset.

mod inbound;
mod reports;
mod v1;
mod v2;

use std::{fmt, num::NonZeroUsize, str::FromStr, sync::Arc, time::Duration};

use postduif_core::{
    ConfigError, DeliveryReport, ErrorKind, Health, Message, Outcomes, Profile, Receipt, Reference,
    SendError, SenderKind, SmsProvider, async_trait,
};
use postduif_http::{
    Refusal, Response, check_header_setting, codes, provider_builder,
    vendor::{Code, ConnectionUrl, EndpointBuilder, has_value, text},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

pub use inbound::{SpryngInbound, inbound_parser};
pub use reports::{SpryngReports, report_parser};

/// The capabilities of version 2.
///
/// Its validity is an instant more than one minute and less than 72 hours ahead. Both limits are tightened by a minute,
/// for differing clocks and slow calls. Delivery reports need a subscription of the account.
///
/// It has no configured sender. A test takes [`SmsProvider::profile`] of a built provider, which has all that the
/// options configure.
pub const PROFILE: Profile = Profile::new("spryng")
    .with_senders(SENDERS)
    .with_validity(
        Duration::from_secs(2 * 60),
        Duration::from_secs(72 * 3600 - 60),
    )
    .with_reports(true);

/// The capabilities of version 1. Delivery reports need a URL that Spryng sets for the account.
///
/// It has no configured sender. A test takes [`SmsProvider::profile`] of a built provider, which has all that the
/// options configure.
pub const PROFILE_V1: Profile = Profile::new("spryng")
    .with_senders(SENDERS)
    .with_sender_required(true)
    .with_reports(true);

const SENDERS: &[SenderKind] = &[
    SenderKind::Alphanumeric,
    SenderKind::Number,
    SenderKind::ShortCode,
];
/// The maximum number of concurrent requests of a batch: neither version publishes its rate limit.
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
            _ => Err(ConfigError::new("expected v2 or v1")),
        }
    }
}

/// Spryng as a provider, over one of its APIs.
#[derive(Debug)]
pub struct Spryng {
    inner: Arc<dyn SmsProvider>,
    /// The same provider, if it supports look-ups.
    v1: Option<Arc<v1::V1>>,
}

impl Spryng {
    /// Creates a builder from an API key.
    pub fn builder(key: impl Into<SecretString>) -> SpryngBuilder {
        SpryngBuilder {
            key: key.into(),
            api: Api::default(),
            account: None,
            endpoint: EndpointBuilder::new(),
            route: None,
        }
    }

    /// Looks up the messages with this reference: a report for each recipient of each message. Version 1 only.
    ///
    /// Use it for a message in doubt. A report means that Spryng has the message. No report only means that Spryng did
    /// not list it yet: how soon a message is listed is not documented, and a reference is not unique at Spryng. Wait
    /// well beyond your deadline before you send again.
    ///
    /// # Errors
    ///
    /// Returns an error if the look-up failed; `Unsupported` in version 2. Its acceptance is always unknown, since the
    /// look-up says nothing about the message.
    pub async fn look_up(&self, reference: &Reference) -> Result<Vec<DeliveryReport>, SendError> {
        let listed = match &self.v1 {
            Some(v1) => v1.look_up(reference).await,
            None => Err(SendError::unknown(
                ErrorKind::Unsupported,
                "version 2 has no look-up by reference",
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

    /// Requests the balance, which proves the key. The amount is left out: version 2 does not state its currency, and
    /// version 1 counts credits. In version 2 only prepaid accounts have a balance; the response for other accounts is
    /// not documented.
    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

/// Builder for [`Spryng`]. All options are checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct SpryngBuilder {
    key: SecretString,
    api: Api,
    account: Option<SecretString>,
    endpoint: EndpointBuilder,
    /// A route that Spryng assigned to the account.
    route: Option<SecretString>,
}

provider_builder! {
    Spryng, SpryngBuilder,
    url: "`spryng://KEY@host?account=A&options` or `spryng://KEY@host?api=v1&options`",
    base: "the API's own",
    sender: "Version 2 defaults to the account's own, version 1 has no default",
}

impl SpryngBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = ["sender", "api", "route", "vendor_messages"];
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

    /// Sets the route of version 1. Defaults to `business`.
    pub fn with_route(mut self, route: impl Into<String>) -> Self {
        self.route = Some(route.into().into());
        self
    }

    /// Builds the provider. Nothing is sent; [`check`](SmsProvider::check) verifies the key.
    ///
    /// # Errors
    ///
    /// Returns an error if no header can hold the key or the account, or the HTTP client cannot be built. Version 2
    /// requires an account and has no route. Version 1 has no account, and its sender may be a number of at most 14
    /// digits.
    pub fn build(self) -> Result<Spryng, ConfigError> {
        check_header_setting("key", self.key.expose_secret())?;
        let unexpected = |option| {
            let message = format!("option {option}: expected none for the API {}", self.api);
            Err(ConfigError::new(message))
        };
        let endpoint = self.endpoint.with_secrets([
            Some(&self.key),
            self.account.as_ref(),
            self.route.as_ref(),
        ]);
        match (self.api, self.account, self.route) {
            (Api::V1, Some(_), _) => unexpected("account"),
            (Api::V2, _, Some(_)) => unexpected("route"),
            (Api::V2, None, None) => Err(ConfigError::new(
                "account is missing: expected the account reference for the API v2, such as SPNL0000000",
            )),
            (Api::V1, None, route) => {
                let v1 = Arc::new(v1::V1::new(endpoint, &self.key, route)?);
                Ok(Spryng {
                    inner: Arc::clone(&v1) as _,
                    v1: Some(v1),
                })
            }
            (Api::V2, Some(account), None) => {
                check_header_setting("account", account.expose_secret())?;
                Ok(Spryng {
                    inner: Arc::new(v2::V2::new(endpoint, self.key, account)?),
                    v1: None,
                })
            }
        }
    }
}

/// Returns the refusal of this status, in both versions, if Spryng names no cause.
fn refusal_by_status(status: u16) -> Refusal {
    let (kind, message) = match status {
        401 | 403 => (
            ErrorKind::Unauthorized,
            "the key was refused, or has no permission",
        ),
        404 | 405 | 411 | 413 | 414 | 415 | 431 => (
            ErrorKind::Misconfigured,
            "the configured address does not accept this request",
        ),
        429 => (ErrorKind::Throttled, "too many requests"),
        _ => (ErrorKind::Other, "Spryng refused the request"),
    };
    Refusal::new(kind, message)
}

/// The meaning of an error about a field. The first matching row counts.
static FIELDS: &[Code] = codes! {
    "recipients" | "msisdn" => InvalidRecipient, Below500, "the number is invalid";
    "body" | "text" => InvalidText, Below500, "the text is invalid";
    "originator" | "from" => InvalidSender, Below500, "the sender is invalid";
    "credit" | "credits" | "balance" => InsufficientBalance, Below500, "the account has too little credit";
    "route" => Misconfigured, Below500, "the account may not use this route";
};

/// Returns the refusal for these fields. `None` if none of them is known.
fn refusal_by_field(named: &[&str]) -> Option<Refusal> {
    let is_named = |row: &&Code| {
        named
            .iter()
            .any(|field| row.code.eq_ignore_ascii_case(field))
    };
    let row = FIELDS.iter().find(is_named)?;
    Some(Refusal::new(row.kind, row.message))
}

/// Returns whether one of the names is a whole word of the text.
fn mentions(text: &str, names: &[&str]) -> bool {
    text.split(|char: char| !char.is_alphanumeric())
        .any(|word| names.iter().any(|name| name.eq_ignore_ascii_case(word)))
}

/// Checks that a response has none of these ids: a refusal with an id contradicts itself.
fn has_no_id<'v>(ids: impl IntoIterator<Item = &'v Value>) -> Result<(), SendError> {
    if ids.into_iter().any(has_value) {
        return Err(Response::contradiction());
    }
    Ok(())
}

/// Returns the body of a success. A success with errors contradicts itself.
fn without_errors(response: &Response) -> Result<Map<String, Value>, SendError> {
    let body: Map<String, Value> = response.json()?;
    if body.get("errors").is_some_and(has_value) {
        return Err(Response::contradiction());
    }
    Ok(body)
}

/// Returns a member of a JSON object as text, by its name in any case.
fn member(object: &Map<String, Value>, name: &str) -> Option<String> {
    let (_, value) = object
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    text(value)
}

/// Returns a name in lower case without spaces and underscores, in which Spryng's pages and its service differ.
fn plain(name: &str) -> String {
    name.replace([' ', '_'], "").to_ascii_lowercase()
}
