//! Entra's call-outs: their bodies, and sending them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    client::Target,
    entra_token,
    error::SandboxError,
    execution::duration,
    graph::seven_digits,
    guid, random,
    record::{Callout, CalloutKind, Hostile, TokenVersion},
    world::{State, World},
};

const WORKFLOW: &str = "3a7c5e10-0000-4000-8000-000000000001";
const TASK: &str = "3a7c5e10-0000-4000-8000-000000000002";

/// The application ids of Entra's two producers, from its documentation.
pub(crate) const LIFECYCLE: &str = "ce79fdc4-cd1d-4ea5-8139-e74d7dbe0bb7";
pub(crate) const ENTITLEMENT: &str = "810dcf14-1858-4bf2-8134-4c369fa3235b";

/// The default of [`CalloutOrder::window`].
const WINDOW: &str = "PT30M";

/// A call-out to send: the user, the producer, and what is special about it.
///
/// ```
/// use postduif_sandbox::{CalloutKind, CalloutOrder, Cast};
///
/// let order = CalloutOrder::new(Cast::ENGLISH, CalloutKind::AccessPackage).window("PT2H");
/// ```
#[derive(Clone, Debug)]
pub struct CalloutOrder {
    user: String,
    kind: CalloutKind,
    window: String,
    repeats: bool,
    token: TokenVersion,
    hostile: Option<Hostile>,
}

impl CalloutOrder {
    /// Creates a call-out about this user, by object id.
    pub fn new(user: impl Into<String>, kind: CalloutKind) -> Self {
        Self {
            user: user.into(),
            kind,
            window: WINDOW.into(),
            repeats: false,
            token: TokenVersion::default(),
            hostile: None,
        }
    }

    /// Sets how long Entra waits for the resume, in ISO 8601. Defaults to `PT30M`.
    ///
    /// The call-out of an access package holds it in its body.
    #[must_use]
    pub fn window(mut self, window: impl Into<String>) -> Self {
        self.window = window.into();
        self
    }

    /// Sends it twice with the same body, as Entra does when the first response is lost.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Sets the version of its token. Defaults to v2.0.
    #[must_use]
    pub fn token(mut self, version: TokenVersion) -> Self {
        self.token = version;
        self
    }

    /// Makes it one that the receiver must refuse.
    #[must_use]
    pub fn hostile(mut self, hostile: Hostile) -> Self {
        self.hostile = Some(hostile);
        self
    }
}

/// Sends a call-out to this target.
pub(crate) async fn deliver(
    world: &World,
    order: &CalloutOrder,
    target: &Target,
) -> Result<Callout, SandboxError> {
    let mut callout = start(&mut world.state(), order, Utc::now())?;
    let body = callout.body.to_string();
    let caller = match order.kind {
        CalloutKind::AccessPackage => ENTITLEMENT,
        CalloutKind::Lifecycle => LIFECYCLE,
    };
    for _ in 0..=u8::from(order.repeats) {
        let token = entra_token::token(caller, order.token, order.hostile, Utc::now());
        let headers = [
            ("Authorization", format!("Bearer {token}")),
            ("Content-Type", "application/json; charset=utf-8".to_owned()),
        ];
        callout.status = target.send("POST", &headers, &body).await;
    }
    Ok(callout)
}

/// Starts a pending execution, and builds the body of its call-out.
pub(crate) fn start(
    state: &mut State,
    order: &CalloutOrder,
    now: DateTime<Utc>,
) -> Result<Callout, SandboxError> {
    if !guid::is(&order.user) {
        return Err(SandboxError::new("invalid \"user\": expected a GUID"));
    }
    let deadline = duration(&order.window)
        .and_then(|window| now.checked_add_signed(window))
        .ok_or_else(|| {
            SandboxError::new(format!(
                "invalid \"window\" {:?}: expected a duration such as {WINDOW}",
                order.window
            ))
        })?;
    let execution = random::guid();
    let user = Subject::find(state, &order.user);
    let mut body = match order.kind {
        CalloutKind::AccessPackage => {
            let request = random::guid();
            state
                .executions
                .start(&execution, &[&request], Some(deadline));
            access_package(&execution, &request, &user, &order.window)
        }
        CalloutKind::Lifecycle => {
            state
                .executions
                .start(&execution, &[WORKFLOW, TASK], Some(deadline));
            lifecycle(&execution, &user, now)
        }
    };
    if order.hostile == Some(Hostile::Body) {
        // An attacker would use the receiver's identity for this.
        let path = json!(format!("/users/{}/revokeSignInSessions", user.id));
        match order.kind {
            CalloutKind::AccessPackage => body["CallbackUriPath"] = path,
            CalloutKind::Lifecycle => body["data"]["callbackUriPath"] = path,
        }
    }
    Ok(Callout {
        execution,
        status: None,
        body,
    })
}

