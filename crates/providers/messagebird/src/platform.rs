//! The platform of 2026. It has an idempotency key, so that a single send may be repeated. It accepts batches of 100
//! different messages, all of them or none.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    slice,
    time::Duration,
};

use postduif_core::{
    BatchTexts, ConfigError, ErrorKind, Health, Message, Outcomes, PhoneNumber, Profile, Receipt,
    SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait, batch,
    departure::Departure,
};
use postduif_http::{
    Request, Response,
    vendor::{
        EndpointBuilder,
        batch::{Verdicts, with_distinct_references},
        check_about, price,
        signature::{hex, sha256},
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use crate::{
    Access, Category, PROVIDER, failed_already, has_no_id,
    platform_refusals::{Fault, Refused, refused},
};

/// The capabilities of the platform. It refuses schedules and validity periods, which are previews, for most accounts.
pub(crate) const PROFILE: Profile = Profile::new(PROVIDER)
    .with_batch(BATCH_SIZE, BatchTexts::Mixed)
    .with_repeat_window(Some(REPEAT_WINDOW))
    .with_senders(&[
        SenderKind::Alphanumeric,
        SenderKind::Number,
        SenderKind::ShortCode,
    ])
    .with_sender_required(true)
    .with_longest_text(TextLimit::Parts(12))
    .with_reports(true)
    .with_rate(NonZeroU32::new(100).unwrap());

const SEND_PATH: &str = "/v1/sms/messages";
const BATCH_PATH: &str = "/v1/sms/batches";
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(100).unwrap();
/// The maximum number of concurrent requests of a batch.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// Ten minutes less than the "about" three hours for which the vendor keeps an idempotency key.
const REPEAT_WINDOW: Duration = Duration::from_secs(170 * 60);
const SENDER: &str = "expected a name of letters, digits, spaces, - and _ with at least one letter, a number, or a \
                      short code";

/// Returns the host of the key's region: two letters and digits after `bk_`, as in the vendor's SDKs.
fn host(key: &SecretString) -> Option<String> {
    let (region, _) = key.expose_secret().strip_prefix("bk_")?.split_once('_')?;
    let (letters, digits) = region.split_at_checked(2)?;
    let is_region = letters.bytes().all(|byte| byte.is_ascii_lowercase())
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_region.then(|| format!("https://{region}.platform.bird.com"))
}

#[derive(Debug)]
pub(crate) struct Platform {
    access: Access,
    category: Category,
}

impl Platform {
    pub(crate) fn new(
        endpoint: EndpointBuilder,
        key: &SecretString,
        category: Category,
    ) -> Result<Self, ConfigError> {
        endpoint.check_sender(|sender| wire_sender(sender).is_some(), SENDER)?;
        let host = match (endpoint.base(), host(key)) {
            (Some(_), _) => String::new(),
            (None, Some(host)) => host,
            (None, None) => {
                return Err(ConfigError::new(
                    "invalid key: expected one with a region, such as bk_eu1_…, or the platform's host",
                ));
            }
        };
        Ok(Self {
            access: Access::new(endpoint.build(PROFILE, &host)?, "Bearer", key)?,
            category,
        })
    }

    /// Returns a message in the wire format. The same message always has the same bytes, so that a repeat is harmless.
    fn entry<'a>(&self, message: &'a Message) -> Result<Entry<'a>, SendError> {
        let endpoint = &self.access.endpoint;
        Ok(Entry {
            to: message.to().to_string(),
            from: endpoint.wire_sender(message, wire_sender, SENDER)?,
            text: message.text().as_str(),
            category: self.category,
            metadata: Metadata {
                reference: message.reference().as_str(),
            },
        })
    }

    /// Sends one message.
    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let key = format!("postduif-{}", message.reference());
        let request = self
            .access
            .post(SEND_PATH)
            .with_header("idempotency-key", &key)
            .with_json(&self.entry(message)?);
        let response = self.access.send(request).await?;
        if !response.is_success() {
            has_no_id(&response)?;
            return Err(refused(&response, slice::from_ref(message)).error);
        }
        if Fault::shaped(&response).is_some() {
            return Err(Response::contradiction());
        }
        self.receipt(&response.json()?, message)
    }

    /// Sends at most as many messages as one request carries. A message with a duplicate reference goes in a separate
    /// request, after the first.
    async fn send_piece(&self, messages: &[Message]) -> Outcomes {
        let accepts = |message: &Message| self.entry(message).is_ok();
        let fitted = self.access.endpoint.fit_all(messages, accepts);
        let messages = &*fitted;
        let mut outcomes = Outcomes::in_doubt(messages);
        let mut valid = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let validated = self.access.endpoint.profile().validate(message);
            match validated.and_then(|()| self.entry(message)) {
                Ok(_) => valid.push(index),
                Err(error) => outcomes.set(index, Err(self.access.endpoint.named(error))),
            }
        }
        for indices in with_distinct_references(messages, valid) {
            self.send_together(messages, indices, &mut outcomes).await;
        }
        fitted.report(outcomes)
    }

    /// Sends the messages at these indices in one request, which is accepted or refused as a whole.
    ///
    /// If a proven refusal names entries, the others are sent again in one more request; if it names none, each is sent
    /// alone. Every further request has fewer messages, so the loop ends.
    async fn send_together(
        &self,
        messages: &[Message],
        mut indices: Vec<usize>,
        outcomes: &mut Outcomes,
    ) {
        let named = |error| self.access.endpoint.named(error);
        while indices.len() > 1 {
            let batch: Vec<Message> = indices
                .iter()
                .map(|&index| messages[index].clone())
                .collect();
            let sent: Vec<_> = match self.post(&batch).await {
                Ok(sent) => sent,
                Err(refused) if !refused.named.is_empty() => {
                    let mut others = Vec::new();
                    for (entry, index) in indices.into_iter().enumerate() {
                        match refused.named.get(&entry) {
                            Some(error) => outcomes.set(index, Err(named(error.clone()))),
                            None => others.push(index),
                        }
                    }
                    indices = others;
                    continue;
                }
                Err(refused) if refused.for_an_entry => {
                    let one_by_one =
                        batch::one_by_one(&batch, crate::IN_FLIGHT, |message| self.send(message));
                    one_by_one.await.into_iter().collect()
                }
                Err(refused) => vec![Err(refused.error); batch.len()],
            };
            for (index, outcome) in indices.into_iter().zip(sent) {
                outcomes.set(index, outcome.map_err(named));
            }
            return;
        }
        if let [index] = indices[..] {
            outcomes.set(index, self.send(&messages[index]).await);
        }
    }

    /// Makes one request for a batch. Returns the outcome of each message, or the refusal of all of them.
    async fn post(&self, batch: &[Message]) -> Result<Vec<Result<Receipt, SendError>>, Refused> {
        let call = Departure::new();
        let response = match self.batch_request(batch) {
            Ok(request) => call.scope(self.access.send(request)).await,
            Err(error) => Err(error),
        };
        let response = match response {
            Ok(response) if response.is_success() => return Ok(self.read(&response, batch)),
            Ok(response) => has_no_id(&response).map(|()| response),
            Err(error) => Err(error),
        };
        match response {
            Ok(response) => {
                let refused = refused(&response, batch);
                call.end(&Err::<Receipt, _>(refused.error.clone()));
                Err(refused)
            }
            Err(error) => {
                call.end(&Err::<Receipt, _>(error.clone()));
                Ok(vec![Err(error); batch.len()])
            }
        }
    }

    fn batch_request(&self, batch: &[Message]) -> Result<Request, SendError> {
        let entries: Vec<_> = batch
            .iter()
            .map(|message| self.entry(message))
            .collect::<Result<_, _>>()?;
        // The key depends on the messages of the request, since other messages make another request.
        let references: Vec<_> = batch
            .iter()
            .map(|message| message.reference().as_str())
            .collect();
        let sum = hex(&sha256(references.join(",").as_bytes()));
        Ok(self
            .access
            .post(BATCH_PATH)
            .with_header("idempotency-key", &format!("postduif-batch-{sum}"))
            .with_messages(batch.len())
            .with_json(&Batch { messages: entries }))
    }

    /// Reads the outcome of each message from a success, in the messages' order. An entry matches its message by the
    /// reference, which the platform returns, or by its index if no entry has a reference and none is missing.
    fn read(&self, response: &Response, batch: &[Message]) -> Vec<Result<Receipt, SendError>> {
        let accepted: Accepted = match (response.json(), Fault::shaped(response)) {
            (Ok(accepted), None) => accepted,
            (Ok(_), Some(_)) => return vec![Err(Response::contradiction()); batch.len()],
            (Err(error), _) => return vec![Err(error); batch.len()],
        };
        let is_nameless = |entry: &AcceptedEntry| match entry {
            AcceptedEntry::Readable(sent) => sent.metadata["reference"].is_null(),
            AcceptedEntry::Unreadable(_) => false,
        };
        let by_index = accepted.data.len() == batch.len() && accepted.data.iter().all(is_nameless);
        let mut verdicts = Verdicts::new(batch.iter().collect());
        for (entry, sent) in accepted.data.iter().enumerate() {
            let AcceptedEntry::Readable(sent) = sent else {
                continue;
            };
            let index = match sent.metadata["reference"].as_str() {
                Some(reference) => verdicts.find(Some(reference), None),
                None => Some(entry).filter(|&index| by_index && is_for(sent, &batch[index])),
            };
            if let Some(index) = index {
                verdicts.add(index, self.receipt(sent, &batch[index]));
            }
        }
        verdicts.finish()
    }

    fn receipt(&self, sent: &Sent, message: &Message) -> Result<Receipt, SendError> {
        if !sent.id.starts_with("sms_") {
            return Err(SendError::unknown(
                ErrorKind::Protocol,
                "the response has no usable message id",
            ));
        }
        check_about(&sent.metadata["reference"], &sent.to, message)?;
        if let Some("canceled" | "expired" | "failed" | "rejected" | "undelivered") =
            sent.status.as_str()
        {
            return Err(failed_already(ErrorKind::Other));
        }
        let receipt = self
            .access
            .receipt(&sent.id, &sent.segments["count"], message)?;
        Ok(
            match price(&sent.cost["amount"], &sent.cost["currency_code"]) {
                Some(cost) => receipt.with_price(cost),
                None => receipt,
            },
        )
    }

    async fn list(&self) -> Result<Health, SendError> {
        let request = self.access.get(SEND_PATH).with_query("limit", "1");
        let response = self.access.ask(request).await?;
        if response.is_success() {
            return response.json::<Listed>().map(|_| Health::verified());
        }
        match response.status() {
            403 if Fault::of(&response).is_some() => Ok(Health::unknown()),
            _ => Err(refused(&response, &[]).error),
        }
    }
}

