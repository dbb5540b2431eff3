use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use postduif_core::{
    ConfigError, Reference,
    directory::{Callout, FailureReason, FlowId, TapId, UserId, Verdict},
};
use postduif_onboarding::{Ending, Entries, Entry, GraphCause, Record, SendCause};
use serde::{Deserialize, Serialize};

use super::event::verdict_name;

/// A line of the audit: an effect of a flow, or a decision of the flow or of an operator.
///
/// It contains ids, times and words of this library: no pass, no phone number, no name and no text. Members without a
/// value are left out. Later versions may add members and actions.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditLine {
    /// The id of the line.
    pub id: String,
    /// When it happened, by the clock of the process.
    pub at: DateTime<Utc>,
    /// What happened.
    pub action: AuditAction,
    /// The flow. `None` for what an operator did to a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowId>,
    /// The object id of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Graph's id of the pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<TapId>,
    /// When the pass expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<DateTime<Utc>>,
    /// The reference of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The provider of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The vendor's id of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<String>,
    /// The kind of an error of the vendor or of Graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The code of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Graph's id of the request, where Graph returned an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// `completed` or `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why the flow failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailureReason>,
    /// Whether Entra heard the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<bool>,
    /// The flow that a retry repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<FlowId>,
    /// The operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Declares the actions with their names.
