use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
};

use postduif::{
    Acceptance, ErrorKind, Message, Receipt, SendError, SmsProvider, Text,
    layers::Failover,
    testing::{HttpRequest, Reply, Server},
};
use postduif_sandbox::{Fault, Sandbox};

use crate::world::client;

/// Two vendors in order, each tried once at most: what the example `send` makes of two URLs.
fn failover(vendors: [(&'static str, String); 2]) -> Failover {
    let members =
        vendors.map(|(name, url)| (name, postduif::from_url_with(&url, &client()).unwrap()));
    Failover::new(members).unwrap()
}

fn kpn_first(sandbox: &Sandbox) -> Failover {
    failover([
        ("kpn", sandbox.sms_url("kpn")),
        ("cm", sandbox.sms_url("cm")),
    ])
}

fn cm_first(sandbox: &Sandbox) -> Failover {
    failover([
        ("cm", sandbox.sms_url("cm")),
        ("kpn", sandbox.sms_url("kpn")),
    ])
}

fn message() -> Message {
    Message::new("+31612345678".parse().unwrap(), Text::new("Hello").unwrap())
}

fn vendors(sandbox: &Sandbox) -> Vec<&'static str> {
    sandbox
        .messages()
        .iter()
        .map(|message| message.vendor)
        .collect()
}

#[track_caller]
fn assert_unknown(outcome: &Result<Receipt, SendError>, what: &str) {
    let error = outcome.as_ref().unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::Unknown, "{what}: {error:?}");
}

#[tokio::test]
async fn what_the_vendor_took_without_saying_so_is_in_doubt_and_the_only_text_in_the_world() {
    for fault in [Fault::LostAnswer, Fault::Stall] {
        let sandbox = Sandbox::start().await;
        sandbox.fault("kpn.send", fault);
        assert_unknown(&kpn_first(&sandbox).send(&message()).await, fault.name());
        assert_eq!(vendors(&sandbox), ["kpn"], "{}", fault.name());
    }
}

#[tokio::test]
async fn what_the_vendor_may_have_taken_is_in_doubt_and_goes_nowhere_else() {
    for fault in [Fault::ResetAfterRead, Fault::Status503, Fault::Html502] {
        let sandbox = Sandbox::start().await;
        sandbox.fault("kpn.send", fault);
        assert_unknown(&kpn_first(&sandbox).send(&message()).await, fault.name());
        assert_eq!(vendors(&sandbox), [""; 0], "{}", fault.name());
    }
}

#[tokio::test]
async fn what_was_certainly_refused_is_one_text_through_the_other_vendor() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::Throttle);
    let receipt = kpn_first(&sandbox).send(&message()).await.unwrap();
    assert_eq!(
        (receipt.provider(), receipt.attempts()[0].provider()),
        ("cm", "kpn")
    );
    assert_eq!(vendors(&sandbox), ["cm"]);

    // A refusal that names no token is not answered with a second call to the same vendor.
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::Unauthorized).times(1);
    kpn_first(&sandbox).send(&message()).await.unwrap();
    assert_eq!(vendors(&sandbox), ["cm"]);

    let sandbox = Sandbox::start().await;
    sandbox.fault("cm.send", Fault::NoCredit);
    let receipt = cm_first(&sandbox).send(&message()).await.unwrap();
    assert_eq!(
        receipt.attempts()[0].error().kind(),
        ErrorKind::InsufficientBalance
    );
    assert_eq!(vendors(&sandbox), ["kpn"]);
}

#[tokio::test]
async fn a_messages_own_fault_travels_nowhere_and_sets_nobody_aside() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("cm.send", Fault::BadNumber);
    let sms = cm_first(&sandbox);
    let error = sms.send(&message()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::InvalidRecipient, Acceptance::NotAccepted)
    );
    assert_eq!(vendors(&sandbox), [""; 0]);
    assert_eq!(
        sms.send(&message()).await.unwrap().provider(),
        "cm",
        "it was not set aside"
    );
}

#[tokio::test]
async fn a_vendor_whose_host_refuses_connections_is_passed_over() {
    let sandbox = Sandbox::start().await;
    let nobody = "kpn://id:secret@127.0.0.1:1?sender=Postduif".to_owned();
    let sms = failover([("kpn", nobody), ("cm", sandbox.sms_url("cm"))]);
    assert_eq!(sms.send(&message()).await.unwrap().provider(), "cm");
    assert_eq!(vendors(&sandbox), ["cm"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_answers_403_after_the_vendor_took_the_text_proves_nothing() {
    let sandbox = Arc::new(Sandbox::start().await);
    let world = sandbox.url().trim_start_matches("http://").to_owned();
    let filter = Server::start(move |request| {
        let answer = forward(&world, request);
        if request.path().ends_with("/send") {
            Reply::html(403)
        } else {
            Reply::json(200, answer)
        }
    })
    .await;
    let url = format!(
        "kpn://sandbox:sandbox@{}/kpn?sender=Postduif",
        filter.address()
    );
    let sms = failover([("kpn", url), ("cm", sandbox.sms_url("cm"))]);
    assert_unknown(&sms.send(&message()).await, "403 by a filter");
    assert_eq!(vendors(&sandbox), ["kpn"]);
}

/// Hands a request on to the real server and gives the body of its answer.
fn forward(to: &str, request: &HttpRequest) -> Vec<u8> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nconnection: close\r\n",
        request.method, request.target
    );
    for (name, value) in request
        .headers
        .iter()
        .filter(|(name, _)| name != "connection")
    {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(to).unwrap();
    stream
        .write_all(&[head.as_bytes(), b"\r\n", &request.body].concat())
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let start = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    answer.split_off(start + 4)
}

#[tokio::test]
async fn the_recommended_stack_fails_over_too() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::Unauthorized).times(2);
    let urls = format!("{}\n{}", sandbox.sms_url("kpn"), sandbox.sms_url("cm"));
    let sms = postduif::failover_with(&urls, &client()).unwrap();
    assert_eq!(sms.profile().name(), "kpn,cm");
    assert_eq!(sms.send(&message()).await.unwrap().provider(), "cm");
    assert_eq!(vendors(&sandbox), ["cm"]);
}
