//! Passes that appear late or in no list yet, and how other flows of the user treat them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use postduif_core::{
    DeliveryReport, DeliveryStatus, ErrorKind, async_trait,
    directory::{
        Callout, FailureReason, GraphError, GraphErrorKind, TapId, TapInfo, TapIssuer, TapRequest,
        TemporaryAccessPass, UserId, Verdict,
    },
};
use postduif_onboarding::{CompleteOn, Entry, ExistingPass, Onboarding, Step};

use serde_json::json;

use crate::world::{
    self, IssueFault, SendFault, World, entry, issued, issuing, minutes, sending, start,
    step_until_idle,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A Graph that responds at once and continues, or does not respond.
#[derive(Debug)]
struct SlowGraph {
    world: Arc<World>,
    calls: AtomicUsize,
    /// The results of the first requests.
    first: Vec<First>,
    /// The lags of the lists, in turn.
    stale: Vec<Duration>,
    lists: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum First {
    /// A server error, and the pass after this time.
    Unavailable(Duration),
    /// The pass after this time, also if the caller is gone.
    Silent(Duration),
}

impl SlowGraph {
    fn new(world: &Arc<World>, first: &[First], stale: &[Duration]) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            calls: AtomicUsize::new(0),
            first: first.to_vec(),
            stale: stale.to_vec(),
            lists: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl TapIssuer for SlowGraph {
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let Some(first) = self.first.get(call).copied() else {
            return self.world.issue(user, request).await;
        };
        let (world, user, request) = (Arc::clone(&self.world), *user, *request);
        let (First::Unavailable(by) | First::Silent(by)) = first;
        let made = tokio::spawn(async move {
            tokio::time::sleep(by).await;
            world.make(&user, &request, None)
        });
        match first {
            First::Unavailable(_) => {
                let kind = GraphErrorKind::Unavailable;
                Err(GraphError::unknown(kind, "scripted"))
            }
            First::Silent(_) => Ok(made.await.unwrap()),
        }
    }

    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        if !self.stale.is_empty() {
            let list = self.lists.fetch_add(1, Ordering::SeqCst);
            self.world.state().stale = self.stale[list % self.stale.len()];
        }
        self.world.list(user).await
    }

    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError> {
        self.world.revoke(user, tap).await
    }
}

async fn delivered(onboarding: &Onboarding, world: &World, status: DeliveryStatus) {
    let reference = world.state().texts.last().unwrap().reference;
    let mut report = DeliveryReport::new("kpn", status);
    report.reference = Some(reference);
    assert!(onboarding.report(&report).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pass_issued_seconds_after_a_lost_response_does_not_replace_the_next() {
    for by in [1, 3, 5, 8, 12, 18] {
        let world = World::new();
        let graph = SlowGraph::new(&world, &[First::Unavailable(seconds(by))], &[]);
        let onboarding = world.builder().with_issuer(graph).build().unwrap();
        let ending = world.ending(&onboarding, &world.callout()).await;
        tokio::time::sleep(seconds(400)).await;
        assert_eq!(ending.verdict, Verdict::Completed, "{by} s");
        world.assert_settled(&ending, &format!("{by} s"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_is_made_after_our_own_limit_does_not_replace_the_next() {
    for by in [61, 62, 65, 70, 78] {
        let world = World::new();
        let graph = SlowGraph::new(&world, &[First::Silent(seconds(by))], &[]);
        let onboarding = world.builder().with_issuer(graph).build().unwrap();
        let ending = world.ending(&onboarding, &world.callout()).await;
        tokio::time::sleep(seconds(400)).await;
        assert_eq!(ending.verdict, Verdict::Completed, "{by} s");
        world.assert_settled(&ending, &format!("{by} s"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_ending_of_a_shutdown_names_a_pass_that_may_still_come_up() {
    for (shown, stop) in [(100, 3), (200, 1), (70, 10)] {
        let world = World::new();
        let lost = IssueFault::LostAndLate(seconds(shown));
        let vanished = std::iter::repeat_n(IssueFault::Vanished, 40);
        world.state().issue_faults = std::iter::once(lost).chain(vanished).collect();
        let onboarding = world.onboarding();
        let run = onboarding.run_until(world.callout(), tokio::time::sleep(seconds(stop)));
        let ending = run.await.unwrap();
        assert_eq!(ending.verdict, Verdict::Failed(FailureReason::Shutdown));
        assert_eq!(world.usable().len(), 1);
        assert!(ending.may_be_usable_until().is_some(), "{shown} {stop}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ending_that_is_read_while_a_pass_in_doubt_is_looked_for_names_it() {
    let world = World::new();
    let lost = IssueFault::LostAndLate(seconds(250));
    let vanished = std::iter::repeat_n(IssueFault::Vanished, 400);
    world.state().issue_faults = std::iter::once(lost).chain(vanished).collect();
    let onboarding = world.onboarding();
    let callout = world
        .callout()
        .with_created_at(start() - minutes(29) + TimeDelta::seconds(10));
    let (first, second) = tokio::join!(onboarding.run(callout.clone()), async {
        tokio::time::sleep(seconds(30)).await;
        let ending = onboarding.run(callout.clone()).await;
        assert_eq!(world.usable().len(), 1);
        ending
    });
    assert!(second.unwrap().may_be_usable_until().is_some());
    assert_eq!(first.unwrap().may_be_usable_until(), None);
    assert!(world.usable().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_was_sent_and_is_not_listed_yet_is_there_for_a_second_flow() {
    for delivery in [CompleteOn::Accepted, CompleteOn::Delivered] {
        let world = World::new();
        world.state().issue_faults = [IssueFault::ShownLate(seconds(60))].into();
        let onboarding = world.builder().with_complete_on(delivery).build().unwrap();
        let second = async {
            tokio::time::sleep(seconds(10)).await;
            let refused = SendFault::Refused(ErrorKind::Blocked);
            world.state().send_faults = [refused].into();
            onboarding.run(world.callout()).await
        };
        let report = async {
            tokio::time::sleep(seconds(20)).await;
            delivered(&onboarding, &world, DeliveryStatus::Delivered).await;
        };
        let first = onboarding.run(world.callout());
        let (one, two, ()) = tokio::join!(first, second, report);
        assert_eq!(one.unwrap().verdict, Verdict::Completed);
        assert_eq!(two.unwrap().verdict, Verdict::Completed);
        assert_eq!(world.usable(), ["S1+cret!"], "{:#?}", world.log());
        assert_eq!(world.state().texts.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_whose_text_did_not_arrive_is_not_kept() {
    for status in DeliveryStatus::ALL {
        if !status.is_final() || *status == DeliveryStatus::Delivered {
            continue;
        }
        let world = World::new();
        let onboarding = world.onboarding();
        world.ending(&onboarding, &world.callout()).await;
        tokio::time::sleep(seconds(30)).await;
        delivered(&onboarding, &world, *status).await;
        tokio::time::sleep(seconds(30)).await;
        world.state().heard.clear();
        world.state().verdicts.clear();
        let ending = world.ending(&onboarding, &world.callout()).await;
        assert_eq!(world.state().texts.len(), 2, "{status:?}");
        world.assert_settled(&ending, &format!("{status:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_doubt_that_a_later_pass_has_settled_makes_no_strangers_pass_ours() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::Vanished].into();
    let onboarding = world.onboarding();
    world.ending(&onboarding, &world.callout()).await;
    tokio::time::sleep(seconds(20 * 60)).await;
    let user = world.state().user.id;
    world.make(&user, &TapRequest::new(), None);
    tokio::time::sleep(seconds(5 * 60)).await;
    let ending = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::PassExists));
    assert_eq!(world.usable(), ["S2+cret!"]);
}

#[tokio::test(start_paused = true)]
async fn lists_that_contradict_each_other_are_not_asked_without_a_pause() {
    for stale in [[seconds(900), seconds(0)], [seconds(0), seconds(900)]] {
        let world = World::new();
        let onboarding = world.onboarding();
        world.ending(&onboarding, &world.callout()).await;
        let user = world.state().user.id;
        tokio::time::sleep(seconds(400)).await;
        // An administrator revokes it.
        let tap = world.state().passes[0].info.id.clone();
        world.revoke(&user, &tap).await.unwrap();
        world.clear_log();
        world.state().heard.clear();
        let graph = SlowGraph::new(&world, &[], &stale);
        let onboarding = world.builder().with_issuer(graph).build().unwrap();
        let callout = world.callout();
        let ending = world.ending(&onboarding, &callout).await;
        assert_eq!(ending.verdict, Verdict::Completed);
        let kept = |entry: &Entry| matches!(entry, Entry::Kept { .. });
        let entries = world.entries(callout.flow()).await;
        assert!(entries.iter().filter(|entry| kept(entry)).count() <= 1);
        assert!(world.log().len() < 60, "{:#?}", world.log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_its_flow_is_about_to_revoke_completes_no_other_flow() {
    for slow in [0, 5, 20] {
        for half_seconds in [-3, -1, 1, 3, 9] {
            let world = World::new();
            world.state().slow = Some(("revoking", seconds(slow)));
            let onboarding = world.builder().with_complete_on(CompleteOn::Delivered);
            let onboarding = onboarding.build().unwrap();
            let second = async {
                let at: i64 = 29 * 60 * 1000 + half_seconds * 500;
                tokio::time::sleep(Duration::from_millis(at.unsigned_abs())).await;
                delivered(&onboarding, &world, DeliveryStatus::Delivered).await;
                onboarding.run(world.callout()).await
            };
            let first = onboarding.run(world.callout());
            let (one, two) = tokio::join!(first, second);
            let context = format!("{slow} {half_seconds}: {:#?}", world.log());
            let completed = [one.unwrap().verdict, two.unwrap().verdict];
            let any = completed.contains(&Verdict::Completed);
            assert_eq!(world.usable().len(), usize::from(any), "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_was_found_settles_one_of_two_doubts() {
    let world = World::new();
    let callout = world.callout();
    let ask = issuing(1, &[]);
    // Two requests without a recorded outcome.
    world.given(&callout, &[ask.clone(), ask]).await;
    let user = world.state().user.id;
    world.make(&user, &TapRequest::new(), None);
    world.state().issue_faults = [IssueFault::Refused(GraphErrorKind::Forbidden)].into();
    let second = async {
        tokio::time::sleep(seconds(100)).await;
        world.make(&user, &TapRequest::new(), None);
    };
    let onboarding = world.onboarding();
    let (ending, ()) = tokio::join!(world.ending(&onboarding, &callout), second);
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn no_pass_is_kept_while_another_flow_may_have_replaced_it_unseen() {
    let world = World::new();
    let keep = world.onboarding();
    world.ending(&keep, &world.callout()).await;
    tokio::time::sleep(seconds(10)).await;
    world.state().heard.clear();
    world.state().verdicts.clear();
    world.state().stale = seconds(100);
    world.state().issue_faults = [IssueFault::LostAndLate(seconds(100))].into();
    let replace = world
        .builder()
        .with_existing_pass(ExistingPass::ReplaceOurs);
    let replace = replace.build().unwrap();
    let doubtful = replace.run_until(world.callout(), tokio::time::sleep(seconds(1)));
    let second = async {
        tokio::time::sleep(seconds(5)).await;
        keep.run(world.callout()).await
    };
    let (one, two) = tokio::join!(doubtful, second);
    assert_eq!(
        one.unwrap().verdict,
        Verdict::Failed(FailureReason::Shutdown)
    );
    assert_eq!(two.unwrap().verdict, Verdict::Completed);
    let usable = world.usable();
    let last = world.state().texts.last().unwrap().text.clone();
    assert_eq!(usable.len(), 1, "{:#?}", world.log());
    assert!(last.contains(&usable[0]), "{:#?}", world.log());
}

/// Returns the entries of a request whose lost response was recorded.
fn in_doubt(round: u8, seen: &[&str]) -> [Entry; 2] {
    let lost = json!({"issue_in_doubt": {"round": round, "cause": {"kind": "timeout"}}});
    [issuing(round, seen), entry(lost)]
}

/// Returns the entries of a pass whose text was accepted.
fn sent(round: u8, tap: &str) -> [Entry; 4] {
    let accepted = json!({"round": round, "reference": "text", "provider": "kpn"});
    [
        issuing(round, &[]),
        issued(round, tap),
        sending(round, "kpn"),
        entry(json!({"accepted": accepted})),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_pass_is_issued_while_a_request_of_another_flow_is_pending() {
    for (entries, wait) in [
        // A quarter of the pauses, the age of an entry, and the longest call.
        (vec![issuing(1, &[])], 19_250 + 10_000 + 60_000),
        (in_doubt(1, &[]).to_vec(), 19_250),
    ] {
        let world = World::new();
        world.given(&world.callout(), &entries).await;
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        world.assert_settled(&ending, "");
        let waited = world.state().passes[0].info.start - start();
        let waited = waited.num_milliseconds();
        assert!((wait..wait + 2_000).contains(&waited), "{wait}: {waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_of_a_doubt_is_newer_than_one_that_another_flow_has_sent() {
    for complete_on in [CompleteOn::Accepted, CompleteOn::Delivered] {
        let world = World::new();
        world.state().stale = seconds(3600);
        world.has_pass("ours");
        world.given(&world.callout(), &sent(1, "ours")).await;
        // Its pass replaced ours. An old list shows both.
        world.given(&world.callout(), &in_doubt(1, &[])).await;
        let user = world.state().user.id;
        world.make(&user, &TapRequest::new(), None);
        tokio::time::sleep(seconds(30)).await;
        let onboarding = world.builder().with_complete_on(complete_on);
        let onboarding = onboarding.build().unwrap();
        let mut run = world.start(&onboarding, &world.callout()).await;
        step_until_idle(&onboarding, &mut run).await;
        let log = world.log();
        assert!(!log.contains(&"kept".to_owned()), "{log:#?}");
        let texts = world.state().texts.clone();
        assert_eq!(texts.len(), 1, "{log:#?}");
        assert!(texts[0].text.contains(&world.usable()[0]), "{log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replaced_pass_of_a_doubt_that_an_old_list_shows_is_no_strangers() {
    let world = World::new();
    world.state().stale = seconds(3600);
    let user = world.state().user.id;
    // The first one came of the doubt. The second one replaced it and was sent.
    world.make(&user, &TapRequest::new(), None);
    world.make(&user, &TapRequest::new(), None);
    let entries = [in_doubt(1, &[]).to_vec(), sent(1, "tap-2").to_vec()].concat();
    world.given(&world.callout(), &entries).await;
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Completed, "{:#?}", world.log());
    assert_eq!(world.usable(), ["S2+cret!"]);
    assert_eq!(world.state().sends, 0);
}

/// Gives the flow two doubts. The pass of the first was replaced by one that was revoked, and an old list shows it.
pub(crate) async fn given_two_doubts(world: &World, callout: &Callout, end: &[Entry]) {
    world.state().stale = seconds(3600);
    let user = world.state().user.id;
    world.make(&user, &TapRequest::new(), None);
    world.make(&user, &TapRequest::new(), None);
    world.revoke(&user, &world::tap("tap-2")).await.unwrap();
    let then = json!({"tap": "tap-2", "then": "issue"});
    let entries = [
        in_doubt(1, &[]).to_vec(),
        sent(1, "tap-2")[..3].to_vec(),
        vec![
            entry(json!({"revoking": then.clone()})),
            entry(json!({"revoked": then})),
        ],
        in_doubt(2, &["tap-2"]).to_vec(),
        end.to_vec(),
    ]
    .concat();
    world.given(callout, &entries).await;
    world.clear_log();
}

#[tokio::test(start_paused = true)]
async fn a_pass_of_an_earlier_request_settles_no_later_doubt() {
    let world = World::new();
    let callout = world.callout();
    given_two_doubts(&world, &callout, &[]).await;
    let ending = world.ending(&world.onboarding(), &callout).await;
    let log = world.log();
    assert!(
        !log.iter().any(|line| line.starts_with("revok")),
        "{log:#?}"
    );
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_pass_of_uncertain_origin_is_revoked_when_the_flow_has_failed() {
    let world = World::new();
    let callout = world.callout();
    let verdict = json!({"verdict": {"failed": "pass_refused"}, "heard": true});
    given_two_doubts(&world, &callout, &[entry(json!({"resumed": verdict}))]).await;
    let onboarding = world.onboarding();
    let mut run = world.start(&onboarding, &callout).await;
    let step = onboarding.step(&mut run).await.unwrap();
    // It settles no doubt: another look follows.
    assert!(matches!(step, Step::WaitUntil(_)), "{step:?}");
    assert_eq!(world.log(), ["list", "revoke tap-1"]);
}
