//! [CM.com](https://developers.cm.com/messaging/docs) as a provider: the JSON call of its Business Messaging
//! API, version 1.0.
//!
//! CM gives no id: a message is known by its [`Reference`] alone, in the answer and in the delivery reports.
//! One call carries up to 1000 messages with different texts and senders, and each has a verdict of its own.
//! CM knows no idempotency: a message whose answer is lost stays in doubt.
//!
//! ```
//! use postduif_cm::Cm;
//! use postduif_core::{Message, SmsProvider as _, Text};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let cm = Cm::from_url("cm://product-token@default?sender=Contoso")?;
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = cm.send(&message).await?;
//! println!("accepted as {}, in {:?} parts", receipt.reference(), receipt.parts());
//! # Ok(())
//! # }
//! ```
//!
//! | option of the URL | meaning |
//! |---|---|
//! | `sender` | a name of 3 to 11 characters, a number, or a short code, for messages that name none; CM has no default |
//!
//! The default host is the one that CM recommends, which lies behind Cloudflare, Inc. (USA); the host
//! `gw.cmtelecom.com` in its place is CM's own without it.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    slice,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, Authenticity, BatchTexts, ConfigError, DeliveryReport, DeliveryStatus, ErrorKind,
    Health, Message, Outcomes, PhoneNumber, Profile, Receipt, Reference, ReportError, ReportParser,
    ReportRequest, SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait, attempt,
    batch,
};
use postduif_http::{
    BaseUrl, Client, ConnectionUrl, PathSecrets, Refusal, Request, Response, check_header_setting,
    one_api, query_parameter,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::{Map, Value};

/// What CM can do. Eight parts are the practice of every official client; whether more are possible is not
/// stated. Delivery reports arrive where the account has a URL for them, which is set in CM's web app.
pub const PROFILE: Profile = Profile::new("cm")
    .with_batch(BATCH_SIZE, BatchTexts::Mixed)
    .with_senders(&[
        SenderKind::Alphanumeric,
        SenderKind::Number,
        SenderKind::ShortCode,
    ])
    .with_sender_required(true)
    .with_validity(Duration::from_secs(60), Duration::from_secs(48 * 3600))
    .with_longest_text(TextLimit::Parts(MAX_PARTS as usize))
    .with_reports(true);

const HOST: &str = "https://gw.messaging.cm.com";
const SEND_PATH: &str = "/v1.0/message";
/// By the documentation and the PHP SDK; the Python SDK stops at 100.
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// Calls of one batch under way at a time: CM says that it does not throttle, and publishes no rate.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(4).unwrap();
const MAX_PARTS: u8 = 8;
/// A batch that is too large for one call goes out in at most about so many: 63 messages each of 1000.
const MOST_PIECES: usize = 16;
/// A sender of fewer characters is none by CM's description of the field.
const SHORTEST_NAME: usize = 3;
/// The digits of a number as sender, its `00` included. One too long was answered `Accepted` and cancelled
/// later (`cmdotcom/text-sdk-php`, issue 18), so that the answer cannot be relied on for it.
const LONGEST_NUMBER: usize = 16;

/// CM.com as a provider.
#[derive(Debug)]
pub struct Cm {
    profile: Profile,
    client: Client,
    base: BaseUrl,
    token: SecretString,
    sender: Option<Sender>,
}

impl Cm {
    /// Settings for a product token.
    pub fn builder(token: impl Into<SecretString>) -> CmBuilder {
        CmBuilder {
            token: token.into(),
            base: None,
            client: None,
            sender: None,
        }
    }

    /// A provider from a URL, with an HTTP client of its own.
    ///
    /// # Errors
    ///
    /// Where the URL is not `cm://TOKEN@host?options`; the error never shows it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        CmBuilder::from_url(url)?.build()
    }

    /// A provider from a URL, over a client that you configured.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_url_with(url: &str, client: &Client) -> Result<Self, ConfigError> {
        CmBuilder::from_url(url)?
            .with_client(client.clone())
            .build()
    }
}

/// Settings for [`Cm`]. Everything is checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct CmBuilder {
    token: SecretString,
    base: Option<BaseUrl>,
    client: Option<Client>,
    sender: Option<Sender>,
}

