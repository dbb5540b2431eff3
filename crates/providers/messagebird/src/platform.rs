//! The platform, of 2026: it knows a key of ours for each call, so that a single send may be repeated, and
//! takes batches of 100 different messages, all or none.

use std::{
    collections::HashMap,
    num::{NonZeroU32, NonZeroUsize},
    slice,
    time::Duration,
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, Authenticity, BatchTexts, ConfigError, DeliveryReport, DeliveryStatus, Departure,
    ErrorKind, Health, Message, Outcomes, PhoneNumber, Profile, Receipt, Reference, ReportError,
    ReportParser, ReportRequest, SendError, Sender, SenderKind, SmsProvider, TextLimit,
    async_trait, batch,
};
use postduif_http::{Refusal, Request, Response, check_window};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use crate::{
    Category, Vendor, gives_no_id, hex_sum, is_about, is_to, price, report_code, report_id,
    send_singly, status, text,
};

/// What the platform can do. Schedules and validity periods are previews that it refuses for most accounts.
pub(crate) const PROFILE: Profile = Profile::new("messagebird")
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
/// Calls of one batch under way at a time.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// A key is known for "about" three hours, so ten minutes less.
const REPEAT_WINDOW: Duration = Duration::from_secs(170 * 60);

/// The host of the key's region: two letters and digits behind `bk_`, the rule of the vendor's SDKs.
pub(crate) fn host(key: &SecretString) -> Option<String> {
    let (region, _) = key.expose_secret().strip_prefix("bk_")?.split_once('_')?;
    let (letters, digits) = region.split_at_checked(2)?;
    let named = letters.bytes().all(|byte| byte.is_ascii_lowercase())
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    named.then(|| format!("https://{region}.platform.bird.com"))
}

#[derive(Debug)]
pub(crate) struct Platform {
    vendor: Vendor,
    /// The sender of messages that name none.
    sender: Option<Sender>,
    category: Category,
}

impl Platform {
    pub(crate) fn new(
        vendor: Vendor,
        sender: Option<Sender>,
        category: Category,
    ) -> Result<Self, ConfigError> {
        if sender.as_ref().is_some_and(|sender| from(sender).is_none()) {
            return Err(ConfigError::new(
                "option sender: the platform takes a name of letters, digits, spaces, - and _ with a letter \
                 in it, a number, or a short code",
            ));
        }
        Ok(Self {
            vendor: Vendor {
                profile: PROFILE.with_sender_required(sender.is_none()),
                ..vendor
            },
            sender,
            category,
        })
    }

