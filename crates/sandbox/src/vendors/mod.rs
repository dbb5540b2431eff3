//! The SMS vendors, a file each. A new one is its file and its line in [`ALL`].

mod kpn;

use std::fmt;

use crate::{
    fault::Strike,
    point::Point,
    wire::{Call, Head, Reply},
    world::{Place, State},
};

/// Every vendor of the sandbox.
pub(crate) static ALL: &[&dyn Vendor] = &[&kpn::Kpn];

/// A vendor as the wire shows it.
pub(crate) trait Vendor: fmt::Debug + Sync {
    /// The name, which is also the first segment of its paths.
    fn name(&self) -> &'static str;

    /// Where its faults can strike.
    fn points(&self) -> &'static [Point];

    /// The connection URL to copy, for a service at this host and port.
    fn url(&self, authority: &str) -> String;

    /// Which point this request is, the vendor's own segment being the first.
    fn point(&self, head: &Head) -> Option<&'static str>;

    /// The vendor's answer. A strike that is not the vendor's to play was played already, or will
    /// be by changing this answer.
    fn answer(
        &self,
        state: &mut State,
        place: &Place,
        call: &Call,
        strike: Option<Strike>,
    ) -> Reply;
}

/// Finds a vendor by its name.
pub(crate) fn find(name: &str) -> Option<&'static dyn Vendor> {
    ALL.iter().copied().find(|vendor| vendor.name() == name)
}
