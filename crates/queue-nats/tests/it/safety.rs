//! Which servers are accepted.

use postduif_queue::Queue;
use postduif_queue_nats::open;

use crate::server::{Server, call, can_run, old_binary};

#[track_caller]
fn refusal(opened: Result<Queue, postduif_core::ConfigError>) -> String {
    opened.expect_err("it is refused").to_string()
}

#[tokio::test]
async fn a_single_server_is_refused_without_a_statement_and_gets_no_stream() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let client = server.client().await;
    let url = format!("nats://{}", server.address());
    let error = refusal(open(&url).await);
    assert!(error.contains("sync_interval: always"), "{error}");
    let names = call(&client, "STREAM.NAMES", serde_json::json!({})).await;
    assert_eq!(names["total"], 0, "{names}");
    open(&server.url()).await.unwrap();
    // Also if the streams exist.
    let error = refusal(open(&url).await);
    assert!(error.contains("sync_interval: always"), "{error}");
}

#[tokio::test]
async fn a_monitoring_port_tells_whether_a_server_syncs_each_write() {
    if !can_run() {
        return;
    }
    let [syncs, later] = [Server::start(), Server::with("sync_interval: 2m", "")];
    syncs.ready().await;
    later.ready().await;
    let url = |server: &Server, monitor: &Server| {
        format!("nats://{}?monitor={}", server.address(), monitor.monitor())
    };
    open(&url(&syncs, &syncs)).await.unwrap();
    let error = refusal(open(&url(&later, &later)).await);
    assert!(error.contains("does not sync each write"), "{error}");
    // What is read wins over what is stated.
    let stated = format!("{}&single=sync_always", url(&later, &later));
    let error = refusal(open(&stated).await);
    assert!(error.contains("does not sync each write"), "{error}");
    let error = refusal(open(&url(&later, &syncs)).await);
    assert!(error.contains("another NATS server"), "{error}");
    let elsewhere = format!(
        "nats://{}?monitor=http://{}",
        syncs.address(),
        syncs.address()
    );
    assert!(open(&elsewhere).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused() {
    let Some(binary) = old_binary() else {
        eprintln!("skipped: there is no old nats-server on the path");
        return;
    };
    let server = Server::of(&binary);
    server.ready().await;
    let error = refusal(open(&server.url()).await);
    assert!(error.contains("too old"), "{error}");
}

#[tokio::test]
async fn a_server_without_jetstream_or_with_small_messages_is_refused() {
    if !can_run() {
        return;
    }
    let small = Server::with("sync_interval: always", "max_payload: 1KB");
    small.ready().await;
    let error = refusal(open(&small.url()).await);
    assert!(error.contains("max_payload"), "{error}");
    let without = Server::without_jetstream();
    without.ready().await;
    let error = refusal(open(&without.url()).await);
    assert!(error.contains("JetStream"), "{error}");
}

#[tokio::test]
async fn a_stream_of_another_is_refused() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let client = server.client().await;
    let stream = serde_json::json!({
        "name": "KV_postduif", "subjects": ["$KV.postduif.>"], "max_msgs_per_subject": 1, "storage": "memory",
    });
    call(&client, "STREAM.CREATE.KV_postduif", stream).await;
    let error = refusal(open(&server.url()).await);
    assert!(error.contains("another configuration"), "{error}");
    let other = format!("{}&name=other", server.url());
    open(&other).await.unwrap();
}

#[tokio::test]
async fn a_user_has_a_password_and_no_error_shows_it() {
    if !can_run() {
        return;
    }
    let server = Server::with(
        "sync_interval: always",
        "authorization { user: postduif, password: \"pass:word\" }",
    );
    server.ready().await;
    let url = |password: &str| {
        let address = server.address();
        format!("nats://postduif:{password}@{address}?single=sync_always")
    };
    open(&url("pass%3Aword")).await.unwrap();
    let error = open(&url("s3cret")).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("refused the user"), "{shown}");
    assert!(
        !shown.contains("s3cret") && !shown.contains(&server.address()),
        "{shown}"
    );
    let builder = postduif_queue_nats::builder(url("s3cret"));
    assert!(!format!("{builder:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_in_bounded_time() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let error = refusal(open(&format!("nats://{address}")).await);
    assert!(error.contains("reached"), "{error}");
}
