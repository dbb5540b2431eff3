//! Events over real sockets, verified by the library of Standard Webhooks.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::HeaderMap;
use chrono::DateTime;
use postduif_core::async_trait;
use postduif_onboarding::{EventSource, JournalError, JournalErrorKind, PendingEvent};
use postduif_testkit::{HttpRequest, Reply, Server, refusing_address};
use postduif_webhooks::EventPoster;
use standardwebhooks::Webhook;
use tokio::sync::{Notify, oneshot};

/// The secret of the published example, as in `standard_webhooks.rs` of the crate `http`.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Events that are due at once, whatever pause a poster names.
#[derive(Clone, Debug, Default)]
struct Events(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Each with how often it was taken. `None` once it is posted.
    events: Mutex<BTreeMap<String, Option<u32>>>,
    pauses: Mutex<Vec<Duration>>,
    /// How many calls of `posted` fail.
    forgets: AtomicUsize,
    changed: Notify,
}

impl Events {
    fn of(ids: &[&str]) -> Self {
        let events = Self::default();
        let all = ids.iter().map(|&id| (id.to_owned(), Some(0)));
        events.0.events.lock().unwrap().extend(all);
        events
    }

    fn are_posted(&self) -> bool {
        let events = self.0.events.lock().unwrap();
        events.values().all(Option::is_none)
    }

    fn pauses(&self) -> Vec<Duration> {
        self.0.pauses.lock().unwrap().clone()
    }

