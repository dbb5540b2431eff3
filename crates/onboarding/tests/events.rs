//! The events of a flow contain ids and a masked number, and nothing else.
//!
//! A program of its own, since the first subscriber in a process affects its other threads.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may unwrap like a test"
)]

#[path = "flows/world.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod world;

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use postduif_core::{
    ErrorKind, PhoneNumberError, PhoneNumberErrorKind, async_trait,
    directory::{
        GraphError, GraphErrorKind, TapId, TapInfo, TapIssuer, TapRequest, TemporaryAccessPass,
        UserId,
    },
};
use postduif_onboarding::Numbers;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use world::{IssueFault, SendFault, World};

/// Keeps every event at every level.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<String>>);

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("postduif")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_event_contains_a_pass_a_name_or_a_complete_number() {
    let events = Events::default();
    let _listening = tracing::subscriber::set_default(events.clone());
    let world = World::new();
    world.state().user_faults = [GraphErrorKind::NotFound].into();
    world.state().issue_faults = [IssueFault::Lost].into();
    world.state().send_faults = [SendFault::Lost, SendFault::Refused(ErrorKind::Other)].into();
    world.state().revoke_faults = [GraphErrorKind::Unavailable].into();
    let callout = world.callout();
    world.ending(&world.onboarding(), &callout).await;
    let log = events.0.lock().unwrap();
    for secret in ["+cret", "Anna", "31612345678", "612345678", "welkom"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    for said in [callout.flow().to_string().as_str(), "+316•••••678", "send"] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

/// Refuses like Graph if the policy has other bounds.
#[derive(Debug)]
struct OutOfBounds(Arc<World>);

#[async_trait]
impl TapIssuer for OutOfBounds {
    async fn issue(&self, _: &UserId, _: &TapRequest) -> Result<TemporaryAccessPass, GraphError> {
        let message =
            "the tenant's policy does not allow this lifetime; it allows 60 to 480 minutes";
        let refused = GraphError::not_accepted(GraphErrorKind::LifetimeRefused, message);
        Err(refused
            .with_code("badRequest")
            .with_request_id("0f1e2d3c-4b5a-4697-8807-162534435261"))
    }

    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        self.0.list(user).await
    }

    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError> {
        self.0.revoke(user, tap).await
    }
}

#[tokio::test(start_paused = true)]
async fn events_contain_the_errors_of_graph_and_the_vendor_and_why_a_number_was_refused() {
    let events = Events::default();
    let _listening = tracing::subscriber::set_default(events.clone());

    let world = World::new();
    let issuer = Arc::new(OutOfBounds(Arc::clone(&world)));
    let onboarding = world.builder().with_issuer(issuer).build().unwrap();
    world.ending(&onboarding, &world.callout()).await;

    let world = World::new();
    world.state().send_faults = [SendFault::Refused(ErrorKind::Other)].into();
    world.ending(&world.onboarding(), &world.callout()).await;

    let world = World::new();
    let kind = PhoneNumberErrorKind::TwoNumbers;
    let numbers = Numbers::reading("NL", move |_: &str, _: &str| {
        Err(PhoneNumberError::from(kind))
    });
    let onboarding = world.builder().with_numbers(numbers).build().unwrap();
    world.ending(&onboarding, &world.callout()).await;

    let log = events.0.lock().unwrap();
    for said in [
        "60 to 480 minutes",
        "badRequest",
        "0f1e2d3c-4b5a",
        "303",
        "two_numbers",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
}