    /// A message as the wire has it, or why the platform would not take it. The same message is always
    /// written in the same bytes, which is what makes a repeat harmless.
    fn entry<'a>(&self, message: &'a Message) -> Result<Entry<'a>, SendError> {
        self.vendor.profile.validate(message)?;
        let from = message
            .sender()
            .or(self.sender.as_ref())
            .and_then(from)
            .ok_or(SendError::not_accepted(
                ErrorKind::InvalidSender,
                "the platform takes names of letters, digits, spaces, - and _ with a letter in them",
            ))?;
        Ok(Entry {
            to: message.to().to_string(),
            from,
            text: message.text().as_str(),
            category: self.category,
            metadata: Metadata {
                reference: message.reference().as_str(),
            },
        })
    }

    async fn alone(&self, message: &Message) -> Result<Receipt, SendError> {
        let request = self
            .vendor
            .post(SEND_PATH)
            .with_header(
                "idempotency-key",
                &format!("postduif-{}", message.reference()),
            )
            .with_json(&self.entry(message)?);
        let answer = self.vendor.client.send(request).await?;
        if !answer.is_success() {
            gives_no_id(&answer)?;
            return Err(refused(&answer, slice::from_ref(message)).error);
        }
        if Fault::shaped(&answer).is_some() {
            return Err(Response::contradiction());
        }
        self.receipt(&answer.json()?, message)
    }

    /// At most as many messages as one call carries. Those whose reference another of them has too go in
    /// calls of their own, one after the other: in one answer nobody could tell them apart.
    async fn piece(&self, messages: &[Message]) -> Outcomes {
        let mut outcomes = Outcomes::in_doubt(messages);
        let mut calls: Vec<Vec<usize>> = Vec::new();
        let mut seen: HashMap<&Reference, usize> = HashMap::new();
        for (place, message) in messages.iter().enumerate() {
            match self.entry(message) {
                Ok(_) => {
                    let times = seen.entry(message.reference()).or_default();
                    if calls.len() == *times {
                        calls.push(Vec::new());
                    }
                    calls[*times].push(place);
                    *times += 1;
                }
                Err(error) => outcomes.set(place, Err(self.vendor.named(error))),
            }
        }
        for places in calls {
            self.together(messages, places, &mut outcomes).await;
        }
        outcomes
    }

    /// Sends the messages of these places in one call. It is taken or refused as a whole; where it is
    /// provenly refused for the entries that it names, the others go again in one more call, and where it
    /// names none each goes alone. Every call more has fewer messages, so there is an end.
    async fn together(
        &self,
        messages: &[Message],
        mut places: Vec<usize>,
        outcomes: &mut Outcomes,
    ) {
        while places.len() > 1 {
            let batch: Vec<Message> = places
                .iter()
                .map(|place| messages[*place].clone())
                .collect();
            let answers: Vec<_> = match self.post(&batch).await {
                Ok(answers) => answers,
                Err(refused) if !refused.named.is_empty() => {
                    let mut others = Vec::new();
                    for (entry, place) in places.into_iter().enumerate() {
                        match refused.named.get(&entry) {
                            Some(error) => {
                                outcomes.set(place, Err(self.vendor.named(error.clone())));
                            }
                            None => others.push(place),
                        }
                    }
                    places = others;
                    continue;
                }
                Err(refused) if refused.for_an_entry => {
                    send_singly(self, &batch).await.into_iter().collect()
                }
                Err(refused) => vec![Err(refused.error); batch.len()],
            };
            for (place, answer) in places.into_iter().zip(answers) {
                outcomes.set(place, answer.map_err(|error| self.vendor.named(error)));
            }
            return;
        }
        if let [place] = places[..] {
            outcomes.set(place, self.send(&messages[place]).await);
        }
    }

    /// Makes one call for a batch: what became of each message, or how all of them were refused.
    async fn post(&self, batch: &[Message]) -> Result<Vec<Result<Receipt, SendError>>, Refused> {
        let call = Departure::new();
        let answer = match self.batch_request(batch) {
            Ok(request) => call.scope(self.vendor.client.send(request)).await,
            Err(error) => Err(error),
        };
        let answer = match answer {
            Ok(answer) if answer.is_success() => return Ok(self.read(&answer, batch)),
            Ok(answer) => gives_no_id(&answer).map(|()| answer),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                let refused = refused(&answer, batch);
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
        // The key of this composition: other messages in the call are another call.
        let references: Vec<_> = batch
            .iter()
            .map(|message| message.reference().as_str())
            .collect();
        let sum = hex_sum(references.join(",").as_bytes());
        Ok(self
            .vendor
            .post(BATCH_PATH)
            .with_header("idempotency-key", &format!("postduif-batch-{sum}"))
            .with_messages(batch.len())
            .with_json(&Batch { messages: entries }))
    }

    /// What a success says of each message, in the messages' order. An entry finds its message by our
    /// reference, which the platform repeats; by its place only where no entry has one and none is missing.
    fn read(&self, answer: &Response, batch: &[Message]) -> Vec<Result<Receipt, SendError>> {
        let taken: Taken = match (answer.json(), Fault::shaped(answer)) {
            (Ok(taken), None) => taken,
            (Ok(_), Some(_)) => return vec![Err(Response::contradiction()); batch.len()],
            (Err(error), _) => return vec![Err(error); batch.len()],
        };
        let whole = taken.data.len() == batch.len();
        let nameless = taken.data.iter().all(|told| match told {
            Told::Readable(sent) => sent.metadata["reference"].is_null(),
            Told::Unreadable(_) => false,
        });
        let mut outcomes: Vec<Option<Result<Receipt, SendError>>> = vec![None; batch.len()];
        for (entry, told) in taken.data.into_iter().enumerate() {
            let Told::Readable(sent) = told else {
                continue;
            };
            let place = match sent.metadata["reference"].as_str() {
                Some(reference) => batch
                    .iter()
                    .position(|message| message.reference().as_str() == reference),
                None => (whole && nameless)
                    .then_some(entry)
                    .filter(|place| is_for(&sent, &batch[*place])),
            };
            let Some(place) = place else {
                continue;
            };
            let outcome = self.receipt(&sent, &batch[place]);
            if !matches!(outcomes[place], Some(Err(_)))
                && (outcomes[place].is_none() || outcome.is_err())
            {
                outcomes[place] = Some(outcome);
            }
        }
        let unmentioned = SendError::unknown(
            ErrorKind::Protocol,
            "the answer does not mention this message",
        );
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Err(unmentioned.clone())))
            .collect()
    }

    fn receipt(&self, sent: &Sent, message: &Message) -> Result<Receipt, SendError> {
        if !sent.id.starts_with("sms_") {
            return Err(SendError::unknown(
                ErrorKind::Protocol,
                "a success without its id",
            ));
        }
        is_about(&sent.metadata["reference"], message)?;
        is_to(&sent.to, message)?;
        if let Some("canceled" | "expired" | "failed" | "rejected" | "undelivered") =
            sent.status.as_str()
        {
            return Err(SendError::unknown(
                ErrorKind::Other,
                "the message had failed when the call was answered",
            ));
        }
        let receipt = self
            .vendor
            .receipt(&sent.id, &sent.segments["count"], message)?;
        Ok(
            match price(&sent.cost["amount"], &sent.cost["currency_code"]) {
                Some(cost) => receipt.with_price(cost),
                None => receipt,
            },
        )
    }

    async fn probe(&self) -> Result<Health, SendError> {
        let request = self.vendor.get(SEND_PATH).with_query("limit", "1");
        let answer = self.vendor.client.ask(request).await?;
        if answer.is_success() {
            return answer.json::<Listed>().map(|_| Health::verified());
        }
        match answer.status() {
            403 if Fault::of(&answer).is_some() => Ok(Health::unknown()),
            _ => Err(refused(&answer, &[]).error),
        }
    }
}

