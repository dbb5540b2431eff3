use std::{collections::HashSet, time::Duration};

use postduif_sandbox::{CalloutKind, Cast, Fault, ResumeKind, Sandbox};
use serde_json::{Value, json};

use crate::client::{Response, call, graph_token, kpn_token, passes_of, soon, waiting, with_token};

struct World {
    sandbox: Sandbox,
    token: String,
}

impl World {
    async fn start() -> Self {
        let sandbox = Sandbox::start().await;
        let token = graph_token(&sandbox).await;
        Self { sandbox, token }
    }

    async fn get(&self, path: &str) -> Response {
        with_token(&self.sandbox, &self.token, "GET", path, &Value::Null)
            .await
            .unwrap()
    }

    async fn delete(&self, path: &str) -> Response {
        with_token(&self.sandbox, &self.token, "DELETE", path, &Value::Null)
            .await
            .unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        with_token(&self.sandbox, &self.token, "POST", path, body)
            .await
            .unwrap()
    }
}

fn user(id: &str) -> String {
    format!("/graph/v1.0/users/{id}")
}

#[tokio::test]
async fn a_user_has_the_selected_properties_only() {
    let world = World::start().await;
    let path = user(Cast::JOINER) + "?$select=id,mobilePhone,userType,accountEnabled";
    let response = world.get(&path).await;
    assert_eq!(response.status, 200);
    let mut shown = response.json();
    assert!(
        shown
            .as_object_mut()
            .unwrap()
            .remove("@odata.context")
            .is_some()
    );
    assert_eq!(
        shown,
        json!({
            "id": Cast::JOINER,
            "mobilePhone": "+31612345678",
            "userType": "Member",
            "accountEnabled": true,
        })
    );

    let response = world.get(&user(Cast::JOINER)).await;
    assert!(response.json().get("displayName").is_some());
    assert!(response.json().get("accountEnabled").is_none());

    let response = world
        .get(&(user(Cast::JOINER) + "?$select=mobilPhone"))
        .await;
    assert_eq!(response.status, 400);
}

#[tokio::test]
async fn a_refusal_has_the_request_ids_for_support() {
    let world = World::start().await;
    let bearer = format!("Bearer {}", world.token);
    let response = call(
        &world.sandbox,
        "GET",
        &user("00000000-0000-4000-8000-000000000000"),
        &[("Authorization", &bearer), ("client-request-id", "mine")],
        "",
    )
    .await
    .unwrap();
    assert_eq!(response.status, 404);
    assert_eq!(response.header("client-request-id"), Some("mine"));
    let error = &response.json()["error"];
    assert_eq!(error["code"], "Request_ResourceNotFound");
    assert_eq!(error["innerError"]["client-request-id"], "mine");
    assert_eq!(
        error["innerError"]["request-id"].as_str(),
        response.header("request-id")
    );
}

#[tokio::test]
async fn a_token_of_another_service_is_refused() {
    let world = World::start().await;
    let kpn = kpn_token(&world.sandbox).await;
    for headers in [
        &[][..],
        &[("Authorization", "Bearer wrong")],
        &[("Authorization", &format!("Bearer {kpn}"))],
    ] {
        let response = call(&world.sandbox, "GET", &user(Cast::JOINER), headers, "")
            .await
            .unwrap();
        assert_eq!(response.status, 401);
        assert_eq!(
            response.json()["error"]["code"],
            "InvalidAuthenticationToken"
        );
        assert!(
            response
                .header("www-authenticate")
                .unwrap()
                .starts_with("Bearer")
        );
    }
}

#[tokio::test]
async fn the_late_user_is_found_by_the_third_read() {
    let world = World::start().await;
    for status in [404, 404, 200, 200] {
        assert_eq!(world.get(&user(Cast::LATE)).await.status, status);
    }
}

#[tokio::test]
async fn a_manager_is_returned_and_a_missing_one_is_not_found() {
    let world = World::start().await;
    let response = world
        .get(&(user(Cast::JOINER) + "/manager?$select=id"))
        .await;
    assert_eq!(response.json()["id"], Cast::ENGLISH);
    assert_eq!(
        world.get(&(user(Cast::ENGLISH) + "/manager")).await.status,
        404
    );
    let response = world
        .get(&(user(Cast::JOINER) + "?$select=id&$expand=manager($select=mail)"))
        .await;
    assert!(response.json()["manager"]["mail"].is_string());
    assert!(response.json()["manager"].get("id").is_none());
}

