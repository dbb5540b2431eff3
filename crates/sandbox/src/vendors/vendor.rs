use std::fmt;

use chrono::{DateTime, Utc};

use crate::{
    error::SandboxError,
    fault::Strike,
    fault_point::FaultPoint,
    http::{Head, Request, Response},
    inbound::InboundText,
    names, random,
    record::SentMessage,
    report::ReportOrder,
    vendor_request::VendorRequest,
    world::{Config, State},
};

/// A simulated vendor, as seen on the wire.
pub(crate) trait Vendor: fmt::Debug + Sync {
    /// Returns the name, which is also the first segment of its paths.
    fn name(&self) -> &'static str;

    /// Returns the points where faults can strike, one of which is `NAME.send`.
    fn fault_points(&self) -> &'static [FaultPoint];

    /// Returns the connection URL to copy, for a sandbox at this host and port.
    fn url(&self, authority: &str) -> String;

    /// Returns the connection URLs of its other APIs, if it has any.
    fn other_urls(&self, _authority: &str) -> Vec<String> {
        Vec::new()
    }

    /// Returns the point of this request.
    fn fault_point(&self, head: &Head) -> Option<&'static str>;

    /// Returns the vendor's response.
    ///
    /// The vendor applies the faults that are its own refusals or change its own response. The connection and
    /// the gateway apply all others, before or after this.
    fn respond(
        &self,
        state: &mut State,
        config: &Config,
        request: &Request,
        strike: Option<Strike>,
    ) -> Response;

    /// Returns the names of its APIs, its default one first. One API has no name.
    fn apis(&self) -> &'static [&'static str] {
        &[""]
    }

    /// Returns the API of this name, or the default one.
    fn api(&self, name: Option<&str>) -> Result<&'static str, SandboxError> {
        let all = self.apis();
        match name {
            None => Ok(all[0]),
            Some(name) => names::find("api", name, all, |api| api),
        }
    }

    /// Returns a new id of a text, in the form of this API.
    fn new_id(&self, _api: &str) -> String {
        random::guid()
    }

    /// Returns the requests by which the vendor reports on a text to this URL: several where each segment has
    /// its own report, and none where its API does not report on such a text.
    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<VendorRequest>, SandboxError>;

    /// Returns the request by which the vendor delivers an inbound text to this URL.
    fn inbound(&self, text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError>;
}
