//! Tokens and keys that others made: PyJWT, Microsoft, and the sandbox.

use std::collections::BTreeMap;

use postduif_entra::{
    CallerErrorKind::{
        self, Algorithm, Audience, Caller, Expired, Forged, Issuer, NotYetValid, UnknownKey,
    },
    CallerVerifier, Cloud,
};
use postduif_http::BaseUrl;
use postduif_sandbox::{CalloutKind, CalloutOrder, Cast, Fault, Hostile, Sandbox, TokenVersion};
use serde_json::{Value, json};
use wiremock::MockServer;

use super::{Login, other_key, sign_with_id, verify};

#[tokio::test]
async fn tokens_of_another_library_are_judged_alike() {
    let made: Value = serde_json::from_str(include_str!("../keys/pyjwt.json")).unwrap();
    let tokens: BTreeMap<String, String> = serde_json::from_value(made["tokens"].clone()).unwrap();
    let login = Login::empty().await;
    login.publish(&json!({"keys": made["keys"]})).await;
    let verifier = login.verifier();
    let expected = BTreeMap::from([
        ("HS256 under DER", Some(Algorithm)),
        ("HS256 under PEM", Some(Algorithm)),
        ("PS256", Some(Algorithm)),
        ("RS384", Some(Algorithm)),
        ("RS512", Some(Algorithm)),
        ("none", Some(Algorithm)),
        ("rsa1024", Some(UnknownKey)),
        ("rsa3072", None),
        ("rsa4096", None),
        ("v1", None),
        ("v2", None),
    ]);
    let mut judged = BTreeMap::new();
    for (name, token) in &tokens {
        let outcome = verify(&verifier, token).await;
        judged.insert(name.as_str(), outcome.err().map(|error| error.kind()));
    }
    assert_eq!(judged, expected);
}

/// Two keys that `https://login.microsoftonline.com/common/discovery/v2.0/keys` published in 2024, without their
/// certificates: one of every tenant, and one of personal accounts.
const PUBLISHED: &str = include_str!("../keys/microsoft.json");

#[tokio::test]
async fn keys_as_microsoft_publishes_them_are_read() {
    let login = Login::empty().await;
    login
        .publish(&serde_json::from_str(PUBLISHED).unwrap())
        .await;
    let verifier = login.verifier();
    for (id, expected) in [
        ("Mc7l3Iz93g7uwgNeEmmw_WYGPko", Forged),
        ("8IIDH6M8c3cXoeojKme8Jvqsr2Y", UnknownKey),
    ] {
        let error = verify(&verifier, &sign_with_id(&other_key(), id))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), expected, "{id}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_unavailable_and_then_read_again() {
    let sandbox = Sandbox::start().await;
    for point in ["login.metadata", "login.keys"] {
        for fault in [
            Fault::EmptyOk,
            Fault::GzipBomb,
            Fault::Html502,
            Fault::HugeBody,
            Fault::InvalidUtf8,
            Fault::LostAnswer,
            Fault::NotJson,
            Fault::Redirect,
            Fault::ResetAfterRead,
            Fault::ResetBeforeRead,
            Fault::Status503,
            Fault::Throttle,
            Fault::TruncatedBody,
            Fault::Unauthorized,
        ] {
            sandbox.fault(point, fault);
            let error = sandbox_verifier(&sandbox).load_keys().await.unwrap_err();
            assert_eq!(
                error.kind(),
                CallerErrorKind::Unavailable,
                "{fault} at {point}"
            );
            assert!(sandbox.faults_left().is_empty(), "{fault} at {point}");
            sandbox_verifier(&sandbox).load_keys().await.unwrap();
        }
    }
    assert!(sandbox.foreign_requests().is_empty());
}

const CALLERS: [&str; 2] = [
    "ce79fdc4-cd1d-4ea5-8139-e74d7dbe0bb7",
    "810dcf14-1858-4bf2-8134-4c369fa3235b",
];

fn sandbox_verifier(sandbox: &Sandbox) -> CallerVerifier {
    let login = BaseUrl::parse(&sandbox.login_url()).unwrap();
    CallerVerifier::builder(sandbox.tenant())
        .with_cloud(Cloud::GLOBAL.with_login(login))
        .with_audiences([sandbox.audience()])
        .with_callers(CALLERS.map(|id| id.parse().unwrap()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_sandboxs_hostile_call_outs_are_refused_and_its_others_accepted() {
    let sandbox = Sandbox::start().await;
    let target = MockServer::start().await;
    let verifier = sandbox_verifier(&sandbox);
    let kinds = [
        (CalloutKind::Lifecycle, CALLERS[0], TokenVersion::V1),
        (CalloutKind::Lifecycle, CALLERS[0], TokenVersion::V2),
        (CalloutKind::AccessPackage, CALLERS[1], TokenVersion::V1),
        (CalloutKind::AccessPackage, CALLERS[1], TokenVersion::V2),
    ];
    for (kind, caller, version) in kinds {
        for hostile in [None].into_iter().chain(Hostile::ALL.iter().map(Some)) {
            let order = CalloutOrder::new(Cast::JOINER, kind).token(version);
            let order = match hostile {
                Some(hostile) => order.hostile(*hostile),
                None => order,
            };
            target.reset().await;
            sandbox.deliver(order, &target.uri()).await.unwrap();
            let [request] = target
                .received_requests()
                .await
                .unwrap()
                .try_into()
                .unwrap();
            let now = std::time::SystemTime::now().into();
            let outcome = verifier.verify(&request.headers, now).await;
            match expected(hostile) {
                None => assert_eq!(outcome.unwrap().app_id().to_string(), caller),
                Some(kind) => {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.kind(), kind, "{version:?} {hostile:?}");
                }
            }
        }
    }
}

fn expected(hostile: Option<&Hostile>) -> Option<CallerErrorKind> {
    Some(match hostile? {
        Hostile::AlgNone | Hostile::Hs256 => Algorithm,
        Hostile::Audience => Audience,
        // The parser's affair: its token is good.
        Hostile::Body => return None,
        Hostile::Caller => Caller,
        Hostile::Expired => Expired,
        Hostile::NotYet => NotYetValid,
        Hostile::OtherKey => Forged,
        Hostile::OtherTenant => Issuer,
        other => panic!("{other:?}"),
    })
}
