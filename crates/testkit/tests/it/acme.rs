//! A vendor with every feature, a provider for it, and the mistakes that a provider could make.

use std::{borrow::Cow, collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use chrono::DateTime;
use postduif_core::{
    Acceptance, BatchTexts, ErrorKind, Health, Message, MessageOption, Outcomes, Profile, Receipt,
    Reference, SendError, Sender, SenderKind, SmsProvider, TextLimit, async_trait,
};
use postduif_http::{
    BaseUrl, Client, Refusal, Request, Response,
    auth::{ClientCredentials, TokenCache},
    vendor::EndpointBuilder,
};
use postduif_testkit::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
use serde::Deserialize;
use serde_json::{Value, json};

/// One mistake of a provider, each of which breaks a promise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    AcceptsAnyLength,
    AcceptsRubbishBatch,
    AdmitsAnyBatch,
    AnyBodyRefuses,
    AnyJsonRefuses,
    AnySuccessAccepts,
    AcceptsAnyResponse,
    BrokenBodyAccepts,
    ChangesText,
    CheckFailsOnRefusal,
    CheckInDoubt,
    CheckSends,
    ConnectionInDoubt,
    CredentialsAreOther,
    DoubtWhileWaitingForToken,
    DropsOptionsOfBatch,
    DropsValidity,
    FollowsRedirects,
    ForgetsReference,
    ForgetsWords,
    GivingUpRefuses,
    IgnoresWherePossible,
    InsistsOnContentType,
    KeepsAnyCode,
    KeepsAnyId,
    KeepsAnyWords,
    LeftOutIsAccepted,
    LogsKey,
    LogsText,
    LosesOutcomes,
    LostResponseRefuses,
    MatchesByPosition,
    MixesTexts,
    NeedsNoSender,
    NewKeyForEachTry,
    OwnShapeRefusesAlways,
    RefusalBesideIdRefuses,
    RefusalInDoubt,
    RefusesBatchesInDoubt,
    RefusesBlockedBatch,
    RepeatsBatchSingly,
    RepeatsBlockedBatch,
    RepeatsDoubtLater,
    RepeatsFailedBatch,
    RepeatsFirstOfBatch,
    RepeatsLateBatch,
    RepeatsRefusedCredentials,
    RepeatsUnlistedRefusal,
    RepeatsWords,
    ReportsNothingDropped,
    SendsAgainWhenDropped,
    SendsTwice,
    ServerFailureRefuses,
    ShowsKey,
    ShowsKeyInError,
    ShowsSender,
    SlowerThanDeadline,
    StatusInDoubt,
    TakesScheduleUndeclared,
    WastesCalls,
}

const KEY: &str = "acme-k3y-9c1f";
const SECRET: &str = "acme-s3cret-77b2";
const HOUR: Duration = Duration::from_secs(3600);

const PROFILE: Profile = Profile::new("acme")
    .with_batch(NonZeroUsize::new(5).unwrap(), BatchTexts::Mixed)
    .with_senders(&[
        SenderKind::Alphanumeric,
        SenderKind::Number,
        SenderKind::ShortCode,
    ])
    .with_validity(Duration::from_secs(60), HOUR)
    .with_max_schedule_ahead(Duration::from_secs(86_400))
    .with_longest_text(TextLimit::Characters(1000))
    .with_repeat_window(Some(HOUR))
    .with_reports(true);

#[derive(Clone)]
pub(crate) struct Provider {
    flaw: Option<Flaw>,
    profile: Profile,
    client: Client,
    base: BaseUrl,
    sender: Option<Sender>,
    tokens: Arc<TokenCache<ClientCredentials>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Acme");
        if self.has(Flaw::ShowsKey) {
            shown.field("key", &KEY);
        }
        shown.finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Accepted {
    accepted: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    reference: String,
}

#[derive(Deserialize)]
struct Refused {
    acme_code: String,
    explanation: String,
}

impl Provider {
    fn new(base: &str, flaw: Option<Flaw>, sender: Option<Sender>) -> Self {
        let deadline = match flaw {
            Some(Flaw::SlowerThanDeadline) => DEADLINE * 3,
            _ => DEADLINE,
        };
        let client = Client::builder()
            .with_connect_timeout(DEADLINE / 2)
            .with_timeout(deadline)
            .build()
            .unwrap();
        let base = BaseUrl::parse(base).unwrap();
        let credentials = ClientCredentials::new(
            client.clone(),
            base.clone(),
            "/token",
            KEY.into(),
            SECRET.into(),
        );
        let mut profile = PROFILE.with_sender_required(sender.is_none());
        match flaw {
            Some(Flaw::MixesTexts) => {
                profile = profile.with_batch(PROFILE.batch_size(), BatchTexts::Same);
            }
            Some(Flaw::TakesScheduleUndeclared) => {
                profile = Profile::new("acme").with_senders(PROFILE.senders());
            }
            Some(Flaw::AdmitsAnyBatch) => {
                profile = Profile::new("acme").with_batch(PROFILE.batch_size(), BatchTexts::Mixed);
            }
            _ => {}
        }
        Self {
            flaw,
            profile,
            client,
            base,
            sender,
            tokens: Arc::new(TokenCache::new(credentials, Duration::from_secs(60))),
        }
    }

