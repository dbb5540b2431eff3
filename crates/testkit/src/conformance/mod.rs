//! The suite of promises that every provider keeps, one function each.
//!
//! [`conformance!`](crate::conformance) makes each of them a named test.

mod batches;
pub mod promises;

use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, ErrorKind, Message, Outcomes, PhoneNumber, Profile, Receipt, SendError,
    SmsProvider, Text,
};
use serde_json::Value;

use crate::{FakeVendor, HttpRequest, Received, Reply, Server};

/// Makes a named test of every promise, for a [`FakeVendor`]:
///
/// ```
/// # mod postduif {
/// #     pub use postduif_core::*;
/// #     pub use postduif_http as http;
/// #     pub extern crate postduif_testkit as testing;
/// # }
/// # use postduif::{Health, Message, Outcomes, Receipt, SendError, async_trait};
/// # #[derive(Debug)]
/// # struct Acme { profile: Profile, client: http::Client, base: http::BaseUrl }
/// # #[derive(serde::Deserialize)]
/// # struct Body { id: Option<String>, acme_error: Option<u16> }
/// # impl Acme {
/// #     async fn attempt(&self, message: &Message) -> Result<Receipt, SendError> {
/// #         let (message, dropped) = message.fit(&self.profile);
/// #         self.profile.validate(&message)?;
/// #         let body = json!({"to": message.to(), "text": message.text().as_str(), "ref": message.reference()});
/// #         let request = http::Request::post(&self.base, "/messages")
/// #             .with_secret_header("x-acme-key", &"hunter2-at-acme".into())
/// #             .with_json(&body);
/// #         let response = self.client.send(request).await?;
/// #         if !response.is_success() {
/// #             let body = response.json().ok().filter(|body: &Body| body.id.is_none());
/// #             let kind = body.and_then(|body| body.acme_error).map(|code| match code {
/// #                 1 => ErrorKind::InvalidRecipient,
/// #                 9 => ErrorKind::Unauthorized,
/// #                 _ => ErrorKind::Other,
/// #             });
/// #             return Err(response.refused(kind.map(|kind| http::Refusal::new(kind, "Acme refused it"))));
/// #         }
/// #         let Body { id, acme_error } = response.json()?;
/// #         let id = id.filter(|_| acme_error.is_none()).unwrap_or_default();
/// #         let receipt = Receipt::new("acme", *message.reference()).with_dropped(dropped);
/// #         Ok(receipt.with_id(http::Response::message_id(&id)?))
/// #     }
/// # }
/// # #[async_trait]
/// # impl SmsProvider for Acme {
/// #     fn profile(&self) -> &Profile { &self.profile }
/// #     async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
/// #         self.attempt(message).await.map_err(|error| error.with_provider("acme"))
/// #     }
/// #     async fn send_batch(&self, messages: &[Message]) -> Outcomes {
/// #         let mut outcomes = Outcomes::in_doubt(messages);
/// #         for (index, message) in messages.iter().enumerate() {
/// #             outcomes.set(index, self.send(message).await);
/// #         }
/// #         outcomes
/// #     }
/// #     async fn check(&self) -> Result<Health, SendError> { Ok(Health::unknown()) }
/// # }
/// use std::sync::Arc;
///
/// use postduif::testing::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
/// use postduif::{ErrorKind, Profile, SmsProvider, http};
/// use serde_json::{Value, json};
///
/// impl Acme {
///     /// Creates your provider for the fake vendor at this URL.
///     fn at(base: &str) -> Self {
///         // The suite waits for a stalled reply no longer than about this.
///         let client = http::Client::builder().with_timeout(DEADLINE).build().unwrap();
///         let base = http::BaseUrl::parse(base).unwrap();
///         Self { profile: Profile::new("acme"), client, base }
///     }
/// }
///
/// /// Acme as its documentation describes it: it replies to `POST /messages` with `{"to", "text", "ref"}` by
/// /// `{"id"}`, or refuses with `{"acme_error": NUMBER, "explanation"}`.
/// #[derive(Clone)]
/// struct FakeAcme;
///
/// impl FakeVendor for FakeAcme {
///     fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
///         Arc::new(Acme::at(base))
///     }
///
///     fn other_reply(&self, _: &HttpRequest) -> Option<Reply> {
///         None // Acme has neither tokens nor a balance
///     }
///
///     fn received(&self, request: &HttpRequest) -> Vec<Received> {
///         let body: Value = serde_json::from_slice(&request.body).expect("JSON");
///         let to = body["to"].as_str().expect("a number").parse().expect("E.164");
///         let mut received = Received::new(to, body["text"].as_str().expect("a text"));
///         received.reference = body["ref"].as_str().map(str::to_owned);
///         vec![received]
///     }
///
///     fn accept(&self, _: &HttpRequest, _: &[usize]) -> Reply {
///         Reply::json(201, r#"{"id":"acme-1"}"#)
///     }
///
///     fn refuse(&self, _: &HttpRequest, words: &str) -> Reply {
///         Reply::json(400, json!({"acme_error": 1, "explanation": words}).to_string())
///     }
///
///     fn refusal(&self) -> ErrorKind {
///         ErrorKind::InvalidRecipient // Acme's error 1
///     }
///
///     fn refuse_with_code(&self, _: &HttpRequest, _: &str) -> Option<Reply> {
///         None // Acme's codes are numbers: none can hold a text
///     }
///
///     // The other methods have defaults, which leave out what they describe.
///     fn refuse_unlisted(&self, _: &HttpRequest) -> Option<Reply> {
///         Some(Reply::json(400, r#"{"acme_error":7391}"#))
///     }
///
///     fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
///         Some(Reply::json(401, r#"{"acme_error":9}"#))
///     }
///
///     fn credentials(&self) -> Vec<String> {
///         vec!["hunter2-at-acme".to_owned()] // what `provider` is built with
///     }
///
///     fn accept_with_id(&self, _: &HttpRequest, id: &str) -> Option<Reply> {
///         Some(Reply::json(201, json!({"id": id}).to_string()))
///     }
/// }
///
/// mod conformance {
/// #   use super::postduif;
///     postduif::testing::conformance!(super::FakeAcme);
/// }
/// #
/// # fn main() {
/// #     use postduif::testing::{block_on, promises};
/// #     let kept = [
/// #         block_on(promises::a_message_arrives_as_it_is(&FakeAcme)),
/// #         block_on(promises::a_refusal_by_the_vendor_was_not_sent(&FakeAcme)),
/// #         block_on(promises::an_unlisted_refusal_is_not_sent_again(&FakeAcme)),
/// #         block_on(promises::a_refusal_beside_an_id_is_unknown(&FakeAcme)),
/// #         block_on(promises::an_acceptance_without_a_usable_id_is_unknown(&FakeAcme)),
/// #         block_on(promises::a_batch_sends_each_message_once(&FakeAcme)),
/// #         block_on(promises::no_secret_is_shown_anywhere(&FakeAcme)),
/// #     ];
/// #     assert!(kept.iter().all(|verdict| verdict.why_skipped().is_empty()), "{kept:?}");
/// #     let verdict = block_on(promises::refused_credentials_are_unauthorized(&FakeAcme));
/// #     assert_eq!(verdict.why_skipped(), ["the check of this vendor cannot verify credentials; the promise about a send was tested and is kept"]);
/// # }
/// ```
///
/// A failure then reads `conformance::a_lost_response_is_unknown`. A promise that does not apply to the vendor, or
/// that the [`FakeVendor`] does not describe, passes and prints `skipped: PROMISE: why` on standard error.
#[macro_export]
macro_rules! conformance {
    ($vendor:expr) => {
        $crate::conformance!(@each $vendor;
            a_message_arrives_as_it_is
            a_refusal_by_the_vendor_was_not_sent
            refused_credentials_are_unauthorized
            a_refused_connection_was_not_sent
            a_lost_response_is_unknown
            a_stall_is_unknown_and_ends_in_time
            a_response_from_a_proxy_is_unknown
            foreign_json_is_unknown
            a_status_that_proves_no_refusal_is_unknown
            a_status_given_before_reading_was_not_sent
            a_failing_server_is_unknown
            an_unlisted_refusal_is_not_sent_again
            a_refusal_beside_an_id_is_unknown
            a_redirect_is_not_followed
            rubbish_in_a_success_is_unknown
            a_broken_body_is_unknown
            an_acceptance_without_a_usable_id_is_unknown
            an_acceptance_of_another_message_is_unknown
            a_wrong_content_type_changes_nothing
            nothing_of_the_message_is_in_an_error
            a_code_that_echoes_the_text_is_not_kept
            no_secret_is_shown_anywhere
            a_vendor_message_is_kept_only_if_asked_for
            a_vendor_message_repeats_nothing_of_ours
            an_option_is_applied_or_refused
            an_option_where_possible_is_applied_or_dropped
            a_message_without_a_required_sender_is_refused
            a_text_too_long_is_refused_before_any_call
            a_declared_report_finds_its_message
            a_repeat_inside_the_window_is_the_same_request
            a_check_sends_no_text
            a_check_is_never_in_doubt
            a_stalled_token_request_is_not_accepted
            a_dropped_send_is_made_at_most_once
            a_message_in_doubt_is_not_sent_again_later
            a_batch_has_one_outcome_for_each_message_in_order
            a_batch_sends_each_message_once
            a_call_holds_one_text_where_the_vendor_takes_one
            a_refused_batch_was_not_sent
            a_lost_response_to_a_batch_is_unknown
            a_response_from_a_proxy_leaves_a_batch_in_doubt
            a_failing_server_leaves_a_batch_in_doubt
            rubbish_in_a_success_leaves_a_batch_in_doubt
            a_batch_carries_each_message_as_a_send_does
            shuffled_or_duplicate_entries_find_their_message
            a_missing_entry_is_unknown
        );
    };
    (@each $vendor:expr; $($promise:ident)+) => {
        $(
            #[test]
            fn $promise() {
                $crate::block_on($crate::promises::$promise(&$vendor)).print_skipped(stringify!($promise));
            }
        )+
    };
}

