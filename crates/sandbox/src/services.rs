//! The simulated services together: routing to one of them, and all points where faults can strike.

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

/// Returns all points of the sandbox.
pub(crate) fn fault_points() -> impl Iterator<Item = &'static FaultPoint> + Clone {
    vendors::ALL
        .iter()
        .flat_map(|vendor| vendor.fault_points())
        .chain(login::FAULT_POINTS)
        .chain(graph::FAULT_POINTS)
}

/// Returns the point of this request.
pub(crate) fn fault_point(head: &Head) -> Option<&'static str> {
    match head.service() {
        "graph" => graph::fault_point(head),
        "login" => login::fault_point(head),
        name => vendors::find(name)?.fault_point(head),
    }
}

/// Returns the response of the service that this request is for.
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
                "Not found. GET /_sandbox lists the URLs of the services.\n",
            ),
        },
    }
}

impl FaultSpec {
    /// Creates a fault that strikes once.
    ///
    /// # Errors
    ///
    /// Returns an error if the sandbox has no such point, or the fault cannot happen there.
    pub fn new(at: &str, fault: Fault) -> Result<Self, SandboxError> {
        Self::among(fault_points(), at, fault)
    }
}

impl FromStr for FaultSpec {
    type Err = SandboxError;

    fn from_str(spec: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            SandboxError::new(format!(
                "invalid fault {spec:?}: expected AT=FAULT or AT=FAULT*TIMES, such as kpn.send=lost_answer*2"
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
    fn the_error_of_a_bad_spec_lists_what_is_valid() {
        let error = |spec: &str| spec.parse::<FaultSpec>().unwrap_err().to_string();
        assert!(error("kpn.send").contains("AT=FAULT"));
        assert!(error("kpn.send=stall*often").contains("AT=FAULT*TIMES"));
        assert!(error("kpn.send=stahl").contains("stall_before"));
        assert!(error("kpm.send=stall").contains("graph.tap_revoke"));
        assert!(error("kpn.send=resume_conflict").contains("lost_answer"));
    }
}