    /// Keeps the vendor's own words in errors.
    fn keeping_words(mut self) -> Self {
        let builder = EndpointBuilder::new()
            .with_base(self.base.clone())
            .with_client(self.client.clone())
            .with_secrets([Some(&KEY.into()), Some(&SECRET.into())])
            .with_vendor_messages(true);
        let builder = match &self.sender {
            Some(sender) => builder.with_sender(sender.clone()),
            None => builder,
        };
        let endpoint = builder.build(PROFILE, "").unwrap();
        self.client = endpoint.client().clone();
        self
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn admit(&self, message: &Message) -> Result<(), SendError> {
        let problem = self.profile.validate(message);
        let lets_through = match problem.as_ref().map_err(SendError::kind) {
            Err(ErrorKind::InvalidText) => self.has(Flaw::AcceptsAnyLength),
            Err(ErrorKind::InvalidSender) => self.has(Flaw::NeedsNoSender),
            Err(_) => self.has(Flaw::TakesScheduleUndeclared),
            Ok(()) => true,
        };
        if lets_through { Ok(()) } else { problem }
    }

    fn fit<'m>(&self, message: &'m Message) -> (Cow<'m, Message>, Vec<MessageOption>) {
        if self.has(Flaw::IgnoresWherePossible) {
            return (Cow::Borrowed(message), Vec::new());
        }
        let (message, mut dropped) = message.fit(&self.profile);
        if self.has(Flaw::ReportsNothingDropped) {
            dropped.clear();
        }
        (message, dropped)
    }

    fn entry(&self, message: &Message) -> Value {
        let mut text = message.text().as_str().to_owned();
        if self.has(Flaw::ChangesText) {
            text = text.replace('\n', " ");
        }
        let sender = message.sender().or(self.sender.as_ref());
        let validity = message.validity().map(|validity| validity.as_secs());
        let mut entry = json!({
            "to": message.to(), "text": text, "sender": sender.map(ToString::to_string),
            "reference": message.reference(), "validity": validity,
            "send_at": message.send_at().map(|at| at.timestamp())
        });
        if self.has(Flaw::DropsValidity) {
            entry["validity"] = Value::Null;
        }
        if self.has(Flaw::ForgetsReference) {
            entry["reference"] = "".into();
        }
        entry
    }

    async fn token(&self) -> Result<Arc<postduif_http::auth::Token>, SendError> {
        let tokens = Arc::clone(&self.tokens);
        if self.has(Flaw::DoubtWhileWaitingForToken) {
            // In another task, so that its departure does not belong to the call.
            let fetched = tokio::spawn(async move { tokens.token().await });
            return fetched.await.unwrap();
        }
        tokens.token().await
    }

    async fn request(&self, messages: &[Message], to: &BaseUrl) -> Result<Request, SendError> {
        let token = self.token().await?;
        let mut entries: Vec<_> = messages.iter().map(|message| self.entry(message)).collect();
        if self.has(Flaw::DropsOptionsOfBatch) && entries.len() > 1 {
            for entry in &mut entries {
                entry["sender"] = json!(self.sender.as_ref().map(ToString::to_string));
                entry["validity"] = Value::Null;
                entry["send_at"] = Value::Null;
            }
        }
        if self.has(Flaw::RepeatsFirstOfBatch) && entries.len() > 1 {
            entries.push(entries[0].clone());
        }
        let key = if self.has(Flaw::NewKeyForEachTry) {
            Reference::random().to_string()
        } else {
            messages[0].reference().to_string()
        };
        Ok(Request::post(to, "/messages")
            .with_bearer(&token)
            .with_header("x-key", &key)
            .with_json(&json!({"messages": entries}))
            .with_messages(messages.len()))
    }

