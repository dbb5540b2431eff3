//! [Spryng](https://developer.spryng.nl) as a provider: version 2 of its messaging API, and version 1 of its
//! REST API for accounts that still have that one.
//!
//! Which of the two an account has is never guessed: numbers, headers and most likely keys do not carry over.
//! Either way one message a call: version 1 gives one id per call, and of version 2 nobody says in which order
//! the ids stand or what one bad number does to the others. Neither knows idempotency: a message whose answer
//! is lost stays in doubt. Version 1 can be asked afterwards, by [`Spryng::look_up`].
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
//! | option of the URL | meaning |
//! |---|---|
//! | `api` | `v2` (default) or `v1` |
//! | `account` | v2 only, and needed there: the account reference, such as `SPNL0000000` |
//! | `sender` | a name of at most 11 characters, a number, or a short code, for messages that name none; v2 falls back on the account's own, v1 has none |
//! | `route` | v1 only: `business` unless given, or a route that Spryng gave you |
//!
//! Version 2 takes `[` and `]` for the ends of a variable and knows no escape, so that a text that holds one
//! is refused as `Unsupported`: another vendor can send it.
//!
//! A message cannot be sent later. Version 2 has a call of its own for it, which gives no id; the time that
//! version 1 takes was noted to be read as Dutch local time, whatever its offset.

mod v1;
mod v2;

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, ErrorKind, Health, Message, Outcomes, Profile,
    Receipt, Reference, ReportError, ReportParser, ReportRequest, SendError, Sender, SenderKind,
    SmsProvider, async_trait, batch,
};
use postduif_http::{
    BaseUrl, Client, ConnectionUrl, PathSecrets, Refusal, Request, Response, check_header_setting,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

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
/// Calls of one batch under way at a time: neither version publishes its rate.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// Spryng as a provider.
#[derive(Debug)]
pub struct Spryng {
    profile: Profile,
    client: Client,
    base: BaseUrl,
    sender: Option<Sender>,
    api: Box<dyn Api>,
}

/// What the two versions do not share.
trait Api: fmt::Debug + Send + Sync {
    fn send(
        &self,
        base: &BaseUrl,
        sender: Option<&Sender>,
        message: &Message,
    ) -> Result<Request, SendError>;

    /// The id that an answer gives, where it is in this version's form and the only one.
    fn id(&self, body: &Map<String, Value>) -> Option<String>;

    /// The ids that an answer gives, in whatever form.
    fn ids<'a>(&self, body: &'a Map<String, Value>) -> Vec<&'a Value>;

    /// Whether an answer can be about this message: it repeats no other reference or number.
    fn is_about(&self, body: &Map<String, Value>, message: &Message) -> bool;

    fn balance(&self, base: &BaseUrl) -> Request;

    fn is_balance(&self, body: &Map<String, Value>) -> bool;

    /// What Spryng said in an answer that is no success, to a call for `message` or, without one, to a call
    /// that carries none. `None` where it is not certain that Spryng speaks, which counts for a message alone.
    fn refusal(&self, answer: &Response, message: Option<&Message>) -> Option<Refusal>;

    /// None where this version cannot be asked.
    fn look_up(&self, base: &BaseUrl, reference: &Reference) -> Option<Request>;
}

impl Spryng {
    /// Settings for version 2, which a key and an account reference (`SPNL` and seven digits) open.
    pub fn builder(
        key: impl Into<SecretString>,
        account: impl Into<SecretString>,
    ) -> SpryngBuilder {
        SpryngBuilder::new(key.into(), Version::V2(account.into()))
    }

    /// Settings for version 1, which a key opens.
    pub fn builder_v1(key: impl Into<SecretString>) -> SpryngBuilder {
        SpryngBuilder::new(key.into(), Version::V1)
    }

    /// A provider from a URL, with an HTTP client of its own.
    ///
    /// # Errors
    ///
    /// Where the URL is neither `spryng://KEY@host?account=A&options` nor `spryng://KEY@host?api=v1&options`;
    /// the error never shows it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        SpryngBuilder::from_url(url)?.build()
    }

    /// A provider from a URL, over a client that you configured.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_url_with(url: &str, client: &Client) -> Result<Self, ConfigError> {
        SpryngBuilder::from_url(url)?
            .with_client(client.clone())
            .build()
    }
}

