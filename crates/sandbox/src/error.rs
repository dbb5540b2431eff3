use std::{error, fmt};

/// An error in the use of the sandbox, whose message a user can act on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SandboxError {
    message: String,
}

impl SandboxError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl error::Error for SandboxError {}