impl CmBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let url = ConnectionUrl::parse("cm", url, &["token"], &["sender"])?;
        Ok(Self {
            base: url.host().cloned(),
            sender: url.parsed_option("sender")?,
            ..Cm::builder(url.credential("token")?)
        })
    }

    /// Another host than the one that CM recommends.
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

    /// Builds the provider. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Where the sender is a name or a number of a length that CM does not take, no header can carry the token,
    /// or the HTTP client cannot be built.
    pub fn build(self) -> Result<Cm, ConfigError> {
        check_header_setting("token", self.token.expose_secret())?;
        if self
            .sender
            .as_ref()
            .is_some_and(|sender| from(sender).is_none())
        {
            return Err(ConfigError::new(
                "option sender: CM takes a name of 3 to 11 characters, a number of at most 14 digits, or a \
                 short code",
            ));
        }
        Ok(Cm {
            profile: PROFILE.with_sender_required(self.sender.is_none()),
            client: self.client.map_or_else(Client::new, Ok)?,
            base: self.base.map_or_else(|| BaseUrl::parse(HOST), Ok)?,
            token: self.token,
            sender: self.sender,
        })
    }
}

#[derive(Serialize)]
struct SendBody<'a> {
    messages: Batch<'a>,
}

#[derive(Serialize)]
struct Batch<'a> {
    msg: &'a [Msg<'a>],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Msg<'a> {
    /// Left out, any channel that the account has: WhatsApp, RCS, Viber.
    allowed_channels: [&'static str; 1],
    from: String,
    /// One, so that each recipient has a reference of its own.
    to: [Recipient; 1],
    body: Body<'a>,
    minimum_number_of_message_parts: u8,
    maximum_number_of_message_parts: u8,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity: Option<String>,
}

#[derive(Serialize)]
struct Recipient {
    number: String,
}

#[derive(Serialize)]
struct Body<'a> {
    /// Left out, the text is taken for GSM 03.38.
    #[serde(rename = "type")]
    encoding: &'static str,
    content: &'a str,
}

/// CM's one shape, for success and failure. Anything else is somebody else speaking.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spoken {
    details: Option<String>,
    error_code: i64,
    /// `None` where the member is missing.
    #[serde(default, deserialize_with = "present")]
    messages: Option<Option<Vec<Told>>>,
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Spoken {
    /// Whether a refusal in it is CM's: an `errorCode` alone is written by many, and CM writes `details` and
    /// `messages` beside it, always.
    const fn is_own(&self) -> bool {
        self.details.is_some() && self.messages.is_some()
    }

    /// The verdicts on messages, as far as there are any.
    fn told(&self) -> &[Told] {
        match &self.messages {
            Some(Some(told)) => told,
            _ => &[],
        }
    }
}

/// What is said of one message. One that cannot be read says nothing, and takes no other down with it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Readable(Verdict),
    Unreadable(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    to: Option<String>,
    reference: Option<String>,
    status: String,
    #[serde(default)]
    parts: Value,
    message_error_code: Option<i64>,
}

impl Verdict {
    fn reference(&self) -> Option<&str> {
        self.reference.as_deref().filter(|text| !text.is_empty())
    }

    fn to(&self) -> Option<&str> {
        self.to.as_deref().filter(|text| !text.is_empty())
    }

    /// Whether it says that no part was taken. Whatever is neither absent nor a zero, in any form, does not.
    fn has_no_parts(&self) -> bool {
        match &self.parts {
            Value::Null => true,
            Value::Number(parts) => parts.as_f64() == Some(0.0),
            Value::String(parts) => match parts.trim() {
                "" => true,
                parts => parts.parse() == Ok(0.0),
            },
            _ => false,
        }
    }
}

/// CM's codes for a call as a whole, and whether they prove that nothing of it was sent.
static CALL_CODES: &[(i64, ErrorKind, Acceptance, &str)] = {
    use Acceptance::{NotAccepted, Unknown};
    use ErrorKind::{InsufficientBalance, Other, Protocol, Unauthorized, Unavailable};
    &[
        (101, Unauthorized, NotAccepted, "the token was refused"),
        (102, InsufficientBalance, NotAccepted, "no credit left"),
        (103, Unauthorized, NotAccepted, "the token is malformed"),
        (202, Protocol, NotAccepted, "CM could not read the call"),
        (
            BAD_LIST,
            Protocol,
            NotAccepted,
            "CM refused the list of messages, perhaps as too long",
        ),
        (500, Unavailable, Unknown, "CM failed"),
        (999, Other, Unknown, "CM failed, for no known reason"),
    ]
};

