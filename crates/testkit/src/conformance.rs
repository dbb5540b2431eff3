//! The promises that every provider keeps, one function each.
//!
//! [`conformance!`](crate::conformance) makes each of them a named test.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, ErrorKind, Message, SendError, Sender, SenderKind, SmsProvider, Text, TextLimit,
};

use crate::{DEADLINE, End, HttpRequest, PretendVendor, Received, Reply, Server, refusing_address};

/// Makes a named test of every promise, for a [`PretendVendor`]:
///
/// ```no_run
/// # struct Example;
/// # impl Example { const fn new() -> Self { Self } }
/// mod conformance {
///     // postduif_testkit::conformance!(Example::new());
/// }
/// ```
///
/// A failure then reads `conformance::a_lost_answer_is_unknown`.
#[macro_export]
macro_rules! conformance {
    ($vendor:expr) => {
        $crate::conformance!(@each $vendor;
            a_message_arrives_as_it_is
            a_refusal_by_the_vendor_was_not_sent
            a_refused_connection_was_not_sent
            a_lost_answer_is_unknown
            a_stall_is_unknown_and_ends_in_time
            a_strangers_answer_is_unknown
            a_status_that_nobody_gives_after_reading_was_not_sent
            a_failing_server_is_unknown
            a_redirect_is_not_followed
            rubbish_in_a_success_is_unknown
            a_broken_body_is_unknown
            nothing_of_the_message_is_in_an_error
            a_code_that_echoes_the_text_is_not_kept
            a_wish_is_granted_or_refused
            a_text_too_long_is_refused_before_any_call
            a_check_sends_no_text
            a_dropped_send_is_made_at_most_once
            a_batch_has_one_outcome_for_each_message_in_order
            a_batch_sends_each_message_once
            a_refused_batch_was_not_sent
            a_lost_answer_to_a_batch_is_unknown
            entries_shuffled_or_doubled_find_their_message
            an_entry_left_out_is_unknown
        );
    };
    (@each $vendor:expr; $($promise:ident)+) => {
        $(
            #[test]
            fn $promise() {
                $crate::block_on($crate::promises::$promise(&$vendor));
            }
        )+
    };
}

/// Runs a future to its end, so that a test crate needs no runtime of its own.
///
/// # Panics
///
/// Where no runtime can be started, and where the future panics.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts")
        .block_on(future)
}

/// A vendor on loopback, and the provider that talks to it.
struct World<'v, V> {
    vendor: &'v V,
    server: Server,
    provider: Arc<dyn SmsProvider>,
}

impl<'v, V: PretendVendor> World<'v, V> {
    /// A vendor that answers each request for sending as `reply` says.
    async fn new(
        vendor: &'v V,
        reply: impl Fn(&V, &HttpRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let pretend = vendor.clone();
        let server = Server::start(move |request| {
            pretend
                .aside(request)
                .unwrap_or_else(|| reply(&pretend, request))
        })
        .await;
        let provider = vendor.provider(&server.url());
        Self {
            vendor,
            server,
            provider,
        }
    }

    /// The requests for sending that the vendor read to the end.
    fn sends(&self) -> Vec<HttpRequest> {
        let mut requests = self.server.requests();
        requests.retain(|request| self.vendor.aside(request).is_none());
        requests
    }

    /// The messages in them.
    fn received(&self) -> Vec<Received> {
        self.sends()
            .iter()
            .flat_map(|request| self.vendor.received(request))
            .collect()
    }

    /// Sends one message, which must fail so, after so many requests for sending.
    #[track_caller]
    fn assert_failed(
        &self,
        result: Result<postduif_core::Receipt, SendError>,
        expected: Failed,
        what: &str,
    ) {
        let error = match result {
            Ok(receipt) => panic!("{what}: accepted as {receipt:?}"),
            Err(error) => error,
        };
        assert_eq!(error.acceptance(), expected.acceptance, "{what}: {error:?}");
        if let Some(kind) = expected.kind {
            assert_eq!(error.kind(), kind, "{what}: {error:?}");
        }
        assert_eq!(
            error.provider(),
            Some(self.provider.profile().name()),
            "{what}: {error:?}"
        );
        assert_eq!(
            self.sends().len(),
            expected.sends,
            "{what}: requests for sending"
        );
    }
}

#[derive(Clone, Copy)]
struct Failed {
    acceptance: Acceptance,
    kind: Option<ErrorKind>,
    sends: usize,
}

impl Failed {
    const fn unknown(kind: ErrorKind) -> Self {
        Self {
            acceptance: Acceptance::Unknown,
            kind: Some(kind),
            sends: 1,
        }
    }

