//! Version 2 of the messaging API, as the portal documents it.

use std::{
    slice,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    ConfigError, Health, Message, Outcomes, Profile, Receipt, SendError, Sender, SmsProvider,
    async_trait, batch,
};
use postduif_http::{
    Refusal, Request, Response,
    vendor::{Endpoint, EndpointBuilder},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    IN_FLIGHT, PROFILE, has_no_id, member, mentions, plain, refusal_by_field, refusal_by_status,
    without_errors,
};

/// Square brackets delimit a variable, without a documented escape, and a text is never sent changed.
const VARIABLES: &str = "[]";
const HOST: &str = "https://api.spryng.nl";
const SEND_PATH: &str = "/v2/messages";
const BALANCE_PATH: &str = "/v2/balance";
/// The portal's delay after a 429, for a response without one.
const THROTTLED_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct V2 {
    endpoint: Endpoint,
    key: SecretString,
    account: SecretString,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SendBody<'a> {
    account_reference: &'a str,
    channel: &'static str,
    /// Defaults to the account's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    character_set: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity: Option<String>,
    body: Body<'a>,
    recipients: [Recipient<'a>; 1],
}

#[derive(Serialize)]
struct Body<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recipient<'a> {
    msisdn: String,
    /// The only member for a reference, which the reports return.
    meta_data: MetaData<'a>,
}

#[derive(Serialize)]
struct MetaData<'a> {
    reference: &'a str,
}

/// Every known code, with its status, which says what the code means. There is no published list. No code has personal
/// data, so an error may keep it.
static CODES: &[(u16, &str)] = &[
    (401, "UnauthenticatedError"),
    (404, "message_not_found"),
    (400, "invalid_request_id"),
    (400, "webhook_subscription_not_found"),
    (400, "msisdn_invalid"),
];

/// The statuses at which the error shape is documented for a send.
const REFUSED: [u16; 3] = [400, 401, 403];

/// Returns whether Spryng itself refused a message: at a documented status, by a code that is known there or with a
/// text beside it. Other servers write bare codes.
fn is_spryng(status: u16, errors: &[Map<String, Value>]) -> bool {
    let is_own = |error: &Map<String, Value>| {
        let code = plain(&member(error, "errorCode").unwrap_or_default());
        let is_known = CODES
            .iter()
            .any(|(known, name)| *known == status && plain(name) == code);
        let text = error.get("errorMessage").and_then(Value::as_str);
        is_known || text.is_some_and(|text| !text.trim().is_empty())
    };
    REFUSED.contains(&status) && errors.iter().all(is_own)
}

/// The fields that codes name, at 400.
static NAMED: [&str; 3] = ["msisdn", "balance", "credit"];

/// The words that follow a field's name in an error about that field.
static VERBS: [&str; 8] = [
    "cannot", "field", "has", "is", "may", "must", "should", "was",
];

/// Returns the refusal of an error of a 400: by its code, else by the field at the start of its text, else by a mention
/// of the balance. Any other word of the text is not the cause.
fn refusal_by_error(error: &Map<String, Value>) -> Option<Refusal> {
    let code = plain(&member(error, "errorCode").unwrap_or_default());
    let text = member(error, "errorMessage").unwrap_or_default();
    let by_code = NAMED.into_iter().find(|name| code.contains(name));
    let is_balance = mentions(&text, &["balance", "credit", "credits"]);
    by_code
        .and_then(|name| refusal_by_field(&[name]))
        .or_else(|| refusal_by_field(&[field(&text)?]))
        .or_else(|| refusal_by_field(&[is_balance.then_some("balance")?]))
}

/// Returns the field at the start of a text: `from is not valid`, or the path `recipients[0].msisdn`.
fn field(text: &str) -> Option<&str> {
    let mut words = text
        .split_whitespace()
        .map(|word| word.trim_matches(['\'', '"', '`']))
        .skip_while(|word| word.eq_ignore_ascii_case("the"));
    let (path, next) = (words.next()?, words.next().unwrap_or_default());
    let is_path = path.contains(['.', '[']) || path.ends_with(':');
    let is_name = |segment: &&str| !segment.is_empty() && segment.parse::<usize>().is_err();
    let last = path.split(['.', '[', ']', ':']).rfind(is_name)?;
    let is_verb = VERBS.iter().any(|verb| verb.eq_ignore_ascii_case(next));
    (is_path || is_verb).then_some(last)
}