/// Whether an entry without a reference can be this message's, by its number.
fn is_for(sent: &Sent, message: &Message) -> bool {
    sent.to
        .as_str()
        .is_none_or(|told| PhoneNumber::from_msisdn(told) == Ok(message.to()))
}

/// A sender as the platform takes it; none where it does not. Which short codes and names the workspace
/// holds, only the platform knows.
fn from(sender: &Sender) -> Option<String> {
    let name = sender.to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" -_".contains(&byte);
    let taken = sender.kind() != SenderKind::Alphanumeric
        || name.bytes().all(plain) && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    taken.then_some(name)
}

#[derive(Serialize)]
struct Batch<'a> {
    messages: Vec<Entry<'a>>,
}

/// Nothing that is not set: unknown fields can be refused.
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
struct Taken {
    data: Vec<Told>,
}

/// What is said of one message. One that cannot be read says nothing, and takes no other down with it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
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

/// The platform's error shape, wrapped or, as older pages have it, bare. Anything else is somebody else
/// speaking.
#[derive(Deserialize)]
#[serde(untagged)]
enum Spoken {
    Wrapped { error: Fault },
    Bare(Fault),
}

#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    name: Option<String>,
    #[serde(default)]
    param: Value,
    #[serde(default)]
    details: Value,
    #[serde(default)]
    request_id: Value,
}

impl Fault {
    /// The platform's fault. `None` where its members alone are the platform's: validation libraries and
    /// gateways write `validation_error`, `auth_error` and `ValidationError` too.
    fn of(answer: &Response) -> Option<Self> {
        let (fault, is_wrapped) = Self::shaped(answer)?;
        let request = fault.request_id.as_str().unwrap_or_default();
        let has_request = is_wrapped && request.starts_with("req_");
        (fault.is_unmistakable() || has_request).then_some(fault)
    }

    /// What has the shape of a fault, whoever wrote it, and whether it is wrapped.
    fn shaped(answer: &Response) -> Option<(Self, bool)> {
        let (fault, is_wrapped) = match answer.json().ok()? {
            Spoken::Wrapped { error } => (error, true),
            Spoken::Bare(error) => (error, false),
        };
        let is_listed = TYPES.iter().any(|(_, kind, _)| *kind == fault.kind);
        (is_listed && fault.words().next().is_some()).then_some((fault, is_wrapped))
    }

