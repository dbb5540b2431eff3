//! The calls of JetStream that the store needs, as messages of core NATS.
//!
//! Reads go to the leader of a stream and never to a replica, which may lag behind.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Request, StatusCode};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use postduif_onboarding::{JournalError, JournalErrorKind};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

/// A connection to JetStream.
#[derive(Clone, Debug)]
pub(crate) struct JetStream {
    client: Client,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Fail {
    /// JetStream did not respond, or is between two leaders. The call may still have an effect.
    Away(&'static str),
    /// The message was not stored, as its subject has a later one.
    Conflict,
    /// The message is larger than the server allows.
    TooLarge,
    /// JetStream refused the call with this error code.
    Refused(u64),
}

/// A message that a stream holds.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    /// When it was stored, by the clock of the stream's leader.
    pub(crate) at: DateTime<Utc>,
    pub(crate) payload: Vec<u8>,
}

/// A message of a consumer, which stays with it until it is acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    /// How often it was delivered, including this time.
    pub(crate) count: u64,
    reply: String,
}

/// What a consumer is told about a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ack {
    /// Remove it.
    Done,
    /// Deliver it again after this time.
    Again(Duration),
    /// Deliver it again no sooner than a whole ack wait from now.
    Working,
}

#[derive(Deserialize)]
struct Response {
    error: Option<ApiError>,
    #[serde(flatten)]
    rest: Value,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    err_code: u64,
}

#[derive(Deserialize)]
struct Got {
    message: GotMessage,
}

#[derive(Deserialize)]
struct GotMessage {
    seq: u64,
    #[serde(default)]
    data: String,
    time: DateTime<Utc>,
}

#[derive(Deserialize)]
struct PubAck {
    seq: u64,
}

