//! **Does:** records a span for each call and an event for each outcome, with OpenTelemetry's names where they exist;
//! with the feature `metrics`, also counters.
//!
//! **Never:** records a text, a whole number, or anything from a vendor's response but its error code; changes nothing.
//!
//! **Belongs** outermost, to see what the caller sees; a second one around a single vendor sees each attempt.

use std::slice;

use postduif_core::{
    Acceptance, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};
use tracing::{Instrument as _, Span, field, info_span};

use crate::dispatch::send_batch;

/// A layer that records spans and events (`tracing`), and metrics with the feature `metrics`.
///
/// | span | fields |
/// |---|---|
/// | `sms.send`, `sms.send_batch`, `sms.check` | `otel.kind` = `client`, `messaging.system` (the profile's name), `messaging.operation.name`, `messaging.operation.type` (sends), `messaging.batch.message_count` (batches), `error.type` and `otel.status_code` (a failed single call) |
///
/// Each outcome is an event: `info` if it was accepted, `warn` if it was not, `error` if it is in doubt or the future
/// was dropped before the outcome. Its fields are `messaging.system` (the member that responded), `sms.reference`,
/// `sms.to` (masked), `sms.acceptance`, and `error.type`, `sms.code`, `sms.attempts`, `sms.parts` where they apply.
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `messaging.client.sent.messages` | counter | `messaging.system`, `error.type` (an error kind, `none`, or `given_up` if the future was dropped), `sms.acceptance` (`accepted`, `not_accepted`, `unknown`) |
/// | `messaging.client.operation.duration` | histogram, in seconds | `messaging.system`, `messaging.operation.name` |
/// | `messaging.client.operation.active` | gauge: calls in flight | `messaging.system`, `messaging.operation.name` |
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use postduif::{layers::Traced, SmsProvider as _};
///
/// # async fn example(vendor: impl SmsProvider, message: Message) {
/// let provider = Traced::new(vendor);
/// let _ = provider.send(&message).await; // a span, and an event in it
/// # }
/// ```
#[derive(Debug)]
pub struct Traced<P> {
    inner: P,
}

impl<P: SmsProvider> Traced<P> {
    /// Creates a layer that records the calls of `inner`.
    #[must_use]
    pub const fn new(inner: P) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Traced<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let span = info_span!(
            "sms.send",
            otel.kind = "client",
            messaging.system = self.profile().name(),
            messaging.operation.name = "send",
            "messaging.operation.type" = "send",
            "error.type" = field::Empty,
            otel.status_code = field::Empty,
        );
        let call = Call::begin(&self.inner, slice::from_ref(message), "send");
        let outcome = self.inner.send(message).instrument(span.clone()).await;
        let _entered = span.enter();
        call.ends_in([&outcome]);
        if let Err(error) = &outcome {
            fail(&span, error);
        }
        outcome
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let span = info_span!(
            "sms.send_batch",
            otel.kind = "client",
            messaging.system = self.profile().name(),
            messaging.operation.name = "send_batch",
            "messaging.operation.type" = "send",
            messaging.batch.message_count = messages.len(),
        );
        let call = Call::begin(&self.inner, messages, "send_batch");
        let sent = send_batch(&self.inner, messages);
        let outcomes = sent.instrument(span.clone()).await;
        let _entered = span.enter();
        call.ends_in(&outcomes);
        outcomes
    }

    async fn check(&self) -> Result<Health, SendError> {
        let span = info_span!(
            "sms.check",
            otel.kind = "client",
            messaging.system = self.profile().name(),
            messaging.operation.name = "check",
            "error.type" = field::Empty,
            otel.status_code = field::Empty,
        );
        let checked = self.inner.check().instrument(span.clone()).await;
        let error = match &checked {
            Ok(health) => health.refusal(),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            fail(&span, error);
            let _entered = span.enter();
            tracing::warn!(
                messaging.system = error.provider().unwrap_or(self.profile().name()),
                "error.type" = error.kind().as_str(),
                sms.code = error.code(),
                "the check failed"
            );
        }
        checked
    }
}

fn fail(span: &Span, error: &SendError) {
    span.record("error.type", error.kind().as_str());
    span.record("otel.status_code", "ERROR");
}