    /// Whether it has a code in the platform's form, such as `E01001`, or one of the names of its SMS product.
    fn is_unmistakable(&self) -> bool {
        let has_code = self.code.as_deref().is_some_and(|code| {
            code.len() == 6
                && code.starts_with("E0")
                && code.bytes().skip(2).all(|byte| byte.is_ascii_digit())
        });
        let of_sms = self.named().is_some_and(|(status, ..)| status == VALIDATED);
        has_code || of_sms
    }

    /// Its name, then its code.
    fn words(&self) -> impl Iterator<Item = &str> {
        [self.name.as_deref(), self.code.as_deref()]
            .into_iter()
            .flatten()
    }

    /// What its name or code means, where that is listed, and the status that it comes with.
    fn named(&self) -> Option<(u16, &'static str, Meaning)> {
        self.words().find_map(|word| {
            NAMES.iter().find_map(|(status, keys, meaning)| {
                let key = keys.iter().find(|key| **key == word)?;
                Some((*status, *key, *meaning))
            })
        })
    }

    /// The validation of fields, where it is that.
    fn validation(&self) -> Option<&'static str> {
        VALIDATION
            .into_iter()
            .find(|key| self.words().any(|word| word == *key))
    }

    /// The paths of the fields that it complains of: `to`, or `messages[3].to` in a batch.
    fn params(&self) -> impl Iterator<Item = &str> {
        let details = self.details.as_array().into_iter().flatten();
        [&self.param]
            .into_iter()
            .chain(details.map(|detail| &detail["param"]))
            .filter_map(Value::as_str)
    }
}

/// The entry that a path names, counted from 0, and the rest of the path.
fn entry(param: &str) -> (Option<usize>, &str) {
    let rest = param.strip_prefix("messages").unwrap_or(param);
    let named = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']'),
        None => rest
            .strip_prefix('.')
            .map(|rest| rest.split_once('.').unwrap_or((rest, ""))),
    };
    match named.and_then(|(index, field)| Some((index.parse().ok()?, field))) {
        Some((index, field)) => (Some(index), field.trim_start_matches('.')),
        None => (None, param),
    }
}

/// The fields that are the message's own.
static FIELDS: &[(&str, ErrorKind, &str)] = &[
    (
        "to",
        ErrorKind::InvalidRecipient,
        "the recipient is not valid",
    ),
    ("from", ErrorKind::InvalidSender, "the sender is not valid"),
    ("text", ErrorKind::InvalidText, "the text is not valid"),
];

/// Whether a name, code or type of the platform proves that nothing was done.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Proof {
    /// It proves nothing.
    None,
    /// Below 500 it was refused.
    Below500,
    /// It says itself that nothing was done, from status 500 up too.
    Always,
}