/// Returns the entries of Spryng's error shape. `None` if the response has another shape.
fn errors(response: &Response) -> Option<Vec<Map<String, Value>>> {
    let body: Map<String, Value> = response.json().ok()?;
    let errors = body.get("errors")?.as_array()?;
    let errors: Option<Vec<_>> = errors
        .iter()
        .map(|error| error.as_object().cloned())
        .collect();
    errors.filter(|errors| {
        let coded =
            |error: &Map<String, Value>| error.get("errorCode").is_some_and(Value::is_string);
        !errors.is_empty() && errors.iter().all(coded)
    })
}

fn refusal(response: &Response, message: Option<&Message>) -> Option<Refusal> {
    let errors =
        errors(response).filter(|errors| message.is_none() || is_spryng(response.status(), errors));
    if errors.is_none() && response.status() != 429 {
        return None;
    }
    let errors = errors.unwrap_or_default();
    let by_error = match response.status() {
        400 => errors.iter().find_map(refusal_by_error),
        _ => None,
    };
    let words = errors
        .iter()
        .filter_map(|error| error.get("errorMessage")?.as_str());
    let mut refusal = by_error
        .unwrap_or_else(|| refusal_by_status(response.status()))
        .with_vendor_message(words, &response.redactor(message));
    if let Some(code) = errors.first().and_then(|error| member(error, "errorCode")) {
        let known = CODES.iter().find(|(_, known)| plain(known) == plain(&code));
        refusal = match known {
            Some((_, known)) => refusal.with_code(*known),
            None => refusal.with_unlisted_code(&code, message.map_or(&[], slice::from_ref)),
        };
    }
    let hint = response.retry_after(SystemTime::now().into());
    Some(match (response.status(), hint) {
        (429, None) => refusal.with_retry_after(THROTTLED_WAIT),
        _ => refusal,
    })
}

/// Returns the ids in a response, of any type.
fn ids(body: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let inside = ["messageIds", "requestId"]
        .into_iter()
        .filter_map(|name| body.get("data")?.get(name));
    body.get("messageIds").into_iter().chain(inside)
}

/// Returns the id of the message. `None` if there is not exactly one: two ids for one recipient are ambiguous.
fn id(body: &Map<String, Value>) -> Option<&str> {
    match body.get("data")?.get("messageIds")?.as_array()?.as_slice() {
        [id] => id.as_str(),
        _ => None,
    }
}

impl V2 {
    pub(crate) fn new(
        endpoint: EndpointBuilder,
        key: SecretString,
        account: SecretString,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            endpoint: endpoint.build(PROFILE.with_refused_characters(VARIABLES), HOST)?,
            key,
            account,
        })
    }

    fn authorized(&self, request: Request) -> Request {
        request.with_secret_header("x-api-key", &self.key)
    }

    fn request(&self, message: &Message) -> Request {
        let text = message.text().as_str();
        let now: DateTime<Utc> = SystemTime::now().into();
        let request = self.authorized(self.endpoint.post(SEND_PATH));
        request.with_json(&SendBody {
            account_reference: self.account.expose_secret(),
            channel: "SMS",
            from: self.endpoint.sender(message).map(Sender::to_string),
            character_set: "Auto",
            validity: message
                .validity()
                .map(|period| (now + period).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
            body: Body { text },
            recipients: [Recipient {
                msisdn: message.to().to_string(),
                meta_data: MetaData {
                    reference: message.reference().as_str(),
                },
            }],
        })
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let response = self.endpoint.client().send(self.request(message)).await?;
        if !response.is_success() {
            let body: Map<String, Value> = response.json().unwrap_or_default();
            has_no_id(ids(&body))?;
            return Err(response.refused(refusal(&response, Some(message))));
        }
        // The response has nothing of the request to compare.
        let body = without_errors(&response)?;
        self.endpoint
            .receipt(message, id(&body).unwrap_or_default())
    }

    async fn balance(&self) -> Result<Health, SendError> {
        let request = self
            .authorized(self.endpoint.get(BALANCE_PATH))
            .with_secret_header("accountreference", &self.account);
        let response = self.endpoint.client().ask(request).await?;
        if !response.is_success() {
            return Err(response.refused(refusal(&response, None)));
        }
        // In `data` as the service responds, or without it as in the portal.
        let body: Map<String, Value> = response.json()?;
        let data = body.get("data").and_then(Value::as_object).unwrap_or(&body);
        match member(data, "available") {
            Some(_) => Ok(Health::verified()),
            None => Err(response.refused(None)),
        }
    }
}

#[async_trait]
impl SmsProvider for V2 {
    fn profile(&self) -> &Profile {
        self.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let message = &self.endpoint.fit(message);
        self.endpoint
            .send_one(message, self.exchange(message))
            .await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.endpoint.probe(self.balance()).await
    }
}
