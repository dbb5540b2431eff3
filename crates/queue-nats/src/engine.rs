use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Reference, async_trait,
    directory::{Callout, FlowId},
};
use postduif_onboarding::{Claim, Entries, Journal, JournalError, JournalErrorKind, Report, Taken};
use postduif_queue::{Archive, Counts, Engine, Lease, Status};
use tokio::time::{Instant, sleep};

use crate::{
    claim::NatsClaim,
    jetstream::{Ack, Delivery, MAX_WAIT},
    store::{Change, Known, Store},
    value::{Flow, id_key, reference_key},
};

/// The engine on JetStream.
#[derive(Clone)]
pub(crate) struct Nats {
    pub(crate) store: Arc<Store>,
    pub(crate) max_open: NonZeroUsize,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats")
            .field("bucket", &self.store.names.bucket)
            .field("lease", &self.store.lease)
            .field("max_open", &self.max_open)
            .finish_non_exhaustive()
    }
}

/// What a wake-up is good for.
enum Use {
    Claim,
    /// It comes again after this time.
    Later(Duration),
    /// It is obsolete for good.
    None,
}

impl Nats {
    /// Claims the flow of a wake-up, if it is due.
    async fn take(&self, delivery: Delivery) -> Result<Option<NatsClaim>, JournalError> {
        let store = &self.store;
        let flow = delivery.subject.strip_prefix(&store.names.wake);
        let Some(flow) = flow.and_then(|flow| flow.parse::<FlowId>().ok()) else {
            tracing::warn!("a wake-up that names no flow is removed");
            store.ack(&delivery, Ack::Done).await;
            return Ok(None);
        };
        for _ in 0..CONFLICTS {
            let known = match store.flow(&flow).await {
                Ok(Some(known)) => known,
                // An election may let an old leader respond: a flow is not unknown at once.
                Ok(None) if delivery.count < UNKNOWN_DELIVERIES => {
                    store.ack(&delivery, Ack::Again(UNKNOWN_PAUSE)).await;
                    return Ok(None);
                }
                Ok(None) => {
                    tracing::warn!(%flow, "a wake-up of a flow that does not exist is removed");
                    store.ack(&delivery, Ack::Done).await;
                    return Ok(None);
                }
                Err(error) if error.kind() == JournalErrorKind::Unreadable => {
                    tracing::warn!(%flow, "the value of a flow cannot be read; it waits for a newer version");
                    store.ack(&delivery, Ack::Again(UNREADABLE_PAUSE)).await;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            match self.use_of(&delivery, &known).await? {
                Use::None => {
                    store.ack(&delivery, Ack::Done).await;
                    return Ok(None);
                }
                Use::Later(time) => {
                    store.ack(&delivery, Ack::Again(time)).await;
                    return Ok(None);
                }
                Use::Claim => {}
            }
            let claimed = store.claim(&known, Some(delivery.sequence)).await?;
            if let Some((known, asked)) = claimed {
                let store = Arc::clone(store);
                return Ok(Some(NatsClaim::new(store, known, asked, Some(delivery))));
            }
        }
        store.ack(&delivery, Ack::Again(CONFLICT_PAUSE)).await;
        Ok(None)
    }

    async fn use_of(&self, delivery: &Delivery, known: &Known<Flow>) -> Result<Use, JournalError> {
        let (flow, sequence) = (&known.value, delivery.sequence);
        // Neither becomes false again, so that it does not matter when the message is removed.
        if flow.done.is_some() || sequence < flow.wake {
            return Ok(Use::None);
        }
        let held_for = self.store.held_for(known).await?;
        if !held_for.is_zero() {
            return Ok(Use::Later(held_for.min(MAX_DELAY)));
        }
        if flow.holder.is_some() || flow.woken {
            return Ok(Use::Claim);
        }
        if sequence > flow.wake && flow.wake != 0 {
            // What it told of was seen by a later claim, and the flow has its own wake-up.
            return Ok(Use::None);
        }
        // Usually the pause is over, as the wake-up was delayed by it. Not if it is new, or the delay was cut.
        if delivery.count > 1 && Duration::from_millis(flow.pause_ms) <= MAX_DELAY {
            return Ok(Use::Claim);
        }
        let paused_for = self.store.paused_for(known).await?;
        Ok(if paused_for.is_zero() {
            Use::Claim
        } else {
            Use::Later(paused_for.min(MAX_DELAY))
        })
    }

    /// Changes a flow from outside, and wakes it unless it has a holder, which sees the change when it gives the flow
    /// back.
    async fn change_and_wake(
        &self,
        flow: &FlowId,
        change: impl Fn(&mut Flow) -> Result<bool, JournalError> + Send + Sync,
    ) -> Result<(), JournalError> {
        let change = |flow: &mut Flow| {
            let is_new = change(flow)?;
            if is_new {
                flow.woken = flow.done.is_none();
            }
            // A repetition wakes it too: the first call may have failed between its two writes.
            let wakes = flow.woken && flow.holder.is_none();
            let callout = wakes.then(|| flow.callout.clone());
            Ok(if is_new {
                Change::Write(callout)
            } else {
                Change::Keep(callout)
            })
        };
        if let Some(Some(callout)) = self.store.change(flow, change).await? {
            self.store.wake(&callout).await?;
        }
        Ok(())
    }

    fn sweep_if_due(&self) {
        if self.store.is_sweep_due() {
            let store = Arc::clone(&self.store);
            tokio::spawn(async move {
                if let Err(error) = store.sweep().await {
                    tracing::warn!(%error, "open flows were not looked through");
                }
            });
        }
    }
}

#[async_trait]
impl Journal for Nats {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        let flow = callout.flow();
        for _ in 0..CONFLICTS {
            let known = match self.store.look(&flow).await? {
                Ok(known) => known,
                Err(revision) => {
                    let mut new = Flow::new(callout);
                    new.epoch = 1;
                    new.holder = Some(self.store.new_holder());
                    let asked = Instant::now();
                    let Some(revision) = self.store.create(&new, revision).await? else {
                        continue;
                    };
                    // Whoever claims it after its holder died needs it.
                    self.store.wake(callout).await?;
                    let known = Known {
                        revision,
                        at: callout.received_at(),
                        value: new,
                    };
                    let claim = NatsClaim::new(Arc::clone(&self.store), known, asked, None);
                    return Ok(Some(Box::new(claim)));
                }
            };
            if !self.store.held_for(&known).await?.is_zero() {
                return Ok(None);
            }
            if let Some((known, asked)) = self.store.claim(&known, None).await? {
                let claim = NatsClaim::new(Arc::clone(&self.store), known, asked, None);
                return Ok(Some(Box::new(claim)));
            }
        }
        // Others claim it again and again.
        Ok(None)
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        match self.store.flow(flow).await? {
            Some(known) => known.value.parse(),
            None => Ok(Entries::new(*flow)),
        }
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        let known = self.store.pointed(&reference_key(reference)).await?;
        let known = known.filter(|known| known.value.sent(reference));
        Ok(known.map(|known| known.value.id()))
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        let known = self.store.pointed(&id_key(provider, id)).await?;
        let known = known.filter(|known| known.value.accepted(provider, id));
        Ok(known.map(|known| known.value.id()))
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        self.change_and_wake(flow, |flow| flow.add_report(report))
            .await
    }

    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError> {
        let stop = |flow: &mut Flow| {
            let is_new = flow.stop.is_none();
            flow.stop.get_or_insert(at);
            Ok(is_new)
        };
        self.change_and_wake(flow, stop).await
    }
}

#[async_trait]
impl Engine for Nats {
    async fn enqueue(&self, callout: &Callout) -> Result<Taken, JournalError> {
        let revision = match self.store.look(&callout.flow()).await? {
            Ok(known) => return self.known(&known.value).await,
            Err(revision) => revision,
        };
        let open = self.store.wakes_state().await?.num_subjects;
        if open >= u64::try_from(self.max_open.get()).unwrap_or(u64::MAX) {
            return Ok(Taken::Full);
        }
        let created = self.store.create(&Flow::new(callout), revision).await;
        match created {
            Ok(Some(_)) => {
                self.store.wake(callout).await?;
                Ok(Taken::New)
            }
            Ok(None) => match self.store.flow(&callout.flow()).await? {
                Some(known) => self.known(&known.value).await,
                None => Ok(Taken::Known),
            },
            Err(error) if error.kind() == JournalErrorKind::Full => Ok(Taken::Full),
            Err(error) => Err(error),
        }
    }