    async fn post(&self, messages: &[Message]) -> Result<Response, SendError> {
        if self.has(Flaw::LogsText) {
            tracing::trace!(text = messages[0].text().as_str(), "a call");
        }
        let _span = self
            .has(Flaw::LogsKey)
            .then(|| tracing::trace_span!("a call", key = KEY));
        let request = self.request(messages, &self.base).await?;
        let mut response = if self.has(Flaw::SendsTwice) {
            let other = self.request(messages, &self.base).await?;
            let (first, _) = tokio::join!(self.client.send(request), self.client.send(other));
            first
        } else {
            self.client.send(request).await
        };
        if self.has(Flaw::FollowsRedirects)
            && let Ok(redirect) = &response
            && let Some(location) = redirect.header("location")
        {
            let elsewhere = BaseUrl::parse(location).unwrap();
            let request = self.request(messages, &elsewhere).await?;
            response = self.client.send(request).await;
        }
        response
    }

    fn refusal(&self, response: &Response, messages: &[Message]) -> Option<Refusal> {
        if self.has(Flaw::AnyBodyRefuses) && response.status() == 403 {
            return Some(Refusal::new(ErrorKind::Blocked, "it was refused"));
        }
        let Ok(Refused {
            acme_code,
            explanation,
        }) = response.json()
        else {
            let is_json = response.json::<Value>().is_ok();
            return (is_json && self.has(Flaw::AnyJsonRefuses))
                .then(|| Refusal::new(ErrorKind::Other, "it was refused"));
        };
        let kind = match acme_code.as_str() {
            "key" if self.has(Flaw::CredentialsAreOther) => ErrorKind::Other,
            "key" => ErrorKind::Unauthorized,
            "number" => ErrorKind::InvalidRecipient,
            _ => ErrorKind::Other,
        };
        let words = match self.flaw {
            Some(Flaw::RepeatsWords) => format!("it was refused: {explanation}"),
            Some(Flaw::ShowsKeyInError) => format!("it was refused for {KEY}"),
            Some(Flaw::ShowsSender) => format!(
                "it was refused for {:?}",
                messages[0].sender().map(ToString::to_string)
            ),
            _ => "it was refused".to_owned(),
        };
        let refusal = Refusal::new(kind, words);
        let refusal = if self.has(Flaw::ForgetsWords) {
            refusal
        } else {
            let redactor = response.redactor(messages);
            refusal.with_vendor_message([explanation.as_str()], &redactor)
        };
        Some(match acme_code.as_str() {
            "key" | "number" => refusal.with_code(acme_code),
            _ if self.has(Flaw::KeepsAnyCode) || self.has(Flaw::GivingUpRefuses) => {
                refusal.with_code(acme_code)
            }
            _ => refusal.with_unlisted_code(&acme_code, messages),
        })
    }

    fn id(&self, entry: &Entry) -> Result<String, SendError> {
        if self.has(Flaw::KeepsAnyId) {
            Ok(entry.id.clone())
        } else {
            Response::message_id(&entry.id).map(str::to_owned)
        }
    }