/// Settings for [`Spryng`]. Everything is checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct SpryngBuilder {
    key: SecretString,
    version: Version,
    base: Option<BaseUrl>,
    client: Option<Client>,
    sender: Option<Sender>,
    /// One that Spryng gave the account.
    route: Option<SecretString>,
}

#[derive(Debug)]
enum Version {
    V1,
    V2(SecretString),
}

impl SpryngBuilder {
    const fn new(key: SecretString, version: Version) -> Self {
        Self {
            key,
            version,
            base: None,
            client: None,
            sender: None,
            route: None,
        }
    }

    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = ["sender", "api", "route"];
        let url = ConnectionUrl::parse("spryng", url, &["key", "account"], &options)?;
        let key = url.credential("key")?;
        let (version, _) = match url.option("api") {
            None | Some("v2") => (Version::V2(url.credential("account")?), v2::HOST),
            Some("v1") if url.optional_credential("account").is_some() => {
                return Err(ConfigError::new(
                    "option account: the API v1 takes none, leave it out",
                ));
            }
            Some("v1") => (Version::V1, v1::HOST),
            Some(_) => return Err(ConfigError::new("option api: v2 or v1")),
        };
        Ok(Self {
            base: url.host().cloned(),
            sender: url.parsed_option("sender")?,
            route: url.option("route").map(SecretString::from),
            ..Self::new(key, version)
        })
    }

    /// Another host than Spryng's own.
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

    /// The route that version 1 sends by, `business` unless set.
    pub fn with_route(mut self, route: impl Into<String>) -> Self {
        self.route = Some(route.into().into());
        self
    }

    /// Builds the provider. Nothing is sent yet; [`check`](SmsProvider::check) tries the key.
    ///
    /// # Errors
    ///
    /// Where no header can carry the key or the account, the sender is a number of a length that version 1 does
    /// not take, a route is set for version 2, or the HTTP client cannot be built.
    pub fn build(self) -> Result<Spryng, ConfigError> {
        check_header_setting("key", self.key.expose_secret())?;
        if let Version::V2(account) = &self.version {
            check_header_setting("account", account.expose_secret())?;
        }
        let (profile, host, api): (_, _, Box<dyn Api>) = match (self.version, self.route) {
            (Version::V2(account), None) => (
                PROFILE.with_refused_characters(v2::VARIABLES),
                v2::HOST,
                Box::new(v2::Api::new(self.key, account)),
            ),
            (Version::V2(_), Some(_)) => {
                return Err(ConfigError::new(
                    "option route: the API v2 takes none, leave it out",
                ));
            }
            (Version::V1, route) => {
                if self
                    .sender
                    .as_ref()
                    .is_some_and(|sender| v1::originator(sender).is_none())
                {
                    return Err(ConfigError::new(
                        "option sender: v1 takes a number of at most 14 digits",
                    ));
                }
                (
                    PROFILE_V1.with_sender_required(self.sender.is_none()),
                    v1::HOST,
                    Box::new(v1::Api::new(&self.key, route)),
                )
            }
        };
        Ok(Spryng {
            profile,
            client: self.client.map_or_else(Client::new, Ok)?,
            base: self.base.map_or_else(|| BaseUrl::parse(host), Ok)?,
            sender: self.sender,
            api,
        })
    }
}

/// Refusals by status, in both versions and in the shape of either.
static STATUSES: &[(&[u16], ErrorKind, &str)] = &[
    (
        &[401, 403],
        ErrorKind::Unauthorized,
        "the key was refused, or may not do this",
    ),
    (
        &[404, 405, 411, 413, 414, 415, 431],
        ErrorKind::Misconfigured,
        "nothing takes this request at the configured address",
    ),
    (&[429], ErrorKind::Throttled, "too many calls"),
];

/// The refusal of this status, where Spryng names no cause.
fn refusal_by_status(status: u16) -> Refusal {
    let known = STATUSES
        .iter()
        .find(|(statuses, ..)| statuses.contains(&status));
    let (kind, words) = known.map_or(
        (ErrorKind::Other, "Spryng refused it"),
        |(_, kind, words)| (*kind, *words),
    );
    Refusal::new(kind, words)
}

