use std::{fmt, str::FromStr, time::Duration};

use serde::Serialize;

use crate::error::SandboxError;

/// Makes [`Fault`] and all that is said of each fault from one table: its documentation, its name, where it can strike,
/// and whether the request is processed.
macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal at $scope:ident, $($effect:ident)+;)+) => {
        /// Something that goes wrong between a caller and the sandbox.
        ///
        /// "Processed" means that the vendor has the text (Graph the pass, and so on) although the
        /// caller may not know.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum Fault {
            $(
                $(#[doc = $doc])+
                ///
                #[doc = effect!($($effect)+ => "Processed.", "Not processed.")]
                $variant,
            )+
        }

        impl Fault {
            /// Every fault there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name it goes by on command lines and in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns whether a request that it strikes is processed nevertheless.
            pub fn is_processed(self) -> bool {
                match self {
                    $(Self::$variant => effect!($($effect)+ => true, false),)+
                }
            }

            /// Returns where it can strike.
            pub(crate) fn scope(self) -> Scope {
                match self {
                    $(Self::$variant => Scope::$scope,)+
                }
            }
        }
    };
}

macro_rules! effect {
    (processed => $yes:expr, $no:expr) => {
        $yes
    };
    (not processed => $yes:expr, $no:expr) => {
        $no
    };
}

/// Where a fault can strike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// At every request.
    Anywhere,
    /// At a send whose response holds a list.
    Lists,
    /// At the points that name it.
    Named,
    /// At every send.
    Sends,
}

faults! {
    /// The vendor refuses: the recipient is no number it can reach.
    BadNumber = "bad_number" at Sends, not processed;
    /// The vendor refuses: it will not send under this name.
    BadSender = "bad_sender" at Sends, not processed;
    /// The vendor refuses: the recipient may not be texted.
    Blocked = "blocked" at Sends, not processed;
    /// The ordinary answer after [`ms`](crate::FaultSpec::ms).
    Delay = "delay" at Anywhere, processed;
    /// A refusal whose body repeats the text and the number.
    EchoText = "echo_text" at Sends, not processed;
    /// A 200 with no body at all.
    EmptyOk = "empty_ok" at Anywhere, processed;
    /// Graph's 400 that the user has a pass already, in place of replacing it.
    Exists = "exists" at Named, not processed;
    /// A 200 whose 65 KB of gzip become 64 MiB.
    GzipBomb = "gzip_bomb" at Anywhere, processed;
    /// A gateway's 502 with a page of HTML.
    Html502 = "html_502" at Anywhere, not processed;
    /// A 200 whose body does not end; the sandbox gives up at 1 GiB.
    HugeBody = "huge_body" at Anywhere, processed;
    /// A 200 whose body is JSON but for one byte that is no UTF-8.
    InvalidUtf8 = "invalid_utf8" at Anywhere, processed;
    /// Graph's list of passes as it was [`ms`](crate::FaultSpec::ms) ago.
    Lag = "lag" at Named, processed;
    /// The connection is reset once the request was read, which is processed [`ms`](crate::FaultSpec::ms) later.
    Late = "late" at Anywhere, processed;
    /// The connection is reset instead of the answer.
    LostAnswer = "lost_answer" at Anywhere, processed;
    /// A list in the vendor's answer lacks its last entry.
    MissingEntry = "missing_entry" at Lists, processed;
    /// The vendor refuses: there is no credit left.
    NoCredit = "no_credit" at Sends, not processed;
    /// A 200 whose body is not JSON.
    NotJson = "not_json" at Anywhere, processed;
    /// Graph's 404 for an object that has not reached this replica.
    NotReplicated = "not_replicated" at Named, not processed;
    /// The vendor's success without its id.
    OkWithoutId = "ok_without_id" at Sends, processed;
    /// Graph's 400 that the policy allows this person no pass.
    PolicyRefuses = "policy_refuses" at Named, not processed;
    /// A 307 to another host, where what arrives is counted.
    Redirect = "redirect" at Anywhere, not processed;
    /// The connection is reset after the whole request was read.
    ResetAfterRead = "reset_after_read" at Anywhere, not processed;
    /// The connection is reset once the head of the request says where it goes.
    ResetBeforeRead = "reset_before_read" at Anywhere, not processed;
    /// Graph's 409 that there is nothing to resume.
    ResumeConflict = "resume_conflict" at Named, not processed;
    /// The ordinary answer, its body one byte each [`ms`](crate::FaultSpec::ms).
    SlowBody = "slow_body" at Anywhere, processed;
    /// No answer, ever.
    Stall = "stall" at Anywhere, processed;
    /// No answer, ever.
    StallBefore = "stall_before" at Anywhere, not processed;
    /// An empty 503.
    Status503 = "status_503" at Anywhere, not processed;
    /// The vendor's own "too many requests", with [`ms`](crate::FaultSpec::ms) as its hint.
    Throttle = "throttle" at Anywhere, not processed;
    /// Graph's 403 for the token presented, until a new one is used.
    TokenWithoutRoles = "token_without_roles" at Named, not processed;
    /// The ordinary answer, its body cut off before its end.
    TruncatedBody = "truncated_body" at Anywhere, processed;
    /// The vendor's own refusal of the caller.
    Unauthorized = "unauthorized" at Anywhere, not processed;
    /// The vendor's own refusal of the caller, and the token presented, if it is one, is dead.
    UnauthorizedOnce = "unauthorized_once" at Anywhere, not processed;
    /// A list in the vendor's answer, such as a batch's, in another order.
    WrongOrder = "wrong_order" at Lists, processed;
}

impl Fault {
    /// Returns whether the vendor refuses the caller, whatever it sends.
    pub(crate) fn refuses_caller(self) -> bool {
        matches!(self, Self::Unauthorized | Self::UnauthorizedOnce)
    }

    /// Does to a list of the vendor's response what this fault says.
    pub(crate) fn spoil_list<T>(self, list: &mut Vec<T>) {
        match self {
            Self::MissingEntry => {
                list.pop();
            }
            Self::WrongOrder => list.reverse(),
            _ => {}
        }
    }

    /// The wait that this fault is about where nobody names one.
    pub(crate) fn ms(self) -> u64 {
        match self {
            Self::Delay | Self::Lag | Self::Late | Self::Throttle => 1000,
            Self::SlowBody => 100,
            _ => 0,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = SandboxError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|fault| fault.name() == name)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
                SandboxError::new(format!(
                    "there is no fault {name:?}; there are {}",
                    known.join(", ")
                ))
            })
    }
}

impl Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A fault that strikes this request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) ms: u64,
}

impl Strike {
    pub(crate) fn wait(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_and_the_names_are_in_order() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(*fault));
        }
        assert!(Fault::ALL.is_sorted_by_key(|fault| fault.name()));
    }
}