type Meaning = (ErrorKind, Proof, &'static str);

/// The status of what fails the validation.
const VALIDATED: u16 = 422;

/// Names and codes, which stand above the types, each with the one status that it comes with.
static NAMES: &[(u16, &[&str], Meaning)] = {
    use ErrorKind::{InvalidRecipient, InvalidSender, Misconfigured, Throttled, Unavailable};
    use Proof::{Always, Below500, None};
    const HELD: &str = "the workspace does not hold the sender, or may not use it here";
    const PROFILE: &str = "the messaging profile is not there, or not for this sender";
    &[
        (
            VALIDATED,
            &["SMSInvalidRecipient"],
            (InvalidRecipient, Below500, "the number cannot be reached"),
        ),
        (
            VALIDATED,
            &[
                "SMSNoEligibleSender",
                "SMSSenderNotConfigured",
                "SMSSenderReserved",
                "SenderCategoryNotPermitted",
            ],
            (InvalidSender, Below500, HELD),
        ),
        (
            VALIDATED,
            &["SMSUnsupportedFeature"],
            (
                Misconfigured,
                Below500,
                "a field that the account may not use",
            ),
        ),
        (
            VALIDATED,
            &[
                "SMSMessagingProfileNotFound",
                "SMSMessagingProfileSenderBound",
            ],
            (Misconfigured, Below500, PROFILE),
        ),
        (
            400,
            &["E01002", "InvalidRequest"],
            (Misconfigured, Below500, "the call cannot be read"),
        ),
        (
            409,
            &["E01004", "RequestInProgress"],
            (Throttled, None, "the same message is still under way"),
        ),
        (
            409,
            &["E01005", "IdempotencyKeyReuse"],
            // Proof of an earlier try of this very reference, which may have been taken.
            (
                Misconfigured,
                None,
                "the same reference was used for another message",
            ),
        ),
        (
            503,
            &["E01033", "IdempotencyUnavailable"],
            (
                Unavailable,
                Always,
                "the platform cannot keep keys now, and did nothing",
            ),
        ),
    ]
};

/// The validation of fields, whose kind is that of the field.
const VALIDATION: [&str; 2] = ["E01001", "ValidationError"];

/// Types, each with the one status that it comes with.
static TYPES: &[(u16, &str, Meaning)] = {
    use ErrorKind::{
        InsufficientBalance, InvalidText, Misconfigured, Other, Throttled, Unauthorized,
        Unavailable,
    };
    use Proof::{Always, Below500, None};
    const UNREADABLE: Meaning = (Misconfigured, Below500, "the call cannot be read");
    const KEY: Meaning = (Unauthorized, Below500, "the key was refused");
    const WALLET: Meaning = (InsufficientBalance, Below500, "the wallet cannot pay");
    const SCOPE: Meaning = (Unauthorized, Below500, "the key may not do this");
    const PATH: Meaning = (
        Misconfigured,
        Below500,
        "there is nothing at the configured address",
    );
    // A conflict that is not listed may be with an earlier try of this very message.
    const CONFLICT: Meaning = (Other, None, "the call conflicts with another");
    const ACCOUNT: Meaning = (Misconfigured, Below500, "the account is not ready for this");
    const LENGTH: Meaning = (InvalidText, Below500, TOO_LONG);
    const REGION: Meaning = (Misconfigured, Below500, "the key is of another region");
    const FIELD: Meaning = (Other, Below500, "the platform refused it");
    const RATE: Meaning = (Throttled, Below500, "too many calls");
    const GIVEN_UP: Meaning = (Other, None, "the platform gave the call up");
    const FAILED: Meaning = (Unavailable, None, "the platform failed");
    const UNKNOWN: Meaning = (Misconfigured, Always, "the platform cannot do this");
    &[
        (400, "bad_request_error", UNREADABLE),
        (401, "auth_error", KEY),
        (402, "billing_error", WALLET),
        (403, "permission_error", SCOPE),
        (404, "not_found_error", PATH),
        (409, "conflict_error", CONFLICT),
        (412, "precondition_error", ACCOUNT),
        (413, "payload_too_large_error", LENGTH),
        (421, "misdirected_error", REGION),
        (422, "validation_error", FIELD),
        (428, "precondition_error", ACCOUNT),
        (429, "rate_limit_error", RATE),
        (499, "client_closed_request_error", GIVEN_UP),
        (500, "internal_error", FAILED),
        (501, "not_implemented_error", UNKNOWN),
        (503, "service_unavailable_error", FAILED),
    ]
};

const TOO_LONG: &str = "the call is too long";

/// A call that was no success.
struct Refused {
    error: SendError,
    /// The entries of a batch that it was provenly refused for, by place.
    named: HashMap<usize, SendError>,
    /// Whether one entry can be the reason: the platform validates all of them before any is taken.
    for_an_entry: bool,
}

fn refused(answer: &Response, messages: &[Message]) -> Refused {
    let Some(fault) = Fault::of(answer) else {
        // By its status alone: nobody read it.
        let too_long =
            (answer.status() == 413).then(|| Refusal::new(ErrorKind::InvalidText, TOO_LONG));
        return Refused {
            for_an_entry: too_long.is_some(),
            error: answer.refused(too_long),
            named: HashMap::new(),
        };
    };
    let fields: Vec<_> = fault.params().map(entry).collect();
    let of = |index: Option<usize>| {
        let own = fields.iter().filter(|(named, _)| *named == index);
        let own: Vec<_> = own.map(|(_, field)| *field).collect();
        explain(answer, &fault, &own)
    };
    let error = of(None);
    let proven = error.acceptance() == Acceptance::NotAccepted;
    // A second call needs more than the shape: a wrong guess is a second text.
    let listed = proven
        && fault.is_unmistakable()
        && (fault.named().is_some() || fault.validation().is_some());
    let entries = fields.iter().filter_map(|(index, _)| *index);
    Refused {
        for_an_entry: match answer.status() {
            413 => proven,
            VALIDATED => listed,
            _ => false,
        },
        named: entries
            .filter(|index| listed && *index < messages.len() && messages.len() > 1)
            .map(|index| (index, of(Some(index))))
            .collect(),
        error,
    }
}

/// What the fault proves, where it complains of these fields of a message: nothing, unless its type and its
/// name or code come with their own status.
fn explain(answer: &Response, fault: &Fault, fields: &[&str]) -> SendError {
    let mut types = TYPES.iter().filter(|(_, kind, _)| *kind == fault.kind);
    let at_its_status = types
        .clone()
        .find(|(status, ..)| *status == answer.status());
    let by_type = at_its_status.or_else(|| types.next()).copied();
    let by_field = || Some((VALIDATED, fault.validation()?, by_field(fields)));
    let Some((status, key, (kind, proof, meaning))) = fault.named().or_else(by_field).or(by_type)
    else {
        return answer.refused(None);
    };
    // With another status it contradicts itself.
    let proof = match at_its_status.is_some() && status == answer.status() {
        true => proof,
        false => Proof::None,
    };
    let refusal = Refusal::new(kind, meaning).with_code(key);
    match proof {
        Proof::Always => answer.refused(Some(refusal.with_proof(postduif_http::Proof::Always))),
        Proof::Below500 => answer.refused(Some(refusal)),
        Proof::None => {
            let by_status = answer.refused(None);
            match by_status.acceptance() {
                Acceptance::NotAccepted => by_status,
                Acceptance::Unknown => answer.refused(Some(refusal)).in_doubt(),
            }
        }
    }
}

/// What a validation means that complains of these fields.
fn by_field(fields: &[&str]) -> Meaning {
    let field = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let own = fields
        .iter()
        .find_map(|path| FIELDS.iter().find(|(name, ..)| *name == field(path)));
    own.map_or(
        (
            ErrorKind::Misconfigured,
            Proof::Below500,
            "a field of the call is not valid",
        ),
        |(_, kind, words)| (*kind, Proof::Below500, *words),
    )
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "data")]
    _data: Vec<IgnoredAny>,
}

