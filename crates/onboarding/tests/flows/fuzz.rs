//! Random flows, one at a time and two of one user, with random faults at random times.
//!
//! These must hold: a completed flow leaves one usable pass, in the newest text. A failed flow leaves none, or its
//! ending names it. Entra gets one verdict, in time. No pass is in two texts.
//!
//! `FUZZ=20000 cargo test -p postduif-onboarding --test flows fuzz` sets the number of seeds. `SEED=n` runs one of
//! them, with its log.

use std::{
    collections::{BTreeMap, VecDeque},
    env, future,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::TimeDelta;
use postduif_core::{
    DeliveryReport, DeliveryStatus, ErrorKind, async_trait,
    directory::{
        Callout, GraphError, GraphErrorKind, TapId, TapInfo, TapIssuer, TapRequest,
        TemporaryAccessPass, UserId, Verdict,
    },
};
use postduif_onboarding::{CompleteOn, Ending, ExistingPass, OnDoubt, Onboarding};

use tokio::{sync::oneshot, time::Instant};

use crate::stops::Leased;
use crate::world::{Break, IssueFault, SendFault, World, graph_error, minutes, start};

/// The default number of seeds of each fuzz test, which takes seconds.
const SEEDS: u64 = 300;

/// The maximum delay of an effect whose caller was dropped or got an error, and the limit of a caller.
const LATE: Duration = Duration::from_secs(18);
const LIMIT: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A xorshift generator: the same numbers everywhere for the same seed.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn graph(&mut self) -> GraphErrorKind {
        self.pick(&[
            GraphErrorKind::NotFound,
            GraphErrorKind::Throttled,
            GraphErrorKind::Timeout,
            GraphErrorKind::Unavailable,
            GraphErrorKind::Protocol,
            GraphErrorKind::PolicyRefused,
            GraphErrorKind::Forbidden,
            GraphErrorKind::Conflict,
        ])
    }

    fn issue(&mut self) -> IssueFault {
        match self.below(10) {
            0 => IssueFault::Refused(self.graph()),
            1 => IssueFault::Lost,
            2 => IssueFault::Vanished,
            3 => IssueFault::Slow(seconds(self.below(90))),
            4 => IssueFault::SlowAnswer(seconds(self.below(90))),
            5 => IssueFault::Disabled,
            6 => IssueFault::ShownLate(seconds(self.below(60))),
            7 => IssueFault::Refused(GraphErrorKind::Throttled),
            _ => IssueFault::LostAndLate(seconds(self.below(60))),
        }
    }

    fn send(&mut self) -> SendFault {
        match self.below(6) {
            0 => SendFault::Refused(ErrorKind::Blocked),
            1 => SendFault::Vanished,
            2 => SendFault::Slow(seconds(self.below(2000))),
            3 => SendFault::Slow(seconds(self.below(60))),
            _ => SendFault::Lost,
        }
    }

    fn resume(&mut self) -> GraphError {
        match self.below(3) {
            0 => graph_error(GraphErrorKind::Throttled),
            1 => GraphError::unknown(GraphErrorKind::Timeout, "scripted"),
            _ => graph_error(GraphErrorKind::Forbidden),
        }
    }

    fn breaks(&mut self) -> Break {
        self.pick(&[
            Break::DieBefore,
            Break::DieAfter,
            Break::FailBefore,
            Break::FailAfter,
            Break::AwayBefore,
            Break::AwayAfter,
        ])
    }

    /// Adds up to `most` faults of each kind to the world.
    fn faults(&mut self, world: &World, most: u64) {
        let mut state = world.state();
        if self.chance(20) {
            state.stale = seconds(self.below(60));
        }
        for _ in 0..self.below(most) {
            let kind = self.pick(&[GraphErrorKind::NotFound, GraphErrorKind::Unavailable]);
            state.user_faults.push_back(kind);
        }
        for _ in 0..self.below(most + 1) {
            let fault = self.issue();
            state.issue_faults.push_back(fault);
        }
        for _ in 0..self.below(most + 1) {
            let kind = self.pick(&[GraphErrorKind::Throttled, GraphErrorKind::Unavailable]);
            state.list_faults.push_back(kind);
        }
        for _ in 0..self.below(most + 1) {
            let kind = self.graph();
            state.revoke_faults.push_back(kind);
        }
        for _ in 0..self.below(most + 1) {
            let fault = self.send();
            state.send_faults.push_back(fault);
        }
        for _ in 0..self.below(most) {
            let error = self.resume();
            state.resume_faults.push_back(error);
        }
        if self.chance(25) {
            let entry = self.pick(&[
                "issuing", "issued", "sending", "accepted", "revoking", "resuming",
            ]);
            // Less than the limit of a journal: a slower one has failed.
            state.slow = Some((entry, seconds(self.below(59))));
        }
    }
}

