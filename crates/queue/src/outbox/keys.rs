use std::{fmt, sync::Arc};

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use postduif_core::{ConfigError, ExposeSecret as _, SecretString};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

/// The keys under which messages are sealed in the store: a current one, and older ones that still open what they
/// sealed.
///
/// A key has 32 random bytes, in base64 or hexadecimal, and an id, which is stored with each message. `openssl rand
/// -base64 32` makes one. A nonce is random, so replace a key before it has sealed 2^32 messages.
///
/// # Replacing a key
///
/// 1. Give every process the new key [as an older one](Self::with_older), so that each can open what it seals.
/// 2. Make the new key the current one, and the former one older.
/// 3. Remove the former one once no message has its id.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_queue as queue; }
/// use postduif::{SecretString, queue::Keys};
///
/// // As from the environment or a file.
/// let current = SecretString::from("6PDjC5CQXd5dXMZ6WmD2qyEtI1Hvgg4HkY+yuLxXcOM=");
/// let former = SecretString::from("8a1f2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9");
/// let keys = Keys::new("2026-07", &current)?.with_older("2026-01", &former)?;
/// assert_eq!(format!("{keys:?}"), r#"Keys { current: "2026-07", older: ["2026-01"] }"#);
/// # Ok::<(), postduif::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Keys(Arc<Vec<Key>>);

#[derive(Clone)]
struct Key {
    id: Box<str>,
    aead: LessSafeKey,
    fingerprint: hmac::Key,
}

/// Why a sealed message does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unopened {
    /// No key has its id.
    NoKey,
    /// It has another version, or is too short.
    Format,
    /// Another key with this id sealed it, or it was changed, or moved from another message.
    Forged,
}

impl Keys {
    /// Creates keys with this current key. An id has 1 to 32 ASCII letters, digits, dots, hyphens and underscores.
    ///
    /// # Errors
    ///
    /// If the id is not one, or the secret is not 32 bytes in base64 or hexadecimal. The error does not show it.
    pub fn new(id: &str, secret: &SecretString) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(vec![Key::new(id, secret)?])))
    }

    /// Adds a key that only opens messages.
    ///
    /// # Errors
    ///
    /// As of [`new`](Self::new), or if there is a key with this id.
    pub fn with_older(mut self, id: &str, secret: &SecretString) -> Result<Self, ConfigError> {
        if self.find(id).is_some() {
            return Err(ConfigError::new("two keys of the outbox have the same id"));
        }
        let key = Key::new(id, secret)?;
        Arc::make_mut(&mut self.0).push(key);
        Ok(self)
    }

    /// Seals with the current key, and returns its id and the sealed bytes. `None` if the operating system gives no
    /// random bytes.
    pub(crate) fn seal(
        &self,
        reference: &str,
        message_key: &str,
        plain: &str,
    ) -> Option<(&str, Vec<u8>)> {
        let key = self.0.first()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let aad = additional_data(&key.id, reference, message_key);
        Some((&key.id, key.seal(nonce, aad.as_bytes(), plain.as_bytes())?))
    }

    pub(crate) fn open(
        &self,
        key_id: &str,
        reference: &str,
        message_key: &str,
        sealed: &[u8],
    ) -> Result<SecretString, Unopened> {
        let key = self.find(key_id).ok_or(Unopened::NoKey)?;
        let (&version, rest) = sealed.split_first().ok_or(Unopened::Format)?;
        let (nonce, rest) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(Unopened::Format)?;
        if version != VERSION {
            return Err(Unopened::Format);
        }
        let aad = additional_data(key_id, reference, message_key);
        let mut bytes = rest.to_vec();
        let length = key
            .aead
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(aad.as_bytes()),
                &mut bytes,
            )
            .map_err(|_| Unopened::Forged)?
            .len();
        bytes.truncate(length);
        let text = String::from_utf8(bytes).map_err(|_| Unopened::Format)?;
        Ok(SecretString::from(text))
    }

    /// Returns a digest of a message that nobody can compute without the key: a text and a number are easily guessed.
    pub(crate) fn fingerprint(&self, key_id: &str, plain: &str) -> Option<Vec<u8>> {
        let key = self.find(key_id)?;
        let tag = hmac::sign(&key.fingerprint, plain.as_bytes());
        Some(tag.as_ref().to_vec())
    }

    /// Returns whether a digest is that of this message. `None` without its key.
    pub(crate) fn is_fingerprint(&self, key_id: &str, plain: &str, digest: &[u8]) -> Option<bool> {
        let key = self.find(key_id)?;
        Some(hmac::verify(&key.fingerprint, plain.as_bytes(), digest).is_ok())
    }

    fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| *key.id == *id)
    }
}

