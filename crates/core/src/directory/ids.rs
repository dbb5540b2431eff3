use std::{fmt, str::FromStr};

use crate::{Guid, ParseError, string_enum::serde_as_text};

/// Declares a GUID that identifies one kind of thing, so that a user's id cannot be passed for a flow's.
macro_rules! guid_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Guid);

        impl $name {
            /// Returns the GUID.
            #[must_use]
            pub const fn guid(self) -> Guid {
                self.0
            }
        }

        impl From<Guid> for $name {
            fn from(guid: Guid) -> Self {
                Self(guid)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        serde_as_text!($name);
    };
}

guid_id! {
    /// The object id of a user in the directory.
    UserId
}

guid_id! {
    /// The id of one execution of the onboarding flow, as Entra assigns it.
    ///
    /// It is `taskProcessingResult.id` of a lifecycle workflow, or `CustomExtensionStageInstanceId` of an access
    /// package. A repeated call-out has the same id.
    FlowId
}