/// Runs a future to its end, so that a test crate needs no runtime of its own.
///
/// # Panics
///
/// Panics if no runtime can be started, or if the future panics.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts")
        .block_on(future)
}

/// The result of a promise that was not broken: a broken one panics.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Verdict {
    skipped: Vec<String>,
}

impl Verdict {
    /// Creates the verdict of a promise that was kept, as far as the suite can see.
    pub(crate) const fn kept() -> Self {
        Self {
            skipped: Vec::new(),
        }
    }

    /// Creates the verdict of a promise that does not apply, or that the description says too little to try.
    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self {
            skipped: vec![why.into()],
        }
    }

    pub(crate) fn skip(&mut self, why: impl Into<String>) {
        self.skipped.push(why.into());
    }

    /// Returns why something was not tried; empty if everything was.
    #[must_use]
    pub fn why_skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Prints a line on standard error for each skipped part, past the test runner's capture: a promise that was not
    /// tried must not look like one that was kept.
    pub fn print_skipped(self, promise: &str) {
        for why in self.skipped {
            // A test does not fail for a closed standard error.
            let _ = writeln!(std::io::stderr(), "skipped: {promise}: {why}");
        }
    }
}

/// A vendor on loopback, and the provider that sends to it.
struct World<'v, V> {
    vendor: &'v V,
    server: Server,
    provider: Arc<dyn SmsProvider>,
    /// The number of requests for sending before the one under test.
    before: AtomicUsize,
}

