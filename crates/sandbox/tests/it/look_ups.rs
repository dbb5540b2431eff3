//! The vendors' look-ups of accepted texts.

use postduif_sandbox::{Fault, ReportOrder, ReportStatus, Sandbox};
use serde_json::{Value, json};

use crate::client::{FORM, JSON, Response, call};

type Header = (&'static str, &'static str);

/// A vendor's API: how a text is sent to it, and how it is looked up.
struct Case {
    point: &'static str,
    send: &'static str,
    body: &'static str,
    headers: &'static [Header],
    /// The path of a look-up, with `{id}` for the vendor's id.
    look_up: &'static str,
    /// Where the text is in the response, and where its status is in the text.
    text: &'static str,
    status: &'static str,
    accepted: &'static str,
    delivered: &'static str,
    failed: &'static str,
    /// The statuses for an unknown id and for a caller without credentials.
    unknown: u16,
    unauthorized: u16,
}

const UA: Header = ("User-Agent", "test");

const CASES: &[Case] = &[
    Case {
        point: "messagebird.message",
        send: "/messagebird/messages",
        body: r#"{"originator":"Postduif","recipients":["31612345678"],"body":"Hello","reference":"01J9Z8"}"#,
        headers: &[JSON, ("Authorization", "AccessKey sandbox")],
        look_up: "/messagebird/messages/{id}",
        text: "",
        status: "/recipients/items/0/status",
        accepted: "sent",
        delivered: "delivered",
        failed: "delivery_failed",
        unknown: 404,
        unauthorized: 401,
    },
    Case {
        point: "messagebird.message",
        send: "/messagebird/v1/sms/messages",
        body: r#"{"to":"+31612345678","from":"Postduif","text":"Hello","category":"transactional","metadata":{"reference":"01J9Z8"}}"#,
        headers: &[JSON, UA, ("Authorization", "Bearer bk_eu1_sandbox")],
        look_up: "/messagebird/v1/sms/messages/{id}",
        text: "",
        status: "/status",
        accepted: "accepted",
        delivered: "delivered",
        failed: "failed",
        unknown: 404,
        unauthorized: 401,
    },
    Case {
        point: "messagebird.message",
        send: "/messagebird/workspaces/sandbox/channels/sandbox/messages",
        body: r#"{"receiver":{"contacts":[{"identifierValue":"+31612345678"}]},"body":{"type":"text","text":{"text":"Hello"}},"reference":"01J9Z8"}"#,
        headers: &[JSON, ("Authorization", "AccessKey sandbox")],
        look_up: "/messagebird/workspaces/sandbox/channels/sandbox/messages/{id}",
        text: "",
        status: "/status",
        accepted: "accepted",
        delivered: "delivered",
        failed: "delivery_failed",
        unknown: 404,
        unauthorized: 401,
    },
    Case {
        point: "spryng.message",
        send: "/spryng/v2/messages",
        body: r#"{"accountReference":"SPNL0000000","channel":"SMS","from":"Postduif","body":{"text":"Hello"},"recipients":[{"msisdn":"+31612345678","metaData":{"reference":"01J9Z8"}}]}"#,
        headers: &[
            JSON,
            ("X-Api-Key", "sandbox"),
            ("AccountReference", "SPNL0000000"),
        ],
        look_up: "/spryng/v2/messages/{id}",
        text: "/data",
        status: "/status",
        accepted: "In Progress",
        delivered: "Delivered",
        failed: "Failed",
        unknown: 404,
        unauthorized: 401,
    },
    Case {
        point: "spryng.message",
        send: "/spryng/v1/messages",
        body: r#"{"body":"Hello","encoding":"auto","originator":"Postduif","recipients":["31612345678"],"reference":"01J9Z8"}"#,
        headers: &[
            JSON,
            ("Accept", "application/json"),
            ("Authorization", "Bearer sandbox"),
        ],
        look_up: "/spryng/v1/messages/{id}?with[]=recipients",
        text: "",
        status: "/recipients/0/status",
        accepted: "pending",
        delivered: "delivered",
        failed: "failed",
        unknown: 404,
        unauthorized: 401,
    },
    Case {
        point: "twilio.message",
        send: "/twilio/2010-04-01/Accounts/AC73616e64626f78000000000000000000/Messages.json",
        body: "To=%2B31612345678&From=Postduif&Body=Hello&StatusCallback=http%3A%2F%2Fx.example%2F%3Freference%3D01J9Z8",
        headers: &[
            FORM,
            (
                "Authorization",
                "Basic QUM3MzYxNmU2NDYyNmY3ODAwMDAwMDAwMDAwMDAwMDAwMDpzYW5kYm94",
            ),
        ],
        look_up: "/twilio/2010-04-01/Accounts/AC73616e64626f78000000000000000000/Messages/{id}.json",
        text: "",
        status: "/status",
        accepted: "queued",
        delivered: "delivered",
        failed: "undelivered",
        unknown: 404,
        unauthorized: 401,
    },
];

