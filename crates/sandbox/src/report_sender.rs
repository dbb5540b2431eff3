//! The sender of delivery reports, which finds the text and its vendor.

use chrono::Utc;

use crate::{
    client::Target,
    error::SandboxError,
    report::{Report, ReportOrder},
    vendors,
    world::{State, World},
};

const NO_TEXT: &str = "no accepted text has this reference or id and, if one is given, this recipient; a text to KPN or \
                       Twilio has a reference only if its report_url carries reference={reference}, so name it by its \
                       id otherwise (ReportOrder::by_id)";

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
        .ok_or_else(|| SandboxError::new(NO_TEXT))?;
    let target = target
        .or(message.extra.report_url.as_deref())
        .ok_or_else(|| {
            SandboxError::new("\"target\" is missing, and the text has no report URL")
        })?;
    // A client does not send the fragment.
    let target = target.split('#').next().unwrap_or_default();
    Target::parse(target)?;
    let vendor = vendors::find(message.vendor).ok_or_else(|| SandboxError::new(NO_TEXT))?;
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
