use postduif_core::{
    Guid,
    directory::{AccessPackageStage, Callback, FailureReason, Graph as _, Verdict},
};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::support::{World, assert_is_ours, body};

fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_lifecycle_workflow_is_resumed_at_the_address_from_its_ids() {
    let callback = Callback::lifecycle(
        guid("3D6F0C61-7a5e-4f0b-9a39-0f6f2a1b7c10"),
        guid("8c0b7a52-11de-4b0e-8b63-6b0a3e5d9f21"),
        guid("f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32"),
    );
    for (verdict, status) in [
        (Verdict::Completed, "Completed"),
        (Verdict::Failed(FailureReason::NoNumber), "Failed"),
    ] {
        let world = World::start().await;
        world.any(ResponseTemplate::new(204)).await;
        world.entra().resume(&callback, &verdict).await.unwrap();
        let [request] = world.asked().await.try_into().unwrap();
        assert_eq!(
            (request.method.as_str(), request.url.path()),
            (
                "POST",
                "/graph/v1.0/identityGovernance/lifecycleWorkflows/workflows/3d6f0c61-7a5e-4f0b-9a39-0f6f2a1b7c10/tasks/8c0b7a52-11de-4b0e-8b63-6b0a3e5d9f21/taskProcessingResults/f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32/resume"
            )
        );
        assert_eq!(
            body(&request),
            json!({"source": "postduif", "type": "lifecycleEvent", "data": {"operationStatus": status}})
        );
        assert_is_ours(&request, "token-1");
    }
}

#[tokio::test]
async fn an_access_package_gets_a_detail_and_is_never_denied() {
    for (verdict, detail) in [
        (
            Verdict::Completed,
            "The text with the Temporary Access Pass was accepted for delivery.",
        ),
        (
            Verdict::Failed(FailureReason::NoNumber),
            "Not onboarded: the user has no mobile number.",
        ),
    ] {
        let callback = Callback::assignment(
            guid("b0c4d9e2-3f51-4a77-9d15-2c6e8f0a1b23"),
            guid("d41a7f60-9b2c-4e38-8c5d-7e1f2a3b4c5d"),
            AccessPackageStage::RequestGranted,
        );
        let world = World::start().await;
        world.any(ResponseTemplate::new(204)).await;
        world.entra().resume(&callback, &verdict).await.unwrap();
        let [request] = world.asked().await.try_into().unwrap();
        assert_eq!(
            (request.method.as_str(), request.url.path()),
            (
                "POST",
                "/graph/v1.0/identityGovernance/entitlementManagement/assignmentRequests/b0c4d9e2-3f51-4a77-9d15-2c6e8f0a1b23/resume"
            )
        );
        assert_eq!(
            body(&request),
            json!({
                "source": "postduif",
                "type": "microsoft.graph.accessPackageCustomExtensionStage.assignmentRequestGranted",
                "data": {
                    "@odata.type": "microsoft.graph.accessPackageAssignmentRequestCallbackData",
                    "stage": "assignmentRequestGranted",
                    "customExtensionStageInstanceId": "d41a7f60-9b2c-4e38-8c5d-7e1f2a3b4c5d",
                    "customExtensionStageInstanceDetail": detail,
                },
            })
        );
    }
}