impl Case {
    async fn send(&self, sandbox: &Sandbox) -> String {
        let sent = call(sandbox, "POST", self.send, self.headers, self.body).await;
        let sent = sent.unwrap();
        assert!((200..300).contains(&sent.status), "{}: {sent:?}", self.send);
        sandbox.messages().pop().unwrap().id
    }

    async fn get(&self, sandbox: &Sandbox, id: &str, headers: &[Header]) -> Response {
        let path = self.look_up.replace("{id}", id);
        call(sandbox, "GET", &path, headers, "").await.unwrap()
    }

    fn text(&self, response: &Response) -> Value {
        assert_eq!(response.status, 200, "{}: {response:?}", self.look_up);
        response.json().pointer(self.text).unwrap().clone()
    }

    fn status(&self, response: &Response) -> String {
        let text = self.text(response);
        let status = text.pointer(self.status).and_then(Value::as_str);
        status.unwrap_or_else(|| panic!("{text}")).to_owned()
    }
}

/// Has a vendor report to a port at which nobody listens, which changes what it shows.
async fn report(sandbox: &Sandbox, id: &str, status: ReportStatus) {
    let order = ReportOrder::by_id(id, status);
    let nobody = "http://127.0.0.1:1/";
    assert_eq!(sandbox.deliver_report(&order, nobody).await, Ok(None));
}

#[tokio::test]
async fn an_accepted_text_is_found_by_its_id_and_shows_what_was_reported() {
    for case in CASES {
        let sandbox = Sandbox::start().await;
        let id = case.send(&sandbox).await;
        let found = case.get(&sandbox, &id, case.headers).await;
        assert_eq!(case.status(&found), case.accepted, "{}", case.look_up);
        let text = case.text(&found).to_string();
        for part in [id.as_str(), "Hello", "31612345678"] {
            assert!(text.contains(part), "{}: {part} in {text}", case.look_up);
        }
        for (status, expected) in [
            (ReportStatus::Delivered, case.delivered),
            (ReportStatus::Failed, case.failed),
        ] {
            report(&sandbox, &id, status).await;
            let found = case.get(&sandbox, &id, case.headers).await;
            assert_eq!(case.status(&found), expected, "{}", case.look_up);
        }
    }
}

#[tokio::test]
async fn an_unknown_id_and_a_stranger_get_the_vendors_own_refusal() {
    let sandbox = Sandbox::start().await;
    for case in CASES {
        let id = case.send(&sandbox).await;
        let unknown = case.get(&sandbox, "0123456789abcdef", case.headers).await;
        assert_eq!(unknown.status, case.unknown, "{}", case.look_up);
        assert!(unknown.json().is_object(), "{}", case.look_up);
        let stranger = case.get(&sandbox, &id, &[UA]).await;
        assert_eq!(stranger.status, case.unauthorized, "{}", case.look_up);
        assert!(stranger.json().is_object(), "{}", case.look_up);
        let path = case.look_up.replace("{id}", &id);
        let deleted = call(&sandbox, "DELETE", &path, case.headers, "").await;
        assert!(deleted.unwrap().status >= 400, "{}", case.look_up);
    }
}

#[tokio::test]
async fn the_ids_of_one_api_are_unknown_to_the_others() {
    let sandbox = Sandbox::start().await;
    for case in CASES {
        let id = case.send(&sandbox).await;
        for other in CASES {
            let found = other.get(&sandbox, &id, other.headers).await;
            let expected = if other.look_up == case.look_up {
                200
            } else {
                404
            };
            assert_eq!(
                found.status, expected,
                "{} at {}",
                case.look_up, other.look_up
            );
        }
    }
}

#[tokio::test]
async fn a_look_up_has_a_fault_point_of_its_own() {
    let sandbox = Sandbox::start().await;
    for case in CASES {
        let id = case.send(&sandbox).await;
        for (fault, expected) in [
            (Fault::Throttle, 429),
            (Fault::Unauthorized, 401),
            (Fault::Status503, 503),
        ] {
            sandbox.fault(case.point, fault);
            case.send(&sandbox).await;
            let found = case.get(&sandbox, &id, case.headers).await;
            assert_eq!(found.status, expected, "{fault} at {}", case.look_up);
        }
        assert!(sandbox.faults_left().is_empty());
    }
}

async fn get(sandbox: &Sandbox, path: &str, headers: &[Header]) -> Value {
    let response = call(sandbox, "GET", path, headers, "").await.unwrap();
    assert_eq!(response.status, 200, "{path}: {response:?}");
    response.json()
}