/// Returns whether an entry without a reference can belong to this message, by its number.
fn is_for(sent: &Sent, message: &Message) -> bool {
    sent.to
        .as_str()
        .is_none_or(|number| PhoneNumber::from_msisdn(number) == Ok(message.to()))
}

/// Returns a sender in the platform's format. `None` if the platform does not accept it. The workspace's own short
/// codes and names are not known here.
fn wire_sender(sender: &Sender) -> Option<String> {
    let name = sender.to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" -_".contains(&byte);
    let fits = sender.kind() != SenderKind::Alphanumeric
        || name.bytes().all(plain) && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    fits.then_some(name)
}

#[derive(Serialize)]
struct Batch<'a> {
    messages: Vec<Entry<'a>>,
}

/// The entry of a message. It has no optional fields, since the platform may refuse unknown ones.
#[derive(Serialize)]
struct Entry<'a> {
    to: String,
    from: String,
    text: &'a str,
    category: Category,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    reference: &'a str,
}

#[derive(Deserialize)]
struct Accepted {
    data: Vec<AcceptedEntry>,
}

/// An entry of one message. An unreadable entry does not affect the others.
#[derive(Deserialize)]
#[serde(untagged)]
enum AcceptedEntry {
    Readable(Sent),
    Unreadable(IgnoredAny),
}

#[derive(Deserialize)]
struct Sent {
    id: String,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    to: Value,
    #[serde(default)]
    segments: Value,
    #[serde(default)]
    cost: Value,
    #[serde(default)]
    metadata: Value,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "data")]
    _data: Vec<IgnoredAny>,
}

#[async_trait]
impl SmsProvider for Platform {
    fn profile(&self) -> &Profile {
        self.access.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let accepts = |message: &Message| self.entry(message).is_ok();
        let message = &self.access.endpoint.fit_where(message, accepts);
        let exchange = self.exchange(message);
        self.access.endpoint.send_one(message, exchange).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::in_chunks(messages, BATCH_SIZE, IN_FLIGHT, async |piece| {
            self.send_piece(piece).await
        })
        .await
    }

    /// Lists one message, which proves the key. The health of a key that may only send is unknown.
    async fn check(&self) -> Result<Health, SendError> {
        self.access.endpoint.probe(self.list()).await
    }
}