/// What it means that Spryng complains of this field. The first row that fits counts.
static FIELDS: &[(&[&str], ErrorKind, &str)] = &[
    (
        &["recipients", "msisdn"],
        ErrorKind::InvalidRecipient,
        "the number is not valid",
    ),
    (
        &["body", "text"],
        ErrorKind::InvalidText,
        "the text is not valid",
    ),
    (
        &["originator", "from"],
        ErrorKind::InvalidSender,
        "the sender is not valid",
    ),
    (
        &["credit", "credits", "balance"],
        ErrorKind::InsufficientBalance,
        "the account has too little credit",
    ),
    (
        &["route"],
        ErrorKind::Misconfigured,
        "the account may not use this route",
    ),
];

/// The refusal for one of these fields, where any of them is known.
fn refusal_by_field(named: &[&str]) -> Option<Refusal> {
    let is_named = |names: &&[&str]| {
        let mut named = named.iter();
        named.any(|field| names.iter().any(|name| name.eq_ignore_ascii_case(field)))
    };
    let (_, kind, words) = FIELDS.iter().find(|(names, ..)| is_named(names))?;
    Some(Refusal::new(*kind, *words))
}

/// Whether one of these stands among the words, whole.
fn names(words: &str, wanted: &[&str]) -> bool {
    words
        .split(|char: char| !char.is_alphanumeric())
        .any(|word| {
            wanted
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(word))
        })
}

/// Whether a member of an answer holds anything.
fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// A report's id, where it can be one.
fn report_id(id: &str) -> Option<String> {
    Response::message_id(id).ok().map(str::to_owned)
}

impl Spryng {
    async fn attempt(&self, message: &Message) -> Result<Receipt, SendError> {
        self.profile.validate(message)?;
        let sender = message.sender().or(self.sender.as_ref());
        let request = self.api.send(&self.base, sender, message)?;
        let answer = self.client.send(request).await?;
        let body = answer.json::<Map<String, Value>>();
        if !answer.is_success() {
            if body.is_ok_and(|body| self.api.ids(&body).into_iter().any(is_given)) {
                return Err(Response::contradiction());
            }
            return Err(answer.refused(self.api.refusal(&answer, Some(message))));
        }
        let body = body?;
        if body.get("errors").is_some_and(is_given) {
            return Err(Response::contradiction());
        }
        if !self.api.is_about(&body, message) {
            return Err(SendError::unknown(
                ErrorKind::Protocol,
                "the answer is about another message",
            ));
        }
        let id = self.api.id(&body).unwrap_or_default();
        let receipt = Receipt::new(self.profile.owned_name(), *message.reference());
        Ok(receipt.with_id(Response::message_id(&id)?))
    }

    async fn probe(&self) -> Result<Health, SendError> {
        let answer = self.client.ask(self.api.balance(&self.base)).await?;
        if !answer.is_success() {
            return Err(answer.refused(self.api.refusal(&answer, None)));
        }
        match self.api.is_balance(&answer.json()?) {
            true => Ok(Health::good()),
            false => Err(answer.refused(None)),
        }
    }

    /// What Spryng has under this reference: a report for each recipient of each message, none where it has
    /// none. Version 1 only.
    ///
    /// It is the way to find out what became of a message in doubt. Something found means that Spryng has the
    /// message. Nothing found means that Spryng did not list it at this moment, and no more: how soon a message
    /// is listed is not documented, and no reference is taken once only, so wait well beyond your deadline
    /// before you send again.
    ///
    /// # Errors
    ///
    /// Where Spryng could not be asked, `Unsupported` in version 2. Acceptance is always unknown: nothing was
    /// learned of the message.
    pub async fn look_up(&self, reference: &Reference) -> Result<Vec<DeliveryReport>, SendError> {
        self.listed(reference)
            .await
            .map_err(|error| error.with_provider(self.profile.owned_name()).in_doubt())
    }

    async fn listed(&self, reference: &Reference) -> Result<Vec<DeliveryReport>, SendError> {
        let request = self
            .api
            .look_up(&self.base, reference)
            .ok_or(SendError::unknown(
                ErrorKind::Unsupported,
                "version 2 cannot be asked for a reference",
            ))?;
        let answer = self.client.ask(request).await?;
        match answer.is_success() {
            true => v1::listed(&answer.json()?, reference),
            false => Err(answer.refused(self.api.refusal(&answer, None))),
        }
    }
}

