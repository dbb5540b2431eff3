//! The bucket of values and the stream of wake-ups, and how they fit together.
//!
//! The value of a flow decides, and its wake-up is only a hint: a message that says "look at this flow". Each open flow
//! has one. It is delivered to one worker, and again after a lease unless that worker says that it still works on it, or
//! after the pause for which a flow was given back. Whoever gets it reads the value, and claims the flow by
//! compare-and-set. A wake-up too many does no harm, and one is removed only by what cannot become false again: the flow
//! is done, or has a later wake-up.
//!
//! A flow's value is written before its wake-up. After a crash between the two, a repeated call-out publishes the wake-up,
//! or the sweep does, which looks for open flows without one.

use std::{
    collections::{HashSet, VecDeque},
    str::FromStr as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{HeaderMap, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::directory::{Callout, FlowId};
use postduif_onboarding::{JournalError, JournalErrorKind};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    jetstream::{Ack, Delivery, Fail, JetStream, Patience, nanos, not_understood},
    server::{CONSUMER, Names},
    value::{self, Flow, Flows, Holder, flow_key, to_bytes, user_key},
};

/// A store on JetStream.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) jetstream: JetStream,
    pub(crate) names: Names,
    pub(crate) lease: Duration,
    /// Wake-ups that arrived during a wait.
    arrived: Mutex<VecDeque<Delivery>>,
    swept_at: Mutex<Option<Instant>>,
}

/// A value with the revision by which it is compared.
#[derive(Clone, Debug)]
pub(crate) struct Known<T> {
    pub(crate) revision: u64,
    /// When it was stored, by the clock of the server.
    pub(crate) at: DateTime<Utc>,
    pub(crate) value: T,
}

/// What a change of a value comes to.
pub(crate) enum Change<T> {
    /// The value is stored.
    Write(T),
    /// It stays.
    Keep(T),
}

/// How much is in the stream of wake-ups.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct WakesState {
    #[serde(default)]
    pub(crate) num_subjects: u64,
    #[serde(default)]
    pub(crate) messages: u64,
    #[serde(default)]
    pub(crate) first_seq: u64,
    #[serde(default)]
    subjects: Option<serde_json::Map<String, Value>>,
}

#[derive(Deserialize)]
struct Info {
    /// The time of the leader.
    ts: DateTime<Utc>,
    state: WakesState,
}

impl Store {
    pub(crate) fn new(jetstream: JetStream, names: Names, lease: Duration) -> Self {
        Self {
            jetstream,
            names,
            lease,
            arrived: Mutex::default(),
            swept_at: Mutex::default(),
        }
    }

    pub(crate) fn arrived(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subject(&self, key: &str) -> String {
        format!("{}{key}", self.names.keys)
    }

    pub(crate) fn wake_subject(&self, flow: &FlowId) -> String {
        format!("{}{flow}", self.names.wake)
    }

    /// Reads a key. `None` if it has no value, or was deleted.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Known<Vec<u8>>>, JournalError> {
        let subject = self.subject(key);
        let last = self.jetstream.last(&self.names.bucket, &subject).await?;
        Ok(last.map(|stored| Known {
            revision: stored.sequence,
            at: stored.at,
            value: stored.payload,
        }))
    }

    /// Stores a value, if the key still has this revision, 0 for a key that was never written.
    pub(crate) async fn put(
        &self,
        key: &str,
        value: Vec<u8>,
        revision: Option<u64>,
        is_done: bool,
    ) -> Result<u64, Fail> {
        let mut headers = HeaderMap::new();
        if let Some(revision) = revision {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
        }
        if is_done {
            headers.insert(DONE, "1");
        }
        self.jetstream
            .publish(self.subject(key), headers, value.into())
            .await
    }

    /// Stores where something is found. It is only a hint, so the last one may stand.
    pub(crate) async fn point(&self, key: &str, flow: &FlowId) -> Result<(), JournalError> {
        let mut patience = Patience::new();
        loop {
            let value = flow.to_string().into_bytes();
            match self.put(key, value, None, false).await {
                Ok(_) => return Ok(()),
                Err(fail) => patience.after(fail).await?,
            }
        }
    }

    /// Returns the flow that a hint names.
    pub(crate) async fn pointed(&self, key: &str) -> Result<Option<Known<Flow>>, JournalError> {
        let Some(hint) = self.get(key).await? else {
            return Ok(None);
        };
        if hint.value.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(&hint.value).unwrap_or_default();
        match FlowId::from_str(text) {
            Ok(flow) => self.flow(&flow).await,
            Err(_) => Err(value::unreadable()),
        }
    }

