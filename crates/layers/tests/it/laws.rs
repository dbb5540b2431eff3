//! Laws for every stack of layers, whatever its vendors respond and whichever callers give up.
//!
//! Random trees of layers wrap scripted vendors, and outcomes are compared with the vendors' own logs. A vendor that
//! hangs is one that takes an hour.

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use postduif_core::{
    Acceptance, ErrorKind, Health, Message, Outcomes, Profile, Receipt, Reference, SendError,
    SmsProvider, async_trait, batch,
    departure::{Departure, DepartureHandle, hold},
};
use postduif_layers::{
    AllowDestinations, Batch, Budget, Dedupe, Failover, Member, OnlyTo, RateLimit, RedirectTo,
    Retry, RoundRobin, Senders, StartWithin, Timeout, Traced,
};
use proptest::{collection::vec, prelude::*};
use tokio::time::{Instant, sleep, timeout};

use crate::{help::*, recording::Call};

const DAY: Duration = Duration::from_secs(86_400);

/// The response of a vendor to a message.
#[derive(Clone, Copy, Debug)]
struct Response {
    kind: Option<(ErrorKind, Acceptance)>,
    after: Duration,
    /// The vendor's `retry_after`, in seconds.
    hint: Option<u64>,
}

impl Response {
    /// Uses the reference as the error's code, which shows to which message the outcome belongs.
    fn scripted(self, reference: &Reference) -> Scripted {
        let response = match self.kind {
            None => Scripted::accept(),
            Some((kind, acceptance)) => {
                let error = match acceptance {
                    Acceptance::NotAccepted => SendError::not_accepted(kind, "scripted"),
                    Acceptance::Unknown => SendError::unknown(kind, "scripted"),
                };
                let error = error.with_code(reference.to_string());
                Scripted::fail(match self.hint {
                    Some(hint) => error.with_retry_after(Duration::from_secs(hint)),
                    None => error,
                })
            }
        };
        response.after(self.after)
    }
}

fn response() -> impl Strategy<Value = Response> {
    response_with(3, 4, 2)
}

/// A response with these shares of acceptances, refusals and doubts.
fn response_with(accept: u32, refuse: u32, doubt: u32) -> impl Strategy<Value = Response> {
    let kind = prop_oneof![
        4 => Just(ErrorKind::Throttled),
        4 => Just(ErrorKind::Unavailable),
        2 => Just(ErrorKind::Timeout),
        1 => proptest::sample::select(ErrorKind::ALL),
    ];
    let response = prop_oneof![
        accept => Just(None),
        refuse => kind.clone().prop_map(refused),
        doubt => kind.prop_map(in_doubt),
    ];
    let after = prop_oneof![4 => Just(0), 3 => 1_u64..3_000, 1 => Just(3_600_000)];
    let hint = prop_oneof![2 => Just(None), 1 => (0..40_u64).prop_map(Some)];
    (response, after, hint).prop_map(|(kind, after, hint)| Response {
        kind,
        after: Duration::from_millis(after),
        hint,
    })
}

#[derive(Clone, Debug)]
enum Layer {
    Allow,
    Batch {
        in_flight: usize,
    },
    Budget {
        messages: u32,
        parts: u32,
        window: u64,
    },
    Dedupe,
    OnlyTo,
    RateLimit {
        rate: u32,
        burst: u32,
        in_flight: usize,
        wait: u64,
    },
    RedirectTo,
    Retry {
        attempts: u32,
        deadline: u64,
    },
    Senders,
    StartWithin {
        deadline: u64,
    },
    Timeout {
        deadline: u64,
        in_flight: usize,
    },
    Traced,
}

#[derive(Clone, Debug)]
enum Tree {
    Failover(Vec<Self>),
    Layer(Layer, Box<Self>),
    RoundRobin(Vec<(u32, Self)>),
    Vendor {
        batch: usize,
        window: Option<u64>,
        timeout: Option<u64>,
        /// How long its calls wait before they leave, in milliseconds; empty if they do not declare their waits.
        waits: Vec<(u64, u64)>,
    },
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        Just(Layer::Allow),
        (1..3_usize).prop_map(|in_flight| Layer::Batch { in_flight }),
        Just(Layer::Budget {
            messages: 1000,
            parts: 1000,
            window: 3600
        }),
        Just(Layer::Dedupe),
        Just(Layer::OnlyTo),
        rate_limit(),
        Just(Layer::RedirectTo),
        retry(),
        Just(Layer::Senders),
        (1..20_u64).prop_map(|deadline| Layer::StartWithin { deadline }),
        Just(Layer::Traced),
    ]
}

/// Layers whose calls are part of their caller's. Those of `Batch` and `Dedupe` are shared by several callers.
fn watched_layer() -> impl Strategy<Value = Layer> {
    layer().prop_filter("shared work", |layer| {
        !matches!(layer, Layer::Batch { .. } | Layer::Dedupe)
    })
}

fn rate_limit() -> impl Strategy<Value = Layer> {
    let numbers = (1..20_u32, 1..5_u32, 1..4_usize, 0..40_u64);
    numbers.prop_map(|(rate, burst, in_flight, wait)| Layer::RateLimit {
        rate,
        burst,
        in_flight,
        wait,
    })
}

