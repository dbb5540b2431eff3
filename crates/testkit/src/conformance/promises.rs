//! The promises of providers, one function each, which panics if the promise is broken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use postduif_core::{
    Acceptance, Credentials, ErrorKind, Message, MessageOption, Sender, SenderKind, SmsProvider,
    Text, TextLimit, departure::Departure,
};

pub use super::batches::*;
use super::{
    Failed, LATER, Verdict, World, accept_all, assert_clean, assert_unsupported, contradictions,
    gzip_bomb, message, messages, provider_at, send_at, shown, validity,
};
use crate::{
    DEADLINE, End, FakeVendor, HttpRequest, Reply, Server, refusing_address,
    watch::{Watch, forms},
};

/// Checks that an accepted message arrives unchanged, with its own receipt. A text that the vendor cannot carry is
/// refused before any call.
pub async fn a_message_arrives_as_it_is(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    let refused = world.provider.profile().refused_characters().to_owned();
    let mut sends = 0;
    for text in [
        "Hallo, je code is 482913",
        "€ 5 (ok) ~ {x}",
        "[ok] |^|",
        "Zoë 👋 \"quoted\" \\ back\nline",
        "é&=+%20?#<b>",
    ] {
        let message = Message::new(
            "+31612345678".parse().expect("a number"),
            Text::new(text).expect("a text"),
        );
        let outcome = world.provider.send(&message).await;
        if text.contains(|char| refused.contains(char)) {
            assert_unsupported(
                outcome,
                world.sends().len() - sends,
                "a text it cannot carry",
            );
            continue;
        }
        let receipt = outcome.expect("accepted");
        sends += 1;
        assert_eq!(receipt.reference(), message.reference());
        assert_eq!(receipt.provider(), world.provider.profile().name());
        let received = world.received().pop().expect("one message arrived");
        assert_eq!((received.to, received.text.as_str()), (message.to(), text));
        if let Some(reference) = received.reference {
            assert_eq!(reference, message.reference().as_str());
        }
    }
    assert_eq!(world.sends().len(), sends, "one request for each message");
    Verdict::kept()
}

/// Checks that the vendor's own refusal ends as not accepted, of the right kind.
pub async fn a_refusal_by_the_vendor_was_not_sent(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, |vendor, request| vendor.refuse(request, "no")).await;
    let result = world.provider.send(&message()).await;
    world.assert_failed(
        result,
        Failed::not_accepted(vendor.refusal(), 1),
        "a refusal",
    );
    Verdict::kept()
}

/// Checks that credentials that the vendor refuses, in any call, fail a send as `Unauthorized`, and that a check
/// reports them as refused.
pub async fn refused_credentials_are_unauthorized(vendor: &impl FakeVendor) -> Verdict {
    let refused = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&refused);
    let tokens = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&tokens);
    let world = World::whole(vendor, move |vendor, request| {
        asked.fetch_add(usize::from(vendor.is_token(request)), Ordering::SeqCst);
        let refusal = vendor.refuse_credentials(request);
        seen.fetch_or(refusal.is_some(), Ordering::SeqCst);
        refusal
            .or_else(|| vendor.other_reply(request))
            .unwrap_or_else(|| accept_all(vendor, request))
    })
    .await;
    let sent = world.provider.send(&message()).await;
    if !refused.swap(false, Ordering::SeqCst) {
        return Verdict::skipped(
            "FakeVendor::refuse_credentials describes no reply to wrong credentials",
        );
    }
    let error = sent.expect_err("a send with wrong credentials was accepted");
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unauthorized, Acceptance::NotAccepted),
        "a send refused by FakeVendor::refuse_credentials: {error:?}"
    );
    // Another attempt needs a new token; with the credentials just refused it is a second text.
    let tries = tokens.load(Ordering::SeqCst).max(1);
    let sends = world.sends().len();
    assert!(
        sends <= tries,
        "{sends} requests for sending with the same refused credentials"
    );
    let health = world.provider.check().await;
    let health = health.expect("a check that refuses the credentials is a health, not an error");
    match health.refusal() {
        Some(error) => {
            assert_eq!(health.credentials(), Credentials::Refused);
            assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error:?}");
            assert_of_a_check(error, "wrong credentials");
            Verdict::kept()
        }
        None => {
            assert_ne!(
                health.credentials(),
                Credentials::Verified,
                "a check of wrong credentials"
            );
            Verdict::skipped(
                "the check of this vendor cannot verify credentials; the promise about a send was tested and is kept",
            )
        }
    }
}

/// Checks that a refused connection ends as not accepted, since nothing left.
pub async fn a_refused_connection_was_not_sent(vendor: &impl FakeVendor) -> Verdict {
    let provider = provider_at(vendor, &format!("http://{}", refusing_address().await));
    let error = provider
        .send(&message())
        .await
        .expect_err("nothing listens");
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unavailable, Acceptance::NotAccepted)
    );
    assert!(error.may_resend() && error.may_reroute());
    Verdict::kept()
}

