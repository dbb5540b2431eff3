use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex},
    time::Duration,
};

use postduif_core::{ErrorKind, Health, SendError, SmsProvider as _};
use postduif_layers::{Failover, Member, Traced};
use tokio::time::{sleep, timeout};
use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::help::*;

/// A subscriber that keeps spans and events as lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn push(&self, what: &str, fields: impl FnOnce(&mut Line)) {
        let mut line = Line(what.to_owned());
        fields(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("postduif")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.push(span.metadata().name(), |line| span.record(line));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        self.push("recorded", |line| values.record(line));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        self.push(event.metadata().level().as_str(), |line| event.record(line));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

/// Subscribes on this thread. With a second subscriber, tracing does not disable callsites because the threads of other
/// tests have none.
fn listen() -> (Lines, Dispatch, tracing::dispatcher::DefaultGuard) {
    let (lines, other) = (Lines::default(), Dispatch::new(Lines::default()));
    let guard = tracing::dispatcher::set_default(&Dispatch::new(lines.clone()));
    (lines, other, guard)
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_span_and_each_outcome_an_event() {
    let (lines, _other, _guard) = listen();
    let vendor = vendor("a", 3);
    vendor.script([
        Scripted::refuse(ErrorKind::Blocked),
        Scripted::accept(),
        Scripted::doubt(ErrorKind::Timeout),
        Scripted::refuse(ErrorKind::Throttled),
    ]);
    let provider = Traced::new(vendor);
    let (single, batch) = (message("x"), messages(3));
    let _ = provider.send(&single).await;
    let _ = provider.send_batch(&batch).await;
    let shown = lines.0.lock().unwrap().clone();
    let expected = [
        (
            "sms.send",
            r#"otel.kind="client" messaging.system="a" messaging.operation.name="send""#,
        ),
        ("WARN", r#"messaging.system="a" sms.reference="#),
        ("recorded", r#"error.type="blocked""#),
        ("recorded", r#"otel.status_code="ERROR""#),
        ("sms.send_batch", "messaging.batch.message_count=3"),
        ("INFO", r#"sms.acceptance="accepted""#),
        ("ERROR", r#"sms.acceptance="unknown" error.type="timeout""#),
        (
            "WARN",
            r#"sms.acceptance="not_accepted" error.type="throttled""#,
        ),
    ];
    assert_eq!(shown.len(), expected.len(), "{shown:#?}");
    for (line, (what, fields)) in shown.iter().zip(expected) {
        assert!(
            line.starts_with(what) && line.contains(fields),
            "{line} {fields}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_a_failed_check() {
    let (lines, _other, _guard) = listen();
    let vendor = vendor("a", 1);
    let refusal = SendError::not_accepted(ErrorKind::Unauthorized, "invalid key");
    vendor.script_checks([Ok(Health::refused(refusal)), Ok(Health::verified())]);
    let provider = Traced::new(vendor);
    let _ = provider.check().await.unwrap();
    let shown = lines.text();
    assert!(
        shown.contains("WARN") && shown.contains("unauthorized"),
        "{shown}"
    );
    let _ = provider.check().await.unwrap();
    assert_eq!(lines.text().matches("WARN").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_given_up_is_recorded_as_a_doubt() {
    let (lines, _other, _guard) = listen();
    let vendor = vendor("a", 1);
    vendor.script([Scripted::stall()]);
    let provider = Traced::new(vendor);
    timeout(SECOND, provider.send(&message("x")))
        .await
        .unwrap_err();
    let shown = lines.text();
    assert!(
        shown.contains("ERROR") && shown.contains("given up"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_line_holds_a_text_or_a_whole_number() {
    let (lines, _other, _guard) = listen();
    let vendor = vendor("a", 3);
    let number = message("x").to().msisdn().to_string().parse().unwrap();
    let secret = message("Your code is 482913").with_reference(number);
    for scripted in [
        Scripted::accept(),
        Scripted::refuse(ErrorKind::Blocked),
        Scripted::doubt(ErrorKind::Timeout),
        Scripted::stall(),
    ] {
        vendor.script([scripted]);
        let provider = Traced::new(vendor.clone());
        let _ = timeout(SECOND, provider.send(&secret)).await;
    }
    let shown = lines.text();
    for hidden in ["482913", "31612345678", "612345678", "code is"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert!(
        shown.contains("sms.to=+316•••••678") && shown.contains("316•••••678"),
        "{shown}"
    );
}

#[cfg(feature = "metrics")]
#[test]
fn metrics_count_outcomes_and_a_dropped_call_is_no_longer_in_flight() {
    use std::{collections::BTreeMap, sync::atomic::Ordering};

    use metrics::{
        Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
        Unit, atomics::AtomicU64, with_local_recorder,
    };

    #[derive(Default)]
    struct Numbers(Mutex<BTreeMap<String, Arc<Number>>>);

    #[derive(Default)]
    struct Number(AtomicU64, Mutex<Vec<f64>>);

    impl HistogramFn for Number {
        fn record(&self, value: f64) {
            self.1.lock().unwrap().push(value);
        }
    }

    impl Numbers {
        fn number(&self, key: &Key) -> Arc<Number> {
            let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
            let name = format!("{} {}", key.name(), labels.join(" "));
            Arc::clone(self.0.lock().unwrap().entry(name).or_default())
        }
    }

    impl Recorder for Numbers {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let number = self.number(key);
            Counter::from_arc(Arc::new(Counting(number)))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(Arc::new(Counting(self.number(key))))
        }
        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(self.number(key))
        }
    }

    struct Counting(Arc<Number>);

    impl metrics::CounterFn for Counting {
        fn increment(&self, value: u64) {
            self.0.0.fetch_add(value, Ordering::Relaxed);
        }
        fn absolute(&self, _: u64) {}
    }

    impl metrics::GaugeFn for Counting {
        fn increment(&self, _: f64) {
            self.0.0.fetch_add(1, Ordering::Relaxed);
        }
        fn decrement(&self, _: f64) {
            self.0.0.fetch_sub(1, Ordering::Relaxed);
        }
        fn set(&self, _: f64) {}
    }

    let numbers = Numbers::default();
    with_local_recorder(&numbers, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let vendor = vendor("a", 3);
            vendor.script([
                Scripted::accept().after(SECOND),
                Scripted::doubt(ErrorKind::Timeout),
                Scripted::accept(),
                Scripted::stall(),
            ]);
            let provider = Traced::new(vendor);
            provider.send(&message("x")).await.unwrap();
            let _ = provider.send_batch(&messages(2)).await;
            timeout(SECOND, provider.send(&message("x")))
                .await
                .unwrap_err();
        });
    });
    let numbers = numbers.0.into_inner().unwrap();
    let shown: Vec<_> = numbers
        .iter()
        .map(|(name, number)| {
            (
                name.as_str(),
                number.0.load(Ordering::Relaxed),
                number.1.lock().unwrap().clone(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("messaging.client.operation.active a send", 0, vec![]),
            ("messaging.client.operation.active a send_batch", 0, vec![]),
            (
                "messaging.client.operation.duration a send",
                0,
                vec![1.0, 1.0]
            ),
            (
                "messaging.client.operation.duration a send_batch",
                0,
                vec![0.0]
            ),
            (
                "messaging.client.sent.messages a given_up unknown",
                1,
                vec![]
            ),
            ("messaging.client.sent.messages a none accepted", 2, vec![]),
            (
                "messaging.client.sent.messages a timeout unknown",
                1,
                vec![]
            ),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_set_aside_and_one_that_is_back_are_in_the_log() {
    let (lines, _other, _guard) = listen();
    let (a, b) = (vendor("a", 1), vendor("b", 1));
    a.script([Scripted::refuse(ErrorKind::Unavailable)]);
    let provider =
        Failover::new([("a", a), ("b", b)].map(|(name, vendor)| Member::new(name, vendor)))
            .unwrap();
    let provider = provider.with_cooldown(Duration::from_secs(30));
    for wait in [0, 31, 1] {
        sleep(Duration::from_secs(wait)).await;
        provider.send(&message("x")).await.unwrap();
    }
    let shown = lines.0.lock().unwrap().clone();
    let [aside, back] = shown.as_slice() else {
        panic!("{shown:#?}");
    };
    for field in [
        r#"WARN message=set aside messaging.system="a" error.type="unavailable""#,
        "sms.aside_ms=30000",
        "sms.error=a: scripted; the message was not sent",
    ] {
        assert!(aside.contains(field), "{field}: {aside}");
    }
    assert_eq!(back, r#"INFO message=back in use messaging.system="a""#);
}
