use std::{fmt, str::FromStr, time::Duration};

use serde::Serialize;

use crate::{error::SandboxError, names};

/// Defines [`Fault`] from one table, with each fault's description, name and scope, and whether the request is
/// processed.
macro_rules! faults {
    ($(#[doc = $doc:literal] $variant:ident = $name:literal at $scope:ident, $($effect:ident)+;)+) => {
        /// A failure between a caller and the sandbox.
        ///
        /// "Processed" means that the request had its effect: the vendor has the text, Graph the pass, and so
        /// on. The caller may not know it. `ms` is the duration that [`FaultSpec::ms`](crate::FaultSpec::ms) sets.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum Fault {
            $(
                #[doc = $doc]
                ///
                #[doc = effect!($($effect)+ => "Processed.", "Not processed.")]
                $variant,
            )+
        }

        impl Fault {
            /// All faults, in the order of their names.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the name on command lines and in JSON, such as `lost_answer`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns what happens, in a sentence such as `An empty 503.`
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc.trim_start(),)+
                }
            }

            /// Returns whether a request is processed although this fault strikes it.
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
    /// The vendor's refusal of the recipient: an invalid number.
    BadNumber = "bad_number" at Sends, not processed;
    /// The vendor's refusal of the sender.
    BadSender = "bad_sender" at Sends, not processed;
    /// The vendor's refusal of the recipient: opted out or barred.
    Blocked = "blocked" at Sends, not processed;
    /// The ordinary response after `ms`.
    Delay = "delay" at Anywhere, processed;
    /// A refusal whose body repeats the text and the number.
    EchoText = "echo_text" at Sends, not processed;
    /// A 200 without a body.
    EmptyOk = "empty_ok" at Anywhere, processed;
    /// Graph's 400 that the user has a pass already, instead of replacing it.
    Exists = "exists" at Named, not processed;
    /// A 200 whose 65 KB of gzip decompress to 64 MiB.
    GzipBomb = "gzip_bomb" at Anywhere, processed;
    /// A gateway's 502 with a page of HTML.
    Html502 = "html_502" at Anywhere, not processed;
    /// A 200 whose body does not end before 1 GiB.
    HugeBody = "huge_body" at Anywhere, processed;
    /// A 200 whose body is JSON except for one byte that is not UTF-8.
    InvalidUtf8 = "invalid_utf8" at Anywhere, processed;
    /// Graph's list of passes as it was `ms` ago.
    Lag = "lag" at Named, processed;
    /// A reset once the request was read, which is processed `ms` later.
    Late = "late" at Anywhere, processed;
    /// A reset instead of the response.
    LostAnswer = "lost_answer" at Anywhere, processed;
    /// A list in the vendor's response without its last entry.
    MissingEntry = "missing_entry" at Lists, processed;
    /// The vendor's refusal for lack of credit.
    NoCredit = "no_credit" at Sends, not processed;
    /// A 200 whose body is not JSON.
    NotJson = "not_json" at Anywhere, processed;
    /// Graph's 404 for an object that has not reached this replica.
    NotReplicated = "not_replicated" at Named, not processed;
    /// The vendor's success without an id.
    OkWithoutId = "ok_without_id" at Sends, processed;
    /// Graph's 400 that the policy allows this user no pass.
    PolicyRefuses = "policy_refuses" at Named, not processed;
    /// A 307 to another host, which counts the requests that reach it.
    Redirect = "redirect" at Anywhere, not processed;
    /// A reset once the whole request was read.
    ResetAfterRead = "reset_after_read" at Anywhere, not processed;
    /// A reset once the head of the request was read.
    ResetBeforeRead = "reset_before_read" at Anywhere, not processed;
    /// Graph's 409 that there is nothing to resume.
    ResumeConflict = "resume_conflict" at Named, not processed;
    /// The ordinary response, one byte of its body each `ms`.
    SlowBody = "slow_body" at Anywhere, processed;
    /// No response, although the request is processed.
    Stall = "stall" at Anywhere, processed;
    /// No response, and the request is not processed.
    StallBefore = "stall_before" at Anywhere, not processed;
    /// An empty 503.
    Status503 = "status_503" at Anywhere, not processed;
    /// The vendor's own "too many requests", with `ms` as its hint.
    Throttle = "throttle" at Anywhere, not processed;
    /// Graph's 403 for this token, until the caller uses a new one.
    TokenWithoutRoles = "token_without_roles" at Named, not processed;
    /// The ordinary response, cut off within its body.
    TruncatedBody = "truncated_body" at Anywhere, processed;
    /// The vendor's own refusal of the caller.
    Unauthorized = "unauthorized" at Anywhere, not processed;
    /// The vendor's own refusal of the caller, whose token is revoked.
    UnauthorizedOnce = "unauthorized_once" at Anywhere, not processed;
    /// A list in the vendor's response in another order.
    WrongOrder = "wrong_order" at Lists, processed;
}

impl Fault {
    /// Returns whether this fault is a refusal of the caller's credentials.
    pub(crate) fn refuses_caller(self) -> bool {
        matches!(self, Self::Unauthorized | Self::UnauthorizedOnce)
    }

    /// Applies this fault to a list in the vendor's response.
    pub(crate) fn spoil_list<T>(self, list: &mut Vec<T>) {
        match self {
            Self::MissingEntry => {
                list.pop();
            }
            Self::WrongOrder => list.reverse(),
            _ => {}
        }
    }

    /// Returns the default of [`ms`](crate::FaultSpec::ms).
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
        names::find("fault", name, Self::ALL, Self::name)
    }
}

impl Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A fault that strikes a request.
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
