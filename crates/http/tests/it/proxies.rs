use std::{
    env,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use postduif_core::{Acceptance, SendError};
use postduif_http::{BaseUrl, Client, Request, Response};
use postduif_testkit::{Certificate, End, Greeting, Reply, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

async fn post(client: &Client, url: &str) -> Result<Response, SendError> {
    let base = BaseUrl::parse(url).unwrap();
    let request = Request::post(&base, "/send/hunter2")
        .with_secret_header("x-key", &"hunter2".into())
        .with_json(&"hunter2");
    client.send(request).await
}

/// Starts a proxy that connects every tunnel to this server, and records the requests.
async fn tunnel(to: &Server) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (target, seen) = (to.address(), Arc::<Mutex<Vec<String>>>::default());
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                kept.lock().unwrap().push(String::from_utf8(head).unwrap());
                let mut server = TcpStream::connect(target).await.unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address.to_string(), seen)
}

#[tokio::test]
async fn https_goes_through_a_tunnel_that_shows_the_proxy_a_host_and_nothing_else() {
    let server = Server::start_tls(Certificate::Trusted, |_| Reply::json(200, "{}")).await;
    let (proxy, seen) = tunnel(&server).await;
    let client = Client::builder()
        .with_root_certificates(Certificate::ROOT)
        .with_proxy(format!("http://me:pr0xy-secret@{proxy}"))
        .build()
        .unwrap();
    let response = post(&client, "https://vendor.test").await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].starts_with("CONNECT vendor.test:443 "), "{seen:?}");
    assert!(!seen[0].contains("hunter2"), "{seen:?}");
    // "me:pr0xy-secret"
    assert!(seen[0].contains("Basic bWU6cHIweHktc2VjcmV0"), "{seen:?}");
    let [request] = server.requests().try_into().unwrap();
    assert_eq!(request.header("x-key"), Some("hunter2"));
    assert_eq!(request.header("proxy-authorization"), None);
}

#[tokio::test]
async fn a_tunnel_to_another_server_gets_no_request() {
    let server = Server::start_tls(Certificate::UnknownRoot, |_| Reply::json(200, "{}")).await;
    let (proxy, _) = tunnel(&server).await;
    let client = Client::builder()
        .with_root_certificates(Certificate::ROOT)
        .with_proxy(format!("http://{proxy}"))
        .build()
        .unwrap();
    let error = post(&client, "https://vendor.test").await.unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::NotAccepted, "{error:?}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_proxy_that_makes_no_tunnel_means_not_sent_and_saw_no_credential() {
    let connected = || b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    for (greeting, reply) in [
        (Greeting::Read, Reply::status(407)),
        (Greeting::Read, Reply::html(403)),
        (Greeting::Read, Reply::json(403, r#"{"error":"104"}"#)),
        (Greeting::Read, Reply::html(502)),
        (
            Greeting::Read,
            Reply::status(302).with_header("location", "https://elsewhere.test/"),
        ),
        (Greeting::Read, Reply::Close),
        (Greeting::Read, Reply::Reset),
        (Greeting::Read, Reply::Stall),
        (Greeting::Read, Reply::Raw(connected(), End::Close)),
        (Greeting::Read, Reply::Raw(connected(), End::Reset)),
        (Greeting::Read, Reply::Raw(connected(), End::Stall)),
        (Greeting::Reset, Reply::Stall),
        (Greeting::Stall, Reply::Stall),
    ] {
        let response = reply.clone();
        let proxy = Server::start_at(greeting, move |_| response.clone()).await;
        let client = Client::builder()
            .with_proxy(proxy.url())
            .with_connect_timeout(Duration::from_millis(300))
            .with_timeout(Duration::from_millis(600))
            .build()
            .unwrap();
        let error = post(&client, "https://vendor.test").await.unwrap_err();
        let what = format!("{greeting:?} {reply:?}");
        assert_eq!(
            error.acceptance(),
            Acceptance::NotAccepted,
            "{what}: {error:?}"
        );
        for request in proxy.requests() {
            assert_eq!(request.method, "CONNECT", "{what}");
            assert_eq!(request.target, "vendor.test:443", "{what}");
            let seen = format!("{:?} {}", request.headers, request.text());
            assert!(!seen.contains("hunter2"), "{what}: {seen}");
        }
    }
}

#[tokio::test]
async fn a_request_to_this_machine_uses_no_proxy() {
    let proxy = Server::start(|_| Reply::json(200, "{}")).await;
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let client = Client::builder().with_proxy(proxy.url()).build().unwrap();
    let port = server.address().port();
    for (host, is_there) in [
        ("127.0.0.1", true),
        ("localhost", true),
        // The port is closed, and the proxy is not used either.
        ("127.8.8.8", false),
        ("[::1]", false),
    ] {
        let result = post(&client, &format!("http://{host}:{port}")).await;
        assert_eq!(result.is_ok(), is_there, "{host}: {result:?}");
    }
    assert_eq!((proxy.connections(), server.requests().len()), (0, 2));
}

/// The proxy variables of an environment.
const VARIABLES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// Runs in a child process whose environment names a proxy.
#[test]
fn the_environments_proxies_are_not_used() {
    const TARGETS: &str = "POSTDUIF_TEST_TARGETS";
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if let Ok(targets) = env::var(TARGETS) {
        let (plain, tls) = targets.split_once(' ').unwrap();
        let address: std::net::SocketAddr = tls.parse().unwrap();
        runtime.block_on(async {
            let client = Client::builder()
                .with_root_certificates(Certificate::ROOT)
                .with_resolve("vendor.test", address)
                .build()
                .unwrap();
            post(&client, &format!("http://{plain}")).await.unwrap();
            let url = format!("https://vendor.test:{}", address.port());
            post(&client, &url).await.unwrap();
        });
        return;
    }
    runtime.block_on(async {
        let proxy = Server::start(|_| Reply::json(200, "{}")).await;
        let plain = Server::start(|_| Reply::json(200, "{}")).await;
        let tls = Server::start_tls(Certificate::Trusted, |_| Reply::json(200, "{}")).await;
        let mut child = Command::new(env::current_exe().unwrap());
        child
            .args([
                "--exact",
                "proxies::the_environments_proxies_are_not_used",
                "--nocapture",
            ])
            .env(TARGETS, format!("{} {}", plain.address(), tls.address()))
            .envs(VARIABLES.map(|name| (name, proxy.url())))
            .env_remove("NO_PROXY")
            .env_remove("no_proxy");
        let output = tokio::task::spawn_blocking(move || child.output().unwrap())
            .await
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(proxy.connections(), 0, "{shown}");
        assert!(output.status.success(), "{shown}");
        assert_eq!((plain.requests().len(), tls.requests().len()), (1, 1));
    });
}
