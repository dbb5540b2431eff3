use std::fmt;

use crate::Price;

/// What [`check`](crate::SmsProvider::check) learned without sending anything.
///
/// ```
/// use postduif_core::Health;
///
/// let health = Health::good().with_balance("12 EUR".parse()?);
/// assert_eq!(health.to_string(), "credentials good, 12 EUR left");
/// assert_eq!(Health::good().to_string(), "credentials good");
/// assert_eq!(Health::cannot_tell().to_string(), "this vendor cannot tell");
/// # Ok::<(), postduif_core::ParseError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Health {
    verified: bool,
    balance: Option<Price>,
}

impl Health {
    /// The vendor accepted the credentials.
    #[must_use]
    pub const fn good() -> Self {
        Self {
            verified: true,
            balance: None,
        }
    }

    /// The vendor has no call that would tell without sending.
    #[must_use]
    pub const fn cannot_tell() -> Self {
        Self {
            verified: false,
            balance: None,
        }
    }

    /// What is left on the account.
    #[must_use]
    pub const fn with_balance(mut self, balance: Price) -> Self {
        self.balance = Some(balance);
        self
    }

    /// Whether the credentials are known to be good; false means that the vendor cannot tell. Refused
    /// credentials are an error of `check`, never a health.
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        self.verified
    }

    /// What is left on the account, where the vendor tells.
    #[must_use]
    pub const fn balance(&self) -> Option<Price> {
        self.balance
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.verified {
            true => "credentials good",
            false => "this vendor cannot tell",
        })?;
        match self.balance {
            Some(balance) => write!(f, ", {balance} left"),
            None => Ok(()),
        }
    }
}
