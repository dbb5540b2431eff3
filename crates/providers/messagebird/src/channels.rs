//! Channels, the API of Bird CRM. A request carries one message: batches are validated later, so their response proves
//! nothing.

use std::{num::NonZeroU32, slice};

use postduif_core::{
    ConfigError, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    async_trait, batch,
};
use postduif_http::{
    Proof, Refusal, Response, codes,
    vendor::{Code, EndpointBuilder, check_about, has_value},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Access, IN_FLIGHT, PROVIDER, failed_already, has_no_id};

/// The capabilities of channels. The channel is the sender. The fields for schedules and validity periods are
/// unconfirmed.
pub(crate) const PROFILE: Profile = Profile::new(PROVIDER)
    .with_reports(true)
    .with_rate(NonZeroU32::new(500).unwrap());

const HOST: &str = "https://api.bird.com";
/// The response that lists channels may be as long as one to this many messages.
const LIST_LENGTH: usize = 100;

#[derive(Debug)]
pub(crate) struct Channels {
    access: Access,
    // The account's ids, which `Debug` must not show.
    workspace: SecretString,
    channel: SecretString,
}

impl Channels {
    pub(crate) fn new(
        endpoint: EndpointBuilder,
        key: &SecretString,
        workspace: Option<&SecretString>,
        channel: Option<&SecretString>,
    ) -> Result<Self, ConfigError> {
        let id = |name: &str, id: Option<&SecretString>| {
            let id = id.map(|id| id.expose_secret()).ok_or_else(|| {
                ConfigError::new(format!(
                    "{name} is missing: expected the option {name} for the API channels"
                ))
            })?;
            // Checked only so far that it cannot leave its segment of the path.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let fits = (1..=64).contains(&id.len()) && id.bytes().all(plain);
            if fits && !id.starts_with("ws_") {
                return Ok(id.to_ascii_lowercase().into());
            }
            Err(ConfigError::new(format!(
                "invalid option {name}: expected an id such as the API's UUID, not one with ws_ from a URL of the \
                 dashboard"
            )))
        };
        Ok(Self {
            workspace: id("workspace", workspace)?,
            channel: id("channel", channel)?,
            access: Access::new(endpoint.build(PROFILE, HOST)?, "AccessKey", key)?,
        })
    }

    fn body<'a>(&self, message: &'a Message) -> SendBody<'a> {
        SendBody {
            receiver: Receiver {
                contacts: [Contact {
                    identifier_key: "phonenumber",
                    identifier_value: message.to().to_string(),
                }],
            },
            body: Body {
                kind: "text",
                text: BodyText {
                    text: message.text().as_str(),
                },
            },
            reference: message.reference().as_str(),
        }
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let path = format!(
            "/workspaces/{}/channels/{}/messages",
            self.workspace.expose_secret(),
            self.channel.expose_secret()
        );
        let request = self.access.post(&path).with_json(&self.body(message));
        let response = self.access.send(request).await?;
        if !response.is_success() {
            has_no_id(&response)?;
            return Err(refused(&response, message));
        }
        if error_body(&response).is_some() {
            return Err(Response::contradiction());
        }
        let created: Created = response.json()?;
        let number = &created.receiver["contacts"][0]["identifierValue"];
        check_about(&created.reference, number, message)?;
        if let Some("rejected" | "sending_failed" | "delivery_failed") = created.status.as_str() {
            return Err(failed_already(ErrorKind::Other));
        }
        self.access.receipt(&created.id, &created.parts, message)
    }

    async fn list(&self) -> Result<Health, SendError> {
        let path = format!("/workspaces/{}/channels", self.workspace.expose_secret());
        let request = self.access.get(&path).with_messages(LIST_LENGTH);
        let response = self.access.ask(request).await?;
        if !response.is_success() {
            return Err(response.refused(refusal(&response, &[])));
        }
        let listed: Result<Map<String, Value>, _> = response.json();
        listed.map(|_| Health::verified())
    }
}

#[derive(Serialize)]
struct SendBody<'a> {
    receiver: Receiver,
    body: Body<'a>,
    reference: &'a str,
}