/// A Graph that executes each request, whatever it responded: up to 18 seconds after an error, after its caller was
/// dropped, or after the caller's limit. Each list is older by a random time.
#[derive(Debug)]
struct LateGraph {
    world: Arc<World>,
    late: Mutex<VecDeque<Late>>,
    /// The maximum lag of a list.
    lag: Duration,
    random: Mutex<Random>,
}

#[derive(Clone, Copy, Debug)]
enum Late {
    /// An error at once, and the pass after this time.
    Unavailable(Duration),
    /// The response with the pass after this time.
    Silent(Duration),
}

impl LateGraph {
    fn new(world: &Arc<World>, random: &mut Random, most_lag: u64) -> Arc<Self> {
        let mut late = VecDeque::new();
        for _ in 0..random.below(3) {
            late.push_back(match random.below(4) {
                0 | 1 => Late::Unavailable(Duration::from_millis(random.below(18_000))),
                2 => Late::Silent(seconds(random.below(16))),
                // Past the caller's limit of a minute.
                _ => Late::Silent(seconds(60 + random.below(18))),
            });
        }
        if random.chance(40) {
            late.clear();
        }
        let lag = if random.chance(50) {
            seconds(random.below(most_lag))
        } else {
            Duration::ZERO
        };
        Arc::new(Self {
            world: Arc::clone(world),
            late: Mutex::new(late),
            lag,
            random: Mutex::new(Random::new(random.next())),
        })
    }
}

impl Late {
    fn is_soon(&self) -> bool {
        let (Self::Unavailable(by) | Self::Silent(by)) = self;
        *by <= LATE
    }
}

#[async_trait]
impl TapIssuer for LateGraph {
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        let late = self.late.lock().unwrap().pop_front();
        let Some(late) = late else {
            return self.world.issue(user, request).await;
        };
        let (world, user, request) = (Arc::clone(&self.world), *user, *request);
        let (Late::Unavailable(by) | Late::Silent(by)) = late;
        let (caller, gone) = oneshot::channel::<()>();
        let began = Instant::now();
        let made = tokio::spawn(async move {
            let made_at = began + by;
            if by > LATE {
                // A caller that is dropped early cancels the request. At its own limit it does not.
                let closed = async {
                    let _ = gone.await;
                    began.elapsed() < LIMIT
                };
                tokio::select! {
                    () = tokio::time::sleep_until(made_at) => {}
                    true = closed => future::pending().await,
                    else => tokio::time::sleep_until(made_at).await,
                }
            } else {
                tokio::time::sleep_until(made_at).await;
            }
            world.state().log.push("made late".into());
            world.make(&user, &request, None)
        });
        match late {
            Late::Unavailable(_) => {
                let kind = GraphErrorKind::Unavailable;
                Err(GraphError::unknown(kind, "scripted"))
            }
            Late::Silent(_) => {
                let made = made.await;
                drop(caller);
                made.map_err(|_| GraphError::unknown(GraphErrorKind::Other, "the server died"))
            }
        }
    }

    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        let now = self.world.list(user).await?;
        if self.lag.is_zero() {
            return Ok(now);
        }
        let most = u64::try_from(self.lag.as_millis()).unwrap();
        let lag = Duration::from_millis(self.random.lock().unwrap().below(most.max(1)));
        Ok(self.world.listed_before(lag))
    }

    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError> {
        self.world.revoke(user, tap).await
    }
}

/// Reports random statuses of the last text, at random times, without an end.
async fn reports(world: Arc<World>, onboarding: &Onboarding, mut random: Random) {
    for _ in 0..4 {
        tokio::time::sleep(seconds(random.below(700))).await;
        let text = { world.state().texts.last().map(|text| text.reference) };
        let status = random.pick(DeliveryStatus::ALL);
        let provider = random.pick(&["kpn", "kpn", "kpn", "spryng"]);
        if let Some(reference) = text {
            let mut report = DeliveryReport::new(provider, status);
            report.reference = Some(reference);
            onboarding.report(&report).await.unwrap();
        }
    }
    future::pending().await
}