/// Checks that a request without a response leaves the message in doubt, and is made once.
pub async fn a_lost_response_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    for reply in [
        Reply::Reset,
        Reply::Close,
        Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-".to_vec(), End::Reset),
    ] {
        let what = format!("{reply:?}");
        let world = World::new(vendor, move |_, _| reply.clone()).await;
        let result = world.provider.send(&message()).await;
        world.assert_failed(result, Failed::unknown(ErrorKind::Unavailable), &what);
    }
    Verdict::kept()
}

/// Checks that a stalled response leaves the message in doubt, within the deadline.
pub async fn a_stall_is_unknown_and_ends_in_time(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, |_, _| Reply::Stall).await;
    let started = Instant::now();
    let result = world.provider.send(&message()).await;
    assert!(
        started.elapsed() < DEADLINE * 2,
        "it took {:?}",
        started.elapsed()
    );
    world.assert_failed(result, Failed::unknown(ErrorKind::Timeout), "a stall");
    Verdict::kept()
}

/// Checks that the response of a proxy or filter leaves the message in doubt: the vendor may have the text.
pub async fn a_response_from_a_proxy_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    let json = |status, body: &str| Reply::json(status, body.as_bytes());
    for status in [
        400, 401, 402, 403, 406, 408, 409, 410, 418, 421, 422, 425, 451,
    ] {
        for (what, reply) in [
            ("html", Reply::html(status)),
            ("empty", Reply::status(status)),
            ("a lone message", json(status, r#"{"message":"Forbidden"}"#)),
            ("an object", json(status, r#"{"blocked":true}"#)),
            ("null", json(status, "null")),
            ("an array", json(status, "[]")),
            ("an array of texts", json(status, r#"["x","y"]"#)),
            ("text", json(status, r#""no""#)),
            ("cut short", json(status, r#"{"error":"#)),
        ] {
            // On other statuses than these two a lone message may be the vendor's shape.
            if what == "a lone message" && !matches!(status, 401 | 403) {
                continue;
            }
            let world = World::new(vendor, move |_, _| reply.clone()).await;
            let result = world.provider.send(&message()).await;
            world.assert_failed(
                result,
                Failed::unknown(ErrorKind::Protocol),
                &format!("{status} {what}"),
            );
        }
    }
    Verdict::kept()
}

/// JSON from gateways, filters and frameworks, none of it a vendor's own.
const FOREIGN: [&str; 12] = [
    r#"{"type":"about:blank","title":"Forbidden","status":403}"#,
    r#"{"detail":"Not authenticated"}"#,
    r#"{"errors":[{"title":"x"}]}"#,
    r#"{"errors":[{"code":1020}]}"#,
    r#"{"message":"Conflict"}"#,
    r#"{"error":"Bad Request","statusCode":400}"#,
    r#"{"error":1020}"#,
    r#"{"code":"WAF_BLOCKED","message":"x"}"#,
    r#"{"transactionId":"1","message":"x"}"#,
    r#"{"error":{"type":"x_error","code":"y"}}"#,
    r#"{"success":false,"errors":[{"code":1020,"message":"x"}]}"#,
    r#"{"code":7,"message":"x","details":[]}"#,
];

/// Checks that the JSON of other servers leaves the message in doubt, and causes no second request.
pub async fn foreign_json_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    let mut verdict = Verdict::kept();
    let (world, next) = World::changing(vendor).await;
    for status in [400, 401, 402, 403, 408, 409, 421, 422, 425, 451, 499] {
        for body in FOREIGN {
            let what = format!("{status} {body}");
            if vendor.documents(status, body) {
                verdict.skip(format!("the vendor documents {what}"));
                continue;
            }
            let result = world.send_with(&next, Reply::json(status, body)).await;
            world.assert_failed(result, Failed::unknown(ErrorKind::Protocol), &what);
        }
    }
    verdict
}

/// Checks that a refusal in the vendor's shape with an unlisted code causes no second request.
pub async fn an_unlisted_refusal_is_not_sent_again(vendor: &impl FakeVendor) -> Verdict {
    for status in [401, 403] {
        let described = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&described);
        let world = World::new(vendor, move |vendor, request| {
            let refusal = vendor.refuse_unlisted(request);
            seen.store(refusal.is_some(), Ordering::SeqCst);
            refusal.unwrap_or(Reply::Close).with_status(status)
        })
        .await;
        let messages = messages(4);
        let result = world.provider.send(&messages[0]).await;
        if !described.load(Ordering::SeqCst) {
            return Verdict::skipped(
                "FakeVendor::refuse_unlisted describes no refusal that the vendor does not list",
            );
        }
        result.expect_err("it was refused");
        for outcome in world.provider.send_batch(&messages[1..]).await {
            outcome.expect_err("it was refused");
        }
        world.assert_each_arrived_once(&messages, &status.to_string());
    }
    Verdict::kept()
}

/// Checks that a response with both a refusal and an id leaves the message in doubt, at any status.
pub async fn a_refusal_beside_an_id_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    for (at_refusal, status) in [(false, "an acceptance"), (true, "a refusal")] {
        let described = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&described);
        let world = World::new(vendor, move |vendor, request| {
            let refused = vendor.refuse(request, "no");
            match contradictions(&accept_all(vendor, request), &refused) {
                Some([_, reply]) if at_refusal => reply,
                Some([reply, _]) => reply,
                None => {
                    seen.store(false, Ordering::SeqCst);
                    Reply::Close
                }
            }
        })
        .await;
        let what = format!("a refusal beside an id, at the status of {status}");
        let result = world.provider.send(&message()).await;
        if !described.load(Ordering::SeqCst) {
            return Verdict::skipped("a refusal of this vendor has no room for an id");
        }
        let expected = Failed {
            kind: None,
            ..Failed::unknown(ErrorKind::Protocol)
        };
        world.assert_failed(result, expected, &what);
        for outcome in world.provider.send_batch(&messages(3)).await {
            let error = outcome.expect_err(&what);
            assert_eq!(error.acceptance(), Acceptance::Unknown, "{what}: {error:?}");
        }
    }
    Verdict::kept()
}

/// Checks that 408, 409, 425 and 499 leave the message in doubt, also in the vendor's shape with an unlisted code: a
/// server on the way may have stopped waiting.
pub async fn a_status_that_proves_no_refusal_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    for status in [408, 409, 425, 499] {
        let described = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&described);
        let world = World::new(vendor, move |vendor, request| {
            let refusal = vendor.refuse_unlisted(request);
            seen.store(refusal.is_some(), Ordering::SeqCst);
            refusal.unwrap_or(Reply::Close).with_status(status)
        })
        .await;
        let result = world.provider.send(&message()).await;
        if !described.load(Ordering::SeqCst) {
            return Verdict::skipped(
                "FakeVendor::refuse_unlisted describes no refusal that the vendor does not list",
            );
        }
        let expected = Failed {
            kind: None,
            ..Failed::unknown(ErrorKind::Protocol)
        };
        world.assert_failed(result, expected, &status.to_string());
    }
    Verdict::kept()
}

/// Checks that 404, 405, 411, 413, 414, 415, 429 and 431 end as not accepted: a server gives them before it reads a
/// message.
pub async fn a_status_given_before_reading_was_not_sent(vendor: &impl FakeVendor) -> Verdict {
    for status in [404, 405, 411, 413, 414, 415, 431, 429] {
        let world = World::new(vendor, move |_, _| Reply::html(status)).await;
        let result = world.provider.send(&message()).await;
        let expected = Failed {
            kind: None,
            ..Failed::not_accepted(ErrorKind::Other, 1)
        };
        world.assert_failed(result, expected, &status.to_string());
    }
    let world = World::new(vendor, |_, _| {
        Reply::html(429).with_header("retry-after", "7")
    })
    .await;
    let error = world
        .provider
        .send(&message())
        .await
        .expect_err("throttled");
    assert_eq!(
        (error.kind(), error.retry_after()),
        (ErrorKind::Throttled, Some(Duration::from_secs(7)))
    );
    Verdict::kept()
}

/// Checks that any status from 500 up leaves the message in doubt, also in the vendor's own shape.
pub async fn a_failing_server_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    for status in [500, 502, 503, 504, 507, 520] {
        for reply in [
            Reply::html(status),
            Reply::status(status),
            Reply::json(status, "{}"),
        ] {
            let world = World::new(vendor, move |_, _| reply.clone()).await;
            let result = world.provider.send(&message()).await;
            world.assert_failed(
                result,
                Failed::unknown(ErrorKind::Unavailable),
                &status.to_string(),
            );
        }
    }
    let mut verdict = Verdict::kept();
    for status in [500, 503] {
        let (world, skipped) = World::failing(vendor, status).await;
        let result = world.provider.send(&message()).await;
        if let Some(why) = skipped.get() {
            verdict.skip(why);
            continue;
        }
        let expected = Failed {
            kind: None,
            ..Failed::unknown(ErrorKind::Unavailable)
        };
        let what = format!("{status} in the vendor's shape");
        world.assert_failed(result, expected, &what);
    }
    verdict
}

/// Checks that the target of a redirect receives nothing, and that the message is in doubt.
pub async fn a_redirect_is_not_followed(vendor: &impl FakeVendor) -> Verdict {
    let elsewhere = Server::start(|_| Reply::json(200, "{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.url();
        let reply =
            move |_: &_, _: &HttpRequest| Reply::status(status).with_header("location", &location);
        let world = World::new(vendor, reply).await;
        let result = world.provider.send(&message()).await;
        world.assert_failed(
            result,
            Failed::unknown(ErrorKind::Protocol),
            &status.to_string(),
        );
    }
    assert_eq!(elsewhere.connections(), 0);
    Verdict::kept()
}

/// Checks that a success whose body is not the vendor's leaves the message in doubt.
pub async fn rubbish_in_a_success_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    let nested = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep = r#"{"a":"#.repeat(10_000) + "1" + &"}".repeat(10_000);
    for (what, body) in [
        ("nothing", Vec::new()),
        (
            "html",
            b"<html>Sign in to the guest network</html>".to_vec(),
        ),
        ("null", b"null".to_vec()),
        ("an array", b"[]".to_vec()),
        ("an array of texts", br#"["x","y"]"#.to_vec()),
        ("a number", b"7".to_vec()),
        ("an empty object", b"{}".to_vec()),
        (
            "another shape",
            br#"{"ok":true,"result":{"id":7}}"#.to_vec(),
        ),
        ("cut short", br#"{"id":"#.to_vec()),
        ("invalid UTF-8", b"{\"id\":\"\xff\xfe\"}".to_vec()),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec()),
        ("NUL bytes", vec![0; 64]),
        ("nested arrays", nested.into_bytes()),
        ("nested objects", deep.into_bytes()),
    ] {
        let world = World::new(vendor, move |_, _| Reply::json(200, body.clone())).await;
        let result = world.provider.send(&message()).await;
        world.assert_failed(result, Failed::unknown(ErrorKind::Protocol), what);
    }
    Verdict::kept()
}

/// Checks that a body that is incomplete, late or unbounded leaves the message in doubt.
pub async fn a_broken_body_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    let head =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900000\r\n\r\n{"
            .to_vec();
    let endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    let zipped = Reply::json(200, gzip_bomb()).with_header("content-encoding", "gzip");
    for (what, reply, kind) in [
        (
            "cut",
            Reply::Raw(head.clone(), End::Close),
            Some(ErrorKind::Unavailable),
        ),
        (
            "reset",
            Reply::Raw(head.clone(), End::Reset),
            Some(ErrorKind::Unavailable),
        ),
        (
            "stalled",
            Reply::Raw(head.clone(), End::Stall),
            Some(ErrorKind::Timeout),
        ),
        (
            "slow",
            Reply::Slow([head, vec![b' '; 4096]].concat(), Duration::from_millis(5)),
            Some(ErrorKind::Timeout),
        ),
        (
            "endless",
            Reply::Endless(endless),
            Some(ErrorKind::Protocol),
        ),
        ("a gzip bomb", zipped, Some(ErrorKind::Protocol)),
    ] {
        let world = World::new(vendor, move |_, _| reply.clone()).await;
        let result = world.provider.send(&message()).await;
        world.assert_failed(
            result,
            Failed {
                kind,
                ..Failed::unknown(ErrorKind::Protocol)
            },
            what,
        );
    }
    Verdict::kept()
}

/// Checks that an acceptance with a blank or unusable id leaves the message in doubt.
pub async fn an_acceptance_without_a_usable_id_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    let long = "x".repeat(10_000);
    for id in ["", "   ", "\u{1b}[31m", "a\nb", &long] {
        let given = Arc::new(AtomicBool::new(false));
        let (seen, id) = (Arc::clone(&given), id.to_owned());
        let world = World::new(vendor, move |vendor, request| {
            let reply = vendor.accept_with_id(request, &id);
            seen.fetch_or(reply.is_some(), Ordering::SeqCst);
            reply.unwrap_or(Reply::Close)
        })
        .await;
        let result = world.provider.send(&message()).await;
        if !given.load(Ordering::SeqCst) {
            return Verdict::skipped(
                "FakeVendor::accept_with_id describes no acceptance with an id that a receipt keeps",
            );
        }
        world.assert_failed(
            result,
            Failed::unknown(ErrorKind::Protocol),
            "an unusable id: read it with Response::message_id of postduif-http",
        );
    }
    Verdict::kept()
}

/// Checks that an acceptance that names another message leaves this one in doubt.
pub async fn an_acceptance_of_another_message_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    if !vendor.replies_name_the_message() {
        return Verdict::skipped("the vendor's response does not name its message");
    }
    let first = std::sync::Mutex::new(None);
    let world = World::new(vendor, move |vendor, request| {
        let mut first = first
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        vendor.accept(first.get_or_insert_with(|| request.clone()), &[0])
    })
    .await;
    let messages = messages(2);
    let result = world.provider.send(&messages[0]).await;
    result.expect("its own response is accepted");
    let error = world.provider.send(&messages[1]).await;
    let error = error.expect_err("the response is of another message");
    assert_eq!(error.acceptance(), Acceptance::Unknown, "{error:?}");
    assert_eq!(world.sends().len(), 2);
    Verdict::kept()
}

/// Checks that an acceptance counts under any content type, which vendors get wrong.
pub async fn a_wrong_content_type_changes_nothing(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, |vendor, request| {
        let mut reply = accept_all(vendor, request);
        if let Reply::Response { headers, .. } = &mut reply {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        }
        reply.with_header("content-type", "text/html; charset=iso-8859-1")
    })
    .await;
    let result = world.provider.send(&message()).await;
    result.expect("an acceptance is one under any content type");
    Verdict::kept()
}

