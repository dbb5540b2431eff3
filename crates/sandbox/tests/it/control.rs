use std::{
    io::{Read, Write},
    net::TcpStream,
};

use postduif_sandbox::{Cast, Fault, Sandbox};
use serde_json::{Value, json};

use crate::client::{
    KPN_SEND, Response, call, graph_token, kpn_token, read, soon, text, with_token, write,
};

async fn get(sandbox: &Sandbox, what: &str) -> Value {
    let response = call(sandbox, "GET", &format!("/_sandbox{what}"), &[], "")
        .await
        .unwrap();
    assert_eq!(response.status, 200, "{what}");
    response.json()
}

async fn post(sandbox: &Sandbox, what: &str, body: &Value) -> Response {
    call(
        sandbox,
        "POST",
        &format!("/_sandbox{what}"),
        &[],
        &body.to_string(),
    )
    .await
    .unwrap()
}

async fn send(sandbox: &Sandbox) -> Response {
    let token = kpn_token(sandbox).await;
    with_token(
        sandbox,
        &token,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hello"),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn a_program_reads_all_it_needs_to_use_the_sandbox() {
    let sandbox = Sandbox::start().await;
    let about = get(&sandbox, "").await;
    assert_eq!(about["tenant"], sandbox.tenant());
    assert_eq!(about["client_id"], "sandbox");
    assert_eq!(about["graph"], sandbox.graph_url());
    assert_eq!(about["login"], sandbox.login_url());
    assert_eq!(about["urls"]["kpn"], sandbox.sms_url("kpn"));
    for guid in [
        &about["audience"],
        &about["callers"]["lifecycle"],
        &about["callers"]["access_package"],
    ] {
        assert_eq!(guid.as_str().unwrap().len(), 36);
    }
}

#[tokio::test]
async fn the_records_have_the_documented_members() {
    let sandbox = Sandbox::start().await;
    send(&sandbox).await;
    let messages = get(&sandbox, "/messages").await;
    assert_eq!(messages[0]["to"], "+31612345678");
    assert_eq!(messages[0]["reference"], "01J9Z8");
    assert_eq!(messages[0]["parts"], 1);
    for member in ["vendor", "sender", "text", "id", "at"] {
        assert!(messages[0][member].is_string(), "{member}");
    }
    for member in ["validity_s", "send_at"] {
        assert_eq!(messages[0].get(member), Some(&Value::Null), "{member}");
    }
    let passes = get(&sandbox, "/passes").await;
    assert_eq!(passes[0]["user"], Cast::HAS_PASS);
    assert_eq!(passes[0]["usable"], true);
    assert_eq!(get(&sandbox, "/resumes").await, json!([]));
}

#[tokio::test]
async fn requests_are_recorded_without_their_secrets() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    with_token(
        &sandbox,
        &token,
        "GET",
        "/kpn/nothing?key=sandbox",
        &Value::Null,
    )
    .await
    .unwrap();
    let requests = get(&sandbox, "/requests").await;
    let requests = requests.as_array().unwrap();
    assert_eq!(requests.len(), 2, "the control calls are not among them");
    assert_eq!(requests[1]["method"], "GET");
    assert_eq!(requests[1]["path"], "/kpn/nothing");
    assert_eq!(requests[1]["status"], 404);
    assert!(
        sandbox
            .url()
            .ends_with(requests[1]["host"].as_str().unwrap())
    );
    let shown = format!("{requests:?}{:?}", sandbox.requests());
    assert!(
        !shown.contains(&token) && !shown.contains("sandbox"),
        "{shown}"
    );
}

