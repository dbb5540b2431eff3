use chrono::{DateTime, Utc};
use postduif_core::{
    Guid,
    directory::{AccessPackageStage, Callback, Callout, RequestType},
};
use postduif_entra::{
    CalloutError,
    CalloutErrorKind::{self, Hostile, Malformed, Unlisted},
    CalloutParser, Parsed,
};
use serde_json::{Value, json};

const USER: &str = "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43";
const WORKFLOW: &str = "3d6f0c61-7a5e-4f0b-9a39-0f6f2a1b7c10";
const TASK: &str = "8c0b7a52-11de-4b0e-8b63-6b0a3e5d9f21";
const RESULT: &str = "f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32";
const REQUEST: &str = "b0c4d9e2-3f51-4a77-9d15-2c6e8f0a1b23";
const INSTANCE: &str = "d41a7f60-9b2c-4e38-8c5d-7e1f2a3b4c5d";
const CATALOG: &str = "4d5e6f70-8192-43a4-b5c6-d7e8f9012a3b";
const ZEROS: &str = "00000000-0000-0000-0000-000000000000";

const WORKFLOW_PATH: &str = "/identityGovernance/lifecycleWorkflows/workflows/3d6f0c61-7a5e-4f0b-9a39-0f6f2a1b7c10/tasks/8c0b7a52-11de-4b0e-8b63-6b0a3e5d9f21/taskProcessingResults/f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32/resume";
const PACKAGE_PATH: &str = "/identityGovernance/entitlementManagement/accessPackageAssignmentRequests/b0c4d9e2-3f51-4a77-9d15-2c6e8f0a1b23/resume";

fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

fn received_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_421_000, 0).unwrap()
}

/// The example of Microsoft's schema.
fn workflow() -> Value {
    json!({
        "source": "any-text",
        "type": "any-text",
        "data": {
            "callbackUriPath": WORKFLOW_PATH,
            "subject": {
                "id": USER,
                "displayName": "Example Joiner",
                "email": null,
                "userPrincipalName": "joiner@tenant.example",
                "manager": {"id": TASK, "displayName": "Example Manager", "email": "manager@tenant.example"},
            },
            "task": {"id": TASK, "displayName": "Send pass by SMS"},
            "taskProcessingResult": {"id": RESULT, "createdDateTime": "2026-11-23T08:00:00.1234567Z"},
            "workflow": {"id": WORKFLOW, "displayName": "Onboard joiner", "workflowVersion": 4},
        },
    })
}

fn package() -> Value {
    json!({
        "AccessPackageAssignmentRequestId": REQUEST,
        "CallbackUriPath": PACKAGE_PATH,
        "CustomExtensionStageInstanceId": INSTANCE,
        "Stage": "AssignmentRequestGranted",
        "RequestType": "UserAdd",
        "Answers": [],
        "State": "delivered",
        "Status": "Delivered",
        "CallbackConfiguration": {"DurationBeforeTimeout": "PT1H"},
        "AccessPackage": {"Id": TASK, "DisplayName": "Sales starter", "Description": ""},
        "AccessPackageCatalog": {"Id": CATALOG, "DisplayName": "Sales", "Description": ""},
        "Assignment": {
            "Id": TASK, "State": "Delivered", "Status": "Delivered",
            "Target": {"Id": WORKFLOW, "ObjectId": USER, "DisplayName": "Example Joiner", "ConnectedOrganization": null},
            "AssignmentPolicy": {"Id": TASK, "DisplayName": "Default"},
        },
        "Requestor": {"Id": WORKFLOW, "ObjectId": TASK, "DisplayName": "Another user"},
    })
}

/// Returns the body with a value at `/a/b/c`, or without that member.
fn with(mut body: Value, at: &str, value: impl Into<Option<Value>>) -> Value {
    let (parent, name) = at.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value.into() {
        Some(value) => parent.insert(name.to_owned(), value),
        None => parent.remove(name),
    };
    body
}

fn read(body: &Value) -> Result<Parsed, CalloutError> {
    read_by(&CalloutParser::new(), body)
}

fn read_by(parser: &CalloutParser, body: &Value) -> Result<Parsed, CalloutError> {
    parser.parse(body.to_string().as_bytes(), received_at())
}

