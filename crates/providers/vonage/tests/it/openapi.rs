//! Requests, responses and reports compared with the vendor's own definitions in `tests/openapi`.

use std::time::Duration;

use postduif_core::{Acceptance, DeliveryStatus, ErrorKind, Message, Text};
use postduif_http::{BaseUrl, Client, Request};
use postduif_sandbox::{Fault, Sandbox};
use serde_json::{Map, Value, json};
use wiremock::ResponseTemplate;

use super::wire::{World, accepted, form, message, problem, response};

const MESSAGES: &str = include_str!("../openapi/vonage-messages.yml");
const SMS: &str = include_str!("../openapi/vonage-sms.yml");

/// The subset of OpenAPI 3.0 that these two definitions use.
struct Definition(Value);

impl Definition {
    fn new(yaml: &str) -> Self {
        Self(serde_norway::from_str(yaml).unwrap())
    }

    fn at(&self, pointer: &str) -> &Value {
        self.0
            .pointer(pointer)
            .unwrap_or_else(|| panic!("no {pointer}"))
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolve(self.at(reference.strip_prefix('#').unwrap())),
            None => schema,
        }
    }

    /// Collects the violations of a schema by a value.
    fn faults(&self, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
        let schema = self.resolve(schema);
        let mut fault = |text: String| faults.push(format!("{path}: {text}"));
        let is_type = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64(),
            Some("boolean") => value.is_boolean(),
            None => true,
            Some(other) => panic!("no type {other}"),
        };
        if !is_type {
            fault(format!("is no {}", schema["type"]));
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            fault("is none of the allowed values".into());
        }
        let bound = |name: &str| schema[name].as_i64();
        let length = value
            .as_str()
            .map(|text| i64::try_from(text.chars().count()).unwrap());
        let number = value.as_i64();
        for (size, low, high) in [
            (length, "minLength", "maxLength"),
            (number, "minimum", "maximum"),
        ] {
            let Some(size) = size else { continue };
            if bound(low).is_some_and(|low| size < low)
                || bound(high).is_some_and(|high| size > high)
            {
                fault(format!("{size} is out of bounds"));
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            if value.get(name).is_none() {
                fault(format!("has no {name}"));
            }
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = value.get(name) {
                self.faults(schema, value, &format!("{path}/{name}"), faults);
            }
        }
        for schema in schema["allOf"].as_array().into_iter().flatten() {
            self.faults(schema, value, path, faults);
        }
        for value in value.as_array().into_iter().flatten() {
            self.faults(&schema["items"], value, path, faults);
        }
    }

    /// Returns every property of the schema.
    fn properties(&self, schema: &Value) -> Vec<String> {
        let schema = self.resolve(schema);
        let own = schema["properties"].as_object().into_iter().flatten();
        let inherited = schema["allOf"].as_array().into_iter().flatten();
        own.map(|(name, _)| name.clone())
            .chain(inherited.flat_map(|schema| self.properties(schema)))
            .collect()
    }

    /// Returns the value that the definition's examples form.
    fn example(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(example) = schema.get("example") {
            return example.clone();
        }
        if schema["type"] == "array" {
            return json!([self.example(&schema["items"])]);
        }
        let mut members = Map::new();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            members.insert(name.clone(), self.example(schema));
        }
        for schema in schema["allOf"].as_array().into_iter().flatten() {
            if let Value::Object(more) = self.example(schema) {
                members.extend(more);
            }
        }
        Value::Object(members)
    }

    #[track_caller]
    fn assert_fits(&self, schema: &Value, value: &Value, known: &[&str]) {
        let mut faults = Vec::new();
        self.faults(schema, value, "", &mut faults);
        assert_eq!(faults, known, "{value}");
        let properties = self.properties(schema);
        for name in value.as_object().unwrap().keys() {
            assert!(properties.contains(name), "the definition knows no {name}");
        }
    }
}

fn option_sets() -> Vec<Message> {
    let with = |text: &str| {
        let text = Text::new(text).unwrap();
        Message::new("+31612345678".parse().unwrap(), text)
            .with_reference("x".repeat(32).parse().unwrap())
    };
    vec![
        message(),
        with("Zoë 👋").with_validity(Duration::from_secs(20)),
        with(&"x".repeat(3200))
            .with_sender("+123456789012345".parse().unwrap())
            .with_validity(Duration::from_secs(604_800)),
        Message::new("+6834000".parse().unwrap(), Text::new("x").unwrap())
            .with_sender("1008".parse().unwrap()),
    ]
}

const HOOK: &str = "&report_url=https%3A%2F%2Fhooks.example.test%2Fstatus";

#[tokio::test]
async fn every_request_of_the_messages_api_fits_its_definition() {
    let definition = Definition::new(MESSAGES);
    let schema =
        definition.at("/paths/~1messages/post/requestBody/content/application~1json/schema");
    for hook in ["", HOOK] {
        let world = World::new("key:secret@", &format!("?sender=Acme{hook}")).await;
        for message in option_sets() {
            let body: Value = world.sent(&message).await.body_json().unwrap();
            definition.assert_fits(schema, &body, &[]);
        }
    }
    // The comparison itself finds a violation.
    let mut faults = Vec::new();
    definition.faults(
        schema,
        &json!({"to": "+31", "ttl": 19, "channel": "mms"}),
        "",
        &mut faults,
    );
    assert!(faults.len() >= 5, "{faults:?}");
}

