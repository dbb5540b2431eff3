//! Responses stored under an idempotency key, so that a repeated request is processed once.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use hyper::{StatusCode, body::Bytes};

use crate::{digest, http::Request};

/// The most responses that are stored: more than a test needs, and few enough for memory.
const MAX_RESPONSES: usize = 10_000;

/// "Retained about 3 hours."
const LIFETIME: TimeDelta = TimeDelta::hours(3);

/// The stored responses, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct StoredResponses {
    stored: VecDeque<Stored>,
}

#[derive(Debug)]
struct Stored {
    key: String,
    request: Vec<u8>,
    status: StatusCode,
    body: Bytes,
    at: DateTime<Utc>,
}

/// What is stored under a key.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Known {
    /// The response to another request.
    Another,
    /// Nothing.
    New,
    /// The response to the same request.
    Same(StatusCode, Bytes),
}

impl StoredResponses {
    pub(crate) fn look_up(&mut self, key: &str, request: &Request, now: DateTime<Utc>) -> Known {
        while self
            .stored
            .front()
            .is_some_and(|kept| kept.at + LIFETIME <= now)
        {
            self.stored.pop_front();
        }
        match self.stored.iter().find(|kept| kept.key == key) {
            None => Known::New,
            Some(kept) if kept.request == identity(request) => {
                Known::Same(kept.status, kept.body.clone())
            }
            Some(_) => Known::Another,
        }
    }

    pub(crate) fn keep(
        &mut self,
        key: &str,
        request: &Request,
        response: (StatusCode, Bytes),
        now: DateTime<Utc>,
    ) {
        if self.stored.len() == MAX_RESPONSES {
            self.stored.pop_front();
        }
        let (status, body) = response;
        self.stored.push_back(Stored {
            key: key.to_owned(),
            request: identity(request),
            status,
            body,
            at: now,
        });
    }
}

/// Returns what identical requests have in common: method, path and body.
fn identity(request: &Request) -> Vec<u8> {
    let mut identity = format!("{} {} ", request.head.method, request.head.raw_path).into_bytes();
    identity.extend(digest::sha256(&request.body));
    identity
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::http::Head;

    fn request(body: &'static str) -> Request {
        let (parts, ()) = hyper::Request::post("/a").body(()).unwrap().into_parts();
        Request {
            head: Head::new(parts),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn a_response_is_stored_three_hours_for_the_same_request_only() {
        let now = Utc::now();
        let mut stored_responses = StoredResponses::default();
        let response = (StatusCode::ACCEPTED, Bytes::from_static(b"done"));
        assert_eq!(
            stored_responses.look_up("k", &request("1"), now),
            Known::New
        );
        stored_responses.keep("k", &request("1"), response.clone(), now);
        assert_eq!(
            stored_responses.look_up("k", &request("1"), now),
            Known::Same(response.0, response.1)
        );
        assert_eq!(
            stored_responses.look_up("k", &request("2"), now),
            Known::Another
        );
        assert_eq!(
            stored_responses.look_up("l", &request("1"), now),
            Known::New
        );
        assert_eq!(
            stored_responses.look_up("k", &request("1"), now + LIFETIME),
            Known::New
        );
    }
}