/// CM's codes for one message, where its status is `Rejected`.
static MESSAGE_CODES: &[(i64, ErrorKind, &str)] = {
    use ErrorKind::{Blocked, InvalidRecipient, InvalidSender, InvalidText, Misconfigured, Other};
    &[
        (301, InvalidSender, "the sender is not valid"),
        (302, InvalidRecipient, "the recipient is not valid"),
        (303, InvalidRecipient, "the number is not valid"),
        (304, InvalidText, "the text is empty or too long"),
        (305, Misconfigured, "an unnamed field is not valid"),
        (401, Blocked, "stopped by the spam filter"),
        (402, Blocked, "number or sender on a block list"),
        (403, Other, "rejected without a reason"),
        (500, Other, "rejected, since CM failed"),
        (UNKNOWN_REASON, Other, "rejected for no known reason"),
    ]
};

/// CM's codes of a rejected message that only its status and its count of parts show to be a refusal.
const REFUSED_WITHOUT_PARTS: [i64; 2] = [500, UNKNOWN_REASON];
const UNKNOWN_REASON: i64 = 999;

const UNLISTED: &str = "CM gives a code that is not in its list for this";

/// The code of a call in which some messages, or all, were rejected.
const SOME_REJECTED: i64 = 201;
/// The code of a call whose list of messages is missing, empty or too long.
const BAD_LIST: i64 = 203;

/// A number as CM asks for it.
fn digits(number: PhoneNumber) -> String {
    format!("00{}", number.msisdn())
}

/// A sender as CM takes it; none where it does not. What else a country forbids shows in a report.
fn from(sender: &Sender) -> Option<String> {
    match sender.number() {
        Some(number) => Some(digits(number)).filter(|digits| digits.len() <= LONGEST_NUMBER),
        None => Some(sender.to_string()).filter(|name| name.chars().count() >= SHORTEST_NAME),
    }
}

/// In a form that CM's page shows: whole hours, whole minutes within one hour, else a moment by our clock.
/// Minutes stay relative, since a moment one minute ahead is less than CM's shortest when it arrives.
fn validity(period: Duration, now: DateTime<Utc>) -> String {
    match period.as_secs() {
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 && seconds < 3600 => format!("{}m", seconds / 60),
        _ => (now + period).format("%Y-%m-%d %H:%M:%S GMT").to_string(),
    }
}

/// Whether an answer says of any message that CM took it, in whatever form.
fn accepts_any(answer: &Response) -> bool {
    let body: Map<String, Value> = answer.json().unwrap_or_default();
    let told = body.get("messages").and_then(Value::as_array);
    told.into_iter()
        .flatten()
        .any(|verdict| verdict["status"] == "Accepted")
}

/// What an answer that speaks of no message proves of the call as a whole.
fn refused(answer: &Response, spoken: Option<&Spoken>, messages: &[Message]) -> SendError {
    let error = refused_as_a_whole(answer, spoken, messages);
    match error.acceptance() {
        Acceptance::NotAccepted if accepts_any(answer) => Response::contradiction(),
        _ => error,
    }
}

fn refused_as_a_whole(
    answer: &Response,
    spoken: Option<&Spoken>,
    messages: &[Message],
) -> SendError {
    // Cloudflare's, for an origin that it did not hear from.
    if matches!(answer.status(), 522 | 524) {
        return SendError::unknown(
            ErrorKind::Timeout,
            "the gateway before CM had no answer in time",
        );
    }
    let by_status = answer.refused(None);
    // A success that mentions no message says nothing of any, whatever its code.
    let told = spoken.filter(|spoken| spoken.is_own() && !answer.is_success());
    let Some(&Spoken { error_code, .. }) = told else {
        return by_status;
    };
    let code = error_code.to_string();
    let known = CALL_CODES.iter().find(|(code, ..)| *code == error_code);
    let (refusal, acceptance) = match known {
        Some((_, kind, acceptance, words)) => {
            (Refusal::new(*kind, *words).with_code(code), *acceptance)
        }
        None => (
            Refusal::new(ErrorKind::Other, UNLISTED).with_unlisted_code(&code, messages),
            Acceptance::Unknown,
        ),
    };
    match acceptance {
        Acceptance::NotAccepted => answer.refused(Some(refusal)),
        Acceptance::Unknown if by_status.acceptance() == Acceptance::NotAccepted => by_status,
        Acceptance::Unknown => answer.refused(Some(refusal)).in_doubt(),
    }
}

