//! Hostile requests over raw sockets: what each is answered, and that none of them has an effect or leaves a trace.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use postduif::{Message, Settings, Text, http::vendor::signature::hmac_sha256};
use postduif_sandbox::{
    CalloutKind, CalloutOrder, Cast, Hostile, ReportOrder, ReportStatus, Sandbox, VendorRequest,
};

use crate::service::Service;

const LIFECYCLE: &str = "/callouts/lifecycle";
const ACCESS_PACKAGE: &str = "/callouts/access-package";
/// The catalog of the sandbox's access packages.
const CATALOG: &str = "3a7c5e10-0000-4000-8000-000000000005";

/// The secrets in the paths of those vendors that sign nothing, or the body only.
const PATH_SECRETS: [(&str, &str); 3] = [
    ("cm", "cm-5f0c1e9a7b3d4862"),
    ("kpn", "kpn-0a9b8c7d6e5f4a3b"),
    ("spryng", "spryng-77e1c2d3b4a59687"),
];

/// The example of the Standard Webhooks specification, signed in 2021.
const PUBLISHED_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PUBLISHED_HEADERS: &str = "content-type: application/json\r\nwebhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\n\
                                 webhook-timestamp: 1614265330\r\n\
                                 webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n";
const PUBLISHED_BODY: &str = r#"{"test": 2432232314}"#;

/// An administrator checks whether the address responds. It is accepted and does nothing.
const TEST: &str = r#"{"Stage":"CustomExtensionConnectionTest"}"#;

/// How a request is sent.
#[derive(Clone, Copy, Debug, Default)]
enum Pace {
    #[default]
    AtOnce,
    ByteByByte,
    /// At once, and no byte can follow.
    ThenEnd,
}

/// A request, and the statuses of all responses on its connection. None means that the connection is closed without one.
struct Row {
    name: String,
    bytes: Vec<u8>,
    pace: Pace,
    expected: &'static str,
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn row(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>, expected: &'static str) {
        self.paced(name, bytes, Pace::AtOnce, expected);
    }

    fn paced(
        &mut self,
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        pace: Pace,
        expected: &'static str,
    ) {
        self.0.push(Row {
            name: name.into(),
            bytes: bytes.into(),
            pace,
            expected,
        });
    }
}

/// Returns a request with these header lines and its length, on a connection that ends with it.
fn request(line: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let headers = format!("{headers}content-length: {length}\r\nconnection: close\r\n");
    framed(line, &headers, body)
}

/// Returns a request with these header lines and no others but the host.
fn framed(line: &str, headers: &str, rest: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    [head.as_bytes(), rest.as_ref()].concat()
}

fn post(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request(&format!("POST {path}"), headers, body)
}

/// Returns the statuses of these responses, in order.
fn statuses(responses: &[u8]) -> String {
    let responses = String::from_utf8_lossy(responses);
    let found: Vec<_> = responses
        .split("HTTP/1.")
        .skip(1)
        .filter_map(|response| response.get(2..5))
        .collect();
    match found.is_empty() {
        true => "closed".into(),
        false => found.join(" "),
    }
}

fn send(address: &str, bytes: &[u8], pace: Pace) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    stream.set_nodelay(true).unwrap();
    // The service may respond, or close, before it has read everything.
    match pace {
        Pace::AtOnce | Pace::ThenEnd => {
            let _ = stream.write_all(bytes);
        }
        Pace::ByteByByte => {
            for byte in bytes {
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
            }
        }
    }
    if let Pace::ThenEnd = pace {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut responses = Vec::new();
    let _ = stream.read_to_end(&mut responses);
    responses
}

/// A call-out as the sandbox sends it.
struct Captured {
    token: String,
    body: String,
}

impl Captured {
    async fn of(sandbox: &Sandbox, order: CalloutOrder) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = format!("http://{}/", listener.local_addr().unwrap());
        let taken = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            let mut buffer = [0; 4096];
            loop {
                let read = stream.read(&mut buffer).unwrap();
                request += std::str::from_utf8(&buffer[..read]).unwrap();
                if let Some((head, body)) = request.split_once("\r\n\r\n") {
                    let field = |name: &str| {
                        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                        lines.find(|(known, _)| *known == name).unwrap().1
                    };
                    if body.len() == field("Content-Length").parse::<usize>().unwrap() {
                        stream.write_all(b"HTTP/1.1 202 Accepted\r\n\r\n").unwrap();
                        let token = field("Authorization").strip_prefix("Bearer ").unwrap();
                        return Self {
                            token: token.to_owned(),
                            body: body.to_owned(),
                        };
                    }
                }
            }
        });
        sandbox.deliver(order, &target).await.unwrap();
        taken.join().unwrap()
    }

    fn header(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.token)
    }
}

