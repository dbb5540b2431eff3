use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use postduif_core::{Acceptance, ErrorKind, SendError, departure::Departure};
use postduif_http::{BaseUrl, Client, Request, Response};
use postduif_testkit::{End, Greeting, Reply, Server, refusing_address};

/// Short, so that a stall ends soon, and far above what loopback needs.
pub(crate) const TOTAL: Duration = Duration::from_millis(600);

pub(crate) fn client() -> Client {
    Client::builder()
        .with_connect_timeout(Duration::from_millis(300))
        .with_timeout(TOTAL)
        .build()
        .unwrap()
}

async fn post(url: &str) -> Result<Response, SendError> {
    post_by(&client(), url).await
}

pub(crate) async fn post_by(client: &Client, url: &str) -> Result<Response, SendError> {
    let base = BaseUrl::parse(url).unwrap();
    client
        .send(Request::post(&base, "/send").with_json(&"text".repeat(1000)))
        .await
}

#[track_caller]
pub(crate) fn assert_error(
    result: Result<Response, SendError>,
    kind: ErrorKind,
    acceptance: Acceptance,
) {
    let error = match result {
        // If there was a head, the body holds the failure.
        Ok(response) => response.refused(None),
        Err(error) => error,
    };
    assert_eq!(
        (error.kind(), error.acceptance()),
        (kind, acceptance),
        "{error:?}"
    );
}

/// A server that gives this reply to every request.
async fn once(reply: Reply) -> Server {
    Server::start(move |_| reply.clone()).await
}

#[tokio::test]
async fn a_name_that_does_not_resolve_was_not_sent() {
    // With the default deadlines: a resolver may be slow to report that there is no such name.
    let client = Client::new().unwrap();
    let result = post_by(&client, "https://surely-no-such-host.invalid").await;
    let error = result.unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::NotAccepted, "{error:?}");
    assert!(
        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let result = post(&format!("http://{}", refusing_address().await)).await;
    assert_error(result, ErrorKind::Unavailable, Acceptance::NotAccepted);
}