impl JetStream {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Calls the API. `None` if it responds that what the call is about does not exist.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        name: &str,
        request: &Value,
    ) -> Result<Option<T>, Fail> {
        let request = Request::new()
            .payload(request.to_string().into())
            .timeout(Some(TRY));
        let message = self.request(format!("$JS.API.{name}"), request).await?;
        parsed(&message)
    }

    /// Calls the API until it responds, within bounds.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        name: &str,
        request: &Value,
    ) -> Result<Option<T>, JournalError> {
        let mut patience = Patience::new();
        loop {
            match self.call(name, request).await {
                Ok(response) => return Ok(response),
                Err(fail) => patience.after(fail).await?,
            }
        }
    }

    /// Returns the last message of a subject.
    pub(crate) async fn last(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Stored>, JournalError> {
        let request = json!({"last_by_subj": subject});
        self.get(stream, &request).await
    }

    pub(crate) async fn get(
        &self,
        stream: &str,
        request: &Value,
    ) -> Result<Option<Stored>, JournalError> {
        let got: Option<Got> = self
            .ask(&format!("STREAM.MSG.GET.{stream}"), request)
            .await?;
        let Some(Got { message }) = got else {
            return Ok(None);
        };
        let Ok(payload) = BASE64_STANDARD.decode(message.data) else {
            return Err(not_understood());
        };
        Ok(Some(Stored {
            sequence: message.seq,
            at: message.time,
            payload,
        }))
    }

    /// Stores a message in the stream of its subject, and returns its sequence number once it is durable.
    pub(crate) async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, Fail> {
        let request = Request::new()
            .headers(headers)
            .payload(payload)
            .timeout(Some(TRY));
        let message = self.request(subject, request).await?;
        match parsed::<PubAck>(&message)? {
            Some(ack) => Ok(ack.seq),
            None => Err(Fail::Away(NOT_THERE)),
        }
    }

    /// Requests the next message of a consumer: at once, or within a time.
    pub(crate) async fn next(
        &self,
        stream: &str,
        consumer: &str,
        within: Option<Duration>,
    ) -> Result<Option<Delivery>, Fail> {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let body = match within {
            Some(within) => json!({"batch": 1, "expires": nanos(within)}),
            None => json!({"batch": 1, "no_wait": true}),
        };
        // With a subscription of its own, as the message has the subject of its stream. A request that is dropped here is
        // then dropped by the server too: the message would otherwise wait for its ack here, where nobody is.
        let request = Request::new()
            .payload(body.to_string().into())
            .timeout(Some(within.unwrap_or_default() + TRY))
            .inbox(self.client.new_inbox());
        let message = self.request(subject, request).await?;
        match message.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => return Ok(None),
            Some(_) => return Err(Fail::Away("the consumer has no leader")),
        }
        let reply = message.reply.as_ref().map(ToString::to_string);
        let delivery = reply.and_then(|reply| {
            let (count, sequence) = read_reply(&reply)?;
            Some(Delivery {
                subject: message.subject.to_string(),
                sequence,
                count,
                reply,
            })
        });
        delivery.map(Some).ok_or(Fail::Away(NOT_UNDERSTOOD))
    }

    /// Returns the subjects and headers of the next messages of a consumer without acks. None are left where it is empty.
    pub(crate) async fn read_on(
        &self,
        stream: &str,
        consumer: &str,
    ) -> Result<Vec<(String, Option<HeaderMap>)>, Fail> {
        let read = async {
            let inbox = self.client.new_inbox();
            let mut arriving = self.client.subscribe(inbox.clone()).await.ok()?;
            let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
            let request = json!({"batch": BATCH, "no_wait": true}).to_string();
            let sent = self
                .client
                .publish_with_reply(subject, inbox, request.into());
            sent.await.ok()?;
            let mut read = Vec::new();
            while read.len() < BATCH {
                let message = arriving.next().await?;
                match message.status {
                    None | Some(StatusCode::OK) => {
                        read.push((message.subject.to_string(), message.headers));
                    }
                    Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => break,
                    Some(_) => return None,
                }
            }
            Some(read)
        };
        match timeout(TRY, read).await {
            Ok(Some(read)) => Ok(read),
            Ok(None) | Err(_) => Err(Fail::Away(NO_RESPONSE)),
        }
    }

    /// Tells a consumer about a message. If that fails the message is delivered again, which changes nothing.
    pub(crate) async fn ack(&self, delivery: &Delivery, ack: Ack) {
        let payload = match ack {
            Ack::Done => "+ACK".to_owned(),
            Ack::Again(delay) if delay.is_zero() => "-NAK".to_owned(),
            Ack::Again(delay) => format!("-NAK {}", json!({"delay": nanos(delay)})),
            Ack::Working => {
                let sent = self.client.publish(delivery.reply.clone(), "+WPI".into());
                let _ = timeout(TRY, sent).await;
                return;
            }
        };
        let request = Request::new().payload(payload.into()).timeout(Some(TRY));
        let _ = self.request(delivery.reply.clone(), request).await;
    }

    async fn request(&self, subject: String, request: Request) -> Result<Message, Fail> {
        use async_nats::RequestErrorKind::MaxPayloadExceeded;
        // The request's own limit does not include the time in which a full queue of the client takes it.
        let limit = timeout(TRY + MAX_WAIT, self.client.send_request(subject, request));
        match limit.await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) if error.kind() == MaxPayloadExceeded => Err(Fail::TooLarge),
            Ok(Err(_)) | Err(_) => Err(Fail::Away(NO_RESPONSE)),
        }
    }
}

fn parsed<T: DeserializeOwned>(message: &Message) -> Result<Option<T>, Fail> {
    let response = serde_json::from_slice::<Response>(&message.payload);
    let Ok(Response { error, rest }) = response else {
        return Err(Fail::Away(NOT_UNDERSTOOD));
    };
    match error {
        None => match serde_json::from_value(rest) {
            Ok(response) => Ok(Some(response)),
            Err(_) => Err(Fail::Away(NOT_UNDERSTOOD)),
        },
        Some(error) if WRONG_LAST_SEQUENCE.contains(&error.err_code) => Err(Fail::Conflict),
        Some(error) if error.code == 404 => Ok(None),
        Some(error) if error.code == 503 && error.err_code != NOT_ENABLED => {
            Err(Fail::Away("JetStream has no leader"))
        }
        Some(error) => Err(Fail::Refused(error.err_code)),
    }
}

