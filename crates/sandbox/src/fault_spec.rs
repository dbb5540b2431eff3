use serde::Serialize;

use crate::{
    error::SandboxError,
    fault::{Fault, Strike},
    fault_point::FaultPoint,
};

/// A fault, the point where it strikes, and how often; parses from `AT=FAULT[*TIMES]`.
///
/// ```
/// use postduif_sandbox::{Fault, FaultSpec};
///
/// let spec: FaultSpec = "kpn.send=lost_answer*2".parse()?;
/// assert_eq!(spec, FaultSpec::new("kpn.send", Fault::LostAnswer)?.times(2));
///
/// let error = "kpn.sent=lost_answer".parse::<FaultSpec>().unwrap_err();
/// assert!(error.to_string().contains("kpn.send"));
/// # Ok::<(), postduif_sandbox::SandboxError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct FaultSpec {
    at: &'static str,
    fault: Fault,
    times: u32,
    ms: u64,
}

impl FaultSpec {
    /// Creates a fault that strikes once at the point of this name among `points`.
    pub(crate) fn among(
        points: impl Iterator<Item = &'static FaultPoint> + Clone,
        at: &str,
        fault: Fault,
    ) -> Result<Self, SandboxError> {
        Ok(Self {
            at: FaultPoint::find(points, at, fault)?.name,
            fault,
            times: 1,
            ms: fault.ms(),
        })
    }

    /// Returns the point where it strikes, such as `kpn.send`.
    pub fn at(&self) -> &'static str {
        self.at
    }

    /// Returns the fault.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Sets how many requests at the point it strikes. Defaults to 1.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Sets the duration of the fault in milliseconds.
    ///
    /// It matters to [`Fault::Delay`], [`Fault::Lag`], [`Fault::Late`] and [`Fault::Throttle`], where it
    /// defaults to 1000, and to [`Fault::SlowBody`], where it defaults to 100.
    #[must_use]
    pub fn ms(mut self, ms: u64) -> Self {
        self.ms = ms;
        self
    }
}

/// The faults that are set, in the order in which they strike at each point.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    set: Vec<(u64, FaultSpec)>,
    last: u64,
}

impl Faults {
    /// The most faults that may be set at once, so that a runaway script cannot fill the memory.
    const MAX_FAULTS: usize = 10_000;

    pub(crate) fn set(&mut self, spec: FaultSpec) -> Result<u64, SandboxError> {
        if self.set.len() >= Self::MAX_FAULTS {
            return Err(SandboxError::new(format!(
                "{} faults are set already",
                Self::MAX_FAULTS
            )));
        }
        self.last += 1;
        self.set.push((self.last, spec));
        Ok(self.last)
    }

    /// Changes a fault that is still to strike.
    pub(crate) fn change(&mut self, id: u64, change: impl FnOnce(FaultSpec) -> FaultSpec) {
        if let Some((_, spec)) = self.set.iter_mut().find(|(other, _)| *other == id) {
            *spec = change(spec.clone());
        }
    }

    pub(crate) fn strike(&mut self, at: &str) -> Option<Strike> {
        self.set.retain(|(_, spec)| spec.times > 0);
        let (_, spec) = self.set.iter_mut().find(|(_, spec)| spec.at == at)?;
        spec.times -= 1;
        Some(Strike {
            fault: spec.fault,
            ms: spec.ms,
        })
    }

    pub(crate) fn left(&self) -> impl Iterator<Item = &FaultSpec> {
        self.set
            .iter()
            .map(|(_, spec)| spec)
            .filter(|spec| spec.times > 0)
    }

    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT_POINTS: &[FaultPoint] = &[FaultPoint::new("kpn.send")];

    #[test]
    fn a_spec_strikes_as_often_as_it_says() {
        let mut faults = Faults::default();
        let spec = |fault| FaultSpec::among(FAULT_POINTS.iter(), "kpn.send", fault).unwrap();
        faults.set(spec(Fault::Stall).times(2)).unwrap();
        faults.set(spec(Fault::Redirect)).unwrap();
        assert!(faults.strike("kpn.token").is_none());
        let struck: Vec<_> =
            std::iter::from_fn(|| faults.strike("kpn.send").map(|strike| strike.fault)).collect();
        assert_eq!(struck, [Fault::Stall, Fault::Stall, Fault::Redirect]);
        assert_eq!(faults.left().count(), 0);
    }
}
