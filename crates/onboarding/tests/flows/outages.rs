//! Requests that Graph refuses or fails for a while, or for good.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    async_trait,
    directory::{
        FailureReason, GraphError, GraphErrorKind, TapId, TapInfo, TapIssuer, TapRequest,
        TemporaryAccessPass, UserId, Verdict,
    },
};
use postduif_onboarding::Entry;

use crate::world::{IssueFault, World, minutes, start};

/// A Graph that responds with 503 to every request for a pass for a while, and issues none.
#[derive(Debug)]
struct Outage {
    world: Arc<World>,
    until: DateTime<Utc>,
}

#[async_trait]
impl TapIssuer for Outage {
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        if self.world.clock.now() < self.until {
            self.world.state().log.push("503".into());
            let failed = GraphError::unknown(GraphErrorKind::Unavailable, "Graph failed");
            return Err(failed.with_retry_after(Duration::from_secs(10)));
        }
        self.world.issue(user, request).await
    }

    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        self.world.list(user).await
    }

    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError> {
        self.world.revoke(user, tap).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_at_the_creation_of_passes_is_waited_out() {
    for seconds in [8, 30, 600, 1500] {
        let world = World::new();
        let until = start() + TimeDelta::seconds(seconds);
        let issuer = Outage {
            world: Arc::clone(&world),
            until,
        };
        let onboarding = world
            .builder()
            .with_issuer(Arc::new(issuer))
            .build()
            .unwrap();
        let callout = world.callout();
        let ending = onboarding.run(callout.clone()).await.unwrap();
        assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 1));
        world.assert_settled(&ending, &format!("{seconds} s"));
        let asked = world.log().iter().filter(|line| *line == "503").count();
        assert!(asked <= 30, "{asked} tries in {seconds} s");
        // None of them was a round.
        let rounds = world.entries(callout.flow()).await;
        let one = |entry: &Entry| !matches!(entry, Entry::Issuing { round, .. } if *round != 1);
        assert!(rounds.iter().all(one), "{rounds:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_until_the_deadline_fails_with_the_error_of_graph() {
    let world = World::new();
    let issuer = Outage {
        world: Arc::clone(&world),
        until: start() + minutes(60),
    };
    let onboarding = world
        .builder()
        .with_issuer(Arc::new(issuer))
        .build()
        .unwrap();
    let ending = onboarding.run(world.callout()).await.unwrap();
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::GraphUnavailable),
        "{:#?}",
        world.log()
    );
    assert_eq!(world.state().verdicts[0].0, start() + minutes(29));
    let graph = ending.graph.unwrap();
    assert_eq!(graph.kind, GraphErrorKind::Unavailable);
    assert_eq!(graph.message.as_deref(), Some("Graph failed"));
    // The list was read until it was conclusive.
    assert_eq!(ending.unseen_until, None);
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_outside_the_policy_is_final_at_once() {
    let world = World::new();
    let refused = IssueFault::Refused(GraphErrorKind::LifetimeRefused);
    world.state().issue_faults = [refused; 9].into();
    let fortnight = Duration::from_secs(14 * 86_400);
    let callout = world.callout().with_window(fortnight);
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::PassRefused));
    assert_eq!(world.state().verdicts[0].0, start());
    assert_eq!(ending.graph.unwrap().kind, GraphErrorKind::LifetimeRefused);
}

#[tokio::test(start_paused = true)]
async fn a_user_outside_the_policys_scope_is_asked_for_again_within_a_bound() {
    let world = World::new();
    let refused = IssueFault::Refused(GraphErrorKind::PolicyRefused);
    world.state().issue_faults = vec![refused; 100_000].into();
    let fortnight = Duration::from_secs(14 * 86_400);
    let callout = world.callout().with_window(fortnight);
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::PassRefused));
    assert_eq!(world.state().verdicts[0].0, start() + minutes(15));
    let asked = world.log().iter().filter(|line| *line == "issue").count();
    assert!((5..=12).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_gateways_404_at_the_creation_is_waited_out() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::Refused(GraphErrorKind::Protocol); 3].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_not_repeated_before_the_time_that_graph_states() {
    let world = World::new();
    let wait = Duration::from_secs(90);
    world.state().issue_faults = [IssueFault::Throttled(wait)].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    world.assert_settled(&ending, "");
    let issued_at = world.state().passes[0].info.start;
    assert!(issued_at >= start() + wait, "{issued_at}");
}