fn retry() -> impl Strategy<Value = Layer> {
    let numbers = (1..5_u32, proptest::sample::select(vec![1_u64, 8, 60, 600]));
    numbers.prop_map(|(attempts, deadline)| Layer::Retry { attempts, deadline })
}

fn timeout_layer() -> impl Strategy<Value = Layer> {
    (1..10_u64, 1..3_usize).prop_map(|(deadline, in_flight)| Layer::Timeout {
        deadline,
        in_flight,
    })
}

fn leaf() -> impl Strategy<Value = Tree> {
    let window = proptest::sample::select(vec![None, Some(5), Some(70), Some(10_800)]);
    let timeout = proptest::option::of(1..10_u64);
    (1..5_usize, window, timeout).prop_map(|(batch, window, timeout)| Tree::Vendor {
        batch,
        window,
        timeout,
        waits: Vec::new(),
    })
}

/// A vendor whose calls wait for a token and a connection, sometimes without end, and declare these waits.
fn declaring_leaf() -> impl Strategy<Value = Tree> {
    let wait = || prop_oneof![4 => Just(0), 3 => 1_u64..5_000, 1 => Just(3_600_000)];
    (leaf(), vec((wait(), wait()), 1..6)).prop_map(|(leaf, spoken)| match leaf {
        Tree::Vendor {
            batch,
            window,
            timeout,
            ..
        } => Tree::Vendor {
            batch,
            window,
            timeout,
            waits: spoken,
        },
        leaf => leaf,
    })
}

/// Any stack. Only vendors have deadlines, unless `layer` has some.
fn tree(layer: impl Strategy<Value = Layer> + 'static) -> impl Strategy<Value = Tree> {
    tree_over(leaf(), layer)
}

fn tree_over(
    leaf: impl Strategy<Value = Tree> + 'static,
    layer: impl Strategy<Value = Layer> + 'static,
) -> impl Strategy<Value = Tree> {
    let layer = layer.boxed();
    leaf.prop_recursive(5, 12, 3, move |inner| {
        prop_oneof![
            5 => (layer.clone(), inner.clone()).prop_map(|(layer, inner)| Tree::Layer(layer, Box::new(inner))),
            1 => vec(inner.clone(), 1..4).prop_map(Tree::Failover),
            1 => vec((1..4_u32, inner), 1..4).prop_map(Tree::RoundRobin),
        ]
    })
}

/// Stacks with many repeats, over vendors with a repeat window.
fn repeating_tree() -> impl Strategy<Value = Tree> {
    let slow = (1..4_u32, 1..3_u32, 5..40_u64).prop_map(|(rate, burst, wait)| Layer::RateLimit {
        rate,
        burst,
        in_flight: 3,
        wait,
    });
    let layer = prop_oneof![
        4 => retry(),
        2 => slow,
        1 => Just(Layer::Batch { in_flight: 1 }),
        1 => layer(),
    ];
    let window = proptest::sample::select(vec![5, 70, 10_800]);
    let timeout = proptest::option::of(1..10_u64);
    let vendor = (1..4_usize, window, timeout).prop_map(|(batch, window, timeout)| Tree::Vendor {
        batch,
        window: Some(window),
        timeout,
        waits: Vec::new(),
    });
    let stack = |(layers, inner): (Vec<Layer>, Tree)| {
        layers
            .into_iter()
            .fold(inner, |inner, layer| Tree::Layer(layer, Box::new(inner)))
    };
    let member = (vec(layer.clone(), 0..4), vendor).prop_map(stack);
    let members = prop_oneof![
        4 => member.clone(),
        1 => vec(member.clone(), 1..3).prop_map(Tree::Failover),
        1 => vec((1..3_u32, member), 1..3).prop_map(Tree::RoundRobin),
    ];
    (vec(layer, 0..3), members).prop_map(stack)
}

/// Members in the order that the documentation recommends, with a deadline at each vendor.
fn ordered_members() -> impl Strategy<Value = Tree> {
    let batch = (1..3_usize).prop_map(|in_flight| Layer::Batch { in_flight });
    let layers = (
        proptest::option::of(rate_limit()),
        proptest::option::of(batch),
        proptest::option::of(retry()),
    );
    let member = (declaring_leaf(), 1..10_u64, layers).prop_map(|(leaf, deadline, layers)| {
        let leaf = match leaf {
            Tree::Vendor {
                batch,
                window,
                waits,
                ..
            } => Tree::Vendor {
                batch,
                window,
                timeout: Some(deadline),
                waits,
            },
            leaf => leaf,
        };
        let layers = [layers.0, layers.1, layers.2].into_iter().flatten();
        layers.fold(leaf, |inner, layer| Tree::Layer(layer, Box::new(inner)))
    });
    let member = member.boxed();
    prop_oneof![
        3 => member.clone(),
        2 => vec(member.clone(), 1..4).prop_map(Tree::Failover),
        1 => vec((1..4_u32, member), 1..4).prop_map(Tree::RoundRobin),
    ]
}

fn any_layer() -> impl Strategy<Value = Layer> {
    prop_oneof![5 => layer(), 1 => timeout_layer()]
}

