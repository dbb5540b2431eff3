//! A Graph and a login service that respond as scripted, and record requests.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use postduif_core::{
    Acceptance, Guid,
    directory::{GraphError, GraphErrorKind, TapIssuer as _, UserId},
};
use postduif_entra::{Cloud, Credential, Entra, EntraBuilder};
use postduif_http::BaseUrl;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{method, path, path_regex},
};

pub(crate) const TENANT: &str = "7e4a4700-0000-4000-8000-000000000001";
pub(crate) const USER: &str = "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43";
pub(crate) const USER_PATH: &str = "/graph/v1.0/users/5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43";
pub(crate) const TAPS_PATH: &str = "/graph/v1.0/users/5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43/authentication/temporaryAccessPassMethods";
/// Graph's request id in every response here.
pub(crate) const REQUEST_ID: &str = "0f1e2d3c-4b5a-4697-8807-162534435261";

pub(crate) fn user() -> UserId {
    USER.parse().unwrap()
}

pub(crate) struct World {
    server: MockServer,
}

impl World {
    /// Grants every token, each a new one.
    pub(crate) async fn start() -> Self {
        let world = Self {
            server: MockServer::start().await,
        };
        world.reset().await;
        world
    }

    /// Drops the recorded requests and the responses.
    pub(crate) async fn reset(&self) {
        self.server.reset().await;
        Mock::given(method("POST"))
            .and(path(format!("/login/{TENANT}/oauth2/v2.0/token")))
            .respond_with(Tokens(AtomicUsize::new(0)))
            .mount(&self.server)
            .await;
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    pub(crate) fn builder(&self) -> EntraBuilder {
        builder(&self.url())
    }

    pub(crate) fn entra(&self) -> Entra {
        self.builder().build().unwrap()
    }

    pub(crate) async fn on(&self, verb: &str, at: &str, answer: impl Respond + 'static) {
        Mock::given(method(verb))
            .and(path(at))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    /// Returns this response to every request to Graph, in place of all others.
    pub(crate) async fn any(&self, answer: ResponseTemplate) {
        self.reset().await;
        Mock::given(path_regex("^/graph/"))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    /// Returns this response once, before any that is mounted later.
    pub(crate) async fn once(&self, verb: &str, at: &str, answer: ResponseTemplate) {
        Mock::given(method(verb))
            .and(path(at))
            .respond_with(answer)
            .up_to_n_times(1)
            .mount(&self.server)
            .await;
    }

    /// Returns the requests to Graph, in order.
    pub(crate) async fn asked(&self) -> Vec<Request> {
        self.all("/graph/").await
    }

    /// Returns the requests to the login service, in order.
    pub(crate) async fn logins(&self) -> Vec<Request> {
        self.all("/login/").await
    }

    async fn all(&self, under: &str) -> Vec<Request> {
        let mut requests = self.server.received_requests().await.unwrap();
        requests.retain(|request| request.url.path().starts_with(under));
        requests
    }
}

pub(crate) fn builder(url: &str) -> EntraBuilder {
    let root = |name: &str| BaseUrl::parse(&format!("{url}/{name}")).unwrap();
    let cloud = Cloud::GLOBAL
        .with_graph(root("graph"))
        .with_login(root("login"));
    Entra::builder(Credential::client_secret(TENANT, "app", "s3cret")).with_cloud(cloud)
}

/// Signs in, and lets the token become old enough to be replaced.
pub(crate) async fn sign_in_long_ago(entra: &Entra) {
    let _ = entra.list(&user()).await;
    a_while_later().await;
}

/// Advances the clock by more than the time for which a token is new.
pub(crate) async fn a_while_later() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
}

struct Tokens(AtomicUsize);

impl Respond for Tokens {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let turn = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        let body = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": format!("token-{turn}")});
        ResponseTemplate::new(200).set_body_json(body)
    }
}

pub(crate) fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .insert_header("request-id", REQUEST_ID)
        .set_body_json(body)
}

/// Returns a refusal of Graph.
pub(crate) fn said(status: u16, code: &str, message: &str) -> ResponseTemplate {
    let inner =
        json!({"message": message, "date": "2026-11-23T08:00:02", "request-id": REQUEST_ID});
    ResponseTemplate::new(status)
        .set_body_json(json!({"error": {"code": code, "message": message, "innerError": inner}}))
}

/// Returns a refusal of a gateway.
pub(crate) fn html(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw("<html><h1>Request blocked</h1></html>", "text/html")
}

#[track_caller]
pub(crate) fn assert_error(
    error: &GraphError,
    kind: GraphErrorKind,
    acceptance: Acceptance,
    of: &str,
) {
    assert_eq!(
        (error.kind(), error.acceptance()),
        (kind, acceptance),
        "{of}: {error:?}"
    );
}

pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .headers
        .get(name)
        .map(|value| value.to_str().unwrap())
}

/// Checks what every request to Graph must contain.
#[track_caller]
pub(crate) fn assert_is_ours(request: &Request, token: &str) {
    assert_eq!(
        header(request, "authorization"),
        Some(&*format!("Bearer {token}"))
    );
    assert_eq!(header(request, "accept"), Some("application/json"));
    assert!(
        header(request, "client-request-id")
            .unwrap()
            .parse::<Guid>()
            .is_ok()
    );
}

pub(crate) fn body(request: &Request) -> Value {
    assert_eq!(header(request, "content-type"), Some("application/json"));
    serde_json::from_slice(&request.body).unwrap()
}
