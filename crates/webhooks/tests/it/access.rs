//! The access log of the server, beside everything else that is logged.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::get};
use postduif_core::LatestReports;
use postduif_kpn::KpnReports;
use postduif_webhooks::{Reports, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tracing_subscriber::fmt::MakeWriter;

const SECRET: &str = "5f0c1e9a7b3d4862";

/// What was logged.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Sends requests to a server on this thread, and returns what is logged at the lowest level.
async fn logged(server: Server, requests: &[String]) -> String {
    let logs = Logs::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(logs.clone());
    // With a second subscriber, tracing does not disable callsites because the threads of other tests have none.
    let _other =
        tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(logs.clone()).finish());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(server.run_until(listener, std::future::pending()));
    for request in requests {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    task.abort();
    logs.text()
}

fn request(method: &str, target: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\nx-secret: {SECRET}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

fn routes() -> Router {
    Reports::builder("https://hooks.example.com/in", LatestReports::new())
        .with_vendor("kpn", KpnReports::new(vec!["hush".into()]).unwrap())
        .with_path_secrets("kpn", [SECRET])
        .build()
        .unwrap()
        .router()
}

#[tokio::test]
async fn a_request_is_logged_by_its_route_and_never_by_its_path() {
    let router = routes().nest("/in", routes());
    let requests = [
        request("POST", &format!("/reports/kpn/{SECRET}?token={SECRET}")),
        request("GET", &format!("/in/reports/kpn/x{SECRET}")),
        request("POST", &format!("/reports/{SECRET}")),
        request("PUT", &format!("/reports/kpn/{SECRET}/{SECRET}?{SECRET}")),
        request(SECRET, "/reports/kpn"),
    ];
    let logs = logged(Server::new(router), &requests).await;
    assert!(!logs.contains(SECRET), "{logs}");
    let lines: Vec<_> = logs
        .lines()
        .filter(|line| line.contains("DEBUG postduif_webhooks::access: a request "))
        .collect();
    let expected = [
        r#"method="POST" route="/reports/{vendor}/{secret}" status=401 ms="#,
        r#"method="GET" route="/in/reports/{vendor}/{secret}" status=404 ms="#,
        r#"method="POST" route="/reports/{vendor}" status=404 ms="#,
        r#"method="PUT" status=404 ms="#,
        r#"method="other" route="/reports/{vendor}" status=404 ms="#,
    ];
    assert_eq!(lines.len(), expected.len(), "{logs}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line}");
    }
}

#[tokio::test]
async fn a_request_that_is_never_answered_is_logged_without_a_status() {
    let router = Router::new().route("/wait", get(std::future::pending::<()>));
    let server = Server::new(router).with_max_request_time(Duration::from_millis(50));
    let logs = logged(server, &[request("GET", "/wait")]).await;
    let line = logs
        .lines()
        .find(|line| line.contains(r#"route="/wait""#))
        .unwrap();
    assert!(!line.contains("status="), "{line}");
}
