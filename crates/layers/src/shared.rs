//! Work that several callers wait for and none of them owns.

use std::{
    borrow::Cow,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use postduif_core::{Departure, ErrorKind, Message, Receipt, SendError, SmsProvider, unwatched};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};
use tracing::{Instrument as _, Span};

use crate::{scope::Scope, way::send_batch};

pub(crate) type Outcome = Result<Receipt, SendError>;

/// A call that is shared. The runtime that it was spawned on drives it, and so does whoever waits for long.
#[derive(Clone)]
pub(crate) struct Work {
    call: Shared<BoxFuture<'static, Arc<[Outcome]>>>,
    ended: Arc<Notify>,
}

/// How long a caller leaves the driving to the one that began the call: if all did it, each of its steps would
/// wake all of them.
const LEFT_TO_THE_FIRST: Duration = Duration::from_secs(1);

impl Work {
    /// Prepares a call for these messages; nothing happens before it is first polled. `then` hears the outcomes
    /// before anybody else, also where the call panics, and where nobody is left to drive it.
    pub(crate) fn new<P: SmsProvider>(
        inner: Arc<P>,
        messages: Vec<Message>,
        single: bool,
        scope: Scope,
        span: Span,
        then: impl FnOnce(&[Outcome]) + Send + 'static,
    ) -> Self {
        let ended = Arc::new(Notify::new());
        let mut ending = Ending {
            departure: None,
            provider: inner.profile().owned_name(),
            messages: messages.len(),
            then: Some(then),
            ended: Arc::clone(&ended),
        };
        let work = async move {
            let departure = ending.departure.insert(Departure::new());
            let call = async {
                match messages.as_slice() {
                    [message] if single => vec![inner.send(message).await],
                    messages => send_batch(&*inner, messages).await.into_iter().collect(),
                }
            };
            let call = departure.scope(scope.around(call));
            let outcomes = match AssertUnwindSafe(call).catch_unwind().await {
                Ok(outcomes) => outcomes,
                // It may have sent before it did.
                Err(_) => ending.failed(SendError::unknown(
                    ErrorKind::Unavailable,
                    "the provider panicked",
                )),
            };
            ending.tell(&outcomes);
            Arc::from(outcomes)
        };
        Self {
            call: unwatched(work.instrument(span)).boxed().shared(),
            ended,
        }
    }

    /// Has the current runtime drive it, where there is one, whether anybody waits or not.
    pub(crate) fn spawn(&self) {
        if let Ok(runtime) = Handle::try_current() {
            let driver = Driver {
                call: self.call.clone(),
                ended: Arc::clone(&self.ended),
            };
            drop(runtime.spawn(driver));
        }
    }

    /// Waits for the outcome of the message at this place. `None` where it does not come in time. The `first`
    /// caller drives the call from the start.
    pub(crate) async fn outcome(
        &self,
        place: usize,
        deadline: Instant,
        first: bool,
    ) -> Option<Outcome> {
        let outcomes = match Handle::try_current() {
            Ok(_) => {
                let ended = self.ended.notified();
                if !first && self.call.peek().is_none() {
                    let _ = timeout(LEFT_TO_THE_FIRST, ended).await;
                }
                timeout_at(deadline, self.call.clone()).await.ok()?
            }
            // Without a runtime there is no clock, and whoever waits drives it to its end.
            Err(_) => self.call.clone().await,
        };
        outcomes.get(place).cloned()
    }
}

/// The task that drives a call. When its runtime ends, it wakes those who wait, so that they drive the call.
struct Driver {
    call: Shared<BoxFuture<'static, Arc<[Outcome]>>>,
    ended: Arc<Notify>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.call.poll_unpin(context).map(drop)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.ended.notify_waiters();
    }
}

/// What becomes of a call however it ends.
struct Ending<F: FnOnce(&[Outcome])> {
    departure: Option<Departure>,
    provider: Cow<'static, str>,
    messages: usize,
    then: Option<F>,
    ended: Arc<Notify>,
}

impl<F: FnOnce(&[Outcome])> Ending<F> {
    fn tell(&mut self, outcomes: &[Outcome]) {
        if let Some(then) = self.then.take() {
            then(outcomes);
            self.ended.notify_waiters();
        }
    }

    fn failed(&self, error: SendError) -> Vec<Outcome> {
        vec![Err(error.with_provider(self.provider.clone())); self.messages]
    }
}

impl<F: FnOnce(&[Outcome])> Drop for Ending<F> {
    fn drop(&mut self) {
        if self.then.is_some() {
            let message = "the runtime that made the call ended before the answer";
            let nothing_left = self.departure.as_ref().is_none_or(Departure::close);
            let outcomes = self.failed(match nothing_left {
                true => SendError::not_accepted(ErrorKind::Unavailable, message),
                false => SendError::unknown(ErrorKind::Unavailable, message),
            });
            self.tell(&outcomes);
        }
    }
}