/// Whether a call was refused for how much it carries: by 413, whoever says it, or by CM's own code.
fn is_too_large(answer: &Response, spoken: Option<&Spoken>) -> bool {
    match spoken {
        Some(spoken) if !spoken.told().is_empty() => false,
        Some(spoken) if spoken.is_own() => spoken.error_code == BAD_LIST,
        _ => answer.status() == 413,
    }
}

/// Two verdicts on one message. Saying a thing twice does not change it; of two reasons for a refusal the
/// first stands.
fn both(
    first: Result<Receipt, SendError>,
    second: Result<Receipt, SendError>,
) -> Result<Receipt, SendError> {
    match (first, second) {
        (Ok(first), Ok(_)) => Ok(first),
        (Err(_), Err(second)) if second.acceptance() == Acceptance::Unknown => Err(second),
        (Err(first), Err(_)) => Err(first),
        _ => Err(Response::contradiction()),
    }
}

/// The messages of one call, by what an answer may call them.
struct Sent<'a> {
    /// Those of the call, and perhaps more.
    all: &'a [Message],
    messages: Vec<&'a Message>,
    by_reference: HashMap<&'a str, usize>,
    /// None where the number is that of several messages.
    by_number: HashMap<PhoneNumber, Option<usize>>,
}

impl<'a> Sent<'a> {
    fn new(all: &'a [Message], places: &[usize]) -> Self {
        let messages: Vec<_> = places.iter().map(|place| &all[*place]).collect();
        let places = messages.iter().enumerate();
        let by_reference = places
            .clone()
            .map(|(place, message)| (message.reference().as_str(), place))
            .collect();
        let mut by_number = HashMap::new();
        for (place, message) in places {
            by_number
                .entry(message.to())
                .and_modify(|place| *place = None)
                .or_insert(Some(place));
        }
        Self {
            all,
            messages,
            by_reference,
            by_number,
        }
    }

    /// The one message that a verdict can be about: by its reference, else by its number where no other has
    /// it. The order of verdicts is not promised, so that their position tells only in a call for one.
    fn place_of(&self, verdict: &Verdict) -> Option<usize> {
        match (verdict.reference(), verdict.to()) {
            (Some(reference), _) => self.by_reference.get(reference).copied(),
            (None, Some(to)) => {
                let number = PhoneNumber::from_msisdn(to).ok()?;
                self.by_number.get(&number).copied().flatten()
            }
            (None, None) => (self.messages.len() == 1).then_some(0),
        }
    }
}

