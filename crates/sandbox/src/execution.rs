//! Executions in Entra that wait for a resume.

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::History;

/// The executions that the sandbox started, and unknown ones that were resumed.
///
/// An unknown execution can be resumed once, so that a call-out from a file works with any sandbox.
#[derive(Debug, Default)]
pub(crate) struct Executions {
    all: History<Execution>,
}

#[derive(Debug)]
struct Execution {
    id: String,
    /// The ids before it in the resume's path or body, in lower case.
    parents: Vec<String>,
    deadline: Option<DateTime<Utc>>,
    resumed: bool,
}

/// Why an execution cannot be resumed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    Already,
    Late,
    Unknown,
}

impl Executions {
    pub(crate) fn start(&mut self, id: &str, parents: &[&str], deadline: Option<DateTime<Utc>>) {
        self.push(id, parents, deadline, false);
    }

    /// Resumes the execution, if it still waits.
    pub(crate) fn resume(
        &mut self,
        id: &str,
        parents: &[&str],
        now: DateTime<Utc>,
    ) -> Result<(), Refused> {
        let id = id.to_ascii_lowercase();
        let Some(known) = self.all.iter_mut().rev().find(|known| known.id == id) else {
            self.push(&id, parents, None, true);
            return Ok(());
        };
        let same = known.parents.len() == parents.len()
            && known
                .parents
                .iter()
                .zip(parents)
                .all(|(one, other)| one.eq_ignore_ascii_case(other));
        if !same {
            return Err(Refused::Unknown);
        }
        if known.resumed {
            return Err(Refused::Already);
        }
        if known.deadline.is_some_and(|deadline| now >= deadline) {
            return Err(Refused::Late);
        }
        known.resumed = true;
        Ok(())
    }

    fn push(&mut self, id: &str, parents: &[&str], deadline: Option<DateTime<Utc>>, resumed: bool) {
        self.all.push(Execution {
            id: id.to_ascii_lowercase(),
            parents: parents.iter().map(|id| id.to_ascii_lowercase()).collect(),
            deadline,
            resumed,
        });
    }
}

/// Reads an ISO 8601 duration of days, hours, minutes and seconds, such as `PT30M`.
pub(crate) fn duration(text: &str) -> Option<TimeDelta> {
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (&text[1..], ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut seconds = 0;
    for (mut text, units) in [
        (days, &[('D', 86_400)][..]),
        (time, &[('H', 3600), ('M', 60), ('S', 1)][..]),
    ] {
        for (unit, worth) in units {
            if let Some((number, rest)) = text.split_once(*unit) {
                // Nine digits of days are 270,000 years, and do not overflow.
                if number.len() > 9 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                seconds += number.parse::<i64>().ok()? * worth;
                text = rest;
            }
        }
        if !text.is_empty() {
            return None;
        }
    }
    TimeDelta::try_seconds(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_entra_writes_them() {
        let seconds = |text| duration(text).map(|duration| duration.num_seconds());
        assert_eq!(seconds("PT30M"), Some(1800));
        assert_eq!(seconds("PT1H30M5S"), Some(5405));
        assert_eq!(seconds("P14D"), Some(14 * 86_400));
        assert_eq!(seconds("P1DT1S"), Some(86_401));
        for wrong in [
            "", "P", "PT", "P1DT", "30M", "PT30", "PT-5M", "PT5M1H", "PTM", "P1Y", "PTé",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_execution_is_resumed_once_and_in_time() {
        let now = Utc::now();
        let mut executions = Executions::default();
        executions.start("a", &["w"], Some(now + TimeDelta::seconds(1)));
        assert_eq!(executions.resume("a", &["x"], now), Err(Refused::Unknown));
        assert_eq!(executions.resume("A", &["W"], now), Ok(()));
        assert_eq!(executions.resume("a", &["w"], now), Err(Refused::Already));

        executions.start("b", &["w"], Some(now));
        assert_eq!(executions.resume("b", &["w"], now), Err(Refused::Late));

        assert_eq!(executions.resume("unknown", &["w"], now), Ok(()));
        assert_eq!(
            executions.resume("unknown", &["w"], now),
            Err(Refused::Already)
        );
    }
}
