use postduif_core::{Acceptance, ErrorKind};
use postduif_http::{
    BaseUrl, Client, Request,
    auth::{ClientCredentials, TokenSource as _},
};
use postduif_testkit::{Reply, Server, refusing_address};

#[tokio::test]
async fn a_client_from_a_reqwest_builder_is_locked_too() {
    let elsewhere = Server::start(|_| Reply::status(200)).await;
    let location = elsewhere.url();
    let server =
        Server::start(move |_| Reply::status(307).with_header("location", &location)).await;
    // Whether a process-wide provider is installed is the program's decision: neither case may panic.
    let builder = || reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(10));
    match Client::from_reqwest(builder) {
        Err(error) => assert!(error.to_string().contains("install_default"), "{error}"),
        Ok(_) => panic!("no process-wide provider is installed in this test"),
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::from_reqwest(builder).unwrap();
    let base = BaseUrl::parse(&server.url()).unwrap();
    let response = client.send(Request::post(&base, "/send")).await.unwrap();
    assert_eq!((response.status(), elsewhere.connections()), (307, 0));
}

#[tokio::test]
async fn a_secret_that_no_header_can_hold_is_refused_before_anything_is_sent() {
    let server = Server::start(|_| Reply::status(200)).await;
    let base = BaseUrl::parse(&server.url()).unwrap();
    let request = Request::post(&base, "/send").with_secret_header("x-key", &"line\nbreak".into());
    let error = Client::new().unwrap().send(request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Misconfigured, Acceptance::NotAccepted)
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn nothing_shows_a_credential() {
    let base = BaseUrl::parse(&format!("http://{}", refusing_address().await)).unwrap();
    let client = Client::new().unwrap();
    let request = Request::post(&base, "/hunter2")
        .with_query("key", "hunter2")
        .with_secret_header("x-key", &"hunter2".into())
        .with_basic("hunter2", &"hunter2".into())
        .with_form([("hunter2", "hunter2")]);
    let mut shown = format!("{request:?}");
    let error = client.send(request).await.unwrap_err();
    shown += &format!("{error} {error:?} {error:#?}");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        shown += &format!("{error} {error:?}");
        cause = error.source();
    }
    let credentials =
        ClientCredentials::new(client, base, "/token", "hunter2".into(), "hunter2".into());
    shown += &format!(
        "{credentials:?} {:?}",
        credentials.fetch().await.unwrap_err()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}