/// Checks that no error shows the text or the number, although vendors repeat both in theirs.
pub async fn nothing_of_the_message_is_in_an_error(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, |vendor, request| {
        let received = &vendor.received(request)[0];
        vendor.refuse(
            request,
            &format!("cannot send \"{}\" to {}", received.text, received.to),
        )
    })
    .await;
    let error = world.provider.send(&message()).await.expect_err("refused");
    assert_clean(&error);
    assert_clean(&world.provider.send(&message()).await.expect_err("refused"));
    Verdict::kept()
}

/// Checks that a vendor's code that repeats the text or the number is not kept.
pub async fn a_code_that_echoes_the_text_is_not_kept(vendor: &impl FakeVendor) -> Verdict {
    let mut verdict = Verdict::kept();
    for code in [
        "482910",
        "E482910",
        "4829",
        "code-482910",
        "31612345000",
        "keep it",
    ] {
        let has_code = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&has_code);
        let world = World::new(vendor, move |vendor, request| {
            let coded = vendor.refuse_with_code(request, code);
            seen.store(coded.is_some(), Ordering::SeqCst);
            coded.unwrap_or_else(|| vendor.refuse(request, code))
        })
        .await;
        let error = world.provider.send(&message()).await.expect_err("refused");
        assert_clean(&error);
        if !has_code.load(Ordering::SeqCst) {
            verdict = Verdict::skipped("the vendor's refusals have no code");
        }
    }
    verdict
}

