//! [Smstools](https://www.smstools.be) as a provider: version 1 of its gateway API.
//!
//! One message a call: a call for several carries one text, and nobody says what one bad number does to the
//! others. Smstools knows no idempotency and no look-up by reference: a message whose answer is lost stays in
//! doubt. An answer without an error proves nothing about the number; that shows in the delivery reports.
//!
//! ```
//! use postduif_core::{Message, SmsProvider as _, Text};
//! use postduif_smstools::Smstools;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let smstools = Smstools::from_url("smstools://client-id:client-secret@default?sender=Contoso")?;
//! let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
//! let receipt = smstools.send(&message).await?;
//! println!("accepted as {:?}", receipt.id());
//! # Ok(())
//! # }
//! ```
//!
//! | option of the URL | meaning |
//! |---|---|
//! | `sender` | a name of at most 11 characters or a number of at most 14 digits, for messages that name none; Smstools has no default |
//! | `sub_account` | the id of a sub-account to send from |
//! | `test` | `true`: Smstools checks every message and **sends none**; `false` unless given |
//!
//! The default host, `api.smsgatewayapi.com`, is that of the documentation and of the one live exchange on
//! record; the vendor's newer SDK calls `api.smstools.com`, which can stand in its place.
//!
//! A message cannot be sent later: Smstools takes a time and does not say in which zone. What becomes of
//! characters outside GSM 03.38 is not documented either: they may be replaced or refused.

use std::{num::NonZeroUsize, slice, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ErrorKind, Health,
    Message, Outcomes, PhoneNumber, Price, Profile, Receipt, ReportError, ReportParser,
    ReportRequest, SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait, batch,
};
use postduif_http::{
    BaseUrl, Client, ConnectionUrl, Refusal, Request, Response, check_header_setting, check_window,
    one_api,
    signature::{is_hmac_sha256, unhex},
    signing_secrets,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

/// What Smstools can do. 612 units of GSM 03.38, four parts, are the longest that any copy of its pages names;
/// most say 459, so that above it Smstools decides. A short code is no sender of its: error 110 demands a plus
/// before digits. Delivery reports arrive where the account has a webhook for them, which is made in the
/// dashboard.
pub const PROFILE: Profile = Profile::new("smstools")
    .with_senders(&[SenderKind::Alphanumeric, SenderKind::Number])
    .with_sender_required(true)
    .with_longest_text(TextLimit::Parts(4))
    .with_reports(true);

const HOST: &str = "https://api.smsgatewayapi.com";
const SEND_PATH: &str = "/v1/message/send";
const BALANCE_PATH: &str = "/v1/balance";
/// Calls of one batch under way at a time: no rate is published.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// The digits of a number as sender, by error 111.
const LONGEST_NUMBER: usize = 14;
/// The one text without a code that the documentation shows as an error, on 400.
const UNREADABLE: &str = "error parsing json";

/// Smstools as a provider.
#[derive(Debug)]
pub struct Smstools {
    profile: Profile,
    client: Client,
    base: BaseUrl,
    id: SecretString,
    secret: SecretString,
    sender: Option<Sender>,
    sub_account: Option<String>,
    test: bool,
}

impl Smstools {
    /// Settings for a client id and its secret.
    pub fn builder(
        id: impl Into<SecretString>,
        secret: impl Into<SecretString>,
    ) -> SmstoolsBuilder {
        SmstoolsBuilder {
            id: id.into(),
            secret: secret.into(),
            base: None,
            client: None,
            sender: None,
            sub_account: None,
            test: false,
        }
    }

    /// A provider from a URL, with an HTTP client of its own.
    ///
    /// # Errors
    ///
    /// Where the URL is not `smstools://ID:SECRET@host?options`; the error never shows it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        SmstoolsBuilder::from_url(url)?.build()
    }

    /// A provider from a URL, over a client that you configured.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_url_with(url: &str, client: &Client) -> Result<Self, ConfigError> {
        SmstoolsBuilder::from_url(url)?
            .with_client(client.clone())
            .build()
    }
}

/// Settings for [`Smstools`]. Everything is checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct SmstoolsBuilder {
    id: SecretString,
    secret: SecretString,
    base: Option<BaseUrl>,
    client: Option<Client>,
    sender: Option<Sender>,
    sub_account: Option<String>,
    test: bool,
}

