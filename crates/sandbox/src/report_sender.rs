//! The sender of delivery reports: finds the text and its vendor, and plays that vendor.

use chrono::Utc;

use crate::{
    client::Target,
    error::SandboxError,
    report::{Report, ReportOrder},
    vendors,
    world::{State, World},
};

/// Makes the vendor's calls for a text that it took.
///
/// Without a target they go where the text's own request wanted its reports.
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
        .ok_or_else(|| SandboxError::new("no vendor took such a text"))?;
    let target = target
        .or(message.extra.report_url.as_deref())
        .ok_or_else(|| {
            SandboxError::new("\"target\" is missing, and the text named none itself")
        })?;
    // What follows a # never leaves a client.
    let target = target.split('#').next().unwrap_or_default();
    Target::parse(target)?;
    let vendor = vendors::find(message.vendor)
        .ok_or_else(|| SandboxError::new("no vendor took such a text"))?;
    Ok(vendor.report(message, order, target, Utc::now()))
}

/// Plays the vendor, and gives the status of the last answer; nothing where none came.
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