/// Returns the number of deliveries and the sequence number in the reply subject of a message, of either form.
fn read_reply(reply: &str) -> Option<(u64, u64)> {
    let tokens: Vec<_> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    let at = match tokens.len() {
        7 => 2,
        9.. => 4,
        _ => return None,
    };
    Some((
        tokens.get(at)?.parse().ok()?,
        tokens.get(at + 1)?.parse().ok()?,
    ))
}

/// Returns whole nanoseconds, as JetStream's JSON has durations.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// How many messages a sweep reads at once.
const BATCH: usize = 500;

/// How long a call is tried again, with pauses.
pub(crate) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self {
            until: Instant::now() + CALL,
            pause: FIRST_PAUSE,
        }
    }

    /// Pauses before the next try. Fails if there is none.
    pub(crate) async fn after(&mut self, fail: Fail) -> Result<(), JournalError> {
        let Fail::Away(message) = fail else {
            return Err(fail.into());
        };
        let next = Instant::now() + self.pause;
        if next + self.pause > self.until {
            return Err(JournalError::new(JournalErrorKind::Unavailable, message));
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        Ok(())
    }

    /// Fails if others have won for too long. There is no pause, as each conflict is somebody's progress.
    pub(crate) async fn once_more(&mut self) -> Result<(), JournalError> {
        if Instant::now() > self.until {
            return Err(Fail::Conflict.into());
        }
        tokio::task::yield_now().await;
        Ok(())
    }
}

impl From<Fail> for JournalError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Away(message) => Self::new(JournalErrorKind::Unavailable, message),
            Fail::Conflict => Self::new(
                JournalErrorKind::Unavailable,
                "others changed the same value again and again",
            ),
            Fail::TooLarge => Self::new(
                JournalErrorKind::Full,
                "the value is larger than the server's max_payload",
            ),
            Fail::Refused(code) => Self::new(
                JournalErrorKind::Unavailable,
                format!("JetStream refused a call with error {code}"),
            ),
        }
    }
}

pub(crate) fn not_understood() -> JournalError {
    JournalError::new(JournalErrorKind::Unavailable, NOT_UNDERSTOOD)
}

const NO_RESPONSE: &str = "JetStream does not respond";
const NOT_UNDERSTOOD: &str = "a response of JetStream is not understood";
const NOT_THERE: &str = "a stream of the store does not exist";

/// "wrong last sequence", of a server alone and of a cluster.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10071, 10164];

/// "JetStream not enabled".
const NOT_ENABLED: u64 = 10076;

/// The maximum duration of one request. An election of a leader takes longer: the request is then repeated.
const TRY: Duration = Duration::from_secs(2);

/// The time in which a call is repeated.
const CALL: Duration = Duration::from_secs(7);

/// The maximum time of [`JetStream::next`] beyond that of other calls.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(30);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_millis(800);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_reply_subject_are_read() {
        let old = "$JS.ACK.stream.workers.2.17.3.1700000000000000000.0";
        let new = "$JS.ACK._.hash.stream.workers.2.17.3.1700000000000000000.0";
        let newer = "$JS.ACK._.hash.stream.workers.2.17.3.1700000000000000000.0.token";
        for reply in [old, new, newer] {
            assert_eq!(read_reply(reply), Some((2, 17)), "{reply}");
        }
        for reply in [
            "",
            "$JS.ACK.",
            "$JS.ACK.a.b",
            "$JS.ACK.s.c.x.y.1.1.0",
            "_INBOX.1.2",
        ] {
            assert_eq!(read_reply(reply), None, "{reply}");
        }
    }
}
