use std::{fmt, str::FromStr, time::Duration};

use serde::Serialize;

use crate::error::SandboxError;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Something that goes wrong between a caller and the sandbox.
        ///
        /// "Processed" means that the vendor has the text (Graph the pass, and so on) although the
        /// caller may not know.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[doc = $doc])+ $variant,)+
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
        }
    };
}

faults! {
    /// The vendor refuses: the recipient is no number it can reach. Not processed.
    BadNumber = "bad_number",
    /// The vendor refuses: it will not send under this name. Not processed.
    BadSender = "bad_sender",
    /// The vendor refuses: the recipient may not be texted. Not processed.
    Blocked = "blocked",
    /// The ordinary answer after [`ms`](FaultSpec::ms). Processed.
    Delay = "delay",
    /// A refusal whose body repeats the text and the number. Not processed.
    EchoText = "echo_text",
    /// A 200 with no body at all. Processed.
    EmptyOk = "empty_ok",
    /// Graph's 400 that the user has a pass already, in place of replacing it. Not processed.
    Exists = "exists",
    /// A 200 whose 65 KB of gzip become 64 MiB. Processed.
    GzipBomb = "gzip_bomb",
    /// A gateway's 502 with a page of HTML. Not processed.
    Html502 = "html_502",
    /// A 200 whose body does not end; the sandbox gives up at 1 GiB. Processed.
    HugeBody = "huge_body",
    /// A 200 whose body is JSON but for one byte that is no UTF-8. Processed.
    InvalidUtf8 = "invalid_utf8",
    /// Graph's list of passes as it was [`ms`](FaultSpec::ms) ago.
    Lag = "lag",
    /// The connection is reset once the request was read. Processed [`ms`](FaultSpec::ms) after that.
    Late = "late",
    /// The connection is reset instead of the answer. Processed.
    LostAnswer = "lost_answer",
    /// A list in the vendor's answer lacks its last entry. Processed.
    MissingEntry = "missing_entry",
    /// The vendor refuses: there is no credit left. Not processed.
    NoCredit = "no_credit",
    /// A 200 whose body is not JSON. Processed.
    NotJson = "not_json",
    /// Graph's 404 for an object that has not reached this replica. Not processed.
    NotReplicated = "not_replicated",
    /// The vendor's success without its id. Processed.
    OkWithoutId = "ok_without_id",
    /// Graph's 400 that the policy allows this person no pass. Not processed.
    PolicyRefuses = "policy_refuses",
    /// A 307 to another host, where what arrives is counted. Not processed.
    Redirect = "redirect",
    /// The connection is reset after the whole request was read. Not processed.
    ResetAfterRead = "reset_after_read",
    /// The connection is reset once the head of the request says where it goes. Not processed.
    ResetBeforeRead = "reset_before_read",
    /// Graph's 409 that there is nothing to resume. Not processed.
    ResumeConflict = "resume_conflict",
    /// The ordinary answer, its body one byte each [`ms`](FaultSpec::ms). Processed.
    SlowBody = "slow_body",
    /// No answer, ever. Processed.
    Stall = "stall",
    /// No answer, ever. Not processed.
    StallBefore = "stall_before",
    /// An empty 503. Not processed.
    Status503 = "status_503",
    /// The vendor's own "too many requests", with [`ms`](FaultSpec::ms) as its hint. Not processed.
    Throttle = "throttle",
    /// Graph's 403 for the token presented, until a new one is used. Not processed.
    TokenWithoutRoles = "token_without_roles",
    /// The ordinary answer, its body cut off before its end. Processed.
    TruncatedBody = "truncated_body",
    /// The vendor's own refusal of the caller. Not processed.
    Unauthorized = "unauthorized",
    /// The vendor's own refusal of the caller, and the token presented, if it is one, is dead. Not processed.
    UnauthorizedOnce = "unauthorized_once",
    /// A list in the vendor's answer, such as a batch's, in another order. Processed.
    WrongOrder = "wrong_order",
}

impl Fault {
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
