//! Temporary Access Passes, of which a user has one at a time.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{history::History, random, record::Pass, users::Cast};

/// All passes, including revoked ones.
#[derive(Debug)]
pub(crate) struct Passes {
    all: History<Issued>,
}

/// A pass with the properties that Graph returns.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) user: String,
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) start: DateTime<Utc>,
    pub(crate) minutes: u32,
    pub(crate) once: bool,
    revoked_at: Option<DateTime<Utc>>,
}

impl Passes {
    /// Creates the initial passes: one that another program created.
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        let mut passes = Self {
            all: History::default(),
        };
        // The longest lifetime in Graph, beyond this tenant's policy: a sandbox may run for weeks, and this
        // user must have a usable pass.
        passes.issue(Cast::HAS_PASS, now, None, 43_200, false);
        passes
    }

    /// Creates a pass, which replaces the user's other one.
    pub(crate) fn issue(
        &mut self,
        user: &str,
        now: DateTime<Utc>,
        start: Option<DateTime<Utc>>,
        minutes: u32,
        once: bool,
    ) -> &Issued {
        let secret = loop {
            let secret = random::pass();
            if self.all.iter().all(|other| other.secret != secret) {
                break secret;
            }
        };
        for other in self.all.iter_mut() {
            if other.user == user && other.revoked_at.is_none() {
                other.revoked_at = Some(now);
            }
        }
        let index = self.all.push(Issued {
            user: user.to_owned(),
            id: random::guid(),
            secret,
            created_at: now,
            start: start.unwrap_or(now),
            minutes,
            once,
            revoked_at: None,
        });
        self.all.at(index).expect("it was pushed on the line above")
    }

    /// Returns the pass that Graph lists for this user at this time, expired or not.
    pub(crate) fn of_at(&self, user: &str, at: DateTime<Utc>) -> Option<&Issued> {
        self.all.iter().rev().find(|pass| {
            pass.user == user
                && pass.created_at <= at
                && pass.revoked_at.is_none_or(|revoked_at| revoked_at > at)
        })
    }

    /// Deletes a pass, and returns whether the user had it.
    pub(crate) fn revoke(&mut self, user: &str, id: &str, now: DateTime<Utc>) -> bool {
        let found = self.all.iter_mut().rev().find(|pass| {
            pass.user == user && pass.id.eq_ignore_ascii_case(id) && pass.revoked_at.is_none()
        });
        match found {
            Some(pass) => {
                pass.revoked_at = Some(now);
                true
            }
            None => false,
        }
    }

    pub(crate) fn records(&self, now: DateTime<Utc>) -> Vec<Pass> {
        self.all.iter().map(|pass| pass.record(now)).collect()
    }
}

impl Issued {
    /// Returns whether the pass can be used, and why, in Graph's terms. It does not consider a deletion.
    pub(crate) fn usability(&self, now: DateTime<Utc>) -> (bool, &'static str) {
        if now < self.start {
            (false, "NotYetValid")
        } else if now >= self.start + TimeDelta::minutes(self.minutes.into()) {
            (false, "Expired")
        } else {
            (true, "EnabledByPolicy")
        }
    }

    fn record(&self, now: DateTime<Utc>) -> Pass {
        Pass {
            user: self.user.clone(),
            id: self.id.clone(),
            secret: self.secret.clone(),
            created_at: self.created_at,
            usable: self.revoked_at.is_none() && self.usability(now).0,
            revoked_at: self.revoked_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(passes: &Passes, now: DateTime<Utc>) -> Vec<String> {
        let usable = passes.records(now).into_iter().filter(|pass| pass.usable);
        usable.map(|pass| pass.id).collect()
    }

    #[test]
    fn a_new_pass_revokes_the_one_before() {
        let now = Utc::now();
        let mut passes = Passes::new(now);
        let first = passes.issue(Cast::JOINER, now, None, 60, true).id.clone();
        let second = passes.issue(Cast::JOINER, now, None, 60, true).id.clone();
        let usable = usable(&passes, now);
        assert!(!usable.contains(&first));
        assert!(usable.contains(&second));
        assert_eq!(usable.len(), 2, "and the initial one: {usable:?}");
    }

    #[test]
    fn an_earlier_time_shows_the_pass_of_that_time() {
        let now = Utc::now();
        let second = TimeDelta::seconds(1);
        let mut passes = Passes::new(now);
        let first = passes.issue(Cast::JOINER, now, None, 60, true).id.clone();
        let second_at = now + second * 2;
        let other = passes
            .issue(Cast::JOINER, second_at, None, 60, true)
            .id
            .clone();
        let shown = |at| passes.of_at(Cast::JOINER, at).map(|pass| pass.id.clone());
        assert_eq!(shown(now - second), None);
        assert_eq!(shown(now + second), Some(first));
        assert_eq!(shown(second_at), Some(other));
    }

    #[test]
    fn a_pass_expires_at_the_end_of_its_lifetime() {
        let now = Utc::now();
        let mut passes = Passes::new(now);
        let id = passes.issue(Cast::JOINER, now, None, 60, true).id.clone();
        let minute = TimeDelta::minutes(1);
        assert!(usable(&passes, now + minute * 59).contains(&id));
        assert!(!usable(&passes, now + minute * 60).contains(&id));
        assert!(!usable(&passes, now - minute).contains(&id));
    }

    #[test]
    fn a_pass_is_revoked_once_and_only_for_its_user() {
        let now = Utc::now();
        let mut passes = Passes::new(now);
        let id = passes.issue(Cast::JOINER, now, None, 60, true).id.clone();
        assert!(!passes.revoke(Cast::ENGLISH, &id, now));
        assert!(passes.revoke(Cast::JOINER, &id, now));
        assert!(!passes.revoke(Cast::JOINER, &id, now));
        assert!(passes.of_at(Cast::JOINER, now).is_none());
    }
}