    /// Makes one call, and returns its outcomes.
    async fn call(&self, messages: &[Message]) -> Result<Outcomes, SendError> {
        let response = match self.post(messages).await {
            Err(error) if self.has(Flaw::ConnectionInDoubt) => return Err(error.in_doubt()),
            Err(error)
                if self.has(Flaw::LostResponseRefuses)
                    && error.acceptance() == Acceptance::Unknown =>
            {
                return Err(SendError::not_accepted(error.kind(), "no response"));
            }
            response => response?,
        };
        let refused = response.json::<Refused>();
        let repeats = refused.as_ref().is_ok_and(|refused| match self.flaw {
            Some(Flaw::RepeatsUnlistedRefusal) => {
                response.status() == 401 && refused.acme_code != "key"
            }
            Some(Flaw::RepeatsRefusedCredentials) => refused.acme_code == "key",
            _ => false,
        });
        if repeats {
            let _ = self.post(messages).await;
        }
        let names_messages = response.json::<Accepted>().is_ok();
        if refused.is_ok() && names_messages && !self.has(Flaw::RefusalBesideIdRefuses) {
            return Err(Response::contradiction());
        }
        if !response.is_success() || refused.is_ok() {
            if refused.is_ok() && self.has(Flaw::OwnShapeRefusesAlways) {
                return Err(SendError::not_accepted(ErrorKind::Other, "it was refused"));
            }
            let error = response.refused(self.refusal(&response, messages));
            let error = match refused {
                Ok(refused) if self.has(Flaw::KeepsAnyWords) => {
                    error.with_vendor_message(refused.explanation)
                }
                _ => error,
            };
            let in_doubt = match self.flaw {
                Some(Flaw::RefusalInDoubt) => error.kind() == ErrorKind::InvalidRecipient,
                Some(Flaw::RefusesBatchesInDoubt) => messages.len() > 1,
                Some(Flaw::StatusInDoubt) => response.status() == 404,
                _ => false,
            };
            if self.has(Flaw::ServerFailureRefuses) && response.status() >= 500 {
                return Err(SendError::not_accepted(error.kind(), "the server failed"));
            }
            return Err(if in_doubt { error.in_doubt() } else { error });
        }
        let all_accepted = || {
            Outcomes::from_fn(messages, |message| {
                Ok(Receipt::new("acme", *message.reference()).with_id("acme-1"))
            })
        };
        if self.has(Flaw::AnySuccessAccepts)
            || self.has(Flaw::BrokenBodyAccepts) && response.body().is_err()
        {
            return Ok(all_accepted());
        }
        if self.has(Flaw::InsistsOnContentType)
            && response.header("content-type") != Some("application/json")
        {
            return Err(SendError::unknown(ErrorKind::Protocol, "no JSON"));
        }
        let Accepted { accepted } = response.json()?;
        if self.has(Flaw::ForgetsReference) {
            return Ok(Outcomes::from_fn(messages, |message| {
                Ok(Receipt::new("acme", *message.reference()))
            }));
        }
        let believes = self.has(Flaw::AcceptsAnyResponse) && messages.len() == 1;
        if self.has(Flaw::MatchesByPosition) || believes {
            let mut outcomes = Outcomes::in_doubt(messages);
            for (index, entry) in accepted.iter().enumerate().take(messages.len()) {
                let reference = if believes {
                    *messages[0].reference()
                } else {
                    entry.reference.parse().unwrap()
                };
                outcomes.set(
                    index,
                    Ok(Receipt::new("acme", reference).with_id(self.id(entry)?)),
                );
            }
            return Ok(outcomes);
        }
        let by_reference: HashMap<_, _> = accepted
            .iter()
            .map(|entry| (entry.reference.as_str(), entry))
            .collect();
        Ok(Outcomes::from_fn(messages, |message| {
            match by_reference.get(message.reference().as_str()) {
                Some(entry) => {
                    let id = self.id(entry)?;
                    Ok(Receipt::new("acme", *message.reference()).with_id(id))
                }
                None if self.has(Flaw::LeftOutIsAccepted) => {
                    Ok(Receipt::new("acme", *message.reference()))
                }
                None => Err(SendError::unknown(
                    ErrorKind::Protocol,
                    "the response does not name the message",
                )),
            }
        }))
    }

    fn named(outcome: Result<Receipt, SendError>) -> Result<Receipt, SendError> {
        outcome.map_err(|error| error.with_provider("acme"))
    }

    async fn single(&self, message: &Message) -> Result<Receipt, SendError> {
        let outcome = match self.call(std::slice::from_ref(message)).await {
            Ok(outcomes) => outcomes.into_single(),
            Err(error) => Err(error),
        };
        Self::named(outcome)
    }

