use std::{fmt, sync::Arc};

use postduif_core::{
    PhoneNumber, PhoneNumberError, async_trait,
    directory::{FailureReason, FlowId, Roles, User},
};

use crate::{Numbers, ReadNumber};

/// A rule that may refuse a pass to a person.
///
/// Guards are asked in order, after the number is read and before a pass is issued, and again where a flow
/// had to wait in between; the first refusal ends the flow.
///
/// # Contract
///
/// Fail closed: a guard that cannot tell refuses. Every wait is bounded: a guard that does not return within a minute
/// has refused.
///
/// ```
/// use postduif_core::{Prefix, async_trait, directory::FailureReason};
/// use postduif_onboarding::{Candidate, Guard};
///
/// /// Only numbers in one country get a pass, such as `+31`.
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
    /// Lets the candidate pass, or says why not; a guard of your own has [`FailureReason::GuardRefused`].
    ///
    /// # Errors
    ///
    /// The reason that the flow ends with.
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason>;
}

#[async_trait]
impl<G: Guard + ?Sized> Guard for Arc<G> {
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
        (**self).check(candidate).await
    }
}

const _: fn(&dyn Guard) = |_| {};

/// Who is about to get a pass. `Debug` shows no name and no whole number.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    flow: FlowId,
    user: &'a User,
    number: Result<ReadNumber, FailureReason>,
    number_error: Option<PhoneNumberError>,
}

impl<'a> Candidate<'a> {
    /// Reads the user's mobile number strictly: a plus, the country code and digits, nothing else. In a flow it
    /// is read as the flow's [`Numbers`] say.
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

    /// What is wrong with the number that the directory has, in a word.
    pub(crate) fn number_fault(&self) -> Option<&'static str> {
        match self.number_error {
            Some(error) => Some(error.kind().as_str()),
            None => (!self.is_number_known()).then_some("unknown_range"),
        }
    }

    /// Returns whether the number lies in a range that the flow's [`Numbers`] know. A new range is unknown to
    /// every reader for some months.
    #[must_use]
    pub fn is_number_known(&self) -> bool {
        self.number.is_ok_and(|read| read.known)
    }

    /// Returns the flow that asks.
    #[must_use]
    pub const fn flow(&self) -> FlowId {
        self.flow
    }

    /// Returns what the directory says.
    #[must_use]
    pub const fn user(&self) -> &'a User {
        self.user
    }

    /// Returns the number that the text would go to.
    ///
    /// # Errors
    ///
    /// `NoNumber` or `InvalidNumber`; only our own guards meet them, since a guard of yours is asked last.
    pub fn number(&self) -> Result<PhoneNumber, FailureReason> {
        self.number.map(|read| read.number)
    }
}

/// Our own guards, in the order in which they are asked.
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

/// Refuses an account that the directory says is disabled.
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

/// Refuses an account of another tenant: Graph would not issue a pass for it either.
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

/// Refuses who holds a directory role, and whose roles nobody read: a pass for an administrator is the
/// tenant, in a text message.
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

/// Refuses a number in a range that nobody knows.
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

/// Refuses who cannot be sent a text.
#[derive(Debug)]
struct RequireNumber;

#[async_trait]
impl Guard for RequireNumber {
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
        candidate.number().map(drop)
    }
}