    async fn next(&self) -> Result<Option<Arc<dyn Lease>>, JournalError> {
        self.sweep_if_due();
        let until = Instant::now() + NEXT;
        while Instant::now() < until {
            let arrived = self.store.arrived().pop_front();
            let delivery = match arrived {
                Some(delivery) => delivery,
                None => match self.store.delivery(None).await? {
                    Some(delivery) => delivery,
                    None => return Ok(None),
                },
            };
            if let Some(claim) = self.take(delivery).await? {
                return Ok(Some(Arc::new(claim)));
            }
        }
        Ok(None)
    }

    async fn wait(&self, at_most: Duration) {
        let began = Instant::now();
        let within = at_most.min(MAX_WAIT);
        // Less than a millisecond is no time for a server.
        if within < Duration::from_millis(1) {
            return;
        }
        match self.store.delivery(Some(within)).await {
            Ok(Some(delivery)) => self.store.arrived().push_back(delivery),
            Ok(None) => {}
            Err(_) => sleep(within.saturating_sub(began.elapsed())).await,
        }
    }

    async fn status(&self, flow: &FlowId) -> Result<Option<Status>, JournalError> {
        let Some(known) = self.store.flow(flow).await? else {
            return Ok(None);
        };
        let flow = &known.value;
        let mut status = Status::new(flow.id(), flow.callout.received_at());
        status.user = flow.callout.user();
        status.done_at = flow.done;
        status.ending = flow.read_ending()?;
        Ok(Some(status))
    }