    pub(crate) async fn flow(&self, flow: &FlowId) -> Result<Option<Known<Flow>>, JournalError> {
        Ok(self.look(flow).await?.ok())
    }

    /// Returns the value of a flow, or the revision at which it can be created.
    pub(crate) async fn look(
        &self,
        flow: &FlowId,
    ) -> Result<Result<Known<Flow>, u64>, JournalError> {
        Ok(match self.get(&flow_key(flow)).await? {
            None => Err(0),
            // An operator deleted it.
            Some(known) if known.value.is_empty() => Err(known.revision),
            Some(known) => Ok(Known {
                revision: known.revision,
                at: known.at,
                value: Flow::read(&known.value, flow)?,
            }),
        })
    }

    pub(crate) async fn put_flow(&self, flow: &Flow, revision: u64) -> Result<u64, PutError> {
        let bytes = to_bytes(flow).map_err(PutError::Journal)?;
        let key = flow_key(&flow.id());
        let put = self.put(&key, bytes, Some(revision), flow.done.is_some());
        put.await.map_err(PutError::Fail)
    }

    /// Changes the value of a flow that somebody else may hold. `None` if there is none.
    pub(crate) async fn change<T>(
        &self,
        flow: &FlowId,
        change: impl Fn(&mut Flow) -> Result<Change<T>, JournalError> + Send + Sync,
    ) -> Result<Option<T>, JournalError> {
        let mut patience = Patience::new();
        loop {
            let Some(mut known) = self.flow(flow).await? else {
                return Ok(None);
            };
            let output = match change(&mut known.value)? {
                Change::Keep(output) => return Ok(Some(output)),
                Change::Write(output) => output,
            };
            match self.put_flow(&known.value, known.revision).await {
                Ok(_) => return Ok(Some(output)),
                Err(PutError::Journal(error)) => return Err(error),
                Err(PutError::Fail(Fail::Conflict)) => patience.once_more().await?,
                Err(PutError::Fail(fail)) => patience.after(fail).await?,
            }
        }
    }

    /// Stores the first value of a flow, and returns its revision. `None` if it has one already.
    ///
    /// It is the user's flow first. A flow without a value is none, so that a crash in between does no harm.
    pub(crate) async fn create(
        &self,
        flow: &Flow,
        revision: u64,
    ) -> Result<Option<u64>, JournalError> {
        self.add_to_user(&flow.callout).await?;
        let mut patience = Patience::new();
        let mut is_doubted = false;
        loop {
            match self.put_flow(flow, revision).await {
                Ok(revision) => return Ok(Some(revision)),
                Err(PutError::Journal(error)) => return Err(error),
                Err(PutError::Fail(Fail::Conflict)) => {
                    // It may be our own, whose response was lost.
                    let known = self.flow(&flow.id()).await?;
                    let claim = |flow: &Flow| flow.holder.as_ref().map(|holder| holder.claim);
                    let own = known.filter(|known| {
                        is_doubted
                            && known.value.epoch == flow.epoch
                            && known.value.callout == flow.callout
                            && claim(&known.value) == claim(flow)
                    });
                    return Ok(own.map(|known| known.revision));
                }
                Err(PutError::Fail(fail)) => {
                    is_doubted = true;
                    patience.after(fail).await?;
                }
            }
        }
    }

    async fn add_to_user(&self, callout: &Callout) -> Result<(), JournalError> {
        let Some(user) = callout.user() else {
            return Ok(());
        };
        let (key, flow) = (user_key(&user), callout.flow());
        let mut patience = Patience::new();
        loop {
            let known = self.get(&key).await?;
            let revision = known.as_ref().map_or(0, |known| known.revision);
            let mut flows = Flows::read(known.as_ref().map(|known| &*known.value))?;
            if flows.flows.iter().any(|(known, _)| *known == flow) {
                return Ok(());
            }
            let received_at = callout.received_at();
            let oldest = received_at.checked_sub_signed(OLD).unwrap_or(received_at);
            flows.flows.retain(|(_, received)| *received >= oldest);
            if flows.flows.len() >= MAX_FLOWS {
                return Err(JournalError::new(
                    JournalErrorKind::Full,
                    "the user has too many flows",
                ));
            }
            flows.flows.push((flow, received_at));
            match self
                .put(&key, to_bytes(&flows)?, Some(revision), false)
                .await
            {
                Ok(_) => return Ok(()),
                Err(Fail::Conflict) => patience.once_more().await?,
                Err(fail) => patience.after(fail).await?,
            }
        }
    }