impl Tree {
    fn build(&self, vendors: &mut Vec<Recording>) -> Arc<dyn SmsProvider> {
        let members = |trees: Vec<(u32, &Self)>, vendors: &mut Vec<Recording>| -> Vec<Member> {
            let member = |(index, (weight, tree)): (usize, (u32, &Self))| {
                Member::new(format!("m{index}"), tree.build(vendors)).with_weight(count(weight))
            };
            trees.into_iter().enumerate().map(member).collect()
        };
        match self {
            Self::Failover(trees) => {
                let trees = trees.iter().map(|tree| (1, tree)).collect();
                Arc::new(Failover::new(members(trees, vendors)).unwrap())
            }
            Self::RoundRobin(trees) => {
                let trees = trees.iter().map(|(weight, tree)| (*weight, tree)).collect();
                Arc::new(RoundRobin::new(members(trees, vendors)).unwrap())
            }
            Self::Layer(layer, inner) => layer.around(inner.build(vendors)),
            Self::Vendor {
                batch,
                window,
                timeout,
                waits,
            } => {
                let window = window.map(Duration::from_secs);
                let recording = Recording::new(profile("v", *batch).with_repeat_window(window));
                vendors.push(recording.clone());
                let vendor: Arc<dyn SmsProvider> = match waits.as_slice() {
                    [] => Arc::new(recording),
                    waits => Arc::new(Declaring {
                        waits: waits.to_vec(),
                        calls: AtomicUsize::new(0),
                        inner: recording,
                    }),
                };
                match timeout {
                    Some(deadline) => {
                        Arc::new(Timeout::new(vendor, Duration::from_secs(*deadline)))
                    }
                    None => vendor,
                }
            }
        }
    }
}

/// A provider whose calls declare their waits and when they leave, as those over HTTP do.
#[derive(Debug)]
struct Declaring {
    waits: Vec<(u64, u64)>,
    calls: AtomicUsize,
    inner: Recording,
}

impl Declaring {
    async fn leave(&self) -> Result<(), SendError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let (token, connection) = self.waits[call % self.waits.len()];
        hold(sleep(Duration::from_millis(token))).await;
        hold(sleep(Duration::from_millis(connection))).await;
        DepartureHandle::current().map_or(Ok(()), |departure| {
            let closed = |_| SendError::not_accepted(ErrorKind::Timeout, "closed").local();
            departure.begin().map_err(closed)
        })
    }
}

