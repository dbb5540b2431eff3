//! A vendor in an outage, and another one that has every text.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use postduif::{
    Message, Receipt, SendError, SmsProvider, Text,
    testing::{End, Reply, Server},
};
use postduif_sandbox::Sandbox;

const TEXTS: u64 = 200;
/// That of a vendor call in the recommended stack.
const DEADLINE: Duration = Duration::from_secs(20);

/// Sends all texts at once, and tells how long the slowest took.
async fn send_all(sms: &Arc<dyn SmsProvider>) -> (Vec<Result<Receipt, SendError>>, Duration) {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..TEXTS {
        let sms = Arc::clone(sms);
        let to = format!("+3161{index:07}").parse().unwrap();
        let message = Message::new(to, Text::new("Your code is 482913").unwrap());
        tasks.spawn(async move { sms.send(&message).await });
    }
    let outcomes = tasks.join_all().await;
    (outcomes, began.elapsed())
}

#[track_caller]
fn assert_all_through_cm(outcomes: &[Result<Receipt, SendError>], sandbox: &Sandbox) {
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    for outcome in outcomes {
        let end = match outcome {
            Ok(receipt) => receipt.provider().to_owned(),
            Err(error) => format!("{error:?}"),
        };
        *ends.entry(end).or_default() += 1;
    }
    assert_eq!(ends, BTreeMap::from([("cm".to_owned(), TEXTS)]));
    assert_eq!(sandbox.messages().len() as u64, TEXTS, "each once");
}

fn cm(sandbox: &Sandbox) -> String {
    format!("{}&rate=500", sandbox.sms_url("cm"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_stalls_puts_no_text_in_doubt_and_the_next_vendor_has_them_all() {
    let kpn = Server::start(|_| Reply::Stall).await;
    let sandbox = Sandbox::start().await;
    let url = format!(
        "kpn://id:secret@{}?rate=500 {}",
        kpn.address(),
        cm(&sandbox)
    );
    let sms = postduif::failover(&url).unwrap();
    let (outcomes, slowest) = send_all(&sms).await;
    assert_all_through_cm(&outcomes, &sandbox);
    let asked = kpn.requests();
    assert!(
        asked
            .iter()
            .all(|request| request.path().ends_with("/accesstoken")),
        "no text left for the first vendor: {asked:?}"
    );
    assert!(asked.len() <= 2, "one fetch for all: {}", asked.len());
    assert!(slowest < DEADLINE, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_refuses_connections_costs_the_next_one_no_text() {
    let sandbox = Sandbox::start().await;
    let kpn = Server::start(|_| {
        let token = r#"{"access_token":"t","expires_in":3600}"#;
        Reply::Raw(Reply::json(200, token).to_bytes(), End::Close)
    })
    .await;
    let url = format!(
        "kpn://id:secret@{}?rate=500 {}",
        kpn.address(),
        cm(&sandbox)
    );
    let sms = postduif::failover(&url).unwrap();
    // The token is there; what refuses from now on is the call that carries the text.
    sms.check().await.unwrap();
    assert_eq!(kpn.requests().len(), 1);
    drop(kpn);
    let (outcomes, slowest) = send_all(&sms).await;
    assert_all_through_cm(&outcomes, &sandbox);
    assert!(slowest < DEADLINE, "{slowest:?}");
}