#[tokio::test]
async fn the_initial_users_are_listed_first_and_others_can_be_added() {
    let sandbox = Sandbox::start().await;
    let new = json!({"id": "ABCDEF01-0000-4000-8000-000000000000", "displayName": "New"});
    assert_eq!(post(&sandbox, "/users", &new).await.status, 200);
    let users = get(&sandbox, "/users").await;
    let users = users.as_array().unwrap();
    assert_eq!(users.len(), 10);
    assert_eq!(users[0]["id"], Cast::JOINER);
    assert_eq!(users[9]["displayName"], "New");

    let token = graph_token(&sandbox).await;
    let path = format!("/graph/v1.0/users/{}", new["id"].as_str().unwrap());
    let response = with_token(&sandbox, &token, "GET", &path, &Value::Null)
        .await
        .unwrap();
    assert_eq!(response.json()["displayName"], "New");
    assert_eq!(
        post(&sandbox, "/users", &json!({"id": 1})).await.status,
        400
    );
}

#[tokio::test]
async fn faults_are_set_and_cleared_over_http() {
    let sandbox = Sandbox::start().await;
    let fault = json!({"at": "kpn.send", "fault": "status_503", "times": 2});
    assert_eq!(post(&sandbox, "/faults", &fault).await.status, 200);
    assert_eq!(send(&sandbox).await.status, 503);
    let left = get(&sandbox, "/faults").await;
    assert_eq!(left[0]["times"], 1);
    let response = call(&sandbox, "DELETE", "/_sandbox/faults", &[], "")
        .await
        .unwrap();
    assert_eq!(response.status, 204);
    assert_eq!(send(&sandbox).await.status, 200);
}

#[tokio::test]
async fn an_impossible_fault_is_refused_with_the_possible_ones() {
    let sandbox = Sandbox::start().await;
    for (body, named) in [
        (json!({"at": "kpn.sent", "fault": "stall"}), "kpn.send"),
        (json!({"at": "kpn.send", "fault": "stahl"}), "stall_before"),
        (
            json!({"at": "kpn.send", "fault": "wrong_order"}),
            "echo_text",
        ),
        (json!({"at": "kpn.send"}), "fault"),
        (
            json!({"at": "kpn.send", "fault": "stall", "time": 2}),
            "times",
        ),
        (
            json!({"at": "kpn.send", "fault": "stall", "times": 0}),
            "times",
        ),
        (json!({"at": "kpn.send", "fault": "stall", "ms": -1}), "ms"),
        (json!([]), "object"),
    ] {
        let response = post(&sandbox, "/faults", &body).await;
        assert_eq!(response.status, 400, "{body}");
        let shown = response.json()["error"]["message"].to_string();
        assert!(shown.contains(named), "{body}: {shown}");
    }
    assert!(sandbox.faults_left().is_empty());
}