#[async_trait]
impl SmsProvider for Platform {
    fn profile(&self) -> &Profile {
        &self.vendor.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.alone(message)
            .await
            .map_err(|error| self.vendor.named(error))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::in_chunks(messages, BATCH_SIZE, IN_FLIGHT, async |piece| {
            self.piece(piece).await
        })
        .await
    }

    /// Lists one message, which tries the key. One that may only send is refused that, and tells nothing.
    async fn check(&self) -> Result<Health, SendError> {
        let health = self.probe().await;
        Health::of(health.map_err(|error| self.vendor.named(error)))
    }
}

/// The platform's delivery reports: signed over id, time and body, by
/// [Standard Webhooks](https://www.standardwebhooks.com).
///
/// The signature does not cover the URL. `webhook-id` is the vendor's key against repeats; a report that is
/// repeated says the same again. Events of other kinds, and what is received, give no report. A request holds
/// one event; of the signatures in its header the first 16 are tried.
pub struct PlatformReports {
    keys: Vec<hmac::Key>,
}

impl PlatformReports {
    /// Believes what any of these secrets, `whsec_…`, signed: an endpoint has up to five, and after a
    /// rotation the older one signs along for a day.
    ///
    /// # Errors
    ///
    /// Where there is none, or one is not `whsec_` and base64.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        const NO_SECRET: &str =
            "the platform signs its reports: give the endpoint's secret, whsec_ and base64";
        let key = |secret: SecretString| {
            let text = secret.expose_secret().strip_prefix("whsec_")?;
            let key = Zeroizing::new(
                BASE64_STANDARD_NO_PAD
                    .decode(text.trim_end_matches('='))
                    .ok()?,
            );
            (!key.is_empty()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &key))
        };
        let keys: Option<Vec<_>> = secrets.into_iter().map(key).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Self { keys }),
            _ => Err(ConfigError::new(NO_SECRET)),
        }
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        let header = |name: &str| {
            let value = request.header(name)?.filter(|value| !value.is_empty());
            value.ok_or(ReportError::unsigned("the report has no whole signature"))
        };
        let (id, timestamp, signatures) = (
            header("webhook-id")?,
            header("webhook-timestamp")?,
            header("webhook-signature")?,
        );
        let signed = [
            id.as_bytes(),
            b".",
            timestamp.as_bytes(),
            b".",
            request.body(),
        ]
        .concat();
        let tags = signatures
            .split_ascii_whitespace()
            .filter_map(|entry| BASE64_STANDARD.decode(entry.strip_prefix("v1,")?).ok());
        // All are tried, so that the time tells nothing of which one it was.
        let signed = tags.take(MOST_SIGNATURES).fold(false, |found, tag| {
            self.keys.iter().fold(found, |found, key| {
                hmac::verify(key, &signed, &tag).is_ok() | found
            })
        });
        if !signed {
            return Err(ReportError::forged(
                "the report is not signed with our secret",
            ));
        }
        let at: i64 = timestamp
            .parse()
            .map_err(|_| ReportError::malformed("the timestamp is no number"))?;
        check_window(at, now, REPORT_WINDOW)
    }
}