/// A vendor's reply, in the search for secrets.
type Ending<V> = fn(&V, &HttpRequest) -> Reply;

/// Checks that no credential, text or whole number, not even the sender's, is shown for any reply of the vendor: in no
/// event or span at any level, no error, no receipt and no `Debug`.
pub async fn no_secret_is_shown_anywhere(vendor: &impl FakeVendor) -> Verdict {
    let credentials = vendor.credentials();
    for credential in &credentials {
        assert!(
            credential.len() >= 8,
            "a credential of fewer than 8 characters is found everywhere"
        );
    }
    let (shown, logged) = Watch::over(|| show_all(vendor));
    // The whole code: four of its digits may occur in a port.
    let private = ["482910", "Your code", "keep it", "612345000", "687654321"];
    let private = private.into_iter().map(str::to_owned);
    for secret in private.chain(credentials.iter().cloned()) {
        for form in forms(&secret) {
            assert!(
                !shown.contains(&form),
                "{form} is in an error, a receipt or the provider's Debug: {shown}"
            );
            assert!(
                !logged.contains(&form),
                "{form} is in an event or span: {logged}"
            );
        }
    }
    if credentials.is_empty() {
        return Verdict::skipped("FakeVendor::credentials names no credentials to search for");
    }
    Verdict::kept()
}