impl<'v, V: FakeVendor> World<'v, V> {
    /// Starts a vendor that replies to each request for sending by `reply`.
    async fn new(
        vendor: &'v V,
        reply: impl Fn(&V, &HttpRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::whole(vendor, move |vendor, request| {
            vendor
                .other_reply(request)
                .unwrap_or_else(|| reply(vendor, request))
        })
        .await
    }

    /// Starts a vendor that replies to each request by `reply`, also to those that send nothing.
    async fn whole(
        vendor: &'v V,
        reply: impl Fn(&V, &HttpRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let fake = vendor.clone();
        let server = Server::start(move |request| reply(&fake, request)).await;
        let provider = provider_at(vendor, &server.url());
        Self {
            vendor,
            server,
            provider,
            before: AtomicUsize::new(0),
        }
    }

    /// Starts a vendor that replies to a request for sending with the current value of `next`.
    async fn changing(vendor: &'v V) -> (Self, Arc<Mutex<Reply>>) {
        let next = Arc::new(Mutex::new(Reply::Close));
        let reply = Arc::clone(&next);
        let world = Self::new(vendor, move |_, _| {
            let reply = reply.lock().unwrap_or_else(PoisonError::into_inner);
            reply.clone()
        })
        .await;
        (world, next)
    }

    /// Starts a vendor that refuses in its own shape at this status, from 500 up, which proves nothing. The second
    /// value holds the reason if it was not tried, once the vendor was called.
    async fn failing(vendor: &'v V, status: u16) -> (Self, Arc<OnceLock<String>>) {
        let skipped = Arc::new(OnceLock::new());
        let why = Arc::clone(&skipped);
        let world = Self::new(vendor, move |vendor, request| {
            let reply = vendor.refuse(request, "no").with_status(status);
            if let Reply::Response { body, .. } = &reply
                && vendor.documents(status, &String::from_utf8_lossy(body))
            {
                why.get_or_init(|| format!("the vendor documents its refusal at {status}"));
            }
            reply
        })
        .await;
        (world, skipped)
    }

    /// Sends one message, to which the vendor replies with `reply`.
    async fn send_with(&self, next: &Mutex<Reply>, reply: Reply) -> Result<Receipt, SendError> {
        self.before.store(self.sends().len(), Ordering::SeqCst);
        *next.lock().unwrap_or_else(PoisonError::into_inner) = reply;
        self.provider.send(&message()).await
    }

    /// Returns the requests for sending that the vendor read to the end.
    fn sends(&self) -> Vec<HttpRequest> {
        let mut requests = self.server.requests();
        requests.retain(|request| self.vendor.other_reply(request).is_none());
        requests
    }

    /// Returns the messages in them.
    fn received(&self) -> Vec<Received> {
        self.sends()
            .iter()
            .flat_map(|request| self.vendor.received(request))
            .collect()
    }

    /// Checks that a send failed as expected, with the expected number of requests for sending.
    #[track_caller]
    fn assert_failed(&self, result: Result<Receipt, SendError>, expected: Failed, what: &str) {
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
            self.sends().len() - self.before.load(Ordering::SeqCst),
            expected.sends,
            "{what}: requests for sending"
        );
    }
}

impl<V: FakeVendor> World<'_, V> {
    /// Checks that the vendor read each of these messages once, and nothing else.
    #[track_caller]
    fn assert_each_arrived_once(&self, messages: &[Message], what: &str) {
        let shown = |to: PhoneNumber, text: &str| format!("{to} {text}");
        let received = self.received();
        let received = received.iter().map(|one| shown(one.to, &one.text));
        let expected = messages
            .iter()
            .map(|one| shown(one.to(), one.text().as_str()));
        let (mut received, mut expected): (Vec<_>, Vec<_>) =
            (received.collect(), expected.collect());
        received.sort();
        expected.sort();
        assert_eq!(received, expected, "{what}: messages that the vendor read");
    }

