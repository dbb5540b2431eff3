//! `cargo run --example custom_provider`: a vendor of your own, which passes the suite that ours pass.
//!
//! `cargo test -p postduif-examples custom_provider` runs the suite.

use std::process::ExitCode;

use clap::Parser;

use postduif::{
    Acceptance, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    Text, async_trait,
    http::{BaseUrl, Client, Refusal, Request, Response},
    testing::{FakeVendor as _, Reply, Server},
};
use postduif_examples::{Stop, outcome_json, outcome_sentence, print, print_json, run};
use serde::Deserialize;

// The provider: from here …

/// Acme's gateway: `POST /messages` with a key in a header, `{"id": …}` or `{"acme_error": NUMBER}`.
#[derive(Debug)]
struct Acme {
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

// … to here. Below: what Acme's wire looks like, for the suite.

/// Sends one text through Acme, and one with a proxy in between that refuses.
#[derive(Parser)]
#[command(after_help = "Example: cargo run --example custom_provider -- --json")]
struct Args {
    /// The outcomes as JSON, one a line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(both)
}

async fn both(args: Args) -> Result<(), Stop> {
    let acme = Server::start(|request| fake::Acme.accept(request, &[0])).await;
    let accepted = send_one(&acme, args.json).await?;
    let proxy = Server::start(|_| Reply::html(403)).await;
    let refused = send_one(&proxy, args.json).await?;
    // The point of it: a stranger's refusal proves nothing.
    match (accepted, refused) {
        (Ok(_), Err(error)) if error.acceptance() == Acceptance::Unknown => Ok(()),
        _ => Err(Stop::Failed),
    }
}

async fn send_one(server: &Server, json: bool) -> Result<Result<Receipt, SendError>, Stop> {
    let to = "+31612345678"
        .parse()
        .map_err(|_| Stop::config("a number"))?;
    let text = Text::new("Hello from a vendor of your own").map_err(|_| Stop::config("a text"))?;
    let acme = fake::Acme.provider(&server.url());
    let outcome = acme.send(&Message::new(to, text)).await;
    if json {
        print_json(&outcome_json(&outcome))
    } else {
        print(outcome_sentence(to, &outcome))
    }
    Ok(outcome)
}

mod fake {
    use std::sync::Arc;

    use postduif::{
        ErrorKind, Profile, SmsProvider,
        http::{BaseUrl, Client},
        testing::{DEADLINE, FakeVendor, HttpRequest, Received, Reply},
    };
    use serde_json::{Value, json};

    /// Acme as its page describes it.
    #[derive(Clone)]
    pub(crate) struct Acme;

    impl FakeVendor for Acme {
        fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
            let client = Client::builder()
                .with_timeout(DEADLINE)
                .build()
                .expect("the defaults build");
            let base = BaseUrl::parse(base).expect("loopback");
            Arc::new(super::Acme {
                profile: Profile::new("acme"),
                client,
                base,
            })
        }

        fn other_reply(&self, _: &HttpRequest) -> Option<Reply> {
            None
        }

        fn received(&self, request: &HttpRequest) -> Vec<Received> {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let to = body["to"].as_str().unwrap_or_default().parse();
            let mut received = Received::new(
                to.expect("E.164"),
                body["text"].as_str().unwrap_or_default(),
            );
            received.reference = body["ref"].as_str().map(str::to_owned);
            vec![received]
        }

        fn accept(&self, _: &HttpRequest, _: &[usize]) -> Reply {
            Reply::json(201, r#"{"id":"acme-1"}"#)
        }

        fn accept_with_id(&self, _: &HttpRequest, id: &str) -> Option<Reply> {
            Some(Reply::json(201, json!({"id": id}).to_string()))
        }

        fn credentials(&self) -> Vec<String> {
            vec!["hunter2-at-acme".to_owned()]
        }

        fn refuse(&self, _: &HttpRequest, words: &str) -> Reply {
            Reply::json(
                400,
                json!({"acme_error": 1, "explanation": words}).to_string(),
            )
        }

        fn refusal(&self) -> ErrorKind {
            ErrorKind::InvalidRecipient
        }

        fn refuse_with_code(&self, _: &HttpRequest, _: &str) -> Option<Reply> {
            None
        }

        fn refuse_unlisted(&self, _: &HttpRequest) -> Option<Reply> {
            Some(Reply::json(400, r#"{"acme_error":7391}"#))
        }
    }
}

#[cfg(test)]
mod conformance {
    postduif::testing::conformance!(super::fake::Acme);
}
