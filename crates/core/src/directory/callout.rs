use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{FlowId, UserId};
use crate::{Guid, string_enum::string_enum};

/// A call from Entra that asks for one user to be onboarded.
///
/// It holds ids and times only, no name and no number, so that a journal can store it as it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Callout {
    flow: FlowId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(with = "stored_callback")]
    callback: Option<Callback>,
    #[serde(default)]
    created_at: Option<DateTime<Utc>>,
    #[serde(default)]
    window_s: Option<u64>,
    received_at: DateTime<Utc>,
}

impl Callout {
    /// Creates a call-out about `user`, received at `received_at`.
    ///
    /// `callback` is `None` if Entra does not wait for the outcome (launch and continue).
    #[must_use]
    pub fn new(
        flow: FlowId,
        user: UserId,
        callback: impl Into<Option<Callback>>,
        received_at: DateTime<Utc>,
    ) -> Self {
        Self::of(flow, Some(user), callback.into(), received_at)
    }

    /// Creates a call-out that names no user of the directory. The flow ends at once, as failed.
    #[must_use]
    pub fn without_user(
        flow: FlowId,
        callback: impl Into<Option<Callback>>,
        received_at: DateTime<Utc>,
    ) -> Self {
        Self::of(flow, None, callback.into(), received_at)
    }

    const fn of(
        flow: FlowId,
        user: Option<UserId>,
        callback: Option<Callback>,
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

    /// Sets when Entra created the call-out. Only lifecycle workflows state it.
    #[must_use]
    pub const fn with_created_at(mut self, created_at: DateTime<Utc>) -> Self {
        self.created_at = Some(created_at);
        self
    }

    /// Sets how long Entra waits, in whole seconds. Only access packages state it.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window_s = Some(window.as_secs());
        self
    }

    /// Returns the execution that the call-out belongs to. A repeated call-out has the same one.
    #[must_use]
    pub const fn flow(&self) -> FlowId {
        self.flow
    }

    /// Returns the user to onboard, or `None` if the call-out names no user of the directory.
    #[must_use]
    pub const fn user(&self) -> Option<UserId> {
        self.user
    }

    /// Returns where the outcome goes, or `None` if Entra does not wait for it.
    #[must_use]
    pub const fn callback(&self) -> Option<&Callback> {
        self.callback.as_ref()
    }

    /// Returns when the call-out was received.
    #[must_use]
    pub const fn received_at(&self) -> DateTime<Utc> {
        self.received_at
    }

    /// Returns when Entra's window starts: when the call-out was created or when it was received, whichever is
    /// earlier.
    ///
    /// A creation time ahead of the local clock must not lengthen the window.
    #[must_use]
    pub fn window_start(&self) -> DateTime<Utc> {
        self.created_at.map_or(self.received_at, |created_at| {
            created_at.min(self.received_at)
        })
    }

    /// Returns how long Entra waits, or `None` if the call-out does not say.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        self.window_s.map(Duration::from_secs)
    }
}

/// The ids of the waiting task or stage in Entra, from which the URL for the outcome is built.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Callback {
    /// A task of a lifecycle workflow.
    #[non_exhaustive]
    Lifecycle {
        /// `data.workflow.id`
        workflow: Guid,
        /// `data.task.id`
        task: Guid,
        /// `data.taskProcessingResult.id`
        result: Guid,
    },
    /// A stage of an access package's assignment request.
    #[non_exhaustive]
    Assignment {
        /// `AccessPackageAssignmentRequestId`
        request: Guid,
        /// `CustomExtensionStageInstanceId`
        stage_instance: Guid,
        /// `Stage`
        stage: AccessPackageStage,
    },
}

impl Callback {
    /// Creates the callback of a lifecycle workflow's task: `data.workflow.id`, `data.task.id` and
    /// `data.taskProcessingResult.id` of the call-out.
    #[must_use]
    pub const fn lifecycle(workflow: Guid, task: Guid, result: Guid) -> Self {
        Self::Lifecycle {
            workflow,
            task,
            result,
        }
    }

    /// Creates the callback of an access package's stage: `AccessPackageAssignmentRequestId`,
    /// `CustomExtensionStageInstanceId` and `Stage` of the call-out.
    #[must_use]
    pub const fn assignment(
        request: Guid,
        stage_instance: Guid,
        stage: AccessPackageStage,
    ) -> Self {
        Self::Assignment {
            request,
            stage_instance,
            stage,
        }
    }
}

/// The stored form of an optional callback: `"none"` for `None`.
///
/// The field is required. Without it, a callback that a store lost would read as one that Entra does not wait for.
mod stored_callback {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Callback;

    #[derive(Deserialize, Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Absent {
        None,
    }

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a callback or \"none\"")]
    enum Stored {
        Present(Callback),
        Absent(Absent),
    }

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(super) fn serialize<S: Serializer>(
        callback: &Option<Callback>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match callback {
            Some(callback) => callback.serialize(serializer),
            None => Absent::None.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Callback>, D::Error> {
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Present(callback) => Some(callback),
            Stored::Absent(Absent::None) => None,
        })
    }
}

string_enum! {
    /// The stages of an access package at which a custom extension can be called.
    #[non_exhaustive]
    pub enum AccessPackageStage("a stage of an access package") {
        /// The request was made.
        RequestCreated = "assignmentRequestCreated",
        /// The request was approved.
        RequestApproved = "assignmentRequestApproved",
        /// The assignment was granted: the usual stage for onboarding.
        RequestGranted = "assignmentRequestGranted",
        /// The assignment was removed.
        RequestRemoved = "assignmentRequestRemoved",
        /// The assignment ends in fourteen days. Entra does not wait at this stage.
        FourteenDaysBeforeExpiration = "assignmentFourteenDaysBeforeExpiration",
        /// The assignment ends in one day. Entra does not wait at this stage.
        OneDayBeforeExpiration = "assignmentOneDayBeforeExpiration",
    }
}