#[tokio::test]
async fn spryng_lists_the_texts_of_a_request_and_those_with_a_reference() {
    let sandbox = Sandbox::start().await;
    let [.., v2, v1, _] = CASES else {
        unreachable!()
    };
    let sent = call(&sandbox, "POST", v2.send, v2.headers, v2.body)
        .await
        .unwrap()
        .json();
    v2.send(&sandbox).await;
    let path = format!(
        "/spryng/v2/requests/{}/messages",
        sent["data"]["requestId"].as_str().unwrap()
    );
    let data = get(&sandbox, &path, v2.headers).await["data"].clone();
    assert_eq!(data["totalCount"], 1);
    assert_eq!(
        data["messages"][0]["messageId"],
        sent["data"]["messageIds"][0]
    );
    assert_eq!(data["messages"][0]["requestId"], sent["data"]["requestId"]);

    let id = v1.send(&sandbox).await;
    let two = v1
        .body
        .replace("\"31612345678\"", "\"31612345678\",\"31687654321\"");
    let two = two.replace("01J9Z8", "01J9Z9");
    call(&sandbox, "POST", v1.send, v1.headers, &two)
        .await
        .unwrap();
    for filter in [
        "reference=01J9Z8",
        "filters[reference]=01J9Z8",
        "filters%5Breference%5D=01J9Z8",
    ] {
        let page = get(&sandbox, &format!("{}?{filter}", v1.send), v1.headers).await;
        assert_eq!(
            (&page["total"], &page["last_page"]),
            (&json!(1), &json!(1)),
            "{filter}"
        );
        assert_eq!(page["data"][0]["id"], id, "{filter}");
        assert_eq!(
            page["data"][0]["recipients"],
            Value::Null,
            "only on request"
        );
    }
    let both = format!("{}?with[]=recipients&reference=01J9Z9", v1.send);
    let page = get(&sandbox, &both, v1.headers).await;
    assert_eq!(page["data"][0]["recipients"].as_array().unwrap().len(), 2);
    assert_eq!(page["data"][0]["credits"], 2);
    for (query, count) in [
        ("", 2),
        ("recipient_number=31687654321", 1),
        ("status=pending", 2),
        ("status=delivered", 0),
        ("originator=Nobody", 0),
        ("created_from=2020-01-01T00:00:00Z", 2),
        ("created_until=2020-01-01T00:00:00Z", 0),
        ("page=2", 0),
        ("page=18446744073709551615", 0),
    ] {
        let page = get(&sandbox, &format!("{}?{query}", v1.send), v1.headers).await;
        assert_eq!(page["data"].as_array().unwrap().len(), count, "{query}");
    }
    let path = format!("{}?created_from=yesterday", v1.send);
    let wrong = call(&sandbox, "GET", &path, v1.headers, "").await.unwrap();
    assert_eq!(wrong.status, 422);
}

#[tokio::test]
async fn messagebird_lists_the_newest_first_without_a_filter_by_reference() {
    let sandbox = Sandbox::start().await;
    let [classic, platform, ..] = CASES else {
        unreachable!()
    };
    for (case, items, total) in [
        (classic, "items", Some("totalCount")),
        (platform, "data", None),
    ] {
        let mut ids = [case.send(&sandbox).await, case.send(&sandbox).await];
        ids.reverse();
        for (query, expected) in [
            ("", &ids[..]),
            ("?limit=1", &ids[..1]),
            ("?from=2099-01-01T00:00:00Z", &[][..]),
        ] {
            let page = get(&sandbox, &format!("{}{query}", case.send), case.headers).await;
            let listed = page[items].as_array().unwrap();
            let listed: Vec<_> = listed
                .iter()
                .map(|item| item["id"].as_str().unwrap())
                .collect();
            assert_eq!(listed, expected, "{}{query}", case.send);
            if let Some(total) = total {
                let all = if expected.is_empty() { 0 } else { 2 };
                assert_eq!(page[total], all, "{}{query}", case.send);
            }
        }
    }
    let next = format!("{}?limit=1", platform.send);
    let cursor = get(&sandbox, &next, platform.headers).await["next_cursor"].clone();
    let path = format!("{next}&starting_after={}", cursor.as_str().unwrap());
    let page = get(&sandbox, &path, platform.headers).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["next_cursor"], Value::Null);
    for wrong in ["limit=x", "limit=101", "tag=a", "reference=01J9Z8"] {
        let path = format!("{}?{wrong}", platform.send);
        let refused = call(&sandbox, "GET", &path, platform.headers, "").await;
        assert_eq!(refused.unwrap().status, 400, "{wrong}");
    }
    let path = format!("{}?limit=x", classic.send);
    let refused = call(&sandbox, "GET", &path, classic.headers, "").await;
    assert_eq!(refused.unwrap().status, 422);
}

