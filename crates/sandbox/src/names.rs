//! Values that have names in JSON and on command lines.

use crate::error::SandboxError;

/// Finds the value of this name among `all`, or returns an error that lists the names.
pub(crate) fn find<T: Copy>(
    what: &str,
    name: &str,
    all: &[T],
    name_of: impl Fn(T) -> &'static str,
) -> Result<T, SandboxError> {
    all.iter()
        .copied()
        .find(|one| name_of(*one) == name)
        .ok_or_else(|| unknown(what, name, all.iter().map(|one| name_of(*one))))
}

/// Returns the error that `name` is unknown and these are not.
pub(crate) fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> SandboxError {
    let known: Vec<_> = known.into_iter().collect();
    SandboxError::new(format!(
        "unknown {what} {name:?}; known: {}",
        known.join(", ")
    ))
}
