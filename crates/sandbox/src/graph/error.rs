use chrono::{DateTime, Utc};
use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue, WWW_AUTHENTICATE},
};
use serde_json::json;

use crate::http::Response;

/// A refusal in Graph's envelope.
#[derive(Debug)]
pub(super) struct GraphError {
    status: StatusCode,
    code: &'static str,
    message: String,
    header: Option<(HeaderName, String)>,
}

impl GraphError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            header: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "badRequest", message)
    }

    pub(super) fn access_denied() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "accessDenied",
            "Request Authorization failed",
        )
    }

    pub(super) fn already_resumed() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "Conflict",
            "The task processing result was resumed already.",
        )
    }

    pub(super) fn nothing_to_resume() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            "There is nothing here that waits for a callback.",
        )
    }

    pub(super) fn no_user(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Request_ResourceNotFound",
            format!(
                "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
            ),
        )
    }

    pub(super) fn token(message: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            message,
        )
        .with(
            WWW_AUTHENTICATE,
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", client_id=\"00000003-0000-0000-c000-000000000000\"".into(),
        )
    }

    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(super) fn response(
        self,
        now: DateTime<Utc>,
        request_id: &str,
        client_id: Option<&HeaderValue>,
    ) -> Response {
        let client_id = client_id
            .and_then(|id| id.to_str().ok())
            .unwrap_or(request_id);
        let response = super::json(
            self.status,
            &json!({"error": {
                "code": self.code,
                "message": self.message,
                "innerError": {
                    "message": self.message,
                    // UTC without a zone, as Graph writes it.
                    "date": now.format("%Y-%m-%dT%H:%M:%S").to_string(),
                    "request-id": request_id,
                    "client-request-id": client_id,
                },
            }}),
        );
        match self.header {
            Some((name, value)) => response.with(name, value),
            None => response,
        }
    }
}
