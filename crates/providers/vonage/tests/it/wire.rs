use std::fmt::Debug;

use postduif_core::{Acceptance, ErrorKind, Message, Receipt, SendError, SmsProvider as _, Text};
use postduif_vonage::Vonage;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

pub(crate) const UUID: &str = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab";
pub(crate) const APPLICATION: &str = "78d335fa-323d-0114-9c3d-d6f0d48968cf";

pub(crate) fn private_key() -> String {
    format!(
        "{}/tests/it/keys/application.pem",
        env!("CARGO_MANIFEST_DIR")
    )
}

pub(crate) fn message() -> Message {
    Message::new(
        "+31612345678".parse().unwrap(),
        Text::new("Your code is 123456").unwrap(),
    )
    .with_reference("01J9Z8".parse().unwrap())
}

/// One server and one provider for a whole table: building a client takes longer than a row.
pub(crate) struct World {
    pub(crate) server: MockServer,
    pub(crate) vonage: Vonage,
}

impl World {
    /// An account that uses the Messages API.
    pub(crate) async fn messages() -> Self {
        Self::new("key:secret@", "?sender=Acme").await
    }

    /// An application.
    pub(crate) async fn application() -> Self {
        let options = format!("?sender=Acme&private_key=file:{}", private_key());
        Self::new(&format!("{APPLICATION}@"), &options).await
    }

    /// An account that uses the SMS API.
    pub(crate) async fn sms() -> Self {
        Self::new("key:secret@", "?sender=Acme&api=sms").await
    }

    pub(crate) async fn new(user: &str, options: &str) -> Self {
        let server = MockServer::start().await;
        let url = format!("vonage://{user}{}{options}", server.address());
        let vonage = Vonage::from_url(&url).unwrap();
        Self { server, vonage }
    }

    pub(crate) async fn respond(&self, response: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(any())
            .respond_with(response)
            .mount(&self.server)
            .await;
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }

    /// Sends a message, in a call with this response.
    pub(crate) async fn send(&self, response: ResponseTemplate) -> Result<Receipt, SendError> {
        self.respond(response).await;
        self.vonage.send(&message()).await
    }

    /// Returns the error of a message, sent in a single call with this response.
    pub(crate) async fn error(&self, response: ResponseTemplate) -> SendError {
        let error = self.send(response).await.unwrap_err();
        assert_eq!(error.provider(), Some("vonage"));
        assert_eq!(self.requests().await.len(), 1, "{error:?}");
        error
    }

    pub(crate) async fn assert_fails(
        &self,
        response: ResponseTemplate,
        outcome: (ErrorKind, Acceptance),
        what: &(impl Debug + Sync),
    ) -> SendError {
        let error = self.error(response).await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            outcome,
            "{what:?}: {error:?}"
        );
        error
    }

    /// Returns the only request for this message.
    pub(crate) async fn sent(&self, message: &Message) -> Request {
        self.respond(response_of(&[])).await;
        let _ = self.vonage.send(message).await;
        let mut requests = self.requests().await;
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }
}

/// The Messages API's acceptance.
pub(crate) fn accepted() -> ResponseTemplate {
    ResponseTemplate::new(202)
        .insert_header("x-request-id", "f94b4e56-604e-07e5-e5ad-5a7228618f81")
        .set_body_json(json!({"message_uuid": UUID}))
}

/// A problem of the Messages API, with this code after the `#`.
pub(crate) fn problem(code: &str) -> Value {
    json!({
        "type": format!("https://developer.vonage.com/api-errors/messages#{code}"),
        "title": "words", "detail": "words", "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf"
    })
}

pub(crate) fn response(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body.to_string(), "application/problem+json")
}

/// The entry of an accepted part, as on the page.
pub(crate) fn part(id: &str) -> Value {
    json!({
        "to": "31612345678", "message-id": id, "status": "0", "remaining-balance": "12.34567890",
        "message-price": "0.07270000", "network": "20408", "client-ref": "01J9Z8"
    })
}

pub(crate) fn failed(status: &str, text: &str) -> Value {
    json!({"status": status, "error-text": text})
}

/// A response of the SMS API with these entries.
pub(crate) fn response_of(entries: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(entries_body(entries))
}

pub(crate) fn entries_body(entries: &[Value]) -> Value {
    json!({"message-count": entries.len().to_string(), "messages": entries})
}

/// A form's pairs, decoded.
pub(crate) fn form(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

/// The error of a check that did not succeed, or the refusal of the credentials.
pub(crate) fn failure(
    checked: Result<postduif_core::Health, postduif_core::SendError>,
) -> postduif_core::SendError {
    match checked {
        Ok(health) => {
            let refusal = health.refusal().expect("the check succeeded").clone();
            assert_eq!(refusal.kind(), ErrorKind::Unauthorized);
            refusal
        }
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::Unauthorized, "{error:?}");
            error
        }
    }
}
