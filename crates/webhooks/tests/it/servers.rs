//! The routes behind three web servers, which give the same responses: axum, bare hyper and actix-web.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use axum::{body::Bytes, http::StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use postduif_core::{
    InboundMessage, InboundSink, LatestReports, ReportParser as _, ReportRequest, ReportSinkError,
    async_trait, directory::Callout,
};
use postduif_entra::{CallerVerifier, CalloutParser, Cloud};
use postduif_http::{
    BaseUrl,
    vendor::signature::{hex, hmac_sha256},
};
use postduif_kpn::{KpnInbound, KpnReports};
use postduif_onboarding::{Intake, JournalError, Taken};
use postduif_sandbox::{CalloutKind, CalloutOrder, Cast, Hostile, Sandbox};
use postduif_webhooks::{Callouts, Inbound, Reply, Reports, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const PATH_SECRET: &str = "5f0c1e9a7b3d4862";
const LIMIT: usize = CalloutParser::BODY_LIMIT;

#[derive(Clone)]
struct Routes {
    callouts: Callouts,
    inbound: Inbound,
    reports: Reports,
}

/// The response where a server decides, and not a route.
type Response = Result<Reply, StatusCode>;

/// The routes in axum, with the server for them.
async fn axum(routes: Routes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = routes
        .callouts
        .router()
        .merge(routes.inbound.router())
        .merge(routes.reports.router());
    tokio::spawn(Server::new(router).run_until(listener, std::future::pending()));
    address
}

/// The routes in hyper alone.
mod bare_hyper {
    use super::*;

    pub(super) async fn serve(routes: Routes) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let routes = routes.clone();
                let service = service_fn(move |request| respond(routes.clone(), request));
                let stream = TokioIo::new(stream);
                tokio::spawn(http1::Builder::new().serve_connection(stream, service));
            }
        });
        address
    }

    async fn respond(
        routes: Routes,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
        let mut response = hyper::Response::new(Full::default());
        match route(&routes, request).await {
            Ok(reply) => {
                *response.status_mut() = StatusCode::from_u16(reply.status()).unwrap();
                for (name, value) in reply.headers() {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                *response.body_mut() = reply.body().into();
            }
            Err(status) => *response.status_mut() = status,
        }
        Ok(response)
    }

    async fn route(routes: &Routes, request: hyper::Request<Incoming>) -> Response {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if let Some(vendor) = path.strip_prefix("/reports/") {
            let vendor = vendor.split('/').next().unwrap_or_default();
            let (method, target) = (parts.method.as_str(), parts.uri.to_string());
            let body = read(body).await?;
            let request = routes
                .reports
                .request(method, &target, &parts.headers, &body);
            return Ok(routes.reports.receive(vendor, &request).await);
        }
        if let Some(vendor) = path.strip_prefix("/inbound/") {
            let vendor = vendor.split('/').next().unwrap_or_default();
            let (method, target) = (parts.method.as_str(), parts.uri.to_string());
            let body = read(body).await?;
            let request = routes
                .inbound
                .request(method, &target, &parts.headers, &body);
            return Ok(routes.inbound.receive(vendor, &request).await);
        }
        let is_lifecycle = match path {
            "/callouts/lifecycle" => true,
            "/callouts/access-package" => false,
            _ => return Err(StatusCode::NOT_FOUND),
        };
        if parts.method != hyper::Method::POST {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        match routes.callouts.authenticate(&parts.headers).await {
            Ok(admitted) if is_lifecycle => Ok(admitted.lifecycle(&read(body).await?).await),
            Ok(admitted) => Ok(admitted.access_package(&read(body).await?).await),
            Err(refused) => Ok(refused),
        }
    }

    async fn read(body: Incoming) -> Result<Bytes, StatusCode> {
        match Limited::new(body, LIMIT).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(_) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        }
    }
}

/// The routes in actix-web.
#[expect(
    clippy::future_not_send,
    reason = "actix-web runs a handler on one thread"
)]
mod actix {
    use super::*;