macro_rules! actions {
    ($($(#[$meta:meta])* $action:ident = $name:literal,)*) => {
        /// What a line of the audit says.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
        #[non_exhaustive]
        pub enum AuditAction {
            $($(#[$meta])* #[serde(rename = $name)] $action,)*
            /// An action of a newer version.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl AuditAction {
            /// Returns the name in snake_case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$action => $name,)*
                    Self::Unknown => "unknown",
                }
            }
        }
    };
}

actions! {
    /// A call-out was received, or an operator's retry was taken.
    CalloutReceived = "callout_received",
    /// An operator exported what is stored of a user.
    Exported = "exported",
    /// An operator had a user forgotten.
    Forgotten = "forgotten",
    /// A pass expired that could not be revoked.
    PassExpired = "pass_expired",
    /// Graph may have issued a pass.
    PassInDoubt = "pass_in_doubt",
    /// Graph issued a pass.
    PassIssued = "pass_issued",
    /// A pass of an earlier flow stayed in place.
    PassKept = "pass_kept",
    /// Graph issued no pass.
    PassNotIssued = "pass_not_issued",
    /// A pass was to be revoked, and nobody knows whether it was.
    PassRevocationInDoubt = "pass_revocation_in_doubt",
    /// A pass was revoked, or was gone already.
    PassRevoked = "pass_revoked",
    /// No list could show in time whether a pass in doubt exists.
    PassUnseen = "pass_unseen",
    /// An operator had a failed flow retried.
    Retried = "retried",
    /// The flow was ordered to stop.
    StopOrdered = "stop_ordered",
    /// The vendor accepted the text.
    TextAccepted = "text_accepted",
    /// The vendor may have the text.
    TextInDoubt = "text_in_doubt",
    /// The vendor does not have the text.
    TextNotAccepted = "text_not_accepted",
    /// The flow has its verdict, and Entra was told, if it waits for one.
    Verdict = "verdict",
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The name of an operator, as the audit keeps it: 1 to 100 characters, none of them a control character.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operator(String);

impl Operator {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Operator {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let name = name.trim();
        let length = name.chars().count();
        if (1..=100).contains(&length) && !name.chars().any(char::is_control) {
            Ok(Self(name.to_owned()))
        } else {
            Err(ConfigError::new(
                "expected the name of an operator, of 1 to 100 characters",
            ))
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AuditLine {
    pub(crate) const fn new(id: String, at: DateTime<Utc>, action: AuditAction) -> Self {
        Self {
            id,
            at,
            action,
            flow: None,
            user: None,
            pass: None,
            valid_until: None,
            reference: None,
            provider: None,
            vendor_id: None,
            error: None,
            code: None,
            request_id: None,
            verdict: None,
            reason: None,
            heard: None,
            retry_of: None,
            by: None,
        }
    }

    /// Creates the line of what an operator did.
    pub(crate) fn by(operator: &Operator, at: DateTime<Utc>, action: AuditAction) -> Self {
        let id = format!("op-{}", Reference::random());
        let mut line = Self::new(id, at, action);
        line.by = Some(operator.0.clone());
        line
    }

    fn with_graph(mut self, cause: &GraphCause) -> Self {
        self.error = Some(cause.kind.as_str().to_owned());
        self.code.clone_from(&cause.code);
        self.request_id.clone_from(&cause.request_id);
        self
    }

    fn with_error(mut self, cause: &SendCause) -> Self {
        self.error = Some(cause.kind.as_str().to_owned());
        self.code.clone_from(&cause.code);
        if cause.provider.is_some() {
            self.provider.clone_from(&cause.provider);
        }
        self
    }
}

/// Returns the lines of a flow that has ended. They are the same whenever they are made.
pub(crate) fn lines(callout: &Callout, entries: &Entries, ending: &Ending) -> Vec<AuditLine> {
    let mut lines = Lines {
        callout,
        lines: Vec::new(),
        intent: None,
    };
    lines.add(callout.received_at(), AuditAction::CalloutReceived);
    if let Some(at) = entries.stop {
        lines.add(at, AuditAction::StopOrdered);
    }
    for record in &entries.records {
        lines.record(record);
    }
    lines.settle();
    // A flow that was emptied by hand, or came from elsewhere, has at least its verdict.
    let is_told = |line: &AuditLine| line.action == AuditAction::Verdict;
    if !lines.lines.iter().any(is_told) {
        let at = callout.received_at();
        lines.verdict(at, ending.verdict, ending.heard);
    }
    lines.lines
}

struct Lines<'a> {
    callout: &'a Callout,
    lines: Vec<AuditLine>,
    /// An announced effect whose outcome has not been seen yet.
    intent: Option<&'a Record>,
}

impl<'a> Lines<'a> {
    fn add(&mut self, at: DateTime<Utc>, action: AuditAction) -> &mut AuditLine {
        let flow = self.callout.flow();
        let number = self.lines.len();
        let mut line = AuditLine::new(format!("{flow}-{number:04}"), at, action);
        line.flow = Some(flow);
        line.user = self.callout.user();
        self.lines.push(line);
        &mut self.lines[number]
    }

    fn verdict(&mut self, at: DateTime<Utc>, verdict: Verdict, heard: bool) -> &mut AuditLine {
        let line = self.add(at, AuditAction::Verdict);
        line.verdict = Some(verdict_name(verdict).to_owned());
        line.reason = verdict.reason();
        line.heard = Some(heard);
        line
    }

    fn graph(&mut self, at: DateTime<Utc>, action: AuditAction, cause: &GraphCause) {
        let line = self.add(at, action);
        *line = line.clone().with_graph(cause);
    }

    fn text(
        &mut self,
        at: DateTime<Utc>,
        action: AuditAction,
        reference: &Reference,
    ) -> &mut AuditLine {
        let provider = self.intent.and_then(|intent| match &intent.entry {
            Entry::Sending { provider, .. } => Some(provider.clone()),
            _ => None,
        });
        self.intent = None;
        let line = self.add(at, action);
        line.reference = Some(*reference);
        line.provider = provider;
        line
    }

    /// Adds the line of an intent without an outcome: its process died.
    fn settle(&mut self) {
        let Some(intent) = self.intent.take() else {
            return;
        };
        match &intent.entry {
            Entry::Issuing { .. } => {
                self.add(intent.at, AuditAction::PassInDoubt);
            }
            Entry::Sending { reference, .. } => {
                self.intent = Some(intent);
                self.text(intent.at, AuditAction::TextInDoubt, reference);
            }
            Entry::Revoking {
                tap, valid_until, ..
            } => {
                let line = self.add(intent.at, AuditAction::PassRevocationInDoubt);
                line.pass = Some(tap.clone());
                line.valid_until = *valid_until;
            }
            _ => {}
        }
    }

    fn record(&mut self, record: &'a Record) {
        let at = record.at;
        match &record.entry {
            Entry::Issuing { .. } | Entry::Sending { .. } | Entry::Revoking { .. } => {
                let repeats = match (&record.entry, self.intent.map(|intent| &intent.entry)) {
                    // A revocation that is tried again is one line.
                    (Entry::Revoking { tap, .. }, Some(Entry::Revoking { tap: before, .. })) => {
                        tap == before
                    }
                    _ => false,
                };
                if !repeats {
                    self.settle();
                }
                self.intent = Some(record);
            }
            Entry::NotAsked { .. } | Entry::NotSent { .. } => self.intent = None,
            Entry::Issued {
                tap, valid_until, ..
            } => {
                self.intent = None;
                self.pass(at, AuditAction::PassIssued, tap, Some(*valid_until));
            }
            Entry::NotIssued { cause, .. } => {
                self.intent = None;
                self.graph(at, AuditAction::PassNotIssued, cause);
            }
            Entry::IssueInDoubt { cause, .. } => {
                self.intent = None;
                self.graph(at, AuditAction::PassInDoubt, cause);
            }
            Entry::Kept {
                tap, valid_until, ..
            } => {
                self.pass(at, AuditAction::PassKept, tap, Some(*valid_until));
            }
            Entry::Accepted {
                reference,
                provider,
                id,
                ..
            } => {
                let line = self.text(at, AuditAction::TextAccepted, reference);
                line.provider = Some(provider.clone());
                line.vendor_id.clone_from(id);
            }
            Entry::NotAccepted {
                reference, cause, ..
            } => {
                let line = self.text(at, AuditAction::TextNotAccepted, reference);
                *line = line.clone().with_error(cause);
            }
            Entry::InDoubt {
                reference, cause, ..
            } => {
                let line = self.text(at, AuditAction::TextInDoubt, reference);
                *line = line.clone().with_error(cause);
            }
            Entry::Revoked { tap, .. } => {
                self.intent = None;
                self.pass(at, AuditAction::PassRevoked, tap, None);
            }
            Entry::Expired { tap, .. } => {
                self.intent = None;
                self.pass(at, AuditAction::PassExpired, tap, None);
            }
            Entry::Unseen { until, .. } => {
                self.add(at, AuditAction::PassUnseen).valid_until = Some(*until);
            }
            Entry::Resumed {
                verdict,
                heard,
                cause,
                ..
            } => {
                let line = self.verdict(at, *verdict, *heard);
                if let Some(cause) = cause {
                    *line = line.clone().with_graph(cause);
                }
            }
            _ => {}
        }
    }

    fn pass(
        &mut self,
        at: DateTime<Utc>,
        action: AuditAction,
        tap: &TapId,
        valid_until: Option<DateTime<Utc>>,
    ) {
        let line = self.add(at, action);
        line.pass = Some(tap.clone());
        line.valid_until = valid_until;
    }
}

#[cfg(test)]
mod tests {
    use postduif_core::Guid;

    use super::*;

    fn actions(entries: &str) -> Vec<AuditLine> {
        let flow = FlowId::from(Guid::from_u128(7));
        let json = format!(r#"{{"flow":"{flow}","records":[{entries}]}}"#);
        let entries: Entries = serde_json::from_str(&json).unwrap();
        let user = UserId::from(Guid::from_u128(8));
        let callout = Callout::new(flow, user, None, DateTime::UNIX_EPOCH);
        let ending = r#"{"flow":"00000000-0000-0000-0000-000000000007","verdict":{"failed":"not_accepted"}}"#;
        let lines = lines(&callout, &entries, &serde_json::from_str(ending).unwrap());
        assert!(lines.iter().all(|line| line.user == Some(user)));
        lines
    }

    fn record(entry: &str) -> String {
        format!(r#"{{"v":1,"at":"2026-11-23T08:00:00Z","entry":{entry}}}"#)
    }

    #[test]
    fn an_effect_without_an_outcome_is_a_doubt_in_the_audit() {
        use AuditAction::{
            CalloutReceived, PassInDoubt, PassIssued, PassRevocationInDoubt, TextInDoubt, Verdict,
        };

        let entries = [
            r#"{"issuing":{"round":1,"seen":[]}}"#,
            r#"{"issuing":{"round":1,"seen":[]}}"#,
            r#"{"issued":{"round":1,"tap":"c6a1f0d2","valid_until":"2027-01-15T08:00:00Z"}}"#,
            r#"{"sending":{"round":1,"reference":"order42","provider":"kpn"}}"#,
            r#"{"revoking":{"tap":"c6a1f0d2","then":"issue"}}"#,
            r#"{"revoking":{"tap":"c6a1f0d2","then":"issue"}}"#,
        ];
        let lines = actions(&entries.map(record).join(","));
        let found: Vec<_> = lines.iter().map(|line| line.action).collect();
        assert_eq!(
            found,
            [
                CalloutReceived,
                PassInDoubt,
                PassIssued,
                TextInDoubt,
                PassRevocationInDoubt,
                Verdict
            ]
        );
        assert_eq!(lines[3].provider.as_deref(), Some("kpn"));
        assert_eq!(lines[5].reason, Some(FailureReason::NotAccepted));
    }

    #[test]
    fn an_error_is_in_the_audit_with_its_code_and_graphs_request() {
        let entries = [
            concat!(
                r#"{"not_issued":{"round":1,"cause":{"kind":"policy_refused","message":"not yet","#,
                r#""code":"badRequest","request_id":"0f1e2d3c"}}}"#
            ),
            concat!(
                r#"{"not_accepted":{"round":1,"reference":"order42","#,
                r#""cause":{"kind":"insufficient_balance","code":"102","provider":"cm"}}}"#
            ),
            r#"{"resumed":{"verdict":{"failed":"not_accepted"},"heard":true}}"#,
        ];
        let lines = actions(&entries.map(record).join(","));
        let json: Vec<_> = lines
            .iter()
            .map(|line| serde_json::to_string(line).unwrap())
            .collect();
        let flow = "00000000-0000-0000-0000-000000000007";
        let user = "00000000-0000-0000-0000-000000000008";
        assert_eq!(
            json[1..],
            [
                format!(
                    r#"{{"id":"{flow}-0001","at":"2026-11-23T08:00:00Z","action":"pass_not_issued","flow":"{flow}","user":"{user}","error":"policy_refused","code":"badRequest","request_id":"0f1e2d3c"}}"#
                ),
                format!(
                    r#"{{"id":"{flow}-0002","at":"2026-11-23T08:00:00Z","action":"text_not_accepted","flow":"{flow}","user":"{user}","reference":"order42","provider":"cm","error":"insufficient_balance","code":"102"}}"#
                ),
                format!(
                    r#"{{"id":"{flow}-0003","at":"2026-11-23T08:00:00Z","action":"verdict","flow":"{flow}","user":"{user}","verdict":"failed","reason":"not_accepted","heard":true}}"#
                ),
            ]
        );
    }

    #[test]
    fn a_line_of_a_newer_version_is_read() {
        let newer = r#"{"id":"x","at":"2026-11-23T08:00:00Z","action":"teleported","more":1}"#;
        let line: AuditLine = serde_json::from_str(newer).unwrap();
        assert_eq!(line.action, AuditAction::Unknown);
    }

    #[test]
    fn an_operator_has_a_name_of_one_line() {
        for bad in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(bad.parse::<Operator>().is_err(), "{bad:?}");
        }
        assert_eq!(
            " J. Jansen ".parse::<Operator>().unwrap().as_str(),
            "J. Jansen"
        );
    }
}