    /// Returns the time by the clock of the server that stamps values.
    pub(crate) async fn server_time(&self) -> Result<DateTime<Utc>, JournalError> {
        Ok(self.info(&self.names.bucket, &json!({})).await?.ts)
    }

    async fn info(&self, stream: &str, request: &Value) -> Result<Info, JournalError> {
        let info = self
            .jetstream
            .ask(&format!("STREAM.INFO.{stream}"), request)
            .await?;
        info.ok_or_else(not_understood)
    }

    /// Returns how much of `length` is left since `at`. Both times are of a server's clock, so that the clocks of workers
    /// do not matter.
    ///
    /// `None` if that clock was set back: the value must be stored again, to count from now.
    pub(crate) fn left(
        at: DateTime<Utc>,
        length: Duration,
        now: DateTime<Utc>,
    ) -> Option<Duration> {
        let passed = now.signed_duration_since(at);
        match passed.to_std() {
            Ok(passed) => Some(length.saturating_sub(passed)),
            // The clocks of two servers differ a little.
            Err(_) if passed > -SKEW => Some(length),
            Err(_) => None,
        }
    }

    /// Returns how long a flow is still held.
    pub(crate) async fn held_for(&self, known: &Known<Flow>) -> Result<Duration, JournalError> {
        let Some(holder) = &known.value.holder else {
            return Ok(Duration::ZERO);
        };
        let lease = Duration::from_millis(holder.lease_ms).min(MAX_LEASE) + MARGIN;
        self.rest(known, lease).await
    }

    /// Returns how long a flow that was given back still waits.
    pub(crate) async fn paused_for(&self, known: &Known<Flow>) -> Result<Duration, JournalError> {
        if known.value.woken || known.value.pause_ms == 0 {
            return Ok(Duration::ZERO);
        }
        let pause = Duration::from_millis(known.value.pause_ms);
        self.rest(known, pause).await
    }

    async fn rest(&self, known: &Known<Flow>, length: Duration) -> Result<Duration, JournalError> {
        let now = self.server_time().await?;
        if let Some(left) = Self::left(known.at, length, now) {
            return Ok(left);
        }
        // Whoever changed it meanwhile has stored it at the new time.
        let _ = self.put_flow(&known.value, known.revision).await;
        Ok(length)
    }

    /// Claims a flow as it is known, for the wake-up of this sequence number. `None` if somebody else changed it.
    ///
    /// Returns the claimed flow and when it was requested.
    pub(crate) async fn claim(
        &self,
        known: &Known<Flow>,
        wake: Option<u64>,
    ) -> Result<Option<(Known<Flow>, Instant)>, JournalError> {
        let mut flow = known.value.clone();
        let holder = self.new_holder();
        let claim = holder.claim;
        flow.epoch += 1;
        flow.takeovers = match flow.holder {
            Some(_) => flow.takeovers.saturating_add(1),
            None => 0,
        };
        flow.holder = Some(holder);
        flow.wake = wake.unwrap_or(flow.wake);
        flow.woken = false;
        flow.pause_ms = 0;
        let asked = Instant::now();
        let mut patience = Patience::new();
        let revision = loop {
            match self.put_flow(&flow, known.revision).await {
                Ok(revision) => break revision,
                Err(PutError::Journal(error)) => return Err(error),
                Err(PutError::Fail(Fail::Conflict)) => {
                    // It may be our own, whose response was lost.
                    let seen = self.flow(&flow.id()).await?;
                    let own = seen.filter(|seen| {
                        let holder = seen.value.holder.as_ref();
                        holder.is_some_and(|holder| holder.claim == claim)
                    });
                    return Ok(own.map(|seen| (seen, asked)));
                }
                Err(PutError::Fail(fail)) => patience.after(fail).await?,
            }
        };
        if let (Some(wake), old) = (wake, known.value.wake)
            && old != 0
            && old != wake
        {
            self.remove(old).await;
        }
        Ok(Some((
            Known {
                revision,
                at: known.at,
                value: flow,
            },
            asked,
        )))
    }