/// Requests whose caller is not proven. Their bodies would have an effect.
fn authentication(table: &mut Table, good: &Captured, package: &Captured) {
    let token = &good.token;
    let bearer = good.header();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let (_, other_claims) = package
        .token
        .rsplit_once('.')
        .unwrap()
        .0
        .split_once('.')
        .unwrap();
    // The last character holds four bits that no byte has.
    let (start, last) = signature.split_at(signature.len() - 1);
    let sibling = char::from(last.as_bytes()[0] + 1);
    let forged = format!("authorization: Bearer {signed}.{}\r\n", "A".repeat(342));
    let rows = [
        ("no token", String::new()),
        ("an empty header", "authorization: \r\n".into()),
        ("a scheme alone", "authorization: Bearer\r\n".into()),
        ("a token alone", format!("authorization: {token}\r\n")),
        ("Basic", format!("authorization: Basic {token}\r\n")),
        (
            "another scheme",
            format!("authorization: Negotiate {token}\r\n"),
        ),
        (
            "a tab after the scheme",
            format!("authorization: Bearer\t{token}\r\n"),
        ),
        (
            "a scheme twice",
            format!("authorization: Bearer Bearer {token}\r\n"),
        ),
        ("two good tokens", format!("{bearer}{bearer}")),
        ("a good and a forged token", format!("{bearer}{forged}")),
        ("a forged and a good token", format!("{forged}{bearer}")),
        (
            "joined by a comma",
            format!("authorization: Bearer {token}, Bearer {token}\r\n"),
        ),
        (
            "a comma at the end",
            format!("authorization: Bearer {token},\r\n"),
        ),
        ("in a cookie", format!("cookie: access_token={token}\r\n")),
        (
            "for a proxy",
            format!("proxy-authorization: Bearer {token}\r\n"),
        ),
        (
            "as a proxy forwards it",
            format!("x-forwarded-authorization: Bearer {token}\r\n"),
        ),
        (
            "of a platform's front",
            format!("x-ms-token-aad-access-token: {token}\r\n"),
        ),
        (
            "a part too many",
            format!("authorization: Bearer {token}.x\r\n"),
        ),
        (
            "a part too few",
            format!("authorization: Bearer {signed}\r\n"),
        ),
        ("padding", format!("authorization: Bearer {token}==\r\n")),
        (
            "bits beyond the signature",
            format!("authorization: Bearer {signed}.{start}{sibling}\r\n"),
        ),
        (
            "no signature",
            format!("authorization: Bearer {signed}.\r\n"),
        ),
        ("a signature of zeros", forged.clone()),
        (
            "the claims of another",
            format!("authorization: Bearer {header}.{other_claims}.{signature}\r\n"),
        ),
        (
            "a token of 17 KiB",
            format!("authorization: Bearer {}\r\n", "a".repeat(17 * 1024)),
        ),
    ];
    for (name, headers) in rows {
        table.row(name, post(LIFECYCLE, &headers, &good.body), "401");
    }
    let mut bytes = post(LIFECYCLE, "authorization: Bearer @\r\n", &good.body);
    let at = bytes.iter().position(|byte| *byte == b'@').unwrap();
    bytes[at] = 0xff;
    table.row("a token that is not text", bytes, "401");
    let query = format!("{LIFECYCLE}?access_token={token}");
    table.row("in the query", post(&query, "", &good.body), "401");
    let form = format!("access_token={token}");
    let form_type = "content-type: application/x-www-form-urlencoded\r\n";
    table.row("in a form", post(LIFECYCLE, form_type, form), "401");
    let trailers = format!("29\r\n{TEST}\r\n0\r\n{bearer}\r\n");
    let chunked = "transfer-encoding: chunked\r\ntrailer: authorization\r\nconnection: close\r\n";
    let line = format!("POST {ACCESS_PACKAGE}");
    table.row("in a trailer", framed(&line, chunked, trailers), "401");
    let lower = format!("AUTHORIZATION: bearer {token}\r\n");
    table.row(
        "names in another case",
        post(ACCESS_PACKAGE, &lower, TEST),
        "202",
    );
}

async fn tokens(table: &mut Table, sandbox: &Sandbox) {
    for (kind, path) in [
        (CalloutKind::Lifecycle, LIFECYCLE),
        (CalloutKind::AccessPackage, ACCESS_PACKAGE),
    ] {
        for hostile in Hostile::ALL {
            let order = CalloutOrder::new(Cast::JOINER, kind).hostile(*hostile);
            let captured = Captured::of(sandbox, order).await;
            let expected = if *hostile == Hostile::Body {
                "400"
            } else {
                "401"
            };
            let bytes = post(path, &captured.header(), &captured.body);
            table.row(format!("{path}: {}", hostile.name()), bytes, expected);
        }
    }
}

