//! Answers kept under the caller's own key, so that a request made twice is done once.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use hyper::{StatusCode, body::Bytes};

use crate::{seal, wire::Call};

/// How many answers are kept: more than a test makes, and few enough for their bodies to fit in memory.
const MOST: usize = 10_000;

/// "Retained about 3 hours."
const LIFE: TimeDelta = TimeDelta::hours(3);

/// Every answer that may be asked for again, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    kept: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
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

impl Replays {
    pub(crate) fn look_up(&mut self, key: &str, call: &Call, now: DateTime<Utc>) -> Known {
        while self.kept.front().is_some_and(|kept| kept.at + LIFE <= now) {
            self.kept.pop_front();
        }
        match self.kept.iter().find(|kept| kept.key == key) {
            None => Known::New,
            Some(kept) if kept.request == identity(call) => {
                Known::Same(kept.status, kept.body.clone())
            }
            Some(_) => Known::Another,
        }
    }

    pub(crate) fn keep(
        &mut self,
        key: &str,
        call: &Call,
        answer: (StatusCode, Bytes),
        now: DateTime<Utc>,
    ) {
        if self.kept.len() == MOST {
            self.kept.pop_front();
        }
        let (status, body) = answer;
        self.kept.push_back(Kept {
            key: key.to_owned(),
            request: identity(call),
            status,
            body,
            at: now,
        });
    }
}

/// Two requests are identical by method, path and body.
fn identity(call: &Call) -> Vec<u8> {
    let mut identity = format!("{} {} ", call.head.method, call.head.raw_path).into_bytes();
    identity.extend(seal::sha256(&call.body));
    identity
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;
    use crate::wire::Head;

    fn call(body: &'static str) -> Call {
        let (parts, ()) = Request::post("/a").body(()).unwrap().into_parts();
        Call {
            head: Head::new(parts),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn an_answer_is_kept_three_hours_for_the_same_request_only() {
        let now = Utc::now();
        let mut replays = Replays::default();
        let answer = (StatusCode::ACCEPTED, Bytes::from_static(b"done"));
        assert_eq!(replays.look_up("k", &call("1"), now), Known::New);
        replays.keep("k", &call("1"), answer.clone(), now);
        assert_eq!(
            replays.look_up("k", &call("1"), now),
            Known::Same(answer.0, answer.1)
        );
        assert_eq!(replays.look_up("k", &call("2"), now), Known::Another);
        assert_eq!(replays.look_up("l", &call("1"), now), Known::New);
        assert_eq!(replays.look_up("k", &call("1"), now + LIFE), Known::New);
    }
}