impl Cm {
    /// A message as the wire has it, or why CM would not take it.
    fn msg<'a>(&self, message: &'a Message) -> Result<Msg<'a>, SendError> {
        self.profile.validate(message)?;
        let sender = message.sender().or(self.sender.as_ref());
        let from = sender.and_then(from).ok_or(SendError::not_accepted(
            ErrorKind::InvalidSender,
            "CM takes a name of 3 to 11 characters or a number of at most 14 digits as sender",
        ))?;
        Ok(Msg {
            allowed_channels: ["SMS"],
            from,
            to: [Recipient {
                number: digits(message.to()),
            }],
            body: Body {
                encoding: "auto",
                content: message.text().as_str(),
            },
            minimum_number_of_message_parts: 1,
            maximum_number_of_message_parts: MAX_PARTS,
            reference: message.reference().as_str(),
            validity: message
                .validity()
                .map(|period| validity(period, SystemTime::now().into())),
        })
    }

    /// At most as many messages as one call carries by CM's page; in smaller calls where that proves to be too
    /// many. Only what was provenly refused is sent again.
    async fn piece(&self, messages: &[Message]) -> Outcomes {
        let mut outcomes = Outcomes::in_doubt(messages);
        let (mut start, mut size) = (0, messages.len());
        let smallest = size.div_ceil(MOST_PIECES);
        while start < messages.len() {
            let end = messages.len().min(start + size);
            let (answers, too_large) = self.call(&messages[start..end]).await;
            if too_large && end - start > smallest {
                size = (end - start).div_ceil(2);
                continue;
            }
            for (place, answer) in answers.into_iter().enumerate() {
                outcomes.set(start + place, answer);
            }
            start = end;
        }
        outcomes
    }

    /// Makes one call. Messages whose reference another of them has too go in calls of their own, one after
    /// the other: in one answer nobody could tell them apart.
    ///
    /// Tells as well whether nothing was sent since the call carries too much.
    async fn call(&self, messages: &[Message]) -> (Outcomes, bool) {
        let named = |error: SendError| error.with_provider(self.profile.owned_name());
        let mut outcomes = Outcomes::in_doubt(messages);
        let mut calls: Vec<(Vec<usize>, Vec<Msg<'_>>)> = Vec::new();
        let mut seen: HashMap<&Reference, usize> = HashMap::new();
        for (place, message) in messages.iter().enumerate() {
            match self.msg(message) {
                Ok(msg) => {
                    let times = seen.entry(message.reference()).or_default();
                    if calls.len() == *times {
                        calls.push(Default::default());
                    }
                    calls[*times].0.push(place);
                    calls[*times].1.push(msg);
                    *times += 1;
                }
                Err(error) => outcomes.set(place, Err(named(error))),
            }
        }
        for (index, (places, msg)) in calls.iter().enumerate() {
            let sent = Sent::new(messages, places);
            let mut refused_as_too_large = None;
            // A part of its own, so that a proven refusal is taken back.
            let answers = attempt(async {
                // What this call does not carry, it does not send.
                let elsewhere = SendError::not_accepted(ErrorKind::Other, "not in this call");
                let mut answers = Outcomes::failed(messages, &elsewhere);
                let told = match self.client.send(self.request(msg)).await {
                    Ok(answer) => {
                        let spoken = answer.json::<Spoken>().ok();
                        let told = self.read(&answer, spoken.as_ref(), &sent);
                        if is_too_large(&answer, spoken.as_ref()) {
                            refused_as_too_large = told.first().cloned();
                        }
                        told
                    }
                    Err(error) => vec![Err(error); places.len()],
                };
                for (place, told) in places.iter().zip(told) {
                    answers.set(*place, told.map_err(named));
                }
                answers
            })
            .await;
            for place in places {
                if let Some(answer) = answers.get(*place) {
                    outcomes.set(*place, answer.clone());
                }
            }
            match refused_as_too_large {
                Some(Err(error)) if index == 0 && error.acceptance() == Acceptance::NotAccepted => {
                    for (places, _) in &calls {
                        for place in places {
                            outcomes.set(*place, Err(named(error.clone())));
                        }
                    }
                    return (outcomes, true);
                }
                _ => {}
            }
        }
        (outcomes, false)
    }

    fn request(&self, msg: &[Msg<'_>]) -> Request {
        Request::post(&self.base, SEND_PATH)
            .with_secret_header("x-cm-producttoken", &self.token)
            .with_header("accept", "application/json")
            .with_messages(msg.len())
            .with_json(&SendBody {
                messages: Batch { msg },
            })
    }

    /// What an answer says of each message, in the messages' order.
    fn read(
        &self,
        answer: &Response,
        spoken: Option<&Spoken>,
        sent: &Sent<'_>,
    ) -> Vec<Result<Receipt, SendError>> {
        let may_tell = answer.is_success() || matches!(answer.status(), 400..=499);
        let Some(spoken) = spoken.filter(|spoken| may_tell && !spoken.told().is_empty()) else {
            return vec![Err(refused(answer, spoken, sent.all)); sent.messages.len()];
        };
        let mut outcomes = vec![None; sent.messages.len()];
        for told in spoken.told() {
            let Told::Readable(verdict) = told else {
                continue;
            };
            let Some(place) = sent.place_of(verdict) else {
                continue;
            };
            let outcome = self.outcome(answer, spoken, verdict, sent.messages[place]);
            outcomes[place] = Some(match outcomes[place].take() {
                Some(first) => both(first, outcome),
                None => outcome,
            });
        }
        let unmentioned = SendError::unknown(
            ErrorKind::Protocol,
            "the answer says nothing certain of this message",
        );
        let outcomes = outcomes.into_iter();
        outcomes
            .map(|outcome| outcome.unwrap_or_else(|| Err(unmentioned.clone())))
            .collect()
    }

    /// A verdict is believed where neither its own number nor the call's status and code say otherwise.
    fn outcome(
        &self,
        answer: &Response,
        spoken: &Spoken,
        verdict: &Verdict,
        message: &Message,
    ) -> Result<Receipt, SendError> {
        let call_code = spoken.error_code;
        if verdict
            .to()
            .is_some_and(|to| PhoneNumber::from_msisdn(to) != Ok(message.to()))
        {
            return Err(Response::contradiction());
        }
        match (verdict.status.as_str(), verdict.message_error_code) {
            ("Accepted", None | Some(0))
                if answer.is_success() && matches!(call_code, 0 | SOME_REJECTED) =>
            {
                let receipt = Receipt::new(self.profile.owned_name(), *message.reference());
                Ok(match verdict.parts.as_u64().map(u16::try_from) {
                    // CM may report each segment on its own, under one reference.
                    Some(Ok(parts @ 1..)) => receipt.with_parts(parts).with_expected_reports(parts),
                    _ => receipt,
                })
            }
            ("Rejected", code) if call_code != 0 && code != Some(0) => {
                // Answers of 2017 had no code for a message, which counts as the code for no known reason.
                let number = code.unwrap_or(UNKNOWN_REASON);
                if REFUSED_WITHOUT_PARTS.contains(&number) && !verdict.has_no_parts() {
                    return Err(Response::contradiction());
                }
                let known = MESSAGE_CODES.iter().find(|(known, ..)| *known == number);
                let (_, kind, words) = *known.unwrap_or(&(number, ErrorKind::Other, UNLISTED));
                let refusal = Refusal::new(kind, words);
                let said = number.to_string();
                let refusal = if known.is_some() && code.is_some() {
                    refusal.with_code(said)
                } else {
                    refusal.with_unlisted_code(&said, slice::from_ref(message))
                };
                Err(answer.refused(spoken.is_own().then_some(refusal)))
            }
            _ => Err(Response::contradiction()),
        }
    }
}

#[async_trait]
impl SmsProvider for Cm {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.piece(slice::from_ref(message)).await.into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::in_chunks(messages, BATCH_SIZE, IN_FLIGHT, async |piece| {
            self.piece(piece).await
        })
        .await
    }

    /// CM cannot tell: the one call that would try the token without sending, its balance, asks for an
    /// account's id and goes to another host, which the token is not configured for.
    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::unknown())
    }
}

