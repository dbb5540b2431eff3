//! The errors of Graph, and what they prove.

use std::{borrow::Cow, error::Error, fmt, time::Duration};

use chrono::DateTime;
use postduif_core::{
    Acceptance, ErrorKind, Guid, SendError,
    directory::{GraphError, GraphErrorKind},
};
use postduif_http::{Refusal, Response};
use serde_json::Value;

/// The effect of a request. A failed read changes nothing, so it is always not accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Change,
    Read,
}

impl Operation {
    fn error(
        self,
        acceptance: Acceptance,
        kind: GraphErrorKind,
        message: impl Into<Cow<'static, str>>,
    ) -> GraphError {
        match (self, acceptance) {
            (Self::Change, Acceptance::Unknown) => GraphError::unknown(kind, message),
            _ => GraphError::not_accepted(kind, message),
        }
    }
}

/// The body of an error in Graph's own shape.
pub(crate) struct ErrorBody {
    code: String,
    /// In lower case. It is searched for phrases but never kept, since it repeats parts of the request.
    message: String,
    request_id: Guid,
}

impl ErrorBody {
    /// Reads `{"error": {"code", "message", "innerError"}}` with Graph's request id in the body or in the header.
    ///
    /// `None` if the body is not Graph's. OAuth's `error` is a string, the `code` of other gateways is a number, and those
    /// with OData's shape have no request id of Graph.
    pub(crate) fn read(response: &Response) -> Option<Self> {
        let body: Value = response.json().ok()?;
        let error = body.get("error")?.as_object()?;
        let code = error.get("code")?.as_str()?.to_owned();
        let message = error.get("message").and_then(Value::as_str);
        // Both spellings occur, and so does an id in `error` itself.
        let inner = error.get("innerError").or_else(|| error.get("innererror"));
        let request_id = inner
            .and_then(|inner| inner.get("request-id"))
            .or_else(|| error.get("request-id"));
        let in_header = response.header("request-id").and_then(guid);
        let in_body = request_id.and_then(Value::as_str).and_then(guid);
        Some(Self {
            code,
            message: message.unwrap_or_default().to_lowercase(),
            request_id: in_header.or(in_body)?,
        })
    }

    /// Returns whether Graph's message contains all of these phrases, which are in lower case.
    pub(crate) fn mentions(&self, phrases: &[&str]) -> bool {
        phrases.iter().all(|phrase| self.message.contains(phrase))
    }

    /// Returns Graph's message in lower case. Only numbers may be taken from it.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns the code if it is a plain word, which reveals nothing.
    fn plain_code(&self) -> Option<&str> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        let code = self.code.as_str();
        ((1..=64).contains(&code.len()) && code.bytes().all(plain)).then_some(code)
    }
}

/// The meaning of a status in Graph's shape. Other statuses are not documented for these calls, and are `Protocol`
/// errors.
static STATUSES: &[(u16, GraphErrorKind, &str)] = &[
    (400, GraphErrorKind::Other, "Graph refused the request"),
    (401, GraphErrorKind::Unauthorized, "Graph refused the token"),
    (
        403,
        GraphErrorKind::Forbidden,
        "the application lacks a permission for this",
    ),
    (
        404,
        GraphErrorKind::NotFound,
        "Graph does not know the object",
    ),
    (408, GraphErrorKind::Timeout, "Graph gave up waiting"),
    (
        409,
        GraphErrorKind::Conflict,
        "the object is in another state",
    ),
];

/// Codes that mean "not found" with another status than 404, as seen shortly after a user was created.
static NOT_FOUND: &[&str] = &[
    "Directory_ObjectNotFound",
    "itemNotFound",
    "Request_ResourceNotFound",
    "ResourceNotFound",
];

/// The kind and the message of an error.
pub(crate) struct Meaning {
    kind: GraphErrorKind,
    message: Cow<'static, str>,
}

