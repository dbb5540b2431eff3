//! Random ids, tokens and passes.

use crate::digest;

/// Returns a version 4 GUID.
pub(crate) fn guid() -> String {
    let mut bytes: [u8; 16] = bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = digest::hex(&bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Returns an opaque bearer token.
pub(crate) fn token() -> String {
    digest::hex(&bytes::<32>())
}

/// Returns an id of `count` lowercase letters and digits, without look-alikes.
pub(crate) fn letters(count: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut id = String::with_capacity(count);
    while id.len() < count {
        id.extend(
            bytes::<32>()
                .into_iter()
                .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
                .take(count - id.len()),
        );
    }
    id
}

/// Returns an id of 32 hexadecimal digits.
pub(crate) fn hex_id() -> String {
    digest::hex(&bytes::<16>())
}

/// Returns the secret of a Temporary Access Pass: eight characters, the default length of a tenant.
pub(crate) fn pass() -> String {
    // Letters and digits without look-alikes, and the two other characters of Microsoft's samples.
    const ALPHABET: &[u8; 58] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789+!";
    // The largest multiple of the alphabet's length: bytes above it would favour some characters.
    const FAIR: u8 = 58 * 4;

    let mut pass = String::with_capacity(8);
    while pass.len() < 8 {
        pass.extend(
            bytes::<16>()
                .into_iter()
                .filter(|byte| *byte < FAIR)
                .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
                .take(8 - pass.len()),
        );
    }
    pass
}

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("operating systems with sockets have randomness");
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn passes_have_eight_characters_and_differ() {
        let passes: HashSet<_> = (0..1000).map(|_| pass()).collect();
        assert_eq!(passes.len(), 1000);
        assert!(passes.iter().all(|pass| pass.chars().count() == 8));
        assert!(passes.iter().any(|pass| pass.contains(['+', '!'])));
    }

    #[test]
    fn guids_are_of_version_four() {
        let guid = guid();
        assert_eq!(guid.len(), 36);
        assert_eq!(&guid[14..15], "4");
        assert!("89ab".contains(&guid[19..20]));
    }
}