    /// Checks that each message of a batch is in doubt, and was sent once.
    #[track_caller]
    fn assert_all_in_doubt(&self, outcomes: &Outcomes, messages: &[Message], what: &str) {
        assert_eq!(outcomes.len(), messages.len(), "{what}: outcomes");
        for (index, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Ok(receipt) => panic!("{what}: message {index} was accepted as {receipt:?}"),
                Err(error) => assert_eq!(
                    (error.acceptance(), error.provider()),
                    (Acceptance::Unknown, Some(self.provider.profile().name())),
                    "{what}: message {index}: {error:?}"
                ),
            }
        }
        self.assert_each_arrived_once(messages, what);
    }
}

/// Builds the provider under test, which must be able to send messages without a sender.
#[track_caller]
fn provider_at(vendor: &impl FakeVendor, base: &str) -> Arc<dyn SmsProvider> {
    let provider = vendor.provider(base);
    assert!(
        !provider.profile().sender_required(),
        "the profile requires a sender of each message: build FakeVendor::provider with a default sender, \
         and return the one without it from FakeVendor::without_sender"
    );
    provider
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

/// Returns messages that differ in everything and end in their index, so that a mix-up shows.
fn messages(count: usize) -> Vec<Message> {
    (0..count)
        .map(|index| {
            let to = format!("+316123450{:02}", index % 97)
                .parse()
                .expect("a number");
            Message::new(
                to,
                Text::new(format!("Your code is 48291{index}, keep it")).expect("a text"),
            )
        })
        .collect()
}

fn message() -> Message {
    messages(1).remove(0)
}

/// The time after an outcome within which the suite looks for a message that is sent again.
const LATER: Duration = Duration::from_secs(1);

/// Returns the longest validity period that the profile declares, or any.
fn validity(profile: &Profile) -> Duration {
    profile
        .validity()
        .map_or(Duration::from_secs(600), |range| *range.end())
}

/// Returns a send time two hours ahead, or less if the profile declares less.
fn send_at(profile: &Profile) -> DateTime<Utc> {
    let now = DateTime::<Utc>::from(std::time::SystemTime::now());
    let ahead = profile
        .max_schedule_ahead()
        .map_or(7200, |furthest| furthest.as_secs().min(7200));
    DateTime::from_timestamp(now.timestamp() + ahead as i64, 0).expect("a time")
}

/// Returns a reply that holds an acceptance and a refusal, at the status of either. `None` if the refusal has no room
/// for the members of an acceptance, or if one of them is not JSON.
fn contradictions(accepted: &Reply, refused: &Reply) -> Option<[Reply; 2]> {
    let read = |reply: &Reply| match reply {
        Reply::Response { status, body, .. } => {
            let body = serde_json::from_slice::<Value>(body).ok()?;
            Some((*status, body))
        }
        _ => None,
    };
    let ((at_accepted, accepted), (at_refused, refused)) = (read(accepted)?, read(refused)?);
    let mut both = refused.clone();
    fill(&mut both, accepted);
    let both = (both != refused).then(|| both.to_string())?;
    Some([at_accepted, at_refused].map(|status| Reply::json(status, both.as_str())))
}

/// Adds the members that `value` lacks, also within arrays.
fn fill(value: &mut Value, from: Value) {
    match (value, from) {
        (Value::Object(members), Value::Object(from)) => {
            for (name, from) in from {
                match members.get_mut(&name) {
                    Some(value) => fill(value, from),
                    None => drop(members.insert(name, from)),
                }
            }
        }
        (Value::Array(values), Value::Array(from)) => {
            for (value, from) in values.iter_mut().zip(from) {
                fill(value, from);
            }
        }
        _ => {}
    }
}

fn accept_all<V: FakeVendor>(vendor: &V, request: &HttpRequest) -> Reply {
    let entries: Vec<_> = (0..vendor.received(request).len()).collect();
    vendor.accept(request, &entries)
}

#[track_caller]
fn assert_unsupported(result: Result<Receipt, SendError>, sends: usize, what: &str) {
    let error = result.expect_err("an undeclared option is refused");
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unsupported, Acceptance::NotAccepted),
        "{what}: {error:?}"
    );
    assert_eq!(sends, 0, "{what}: refused before any call");
}

/// Returns everything that an error can show.
fn shown(error: &SendError) -> String {
    let json = serde_json::to_string(error).expect("an error is JSON");
    let mut shown = format!("{error} {error:?} {error:#?} {:?} {json}", error.code());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        write!(shown, " {error} {error:?}").expect("a String takes all");
        cause = error.source();
    }
    shown
}

/// Parts of the test's messages, and whole numbers, none of which any output may show.
const PRIVATE: [&str; 5] = ["4829", "Your code", "keep it", "31612345000", "612345000"];

/// Checks that an error shows no part of the test's messages and no whole number.
#[track_caller]
fn assert_clean(error: &SendError) {
    let shown = shown(error);
    for secret in PRIVATE {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}

/// Returns 64 MiB of zeros, deflated: one block of fixed codes that repeats itself. Written out, so that the testkit
/// needs no compressor.
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
    // The checksums at the end are missing: a client that unpacks has done the work by then.
    bytes
}
