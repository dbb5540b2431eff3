//! A store that is away for a while.

use std::time::{Duration, Instant};

use postduif_sandbox::{Callout, CalloutKind, CalloutOrder, Cast, Fault, Sandbox};

use crate::{
    proxy::{Line, Proxy},
    schema::Schema,
    service::Service,
};

/// Calls out for a user, and returns the call-out with its status, and how long its response took.
async fn call_out(sandbox: &Sandbox, service: &Service, user: &str) -> (Callout, Duration) {
    let target = format!("{}/callouts/lifecycle", service.url);
    let order = CalloutOrder::new(user, CalloutKind::Lifecycle);
    let began = Instant::now();
    let callout = sandbox.deliver(order, &target).await.unwrap();
    (callout, began.elapsed())
}

/// Waits until the status of `/health` is this one.
fn health_is(service: &Service, status: &str, within: Duration) {
    let began = Instant::now();
    while !service
        .get("/health")
        .starts_with(&format!("HTTP/1.1 {status}"))
    {
        assert!(began.elapsed() < within, "/health is not {status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

async fn completed(sandbox: &Sandbox, callout: &Callout) {
    let resumed = |sandbox: &Sandbox| {
        let mut resumes = sandbox.resumes().into_iter();
        resumes.find(|resume| resume.execution == callout.execution)
    };
    let resume = sandbox.wait_for(resumed).await;
    assert_eq!(resume.status.as_deref(), Some("Completed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_call_outs_get_503_and_afterwards_everything_goes_on() {
    let Some(schema) = Schema::new().await else {
        return;
    };
    let sandbox = Sandbox::start().await;
    // A flow is under way when the store goes.
    sandbox.fault("graph.tap", Fault::Delay).ms(2_000);
    let proxy = Proxy::to(schema.address()).await;
    let store = schema.url_at(&proxy.address.to_string());
    let service = Service::start(&["--sandbox", &sandbox.url(), "--store", &store]);
    health_is(&service, "200", Duration::from_secs(10));
    let (under_way, _) = call_out(&sandbox, &service, Cast::JOINER).await;
    assert_eq!(under_way.status, Some(202));
    sandbox
        .wait_for(|sandbox| {
            sandbox
                .passes()
                .iter()
                .find(|pass| pass.user == Cast::JOINER)
                .cloned()
        })
        .await;

    proxy.line.send_replace(Line::Cut);
    let (refused, took) = call_out(&sandbox, &service, Cast::ENGLISH).await;
    assert_eq!(refused.status, Some(503));
    assert!(took < Duration::from_secs(5), "{took:?}");
    health_is(&service, "503", Duration::from_secs(10));
    assert!(service.get("/metrics").contains("\npostduif_store_up 0\n"));

    proxy.line.send_replace(Line::Open);
    health_is(&service, "200", Duration::from_secs(40));
    completed(&sandbox, &under_way).await;
    let (taken, _) = call_out(&sandbox, &service, Cast::ENGLISH).await;
    assert_eq!(taken.status, Some(202));
    completed(&sandbox, &taken).await;
    // The outcome that was known while the store was away is recorded: nobody gets a second text.
    assert_eq!(sandbox.messages().len(), 2);
    let (code, _) = service.terminate();
    assert_eq!(code, Some(0));
}
