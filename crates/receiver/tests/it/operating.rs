//! Health, metrics, and the stop.

use postduif_sandbox::{CalloutKind, CalloutOrder, Cast, Sandbox};

use crate::service::Service;

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
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
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