impl SmstoolsBuilder {
    fn from_url(url: &str) -> Result<Self, ConfigError> {
        let options = ["sender", "sub_account", "test"];
        let url = ConnectionUrl::parse("smstools", url, &["id", "secret"], &options)?;
        Ok(Self {
            base: url.host().cloned(),
            sender: url.parsed_option("sender")?,
            sub_account: url.option("sub_account").map(str::to_owned),
            test: url.parsed_option("test")?.unwrap_or_default(),
            ..Smstools::builder(url.credential("id")?, url.credential("secret")?)
        })
    }

    /// Another host than the one in Smstools' documentation.
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

    /// The sub-account to send from.
    pub fn with_sub_account(mut self, account: impl Into<String>) -> Self {
        self.sub_account = Some(account.into());
        self
    }

    /// Has Smstools check every message and send none. A receipt then means only that it found no fault, it
    /// may lack an id, and no delivery report follows.
    pub const fn with_test(mut self, test: bool) -> Self {
        self.test = test;
        self
    }

    /// Builds the provider. Nothing is sent yet; [`check`](SmsProvider::check) tries the credentials.
    ///
    /// # Errors
    ///
    /// Where the sender is a short code or a number of more than 14 digits, the id, the secret or the
    /// sub-account holds what no header can carry, or the HTTP client cannot be built.
    pub fn build(self) -> Result<Smstools, ConfigError> {
        let fits = |sender: &Sender| {
            PROFILE.senders().contains(&sender.kind()) && on_the_wire(sender).is_some()
        };
        if !self.sender.as_ref().is_none_or(fits) {
            return Err(ConfigError::new(
                "option sender: Smstools takes a name, or a number of at most 14 digits",
            ));
        }
        check_header_setting("id", self.id.expose_secret())?;
        check_header_setting("secret", self.secret.expose_secret())?;
        if let Some(account) = &self.sub_account {
            check_header_setting("option sub_account", account)?;
        }
        Ok(Smstools {
            profile: PROFILE
                .with_sender_required(self.sender.is_none())
                .with_reports(!self.test),
            client: self.client.map_or_else(Client::new, Ok)?,
            base: self.base.map_or_else(|| BaseUrl::parse(HOST), Ok)?,
            id: self.id,
            secret: self.secret,
            sender: self.sender,
            sub_account: self.sub_account,
            test: self.test,
        })
    }
}

/// What is not wished is left out: the documentation knows no empty values.
#[derive(Serialize)]
struct SendBody<'a> {
    message: &'a str,
    /// Digits alone, and one number: an array would be answered for as a whole.
    to: String,
    sender: &'a str,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subid: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
}

/// Smstools' codes, of which it has one list for all calls, and whether they prove that nothing was sent.
static CODES: &[(&str, ErrorKind, Acceptance, &str)] = {
    use Acceptance::{NotAccepted, Unknown};
    use ErrorKind::{
        Blocked, InsufficientBalance, InvalidRecipient, InvalidSender, InvalidText, Other,
        Unauthorized, Unavailable,
    };
    &[
        ("102", InvalidText, NotAccepted, "there is no text"),
        (
            "103",
            InvalidRecipient,
            NotAccepted,
            "the number is missing or not valid",
        ),
        (
            "104",
            Unauthorized,
            NotAccepted,
            "the client id or secret was refused",
        ),
        // It reads as a refusal, but nothing says that the message was not taken.
        ("105", Unavailable, Unknown, "Smstools has trouble"),
        (
            "106",
            InvalidRecipient,
            NotAccepted,
            "the number is missing or not valid",
        ),
        (
            "108",
            InsufficientBalance,
            NotAccepted,
            "the account has no credit",
        ),
        ("109", InvalidSender, NotAccepted, "the sender is empty"),
        (
            "110",
            InvalidSender,
            NotAccepted,
            "a number as sender needs a plus",
        ),
        ("111", InvalidSender, NotAccepted, "the sender is not valid"),
        ("112", InvalidText, NotAccepted, "there is no text"),
        ("113", Other, NotAccepted, "there is no order"),
        ("114", Other, NotAccepted, "the request is empty"),
        (
            "116",
            Unauthorized,
            NotAccepted,
            "the account was unused for long and is switched off",
        ),
        ("118", InvalidText, NotAccepted, "the text is too long"),
        (
            "121",
            Other,
            NotAccepted,
            "the time is not valid or has passed",
        ),
        ("122", Other, NotAccepted, "there are no contacts"),
        ("123", Other, NotAccepted, "an object has no id"),
        ("124", Other, NotAccepted, "the group is missing"),
        ("125", Other, NotAccepted, "the group is not there"),
        ("126", Other, NotAccepted, "the name is missing"),
        ("128", Other, NotAccepted, "the group is not there"),
        (
            "129",
            Other,
            NotAccepted,
            "the number is in the group already",
        ),
        (
            "131",
            Blocked,
            NotAccepted,
            "the number is on the account's opt-out list",
        ),
        ("132", Other, NotAccepted, "the inbox is not there"),
        ("133", Other, NotAccepted, "the message is not there"),
        ("134", Other, NotAccepted, "the webhook is not there"),
        ("135", Other, NotAccepted, "the limit is not valid"),
        ("136", Other, NotAccepted, "the page is not valid"),
        (
            "137",
            Other,
            NotAccepted,
            "the window of a WhatsApp conversation is over",
        ),
        (
            "138",
            Unauthorized,
            NotAccepted,
            "the account is not set up right",
        ),
        (
            "139",
            Other,
            NotAccepted,
            "a parameter is missing or not valid",
        ),
        (
            "140",
            Other,
            NotAccepted,
            "the WhatsApp account is not valid",
        ),
        (
            "200",
            Unauthorized,
            NotAccepted,
            "the account does not allow this address",
        ),
        (
            "1002",
            Unauthorized,
            NotAccepted,
            "too many failed logins: wait before the next",
        ),
        (
            "1403",
            Unauthorized,
            NotAccepted,
            "this user of the account may not do so",
        ),
    ]
};