/// Returns all that the provider shows while the vendor replies in every way.
async fn show_all<V: FakeVendor>(vendor: &V) -> String {
    let all: [Ending<V>; 7] = [
        |_, _| Reply::Reset,
        |_, _| Reply::html(401).with_header("www-authenticate", "Bearer"),
        |_, _| Reply::html(403),
        |_, _| Reply::status(500),
        |_, _| Reply::json(200, r#"{"access_token":7,"note":"482910"}"#),
        |_, _| Reply::status(307).with_header("location", "http://127.0.0.1:1/482910"),
        |vendor, request| {
            let refusal = vendor.refuse_credentials(request);
            refusal.unwrap_or_else(|| Reply::html(401))
        },
    ];
    let sends: [Ending<V>; 4] = [
        accept_all,
        |_, _| Reply::Reset,
        |vendor, request| {
            let received = &vendor.received(request)[0];
            let repeated = format!(
                "{} to {} by {:?}, {}",
                received.text,
                received.to,
                received.sender,
                vendor.credentials().join(" ")
            );
            vendor.refuse(request, &repeated)
        },
        |vendor, request| {
            let code = vendor.credentials().pop().unwrap_or_default();
            vendor
                .refuse_with_code(request, &code)
                .unwrap_or_else(|| vendor.refuse(request, &code))
        },
    ];
    let mut shown = String::new();
    for ending in all {
        let world = World::whole(vendor, ending).await;
        show(&world, &mut shown).await;
    }
    for ending in sends {
        let world = World::new(vendor, ending).await;
        show(&world, &mut shown).await;
    }
    shown
}

async fn show<V: FakeVendor>(world: &World<'_, V>, all: &mut String) {
    let provider = &world.provider;
    *all += &format!("{provider:?} {provider:#?} ");
    let mut message = message();
    if provider.profile().senders().contains(&SenderKind::Number) {
        message = message.with_sender("+31687654321".parse().expect("a sender"));
    }
    *all += &match provider.send(&message).await {
        Ok(receipt) => format!("{receipt:?} {receipt:#?} "),
        Err(error) => shown(&error),
    };
    for outcome in provider.send_batch(&[message]).await {
        *all += &match outcome {
            Ok(receipt) => format!("{receipt:?} "),
            Err(error) => shown(&error),
        };
    }
    *all += &match provider.check().await {
        Ok(health) => {
            let refusal = health.refusal().map(shown).unwrap_or_default();
            format!("{health:?} {health} {refusal}")
        }
        Err(error) => shown(&error),
    };
}

/// Checks that an error has the vendor's own words only if the provider is built to keep them, and shows them nowhere
/// else.
pub async fn a_vendor_message_is_kept_only_if_asked_for(vendor: &impl FakeVendor) -> Verdict {
    const WORDS: &str = "please ask a helpdesk";
    let mut world = World::new(vendor, |vendor, request| vendor.refuse(request, WORDS)).await;
    for error in refusals(&world).await {
        assert_eq!(error.vendor_message(), None, "nobody asked for it");
        assert!(!shown(&error).contains("helpdesk"), "{error:?}");
    }
    let Some(provider) = vendor.with_vendor_messages(&world.server.url()) else {
        return Verdict::skipped(NO_VENDOR_MESSAGES);
    };
    world.provider = provider;
    for error in refusals(&world).await {
        let words = error.vendor_message().unwrap_or_default();
        assert!(words.contains(WORDS), "{words:?} of {error:?}");
        assert!(!shown(&error).contains("helpdesk"), "{error:?}");
    }
    Verdict::kept()
}

const NO_VENDOR_MESSAGES: &str =
    "FakeVendor::with_vendor_messages builds no provider that keeps the vendor's words";

/// Checks that the vendor's words on an error, where they are kept, repeat no text, number, sender or credential,
/// however the vendor writes it.
pub async fn a_vendor_message_repeats_nothing_of_ours(vendor: &impl FakeVendor) -> Verdict {
    let disguises: [fn(&str) -> String; 8] = [
        str::to_owned,
        str::to_uppercase,
        |text| text.replace(' ', ""),
        |text| text.replace(' ', "%20"),
        |text| format!("\"{text}\" <b>{text}</b>"),
        |text| forms(text).join(" "),
        |text| text.chars().map(|char| format!("{char}\u{200b}")).collect(),
        |text| {
            text.chars()
                .map(|char| format!("&#{};", u32::from(char)))
                .collect()
        },
    ];
    let credentials = vendor.credentials();
    let private = ["4829", "your", "code", "keep", "6123", "6876", "contoso"];
    for disguise in disguises {
        let mut world = World::new(vendor, move |vendor, request| {
            let mut echo = "cannot be delivered".to_owned();
            for received in vendor.received(request) {
                for ours in [received.text, received.to.to_string()]
                    .into_iter()
                    .chain(received.sender)
                    .chain(vendor.credentials())
                {
                    echo = format!("{echo}: {}", disguise(&ours));
                }
            }
            vendor.refuse(request, &echo)
        })
        .await;
        let Some(provider) = vendor.with_vendor_messages(&world.server.url()) else {
            return Verdict::skipped(NO_VENDOR_MESSAGES);
        };
        world.provider = provider;
        for error in refusals(&world).await {
            let words = error.vendor_message().unwrap_or_default();
            assert!(words.contains("cannot be delivered"), "{words:?}");
            let words = words.to_lowercase();
            let whole = credentials.iter().map(|secret| secret.to_lowercase());
            for ours in private.map(str::to_owned).into_iter().chain(whole) {
                assert!(!words.contains(&ours), "{ours} is in {words:?}");
            }
        }
    }
    Verdict::kept()
}

/// Returns the errors of a send and of a batch, all of which the vendor refuses.
async fn refusals<V: FakeVendor>(world: &World<'_, V>) -> Vec<postduif_core::SendError> {
    let mut outcomes = vec![world.provider.send(&message()).await];
    outcomes.extend(world.provider.send_batch(&messages(3)).await);
    let errors = outcomes
        .into_iter()
        .map(|outcome| outcome.expect_err("refused"));
    errors.collect()
}

/// Checks that an option that the profile declares arrives on the wire, and that any other is refused before a call.
pub async fn an_option_is_applied_or_refused(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    let profile = world.provider.profile().clone();
    let sent = |before: usize| world.sends().len() - before;

    let validity = validity(&profile);
    let before = world.sends().len();
    let result = world
        .provider
        .send(&message().with_validity(validity))
        .await;
    if profile.validity().is_some() {
        result.expect("a declared validity period is taken");
        assert_eq!(
            world
                .received()
                .pop()
                .and_then(|received| received.validity),
            Some(validity)
        );
    } else {
        assert_unsupported(result, sent(before), "validity");
    }

    let send_at = send_at(&profile);
    let before = world.sends().len();
    let result = world.provider.send(&message().with_send_at(send_at)).await;
    if profile.max_schedule_ahead().is_some() {
        result.expect("a declared schedule is taken");
        assert_eq!(
            world.received().pop().and_then(|received| received.send_at),
            Some(send_at)
        );
    } else {
        assert_unsupported(result, sent(before), "scheduling");
    }

    for (kind, sender) in SENDERS {
        let sender: Sender = sender.parse().expect("a sender");
        let before = world.sends().len();
        let result = world
            .provider
            .send(&message().with_sender(sender.clone()))
            .await;
        if profile.senders().contains(&kind) {
            result.expect("a declared kind of sender is taken");
            let arrived = world
                .received()
                .pop()
                .and_then(|received| received.sender)
                .expect("a sender arrived");
            assert_eq!(digits(&arrived), digits(&sender.to_string()));
        } else {
            assert_unsupported(result, sent(before), "sender");
        }
    }
    Verdict::kept()
}

/// Checks that an option that was set `…_where_possible` arrives on the wire if the profile declares it, and that the
/// receipt lists it as dropped if not, of a send as of a batch.
pub async fn an_option_where_possible_is_applied_or_dropped(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    let profile = world.provider.profile().clone();
    for batch in [false, true] {
        let send = async |message: Message| {
            let outcome = if batch {
                world.provider.send_batch(&[message]).await.into_single()
            } else {
                world.provider.send(&message).await
            };
            let receipt = outcome.expect("an option where possible refuses no message");
            let received = world.received().pop().expect("the message arrived");
            (receipt.dropped().to_vec(), received)
        };
        let expected = |is_declared: bool, option| {
            if is_declared { vec![] } else { vec![option] }
        };

        let period = validity(&profile);
        let (dropped, received) = send(message().with_validity_where_possible(period)).await;
        let is_declared = profile.validity().is_some();
        assert_eq!(dropped, expected(is_declared, MessageOption::Validity));
        assert_eq!(received.validity, is_declared.then_some(period));

        let time = send_at(&profile);
        let (dropped, received) = send(message().with_send_at_where_possible(time)).await;
        let is_declared = profile.max_schedule_ahead().is_some();
        assert_eq!(dropped, expected(is_declared, MessageOption::SendAt));
        assert_eq!(received.send_at, is_declared.then_some(time));

        for (kind, sender) in SENDERS {
            let wanted: Sender = sender.parse().expect("a sender");
            let (dropped, received) = send(message().with_sender_where_possible(wanted)).await;
            let is_declared = profile.senders().contains(&kind);
            assert_eq!(
                dropped,
                expected(is_declared, MessageOption::Sender),
                "{kind}"
            );
            let arrived = received.sender.as_deref().map(digits);
            assert_eq!(arrived == Some(digits(sender)), is_declared, "{kind}");
        }
    }
    Verdict::kept()
}

/// A sender of each kind.
const SENDERS: [(SenderKind, &str); 4] = [
    (SenderKind::Alphanumeric, "Contoso"),
    (
        SenderKind::MessagingService,
        "MG0123456789abcdef0123456789abcdef",
    ),
    (SenderKind::Number, "+31687654321"),
    (SenderKind::ShortCode, "1008"),
];

/// Returns a sender without what vendors put before a number, or leave out.
fn digits(sender: &str) -> &str {
    sender.trim_start_matches(['+', '0'])
}

/// Checks that a message without a sender is refused before any call if the profile requires one, and is sent if not.
pub async fn a_message_without_a_required_sender_is_refused(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    let Some(provider) = vendor.without_sender(&world.server.url()) else {
        return Verdict::skipped(
            "FakeVendor::without_sender describes no provider without a default sender",
        );
    };
    let result = provider.send(&message()).await;
    if provider.profile().sender_required() {
        let error = result.expect_err("there is no sender");
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::InvalidSender, Acceptance::NotAccepted),
            "{error:?}"
        );
        assert_eq!(world.sends().len(), 0, "refused before any call");
    } else {
        result.expect("the profile requires no sender");
        assert_eq!(world.sends().len(), 1);
    }
    let senders = provider.profile().senders();
    if senders.contains(&SenderKind::Alphanumeric) {
        let named = message().with_sender("Contoso".parse().expect("a sender"));
        provider.send(&named).await.expect("it has a sender now");
    }
    Verdict::kept()
}