#[tokio::test]
async fn every_request_of_the_sms_api_fits_its_definition() {
    let definition = Definition::new(SMS);
    let schema = definition.at("/components/schemas/NewMessage");
    for hook in ["", HOOK] {
        let world = World::new("key:secret@", &format!("?sender=Acme&api=sms{hook}")).await;
        for message in option_sets() {
            let fields = form(&world.sent(&message).await.body);
            let body: Value = fields
                .into_iter()
                .map(|(name, value)| {
                    // The values of a form are text.
                    let is_number =
                        definition.resolve(schema)["properties"][&name]["type"] == "integer";
                    let value = if is_number {
                        json!(value.parse::<i64>().unwrap())
                    } else {
                        json!(value)
                    };
                    (name, value)
                })
                .collect();
            // Since 1.5.1 only signed calls have the key as a parameter; Basic has it in its header.
            definition.assert_fits(schema, &body, &[": has no api_key"]);
        }
    }
}

#[tokio::test]
async fn every_response_of_the_messages_definition_is_understood() {
    let definition = Definition::new(MESSAGES);
    let world = World::messages().await;
    let responses = "/components/responses";
    let accepted_schema = definition.at(&format!(
        "{responses}/MessageAcceptedResponse/content/application~1json/schema"
    ));
    let example = definition.example(accepted_schema);
    let receipt = world.send(response(202, &example)).await.unwrap();
    assert_eq!(receipt.id(), Some("aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"));
    definition.assert_fits(accepted_schema, &json!({"message_uuid": receipt.id()}), &[]);

    let one_of = |response: &str, kind: &str| {
        let schemas = definition.at(&format!(
            "{responses}/{response}/content/{kind}/schema/oneOf"
        ));
        schemas
            .as_array()
            .unwrap()
            .iter()
            .map(|schema| definition.example(schema))
            .collect::<Vec<_>>()
    };
    for body in one_of("401", "application~1problem+json") {
        let outcome = (ErrorKind::Unauthorized, Acceptance::NotAccepted);
        let error = world
            .assert_fails(response(401, &body), outcome, &body)
            .await;
        assert!(error.code().is_some(), "{body}");
    }
    let kinds = [
        ErrorKind::Protocol,
        ErrorKind::Misconfigured,
        // Its example names a parameter of another channel.
        ErrorKind::Misconfigured,
        ErrorKind::InvalidSender,
        ErrorKind::InvalidRecipient,
        ErrorKind::Protocol,
        ErrorKind::Misconfigured,
        ErrorKind::Misconfigured,
    ];
    let bodies = one_of("MessageUnprocessableResponse", "application~1json");
    assert_eq!(bodies.len(), kinds.len());
    for (body, kind) in bodies.iter().zip(kinds) {
        world
            .assert_fails(response(422, body), (kind, Acceptance::NotAccepted), body)
            .await;
    }
    // The type in the example of the base response has no meaning.
    let base = definition.example(definition.at("/components/schemas/ErrorResponse"));
    for (status, kind, acceptance) in [
        (402, ErrorKind::Protocol, Acceptance::Unknown),
        (404, ErrorKind::Misconfigured, Acceptance::NotAccepted),
        (429, ErrorKind::Throttled, Acceptance::NotAccepted),
        (500, ErrorKind::Unavailable, Acceptance::Unknown),
    ] {
        world
            .assert_fails(response(status, &base), (kind, acceptance), &status)
            .await;
    }
}

/// Makes a call with this secret to the sandbox, which was written without our provider, and returns its response.
async fn sandbox_responses(
    sandbox: &Sandbox,
    path: &str,
    secret: &str,
    body: &Value,
) -> (u16, Value) {
    let base = BaseUrl::parse(&format!("{}/vonage", sandbox.url())).unwrap();
    let request = Request::post(&base, path)
        .with_json(body)
        .with_basic("sandbox", &secret.into());
    let response = Client::new().unwrap().send(request).await.unwrap();
    (response.status(), response.json().unwrap())
}