impl Key {
    fn new(id: &str, secret: &SecretString) -> Result<Self, ConfigError> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=MAX_ID).contains(&id.len()) || !id.bytes().all(named) {
            return Err(ConfigError::new(
                "the id of a key of the outbox has 1 to 32 letters, digits, dots, hyphens and underscores",
            ));
        }
        let invalid = || {
            ConfigError::new(format!(
                "the key {id} of the outbox is not 32 bytes in base64 or hexadecimal"
            ))
        };
        let bytes = read(secret).ok_or_else(invalid)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| invalid())?;
        let own = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), FINGERPRINT);
        Ok(Self {
            id: id.into(),
            aead: LessSafeKey::new(key),
            fingerprint: hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()),
        })
    }

    /// Returns the version, the nonce, the encrypted text and its tag. `None` for more than 64 GiB.
    fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let mut encrypted = plain.to_vec();
        let (nonce_of_key, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(aad));
        self.aead
            .seal_in_place_append_tag(nonce_of_key, aad, &mut encrypted)
            .ok()?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + encrypted.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut encrypted);
        Some(sealed)
    }
}

fn read(secret: &SecretString) -> Option<Vec<u8>> {
    let text = secret.expose_secret().trim();
    let bytes = if text.len() == 2 * KEY_LENGTH {
        let digits = text.as_bytes().chunks(2);
        let read = digits.map(|pair| {
            let pair = str::from_utf8(pair).ok()?;
            // Not a sign, which the parser takes.
            pair.bytes()
                .all(|byte| byte.is_ascii_hexdigit())
                .then_some(())?;
            u8::from_str_radix(pair, 16).ok()
        });
        read.collect::<Option<Vec<_>>>()?
    } else {
        BASE64
            .decode(text)
            .or_else(|_| BASE64_URL.decode(text))
            .ok()?
    };
    (bytes.len() == KEY_LENGTH).then_some(bytes)
}

/// What the tag covers beside the encrypted text. None of the parts has a line break.
fn additional_data(key_id: &str, reference: &str, message_key: &str) -> String {
    format!("postduif\n{VERSION}\n{key_id}\n{reference}\n{message_key}")
}

/// Shows the ids.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.0.iter().map(|key| &key.id);
        f.debug_struct("Keys")
            .field("current", &ids.next().map(|id| &**id).unwrap_or_default())
            .field("older", &ids.collect::<Vec<_>>())
            .finish()
    }
}

const VERSION: u8 = 1;
const KEY_LENGTH: usize = 32;
const MAX_ID: usize = 32;

