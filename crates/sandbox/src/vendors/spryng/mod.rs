//! Spryng: two generations of its HTTP API, the Messaging API v2 and the REST API v1.
//!
//! Source: copies of Spryng's portal pages, and its SDKs. The hosts `api.spryng.nl` and `rest.spryngsms.com`
//! share a prefix here: their paths begin with `/v2` and `/v1`.

mod v1;
mod v2;

use chrono::{DateTime, Utc};
use hyper::{Method, StatusCode};

use super::{
    common::{is_digits, is_name},
    vendor::Vendor,
};
use crate::{
    error::SandboxError,
    fault::Strike,
    fault_point::FaultPoint,
    http::{Head, Request, Response},
    inbound::InboundText,
    record::SentMessage,
    report::ReportOrder,
    vendor_request::VendorRequest,
    world::{Config, State},
};

const BALANCE: &str = "spryng.balance";
const MESSAGE: &str = "spryng.message";
const SEND: &str = "spryng.send";

const FAULT_POINTS: &[FaultPoint] = &[
    FaultPoint::new(BALANCE),
    FaultPoint::new(MESSAGE),
    FaultPoint::send_list(SEND),
];

#[derive(Debug)]
pub(crate) struct Spryng;

impl Vendor for Spryng {
    fn name(&self) -> &'static str {
        "spryng"
    }

    fn fault_points(&self) -> &'static [FaultPoint] {
        FAULT_POINTS
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

    fn fault_point(&self, head: &Head) -> Option<&'static str> {
        match head.path().as_slice() {
            ["v1", "messages"] if head.method == Method::GET => Some(MESSAGE),
            ["v1" | "v2", "messages", _] | ["v2", "requests", _, "messages"] => Some(MESSAGE),
            ["v1" | "v2", "messages"] | ["v2", "schedules", "delayed"] => Some(SEND),
            ["v1" | "v2", "balance"] => Some(BALANCE),
            _ => None,
        }
    }

    fn respond(
        &self,
        state: &mut State,
        _: &Config,
        request: &Request,
        strike: Option<Strike>,
    ) -> Response {
        let now = Utc::now();
        match request.head.path().first() {
            Some(&"v1") => v1::respond(state, request, strike, now),
            Some(&"v2") => v2::respond(state, request, strike, now),
            _ => Response::empty(StatusCode::NOT_FOUND),
        }
    }

    fn apis(&self) -> &'static [&'static str] {
        &[v2::API, v1::API]
    }

    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<VendorRequest>, SandboxError> {
        Ok(vec![match message.extra.api {
            v1::API => v1::report(message, order, target),
            _ => v2::report(message, order, target, now),
        }])
    }

    fn inbound(&self, text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError> {
        match text.api {
            v1::API => Err(SandboxError::new(
                "invalid \"api\": Spryng documents no inbound texts for v1",
            )),
            _ => Ok(v2::inbound(text, target)),
        }
    }
}

/// Returns whether this is a name of at most eleven letters, digits and spaces, or at most fourteen digits.
fn is_sender(sender: &str) -> bool {
    is_name(sender) || is_digits(sender) && sender.len() <= 14
}
