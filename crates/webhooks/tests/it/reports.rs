//! The routes of delivery reports, with a parser whose signature is a header.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, LatestReports, MessageKey,
    Reference, ReportError, ReportParser, ReportRequest, ReportSink, ReportSinkError, Stored,
    async_trait,
};
use postduif_webhooks::{Reply, Reports, ReportsBuilder};
use tokio::sync::Notify;

const SECRET: &str = "5f0c1e9a7b3d4862";

/// The reference is in the query, the status is the body.
#[derive(Debug)]
struct Parser(Authenticity);

impl ReportParser for Parser {
    fn authenticity(&self) -> Authenticity {
        self.0
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        match request.header("x-signature")? {
            None => return Err(ReportError::unsigned("no signature")),
            Some("old") => return Err(ReportError::stale("old")),
            Some("good") => {}
            Some(_) => return Err(ReportError::forged("wrong")),
        }
        let status = match std::str::from_utf8(request.body()) {
            Ok("") | Err(_) => return Err(ReportError::malformed("no status")),
            Ok(status) => status.parse().unwrap_or(DeliveryStatus::Unknown),
        };
        let mut report = DeliveryReport::new("acme", status);
        match request.url().split_once("?reference=") {
            Some((_, reference)) => report = report.with_reference_text(reference),
            None => {
                report.id = Some("id-1".into());
                report.at = Some(now());
            }
        }
        Ok(vec![report])
    }
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn builder(authenticity: Authenticity, sink: impl ReportSink) -> ReportsBuilder {
    Reports::builder("https://hooks.example.com", sink).with_vendor("acme", Parser(authenticity))
}

fn routes(authenticity: Authenticity, sink: impl ReportSink) -> Reports {
    let builder = builder(authenticity, sink);
    let builder = match authenticity {
        Authenticity::BodyOnly => builder.with_path_secrets("acme", [SECRET]),
        Authenticity::Signed | Authenticity::Unsigned => builder,
    };
    builder.build().unwrap()
}

async fn post_at(
    reports: &Reports,
    path: &str,
    signature: Option<&str>,
    body: &str,
    now: DateTime<Utc>,
) -> Reply {
    let headers = signature.map(|signature| ("x-signature", signature));
    let headers = headers.iter().map(|(name, value)| (*name, *value));
    let request = reports.request("POST", path, headers, body.as_bytes());
    reports.receive_at("acme", &request, now).await
}

async fn post(reports: &Reports, path: &str, signature: Option<&str>, body: &str) -> Reply {
    post_at(reports, path, signature, body, now()).await
}

fn key(reference: &str) -> MessageKey {
    reference.parse::<Reference>().unwrap().into()
}

#[tokio::test]
async fn only_a_verified_report_is_stored() {
    for (signature, status) in [
        (None, 401),
        (Some("wrong"), 401),
        (Some("old"), 401),
        (Some("good"), 200),
    ] {
        let store = LatestReports::new();
        let reports = routes(Authenticity::Signed, store.clone());
        let reply = post(&reports, "/reports/acme?reference=a", signature, "sent").await;
        assert_eq!(reply.status(), status, "{signature:?}");
        assert_eq!(store.status(&key("a")).is_some(), status == 200);
    }
}

#[tokio::test]
async fn a_vendor_that_does_not_sign_has_no_route_without_its_secret() {
    // Its parser checks the path itself.
    let reports = routes(Authenticity::Unsigned, LatestReports::new());
    for (signature, status) in [(None, 404), (Some("wrong"), 404), (Some("good"), 200)] {
        let reply = post(&reports, "/reports/acme?reference=a", signature, "sent").await;
        assert_eq!(reply.status(), status);
    }
    let reports = routes(Authenticity::BodyOnly, LatestReports::new());
    for (path, status) in [
        ("/reports/acme?reference=a".to_owned(), 404),
        ("/reports/acme/5f0c1e9a7b3d4863?reference=a".into(), 404),
        (format!("/reports/acme/x{SECRET}?reference=a"), 404),
        (format!("/reports/acme/{SECRET}/x?reference=a"), 404),
        (format!("/reports/acme/?{SECRET}"), 404),
        (format!("/reports/acme/{SECRET}?reference=a"), 200),
    ] {
        let reply = post(&reports, &path, Some("good"), "sent").await;
        assert_eq!(reply.status(), status, "{path}");
    }
}

#[tokio::test]
async fn an_unknown_vendor_has_no_route() {
    let reports = routes(Authenticity::Signed, LatestReports::new());
    let headers: [(&str, &str); 0] = [];
    let headers = headers.iter().map(|(name, value)| (*name, *value));
    let request = reports.request("POST", "/reports/other", headers, b"");
    assert_eq!(reports.receive("other", &request).await.status(), 404);
}

#[tokio::test]
async fn a_captured_body_counts_for_the_first_url_only() {
    let store = LatestReports::new();
    let reports = routes(Authenticity::BodyOnly, store.clone());
    for reference in ["a", "a", "b"] {
        let path = format!("/reports/acme/{SECRET}?reference={reference}");
        let reply = post(&reports, &path, Some("good"), "delivered").await;
        assert_eq!(reply.status(), 200);
    }
    assert_eq!(store.status(&key("a")), Some(DeliveryStatus::Delivered));
    assert_eq!(store.status(&key("b")), None);
}

#[tokio::test]
async fn where_the_url_is_signed_the_same_body_is_about_two_messages() {
    let store = LatestReports::new();
    let reports = routes(Authenticity::Signed, store.clone());
    for reference in ["a", "b"] {
        let path = format!("/reports/acme?reference={reference}");
        let reply = post(&reports, &path, Some("good"), "delivered").await;
        assert_eq!(reply.status(), 200);
        let status = store.status(&key(reference));
        assert_eq!(status, Some(DeliveryStatus::Delivered));
    }
}

/// Fails for the first reports, and may know no message.
#[derive(Debug, Default)]
struct Sink {
    calls: AtomicUsize,
    failures: usize,
    unknown: bool,
}

#[async_trait]
impl ReportSink for Sink {
    async fn store(&self, _: &DeliveryReport) -> Result<Stored, ReportSinkError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match (call < self.failures, self.unknown) {
            (true, _) => Err(ReportSinkError::new("away")),
            (false, true) => Ok(Stored::Unknown),
            (false, false) => Ok(Stored::Known),
        }
    }
}

