use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{FlowId, Guid, UserId, words::words};

/// What Entra asks of us: onboard this user, and say how it went.
///
/// It is stored and read back as it is, so it holds GUIDs and times only: no name, no number.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Callout {
    flow: FlowId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    callback: Callback,
    #[serde(default)]
    created_at: Option<DateTime<Utc>>,
    #[serde(default)]
    window_s: Option<u64>,
    received_at: DateTime<Utc>,
}

impl Callout {
    /// A call-out about `user`. `received_at` is given by whoever takes the call and is kept with it.
    #[must_use]
    pub const fn new(
        flow: FlowId,
        user: UserId,
        callback: Callback,
        received_at: DateTime<Utc>,
    ) -> Self {
        Self::of(flow, Some(user), callback, received_at)
    }

    /// A call-out that is not about a user of the directory. It is answered with "failed", and nothing else
    /// is done.
    #[must_use]
    pub const fn without_user(
        flow: FlowId,
        callback: Callback,
        received_at: DateTime<Utc>,
    ) -> Self {
        Self::of(flow, None, callback, received_at)
    }

    const fn of(
        flow: FlowId,
        user: Option<UserId>,
        callback: Callback,
        received_at: DateTime<Utc>,
    ) -> Self {
        Self {
            flow,
            user,
            callback,
            created_at: None,
            window_s: None,
            received_at,
        }
    }

    /// When Entra made the call-out: lifecycle workflows say so.
    #[must_use]
    pub const fn with_created_at(mut self, created_at: DateTime<Utc>) -> Self {
        self.created_at = Some(created_at);
        self
    }

    /// How long Entra waits, where the call-out itself says so: access packages do. Whole seconds.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window_s = Some(window.as_secs());
        self
    }

    /// The execution that the call-out belongs to; the same in a repeated call.
    #[must_use]
    pub const fn flow(&self) -> FlowId {
        self.flow
    }

    /// Whom it is about. `None` where it is not about a user of the directory: nobody can be onboarded.
    #[must_use]
    pub const fn user(&self) -> Option<UserId> {
        self.user
    }

    /// How to tell Entra the outcome.
    #[must_use]
    pub const fn callback(&self) -> &Callback {
        &self.callback
    }

    /// When we took the call.
    #[must_use]
    pub const fn received_at(&self) -> DateTime<Utc> {
        self.received_at
    }

    /// When Entra's window starts: at the call-out's creation, or when we took it where it has no time.
    ///
    /// Of the two the earlier: a creation time that lies ahead of our clock must not lengthen the window.
    #[must_use]
    pub fn window_start(&self) -> DateTime<Utc> {
        self.created_at.map_or(self.received_at, |created_at| {
            created_at.min(self.received_at)
        })
    }

    /// How long the window is, where the call-out says so.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        self.window_s.map(Duration::from_secs)
    }
}

/// Where the outcome of a call-out goes: ids only, from which the address is built.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Callback {
    /// A task of a lifecycle workflow that waits.
    Lifecycle {
        /// `data.workflow.id`
        workflow: Guid,
        /// `data.task.id`
        task: Guid,
        /// `data.taskProcessingResult.id`
        result: Guid,
    },
    /// A stage of an access package's assignment request that waits.
    Assignment {
        /// `AccessPackageAssignmentRequestId`
        request: Guid,
        /// `CustomExtensionStageInstanceId`
        stage_instance: Guid,
        /// `Stage`
        stage: Stage,
    },
    /// Launch and continue: nobody waits, nothing is resumed.
    None,
}

words! {
    /// The stages of an access package at which a custom extension can be called.
    #[non_exhaustive]
    pub enum Stage("a stage of an access package") {
        /// The request was made.
        RequestCreated = "assignmentRequestCreated",
        /// The request was approved.
        RequestApproved = "assignmentRequestApproved",
        /// The assignment was granted: the natural stage for a welcome.
        RequestGranted = "assignmentRequestGranted",
        /// The assignment was removed.
        RequestRemoved = "assignmentRequestRemoved",
        /// Fourteen days are left. Nobody waits at this stage.
        FourteenDaysBeforeExpiration = "assignmentFourteenDaysBeforeExpiration",
        /// One day is left. Nobody waits at this stage.
        OneDayBeforeExpiration = "assignmentOneDayBeforeExpiration",
    }
}

