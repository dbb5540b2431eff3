//! Missing and incomplete responses, from a server that breaks off and counts.

use std::time::Duration;

use postduif_core::{
    Acceptance::{self, NotAccepted, Unknown},
    directory::{
        Callback, Graph as _, GraphError,
        GraphErrorKind::{self, Protocol, Timeout, Unavailable},
        TapIssuer as _, TapRequest, Verdict,
    },
};
use postduif_entra::{Cloud, Credential, Entra};
use postduif_http::{BaseUrl, Client};
use postduif_testkit::{End, Reply, Server, refusing_address};

use crate::support::{TENANT, assert_error, user};

/// Short, so that a stall ends soon, and far longer than loopback needs.
fn entra(url: &str) -> Entra {
    let client = Client::builder()
        .with_connect_timeout(Duration::from_millis(300))
        .with_timeout(Duration::from_millis(600))
        .build()
        .unwrap();
    let root = |name: &str| BaseUrl::parse(&format!("{url}/{name}")).unwrap();
    let cloud = Cloud::GLOBAL
        .with_graph(root("graph"))
        .with_login(root("login"));
    Entra::builder(Credential::client_secret(TENANT, "app", "s3cret"))
        .with_cloud(cloud)
        .with_client(client)
        .build()
        .unwrap()
}

/// A server that grants every token, and treats Graph's calls with this reply.
async fn world(reply: Reply) -> Server {
    Server::start(move |request| {
        if request.path().starts_with("/login") {
            Reply::json(200, r#"{"access_token":"t0ken","expires_in":3599}"#)
        } else {
            reply.clone()
        }
    })
    .await
}

fn broken() -> Vec<(Reply, GraphErrorKind)> {
    let head =
        b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{"
            .to_vec();
    vec![
        (Reply::Reset, Unavailable),
        (Reply::Close, Unavailable),
        (Reply::Stall, Timeout),
        (Reply::Raw(head.clone(), End::Close), Unavailable),
        (Reply::Raw(head.clone(), End::Reset), Unavailable),
        (Reply::Raw(head, End::Stall), Timeout),
        (
            Reply::Raw(b"220 ready\r\n\r\n".to_vec(), End::Close),
            Protocol,
        ),
        (
            Reply::Endless(b"HTTP/1.1 201 Created\r\nconnection: close\r\n\r\n".to_vec()),
            Protocol,
        ),
        (Reply::json(201, vec![0xff, 0xfe]), Protocol),
    ]
}

async fn check(acceptance: Acceptance, call: impl AsyncFn(&Entra) -> Result<(), GraphError>) {
    for (reply, kind) in broken() {
        let server = world(reply.clone()).await;
        let error = call(&entra(&server.url())).await.unwrap_err();
        // Graph's reads expect 200, so the 201 of these replies is an error to them.
        assert_error(&error, kind, acceptance, &format!("{reply:.40?}"));
        let posted = server
            .requests()
            .iter()
            .filter(|request| request.path().starts_with("/graph"))
            .count();
        assert_eq!(posted, 1, "{reply:.40?}");
    }
}

#[tokio::test]
async fn a_pass_with_a_lost_response_is_in_doubt_and_requested_once() {
    check(Unknown, async |entra| {
        entra.issue(&user(), &TapRequest::new()).await.map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_verdict_with_a_lost_response_is_in_doubt_and_sent_once() {
    let id = "3d6f0c61-7a5e-4f0b-9a39-0f6f2a1b7c10".parse().unwrap();
    let callback = Callback::lifecycle(id, id, id);
    check(Unknown, async |entra| {
        entra.resume(&callback, &Verdict::Completed).await
    })
    .await;
}

#[tokio::test]
async fn a_revocation_with_a_lost_response_is_in_doubt() {
    check(Unknown, async |entra| {
        entra.revoke(&user(), &"c6a1f0d2".parse().unwrap()).await
    })
    .await;
}

#[tokio::test]
async fn a_read_with_a_lost_response_is_not_accepted() {
    check(NotAccepted, async |entra| {
        entra.list(&user()).await.map(|_| ())
    })
    .await;
    check(NotAccepted, async |entra| {
        entra.user(&user()).await.map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn what_never_left_was_not_accepted() {
    let login = world(Reply::Stall).await;
    let graph = format!("http://{}", refusing_address().await);
    let cloud = Cloud::GLOBAL
        .with_graph(BaseUrl::parse(&graph).unwrap())
        .with_login(BaseUrl::parse(&format!("{}/login", login.url())).unwrap());
    let entra = Entra::builder(Credential::client_secret(TENANT, "app", "s3cret"))
        .with_cloud(cloud)
        .build()
        .unwrap();
    let error = entra.issue(&user(), &TapRequest::new()).await.unwrap_err();
    assert_error(&error, Unavailable, NotAccepted, "a refused connection");
    assert_eq!(login.requests().len(), 1, "the token was had");
}

#[tokio::test]
async fn no_redirect_takes_the_token_elsewhere() {
    let elsewhere = Server::start(|_| Reply::status(200)).await;
    for status in [301, 302, 307, 308] {
        let server = world(Reply::status(status).with_header("location", &elsewhere.url())).await;
        let error = entra(&server.url())
            .issue(&user(), &TapRequest::new())
            .await
            .unwrap_err();
        assert_error(&error, Protocol, Unknown, "a redirect");
    }
    assert_eq!(elsewhere.connections(), 0);
}
