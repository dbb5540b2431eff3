//! The services behind one door: which of them a request is for, and where faults can strike in any.

use std::str::FromStr;

use hyper::StatusCode;

use crate::{
    error::SandboxError,
    fault::{Fault, Strike},
    fault_point::FaultPoint,
    fault_spec::FaultSpec,
    graph,
    http::{Head, Request, Response},
    login, vendors,
    world::{Config, State},
};

/// Every point of the sandbox.
pub(crate) fn fault_points() -> impl Iterator<Item = &'static FaultPoint> + Clone {
    vendors::ALL
        .iter()
        .flat_map(|vendor| vendor.fault_points())
        .chain(login::FAULT_POINTS)
        .chain(graph::FAULT_POINTS)
}

/// Which point this request is.
pub(crate) fn fault_point(head: &Head) -> Option<&'static str> {
    match head.service() {
        "graph" => graph::fault_point(head),
        "login" => login::fault_point(head),
        name => vendors::find(name)?.fault_point(head),
    }
}

/// What the service says to which this request goes.
pub(crate) fn respond(
    state: &mut State,
    config: &Config,
    request: &Request,
    strike: Option<Strike>,
) -> Response {
    match request.head.service() {
        "graph" => graph::respond(state, config, request, strike),
        "login" => login::respond(state, config, request, strike),
        name => match vendors::find(name) {
            Some(vendor) => vendor.respond(state, config, request, strike),
            None => Response::text(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "Nothing is here. GET /_sandbox says what is where.\n",
            ),
        },
    }
}

impl FaultSpec {
    /// A fault that strikes once.
    ///
    /// # Errors
    ///
    /// The sandbox has no such point, or this fault means nothing there.
    pub fn new(at: &str, fault: Fault) -> Result<Self, SandboxError> {
        Self::among(fault_points(), at, fault)
    }
}

impl FromStr for FaultSpec {
    type Err = SandboxError;

    fn from_str(spec: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            SandboxError::new(format!(
                "{spec:?} is not AT=FAULT or AT=FAULT*TIMES, such as kpn.send=lost_answer*2"
            ))
        };
        let (at, fault) = spec.split_once('=').ok_or_else(wrong)?;
        let (fault, times) = match fault.split_once('*') {
            Some((fault, times)) => (fault, times.parse().map_err(|_| wrong())?),
            None => (fault, 1),
        };
        Ok(Self::new(at, fault.parse()?)?.times(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_spec_is_told_what_would_be_good() {
        let told = |spec: &str| spec.parse::<FaultSpec>().unwrap_err().to_string();
        assert!(told("kpn.send").contains("AT=FAULT"));
        assert!(told("kpn.send=stall*often").contains("AT=FAULT*TIMES"));
        assert!(told("kpn.send=stahl").contains("stall_before"));
        assert!(told("kpm.send=stall").contains("graph.tap_revoke"));
        assert!(told("kpn.send=resume_conflict").contains("lost_answer"));
    }
}
