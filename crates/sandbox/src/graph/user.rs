//! Users: the object, its manager, its directory roles.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::{GraphError, context};
use crate::{
    http::{Head, Response},
    world::{Config, State},
};

/// Handles `GET /users/{id}`, which counts as a read after which a late user appears.
pub(super) fn read(
    state: &mut State,
    config: &Config,
    head: &Head,
    id: &str,
) -> Result<Response, GraphError> {
    let user = state
        .directory
        .read(id)
        .cloned()
        .ok_or_else(|| GraphError::no_user(id))?;
    let mut response = selected(&user, head.query("$select"))?;
    if let Some(expand) = head.query("$expand") {
        let select = match expand.strip_prefix("manager") {
            Some("") => None,
            Some(options) => Some(
                options
                    .strip_prefix("($select=")
                    .and_then(|options| options.strip_suffix(')'))
                    .ok_or_else(|| bad_query("$expand"))?,
            ),
            None => return Err(bad_query("$expand")),
        };
        // A user without a manager has no such member, not even null.
        if let Some(manager) = manager_of(state, &user) {
            let mut manager = selected(&manager, select)?;
            manager.insert("@odata.type".into(), json!("#microsoft.graph.user"));
            response.insert("manager".into(), manager.into());
        }
    }
    Ok(entity(config, "users/$entity", response))
}

/// Handles `GET /users/{id}/manager`, with a 404 for no manager.
pub(super) fn manager(
    state: &State,
    config: &Config,
    head: &Head,
    id: &str,
) -> Result<Response, GraphError> {
    let user = state
        .directory
        .find(id)
        .ok_or_else(|| GraphError::no_user(id))?;
    let manager = manager_of(state, user).ok_or_else(|| GraphError::no_user("manager"))?;
    let mut response = selected(&manager, head.query("$select"))?;
    response.insert("@odata.type".into(), json!("#microsoft.graph.user"));
    Ok(entity(config, "directoryObjects/$entity", response))
}

/// Handles `GET /users/{id}/transitiveMemberOf`, with or without the cast to directory roles, in pages.
pub(super) fn memberships(
    state: &State,
    config: &Config,
    head: &Head,
    id: &str,
    cast: bool,
) -> Result<Response, GraphError> {
    let user = state
        .directory
        .find(id)
        .ok_or_else(|| GraphError::no_user(id))?;
    let number = |option: &str, default: usize| match head.query(option) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| bad_query(option)),
    };
    let top = number("$top", DEFAULT_PAGE)?;
    if !(1..=MAX_PAGE).contains(&top) {
        return Err(bad_query("$top"));
    }
    let skipped = number("$skiptoken", 0)?;
    let select = head.query("$select");
    let selected_names: Option<Vec<_>> =
        select.map(|select| select.split(',').map(str::trim).collect());
    let shown = |of: &Value| -> Value {
        let members = of.as_object().into_iter().flatten();
        members
            .filter(|(name, _)| {
                // A cast implies the type, which is left out then.
                let is_type = name.as_str() == "@odata.type";
                match &selected_names {
                    _ if is_type => !cast,
                    None => true,
                    Some(selected_names) => selected_names.contains(&name.as_str()),
                }
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>()
            .into()
    };
    let all: Vec<&Value> = if cast {
        roles_of(user).collect()
    } else {
        let memberships = user["transitiveMemberOf"].as_array();
        memberships.into_iter().flatten().collect()
    };
    let page: Vec<_> = all
        .iter()
        .skip(skipped)
        .take(top)
        .map(|of| shown(of))
        .collect();
    let (what, path) = if cast {
        ("directoryRoles", "/microsoft.graph.directoryRole")
    } else {
        ("directoryObjects", "")
    };
    let mut response = json!({"@odata.context": context(config, what), "value": page});
    let end = skipped.saturating_add(top);
    if end < all.len() {
        let select = select.map_or_else(String::new, |select| format!("$select={select}&"));
        response["@odata.nextLink"] = json!(format!(
            "http://{}/graph/v1.0/users/{id}/transitiveMemberOf{path}?{select}$top={top}&$skiptoken={end}",
            config.authority
        ));
    }
    Ok(super::json(StatusCode::OK, &response))
}

/// The size of a page of memberships: the default, and the largest.
const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 999;

/// Returns the directory roles among a user's memberships.
pub(super) fn roles_of(user: &Value) -> impl Iterator<Item = &Value> {
    user["transitiveMemberOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|group| {
            group["@odata.type"]
                .as_str()
                .is_none_or(|of| of == "#microsoft.graph.directoryRole")
        })
}

/// Returns whether this user belongs to another tenant.
pub(super) fn is_external_guest(user: &Value) -> bool {
    user["userType"]
        .as_str()
        .is_some_and(|of| of.eq_ignore_ascii_case("Guest"))
        && (!user["externalUserState"].is_null()
            || user["userPrincipalName"]
                .as_str()
                .is_some_and(|name| name.contains("#EXT#")))
}

fn manager_of(state: &State, user: &Value) -> Option<Value> {
    state
        .directory
        .find(user["manager"]["id"].as_str()?)
        .cloned()
}

fn entity(config: &Config, of: &str, mut members: Map<String, Value>) -> Response {
    members.insert("@odata.context".into(), json!(context(config, of)));
    super::json(StatusCode::OK, &members.into())
}

/// Returns the selected properties. `userType` and `accountEnabled` are not among the default ones.
fn selected(user: &Value, select: Option<&str>) -> Result<Map<String, Value>, GraphError> {
    let names: Vec<_> = match select {
        None | Some("") => BY_DEFAULT.to_vec(),
        Some(select) => select.split(',').map(str::trim).collect(),
    };
    let mut members = Map::new();
    for name in names {
        let relation = ["manager", "transitiveMemberOf"].contains(&name);
        let value = match user.get(name) {
            Some(value) if !relation => value.clone(),
            None if KNOWN.contains(&name) => match name {
                // A collection is never null.
                "businessPhones" | "otherMails" => json!([]),
                _ => Value::Null,
            },
            _ => {
                return Err(GraphError::new(
                    StatusCode::BAD_REQUEST,
                    "BadRequest",
                    format!(
                        "Could not find a property named '{name}' on type 'microsoft.graph.user'."
                    ),
                ));
            }
        };
        members.insert(name.to_owned(), value);
    }
    Ok(members)
}

fn bad_query(option: &str) -> GraphError {
    GraphError::new(
        StatusCode::BAD_REQUEST,
        "BadRequest",
        format!("Parsing OData {option} failed."),
    )
}

/// The properties of a read without `$select`.
const BY_DEFAULT: &[&str] = &[
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];

/// Properties that a user has even if its object in the sandbox does not.
const KNOWN: &[&str] = &[
    "accountEnabled",
    "businessPhones",
    "city",
    "companyName",
    "country",
    "createdDateTime",
    "department",
    "displayName",
    "employeeHireDate",
    "employeeId",
    "employeeLeaveDateTime",
    "employeeType",
    "externalUserState",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mailNickname",
    "mobilePhone",
    "officeLocation",
    "onPremisesSyncEnabled",
    "otherMails",
    "preferredLanguage",
    "state",
    "streetAddress",
    "surname",
    "usageLocation",
    "userPrincipalName",
    "userType",
];
