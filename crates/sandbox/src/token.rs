//! Bearer tokens: issued, checked, and really dead after their time.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};

use crate::{history::KEPT, random};

/// For whom a token is good. They do not cross.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Audience {
    Graph,
    Other,
    Vendor(&'static str),
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    Expired,
    Unknown,
    WrongAudience,
}

/// Every token that was issued and may still live.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    live: HashMap<String, Token>,
}

#[derive(Debug)]
struct Token {
    audience: Audience,
    expires: DateTime<Utc>,
    has_roles: bool,
}

impl Tokens {
    pub(crate) fn issue(
        &mut self,
        audience: Audience,
        has_roles: bool,
        life: Duration,
        now: DateTime<Utc>,
    ) -> String {
        if self.live.len() >= KEPT {
            self.live.retain(|_, token| token.expires > now);
        }
        if self.live.len() >= KEPT {
            self.live.clear();
        }
        let value = random::token();
        self.live.insert(
            value.clone(),
            Token {
                audience,
                expires: now + life,
                has_roles,
            },
        );
        value
    }

    pub(crate) fn check(
        &self,
        value: &str,
        audience: Audience,
        now: DateTime<Utc>,
    ) -> Result<(), Refused> {
        match self.live.get(value) {
            None => Err(Refused::Unknown),
            Some(token) if token.audience != audience => Err(Refused::WrongAudience),
            Some(token) if token.expires <= now => Err(Refused::Expired),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn has_roles(&self, value: &str) -> bool {
        self.live.get(value).is_some_and(|token| token.has_roles)
    }

    pub(crate) fn take_roles(&mut self, value: &str) {
        if let Some(token) = self.live.get_mut(value) {
            token.has_roles = false;
        }
    }

    pub(crate) fn kill(&mut self, value: &str) {
        self.live.remove(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_dies_at_its_time_and_does_not_cross() {
        let now = Utc::now();
        let life = Duration::from_secs(60);
        let mut tokens = Tokens::default();
        let token = tokens.issue(Audience::Graph, true, life, now);
        assert_eq!(tokens.check(&token, Audience::Graph, now), Ok(()));
        assert_eq!(
            tokens.check(&token, Audience::Vendor("kpn"), now),
            Err(Refused::WrongAudience)
        );
        assert_eq!(
            tokens.check(&token, Audience::Graph, now + life),
            Err(Refused::Expired)
        );
        tokens.kill(&token);
        assert_eq!(
            tokens.check(&token, Audience::Graph, now),
            Err(Refused::Unknown)
        );
    }
}