/// The user of a call-out, whom the directory need not know.
struct Subject {
    id: String,
    user: Value,
    manager: Value,
}

impl Subject {
    fn find(state: &State, id: &str) -> Self {
        let user = state.directory.known(id).cloned().unwrap_or_default();
        let manager = user["manager"]["id"]
            .as_str()
            .and_then(|id| state.directory.known(id))
            .map(|manager| {
                json!({
                    "id": manager["id"],
                    "displayName": manager["displayName"],
                    "email": manager["mail"],
                })
            });
        Self {
            id: id.to_ascii_lowercase(),
            user,
            manager: manager.unwrap_or_default(),
        }
    }
}

fn lifecycle(execution: &str, subject: &Subject, now: DateTime<Utc>) -> Value {
    json!({
        "source": "postduif-sandbox",
        "type": "lifecycleEvent",
        "data": {
            "callbackUriPath": format!(
                "/identityGovernance/lifecycleWorkflows/workflows/{WORKFLOW}/tasks/{TASK}/taskProcessingResults/{execution}/resume"
            ),
            "subject": {
                "id": subject.id,
                "displayName": subject.user["displayName"],
                "email": subject.user["mail"],
                "userPrincipalName": subject.user["userPrincipalName"],
                "manager": subject.manager,
            },
            "task": {"id": TASK, "displayName": "Send a Temporary Access Pass by SMS"},
            "taskProcessingResult": {"id": execution, "createdDateTime": seven_digits(now)},
            "workflow": {"id": WORKFLOW, "displayName": "Onboard a new colleague", "workflowVersion": 1},
        },
    })
}

fn access_package(execution: &str, request: &str, subject: &Subject, window: &str) -> Value {
    // Entitlement management has its own id for the subject, beside the directory's.
    let person = json!({
        "Id": "3a7c5e10-0000-4000-8000-000000000003",
        "ObjectId": subject.id,
        "DisplayName": subject.user["displayName"],
        "ConnectedOrganization": null,
    });
    let mut requestor = person.clone();
    if let Some(members) = requestor.as_object_mut() {
        members.remove("ConnectedOrganization");
    }
    json!({
        "AccessPackageAssignmentRequestId": request,
        "CallbackUriPath": format!(
            "/identityGovernance/entitlementManagement/accessPackageAssignmentRequests/{request}/resume"
        ),
        "CustomExtensionStageInstanceId": execution,
        "Stage": "AssignmentRequestGranted",
        "RequestType": "UserAdd",
        "Answers": [],
        "State": "delivered",
        "Status": "Delivered",
        "CallbackConfiguration": {"DurationBeforeTimeout": window},
        "AccessPackage": {
            "Id": "3a7c5e10-0000-4000-8000-000000000004",
            "DisplayName": "Starter",
            "Description": "",
        },
        "AccessPackageCatalog": {
            "Id": "3a7c5e10-0000-4000-8000-000000000005",
            "DisplayName": "General",
            "Description": "",
        },
        "Assignment": {
            "Id": random::guid(),
            "State": "Delivered",
            "Status": "Delivered",
            "Target": person,
            "AssignmentPolicy": {
                "Id": "3a7c5e10-0000-4000-8000-000000000006",
                "DisplayName": "Default",
            },
        },
        "Requestor": requestor,
    })
}
