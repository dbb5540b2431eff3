use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use postduif_core::{
    Acceptance::NotAccepted,
    ErrorKind, SendError, async_trait,
    directory::{
        Graph as _,
        GraphErrorKind::{
            self, Forbidden, Protocol, Throttled, Timeout, Unauthorized, Unavailable,
        },
        TapIssuer as _, TapRequest,
    },
};
use postduif_entra::{Cloud, Credential, Entra};
use postduif_http::{
    BaseUrl,
    auth::{Token, TokenSource},
};
use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{
    TAPS_PATH, TENANT, USER_PATH, World, a_while_later, assert_error, assert_is_ours, builder,
    header, html, ok, said, sign_in_long_ago, user,
};

fn no_passes() -> ResponseTemplate {
    ok(&json!({"value": []}))
}

#[tokio::test]
async fn a_token_is_requested_as_documented_and_kept() {
    let world = World::start().await;
    world.on("GET", TAPS_PATH, no_passes()).await;
    let entra = world.entra();
    entra.list(&user()).await.unwrap();
    entra.list(&user()).await.unwrap();
    let [login] = world.logins().await.try_into().unwrap();
    assert_eq!(
        login.url.path(),
        format!("/login/{TENANT}/oauth2/v2.0/token")
    );
    assert_eq!(
        header(&login, "content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(header(&login, "authorization"), None);
    let mut form: Vec<_> = login
        .body
        .split(|byte| *byte == b'&')
        .map(|field| String::from_utf8(field.to_vec()).unwrap())
        .collect();
    form.sort();
    let root = world.url().replace(':', "%3A").replace('/', "%2F");
    assert_eq!(
        form,
        [
            "client_id=app".to_owned(),
            "client_secret=s3cret".into(),
            "grant_type=client_credentials".into(),
            format!("scope={root}%2Fgraph%2F.default"),
        ]
    );
}

#[tokio::test]
async fn a_token_that_was_refused_for_certain_is_renewed_once() {
    for refusal in [
        said(401, "InvalidAuthenticationToken", "no"),
        ResponseTemplate::new(401).insert_header("www-authenticate", "Bearer"),
    ] {
        let world = World::start().await;
        world.once("GET", TAPS_PATH, no_passes()).await;
        let entra = world.entra();
        sign_in_long_ago(&entra).await;
        world.once("GET", TAPS_PATH, refusal).await;
        world.on("GET", TAPS_PATH, no_passes()).await;
        entra.list(&user()).await.unwrap();
        let [_, first, second] = world.asked().await.try_into().unwrap();
        assert_is_ours(&first, "token-1");
        assert_is_ours(&second, "token-2");
        assert_ne!(
            header(&first, "client-request-id"),
            header(&second, "client-request-id")
        );
    }
}

#[tokio::test]
async fn a_pass_too_is_asked_for_again_after_a_proven_refusal_and_only_then() {
    for (refusal, times) in [
        (said(401, "InvalidAuthenticationToken", "no"), 2),
        (html(401), 1),
    ] {
        let world = World::start().await;
        let entra = world.entra();
        sign_in_long_ago(&entra).await;
        world.on("POST", TAPS_PATH, refusal).await;
        let error = entra.issue(&user(), &TapRequest::new()).await.unwrap_err();
        assert_eq!(
            (world.asked().await.len(), world.logins().await.len()),
            (1 + times, times),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_that_lasts_costs_no_token_for_each_call() {
    let world = World::start().await;
    let refusal = said(401, "InvalidAuthenticationToken", "no");
    world.on("GET", TAPS_PATH, refusal).await;
    let entra = world.entra();
    for _ in 0..20 {
        entra.list(&user()).await.unwrap_err();
    }
    assert_eq!(
        (world.asked().await.len(), world.logins().await.len()),
        (20, 1)
    );
}

#[tokio::test]
async fn a_missing_permission_costs_the_token_once_and_no_request_twice() {
    let world = World::start().await;
    world
        .on("GET", TAPS_PATH, said(403, "accessDenied", "no"))
        .await;
    let entra = world.entra();
    for _ in 0..3 {
        let error = entra.list(&user()).await.unwrap_err();
        assert_error(&error, Forbidden, NotAccepted, "403");
        a_while_later().await;
    }
    let tokens: Vec<_> = world
        .asked()
        .await
        .iter()
        .map(|request| header(request, "authorization").unwrap().to_owned())
        .collect();
    assert_eq!(
        tokens,
        ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
    );
}

#[tokio::test]
async fn a_filters_403_costs_no_token() {
    let world = World::start().await;
    world.on("GET", TAPS_PATH, html(403)).await;
    let entra = world.entra();
    for _ in 0..2 {
        entra.list(&user()).await.unwrap_err();
    }
    assert_eq!(world.logins().await.len(), 1);
}

#[tokio::test]
async fn without_a_token_nothing_is_asked_of_graph() {
    let refusal = json!({"error": "invalid_client", "error_description": "AADSTS7000222: s3cret", "error_codes": [7000222]});
    for (answer, kind, code) in [
        (
            ResponseTemplate::new(401).set_body_json(&refusal),
            Unauthorized,
            Some("AADSTS7000222"),
        ),
        (
            ResponseTemplate::new(400).set_body_json(&refusal),
            Unauthorized,
            Some("AADSTS7000222"),
        ),
        (html(404), Unauthorized, None),
        (
            html(429).insert_header("retry-after", "1.5"),
            Throttled,
            None,
        ),
        (html(503), Unavailable, None),
        (html(403), Protocol, None),
        (html(200), Protocol, None),
        (
            html(302).insert_header("location", "/elsewhere"),
            Protocol,
            None,
        ),
    ] {
        let server = MockServer::start().await;
        Mock::given(wiremock::matchers::any())
            .respond_with(answer)
            .mount(&server)
            .await;
        let entra = builder(&server.uri()).build().unwrap();
        let error = entra.issue(&user(), &TapRequest::new()).await.unwrap_err();
        assert_error(&error, kind, NotAccepted, "token");
        assert_eq!(error.code(), code);
        if kind == Throttled {
            assert_eq!(error.retry_after().unwrap().as_secs(), 2);
        }
        assert!(
            !format!("{error} {error:?}").contains("message was"),
            "{error:?}"
        );
        let asked = server.received_requests().await.unwrap();
        assert_eq!(asked.len(), 1, "the login service only");
    }
}

#[derive(Debug)]
struct Source {
    fetched: AtomicUsize,
    fails: Option<ErrorKind>,
}

#[async_trait]
impl TokenSource for Source {
    async fn fetch(&self) -> Result<Token, SendError> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        match self.fails {
            None => Ok(Token::new(
                "own-token".into(),
                std::time::Duration::from_secs(3600),
            )),
            Some(kind) => Err(SendError::not_accepted(kind, "no token")),
        }
    }
}

fn with_source(world: &World, fails: Option<ErrorKind>) -> (Entra, Arc<Source>) {
    let source = Arc::new(Source {
        fetched: AtomicUsize::new(0),
        fails,
    });
    let graph = BaseUrl::parse(&format!("{}/graph", world.url())).unwrap();
    let entra = Entra::builder(Credential::tokens(Arc::clone(&source)))
        .with_cloud(Cloud::GLOBAL.with_graph(graph))
        .build()
        .unwrap();
    (entra, source)
}

#[tokio::test]
async fn tokens_may_come_from_elsewhere_and_are_kept_too() {
    let world = World::start().await;
    world.on("GET", TAPS_PATH, no_passes()).await;
    let (entra, source) = with_source(&world, None);
    entra.list(&user()).await.unwrap();
    entra.list(&user()).await.unwrap();
    assert_eq!(source.fetched.load(Ordering::SeqCst), 1);
    assert_is_ours(&world.asked().await[1], "own-token");
    assert_eq!(world.logins().await.len(), 0);
}

#[tokio::test]
async fn no_failure_of_a_source_is_mistaken_for_graphs_word() {
    for &of in ErrorKind::ALL {
        let world = World::start().await;
        let (entra, _) = with_source(&world, Some(of));
        let error = entra.user(&user()).await.unwrap_err();
        let expected = match of {
            ErrorKind::Protocol => Protocol,
            ErrorKind::Throttled => Throttled,
            ErrorKind::Timeout => Timeout,
            ErrorKind::Unavailable => Unavailable,
            _ => Unauthorized,
        };
        assert_error(&error, expected, NotAccepted, of.as_str());
    }
}

#[tokio::test]
async fn a_token_that_does_not_fit_in_a_header_is_an_error_and_not_sent() {
    #[derive(Debug)]
    struct Broken;

    #[async_trait]
    impl TokenSource for Broken {
        async fn fetch(&self) -> Result<Token, SendError> {
            Ok(Token::new(
                "line\nbreak".into(),
                std::time::Duration::from_secs(3600),
            ))
        }
    }

    let world = World::start().await;
    let graph = BaseUrl::parse(&format!("{}/graph", world.url())).unwrap();
    let entra = Entra::builder(Credential::tokens(Broken))
        .with_cloud(Cloud::GLOBAL.with_graph(graph))
        .build()
        .unwrap();
    let error = entra.issue(&user(), &TapRequest::new()).await.unwrap_err();
    assert_error(&error, GraphErrorKind::Unauthorized, NotAccepted, "token");
    assert_eq!(world.asked().await.len(), 0);
}

#[tokio::test]
async fn an_invalid_tenant_is_refused_at_build() {
    for tenant in ["", "common", "a/../b", "contoso.example/x?y"] {
        let built = Entra::builder(Credential::client_secret(tenant, "app", "s3cret")).build();
        let error = built.unwrap_err().to_string();
        assert!(
            error.contains("tenant") && !error.contains("s3cret"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_prefix_of_the_graph_root_stays() {
    let world = World::start().await;
    world
        .on("GET", USER_PATH, ok(&json!({"id": crate::support::USER})))
        .await;
    let entra = world.builder().with_roles(false).build().unwrap();
    entra.user(&user()).await.unwrap();
    assert_eq!(world.asked().await[0].url.path(), USER_PATH);
}
