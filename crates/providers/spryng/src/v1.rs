//! Version 1 of the REST API, as its SDKs and public clients use it.

use postduif_core::{
    ConfigError, DeliveryReport, ErrorKind, Health, Message, Outcomes, Profile, Receipt, Reference,
    SendError, Sender, SmsProvider, async_trait, batch,
};
use postduif_http::{
    Refusal, Request, Response,
    vendor::{
        Endpoint, EndpointBuilder, check_about,
        reports::{message_id, recipient},
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    IN_FLIGHT, PROFILE_V1, has_no_id, member, mentions, refusal_by_field, refusal_by_status,
    reports::v1_status, without_errors,
};

const HOST: &str = "https://rest.spryngsms.com";
const MESSAGES_PATH: &str = "/v1/messages";
const BALANCE_PATH: &str = "/v1/balance";
/// The maximum number of digits of a number as sender.
const MAX_DIGITS: usize = 14;
const SENDER: &str = "expected a name, a short code, or a number of at most 14 digits";

#[derive(Debug)]
pub(crate) struct V1 {
    endpoint: Endpoint,
    /// The whole `Authorization` header.
    bearer: SecretString,
    route: SecretString,
}

#[derive(Serialize)]
struct SendBody<'a> {
    body: &'a str,
    encoding: &'static str,
    originator: String,
    /// Digits alone, and one number: the response has a single id for all.
    recipients: [String; 1],
    route: &'a str,
    reference: &'a str,
}

/// Returns a sender in the format of version 1: a number without its plus. `None` if it is too long.
fn wire_sender(sender: &Sender) -> Option<String> {
    match sender.number() {
        Some(number) => {
            Some(number.msisdn().to_string()).filter(|digits| digits.len() <= MAX_DIGITS)
        }
        None => Some(sender.to_string()),
    }
}

/// The fields of a send, and the names of its cost. An error about another field is not Spryng's.
const OWN_FIELDS: [&str; 10] = [
    "balance",
    "body",
    "credit",
    "credits",
    "encoding",
    "originator",
    "recipients",
    "reference",
    "route",
    "scheduled_at",
];

/// Returns the fields of version 1's error shape: an object of lists of text beside `message`. It has no codes.
fn fields(body: &Map<String, Value>) -> Option<Vec<&str>> {
    let fields = body.get("errors")?.as_object()?;
    let is_list = |errors: &Value| {
        errors
            .as_array()
            .is_some_and(|errors| !errors.is_empty() && errors.iter().all(Value::is_string))
    };
    let named = || {
        fields
            .keys()
            .filter_map(|name| name.split(['.', '[']).next())
    };
    (!fields.is_empty() && fields.values().all(is_list)).then(|| named().collect())
}

/// Returns the refusal of a lone `message`, which counts at 422 only: gateways write one too, but do not mention a
/// recipient or credit.
fn refusal_by_message(text: &str) -> Option<Refusal> {
    if mentions(text, &["credit", "credits"]) {
        return refusal_by_field(&["credits"]);
    }
    if !mentions(text, &["recipient", "recipients"]) {
        return None;
    }
    // An error about the sender mentions the recipient's country.
    refusal_by_field(if mentions(text, &["originator", "sender"]) {
        &["originator"]
    } else {
        &["recipients"]
    })
}

fn refusal(response: &Response, message: Option<&Message>) -> Option<Refusal> {
    let body: Map<String, Value> = response.json().ok()?;
    let text = body.get("message").and_then(Value::as_str)?.trim();
    if text.is_empty() {
        return None;
    }
    let fields = fields(&body);
    if message.is_some() && response.status() != 422 {
        return None;
    }
    let named = match (response.status(), &fields) {
        (402, _) => Some(Refusal::new(
            ErrorKind::InsufficientBalance,
            "the account has too little credit",
        )),
        (422, Some(fields)) => refusal_by_field(fields),
        (422, None) => refusal_by_message(text),
        _ => None,
    };
    if message.is_some() {
        let is_lone = body.get("errors").is_none_or(Value::is_null);
        let is_own = fields
            .as_ref()
            .map_or(is_lone && named.is_some(), |fields| {
                fields.iter().all(|field| OWN_FIELDS.contains(field))
            });
        if !is_own {
            return None;
        }
    }
    // A request without a text is never in doubt, so there the author of the response is irrelevant.
    let refusal = named.unwrap_or_else(|| refusal_by_status(response.status()));
    let of_fields = body.get("errors").and_then(Value::as_object).into_iter();
    let of_fields = of_fields
        .flat_map(Map::values)
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_str);
    let words = [text].into_iter().chain(of_fields);
    Some(refusal.with_vendor_message(words, &response.redactor(message)))
}

/// Returns the ids in a response, of any type.
fn ids(body: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let wrapped = body.get("data").and_then(|data| data.get("id"));
    body.get("id").into_iter().chain(wrapped)
}

