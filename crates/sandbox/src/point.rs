//! Where a fault can strike.

use crate::{
    error::SandboxError,
    fault::Fault::{self, *},
    graph, login, vendors,
};

/// A kind of request, by the name that faults use.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) name: &'static str,
    /// What can go wrong here beside [`ANYWHERE`].
    pub(crate) faults: &'static [Fault],
}

/// What can go wrong with any request.
const ANYWHERE: &[Fault] = &[
    Delay,
    EmptyOk,
    GzipBomb,
    Html502,
    HugeBody,
    InvalidUtf8,
    Late,
    LostAnswer,
    NotJson,
    Redirect,
    ResetAfterRead,
    ResetBeforeRead,
    SlowBody,
    Stall,
    StallBefore,
    Status503,
    Throttle,
    TruncatedBody,
    Unauthorized,
    UnauthorizedOnce,
];

/// Every point of the sandbox.
pub(crate) fn all() -> impl Iterator<Item = &'static Point> {
    vendors::ALL
        .iter()
        .flat_map(|vendor| vendor.points())
        .chain(login::POINTS)
        .chain(graph::POINTS)
}

/// Gives a point its own name back, if `fault` can happen there.
pub(crate) fn find(name: &str, fault: Fault) -> Result<&'static str, SandboxError> {
    let Some(point) = all().find(|point| point.name == name) else {
        let known: Vec<_> = all().map(|point| point.name).collect();
        return Err(SandboxError::new(format!(
            "there is no point {name:?}; there are {}",
            known.join(", ")
        )));
    };
    if ANYWHERE.contains(&fault) || point.faults.contains(&fault) {
        return Ok(point.name);
    }
    let possible: Vec<_> = ANYWHERE
        .iter()
        .chain(point.faults)
        .map(|fault| fault.name())
        .collect();
    Err(SandboxError::new(format!(
        "{fault} means nothing at {name}; there it can be {}",
        possible.join(", ")
    )))
}