    /// Sends in a task that continues without its caller, and then sends again.
    async fn detached(&self, message: &Message) -> Result<Receipt, SendError> {
        let (provider, message) = (self.clone(), message.clone());
        let (sender, outcome) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let sent = provider.single(&message).await;
            if sender.send(sent).is_err() {
                let _ = provider.single(&message).await;
            }
        });
        outcome.await.unwrap()
    }

    /// Returns whether each message of a batch with this error is sent again singly.
    fn repeats_singly(&self, error: &SendError) -> bool {
        let failed = error.to_string().contains("HTTP 5");
        error.acceptance() == Acceptance::Unknown
            && match self.flaw {
                Some(Flaw::RepeatsBatchSingly) => true,
                Some(Flaw::RepeatsBlockedBatch) => error.kind() == ErrorKind::Protocol,
                Some(Flaw::RepeatsFailedBatch) => failed,
                Some(Flaw::RepeatsLateBatch) => error.kind() == ErrorKind::Timeout,
                _ => false,
            }
    }

    /// Returns the outcomes of a batch whose response was not the vendor's.
    fn not_the_vendors(&self, messages: &[Message], error: &SendError) -> Outcomes {
        match self.flaw {
            Some(Flaw::RefusesBlockedBatch) => {
                let refused = SendError::not_accepted(ErrorKind::Blocked, "it was blocked");
                Outcomes::failed(messages, &refused)
            }
            Some(Flaw::AcceptsRubbishBatch) => Outcomes::from_fn(messages, |message| {
                Ok(Receipt::new("acme", *message.reference()))
            }),
            _ => Outcomes::failed(messages, error),
        }
    }

    async fn look_up(&self) -> Result<Health, SendError> {
        if self.has(Flaw::CheckSends) {
            let to = "+31600000000".parse().unwrap();
            let text = postduif_core::Text::new("Are you there?").unwrap();
            self.send(&Message::new(to, text)).await?;
        }
        let token = self.token().await?;
        let request = Request::get(&self.base, "/account").with_bearer(&token);
        let response = if self.has(Flaw::CheckInDoubt) {
            self.client.send(request).await?
        } else {
            self.client.ask(request).await?
        };
        if !response.is_success() {
            return Err(response.refused(self.refusal(&response, &[])));
        }
        response
            .json::<HashMap<String, u32>>()
            .map(|_| Health::verified())
    }
}

#[async_trait]
impl SmsProvider for Provider {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let (message, dropped) = self.fit(message);
        let message = &*message;
        self.admit(message)?;
        if self.has(Flaw::SendsAgainWhenDropped) {
            return self.detached(message).await;
        }
        let outcome = self.single(message).await;
        let in_doubt = |error: &SendError| error.acceptance() == Acceptance::Unknown;
        if self.has(Flaw::RepeatsDoubtLater) && outcome.as_ref().is_err_and(in_doubt) {
            let (provider, message) = (self.clone(), message.clone());
            tokio::spawn(async move {
                tokio::time::sleep(DEADLINE / 8).await;
                provider.single(&message).await
            });
        }
        outcome.map(|receipt| receipt.with_dropped(dropped))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let (messages, dropped): (Vec<_>, Vec<_>) = messages
            .iter()
            .map(|message| self.fit(message))
            .map(|(message, dropped)| (message.into_owned(), dropped))
            .unzip();
        let messages = messages.as_slice();
        let mut outcomes = Outcomes::in_doubt(messages);
        let (mut indices, mut admitted) = (Vec::new(), Vec::new());
        for (index, message) in messages.iter().enumerate() {
            match self.admit(message) {
                Err(error) if !self.has(Flaw::AdmitsAnyBatch) => outcomes.set(index, Err(error)),
                _ => {
                    indices.push(index);
                    admitted.push(message.clone());
                }
            }
        }
        let mut all = Vec::new();
        let size = if self.has(Flaw::WastesCalls) {
            1
        } else {
            self.profile.batch_size().get()
        };
        for piece in admitted.chunks(size) {
            let outcomes = match self.call(piece).await {
                Err(error) if piece.len() > 1 && self.repeats_singly(&error) => {
                    for message in piece {
                        all.push(self.send(message).await);
                    }
                    continue;
                }
                Err(error) if piece.len() > 1 && error.kind() == ErrorKind::Protocol => {
                    self.not_the_vendors(piece, &error)
                }
                outcomes => outcomes.unwrap_or_else(|error| Outcomes::failed(piece, &error)),
            };
            all.extend(outcomes.into_iter().map(Self::named));
        }
        if self.has(Flaw::LosesOutcomes) {
            all.reverse();
        }
        for (index, outcome) in indices.into_iter().zip(all) {
            let report = |receipt: Receipt| receipt.with_dropped(dropped[index].clone());
            outcomes.set(index, outcome.map(report));
        }
        outcomes
    }

    async fn check(&self) -> Result<Health, SendError> {
        let health = self.look_up().await;
        match health.map_err(|error| error.with_provider("acme")) {
            Err(error) if self.has(Flaw::CheckInDoubt) => Err(error),
            Err(error) if self.has(Flaw::CheckFailsOnRefusal) => Err(error.of_check()),
            health => Health::of(health),
        }
    }
}

/// The vendor, as its documentation would describe it, and its provider with at most one mistake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acme(pub(crate) Option<Flaw>);

