//! Temporary Access Passes, whose secret is only in the response to their creation.

use chrono::{DateTime, SecondsFormat, TimeDelta, Timelike, Utc};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{
    GraphError, context,
    user::{is_external_guest, roles_of},
};
use crate::{
    http::{Request, Response},
    pass::Issued,
    world::{Config, State},
};

/// The lifetimes of the tenant's policy in minutes, which are Entra's defaults.
const MIN_MINUTES: u32 = 60;
const DEFAULT_MINUTES: u32 = 60;
const MAX_MINUTES: u32 = 480;

/// Handles `POST …/temporaryAccessPassMethods`, which replaces the user's other pass.
pub(super) fn create(
    state: &mut State,
    config: &Config,
    request: &Request,
    user: &str,
    now: DateTime<Utc>,
) -> Result<Response, GraphError> {
    let options = PassOptions::read(&super::object(request)?, now)?;
    let found = state
        .directory
        .find(user)
        .ok_or_else(|| GraphError::no_user(user))?;
    if is_external_guest(found) {
        return Err(GraphError::bad_request(
            "Temporary Access Pass cannot be added to an external guest user.",
        ));
    }
    // The sandbox's identity is an Authentication Administrator, which manages users without roles only.
    if roles_of(found).next().is_some() {
        return Err(GraphError::access_denied());
    }
    let id = id_of(found);
    let pass = state
        .passes
        .issue(&id, now, options.start, options.minutes, options.once);
    let mut response = describe(pass, now);
    response["temporaryAccessPass"] = json!(pass.secret);
    response["@odata.context"] = json!(context(
        config,
        &format!("users('{id}')/authentication/temporaryAccessPassMethods/$entity")
    ));
    Ok(super::json(StatusCode::CREATED, &response))
}

/// Handles `GET …/temporaryAccessPassMethods`, as of `shown_at`. The list has one pass, expired or not, or none.
pub(super) fn list(
    state: &State,
    config: &Config,
    user: &str,
    now: DateTime<Utc>,
    shown_at: DateTime<Utc>,
) -> Result<Response, GraphError> {
    let id = find(state, user)?;
    let passes: Vec<_> = state
        .passes
        .of_at(&id, shown_at)
        .map(|pass| describe(pass, now))
        .into_iter()
        .collect();
    Ok(super::json(
        StatusCode::OK,
        &json!({
            "@odata.context": context(
                config,
                &format!("users('{id}')/authentication/temporaryAccessPassMethods")
            ),
            "value": passes,
        }),
    ))
}

/// Handles `GET …/temporaryAccessPassMethods/{id}`, as of `shown_at`.
pub(super) fn read(
    state: &State,
    config: &Config,
    user: &str,
    pass: &str,
    now: DateTime<Utc>,
    shown_at: DateTime<Utc>,
) -> Result<Response, GraphError> {
    let id = find(state, user)?;
    let pass = state
        .passes
        .of_at(&id, shown_at)
        .filter(|known| known.id.eq_ignore_ascii_case(pass))
        .ok_or_else(no_pass)?;
    let mut response = describe(pass, now);
    response["@odata.context"] = json!(context(
        config,
        &format!("users('{id}')/authentication/temporaryAccessPassMethods/$entity")
    ));
    Ok(super::json(StatusCode::OK, &response))
}

