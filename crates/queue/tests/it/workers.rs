//! Workers that run flows of a store.

use std::{
    collections::HashMap,
    fs,
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    Guid, Profile, async_trait,
    directory::{
        Callback, Callout, FlowId, Graph, GraphError, Roles, TapId, TapInfo, TapIssuer, TapRequest,
        TemporaryAccessPass, User, UserId, Verdict,
    },
};
use postduif_onboarding::{Onboarding, OnboardingBuilder};
use postduif_queue::{FlowEvent, FlowEventType, Queue};
use postduif_testkit::Recording;
use tokio::{
    sync::{Notify, Semaphore},
    time::sleep,
};

use crate::store::{Store, on_each_store};

on_each_store! {
    two_workers_run_each_flow_once
    a_shutdown_gives_flows_back_at_once
    a_flow_that_pauses_after_a_takeover_keeps_no_other_waiting
    no_secret_and_no_number_is_stored
    a_flow_that_is_found_after_its_window_is_an_event_before_its_end
}

const NUMBER: &str = "+31612345678";
const SECRET: &str = "Kc7+mnbQ!x";

/// A directory in which every user is new.
#[derive(Debug)]
struct Directory {
    passes: Mutex<HashMap<UserId, Vec<TapInfo>>>,
    heard: Mutex<Vec<Callback>>,
    /// Lets users be read.
    gate: Semaphore,
    asked: Notify,
}

impl Directory {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            passes: Mutex::default(),
            heard: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            asked: Notify::new(),
        })
    }

    fn onboarding(self: &Arc<Self>) -> OnboardingBuilder {
        Onboarding::builder()
            .with_graph(Arc::clone(self))
            .with_issuer(Arc::clone(self))
            .with_provider(Recording::new(Profile::new("example")))
    }
}

#[async_trait]
impl Graph for Directory {
    async fn user(&self, id: &UserId) -> Result<User, GraphError> {
        self.asked.notify_one();
        drop(self.gate.acquire().await.unwrap());
        let mut user = User::new(*id);
        user.display_name = Some("Example".into());
        user.mobile = Some(NUMBER.into());
        user.enabled = Some(true);
        user.roles = Roles::Held(Vec::new());
        Ok(user)
    }

    async fn resume(&self, callback: &Callback, verdict: &Verdict) -> Result<(), GraphError> {
        assert_eq!(*verdict, Verdict::Completed);
        self.heard.lock().unwrap().push(*callback);
        Ok(())
    }
}

#[async_trait]
impl TapIssuer for Directory {
    async fn issue(
        &self,
        user: &UserId,
        _: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        let id = Guid::random().to_string().parse().unwrap();
        let info = TapInfo::new(id, SystemTime::now().into(), Duration::from_secs(3600));
        let mut passes = self.passes.lock().unwrap();
        passes.entry(*user).or_default().push(info.clone());
        Ok(TemporaryAccessPass::new(info, SECRET.to_owned().into()))
    }

    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        let passes = self.passes.lock().unwrap();
        Ok(passes.get(user).cloned().unwrap_or_default())
    }

    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError> {
        let mut passes = self.passes.lock().unwrap();
        passes
            .entry(*user)
            .or_default()
            .retain(|pass| pass.id != *tap);
        Ok(())
    }
}

async fn enqueued(queue: &Queue) -> Callout {
    let [workflow, task, result] = std::array::from_fn(|_| Guid::random());
    let callback = Callback::lifecycle(workflow, task, result);
    let now = SystemTime::now().into();
    let callout = Callout::new(result.into(), Guid::random().into(), callback, now);
    queue.enqueue(&callout).await.unwrap();
    callout
}

async fn all_done(queue: &Queue) {
    while queue.counts().await.unwrap().open > 0 {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn two_workers_run_each_flow_once(store: Store) {
    const FLOWS: usize = 200;
    let queue = store.open().await;
    let mut callbacks = Vec::new();
    for _ in 0..FLOWS {
        callbacks.push(*enqueued(&queue).await.callback().unwrap());
    }
    let directory = Directory::new();
    let endings = Arc::new(Mutex::new(Vec::<FlowId>::new()));
    let there = store.another(&queue).await;
    let worker = |queue: &Queue| {
        let endings = Arc::clone(&endings);
        queue
            .worker(directory.onboarding())
            .unwrap()
            .with_observer(move |ending| endings.lock().unwrap().push(ending.flow))
            .build()
    };
    let (one, two) = (worker(&queue), worker(&there));
    tokio::join!(
        one.run_until(all_done(&queue)),
        two.run_until(all_done(&there)),
    );
    let mut heard = directory.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), FLOWS);
    heard.retain(|heard| !callbacks.contains(heard));
    assert_eq!(heard, [], "Entra heard of others");
    let passes = directory.passes.lock().unwrap();
    assert!(passes.values().all(|passes| passes.len() == 1));
    assert_eq!(endings.lock().unwrap().len(), FLOWS);
}

