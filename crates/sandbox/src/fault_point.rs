//! Where a fault can strike.

use crate::{
    error::SandboxError,
    fault::Fault::{self, *},
};

/// A kind of request, by the name that faults use.
#[derive(Debug)]
pub(crate) struct FaultPoint {
    pub(crate) name: &'static str,
    /// What can go wrong here beside [`ANYWHERE`].
    pub(crate) faults: &'static [Fault],
}

impl FaultPoint {
    /// Finds the point of this name among those given, if `fault` can happen there.
    pub(crate) fn find(
        points: impl Iterator<Item = &'static Self> + Clone,
        name: &str,
        fault: Fault,
    ) -> Result<&'static Self, SandboxError> {
        let Some(point) = points.clone().find(|point| point.name == name) else {
            let known: Vec<_> = points.map(|point| point.name).collect();
            return Err(SandboxError::new(format!(
                "there is no point {name:?}; there are {}",
                known.join(", ")
            )));
        };
        if ANYWHERE.contains(&fault) || point.faults.contains(&fault) {
            return Ok(point);
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
