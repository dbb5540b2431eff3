//! Headers that the program adds to requests.

use std::time::Duration;

use postduif_http::{
    BaseUrl, Client, Request,
    auth::{ClientCredentials, TokenCache},
};
use postduif_testkit::{HttpRequest, Reply, Server};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

tokio::task_local! {
    static TRACE: &'static str;
}

/// A client that adds `traceparent` from the task that sends.
fn traced() -> Client {
    Client::new().unwrap().with_headers(|| {
        let trace = TRACE.try_with(|trace| *trace);
        trace.ok().map(|trace| ("traceparent", trace))
    })
}

/// A client that adds these headers.
fn with(headers: &[(&'static str, &'static str)]) -> Client {
    let headers = headers.to_vec();
    let client = Client::new().unwrap();
    client.with_headers(move || headers.clone())
}

async fn echo() -> (Server, BaseUrl) {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let base = BaseUrl::parse(&server.url()).unwrap();
    (server, base)
}

fn traces(server: &Server) -> Vec<Option<String>> {
    let requests = server.requests();
    let trace = |request: &HttpRequest| request.header("traceparent").map(Into::into);
    requests.iter().map(trace).collect()
}

#[tokio::test]
async fn headers_are_asked_for_at_each_request_in_the_task_that_sends() {
    let (server, base) = echo().await;
    let client = traced();
    let send = async {
        let request = Request::post(&base, "/send").with_json(&"text");
        client.send(request).await.unwrap();
        client.ask(Request::get(&base, "/balance")).await.unwrap();
    };
    TRACE.scope(PARENT, send).await;
    let request = Request::post(&base, "/send").with_json(&"text");
    client.send(request).await.unwrap();
    let parent = Some(PARENT.to_owned());
    assert_eq!(traces(&server), [parent.clone(), parent, None]);
}

#[tokio::test]
async fn a_request_for_a_token_has_them_too() {
    let token = r#"{"access_token":"t0ken","expires_in":3600}"#;
    let server = Server::start(move |_| Reply::json(200, token)).await;
    let base = BaseUrl::parse(&server.url()).unwrap();
    let client = with(&[("traceparent", PARENT)]);
    let source = ClientCredentials::new(client, base, "/token", "id".into(), "secret".into());
    let tokens = TokenCache::new(source, Duration::from_secs(60));
    tokens.token().await.unwrap();
    assert_eq!(traces(&server), [Some(PARENT.to_owned())]);
}

#[tokio::test]
async fn they_replace_no_header_of_the_request() {
    let (server, base) = echo().await;
    let client = with(&[
        ("Authorization", "Bearer theirs"),
        ("X-Key", "theirs"),
        ("X-Signature", "theirs"),
        ("content-type", "text/plain"),
        ("content-length", "1"),
        ("host", "elsewhere.example"),
        ("user-agent", "theirs"),
        ("accept", "theirs"),
        ("x-own", "theirs"),
    ]);
    let request = Request::post(&base, "/send")
        .with_basic("id", &"secret".into())
        .with_secret_header("x-key", &"key".into())
        .with_header("x-signature", "signed")
        .with_json(&"text");
    client.send(request).await.unwrap();
    let request = server.requests().pop().unwrap();
    let host = server.url().replace("http://", "");
    for (name, expected) in [
        ("authorization", "Basic aWQ6c2VjcmV0"),
        ("x-key", "key"),
        ("x-signature", "signed"),
        ("content-type", "application/json"),
        ("content-length", "6"),
        ("host", &host),
        (
            "user-agent",
            concat!("postduif/", env!("CARGO_PKG_VERSION")),
        ),
        ("accept", "*/*"),
        ("x-own", "theirs"),
    ] {
        assert_eq!(request.header(name), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn a_request_without_credentials_gets_none_from_them() {
    let (server, base) = echo().await;
    let names = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "content-encoding",
        "transfer-encoding",
        "expect",
        "if-match",
        "upgrade",
    ];
    let client = with(&names.map(|name| (name, "theirs")));
    client.send(Request::get(&base, "/send")).await.unwrap();
    let request = server.requests().pop().unwrap();
    for name in names {
        assert_eq!(request.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn an_invalid_one_is_left_out_and_the_request_is_sent() {
    let (server, base) = echo().await;
    let long: &str = "a".repeat(8193).leak();
    let client = with(&[
        ("x bad", "value"),
        ("", "value"),
        ("x-break", "line\r\nx-injected: yes"),
        ("x-long", long),
        ("x-good", "value"),
    ]);
    client.send(Request::get(&base, "/send")).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!(request.header("x-good"), Some("value"));
    for name in ["x-break", "x-injected", "x-long"] {
        assert_eq!(request.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn sixteen_of_them_are_added() {
    let (server, base) = echo().await;
    let client = Client::new().unwrap().with_headers(|| {
        let numbers = 1_u32..;
        numbers.map(|number| (format!("x-{number}"), "value"))
    });
    client.send(Request::get(&base, "/send")).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!(request.header("x-16"), Some("value"));
    assert_eq!(request.header("x-17"), None);
}

#[tokio::test]
async fn a_panic_in_their_function_stops_no_request() {
    let (server, base) = echo().await;
    let client = Client::new().unwrap().with_headers(|| {
        let names = ["x-1", "x-2"];
        names
            .map(|name| (name, "value"))
            .into_iter()
            .inspect(|(name, _)| {
                assert_eq!(*name, "x-1", "a fault of the program");
            })
    });
    client.send(Request::get(&base, "/send")).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!(request.header("x-1"), Some("value"));
    assert_eq!(request.header("x-2"), None);
}
