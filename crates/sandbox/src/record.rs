//! What the sandbox remembers of what reached it.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{error::SandboxError, segments};

/// A text that a vendor accepted: it is on its way to the phone, whatever the caller was told.
///
/// `Debug` leaves out the words and most of the number, so that a log of a test holds neither.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct SentMessage {
    /// Which vendor took it, such as `kpn`.
    pub vendor: &'static str,
    /// The recipient in E.164, with its plus, however the caller wrote it.
    pub to: String,
    /// The sender as the phone shows it.
    pub sender: String,
    /// The text as it goes to the phone: `?` where the vendor's alphabet has no such character.
    pub text: String,
    /// The caller's own reference, where the request held one.
    pub reference: Option<String>,
    /// The vendor's id: of the call where the vendor numbers calls, as KPN does.
    pub id: String,
    /// When the vendor accepted it.
    pub at: DateTime<Utc>,
    /// How many parts it takes, by the sandbox's own count.
    pub parts: u32,
    /// For how many seconds it may be tried, where the request said so.
    pub validity_s: Option<u64>,
    /// When it is to be sent, where the request said so.
    pub send_at: Option<DateTime<Utc>>,
    /// What else the vendor knows, for its reports.
    #[serde(skip)]
    pub(crate) extra: Extra,
}

/// What a vendor remembers of a text beside what it tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// By which of the vendor's interfaces it came, where there are several.
    pub(crate) api: &'static str,
    /// The ids of its other parts, where each part has its own.
    pub(crate) more_ids: Vec<String>,
    /// What the caller wants to find in every report.
    pub(crate) metadata: Value,
    /// Where the request wanted reports.
    pub(crate) report_url: Option<String>,
}

impl SentMessage {
    /// An accepted text about which the request said no more than it must.
    pub(crate) fn new(
        vendor: &'static str,
        to: &str,
        sender: &str,
        text: &str,
        id: &str,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            vendor,
            to: to.to_owned(),
            sender: sender.to_owned(),
            text: text.to_owned(),
            reference: None,
            id: id.to_owned(),
            at,
            parts: segments::count(text),
            validity_s: None,
            send_at: None,
            extra: Extra::default(),
        }
    }
}

impl fmt::Debug for SentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentMessage")
            .field("vendor", &self.vendor)
            .field("to", &masked(&self.to))
            .field("sender", &self.sender)
            .field(
                "text",
                &format_args!("{} characters", self.text.chars().count()),
            )
            .field("reference", &self.reference)
            .field("id", &self.id)
            .field("at", &self.at)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// A Temporary Access Pass, with the secret that Graph itself tells only once.
///
/// `Debug` leaves the secret out.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct Pass {
    /// The user who may sign in with it.
    pub user: String,
    /// The id by which Graph lists and deletes it.
    pub id: String,
    /// What the user types.
    pub secret: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Whether it would be accepted at this moment.
    pub usable: bool,
    /// When it was deleted, or replaced by a newer one.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("user", &self.user)
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .field("usable", &self.usable)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

/// A call that resumed, or tried to resume, what Entra left waiting.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Resume {
    /// Which of Entra's two processes was meant.
    pub kind: ResumeKind,
    /// The task processing result's id, or the stage instance's.
    pub execution: String,
    /// `Completed` or `Failed`; an access package has none.
    pub status: Option<String>,
    /// What an access package's approvers are told.
    pub detail: Option<String>,
    /// The status of Graph's answer, whether or not it reached the caller: 204 where it counted.
    pub answered: u16,
    /// When it was received.
    pub at: DateTime<Utc>,
}

/// The process that a [`Resume`] is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum ResumeKind {
    /// An access package's assignment request.
    Assignment,
    /// A task of a lifecycle workflow.
    Lifecycle,
}

/// A request as a stranger on the wire could have counted it: no query, no headers, no body.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SeenRequest {
    /// Such as `POST`.
    pub method: String,
    /// The host and port that the caller asked for.
    pub host: String,
    /// The path, without the query: some vendors take secrets there.
    pub path: String,
    /// The status of the answer; `None` as long as there is none, and for good where a fault kept it.
    pub status: Option<u16>,
    /// When its head was read.
    pub at: DateTime<Utc>,
}

/// Which of Entra's two producers calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CalloutKind {
    /// A stage of an access package.
    AccessPackage,
    /// A task of a lifecycle workflow.
    Lifecycle,
}

/// What is wrong with a call-out that must be refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Hostile {
    /// The token claims to need no signature.
    AlgNone,
    /// The token is for somebody else.
    Audience,
    /// The token is good, but the body's callback path leads elsewhere in Graph.
    Body,
    /// The token is another application's.
    Caller,
    /// The token's time is over.
    Expired,
    /// The token is signed with the public key as a shared secret.
    Hs256,
    /// The token's time has not come.
    NotYet,
    /// The token is signed by a key that only pretends to be the tenant's.
    OtherKey,
    /// The token is another tenant's.
    OtherTenant,
}

impl Hostile {
    /// Every kind there is.
    pub const ALL: &[Self] = &[
        Self::AlgNone,
        Self::Audience,
        Self::Body,
        Self::Caller,
        Self::Expired,
        Self::Hs256,
        Self::NotYet,
        Self::OtherKey,
        Self::OtherTenant,
    ];

    /// The name it goes by in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlgNone => "alg_none",
            Self::Audience => "audience",
            Self::Body => "body",
            Self::Caller => "caller",
            Self::Expired => "expired",
            Self::Hs256 => "hs256",
            Self::NotYet => "not_yet",
            Self::OtherKey => "other_key",
            Self::OtherTenant => "other_tenant",
        }
    }
}

impl FromStr for Hostile {
    type Err = SandboxError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|hostile| hostile.name() == name)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|hostile| hostile.name()).collect();
                SandboxError::new(format!(
                    "there is no hostile {name:?}; there are {}",
                    known.join(", ")
                ))
            })
    }
}

/// A call-out as Entra would send it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Callout {
    /// The task processing result's id, or the stage instance's: what the resume will be about.
    pub execution: String,
    /// What the target answered; `None` where nothing was called or nothing answered.
    pub status: Option<u16>,
    /// The request's body.
    pub body: Value,
}

/// As much of a stranger's text as a record keeps, so that a hundred thousand of them fit in memory.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(1024).collect()
}

fn masked(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    if digits.len() < 10 {
        return "•••".into();
    }
    let last: String = digits[digits.len() - 3..].iter().collect();
    format!("{}•••{last}", digits[..4].iter().collect::<String>())
}