/// Checks that the declared longest text is sent, and that one character more is refused before any call.
pub async fn a_text_too_long_is_refused_before_any_call(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    let (fits, too_long) = match world.provider.profile().longest_text() {
        Some(TextLimit::Characters(limit)) => ("x".repeat(limit), "x".repeat(limit + 1)),
        Some(TextLimit::Parts(1)) => ("x".repeat(160), "x".repeat(161)),
        Some(TextLimit::Parts(limit)) => ("x".repeat(153 * limit), "x".repeat(153 * limit + 1)),
        _ => return Verdict::skipped("the profile declares no longest text"),
    };
    let to = "+31612345678".parse().expect("a number");
    world
        .provider
        .send(&Message::new(to, Text::new(fits).expect("a text")))
        .await
        .expect("it fits");
    let result = world
        .provider
        .send(&Message::new(to, Text::new(too_long).expect("a text")))
        .await;
    world.assert_failed(
        result,
        Failed::not_accepted(ErrorKind::InvalidText, 1),
        "a text too long",
    );
    Verdict::kept()
}

/// Checks that, if the profile declares reports, the vendor has our reference or the receipt has the vendor's id.
pub async fn a_declared_report_finds_its_message(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    if !world.provider.profile().reports() {
        return Verdict::skipped("the profile declares no reports");
    }
    let message = message();
    let receipt = world.provider.send(&message).await.expect("accepted");
    let received = world.received().pop().expect("one message arrived");
    let ours = received.reference.as_deref() == Some(message.reference().as_str());
    assert!(
        ours || receipt.id().is_some(),
        "the vendor has no reference of ours, and the receipt no id"
    );
    Verdict::kept()
}