/// Lengths, chunks and heads. Where nothing is wrong, the call-out is a test.
fn framing(table: &mut Table, good: &Captured) {
    let line = format!("POST {ACCESS_PACKAGE}");
    let bearer = good.header();
    let length = TEST.len();
    let with = |headers: &str, rest: &str| {
        framed(
            &line,
            &format!("{bearer}connection: close\r\n{headers}"),
            rest,
        )
    };
    let chunk = format!("{length:x}\r\n{TEST}\r\n");
    let chunked = |rest: &str| with("transfer-encoding: chunked\r\n", rest);

    for (name, headers, expected) in [
        ("no length", String::new(), "400"),
        (
            "the same length twice",
            format!("content-length: {length}\r\n").repeat(2),
            "202",
        ),
        (
            "two lengths",
            format!("content-length: {length}\r\ncontent-length: 5\r\n"),
            "400",
        ),
        (
            "a list of lengths",
            format!("content-length: {length}, {length}\r\n"),
            "400",
        ),
        ("a negative length", "content-length: -1\r\n".into(), "400"),
        (
            "a length with a plus",
            format!("content-length: +{length}\r\n"),
            "400",
        ),
        (
            "a length in hexadecimal digits",
            "content-length: 0x29\r\n".into(),
            "400",
        ),
        ("an empty length", "content-length: \r\n".into(), "400"),
        (
            "a length with a fraction",
            format!("content-length: {length}.0\r\n"),
            "400",
        ),
        (
            "a length that no integer holds",
            format!("content-length: {}\r\n", "9".repeat(30)),
            "400",
        ),
        (
            "a length of 16 EiB",
            format!("content-length: {}\r\n", u64::MAX),
            "431",
        ),
        (
            "a length of 1 GB",
            "content-length: 1000000000\r\n".into(),
            "413",
        ),
        (
            "an unknown coding",
            "transfer-encoding: xchunked\r\n".into(),
            "400",
        ),
        (
            "gzip as the last coding",
            "transfer-encoding: chunked, gzip\r\n".into(),
            "400",
        ),
        (
            "identity as the last coding",
            "transfer-encoding: chunked, identity\r\n".into(),
            "400",
        ),
        (
            "an unknown coding in a second header",
            "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n".into(),
            "400",
        ),
    ] {
        table.row(name, with(&headers, TEST), expected);
    }
    for (name, rest, expected) in [
        ("chunks", format!("{chunk}0\r\n\r\n"), "202"),
        (
            "trailers",
            format!("{chunk}0\r\nx-a: b\r\ncontent-length: 3\r\n\r\n"),
            "202",
        ),
        (
            "a size that is no number",
            format!("zz\r\n{TEST}\r\n0\r\n\r\n"),
            "400",
        ),
        ("a negative size", format!("-{chunk}0\r\n\r\n"), "400"),
        ("a size with a plus", format!("+{chunk}0\r\n\r\n"), "400"),
        ("a size with a prefix", format!("0x{chunk}0\r\n\r\n"), "400"),
        ("an empty size", format!("\r\n{TEST}\r\n0\r\n\r\n"), "400"),
        (
            "a size that no integer holds",
            format!("{}\r\n{TEST}\r\n0\r\n\r\n", "f".repeat(17)),
            "400",
        ),
        (
            "a chunk longer than its size",
            format!("5\r\n{TEST}\r\n0\r\n\r\n"),
            "400",
        ),
        (
            "a long extension",
            format!(
                "{length:x};{}\r\n{TEST}\r\n0\r\n\r\n",
                "a".repeat(64 * 1024)
            ),
            "400",
        ),
        (
            "a size with 64 KiB of zeros",
            format!("{}{chunk}0\r\n\r\n", "0".repeat(64 * 1024)),
            "202",
        ),
        (
            "long trailers",
            format!("{chunk}0\r\nx-a: {}\r\n\r\n", "a".repeat(64 * 1024)),
            "400",
        ),
        (
            "many trailers",
            format!("{chunk}0\r\n{}\r\n", "x-a: b\r\n".repeat(2_000)),
            "400",
        ),
        (
            "chunks of one byte up to the limit and beyond",
            "1\r\n \r\n".repeat(256 * 1024 + 1),
            "413",
        ),
        (
            "one chunk beyond the limit",
            format!(
                "{:x}\r\n{}\r\n0\r\n\r\n",
                256 * 1024 + 1,
                " ".repeat(256 * 1024 + 1)
            ),
            "413",
        ),
    ] {
        table.row(name, chunked(&rest), expected);
    }
    table.paced(
        "an extension that never ends",
        chunked(&format!("{length:x};a")),
        Pace::ThenEnd,
        "400",
    );
    let endless = format!("{}\r\n{TEST}", "f".repeat(16));
    table.paced("a chunk of 16 EiB", chunked(&endless), Pace::ThenEnd, "400");
    table.paced(
        "a chunk that is cut off",
        chunked(&chunk[..20]),
        Pace::ThenEnd,
        "400",
    );
    let cut = with(&format!("content-length: {}\r\n", length + 1), TEST);
    table.paced("a body that is cut off", cut, Pace::ThenEnd, "400");

    let test = post(ACCESS_PACKAGE, &bearer, TEST);
    table.paced("byte by byte", test.clone(), Pace::ByteByByte, "202");
    let forged = post(LIFECYCLE, "authorization: Bearer a.b.c\r\n", &good.body);
    table.paced("a forged one byte by byte", forged, Pace::ByteByByte, "401");
    table.paced(
        "a head that is cut off",
        &test[..30],
        Pace::ThenEnd,
        "closed",
    );

    let long = "a".repeat(64 * 1024);
    for (name, headers, expected) in [
        ("a folded header", "x-a: b\r\n  c\r\n".to_owned(), "400"),
        (
            "a folded token",
            format!("authorization: Bearer\r\n {}\r\n", good.token),
            "400",
        ),
        ("NUL in a header", "x-a: b\0c\r\n".into(), "400"),
        ("CR in a header", "x-a: b\rc\r\n".into(), "400"),
        ("a space before the colon", "x-a : b\r\n".into(), "400"),
        ("a header without a name", ": b\r\n".into(), "400"),
        ("a header without a colon", "x-a\r\n".into(), "400"),
        ("a header of 64 KiB", format!("x-a: {long}\r\n"), "431"),
        ("200 headers", "x-a: b\r\n".repeat(200), "431"),
    ] {
        table.row(name, with(&headers, TEST), expected);
    }
    let long_target = format!("POST {LIFECYCLE}?{long}");
    table.row(
        "a target of 64 KiB",
        request(&long_target, &bearer, ""),
        "431",
    );

    for (name, bytes, expected) in [
        (
            "nothing but line ends",
            b"\r\n\r\n\r\n\r\n".as_slice(),
            "closed",
        ),
        ("no HTTP", b"EHLO example.com\r\n\r\n", "400"),
        ("HTTP/0.9", b"GET /health\r\n\r\n", "400"),
        (
            "HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            "closed",
        ),
        ("HTTP/3.0", b"GET /health HTTP/3.0\r\n\r\n", "400"),
        (
            "the version in another case",
            b"GET /health http/1.1\r\n\r\n",
            "400",
        ),
        (
            "a space in the target",
            b"POST /callouts/life cycle HTTP/1.1\r\n\r\n",
            "400",
        ),
        (
            "NUL in the target",
            b"POST /callouts/lifecycle\0 HTTP/1.1\r\n\r\n",
            "400",
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
            "400",
        ),
    ] {
        table.paced(name, bytes, Pace::ThenEnd, expected);
    }
    let head = |version: &str, headers: &str| {
        format!(
            "{line} {version}\r\n{bearer}{headers}content-length: {length}\r\nconnection: close\r\n\r\n{TEST}"
        )
    };
    table.row("HTTP/1.0", head("HTTP/1.0", ""), "202");
    let old =
        format!("{line} HTTP/1.0\r\n{bearer}transfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
    table.row("chunks in HTTP/1.0", old, "400");
    // No route reads the host.
    table.row("no host", head("HTTP/1.1", ""), "202");
    table.row(
        "another host",
        head("HTTP/1.1", "host: evil.example\r\n"),
        "202",
    );
    table.row(
        "two hosts",
        head("HTTP/1.1", "host: x\r\nhost: evil.example\r\n"),
        "202",
    );
    let absolute = format!("POST http://evil.example{ACCESS_PACKAGE}");
    table.row(
        "an absolute target",
        request(&absolute, &bearer, TEST),
        "202",
    );
    let absolute = format!("POST http://evil.example{LIFECYCLE}");
    table.row(
        "an absolute target without a token",
        request(&absolute, "", &good.body),
        "401",
    );

    let expects = |headers: &str| with(&format!("{headers}expect: 100-continue\r\n"), TEST);
    let proper = format!("content-length: {length}\r\n");
    table.row("a body that waits", expects(&proper), "100 202");
    table.row(
        "a body of 1 GB that waits",
        expects("content-length: 1000000000\r\n"),
        "413",
    );
    let waits = format!("{proper}expect: 100-continue\r\nconnection: close\r\n");
    table.row(
        "a body that waits, without a token",
        framed(&line, &waits, TEST),
        "401",
    );
}

/// Several requests on one connection: the body of one is never taken for another.
fn pipelines(table: &mut Table, good: &Captured) {
    let line = format!("POST {ACCESS_PACKAGE}");
    let bearer = good.header();
    let length = TEST.len();
    let kept = |headers: &str, body: &str| {
        let headers = format!("{headers}content-length: {}\r\n", body.len());
        framed(&line, &headers, body)
    };
    let last = post(ACCESS_PACKAGE, &bearer, TEST);
    let health = request("GET /health", "", "");
    // It would be a flow.
    let inner = post(LIFECYCLE, &bearer, &good.body);
    let inner = String::from_utf8(inner).unwrap();
    let then = |first: Vec<u8>| [first, last.clone()].concat();
    table.row(
        "a good one after a good one",
        then(kept(&bearer, TEST)),
        "202 202",
    );
    table.row(
        "a good one after a malformed one",
        then(kept(&bearer, "{")),
        "400 202",
    );
    table.row(
        "a good one after an unproven one",
        then(kept("", TEST)),
        "401 202",
    );
    let head = then(framed("GET /nothing", "", ""));
    table.row("a good one after a wrong path", head, "404 202");
    let bodies = format!("{}{}", "a".repeat(100_000), inner);
    for (name, body) in [("a request", &inner), ("a request after 100 kB", &bodies)] {
        table.row(
            format!("{name} as an unproven body"),
            request(&line, "", body),
            "401",
        );
        table.row(
            format!("{name} as a proven body"),
            request(&line, &bearer, body),
            "400",
        );
        // What remains of a refused body is skipped, or the connection closed.
        table.row(
            format!("another after {name} as an unproven body"),
            [kept("", body), health.clone()].concat(),
            "401 200 or 401",
        );
    }
    // Servers do not agree which of the two counts, so nothing else of such a connection is read.
    for (name, headers) in [
        (
            "a length and chunks",
            format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        ),
        (
            "chunks and a length",
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
        ),
    ] {
        let chunks = format!("{length:x}\r\n{TEST}\r\n0\r\n\r\n");
        let both = framed(&line, &format!("{bearer}{headers}"), &chunks);
        table.row(
            format!("{name}, and another request"),
            [both, health.clone()].concat(),
            "202",
        );
        let smuggled = format!("0\r\n\r\n{inner}");
        let both = framed(&line, &format!("{bearer}{headers}"), smuggled);
        table.row(format!("{name}, and a request within"), both, "400");
    }
}

fn routes(table: &mut Table, good: &Captured) {
    let bearer = good.header();
    for path in [LIFECYCLE, ACCESS_PACKAGE] {
        for method in [
            "GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE", "post", "POSTX",
        ] {
            let line = format!("{method} {path}");
            table.row(line.clone(), request(&line, &bearer, &good.body), "405");
        }
    }
    for path in [
        "/",
        "//callouts/lifecycle",
        "/callouts//lifecycle",
        "/callouts/lifecycle/",
        "/callouts/lifecycle/x",
        "/callouts/Lifecycle",
        "/callouts/lifecycle%2f",
        "/callouts%2flifecycle",
        "/callouts/lifecycle%00",
        "/callouts/lifecycle;a=b",
        "/callouts/%2e%2e/callouts/lifecycle",
        "/callouts/../callouts/lifecycle",
        "/x/..%2fcallouts/lifecycle",
        "/callouts/lifecycle.json",
        "/callouts",
        "/callouts/",
    ] {
        table.row(path, post(path, &bearer, &good.body), "404");
    }
    table.row(
        "an encoded letter",
        post("/callouts/%6cifecycle", &bearer, &good.body),
        "404",
    );
    table.row("OPTIONS *", request("OPTIONS *", &bearer, ""), "404");
    table.row(
        "CONNECT",
        request("CONNECT evil.example:443", &bearer, ""),
        "404",
    );
}

/// Bodies of a proven caller.
fn bodies(table: &mut Table, lifecycle: &Captured, package: &Captured) {
    let bearer = lifecycle.header();
    let body = &lifecycle.body;
    let changed = |from: &str, to: &str| {
        assert!(body.contains(from), "{from}");
        body.replacen(from, to, 1)
    };
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| body.encode_utf16().flat_map(to_bytes).collect();
    let execution = field(body, r#""taskProcessingResult":{"createdDateTime":"#);
    let path = field(body, r#""callbackUriPath":"#);
    let json: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("a space", b" ".into()),
        ("NUL", b"\0".into()),
        ("no JSON", b"hello".into()),
        ("null", b"null".into()),
        ("a list", b"[]".into()),
        ("a string", b"\"data\"".into()),
        ("an empty object", b"{}".into()),
        ("data of another type", br#"{"data":[]}"#.into()),
        ("a list of one", format!("[{body}]").into()),
        ("two documents", format!("{body}{body}").into()),
        ("a comma at the end", changed("{", "{,").into()),
        ("cut off", body[..body.len() - 1].into()),
        ("lists in lists", "[".repeat(100_000).into()),
        ("objects in objects", r#"{"a":"#.repeat(40_000).into()),
        ("objects in objects beside the ids", changed("{", &format!(r#"{{"a":{}1{},"#, r#"{"a":"#.repeat(200), "}".repeat(200))).into()),
        ("data twice", changed("{", r#"{"data":{},"#).into()),
        ("data twice in another case", changed("{", r#"{"DATA":{},"#).into()),
        ("the subject twice", changed(r#""subject":"#, r#""Subject":{},"subject":"#).into()),
        ("an escaped name twice", changed(r#""subject":"#, r#""sub\u006aect":{},"subject":"#).into()),
        ("no ids", br#"{"data":{}}"#.into()),
        ("UTF-16, big end first", utf16(u16::to_be_bytes)),
        ("UTF-16, little end first", utf16(u16::to_le_bytes)),
        ("a form", b"data=x".into()),
        ("XML", b"<data/>".into()),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\x4a\x49\x2c\x49\x54\xb2\xaa\xae\x05\0\x15\x8a\xdf\x10\x0b\0\0\0".into()),
        ("deflate", b"\x78\x9c\xab\x56\x4a\x49\x2c\x49\x54\xb2\xaa\xae\x05\0\x15\x34\x03\xb4".into()),
        ("an access package's", package.body.clone().into()),
        ("a connection test", TEST.into()),
        ("an id that is no GUID", changed(&execution, "../../users").into()),
    ];
    for (name, body) in json {
        table.row(
            format!("body: {name}"),
            post(LIFECYCLE, &bearer, body),
            "400",
        );
    }
    let gzip = format!("{bearer}content-encoding: gzip\r\n");
    table.row(
        "body: named gzip and not compressed",
        post(LIFECYCLE, &gzip, "{"),
        "400",
    );
    for hostile in [
        "https://evil.example/resume".to_owned(),
        "//evil.example/resume".into(),
        "@evil.example/resume".into(),
        "/users/delete".into(),
        "/../v1.0/users".into(),
        format!("{path}/"),
        format!("{path}?x=/resume"),
        format!("{path}#/resume"),
        format!("/v1.0{path}"),
        format!(" {path}"),
        path.replace("/tasks/", "/tasks%2f"),
        path.replace(&execution, "00000000-0000-4000-8000-000000000000"),
        path.replacen("lifecycleWorkflows", "lifecycleWorkflows/..", 1),
    ] {
        let name = format!("callback path: {hostile}");
        table.row(
            name,
            post(LIFECYCLE, &bearer, changed(&path, &hostile)),
            "400",
        );
    }

    let bearer = package.header();
    let body = &package.body;
    let changed = |from: &str, to: &str| {
        assert!(body.contains(from), "{from}");
        body.replacen(from, to, 1)
    };
    let path = field(body, r#""CallbackUriPath":"#);
    let refused = [
        ("a lifecycle workflow's", lifecycle.body.clone()),
        ("no stage", changed(r#""Stage""#, r#""NoStage""#)),
        (
            "an unknown stage",
            changed("AssignmentRequestGranted", "AssignmentRequestGrantedX"),
        ),
        (
            "a stage that is not listed",
            changed("AssignmentRequestGranted", "AssignmentRequestRemoved"),
        ),
        (
            "a stage before the end",
            changed(
                "AssignmentRequestGranted",
                "AssignmentOneDayBeforeExpiration",
            ),
        ),
        (
            "a stage twice",
            changed(
                r#""Stage""#,
                r#""stage":"CustomExtensionConnectionTest","Stage""#,
            ),
        ),
        (
            "a type of request that is not listed",
            changed("UserAdd", "UserRemove"),
        ),
        ("an unknown type of request", changed("UserAdd", "UserAddX")),
        (
            "no type of request",
            changed(r#""RequestType""#, r#""NoType""#),
        ),
        (
            "a catalog that is not listed",
            changed(CATALOG, "3a7c5e10-0000-4000-8000-00000000000f"),
        ),
        ("no catalog", changed("AccessPackageCatalog", "NoCatalog")),
        (
            "a callback path elsewhere",
            changed(&path, "/users/x/revokeSignInSessions"),
        ),
        (
            "a callback path of v1.0 and more",
            changed(&path, &format!("{path}x")),
        ),
    ];
    for (name, body) in refused {
        table.row(
            format!("access package: {name}"),
            post(ACCESS_PACKAGE, &bearer, body),
            "400",
        );
    }

    // What no route reads is skipped, however deep it is.
    let deep = format!(r#"{{"a":{}{},"#, "[".repeat(100_000), "]".repeat(100_000));
    let deep = TEST.replacen('{', &deep, 1);
    table.row(
        "lists in lists beside a connection test",
        post(ACCESS_PACKAGE, &bearer, deep),
        "202",
    );
    let limit = 256 * 1024;
    let padded = |size: usize| format!("{TEST}{}", " ".repeat(size - TEST.len()));
    table.row(
        "a body at the limit",
        post(ACCESS_PACKAGE, &bearer, padded(limit)),
        "202",
    );
    table.row(
        "a body beyond the limit",
        post(ACCESS_PACKAGE, &bearer, padded(limit + 1)),
        "413",
    );
    table.row(
        "a body of 4 MiB",
        post(ACCESS_PACKAGE, &bearer, padded(limit * 16)),
        "413",
    );
    // Without a token nobody learns the limit.
    table.row(
        "a body beyond the limit, without a token",
        post(ACCESS_PACKAGE, "", padded(limit + 1)),
        "401",
    );

    table.row(
        "a connection test",
        post(ACCESS_PACKAGE, &bearer, TEST),
        "202",
    );
    let more = changed("AssignmentRequestGranted", "CustomExtensionConnectionTest");
    table.row(
        "a connection test with all ids",
        post(ACCESS_PACKAGE, &bearer, more),
        "202",
    );
    table.row(
        "a byte-order mark",
        post(ACCESS_PACKAGE, &bearer, format!("\u{feff}{TEST}")),
        "202",
    );
    // The route does not read the media type: a token proves more, and a body is JSON or refused.
    for media_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "a",
        "image/png; x",
    ] {
        let headers = format!("{bearer}content-type: {media_type}\r\n");
        table.row(
            format!("media type {media_type:?}"),
            post(ACCESS_PACKAGE, &headers, TEST),
            "202",
        );
    }
    table.row("no media type", post(ACCESS_PACKAGE, &bearer, TEST), "202");
}

/// Returns the string right after `before`.
fn field(json: &str, before: &str) -> String {
    let (_, after) = json.split_once(before).unwrap();
    // The id is the member after the time of creation.
    let after = match after.split_once(r#","id":"#) {
        Some((_, id)) if before.contains("createdDateTime") => id,
        _ => after,
    };
    let text = after.strip_prefix('"').unwrap();
    text[..text.find('"').unwrap()].to_owned()
}

/// Returns the reports of each vendor on a text of its own, to the route of this service.
async fn genuine(service: &Service, elsewhere: &Sandbox) -> BTreeMap<&'static str, VendorRequest> {
    let mut reports = BTreeMap::new();
    for vendor in Sandbox::vendors() {
        let provider = Settings::from_url(&elsewhere.sms_url(vendor)).unwrap();
        let text = Text::new("Your code is 482913").unwrap();
        let message = Message::new("+31612345678".parse().unwrap(), text);
        provider.open().unwrap().send(&message).await.unwrap();
        let sent = elsewhere.messages().pop().unwrap();
        let target = format!("{}{}?reference=01J9Z8", service.url, path(vendor));
        let order = ReportOrder::by_id(sent.id, ReportStatus::Delivered);
        let report = elsewhere.report(&order, &target).unwrap().remove(0);
        reports.insert(vendor, report);
    }
    reports
}

/// Returns the path of a vendor's route.
fn path(vendor: &str) -> String {
    match PATH_SECRETS.iter().find(|(known, _)| *known == vendor) {
        Some((_, secret)) => format!("/reports/{vendor}/{secret}"),
        None => format!("/reports/{vendor}"),
    }
}

/// Returns a report as bytes, with this path and these headers.
fn report_bytes(report: &VendorRequest, target: &str, without: &str, body: &str) -> Vec<u8> {
    let headers = report.headers.iter();
    let headers = headers.filter(|(name, _)| !name.eq_ignore_ascii_case(without));
    let headers: String = headers
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    request(&format!("{} {target}", report.method), &headers, body)
}

/// Returns the header that proves a vendor's report. None if the vendor signs nothing.
fn proof(vendor: &str) -> Option<&'static str> {
    match vendor {
        "kpn" => Some("X-KPN-Webhook-Signature"),
        "messagebird" | "webhook" => Some("webhook-signature"),
        "smstools" => Some("X-Smstools-Signature"),
        "twilio" => Some("X-Twilio-Signature"),
        "vonage" => Some("Authorization"),
        _ => None,
    }
}

fn reports(table: &mut Table, service: &Service, genuine: &BTreeMap<&'static str, VendorRequest>) {
    for (vendor, report) in genuine {
        let target = report.url.strip_prefix(&service.url).unwrap();
        let (route, query) = target.split_once('?').unwrap();
        let body = report.body.as_str();
        let sent = |target: &str| report_bytes(report, target, "", body);
        let once = sent(target);
        table.row(format!("{vendor}: a report"), once.clone(), "200");
        table.row(format!("{vendor}: the same again"), once, "200");
        let end = format!("{target}&x={}", "a".repeat(100 * 1024));
        table.row(format!("{vendor}: a long query"), sent(&end), "431");
        table.row(
            format!("{vendor}: a slash at the end"),
            sent(&format!("{route}/?{query}")),
            "404",
        );
        table.row(
            format!("{vendor}: a doubled slash"),
            sent(&format!("/{target}")),
            "404",
        );
        table.row(
            format!("{vendor}: upper case"),
            sent(&target.replacen(vendor, &vendor.to_uppercase(), 1)),
            "404",
        );
        let Some(proof) = proof(vendor) else {
            // The secret in the path is the only proof.
            continue;
        };
        let missing = if *vendor == "vonage" { "503" } else { "401" };
        let forged = |value: &str| {
            let line = format!("{} {target}", report.method);
            let headers = report.headers.iter().map(|(name, known)| {
                let value = if *name == proof { value } else { known };
                format!("{name}: {value}\r\n")
            });
            request(&line, &headers.collect::<String>(), body)
        };
        let (_, right) = report
            .headers
            .iter()
            .find(|(name, _)| *name == proof)
            .unwrap();
        table.row(
            format!("{vendor}: unsigned"),
            report_bytes(report, target, proof, body),
            missing,
        );
        // The last letter or digit of the signature becomes another one.
        let at = right.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap() - 2;
        let other = if &right[at..=at] == "0" { "1" } else { "0" };
        let mut changed = right.clone();
        changed.replace_range(at..=at, other);
        for (name, value) in [
            ("another signature", changed),
            ("an empty signature", String::new()),
            ("a signature that cannot be read", "!".repeat(right.len())),
            (
                "a signature that is cut off",
                right[..right.len() - 4].to_owned(),
            ),
            ("a signature of 10 kB", "a".repeat(10_000)),
        ] {
            table.row(format!("{vendor}: {name}"), forged(&value), "401");
        }
        let doubled = forged(&format!("{right}\r\n{proof}: {right}"));
        table.row(format!("{vendor}: two signatures"), doubled, "401");
        if !body.is_empty() {
            let body = format!("{body} ");
            let bytes = report_bytes(report, target, "", &body);
            table.row(format!("{vendor}: another body"), bytes, "401");
            table.row(
                format!("{vendor}: no body"),
                report_bytes(report, target, "", ""),
                "401",
            );
        }
    }

    let kpn = &genuine["kpn"];
    for (vendor, secret) in PATH_SECRETS {
        let report = &genuine[vendor];
        let (_, query) = report.url.split_once('?').unwrap();
        let encoded: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (other, other_secret) = PATH_SECRETS
            .iter()
            .find(|(known, _)| *known != vendor)
            .unwrap();
        for (name, path) in [
            ("no secret", format!("/reports/{vendor}")),
            ("an empty secret", format!("/reports/{vendor}/")),
            (
                "the secret in percent-encoding",
                format!("/reports/{vendor}/{encoded}"),
            ),
            (
                "the start of the secret",
                format!("/reports/{vendor}/{}", &secret[..secret.len() - 1]),
            ),
            (
                "the secret and more",
                format!("/reports/{vendor}/{secret}x"),
            ),
            (
                "more and the secret",
                format!("/reports/{vendor}/x{secret}"),
            ),
            (
                "the secret in upper case",
                format!("/reports/{vendor}/{}", secret.to_uppercase()),
            ),
            (
                "another vendor's secret",
                format!("/reports/{vendor}/{other_secret}"),
            ),
            (
                "the secret at another vendor",
                format!("/reports/{other}/{secret}"),
            ),
            (
                "the secret after an encoded slash",
                format!("/reports/{vendor}/x%2f{secret}"),
            ),
            (
                "the secret before an encoded slash",
                format!("/reports/{vendor}/{secret}%2fx"),
            ),
            (
                "the secret before a NUL",
                format!("/reports/{vendor}/{secret}%00"),
            ),
            (
                "the secret after another segment",
                format!("/reports/{vendor}/x/{secret}"),
            ),
            (
                "the secret before another segment",
                format!("/reports/{vendor}/{secret}/x"),
            ),
            (
                "the secret after a doubled slash",
                format!("/reports/{vendor}//{secret}"),
            ),
            (
                "the secret after dots",
                format!("/reports/{vendor}/x/../{secret}"),
            ),
            (
                "the secret with a parameter",
                format!("/reports/{vendor}/{secret};a=b"),
            ),
            ("the secret without a vendor", format!("/reports/{secret}")),
            (
                "an encoded slash in the vendor",
                format!("/reports/x%2f{vendor}/{secret}"),
            ),
        ] {
            let bytes = report_bytes(report, &format!("{path}?{query}"), "", &report.body);
            table.row(format!("{vendor}: {name}"), bytes, "404");
        }
        let in_query = format!("/reports/{vendor}?secret={secret}&x=/{secret}");
        let bytes = report_bytes(report, &in_query, "", &report.body);
        table.row(format!("{vendor}: the secret in the query"), bytes, "404");
        let basic = request(
            &format!("POST /reports/{vendor}"),
            &format!("authorization: Bearer {secret}\r\n"),
            "",
        );
        table.row(format!("{vendor}: the secret in a header"), basic, "404");
        // Refused before it arrives.
        let huge = "content-length: 1000000000\r\nexpect: 100-continue\r\nconnection: close\r\n";
        let line = format!("POST /reports/{vendor}/x");
        table.row(
            format!("{vendor}: 1 GB that waits, without a secret"),
            framed(&line, huge, ""),
            "404",
        );
        let line = format!("POST /reports/{vendor}/{secret}");
        table.row(format!("{vendor}: 1 GB"), framed(&line, huge, ""), "413");
    }
    let captured = kpn
        .url
        .strip_prefix(&service.url)
        .unwrap()
        .replace("01J9Z8", "01J9Z9");
    let captured = report_bytes(kpn, &captured, "", &kpn.body);
    table.row(
        "kpn: a captured body under another reference",
        captured,
        "200",
    );
    let body = " ".repeat(256 * 1024 + 1);
    table.row(
        "webhook: a body beyond the limit",
        post("/reports/webhook", "", body),
        "413",
    );
    for path in [
        "/reports",
        "/reports/",
        "/reports/acme",
        "/reports/acme/x",
        "/reports/%6bpn",
    ] {
        table.row(path, post(path, "", &kpn.body), "404");
    }

    for vendor in ["messagebird", "webhook"] {
        let line = format!("/reports/{vendor}");
        let stale = post(&line, PUBLISHED_HEADERS, PUBLISHED_BODY);
        table.row(format!("{vendor}: stale"), stale, "401");
        let year = PUBLISHED_HEADERS.replace("1614265330", "4102444800");
        table.row(
            format!("{vendor}: another time"),
            post(&line, &year, PUBLISHED_BODY),
            "401",
        );
        let none = PUBLISHED_HEADERS.replace("1614265330", "soon");
        table.row(
            format!("{vendor}: a time that is no number"),
            post(&line, &none, PUBLISHED_BODY),
            "401",
        );
    }
    let smstools = &genuine["smstools"];
    for (name, seconds, expected) in [
        ("stale", "1614265330", "401"),
        ("of the future", "4102444800", "401"),
        // The vendor signed it, and repeating it does not help.
        ("of no time", "soon", "200"),
    ] {
        let signed = format!("{seconds}.{}", smstools.body);
        let tag = hmac_sha256(&"sandbox".into(), signed.as_bytes());
        let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let headers = format!("x-smstools-signature: t={seconds},v1={tag}\r\n");
        let bytes = post("/reports/smstools", &headers, &smstools.body);
        table.row(format!("smstools: {name}"), bytes, expected);
    }
    let twilio = &genuine["twilio"];
    let target = twilio
        .url
        .strip_prefix(&service.url)
        .unwrap()
        .replace("01J9Z8", "01J9Z9");
    let bytes = report_bytes(twilio, &target, "", &twilio.body);
    table.row(
        "twilio: a captured body under another reference",
        bytes,
        "401",
    );
    for host in ["evil.example", "127.0.0.1:1"] {
        let line = format!("POST http://{host}{target}");
        let bytes = report_bytes(twilio, &line["POST ".len()..], "", &twilio.body);
        table.row(format!("twilio: the same at {host}"), bytes, "401");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_request_has_an_effect_or_leaves_a_trace() {
    let sandbox = Sandbox::start().await;
    let elsewhere = Sandbox::start().await;
    let mut options: Vec<String> = vec!["--sandbox".into(), sandbox.url()];
    for vendor in Sandbox::vendors() {
        options.extend(["--sms-url".into(), sandbox.sms_url(vendor)]);
    }
    for (vendor, secret) in PATH_SECRETS {
        options.extend(["--path-secret".into(), format!("{vendor}={secret}")]);
    }
    for vendor in ["messagebird", "webhook"] {
        for secret in ["whsec_c2FuZGJveA==", PUBLISHED_SECRET] {
            options.extend(["--report-secret".into(), format!("{vendor}={secret}")]);
        }
    }
    options.extend(["--catalog".into(), CATALOG.into()]);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let service = Service::start(&options);

    let lifecycle = CalloutOrder::new(Cast::JOINER, CalloutKind::Lifecycle);
    let lifecycle = Captured::of(&sandbox, lifecycle).await;
    let package = CalloutOrder::new(Cast::JOINER, CalloutKind::AccessPackage);
    let package = Captured::of(&sandbox, package).await;
    let genuine = genuine(&service, &elsewhere).await;

    let mut table = Table::default();
    authentication(&mut table, &lifecycle, &package);
    tokens(&mut table, &sandbox).await;
    framing(&mut table, &lifecycle);
    pipelines(&mut table, &lifecycle);
    routes(&mut table, &lifecycle);
    bodies(&mut table, &lifecycle, &package);
    reports(&mut table, &service, &genuine);
    let rows = table.0;
    assert!(rows.len() > 300, "{}", rows.len());

    let address = service.url.strip_prefix("http://").unwrap();
    let mut wrong = Vec::new();
    for row in &rows {
        let response = send(address, &row.bytes, row.pace);
        let found = statuses(&response);
        if !row.expected.split(" or ").any(|expected| found == expected) {
            wrong.push(format!("{}: {found} instead of {}", row.name, row.expected));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );

    let (code, logs) = service.terminate();
    assert_eq!(code, Some(0));
    assert!(sandbox.messages().is_empty() && sandbox.resumes().is_empty());
    assert!(sandbox.usable_passes(Cast::JOINER).is_empty());
    for request in sandbox.requests() {
        let is_keys = request.path.starts_with("/login/") && !request.path.ends_with("/token");
        assert!(is_keys, "{request:?}");
    }
    let (_, signature) = lifecycle.token.rsplit_once('.').unwrap();
    let secrets = PATH_SECRETS.iter().map(|(_, secret)| *secret);
    for secret in secrets.chain([
        signature,
        "eyJ",
        "612345678",
        "482913",
        "identityGovernance",
        "revokeSignInSessions",
        "evil.example",
        PUBLISHED_SECRET,
        "sandbox:sandbox",
    ]) {
        let line = logs.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_body_of_kpn_ends_no_other_flow() {
    let sandbox = Sandbox::start().await;
    let (vendor, secret) = PATH_SECRETS[1];
    let path_secret = format!("{vendor}={secret}");
    let options = ["--complete-on", "delivered", "--path-secret", &path_secret];
    let sandbox_url = sandbox.url();
    let service = Service::start(&[&["--sandbox", &sandbox_url], &options[..]].concat());
    let target = format!("{}{LIFECYCLE}", service.url);
    let mut executions = Vec::new();
    for (number, user) in [Cast::JOINER, Cast::ENGLISH].into_iter().enumerate() {
        let order = CalloutOrder::new(user, CalloutKind::Lifecycle);
        executions.push(sandbox.deliver(order, &target).await.unwrap().execution);
        sandbox
            .wait_for(|sandbox| sandbox.messages().get(number).cloned())
            .await;
    }
    let messages = sandbox.messages();
    let references: Vec<_> = messages
        .iter()
        .map(|message| message.reference.as_deref().unwrap())
        .collect();
    let target = format!("{}{}", service.url, path(vendor));
    let order = ReportOrder::new(references[0], ReportStatus::Delivered);
    let report = sandbox.report(&order, &target).unwrap().remove(0);
    let target = report.url.strip_prefix(&service.url).unwrap();
    let first = report_bytes(&report, target, "", &report.body);
    assert_eq!(statuses(service.send(&first).as_bytes()), "200");
    let replayed = target.replace(references[0], references[1]);
    assert_ne!(replayed, target);
    let replayed = report_bytes(&report, &replayed, "", &report.body);
    assert_eq!(statuses(service.send(&replayed).as_bytes()), "200");
    sandbox
        .wait_for(|sandbox| sandbox.resumes().first().cloned())
        .await;
    let (code, _) = service.terminate();
    assert_eq!(code, Some(0));
    let verdict = |execution: &str| {
        let resumes = sandbox.resumes();
        let resume = resumes.iter().find(|resume| resume.execution == execution);
        resume.and_then(|resume| resume.status.clone())
    };
    assert_eq!(verdict(&executions[0]).as_deref(), Some("Completed"));
    // By the stop, as the last flow without a report.
    assert_eq!(verdict(&executions[1]).as_deref(), Some("Failed"));
}