type Violation = &'static str;

/// Returns what is wrong with the texts and passes, whatever the verdict.
fn wrong_texts(world: &World) -> Option<Violation> {
    let state = world.state();
    let texts = &state.texts;
    let twice = |(place, text): (usize, &crate::world::Sms)| {
        texts[place + 1..]
            .iter()
            .any(|other| other.text == text.text)
    };
    let usable = state.passes.iter().filter(|pass| pass.usable).count();
    match () {
        () if texts.iter().enumerate().any(twice) => Some("one pass in two texts"),
        () if usable > 1 => Some("two usable passes"),
        () => None,
    }
}

/// Returns whether the newest text holds the usable pass.
fn last_text_works(world: &World) -> bool {
    let usable = world.usable();
    let state = world.state();
    usable.len() == 1
        && state
            .texts
            .last()
            .is_some_and(|text| text.text.contains(&usable[0]))
}

async fn one(seed: u64, world: &Arc<World>) -> Result<(), Violation> {
    let mut random = Random::new(seed);
    random.faults(world, 3);
    let jumps = random.chance(15);
    let kills = if jumps { 0 } else { random.below(4) };
    let on_doubt = random.pick(&[OnDoubt::Reissue, OnDoubt::Reissue, OnDoubt::Fail]);
    let complete_on = random.pick(&[
        CompleteOn::Accepted,
        CompleteOn::Accepted,
        CompleteOn::Delivered,
    ]);
    let graph = LateGraph::new(world, &mut random, 120);
    let build = || {
        let builder = world.builder().with_issuer(Arc::clone(&graph));
        let builder = builder
            .with_on_doubt(on_doubt)
            .with_complete_on(complete_on);
        builder.build().unwrap()
    };
    let ago = if random.chance(60) {
        0
    } else {
        random.below(29 * 60)
    };
    let callout = world
        .callout()
        .with_created_at(start() - TimeDelta::seconds(i64::try_from(ago).unwrap()));
    let closes = callout.window_start() + minutes(30);
    if kills > 0 {
        // A run that takes over does not wait for as long as a call may take.
        graph.late.lock().unwrap().retain(Late::is_soon);
    }
    for _ in 0..kills {
        let at = world.state().records + usize::try_from(random.below(12)).unwrap();
        world.state().broken = Some((at, random.breaks()));
        let onboarding = build();
        if random.chance(40) {
            // Dropped at a random time, like a run with a lost lease.
            let wait = Duration::from_millis(random.below(120_000));
            let _ = tokio::time::timeout(wait, world.live(&onboarding, &callout)).await;
        } else {
            let _ = world.live(&onboarding, &callout).await;
        }
        if random.chance(50) {
            tokio::time::sleep(seconds(random.below(400))).await;
        }
    }
    world.state().broken = None;
    let begun = world.clock.now();
    let onboarding = build();
    let stop = random
        .chance(15)
        .then(|| Duration::from_millis(random.below(90_000)));
    let shutdown = async {
        match stop {
            Some(wait) => tokio::time::sleep(wait).await,
            None => future::pending().await,
        }
    };
    let jump = async {
        if jumps {
            tokio::time::sleep(seconds(random.below(300))).await;
            let by = i64::try_from(random.below(4_800_000)).unwrap() - 2_400_000;
            world.clock.set_by(by);
        }
        future::pending::<()>().await
    };
    let ending = tokio::select! {
        ending = onboarding.run_until(callout.clone(), shutdown) => ending.map_err(|_| "an error")?,
        () = reports(Arc::clone(world), &onboarding, Random::new(!seed)) => unreachable!(),
        () = jump => unreachable!(),
    };
    tokio::time::sleep(seconds(200)).await;
    if let Some(wrong) = wrong_texts(world) {
        return Err(wrong);
    }
    judged(world, &ending)?;
    let state = world.state();
    if state.heard.len() > 1
        || state
            .heard
            .first()
            .is_some_and(|heard| *heard != ending.verdict)
    {
        return Err("two verdicts");
    }
    // By Graph's clock, which is never set. A process that was dead when the window closed is late.
    let late = state.verdicts.iter().any(|(at, _)| *at > closes);
    // A slow store may respond after the window.
    if late && !jumps && begun < closes && state.slow.is_none() {
        return Err("a late verdict");
    }
    Ok(())
}

