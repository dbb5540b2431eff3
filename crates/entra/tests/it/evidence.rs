//! The table of the crate's documentation, for every row and call.

use postduif_core::{
    Acceptance::{self, NotAccepted, Unknown},
    directory::{
        Callback, Graph as _, GraphError,
        GraphErrorKind::{
            self, Conflict, Forbidden, NotFound, Other, Protocol, Throttled, Timeout, Unauthorized,
            Unavailable,
        },
        TapIssuer as _, TapRequest, Verdict,
    },
};
use postduif_entra::Entra;
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::support::{
    REQUEST_ID, World, a_while_later, assert_error, html, said, sign_in_long_ago, user,
};

struct Row {
    of: &'static str,
    answer: ResponseTemplate,
    kind: GraphErrorKind,
    acceptance: Acceptance,
    /// The number of requests of a call.
    times: usize,
}

fn row(
    of: &'static str,
    answer: ResponseTemplate,
    kind: GraphErrorKind,
    acceptance: Acceptance,
) -> Row {
    Row {
        of,
        answer,
        kind,
        acceptance,
        times: 1,
    }
}

fn twice(row: Row) -> Row {
    Row { times: 2, ..row }
}

fn json(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body, "application/json")
}

fn rows() -> Vec<Row> {
    let mut rows = vec![
        row(
            "bad request",
            said(400, "Request_BadRequest", "no"),
            Other,
            NotAccepted,
        ),
        row("empty code", said(400, "", "no"), Other, NotAccepted),
        row(
            "not yet there",
            said(400, "Directory_ObjectNotFound", "no"),
            NotFound,
            NotAccepted,
        ),
        twice(row(
            "token",
            said(401, "InvalidAuthenticationToken", "no"),
            Unauthorized,
            NotAccepted,
        )),
        twice(row(
            "challenge",
            html(401).insert_header("www-authenticate", "Bearer"),
            Unauthorized,
            NotAccepted,
        )),
        row("a 401 of anybody", html(401), Protocol, Unknown),
        row(
            "forbidden",
            said(403, "Authorization_RequestDenied", "no"),
            Forbidden,
            NotAccepted,
        ),
        row(
            "conflict",
            said(409, "Conflict", "no"),
            Conflict,
            NotAccepted,
        ),
        row(
            "gave up",
            said(408, "RequestTimeout", "no"),
            Timeout,
            Unknown,
        ),
        row(
            "the shape of other gateways too",
            json(400, r#"{"error":{"code":"BadRequest","message":"no"}}"#),
            Protocol,
            Unknown,
        ),
        row(
            "a refusal without Graph's request id",
            json(403, r#"{"error":{"code":"Forbidden","message":"no"}}"#),
            Protocol,
            Unknown,
        ),
        row("gone", said(410, "Gone", "no"), Protocol, NotAccepted),
        row(
            "locked",
            said(423, "accessLocked", "no"),
            Protocol,
            NotAccepted,
        ),
        row(
            "throttled",
            said(429, "TooManyRequests", "no"),
            Throttled,
            NotAccepted,
        ),
        row(
            "throttled, code of 400",
            said(429, "BadRequest", "no"),
            Throttled,
            NotAccepted,
        ),
        row("throttled by a gateway", html(429), Throttled, NotAccepted),
        row(
            "redirect",
            html(302).insert_header("location", "/elsewhere"),
            Protocol,
            Unknown,
        ),
        row("redirect in shape", said(307, "x", "x"), Protocol, Unknown),
        // Shapes of other servers.
        row(
            "lone message",
            json(403, r#"{"message":"no"}"#),
            Protocol,
            Unknown,
        ),
        row(
            "OAuth's shape",
            json(400, r#"{"error":"invalid_request"}"#),
            Protocol,
            Unknown,
        ),
        row(
            "number as code",
            json(400, r#"{"error":{"code":400,"message":"no"}}"#),
            Protocol,
            Unknown,
        ),
        row(
            "no code",
            json(403, r#"{"error":{"message":"no"}}"#),
            Protocol,
            Unknown,
        ),
        row(
            "array",
            json(400, r#"[{"error":{"code":"x"}}]"#),
            Protocol,
            Unknown,
        ),
        row("empty", ResponseTemplate::new(400), Protocol, Unknown),
        // Successes that are not as documented.
        row("HTML as success", html(200), Protocol, Unknown),
        row(
            "empty success",
            ResponseTemplate::new(200),
            Protocol,
            Unknown,
        ),
        row("accepted", json(202, "{}"), Protocol, Unknown),
    ];
    for status in [400, 403, 406, 408, 409, 421, 422, 425, 451] {
        rows.push(row("a filter's refusal", html(status), Protocol, Unknown));
    }
    for status in [405, 411, 413, 414, 415, 431] {
        rows.push(row("nobody read it", html(status), Protocol, NotAccepted));
    }
    for status in [500, 501, 502, 503, 504, 505, 507] {
        rows.push(row(
            "failed",
            said(status, "UnknownError", ""),
            Unavailable,
            Unknown,
        ));
        rows.push(row("failed gateway", html(status), Unavailable, Unknown));
    }
    rows
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    Issue,
    List,
    Resume,
    Revoke,
    User,
}

impl Call {
    async fn make(self, entra: &Entra) -> GraphError {
        let tap = "c6a1f0d2".parse().unwrap();
        match self {
            Self::Issue => entra.issue(&user(), &TapRequest::new()).await.unwrap_err(),
            Self::List => entra.list(&user()).await.unwrap_err(),
            Self::Resume => entra
                .resume(&callback(), &Verdict::Completed)
                .await
                .unwrap_err(),
            Self::Revoke => entra.revoke(&user(), &tap).await.unwrap_err(),
            Self::User => entra.user(&user()).await.unwrap_err(),
        }
    }

    /// A read changes nothing, so it is never in doubt.
    fn acceptance(self, acceptance: Acceptance) -> Acceptance {
        match self {
            Self::List | Self::User => NotAccepted,
            _ => acceptance,
        }
    }
}

fn callback() -> Callback {
    let id = "3d6f0c61-7a5e-4f0b-9a39-0f6f2a1b7c10".parse().unwrap();
    Callback::lifecycle(id, id, id)
}

async fn check(call: Call, rows: Vec<Row>) {
    let world = World::start().await;
    let entra = world.entra();
    sign_in_long_ago(&entra).await;
    for row in rows {
        let of = format!("{call:?} {}", row.of);
        a_while_later().await;
        world.any(row.answer).await;
        let error = call.make(&entra).await;
        assert_error(&error, row.kind, call.acceptance(row.acceptance), &of);
        assert_eq!(world.asked().await.len(), row.times, "{of}");
    }
}

#[tokio::test]
async fn issuing_proves_what_the_table_lists() {
    check(Call::Issue, rows()).await;
    let rows = vec![
        row(
            "no such user",
            said(404, "Request_ResourceNotFound", "no"),
            NotFound,
            NotAccepted,
        ),
        row("no such path", html(404), Protocol, NotAccepted),
    ];
    check(Call::Issue, rows).await;
}

#[tokio::test]
async fn listing_proves_what_the_table_lists() {
    check(Call::List, rows()).await;
    let rows = vec![
        row(
            "no such user",
            said(404, "ResourceNotFound", "no"),
            NotFound,
            NotAccepted,
        ),
        row("no such path", html(404), Protocol, NotAccepted),
    ];
    check(Call::List, rows).await;
}

#[tokio::test]
async fn revoking_proves_what_the_table_lists() {
    check(Call::Revoke, rows()).await;
    check(
        Call::Revoke,
        vec![row("no such path", html(404), Protocol, NotAccepted)],
    )
    .await;
}

#[tokio::test]
async fn reading_a_user_proves_what_the_table_lists() {
    check(Call::User, rows()).await;
    let rows = vec![
        row(
            "no such user",
            said(404, "Request_ResourceNotFound", "no"),
            NotFound,
            NotAccepted,
        ),
        row("no such path", html(404), Protocol, NotAccepted),
    ];
    check(Call::User, rows).await;
}

#[tokio::test]
async fn resuming_proves_what_the_table_lists() {
    check(Call::Resume, rows()).await;
    let rows = vec![
        row(
            "nobody waits",
            said(404, "ResourceNotFound", "no"),
            NotFound,
            NotAccepted,
        ),
        row("no such path", html(404), Protocol, Unknown),
    ];
    check(Call::Resume, rows).await;
}

#[tokio::test]
async fn only_graphs_own_400_404_and_409_count_as_heard() {
    let world = World::start().await;
    let entra = world.entra();
    for row in rows() {
        let expected = matches!(
            row.of,
            "bad request" | "empty code" | "not yet there" | "conflict"
        );
        world.any(row.answer).await;
        let error = Call::Resume.make(&entra).await;
        let heard = error.acceptance() == NotAccepted
            && matches!(error.kind(), Conflict | NotFound | Other);
        assert_eq!(heard, expected, "{}: {error:?}", row.of);
    }
}

#[tokio::test]
async fn graphs_retry_after_is_kept_and_rounded_up_if_waiting_helps() {
    let world = World::start().await;
    let entra = world.entra();
    for (answer, seconds) in [
        (
            said(429, "TooManyRequests", "no").insert_header("retry-after", "0.249"),
            Some(1),
        ),
        (
            said(429, "TooManyRequests", "no").insert_header("retry-after", "7"),
            Some(7),
        ),
        (html(503).insert_header("retry-after", "30"), Some(30)),
        (
            said(400, "badRequest", "no").insert_header("retry-after", "30"),
            None,
        ),
        (html(429), None),
    ] {
        for call in [Call::Issue, Call::Resume, Call::User] {
            world.any(answer.clone()).await;
            let wait = call.make(&entra).await.retry_after();
            assert_eq!(wait.map(|wait| wait.as_secs()), seconds);
        }
    }
}

#[tokio::test]
async fn the_code_is_kept_if_plain_and_the_id_if_a_guid() {
    let world = World::start().await;
    let entra = world.entra();
    let long = "x".repeat(65);
    for (code, kept) in [
        ("Request_ResourceNotFound", true),
        ("Some.Code", true),
        ("", false),
        ("with space", false),
        ("<b>", false),
        ("+31612345678", false),
        (&*long, false),
    ] {
        world.any(said(403, code, "no")).await;
        let error = Call::User.make(&entra).await;
        assert_eq!(error.code(), kept.then_some(code));
        assert_eq!(error.request_id(), Some(REQUEST_ID));
    }
    for (body, header, kept) in [
        (
            json!({"error": {"code": "x", "innererror": {"request-id": REQUEST_ID}}}),
            None,
            true,
        ),
        (
            json!({"error": {"code": "x", "request-id": REQUEST_ID}}),
            None,
            true,
        ),
        (json!({"error": {"code": "x"}}), Some(REQUEST_ID), true),
        (
            json!({"error": {"code": "x", "request-id": "+31612345678"}}),
            None,
            false,
        ),
        (
            json!({"error": {"code": "x", "innerError": 7}}),
            Some("not a guid"),
            false,
        ),
    ] {
        let mut answer = ResponseTemplate::new(403).set_body_json(&body);
        if let Some(id) = header {
            answer = answer.insert_header("request-id", id);
        }
        world.any(answer).await;
        let error = Call::User.make(&entra).await;
        assert_eq!(error.request_id(), kept.then_some(REQUEST_ID), "{body}");
    }
}
