//! The access log of the server.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};

/// Responds as the router does, and logs the request.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let mut entry = Entry {
        method: name(request.method()),
        route: request.extensions().get::<MatchedPath>().cloned(),
        begun: Instant::now(),
        response: None,
    };
    let response = next.run(request).await;
    entry.response = Some(Answered {
        status: response.status().as_u16(),
        #[cfg(feature = "entra")]
        flow: response.extensions().get().copied(),
    });
    response
}

/// Logged when it is dropped, so that a request that nobody waits for any more is logged too.
struct Entry {
    method: &'static str,
    route: Option<MatchedPath>,
    begun: Instant,
    response: Option<Answered>,
}

struct Answered {
    status: u16,
    #[cfg(feature = "entra")]
    flow: Option<postduif_core::directory::FlowId>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Self { method, .. } = self;
        let route = self.route.as_ref().map(MatchedPath::as_str);
        let ms = self.begun.elapsed().as_micros() as f64 / 1e3;
        let status = self.response.as_ref().map(|answered| answered.status);
        #[cfg(feature = "entra")]
        let flow = self.response.as_ref().and_then(|answered| answered.flow);
        #[cfg(feature = "entra")]
        let flow = flow.map(tracing::field::display);
        #[cfg(not(feature = "entra"))]
        let flow: Option<&str> = None;
        tracing::debug!(
            target: "postduif_webhooks::access",
            method,
            route,
            status,
            ms,
            flow,
            "a request"
        );
    }
}

/// Returns the name of a method. One that HTTP does not define is the caller's own text.
fn name(method: &Method) -> &'static str {
    const DEFINED: [(Method, &str); 9] = [
        (Method::CONNECT, "CONNECT"),
        (Method::DELETE, "DELETE"),
        (Method::GET, "GET"),
        (Method::HEAD, "HEAD"),
        (Method::OPTIONS, "OPTIONS"),
        (Method::PATCH, "PATCH"),
        (Method::POST, "POST"),
        (Method::PUT, "PUT"),
        (Method::TRACE, "TRACE"),
    ];
    let mut defined = DEFINED.iter().filter(|(known, _)| known == method);
    defined.next().map_or("other", |(_, name)| name)
}
