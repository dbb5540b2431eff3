use std::fmt;

use serde::Serialize;

use crate::{
    ErrorKind, Price, SendError,
    string_enum::{padded, string_enum},
};

string_enum! {
    /// The result of a check for the credentials.
    #[non_exhaustive]
    pub enum Credentials("a state of credentials") {
        /// The vendor refused them.
        Refused = "refused",
        /// The vendor offers no way to check them without sending a message.
        Unknown = "unknown",
        /// The vendor accepted them.
        Verified = "verified",
    }
}

/// The result of a [`check`](crate::SmsProvider::check).
///
/// serde writes `credentials`, `balance` and `refusal`; absent values are null.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{Credentials, ErrorKind, Health, SendError};
///
/// let health = Health::verified().with_balance("12 EUR".parse()?);
/// assert_eq!(health.credentials(), Credentials::Verified);
/// assert_eq!(health.to_string(), "credentials verified, balance 12 EUR");
///
/// let refusal = SendError::not_accepted(ErrorKind::Unauthorized, "invalid key").with_provider("cm");
/// let health = Health::refused(refusal);
/// assert_eq!(health.credentials(), Credentials::Refused);
/// assert_eq!(health.to_string(), "credentials refused: cm: invalid key");
/// # Ok::<(), postduif::ParseError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Health {
    credentials: Credentials,
    balance: Option<Price>,
    refusal: Option<SendError>,
}

impl Health {
    /// Creates the health of a provider whose credentials the vendor accepted.
    #[must_use]
    pub const fn verified() -> Self {
        Self::new(Credentials::Verified, None)
    }

    /// Creates the health of a provider whose credentials the vendor refused, with its refusal.
    ///
    /// The refusal becomes an error [of a check](SendError::of_check).
    #[must_use]
    pub fn refused(refusal: SendError) -> Self {
        Self::new(Credentials::Refused, Some(refusal.of_check()))
    }

    /// Creates the health of a provider whose vendor offers no way to check credentials without sending.
    #[must_use]
    pub const fn unknown() -> Self {
        Self::new(Credentials::Unknown, None)
    }

    const fn new(credentials: Credentials, refusal: Option<SendError>) -> Self {
        Self {
            credentials,
            balance: None,
            refusal,
        }
    }

    /// Turns the outcome of a request that carried no message into the result of a check.
    ///
    /// An [`Unauthorized`](ErrorKind::Unauthorized) error becomes [`Health::refused`]. Any other error becomes one
    /// [of a check](SendError::of_check): the vendor could not be asked.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::{Credentials, ErrorKind, Health, SendError};
    ///
    /// let refused = Err(SendError::not_accepted(ErrorKind::Unauthorized, "invalid key"));
    /// assert_eq!(Health::of(refused)?.credentials(), Credentials::Refused);
    ///
    /// let lost = Err(SendError::unknown(ErrorKind::Timeout, "no response in time"));
    /// assert_eq!(Health::of(lost).unwrap_err().to_string(), "no response in time");
    /// # Ok::<(), SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns any error but `Unauthorized`, as one of a check.
    pub fn of(outcome: Result<Self, SendError>) -> Result<Self, SendError> {
        match outcome {
            Err(error) if error.kind() == ErrorKind::Unauthorized => Ok(Self::refused(error)),
            Err(error) => Err(error.of_check()),
            Ok(health) => Ok(health),
        }
    }

    /// Sets the balance of the account.
    #[must_use]
    pub const fn with_balance(mut self, balance: Price) -> Self {
        self.balance = Some(balance);
        self
    }

    /// Returns what is known about the credentials.
    #[must_use]
    pub const fn credentials(&self) -> Credentials {
        self.credentials
    }

    /// Returns the vendor's refusal of the credentials, or `None` if it did not refuse them.
    #[must_use]
    pub const fn refusal(&self) -> Option<&SendError> {
        self.refusal.as_ref()
    }

    /// Returns the balance of the account, or `None` if the vendor does not state it.
    #[must_use]
    pub const fn balance(&self) -> Option<Price> {
        self.balance
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = self.credentials;
        match (&self.refusal, self.balance) {
            (Some(refusal), _) => padded(f, format_args!("credentials {credentials}: {refusal}")),
            (None, Some(balance)) => padded(
                f,
                format_args!("credentials {credentials}, balance {balance}"),
            ),
            (None, None) => padded(f, format_args!("credentials {credentials}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_credentials_is_a_health() {
        for &kind in ErrorKind::ALL {
            let outcome = Health::of(Err(SendError::unknown(kind, "x")));
            let error = match outcome {
                Ok(health) => {
                    assert_eq!(
                        (kind, health.credentials()),
                        (ErrorKind::Unauthorized, Credentials::Refused)
                    );
                    health.refusal().unwrap().clone()
                }
                Err(error) => {
                    assert_ne!(kind, ErrorKind::Unauthorized);
                    error
                }
            };
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, "x"));
        }
        for health in [Health::verified(), Health::unknown()] {
            assert_eq!(Health::of(Ok(health.clone())), Ok(health));
        }
    }
}
