//! Entra's login: the token endpoint, the metadata and the keys of the tenant.

use chrono::{SecondsFormat, Utc};
use hyper::{Method, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};

use crate::{
    CLIENT_ID, TENANT, entra_token,
    fault::{Fault, Strike},
    fault_point::FaultPoint,
    http::{self, Head, Request, Response},
    random,
    token::Audience,
    world::{Config, State},
};

const KEYS: &str = "login.keys";
const METADATA: &str = "login.metadata";
const TOKEN: &str = "login";

pub(crate) const FAULT_POINTS: &[FaultPoint] = &[
    FaultPoint::with(TOKEN, &[Fault::TokenWithoutRoles]),
    FaultPoint::new(KEYS),
    FaultPoint::new(METADATA),
];

pub(crate) fn fault_point(head: &Head) -> Option<&'static str> {
    let path = head.path();
    let [_, rest @ ..] = path.as_slice() else {
        return None;
    };
    match rest {
        ["oauth2", "v2.0", "token"] => Some(TOKEN),
        ["discovery", "keys"] | ["discovery", "v2.0", "keys"] => Some(KEYS),
        [".well-known", "openid-configuration"]
        | ["v2.0", ".well-known", "openid-configuration"] => Some(METADATA),
        _ => None,
    }
}

/// Returns the response to a request for a token, metadata or keys.
pub(crate) fn respond(
    state: &mut State,
    config: &Config,
    request: &Request,
    strike: Option<Strike>,
) -> Response {
    let tenant = tenant(&request.head);
    if tenant.is_some() && request.head.method != Method::POST {
        return refusal(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            900_561,
            "The endpoint only accepts POST requests.",
        );
    }
    match strike.map(|strike| (strike.fault, strike.ms)) {
        Some((Fault::Throttle, ms)) => {
            return refusal(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                90_055,
                "The tenant has exceeded its allotted throttling limit.",
            )
            .with(RETRY_AFTER, ms.div_ceil(1000).to_string());
        }
        Some((Fault::Unauthorized | Fault::UnauthorizedOnce, _)) => return wrong_secret(),
        _ => {}
    }
    let Some(tenant) = tenant else {
        return published(config, &request.head).map_or_else(
            || Response::empty(StatusCode::NOT_FOUND),
            |body| Response::json(StatusCode::OK, &body),
        );
    };
    if !tenant.eq_ignore_ascii_case(TENANT) {
        return refusal(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            90_002,
            "Tenant not found. Check to make sure you have the correct tenant ID.",
        );
    }
    let form = request.form();
    let field = |name| http::value(&form, name);
    match field("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            return refusal(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                70_003,
                "The app requested an unsupported grant type.",
            );
        }
        None => {
            return refusal(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                900_144,
                "The request body must contain the following parameter: 'grant_type'.",
            );
        }
    }
    if field("client_id") != Some(CLIENT_ID) {
        return refusal(
            StatusCode::BAD_REQUEST,
            "unauthorized_client",
            700_016,
            "Application was not found in the directory.",
        );
    }
    match (field("client_secret"), field("client_assertion")) {
        (Some("sandbox"), _) => {}
        (Some(_), _) => return wrong_secret(),
        (None, Some(_)) => {
            return refusal(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                700_027,
                "The certificate used to sign the client assertion is not registered on application.",
            );
        }
        (None, None) => {
            return refusal(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                7_000_218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            );
        }
    }
    let Some(resource) = field("scope").and_then(|scope| scope.strip_suffix("/.default")) else {
        return refusal(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            1_002_012,
            "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.",
        );
    };
    let Some(audience) = audience(resource) else {
        return refusal(
            StatusCode::BAD_REQUEST,
            "invalid_resource",
            500_011,
            "The resource principal was not found in the tenant.",
        );
    };
    let has_roles = !strike.is_some_and(|strike| strike.fault == Fault::TokenWithoutRoles);
    let token = state
        .tokens
        .issue(audience, has_roles, config.token_life, Utc::now());
    let seconds = config.token_life.as_secs();
    // `expires_in` is a number, unlike the strings of KPN and managed identities.
    Response::json(
        StatusCode::OK,
        &json!({
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": token,
        }),
    )
}

/// Returns the tenant's metadata or keys, with which receivers verify tokens.
fn published(config: &Config, head: &Head) -> Option<Value> {
    let path = head.path();
    let [tenant, rest @ ..] = path.as_slice() else {
        return None;
    };
    if head.method != Method::GET || !tenant.eq_ignore_ascii_case(TENANT) {
        return None;
    }
    match rest {
        ["discovery", "keys"] | ["discovery", "v2.0", "keys"] => Some(entra_token::jwks()),
        [".well-known", "openid-configuration"] => Some(metadata(
            config,
            &entra_token::issuer_v1(TENANT),
            "discovery/keys",
            "oauth2/token",
        )),
        ["v2.0", ".well-known", "openid-configuration"] => Some(metadata(
            config,
            &entra_token::issuer(TENANT),
            "discovery/v2.0/keys",
            "oauth2/v2.0/token",
        )),
        _ => None,
    }
}

fn metadata(config: &Config, issuer: &str, keys: &str, token: &str) -> Value {
    let login = format!("http://{}/login/{TENANT}", config.authority);
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{login}/{keys}"),
        "token_endpoint": format!("{login}/{token}"),
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

fn tenant(head: &Head) -> Option<&str> {
    match head.path().as_slice() {
        [tenant, "oauth2", "v2.0", "token"] => Some(tenant),
        _ => None,
    }
}

/// Returns the audience for a resource. The sandbox's Graph has any host, in case of a proxy.
fn audience(resource: &str) -> Option<Audience> {
    const GRAPHS: [&str; 4] = [
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
    ];
    let resource = resource.trim_end_matches('/');
    if GRAPHS.contains(&resource) || resource.ends_with("/graph") {
        return Some(Audience::Graph);
    }
    let other = resource == "https://vault.azure.net"
        || resource == crate::AUDIENCE
        || resource.strip_prefix("api://") == Some(crate::AUDIENCE);
    other.then_some(Audience::Other)
}

fn wrong_secret() -> Response {
    refusal(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        7_000_215,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
    )
}

fn refusal(status: StatusCode, error: &str, number: u32, text: &str) -> Response {
    let now = Utc::now()
        .to_rfc3339_opts(SecondsFormat::Secs, true)
        .replace('T', " ");
    let (trace, correlation) = (random::guid(), random::guid());
    Response::json(
        status,
        &json!({
            "error": error,
            "error_description": format!(
                "AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
            ),
            "error_codes": [number],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
        }),
    )
}
