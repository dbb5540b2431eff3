//! A PostgreSQL server that is away for a while.

use std::{sync::Arc, time::Duration};

use postduif_core::{Guid, directory::Callout};
use postduif_onboarding::{JournalErrorKind, Taken};
use postduif_queue::Queue;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    proxy::{Line, Proxy},
    schema::Schema,
};

fn callout() -> Callout {
    let received_at = std::time::SystemTime::now().into();
    Callout::new(
        Guid::random().into(),
        Guid::random().into(),
        None,
        received_at,
    )
}

async fn opened() -> Option<(Schema, Proxy, Queue)> {
    let schema = Schema::new().await?;
    let proxy = Proxy::to(schema.address()).await;
    let url = schema.url_at(&proxy.address.to_string());
    let queue = Queue::open(&url).await.unwrap();
    Some((schema, proxy, queue))
}

/// The time in which a worker expects an end of each call.
const CALL: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_away_is_used_again_once_it_is_back() {
    let Some((_schema, proxy, queue)) = opened().await else {
        return;
    };
    let callout = callout();
    queue.enqueue(&callout).await.unwrap();
    proxy.line.send_replace(Line::Cut);
    for _ in 0..3 {
        let error = queue.enqueue(&self::callout()).await.unwrap_err();
        assert_eq!(error.kind(), JournalErrorKind::Unavailable);
        let shown = format!("{error:?}");
        assert!(!shown.contains("127.0.0.1"), "{shown}");
    }
    proxy.line.send_replace(Line::Open);
    assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::Known);
    let counts = queue.counts().await.unwrap();
    assert_eq!(counts.open, 1, "nothing of a failed call stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up_in_time_and_keeps_no_connection() {
    let Some((_schema, proxy, queue)) = opened().await else {
        return;
    };
    let queue = Arc::new(queue);
    // As many connections as there can be.
    let busy = async |queue: &Arc<Queue>| {
        let mut calls = JoinSet::new();
        for _ in 0..15 {
            let queue = Arc::clone(queue);
            calls.spawn(async move { queue.enqueue(&callout()).await });
        }
        calls.join_all().await
    };
    assert!(busy(&queue).await.iter().all(Result::is_ok));
    proxy.line.send_replace(Line::Silent);
    let began = Instant::now();
    let failed = busy(&queue).await;
    assert!(began.elapsed() < CALL, "{:?}", began.elapsed());
    assert!(failed.iter().all(Result::is_err));
    proxy.line.send_replace(Line::Open);
    assert!(busy(&queue).await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_by_itself_while_the_server_is_away() {
    let Some((schema, proxy, _)) = opened().await else {
        return;
    };
    let url = schema.url_at(&proxy.address.to_string());
    let builder = Queue::builder(url).with_lease(Duration::from_secs(1));
    let queue = builder.open().await.unwrap();
    queue.enqueue(&callout()).await.unwrap();
    let lease = queue.engine().next().await.unwrap().unwrap();
    proxy.line.send_replace(Line::Cut);
    assert!(lease.extend().await.is_err());
    lease.lost().await;
    assert!(!lease.holds());
    proxy.line.send_replace(Line::Open);
    // What it knows is recorded, since nobody else has the flow.
    lease.extend().await.unwrap();
    assert!(!lease.holds(), "lost is lost");
}