/// A listener whose queue is full drops further connections, as a firewall does.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_is_never_accepted_was_not_sent_and_ends_in_time() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap().into_std().unwrap();
    let address = listener.local_addr().unwrap();
    let client = client();
    let fill = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let mut held = Vec::new();
    while let Ok(stream) = fill() {
        held.push(stream);
        assert!(held.len() < 100, "the queue is never full");
    }
    let started = Instant::now();
    let result = post_by(&client, &format!("http://{address}")).await;
    assert_error(result, ErrorKind::Timeout, Acceptance::NotAccepted);
    assert!(started.elapsed() < 2 * TOTAL, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_connection_that_fails_says_why() {
    let refusing = format!("http://{}", refusing_address().await);
    let talking = Server::start_at(Greeting::Talk, |_| Reply::Stall).await;
    let talking = format!("https://{}", talking.address());
    for (url, reason) in [
        (&refusing, "it was refused"),
        (&talking, "the TLS handshake failed"),
    ] {
        let error = post(url).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_failed_handshake_was_not_sent() {
    let server = Server::start_at(Greeting::Talk, |_| Reply::Stall).await;
    let result = post(&format!("https://{}", server.address())).await;
    assert_error(result, ErrorKind::Unavailable, Acceptance::NotAccepted);
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_handshake_that_stalls_was_not_sent_and_ends_in_time() {
    let server = Server::start_at(Greeting::Stall, |_| Reply::Stall).await;
    // Built before the clock starts, since it loads the system's certificates.
    let client = client();
    let started = Instant::now();
    let result = post_by(&client, &format!("https://{}", server.address())).await;
    assert_error(result, ErrorKind::Timeout, Acceptance::NotAccepted);
    assert!(started.elapsed() < 2 * TOTAL);
}

/// Makes a call and drops it once `until` is done.
async fn cut_off(url: &str, until: impl Future) -> Result<Response, Acceptance> {
    let client = Client::new().unwrap();
    let call = post_by(&client, url);
    let ended = Departure::new().run_until(until, call).await;
    ended.map(|response| response.unwrap())
}

#[tokio::test]
async fn a_call_cut_off_in_the_handshake_was_not_sent() {
    let server = Server::start_at(Greeting::Stall, |_| Reply::Stall).await;
    let connected = async {
        while server.connections() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let url = format!("https://{}", server.address());
    let ended = cut_off(&url, connected).await;
    assert_eq!(ended.err(), Some(Acceptance::NotAccepted));
}

#[tokio::test]
async fn a_call_cut_off_after_its_body_left_is_in_doubt() {
    let server = Server::start(|_| Reply::Stall).await;
    let read = async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let ended = cut_off(&server.url(), read).await;
    assert_eq!(ended.err(), Some(Acceptance::Unknown));
}

#[tokio::test]
async fn a_call_that_was_cut_off_never_leaves() {
    let server = Server::start(|_| Reply::status(200)).await;
    let client = Client::new().unwrap();
    let departure = Departure::new();
    assert!(departure.close(), "nothing has left");
    let result = departure.scope(post_by(&client, &server.url())).await;
    assert_error(result, ErrorKind::Timeout, Acceptance::NotAccepted);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_look_up_is_never_in_doubt() {
    for reply in [Reply::Reset, Reply::Close, Reply::Stall] {
        let server = once(reply).await;
        let base = BaseUrl::parse(&server.url()).unwrap();
        let error = client().ask(Request::get(&base, "/me")).await.unwrap_err();
        assert_eq!(error.acceptance(), Acceptance::NotAccepted, "{error:?}");
    }
}

#[tokio::test]
async fn a_reset_before_anything_was_read_is_unavailable_and_tried_once() {
    let server = Server::start_at(Greeting::Reset, |_| Reply::Stall).await;
    let error = match post(&server.url()).await {
        Ok(response) => response.refused(None),
        Err(error) => error,
    };
    // In doubt, unless the reset came before the body left, which depends on the kernel.
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(server.connections(), 1, "the request was repeated");
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_request_is_in_doubt() {
    for bytes in [20, 1000] {
        let server = Server::start_at(Greeting::ResetAfter(bytes), |_| Reply::Stall).await;
        assert_error(
            post(&server.url()).await,
            ErrorKind::Unavailable,
            Acceptance::Unknown,
        );
        assert_eq!(server.connections(), 1, "the request was repeated");
    }
}

#[tokio::test]
async fn a_server_that_never_reads_is_in_doubt_and_ends_in_time() {
    let server = Server::start_at(Greeting::Stall, |_| Reply::Stall).await;
    assert_error(
        post(&server.url()).await,
        ErrorKind::Timeout,
        Acceptance::Unknown,
    );
}

#[tokio::test]
async fn a_response_that_does_not_come_is_in_doubt_and_the_request_was_made_once() {
    for (reply, kind) in [
        (Reply::Close, ErrorKind::Unavailable),
        (Reply::Reset, ErrorKind::Unavailable),
        (Reply::Stall, ErrorKind::Timeout),
        (
            Reply::Raw(b"HTTP/1.1 200 OK\r\n".to_vec(), End::Stall),
            ErrorKind::Timeout,
        ),
        (
            Reply::Raw(b"HTTP/1.1 200 OK\r\n".to_vec(), End::Close),
            ErrorKind::Unavailable,
        ),
        (
            Reply::Raw(b"220 ready\r\n\r\n".to_vec(), End::Close),
            ErrorKind::Protocol,
        ),
        (
            Reply::Slow(Reply::status(200).to_bytes(), Duration::from_millis(100)),
            ErrorKind::Timeout,
        ),
        (
            Reply::Raw(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100), End::Stall),
            ErrorKind::Timeout,
        ),
    ] {
        let server = once(reply.clone()).await;
        assert_error(post(&server.url()).await, kind, Acceptance::Unknown);
        assert_eq!(
            (server.requests().len(), server.connections()),
            (1, 1),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn a_response_that_is_not_whole_is_in_doubt() {
    let head = |length| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    for (reply, kind) in [
        (
            Reply::Raw([head(100), b"{".to_vec()].concat(), End::Close),
            ErrorKind::Unavailable,
        ),
        (
            Reply::Raw([head(100), b"{".to_vec()].concat(), End::Reset),
            ErrorKind::Unavailable,
        ),
        (
            Reply::Raw([head(100), b"{".to_vec()].concat(), End::Stall),
            ErrorKind::Timeout,
        ),
        (
            Reply::Slow(
                [head(100), vec![b'{'; 100]].concat(),
                Duration::from_millis(10),
            ),
            ErrorKind::Timeout,
        ),
        (Reply::Endless(head(1 << 30)), ErrorKind::Protocol),
        (
            Reply::Endless(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec()),
            ErrorKind::Protocol,
        ),
    ] {
        let server = once(reply.clone()).await;
        assert_error(post(&server.url()).await, kind, Acceptance::Unknown);
        assert_eq!(server.requests().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed_and_the_other_host_sees_nothing() {
    let elsewhere = once(Reply::status(200)).await;
    for status in [301, 302, 303, 307, 308] {
        for target in [format!("{}/send", elsewhere.url()), "/other".to_owned()] {
            let server = once(Reply::status(status).with_header("location", &target)).await;
            assert_error(
                post(&server.url()).await,
                ErrorKind::Protocol,
                Acceptance::Unknown,
            );
            assert_eq!(server.requests().len(), 1, "{status} to {target}");
        }
    }
    assert_eq!(
        (elsewhere.connections(), elsewhere.requests().len()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_421_is_in_doubt_and_not_repeated() {
    let server = once(Reply::html(421)).await;
    assert_error(
        post(&server.url()).await,
        ErrorKind::Protocol,
        Acceptance::Unknown,
    );
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_kept_alive_connection_closed_after_the_request_is_in_doubt_and_counted_once() {
    let turn = AtomicUsize::new(0);
    let server = Server::start(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::json(200, "{}"),
        _ => Reply::Close,
    })
    .await;
    let client = client();
    assert!(
        post_by(&client, &server.url())
            .await
            .unwrap()
            .body()
            .is_ok()
    );
    assert_error(
        post_by(&client, &server.url()).await,
        ErrorKind::Unavailable,
        Acceptance::Unknown,
    );
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn the_response_to_a_batch_may_be_longer() {
    let body = || Reply::json(200, format!("\"{}\"", "x".repeat(100 * 1024)));
    let server = Server::start(move |_| body()).await;
    let base = BaseUrl::parse(&server.url()).unwrap();
    let response = client().send(Request::post(&base, "/send")).await.unwrap();
    assert!(response.body().is_err());
    let response = client()
        .send(Request::post(&base, "/send").with_messages(10))
        .await
        .unwrap();
    assert!(response.body().is_ok());
}

#[tokio::test]
async fn a_compressed_response_is_neither_requested_nor_unpacked() {
    let server =
        once(Reply::json(200, vec![0x1f, 0x8b, 8, 0]).with_header("content-encoding", "gzip"))
            .await;
    let response = post(&server.url()).await.unwrap();
    assert_eq!(response.body().unwrap().len(), 4);
    assert_eq!(server.requests()[0].header("accept-encoding"), None);
}