    async fn counts(&self) -> Result<Counts, JournalError> {
        let state = self.store.wakes_state().await?;
        let mut counts = Counts::default();
        counts.open = state.num_subjects;
        if state.messages > 0 {
            counts.due = self.store.undelivered().await?.min(counts.open);
            counts.oldest = self.store.oldest(state.first_seq).await?;
        }
        Ok(counts)
    }

    fn archive(&self) -> Option<&dyn Archive> {
        // A bucket has no search, and no transaction for what is written beside a flow.
        None
    }
}

impl Nats {
    /// Publishes the wake-up of a flow that never had one delivered: the first call may have failed before it.
    async fn known(&self, flow: &Flow) -> Result<Taken, JournalError> {
        if flow.done.is_none() && flow.wake == 0 && flow.epoch == 0 {
            self.store.wake(&flow.callout).await?;
        }
        Ok(Taken::Known)
    }
}

/// The time that [`Engine::next`] spends on wake-ups that are of no use.
const NEXT: Duration = Duration::from_secs(2);

/// How often a change of others is followed at once.
const CONFLICTS: usize = 10;
const CONFLICT_PAUSE: Duration = Duration::from_secs(1);

/// The longest delay of a wake-up. One that is delayed by mistake, by a worker that was stopped before it could say so,
/// delays its flow by no more.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(600);

/// How often, and with which pauses, a wake-up is delivered whose flow does not exist.
const UNKNOWN_DELIVERIES: u64 = 5;
const UNKNOWN_PAUSE: Duration = Duration::from_secs(10);

/// How long a flow waits that only a newer version can read.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(30);
