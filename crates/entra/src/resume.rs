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
        // An earlier round may have sent a text, so no sentence says that none was sent. A revocation may fail, so none
        // says that a pass was revoked.
        Verdict::Failed(reason) => match reason {
            FailureReason::DeadlinePassed => {
                "Not onboarded: the deadline passed first. A text may have been sent."
            }
            FailureReason::GraphUnavailable => {
                "Not onboarded: Microsoft Graph could not be used. A text may have been sent."
            }
            FailureReason::GuardRefused => {
                "Not onboarded: a rule of this organisation did not allow it."
            }
            FailureReason::InDoubt => {
                "Not onboarded: a text may have been sent, but its Temporary Access Pass may not work."
            }
            FailureReason::InvalidNumber => "Not onboarded: the mobile number cannot be used.",
            FailureReason::NoNumber => "Not onboarded: the user has no mobile number.",
            FailureReason::NotAccepted => "Not onboarded: the SMS vendor did not accept the text.",
            FailureReason::NotDelivered => "Not onboarded: the text was not reported as delivered.",
            FailureReason::PassExists => {
                "Not onboarded: the user already has a Temporary Access Pass."
            }
            FailureReason::PassRefused => {
                "Not onboarded: Microsoft Graph issued no usable Temporary Access Pass."
            }
            FailureReason::PermissionMissing => {
                "Not onboarded: the service lacks a permission in Microsoft Graph."
            }
            FailureReason::RolesUnreadable => {
                "Not onboarded: the user's directory roles could not be read."
            }
            FailureReason::Shutdown => {
                "Not onboarded: the service or the flow was stopped first. A text may have been sent."
            }
            FailureReason::TextFailed => "Not onboarded: the template of the text failed.",
            FailureReason::UserAdministrator => "Not onboarded: the user holds a directory role.",
            FailureReason::UserDisabled => "Not onboarded: the user's account is disabled.",
            FailureReason::UserGuest => {
                "Not onboarded: the user's account belongs to another tenant."
            }
            FailureReason::UserNotFound => "Not onboarded: the user was not found.",
            _ => "The user was not onboarded.",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_detail_of_a_failure_denies_a_text_or_claims_a_revocation() {
        // A text of an earlier round may have arrived, and a failed revocation goes on after the verdict.
        for &reason in FailureReason::ALL {
            let words = detail(Verdict::Failed(reason));
            assert!(words.starts_with("Not onboarded: "), "{reason}: {words}");
            for claim in ["No text", "not sent", "withdrawn", "revoked"] {
                assert!(!words.contains(claim), "{reason}: {words}");
            }
        }
        // These may follow a text that was accepted, or that is in doubt.
        for reason in [
            FailureReason::DeadlinePassed,
            FailureReason::GraphUnavailable,
            FailureReason::InDoubt,
            FailureReason::Shutdown,
        ] {
            let words = detail(Verdict::Failed(reason));
            assert!(words.to_lowercase().contains("a text may have been sent"));
        }
    }

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
