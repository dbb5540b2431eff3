//! Helpers of the tests of all three APIs.

use postduif_core::{
    Acceptance, DeliveryReport, ErrorKind, Message, Receipt, ReportError, ReportParser,
    ReportRequest, SendError, SmsProvider as _, Text,
};
use postduif_messagebird::MessageBird;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

pub(crate) const WORKSPACE: &str = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
pub(crate) const CHANNEL: &str = "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d";

pub(crate) fn message() -> Message {
    message_of("+31612345678", "a1")
}

pub(crate) fn message_of(to: &str, reference: &str) -> Message {
    Message::new(
        to.parse().unwrap(),
        Text::new("Your code is 123456").unwrap(),
    )
    .with_reference(reference.parse().unwrap())
}

/// One server and one provider for a whole table: building a client takes longer than a row.
pub(crate) struct Vendor {
    pub(crate) server: MockServer,
    pub(crate) bird: MessageBird,
    path: &'static str,
}

impl Vendor {
    /// Starts a server, and a provider with this URL, in which `{}` is replaced by the host, that sends to `path`.
    pub(crate) async fn start(url: &str, path: &'static str) -> Self {
        let server = MockServer::start().await;
        let url = url.replace("{}", &server.address().to_string());
        let bird = MessageBird::from_url(&url).unwrap();
        Self { server, bird, path }
    }

    pub(crate) async fn mount(&self, response: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(method("POST"))
            .and(path(self.path))
            .respond_with(response)
            .mount(&self.server)
            .await;
    }

    /// Sets the response to a GET of `at`.
    pub(crate) async fn mount_get(&self, at: &str, response: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(method("GET"))
            .and(path(at))
            .respond_with(response)
            .mount(&self.server)
            .await;
    }

    /// Sends a message, in a single call with this response.
    pub(crate) async fn send_with(
        &self,
        message: &Message,
        response: ResponseTemplate,
    ) -> Result<Receipt, SendError> {
        self.mount(response).await;
        let outcome = self.bird.send(message).await;
        assert_eq!(self.calls().await.len(), 1);
        if let Err(error) = &outcome {
            assert_eq!(error.provider(), Some("messagebird"));
        }
        outcome
    }

    pub(crate) async fn send(&self, response: ResponseTemplate) -> Result<Receipt, SendError> {
        self.send_with(&message(), response).await
    }

    pub(crate) async fn error(&self, response: ResponseTemplate) -> SendError {
        self.send(response).await.unwrap_err()
    }

    pub(crate) async fn outcome(&self, response: ResponseTemplate) -> (ErrorKind, Acceptance) {
        let error = self.error(response).await;
        (error.kind(), error.acceptance())
    }

    pub(crate) async fn calls(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}

pub(crate) const FOREIGN: [&str; 6] = [
    "",
    "<html>blocked</html>",
    "null",
    "[]",
    r#"{"blocked":true}"#,
    r#"{"message":"Forbidden","status":403}"#,
];

/// Asserts the statuses that prove a refusal with any body, and the bodies that prove nothing.
pub(crate) async fn assert_rule_of_evidence(vendor: &Vendor) {
    for body in FOREIGN {
        let response = |status| ResponseTemplate::new(status).set_body_string(body);
        for status in [400, 401, 402, 403, 408, 409, 421, 422, 425] {
            let outcome = vendor.outcome(response(status)).await;
            assert_eq!(
                outcome,
                (ErrorKind::Protocol, Acceptance::Unknown),
                "{status} {body}"
            );
        }
        for status in [404, 405, 411, 414, 415, 431] {
            let outcome = vendor.outcome(response(status)).await;
            let expected = (ErrorKind::Misconfigured, Acceptance::NotAccepted);
            assert_eq!(outcome, expected, "{status} {body}");
        }
        let challenged = vendor.outcome(response(401).insert_header("www-authenticate", "Bearer"));
        assert_eq!(
            challenged.await,
            (ErrorKind::Unauthorized, Acceptance::NotAccepted)
        );
        let throttled = vendor
            .error(response(429).insert_header("retry-after", "7"))
            .await;
        assert_eq!(
            (throttled.kind(), throttled.acceptance()),
            (ErrorKind::Throttled, Acceptance::NotAccepted)
        );
        assert_eq!(throttled.retry_after().unwrap().as_secs(), 7);
        for status in [500, 501, 502, 503, 504] {
            let outcome = vendor.outcome(response(status)).await;
            let expected = (ErrorKind::Unavailable, Acceptance::Unknown);
            assert_eq!(outcome, expected, "{status} {body}");
        }
        for status in [200, 201, 202, 301, 307] {
            let outcome = vendor.outcome(response(status)).await;
            let expected = (ErrorKind::Protocol, Acceptance::Unknown);
            assert_eq!(outcome, expected, "{status} {body}");
        }
    }
}

/// Parses a report request.
pub(crate) fn parse(
    parser: &dyn ReportParser,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    now: i64,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let now = chrono::DateTime::from_timestamp(now, 0).unwrap();
    parser.parse(&ReportRequest::new(method, url, &headers, body), now)
}

/// The error of a check that did not succeed, or the refusal of the credentials.
pub(crate) fn failure(
    checked: Result<postduif_core::Health, postduif_core::SendError>,
) -> postduif_core::SendError {
    match checked {
        Ok(health) => {
            let refusal = health.refusal().expect("the check succeeded").clone();
            assert_eq!(refusal.kind(), ErrorKind::Unauthorized);
            refusal
        }
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::Unauthorized, "{error:?}");
            error
        }
    }
}