#[async_trait]
impl SmsProvider for Spryng {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.attempt(message)
            .await
            .map_err(|error| error.with_provider(self.profile.owned_name()))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    /// Asks for the balance, which only a good key is told. The figure is left out: neither version says in
    /// which currency it is, and version 1 counts credits. In version 2 only prepaid accounts have one; what
    /// another account is answered is not documented.
    async fn check(&self) -> Result<Health, SendError> {
        self.probe()
            .await
            .map_err(|error| error.of_check().with_provider(self.profile.owned_name()))
    }
}

/// Spryng's delivery reports: not signed, so that a secret of ours is all the proof there is.
///
/// The secret is the last segment of the path, as in `https://sms.example.com/reports/spryng/SECRET`. For
/// version 2, whose webhooks are subscriptions of the account, it may also be the password of the pair that
/// Spryng sends where its authentication method is set to `basic`; the user name is not looked at. The URL of
/// version 1 is set for the account by Spryng.
///
/// The reports of all who send for the account come here: a reference that cannot be ours is kept as
/// [`vendor_reference`](DeliveryReport::vendor_reference). Repeats are not described: take no notice of an id
/// and a status that you have already.
pub struct SpryngReports {
    secrets: PathSecrets,
    read: fn(&ReportRequest<'_>) -> Result<Vec<DeliveryReport>, ReportError>,
}

impl SpryngReports {
    /// Reads the reports of version 2, and believes what comes with any of these secrets: several while one is
    /// being replaced. A request with more than 1000 reports is refused as a whole.
    ///
    /// # Errors
    ///
    /// As [`PathSecrets::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        Self::reading(secrets, v2::reports)
    }

    /// Reads the reports of version 1, one a request.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn new_v1(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        Self::reading(secrets, v1::reports)
    }

    fn reading(
        secrets: Vec<SecretString>,
        read: fn(&ReportRequest<'_>) -> Result<Vec<DeliveryReport>, ReportError>,
    ) -> Result<Self, ConfigError> {
        let secrets = PathSecrets::new("spryng", secrets)?;
        Ok(Self { secrets, read })
    }

    fn verify(&self, request: &ReportRequest<'_>) -> Result<(), ReportError> {
        let password = request.header("authorization")?.map(password);
        let segment = self.secrets.given(request.url()).map(str::to_owned);
        let mut given = [password, segment].into_iter().flatten().peekable();
        if given.peek().is_none() {
            return Err(ReportError::unsigned(
                "the report comes without a secret, in its URL or its headers",
            ));
        }
        match given.any(|given| self.secrets.contains(&given)) {
            true => Ok(()),
            false => Err(ReportError::forged("the report's secret is not ours")),
        }
    }
}

/// The password of a Basic pair (RFC 7617); empty, which is nobody's, where the header holds none.
fn password(authorization: &str) -> String {
    let pair = authorization
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, pair)| BASE64_STANDARD.decode(pair.trim()).ok())
        .and_then(|pair| String::from_utf8(pair).ok());
    let password = pair.as_deref().and_then(|pair| pair.split_once(':'));
    password.map_or_else(String::new, |(_, password)| password.to_owned())
}

/// A parser of Spryng's reports, chosen at run time: `v2`, which is the default, or `v1`.
///
/// # Errors
///
/// As [`SpryngReports::new`]; and where there is no such API.
pub fn report_parser(
    options: postduif_core::ReportOptions,
) -> Result<Arc<dyn ReportParser>, ConfigError> {
    let api = options.api().map(str::to_owned);
    let (api, secrets) = (api.as_deref(), options.into_secrets());
    Ok(Arc::new(match api {
        None | Some("v2") => SpryngReports::new(secrets)?,
        Some("v1") => SpryngReports::new_v1(secrets)?,
        Some(_) => return Err(ConfigError::new("api: v2 or v1")),
    }))
}

impl fmt::Debug for SpryngReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpryngReports").finish_non_exhaustive()
    }
}

impl ReportParser for SpryngReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Unsigned
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request)?;
        (self.read)(request)
    }
}

/// A member of a JSON object as text, where it is text or a number, whatever the case of its name.
fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    let (_, value) = object
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A word as Spryng means it: its pages and its service write case, spaces and underscores differently.
fn plain(word: &str) -> String {
    word.replace([' ', '_'], "").to_ascii_lowercase()
}