#[async_trait]
impl SmsProvider for Declaring {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.leave().await?;
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let size = self.profile().batch_size();
        batch::in_chunks(messages, size, size, async |piece| {
            match self.leave().await {
                Ok(()) => self.inner.send_batch(piece).await,
                Err(error) => Outcomes::failed(piece, &error),
            }
        })
        .await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

impl Layer {
    fn around(&self, inner: Arc<dyn SmsProvider>) -> Arc<dyn SmsProvider> {
        let dutch = || ["+31".parse().unwrap()];
        match *self {
            Self::Allow => Arc::new(AllowDestinations::new(inner, dutch())),
            Self::Batch { in_flight } => Arc::new(
                Batch::new(inner)
                    .with_in_flight(size(in_flight))
                    .with_max_wait(DAY),
            ),
            Self::Budget {
                messages,
                parts,
                window,
            } => {
                let window = Duration::from_secs(window);
                let limit = format!("{parts} EUR").parse().unwrap();
                Arc::new(
                    Budget::new(inner)
                        .with_recipient_limit(count(messages), window)
                        .with_spend_limit(limit, window, "1 EUR".parse().unwrap())
                        .unwrap(),
                )
            }
            Self::Dedupe => Arc::new(Dedupe::new(inner).with_max_wait(DAY)),
            Self::OnlyTo => Arc::new(OnlyTo::new(inner, dutch())),
            Self::RateLimit {
                rate,
                burst,
                in_flight,
                wait,
            } => Arc::new(
                RateLimit::new(inner, count(rate))
                    .with_burst(count(burst))
                    .with_in_flight(size(in_flight))
                    .with_max_wait(Duration::from_secs(wait)),
            ),
            Self::RedirectTo => Arc::new(RedirectTo::new(inner, "+31600000000".parse().unwrap())),
            Self::Retry { attempts, deadline } => Arc::new(
                Retry::new(inner)
                    .with_attempts(count(attempts))
                    .with_deadline(Duration::from_secs(deadline)),
            ),
            Self::Senders => Arc::new(
                Senders::new(inner)
                    .with_default("Contoso".parse::<postduif_core::Sender>().unwrap()),
            ),
            Self::StartWithin { deadline } => {
                Arc::new(StartWithin::new(inner, Duration::from_secs(deadline)))
            }
            Self::Timeout {
                deadline,
                in_flight,
            } => Arc::new(
                Timeout::new(inner, Duration::from_secs(deadline)).with_in_flight(size(in_flight)),
            ),
            Self::Traced => Arc::new(Traced::new(inner)),
        }
    }
}

/// A call to the stack: when, with how many messages (`None` is a single send), and when its caller gives up.
#[derive(Clone, Debug)]
struct Request {
    at: u64,
    batch: Option<usize>,
    gives_up: Option<u64>,
    /// When a departure around the whole stack cuts the call off.
    cut_off: Option<Cut>,
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    /// After this number of milliseconds.
    Time(u64),
    /// After this number of polls that had to wait.
    Wait(u32),
}

impl Cut {
    async fn comes(self) {
        match self {
            Self::Time(after) => sleep(Duration::from_millis(after)).await,
            Self::Wait(waits) => {
                let mut left = waits;
                poll_fn(|_| match left {
                    0 => Poll::Ready(()),
                    _ => {
                        left -= 1;
                        Poll::Pending
                    }
                })
                .await;
            }
        }
    }
}

fn requests(gives_up: bool) -> impl Strategy<Value = Vec<Request>> {
    let patience = if gives_up {
        proptest::option::of(0..5_000_u64).boxed()
    } else {
        Just(None).boxed()
    };
    let request = (0..8_000_u64, proptest::option::of(0..9_usize), patience);
    vec(
        request.prop_map(|(at, batch, gives_up)| Request {
            at,
            batch,
            gives_up,
            cut_off: None,
        }),
        1..8,
    )
}

fn cut_requests() -> impl Strategy<Value = Vec<Request>> {
    let cut_off = proptest::option::of(prop_oneof![
        (0..12_000_u64).prop_map(Cut::Time),
        (0..12_u32).prop_map(Cut::Wait),
    ]);
    (requests(true), vec(cut_off, 8)).prop_map(|(mut requests, cuts)| {
        for (request, cut_off) in requests.iter_mut().zip(cuts) {
            request.cut_off = cut_off;
        }
        requests
    })
}

/// The messages and outcomes of a call; no outcomes if its caller gave up.
struct Sent {
    messages: Vec<Message>,
    outcomes: Option<Outcomes>,
    began: Instant,
    ended: Instant,
}

/// Builds the stack, scripts the vendors in turn from `responses`, and runs all requests at once.
async fn live(tree: &Tree, requests: &[Request], responses: &[Response]) -> World {
    let mut vendors = Vec::new();
    let provider = tree.build(&mut vendors);
    let mut responses = responses.iter().cycle();
    let mut index = 0;
    let mut running = Vec::new();
    for request in requests.iter().cloned() {
        let messages: Vec<_> = (0..request.batch.unwrap_or(1))
            .map(|_| {
                index += 1;
                message_to(
                    &format!("+3161000000{}", index % 4),
                    &format!("text {}", index % 3),
                )
            })
            .collect();
        for message in &messages {
            for vendor in &vendors {
                let script = responses
                    .by_ref()
                    .take(8)
                    .map(|f| f.scripted(message.reference()));
                vendor.script_for(message.reference(), script.collect::<Vec<_>>());
            }
        }
        let provider = Arc::clone(&provider);
        running.push(tokio::spawn(async move {
            sleep(Duration::from_millis(request.at)).await;
            let began = Instant::now();
            let send = async {
                match request.batch {
                    Some(_) => provider.send_batch(&messages).await,
                    None => {
                        let outcome = provider.send(&messages[0]).await;
                        let mut outcomes = Outcomes::in_doubt(&messages);
                        outcomes.set(0, outcome);
                        outcomes
                    }
                }
            };
            let cut_off = async {
                match request.cut_off {
                    Some(cut) => cut.comes().await,
                    None => std::future::pending().await,
                }
            };
            let send = async {
                let departure = Departure::new();
                match departure.run_until(cut_off, send).await {
                    Ok(outcomes) => outcomes,
                    Err(Acceptance::NotAccepted) => Outcomes::failed(
                        &messages,
                        &SendError::not_accepted(ErrorKind::Timeout, "cut off"),
                    ),
                    Err(Acceptance::Unknown) => Outcomes::failed(
                        &messages,
                        &SendError::unknown(ErrorKind::Timeout, "cut off"),
                    ),
                }
            };
            let patience = request.gives_up.map_or(DAY, Duration::from_millis);
            let outcomes = timeout(patience, send).await.ok();
            assert!(
                outcomes.is_some() || request.gives_up.is_some(),
                "nothing ends within a day"
            );
            Sent {
                messages,
                outcomes,
                began,
                ended: Instant::now(),
            }
        }));
    }
    let mut sent = Vec::new();
    for request in running {
        sent.push(request.await.unwrap());
    }
    // Calls without a caller come to their end.
    sleep(2 * DAY).await;
    World {
        provider,
        vendors,
        sent,
    }
}

struct World {
    provider: Arc<dyn SmsProvider>,
    vendors: Vec<Recording>,
    sent: Vec<Sent>,
}

/// A message as a vendor saw it.
struct Sight {
    vendor: usize,
    at: Instant,
    index: u64,
    batch: bool,
    /// `None` if the call was dropped before the response.
    outcome: Option<Result<Receipt, SendError>>,
}

impl Sight {
    fn refused(&self) -> bool {
        let acceptance =
            |outcome: &Result<_, SendError>| outcome.as_ref().err().map(SendError::acceptance);
        self.outcome
            .as_ref()
            .is_some_and(|o| acceptance(o) == Some(Acceptance::NotAccepted))
    }

    fn accepted(&self) -> bool {
        matches!(self.outcome, Some(Ok(_)))
    }
}

impl World {
    fn sights(&self, reference: &Reference) -> Vec<Sight> {
        let mut sights = Vec::new();
        for (vendor, recording) in self.vendors.iter().enumerate() {
            for call in recording.log() {
                for (index, message) in call.messages.iter().enumerate() {
                    if message.reference() == reference {
                        sights.push(Sight {
                            vendor,
                            at: call.at,
                            index: call.sequence,
                            batch: call.batch,
                            outcome: call.outcomes.as_ref().map(|all| all[index].clone()),
                        });
                    }
                }
            }
        }
        sights.sort_by_key(|sight| sight.index);
        sights
    }