    pub(super) fn serve(routes: Routes) -> SocketAddr {
        start(move |config| {
            config
                .app_data(web::Data::new(routes.clone()))
                .service(web::resource("/callouts/{kind}").route(web::post().to(callout)))
                .route("/inbound/{vendor}", web::to(inbound))
                .route("/inbound/{vendor}/{secret}", web::to(inbound))
                .route("/reports/{vendor}", web::to(report))
                .route("/reports/{vendor}/{secret}", web::to(report));
        })
    }

    /// Starts a server on its own threads, which end with the process.
    pub(super) fn start(
        configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> SocketAddr {
        let (sender, address) = mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || App::new().configure(configure.clone()));
                let server = server.workers(1).bind("127.0.0.1:0").unwrap();
                sender.send(server.addrs()[0]).unwrap();
                server.run().await
            })
        });
        address.recv().unwrap()
    }

    async fn callout(
        routes: web::Data<Routes>,
        kind: web::Path<String>,
        request: HttpRequest,
        body: web::Payload,
    ) -> HttpResponse {
        let take = async {
            let is_lifecycle = match kind.as_str() {
                "lifecycle" => true,
                "access-package" => false,
                _ => return Err(StatusCode::NOT_FOUND),
            };
            match routes.callouts.authenticate(request.headers()).await {
                Ok(admitted) if is_lifecycle => Ok(admitted.lifecycle(&read(body).await?).await),
                Ok(admitted) => Ok(admitted.access_package(&read(body).await?).await),
                Err(refused) => Ok(refused),
            }
        };
        response(take.await)
    }

    async fn inbound(
        routes: web::Data<Routes>,
        request: HttpRequest,
        body: web::Payload,
    ) -> HttpResponse {
        let receive = async {
            let body = read(body).await?;
            let (method, target) = (request.method().as_str(), request.uri().to_string());
            let vendor = request.match_info().get("vendor").unwrap_or_default();
            let inbound = &routes.inbound;
            let request = inbound.request(method, &target, request.headers(), &body);
            Ok(inbound.receive(vendor, &request).await)
        };
        response(receive.await)
    }

    async fn report(
        routes: web::Data<Routes>,
        request: HttpRequest,
        body: web::Payload,
    ) -> HttpResponse {
        let receive = async {
            let body = read(body).await?;
            let (method, target) = (request.method().as_str(), request.uri().to_string());
            let vendor = request.match_info().get("vendor").unwrap_or_default();
            let reports = &routes.reports;
            let request = reports.request(method, &target, request.headers(), &body);
            Ok(reports.receive(vendor, &request).await)
        };
        response(receive.await)
    }

    async fn read(body: web::Payload) -> Result<web::Bytes, StatusCode> {
        match body.to_bytes_limited(LIMIT).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
            Err(_) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        }
    }

    fn response(response: Response) -> HttpResponse {
        let status = response.map_or_else(|status| status.as_u16(), |reply| reply.status());
        let status = actix_web::http::StatusCode::from_u16(status).unwrap();
        let mut built = HttpResponse::build(status);
        let Ok(reply) = response else {
            return built.finish();
        };
        for (name, value) in reply.headers() {
            built.insert_header((name, value.as_ref()));
        }
        built.body(reply.body())
    }
}

/// Counts call-outs, or inbound texts.
#[derive(Debug, Default)]
struct Counted(AtomicUsize);

#[async_trait]
impl Intake for Counted {
    async fn take(&self, _: Callout) -> Result<Taken, JournalError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Taken::New)
    }
}

