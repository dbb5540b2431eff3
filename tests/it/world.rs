use std::{future, sync::Arc, time::Duration};

use postduif::{
    SmsProvider,
    directory::{Callout, Verdict},
    entra::{CalloutParser, Cloud, Credential, Entra, Parsed},
    http::{BaseUrl, Client},
    numbers,
    onboarding::{Ending, Numbers, Onboarding, OnboardingBuilder, ReadNumber},
};
use postduif_sandbox::{CalloutKind, Sandbox};
use serde_json::Value;

/// An HTTP client with deadlines that a stalled test can wait for.
pub(crate) fn client() -> Client {
    Client::builder()
        .with_connect_timeout(Duration::from_millis(500))
        .with_timeout(Duration::from_secs(1))
        .build()
        .unwrap()
}

pub(crate) fn entra(sandbox: &Sandbox) -> Arc<Entra> {
    let credential = Credential::client_secret(
        sandbox.tenant(),
        sandbox.client_id(),
        sandbox.client_secret(),
    );
    let cloud = Cloud::GLOBAL
        .with_graph(BaseUrl::parse(&sandbox.graph_url()).unwrap())
        .with_login(BaseUrl::parse(&sandbox.login_url()).unwrap());
    Arc::new(
        Entra::builder(credential)
            .with_cloud(cloud)
            .with_client(client())
            .build()
            .unwrap(),
    )
}

pub(crate) fn provider(sandbox: &Sandbox) -> Arc<dyn SmsProvider> {
    postduif::from_url_with(&sandbox.sms_url("kpn"), &client()).unwrap()
}

/// The flow over the sandbox, with pauses that a test can wait for.
pub(crate) fn onboarding(sandbox: &Sandbox) -> OnboardingBuilder {
    let entra = entra(sandbox);
    Onboarding::builder()
        .with_graph(Arc::clone(&entra))
        .with_issuer(entra)
        .with_provider(provider(sandbox))
        .with_numbers(Numbers::reading("NL", |text, region| {
            let reading = numbers::read(text, Some(region))?;
            Ok(ReadNumber::new(
                reading.require_mobile()?,
                reading.is_known(),
            ))
        }))
        .with_pauses([Duration::from_millis(10); 6])
}

pub(crate) fn parse(body: &Value) -> Callout {
    let parsed = CalloutParser::new().parse(
        body.to_string().as_bytes(),
        std::time::SystemTime::now().into(),
    );
    match parsed.unwrap() {
        Parsed::Callout(callout) => callout,
        other => panic!("not about a user: {other:?}"),
    }
}

/// Entra calls about this user, and the flow runs to its end.
pub(crate) async fn onboard(sandbox: &Sandbox, user: &str, kind: CalloutKind) -> Ending {
    let callout = parse(&sandbox.callout(user, kind).unwrap().body);
    onboarding(sandbox)
        .build()
        .unwrap()
        .run_until(callout, future::pending())
        .await
        .unwrap()
}

/// What must hold whatever happened: one usable pass, and it is in the last text; or none. Entra heard the
/// truth, once. No text was sent twice.
#[track_caller]
pub(crate) fn assert_settled(sandbox: &Sandbox, user: &str, what: &str) {
    let usable = sandbox.usable_passes(user);
    let resumes = sandbox.resumes();
    let heard: Vec<_> = resumes
        .iter()
        .filter(|resume| resume.answered == 204)
        .collect();
    assert_eq!(
        heard.len(),
        1,
        "{what}: Entra takes one answer: {resumes:?}"
    );
    match heard[0].status.as_deref() {
        Some("Completed") => {
            assert_eq!(usable.len(), 1, "{what}: one usable pass");
            let last = sandbox.messages().pop().expect("a text was sent");
            assert!(
                last.text.contains(&usable[0].secret),
                "{what}: the usable pass is in the last text"
            );
        }
        Some("Failed") => assert_eq!(usable.len(), 0, "{what}: no usable pass is left"),
        other => panic!("{what}: Entra heard {other:?}"),
    }
    let mut texts: Vec<_> = sandbox
        .messages()
        .into_iter()
        .map(|message| message.text)
        .collect();
    let sent = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), sent, "{what}: no text was sent twice");
    assert_eq!(
        sandbox.foreign_requests().len(),
        0,
        "{what}: no foreign host"
    );
}

/// Verdict and reason, as text.
pub(crate) fn told(verdict: Verdict) -> String {
    match verdict {
        Verdict::Completed => "completed".into(),
        Verdict::Failed(reason) => reason.to_string(),
    }
}