/// Handles `DELETE …/temporaryAccessPassMethods/{id}`, with a 404 for a pass already deleted.
pub(super) fn revoke(
    state: &mut State,
    user: &str,
    pass: &str,
    now: DateTime<Utc>,
) -> Result<Response, GraphError> {
    let id = find(state, user)?;
    if !state.passes.revoke(&id, pass, now) {
        return Err(no_pass());
    }
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Handles `GET /policies/…/temporaryAccessPass`.
pub(super) fn policy(config: &Config) -> Response {
    super::json(
        StatusCode::OK,
        &json!({
            "@odata.context": context(config, "authenticationMethodConfigurations/$entity"),
            "@odata.type": "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration",
            "id": "TemporaryAccessPass",
            "state": "enabled",
            "defaultLength": 8,
            "defaultLifetimeInMinutes": DEFAULT_MINUTES,
            "minimumLifetimeInMinutes": MIN_MINUTES,
            "maximumLifetimeInMinutes": MAX_MINUTES,
            "isUsableOnce": false,
            "includeTargets": [],
            "excludeTargets": [],
        }),
    )
}

/// The options of a new pass, which default to the policy.
struct PassOptions {
    start: Option<DateTime<Utc>>,
    minutes: u32,
    once: bool,
}

impl PassOptions {
    fn read(body: &Value, now: DateTime<Utc>) -> Result<Self, GraphError> {
        let mut options = Self {
            start: None,
            minutes: DEFAULT_MINUTES,
            once: false,
        };
        for (name, value) in body.as_object().into_iter().flatten() {
            match name.as_str() {
                _ if value.is_null() => {}
                "isUsableOnce" => options.once = value.as_bool().ok_or_else(|| unreadable(name))?,
                "lifetimeInMinutes" => {
                    let minutes = value.as_i64().ok_or_else(|| unreadable(name))?;
                    options.minutes = u32::try_from(minutes)
                        .ok()
                        .filter(|minutes| (MIN_MINUTES..=MAX_MINUTES).contains(minutes))
                        .ok_or_else(outside_policy)?;
                }
                "startDateTime" => {
                    let text = value.as_str().ok_or_else(|| unreadable(name))?;
                    options.start = Some(start(text, now)?);
                }
                "@odata.type" => {}
                _ => return Err(unreadable(name)),
            }
        }
        Ok(options)
    }
}

fn start(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, GraphError> {
    let start = DateTime::parse_from_rfc3339(text).map_err(|_| unreadable("startDateTime"))?;
    // Graph was observed to refuse a start with a local offset as past until it was some seven hours ahead.
    let shift = if text.ends_with(['Z', 'z']) {
        TimeDelta::zero()
    } else {
        TimeDelta::hours(7)
    };
    let start = start.with_timezone(&Utc);
    if start
        .checked_sub_signed(shift)
        .is_none_or(|start| start < now)
    {
        return Err(GraphError::bad_request(
            "Invalid StartDateTime specified. It can not be a time in the past.",
        ));
    }
    Ok(start)
}

fn outside_policy() -> GraphError {
    GraphError::bad_request(format!(
        "Invalid LifetimeInMinutes specified. The valid range between {MIN_MINUTES} and {MAX_MINUTES}."
    ))
}

fn unreadable(name: &str) -> GraphError {
    GraphError::bad_request(format!("The property '{name}' cannot be read."))
}

fn no_pass() -> GraphError {
    GraphError::new(
        StatusCode::NOT_FOUND,
        "resourceNotFound",
        "The requested authentication method is not found.",
    )
}

fn find(state: &State, user: &str) -> Result<String, GraphError> {
    state
        .directory
        .find(user)
        .map(id_of)
        .ok_or_else(|| GraphError::no_user(user))
}

fn id_of(user: &Value) -> String {
    user["id"].as_str().unwrap_or_default().to_owned()
}

/// Returns a pass as JSON, without its secret.
fn describe(pass: &Issued, now: DateTime<Utc>) -> Value {
    let (usable, reason) = pass.usability(now);
    json!({
        "id": pass.id,
        "temporaryAccessPass": null,
        "createdDateTime": seven_digits(pass.created_at),
        "startDateTime": pass.start.to_rfc3339_opts(SecondsFormat::Secs, true),
        "lifetimeInMinutes": pass.minutes,
        "isUsableOnce": pass.once,
        "isUsable": usable,
        "methodUsabilityReason": reason,
    })
}

/// Formats a time as Microsoft does, with ticks of 100 ns, which is more digits than many parsers expect.
pub(crate) fn seven_digits(at: DateTime<Utc>) -> String {
    format!(
        "{}.{:07}Z",
        at.format("%Y-%m-%dT%H:%M:%S"),
        at.nanosecond() % 1_000_000_000 / 100
    )
}
