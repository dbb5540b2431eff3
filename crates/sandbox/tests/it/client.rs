use std::{future::Future, io, time::Duration};

use postduif_sandbox::{CalloutKind, Sandbox};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

/// How long a test waits for what must happen. Nothing waits this long unless the test fails.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    time::timeout(DEADLINE, what)
        .await
        .expect("it happens before the test's deadline")
}

/// A response, read to the end of its connection.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (other, value) = line.split_once(": ")?;
            other.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

pub(crate) fn authority(sandbox: &Sandbox) -> String {
    sandbox.url().replace("http://", "")
}

/// Opens a connection and writes a request with these headers only.
pub(crate) async fn write(
    authority: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> TcpStream {
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = soon(TcpStream::connect(authority)).await.unwrap();
    soon(stream.write_all(request.as_bytes())).await.unwrap();
    stream
}

/// Reads a response to the end of its connection.
pub(crate) async fn read(mut stream: TcpStream) -> io::Result<Response> {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await?;
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).unwrap();
    Ok(Response {
        status: head[9..12].parse().unwrap(),
        head,
        body,
    })
}

pub(crate) async fn call(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Response> {
    read(write(&authority(sandbox), method, path, headers, body).await).await
}

/// Sends a request with a token and a JSON body.
pub(crate) async fn with_token(
    sandbox: &Sandbox,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> io::Result<Response> {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    call(sandbox, method, path, &headers, &body).await
}

pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The credentials `sandbox:sandbox`.
pub(crate) const BASIC: (&str, &str) = ("Authorization", "Basic c2FuZGJveDpzYW5kYm94");

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the fields of a form or a query.
pub(crate) fn form(encoded: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " "))
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    let pairs = encoded.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

pub(crate) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

pub(crate) async fn kpn_token(sandbox: &Sandbox) -> String {
    let response = call(
        sandbox,
        "POST",
        "/kpn/oauth/client_credential/accesstoken?grant_type=client_credentials",
        &[FORM],
        "client_id=sandbox&client_secret=sandbox",
    )
    .await
    .unwrap();
    response.json()["access_token"].as_str().unwrap().to_owned()
}

pub(crate) const KPN_SEND: &str = "/kpn/communication/kpn/sms/send";

pub(crate) fn text(number: &str, text: &str) -> Value {
    json!({
        "sender": "Postduif",
        "webhook_url": "https://hooks.example/kpn?reference=01J9Z8",
        "messages": [{"mobile_number": number, "content": text}],
    })
}

pub(crate) async fn graph_token(sandbox: &Sandbox) -> String {
    let response = call(
        sandbox,
        "POST",
        &format!("/login/{}/oauth2/v2.0/token", sandbox.tenant()),
        &[FORM],
        "grant_type=client_credentials&client_id=sandbox&client_secret=sandbox\
         &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default",
    )
    .await
    .unwrap();
    response.json()["access_token"].as_str().unwrap().to_owned()
}

pub(crate) fn passes_of(user: &str) -> String {
    format!("/graph/v1.0/users/{user}/authentication/temporaryAccessPassMethods")
}

/// Starts a pending execution, and returns its id with the path and the body of its resume.
pub(crate) fn waiting(sandbox: &Sandbox, user: &str) -> (String, String, Value) {
    let callout = sandbox.callout(user, CalloutKind::Lifecycle).unwrap();
    let path = format!(
        "/graph/v1.0{}",
        callout.body["data"]["callbackUriPath"].as_str().unwrap()
    );
    let body = json!({
        "source": "test",
        "type": "lifecycleEvent",
        "data": {"operationStatus": "completed"},
    });
    (callout.execution, path, body)
}
