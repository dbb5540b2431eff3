//! Health, metrics, and the stop.

use axum::{Router, routing::get};
use postduif_sandbox::{CalloutKind, CalloutOrder, Cast, Sandbox};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{service::Service, stores::TempDir};

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_tell_what_happened() {
    let sandbox = Sandbox::start().await;
    let service = Service::start(&["--sandbox", &sandbox.url()]);
    assert!(
        service
            .get("/health")
            .ends_with(r#"{"open":0,"status":"ok"}"#)
    );
    let target = format!("{}/callouts/lifecycle", service.url);
    let order = CalloutOrder::new(Cast::JOINER, CalloutKind::Lifecycle);
    sandbox.deliver(order, &target).await.unwrap();
    sandbox
        .wait_for(|sandbox| sandbox.resumes().first().cloned())
        .await;
    // The flow is counted right after its resume.
    let metrics = loop {
        let metrics = service.get("/metrics");
        if metrics.contains("\npostduif_flows_open 0\n")
            && metrics.contains("postduif_flows_ended_total")
        {
            break metrics;
        }
        tokio::task::yield_now().await;
    };
    for line in [
        r#"postduif_flows_ended_total{verdict="completed",reason="none"} 1"#,
        "postduif_passes_issued_total 1",
        r#"messaging_client_sent_messages{messaging_system="kpn","#,
        r#"postduif_callouts_total{outcome="new"} 1"#,
        "postduif_keys_age_seconds ",
        "\npostduif_keys_failed_fetches 0\n",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_fetched_show_in_health_and_metrics() {
    // A world like a sandbox, in which nobody listens where the keys are.
    let nowhere = "http://127.0.0.1:1";
    let about = json!({
        "tenant": "11111111-1111-4111-8111-111111111111",
        "client_id": "22222222-2222-4222-8222-222222222222",
        "audience": "api://postduif",
        "graph": nowhere,
        "login": nowhere,
        "callers": {"lifecycle": "33333333-3333-4333-8333-333333333333"},
        "urls": {"kpn": "kpn://sandbox:sandbox@127.0.0.1:1?sender=Postduif"},
    });
    let world = Router::new().route("/_sandbox", get(async move || about.to_string()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, world).into_future());
    let service = Service::start(&["--sandbox", &url]);
    // They are fetched while the service starts.
    let health = loop {
        let health = service.get("/health");
        if !health.ends_with(r#"{"open":0,"status":"ok"}"#) {
            break health;
        }
        tokio::task::yield_now().await;
    };
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let keys = r#"{"keys":{"age_seconds":null,"failed_fetches":1},"open":0,"status":"ok"}"#;
    assert!(health.ends_with(keys), "{health}");
    let metrics = service.get("/metrics");
    let line = "\npostduif_keys_failed_fetches 1\n";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_open_flows_as_failed_and_exits_with_success() {
    let sandbox = Sandbox::start().await;
    let service = Service::start(&["--sandbox", &sandbox.url()]);
    let target = format!("{}/callouts/lifecycle", service.url);
    // Nobody knows this user, so the flow waits.
    let unknown = "12121212-1212-4121-8121-121212121212";
    let order = CalloutOrder::new(unknown, CalloutKind::Lifecycle);
    sandbox.deliver(order, &target).await.unwrap();
    sandbox
        .wait_for(|sandbox| {
            let requests = sandbox.requests();
            requests
                .iter()
                .find(|request| request.path.contains(unknown))
                .cloned()
        })
        .await;
    let (code, _) = service.terminate();
    assert_eq!(code, Some(0));
    let resumes = sandbox.resumes();
    assert_eq!(resumes.len(), 1);
    assert_eq!(resumes[0].status.as_deref(), Some("Failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sigterm_is_heeded_from_the_moment_that_the_service_listens() {
    let sandbox = Sandbox::start().await;
    for _ in 0..10 {
        let service = Service::start(&["--sandbox", &sandbox.url()]);
        assert_eq!(service.terminate().0, Some(0));
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_replaced_in_its_file_is_used_after_sighup() {
    let sandbox = Sandbox::start().await;
    let folder = TempDir::new();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "replaced\n").unwrap();
    let url = sandbox.sms_url("kpn").replace("sandbox:sandbox@", "");
    let url = format!("{url}&id=sandbox&secret=file:{}", secret.display());
    let service = Service::start(&["--sandbox", &sandbox.url(), "--sms-url", &url]);
    let target = format!("{}/callouts/lifecycle", service.url);
    let call_out = async || {
        let order = CalloutOrder::new(Cast::JOINER, CalloutKind::Lifecycle);
        let callout = sandbox.deliver(order, &target).await.unwrap();
        let resumed = |sandbox: &Sandbox| {
            let mut resumes = sandbox.resumes().into_iter();
            resumes.find(|resume| resume.execution == callout.execution)
        };
        sandbox.wait_for(resumed).await.status
    };
    assert_eq!(call_out().await.as_deref(), Some("Failed"));
    std::fs::write(&secret, "sandbox\n").unwrap();
    service.signal("HUP");
    // The signal takes a moment.
    for _ in 0..100 {
        if call_out().await.as_deref() == Some("Completed") {
            return;
        }
    }
    panic!("the new secret is not used");
}