string_enum! {
    /// The type of an access package's assignment request.
    #[non_exhaustive]
    pub enum RequestType("a type of assignment request") {
        /// An administrator assigned it.
        AdminAdd = "adminAdd",
        /// An administrator revoked it.
        AdminRemove = "adminRemove",
        /// An administrator changed or extended it.
        AdminUpdate = "adminUpdate",
        /// An approver revoked it.
        ApproverRemove = "approverRemove",
        /// Not stated by Entra.
        NotSpecified = "notSpecified",
        /// Another person requested it for the user.
        OnBehalfAdd = "onBehalfAdd",
        /// A rule in Entra assigned it.
        SystemAdd = "systemAdd",
        /// A rule in Entra revoked it.
        SystemRemove = "systemRemove",
        /// A rule in Entra changed it.
        SystemUpdate = "systemUpdate",
        /// The user requested it.
        UserAdd = "userAdd",
        /// The user gave it up.
        UserRemove = "userRemove",
        /// The user changed or extended it.
        UserUpdate = "userUpdate",
    }
}

/// The outcome of a flow, as reported to Entra.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "Entra has these two outcomes")]
pub enum Verdict {
    /// The vendor accepted the text with the usable pass.
    Completed,
    /// The user was not onboarded.
    Failed(FailureReason),
}

impl Verdict {
    /// Returns why the flow failed, or `None` if it completed.
    #[must_use]
    pub const fn reason(self) -> Option<FailureReason> {
        match self {
            Self::Completed => None,
            Self::Failed(reason) => Some(reason),
        }
    }
}

string_enum! {
    /// Why a flow failed.
    #[non_exhaustive]
    pub enum FailureReason("a reason") {
        /// The window closed first.
        DeadlinePassed = "deadline_passed",
        /// Microsoft Graph could not be reached, or failed.
        GraphUnavailable = "graph_unavailable",
        /// A guard of your own refused the user.
        GuardRefused = "guard_refused",
        /// The text may have been sent, and the flow is configured not to issue another pass.
        InDoubt = "in_doubt",
        /// The mobile number in the directory is not a valid phone number.
        InvalidNumber = "invalid_number",
        /// The directory has no mobile number.
        NoNumber = "no_number",
        /// The vendor did not accept the text.
        NotAccepted = "not_accepted",
        /// The vendor accepted the text but could not deliver it.
        NotDelivered = "not_delivered",
        /// The user has a pass that this flow may not replace.
        PassExists = "pass_exists",
        /// Microsoft Graph refused to issue a pass.
        PassRefused = "pass_refused",
        /// The application lacks a permission in Microsoft Graph.
        PermissionMissing = "permission_missing",
        /// The user's directory roles could not be read.
        RolesUnreadable = "roles_unreadable",
        /// The process was shut down.
        Shutdown = "shutdown",
        /// The template could not be rendered to a text.
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
            None,
            at(1_000),
        )
    }

    #[test]
    fn a_callout_is_read_back_as_it_was_stored_with_a_user_or_without() {
        let nobody = Callout::without_user(Guid::random().into(), None, at(5));
        let [workflow, task, result] = std::array::from_fn(|_| Guid::random());
        let waiting = Callback::lifecycle(workflow, task, result);
        let waited_for = Callout::without_user(result.into(), waiting, at(5));
        for callout in [
            callout().with_window(Duration::from_secs(300)),
            nobody,
            waited_for,
        ] {
            let stored = serde_json::to_string(&callout).unwrap();
            assert_eq!(serde_json::from_str::<Callout>(&stored).unwrap(), callout);
        }
    }

    #[test]
    fn the_callback_is_stored_also_if_entra_does_not_wait_and_never_lost_unnoticed() {
        let [flow, user] = std::array::from_fn(|_| Guid::random());
        let mut known = Callout::new(flow.into(), user.into(), None, at(5));
        let stored = |callback: &str| {
            format!(
                r#"{{"flow":"{flow}","user":"{user}",{callback}"created_at":null,"window_s":null,"received_at":"1970-01-01T00:00:05Z"}}"#
            )
        };
        let none = stored(r#""callback":"none","#);
        assert_eq!(serde_json::from_str::<Callout>(&none).unwrap(), known);
        assert_eq!(serde_json::to_string(&known).unwrap(), none);

        let ids = format!(r#"{{"workflow":"{user}","task":"{user}","result":"{flow}"}}"#);
        let waiting = stored(&format!(r#""callback":{{"lifecycle":{ids}}},"#));
        known.callback = Some(Callback::lifecycle(user, user, flow));
        assert_eq!(serde_json::from_str::<Callout>(&waiting).unwrap(), known);
        assert_eq!(serde_json::to_string(&known).unwrap(), waiting);

        for lost in [
            String::new(),
            r#""callback":null,"#.to_owned(),
            r#""callback":{},"#.to_owned(),
            r#""callback":{"none":{}},"#.to_owned(),
            r#""callback":"lifecycle","#.to_owned(),
            format!(r#""call_back":{{"lifecycle":{ids}}},"#),
            format!(r#""callback":{{"life_cycle":{ids}}},"#),
        ] {
            let read = serde_json::from_str::<Callout>(&stored(&lost));
            assert!(read.is_err(), "{lost}: {read:?}");
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
