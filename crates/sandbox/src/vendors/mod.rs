//! The SMS vendors, a file or folder each. A new one is declared here and listed in [`ALL`], and nowhere else.

mod cm;
mod common;
mod kpn;
mod messagebird;
mod smstools;
mod spryng;
mod twilio;
mod vendor;
pub(crate) mod vonage;
mod webhook;

use crate::{error::SandboxError, names};
use vendor::Vendor;

pub(crate) use common::{is_number, is_short_code, reference_in};

/// All vendors of the sandbox.
pub(crate) static ALL: &[&dyn Vendor] = &[
    &kpn::Kpn,
    &spryng::Spryng,
    &cm::Cm,
    &messagebird::MessageBird,
    &vonage::Vonage,
    &smstools::Smstools,
    &twilio::Twilio,
    &webhook::Webhook,
];

/// Finds a vendor by its name, or returns an error that lists the names.
pub(crate) fn named(name: &str) -> Result<&'static dyn Vendor, SandboxError> {
    find(name).ok_or_else(|| names::unknown("vendor", name, ALL.iter().map(|vendor| vendor.name())))
}

/// Finds a vendor by its name.
pub(crate) fn find(name: &str) -> Option<&'static dyn Vendor> {
    ALL.iter().copied().find(|vendor| vendor.name() == name)
}
