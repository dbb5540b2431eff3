//! What the tests of the three APIs share.

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

/// One vendor and one provider for a whole table: a client's certificates take longer to load than a row.
pub(crate) struct Vendor {
    pub(crate) server: MockServer,
    pub(crate) bird: MessageBird,
    path: &'static str,
}

impl Vendor {
    /// A vendor that is reached as `url` says, where `{}` is its host, and sends at `path`.
    pub(crate) async fn start(url: &str, path: &'static str) -> Self {
        let server = MockServer::start().await;
        let url = url.replace("{}", &server.address().to_string());
        let bird = MessageBird::from_url(&url).unwrap();
        Self { server, bird, path }
    }

    pub(crate) async fn mount(&self, answer: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(method("POST"))
            .and(path(self.path))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    /// The answer to whatever is asked by GET at `at`.
    pub(crate) async fn mount_get(&self, at: &str, answer: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(method("GET"))
            .and(path(at))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    /// What becomes of a message whose call is answered so.
    pub(crate) async fn send_answered(
        &self,
        message: &Message,
        answer: ResponseTemplate,
    ) -> Result<Receipt, SendError> {
        self.mount(answer).await;
        let outcome = self.bird.send(message).await;
        assert_eq!(self.calls().await.len(), 1);
        if let Err(error) = &outcome {
            assert_eq!(error.provider(), Some("messagebird"));
        }
        outcome
    }

    pub(crate) async fn send(&self, answer: ResponseTemplate) -> Result<Receipt, SendError> {
        self.send_answered(&message(), answer).await
    }

    pub(crate) async fn error(&self, answer: ResponseTemplate) -> SendError {
        self.send(answer).await.unwrap_err()
    }

    pub(crate) async fn told(&self, answer: ResponseTemplate) -> (ErrorKind, Acceptance) {
        let error = self.error(answer).await;
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

/// What no API's shape is needed for, and what nothing is proven by.
pub(crate) async fn assert_rule_of_evidence(vendor: &Vendor) {
    for body in FOREIGN {
        let answer = |status| ResponseTemplate::new(status).set_body_string(body);
        for status in [400, 401, 402, 403, 408, 409, 421, 422, 425] {
            let told = vendor.told(answer(status)).await;
            assert_eq!(
                told,
                (ErrorKind::Protocol, Acceptance::Unknown),
                "{status} {body}"
            );
        }
        for status in [404, 405, 411, 414, 415, 431] {
            let told = vendor.told(answer(status)).await;
            let expected = (ErrorKind::Misconfigured, Acceptance::NotAccepted);
            assert_eq!(told, expected, "{status} {body}");
        }
        let asked = vendor.told(answer(401).insert_header("www-authenticate", "Bearer"));
        assert_eq!(
            asked.await,
            (ErrorKind::Unauthorized, Acceptance::NotAccepted)
        );
        let throttled = vendor
            .error(answer(429).insert_header("retry-after", "7"))
            .await;
        assert_eq!(
            (throttled.kind(), throttled.acceptance()),
            (ErrorKind::Throttled, Acceptance::NotAccepted)
        );
        assert_eq!(throttled.retry_after().unwrap().as_secs(), 7);
        for status in [500, 501, 502, 503, 504] {
            let told = vendor.told(answer(status)).await;
            let expected = (ErrorKind::Unavailable, Acceptance::Unknown);
            assert_eq!(told, expected, "{status} {body}");
        }
        for status in [200, 201, 202, 301, 307] {
            let told = vendor.told(answer(status)).await;
            let expected = (ErrorKind::Protocol, Acceptance::Unknown);
            assert_eq!(told, expected, "{status} {body}");
        }
    }
}

/// A report request that is believed or not.
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

/// The error of a check that did not succeed: the refusal where the credentials were refused.
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