    const fn not_accepted(kind: ErrorKind, sends: usize) -> Self {
        Self {
            acceptance: Acceptance::NotAccepted,
            kind: Some(kind),
            sends,
        }
    }
}

/// Distinct in everything, and ending in the message's place, so that a mix-up shows.
fn messages(count: usize) -> Vec<Message> {
    (0..count)
        .map(|place| {
            let to = format!("+316123450{:02}", place % 97)
                .parse()
                .expect("a number");
            Message::new(
                to,
                Text::new(format!("Your code is 48291{place}, keep it")).expect("a text"),
            )
        })
        .collect()
}

fn message() -> Message {
    messages(1).remove(0)
}

fn accept_all<V: PretendVendor>(vendor: &V, request: &HttpRequest) -> Reply {
    let entries: Vec<_> = (0..vendor.received(request).len()).collect();
    vendor.accept(request, &entries)
}

/// One function for each promise.
pub mod promises {
    use super::*;

    /// What is accepted arrives whole, and the receipt is the message's. What the vendor cannot carry is refused
    /// before any call, never changed.
    pub async fn a_message_arrives_as_it_is(vendor: &impl PretendVendor) {
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
    }

    /// The vendor's own refusal proves that the message was not sent.
    pub async fn a_refusal_by_the_vendor_was_not_sent(vendor: &impl PretendVendor) {
        let world = World::new(vendor, |vendor, request| vendor.refuse(request, "no")).await;
        let result = world.provider.send(&message()).await;
        world.assert_failed(
            result,
            Failed::not_accepted(vendor.refusal(), 1),
            "a refusal",
        );
    }