    fn messages(&self) -> impl Iterator<Item = &Message> {
        self.sent.iter().flat_map(|sent| &sent.messages)
    }

    /// Returns every message that has an outcome, with that outcome.
    fn outcomes(&self) -> impl Iterator<Item = (&Message, &Result<Receipt, SendError>)> {
        self.sent
            .iter()
            .flat_map(|sent| sent.messages.iter().zip(sent.outcomes.iter().flatten()))
    }
}

/// Checks that no reference is sent again after an acceptance or a doubt, except singly to the same vendor inside its
/// repeat window.
fn never_twice(world: &World) -> Result<(), TestCaseError> {
    for message in world.messages() {
        let sights = world.sights(message.reference());
        for (index, again) in sights.iter().enumerate() {
            for before in sights[..index].iter().filter(|sight| !sight.refused()) {
                let window = world.vendors[again.vendor].profile().repeat_window();
                // A refusal leaves nothing by which a vendor could recognize a repeat.
                let mut own = sights.iter().filter(|sight| sight.vendor == again.vendor);
                let first = own.find(|sight| !sight.refused()).map(|sight| sight.at);
                let harmless = before.vendor == again.vendor
                    && !before.accepted()
                    && !before.batch
                    && !again.batch
                    && window
                        .zip(first)
                        .is_some_and(|(window, first)| again.at - first < window);
                prop_assert!(harmless, "{message:?} went out again");
            }
        }
    }
    Ok(())
}

fn run<T>(life: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(life)
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn outcomes_have_the_messages_length_and_order(
        tree in tree(any_layer()),
        requests in requests(false),
        responses in vec(response(), 1..40),
    ) {
        let world = run(live(&tree, &requests, &responses));
        for sent in &world.sent {
            prop_assert_eq!(sent.outcomes.as_ref().map(Outcomes::len), Some(sent.messages.len()));
        }
        for (message, outcome) in world.outcomes() {
            match outcome {
                Ok(receipt) => prop_assert_eq!(receipt.reference(), message.reference()),
                Err(error) => if let Some(code) = error.code() {
                    prop_assert_eq!(code, message.reference().as_str());
                },
            }
        }
    }

    #[test]
    fn no_reference_goes_out_again_after_a_doubt_or_an_acceptance(
        tree in tree(any_layer()),
        requests in requests(true),
        responses in vec(response(), 1..40),
    ) {
        never_twice(&run(live(&tree, &requests, &responses)))?;
    }

    #[test]
    fn a_call_that_is_cut_off_reports_its_true_acceptance(
        tree in tree_over(prop_oneof![4 => declaring_leaf(), 1 => leaf()], any_layer()),
        requests in cut_requests(),
        responses in vec(response(), 1..40),
    ) {
        let world = run(live(&tree, &requests, &responses));
        for (message, outcome) in world.outcomes() {
            let sights = world.sights(message.reference());
            match outcome {
                Ok(_) => prop_assert!(sights.iter().any(Sight::accepted)),
                Err(error) if error.acceptance() == Acceptance::NotAccepted => {
                    prop_assert!(sights.iter().all(Sight::refused), "{}", error);
                }
                Err(_) => {}
            }
        }
        never_twice(&world)?;
    }

    #[test]
    fn a_message_that_only_waited_is_never_in_doubt(
        tree in tree_over(declaring_leaf(), prop_oneof![3 => watched_layer(), 1 => timeout_layer()]),
        requests in cut_requests(),
        responses in vec(response_with(2, 5, 1), 1..40),
    ) {
        let world = run(live(&tree, &requests, &responses));
        for sent in &world.sent {
            let seen = |message: &Message| {
                world.sights(message.reference()).iter().any(|sight| !sight.refused())
            };
            let left = sent.messages.iter().any(seen);
            for outcome in sent.outcomes.iter().flatten() {
                if let Err(error) = outcome {
                    prop_assert!(left || error.acceptance() == Acceptance::NotAccepted, "{}", error);
                }
            }
        }
        never_twice(&world)?;
    }

    #[test]
    fn nothing_begins_after_a_deadline_and_at_most_one_call_is_waited_for_after_it(
        members in ordered_members(),
        deadline in 1..20_u64,
        requests in requests(false),
        responses in vec(response_with(2, 3, 2), 1..40),
    ) {
        let tree = Tree::Layer(Layer::StartWithin { deadline }, Box::new(members));
        let deadline = Duration::from_secs(deadline);
        let world = run(live(&tree, &requests, &responses));
        // Timers fire at the next millisecond, and a vendor call takes less than 10 seconds.
        let late = Duration::from_millis(20);
        let longest = deadline + Duration::from_secs(10);
        for sent in &world.sent {
            prop_assert!(sent.ended - sent.began < longest, "{:?}", sent.ended - sent.began);
            for message in &sent.messages {
                for sight in world.sights(message.reference()) {
                    let after = sight.at - sent.began;
                    prop_assert!(after <= deadline + late, "begun after {after:?}");
                }
            }
        }
        never_twice(&world)?;
    }

    #[test]
    fn a_send_that_one_runtime_left_unfinished_ends_on_another(
        shared in prop_oneof![Just(Layer::Dedupe), (1..3_usize).prop_map(|in_flight| Layer::Batch { in_flight })],
        inner in tree_over(declaring_leaf(), watched_layer()),
        stops_after in 0..8_000_u64,
        ends in any::<bool>(),
        at_first in vec(any::<bool>(), 6),
        responses in vec(response_with(3, 1, 1), 1..40),
    ) {
        let again = matches!(shared, Layer::Dedupe);
        let mut vendors = Vec::new();
        let provider = Tree::Layer(shared, Box::new(inner)).build(&mut vendors);
        let all = messages(6);
        for (message, responses) in all.iter().zip(responses.chunks(4).cycle()) {
            for vendor in &vendors {
                let script: Vec<_> = responses.iter().map(|f| f.scripted(message.reference())).collect();
                vendor.script_for(message.reference(), script);
            }
        }
        let send = |message: &Message| {
            let (provider, message) = (Arc::clone(&provider), message.clone());
            tokio::spawn(async move { timeout(DAY, provider.send(&message)).await.ok() })
        };
        let stopped = runtime();
        stopped.block_on(async {
            for (message, _) in all.iter().zip(&at_first).filter(|(_, first)| **first) {
                drop(send(message));
            }
            sleep(Duration::from_millis(stops_after)).await;
        });
        let _kept = if ends { drop(stopped); None } else { Some(stopped) };
        let asked: Vec<_> = all.iter().zip(&at_first).filter(|(_, first)| again || !**first).collect();
        let answers = run(async {
            let sends: Vec<_> = asked.iter().map(|(message, _)| send(message)).collect();
            let mut answers = Vec::new();
            for send in sends {
                answers.push(send.await.unwrap());
            }
            answers
        });
        let began = Instant::now();
        let world = World {
            provider,
            vendors,
            sent: vec![Sent { messages: all.clone(), outcomes: None, began, ended: began }],
        };
        // A call that left, and has no response, is in doubt or has not returned yet on the stopped runtime.
        let first = all.iter().zip(&at_first).filter(|(_, first)| **first);
        let left_there = first
            .flat_map(|(message, _)| world.sights(message.reference()))
            .any(|sight| !sight.refused());
        for ((message, _), outcome) in asked.iter().zip(answers) {
            let left = world.sights(message.reference()).iter().any(|sight| !sight.refused());
            match outcome {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    prop_assert_eq!(left, error.acceptance() == Acceptance::Unknown, "{}", error);
                }
                // It waits for such a call, as long as it is set to.
                None => prop_assert!(left_there, "it waits for what never left"),
            }
        }
        never_twice(&world)?;
    }

