use postduif_core::{Acceptance, DeliveryReport, DeliveryStatus, ErrorKind, SendError};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path, query_param},
};

use super::wire::{V1, V2, spryng};

async fn look_up(response: ResponseTemplate) -> Result<Vec<DeliveryReport>, SendError> {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path(V1))
        .and(header("authorization", "Bearer s3cret"))
        // The SDKs disagree on how the filter is written.
        .and(query_param("reference", "01J9Z8"))
        .and(query_param("filters[reference]", "01J9Z8"))
        .and(query_param("with[]", "recipients"))
        .respond_with(response)
        .expect(1)
        .mount(&server)
        .await;
    spryng(&server, V1)
        .look_up(&"01J9Z8".parse().unwrap())
        .await
}

fn listing(data: &Value, total: u32, pages: u32) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "total": total, "per_page": 15, "current_page": 1, "last_page": pages,
        "next_page_url": (pages > 1).then_some("https://rest.spryngsms.com/v1/messages?page=2"),
        "prev_page_url": null, "from": 1, "to": total, "data": data
    }))
}

fn listed(reference: &str) -> Value {
    json!({
        "id": "9d3e7c1a", "reference": reference, "body": "Your code is 123456", "credits": 1.0,
        "recipients": [{"number": "31612345678", "status": "delivered", "sent_at": "2026-02-01T15:00:00+00:00"}]
    })
}

#[tokio::test]
async fn a_message_in_doubt_is_found_by_its_reference() {
    let reports = look_up(listing(&json!([listed("01J9Z8")]), 1, 1))
        .await
        .unwrap();
    let report = &reports[0];
    assert_eq!((reports.len(), report.provider.as_ref()), (1, "spryng"));
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8");
    assert_eq!(report.id.as_deref(), Some("9d3e7c1a"));
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert!(!format!("{report:?}").contains("123456"));
}

#[tokio::test]
async fn every_state_is_read_and_an_unknown_one_is_no_failure() {
    for (state, status) in [
        (json!("pending"), DeliveryStatus::Sent),
        (json!("sent"), DeliveryStatus::Sent),
        (json!("delivered"), DeliveryStatus::Delivered),
        (json!("failed"), DeliveryStatus::Failed),
        (json!("scheduled"), DeliveryStatus::Buffered),
        (json!("canceled"), DeliveryStatus::Unknown),
        (json!(null), DeliveryStatus::Unknown),
    ] {
        let mut message = listed("01J9Z8");
        message["recipients"][0]["status"] = state.clone();
        let reports = look_up(listing(&json!([message]), 1, 1)).await.unwrap();
        assert_eq!(reports[0].status, status, "{state}");
        // Without recipients the message itself has the state.
        message["recipients"] = json!([]);
        message["status"] = state.clone();
        let reports = look_up(listing(&json!([message]), 1, 1)).await.unwrap();
        assert_eq!(
            (reports[0].status, reports[0].recipient),
            (status, None),
            "{state}"
        );
    }
}

#[tokio::test]
async fn only_messages_with_our_reference_are_returned() {
    let others = json!([listed("other"), listed("01J9Z8"), listed("01j9z8"), {"id": "x"}]);
    assert_eq!(look_up(listing(&others, 4, 1)).await.unwrap().len(), 1);
    // Spryng does not enforce unique references.
    let twice = json!([listed("01J9Z8"), listed("01J9Z8")]);
    assert_eq!(look_up(listing(&twice, 2, 1)).await.unwrap().len(), 2);
    // A match in an incomplete list counts.
    assert_eq!(look_up(listing(&others, 40, 3)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_result_needs_a_complete_list() {
    assert_eq!(look_up(listing(&json!([]), 0, 1)).await.unwrap().len(), 0);
    let other = json!([listed("other")]);
    assert_eq!(look_up(listing(&other, 1, 1)).await.unwrap().len(), 0);
    let bare = ResponseTemplate::new(200).set_body_json(json!({"data": []}));
    assert_eq!(look_up(bare).await.unwrap().len(), 0);
    for response in [
        listing(&other, 1, 2),
        listing(&other, 2, 1),
        ResponseTemplate::new(200).set_body_json(json!({"data": [], "next_page_url": "x"})),
        ResponseTemplate::new(200).set_body_json(json!({"data": [], "last_page": 2})),
        ResponseTemplate::new(200).set_body_json(json!({"data": [], "total": 1})),
    ] {
        let error = look_up(response).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
}

#[tokio::test]
async fn a_failed_look_up_leaves_the_message_in_doubt() {
    for (response, kind) in [
        (ResponseTemplate::new(200), ErrorKind::Protocol),
        (
            ResponseTemplate::new(200).set_body_json(json!({"data": {}})),
            ErrorKind::Protocol,
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({"data": [7]})),
            ErrorKind::Protocol,
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!([listed("01J9Z8")])),
            ErrorKind::Protocol,
        ),
        (
            ResponseTemplate::new(401).set_body_json(json!({"message": "Unauthenticated."})),
            ErrorKind::Unauthorized,
        ),
        (ResponseTemplate::new(404), ErrorKind::Misconfigured),
        (ResponseTemplate::new(429), ErrorKind::Throttled),
        (
            ResponseTemplate::new(422).set_body_json(json!({"message": "no"})),
            ErrorKind::Other,
        ),
        (ResponseTemplate::new(503), ErrorKind::Unavailable),
    ] {
        let error = look_up(response).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance(), error.provider()),
            (kind, Acceptance::Unknown, Some("spryng"))
        );
        assert!(!error.may_resend() && !error.may_reroute());
    }
}

#[tokio::test]
async fn v2_has_no_look_up_and_makes_no_call() {
    let server = MockServer::start().await;
    let error = spryng(&server, V2)
        .look_up(&"01J9Z8".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unsupported, Acceptance::Unknown)
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}