#[tokio::test]
async fn only_the_administrator_has_roles() {
    let world = World::start().await;
    for (id, _) in Cast::ALL {
        if id == Cast::LATE {
            continue;
        }
        let path =
            user(id) + "/transitiveMemberOf/microsoft.graph.directoryRole?$select=id,displayName";
        let response = world.get(&path).await;
        let roles = response.json()["value"].as_array().unwrap().len();
        assert_eq!(roles, usize::from(id == Cast::ADMINISTRATOR), "{id}");
    }
}

#[tokio::test]
async fn a_secret_is_returned_once() {
    let world = World::start().await;
    let passes = passes_of(Cast::JOINER);
    let wish = json!({"lifetimeInMinutes": 90, "isUsableOnce": true});
    let created = world.post(&passes, &wish).await;
    assert_eq!(created.status, 201);
    let created = created.json();
    let secret = created["temporaryAccessPass"].as_str().unwrap();
    assert_eq!(secret.chars().count(), 8);
    assert_eq!(created["lifetimeInMinutes"], 90);
    assert_eq!(created["isUsableOnce"], true);
    assert_eq!(created["isUsable"], true);

    let listed = world.get(&passes).await.json();
    let listed = listed["value"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], created["id"]);
    assert!(listed[0]["temporaryAccessPass"].is_null());

    let usable = world.sandbox.usable_passes(Cast::JOINER);
    assert_eq!(usable.len(), 1);
    assert_eq!(usable[0].secret, secret);
}

#[tokio::test]
async fn a_second_pass_replaces_the_first() {
    let world = World::start().await;
    let passes = passes_of(Cast::HAS_PASS);
    let stranger = world.get(&passes).await.json()["value"][0]["id"].clone();
    let ours = world.post(&passes, &json!({})).await.json()["id"].clone();
    assert_ne!(ours, stranger);
    assert_eq!(ours, world.get(&passes).await.json()["value"][0]["id"]);
    assert_eq!(world.sandbox.usable_passes(Cast::HAS_PASS).len(), 1);
}

#[tokio::test]
async fn a_pass_is_deleted_once() {
    let world = World::start().await;
    let passes = passes_of(Cast::JOINER);
    let id = world.post(&passes, &json!({})).await.json()["id"].clone();
    let path = format!("{passes}/{}", id.as_str().unwrap());
    assert_eq!(world.delete(&path).await.status, 204);
    assert_eq!(world.delete(&path).await.status, 404);
    assert!(world.sandbox.usable_passes(Cast::JOINER).is_empty());
    assert!(world.sandbox.passes()[1].revoked_at.is_some());
}

#[tokio::test]
async fn passes_outside_the_policy_are_refused() {
    let world = World::start().await;
    let passes = passes_of(Cast::JOINER);
    for wish in [
        json!({"lifetimeInMinutes": 59}),
        json!({"lifetimeInMinutes": 481}),
        json!({"lifetimeInMinutes": "60"}),
        json!({"startDateTime": "2020-01-01T00:00:00Z"}),
        json!({"startDateTime": "tomorrow"}),
        json!({"lifetime": 60}),
    ] {
        let response = world.post(&passes, &wish).await;
        assert_eq!(response.status, 400, "{wish}");
        assert_eq!(response.json()["error"]["code"], "badRequest");
    }
    let response = world
        .post(&passes, &json!({"lifetimeInMinutes": 600}))
        .await;
    assert_eq!(
        response.json()["error"]["message"],
        "Invalid LifetimeInMinutes specified. The valid range between 60 and 480."
    );
    assert!(world.sandbox.usable_passes(Cast::JOINER).is_empty());
}

#[tokio::test]
async fn guests_and_administrators_get_no_pass() {
    let world = World::start().await;
    let response = world.post(&passes_of(Cast::GUEST), &json!({})).await;
    assert_eq!(response.status, 400);
    let response = world
        .post(&passes_of(Cast::ADMINISTRATOR), &json!({}))
        .await;
    assert_eq!(response.status, 403);
    assert_eq!(response.json()["error"]["code"], "accessDenied");
    assert_eq!(world.sandbox.passes().len(), 1, "the stranger's");
}

