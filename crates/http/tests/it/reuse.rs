//! Connections that are reused, and those that must not be.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use postduif_core::Acceptance;
use postduif_http::{BaseUrl, Client, Request};
use postduif_testkit::{End, Reply, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::phases::{client, post_by};

/// A server that closes each connection after its response.
struct Closing {
    url: String,
    /// How often each body was read.
    read: Arc<Mutex<HashMap<String, usize>>>,
    /// Connections that the server has closed, and those that the client has closed too.
    closed: watch::Receiver<(usize, usize)>,
}

impl Closing {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let read = Arc::<Mutex<HashMap<String, usize>>>::default();
        let (counts, closed) = watch::channel((0, 0));
        let (kept, counts) = (Arc::clone(&read), Arc::new(counts));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&counts)));
            }
        });
        Self { url, read, closed }
    }

    fn read(&self, id: &str) -> usize {
        self.read.lock().unwrap().get(id).copied().unwrap_or(0)
    }
}

async fn serve(
    mut stream: TcpStream,
    read: Arc<Mutex<HashMap<String, usize>>>,
    closed: Arc<watch::Sender<(usize, usize)>>,
) {
    let mut request = Vec::new();
    // The body of each request here is a JSON string, whose second quote ends the request.
    while !(request.ends_with(b"\"") && request.windows(4).any(|window| window == b"\r\n\r\n")) {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let id = request.rsplit("\r\n").next().unwrap().to_owned();
    *read.lock().unwrap().entry(id).or_default() += 1;
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let _ = stream.write_all(response).await;
    let _ = stream.shutdown().await;
    closed.send_modify(|(server, _)| *server += 1);
    let _ = stream.read_to_end(&mut Vec::new()).await;
    closed.send_modify(|(_, client)| *client += 1);
}

/// Lets this thread's runtime process everything that has arrived so far: a byte over another connection is read
/// after it.
async fn process_arrivals() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap());
    let (there, here) = tokio::join!(there, listener.accept());
    let (mut there, (mut here, _)) = (there.unwrap(), here.unwrap());
    let (sent, heard) = tokio::join!(there.write_u8(1), here.read_u8());
    sent.unwrap();
    heard.unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_leaves_no_doubt() {
    let mut server = Closing::start().await;
    let client = Client::new().unwrap();
    let base = BaseUrl::parse(&server.url).unwrap();
    for turn in 1..=50 {
        let id = format!("m{turn}");
        let request = Request::post(&base, "/send").with_json(&id);
        let response = client.send(request).await;
        assert_eq!(response.unwrap().body().unwrap(), b"{}", "message {turn}");
        let closed = server.closed.wait_for(|(closed, _)| *closed == turn);
        drop(closed.await.unwrap());
        process_arrivals().await;
        assert_eq!(server.read(&format!("\"{id}\"")), 1);
    }
}

#[tokio::test]
async fn an_idle_connection_is_given_up_before_common_servers_do() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let client = Client::new().unwrap();
    let mut connections = Vec::new();
    for idle in [0, 1, 5] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(idle)).await;
        tokio::time::resume();
        post_by(&client, &server.url()).await.unwrap();
        connections.push(server.connections());
    }
    assert_eq!(connections, [1, 1, 2]);
}

#[tokio::test]
async fn five_hundred_sends_over_a_server_that_closes_after_each_response_are_typed_and_made_once()
{
    let mut server = Closing::start().await;
    let client = Client::new().unwrap();
    let base = BaseUrl::parse(&server.url).unwrap();
    let mut accepted = 0;
    for turn in 0..500 {
        let id = format!("m{turn}");
        let sent = client
            .send(Request::post(&base, "/send").with_json(&id))
            .await;
        let read = server.read(&format!("\"{id}\""));
        match sent {
            Ok(response) => {
                assert_eq!((response.body().unwrap(), read), (b"{}".as_slice(), 1));
                accepted += 1;
            }
            // The close and the request may cross; then it is in doubt, and not repeated.
            Err(error) => {
                assert_eq!(error.acceptance(), Acceptance::Unknown, "{error:?}");
                assert!(read <= 1, "{id} was read {read} times");
            }
        }
    }
    assert!(accepted > 0);
    // Neither side keeps a connection that the other has closed.
    let all_closed = server.closed.wait_for(|(server, client)| server == client);
    let all_closed = tokio::time::timeout(Duration::from_secs(20), all_closed).await;
    drop(all_closed.expect("no connection leaks").unwrap());
}

#[tokio::test]
async fn a_response_without_a_request_is_no_response_to_the_next_request() {
    let own = br#"{"id":"own"}"#;
    let twice = [
        Reply::json(200, own.as_slice()).to_bytes(),
        Reply::json(200, r#"{"id":"stray"}"#).to_bytes(),
    ]
    .concat();
    let server = Server::start(move |_| Reply::Raw(twice.clone(), End::Stall)).await;
    let client = client();
    for turn in 1..=5 {
        let response = post_by(&client, &server.url()).await.unwrap();
        assert_eq!(response.body().unwrap(), own, "request {turn}");
        assert_eq!(server.requests().len(), turn);
    }
}

#[tokio::test]
async fn a_response_that_comes_too_late_is_no_response_to_the_next_request() {
    let late = Reply::Slow(
        Reply::json(200, r#"{"id":"late"}"#).to_bytes(),
        Duration::from_millis(30),
    );
    let server = Server::start(move |request| match request.header("x-turn") {
        Some(_) => Reply::json(200, r#"{"id":"own"}"#),
        None => late.clone(),
    })
    .await;
    let client = client();
    let error = post_by(&client, &server.url())
        .await
        .and_then(|response| response.body().map(<[u8]>::to_vec))
        .unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::Unknown, "{error:?}");
    let base = BaseUrl::parse(&server.url()).unwrap();
    let request = Request::post(&base, "/send")
        .with_header("x-turn", "2")
        .with_json(&"text");
    let response = client.send(request).await.unwrap();
    assert_eq!(response.body().unwrap(), br#"{"id":"own"}"#);
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}