/// By how much a report may be late or early, as Standard Webhooks and the vendor's SDKs have it.
const REPORT_WINDOW: Duration = Duration::from_secs(300);
/// The most signatures of one report that are tried; an endpoint has at most five secrets.
const MOST_SIGNATURES: usize = 16;

impl std::fmt::Debug for PlatformReports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlatformReports").finish_non_exhaustive()
    }
}

impl ReportParser for PlatformReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request, now)?;
        let event: Event = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not an event"))?;
        let foreign = !event.kind.starts_with("sms.") || event.kind == "sms.received";
        // Without a message it is the stub of a test, which tells a type and nothing else.
        if foreign || event.data.is_null() {
            return Ok(Vec::new());
        }
        if !event.data.is_object() {
            return Err(ReportError::malformed("the event is about no message"));
        }
        Ok(vec![event.report()])
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    data: Value,
}

impl Event {
    fn report(&self) -> DeliveryReport {
        let data = &self.data;
        let mut report = DeliveryReport::new(PROFILE.owned_name(), status(EVENTS, &self.kind));
        report.id = data["sms_id"]
            .as_str()
            .filter(|id| id.starts_with("sms_"))
            .and_then(report_id);
        report.recipient = data["to"]
            .as_str()
            .and_then(|number| PhoneNumber::from_msisdn(number).ok());
        report.code = code(&data["error"]);
        report.at = self
            .timestamp
            .as_str()
            .and_then(|time| DateTime::parse_from_rfc3339(time).ok())
            .map(|time| time.to_utc());
        report.price = price(&data["cost"]["amount"], &data["cost"]["currency_code"]);
        match data["metadata"]["reference"].as_str() {
            Some(reference) => report.with_reference_text(reference),
            None => report,
        }
    }
}

/// The platform's reason where it is listed; the network's number where that says more.
fn code(error: &Value) -> Option<String> {
    let network = text(&error["carrier_error_code"]).and_then(|code| report_code(&code));
    let listed = REASONS.iter().find(|known| error["code"] == **known);
    match (listed, network) {
        // Live records show the number of an unregistered sender under the reason of a refused text.
        (Some(&"content_rejected"), Some(network)) if network == "104" => Some(network),
        (Some(reason), _) => Some((*reason).to_owned()),
        (None, network) => network,
    }
}

/// How far a text has come, by the type of the event. What is undelivered failed for a reason that may pass,
/// and is final all the same.
static EVENTS: &[(&str, DeliveryStatus)] = &[
    ("sms.accepted", DeliveryStatus::Sent),
    ("sms.sent", DeliveryStatus::Sent),
    ("sms.delivered", DeliveryStatus::Delivered),
    ("sms.undelivered", DeliveryStatus::Failed),
    ("sms.failed", DeliveryStatus::Failed),
    ("sms.rejected", DeliveryStatus::Rejected),
    ("sms.expired", DeliveryStatus::Expired),
];

/// The platform's reasons, but `unknown`.
static REASONS: &[&str] = &[
    "blocked_by_carrier",
    "blocked_by_fraud_protection",
    "blocked_by_recipient",
    "content_rejected",
    "insufficient_balance",
    "invalid_destination",
    "landline_unreachable",
    "provider_unavailable",
    "recipient_opted_out",
    "sender_unregistered",
    "unreachable",
];
