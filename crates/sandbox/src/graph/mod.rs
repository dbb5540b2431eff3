//! Microsoft Graph v1.0, as far as onboarding needs it.

mod error;
pub(crate) mod resume;
mod route;
mod tap;
mod user;

pub(crate) use tap::seven_digits;

use error::GraphError;
use route::Route;

use chrono::{DateTime, TimeDelta, Utc};
use hyper::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde_json::Value;

use crate::{
    fault::{
        Fault::{
            Exists, Lag, NotReplicated, PolicyRefuses, ResumeConflict, Throttle, TokenWithoutRoles,
            Unauthorized, UnauthorizedOnce,
        },
        Strike,
    },
    fault_point::FaultPoint,
    http::{Head, Request, Response},
    random,
    token::{Audience, Refused},
    world::{Config, State},
};

const USER: &str = "graph.user";
const ROLES: &str = "graph.roles";
const TAP: &str = "graph.tap";
const TAP_LIST: &str = "graph.tap_list";
const TAP_REVOKE: &str = "graph.tap_revoke";
const RESUME: &str = "graph.resume";

pub(crate) const FAULT_POINTS: &[FaultPoint] = &[
    FaultPoint::with(USER, &[NotReplicated, TokenWithoutRoles]),
    FaultPoint::with(ROLES, &[NotReplicated, TokenWithoutRoles]),
    FaultPoint::with(
        TAP,
        &[Exists, NotReplicated, PolicyRefuses, TokenWithoutRoles],
    ),
    FaultPoint::with(TAP_LIST, &[Lag, NotReplicated, TokenWithoutRoles]),
    FaultPoint::with(TAP_REVOKE, &[NotReplicated, TokenWithoutRoles]),
    FaultPoint::with(RESUME, &[NotReplicated, ResumeConflict, TokenWithoutRoles]),
];

pub(crate) fn fault_point(head: &Head) -> Option<&'static str> {
    Route::of(head).fault_point()
}

/// Returns Graph's response, with the request ids that its support needs.
pub(crate) fn respond(
    state: &mut State,
    config: &Config,
    request: &Request,
    strike: Option<Strike>,
) -> Response {
    let now = Utc::now();
    let request_id = random::guid();
    let client_id = request.head.headers.get("client-request-id").cloned();
    let response = match handle(state, config, request, strike, now) {
        Ok(response) => response,
        Err(error) => error.response(now, &request_id, client_id.as_ref()),
    };
    let client_id = client_id.or_else(|| HeaderValue::try_from(request_id.as_str()).ok());
    let response = response.with(HeaderName::from_static("request-id"), request_id);
    match client_id {
        Some(id) => response.with(HeaderName::from_static("client-request-id"), id),
        None => response,
    }
}

fn handle(
    state: &mut State,
    config: &Config,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Response, GraphError> {
    let route = Route::of(&request.head);
    apply_fault(state, &request.head, &route, strike)?;
    authorized(state, &request.head, &route, now)?;
    match route {
        Route::User(id) => user::read(state, config, &request.head, &id),
        Route::Manager(id) => user::manager(state, config, &request.head, &id),
        Route::Memberships(id) => user::memberships(state, config, &request.head, &id, false),
        Route::Roles(id) => user::memberships(state, config, &request.head, &id, true),
        Route::TapCreate(user) => tap::create(state, config, request, &user, now),
        Route::TapList(user) => tap::list(state, config, &user, now, shown_at(now, strike)),
        Route::TapRead(user, id) => {
            tap::read(state, config, &user, &id, now, shown_at(now, strike))
        }
        Route::TapRevoke(user, id) => tap::revoke(state, &user, &id, now),
        Route::TapPolicy => Ok(tap::policy(config)),
        Route::Lifecycle(ids) => resume::lifecycle(state, request, &ids, now),
        Route::Assignment(id) => resume::assignment(state, request, &id, now),
        Route::Nothing => Err(GraphError::new(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            "Resource not found for the segment.",
        )),
        Route::WrongMethod => Err(GraphError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            "Specified HTTP method is not allowed for the request target.",
        )),
    }
}