#[async_trait]
impl InboundSink for Counted {
    async fn store(&self, _: &InboundMessage) -> Result<(), ReportSinkError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Returns the `Authorization` header and the body of a call-out of the sandbox.
async fn captured(sandbox: &Sandbox, order: CalloutOrder) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/", listener.local_addr().unwrap());
    let receive = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).await.unwrap();
            request += std::str::from_utf8(&buffer[..read]).unwrap();
            if let Some((head, body)) = request.split_once("\r\n\r\n")
                && head.contains(&format!("Content-Length: {}", body.len()))
            {
                stream
                    .write_all(b"HTTP/1.1 202 Accepted\r\n\r\n")
                    .await
                    .unwrap();
                let mut lines = head.lines();
                let header = lines
                    .find(|line| line.starts_with("Authorization"))
                    .unwrap();
                return (format!("{header}\r\n"), body.to_owned());
            }
        }
    };
    let (captured, sent) = tokio::join!(receive, sandbox.deliver(order, &target));
    sent.unwrap();
    captured
}

/// Sends a request on a connection of its own, and returns the whole response.
async fn send(address: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    // A server may respond before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8_lossy(&response).into_owned()
}

fn status(response: &str) -> &str {
    response.get(9..12).unwrap_or("none")
}

/// Returns the headers that prove a report of KPN.
fn kpn_proof(secret: &str, body: &str) -> String {
    let tag = hex(&hmac_sha256(&secret.into(), body.as_bytes()));
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp();
    format!("x-kpn-webhook-signature: {tag}\r\nx-kpn-webhook-timestamp: {now}\r\n")
}

/// In the form of KPN's specification of inbound SMS.
const TEXT: &str = r#"{"sender":"31600000000","recipient":"3197000000000","message_id":"6W0000001G7BB999.3197000000000","content":"Hello","timestamp_utc":"2026-01-31T14:37:42.218159","type":"text/unicode/*"}"#;

const REPORT: &str = r#"{"message_id":"5c7e","Status":1,"StatusDateTime":1767261600}"#;

