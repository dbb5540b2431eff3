//! Spryng: two generations of its HTTP API, the Messaging API v2 and the REST API v1.
//!
//! Read from copies of Spryng's portal pages and from its SDKs. Their hosts, `api.spryng.nl` and
//! `rest.spryngsms.com`, are one here: the paths begin with `/v2` and `/v1`.

mod v1;
mod v2;

use chrono::{DateTime, Utc};
use hyper::StatusCode;

use super::{
    common::{is_digits, is_name},
    vendor::Vendor,
};
use crate::{
    fault::Strike,
    fault_point::FaultPoint,
    record::SentMessage,
    report::{Report, ReportOrder},
    wire::{Call, Head, Reply},
    world::{Place, State},
};

const BALANCE: &str = "spryng.balance";
const SEND: &str = "spryng.send";

const POINTS: &[FaultPoint] = &[FaultPoint::new(BALANCE), FaultPoint::send_list(SEND)];

#[derive(Debug)]
pub(crate) struct Spryng;

impl Vendor for Spryng {
    fn name(&self) -> &'static str {
        "spryng"
    }

    fn points(&self) -> &'static [FaultPoint] {
        POINTS
    }

    fn url(&self, authority: &str) -> String {
        format!(
            "spryng://sandbox@{authority}/spryng?account={}&sender=Postduif",
            v2::ACCOUNT
        )
    }

    fn other_urls(&self, authority: &str) -> Vec<String> {
        vec![format!(
            "spryng://sandbox@{authority}/spryng?api=v1&sender=Postduif"
        )]
    }

    fn point(&self, head: &Head) -> Option<&'static str> {
        match head.path().as_slice() {
            ["v1" | "v2", "messages"] | ["v2", "schedules", "delayed"] => Some(SEND),
            ["v1" | "v2", "balance"] => Some(BALANCE),
            _ => None,
        }
    }

    fn answer(&self, state: &mut State, _: &Place, call: &Call, strike: Option<Strike>) -> Reply {
        let now = Utc::now();
        match call.head.path().first() {
            Some(&"v1") => v1::answer(state, call, strike, now),
            Some(&"v2") => v2::answer(state, call, strike, now),
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
    }

    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Vec<Report> {
        vec![match message.kept.api {
            v1::API => v1::report(message, order, target),
            _ => v2::report(message, order, target, now),
        }]
    }
}

/// A name of at most eleven letters, digits and spaces, or at most fourteen digits.
fn is_sender(sender: &str) -> bool {
    is_name(sender) || is_digits(sender) && sender.len() <= 14
}