/// Checks that, within the repeat window, the same message makes the same request, and another message with the same
/// text a different one.
pub async fn a_repeat_inside_the_window_is_the_same_request(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    if world.provider.profile().repeat_window().is_none() {
        return Verdict::skipped("the profile declares no repeat window");
    }
    let first = message();
    let other = Message::new(first.to(), first.text().clone());
    for message in [&first, &first, &other] {
        world.provider.send(message).await.expect("accepted");
    }
    let identity = |request: &HttpRequest| {
        let mut headers = request.headers.clone();
        headers.retain(|(name, _)| name != "authorization");
        (request.target.clone(), headers, request.body.clone())
    };
    let sends: Vec<_> = world.sends().iter().map(identity).collect();
    assert_eq!(sends.len(), 3);
    assert!(sends[0] == sends[1], "a repeat is another request");
    assert!(sends[0] != sends[2], "another message is the same request");
    Verdict::kept()
}

/// Checks that a check makes no request for sending.
pub async fn a_check_sends_no_text(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    world
        .provider
        .check()
        .await
        .expect("good credentials are good, or the vendor cannot tell");
    assert_eq!(world.sends().len(), 0);
    Verdict::kept()
}

/// Checks that a failed check is never in doubt, and that its error does not mention a message.
pub async fn a_check_is_never_in_doubt(vendor: &impl FakeVendor) -> Verdict {
    for reply in [
        Reply::Reset,
        Reply::Close,
        Reply::Stall,
        Reply::html(200),
        Reply::status(302).with_header("location", "/elsewhere"),
        Reply::html(401),
        Reply::html(403),
        Reply::status(429),
        Reply::status(500),
        Reply::html(502),
    ] {
        for tokens_are_given in [false, true] {
            let given = reply.clone();
            let world = World::whole(vendor, move |vendor, request| {
                let token = (tokens_are_given && vendor.is_token(request))
                    .then(|| vendor.other_reply(request))
                    .flatten();
                token.unwrap_or_else(|| given.clone())
            })
            .await;
            match world.provider.check().await {
                Err(error) => assert_of_a_check(&error, &format!("{reply:?}")),
                // The check of this vendor only requests a token.
                Ok(health) if tokens_are_given && health.refusal().is_none() => {}
                Ok(health) => {
                    assert_ne!(health.credentials(), Credentials::Verified, "{reply:?}");
                    if let Some(refusal) = health.refusal() {
                        assert_of_a_check(refusal, &format!("{reply:?}"));
                    }
                }
            }
        }
    }
    Verdict::kept()
}

