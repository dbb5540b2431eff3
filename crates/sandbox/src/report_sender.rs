//! The sender of delivery reports, which finds the text and its vendor.

use chrono::Utc;

use crate::{
    client::Target,
    error::SandboxError,
    report::{Report, ReportOrder},
    vendors,
    world::{State, World},
};

/// Builds the vendor's requests that report on a text.
///
/// The target defaults to the report URL of the text's own request.
pub(crate) fn make(
    state: &State,
    order: &ReportOrder,
    target: Option<&str>,
) -> Result<Vec<Report>, SandboxError> {
    let message = state
        .messages
        .iter()
        .rev()
        .find(|message| order.is_on(message))
        .ok_or_else(|| SandboxError::new("no vendor accepted such a text"))?;
    let target = target
        .or(message.extra.report_url.as_deref())
        .ok_or_else(|| {
            SandboxError::new("\"target\" is missing, and the text has no report URL")
        })?;
    // A client does not send the fragment.
    let target = target.split('#').next().unwrap_or_default();
    Target::parse(target)?;
    let vendor = vendors::find(message.vendor)
        .ok_or_else(|| SandboxError::new("no vendor accepted such a text"))?;
    Ok(vendor.report(message, order, target, Utc::now()))
}

/// Sends the vendor's reports, and returns the status of the last response, or `None` where none came.
pub(crate) async fn deliver(
    world: &World,
    order: &ReportOrder,
    target: Option<&str>,
) -> Result<Option<u16>, SandboxError> {
    let reports = make(&world.state(), order, target)?;
    let mut status = None;
    for report in reports {
        let target = Target::parse(&report.url)?;
        status = target
            .send(report.method, &report.headers, &report.body)
            .await;
    }
    Ok(status)
}
