use chrono::{DateTime, Utc};
use postduif_core::{
    ErrorKind,
    directory::{Callout, FailureReason, FlowId, UserId, Verdict},
};
use postduif_onboarding::Ending;
use serde::{Deserialize, Serialize};

/// An event about a flow, as it is posted to an operator's system.
///
/// It contains ids, times and words of this library: no pass, no phone number, no name and no text. Every member is
/// there, `null` where nothing is known. Later versions may add members and types.
///
/// ```
/// # mod postduif { pub use postduif_queue as queue; }
/// use postduif::queue::{FlowEvent, FlowEventType};
///
/// // The body of a verified request.
/// let body = r#"{"type":"flow.failed","timestamp":"2026-11-23T08:00:04Z","data":{
///     "flow":"f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32","user":"5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43",
///     "verdict":"failed","reason":"not_accepted","heard":true,"provider":"kpn","id":null,
///     "error":"insufficient_balance","code":"303","passes":1,"doubts":0,"may_be_usable":false,
///     "may_be_usable_until":null,"received_at":"2026-11-23T08:00:00Z","ended_at":"2026-11-23T08:00:04Z"}}"#;
/// let event: FlowEvent = serde_json::from_str(body)?;
/// assert_eq!(event.kind, FlowEventType::Failed);
/// assert_eq!(event.data.code.as_deref(), Some("303"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FlowEvent {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: FlowEventType,
    /// When it was stored.
    pub timestamp: DateTime<Utc>,
    /// The flow.
    pub data: FlowEventData,
}

/// What happened to a flow.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum FlowEventType {
    /// The flow has ended: the vendor has the text with the usable pass.
    #[serde(rename = "flow.completed")]
    Completed,
    /// The flow has failed, for another reason than the two below.
    #[serde(rename = "flow.failed")]
    Failed,
    /// The flow has failed with [`InDoubt`](FailureReason::InDoubt): the text may have been sent.
    #[serde(rename = "flow.in_doubt")]
    InDoubt,
    /// The flow has failed with [`DeadlinePassed`](FailureReason::DeadlinePassed).
    #[serde(rename = "flow.late")]
    Late,
    /// Somebody should look at the user's passes: Entra was told the verdict, and a pass that should not be usable may
    /// be. The flow goes on trying to revoke it, and its last event says what came of it.
    #[serde(rename = "flow.pass_may_be_usable")]
    PassMayBeUsable,
    /// Entra's window had closed when a worker found the flow, such as after an outage: Entra counts it as failed.
    #[serde(rename = "flow.window_closed")]
    WindowClosed,
    /// A type of a newer version.
    #[serde(other)]
    Unknown,
}

/// What an event says of its flow.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FlowEventData {
    /// The flow: the id of Entra's execution, or one of ours for a retry.
    pub flow: FlowId,
    /// The object id of the user. `None` if the call-out names none.
    pub user: Option<UserId>,
    /// `completed` or `failed`. `None` if it is not decided yet.
    pub verdict: Option<String>,
    /// Why the flow failed.
    pub reason: Option<FailureReason>,
    /// Whether Entra heard the verdict.
    pub heard: bool,
    /// The provider of the last text.
    pub provider: Option<String>,
    /// The vendor's id of the last text, if the vendor accepted it.
    pub id: Option<String>,
    /// The kind of error of the last text.
    pub error: Option<ErrorKind>,
    /// The vendor's code of that error, else Graph's last one.
    pub code: Option<String>,
    /// The number of passes that were issued.
    pub passes: u32,
    /// The number of requests for a pass, and of texts, of which nobody knows whether they had an effect.
    pub doubts: u32,
    /// Whether a pass that should not be usable may be.
    pub may_be_usable: bool,
    /// When that pass expires. `None` if there is none, or its expiry is unknown.
    pub may_be_usable_until: Option<DateTime<Utc>>,
    /// When the call-out was received.
    pub received_at: DateTime<Utc>,
    /// When the flow was taken out of the queue. `None` while it is open.
    pub ended_at: Option<DateTime<Utc>>,
}

impl FlowEvent {
    /// Creates the event of a flow that has ended.
    pub(crate) fn ended(callout: &Callout, ending: &Ending, at: DateTime<Utc>) -> Self {
        let kind = match ending.verdict {
            Verdict::Completed => FlowEventType::Completed,
            Verdict::Failed(FailureReason::InDoubt) => FlowEventType::InDoubt,
            Verdict::Failed(FailureReason::DeadlinePassed) => FlowEventType::Late,
            Verdict::Failed(_) => FlowEventType::Failed,
        };
        let mut event = Self::new(kind, callout, Some(ending), at);
        event.data.ended_at = Some(at);
        event
    }

    /// Creates an event of a flow that is open.
    pub(crate) fn new(
        kind: FlowEventType,
        callout: &Callout,
        ending: Option<&Ending>,
        at: DateTime<Utc>,
    ) -> Self {
        let mut data = FlowEventData {
            flow: callout.flow(),
            user: callout.user(),
            verdict: None,
            reason: None,
            heard: false,
            provider: None,
            id: None,
            error: None,
            code: None,
            passes: 0,
            doubts: 0,
            may_be_usable: false,
            may_be_usable_until: None,
            received_at: callout.received_at(),
            ended_at: None,
        };
        if let Some(ending) = ending {
            let until = ending.may_be_usable_until();
            let graph = ending.graph.as_ref().and_then(|cause| cause.code.as_ref());
            data.verdict = Some(verdict_name(ending.verdict).to_owned());
            data.reason = ending.reason();
            data.heard = ending.heard;
            data.provider.clone_from(&ending.provider);
            let id = ending.receipt.as_ref().and_then(|receipt| receipt.id());
            data.id = id.map(str::to_owned);
            data.error = ending.error;
            data.code = ending.code.as_ref().or(graph).cloned();
            data.passes = ending.attempts;
            data.doubts = ending.doubts;
            data.may_be_usable = until.is_some();
            data.may_be_usable_until = until.filter(|until| *until < DateTime::<Utc>::MAX_UTC);
        }
        Self {
            kind,
            timestamp: at,
            data,
        }
    }

    /// Returns the id of the event: the same for the same flow and the same happening.
    pub(crate) fn id(&self) -> String {
        let what = match self.kind {
            FlowEventType::PassMayBeUsable => "pass",
            FlowEventType::WindowClosed => "window",
            _ => "ended",
        };
        let flow = self.data.flow.to_string().replace('-', "");
        format!("evt_{flow}_{what}")
    }
}

pub(crate) const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Completed => "completed",
        Verdict::Failed(_) => "failed",
    }
}