    pub(crate) fn new_holder(&self) -> Holder {
        Holder {
            claim: postduif_core::Guid::random(),
            lease_ms: value::millis(self.lease),
        }
    }

    /// Publishes a wake-up of a flow, and returns its sequence number.
    pub(crate) async fn wake(&self, callout: &Callout) -> Result<u64, JournalError> {
        let subject = self.wake_subject(&callout.flow());
        let payload = json!({"received_at": callout.received_at()}).to_string();
        let mut patience = Patience::new();
        loop {
            let payload = payload.clone().into();
            let published = self
                .jetstream
                .publish(subject.clone(), HeaderMap::new(), payload);
            match published.await {
                Ok(sequence) => return Ok(sequence),
                Err(fail) => patience.after(fail).await?,
            }
        }
    }

    /// Removes a wake-up. One that stays is removed when it is delivered.
    pub(crate) async fn remove(&self, wake: u64) {
        let name = format!("STREAM.MSG.DELETE.{}", self.names.wakes);
        let request = json!({"seq": wake, "no_erase": true});
        let _ = self.jetstream.call::<Value>(&name, &request).await;
    }

    /// Removes every wake-up of a flow that is done.
    pub(crate) async fn remove_all(&self, flow: &FlowId) {
        let request = json!({"next_by_subj": self.wake_subject(flow), "seq": 1});
        for _ in 0..MAX_WAKES {
            match self.jetstream.get(&self.names.wakes, &request).await {
                Ok(Some(stored)) => self.remove(stored.sequence).await,
                _ => return,
            }
        }
    }

    /// Returns the next wake-up: at once, or within a time.
    pub(crate) async fn delivery(
        &self,
        within: Option<Duration>,
    ) -> Result<Option<Delivery>, Fail> {
        self.jetstream
            .next(&self.names.wakes, CONSUMER, within)
            .await
    }

    pub(crate) async fn wakes_state(&self) -> Result<WakesState, JournalError> {
        Ok(self.info(&self.names.wakes, &json!({})).await?.state)
    }

    /// Returns the number of wake-ups that were never delivered.
    pub(crate) async fn undelivered(&self) -> Result<u64, JournalError> {
        #[derive(Deserialize)]
        struct Consumer {
            #[serde(default)]
            num_pending: u64,
        }
        let name = format!("CONSUMER.INFO.{}.{CONSUMER}", self.names.wakes);
        let consumer: Option<Consumer> = self.jetstream.ask(&name, &json!({})).await?;
        Ok(consumer.ok_or_else(not_understood)?.num_pending)
    }

    /// Returns when the call-out of the first flow in the stream of wake-ups was received.
    pub(crate) async fn oldest(&self, first: u64) -> Result<Option<DateTime<Utc>>, JournalError> {
        #[derive(Deserialize)]
        struct Payload {
            received_at: DateTime<Utc>,
        }
        let request = json!({"next_by_subj": format!("{}*", self.names.wake), "seq": first});
        let stored = self.jetstream.get(&self.names.wakes, &request).await?;
        let payload = stored.and_then(|stored| serde_json::from_slice(&stored.payload).ok());
        Ok(payload.map(|Payload { received_at }| received_at))
    }

    /// Returns whether the next sweep is due, and counts it as done.
    pub(crate) fn is_sweep_due(&self) -> bool {
        let mut swept_at = self.swept_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = swept_at.is_none_or(|swept_at| now >= swept_at + SWEEP);
        if is_due {
            *swept_at = Some(now);
        }
        is_due
    }

    /// Publishes wake-ups of open flows that have none, after a crash between a flow's value and its wake-up.
    pub(crate) async fn sweep(&self) -> Result<(), JournalError> {
        // First the flows, then the wake-ups: one that ends in between has none of both.
        let open = self.open_flows().await?;
        let woken = self.woken_flows().await?;
        let now = self.server_time().await?;
        for flow in open.difference(&woken) {
            let Ok(Some(known)) = self.flow(flow).await else {
                continue; // Only a newer version can read it, and its own sweep wakes it.
            };
            // The wake-up of a new one may be on its way.
            let age = now.signed_duration_since(known.at).to_std();
            let is_new = age.is_ok_and(|age| age < self.lease);
            if known.value.done.is_some() || is_new {
                continue;
            }
            // So that the wake-up replaces the one that was lost.
            let change = |flow: &mut Flow| {
                Ok(if flow.done.is_some() {
                    Change::Keep(None)
                } else {
                    flow.woken = true;
                    Change::Write(Some(flow.callout.clone()))
                })
            };
            if let Some(Some(callout)) = self.change(flow, change).await? {
                tracing::warn!(%flow, "an open flow had no wake-up; it has one again");
                self.wake(&callout).await?;
            }
        }
        Ok(())
    }