impl Meaning {
    pub(crate) fn new(kind: GraphErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    fn of(status: u16, body: &ErrorBody) -> Self {
        let is_known_code = |known: &&str| known.eq_ignore_ascii_case(&body.code);
        let status = match status {
            400 if NOT_FOUND.iter().any(is_known_code) => 404,
            status => status,
        };
        STATUSES.iter().find(|row| row.0 == status).map_or_else(
            || {
                Self::new(
                    GraphErrorKind::Protocol,
                    "Graph refused with a status that is not documented for this call",
                )
            },
            |&(_, kind, message)| Self::new(kind, message),
        )
    }
}

/// Returns what a response proves, by the rule of evidence.
pub(crate) fn proof(response: &Response, body: Option<&ErrorBody>) -> SendError {
    // Only the acceptance is used: the kind comes from the table above.
    let refusal = body.map(|body| {
        let refusal = Refusal::new(ErrorKind::Other, "Graph refused");
        match (response.status(), body.plain_code()) {
            // Documented for an existing pass, and for a callback that was already resumed.
            (409, Some(code)) => refusal.with_code(code.to_owned()),
            _ => refusal,
        }
    });
    response.refused(refusal)
}

/// Returns the error of an unsuccessful response.
pub(crate) fn refused(response: &Response, operation: Operation) -> GraphError {
    refused_as(response, operation, |_, _| None)
}

/// Returns the error of an unsuccessful response to a call with refusals of its own.
pub(crate) fn refused_as(
    response: &Response,
    operation: Operation,
    own: fn(u16, &ErrorBody) -> Option<Meaning>,
) -> GraphError {
    let body = ErrorBody::read(response);
    let proof = proof(response, body.as_ref());
    let Meaning { kind, message } = match (response.status(), &body) {
        (300..=399, _) => Meaning::new(
            GraphErrorKind::Protocol,
            "a redirect; redirects are never followed",
        ),
        (429, _) => Meaning::new(
            GraphErrorKind::Throttled,
            message_of(GraphErrorKind::Throttled),
        ),
        (500.., _) => Meaning::new(GraphErrorKind::Unavailable, "Graph failed"),
        (status, Some(body)) => own(status, body).unwrap_or_else(|| Meaning::of(status, body)),
        (_, None) => {
            let kind = match proof.kind() {
                ErrorKind::Misconfigured => GraphErrorKind::Protocol,
                of => kind(of),
            };
            Meaning::new(kind, message_of(kind))
        }
    };
    let mut error = operation.error(proof.acceptance(), kind, message);
    if let Some(code) = body.as_ref().and_then(ErrorBody::plain_code) {
        error = error.with_code(code.to_owned());
    }
    if let GraphErrorKind::Throttled | GraphErrorKind::Unavailable = kind
        && let Some(wait) = response.retry_after(std::time::SystemTime::now().into())
    {
        error = error.with_retry_after(whole_seconds(wait));
    }
    if proof.source().is_some() {
        error = error.with_source(Cause(proof));
    }
    with_details(error, response, body.as_ref())
}

/// Returns the error of a success that is not as documented.
pub(crate) fn unreadable(response: &Response, operation: Operation) -> GraphError {
    let error = match response.body() {
        Ok(_) => operation.error(
            Acceptance::Unknown,
            GraphErrorKind::Protocol,
            message_of(GraphErrorKind::Protocol),
        ),
        Err(broken) => no_response(broken, operation),
    };
    with_details(error, response, None)
}

/// Returns the error of a missing or an incomplete response.
pub(crate) fn no_response(failure: SendError, operation: Operation) -> GraphError {
    let kind = kind(failure.kind());
    operation
        .error(failure.acceptance(), kind, message_of(kind))
        .with_source(Cause(failure))
}

/// Returns the error of a missing token: Graph received no request.
pub(crate) fn no_token(failure: SendError) -> GraphError {
    let kind = kind(failure.kind());
    let message = match kind {
        GraphErrorKind::Throttled => "no token: too many requests to the login service",
        GraphErrorKind::Timeout => "no token: the login service did not respond in time",
        GraphErrorKind::Unavailable => {
            "no token: the login service could not be reached, or failed"
        }
        GraphErrorKind::Protocol => "no token: the response was not from the login service",
        _ => "no token: the credentials were refused, or the application is not set up",
    };
    let mut error = GraphError::not_accepted(kind, message);
    if let Some(code) = failure.code() {
        error = error.with_code(code.to_owned());
    }
    if let Some(wait) = failure.retry_after() {
        error = error.with_retry_after(whole_seconds(wait));
    }
    error.with_source(Cause(failure))
}

/// Returns the kind for Graph. Never `Other`, which would count as heard at a resume.
const fn kind(kind: ErrorKind) -> GraphErrorKind {
    match kind {
        ErrorKind::Protocol => GraphErrorKind::Protocol,
        ErrorKind::Throttled => GraphErrorKind::Throttled,
        ErrorKind::Timeout => GraphErrorKind::Timeout,
        ErrorKind::Unavailable => GraphErrorKind::Unavailable,
        // All others are credentials that were refused or cannot be sent.
        _ => GraphErrorKind::Unauthorized,
    }
}

const fn message_of(kind: GraphErrorKind) -> &'static str {
    match kind {
        GraphErrorKind::Throttled => "too many requests to Graph",
        GraphErrorKind::Timeout => "Graph did not respond in time",
        GraphErrorKind::Unauthorized => "Graph refused the token",
        GraphErrorKind::Unavailable => "Graph could not be reached, or failed",
        _ => "the response was not from Graph",
    }
}

fn with_details(error: GraphError, response: &Response, body: Option<&ErrorBody>) -> GraphError {
    let date = response
        .header("date")
        .and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let error = match date {
        Some(date) => error.with_date(date.to_utc()),
        None => error,
    };
    let in_header = response.header("request-id").and_then(guid);
    match in_header.or_else(|| Some(body?.request_id)) {
        Some(id) => error.with_request_id(id.to_string()),
        None => error,
    }
}

fn guid(text: &str) -> Option<Guid> {
    text.parse().ok()
}

/// Rounds a wait up to whole seconds, since Graph's wait is a minimum.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// A source without the sentence about the message, since there is no message here.
struct Cause(SendError);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(
            text.rsplit_once("; the message ")
                .map_or(&*text, |(text, _)| text),
        )
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_does_not_mention_a_message() {
        let failure = SendError::not_accepted(ErrorKind::Unavailable, "no connection");
        assert_eq!(Cause(failure).to_string(), "no connection");
    }

    #[test]
    fn no_transport_or_token_failure_can_count_as_heard() {
        for &of in ErrorKind::ALL {
            let error = no_token(SendError::not_accepted(of, "x"));
            assert_eq!(error.acceptance(), Acceptance::NotAccepted);
            assert!(
                !matches!(
                    error.kind(),
                    GraphErrorKind::Conflict | GraphErrorKind::NotFound | GraphErrorKind::Other
                ),
                "{of}"
            );
        }
    }

    #[test]
    fn a_wait_is_rounded_up() {
        for (wait, seconds) in [(0.0, 0), (0.124, 1), (1.0, 1), (1.001, 2)] {
            assert_eq!(
                whole_seconds(Duration::from_secs_f64(wait)).as_secs(),
                seconds
            );
        }
    }
}