/// Checks that a response has no other reference or number than the message.
fn check(body: &Map<String, Value>, message: &Message) -> Result<(), SendError> {
    let value =
        |object: &Map<String, Value>, name| member(object, name).map_or(Value::Null, Value::from);
    check_about(&value(body, "reference"), &Value::Null, message)?;
    let recipients = body.get("recipients").and_then(Value::as_array);
    recipients.into_iter().flatten().try_for_each(|recipient| {
        let number = match recipient {
            Value::Object(recipient) => value(recipient, "number"),
            number => number.clone(),
        };
        check_about(&Value::Null, &number, message)
    })
}

impl V1 {
    pub(crate) fn new(
        endpoint: EndpointBuilder,
        key: &SecretString,
        route: Option<SecretString>,
    ) -> Result<Self, ConfigError> {
        endpoint.check_sender(|sender| wire_sender(sender).is_some(), SENDER)?;
        Ok(Self {
            endpoint: endpoint.build(PROFILE_V1, HOST)?,
            bearer: format!("Bearer {}", key.expose_secret()).into(),
            route: route.unwrap_or_else(|| "business".into()),
        })
    }

    fn request(&self, message: &Message) -> Result<Request, SendError> {
        let originator = self.endpoint.wire_sender(message, wire_sender, SENDER)?;
        let request = self.endpoint.post(MESSAGES_PATH);
        Ok(self.authorized(request).with_json(&SendBody {
            body: message.text().as_str(),
            encoding: "auto",
            originator,
            recipients: [message.to().msisdn().to_string()],
            route: self.route.expose_secret(),
            reference: message.reference().as_str(),
        }))
    }

    fn authorized(&self, request: Request) -> Request {
        request.with_secret_header("authorization", &self.bearer)
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let response = self.endpoint.client().send(self.request(message)?).await?;
        if !response.is_success() {
            let body: Map<String, Value> = response.json().unwrap_or_default();
            has_no_id(ids(&body))?;
            return Err(response.refused(refusal(&response, Some(message))));
        }
        let body = without_errors(&response)?;
        check(&body, message)?;
        let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
        self.endpoint.receipt(message, id)
    }

    async fn balance(&self) -> Result<Health, SendError> {
        let request = self.authorized(self.endpoint.get(BALANCE_PATH));
        let response = self.endpoint.client().ask(request).await?;
        if !response.is_success() {
            return Err(response.refused(refusal(&response, None)));
        }
        // A number by the documentation, text by one SDK.
        match member(&response.json()?, "amount") {
            Some(_) => Ok(Health::verified()),
            None => Err(response.refused(None)),
        }
    }

    /// Returns what Spryng lists under this reference. The request has both filters on which the official SDKs
    /// disagree.
    pub(crate) async fn look_up(
        &self,
        reference: &Reference,
    ) -> Result<Vec<DeliveryReport>, SendError> {
        let request = self
            .authorized(self.endpoint.get(MESSAGES_PATH))
            .with_query("reference", reference.as_str())
            .with_query("filters[reference]", reference.as_str())
            .with_query("with[]", "recipients");
        let response = self.endpoint.client().ask(request).await?;
        if response.is_success() {
            listed(&response.json()?, reference)
        } else {
            Err(response.refused(refusal(&response, None)))
        }
    }
}

#[async_trait]
impl SmsProvider for V1 {
    fn profile(&self) -> &Profile {
        self.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let accepts = |message: &Message| self.request(message).is_ok();
        let message = &self.endpoint.fit_where(message, accepts);
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

/// Returns the reports of a list of messages with this reference. An empty result is an error if the list is
/// incomplete.
fn listed(
    body: &Map<String, Value>,
    reference: &Reference,
) -> Result<Vec<DeliveryReport>, SendError> {
    let protocol = |text| SendError::unknown(ErrorKind::Protocol, text);
    let messages = body
        .get("data")
        .and_then(Value::as_array)
        .ok_or(protocol("the response is not a list of messages"))?;
    let mut reports = Vec::new();
    for message in messages {
        let message = message
            .as_object()
            .ok_or(protocol("the response is not a list of messages"))?;
        if member(message, "reference").as_deref() != Some(reference.as_str()) {
            continue;
        }
        let report = |state: &Map<String, Value>| {
            let status = member(state, "status").unwrap_or_default();
            let mut report = DeliveryReport::new(PROFILE_V1.owned_name(), v1_status(&status));
            report.reference = Some(*reference);
            report.id = message.get("id").and_then(message_id);
            report.recipient = state.get("number").and_then(recipient);
            report
        };
        let recipients = message.get("recipients").and_then(Value::as_array);
        let recipients = recipients.map_or(&[][..], Vec::as_slice);
        if recipients.is_empty() {
            reports.push(report(message))
        } else {
            reports.extend(recipients.iter().filter_map(Value::as_object).map(report))
        }
    }
    let number = |name| body.get(name).and_then(Value::as_u64);
    let shown = u64::try_from(messages.len()).unwrap_or(u64::MAX);
    let more = body.get("next_page_url").is_some_and(Value::is_string)
        || number("last_page").is_some_and(|last| last > number("current_page").unwrap_or(1))
        || number("total").is_some_and(|total| total > shown);
    if reports.is_empty() && more {
        return Err(protocol(
            "the response is not the complete list of messages",
        ));
    }
    Ok(reports)
}