    /// Returns the flows whose value does not say that they are done, by the headers alone.
    async fn open_flows(&self) -> Result<HashSet<FlowId>, JournalError> {
        let prefix = self.subject("flow.");
        let name = format!("sweep-{}", postduif_core::Guid::random());
        let (bucket, filter) = (&self.names.bucket, format!("{prefix}*"));
        let request = json!({
            "stream_name": bucket,
            "config": {
                "name": name,
                "deliver_policy": "last_per_subject",
                "replay_policy": "instant",
                "ack_policy": "none",
                "filter_subject": filter,
                "headers_only": true,
                "inactive_threshold": nanos(Duration::from_secs(30)),
                "mem_storage": true,
                "num_replicas": 1,
            },
        });
        let path = format!("CONSUMER.CREATE.{bucket}.{name}.{filter}");
        self.jetstream.ask::<Value>(&path, &request).await?;
        let mut open = HashSet::new();
        let read = async {
            loop {
                let messages = self.jetstream.read_on(bucket, &name).await?;
                if messages.is_empty() {
                    return Ok::<(), Fail>(());
                }
                for (subject, headers) in messages {
                    let is_done = headers.is_some_and(|headers| headers.get(DONE).is_some());
                    let flow = subject.strip_prefix(&prefix);
                    let flow = flow.and_then(|flow| flow.parse::<FlowId>().ok());
                    open.extend(flow.filter(|_| !is_done));
                }
            }
        };
        let read = read.await;
        let path = format!("CONSUMER.DELETE.{bucket}.{name}");
        let _ = self.jetstream.call::<Value>(&path, &json!({})).await;
        read?;
        Ok(open)
    }

    async fn woken_flows(&self) -> Result<HashSet<FlowId>, JournalError> {
        let mut woken = HashSet::new();
        let mut offset = 0;
        loop {
            let request = json!({"subjects_filter": ">", "offset": offset});
            let state = self.info(&self.names.wakes, &request).await?.state;
            let subjects = state.subjects.unwrap_or_default();
            offset += subjects.len();
            let ids = subjects.keys().filter_map(|subject| {
                subject
                    .strip_prefix(&self.names.wake)?
                    .parse::<FlowId>()
                    .ok()
            });
            woken.extend(ids);
            if subjects.is_empty() || offset as u64 >= state.num_subjects {
                return Ok(woken);
            }
        }
    }

    pub(crate) async fn ack(&self, delivery: &Delivery, ack: Ack) {
        self.jetstream.ack(delivery, ack).await;
    }
}

/// Why a flow's value was not stored.
pub(crate) enum PutError {
    Fail(Fail),
    Journal(JournalError),
}

/// The header of the value of a flow that is done.
const DONE: &str = "Postduif-Done";

/// How much longer than its holder everybody else takes a lease to be: the clocks of two servers differ a little, and a
/// lease may begin on one and end on the other.
pub(crate) const MARGIN: Duration = Duration::from_secs(1);

const SKEW: TimeDelta = TimeDelta::seconds(1);

/// What a value may claim at most.
pub(crate) const MAX_LEASE: Duration = Duration::from_secs(3600);

const SWEEP: Duration = Duration::from_secs(600);

/// A little longer than any pass lives.
const OLD: TimeDelta = TimeDelta::days(31);

/// The maximum number of flows of one user in that time.
const MAX_FLOWS: usize = 1000;

/// The maximum number of wake-ups of a flow that are removed at once.
const MAX_WAKES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_by_the_servers_clock_and_a_clock_set_back_starts_it_again() {
        let at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let length = Duration::from_secs(60);
        let left = |seconds| Store::left(at, length, at + TimeDelta::seconds(seconds));
        assert_eq!(left(0), Some(length));
        assert_eq!(left(20), Some(Duration::from_secs(40)));
        assert_eq!(left(60), Some(Duration::ZERO));
        assert_eq!(left(i64::from(u32::MAX)), Some(Duration::ZERO));
        assert_eq!(
            Store::left(at, length, at - TimeDelta::milliseconds(500)),
            Some(length)
        );
        assert_eq!(left(-3600), None);
    }
}