fn judged(world: &World, ending: &Ending) -> Result<(), Violation> {
    match ending.verdict {
        Verdict::Completed if world.usable().is_empty() => Err("completed without a usable pass"),
        Verdict::Completed if !last_text_works(world) => Err("the newest text holds a dead pass"),
        Verdict::Failed(_) if !world.usable().is_empty() => match ending.may_be_usable_until() {
            Some(_) => Ok(()),
            None => Err("an orphaned pass that the ending does not name"),
        },
        _ => Ok(()),
    }
}

/// Runs a flow that is dropped at random times, and finally is not.
async fn dropped_and_run(
    onboarding: &Onboarding,
    callout: &Callout,
    mut random: Random,
) -> Result<Ending, Violation> {
    tokio::time::sleep(seconds(random.below(100))).await;
    for _ in 0..random.below(3) {
        let wait = Duration::from_millis(random.below(90_000));
        let run = onboarding.run(callout.clone());
        if let Ok(ended) = tokio::time::timeout(wait, run).await {
            return ended.map_err(|_| "an error");
        }
        tokio::time::sleep(seconds(random.below(30))).await;
    }
    let stop = random
        .chance(25)
        .then(|| Duration::from_millis(random.below(90_000)));
    let shutdown = async {
        match stop {
            Some(wait) => tokio::time::sleep(wait).await,
            None => future::pending().await,
        }
    };
    let run = onboarding.run_until(callout.clone(), shutdown);
    run.await.map_err(|_| "an error")
}

async fn two(seed: u64, world: &Arc<World>) -> Result<(), Violation> {
    let mut random = Random::new(seed);
    random.faults(world, 3);
    // Entra accepts one verdict of each flow, and the world has one callback.
    world.state().resume_faults.clear();
    let complete_on = random.pick(&[
        CompleteOn::Accepted,
        CompleteOn::Accepted,
        CompleteOn::Delivered,
    ]);
    let existing_pass = random.pick(&[
        ExistingPass::KeepOurs,
        ExistingPass::KeepOurs,
        ExistingPass::ReplaceOurs,
    ]);
    let graph = LateGraph::new(world, &mut random, 120);
    let builder = world
        .builder()
        .with_issuer(graph)
        .with_existing_pass(existing_pass);
    let onboarding = builder.with_complete_on(complete_on).build().unwrap();
    let mut callout = || {
        let near = random.chance(60);
        let ago = if near { 27 * 60 + random.below(120) } else { 0 };
        let ago = TimeDelta::seconds(i64::try_from(ago).unwrap());
        world.callout().with_created_at(start() - ago)
    };
    let (a, b) = (callout(), callout());
    let both = async {
        tokio::join!(
            dropped_and_run(&onboarding, &a, Random::new(seed ^ 0xa5a5)),
            dropped_and_run(&onboarding, &b, Random::new(seed ^ 0x5a5a)),
        )
    };
    let (one, two) = tokio::select! {
        both = both => both,
        () = reports(Arc::clone(world), &onboarding, Random::new(!seed)) => unreachable!(),
    };
    let (one, two) = (one?, two?);
    tokio::time::sleep(seconds(200)).await;
    if let Some(wrong) = wrong_texts(world) {
        return Err(wrong);
    }
    let endings = [one, two];
    let named = endings
        .iter()
        .any(|ending| ending.may_be_usable_until().is_some());
    let completed = endings
        .iter()
        .any(|ending| ending.verdict == Verdict::Completed);
    let usable = world.usable();
    if !completed {
        return if usable.is_empty() || named {
            Ok(())
        } else {
            Err("an orphaned pass that no ending names")
        };
    }
    // A flow that replaces a pass and then cannot send leaves none.
    let last_verdict = { world.state().verdicts.last().map(|(_, verdict)| *verdict) };
    if existing_pass == ExistingPass::ReplaceOurs && last_verdict != Some(Verdict::Completed) {
        return Ok(());
    }
    if last_text_works(world) {
        Ok(())
    } else if usable.is_empty() {
        Err("completed without a usable pass")
    } else {
        Err("the newest text holds a dead pass")
    }
}