#[track_caller]
fn assert_of_a_check(error: &postduif_core::SendError, what: &str) {
    assert_eq!(
        error.acceptance(),
        Acceptance::NotAccepted,
        "{what}: {error:?}"
    );
    let text = error.to_string();
    assert!(
        !text.contains("the message"),
        "{what}: a check sends no message: {text}"
    );
}

/// Checks that a send that is dropped while it waits for a token ends as not accepted.
pub async fn a_stalled_token_request_is_not_accepted(vendor: &impl FakeVendor) -> Verdict {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let world = World::whole(vendor, move |vendor, request| {
        if vendor.is_token(request) {
            seen.store(true, Ordering::SeqCst);
            return Reply::Stall;
        }
        let other = vendor.other_reply(request);
        other.unwrap_or_else(|| accept_all(vendor, request))
    })
    .await;
    let deadline = tokio::time::sleep(DEADLINE / 4);
    let message = message();
    let call = world.provider.send(&message);
    let ended = Departure::new().run_until(deadline, call).await;
    if !asked.load(Ordering::SeqCst) {
        return Verdict::skipped("FakeVendor::is_token finds no request for a token");
    }
    let acceptance = match &ended {
        Ok(Ok(receipt)) => panic!("accepted without a token as {receipt:?}"),
        Ok(Err(error)) => error.acceptance(),
        Err(acceptance) => *acceptance,
    };
    assert_eq!(acceptance, Acceptance::NotAccepted, "{ended:?}");
    assert_eq!(world.sends().len(), 0);
    Verdict::kept()
}

/// Checks that a send that is dropped is made at most once.
pub async fn a_dropped_send_is_made_at_most_once(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, |_, _| Reply::Stall).await;
    let message = message();
    let given_up = tokio::time::timeout(DEADLINE / 4, world.provider.send(&message)).await;
    assert!(given_up.is_err(), "the vendor never replies");
    // Work that continues without its caller has passed its deadline by then.
    tokio::time::sleep(LATER).await;
    assert!(world.sends().len() <= 1, "sent again after it was dropped");
    Verdict::kept()
}

/// Checks that nothing sends a message in doubt again, neither in the background nor in a batch.
pub async fn a_message_in_doubt_is_not_sent_again_later(vendor: &impl FakeVendor) -> Verdict {
    let mut worlds = Vec::new();
    let mut sends = tokio::task::JoinSet::new();
    for reply in [
        Reply::Reset,
        Reply::Close,
        Reply::Stall,
        Reply::html(403),
        Reply::status(500),
        Reply::json(200, "[]"),
    ] {
        let what = format!("{reply:?}");
        let world = World::new(vendor, move |_, _| reply.clone()).await;
        let provider = Arc::clone(&world.provider);
        sends.spawn(async move {
            let messages = messages(3);
            let _ = provider.send(&messages[0]).await;
            let _ = provider.send_batch(&messages[1..]).await;
        });
        worlds.push((world, what));
    }
    sends.join_all().await;
    // Only time shows what comes later.
    tokio::time::sleep(LATER).await;
    for (world, what) in worlds {
        world.assert_each_arrived_once(&messages(3), &what);
    }
    Verdict::kept()
}