    #[test]
    fn repeats_stay_inside_the_window_of_the_vendor_through_any_stack(
        tree in repeating_tree(),
        starts in vec((0..1_500_u64, prop_oneof![4 => Just(None), 1 => (1..4_usize).prop_map(Some)]), 1..12),
        responses in vec(response_with(1, 2, 6), 1..40),
    ) {
        let requests: Vec<_> = starts
            .into_iter()
            .map(|(at, batch)| Request { at, batch, gives_up: None, cut_off: None })
            .collect();
        never_twice(&run(live(&tree, &requests, &responses)))?;
    }

    #[test]
    fn the_outcome_of_a_message_is_what_its_vendors_saw(
        tree in tree(layer()),
        requests in requests(false),
        responses in vec(response(), 1..40),
    ) {
        let world = run(live(&tree, &requests, &responses));
        for (message, outcome) in world.outcomes() {
            let sights = world.sights(message.reference());
            match outcome {
                Ok(_) => prop_assert!(sights.iter().any(Sight::accepted)),
                Err(error) => {
                    prop_assert!(!sights.iter().any(Sight::accepted), "{error}");
                    let refused = sights.iter().all(Sight::refused);
                    prop_assert_eq!(refused, error.acceptance() == Acceptance::NotAccepted, "{}", error);
                }
            }
        }
    }

    #[test]
    fn a_message_that_may_be_rerouted_was(
        round_robin in any::<bool>(),
        members in vec((leaf(), proptest::option::of(retry())), 1..4),
        requests in requests(false),
        responses in vec(response(), 1..40),
    ) {
        let members = members.into_iter().map(|(leaf, retry)| match retry {
            Some(retry) => Tree::Layer(retry, Box::new(leaf)),
            None => leaf,
        });
        let tree = if round_robin { Tree::RoundRobin(members.map(|member| (1, member)).collect()) } else { Tree::Failover(members.collect()) };
        let world = run(live(&tree, &requests, &responses));
        for (message, outcome) in world.outcomes() {
            if matches!(outcome, Err(error) if error.may_reroute()) {
                let sights = world.sights(message.reference());
                for vendor in 0..world.vendors.len() {
                    prop_assert!(sights.iter().any(|sight| sight.vendor == vendor), "{message:?}");
                }
            }
        }
        never_twice(&world)?;
    }