words! {
    /// What happens to an assignment of an access package when a custom extension is called.
    #[non_exhaustive]
    pub enum RequestType("a type of assignment request") {
        /// An administrator assigned it.
        AdminAdd = "adminAdd",
        /// An administrator took it away.
        AdminRemove = "adminRemove",
        /// An administrator changed or extended it.
        AdminUpdate = "adminUpdate",
        /// An approver took it away.
        ApproverRemove = "approverRemove",
        /// Entra does not say.
        NotSpecified = "notSpecified",
        /// Somebody asked for it on behalf of the user.
        OnBehalfAdd = "onBehalfAdd",
        /// A rule of Entra's assigned it.
        SystemAdd = "systemAdd",
        /// A rule of Entra's took it away.
        SystemRemove = "systemRemove",
        /// A rule of Entra's changed it.
        SystemUpdate = "systemUpdate",
        /// The user asked for it.
        UserAdd = "userAdd",
        /// The user gave it up.
        UserRemove = "userRemove",
        /// The user changed or extended it.
        UserUpdate = "userUpdate",
    }
}

/// How a flow ended, as Entra is told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "Entra knows these two")]
pub enum Verdict {
    /// The vendor has the text that carries the usable pass.
    Completed,
    /// It did not come to that.
    Failed(Reason),
}

impl Verdict {
    /// Why it failed; none where it did not.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Completed => None,
            Self::Failed(reason) => Some(reason),
        }
    }
}

words! {
    /// Why a flow ended without its text accepted.
    #[non_exhaustive]
    pub enum Reason("a reason") {
        /// The window closed first.
        DeadlinePassed = "deadline_passed",
        /// Graph could not be reached, or answered with a fault of its own.
        GraphUnavailable = "graph_unavailable",
        /// A guard of the integrator's own said no.
        GuardRefused = "guard_refused",
        /// The text may or may not have gone out, and the flow was told not to issue anew.
        InDoubt = "in_doubt",
        /// The directory's number is not a phone number.
        InvalidNumber = "invalid_number",
        /// The directory has no mobile number.
        NoNumber = "no_number",
        /// The vendor did not take the text.
        NotAccepted = "not_accepted",
        /// The vendor took the text and could not deliver it.
        NotDelivered = "not_delivered",
        /// The user holds a pass that is not ours to replace.
        PassExists = "pass_exists",
        /// Graph would not issue a pass.
        PassRefused = "pass_refused",
        /// Our identity lacks a permission in Graph.
        PermissionMissing = "permission_missing",
        /// The user's directory roles could not be read.
        RolesUnreadable = "roles_unreadable",
        /// The process was asked to stop.
        Shutdown = "shutdown",
        /// No text could be made of the template.
        TextFailed = "text_failed",
        /// The user holds a directory role.
        UserAdministrator = "user_administrator",
        /// The account is disabled.
        UserDisabled = "user_disabled",
        /// The account belongs to another tenant.
        UserGuest = "user_guest",
        /// The directory does not know the user.
        UserNotFound = "user_not_found",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn callout() -> Callout {
        Callout::new(
            Guid::random().into(),
            Guid::random().into(),
            Callback::None,
            at(1_000),
        )
    }

    #[test]
    fn a_callout_is_read_back_as_it_was_stored_with_a_user_or_without() {
        let nobody = Callout::without_user(Guid::random().into(), Callback::None, at(5));
        for callout in [callout().with_window(Duration::from_secs(300)), nobody] {
            let stored = serde_json::to_string(&callout).unwrap();
            assert_eq!(serde_json::from_str::<Callout>(&stored).unwrap(), callout);
        }
    }

    #[test]
    fn the_window_starts_at_creation_and_never_in_the_future() {
        assert_eq!(callout().window_start(), at(1_000));
        assert_eq!(callout().with_created_at(at(900)).window_start(), at(900));
        assert_eq!(
            callout().with_created_at(at(9_000)).window_start(),
            at(1_000)
        );
    }
}
