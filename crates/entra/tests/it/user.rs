use postduif_core::{
    Acceptance::NotAccepted,
    directory::{
        Graph as _, GraphError,
        GraphErrorKind::{NotFound, Protocol, Unavailable},
        Roles, UserKind,
    },
};
use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use crate::support::{
    REQUEST_ID, USER, USER_PATH, World, assert_error, assert_is_ours, header, html, ok, said, user,
};

const SELECT: &str = "id,displayName,givenName,surname,userPrincipalName,mail,mobilePhone,preferredLanguage,usageLocation,userType,accountEnabled,externalUserState,employeeHireDate";
const MANAGER: &str = "7b1c3e5f-2d4a-4c6e-8a90-1b2c3d4e5f60";

fn roles_path() -> String {
    format!("{USER_PATH}/transitiveMemberOf/microsoft.graph.directoryRole")
}

fn joiner() -> Value {
    json!({
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users/$entity",
        "id": USER.to_uppercase(),
        "displayName": "Sanne de Vries",
        "givenName": "Sanne",
        "surname": "de Vries",
        "userPrincipalName": "sanne@contoso.example",
        "mail": null,
        "mobilePhone": " 06 - 12 34 56 78",
        "preferredLanguage": "nl-NL",
        "usageLocation": "NL",
        "userType": "Member",
        "accountEnabled": true,
        "externalUserState": null,
        "employeeHireDate": "2026-12-01T00:00:00Z",
        "unknown": {"of": ["any", "kind"]},
    })
}

async fn world(person: &Value, roles: &Value) -> World {
    let world = World::start().await;
    world.on("GET", USER_PATH, ok(person)).await;
    world.on("GET", &roles_path(), ok(roles)).await;
    world
}

#[tokio::test]
async fn a_user_is_read_with_what_is_used_and_their_roles() {
    let world = world(&joiner(), &json!({"value": []})).await;
    let read = world.entra().user(&user()).await.unwrap();
    assert_eq!(read.id, user());
    assert_eq!(read.display_name.as_deref(), Some("Sanne de Vries"));
    assert_eq!(read.given_name.as_deref(), Some("Sanne"));
    assert_eq!(read.surname.as_deref(), Some("de Vries"));
    assert_eq!(
        read.user_principal_name.as_deref(),
        Some("sanne@contoso.example")
    );
    assert_eq!(read.mail, None);
    assert_eq!(
        read.mobile.as_deref(),
        Some(" 06 - 12 34 56 78"),
        "as written"
    );
    assert_eq!(read.preferred_language.as_deref(), Some("nl-NL"));
    assert_eq!(read.region.as_deref(), Some("NL"));
    assert_eq!(
        (read.enabled, read.kind),
        (Some(true), Some(UserKind::Member))
    );
    assert!(!read.external);
    assert_eq!(read.roles, Roles::Held(vec![]));
    assert_eq!(
        read.hire_date.unwrap().to_rfc3339(),
        "2026-12-01T00:00:00+00:00"
    );
    assert_eq!(read.manager, None);

    let [person, roles] = world.asked().await.try_into().unwrap();
    let query = |request: &wiremock::Request| -> Vec<(String, String)> {
        request.url.query_pairs().into_owned().collect()
    };
    assert_eq!(query(&person), [("$select".into(), SELECT.into())]);
    assert_eq!(query(&roles), [("$select".into(), "id,displayName".into())]);
    assert_eq!(roles.url.path(), roles_path());
    assert_is_ours(&person, "token-1");
    assert_is_ours(&roles, "token-1");
    assert_ne!(
        person.headers["client-request-id"], roles.headers["client-request-id"],
        "fresh for each request"
    );
}

#[tokio::test]
async fn all_but_the_id_may_be_missing_null_or_blank() {
    let nulls: Value = SELECT
        .split(',')
        .map(|name| (name.to_owned(), Value::Null))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut nulls = nulls;
    nulls["id"] = json!(USER);
    let blanks = json!({"id": USER, "mobilePhone": "  ", "mail": "", "externalUserState": "", "userType": "", "employeeHireDate": "soon"});
    for person in [json!({"id": USER}), nulls, blanks] {
        let world = world(&person, &json!({"value": []})).await;
        let read = world.entra().user(&user()).await.unwrap();
        assert_eq!((read.mobile, read.mail, read.kind), (None, None, None));
        assert_eq!(
            (read.enabled, read.external, read.hire_date),
            (None, false, None)
        );
    }
}

#[tokio::test]
async fn a_guest_of_another_tenant_is_known_by_state_or_name() {
    for (person, external) in [
        (
            json!({"externalUserState": "PendingAcceptance", "userType": "guest"}),
            true,
        ),
        (
            json!({"userPrincipalName": "a_b.example#ext#@c.example", "userType": "GUEST"}),
            true,
        ),
        (
            json!({"userPrincipalName": "a@c.example", "userType": "Guest"}),
            false,
        ),
    ] {
        let mut person = person;
        person["id"] = json!(USER);
        let world = world(&person, &json!({"value": []})).await;
        let read = world.entra().user(&user()).await.unwrap();
        assert_eq!(
            (read.external, read.kind),
            (external, Some(UserKind::Guest)),
            "{person}"
        );
    }
}

