//! Counting, the alphabet, splitting and transliteration.

mod count;
mod gsm;
mod split;
#[cfg(feature = "transliteration")]
mod transliterate;
