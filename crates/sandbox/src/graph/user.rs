//! People: the object, its manager, its directory roles.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::{GraphError, context};
use crate::{
    wire::{Head, Reply},
    world::{Place, State},
};

/// `GET /users/{id}`: the read that lets a late user appear.
pub(super) fn read(
    state: &mut State,
    place: &Place,
    head: &Head,
    id: &str,
) -> Result<Reply, GraphError> {
    let user = state
        .directory
        .read(id)
        .cloned()
        .ok_or_else(|| GraphError::no_user(id))?;
    let mut answer = selected(&user, head.query("$select"))?;
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
        // A user without a manager comes without the member, not with null.
        if let Some(manager) = manager_of(state, &user) {
            let mut manager = selected(&manager, select)?;
            manager.insert("@odata.type".into(), json!("#microsoft.graph.user"));
            answer.insert("manager".into(), manager.into());
        }
    }
    Ok(entity(place, "users/$entity", answer))
}

/// `GET /users/{id}/manager`; nobody is a 404.
pub(super) fn manager(
    state: &State,
    place: &Place,
    head: &Head,
    id: &str,
) -> Result<Reply, GraphError> {
    let user = state
        .directory
        .find(id)
        .ok_or_else(|| GraphError::no_user(id))?;
    let manager = manager_of(state, user).ok_or_else(|| GraphError::no_user("manager"))?;
    let mut answer = selected(&manager, head.query("$select"))?;
    answer.insert("@odata.type".into(), json!("#microsoft.graph.user"));
    Ok(entity(place, "directoryObjects/$entity", answer))
}

/// `GET /users/{id}/transitiveMemberOf/microsoft.graph.directoryRole`.
pub(super) fn roles(
    state: &State,
    place: &Place,
    head: &Head,
    id: &str,
) -> Result<Reply, GraphError> {
    let user = state
        .directory
        .find(id)
        .ok_or_else(|| GraphError::no_user(id))?;
    let wanted: Option<Vec<_>> = head
        .query("$select")
        .map(|select| select.split(',').map(str::trim).collect());
    let roles: Vec<Value> = roles_of(user)
        .map(|role| {
            let members = role.as_object().into_iter().flatten();
            members
                .filter(|(name, _)| {
                    wanted
                        .as_ref()
                        .is_none_or(|wanted| wanted.contains(&name.as_str()))
                })
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Map<_, _>>()
                .into()
        })
        .collect();
    Ok(super::json(
        StatusCode::OK,
        &json!({
            "@odata.context": context(place, "directoryRoles"),
            "value": roles,
        }),
    ))
}

/// The directory roles among a user's memberships.
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

/// Whether this person belongs to another tenant.
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

fn entity(place: &Place, of: &str, mut members: Map<String, Value>) -> Reply {
    members.insert("@odata.context".into(), json!(context(place, of)));
    super::json(StatusCode::OK, &members.into())
}

/// The properties asked for; `userType` and `accountEnabled` come only when they are.
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
                // Collections are never null.
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

/// What a read without `$select` gives.
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

/// Properties that a user has even where its object in the sandbox does not name them.
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