/// Runs one flow by several workers. Each loses it to the next at a random time, and continues as if it had not,
/// after a stop between an entry and its effect.
async fn workers(seed: u64, world: &Arc<World>) -> Result<(), Violation> {
    let mut random = Random::new(seed);
    {
        let mut state = world.state();
        // A call that takes longer than a takeover waits may succeed after Entra has the verdict, which is a
        // documented limit.
        for _ in 0..random.below(4) {
            let fault = match random.below(5) {
                0 => IssueFault::Lost,
                1 => IssueFault::Vanished,
                2 => IssueFault::LostAndLate(seconds(random.below(60))),
                3 => IssueFault::SlowAnswer(seconds(random.below(18))),
                _ => IssueFault::Slow(seconds(random.below(18))),
            };
            state.issue_faults.push_back(fault);
        }
        for _ in 0..random.below(4) {
            let fault = match random.below(4) {
                0 => SendFault::Lost,
                1 => SendFault::Vanished,
                _ => SendFault::Slow(seconds(random.below(18))),
            };
            state.send_faults.push_back(fault);
        }
        for _ in 0..random.below(3) {
            state.revoke_faults.push_back(GraphErrorKind::Unavailable);
        }
    }
    let callout = world.callout();
    let count = 2 + random.below(2);
    let entries = [
        "issuing", "issued", "sending", "accepted", "in_doubt", "revoking", "revoked", "resuming",
    ];
    let leases: Vec<_> = (0..count)
        .map(|turn| {
            let entry = random.pick(&entries);
            // The last one keeps the flow.
            let most = if turn + 1 == count { 1 } else { 120 };
            Leased::stopping(world, entry, seconds(random.below(most)))
        })
        .collect();
    let onboardings: Vec<_> = leases
        .iter()
        .map(|lease| {
            world
                .builder()
                .with_journal(Arc::new(lease.clone()))
                .build()
                .unwrap()
        })
        .collect();
    let began: Vec<_> = (0..count).map(|turn| turn * random.below(60)).collect();
    let began = |turn: usize| seconds(began[..=turn].iter().sum());
    let run = async |turn: usize| {
        tokio::time::sleep(began(turn)).await;
        leases[..turn].iter().for_each(Leased::lose);
        let last = turn + 1 == leases.len();
        match onboardings[turn]
            .run_until(callout.clone(), future::pending())
            .await
        {
            Ok(ending) => Some(ending),
            Err(_) if !last => None,
            Err(error) => panic!("{error}"),
        }
    };
    let (one, two, three) = tokio::join!(run(0), run(1), async {
        match leases.len() {
            3 => run(2).await,
            _ => None,
        }
    });
    tokio::time::sleep(seconds(200)).await;
    if let Some(wrong) = wrong_texts(world) {
        return Err(wrong);
    }
    let endings: Vec<_> = [one, two, three].into_iter().flatten().collect();
    let last = endings.last().ok_or("no ending")?;
    if endings.iter().any(|ending| ending.verdict != last.verdict) {
        return Err("two verdicts");
    }
    judged(world, last)
}

/// Runs every seed and counts the violations.
async fn run(name: &str, fuzz: impl AsyncFn(u64, &Arc<World>) -> Result<(), Violation>) {
    let number = |name: &str| env::var(name).ok().and_then(|number| number.parse().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("FUZZ").unwrap_or(SEEDS),
    };
    let count = seeds.clone().count();
    let mut violations: BTreeMap<Violation, Vec<u64>> = BTreeMap::new();
    for seed in seeds {
        let world = World::new();
        let ended = fuzz(seed, &world).await;
        if let Err(violation) = ended {
            violations.entry(violation).or_default().push(seed);
        }
        if count == 1 {
            let state = world.state();
            panic!(
                "{ended:?} verdicts {:?} passes {:?}\n{:?}",
                state.verdicts, state.passes, state.log
            );
        }
    }
    let found: Vec<_> = violations
        .iter()
        .map(|(violation, seeds)| {
            let first = &seeds[..seeds.len().min(8)];
            format!("{violation}: {} of {count}, such as {first:?}", seeds.len())
        })
        .collect();
    assert!(found.is_empty(), "{name}: {found:#?}");
}

#[tokio::test(start_paused = true)]
async fn fuzz_of_one_flow() {
    run("one flow", one).await;
}

#[tokio::test(start_paused = true)]
async fn fuzz_of_workers_that_take_a_flow_from_each_other() {
    run("workers", workers).await;
}

#[tokio::test(start_paused = true)]
async fn fuzz_of_two_flows_of_one_user() {
    run("two flows", two).await;
}
