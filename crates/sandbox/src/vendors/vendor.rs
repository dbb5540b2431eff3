use std::fmt;

use chrono::{DateTime, Utc};

use crate::{
    fault::Strike,
    fault_point::FaultPoint,
    http::{Head, Request, Response},
    record::SentMessage,
    report::{Report, ReportOrder},
    world::{Config, State},
};

/// A vendor as the wire shows it.
pub(crate) trait Vendor: fmt::Debug + Sync {
    /// The name, which is also the first segment of its paths.
    fn name(&self) -> &'static str;

    /// Where its faults can strike.
    fn fault_points(&self) -> &'static [FaultPoint];

    /// The connection URL to copy, for a service at this host and port.
    fn url(&self, authority: &str) -> String;

    /// The connection URLs for its other APIs, where it has any.
    fn other_urls(&self, _authority: &str) -> Vec<String> {
        Vec::new()
    }

    /// Which point this request is, the vendor's own segment being the first.
    fn fault_point(&self, head: &Head) -> Option<&'static str>;

    /// The vendor's answer. A strike that is not the vendor's to play was played already, or will
    /// be by changing this answer.
    fn respond(
        &self,
        state: &mut State,
        config: &Config,
        request: &Request,
        strike: Option<Strike>,
    ) -> Response;

    /// What the vendor calls this URL with when it reports on a text that it took: several calls where
    /// each part has its own.
    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Vec<Report>;
}
