use std::{fmt, sync::Arc};

use postduif_core::{
    PhoneNumber, PhoneNumberError, async_trait,
    directory::{FailureReason, FlowId, Roles, User},
};

use crate::{Numbers, ReadNumber};

/// A rule that may refuse a pass for a user.
///
/// Guards run in order, after the user is read and before a pass is issued. They run again if the flow had to wait in
/// between. The first refusal ends the flow.
///
/// # Contract
///
/// Fail closed: a guard that cannot decide refuses. A guard that does not return within one minute counts as a refusal.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_onboarding as onboarding; }
/// use postduif::{async_trait, directory::FailureReason, onboarding::{Candidate, Guard}, Prefix};
///
/// /// Allows only numbers with one prefix, such as `+31`.
/// #[derive(Debug)]
/// struct OnlyIn(Prefix);
///
/// #[async_trait]
/// impl Guard for OnlyIn {
///     async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
///         if self.0.matches(candidate.number()?) {
///             Ok(())
///         } else {
///             Err(FailureReason::GuardRefused)
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Guard: fmt::Debug + Send + Sync + 'static {
    /// Checks the candidate. A guard of your own refuses with [`FailureReason::GuardRefused`].
    ///
    /// # Errors
    ///
    /// The reason with which the flow ends.
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason>;
}

#[async_trait]
impl<G: Guard + ?Sized> Guard for Arc<G> {
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
        (**self).check(candidate).await
    }
}

const _: fn(&dyn Guard) = |_| {};

/// A user who is about to get a pass. `Debug` shows no name and no complete number.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    flow: FlowId,
    user: &'a User,
    number: Result<ReadNumber, FailureReason>,
    number_error: Option<PhoneNumberError>,
}

impl<'a> Candidate<'a> {
    /// Creates a candidate, with the mobile number read by [`Numbers::strict`]. A flow reads it by its own [`Numbers`].
    #[must_use]
    pub fn new(flow: FlowId, user: &'a User) -> Self {
        Self::read_by(flow, user, &Numbers::strict())
    }

    pub(crate) fn read_by(flow: FlowId, user: &'a User, numbers: &Numbers) -> Self {
        let mut number_error = None;
        let number = match user.mobile.as_deref().map(str::trim) {
            None | Some("") => Err(FailureReason::NoNumber),
            Some(mobile) => numbers.read(mobile, user).map_err(|error| {
                number_error = Some(error);
                FailureReason::InvalidNumber
            }),
        };
        Self {
            flow,
            user,
            number,
            number_error,
        }
    }

    /// Returns what is wrong with the number of the directory, as one word.
    pub(crate) fn number_fault(&self) -> Option<&'static str> {
        match self.number_error {
            Some(error) => Some(error.kind().as_str()),
            None => (!self.is_number_known()).then_some("unknown_range"),
        }
    }

    /// Returns whether the number is in a range that the flow's [`Numbers`] know. Every new range is unknown for some
    /// months.
    #[must_use]
    pub fn is_number_known(&self) -> bool {
        self.number.is_ok_and(|read| read.known)
    }

    /// Returns the flow.
    #[must_use]
    pub const fn flow(&self) -> FlowId {
        self.flow
    }

    /// Returns the user, as the directory returned it.
    #[must_use]
    pub const fn user(&self) -> &'a User {
        self.user
    }

    /// Returns the number to which the text would be sent.
    ///
    /// # Errors
    ///
    /// `NoNumber` or `InvalidNumber`. Guards of your own run after the built-in ones, which refuse these.
    pub fn number(&self) -> Result<PhoneNumber, FailureReason> {
        self.number.map(|read| read.number)
    }
}

/// Returns the built-in guards, in their order.
pub(crate) fn built_in(
    disabled: bool,
    administrators: bool,
    known_numbers_only: bool,
) -> Vec<Arc<dyn Guard>> {
    let mut guards: Vec<Arc<dyn Guard>> = Vec::new();
    if !disabled {
        guards.push(Arc::new(RefuseDisabled));
    }
    guards.push(Arc::new(RefuseExternal));
    if !administrators {
        guards.push(Arc::new(RefuseAdministrators));
    }
    guards.push(Arc::new(RequireNumber));
    if known_numbers_only {
        guards.push(Arc::new(RefuseUnknownRanges));
    }
    guards
}

/// Refuses disabled accounts.
#[derive(Debug)]
struct RefuseDisabled;

#[async_trait]
impl Guard for RefuseDisabled {
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
        match candidate.user().enabled {
            Some(false) => Err(FailureReason::UserDisabled),
            Some(true) | None => Ok(()),
        }
    }
}

/// Refuses accounts of another tenant: Graph would not issue passes for them either.
#[derive(Debug)]
struct RefuseExternal;

#[async_trait]
impl Guard for RefuseExternal {
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
        if candidate.user().external {
            Err(FailureReason::UserGuest)
        } else {
            Ok(())
        }
    }
}

/// Refuses holders of a directory role, and users whose roles were not read: a pass for an administrator would put the
/// tenant into a text message.
#[derive(Debug)]
struct RefuseAdministrators;

#[async_trait]
impl Guard for RefuseAdministrators {
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
        match &candidate.user().roles {
            Roles::Held(roles) if roles.is_empty() => Ok(()),
            Roles::Held(_) => Err(FailureReason::UserAdministrator),
            _ => Err(FailureReason::RolesUnreadable),
        }
    }
}

/// Refuses numbers of an unknown range.
#[derive(Debug)]
struct RefuseUnknownRanges;

#[async_trait]
impl Guard for RefuseUnknownRanges {
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
        if candidate.is_number_known() {
            Ok(())
        } else {
            Err(FailureReason::InvalidNumber)
        }
    }
}

/// Refuses users without a valid number.
#[derive(Debug)]
struct RequireNumber;

#[async_trait]
impl Guard for RequireNumber {
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
        candidate.number().map(drop)
    }
}
