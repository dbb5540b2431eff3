//! `cargo run --example custom_provider`: a vendor of your own, which passes the suite that ours pass.
//!
//! `cargo test -p postduif-examples custom_provider` runs the suite. `tests/it/custom_provider.rs` describes the vendor
//! to it.

use std::{num::NonZeroUsize, process::ExitCode};

use postduif::{
    ConfigError, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SecretString, SendError,
    SmsProvider, async_trait, batch,
    http::{
        Client, Refusal, Response, codes,
        vendor::{Code, Endpoint, EndpointBuilder},
    },
};
use postduif_examples::cli;
use serde::Deserialize;
use serde_json::json;

fn main() -> ExitCode {
    cli::custom_provider::run(Acme::new)
}

/// Acme's gateway: `POST /messages` with a key in a header. It responds `{"id": …}` or `{"acme_error": NUMBER}`.
#[derive(Debug)]
pub(crate) struct Acme {
    endpoint: Endpoint,
    key: SecretString,
}

#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    acme_error: Option<u16>,
}

/// The codes of Acme's documentation, each with what it proves.
static CODES: &[Code] = codes! {
    "1" => InvalidRecipient, Below500, "the number cannot be reached";
    "2" => InsufficientBalance, Below500, "the account has no credit";
};

impl Acme {
    pub(crate) fn new(base: &str, client: Client) -> Result<Self, ConfigError> {
        let endpoint = EndpointBuilder::new().with_client(client);
        Ok(Self {
            endpoint: endpoint.build(Profile::new("acme"), base)?,
            key: "hunter2-at-acme".into(),
        })
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let request = self
            .endpoint
            .post("/messages")
            .with_secret_header("x-acme-key", &self.key)
            .with_json(&json!({
                "to": message.to(), "text": message.text().as_str(), "ref": message.reference(),
            }));
        let response = self.endpoint.client().send(request).await?;
        let is_success = response.is_success();
        let body = response.json::<Body>();
        match body.map(|body| (body.id, body.acme_error)) {
            Ok((Some(id), None)) if is_success => self.endpoint.receipt(message, &id),
            // No other server writes `acme_error`, so this is Acme's own refusal.
            Ok((None, Some(code))) if !is_success => {
                let unlisted = || Refusal::new(ErrorKind::Other, "Acme refused it");
                let row = Code::find(CODES, &code.to_string());
                Err(response.refused(Some(row.map_or_else(unlisted, Code::refusal))))
            }
            // The id means that Acme took the message, the rest that it did not.
            Ok((Some(_), _)) => Err(Response::contradiction()),
            // Another server wrote it: few statuses prove that Acme did not get the message.
            _ => Err(response.refused(None)),
        }
    }
}

#[async_trait]
impl SmsProvider for Acme {
    fn profile(&self) -> &Profile {
        self.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let message = &self.endpoint.fit(message);
        let exchange = self.exchange(message);
        self.endpoint.send_one(message, exchange).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, NonZeroUsize::MIN, |message| self.send(message)).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::unknown())
    }
}