    /// Waits until this holds.
    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            if holds(self) {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl EventSource for Events {
    async fn take(&self, _: Duration) -> Result<Option<PendingEvent>, JournalError> {
        let mut events = self.0.events.lock().unwrap();
        let due = events.iter_mut().find_map(|(id, tries)| {
            let tries = tries.as_mut().filter(|tries| **tries < TAKEN)?;
            let mut event =
                PendingEvent::new(id, DateTime::UNIX_EPOCH, format!(r#"{{"id":"{id}"}}"#));
            event.tries = *tries;
            // Not due while it is taken.
            *tries += TAKEN;
            Some(event)
        });
        Ok(due)
    }

    async fn posted(&self, id: &str) -> Result<(), JournalError> {
        let forgets = &self.0.forgets;
        let forget = |left: usize| left.checked_sub(1);
        let forgets = forgets.fetch_update(Ordering::SeqCst, Ordering::SeqCst, forget);
        let mut events = self.0.events.lock().unwrap();
        let tries = events.get_mut(id).unwrap();
        if forgets.is_ok() {
            *tries = tries.map(|tries| tries - TAKEN + 1);
            return Err(JournalError::new(JournalErrorKind::Unavailable, "away"));
        }
        *tries = None;
        self.0.changed.notify_waiters();
        Ok(())
    }

    async fn postpone(&self, id: &str, pause: Duration) -> Result<(), JournalError> {
        self.0.pauses.lock().unwrap().push(pause);
        let mut events = self.0.events.lock().unwrap();
        let tries = events.get_mut(id).unwrap();
        *tries = tries.map(|tries| tries - TAKEN + 1);
        self.0.changed.notify_waiters();
        Ok(())
    }

    async fn wait(&self, _: Duration) {
        tokio::task::yield_now().await;
    }
}

const TAKEN: u32 = 1 << 20;

/// Posts until this completes.
async fn post(events: &Events, url: &str, until: impl Future<Output = ()>) {
    let poster = EventPoster::builder(events.clone(), url, SECRET)
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move {
        let _ = stopped.await;
    };
    let until = async {
        until.await;
        drop(stop);
    };
    tokio::join!(poster.run_until(stopped), until);
}

fn verify(request: &HttpRequest) -> bool {
    let headers: HeaderMap = request
        .headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    let webhook = Webhook::new(SECRET).unwrap();
    webhook.verify(&request.body, &headers).is_ok()
}

#[tokio::test]
async fn the_library_of_standard_webhooks_verifies_an_event() {
    let server = Server::start(|_| Reply::status(204)).await;
    let events = Events::of(&["evt_1"]);
    let url = format!("{}/in/flows?sig=a%2Fb", server.url());
    post(&events, &url, events.until(Events::are_posted)).await;
    let [request] = &server.requests()[..] else {
        panic!("one request")
    };
    assert!(verify(request));
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/in/flows?sig=a%2Fb");
    assert_eq!(request.text(), r#"{"id":"evt_1"}"#);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("webhook-id"), Some("evt_1"));
    // The verification can fail.
    let mut other = request.clone();
    other.body.push(b' ');
    assert!(!verify(&other));
}

#[tokio::test]
async fn an_event_is_tried_until_the_receiver_has_it_and_every_try_has_its_id() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(500),
        1 => Reply::Reset,
        2 => Reply::status(410),
        3 => Reply::status(302).with_header("location", "http://127.0.0.1:1/"),
        4 => Reply::status(429).with_header("retry-after", "200"),
        _ => Reply::json(200, "{}"),
    })
    .await;
    let events = Events::of(&["evt_1"]);
    post(&events, &server.url(), events.until(Events::are_posted)).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    for request in &requests {
        assert!(verify(request));
        assert_eq!(request.header("webhook-id"), Some("evt_1"));
    }
    let pauses: Vec<_> = events.pauses().iter().map(Duration::as_secs).collect();
    assert_eq!(pauses, [5, 10, 20, 40, 200]);
}

#[tokio::test]
async fn an_event_whose_success_was_not_stored_is_posted_again() {
    let server = Server::start(|_| Reply::status(200)).await;
    let events = Events::of(&["evt_1"]);
    events.0.forgets.store(1, Ordering::SeqCst);
    post(&events, &server.url(), events.until(Events::are_posted)).await;
    let ids: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("webhook-id").map(str::to_owned))
        .collect();
    assert_eq!(ids, [Some("evt_1".to_owned()), Some("evt_1".to_owned())]);
}

#[tokio::test]
async fn one_event_that_is_refused_holds_up_no_other() {
    let server = Server::start(|request| {
        let is_refused = request.header("webhook-id") == Some("evt_1");
        Reply::status(if is_refused { 400 } else { 200 })
    })
    .await;
    let events = Events::of(&["evt_1", "evt_2", "evt_3"]);
    let others = |events: &Events| {
        let events = events.0.events.lock().unwrap();
        events["evt_2"].is_none() && events["evt_3"].is_none() && events["evt_1"].is_some()
    };
    post(&events, &server.url(), events.until(others)).await;
    assert!(!events.pauses().is_empty());
}

#[tokio::test]
async fn a_receiver_that_is_away_is_tried_again() {
    let url = format!("http://{}/", refusing_address().await);
    let events = Events::of(&["evt_1"]);
    let twice = |events: &Events| events.pauses().len() >= 2;
    post(&events, &url, events.until(twice)).await;
    assert!(!events.are_posted());
}

#[test]
fn a_url_or_a_secret_that_is_not_safe_is_refused_without_being_shown() {
    for (url, secret) in [
        ("http://hunter2.example.com/", SECRET),
        ("https://user:hunter2@example.com/", SECRET),
        ("https://example.com/?a#hunter2", SECRET),
        ("hunter2", SECRET),
        ("https://example.com/", "hunter2"),
        ("https://example.com/", "whsec_"),
    ] {
        let builder = EventPoster::builder(Events::default(), url, secret);
        let shown = format!("{builder:?}");
        let error = builder.build().unwrap_err();
        let shown = format!("{shown} {error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let poster = EventPoster::builder(Events::default(), "https://example.com/?hunter2", SECRET);
    assert!(!format!("{:?}", poster.build().unwrap()).contains("hunter2"));
}

/// A source that is there once somebody says so.
#[derive(Debug, Default)]
struct Away(Arc<Notify>);

#[async_trait]
impl EventSource for Away {
    async fn take(&self, _: Duration) -> Result<Option<PendingEvent>, JournalError> {
        self.0.notified().await;
        Ok(None)
    }

    async fn posted(&self, _: &str) -> Result<(), JournalError> {
        Ok(())
    }

    async fn postpone(&self, _: &str, _: Duration) -> Result<(), JournalError> {
        Ok(())
    }

    async fn wait(&self, _: Duration) {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_has_what_the_source_needs_is_not_waited_for() {
    let source = Away::default();
    let is_there = Arc::clone(&source.0);
    let poster = EventPoster::builder(source, "http://127.0.0.1:9", SECRET)
        .build()
        .unwrap();
    let begun = tokio::time::Instant::now();
    let shutdown = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        is_there.notify_one();
    };
    poster.run_until(shutdown).await;
    assert_eq!(begun.elapsed().as_secs(), 1);
}