/// A call under way. Dropped before its outcomes, it is recorded as given up.
struct Call<'a> {
    system: &'a str,
    messages: &'a [Message],
    ended: bool,
    #[cfg(feature = "metrics")]
    _meter: metered::Meter<'a>,
}

impl<'a> Call<'a> {
    fn begin(
        inner: &'a impl SmsProvider,
        messages: &'a [Message],
        operation: &'static str,
    ) -> Self {
        let system = inner.profile().name();
        #[cfg(not(feature = "metrics"))]
        let _ = operation;
        Self {
            system,
            messages,
            ended: false,
            #[cfg(feature = "metrics")]
            _meter: metered::Meter::begin(system, operation),
        }
    }

    fn ends_in<'o>(mut self, outcomes: impl IntoIterator<Item = &'o Result<Receipt, SendError>>) {
        self.ended = true;
        for (message, outcome) in self.messages.iter().zip(outcomes) {
            match outcome {
                Ok(receipt) => self.accepted(message, receipt),
                Err(error) => self.failed(message, error),
            }
        }
    }

    fn accepted(&self, message: &Message, receipt: &Receipt) {
        tracing::info!(
            messaging.system = receipt.provider(),
            sms.reference = ?message.reference(),
            sms.to = %message.to().masked(),
            sms.acceptance = "accepted",
            sms.parts = receipt.parts(),
            sms.attempts = receipt.attempts().len(),
            "accepted"
        );
        #[cfg(feature = "metrics")]
        metered::count(receipt.provider(), "none", "accepted");
    }

    fn failed(&self, message: &Message, error: &SendError) {
        let system = error.provider().unwrap_or(self.system);
        // A macro, because tracing needs the level of an event at compile time.
        macro_rules! record {
            ($level:ident, $what:literal) => {
                tracing::$level!(
                    messaging.system = system,
                    sms.reference = ?message.reference(),
                    sms.to = %message.to().masked(),
                    sms.acceptance = error.acceptance().as_str(),
                    "error.type" = error.kind().as_str(),
                    sms.code = error.code(),
                    sms.attempts = error.attempts().len(),
                    $what
                )
            };
        }
        match error.acceptance() {
            Acceptance::NotAccepted => record!(warn, "not accepted"),
            Acceptance::Unknown => record!(error, "in doubt"),
        }
        #[cfg(feature = "metrics")]
        metered::count(system, error.kind().as_str(), error.acceptance().as_str());
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        for message in self.messages {
            tracing::error!(
                messaging.system = self.system,
                sms.reference = ?message.reference(),
                sms.to = %message.to().masked(),
                sms.acceptance = Acceptance::Unknown.as_str(),
                "given up before its outcome"
            );
            #[cfg(feature = "metrics")]
            metered::count(self.system, "given_up", Acceptance::Unknown.as_str());
        }
    }
}

#[cfg(feature = "metrics")]
mod metered {
    use metrics::{Gauge, counter, gauge, histogram};
    use tokio::time::Instant;

    /// Counts a message. The labels are names of members and words from fixed lists, so that their number is bounded.
    pub(super) fn count(system: &str, kind: &'static str, acceptance: &'static str) {
        counter!(
            "messaging.client.sent.messages",
            "messaging.system" => system.to_owned(),
            "error.type" => kind,
            "sms.acceptance" => acceptance,
        )
        .increment(1);
    }

    /// A call in flight, until it ends or is dropped.
    pub(super) struct Meter<'a> {
        system: &'a str,
        operation: &'static str,
        begun: Instant,
        active: Gauge,
    }

    impl<'a> Meter<'a> {
        pub(super) fn begin(system: &'a str, operation: &'static str) -> Self {
            let active = gauge!(
                "messaging.client.operation.active",
                "messaging.system" => system.to_owned(),
                "messaging.operation.name" => operation,
            );
            active.increment(1.0);
            Self {
                system,
                operation,
                begun: Instant::now(),
                active,
            }
        }
    }

    impl Drop for Meter<'_> {
        fn drop(&mut self) {
            self.active.decrement(1.0);
            histogram!(
                "messaging.client.operation.duration",
                "messaging.system" => self.system.to_owned(),
                "messaging.operation.name" => self.operation,
            )
            .record(self.begun.elapsed().as_secs_f64());
        }
    }
}