    /// Nobody there: nothing left.
    pub async fn a_refused_connection_was_not_sent(vendor: &impl PretendVendor) {
        let provider = vendor.provider(&format!("http://{}", refusing_address().await));
        let error = provider.send(&message()).await.expect_err("nobody listens");
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Unavailable, Acceptance::NotAccepted)
        );
        assert!(error.may_resend() && error.may_reroute());
    }

    /// The request was read and no answer came: in doubt, and made once.
    pub async fn a_lost_answer_is_unknown(vendor: &impl PretendVendor) {
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
    }

    /// No answer ever: in doubt within the deadline.
    pub async fn a_stall_is_unknown_and_ends_in_time(vendor: &impl PretendVendor) {
        let world = World::new(vendor, |_, _| Reply::Stall).await;
        let started = Instant::now();
        let result = world.provider.send(&message()).await;
        assert!(
            started.elapsed() < DEADLINE * 2,
            "it took {:?}",
            started.elapsed()
        );
        world.assert_failed(result, Failed::unknown(ErrorKind::Timeout), "a stall");
    }

    /// A proxy or filter answered in the vendor's place, perhaps after the vendor took the text.
    pub async fn a_strangers_answer_is_unknown(vendor: &impl PretendVendor) {
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
    }

    /// These statuses come from whoever did not read the message.
    pub async fn a_status_that_nobody_gives_after_reading_was_not_sent(
        vendor: &impl PretendVendor,
    ) {
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
    }

    /// From 500 up nothing is proven.
    pub async fn a_failing_server_is_unknown(vendor: &impl PretendVendor) {
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
    }

    /// The host that a redirect names sees nothing, and the doubt stays.
    pub async fn a_redirect_is_not_followed(vendor: &impl PretendVendor) {
        let elsewhere = Server::start(|_| Reply::json(200, "{}")).await;
        for status in [301, 302, 303, 307, 308] {
            let location = elsewhere.url();
            let reply = move |_: &_, _: &HttpRequest| {
                Reply::status(status).with_header("location", &location)
            };
            let world = World::new(vendor, reply).await;
            let result = world.provider.send(&message()).await;
            world.assert_failed(
                result,
                Failed::unknown(ErrorKind::Protocol),
                &status.to_string(),
            );
        }
        assert_eq!(elsewhere.connections(), 0);
    }

    /// A success that does not read as the vendor's.
    pub async fn rubbish_in_a_success_is_unknown(vendor: &impl PretendVendor) {
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
    }

    /// A body that does not come whole, in time, or within any bound.
    pub async fn a_broken_body_is_unknown(vendor: &impl PretendVendor) {
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
    }

    /// Vendors repeat text and number in their words; no error of ours does.
    pub async fn nothing_of_the_message_is_in_an_error(vendor: &impl PretendVendor) {
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
    }

    /// Not even where a code should stand.
    pub async fn a_code_that_echoes_the_text_is_not_kept(vendor: &impl PretendVendor) {
        for code in [
            "482910",
            "E482910",
            "4829",
            "code-482910",
            "31612345000",
            "keep it",
        ] {
            let world = World::new(vendor, move |vendor, request| {
                vendor
                    .refuse_with_code(request, code)
                    .unwrap_or_else(|| vendor.refuse(request, code))
            })
            .await;
            let error = world.provider.send(&message()).await.expect_err("refused");
            assert_clean(&error);
        }
    }

    /// Declared works: it arrives on the wire. Undeclared is refused before any call, never dropped.
    pub async fn a_wish_is_granted_or_refused(vendor: &impl PretendVendor) {
        let world = World::new(vendor, accept_all).await;
        let profile = world.provider.profile().clone();
        let sent = |before: usize| world.sends().len() - before;

        let validity = profile
            .validity()
            .map_or(Duration::from_secs(600), |range| *range.end());
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

        let now = DateTime::<Utc>::from(std::time::SystemTime::now());
        let ahead = profile
            .furthest_send_at()
            .unwrap_or(Duration::from_secs(7200));
        let send_at =
            DateTime::from_timestamp(now.timestamp() + ahead.as_secs().min(7200) as i64, 0)
                .expect("a time");
        let before = world.sends().len();
        let result = world.provider.send(&message().with_send_at(send_at)).await;
        if profile.furthest_send_at().is_some() {
            result.expect("a declared schedule is taken");
            assert_eq!(
                world.received().pop().and_then(|received| received.send_at),
                Some(send_at)
            );
        } else {
            assert_unsupported(result, sent(before), "scheduling");
        }

        for (kind, sender) in [
            (SenderKind::Alphanumeric, "Contoso"),
            (SenderKind::Number, "+31687654321"),
            (SenderKind::ShortCode, "1008"),
        ] {
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
                let digits = |text: &str| text.trim_start_matches(['+', '0']).to_owned();
                assert_eq!(digits(&arrived), digits(&sender.to_string()));
            } else {
                assert_unsupported(result, sent(before), "sender");
            }
        }
    }

    /// The declared limit holds, to the character.
    pub async fn a_text_too_long_is_refused_before_any_call(vendor: &impl PretendVendor) {
        let world = World::new(vendor, accept_all).await;
        let (fits, too_long) = match world.provider.profile().longest_text() {
            Some(TextLimit::Characters(limit)) => ("x".repeat(limit), "x".repeat(limit + 1)),
            Some(TextLimit::Parts(1)) => ("x".repeat(160), "x".repeat(161)),
            Some(TextLimit::Parts(limit)) => ("x".repeat(153 * limit), "x".repeat(153 * limit + 1)),
            _ => return,
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
    }

    /// Not ever.
    pub async fn a_check_sends_no_text(vendor: &impl PretendVendor) {
        let world = World::new(vendor, accept_all).await;
        world
            .provider
            .check()
            .await
            .expect("good credentials are good, or the vendor cannot tell");
        assert_eq!(world.sends().len(), 0);
    }

    /// Whoever gives up on a send has not sent it twice.
    pub async fn a_dropped_send_is_made_at_most_once(vendor: &impl PretendVendor) {
        let world = World::new(vendor, |_, _| Reply::Stall).await;
        let message = message();
        let given_up = tokio::time::timeout(DEADLINE / 4, world.provider.send(&message)).await;
        assert!(given_up.is_err(), "the vendor never answers");
        assert!(world.sends().len() <= 1);
    }

    /// Whatever the length, none included.
    pub async fn a_batch_has_one_outcome_for_each_message_in_order(vendor: &impl PretendVendor) {
        let world = World::new(vendor, accept_all).await;
        let size = world.provider.profile().batch_size().get();
        for count in [0, 1, 2, size, size + 1] {
            let messages = messages(count);
            let outcomes = world.provider.send_batch(&messages).await;
            assert_eq!(outcomes.len(), count);
            for (message, outcome) in messages.iter().zip(&outcomes) {
                assert_eq!(
                    outcome.as_ref().expect("accepted").reference(),
                    message.reference()
                );
            }
        }
    }

    /// Different texts, the same number twice: each arrives once, in no more calls than needed.
    pub async fn a_batch_sends_each_message_once(vendor: &impl PretendVendor) {
        let world = World::new(vendor, accept_all).await;
        let size = world.provider.profile().batch_size().get();
        let mut messages = messages(7);
        messages[6] = Message::new(messages[0].to(), messages[6].text().clone());
        let outcomes = world.provider.send_batch(&messages).await;
        assert_eq!(outcomes.accepted(), 7);
        let mut arrived: Vec<_> = world
            .received()
            .into_iter()
            .map(|received| (received.to, received.text))
            .collect();
        let mut expected: Vec<_> = messages
            .iter()
            .map(|message| (message.to(), message.text().as_str().to_owned()))
            .collect();
        arrived.sort();
        expected.sort();
        assert_eq!(arrived, expected);
        assert_eq!(world.sends().len(), 7_usize.div_ceil(size), "calls");
    }

    /// A call refused as a whole is refused for each of its messages.
    pub async fn a_refused_batch_was_not_sent(vendor: &impl PretendVendor) {
        let world = World::new(vendor, |vendor, request| vendor.refuse(request, "no")).await;
        let outcomes = world.provider.send_batch(&messages(3)).await;
        assert_eq!(outcomes.len(), 3);
        for outcome in &outcomes {
            assert_eq!(
                outcome.as_ref().expect_err("refused").acceptance(),
                Acceptance::NotAccepted
            );
        }
    }

    /// A call whose answer is lost leaves each of its messages in doubt, and none is sent again.
    pub async fn a_lost_answer_to_a_batch_is_unknown(vendor: &impl PretendVendor) {
        let world = World::new(vendor, |_, _| Reply::Reset).await;
        let outcomes = world.provider.send_batch(&messages(3)).await;
        for outcome in &outcomes {
            assert_eq!(
                outcome.as_ref().expect_err("in doubt").acceptance(),
                Acceptance::Unknown
            );
        }
        assert_eq!(world.received().len(), 3, "each message was in one request");
    }

    /// The answer's order means nothing, and saying a thing twice does not change it.
    pub async fn entries_shuffled_or_doubled_find_their_message(vendor: &impl PretendVendor) {
        let world = World::new(vendor, |vendor, request| {
            let count = vendor.received(request).len();
            let shuffled: Vec<_> = if count > 1 {
                (0..count).rev().chain([0]).collect()
            } else {
                vec![0]
            };
            vendor.accept(request, &shuffled)
        })
        .await;
        let messages = messages(3);
        let outcomes = world.provider.send_batch(&messages).await;
        for (message, outcome) in messages.iter().zip(&outcomes) {
            assert_eq!(
                outcome.as_ref().expect("accepted").reference(),
                message.reference()
            );
        }
    }

    /// An answer that does not mention a message says nothing of it.
    pub async fn an_entry_left_out_is_unknown(vendor: &impl PretendVendor) {
        let world = World::new(vendor, |vendor, request| {
            let count = vendor.received(request).len();
            if count > 1 {
                vendor.accept(request, &[0, 2])
            } else {
                accept_all(vendor, request)
            }
        })
        .await;
        if world.provider.profile().batch_size().get() < 3 {
            return;
        }
        let outcomes = world.provider.send_batch(&messages(3)).await;
        assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
        let error = outcomes[1].as_ref().expect_err("nobody spoke of it");
        assert_eq!(error.acceptance(), Acceptance::Unknown, "{error:?}");
        assert_eq!(world.sends().len(), 1);
    }
}