/// Separates the key of fingerprints from the key itself.
const FINGERPRINT: &[u8] = b"postduif fingerprint 1";

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        let pairs = hexadecimal.as_bytes().chunks(2);
        let pairs = pairs.map(|pair| str::from_utf8(pair).unwrap());
        pairs
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect()
    }

    fn keys(id: &str, secret: &str) -> Keys {
        Keys::new(id, &SecretString::from(secret)).unwrap()
    }

    const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const OTHER: &str = "6PDjC5CQXd5dXMZ6WmD2qyEtI1Hvgg4HkY+yuLxXcOM=";

    /// Test case 16 of "The Galois/Counter Mode of Operation (GCM)", McGrew and Viega, as submitted to NIST.
    #[test]
    fn a_published_vector_of_aes_256_gcm_is_sealed_as_published() {
        let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        let key = Key::new("a", &SecretString::from(key)).unwrap();
        let nonce = bytes("cafebabefacedbaddecaf888").try_into().unwrap();
        let plain = bytes(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ));
        let aad = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let sealed = key.seal(nonce, &aad, &plain).unwrap();
        let expected = bytes(concat!(
            "01cafebabefacedbaddecaf888",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b"
        ));
        assert_eq!(sealed, expected);
    }

    #[test]
    fn a_message_that_another_program_sealed_opens() {
        // From tests/tools/seal.py, which uses the Python package cryptography.
        let sealed = bytes(EXAMPLE);
        let plain = keys("2026-01", SECRET)
            .open("2026-01", "order42", "order-42", &sealed)
            .unwrap();
        assert_eq!(
            plain.expose_secret(),
            r#"{"to": "+31612345678", "text": "Your order has left"}"#
        );
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_own_row_and_with_its_own_key() {
        let own = keys("a", SECRET);
        let (id, sealed) = own.seal("ref1", "key1", "hello").unwrap();
        assert_eq!(id, "a");
        let opened = own.open("a", "ref1", "key1", &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "hello");
        let refused = |keys: &Keys, reference: &str, key: &str, sealed: &[u8]| {
            keys.open("a", reference, key, sealed).unwrap_err()
        };
        assert_eq!(refused(&own, "ref2", "key1", &sealed), Unopened::Forged);
        assert_eq!(refused(&own, "ref1", "key2", &sealed), Unopened::Forged);
        let other = keys("a", OTHER);
        assert_eq!(refused(&other, "ref1", "key1", &sealed), Unopened::Forged);
        let other = keys("b", SECRET);
        assert_eq!(refused(&other, "ref1", "key1", &sealed), Unopened::NoKey);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(own.open("a", "ref1", "key1", &changed).is_err(), "{index}");
            assert!(own.open("a", "ref1", "key1", &sealed[..index]).is_err());
        }
    }

    #[test]
    fn an_older_key_opens_and_does_not_seal() {
        let (_, sealed) = keys("old", SECRET).seal("r", "k", "hello").unwrap();
        let both = keys("new", OTHER)
            .with_older("old", &SecretString::from(SECRET))
            .unwrap();
        assert!(both.open("old", "r", "k", &sealed).is_ok());
        assert_eq!(both.seal("r", "k", "hello").unwrap().0, "new");
        assert!(both.with_older("new", &SecretString::from(SECRET)).is_err());
    }

    #[test]
    fn no_two_seals_of_a_message_are_alike() {
        let own = keys("a", SECRET);
        let seal = || own.seal("r", "k", "hello").unwrap().1;
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_or_hexadecimal() {
        let read = |secret: &str| Keys::new("a", &SecretString::from(secret));
        for good in [
            SECRET,
            OTHER,
            OTHER.trim_end_matches('='),
            "6PDjC5CQXd5dXMZ6WmD2qyEtI1Hvgg4HkY-yuLxXcOM",
            &format!("{OTHER}\n"),
        ] {
            assert!(read(good).is_ok());
        }
        for bad in ["", "secret", &SECRET[2..], &OTHER[4..], &"+1".repeat(32)] {
            let error = read(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        for id in ["", "a b", "a\n", &"x".repeat(33)] {
            assert!(Keys::new(id, &SecretString::from(SECRET)).is_err());
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", keys("a", SECRET));
        assert_eq!(shown, r#"Keys { current: "a", older: [] }"#);
    }

    const EXAMPLE: &str = "01101112131415161718191a1b06dcec796bf31a91e146392b3e4b5a67e266793639ee7793939c9a137c6e74f909862271d5c91c8b1b44b239ebeb337776da33519e78dba5bb9b664b09ab90511bf9225768";
}