#[tokio::test]
async fn another_user_or_none_is_an_error() {
    for person in [
        json!({"id": MANAGER}),
        json!({"id": null}),
        json!({"displayName": "x"}),
        json!({"id": USER, "mobilePhone": 31612345678_u64}),
        json!([]),
        json!({"value": [joiner()]}),
    ] {
        let world = world(&person, &json!({"value": []})).await;
        let error = world.entra().user(&user()).await.unwrap_err();
        assert_error(&error, Protocol, NotAccepted, &person.to_string());
        assert_eq!(error.request_id(), Some(REQUEST_ID));
        assert_eq!(world.asked().await.len(), 1);
    }
}

#[tokio::test]
async fn a_user_who_does_not_exist_yet_is_reported_at_once() {
    let world = World::start().await;
    world
        .on(
            "GET",
            USER_PATH,
            said(404, "Request_ResourceNotFound", "no"),
        )
        .await;
    let error = world.entra().user(&user()).await.unwrap_err();
    assert_error(&error, NotFound, NotAccepted, "a new user");
    assert_eq!(error.code(), Some("Request_ResourceNotFound"));
    assert_eq!(world.asked().await.len(), 1);
}

#[tokio::test]
async fn roles_are_held_unreadable_or_not_asked_for() {
    let role = |name: Value| json!({"id": "6a0c", "displayName": name});
    let foreign = "https://evil.example/v1.0/next";
    for (answer, expected) in [
        (
            ok(&json!({"value": [role(json!("User Administrator"))]})),
            Roles::Held(vec!["User Administrator".into()]),
        ),
        (
            ok(&json!({"value": [role(Value::Null)]})),
            Roles::Held(vec!["6a0c".into()]),
        ),
        (
            ok(&json!({"value": [role(json!("A"))], "@odata.nextLink": foreign})),
            Roles::Held(vec!["A".into()]),
        ),
        (
            ok(&json!({"value": [], "@odata.nextLink": foreign})),
            Roles::Unreadable,
        ),
        (
            said(403, "Authorization_RequestDenied", "no"),
            Roles::Unreadable,
        ),
    ] {
        let world = World::start().await;
        world.on("GET", USER_PATH, ok(&joiner())).await;
        world.on("GET", &roles_path(), answer).await;
        assert_eq!(world.entra().user(&user()).await.unwrap().roles, expected);
        assert_eq!(world.asked().await.len(), 2, "no link is followed");
    }

    let world = World::start().await;
    world.on("GET", USER_PATH, ok(&joiner())).await;
    let entra = world.builder().with_roles(false).build().unwrap();
    assert_eq!(entra.user(&user()).await.unwrap().roles, Roles::NotAsked);
    assert_eq!(world.asked().await.len(), 1);
}

/// The responses of Graph to the three queries for roles: with the cast, with the counted cast, without.
async fn roles_by(
    cast: ResponseTemplate,
    counted: ResponseTemplate,
    all: ResponseTemplate,
) -> (Result<Roles, GraphError>, usize) {
    let world = World::start().await;
    world.on("GET", USER_PATH, ok(&joiner())).await;
    let all_path = format!("{USER_PATH}/transitiveMemberOf");
    world.on("GET", &all_path, all).await;
    let by_header = move |request: &Request| match header(request, "consistencylevel") {
        Some("eventual") if request.url.query().unwrap().contains("%24count=true") => {
            counted.clone()
        }
        _ => cast.clone(),
    };
    world.on("GET", &roles_path(), by_header).await;
    let read = world.entra().user(&user()).await.map(|user| user.roles);
    (read, world.asked().await.len() - 1)
}