#[tokio::test]
async fn no_two_passes_have_the_same_secret() {
    let world = World::start().await;
    let passes = passes_of(Cast::JOINER);
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let created = world.post(&passes, &json!({})).await.json();
        assert!(seen.insert(created["temporaryAccessPass"].to_string()));
    }
}

#[tokio::test]
async fn a_task_is_resumed_once() {
    let world = World::start().await;
    let (execution, path, body) = waiting(&world.sandbox, Cast::JOINER);

    let mut wrong = body.clone();
    wrong["data"]["operationStatus"] = json!("unknownFutureValue");
    assert_eq!(world.post(&path, &wrong).await.status, 400);
    assert_eq!(world.post(&path, &body).await.status, 204);
    let again = world.post(&path, &body).await;
    assert_eq!(again.status, 409);
    assert!(again.json()["error"]["code"].is_string());

    let resumes = world.sandbox.resumes();
    let shown: Vec<_> = resumes
        .iter()
        .map(|resume| (resume.answered, resume.status.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            (400, None),
            (204, Some("Completed")),
            (409, Some("Completed"))
        ]
    );
    assert!(
        resumes
            .iter()
            .all(|resume| resume.execution == execution && resume.kind == ResumeKind::Lifecycle)
    );
}

#[tokio::test]
async fn a_task_is_not_resumed_by_another_path() {
    let world = World::start().await;
    let (_, path, body) = waiting(&world.sandbox, Cast::JOINER);
    let other = path.replacen("3a7c5e10", "3a7c5e11", 1);
    assert_eq!(world.post(&other, &body).await.status, 404);
    let beta = path.replace("v1.0", "beta");
    assert_eq!(world.post(&beta, &body).await.status, 400);
    assert_eq!(world.post(&path, &body).await.status, 204);
}

#[tokio::test]
async fn an_access_package_is_resumed_by_the_stage_that_waits() {
    let world = World::start().await;
    let callout = world
        .sandbox
        .callout(Cast::JOINER, CalloutKind::AccessPackage)
        .unwrap();
    let request = callout.body["AccessPackageAssignmentRequestId"]
        .as_str()
        .unwrap();
    let path = format!(
        "/graph/v1.0/identityGovernance/entitlementManagement/assignmentRequests/{request}/resume"
    );
    let body = json!({
        "source": "test",
        "type": "microsoft.graph.accessPackageCustomExtensionStage.assignmentRequestGranted",
        "data": {
            "@odata.type": "microsoft.graph.accessPackageAssignmentRequestCallbackData",
            "stage": "assignmentRequestGranted",
            "customExtensionStageInstanceId": callout.execution,
            "customExtensionStageInstanceDetail": "accepted",
        },
    });
    for (member, value) in [
        ("@odata.type", json!(null)),
        ("stage", json!("assignmentRequestCreated")),
        ("customExtensionStageInstanceId", json!("mine")),
    ] {
        let mut wrong = body.clone();
        wrong["data"][member] = value;
        assert_eq!(world.post(&path, &wrong).await.status, 400, "{member}");
    }
    assert_eq!(world.post(&path, &body).await.status, 204);
    assert_eq!(world.post(&path, &body).await.status, 400);
    let resumes = world.sandbox.resumes();
    let heard = &resumes[3];
    assert_eq!(heard.kind, ResumeKind::Assignment);
    assert_eq!(heard.execution, callout.execution);
    assert_eq!(heard.detail.as_deref(), Some("accepted"));
    assert_eq!(heard.status, None);
    assert_eq!(heard.answered, 204);
}

#[tokio::test]
async fn faults_of_graph_are_its_own_errors() {
    let world = World::start().await;
    let passes = passes_of(Cast::JOINER);
    for (fault, status) in [
        (Fault::NotReplicated, 404),
        (Fault::PolicyRefuses, 400),
        (Fault::Throttle, 429),
        (Fault::Unauthorized, 401),
    ] {
        world.sandbox.fault("graph.tap", fault).ms(10);
        let response = world.post(&passes, &json!({})).await;
        assert_eq!(response.status, status, "{fault}");
        assert!(response.json()["error"]["code"].is_string(), "{fault}");
        let hint = response.header("retry-after");
        assert_eq!(hint, (fault == Fault::Throttle).then_some("1"), "{fault}");
    }
    assert!(world.sandbox.usable_passes(Cast::JOINER).is_empty());

    let (_, path, body) = waiting(&world.sandbox, Cast::JOINER);
    world.sandbox.fault("graph.resume", Fault::ResumeConflict);
    for status in [409, 204] {
        assert_eq!(world.post(&path, &body).await.status, status);
    }
}

