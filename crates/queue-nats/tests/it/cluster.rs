//! Three servers that keep three copies.

use std::time::Duration;

use postduif_core::Reference;
use postduif_onboarding::Taken;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    hostile::{callout, sending},
    server::{Server, call, can_run, start_cluster},
};

/// Longer than an election on a busy machine.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_loss_of_a_leader_stops_no_flow_and_loses_none() {
    if !can_run() {
        return;
    }
    let mut servers = start_cluster();
    for server in &servers {
        server.ready().await;
    }
    let hosts = servers.each_ref().map(Server::address).join(",");
    let builder = postduif_queue_nats::builder(format!("nats://{hosts}")).with_lease(LONG);
    let queue = builder.open().await.unwrap();
    let client = async_nats::connect(hosts.split(',').collect::<Vec<_>>())
        .await
        .unwrap();
    let mut leaders = Vec::new();
    for stream in ["KV_postduif", "postduif-wakes"] {
        let info = call(&client, &format!("STREAM.INFO.{stream}"), json!({})).await;
        assert_eq!(info["config"]["num_replicas"], 3, "{stream}");
        leaders.push(leader(&info));
    }
    let callouts: Vec<_> = (0..10).map(|_| callout()).collect();
    for callout in &callouts {
        assert_eq!(queue.enqueue(callout).await.unwrap(), Taken::New);
    }
    let lease = timeout(LONG, queue.engine().next()).await.unwrap();
    let lease = lease.unwrap().unwrap();
    let reference = Reference::random();
    lease.append(0, &sending(reference)).await.unwrap();

    servers[leaders[0]].kill();
    let began = Instant::now();
    // The flow goes on with its holder, which tries again as a run does.
    let mut number = 1;
    while let Err(error) = lease.append(number, &sending(Reference::random())).await {
        assert!(began.elapsed() < LONG, "no leader is elected: {error}");
        sleep(Duration::from_millis(100)).await;
        // An append that failed may be there.
        if let Ok(entries) = lease.entries().await {
            number = entries.records.len();
        }
    }
    assert!(lease.holds());
    let found = queue.journal().flow_of(&reference).await.unwrap();
    assert_eq!(found, Some(lease.callout().flow()));
    let mut claimed = vec![lease.callout().flow()];
    let mut leases = Vec::new();
    while claimed.len() < callouts.len() {
        assert!(
            began.elapsed() < LONG,
            "{} flows are claimed",
            claimed.len()
        );
        if let Ok(Some(lease)) = queue.engine().next().await {
            claimed.push(lease.callout().flow());
            leases.push(lease);
        }
    }
    claimed.sort_unstable();
    let mut expected: Vec<_> = callouts.iter().map(|callout| callout.flow()).collect();
    expected.sort_unstable();
    assert_eq!(claimed, expected);
    assert_eq!(queue.counts().await.unwrap().open, 10);
}

/// Returns the number of the server that leads a stream.
fn leader(info: &Value) -> usize {
    let name = info["cluster"]["leader"].as_str().unwrap();
    name.strip_prefix("server-").unwrap().parse().unwrap()
}