    #[test]
    fn deadlines_hold_and_leave_the_other_calls_alone(
        batch in 1..5_usize,
        many in 0..30_usize,
        deadline in 1..5_u64,
        in_flight in 1..4_usize,
        responses in vec(response(), 1..40),
    ) {
        let (vendor, messages) = (vendor("a", batch), messages(many));
        for (message, response) in messages.iter().zip(responses.iter().cycle()) {
            vendor.script_for(message.reference(), [response.scripted(message.reference())]);
        }
        let deadline = Duration::from_secs(deadline);
        let (outcomes, took) = run(async {
            let provider = Timeout::new(vendor.clone(), deadline).with_in_flight(size(in_flight));
            let begun = Instant::now();
            (provider.send_batch(&messages).await, begun.elapsed())
        });
        let calls = messages.len().div_ceil(batch).div_ceil(in_flight);
        prop_assert!(took <= deadline * u32::try_from(calls).unwrap(), "{took:?}");
        // A timer fires at the next millisecond.
        let in_time = |call: &Call| call.outcomes.is_some();
        for call in vendor.log() {
            for (index, message) in call.messages.iter().enumerate() {
                let of_message = messages.iter().position(|m| m == message).unwrap();
                let sent = kind_of(&outcomes[of_message]);
                if in_time(&call) { prop_assert_eq!(sent, kind_of(&call.outcomes.as_ref().unwrap()[index])) } else { prop_assert_eq!(sent, in_doubt(ErrorKind::Timeout)) }
            }
        }
        prop_assert_eq!(vendor.references().len(), messages.len());
    }