#[tokio::test]
async fn the_responses_of_the_sandbox_fit_the_definitions() {
    let sandbox = Sandbox::start().await;
    let definition = Definition::new(MESSAGES);
    let accepted = "/components/responses/MessageAcceptedResponse/content/application~1json/schema";
    let text = json!({
        "to": "31612345678", "from": "Acme", "channel": "sms", "message_type": "text", "text": "Hello"
    });
    let (status, body) = sandbox_responses(&sandbox, "/v1/messages", "sandbox", &text).await;
    assert_eq!(status, 202);
    definition.assert_fits(definition.at(accepted), &body, &[]);
    let problem = definition.at("/components/schemas/ErrorResponse");
    let (status, body) = sandbox_responses(&sandbox, "/v1/messages", "wrong", &text).await;
    assert_eq!(status, 401);
    definition.assert_fits(problem, &body, &[]);
    sandbox.fault("vonage.send", Fault::BadNumber);
    let (status, body) = sandbox_responses(&sandbox, "/v1/messages", "sandbox", &text).await;
    assert_eq!(status, 422);
    definition.assert_fits(problem, &body, &[]);

    let definition = Definition::new(SMS);
    let text = json!({"to": "31612345678", "from": "Acme", "text": "Hello"});
    let (_, body) = sandbox_responses(&sandbox, "/sms/json", "sandbox", &text).await;
    definition.assert_fits(definition.at("/components/schemas/SMS"), &body, &[]);
    let (_, body) = sandbox_responses(&sandbox, "/sms/json", "wrong", &text).await;
    definition.assert_fits(definition.at("/components/schemas/Error"), &body, &[]);
}

#[test]
fn the_responses_of_these_tests_fit_the_definitions() {
    let definition = Definition::new(MESSAGES);
    definition.assert_fits(
        definition.at("/components/schemas/ErrorResponse"),
        &problem("1050"),
        &[],
    );
    let definition = Definition::new(SMS);
    let accepted = super::wire::entries_body(&[super::wire::part("0C0000002C4D0001")]);
    definition.assert_fits(definition.at("/components/schemas/SMS"), &accepted, &[]);
    let failed = super::wire::entries_body(&[super::wire::failed("4", "Bad Credentials")]);
    definition.assert_fits(definition.at("/components/schemas/Error"), &failed, &[]);
}

#[tokio::test]
async fn every_response_of_the_sms_definition_is_understood() {
    let definition = Definition::new(SMS);
    let world = World::sms().await;
    let mut accepted = definition.example(definition.at("/components/schemas/SMS"));
    accepted["messages"][0]["client-ref"] = json!("01J9Z8");
    // Its example of a number, which is not the recipient of these tests.
    accepted["messages"][0]["to"] = json!("31612345678");
    let receipt = world
        .send(ResponseTemplate::new(200).set_body_json(&accepted))
        .await
        .unwrap();
    assert_eq!(
        (receipt.id(), receipt.parts()),
        (Some("0A0000000123ABCD1"), Some(1))
    );
    assert_eq!(receipt.price().unwrap().to_string(), "0.0333 EUR");
    let failed = definition.example(definition.at("/components/schemas/Error"));
    let outcome = (ErrorKind::InvalidRecipient, Acceptance::NotAccepted);
    world
        .assert_fails(
            ResponseTemplate::new(200).set_body_json(&failed),
            outcome,
            &failed,
        )
        .await;
    // Every code of the definition is in our table: none is reported as unlisted.
    for code in definition.at("/x-errors").as_object().unwrap().keys() {
        let body = super::wire::entries_body(&[super::wire::failed(code, "")]);
        let error = world
            .error(ResponseTemplate::new(200).set_body_json(body))
            .await;
        assert_ne!(error.kind(), ErrorKind::Other, "{code}");
        assert_eq!(error.code(), Some(code.as_str()));
    }
}

#[test]
fn the_definitions_status_webhook_is_read() {
    let definition = Definition::new(MESSAGES);
    let schema = definition.at("/components/schemas/messageStatusSMS");
    let example = definition.example(schema);
    definition.assert_fits(schema, &example, &[]);
    definition.assert_fits(schema, &super::reports::webhook(), &[]);
    let report = super::reports::one(&example);
    assert_eq!(report.status, DeliveryStatus::Sent);
    assert_eq!(report.reference.unwrap().as_str(), "abc123");
    assert_eq!(report.recipient.unwrap().to_string(), "+447700900000");
    assert_eq!(report.code.as_deref(), Some("1000"));
    assert_eq!(report.price.unwrap().to_string(), "0.0333 EUR");
}

#[test]
fn the_definitions_receipt_names_every_field_that_is_read() {
    let definition = Definition::new(SMS);
    let properties = definition.properties(definition.at("/components/schemas/DeliveryReceipt"));
    for (name, _) in super::receipts::with(&[]) {
        assert!(properties.contains(&name), "{name}");
    }
}

/// Collects every key of a definition's schemas, except the names of properties.
fn keywords(node: &Value, names: bool, found: &mut Vec<String>) {
    match node {
        Value::Object(members) => {
            for (name, member) in members {
                if !names {
                    found.push(name.clone());
                }
                keywords(member, !names && name == "properties", found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keywords(item, false, found)),
        _ => {}
    }
}

#[test]
fn the_definitions_have_the_vendors_facts_and_none_of_its_prose() {
    for definition in [MESSAGES, SMS] {
        let definition = Definition::new(definition);
        let mut found = Vec::new();
        keywords(definition.at("/components"), false, &mut found);
        for prose in ["description", "summary", "title", "resolution"] {
            assert!(!found.iter().any(|name| name == prose), "{prose}");
        }
    }
}

#[tokio::test]
async fn an_acceptance_of_these_tests_is_one() {
    World::messages().await.send(accepted()).await.unwrap();
}
