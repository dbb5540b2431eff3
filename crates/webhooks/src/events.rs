use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::ConfigError;
use postduif_http::{BaseUrl, Client, Request, vendor::WebhookSecrets};
use postduif_onboarding::{EventSource, PendingEvent};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::count;

/// Posts events to an operator's system: that a flow has ended, or needs a person.
///
/// Each event is a POST of JSON, signed by [Standard Webhooks](https://www.standardwebhooks.com): `webhook-id` is the
/// same at every try of one event, `webhook-timestamp` is the time of the try, and `webhook-signature` covers both and
/// the body. The libraries of Standard Webhooks verify it.
///
/// # Delivery
///
/// - **At least once.** A lost response, or a process that dies, causes another try. Recognize duplicates by
///   `webhook-id`. The order is not kept: the body has the time of the event.
/// - **Only 2xx is a success.** After anything else, 410 included, the event is tried again: after 5 seconds, then after
///   twice as long each time, up to an hour, or after a longer `Retry-After` of up to an hour. It is tried until it is
///   posted, or until the source no longer keeps it. No redirect is followed.
/// - At most 4 events are on their way at a time. Each try ends within 10 seconds.
/// - Any number of processes may post from one source.
///
/// The first try that fails is logged as an error, and so is each one that fails otherwise than the one before.
///
/// ```
/// # mod postduif {
/// #     pub use postduif_onboarding as onboarding;
/// #     pub use postduif_webhooks as webhooks;
/// # }
/// use postduif::{onboarding::EventSource, webhooks::EventPoster};
///
/// async fn post(
///     events: impl EventSource,
///     stopped: impl Future<Output = ()>,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let secret = std::env::var("EVENT_SECRET")?; // whsec_ and base64
///     let poster = EventPoster::builder(events, "https://hr.example.com/events", secret).build()?;
///     poster.run_until(stopped).await;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct EventPoster(Arc<Inner>);

/// A builder of an [`EventPoster`]. All options are checked in [`build`](Self::build).
#[must_use]
pub struct EventPosterBuilder {
    source: Arc<dyn EventSource>,
    url: SecretString,
    secret: SecretString,
    client: Option<Client>,
}

struct Inner {
    source: Arc<dyn EventSource>,
    base: BaseUrl,
    /// May contain a secret of the receiver's.
    query: Option<SecretString>,
    secret: WebhookSecrets,
    client: Client,
    /// Why the last try failed. `None` if it did not.
    trouble: Mutex<Option<String>>,
}

impl EventPoster {
    /// Creates a builder for a source, the URL to which its events are posted, and the secret that signs them.
    ///
    /// The URL is https, or http on loopback; its query may contain a key of the receiver's. The secret is `whsec_` and
    /// 24 to 64 bytes in base64.
    pub fn builder(
        source: impl EventSource,
        url: impl Into<SecretString>,
        secret: impl Into<SecretString>,
    ) -> EventPosterBuilder {
        EventPosterBuilder {
            source: Arc::new(source),
            url: url.into(),
            secret: secret.into(),
            client: None,
        }
    }

