//! `cargo run --example custom_provider`: a vendor of your own, which passes the suite that ours pass.
//!
//! `cargo test -p postduif-examples custom_provider` runs the suite, over what `tests/it/custom_provider.rs` says about
//! the vendor.

use std::process::ExitCode;

use postduif::{
    ConfigError, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    async_trait,
    http::{BaseUrl, Client, Refusal, Request, Response},
};
use postduif_examples::cli;
use serde::Deserialize;

fn main() -> ExitCode {
    cli::custom_provider::run(Acme::new)
}

/// Acme's gateway: `POST /messages` with a key in a header, `{"id": …}` or `{"acme_error": NUMBER}`.
#[derive(Debug)]
pub(crate) struct Acme {
    profile: Profile,
    client: Client,
    base: BaseUrl,
}

#[derive(Deserialize)]
struct Said {
    id: Option<String>,
    acme_error: Option<u16>,
}

/// Acme's own numbers, as its page has them. Nobody else who answers speaks like this.
static CODES: &[(u16, ErrorKind, &str)] = &[
    (
        1,
        ErrorKind::InvalidRecipient,
        "the number cannot be reached",
    ),
    (2, ErrorKind::InsufficientBalance, "no credit left"),
];

/// What Acme itself said; what an answer proves without it is decided in one place, for every vendor.
fn refusal(answer: &Response) -> Option<Refusal> {
    let Said { id, acme_error } = answer.json().ok()?;
    // Beside an id it contradicts itself, and proves nothing.
    let acme_error = acme_error.filter(|_| id.is_none())?;
    let unlisted = (acme_error, ErrorKind::Other, "Acme refused it");
    let (_, kind, words) = CODES
        .iter()
        .find(|row| row.0 == acme_error)
        .unwrap_or(&unlisted);
    Some(Refusal::new(*kind, *words))
}

impl Acme {
    pub(crate) fn new(base: &str, client: Client) -> Result<Self, ConfigError> {
        Ok(Self {
            profile: Profile::new("acme"),
            client,
            base: BaseUrl::parse(base)?,
        })
    }

    async fn attempt(&self, message: &Message) -> Result<Receipt, SendError> {
        self.profile.validate(message)?;
        let request = Request::post(&self.base, "/messages")
            .with_secret_header("x-acme-key", &"hunter2-at-acme".into())
            .with_json(&serde_json::json!({
                "to": message.to(), "text": message.text().as_str(), "ref": message.reference(),
            }));
        let answer = self.client.send(request).await?;
        if !answer.is_success() {
            return Err(answer.refused(refusal(&answer)));
        }
        let Said { id, acme_error } = answer.json()?;
        let id = id.filter(|_| acme_error.is_none()).unwrap_or_default();
        Ok(Receipt::new("acme", *message.reference()).with_id(Response::message_id(&id)?))
    }
}

#[async_trait]
impl SmsProvider for Acme {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let outcome = self.attempt(message).await;
        outcome.map_err(|error| error.with_provider("acme"))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let mut outcomes = Outcomes::in_doubt(messages);
        for (place, message) in messages.iter().enumerate() {
            outcomes.set(place, self.send(message).await);
        }
        outcomes
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::unknown())
    }
}