async fn a_flow_that_pauses_after_a_takeover_keeps_no_other_waiting(store: Store) {
    let queue = store.open_with(Duration::from_secs(1)).await;
    let paused = enqueued(&queue).await.flow();
    let lease = queue.engine().next().await.unwrap().unwrap();
    lease.lost().await;
    let other = enqueued(&queue).await.flow();
    let endings = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&endings);
    let worker = queue
        .worker(Directory::new().onboarding())
        .unwrap()
        .with_flows(1.try_into().unwrap())
        .with_observer(move |ending| told.lock().unwrap().push(ending.flow))
        .build();
    worker.run_until(all_done(&queue)).await;
    assert_eq!(*endings.lock().unwrap(), [other, paused]);
}

async fn a_shutdown_gives_flows_back_at_once(store: Store) {
    let queue = store.open().await;
    enqueued(&queue).await;
    let directory = Directory::new();
    let permits = directory.gate.forget_permits(Semaphore::MAX_PERMITS);
    let worker = queue.worker(directory.onboarding()).unwrap().build();
    worker
        .run_until(async {
            // In the middle of a step, which ends afterwards.
            directory.asked.notified().await;
            directory.gate.add_permits(permits);
        })
        .await;
    let lease = queue.engine().next().await.unwrap();
    assert_eq!(lease.map(|lease| lease.takeovers()), Some(0));
}

async fn no_secret_and_no_number_is_stored(store: Store) {
    let queue = store.open().await;
    enqueued(&queue).await;
    let directory = Directory::new();
    let worker = queue.worker(directory.onboarding()).unwrap().build();
    worker.run_until(all_done(&queue)).await;
    assert_eq!(directory.passes.lock().unwrap().len(), 1, "a pass was made");
    let stored = match &store {
        Store::Sqlite { folder } => {
            let files = fs::read_dir(&folder.0).unwrap();
            let bytes = files.map(|file| fs::read(file.unwrap().path()).unwrap());
            bytes.collect::<Vec<_>>().concat()
        }
        Store::Postgres(schema) => schema.dump().await.into_bytes(),
    };
    let holds = |word: &str| {
        stored
            .windows(word.len())
            .any(|part| part == word.as_bytes())
    };
    assert!(holds("resumed"), "the entries are there");
    for secret in [SECRET, NUMBER, &NUMBER[1..], "Example"] {
        assert!(!holds(secret), "{secret} is stored");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_dropped_leaves_its_flow_to_another() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let queue = store.open_with(Duration::from_secs(1)).await;
    enqueued(&queue).await;
    let directory = Directory::new();
    let permits = directory.gate.forget_permits(Semaphore::MAX_PERMITS);
    let worker = queue.worker(directory.onboarding()).unwrap().build();
    tokio::select! {
        () = worker.run_until(pending()) => {}
        () = directory.asked.notified() => {}
    }
    drop(worker);
    directory.gate.add_permits(permits);
    let worker = queue.worker(directory.onboarding()).unwrap().build();
    worker.run_until(all_done(&queue)).await;
    assert_eq!(directory.heard.lock().unwrap().len(), 1);
}

async fn a_flow_that_is_found_after_its_window_is_an_event_before_its_end(store: Store) {
    let queue = store.open().await;
    let directory = Directory::new();
    let before = DateTime::<Utc>::from(SystemTime::now()) - TimeDelta::days(2);
    let callout = Callout::new(Guid::random().into(), Guid::random().into(), None, before);
    queue.enqueue(&callout).await.unwrap();
    let ended = Arc::new(Notify::new());
    let worker = queue
        .worker(directory.onboarding())
        .unwrap()
        .with_observer({
            let ended = Arc::clone(&ended);
            move |_| ended.notify_one()
        })
        .build();
    worker.run_until(ended.notified()).await;
    let source = queue.events().unwrap();
    let mut types = Vec::new();
    while let Some(event) = source.take(Duration::from_secs(60)).await.unwrap() {
        let event: FlowEvent = serde_json::from_str(&event.body).unwrap();
        assert_eq!(event.data.flow, callout.flow());
        types.push(event.kind);
    }
    assert_eq!(types, [FlowEventType::WindowClosed, FlowEventType::Late]);
}
