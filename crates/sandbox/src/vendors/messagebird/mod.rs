//! MessageBird, now Bird: three APIs of three generations, each with its own key.
//!
//! Source: MessageBird's and Bird's pages and SDKs. The APIs share a prefix here, since their paths do not
//! collide: `platform` (2026) is below `/v1`, `channels` (2023) below `/workspaces`, and `classic`
//! everywhere else.

mod channels;
mod classic;
mod platform;

use chrono::{DateTime, Utc};
use hyper::Method;

use super::vendor::Vendor;
use crate::{
    error::SandboxError,
    fault::Strike,
    fault_point::FaultPoint,
    http::{Head, Request, Response},
    inbound::InboundText,
    random,
    record::SentMessage,
    report::ReportOrder,
    vendor_request::VendorRequest,
    world::{Config, State},
};

const BALANCE: &str = "messagebird.balance";
const CHECK: &str = "messagebird.check";
const MESSAGE: &str = "messagebird.message";
const SEND: &str = "messagebird.send";

const FAULT_POINTS: &[FaultPoint] = &[
    FaultPoint::new(BALANCE),
    FaultPoint::new(CHECK),
    FaultPoint::new(MESSAGE),
    FaultPoint::send_list(SEND),
];

#[derive(Debug)]
pub(crate) struct MessageBird;

impl Vendor for MessageBird {
    fn name(&self) -> &'static str {
        "messagebird"
    }

    fn fault_points(&self) -> &'static [FaultPoint] {
        FAULT_POINTS
    }

    fn url(&self, authority: &str) -> String {
        format!("messagebird://bk_eu1_sandbox@{authority}/messagebird?sender=Postduif")
    }

    /// Returns the URLs of classic and of channels, where the channel is the sender.
    fn other_urls(&self, authority: &str) -> Vec<String> {
        let base = format!("messagebird://sandbox@{authority}/messagebird");
        vec![
            format!("{base}?api=classic&sender=Postduif"),
            format!("{base}?api=channels&workspace=sandbox&channel=sandbox"),
        ]
    }

    /// Returns the point by path and method: a `GET` on a path to send to is no send.
    fn fault_point(&self, head: &Head) -> Option<&'static str> {
        let is_get = head.method == Method::GET;
        match head.path().as_slice() {
            ["balance"] => Some(BALANCE),
            ["v1", "sms", "messages"] if is_get => Some(CHECK),
            ["workspaces", _, "channels"] | ["workspaces", _, "channels", _] => Some(CHECK),
            ["messages"]
            | ["messages", _]
            | ["v1", "sms", "messages", _]
            | ["workspaces", _, "channels", _, "messages", _]
                if is_get =>
            {
                Some(MESSAGE)
            }
            ["messages" | "workspaces", ..] if is_get => None,
            ["messages"]
            | ["v1", "sms", "batches" | "messages"]
            | ["workspaces", _, "channels", _, "messages"] => Some(SEND),
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
        match request.head.path().as_slice() {
            ["v1", ..] => platform::respond(state, request, strike, now),
            ["workspaces", ..] => channels::respond(state, request, strike, now),
            _ => classic::respond(state, request, strike, now),
        }
    }

    fn apis(&self) -> &'static [&'static str] {
        &[platform::API, classic::API, channels::API]
    }

    fn new_id(&self, api: &str) -> String {
        match api {
            channels::API => random::guid(),
            platform::API => format!("sms_{}", random::letters(26)),
            _ => random::hex_id(),
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
            channels::API => vec![channels::report(message, order, target, now)],
            platform::API => vec![platform::report(message, order, target, now)?],
            _ => Vec::from_iter(classic::report(message, order, target, now)),
        })
    }

    fn inbound(&self, text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError> {
        match text.api {
            channels::API => Ok(channels::inbound(text, target)),
            platform::API => platform::inbound(text, target),
            _ => Ok(classic::inbound(text, target)),
        }
    }
}
