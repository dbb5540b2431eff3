use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use postduif_sandbox::{Callout, CalloutKind, CalloutOrder, Cast, Hostile, Sandbox};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
};

use crate::client::{call, soon};

const LIFECYCLE: &str = "ce79fdc4-cd1d-4ea5-8139-e74d7dbe0bb7";

/// A receiver of call-outs, which responds 202 and keeps them.
struct Receiver {
    listener: TcpListener,
}

/// A call-out as received.
struct Arrived {
    head: String,
    body: Value,
    token: String,
}

impl Receiver {
    async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    fn url(&self) -> String {
        format!("http://{}/callouts", self.listener.local_addr().unwrap())
    }

    async fn take(&self) -> Arrived {
        let (mut stream, _) = soon(self.listener.accept()).await.unwrap();
        let mut bytes = Vec::new();
        let (head, body) = loop {
            soon(stream.read_buf(&mut bytes)).await.unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            if let Ok(body) = serde_json::from_str(body) {
                break (head.to_owned(), body);
            }
        };
        let response = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
        soon(stream.write_all(response)).await.unwrap();
        let token = head
            .lines()
            .find_map(|line| line.strip_prefix("Authorization: Bearer "))
            .unwrap()
            .to_owned();
        Arrived { head, body, token }
    }

    async fn called(&self, sandbox: &Sandbox, order: CalloutOrder) -> (Callout, Arrived) {
        let url = self.url();
        let (callout, arrived) = tokio::join!(sandbox.deliver(order, &url), self.take());
        (callout.unwrap(), arrived)
    }
}

