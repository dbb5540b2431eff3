//! The address and the body of the request that resumes a call-out.

use postduif_core::directory::{Callback, FailureReason, Verdict};
use serde_json::{Value, json};

/// The source of the request, as an administrator reads it.
const SOURCE: &str = "postduif";

/// Returns the path and the body of the request. `None` if the kind of callback is unknown.
pub(crate) fn request(callback: &Callback, verdict: Verdict) -> Option<(String, Value)> {
    Some(match callback {
        Callback::Lifecycle {
            workflow,
            task,
            result,
            ..
        } => (
            format!(
                "/v1.0/identityGovernance/lifecycleWorkflows/workflows/{workflow}/tasks/{task}\
                     /taskProcessingResults/{result}/resume"
            ),
            lifecycle(verdict),
        ),
        Callback::Assignment {
            request,
            stage_instance,
            stage,
            ..
        } => (
            format!(
                "/v1.0/identityGovernance/entitlementManagement/assignmentRequests/{request}/resume"
            ),
            json!({
                "source": SOURCE,
                "type": format!("microsoft.graph.accessPackageCustomExtensionStage.{stage}"),
                "data": {
                    // Required here, unlike for a lifecycle workflow: the type of `data` is abstract.
                    "@odata.type": "microsoft.graph.accessPackageAssignmentRequestCallbackData",
                    "stage": stage,
                    "customExtensionStageInstanceId": stage_instance,
                    // No `state`: a failed text is no reason to remove the access.
                    "customExtensionStageInstanceDetail": detail(verdict),
                },
            }),
        ),
        _ => return None,
    })
}

/// Returns the body for a lifecycle workflow. Entra ignores the case of the status.
fn lifecycle(verdict: Verdict) -> Value {
    let status = match verdict {
        Verdict::Completed => "Completed",
        Verdict::Failed(_) => "Failed",
    };
    json!({
        "source": SOURCE,
        "type": "lifecycleEvent",
        "data": {"operationStatus": status},
    })
}

/// Returns what approvers read in the history of the request, without anything about the person or the vendor.
const fn detail(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Completed => "The text with the Temporary Access Pass was accepted for delivery.",
        Verdict::Failed(reason) => match reason {
            FailureReason::DeadlinePassed => "No text was sent: the deadline had passed.",
            FailureReason::GraphUnavailable => {
                "No text was sent: Microsoft Graph could not be reached."
            }
            FailureReason::GuardRefused => {
                "No text was sent: a rule of this organisation forbids it."
            }
            FailureReason::InDoubt => {
                "It is not known whether the text was sent; its Temporary Access Pass was withdrawn."
            }
            FailureReason::InvalidNumber => "No text was sent: the mobile number cannot be used.",
            FailureReason::NoNumber => "No text was sent: the user has no mobile number.",
            FailureReason::NotAccepted => "No text was sent: the SMS vendor did not accept it.",
            FailureReason::NotDelivered => "The text could not be delivered.",
            FailureReason::PassExists => {
                "No text was sent: the user already has a Temporary Access Pass."
            }
            FailureReason::PassRefused => {
                "No text was sent: Microsoft Graph issued no Temporary Access Pass."
            }
            FailureReason::PermissionMissing => {
                "No text was sent: the service lacks a permission in Microsoft Graph."
            }
            FailureReason::RolesUnreadable => {
                "No text was sent: the user's directory roles could not be read."
            }
            FailureReason::Shutdown => "No text was sent: the service was stopped.",
            FailureReason::TextFailed => "No text was sent: the template of the text failed.",
            FailureReason::UserAdministrator => {
                "No text was sent: the user holds a directory role."
            }
            FailureReason::UserDisabled => "No text was sent: the user's account is disabled.",
            FailureReason::UserGuest => "No text was sent: the user is a guest of another tenant.",
            FailureReason::UserNotFound => "No text was sent: the user was not found.",
            _ => "The text with the Temporary Access Pass was not sent.",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_detail() {
        let mut seen = vec![detail(Verdict::Completed)];
        for &reason in FailureReason::ALL {
            let words = detail(Verdict::Failed(reason));
            assert!(!seen.contains(&words), "{reason}");
            seen.push(words);
        }
    }
}
