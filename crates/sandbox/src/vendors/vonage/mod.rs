//! Vonage: two APIs, the Messages API v1 (`/v1/messages`) and the SMS API (`/sms/json`).
//!
//! Source: Vonage's pages and its OpenAPI definitions, Messages API 1.20.0, SMS API 1.0.10 and 1.5.1.
//! `api.nexmo.com` and `rest.nexmo.com` share a prefix here, since their paths do not collide. Both APIs
//! accept the key and secret by Basic. The Messages API also accepts a token that the application `sandbox`
//! signed with its private key, which [`jwt`] holds.

pub(crate) mod jwt;
mod messages;
mod receipt;
mod sms;

use chrono::{DateTime, Utc};
use hyper::{Method, StatusCode};
use serde_json::json;

use super::{
    common::{is_digits, with_retry_after},
    vendor::Vendor,
};
use crate::{
    error::SandboxError,
    fault::{Fault, Strike},
    fault_point::FaultPoint,
    http::{Head, Request, Response},
    inbound::InboundText,
    random,
    record::SentMessage,
    report::ReportOrder,
    vendor_request::VendorRequest,
    world::{Config, State},
};

const BALANCE: &str = "vonage.balance";
const SEND: &str = "vonage.send";

const FAULT_POINTS: &[FaultPoint] = &[FaultPoint::new(BALANCE), FaultPoint::send_list(SEND)];

/// The longest text in characters, of both APIs.
const MAX_CHARACTERS: usize = 3200;

#[derive(Debug)]
pub(crate) struct Vonage;

impl Vendor for Vonage {
    fn name(&self) -> &'static str {
        "vonage"
    }

    fn fault_points(&self) -> &'static [FaultPoint] {
        FAULT_POINTS
    }

    fn url(&self, authority: &str) -> String {
        format!("vonage://sandbox:sandbox@{authority}/vonage?sender=Postduif")
    }

    fn other_urls(&self, authority: &str) -> Vec<String> {
        vec![format!(
            "vonage://sandbox:sandbox@{authority}/vonage?api=sms&sender=Postduif"
        )]
    }

    fn fault_point(&self, head: &Head) -> Option<&'static str> {
        match head.path().as_slice() {
            ["v1", "messages"] | ["sms", "json"] => Some(SEND),
            ["account", "get-balance"] => Some(BALANCE),
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
        match (request.head.path().as_slice(), &request.head.method) {
            (["v1", "messages"], &Method::POST) => messages::send(state, request, strike, now),
            (["v1", "messages"], _) => messages::wrong_verb(),
            (["sms", "json"], &Method::POST) => sms::send(state, request, strike, now),
            (["account", "get-balance"], &Method::GET) => balance(request, strike),
            (["account", "get-balance"] | ["sms", "json"], _) => {
                Response::empty(StatusCode::METHOD_NOT_ALLOWED)
            }
            _ => messages::not_found(),
        }
    }

    fn apis(&self) -> &'static [&'static str] {
        &[messages::ACCOUNT, sms::API]
    }

    fn new_id(&self, api: &str) -> String {
        match api {
            sms::API => random::hex_id()[..16].to_uppercase(),
            _ => random::guid(),
        }
    }

    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<VendorRequest>, SandboxError> {
        Ok(match message.extra.api {
            sms::API => receipt::of(message, order, target, now),
            _ => vec![messages::status(message, order, target, now)],
        })
    }

    fn inbound(&self, text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError> {
        Ok(match text.api {
            sms::API => receipt::inbound(text, target),
            _ => messages::inbound(text, target),
        })
    }
}

/// Returns whether the credentials are the key and secret of the only account.
fn has_account(head: &Head) -> bool {
    head.basic() == Some(("sandbox".to_owned(), "sandbox".to_owned()))
}

/// Handles a request for the balance, which accepts Basic only, not a token.
fn balance(request: &Request, strike: Option<Strike>) -> Response {
    let refused = |status: StatusCode, label| {
        Response::json(
            status,
            &json!({"error-code": status.as_str(), "error-code-label": label}),
        )
    };
    match strike.map(|strike| strike.fault) {
        Some(Fault::Throttle) => {
            let response = refused(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            return with_retry_after(response, strike);
        }
        Some(Fault::Unauthorized | Fault::UnauthorizedOnce) => {}
        _ if has_account(&request.head) => {
            return Response::json(
                StatusCode::OK,
                &json!({"value": 10.28, "autoReload": false}),
            );
        }
        _ => {}
    }
    refused(StatusCode::UNAUTHORIZED, "authentication failed")
}

/// Returns the sender as the phone shows it: digits, or a name without its spaces.
fn sender(from: &str) -> Option<String> {
    let name: String = from.chars().filter(|c| *c != ' ').collect();
    let fits = if is_digits(&name) {
        name.len() <= 15 && !name.starts_with('0')
    } else {
        (1..=11).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    fits.then_some(name)
}

/// Returns the code of the network of a Dutch number, which is the same for all.
fn network(to: &str) -> Option<&'static str> {
    to.starts_with("+31").then_some("20408")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_loses_its_spaces_and_is_a_name_or_a_number() {
        assert_eq!(sender("Post duif").as_deref(), Some("Postduif"));
        assert_eq!(sender("31612345678").as_deref(), Some("31612345678"));
        for bad in [
            "",
            " ",
            "+31612345678",
            "0031612345678",
            "TwelveLetter",
            "Ac-me",
            "Zoë",
        ] {
            assert_eq!(sender(bad), None, "{bad}");
        }
    }
}