/// A sender as Smstools takes it; none where it does not. A number keeps its plus, which error 110 demands and
/// the documentation's examples lack.
fn on_the_wire(sender: &Sender) -> Option<String> {
    let fits = sender
        .number()
        .is_none_or(|number| number.msisdn().to_string().len() <= LONGEST_NUMBER);
    fits.then(|| sender.to_string())
}

/// A JSON value as text, where it is text or a number: Smstools mixes the two.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What an answer with an error proves: by its code first, by its status second.
///
/// Other gateways write `error` too, so that it is Smstools' own only with a code of its list, with `errorMsg`
/// beside it, or as the one text that the documentation shows. A code that repeats the status is what many
/// write.
fn refused(answer: &Response, messages: &[Message]) -> SendError {
    let by_status = answer.refused(None);
    let body: Map<String, Value> = match answer.json() {
        Ok(body) => body,
        Err(_) => return by_status,
    };
    if has_id(&body) {
        return Response::contradiction();
    }
    let Some(said) = body.get("error").and_then(text) else {
        return by_status;
    };
    let words = body.get("errorMsg").and_then(Value::as_str);
    // Without a text nothing hangs on who it was that said so.
    let repeats_status =
        words.is_none() && !messages.is_empty() && said == answer.status().to_string();
    let known = CODES
        .iter()
        .find(|(code, ..)| *code == said && !repeats_status);
    if let Some((code, kind, acceptance, words)) = known {
        let refusal = Refusal::new(*kind, *words).with_code(*code);
        return match acceptance {
            Acceptance::NotAccepted => answer.refused(Some(refusal)),
            Acceptance::Unknown if by_status.acceptance() == Acceptance::NotAccepted => by_status,
            Acceptance::Unknown => answer.refused(Some(refusal)).in_doubt(),
        };
    }
    let is_own = match words {
        Some(_) => !said.is_empty(),
        None => said == UNREADABLE && answer.status() == 400,
    };
    // On a success only a listed code is a refusal.
    if !is_own || answer.is_success() || by_status.acceptance() == Acceptance::NotAccepted {
        return by_status;
    }
    let refusal = match answer.status() {
        401 | 403 => Refusal::new(ErrorKind::Unauthorized, "Smstools refused the credentials"),
        _ => Refusal::new(ErrorKind::Other, "Smstools refused it"),
    };
    let is_code = said.bytes().all(|byte| byte.is_ascii_digit());
    answer.refused(Some(match is_code {
        true => refusal.with_unlisted_code(&said, messages),
        false => refusal,
    }))
}

/// The id of the one message of a call, in either of the forms in which Smstools gives it.
fn id(body: &Map<String, Value>) -> Option<&Value> {
    match body.get("messageid") {
        None | Some(Value::Null) => body.get("messageids")?.as_array()?.first(),
        id => id,
    }
}

/// Whether there is an id, in whatever form.
fn has_id(body: &Map<String, Value>) -> bool {
    ["messageid", "messageids"]
        .iter()
        .filter_map(|name| body.get(*name))
        .any(|id| match id {
            Value::Null => false,
            Value::String(id) => !id.trim().is_empty(),
            Value::Array(ids) => !ids.is_empty(),
            _ => true,
        })
}