/// CM's status reports: not signed, so that a secret of ours in the URL is all the proof there is.
///
/// The secret is the last segment of the path, as in `https://sms.example.com/reports/cm/SECRET`, and the URL
/// is set once per account in CM's web app, in the format JSON or GET; XML is not read. CM repeats for 7 days
/// what was not answered with a success, so answer so for what is not yours too: the reports of all who
/// send for the account come here, and a reference that is not in the form of ours is kept as text. What tells
/// no status, such as an inbound text, is malformed. A text of several parts can give several reports, which CM
/// does not number: [`Delivery`](postduif_core::Delivery) joins them, with the parts of the receipt.
#[derive(Debug)]
pub struct CmReports {
    secrets: PathSecrets,
}

impl CmReports {
    /// Believes what comes with any of these secrets: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// As [`PathSecrets::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let secrets = PathSecrets::new("cm", secrets)?;
        Ok(Self { secrets })
    }
}

/// A parser of CM's reports, chosen at run time. CM has one API, so none is named.
///
/// # Errors
///
/// As [`CmReports::new`]; and where an API is named.
pub fn report_parser(
    options: postduif_core::ReportOptions,
) -> Result<Arc<dyn ReportParser>, ConfigError> {
    let api = options.api().map(str::to_owned);
    let (api, secrets) = (api.as_deref(), options.into_secrets());
    one_api(api)?;
    Ok(Arc::new(CmReports::new(secrets)?))
}