#[tokio::test]
async fn an_existing_pass_blocks_another_under_that_fault() {
    let world = World::start().await;
    let passes = passes_of(Cast::HAS_PASS);
    world.sandbox.fault("graph.tap", Fault::Exists);
    let response = world.post(&passes, &json!({})).await;
    assert_eq!(response.status, 400);
    assert_eq!(response.json()["error"]["code"], "badRequest");
    assert_eq!(world.sandbox.passes().len(), 1, "nothing was issued");
    assert_eq!(world.post(&passes, &json!({})).await.status, 201);
}

#[tokio::test]
async fn a_list_that_lags_shows_the_earlier_state() {
    let world = World::start().await;
    let passes = passes_of(Cast::JOINER);
    let id = world.post(&passes, &json!({})).await.json()["id"].clone();
    let shown = async || world.get(&passes).await.json()["value"].clone();
    world
        .sandbox
        .fault("graph.tap_list", Fault::Lag)
        .ms(60_000)
        .times(2);
    assert_eq!(shown().await, json!([]));
    let one = format!("{passes}/{}", id.as_str().unwrap());
    assert_eq!(world.get(&one).await.status, 404);
    assert_eq!(shown().await[0]["id"], id);
}

#[tokio::test]
async fn a_late_effect_happens_after_its_connection_ended() {
    let world = World::start().await;
    let passes = passes_of(Cast::JOINER);
    world.sandbox.fault("graph.tap", Fault::Late).ms(300);
    let begun = std::time::Instant::now();
    let response = with_token(&world.sandbox, &world.token, "POST", &passes, &json!({})).await;
    assert!(response.is_err(), "the connection is reset");
    let made = world.sandbox.wait_for(|sandbox| {
        let usable = sandbox.usable_passes(Cast::JOINER);
        (!usable.is_empty()).then_some(())
    });
    soon(made).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn memberships_are_paged_with_or_without_a_cast() {
    let world = World::start().await;
    let mut of: Vec<_> = (0..5)
        .map(|n| json!({"@odata.type": "#microsoft.graph.group", "id": format!("g{n}"), "displayName": "G"}))
        .collect();
    of.push(
        json!({"@odata.type": "#microsoft.graph.directoryRole", "id": "r1", "displayName": "R"}),
    );
    let id = world
        .sandbox
        .put_user(json!({"displayName": "A", "transitiveMemberOf": of}))
        .unwrap();
    let all = format!("{}/transitiveMemberOf", user(&id));
    let cast = world
        .get(&format!("{all}/microsoft.graph.directoryRole"))
        .await
        .json();
    assert_eq!(cast["value"].as_array().unwrap().len(), 1);
    let first = world.get(&format!("{all}?$top=4&$select=id")).await.json();
    assert_eq!(first["value"].as_array().unwrap().len(), 4);
    let next = first["@odata.nextLink"].as_str().unwrap();
    let next = next.strip_prefix(&world.sandbox.url()).unwrap();
    let second = world.get(next).await.json();
    assert_eq!(second["value"].as_array().unwrap().len(), 2);
    assert_eq!(
        second["value"][1]["@odata.type"],
        "#microsoft.graph.directoryRole"
    );
    assert!(second["@odata.nextLink"].is_null());
}

#[tokio::test]
async fn a_token_without_roles_is_refused_until_a_new_one_is_used() {
    let mut world = World::start().await;
    world.sandbox.fault("graph.tap", Fault::TokenWithoutRoles);
    let passes = passes_of(Cast::JOINER);
    for _ in 0..2 {
        let response = world.post(&passes, &json!({})).await;
        assert_eq!(response.status, 403);
        assert_eq!(response.json()["error"]["code"], "accessDenied");
    }
    world.token = graph_token(&world.sandbox).await;
    assert_eq!(world.post(&passes, &json!({})).await.status, 201);
}

#[tokio::test]
async fn tokens_of_graph_expire_too() {
    let sandbox = Sandbox::builder()
        .token_life(Duration::ZERO)
        .start()
        .await
        .unwrap();
    let token = graph_token(&sandbox).await;
    let response = with_token(&sandbox, &token, "GET", &user(Cast::JOINER), &Value::Null)
        .await
        .unwrap();
    assert_eq!(response.status, 401);
}