impl Acme {
    fn refused(code: &str, words: &str) -> Reply {
        let body = json!({"acme_code": code, "explanation": words});
        Reply::json(422, body.to_string())
    }

    fn entries(request: &HttpRequest) -> Vec<Value> {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        body["messages"].as_array().unwrap().clone()
    }

    fn accepted(request: &HttpRequest, entries: &[usize], id: &str) -> Reply {
        let asked = Self::entries(request);
        let accepted: Vec<_> = entries
            .iter()
            .map(|index| json!({"id": id, "reference": asked[*index]["reference"]}))
            .collect();
        Reply::json(202, json!({"accepted": accepted}).to_string())
    }
}

impl FakeVendor for Acme {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        let sender = "Contoso".parse().unwrap();
        Arc::new(Provider::new(base, self.0, Some(sender)))
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        match request.path() {
            "/token" => Some(Reply::json(
                200,
                r#"{"access_token":"acme-t0ken-51aa","expires_in":3600}"#,
            )),
            "/account" => Some(Reply::json(200, r#"{"credit":12}"#)),
            _ => None,
        }
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        let read = |entry: &Value| {
            let to = entry["to"].as_str().unwrap().parse().unwrap();
            let mut received = Received::new(to, entry["text"].as_str().unwrap());
            received.sender = entry["sender"].as_str().map(str::to_owned);
            received.reference = entry["reference"]
                .as_str()
                .filter(|reference| !reference.is_empty())
                .map(str::to_owned);
            received.validity = entry["validity"].as_u64().map(Duration::from_secs);
            received.send_at = entry["send_at"]
                .as_i64()
                .map(|at| DateTime::from_timestamp(at, 0).unwrap());
            received
        };
        Self::entries(request).iter().map(read).collect()
    }

    fn accept(&self, request: &HttpRequest, entries: &[usize]) -> Reply {
        Self::accepted(request, entries, "acme-1")
    }

    fn refuse(&self, _: &HttpRequest, words: &str) -> Reply {
        Self::refused("number", words)
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidRecipient
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        Some(Self::refused(code, "no"))
    }

    fn credentials(&self) -> Vec<String> {
        [KEY, SECRET, "acme-t0ken-51aa"].map(str::to_owned).into()
    }

    fn refuse_credentials(&self, request: &HttpRequest) -> Option<Reply> {
        (request.path() != "/token").then(|| Self::refused("key", "no").with_status(401))
    }

    fn is_token(&self, request: &HttpRequest) -> bool {
        request.path() == "/token"
    }

    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        Some(Self::accepted(request, &[0], id))
    }

    fn replies_name_the_message(&self) -> bool {
        true
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        let sender = "Contoso".parse().unwrap();
        let provider = Provider::new(base, self.0, Some(sender));
        Some(Arc::new(provider.keeping_words()))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(Arc::new(Provider::new(base, self.0, None)))
    }
}

/// The same vendor, described by the required methods only, and a provider that declares nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modest;

impl FakeVendor for Modest {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        let mut provider = Provider::new(base, None, None);
        provider.profile = Profile::new("acme");
        Arc::new(provider)
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        Acme(None).other_reply(request)
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        Acme(None).received(request)
    }

    fn accept(&self, request: &HttpRequest, entries: &[usize]) -> Reply {
        Acme(None).accept(request, entries)
    }

    fn refuse(&self, request: &HttpRequest, words: &str) -> Reply {
        Acme(None).refuse(request, words)
    }

    fn refusal(&self) -> ErrorKind {
        Acme(None).refusal()
    }

    fn refuse_with_code(&self, _: &HttpRequest, _: &str) -> Option<Reply> {
        None
    }
}

/// The same vendor, whose provider was built without the sender that it requires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nameless;

impl FakeVendor for Nameless {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        Arc::new(Provider::new(base, None, None))
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        Modest.other_reply(request)
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        Modest.received(request)
    }

    fn accept(&self, request: &HttpRequest, entries: &[usize]) -> Reply {
        Modest.accept(request, entries)
    }

    fn refuse(&self, request: &HttpRequest, words: &str) -> Reply {
        Modest.refuse(request, words)
    }

    fn refusal(&self) -> ErrorKind {
        Modest.refusal()
    }

    fn refuse_with_code(&self, request: &HttpRequest, code: &str) -> Option<Reply> {
        Modest.refuse_with_code(request, code)
    }
}