#[track_caller]
fn callout(body: &Value) -> Callout {
    match read(body) {
        Ok(Parsed::Callout(callout)) => callout,
        other => panic!("{body}: {other:?}"),
    }
}

#[track_caller]
fn assert_refused(body: &Value, kind: CalloutErrorKind) {
    match read(body) {
        Err(error) => assert_eq!(error.kind(), kind, "{error}: {body}"),
        Ok(parsed) => panic!("{parsed:?}: {body}"),
    }
}

#[test]
fn a_workflow_that_waits_is_read() {
    let expected = Callout::new(
        guid(RESULT).into(),
        guid(USER).into(),
        Callback::lifecycle(guid(WORKFLOW), guid(TASK), guid(RESULT)),
        received_at(),
    )
    .with_created_at("2026-11-23T08:00:00.1234567Z".parse().unwrap());
    assert_eq!(callout(&workflow()), expected);
    let parser = CalloutParser::new();
    let bytes = workflow().to_string();
    assert_eq!(
        parser.parse_lifecycle(bytes.as_bytes(), received_at()),
        Ok(Parsed::Callout(expected))
    );
}

#[test]
fn an_access_package_that_waits_is_read() {
    let callout = callout(&package());
    assert_eq!(callout.flow(), guid(INSTANCE).into());
    assert_eq!(
        callout.user(),
        Some(guid(USER).into()),
        "the target, not the requestor"
    );
    assert_eq!(
        callout.callback().copied().unwrap(),
        Callback::assignment(
            guid(REQUEST),
            guid(INSTANCE),
            AccessPackageStage::RequestGranted
        )
    );
    assert_eq!(callout.window().unwrap().as_secs(), 3600);
    assert_eq!(callout.window_start(), received_at());
    let bytes = package().to_string();
    assert_eq!(
        CalloutParser::new().parse_access_package(bytes.as_bytes(), received_at()),
        Ok(Parsed::Callout(callout))
    );
}