#[tokio::test]
async fn the_text_of_an_authentication_is_shown_only_when_it_is_sent() {
    let sandbox = Sandbox::start().await;
    let platform = &CASES[1];
    let body = platform.body.replace("transactional", "authentication");
    let sent = call(&sandbox, "POST", platform.send, platform.headers, &body).await;
    assert_eq!(sent.unwrap().json()["text"], "Hello");
    let id = sandbox.messages()[0].id.clone();
    let found = platform.get(&sandbox, &id, platform.headers).await.json();
    assert_eq!(found["text"], "**REDACTED**");
    assert_eq!(found["metadata"]["reference"], "01J9Z8");
}

#[tokio::test]
async fn smstools_logs_the_newest_first() {
    let sandbox = Sandbox::start().await;
    let headers = [
        JSON,
        ("X-Client-Id", "sandbox"),
        ("X-Client-Secret", "sandbox"),
    ];
    for to in ["31612345678", "31687654321"] {
        let body = json!({"message": "Hello", "to": to, "sender": "Postduif"}).to_string();
        let sent = call(
            &sandbox,
            "POST",
            "/smstools/v1/message/send",
            &headers,
            &body,
        )
        .await;
        assert_eq!(sent.unwrap().status, 200);
    }
    let messages = sandbox.messages();
    report(&sandbox, &messages[0].id, ReportStatus::Delivered).await;
    const LOGGING: &str = "/smstools/v1/message/logging";
    let log = get(&sandbox, &format!("{LOGGING}?limit=2000&page=1"), &headers).await;
    let ids: Vec<_> = log["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["message_ID"])
        .collect();
    assert_eq!(ids, [&json!(messages[1].id), &json!(messages[0].id)]);
    assert_eq!(log["messages"][0]["status"], "submitted");
    assert_eq!(log["messages"][1]["status"], "delivered");
    let log = get(&sandbox, &format!("{LOGGING}?limit=1&page=2"), &headers).await;
    assert_eq!(log["messages"][0]["to"], "31612345678");
    let log = get(
        &sandbox,
        &format!("{LOGGING}?page=18446744073709551615"),
        &headers,
    )
    .await;
    assert_eq!(log, json!({"messages": []}));

    sandbox.fault("smstools.message", Fault::Throttle);
    for (headers, status) in [
        (&headers[..], 429),
        (&headers[..1], 400),
        (&headers[..], 200),
    ] {
        let response = call(&sandbox, "GET", LOGGING, headers, "").await.unwrap();
        assert_eq!(response.status, status);
    }
}

#[tokio::test]
async fn cm_lists_the_texts_of_a_period() {
    let sandbox = Sandbox::start().await;
    let headers = [JSON, ("X-CM-PRODUCTTOKEN", "sandbox")];
    let body = json!({"messages": {"msg": [{
        "from": "Postduif", "to": [{"number": "0031612345678"}], "reference": "01J9Z8",
        "body": {"content": "Hello", "type": "auto"},
    }]}});
    let sent = call(
        &sandbox,
        "POST",
        "/cm/v1.0/message",
        &headers,
        &body.to_string(),
    )
    .await;
    assert_eq!(sent.unwrap().status, 200);
    const LIST: &str = "/cm/v1.2/transactions";
    for (query, count) in [
        ("startdate=2020-01-01&enddate=2099-01-01", 1),
        (
            "startdate=2020-01-01T00:00:00&enddate=2099-01-01T00:00:00Z",
            1,
        ),
        ("startdate=2020-01-01&enddate=2020-01-02", 0),
    ] {
        for path in [LIST, "/cm/v1.2/transactions/"] {
            let list = get(&sandbox, &format!("{path}?{query}"), &headers).await;
            assert_eq!(
                (&list["status"], &list["message"]),
                (&json!(1), &json!("Ok"))
            );
            assert_eq!(list["result"].as_array().unwrap().len(), count, "{query}");
        }
    }
    let order = ReportOrder::new("01J9Z8", ReportStatus::Delivered);
    sandbox
        .deliver_report(&order, "http://127.0.0.1:1/")
        .await
        .unwrap();
    let path = format!("{LIST}?startdate=2020-01-01&enddate=2099-01-01");
    let one = get(&sandbox, &path, &headers).await["result"][0].clone();
    assert_eq!(
        (&one["recipient"], &one["status"]),
        (&json!("0031612345678"), &json!(20))
    );

    sandbox.fault("cm.message", Fault::Status503);
    for (path, headers, status) in [
        (path.as_str(), &headers[..], 503),
        (path.as_str(), &headers[..1], 401),
        (LIST, &headers[..], 400),
    ] {
        let response = call(&sandbox, "GET", path, headers, "").await.unwrap();
        assert_eq!(response.status, status, "{path}");
    }
}
