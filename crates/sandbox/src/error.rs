use std::{error, fmt};

/// Why the sandbox will not do what it was told: one sentence, fit to show to whoever told it.
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
