use postduif_sandbox::{Fault, Sandbox};

use crate::client::{FORM, Response, call, graph_token, with_token};
use serde_json::Value;

const GOOD: &str = "grant_type=client_credentials&client_id=sandbox&client_secret=sandbox\
    &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default";

async fn request_token(sandbox: &Sandbox, tenant: &str, form: &str) -> Response {
    let path = format!("/login/{tenant}/oauth2/v2.0/token");
    call(sandbox, "POST", &path, &[FORM], form).await.unwrap()
}

#[tokio::test]
async fn the_lifetime_of_a_token_is_a_number() {
    let sandbox = Sandbox::start().await;
    let response = request_token(&sandbox, sandbox.tenant(), GOOD).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["expires_in"], 3599);
    assert_eq!(response.json()["token_type"], "Bearer");

    let own = GOOD.replace("graph.microsoft.com", "localhost%3A1%2Fgraph");
    assert_eq!(
        request_token(&sandbox, sandbox.tenant(), &own).await.status,
        200
    );
}

#[tokio::test]
async fn each_mistake_has_its_number() {
    let sandbox = Sandbox::start().await;
    for (from, to, status, number) in [
        ("secret=sandbox", "secret=wrong", 401, 7_000_215),
        ("client_id=sandbox", "client_id=me", 400, 700_016),
        ("&client_secret=sandbox", "", 401, 7_000_218),
        ("%2F.default", "", 400, 1_002_012),
        ("graph.microsoft.com", "elsewhere.example", 400, 500_011),
        ("=client_credentials", "=password", 400, 70_003),
    ] {
        let response = request_token(&sandbox, sandbox.tenant(), &GOOD.replace(from, to)).await;
        assert_eq!(response.status, status, "{to}");
        assert_eq!(response.json()["error_codes"][0], number, "{to}");
    }
    let stranger = "7e4a4700-0000-4000-8000-00000000000f";
    let response = request_token(&sandbox, stranger, GOOD).await;
    assert_eq!(response.json()["error_codes"][0], 90_002);
}

#[tokio::test]
async fn each_version_of_tokens_has_its_own_metadata() {
    let sandbox = Sandbox::start().await;
    let tenant = sandbox.tenant();
    for (version, issuer) in [
        ("", format!("https://sts.windows.net/{tenant}/")),
        (
            "/v2.0",
            format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        ),
    ] {
        let path = format!("/login/{tenant}{version}/.well-known/openid-configuration");
        let metadata = call(&sandbox, "GET", &path, &[], "").await.unwrap().json();
        assert_eq!(metadata["issuer"], issuer);
        let keys = metadata["jwks_uri"].as_str().unwrap();
        let path = keys.strip_prefix(&sandbox.url()).unwrap();
        let keys = call(&sandbox, "GET", path, &[], "").await.unwrap().json();
        assert_eq!(keys["keys"][0]["kty"], "RSA");
    }
}

#[tokio::test]
async fn faults_of_the_login_are_entras_own_errors() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("login", Fault::Throttle).ms(1500);
    let response = request_token(&sandbox, sandbox.tenant(), GOOD).await;
    assert_eq!(response.status, 429);
    assert_eq!(response.header("retry-after"), Some("2"));

    sandbox.fault("login", Fault::Unauthorized);
    let response = request_token(&sandbox, sandbox.tenant(), GOOD).await;
    assert_eq!(response.status, 401);
    assert_eq!(response.json()["error"], "invalid_client");
}

#[tokio::test]
async fn the_discovery_document_and_the_keys_have_points_of_their_own() {
    let sandbox = Sandbox::start().await;
    let get = async |path: &str| {
        let path = format!("/login/{}{path}", sandbox.tenant());
        call(&sandbox, "GET", &path, &[], "").await
    };
    let metadata = [
        "/.well-known/openid-configuration",
        "/v2.0/.well-known/openid-configuration",
    ];
    let keys = ["/discovery/keys", "/discovery/v2.0/keys"];
    for (point, paths, others) in [
        ("login.metadata", metadata, keys),
        ("login.keys", keys, metadata),
    ] {
        for path in paths {
            sandbox.fault(point, Fault::Status503);
            for other in others {
                assert_eq!(get(other).await.unwrap().status, 200, "{other}");
            }
            let token = request_token(&sandbox, sandbox.tenant(), GOOD).await;
            assert_eq!(token.status, 200, "{point}");
            assert_eq!(get(path).await.unwrap().status, 503, "{path}");

            sandbox.fault(point, Fault::Throttle).ms(1500);
            let response = get(path).await.unwrap();
            assert_eq!(
                (response.status, response.header("retry-after")),
                (429, Some("2"))
            );
            sandbox.fault(point, Fault::Unauthorized);
            assert_eq!(get(path).await.unwrap().status, 401, "{path}");
            sandbox.fault(point, Fault::LostAnswer);
            assert!(get(path).await.is_err(), "{path}");
            sandbox.fault(point, Fault::NotJson);
            let response = get(path).await.unwrap();
            assert_eq!(
                (response.status, response.json()),
                (200, Value::Null),
                "{path}"
            );
            assert_eq!(get(path).await.unwrap().status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn a_token_may_be_issued_without_roles() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("login", Fault::TokenWithoutRoles);
    let path = format!("/graph/v1.0/users/{}", postduif_sandbox::Cast::JOINER);
    for status in [403, 200] {
        let token = graph_token(&sandbox).await;
        let response = with_token(&sandbox, &token, "GET", &path, &Value::Null)
            .await
            .unwrap();
        assert_eq!(response.status, status);
    }
}
