use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often the same thing is logged at most.
const PAUSE: Duration = Duration::from_secs(1);

/// The most reasons that are told apart in this time. All of them are ours, not a caller's.
const MAX_REASONS: usize = 256;

/// Limits what callers without proof can make a service log.
#[derive(Debug, Default)]
pub(crate) struct Quiet(Mutex<HashMap<(String, String), Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    more: u64,
}

impl Quiet {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns how often this happened since it was last logged, if it should be logged now.
    pub(crate) fn tell(&self, subject: &str, reason: &str) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let key = (subject.to_owned(), reason.to_owned());
        if let Some(known) = told.get_mut(&key) {
            if now.duration_since(known.at) < PAUSE {
                known.more = known.more.saturating_add(1);
                return None;
            }
            known.at = now;
            return Some(std::mem::take(&mut known.more));
        }
        if told.len() >= MAX_REASONS {
            // What was not told for a while may be told as if it were new.
            told.retain(|_, known| now.duration_since(known.at) < PAUSE);
        }
        if told.len() >= MAX_REASONS {
            return None;
        }
        told.insert(key, Told { at: now, more: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reason_is_logged_once_a_second_and_another_one_at_once() {
        let quiet = Quiet::new();
        assert_eq!(quiet.tell("kpn", "forged"), Some(0));
        assert_eq!(quiet.tell("kpn", "forged"), None);
        assert_eq!(quiet.tell("kpn", "stale"), Some(0));
        assert_eq!(quiet.tell("cm", "forged"), Some(0));
        let before = Instant::now().checked_sub(PAUSE).unwrap();
        for told in quiet.0.lock().unwrap().values_mut() {
            told.at = before;
        }
        assert_eq!(quiet.tell("kpn", "forged"), Some(1));
        assert_eq!(quiet.tell("kpn", "forged"), None);
    }

    #[test]
    fn a_new_reason_is_logged_although_many_others_were_before() {
        let quiet = Quiet::new();
        for reason in 0..MAX_REASONS {
            assert_eq!(quiet.tell("kpn", &reason.to_string()), Some(0));
        }
        assert_eq!(quiet.tell("kpn", "one too many"), None);
        let before = Instant::now().checked_sub(PAUSE).unwrap();
        for told in quiet.0.lock().unwrap().values_mut() {
            told.at = before;
        }
        assert_eq!(quiet.tell("kpn", "a new one"), Some(0));
        assert_eq!(quiet.0.lock().unwrap().len(), 1);
    }
}