/// Returns the time whose passes a read shows: an earlier one under [`Lag`].
fn shown_at(now: DateTime<Utc>, strike: Option<Strike>) -> DateTime<Utc> {
    let lag = strike.filter(|strike| strike.fault == Lag);
    lag.and_then(|strike| TimeDelta::from_std(strike.wait()).ok())
        .and_then(|lag| now.checked_sub_signed(lag))
        .unwrap_or(now)
}

/// Applies the faults that are Graph's own errors.
fn apply_fault(
    state: &mut State,
    head: &Head,
    route: &Route,
    strike: Option<Strike>,
) -> Result<(), GraphError> {
    let Some(strike) = strike else {
        return Ok(());
    };
    match strike.fault {
        Throttle => Err(GraphError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            "Too many requests.",
        )
        .with(RETRY_AFTER, strike.ms.div_ceil(1000).to_string())),
        Unauthorized => Err(GraphError::token("Access token validation failure.")),
        UnauthorizedOnce => {
            if let Some(token) = head.bearer() {
                state.tokens.revoke(token);
            }
            Err(GraphError::token("Access token validation failure."))
        }
        TokenWithoutRoles => {
            // The refusal follows from the token, for this request and all later ones with it.
            if let Some(token) = head.bearer() {
                state.tokens.remove_roles(token);
            }
            Ok(())
        }
        NotReplicated => Err(match route {
            Route::Lifecycle(_) | Route::Assignment(_) => GraphError::nothing_to_resume(),
            Route::User(id)
            | Route::Memberships(id)
            | Route::Roles(id)
            | Route::TapCreate(id)
            | Route::TapList(id)
            | Route::TapRead(id, _)
            | Route::TapRevoke(id, _) => GraphError::no_user(id),
            _ => GraphError::no_user(""),
        }),
        PolicyRefuses => Err(GraphError::new(
            StatusCode::BAD_REQUEST,
            "badRequest",
            "The user's converged credential policy does not allow creating or updating this authentication method type.",
        )),
        Exists => Err(GraphError::bad_request(
            "The user already has a Temporary Access Pass. Delete the existing one before creating another.",
        )),
        ResumeConflict => Err(GraphError::already_resumed()),
        _ => Ok(()),
    }
}

fn authorized(
    state: &State,
    head: &Head,
    route: &Route,
    now: DateTime<Utc>,
) -> Result<(), GraphError> {
    let Some(token) = head.bearer() else {
        return Err(GraphError::token("Access token is empty."));
    };
    state
        .tokens
        .check(token, Audience::Graph, now)
        .map_err(|refused| {
            GraphError::token(match refused {
                Refused::Expired => "Lifetime validation failed, the token is expired.",
                Refused::Unknown => "Access token validation failure.",
                Refused::WrongAudience => "Access token validation failure. Invalid audience.",
            })
        })?;
    if state.tokens.has_roles(token) {
        return Ok(());
    }
    Err(match route {
        Route::TapCreate(_) | Route::TapList(_) | Route::TapRead(..) | Route::TapRevoke(..) => {
            GraphError::access_denied()
        }
        _ => GraphError::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        ),
    })
}

/// Returns a response of Graph's media type, whose parameters break a client that compares it as text.
fn json(status: StatusCode, body: &Value) -> Response {
    Response::json(status, body).with(
        CONTENT_TYPE,
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
    )
}

/// Returns the JSON object in the body of a request whose `Content-Type` is JSON.
fn object(request: &Request) -> Result<Value, GraphError> {
    if !request.head.is("application/json") {
        return Err(GraphError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Request_BadRequest",
            "A supported MIME type could not be found that matches the content type of the request.",
        ));
    }
    request.json_object().ok_or_else(|| {
        GraphError::new(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
        )
    })
}

/// Returns the `@odata.context` of an entity.
fn context(config: &Config, of: &str) -> String {
    format!("http://{}/graph/v1.0/$metadata#{of}", config.authority)
}
