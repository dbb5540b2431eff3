//! The same promises over HTTP/2.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use h2::Reason;
use postduif_core::{Acceptance, SendError};
use postduif_http::{BaseUrl, Client, Request, Response};
use postduif_testkit::Certificate;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What happens to the second request, once it was read completely.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Second {
    Responded,
    Reset(Reason),
    /// The server sends GOAWAY, which counts this request as seen.
    GoneAway,
    /// The connection ends.
    Cut,
}

#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    connections: AtomicUsize,
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(Certificate::Trusted.pem().as_bytes());
    let key = PrivateKeyDer::from_pem_slice(Certificate::KEY.as_bytes());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap()], key.unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn server(second: Second) -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let (kept, acceptor) = (Arc::clone(&seen), acceptor());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            kept.connections.fetch_add(1, Ordering::SeqCst);
            assert_eq!(
                stream.get_ref().1.alpn_protocol(),
                Some(b"h2".as_slice()),
                "HTTP/2 was offered"
            );
            tokio::spawn(serve(stream, second, Arc::clone(&kept)));
        }
    });
    (url, seen)
}

async fn serve(stream: TlsStream<TcpStream>, second: Second, seen: Arc<Seen>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let turn = seen.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let mut body = request.into_body();
        let read = tokio::spawn(async move {
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
            }
        });
        tokio::select! {
            done = read => done.unwrap(),
            _ = poll_fn(|context| connection.poll_closed(context)) => return,
        }
        match second {
            Second::Reset(reason) if turn == 2 => respond.send_reset(reason),
            Second::GoneAway if turn == 2 => connection.abrupt_shutdown(Reason::NO_ERROR),
            Second::Cut if turn == 2 => return,
            _ => {
                let head = http::Response::new(());
                let mut response = respond.send_response(head, false).unwrap();
                response.send_data("{}".into(), true).unwrap();
            }
        }
    }
}

async fn post(client: &Client, url: &str) -> Result<Response, SendError> {
    let base = BaseUrl::parse(url).unwrap();
    let request = Request::post(&base, "/send").with_json(&"text".repeat(1000));
    client.send(request).await
}

fn client() -> Client {
    Client::builder()
        .with_root_certificates(Certificate::ROOT)
        .build()
        .unwrap()
}

#[tokio::test]
async fn http_2_is_used_where_offered_and_one_connection_serves() {
    let (url, seen) = server(Second::Responded).await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(
            post(&client, &url).await.unwrap().body().unwrap(),
            b"{}".as_slice()
        );
    }
    let counts = [&seen.requests, &seen.connections].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counts, [3, 1]);
}

#[tokio::test]
async fn a_request_that_ends_without_a_response_is_in_doubt_and_was_made_once() {
    for second in [
        Second::Reset(Reason::CANCEL),
        Second::Reset(Reason::INTERNAL_ERROR),
        Second::Reset(Reason::NO_ERROR),
        Second::GoneAway,
        Second::Cut,
    ] {
        let (url, seen) = server(second).await;
        let client = client();
        post(&client, &url).await.unwrap();
        let error = match post(&client, &url).await {
            Ok(response) => response.body().map(<[u8]>::len).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(
            error.acceptance(),
            Acceptance::Unknown,
            "{second:?}: {error:?}"
        );
        assert_eq!(seen.requests.load(Ordering::SeqCst), 2, "{second:?}");
    }
}

/// RFC 9113, 8.7, calls such a request unprocessed. The client does not rely on it, since a server may have read it
/// nevertheless.
#[tokio::test]
async fn a_refused_stream_is_in_doubt_and_not_made_again() {
    let refused = Second::Reset(Reason::REFUSED_STREAM);
    for has_body in [true, false] {
        let (url, seen) = server(refused).await;
        let client = client();
        post(&client, &url).await.unwrap();
        let base = BaseUrl::parse(&url).unwrap();
        // A text may be in the URL as well.
        let request = if has_body {
            Request::post(&base, "/send").with_json(&"text")
        } else {
            Request::get(&base, "/send").with_query("text", "text")
        };
        let error = client.send(request).await.unwrap_err();
        assert_eq!(error.acceptance(), Acceptance::Unknown, "{error:?}");
        assert_eq!(seen.requests.load(Ordering::SeqCst), 2, "body: {has_body}");
    }
}