    #[test]
    fn a_caller_that_gives_up_leaves_a_consistent_state(
        tree in tree(any_layer()),
        requests in requests(true),
        responses in vec(response(), 1..40),
    ) {
        run(async {
            let world = live(&tree, &requests, &responses).await;
            for vendor in &world.vendors {
                prop_assert_eq!(vendor.in_flight().0, 0);
            }
            let fresh = messages(12);
            for message in &fresh[..6] {
                let outcome = timeout(DAY, world.provider.send(message)).await;
                prop_assert!(outcome.as_ref().is_ok_and(Result::is_ok), "{outcome:?}");
                sleep(HOUR).await;
            }
            for message in &fresh[6..] {
                let batch = std::slice::from_ref(message);
                let outcomes = timeout(DAY, world.provider.send_batch(batch)).await;
                prop_assert_eq!(outcomes.map(|outcomes| outcomes.accepted()).ok(), Some(1));
                sleep(HOUR).await;
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_rate_limit_holds_in_every_span_of_time(
        rate in 1..50_u32,
        burst in 1..10_u32,
        in_flight in 1..5_usize,
        batch in 1..8_usize,
        requests in requests(true),
        responses in vec(response(), 1..40),
    ) {
        let limit = Layer::RateLimit { rate, burst, in_flight, wait: 20 };
        let vendor = Tree::Vendor { batch, window: None, timeout: Some(5), waits: Vec::new() };
        let world = run(live(&Tree::Layer(limit, Box::new(vendor)), &requests, &responses));
        let log = world.vendors[0].log();
        prop_assert!(world.vendors[0].in_flight().1 <= in_flight);
        for (from, first) in log.iter().enumerate() {
            let mut sent = 0;
            for call in &log[from..] {
                sent += call.messages.len();
                let span = (call.at - first.at).as_secs_f64();
                let most = f64::from(burst) + f64::from(rate) * span + 1e-6;
                prop_assert!(sent as f64 <= most, "{sent} in {span} s");
            }
        }
        // Every message without a turn was throttled.
        for (message, outcome) in world.outcomes() {
            if world.sights(message.reference()).is_empty() {
                prop_assert_eq!(kind_of(outcome), refused(ErrorKind::Throttled));
            }
        }
    }

    #[test]
    fn no_window_goes_over_its_budget(
        most in 1..4_u32,
        parts in 1..12_u32,
        window in 1..6_u64,
        requests in requests(true),
        responses in vec(response(), 1..40),
    ) {
        let budget = Layer::Budget { messages: most, parts, window };
        let vendor = Tree::Vendor { batch: 3, window: None, timeout: Some(2), waits: Vec::new() };
        let world = run(live(&Tree::Layer(budget, Box::new(vendor)), &requests, &responses));
        let window = Duration::from_secs(window);
        // All texts have one part. A refused message no longer counts, but only from its refusal on.
        let mut counted: Vec<_> = world
            .messages()
            .flat_map(|message| world.sights(message.reference()).into_iter().map(|s| (message.to(), s)))
            .filter(|(_, sight)| !sight.refused())
            .collect();
        counted.sort_by_key(|(_, sight)| sight.index);
        for (from, (_, first)) in counted.iter().enumerate() {
            let within: Vec<_> = counted[from..].iter().filter(|(_, s)| s.at - first.at < window).collect();
            prop_assert!(within.len() <= parts as usize, "{} parts", within.len());
            for (recipient, _) in &within {
                let of = within.iter().filter(|(to, _)| to == recipient).count();
                prop_assert!(of <= most as usize, "{of} messages");
            }
        }
        for (message, outcome) in world.outcomes() {
            if world.sights(message.reference()).is_empty() {
                prop_assert_eq!(kind_of(outcome), refused(ErrorKind::Blocked));
            }
        }
    }

    #[test]
    fn gathering_keeps_sizes_bounds_and_the_order_of_each_recipient(
        in_flight in 1..4_usize,
        batch in 1..6_usize,
        patience in vec(proptest::option::of(0..4_000_u64), 1..40),
        responses in vec(response(), 1..40),
    ) {
        let requests: Vec<_> = patience
            .into_iter()
            .map(|gives_up| Request { at: 0, batch: None, gives_up, cut_off: None })
            .collect();
        let vendor = Tree::Vendor { batch, window: None, timeout: Some(3), waits: Vec::new() };
        let tree = Tree::Layer(Layer::Batch { in_flight }, Box::new(vendor));
        let world = run(live(&tree, &requests, &responses));
        let vendor = &world.vendors[0];
        prop_assert!(vendor.in_flight().1 <= in_flight);
        prop_assert!(vendor.sizes().iter().all(|&size| (1..=batch).contains(&size)));
        let asked: Vec<_> = world.messages().collect();
        let index = |message: &Message| asked.iter().position(|m| *m == message).unwrap();
        let sent: Vec<_> = vendor.log().into_iter().flat_map(|call| call.messages).collect();
        for recipient in asked.iter().map(|message| message.to()) {
            let indices: Vec<_> = sent.iter().filter(|m| m.to() == recipient).map(index).collect();
            prop_assert!(indices.is_sorted(), "{indices:?}");
        }
        // No waiting message was left out or sent twice.
        for (message, _) in world.outcomes() {
            prop_assert_eq!(world.sights(message.reference()).len(), 1);
        }
        never_twice(&world)?;
    }

    #[test]
    fn a_reference_is_sent_once_however_often_it_is_requested(
        capacity in 1..8_usize,
        asks in vec((0..5_usize, 0..2_usize, 0..6_000_u64, proptest::option::of(0..3_000_u64), any::<bool>()), 1..25),
        responses in vec(response(), 1..20),
    ) {
        let vendor = vendor("a", 3);
        let known = messages(5);
        for (message, responses) in known.iter().zip(responses.chunks(4).cycle()) {
            let script: Vec<_> = responses.iter().map(|f| f.scripted(message.reference())).collect();
            vendor.script_for(message.reference(), script);
        }
        // Above the capacity, an acceptance may be forgotten, but never a doubt.
        let remembers = capacity >= known.len();
        let answers = run(async {
            let provider = Arc::new(Dedupe::new(vendor.clone()).with_max_references(size(capacity)));
            let mut running = Vec::new();
            for (which, text, at, patience, batch) in asks {
                let (provider, message) = (Arc::clone(&provider), known[which].clone());
                let message = match text {
                    0 => message,
                    _ => Message::new(message.to(), "other".parse().unwrap()).with_reference(*message.reference()),
                };
                running.push(tokio::spawn(async move {
                    sleep(Duration::from_millis(at)).await;
                    let send = async {
                        if batch { provider.send_batch(&[message.clone(), message.clone()]).await.into_iter().next().unwrap() } else { provider.send(&message).await }
                    };
                    let patience = patience.map_or(DAY, Duration::from_millis);
                    (message.clone(), timeout(patience, send).await.ok())
                }));
            }
            let mut answers = Vec::new();
            for ask in running {
                answers.push(ask.await.unwrap());
            }
            answers
        });
        let world = World { provider: Arc::new(vendor.clone()), vendors: vec![vendor], sent: Vec::new() };
        for message in &known {
            let sights = world.sights(message.reference());
            for (index, _) in sights.iter().enumerate().skip(1) {
                for before in &sights[..index] {
                    prop_assert!(before.refused() || before.accepted() && !remembers);
                }
            }
        }
        for (message, outcome) in answers {
            let Some(outcome) = outcome else { continue };
            let sent = |call: &Call| call.messages.contains(&message);
            let only_blocked = kind_of(&outcome) == refused(ErrorKind::Blocked)
                || kind_of(&outcome) == refused(ErrorKind::Throttled)
                || kind_of(&outcome) == refused(ErrorKind::Misconfigured);
            let seen = world.vendors[0].log().iter().any(sent);
            prop_assert!(seen || only_blocked, "the outcome of another message");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_layer_checks_the_one_inside() {
    for layer in [
        Layer::Allow,
        Layer::Batch { in_flight: 1 },
        Layer::Budget {
            messages: 1,
            parts: 1,
            window: 1,
        },
        Layer::Dedupe,
        Layer::OnlyTo,
        Layer::RateLimit {
            rate: 1,
            burst: 1,
            in_flight: 1,
            wait: 1,
        },
        Layer::RedirectTo,
        Layer::Retry {
            attempts: 3,
            deadline: 60,
        },
        Layer::Senders,
        Layer::StartWithin { deadline: 1 },
        Layer::Timeout {
            deadline: 1,
            in_flight: 1,
        },
        Layer::Traced,
    ] {
        let vendor = vendor("a", 1);
        let refusal = SendError::not_accepted(ErrorKind::Unauthorized, "scripted");
        let health = Health::unknown();
        vendor.script_checks([Err(refusal), Ok(health.clone())]);
        let provider = layer.around(Arc::new(vendor.clone()));
        let error = provider.check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{layer:?}");
        assert_eq!(provider.check().await.unwrap(), health, "{layer:?}");
        assert_eq!(provider.profile().name(), "a");
        assert!(vendor.log().is_empty());
    }
}