/// The most reports that are read from one request.
const REPORT_LIMIT: usize = 1000;

impl ReportParser for CmReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Unsigned
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.secrets.verify(request.url())?;
        if request.method() == "GET" {
            return Ok(vec![Fields::from_query(request.url())?.report()]);
        }
        let body: Value = serde_json::from_slice(request.body()).map_err(|_| {
            ReportError::malformed("the report is not JSON, the format to choose in CM's web app")
        })?;
        let mut entries = Vec::new();
        for part in each(&body) {
            match part.get("messages") {
                Some(messages) => each(messages)
                    .iter()
                    .for_each(|messages| entries.extend(each(&messages["msg"]))),
                None => entries.push(part),
            }
        }
        if entries.len() > REPORT_LIMIT {
            return Err(ReportError::malformed("too many reports in one request"));
        }
        // One that cannot be read takes no other down with it.
        let reports: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| Some(Fields::from_json(entry)?.report()))
            .collect();
        match reports.is_empty() {
            true => Err(ReportError::malformed("the request tells no status")),
            false => Ok(reports),
        }
    }
}

/// What CM's template writes as an object, or several of it.
fn each(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        value => slice::from_ref(value),
    }
}

/// A report's members, as text.
struct Fields {
    reference: Option<String>,
    recipient: Option<String>,
    received: Option<String>,
    status: String,
    error: Option<String>,
}

impl Fields {
    /// CM's template, or the flat form that a community integration expects. `None` where it tells no status.
    fn from_json(entry: &Value) -> Option<Self> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let (status, error) = match &entry["status"] {
            Value::Object(status) => (status.get("code")?, status.get("errorCode")),
            status => (status, entry.get("errorCode")),
        };
        Some(Self {
            reference: text(&entry["reference"]),
            recipient: text(&entry["to"]),
            received: text(&entry["received"]),
            status: text(status).filter(|status| !status.is_empty())?,
            error: error.and_then(text),
        })
    }

    /// The older form: a GET with parameters.
    fn from_query(url: &str) -> Result<Self, ReportError> {
        let text = |name| {
            let value = query_parameter(url, name)?;
            Ok(value.map(|value| value.trim().to_owned()))
        };
        Ok(Self {
            reference: text("reference")?,
            recipient: text("to")?,
            received: text("received")?,
            status: text("statuscode")?
                .filter(|status| !status.is_empty())
                .ok_or(ReportError::malformed("the report's URL tells no status"))?,
            error: text("errorcode")?,
        })
    }

    fn report(self) -> DeliveryReport {
        let status = REPORT_STATUSES
            .iter()
            .find(|(code, _)| *code == self.status);
        let status = match status {
            // The network keeps trying, for want of the subscriber's credit.
            Some((_, status))
                if self.error.as_deref() == Some("7") && *status != DeliveryStatus::Delivered =>
            {
                DeliveryStatus::Buffered
            }
            Some((_, status)) => *status,
            None => DeliveryStatus::Unknown,
        };
        let mut report = DeliveryReport::new("cm", status)
            .with_reference_text(self.reference.as_deref().unwrap_or_default());
        report.recipient = self
            .recipient
            .and_then(|text| PhoneNumber::from_msisdn(&text).ok());
        // Nothing, 0 and, in older reports, 200 are no error; all known numbers are short.
        report.code = self.error.filter(|code| {
            (1..=3).contains(&code.len())
                && code.bytes().all(|byte| byte.is_ascii_digit())
                && code.bytes().any(|byte| byte != b'0')
                && code != "200"
        });
        // CM's example has no zone, and CM does not say which is meant: such a time tells nothing.
        report.at = self
            .received
            .and_then(|time| DateTime::parse_from_rfc3339(&time).ok())
            .map(|time| time.to_utc());
        report
    }
}

/// How far a text has come. 4, read, is of chat channels only.
static REPORT_STATUSES: &[(&str, DeliveryStatus)] = &[
    ("0", DeliveryStatus::Sent),
    ("1", DeliveryStatus::Rejected),
    ("2", DeliveryStatus::Delivered),
    ("3", DeliveryStatus::Failed),
    ("4", DeliveryStatus::Delivered),
];
