//! The points where a fault can strike.

use crate::{
    error::SandboxError,
    fault::{Fault, Scope},
    names,
};

/// A kind of request at which faults can strike, by its name.
#[derive(Debug)]
pub(crate) struct FaultPoint {
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A request with only these faults and those that can happen anywhere.
    Other(&'static [Fault]),
    /// A request to send whose response holds no list.
    Send,
    /// A request to send whose response holds a list.
    SendList,
}

impl FaultPoint {
    /// Creates a point with only the faults that can happen anywhere.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self::with(name, &[])
    }

    /// Creates a point with these faults and those that can happen anywhere.
    pub(crate) const fn with(name: &'static str, faults: &'static [Fault]) -> Self {
        Self {
            name,
            kind: Kind::Other(faults),
        }
    }

    /// Creates a point for requests to send whose response holds no list.
    pub(crate) const fn send(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Send,
        }
    }

    /// Creates a point for requests to send whose response holds a list.
    pub(crate) const fn send_list(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::SendList,
        }
    }

    /// Finds the point of this name among `points`, if `fault` can happen there.
    pub(crate) fn find(
        points: impl Iterator<Item = &'static Self> + Clone,
        name: &str,
        fault: Fault,
    ) -> Result<&'static Self, SandboxError> {
        let Some(point) = points.clone().find(|point| point.name == name) else {
            return Err(names::unknown(
                "fault point",
                name,
                points.map(|point| point.name),
            ));
        };
        if point.has(fault) {
            return Ok(point);
        }
        let possible: Vec<_> = Fault::ALL
            .iter()
            .filter(|fault| point.has(**fault))
            .map(|fault| fault.name())
            .collect();
        Err(SandboxError::new(format!(
            "{fault} cannot happen at {name}, where these can: {}",
            possible.join(", ")
        )))
    }

    /// Returns whether `fault` can happen here.
    fn has(&self, fault: Fault) -> bool {
        match fault.scope() {
            Scope::Anywhere => true,
            Scope::Lists => matches!(self.kind, Kind::SendList),
            Scope::Named => matches!(self.kind, Kind::Other(faults) if faults.contains(&fault)),
            Scope::Sends => matches!(self.kind, Kind::Send | Kind::SendList),
        }
    }
}