#[tokio::test(flavor = "multi_thread")]
async fn three_web_servers_give_the_same_responses() {
    let sandbox = Sandbox::start().await;
    let login = BaseUrl::parse(&sandbox.login_url()).unwrap();
    let verifier = CallerVerifier::builder(sandbox.tenant())
        .with_cloud(Cloud::GLOBAL.with_login(login))
        .with_audiences([sandbox.audience()])
        .with_callers([
            "ce79fdc4-cd1d-4ea5-8139-e74d7dbe0bb7".parse().unwrap(),
            "810dcf14-1858-4bf2-8134-4c369fa3235b".parse().unwrap(),
        ])
        .build()
        .unwrap();
    let intake = Arc::new(Counted::default());
    let reports = Reports::builder("https://hooks.example.com", LatestReports::new())
        .with_vendor("kpn", KpnReports::new(vec!["hush".into()]).unwrap())
        .with_path_secrets("kpn", [PATH_SECRET])
        .build()
        .unwrap();
    let texts = Arc::new(Counted::default());
    let inbound = Inbound::builder("https://hooks.example.com", Arc::clone(&texts))
        .with_vendor("kpn", KpnInbound::new(vec!["hush".into()]).unwrap())
        .with_path_secrets("kpn", [PATH_SECRET])
        .build()
        .unwrap();
    let routes = Routes {
        callouts: Callouts::new(verifier, Arc::clone(&intake)),
        inbound,
        reports,
    };
    let servers = [
        ("axum", axum(routes.clone()).await),
        ("hyper", bare_hyper::serve(routes.clone()).await),
        ("actix-web", actix::serve(routes)),
    ];

    let lifecycle = CalloutOrder::new(Cast::JOINER, CalloutKind::Lifecycle);
    let (token, body) = captured(&sandbox, lifecycle).await;
    let (package_token, package) = captured(
        &sandbox,
        CalloutOrder::new(Cast::JOINER, CalloutKind::AccessPackage),
    )
    .await;
    let post = "POST /callouts/lifecycle";
    let post_package = "POST /callouts/access-package";
    let test = r#"{"Stage":"CustomExtensionConnectionTest"}"#;
    let twice = token.repeat(2);
    let joined = token.replace(
        "\r\n",
        &format!(", {}", token.trim_start_matches("Authorization: ")),
    );
    let basic = token.replace("Bearer", "Basic");
    let cut = token
        .replace("\r\n", "")
        .rsplit_once('.')
        .unwrap()
        .0
        .to_owned()
        + ".\r\n";
    let query = format!(
        "{post}?access_token={}",
        token
            .trim_start_matches("Authorization: Bearer ")
            .trim_end()
    );
    let large = " ".repeat(LIMIT + 1);
    let duplicate = body.replacen('{', r#"{"DATA":{},"#, 1);
    let deep = "[".repeat(100_000);
    let elsewhere = body.replace("/identityGovernance", "/users/x/identityGovernance");
    let unlisted = package.replace("AssignmentRequestGranted", "AssignmentRequestRemoved");
    let removal = package.replace("UserAdd", "UserRemove");
    let mark = format!("\u{feff}{test}");
    let mut rows: Vec<(String, String, String, u16)> = [
        (post, "", body.as_str(), 401),
        (post, "authorization: Bearer\r\n", &body, 401),
        (post, "authorization: Bearer a.b.c\r\n", &body, 401),
        (post, &twice, &body, 401),
        (post, &joined, &body, 401),
        (post, &basic, &body, 401),
        (post, &cut, &body, 401),
        (&query, "", &body, 401),
        (post, "", &large, 401),
        (post, &token, &large, 413),
        (post, &token, "", 400),
        (post, &token, "[]", 400),
        (post, &token, &deep, 400),
        (post, &token, &duplicate, 400),
        (post, &token, &elsewhere, 400),
        (post, &token, &package, 400),
        (post, &token, test, 400),
        (post_package, &package_token, &body, 400),
        (post_package, &package_token, &unlisted, 400),
        (post_package, &package_token, &removal, 400),
        (post_package, &package_token, test, 202),
        (post_package, &token, &mark, 202),
        (post, &token, &body, 202),
        (post_package, &package_token, &package, 202),
        ("GET /callouts/lifecycle", &token, "", 405),
        ("PUT /callouts/lifecycle", &token, &body, 405),
        ("DELETE /callouts/access-package", &token, "", 405),
        ("OPTIONS /callouts/access-package", &token, "", 405),
        ("POST /callouts/other", &token, &body, 404),
        ("POST //callouts/lifecycle", &token, &body, 404),
        ("POST /callouts/lifecycle/", &token, &body, 404),
        ("POST /callouts/lifecycle%2f", &token, &body, 404),
        (
            "POST /callouts/%2e%2e/callouts/lifecycle",
            &token,
            &body,
            404,
        ),
    ]
    .into_iter()
    .map(|(line, headers, body, status)| (line.into(), headers.into(), body.into(), status))
    .collect();
    for hostile in Hostile::ALL {
        let order = CalloutOrder::new(Cast::JOINER, CalloutKind::Lifecycle).hostile(*hostile);
        let (token, body) = captured(&sandbox, order).await;
        let expected = if *hostile == Hostile::Body { 400 } else { 401 };
        rows.push((post.into(), token, body, expected));
    }
    let (proof, forged) = (kpn_proof("hush", REPORT), kpn_proof("other", REPORT));
    let good = format!("/reports/kpn/{PATH_SECRET}?reference=a1");
    for (path, headers, body, expected) in [
        (good.as_str(), proof.as_str(), REPORT, 200),
        (&good, &proof, REPORT, 200),
        (&good.replace("a1", "a2"), &proof, REPORT, 200),
        (&good, &forged, REPORT, 401),
        (&good, "", REPORT, 401),
        (&good, &proof.repeat(2), REPORT, 401),
        (&good, &proof, "{}", 401),
        (&good, &proof, &large, 413),
        ("/reports/kpn?reference=a1", &proof, REPORT, 404),
        ("/reports/kpn/5f0c1e9a7b3d4863", &proof, REPORT, 404),
        ("/reports/kpn/%ff", &proof, REPORT, 404),
        ("/reports/%ff", &proof, REPORT, 404),
        (&format!("/reports/kpn/x{PATH_SECRET}"), &proof, REPORT, 404),
        (
            &format!("/reports/kpn/%35{}", &PATH_SECRET[1..]),
            &proof,
            REPORT,
            404,
        ),
        (
            &format!("/reports/kpn/x%2f{PATH_SECRET}"),
            &proof,
            REPORT,
            404,
        ),
        (&format!("/reports/acme/{PATH_SECRET}"), &proof, REPORT, 404),
        (
            &format!("/reports/kpn?x=/{PATH_SECRET}"),
            &proof,
            REPORT,
            404,
        ),
    ] {
        rows.push((
            format!("POST {path}"),
            headers.into(),
            body.into(),
            expected,
        ));
    }
    let (proof, forged) = (kpn_proof("hush", TEXT), kpn_proof("other", TEXT));
    let good = format!("/inbound/kpn/{PATH_SECRET}");
    for (path, headers, body, expected) in [
        (good.as_str(), proof.as_str(), TEXT, 200),
        (&good, &proof, TEXT, 200),
        (&format!("{good}?a"), &proof, TEXT, 200),
        (&good, &forged, TEXT, 401),
        (&good, "", TEXT, 401),
        (&good, &proof.repeat(2), TEXT, 401),
        (&good, &proof, "{}", 401),
        // A report, which is no inbound text.
        (&good, &kpn_proof("hush", REPORT), REPORT, 200),
        (&good, &proof, &large, 413),
        ("/inbound/kpn", &proof, TEXT, 404),
        (&format!("/inbound/kpn/x{PATH_SECRET}"), &proof, TEXT, 404),
        (&format!("{good}/"), &proof, TEXT, 404),
        (&format!("/inbound/acme/{PATH_SECRET}"), &proof, TEXT, 404),
        (&format!("/inbound/kpn?x=/{PATH_SECRET}"), &proof, TEXT, 404),
    ] {
        rows.push((
            format!("POST {path}"),
            headers.into(),
            body.into(),
            expected,
        ));
    }
    for (line, headers, body, expected) in &rows {
        for (server, address) in servers {
            let response = send(address, line, headers, body).await;
            assert_eq!(status(&response), expected.to_string(), "{server}: {line}");
            let challenges = response
                .to_ascii_lowercase()
                .contains("www-authenticate: bearer");
            let is_callout = line.contains("/callouts/");
            assert_eq!(
                challenges,
                is_callout && *expected == 401,
                "{server}: {line}"
            );
        }
    }
    // Each server took the two call-outs of the table, and nothing else.
    assert_eq!(intake.0.load(Ordering::SeqCst), 2 * servers.len());
    // They share the memory of the routes, and all but one of the text's requests were repeated ones.
    assert_eq!(texts.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn actix_web_receives_a_report_with_a_parser_alone() {
    #[expect(
        clippy::future_not_send,
        reason = "actix-web runs a handler on one thread"
    )]
    async fn receive(
        parser: web::Data<KpnReports>,
        request: HttpRequest,
        body: web::Bytes,
    ) -> HttpResponse {
        let (method, target) = (request.method().as_str(), request.uri().to_string());
        let origin = "https://hooks.example.com";
        let headers = request.headers();
        let request = ReportRequest::from_http(origin, method, &target, headers, &body);
        let read = parser.parse(&request, std::time::SystemTime::now().into());
        // Here a service stores the reports.
        let (status, body) = parser.reply(&read);
        HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap()).body(body)
    }
    let parser = web::Data::new(KpnReports::new(vec!["hush".into()]).unwrap());
    let address = actix::start(move |config| {
        config
            .app_data(parser.clone())
            .route("/kpn", web::post().to(receive));
    });
    for (proof, expected) in [
        (kpn_proof("hush", REPORT), "200"),
        (kpn_proof("other", REPORT), "401"),
        (String::new(), "401"),
    ] {
        let response = send(address, "POST /kpn?reference=a1", &proof, REPORT).await;
        assert_eq!(status(&response), expected);
    }
}
