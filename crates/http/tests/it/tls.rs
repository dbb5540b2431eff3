use postduif_core::{Acceptance, ErrorKind};
use postduif_http::{BaseUrl, Client, ClientBuilder, Request};
use postduif_testkit::{Certificate, Reply, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::phases::{assert_error, post_by};

/// With the default deadlines, since a handshake may be slow on a busy machine.
fn trusting() -> ClientBuilder {
    Client::builder().with_root_certificates(Certificate::ROOT)
}

async fn tls(certificate: Certificate) -> Server {
    Server::start_tls(certificate, |_| Reply::json(200, "{}")).await
}

#[tokio::test]
async fn a_server_under_an_added_root_is_trusted() {
    let server = tls(Certificate::Trusted).await;
    let client = trusting().build().unwrap();
    let response = post_by(&client, &server.url()).await.unwrap();
    assert_eq!((response.status(), server.requests().len()), (200, 1));
}

#[tokio::test]
async fn a_host_is_reached_at_the_configured_address() {
    let server = tls(Certificate::Trusted).await;
    let client = trusting()
        .with_resolve("vendor.test", server.address())
        .build()
        .unwrap();
    let url = format!("https://vendor.test:{}", server.address().port());
    let response = post_by(&client, &url).await.unwrap();
    let host = format!("vendor.test:{}", server.address().port());
    assert_eq!(response.status(), 200);
    assert_eq!(server.requests()[0].header("host"), Some(host.as_str()));
}

#[tokio::test]
async fn the_user_agent_is_the_configured_one() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let named = Client::builder().with_user_agent("contoso-onboarding/1.0");
    for (client, expected) in [
        (named, "contoso-onboarding/1.0"),
        (
            Client::builder(),
            concat!("postduif/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        post_by(&client.build().unwrap(), &server.url())
            .await
            .unwrap();
        let request = server.requests().pop().unwrap();
        assert_eq!(request.header("user-agent"), Some(expected));
    }
}

#[tokio::test]
async fn a_server_with_an_invalid_certificate_gets_no_request() {
    for certificate in [
        Certificate::Expired,
        Certificate::OtherName,
        Certificate::SelfSigned,
        Certificate::UnknownRoot,
    ] {
        let server = tls(certificate).await;
        let client = trusting().build().unwrap();
        let base = BaseUrl::parse(&server.url()).unwrap();
        let request = Request::post(&base, "/send")
            .with_secret_header("x-key", &"hunter2".into())
            .with_json(&"hunter2");
        let error = client.send(request).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Unavailable, Acceptance::NotAccepted),
            "{certificate:?}: {error:?}"
        );
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!(server.requests().len(), 0, "{certificate:?}");
        assert!(server.connections() >= 1, "{certificate:?}: no connection");
    }
}

#[tokio::test]
async fn a_root_that_was_not_added_is_not_trusted() {
    let server = tls(Certificate::Trusted).await;
    let result = post_by(&Client::new().unwrap(), &server.url()).await;
    assert_error(result, ErrorKind::Unavailable, Acceptance::NotAccepted);
    assert_eq!(server.requests().len(), 0);
}

/// A ServerHello of TLS 1.1, as a server without any newer version sends it.
fn server_hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    // No session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    hello.extend([0, 0x00, 0x2f, 0]);
    hello
}

#[tokio::test]
async fn a_server_of_tls_1_1_gets_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = vec![0; 16 * 1024];
        let length = stream.read(&mut read).await.unwrap();
        read.truncate(length);
        stream.write_all(&server_hello_of_tls_1_1()).await.unwrap();
        // To the end of the connection, so that nothing the client sent is missed.
        let _ = stream.read_to_end(&mut read).await;
        read
    });
    let client = trusting().build().unwrap();
    let base = BaseUrl::parse(&url).unwrap();
    let request = Request::post(&base, "/send").with_json(&"hunter2");
    let result = client.send(request).await;
    assert_error(result, ErrorKind::Unavailable, Acceptance::NotAccepted);
    let read = server.await.unwrap();
    assert_eq!(read[0], 0x16, "it started with a handshake");
    assert!(!read.windows(7).any(|window| window == b"hunter2"));
    assert!(!read.windows(5).any(|window| window == b"/send"));
}

#[test]
fn an_invalid_root_certificate_builds_no_client() {
    for bad in ["", "no certificate", Certificate::KEY] {
        let built = Client::builder().with_root_certificates(bad).build();
        let error = built.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(!format!("{error:?}").contains("PRIVATE"));
    }
}