impl Arrived {
    fn part(&self, at: usize) -> Value {
        let part = self.token.split('.').nth(at).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    /// Returns whether the signature is by the tenant's published key.
    fn is_signed(&self, jwks: &Value) -> bool {
        let (signed, signature) = self.token.rsplit_once('.').unwrap();
        let number = |name: &str| {
            URL_SAFE_NO_PAD
                .decode(jwks["keys"][0][name].as_str().unwrap())
                .unwrap()
        };
        RsaPublicKeyComponents {
            n: number("n"),
            e: number("e"),
        }
        .verify(
            &RSA_PKCS1_2048_8192_SHA256,
            signed.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .is_ok()
    }
}

async fn jwks(sandbox: &Sandbox) -> Value {
    let path = format!(
        "/login/{}/v2.0/.well-known/openid-configuration",
        sandbox.tenant()
    );
    let metadata = call(sandbox, "GET", &path, &[], "").await.unwrap().json();
    let keys = metadata["jwks_uri"].as_str().unwrap();
    let path = keys.strip_prefix(&sandbox.url()).unwrap();
    call(sandbox, "GET", path, &[], "").await.unwrap().json()
}

fn lifecycle() -> CalloutOrder {
    CalloutOrder::new(Cast::JOINER, CalloutKind::Lifecycle)
}

#[tokio::test]
async fn a_call_out_is_signed_by_the_key_that_the_tenant_publishes() {
    let sandbox = Sandbox::start().await;
    let receiver = Receiver::start().await;
    let (callout, arrived) = receiver.called(&sandbox, lifecycle()).await;

    assert_eq!(callout.status, Some(202));
    assert_eq!(callout.body, arrived.body);
    assert!(arrived.head.starts_with("POST /callouts HTTP/1.1\r\n"));
    let jwks = jwks(&sandbox).await;
    assert!(arrived.is_signed(&jwks));
    assert_eq!(arrived.part(0)["alg"], "RS256");
    assert_eq!(arrived.part(0)["kid"], jwks["keys"][0]["kid"]);
    let claims = arrived.part(1);
    assert_eq!(claims["aud"], sandbox.audience());
    assert_eq!(claims["tid"], sandbox.tenant());
    assert_eq!(claims["azp"], LIFECYCLE);
    assert_eq!(
        claims["iss"],
        format!(
            "https://login.microsoftonline.com/{}/v2.0",
            sandbox.tenant()
        )
    );
}

#[tokio::test]
async fn each_hostile_call_out_is_wrong_in_one_way_only() {
    let sandbox = Sandbox::start().await;
    let receiver = Receiver::start().await;
    let jwks = jwks(&sandbox).await;
    let now = Utc::now().timestamp();
    for hostile in Hostile::ALL {
        let (_, arrived) = receiver
            .called(&sandbox, lifecycle().hostile(*hostile))
            .await;
        let (header, claims) = (arrived.part(0), arrived.part(1));
        let path = arrived.body["data"]["callbackUriPath"].as_str().unwrap();
        let right = [
            (Hostile::AlgNone, header["alg"] != "none"),
            (Hostile::Audience, claims["aud"] == sandbox.audience()),
            (Hostile::Body, path.ends_with("/resume")),
            (Hostile::Caller, claims["azp"] == LIFECYCLE),
            (Hostile::Expired, claims["exp"].as_i64().unwrap() > now),
            (Hostile::Hs256, header["alg"] != "HS256"),
            (Hostile::NotYet, claims["nbf"].as_i64().unwrap() <= now + 60),
            (Hostile::OtherTenant, claims["tid"] == sandbox.tenant()),
        ];
        for (other, right) in right {
            assert_eq!(right, other != *hostile, "{} of {hostile:?}", other.name());
        }
        let unsigned = [Hostile::AlgNone, Hostile::Hs256, Hostile::OtherKey];
        assert_eq!(
            arrived.is_signed(&jwks),
            !unsigned.contains(hostile),
            "{hostile:?}"
        );
    }
}

#[tokio::test]
async fn a_call_out_may_have_a_token_of_either_version() {
    let sandbox = Sandbox::start().await;
    let receiver = Receiver::start().await;
    let tenant = sandbox.tenant();
    for (version, issuer, [caller, absent]) in [
        (
            "v1",
            format!("https://sts.windows.net/{tenant}/"),
            ["appid", "azp"],
        ),
        (
            "v2",
            format!("https://login.microsoftonline.com/{tenant}/v2.0"),
            ["azp", "appid"],
        ),
    ] {
        let order = json!({"target": receiver.url(), "token": version}).to_string();
        let (response, arrived) = tokio::join!(
            call(&sandbox, "POST", "/_sandbox/callouts", &[], &order),
            receiver.take()
        );
        assert_eq!(response.unwrap().json()["status"], 202);
        let claims = arrived.part(1);
        assert_eq!(claims["iss"], issuer);
        assert_eq!(claims["ver"], format!("{}.0", &version[1..]));
        assert_eq!(claims[caller], LIFECYCLE);
        assert!(claims[absent].is_null(), "{version}");
    }
    let order = json!({"target": receiver.url(), "token": "v3"}).to_string();
    let response = call(&sandbox, "POST", "/_sandbox/callouts", &[], &order).await;
    let message = response.unwrap().json()["error"]["message"].to_string();
    assert!(message.contains("v1, v2"), "{message}");
}

#[tokio::test]
async fn a_repeated_call_out_arrives_twice_with_the_same_body() {
    let sandbox = Sandbox::start().await;
    let receiver = Receiver::start().await;
    let url = receiver.url();
    let (callout, first, second) = tokio::join!(
        sandbox.deliver(lifecycle().repeated(), &url),
        receiver.take(),
        async { receiver.take().await }
    );
    assert_eq!(callout.unwrap().status, Some(202));
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn another_process_can_have_a_call_out_sent() {
    let sandbox = Sandbox::start().await;
    let receiver = Receiver::start().await;
    let order = json!({
        "target": receiver.url(),
        "user": Cast::ENGLISH,
        "kind": "access_package",
        "window": "PT1H",
    })
    .to_string();
    let (response, arrived) = tokio::join!(
        call(&sandbox, "POST", "/_sandbox/callouts", &[], &order),
        receiver.take()
    );
    let response = response.unwrap().json();
    assert_eq!(response["status"], 202);
    assert_eq!(response["body"], arrived.body);
    assert_eq!(
        arrived.body["CustomExtensionStageInstanceId"],
        response["execution"]
    );
    assert_ne!(arrived.part(1)["azp"], LIFECYCLE);
}

#[tokio::test]
async fn a_target_that_does_not_listen_has_no_status() {
    let sandbox = Sandbox::start().await;
    // Bound, so that the port stays free, and not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    let callout = sandbox.deliver(lifecycle(), &url).await.unwrap();
    assert_eq!(callout.status, None);
    assert!(sandbox.deliver(lifecycle(), "callouts").await.is_err());
}