impl Smstools {
    fn authenticated(&self, request: Request) -> Request {
        request
            .with_secret_header("x-client-id", &self.id)
            .with_secret_header("x-client-secret", &self.secret)
            .with_header("accept", "application/json")
    }

    fn request(&self, message: &Message) -> Result<Request, SendError> {
        let sender = message.sender().or(self.sender.as_ref());
        let sender = sender.and_then(on_the_wire).ok_or(SendError::not_accepted(
            ErrorKind::InvalidSender,
            "Smstools takes a number of at most 14 digits as sender",
        ))?;
        let request = self.authenticated(Request::post(&self.base, SEND_PATH));
        Ok(request.with_json(&SendBody {
            message: message.text().as_str(),
            to: message.to().msisdn().to_string(),
            sender: &sender,
            reference: message.reference().as_str(),
            subid: self.sub_account.as_deref(),
            test: self.test,
        }))
    }

    async fn attempt(&self, message: &Message) -> Result<Receipt, SendError> {
        self.profile.validate(message)?;
        let answer = self.client.send(self.request(message)?).await?;
        if !answer.is_success() {
            return Err(refused(&answer, slice::from_ref(message)));
        }
        let body: Map<String, Value> = answer.json()?;
        let receipt = Receipt::new(self.profile.owned_name(), *message.reference());
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(refused(&answer, slice::from_ref(message)));
        }
        match id(&body) {
            // What a test is answered with is not documented; nothing is sent then.
            None if self.test => Ok(receipt),
            id => {
                let id = id.and_then(Value::as_str).unwrap_or_default();
                Ok(receipt.with_id(Response::message_id(id)?))
            }
        }
    }

    /// Asks for the balance, which carries no text.
    async fn probe(&self) -> Result<Health, SendError> {
        let request = self.authenticated(Request::get(&self.base, BALANCE_PATH));
        let answer = self.client.ask(request).await?;
        if !answer.is_success() {
            return Err(refused(&answer, &[]));
        }
        let body: Map<String, Value> = answer.json()?;
        // Two clients of the vendor's disagree on the name, and on whether it is text or a number.
        let amount = ["credits", "balance"]
            .iter()
            .find_map(|name| body.get(*name).and_then(text));
        let Some(amount) = amount else {
            return Err(refused(&answer, &[]));
        };
        let currency = body.get("currency").and_then(Value::as_str);
        let balance = currency.and_then(|currency| Price::new(&amount, currency).ok());
        Ok(balance.map_or(Health::verified(), |balance| {
            Health::verified().with_balance(balance)
        }))
    }
}

#[async_trait]
impl SmsProvider for Smstools {
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

    /// Asks for the balance, which only good credentials are told. It is given where Smstools names a
    /// currency; what is left on an account in credits is no money.
    async fn check(&self) -> Result<Health, SendError> {
        let health = self.probe().await;
        Health::of(health.map_err(|error| error.with_provider(self.profile.owned_name())))
    }
}

/// Smstools' delivery reports, signed over the time and the body.
///
/// The secret is the one that Smstools shows when the webhook is made: for the account, in the dashboard, with
/// the method `POST` and the type `delivery_report`. A webhook of an older account may not sign: make it anew.
/// Two reports of a message are normal, and they can come in the wrong order: let no status that is not final
/// overwrite a final one.
pub struct SmstoolsReports {
    secrets: Vec<SecretString>,
}

impl SmstoolsReports {
    /// Believes what any of these secrets signed: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Where there is none, or one is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        Ok(Self {
            secrets: signing_secrets(
                secrets,
                "Smstools signs its reports: give the webhook's secret",
            )?,
        })
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        let signature = request
            .header("x-smstools-signature")?
            .ok_or(ReportError::unsigned("the report has no signature"))?;
        let (time, tag) = Some(signature)
            .and_then(|signature| Some((part(signature, "t")?, part(signature, "v1")?)))
            .ok_or(ReportError::malformed("the signature is not t=…,v1=…"))?;
        let tag = unhex(tag).ok_or(ReportError::malformed("the signature is not hexadecimal"))?;
        let signed = [time.as_bytes(), b".", request.body()].concat();
        let same_time = request
            .header("x-smstools-timestamp")?
            .is_none_or(|stamp| stamp.trim() == time);
        if !is_hmac_sha256(&self.secrets, &signed, &tag) || !same_time {
            return Err(ReportError::forged(
                "the report is not signed with our secret",
            ));
        }
        let at: i64 = time
            .parse()
            .map_err(|_| ReportError::malformed("the time is no number"))?;
        check_window(at, now, REPORT_WINDOW)
    }
}

