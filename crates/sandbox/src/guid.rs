//! GUIDs in text.

/// Returns whether this is a GUID with hyphens and without braces, in any case.
pub(crate) fn is(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_with_hyphens_is_a_guid() {
        assert!(is("5e2f9d1c-0b7a-4a63-8F3D-9c1e2b7a6d43"));
        assert!(!is("5e2f9d1c0b7a4a638f3d9c1e2b7a6d43"));
        assert!(!is("5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d4g"));
        assert!(!is("{e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d4}"));
    }
}
