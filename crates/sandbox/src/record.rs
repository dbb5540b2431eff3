//! Records of what reached the sandbox.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{error::SandboxError, names, report::ReportStatus, segments};

/// A text that a vendor accepted, whatever response reached the caller.
///
/// `Debug` leaves out the text and most of the number, so that a test's log holds neither.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct SentMessage {
    /// The vendor that accepted it, such as `kpn`.
    pub vendor: &'static str,
    /// The recipient in E.164, with a plus, in whatever form the request had it.
    pub to: String,
    /// The sender as the phone shows it.
    pub sender: String,
    /// The text as it goes to the phone: `?` replaces a character outside the vendor's alphabet.
    pub text: String,
    /// The caller's own reference, if the request has one.
    pub reference: Option<String>,
    /// The vendor's id. Where a vendor has an id for each request, as KPN has, its texts share it.
    pub id: String,
    /// When the vendor accepted it.
    pub at: DateTime<Utc>,
    /// The number of segments, by the sandbox's own count.
    pub parts: u32,
    /// The validity in seconds, if the request sets one.
    pub validity_s: Option<u64>,
    /// When the vendor is to send it, if the request sets a time.
    pub send_at: Option<DateTime<Utc>>,
    /// What the vendor's reports and look-ups need besides.
    #[serde(skip)]
    pub(crate) extra: Extra,
}

/// What a vendor keeps of a text only for its reports and its look-ups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// The vendor's API that accepted it, where there are several.
    pub(crate) api: &'static str,
    /// The ids of its other segments, where each has its own.
    pub(crate) more_ids: Vec<String>,
    /// What the vendor repeats in every report.
    pub(crate) metadata: Value,
    /// The URL that the request names for reports.
    pub(crate) report_url: Option<String>,
    /// The id of the request, where its texts have others.
    pub(crate) request_id: String,
    /// Members of the request that only a look-up repeats.
    pub(crate) shown: Value,
    /// The last status that was reported.
    pub(crate) reported: Option<ReportStatus>,
}

impl SentMessage {
    /// Creates a record of a text without options.
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

    /// Returns the recipient without its plus.
    pub(crate) fn to_digits(&self) -> &str {
        self.to.trim_start_matches('+')
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

/// A Temporary Access Pass, with the secret that Graph returns only once.
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
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Whether the user could sign in with it now.
    pub usable: bool,
    /// When it was deleted, or replaced by a new one.
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

/// A request to resume a pending execution in Entra, accepted or refused.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Resume {
    /// The process to resume.
    pub kind: ResumeKind,
    /// The task processing result's id, or the stage instance's.
    pub execution: String,
    /// `Completed` or `Failed`; `None` for an access package.
    pub status: Option<String>,
    /// The detail that an access package's approvers see.
    pub detail: Option<String>,
    /// The status of Graph's response, whether or not it reached the caller: 204 if it was accepted.
    pub answered: u16,
    /// When Graph received it.
    pub at: DateTime<Utc>,
}

/// The process that a [`Resume`] resumes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum ResumeKind {
    /// An access package's assignment request.
    Assignment,
    /// A task of a lifecycle workflow.
    Lifecycle,
}

/// A request as an observer on the wire could count it: without query, headers and body.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SeenRequest {
    /// The method, such as `POST`.
    pub method: String,
    /// The host and port that the request names.
    pub host: String,
    /// The path, without the query, which holds secrets with some vendors.
    pub path: String,
    /// The status of the response; `None` until there is one, and for good where a fault withholds it.
    pub status: Option<u16>,
    /// When the sandbox read its head.
    pub at: DateTime<Utc>,
}

/// The producer of a call-out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CalloutKind {
    /// Entitlement management: a stage of an access package.
    AccessPackage,
    /// Lifecycle workflows: a task.
    Lifecycle,
}

/// The version of the token of a call-out, which the receiver's application chooses in its manifest
/// (`requestedAccessTokenVersion`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenVersion {
    /// The issuer is `https://sts.windows.net/{tenant}/`, and the caller is `appid`.
    V1,
    /// The issuer is `https://login.microsoftonline.com/{tenant}/v2.0`, and the caller is `azp`.
    #[default]
    V2,
}

impl TokenVersion {
    /// All versions.
    pub const ALL: &[Self] = &[Self::V1, Self::V2];

    /// Returns the name in JSON, such as `v1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl FromStr for TokenVersion {
    type Err = SandboxError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        names::find("token", name, Self::ALL, Self::name)
    }
}

/// What is wrong with a call-out that its receiver must refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Hostile {
    /// The token has the algorithm `none` and no signature.
    AlgNone,
    /// The token has another audience.
    Audience,
    /// The token is valid, but the body's callback path is another path of Graph.
    Body,
    /// The token is that of another application.
    Caller,
    /// The token has expired.
    Expired,
    /// The token is signed by HMAC, with the public key as the secret.
    Hs256,
    /// The token is not valid yet.
    NotYet,
    /// The token is signed by another key under the id of the tenant's key.
    OtherKey,
    /// The token is that of another tenant.
    OtherTenant,
}

impl Hostile {
    /// All kinds.
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

    /// Returns the name in JSON, such as `alg_none`.
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
        names::find("hostile", name, Self::ALL, Self::name)
    }
}

/// A call-out as Entra sends it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Callout {
    /// The id to resume: the task processing result's or the stage instance's.
    pub execution: String,
    /// The status of the target's response; `None` where nothing was sent or no response came.
    pub status: Option<u16>,
    /// The request's body.
    pub body: Value,
}

/// Cuts text from outside to what a record keeps, so that a hundred thousand records fit in memory.
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