#[derive(Serialize)]
struct Receiver {
    contacts: [Contact; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Contact {
    identifier_key: &'static str,
    identifier_value: String,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: BodyText<'a>,
}

#[derive(Serialize)]
struct BodyText<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct Created {
    id: String,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    parts: Value,
    #[serde(default)]
    reference: Value,
    #[serde(default)]
    receiver: Value,
}

/// Members of other error shapes, such as that of RFC 9457.
const FOREIGN: [&str; 3] = ["type", "title", "detail"];

/// Refusals by status, in the vendor's shape.
static STATUSES: &[Code] = codes! {
    "400" | "422" => Misconfigured, Below500, "a field of the request is invalid";
    "401" => Unauthorized, Below500, "the key was refused";
    "402" => InsufficientBalance, Below500, "the account has no credit";
    "403" => Unauthorized, Below500, "the key may not send, or not from this channel";
    "404" => Misconfigured, Below500, "there is no such workspace or channel";
    "429" => Throttled, Below500, "too many requests";
};

/// The message's own parts of the request, by the first segment of a detail's path.
static FIELDS: &[Code] = codes! {
    "receiver" => InvalidRecipient, Below500, "the recipient is invalid";
    "body" => InvalidText, Below500, "the text is invalid";
};

/// The only observed status and code of a refusal. No list is published, and other servers write codes in this format
/// too.
const OBSERVED: (u16, &str) = (422, "InvalidPayload");

/// Returns the code and the body of a response in the observed error shape: a `code` in the format of `InvalidPayload`,
/// with a message or details. `None` if another server may have written it: many write a lone `message`, a number as
/// `code`, or a problem of RFC 9457.
fn error_body(response: &Response) -> Option<(String, Map<String, Value>)> {
    let body: Map<String, Value> = response.json().ok()?;
    let code = body.get("code")?.as_str()?.to_owned();
    let is_name = code.starts_with(|first: char| first.is_ascii_uppercase())
        && code.bytes().all(|byte| byte.is_ascii_alphabetic())
        && code.bytes().any(|byte| byte.is_ascii_lowercase());
    let has_more = ["message", "details"]
        .iter()
        .filter_map(|name| body.get(*name))
        .any(|value| !value.is_boolean() && !value.is_number() && has_value(value));
    let is_foreign = FOREIGN
        .iter()
        .any(|name| body.get(*name).is_some_and(|value| !value.is_null()));
    (is_name && has_more && !is_foreign).then_some((code, body))
}

/// Returns what a response to a send that is not a success proves: nothing in this shape, except with the observed code
/// and status. An error in doubt keeps its kind.
fn refused(response: &Response, message: &Message) -> SendError {
    let is_observed = error_body(response)
        .is_some_and(|(code, _)| (response.status(), code.as_str()) == OBSERVED);
    let proof = if is_observed {
        Proof::Below500
    } else {
        Proof::Nothing
    };
    let is_known = Code::find(STATUSES, &response.status().to_string()).is_some();
    let refusal = refusal(response, slice::from_ref(message)).filter(|_| is_known);
    response.refused(refusal.map(|refusal| refusal.with_proof(proof)))
}

/// Returns the refusal in a response. `None` if it is not in the vendor's error shape.
fn refusal(response: &Response, messages: &[Message]) -> Option<Refusal> {
    let (code, body) = error_body(response)?;
    let by_status = || Code::find(STATUSES, &response.status().to_string());
    let row = match (response.status(), body.get("details").and_then(field)) {
        (400 | 422, Some(found)) => Some(found),
        (405 | 411 | 413 | 414 | 415 | 431, _) => return None,
        _ => by_status(),
    };
    let (kind, meaning) = row.map_or(
        (ErrorKind::Other, "MessageBird refused the request"),
        |row| (row.kind, row.message),
    );
    // No list of codes is published.
    let words = body.get("message").and_then(Value::as_str);
    let words = words
        .into_iter()
        .chain(body.get("details").into_iter().flat_map(words_of_details));
    let refusal = Refusal::new(kind, meaning).with_unlisted_code(&code, messages);
    Some(refusal.with_vendor_message(words, &response.redactor(messages)))
}

/// Returns the texts in the details: those of each path, or the messages in the entries of an array.
fn words_of_details(details: &Value) -> Vec<&str> {
    fn texts(value: &Value) -> Vec<&str> {
        match value {
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
            text => text.as_str().into_iter().collect(),
        }
    }
    match details {
        Value::Object(members) => members.values().flat_map(texts).collect(),
        Value::Array(entries) => entries
            .iter()
            .filter_map(|entry| entry.get("message")?.as_str())
            .collect(),
        text => text.as_str().into_iter().collect(),
    }
}

/// Returns the part of the request that the details are about. Paths are the names of an object, or in the entries of
/// an array.
fn field(details: &Value) -> Option<&'static Code> {
    let paths: Vec<&str> = match details {
        Value::Object(members) => members.keys().map(String::as_str).collect(),
        Value::Array(entries) => entries
            .iter()
            .filter_map(|entry| {
                ["path", "field", "property", "param", "pointer"]
                    .iter()
                    .find_map(|name| entry.get(name)?.as_str())
            })
            .collect(),
        _ => Vec::new(),
    };
    let first = |path: &str| {
        let path = path.trim_start_matches(['$', '#', '.', '/']);
        path.split(['.', '/', '['])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    paths
        .into_iter()
        .find_map(|path| Code::find(FIELDS, &first(path)))
}

#[async_trait]
impl SmsProvider for Channels {
    fn profile(&self) -> &Profile {
        self.access.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let message = &self.access.endpoint.fit(message);
        let exchange = self.exchange(message);
        self.access.endpoint.send_one(message, exchange).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    /// Lists the workspace's channels, which proves the key. It does not check the configured channel.
    async fn check(&self) -> Result<Health, SendError> {
        self.access.endpoint.probe(self.list()).await
    }
}