#[track_caller]
fn assert_unsupported(result: Result<postduif_core::Receipt, SendError>, sends: usize, what: &str) {
    let error = result.expect_err("an undeclared wish is refused");
    let told = (error.kind(), error.acceptance());
    assert_eq!(
        told,
        (ErrorKind::Unsupported, Acceptance::NotAccepted),
        "{what}: {error:?}"
    );
    assert_eq!(sends, 0, "{what}: refused before any call");
}

/// No word of the test's messages and no whole number, in any form that an error can be shown in.
#[track_caller]
fn assert_clean(error: &SendError) {
    let mut shown = format!("{error} {error:?} {error:#?} {:?}", error.code());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        write!(shown, " {error} {error:?}").expect("a String takes all");
        cause = error.source();
    }
    for secret in ["4829", "Your code", "keep it", "31612345000", "612345000"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}

/// 64 MiB of zeros, deflated: one block of fixed codes that repeats itself. Written by hand, so that the
/// testkit needs no compressor.
fn gzip_bomb() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let (mut held, mut count) = (0_u64, 0);
    let mut put = |value: u64, bits: u32, bytes: &mut Vec<u8>| {
        held |= value << count;
        count += bits;
        while count >= 8 {
            bytes.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    };
    // RFC 1951: final block, fixed codes; a literal zero (00110000); then length 258 (11000101) at
    // distance 1 (00000), codes from their highest bit.
    put(0b011, 3, &mut bytes);
    put(0b0000_1100, 8, &mut bytes);
    for _ in 0..64 * 1024 * 1024 / 258 {
        put(0b1010_0011, 8, &mut bytes);
        put(0, 5, &mut bytes);
    }
    put(0, 7 + 8, &mut bytes);
    // The sums at the end are missing: whoever unpacks has done the work by then.
    bytes
}