    /// Posts events until `shutdown` completes. Then it takes no more, and ends the tries under way.
    ///
    /// It needs a tokio runtime with time and I/O enabled.
    pub async fn run_until(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let slots = Arc::new(Semaphore::new(AT_A_TIME));
        let mut tries = JoinSet::new();
        let mut is_shutdown = false;
        while !is_shutdown {
            // A panic has been printed, and its event is due again after its time.
            while tries.try_join_next().is_some() {}
            let slot = tokio::select! {
                biased;
                () = &mut shutdown => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let taken = {
                let mut taken = pin!(timeout(MAX_CALL, self.0.source.take(TAKEN_FOR)));
                tokio::select! {
                    taken = &mut taken => taken,
                    // Polled here too, since it may hold what the source needs. But what is taken is not dropped.
                    () = &mut shutdown => {
                        is_shutdown = true;
                        taken.await
                    }
                }
            };
            let Ok(Ok(taken)) = taken else {
                if is_shutdown {
                    break;
                }
                // The worker of the queue says that the store is away.
                tokio::select! {
                    biased;
                    () = &mut shutdown => break,
                    () = sleep(SOURCE_PAUSE) => {}
                }
                continue;
            };
            let Some(event) = taken else {
                drop(slot);
                if is_shutdown {
                    break;
                }
                tokio::select! {
                    biased;
                    () = &mut shutdown => break,
                    () = self.0.source.wait(POLL) => {}
                }
                continue;
            };
            let inner = Arc::clone(&self.0);
            tries.spawn(async move {
                inner.handle(&event).await;
                drop(slot);
            });
        }
        while tries.join_next().await.is_some() {}
    }
}

impl EventPosterBuilder {
    /// Sets the HTTP client, such as one with a proxy. Defaults to one of its own, which gives up after 10 seconds.
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Builds the poster.
    ///
    /// # Errors
    ///
    /// If the URL or the secret is not as [`builder`](EventPoster::builder) says. The error shows neither.
    pub fn build(self) -> Result<EventPoster, ConfigError> {
        let url = self.url.expose_secret();
        let (base, query) = match url.split_once('?') {
            Some((base, query)) => (base, Some(query)),
            None => (url, None),
        };
        let base = BaseUrl::parse(base).map_err(|_| {
            ConfigError::new("invalid URL of events: expected https://, or http on loopback")
        })?;
        if query.is_some_and(|query| query.contains('#')) {
            return Err(ConfigError::new("invalid URL of events: expected no #"));
        }
        let secret = WebhookSecrets::new(
            [self.secret],
            "invalid secret of events: expected whsec_ and base64",
        )?;
        let client = match self.client {
            Some(client) => client,
            None => Client::builder().with_timeout(MAX_TRY).build()?,
        };
        Ok(EventPoster(Arc::new(Inner {
            source: self.source,
            base,
            query: query.map(SecretString::from),
            secret,
            client,
            trouble: Mutex::default(),
        })))
    }
}

impl Inner {
    async fn handle(&self, event: &PendingEvent) {
        let stored = match self.post(event).await {
            Ok(()) => {
                count::event("posted");
                if self.trouble(None).is_some() {
                    tracing::warn!("events are posted again");
                }
                tracing::debug!(event = event.id, "posted an event");
                timeout(MAX_CALL, self.source.posted(&event.id)).await
            }
            Err(failed) => {
                count::event("failed");
                let pause = pause_after(event.tries)
                    .max(failed.retry_after)
                    .min(MAX_PAUSE);
                let why = failed.why.clone();
                if self.trouble(Some(failed.why)).as_deref() == Some(&*why) {
                    tracing::debug!(event = event.id, why, ?pause, "an event was not posted");
                } else {
                    tracing::error!(
                        event = event.id,
                        why,
                        ?pause,
                        "an event was not posted; it is tried again"
                    );
                }
                timeout(MAX_CALL, self.source.postpone(&event.id, pause)).await
            }
        };
        if !matches!(stored, Ok(Ok(()))) {
            tracing::warn!(
                event = event.id,
                "the source of events does not respond; the event is posted once more"
            );
        }
    }

    async fn post(&self, event: &PendingEvent) -> Result<(), Failed> {
        let mut request = Request::post(&self.base, "").with_json_text(event.body.clone());
        if let Some(query) = &self.query {
            request = request.with_query_text(query.expose_secret());
        }
        let request = self.secret.sign(request, &event.id, now());
        let response = self.client.ask(request).await.map_err(|error| Failed {
            why: error.to_string(),
            retry_after: Duration::ZERO,
        })?;
        if response.is_success() {
            return Ok(());
        }
        Err(Failed {
            why: format!("HTTP status {}", response.status()),
            retry_after: response.retry_after(now()).unwrap_or_default(),
        })
    }

    /// Keeps why the last try failed, and returns why the one before did.
    fn trouble(&self, trouble: Option<String>) -> Option<String> {
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut last, trouble)
    }
}

/// Why a try failed.
struct Failed {
    why: String,
    retry_after: Duration,
}

fn pause_after(tries: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << tries.min(16))
        .min(MAX_PAUSE)
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

impl fmt::Debug for EventPoster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventPoster")
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EventPosterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventPosterBuilder")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// How many events are on their way at a time.
const AT_A_TIME: usize = 4;

/// The maximum duration of a try, less than most receivers' own limit.
const MAX_TRY: Duration = Duration::from_secs(10);

/// The maximum duration of a call to the source.
const MAX_CALL: Duration = Duration::from_secs(10);

/// For how long an event is taken: a try, a call to the source, and a pause of a loaded machine.
const TAKEN_FOR: Duration = Duration::from_secs(60);

/// How long to wait for the source to tell of an event before it is asked.
const POLL: Duration = Duration::from_secs(2);

const SOURCE_PAUSE: Duration = Duration::from_secs(5);

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_up_to_an_hour() {
        let pauses: Vec<_> = (0..12).map(|tries| pause_after(tries).as_secs()).collect();
        assert_eq!(
            pauses,
            [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
        );
        assert_eq!(pause_after(u32::MAX), MAX_PAUSE);
    }
}