#[tokio::test]
async fn a_cast_that_graph_does_not_support_is_replaced_by_another_query() {
    let held = ok(&json!({"value": [{"id": "6a0c", "displayName": "A"}]}));
    let ordinary = ok(&json!({"value": []}));
    let mixed = ok(&json!({"value": [
        {"@odata.type": "#microsoft.graph.group", "id": "1", "displayName": "G"},
        {"@odata.type": "#microsoft.graph.directoryRole", "id": "2", "displayName": "R"},
    ]}));
    let groups = ok(&json!({"value": [
        {"@odata.type": "#microsoft.graph.group", "id": "1", "displayName": "G"},
    ]}));
    let untyped = ok(&json!({"value": [{"id": "1", "displayName": "U"}]}));
    let role = |name: &str| Roles::Held(vec![name.to_owned()]);
    for broken in [
        said(400, "Request_UnsupportedQuery", "no"),
        html(500),
        html(503),
    ] {
        let asked = async |counted: &ResponseTemplate, all: &ResponseTemplate| {
            let (read, asked) = roles_by(broken.clone(), counted.clone(), all.clone()).await;
            (read.unwrap(), asked)
        };
        assert_eq!(asked(&held, &broken).await, (role("A"), 2));
        assert_eq!(asked(&ordinary, &broken).await, (Roles::Held(vec![]), 2));
        assert_eq!(asked(&broken, &mixed).await, (role("R"), 3));
        assert_eq!(asked(&broken, &groups).await, (Roles::Held(vec![]), 3));
        assert_eq!(asked(&broken, &untyped).await, (role("U"), 3));
        let forbidden = said(403, "Authorization_RequestDenied", "no");
        assert_eq!(asked(&broken, &forbidden).await, (Roles::Unreadable, 3));
    }
    let (read, asked) = roles_by(html(503), html(500), said(400, "x", "no")).await;
    assert_error(&read.unwrap_err(), Unavailable, NotAccepted, "the first");
    assert_eq!(asked, 3);
    // Another refusal ends the queries at once.
    let (read, asked) = roles_by(said(404, "ResourceNotFound", "no"), held.clone(), held).await;
    assert_error(&read.unwrap_err(), NotFound, NotAccepted, "no user");
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn pages_are_followed_on_our_own_url() {
    for (link, followed) in [
        (
            "https://evil.example/v1.0/users/x?$select=id&$skiptoken=a%2Fb%26c",
            true,
        ),
        ("/x?%24skiptoken=a%2Fb%26c", true),
        ("https://evil.example/v1.0/next", false),
        ("https://evil.example/?$skiptoken=", false),
        ("https://evil.example/?$skiptoken=a%0d%0ab", false),
    ] {
        let world = World::start().await;
        world.on("GET", USER_PATH, ok(&joiner())).await;
        let answer = move |request: &Request| {
            let token = |(name, value): &(_, std::borrow::Cow<'_, str>)| {
                *name == *"$skiptoken" && *value == *"a/b&c"
            };
            if request.url.query_pairs().any(|pair| token(&pair)) {
                ok(&json!({"value": [{"id": "1", "displayName": "R"}]}))
            } else {
                ok(&json!({"value": [], "@odata.nextLink": link}))
            }
        };
        world.on("GET", &roles_path(), answer).await;
        let roles = world.entra().user(&user()).await.unwrap().roles;
        let expected = if followed {
            Roles::Held(vec!["R".into()])
        } else {
            Roles::Unreadable
        };
        assert_eq!(roles, expected, "{link}");
    }
    // Endless pages.
    let world = World::start().await;
    world.on("GET", USER_PATH, ok(&joiner())).await;
    let endless = ok(&json!({"value": [], "@odata.nextLink": "/x?$skiptoken=a"}));
    world.on("GET", &roles_path(), endless).await;
    assert_eq!(
        world.entra().user(&user()).await.unwrap().roles,
        Roles::Unreadable
    );
    assert_eq!(world.asked().await.len(), 51);
}

#[tokio::test]
async fn roles_that_could_not_be_asked_for_are_an_error_and_never_none() {
    for (answer, kind) in [
        (html(403), Protocol),
        (html(503), Unavailable),
        (said(404, "ResourceNotFound", "no"), NotFound),
        (ok(&json!({})), Protocol),
        (ok(&json!({"value": null})), Protocol),
        (ok(&json!({"value": [{"displayName": "A"}]})), Protocol),
    ] {
        let world = World::start().await;
        world.on("GET", USER_PATH, ok(&joiner())).await;
        world.on("GET", &roles_path(), answer).await;
        let error = world.entra().user(&user()).await.unwrap_err();
        assert_error(&error, kind, NotAccepted, "roles");
    }
}

#[tokio::test]
async fn the_manager_is_read_if_enabled() {
    let path = format!("{USER_PATH}/manager");
    let manager = json!({"@odata.type": "#microsoft.graph.user", "id": MANAGER, "displayName": "Zoë", "mail": "zoe@contoso.example"});
    for (answer, expected) in [
        (ok(&manager), Some("Zoë")),
        (said(404, "Request_ResourceNotFound", "no"), None),
    ] {
        let world = world(&joiner(), &json!({"value": []})).await;
        world.on("GET", &path, answer).await;
        let entra = world.builder().with_manager(true).build().unwrap();
        let read = entra.user(&user()).await.unwrap().manager;
        assert_eq!(
            read.as_ref()
                .and_then(|manager| manager.display_name.as_deref()),
            expected
        );
        let asked = world.asked().await;
        assert_eq!(
            asked[2].url.query(),
            Some("%24select=id%2CdisplayName%2Cmail")
        );
    }
    for answer in [html(404), ok(&json!({"id": "x"}))] {
        let world = world(&joiner(), &json!({"value": []})).await;
        world.on("GET", &path, answer).await;
        let entra = world.builder().with_manager(true).build().unwrap();
        let error = entra.user(&user()).await.unwrap_err();
        assert_error(&error, Protocol, NotAccepted, "manager");
    }
}