#[test]
fn names_have_no_case_and_strangers_are_ignored() {
    fn cased(body: &Value, case: fn(&str) -> String) -> Value {
        match body {
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (case(name), cased(value, case)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }
    for body in [workflow(), package()] {
        for case in [str::to_uppercase as fn(&str) -> String, str::to_lowercase] {
            assert_eq!(callout(&cased(&body, case)), callout(&body));
        }
    }
    let odd = with(
        workflow(),
        "/data/workflow",
        json!({"id": WORKFLOW, "workflowVerson": "4", "new": [{}]}),
    );
    assert_eq!(callout(&odd), callout(&workflow()));
    let odd = with(with(workflow(), "/source", json!(7)), "/type", None);
    assert_eq!(callout(&odd), callout(&workflow()));
}

#[test]
fn only_the_ids_that_are_needed_are_required() {
    let bare = json!({"data": {"subject": {"id": USER}, "taskProcessingResult": {"id": RESULT}}});
    assert_eq!(callout(&bare).callback(), None);
    for at in [
        "/data/subject/displayName",
        "/data/subject/manager",
        "/data/task/displayName",
    ] {
        for value in [None, Some(Value::Null)] {
            assert_eq!(
                callout(&with(workflow(), at, value)),
                callout(&workflow()),
                "{at}"
            );
        }
    }
    let bare = json!({
        "Stage": "assignmentRequestGranted",
        "RequestType": "userAdd",
        "CustomExtensionStageInstanceId": INSTANCE,
        "Assignment": {"Target": {"ObjectId": USER}},
    });
    assert_eq!(callout(&bare).callback(), None);
}

#[test]
fn an_id_that_is_needed_must_be_a_guid() {
    for at in [
        "/data/subject/id",
        "/data/taskProcessingResult/id",
        "/data/workflow/id",
        "/data/task/id",
    ] {
        for value in [
            json!("x"),
            json!("../users"),
            json!(format!("{USER}/..")),
            json!(7),
            json!([USER]),
            json!({"id": USER}),
        ] {
            assert_refused(&with(workflow(), at, value), Malformed);
        }
    }
    for at in [
        "/data/taskProcessingResult/id",
        "/data/workflow/id",
        "/data/task/id",
    ] {
        for value in [None, Some(Value::Null), Some(json!("")), Some(json!(ZEROS))] {
            assert_refused(&with(workflow(), at, value), Malformed);
        }
    }
    for at in [
        "/CustomExtensionStageInstanceId",
        "/AccessPackageAssignmentRequestId",
    ] {
        for value in [
            None,
            Some(Value::Null),
            Some(json!("x")),
            Some(json!(ZEROS)),
        ] {
            assert_refused(&with(package(), at, value), Malformed);
        }
    }
    assert_refused(
        &with(package(), "/Assignment/Target/ObjectId", json!("x")),
        Malformed,
    );
}

#[test]
fn without_a_path_there_is_no_callback() {
    for value in [None, Some(Value::Null), Some(json!(""))] {
        let body = with(workflow(), "/data/callbackUriPath", value.clone());
        assert_eq!(callout(&body).callback(), None);
        let body = with(package(), "/CallbackUriPath", value);
        assert_eq!(callout(&body).callback(), None);
        assert_eq!(callout(&body).window(), None);
    }
}

#[test]
fn a_path_is_compared_without_case() {
    for path in [WORKFLOW_PATH.to_uppercase(), WORKFLOW_PATH.to_lowercase()] {
        let body = with(workflow(), "/data/callbackUriPath", json!(path));
        assert_eq!(callout(&body), callout(&workflow()));
    }
    for path in [
        PACKAGE_PATH.to_uppercase(),
        format!("/identityGovernance/entitlementManagement/assignmentRequests/{REQUEST}/resume"),
    ] {
        let body = with(package(), "/CallbackUriPath", json!(path));
        assert_eq!(callout(&body), callout(&package()));
    }
}

/// What a string after Graph's host could do.
fn hostile(good: &str) -> Vec<String> {
    let mut paths: Vec<String> = [
        "https://evil.example",
        "//evil.example",
        "@evil.example",
        ".evil.example",
        ":8443",
        "\\\\evil.example",
        "/..",
        "/%2e%2e",
        "/%2E%2E%2F",
        "/beta",
        "/v1.0",
        "\r\nHost: evil.example\r\n",
        " ",
        "\u{0}",
        "\u{202e}",
    ]
    .iter()
    .map(|prefix| format!("{prefix}{good}"))
    .collect();
    for suffix in [
        "?x=1",
        "#x",
        "/",
        "/x",
        "/../x",
        "/%2e%2e/x",
        "\\x",
        " ",
        "\n",
        "\r\nx: y",
        "\u{0}",
        ";x",
        "%00",
        "@evil.example",
    ] {
        paths.push(format!("{good}{suffix}"));
    }
    paths.extend([
        good.trim_start_matches('/').to_owned(),
        good.replace('/', "\\"),
        good.replace('/', "//"),
        good.replace('/', "%2f"),
        good.replace("/resume", ""),
        good.replace("/resume", "/../resume"),
        good.replace("/resume", "/r\u{435}sume"),
        good.replace(RESULT, USER).replace(REQUEST, USER),
        good.replace("identityGovernance", "identityGovernance/."),
        format!("/users/{USER}/revokeSignInSessions"),
        "/".into(),
        " ".into(),
        "x".repeat(10_000),
    ]);
    paths
}

#[test]
fn a_path_that_is_another_is_hostile() {
    for path in hostile(WORKFLOW_PATH) {
        assert_refused(
            &with(workflow(), "/data/callbackUriPath", json!(path)),
            Hostile,
        );
    }
    for path in hostile(PACKAGE_PATH) {
        assert_refused(&with(package(), "/CallbackUriPath", json!(path)), Hostile);
    }
    // The path of the other kind of call-out.
    assert_refused(
        &with(workflow(), "/data/callbackUriPath", json!(PACKAGE_PATH)),
        Hostile,
    );
    assert_refused(
        &with(package(), "/CallbackUriPath", json!(WORKFLOW_PATH)),
        Hostile,
    );
    for path in [json!(7), json!([WORKFLOW_PATH]), json!({})] {
        assert_refused(&with(workflow(), "/data/callbackUriPath", path), Malformed);
    }
}

#[test]
fn an_unchecked_path_changes_nothing_but_that_it_is_taken() {
    let parser = CalloutParser::new().with_unchecked_path();
    let body = with(workflow(), "/data/callbackUriPath", json!("@evil.example"));
    assert_eq!(
        read_by(&parser, &body),
        Ok(Parsed::Callout(callout(&workflow())))
    );
}

#[test]
fn what_is_not_about_a_user_can_still_be_resumed() {
    let known = callout(&workflow());
    let nobody = Callout::without_user(known.flow(), known.callback().copied(), received_at());
    let waiting = Parsed::NoUser(nobody.with_created_at(known.window_start()));
    let provisioned = "#microsoft.graph.identityGovernance.provisioningObjectWorkflowSubject";
    for body in [
        with(workflow(), "/data/subject", None),
        with(workflow(), "/data/subject", Value::Null),
        with(workflow(), "/data/subject/id", Value::Null),
        with(workflow(), "/data/subject/id", json!(ZEROS)),
        with(
            workflow(),
            "/data/targetSubject",
            json!({"@odata.type": provisioned, "id": "x"}),
        ),
    ] {
        assert_eq!(read(&body).as_ref(), Ok(&waiting), "{body}");
    }
    let of = "#microsoft.graph.identityGovernance.directoryObjectWorkflowSubject";
    let body = with(
        workflow(),
        "/data/targetSubject",
        json!({"@odata.type": of, "id": USER}),
    );
    assert_eq!(callout(&body), callout(&workflow()));

    let known = callout(&package());
    let nobody = Callout::without_user(known.flow(), known.callback().copied(), received_at());
    let waiting = Parsed::NoUser(nobody.with_window(known.window().unwrap()));
    for body in [
        with(package(), "/Assignment", None),
        with(package(), "/Assignment/Target", Value::Null),
        with(package(), "/Assignment/Target/ObjectId", Value::Null),
        with(package(), "/Assignment/Target/ObjectId", json!(ZEROS)),
    ] {
        assert_eq!(read(&body).as_ref(), Ok(&waiting), "{body}");
    }
}

#[test]
fn a_time_in_another_form_is_as_good_as_none() {
    for time in [
        json!("yesterday"),
        json!(""),
        Value::Null,
        json!("2026-11-23 08:00"),
    ] {
        let body = with(
            workflow(),
            "/data/taskProcessingResult/createdDateTime",
            time,
        );
        assert_eq!(callout(&body).window_start(), received_at());
    }
}

#[test]
fn a_window_that_can_be_read_counts_and_another_refuses_no_callout() {
    let at = "/CallbackConfiguration/DurationBeforeTimeout";
    for (window, seconds) in [
        ("PT5M", Some(300)),
        ("P14D", Some(1_209_600)),
        ("PT1H30M", Some(5400)),
        ("01:00:00", Some(3600)),
        ("14.00:00:00", Some(1_209_600)),
        ("PT4M59S", Some(299)),
        ("P15D", Some(1_209_600)),
        ("PT0S", None),
        ("-PT1H", None),
        ("P1Y", None),
        ("P1M", None),
        ("soon", None),
        ("PT9999999999999999999H", None),
    ] {
        let body = with(package(), at, json!(window));
        let read = callout(&body).window().map(|window| window.as_secs());
        assert_eq!(read, seconds, "{window}");
    }
    for window in [None, Some(Value::Null), Some(json!(""))] {
        assert_eq!(callout(&with(package(), at, window)).window(), None);
    }
    assert_eq!(
        callout(&with(package(), "/CallbackConfiguration", Value::Null)).window(),
        None
    );
}

#[test]
fn a_broken_display_name_refuses_no_callout() {
    let good = workflow().to_string();
    for name in [
        "Anna \\ud83d",
        "\\ud83d\\ud83d\\ude00",
        "\\udc00 \\\\ud83d",
        "\\ud83dé",
        "\\é\\ud83d",
    ] {
        let name = name.replace("\\\\", "\\").replace("\\é", "é");
        let body = good.replace("Example Joiner", &name);
        let read = CalloutParser::new().parse(body.as_bytes(), received_at());
        assert_eq!(read, Ok(Parsed::Callout(callout(&workflow()))), "{name}");
    }
    let latin: Vec<u8> = good
        .replace("Example Joiner", "Ren@e")
        .bytes()
        .map(|byte| if byte == b'@' { 0xe9 } else { byte })
        .collect();
    let marked = [b"\xef\xbb\xbf", good.as_bytes()].concat();
    for body in [latin, marked] {
        let read = CalloutParser::new().parse(&body, received_at());
        assert_eq!(read, Ok(Parsed::Callout(callout(&workflow()))));
    }
}

#[test]
fn every_stage_is_known_and_there_is_no_callback_before_an_expiry() {
    let every = CalloutParser::new().with_stages(AccessPackageStage::ALL.iter().copied());
    for &stage in AccessPackageStage::ALL {
        let stages = json!(stage.as_str().to_uppercase());
        let Ok(Parsed::Callout(callout)) = read_by(&every, &with(package(), "/Stage", stages))
        else {
            panic!("{stage}");
        };
        let waits = !matches!(
            stage,
            AccessPackageStage::FourteenDaysBeforeExpiration
                | AccessPackageStage::OneDayBeforeExpiration
        );
        assert_eq!(callout.callback().is_some(), waits, "{stage}");
        assert_eq!(callout.window().is_some(), waits, "{stage}");
    }
    for stage in ["assignmentRequestDeterminingApprovalRequirements", "x"] {
        assert_refused(&with(package(), "/Stage", json!(stage)), Malformed);
    }
}

#[test]
fn a_connection_test_asks_for_nothing() {
    for body in [
        json!({"Stage": "CustomExtensionConnectionTest"}),
        json!({"stage": "customextensionconnectiontest", "CustomExtensionStageInstanceId": ZEROS}),
        with(package(), "/Stage", json!("CustomExtensionConnectionTest")),
    ] {
        assert_eq!(read(&body), Ok(Parsed::ConnectionTest));
    }
}

#[test]
fn only_listed_catalogs_and_stages_are_taken() {
    let listed = CalloutParser::new().with_catalogs([guid(CATALOG)]);
    let other = CalloutParser::new().with_catalogs([guid(USER)]);
    let kind = |parsed: Result<Parsed, CalloutError>| parsed.err().map(|error| error.kind());
    assert_eq!(kind(read_by(&listed, &package())), None);
    assert_eq!(kind(read_by(&other, &package())), Some(Unlisted));
    assert_eq!(kind(read_by(&other, &workflow())), None);
    let nameless = with(package(), "/AccessPackageCatalog", None);
    assert_eq!(kind(read_by(&listed, &nameless)), Some(Unlisted));
    assert_eq!(
        kind(read_by(&CalloutParser::new().with_catalogs([]), &package())),
        Some(Unlisted)
    );
    let test = with(package(), "/Stage", json!("CustomExtensionConnectionTest"));
    assert_eq!(kind(read_by(&other, &test)), Some(Unlisted));
    assert_eq!(
        read_by(&other, &json!({"Stage": "CustomExtensionConnectionTest"})),
        Ok(Parsed::ConnectionTest)
    );

    let removed = with(package(), "/Stage", json!("AssignmentRequestRemoved"));
    let widened = CalloutParser::new().with_stages([AccessPackageStage::RequestRemoved]);
    assert_eq!(kind(read_by(&widened, &removed)), None);
    assert_eq!(kind(read_by(&widened, &package())), Some(Unlisted));
}

#[test]
fn only_an_assignment_granted_for_the_first_time_makes_a_pass() {
    let kind = |body: &Value| read(body).err().map(|error| error.kind());
    for &stage in AccessPackageStage::ALL {
        let body = with(package(), "/Stage", json!(stage));
        let expected = (stage != AccessPackageStage::RequestGranted).then_some(Unlisted);
        assert_eq!(kind(&body), expected, "{stage}");
    }
    for &of in RequestType::ALL {
        let adds = of.as_str().ends_with("Add");
        let body = with(package(), "/RequestType", json!(of));
        assert_eq!(kind(&body), (!adds).then_some(Unlisted), "{of}");
        let widened = CalloutParser::new().with_request_types([of]);
        assert!(read_by(&widened, &body).is_ok(), "{of}");
    }
    for unknown in [None, Some(Value::Null), Some(json!("x")), Some(json!(""))] {
        let body = with(package(), "/RequestType", unknown);
        assert_eq!(kind(&body), Some(Unlisted), "{body}");
    }
    let removed = with(package(), "/Stage", json!("AssignmentRequestRemoved"));
    let removed = with(removed, "/RequestType", json!("UserRemove"));
    assert_eq!(kind(&removed), Some(Unlisted));
}

#[test]
fn what_is_neither_or_both_is_malformed() {
    let flat = json!({
        "Event": "AccessPackageAssignmentRequestGranted", "TargetId": USER, "TargetEmail": "x@y.example",
        "AccessPackageAssignmentId": REQUEST, "CatalogId": CATALOG, "RequestCreatedDateTime": "2021-11-04T08:00:00Z",
    });
    for body in [
        flat.clone(),
        json!({}),
        json!([]),
        json!(null),
        json!("x"),
        json!([workflow()]),
        json!({"data": null}),
        json!({"data": []}),
        json!({"data": "x"}),
        with(workflow(), "/Stage", json!("AssignmentRequestGranted")),
        with(package(), "/data", json!({})),
    ] {
        assert_refused(&body, Malformed);
    }
    let parser = CalloutParser::new();
    let bytes = flat.to_string();
    assert!(
        parser
            .parse_access_package(bytes.as_bytes(), received_at())
            .is_err()
    );
    assert!(
        parser
            .parse_lifecycle(bytes.as_bytes(), received_at())
            .is_err()
    );
}

#[test]
fn a_duplicate_name_is_refused() {
    for (once, twice) in [
        (
            r#""subject""#,
            format!(r#""Subject": {{"id": "{TASK}"}}, "subject""#),
        ),
        (
            r#""subject""#,
            format!(r#""subject": {{"id": "{TASK}"}}, "subject""#),
        ),
        (
            r#""callbackUriPath""#,
            r#""callbackuripath": "", "callbackUriPath""#.into(),
        ),
    ] {
        let body = workflow().to_string().replacen(once, &twice, 1);
        let error = CalloutParser::new()
            .parse(body.as_bytes(), received_at())
            .unwrap_err();
        assert_eq!(error.kind(), Malformed, "{body}");
    }
}

#[test]
fn no_body_is_too_deep_too_long_or_too_broken_to_be_refused() {
    let good = workflow().to_string();
    let padded = |length: usize| {
        let mut body = good.clone();
        body.push_str(&" ".repeat(length - good.len()));
        body
    };
    let parser = CalloutParser::new();
    let limit = CalloutParser::BODY_LIMIT;
    assert!(
        parser
            .parse(padded(limit).as_bytes(), received_at())
            .is_ok()
    );
    assert!(
        parser
            .parse(padded(limit + 1).as_bytes(), received_at())
            .is_err()
    );
    let deep = |open: &str, close: &str, count: usize| {
        good.replacen(
            "\"any-text\"",
            &(open.repeat(count) + "1" + &close.repeat(count)),
            1,
        )
    };
    for body in [
        deep("{\"a\":", "}", 200),
        deep("{\"a\":", "}", 30_000),
        "[".repeat(200_000),
        "{\"data\":".repeat(30_000),
        good[..good.len() - 1].to_owned(),
        format!("{good}{good}"),
        String::new(),
    ] {
        assert!(parser.parse(body.as_bytes(), received_at()).is_err());
    }
    let mut broken = good.into_bytes();
    broken.insert(10, 0xff);
    assert!(parser.parse(&broken, received_at()).is_err());
}

#[test]
fn no_time_before_1970_starts_a_window() {
    for none in [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "1601-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
    ] {
        let body = with(
            workflow(),
            "/data/taskProcessingResult/createdDateTime",
            json!(none),
        );
        assert_eq!(callout(&body).window_start(), received_at(), "{none}");
    }
}

#[test]
fn a_time_or_a_window_of_another_type_is_left_out() {
    for other in [
        json!(1_700_000_000),
        json!({"ticks": 1}),
        json!([1]),
        json!(true),
    ] {
        let at = "/data/taskProcessingResult/createdDateTime";
        let body = with(workflow(), at, other.clone());
        assert_eq!(callout(&body).window_start(), received_at(), "{other}");
        let at = "/CallbackConfiguration/DurationBeforeTimeout";
        let body = with(package(), at, other.clone());
        assert_eq!(callout(&body).window(), None, "{other}");
    }
}
