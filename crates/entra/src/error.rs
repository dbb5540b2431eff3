//! What Graph's answers mean, and what they prove.

use std::{borrow::Cow, error::Error, fmt, time::Duration};

use chrono::DateTime;
use postduif_core::{
    Acceptance, ErrorKind, Guid, SendError,
    directory::{GraphError, GraphErrorKind},
};
use postduif_http::{Refusal, Response};
use serde_json::Value;

/// Whether a request changes anything. A read that failed was certainly not done.
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

/// What Graph body in its own error shape.
pub(crate) struct ErrorBody {
    code: String,
    /// In lower case; looked at for phrases and dropped: it repeats what was sent.
    message: String,
    request_id: Guid,
}

impl ErrorBody {
    /// Reads `{"error": {"code", "message", "innerError"}}` with Graph's request id, in the body or in the
    /// header. `None` where the body is anybody else's: OAuth's `error` is a text, other gateways' `code` is a
    /// number, and those that use OData's shape have no request id of Graph's.
    pub(crate) fn read(response: &Response) -> Option<Self> {
        let body: Value = response.json().ok()?;
        let error = body.get("error")?.as_object()?;
        let code = error.get("code")?.as_str()?.to_owned();
        let message = error.get("message").and_then(Value::as_str);
        // Either spelling is seen, and the id also stands in `error` itself.
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

    /// Whether Graph's message holds all of these, which are in lower case.
    pub(crate) fn mentions(&self, phrases: &[&str]) -> bool {
        phrases.iter().all(|phrase| self.message.contains(phrase))
    }

    /// Graph's message in lower case. Only numbers may be taken out of it.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The code where it is a plain word, which gives nothing away.
    fn plain_code(&self) -> Option<&str> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        let code = self.code.as_str();
        ((1..=64).contains(&code.len()) && code.bytes().all(plain)).then_some(code)
    }
}

/// What a status in Graph's shape means. A status that Graph's pages do not name for these calls is in no row:
/// it is no response to what was asked.
static STATUSES: &[(u16, GraphErrorKind, &str)] = &[
    (400, GraphErrorKind::Other, "Graph refused the request"),
    (401, GraphErrorKind::Unauthorized, "Graph refused our token"),
    (
        403,
        GraphErrorKind::Forbidden,
        "our identity may not do this",
    ),
    (404, GraphErrorKind::NotFound, "Graph does not know it"),
    (408, GraphErrorKind::Timeout, "Graph gave up waiting"),
    (
        409,
        GraphErrorKind::Conflict,
        "it is not in a state for this",
    ),
];

/// Codes that say "not found, or not yet" at another status than 404: seen shortly after somebody was made.
static NOT_FOUND: &[&str] = &[
    "Directory_ObjectNotFound",
    "itemNotFound",
    "Request_ResourceNotFound",
    "ResourceNotFound",
];

/// The kind of an error, and our own words for it.
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
                    "Graph refused in a way that this call does not have",
                )
            },
            |&(_, kind, message)| Self::new(kind, message),
        )
    }
}

/// What an response proves, by the one rule of evidence.
pub(crate) fn proof(response: &Response, body: Option<&ErrorBody>) -> SendError {
    // The kind is told by our own table: only the acceptance is of use here.
    let refusal = body.map(|body| {
        let refusal = Refusal::new(ErrorKind::Other, "Graph refused");
        match (response.status(), body.plain_code()) {
            // Documented for a pass that exists and for a request that was answered already.
            (409, Some(code)) => refusal.with_code(code.to_owned()),
            _ => refusal,
        }
    });
    response.refused(refusal)
}

/// An response that is no success.
pub(crate) fn refused(response: &Response, operation: Operation) -> GraphError {
    refused_as(response, operation, |_, _| None)
}

/// An response that is no success, to a call which Graph refuses in words of their own too.
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
            "a redirect, which is never followed",
        ),
        (429, _) => Meaning::new(GraphErrorKind::Throttled, words(GraphErrorKind::Throttled)),
        (500.., _) => Meaning::new(GraphErrorKind::Unavailable, "Graph failed"),
        (status, Some(body)) => own(status, body).unwrap_or_else(|| Meaning::of(status, body)),
        (_, None) => {
            let kind = match proof.kind() {
                ErrorKind::Misconfigured => GraphErrorKind::Protocol,
                of => kind(of),
            };
            Meaning::new(kind, words(kind))
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
    identified(error, response, body.as_ref())
}

/// A success that is not what Graph's page says.
pub(crate) fn unreadable(response: &Response, operation: Operation) -> GraphError {
    let error = match response.body() {
        Ok(_) => operation.error(
            Acceptance::Unknown,
            GraphErrorKind::Protocol,
            words(GraphErrorKind::Protocol),
        ),
        Err(broken) => no_response(broken, operation),
    };
    identified(error, response, None)
}

/// No response came, or no whole one.
pub(crate) fn no_response(failure: SendError, operation: Operation) -> GraphError {
    let kind = kind(failure.kind());
    operation
        .error(failure.acceptance(), kind, words(kind))
        .with_source(Cause(failure))
}

/// No token could be had, so that nothing was asked of Graph.
pub(crate) fn no_token(failure: SendError) -> GraphError {
    let kind = kind(failure.kind());
    let message = match kind {
        GraphErrorKind::Throttled => "no token: the login service is asked too often",
        GraphErrorKind::Timeout => "no token: the login service did not response in time",
        GraphErrorKind::Unavailable => "no token: the login service cannot be reached, or failed",
        GraphErrorKind::Protocol => "no token: the response is not the login service's",
        _ => "no token: our credentials were refused, or the login is not set up for us",
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

/// Never `Other`: at a resume that would count as heard.
const fn kind(kind: ErrorKind) -> GraphErrorKind {
    match kind {
        ErrorKind::Protocol => GraphErrorKind::Protocol,
        ErrorKind::Throttled => GraphErrorKind::Throttled,
        ErrorKind::Timeout => GraphErrorKind::Timeout,
        ErrorKind::Unavailable => GraphErrorKind::Unavailable,
        // What remains is a credential that cannot be used: refused, or not fit to travel.
        _ => GraphErrorKind::Unauthorized,
    }
}

const fn words(kind: GraphErrorKind) -> &'static str {
    match kind {
        GraphErrorKind::Throttled => "Graph is asked too often",
        GraphErrorKind::Timeout => "no response from Graph in time",
        GraphErrorKind::Unauthorized => "Graph refused our token",
        GraphErrorKind::Unavailable => "Graph cannot be reached, or failed",
        _ => "the response is not Graph's",
    }
}

fn identified(error: GraphError, response: &Response, body: Option<&ErrorBody>) -> GraphError {
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

/// Graph's decimals are a minimum: rounded up.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// What lies beneath, without the words about a message: none was on its way here.
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
    fn a_cause_does_not_speak_of_messages() {
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