/// A parser of Smstools' reports, chosen at run time. Smstools has one API, so none is named.
///
/// # Errors
///
/// As [`SmstoolsReports::new`]; and where an API is named.
pub fn report_parser(
    options: postduif_core::ReportOptions,
) -> Result<Arc<dyn ReportParser>, ConfigError> {
    let api = options.api().map(str::to_owned);
    let (api, secrets) = (api.as_deref(), options.into_secrets());
    one_api(api)?;
    Ok(Arc::new(SmstoolsReports::new(secrets)?))
}

/// The longer of the two windows that public receivers use: how Smstools repeats a report, and whether it
/// signs anew, is not documented, and a report played back says only what it said before.
const REPORT_WINDOW: Duration = Duration::from_secs(900);
/// The most reports that are read from one request.
const REPORT_LIMIT: usize = 1000;

impl std::fmt::Debug for SmstoolsReports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmstoolsReports").finish_non_exhaustive()
    }
}

impl ReportParser for SmstoolsReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request, now)?;
        if request.method() != "POST" {
            return Err(ReportError::malformed(
                "reports are read by POST, the method to choose for the webhook",
            ));
        }
        let body: Value = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not JSON"))?;
        let entries = match &body {
            Value::Array(entries) => entries,
            entry => slice::from_ref(entry),
        };
        if entries.len() > REPORT_LIMIT {
            return Err(ReportError::malformed("too many reports in one request"));
        }
        let (mut reports, mut others) = (Vec::new(), 0_usize);
        for entry in entries.iter().filter_map(Value::as_object) {
            // One webhook can be told of much else, inbound texts among it.
            if is_of_another_type(entry) {
                others += 1;
            } else {
                // One that cannot be read takes no other down with it.
                let message = entry.get("message").and_then(Value::as_object);
                reports.extend(message.and_then(report));
            }
        }
        if reports.is_empty() && others == 0 {
            return Err(ReportError::malformed(
                "the request does not tell of a message's status",
            ));
        }
        Ok(reports)
    }
}

/// Whether it names a type that is not a report's. One that is null or blank is absent.
fn is_of_another_type(entry: &Map<String, Value>) -> bool {
    match entry.get("webhook_type") {
        None | Some(Value::Null) => false,
        Some(Value::String(kind)) => !["", "delivery_report"].contains(&kind.trim()),
        Some(_) => true,
    }
}

/// `None` where it tells no status.
fn report(message: &Map<String, Value>) -> Option<DeliveryReport> {
    let field = |name| {
        message
            .get(name)
            .and_then(text)
            .filter(|text| !text.is_empty())
    };
    let status = field("delivery_code")?;
    let status = REPORT_STATUSES.iter().find(|(code, _)| *code == status);
    let mut report = DeliveryReport::new(
        "smstools",
        status.map_or(DeliveryStatus::Unknown, |(_, status)| *status),
    )
    .with_reference_text(&field("reference").unwrap_or_default());
    report.id = field("messageid").filter(|id| Response::message_id(id).is_ok());
    report.recipient = field("receiver").and_then(|number| PhoneNumber::from_msisdn(&number).ok());
    // 10 is an unknown number, 11 one out of range; there are more, whose meanings could not be read.
    report.code = field("delivery_code_detail")
        .filter(|code| code.len() <= 4 && code.bytes().all(|byte| byte.is_ascii_digit()));
    // Smstools' times have no zone, and which is meant is not said: they tell nothing.
    Some(report)
}

/// How far a text has come. 9 says that no report will come, which is no failure.
static REPORT_STATUSES: &[(&str, DeliveryStatus)] = &[
    ("0", DeliveryStatus::Sent),
    ("1", DeliveryStatus::Delivered),
    ("2", DeliveryStatus::Failed),
    ("3", DeliveryStatus::Buffered),
    ("4", DeliveryStatus::Rejected),
    ("5", DeliveryStatus::Rejected),
    ("9", DeliveryStatus::Unknown),
];

/// A part of a signature. None where it stands there twice: nobody may choose which one is meant.
fn part<'a>(signature: &'a str, name: &str) -> Option<&'a str> {
    let mut values = signature
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .filter(|(known, _)| *known == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}