#[tokio::test]
async fn a_report_that_was_not_stored_is_taken_when_it_comes_again() {
    let sink = Arc::new(Sink {
        failures: 1,
        ..Sink::default()
    });
    let reports = routes(Authenticity::Signed, Arc::clone(&sink));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let reply = post(&reports, "/reports/acme?reference=a", Some("good"), "sent").await;
        statuses.push(reply.status());
        assert_eq!(reply.headers().count(), usize::from(reply.status() == 503));
    }
    assert_eq!(statuses, [503, 200, 200]);
    // The third was a repeated one.
    assert_eq!(sink.calls.load(Ordering::SeqCst), 2);
}

/// Stores the first report when it is told to, or fails then.
#[derive(Debug, Default)]
struct Slow {
    calls: AtomicUsize,
    go_on: Notify,
    is_away: bool,
}

#[async_trait]
impl ReportSink for Slow {
    async fn store(&self, _: &DeliveryReport) -> Result<Stored, ReportSinkError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            self.go_on.notified().await;
            if self.is_away {
                return Err(ReportSinkError::new("away"));
            }
        }
        Ok(Stored::Known)
    }
}

#[tokio::test]
async fn a_report_whose_caller_went_away_is_taken_when_it_comes_again() {
    let sink = Arc::<Slow>::default();
    let reports = routes(Authenticity::Signed, Arc::clone(&sink));
    let send = || post(&reports, "/reports/acme?reference=a", Some("good"), "sent");
    tokio::select! {
        biased;
        _ = send() => panic!("nothing is stored yet"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(send().await.status(), 200);
    assert_eq!(sink.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn equal_reports_at_the_same_time_are_stored_once_and_none_is_acknowledged_before() {
    // Where the first one fails, a repeat is stored instead.
    for (is_away, statuses, calls) in [(false, [200; 3], 1), (true, [503, 200, 200], 2)] {
        let sink = Arc::new(Slow {
            is_away,
            ..Slow::default()
        });
        let reports = routes(Authenticity::Signed, Arc::clone(&sink));
        let send = || post(&reports, "/reports/acme?reference=a", Some("good"), "sent");
        let repeats = async { tokio::join!(send(), send()) };
        let mut repeats = std::pin::pin!(repeats);
        let mut first = std::pin::pin!(send());
        tokio::select! {
            biased;
            _ = &mut first => panic!("nothing is stored yet"),
            _ = &mut repeats => panic!("nothing is stored yet"),
            () = std::future::ready(()) => {}
        }
        sink.go_on.notify_one();
        let (first, (second, third)) = tokio::join!(first, repeats);
        let found = [first, second, third].map(|reply| reply.status());
        assert_eq!(found, statuses);
        assert_eq!(sink.calls.load(Ordering::SeqCst), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_never_answers_keeps_no_equal_report_waiting_for_long() {
    /// Never answers.
    #[derive(Debug)]
    struct Stuck;

    #[async_trait]
    impl ReportSink for Stuck {
        async fn store(&self, _: &DeliveryReport) -> Result<Stored, ReportSinkError> {
            std::future::pending().await
        }
    }

    let reports = routes(Authenticity::Signed, Stuck);
    let send = || post(&reports, "/reports/acme?reference=a", Some("good"), "sent");
    let begun = tokio::time::Instant::now();
    let (first, second, third) = tokio::join!(send(), send(), send());
    let statuses = [first, second, third].map(|reply| reply.status());
    assert_eq!(statuses, [503; 3]);
    assert!(begun.elapsed().as_secs() <= 10);
}

#[tokio::test]
async fn a_fresh_report_by_an_id_that_is_not_known_yet_comes_again() {
    let later = now() + TimeDelta::minutes(2);
    for (path, at, status) in [
        ("/reports/acme", now(), 503),
        // Another system's.
        ("/reports/acme", later, 200),
        // A reference is known before the text leaves.
        ("/reports/acme?reference=a", now(), 200),
    ] {
        let sink = Sink {
            unknown: true,
            ..Sink::default()
        };
        let reports = routes(Authenticity::Signed, sink);
        let reply = post_at(&reports, path, Some("good"), "delivered", at).await;
        assert_eq!(reply.status(), status);
    }
}

#[tokio::test]
async fn while_a_secret_is_replaced_both_are_taken() {
    let other = "0123456789abcdef";
    let builder = builder(Authenticity::BodyOnly, LatestReports::new());
    let builder = builder.with_path_secrets("acme", [SECRET]);
    let reports = builder.with_path_secrets("acme", [other]).build().unwrap();
    for secret in [SECRET, other] {
        let path = format!("/reports/acme/{secret}?reference=a");
        let reply = post(&reports, &path, Some("good"), "sent").await;
        assert_eq!(reply.status(), 200);
    }
}

#[tokio::test]
async fn a_verified_request_that_cannot_be_read_is_not_repeated() {
    let reports = routes(Authenticity::Signed, LatestReports::new());
    let reply = post(&reports, "/reports/acme?reference=a", Some("good"), "").await;
    assert_eq!((reply.status(), reply.body()), (200, "OK"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let reports = routes(Authenticity::Signed, LatestReports::new());
    let body = "a".repeat(Reports::BODY_LIMIT + 1);
    let reply = post(&reports, "/reports/acme?reference=a", Some("good"), &body).await;
    assert_eq!(reply.status(), 413);
}

#[test]
fn no_route_can_be_built_without_its_proof() {
    let https = || Reports::builder("https://x.example.com", LatestReports::new());
    let http = || Reports::builder("http://x.example.com", LatestReports::new());
    let signed = || Parser(Authenticity::Signed);
    let body_only = || Parser(Authenticity::BodyOnly);
    let refused: [(Result<Reports, ConfigError>, &str); 5] = [
        (https().build(), "no vendor"),
        (
            https().with_vendor("acme", body_only()).build(),
            "acme signs only the body of a delivery report",
        ),
        (
            https()
                .with_vendor("acme", body_only())
                .with_path_secrets("acme", ["short"])
                .build(),
            "invalid secret for the path of acme's reports",
        ),
        (
            https()
                .with_vendor("acme", signed())
                .with_path_secrets("other", [SECRET])
                .build(),
            "a path secret is set for other",
        ),
        (
            http().with_vendor("acme", signed()).build(),
            "invalid origin",
        ),
    ];
    for (built, expected) in refused {
        let error = built.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("short"), "{error}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let reports = routes(Authenticity::BodyOnly, LatestReports::new());
    assert!(!format!("{reports:?}").contains(SECRET));
}
