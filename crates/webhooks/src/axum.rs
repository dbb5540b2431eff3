//! The routes as axum routers.

#[cfg(feature = "reports")]
use std::sync::Arc;
use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing,
};

#[cfg(feature = "reports")]
use axum::extract::{OriginalUri, Path, rejection::PathRejection};

use crate::Reply;
#[cfg(feature = "reports")]
use crate::routes::{BODY_LIMIT, Kind, Routes};

/// The most time that a body may take to arrive in a server without such a limit. [`Server`](crate::Server) has one,
/// which is shorter.
const MAX_BODY_TIME: Duration = Duration::from_secs(40);

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body()).into_response();
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                let name = HeaderName::from_static(name);
                response.headers_mut().insert(name, value);
            }
        }
        #[cfg(feature = "entra")]
        if let Some(flow) = self.flow() {
            response.extensions_mut().insert(flow);
        }
        response
    }
}

/// Reads a body of at most `limit` bytes.
async fn read(body: Body, limit: usize) -> Result<Bytes, Reply> {
    // A declared length is refused before anything of the body is requested or awaited.
    if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > limit) {
        return Err(Reply::TOO_LARGE);
    }
    match tokio::time::timeout(MAX_BODY_TIME, to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_too_large(&error) => Err(Reply::TOO_LARGE),
        Ok(Err(_)) => Err(Reply::MALFORMED),
        Err(_) => Err(Reply::new(408, "")),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(feature = "reports")]
impl crate::Reports {
    /// Returns the routes `/reports/{vendor}` and `/reports/{vendor}/{secret}`, for the methods that vendors use.
    ///
    /// Nest it where the origin's prefix of the path is. **Keep the path out of access logs**: it holds a secret.
    pub fn router(&self) -> Router {
        router(&self.0)
    }
}

#[cfg(feature = "reports")]
impl crate::Inbound {
    /// Returns the routes `/inbound/{vendor}` and `/inbound/{vendor}/{secret}`, for the methods that vendors use.
    ///
    /// Nest it where the origin's prefix of the path is. **Keep the path out of access logs**: it holds a secret.
    pub fn router(&self) -> Router {
        router(&self.0)
    }
}

#[cfg(feature = "reports")]
fn router<K: Kind>(routes: &Arc<Routes<K>>) -> Router {
    let path = K::PATH;
    Router::new()
        .route(&format!("/{path}/{{vendor}}"), routing::any(receive::<K>))
        .route(
            &format!("/{path}/{{vendor}}/{{secret}}"),
            routing::any(receive_with_secret::<K>),
        )
        .with_state(Arc::clone(routes))
}

#[cfg(feature = "reports")]
async fn receive<K: Kind>(
    State(routes): State<Arc<Routes<K>>>,
    path: Result<Path<String>, PathRejection>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Reply {
    let Ok(Path(vendor)) = path else {
        // It is not UTF-8, as no vendor's name is.
        return Reply::NOT_FOUND;
    };
    route(&routes, &vendor, &uri.to_string(), request).await
}

#[cfg(feature = "reports")]
async fn receive_with_secret<K: Kind>(
    State(routes): State<Arc<Routes<K>>>,
    path: Result<Path<(String, String)>, PathRejection>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Reply {
    let Ok(Path((vendor, _))) = path else {
        // It is not UTF-8, as no secret is.
        return Reply::NOT_FOUND;
    };
    route(&routes, &vendor, &uri.to_string(), request).await
}

#[cfg(feature = "reports")]
async fn route<K: Kind>(routes: &Routes<K>, vendor: &str, target: &str, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    if let Some(refused) = routes.refuses(vendor, target) {
        return refused;
    }
    let body = match read(body, BODY_LIMIT).await {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let request = routes.request(parts.method.as_str(), target, &parts.headers, &body);
    let now = std::time::SystemTime::now().into();
    routes.receive(vendor, &request, now).await
}

#[cfg(feature = "entra")]
impl crate::Callouts {
    /// Returns the routes `/callouts/lifecycle` and `/callouts/access-package`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/callouts/lifecycle", routing::post(lifecycle))
            .route("/callouts/access-package", routing::post(access_package))
            .with_state(self.clone())
    }
}

#[cfg(feature = "entra")]
async fn lifecycle(State(callouts): State<crate::Callouts>, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    match callouts.authenticate(&parts.headers).await {
        Ok(admitted) => match read(body, postduif_entra::CalloutParser::BODY_LIMIT).await {
            Ok(body) => admitted.lifecycle(&body).await,
            Err(reply) => reply,
        },
        Err(reply) => reply,
    }
}

#[cfg(feature = "entra")]
async fn access_package(State(callouts): State<crate::Callouts>, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    match callouts.authenticate(&parts.headers).await {
        Ok(admitted) => match read(body, postduif_entra::CalloutParser::BODY_LIMIT).await {
            Ok(body) => admitted.access_package(&body).await,
            Err(reply) => reply,
        },
        Err(reply) => reply,
    }
}
