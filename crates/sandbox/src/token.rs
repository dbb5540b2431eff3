//! Bearer tokens: issue, check, expiry and revocation.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};

use crate::{history::MAX_ENTRIES, random};

/// The service that accepts a token. No other does.
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

/// The issued tokens that may still be valid.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: HashMap<String, Token>,
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
        if self.issued.len() >= MAX_ENTRIES {
            self.issued.retain(|_, token| token.expires > now);
        }
        if self.issued.len() >= MAX_ENTRIES {
            self.issued.clear();
        }
        let value = random::token();
        self.issued.insert(
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
        match self.issued.get(value) {
            None => Err(Refused::Unknown),
            Some(token) if token.audience != audience => Err(Refused::WrongAudience),
            Some(token) if token.expires <= now => Err(Refused::Expired),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn has_roles(&self, value: &str) -> bool {
        self.issued.get(value).is_some_and(|token| token.has_roles)
    }

    pub(crate) fn remove_roles(&mut self, value: &str) {
        if let Some(token) = self.issued.get_mut(value) {
            token.has_roles = false;
        }
    }

    pub(crate) fn revoke(&mut self, value: &str) {
        self.issued.remove(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_expires_and_is_good_for_its_own_audience_only() {
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
        tokens.revoke(&token);
        assert_eq!(
            tokens.check(&token, Audience::Graph, now),
            Err(Refused::Unknown)
        );
    }
}
