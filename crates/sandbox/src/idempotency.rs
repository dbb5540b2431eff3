//! Answers kept under the caller's own key, so that a request made twice is done once.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use hyper::{StatusCode, body::Bytes};

use crate::{digest, http::Request};

/// How many answers are kept: more than a test makes, and few enough for their bodies to fit in memory.
const MOST: usize = 10_000;

/// "Retained about 3 hours."
const LIFE: TimeDelta = TimeDelta::hours(3);

/// Every answer that may be asked for again, the oldest first.
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

/// What is known of a key.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Known {
    /// It was used for another request.
    Another,
    New,
    /// The same request was answered so.
    Same(StatusCode, Bytes),
}

impl StoredResponses {
    pub(crate) fn look_up(&mut self, key: &str, request: &Request, now: DateTime<Utc>) -> Known {
        while self
            .stored
            .front()
            .is_some_and(|kept| kept.at + LIFE <= now)
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
        answer: (StatusCode, Bytes),
        now: DateTime<Utc>,
    ) {
        if self.stored.len() == MOST {
            self.stored.pop_front();
        }
        let (status, body) = answer;
        self.stored.push_back(Stored {
            key: key.to_owned(),
            request: identity(request),
            status,
            body,
            at: now,
        });
    }
}

/// Two requests are identical by method, path and body.
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
    fn an_answer_is_kept_three_hours_for_the_same_request_only() {
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
            stored_responses.look_up("k", &request("1"), now + LIFE),
            Known::New
        );
    }
}