#[tokio::test]
async fn a_callout_without_a_target_is_a_body_to_use() {
    let sandbox = Sandbox::start().await;
    let order = json!({"user": Cast::ENGLISH, "kind": "lifecycle"});
    let callout = post(&sandbox, "/callouts", &order).await.json();
    assert_eq!(callout["status"], Value::Null);
    let data = &callout["body"]["data"];
    assert_eq!(data["subject"]["id"], Cast::ENGLISH);
    assert_eq!(data["taskProcessingResult"]["id"], callout["execution"]);

    let order = json!({"user": Cast::JOINER, "kind": "access_package", "window": "PT2H"});
    let callout = post(&sandbox, "/callouts", &order).await.json();
    let body = &callout["body"];
    assert_eq!(body["Assignment"]["Target"]["ObjectId"], Cast::JOINER);
    assert_eq!(body["CustomExtensionStageInstanceId"], callout["execution"]);
    assert_eq!(
        body["CallbackConfiguration"]["DurationBeforeTimeout"],
        "PT2H"
    );

    for wrong in [
        json!({"user": "me"}),
        json!({"window": "soon"}),
        json!({"kind": "birthday"}),
        json!({"repeat": 2}),
        json!({"hostile": "rude"}),
        json!({"target": "https://localhost/"}),
    ] {
        let response = post(&sandbox, "/callouts", &wrong).await;
        assert_eq!(response.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_window_that_closed_is_not_resumed() {
    let sandbox = Sandbox::start().await;
    let token = graph_token(&sandbox).await;
    let order = json!({"kind": "lifecycle", "window": "PT0S"});
    let callout = post(&sandbox, "/callouts", &order).await.json();
    let path = callout["body"]["data"]["callbackUriPath"].as_str().unwrap();
    let response = with_token(
        &sandbox,
        &token,
        "POST",
        &format!("/graph/v1.0{path}"),
        &json!({"data": {"operationStatus": "Failed"}}),
    )
    .await
    .unwrap();
    assert_eq!(response.status, 400);
}

#[tokio::test]
async fn an_unknown_path_is_a_404_that_points_to_the_list_of_urls() {
    let sandbox = Sandbox::start().await;
    let response = call(&sandbox, "GET", "/", &[], "").await.unwrap();
    assert_eq!(response.status, 404);
    assert!(
        String::from_utf8(response.body)
            .unwrap()
            .contains("/_sandbox")
    );
}

#[tokio::test]
async fn a_reset_restores_the_initial_state() {
    let sandbox = Sandbox::start().await;
    send(&sandbox).await;
    let token = graph_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::Stall);
    sandbox.put_user(json!({})).unwrap();

    let response = call(&sandbox, "DELETE", "/_sandbox", &[], "")
        .await
        .unwrap();
    assert_eq!(response.status, 204);
    assert!(sandbox.messages().is_empty());
    assert!(sandbox.requests().is_empty());
    assert!(sandbox.faults_left().is_empty());
    assert_eq!(sandbox.users().len(), 9);
    let path = format!("/graph/v1.0/users/{}", Cast::JOINER);
    let response = with_token(&sandbox, &token, "GET", &path, &Value::Null)
        .await
        .unwrap();
    assert_eq!(response.status, 401, "tokens of the old world are dead");
}

#[tokio::test]
async fn a_request_that_outlives_a_reset_changes_nothing_after_it() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::Delay).ms(100);
    let authority = sandbox.url().replace("http://", "");
    let delayed = write(&authority, "POST", KPN_SEND, &[], "").await;
    soon(sandbox.wait_for(|sandbox| sandbox.faults_left().is_empty().then_some(()))).await;

    sandbox.reset();
    call(&sandbox, "GET", "/nothing", &[], "").await.unwrap();
    assert_eq!(read(delayed).await.unwrap().status, 401);
    let requests = sandbox.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].status, Some(404));
}

#[tokio::test]
async fn a_body_above_a_mebibyte_is_too_large() {
    let sandbox = Sandbox::start().await;
    let body = "a".repeat((1 << 20) + 1);
    for path in ["/_sandbox/users", KPN_SEND] {
        let response = call(&sandbox, "POST", path, &[], &body).await;
        // The response may be lost where the rest of the body meets a closed connection.
        if let Ok(response) = response {
            assert_eq!(response.status, 413, "{path}");
        }
    }
    assert_eq!(send(&sandbox).await.status, 200);
}

#[tokio::test]
async fn waiting_ends_once_something_is_found() {
    let sandbox = Sandbox::start().await;
    let (message, response) = soon(async {
        tokio::join!(
            sandbox.wait_for(|sandbox| sandbox.message_to("+31612345678")),
            send(&sandbox)
        )
    })
    .await;
    assert_eq!(response.json()["document_id"], message.id);
}

#[tokio::test(start_paused = true)]
async fn a_test_may_pause_its_clock() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::Delay).ms(20);
    // Not by the client of these tests, whose deadline would pass at once on a paused clock.
    let authority = sandbox.url().replace("http://", "");
    let mut stream = TcpStream::connect(authority).unwrap();
    write!(
        stream,
        "POST {KPN_SEND} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut shown = String::new();
    stream.read_to_string(&mut shown).unwrap();
    assert!(shown.starts_with("HTTP/1.1 401"), "{shown}");
}

#[tokio::test]
async fn nothing_secret_is_in_debug() {
    let sandbox = Sandbox::start().await;
    send(&sandbox).await;
    let pass = sandbox.passes().remove(0);
    let shown = format!("{pass:?} {:?}", sandbox.messages());
    assert!(!shown.contains(&pass.secret));
    assert!(!shown.contains("Hello"));
    assert!(!shown.contains("31612345678"));
}
