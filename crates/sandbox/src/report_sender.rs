//! The sender of delivery reports, which finds the text and its vendor.

use crate::{
    client::{self, Target},
    error::SandboxError,
    report::ReportOrder,
    vendor_request::VendorRequest,
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
) -> Result<Vec<VendorRequest>, SandboxError> {
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
    let target = client::without_fragment(target)?;
    let vendor = vendors::named(message.vendor)?;
    vendor.report(message, order, target, order.proof.now())
}

/// Sends the vendor's reports, and returns the status of the last response, or `None` where none came.
pub(crate) async fn deliver(
    world: &World,
    order: &ReportOrder,
    target: Option<&str>,
) -> Result<Option<u16>, SandboxError> {
    let reports = {
        let mut state = world.state();
        let reports = make(&state, order, target)?;
        let mut messages = state.messages.iter_mut().rev();
        if let Some(message) = messages.find(|message| order.is_on(message)) {
            message.extra.reported = Some(order.status);
        }
        reports
    };
    let mut status = None;
    for report in reports {
        status = Target::parse(&report.url)?.deliver(&report).await;
    }
    Ok(status)
}
