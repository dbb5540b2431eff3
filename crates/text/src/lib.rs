//! The encoding, length and parts of a text message, counted before it is sent.
//!
//! A text is billed per part, and its characters decide how much fits into one. If all of them are in the GSM 03.38
//! default alphabet, a text of up to 160 septets is one part. A single character outside it (an emoji, a curly
//! quote, a `ç`) makes the whole text UCS-2, of which a part holds 70 code units. In a text of several parts, the
//! header that joins them on the phone takes some of each.
//!
//! ```
//! # mod postduif { pub use postduif_text as text; }
//! use postduif::text::{Count, Encoding};
//!
//! let count = Count::of("Welkom! Je code is 482913.");
//! assert_eq!(count.encoding(), Encoding::Gsm7);
//! assert_eq!((count.units(), count.parts(), count.left()), (26, 1, 134));
//!
//! // One character makes the whole text UCS-2.
//! let count = Count::of("Welkom! Je code is 482913. 🎉");
//! assert_eq!(count.encoding(), Encoding::Ucs2);
//! assert_eq!((count.units(), count.parts(), count.left()), (29, 1, 41));
//!
//! // It is at byte 27.
//! let culprits: Vec<_> = postduif::text::not_gsm("Welkom! Je code is 482913. 🎉").collect();
//! assert_eq!(culprits, [(27, '🎉')]);
//! ```
//!
//! | encoding | units | one part alone | each of several parts |
//! |---|---|---|---|
//! | [`Gsm7`](Encoding::Gsm7) | septets; a character of the extension table takes two | 160 | 153 |
//! | [`Ucs2`](Encoding::Ucs2) | UTF-16 code units; a character beyond U+FFFF takes two | 70 | 67 |
//!
//! A character of two units is never split: one that does not fit starts the next part. A text can therefore have more
//! parts than a division gives. [`parts`] returns the text of each part.
//!
//! # Limits
//!
//! - Tables and sizes are those of 3GPP TS 23.038 and TS 23.040. The national language tables (single
//!   shift and locking shift) are left out: a character that only they hold, such as `ğ`, counts as
//!   UCS-2. A vendor that uses them bills less.
//! - Parts are joined by a header with an 8-bit reference number, six octets long. A vendor that uses
//!   a 16-bit number, or adds ports, fits a little less into a part.
//! - Only pairs are kept whole. A vendor may also keep a flag, a family emoji or a letter with a
//!   combining accent whole, and bill one part more.
//! - The text is counted exactly as it is given. Composing accents or replacing CR LF by LF saves
//!   units, but changes the text: do it before counting, if at all. A vendor that replaces characters
//!   itself, such as curly quotes by straight ones, may bill less.
//! - If a vendor's response holds the number of parts it billed, use that number.
//!
//! The crate needs no allocation, no dependency and no `std`. Counting takes time linear in the text.
//!
//! # Features
//!
//! - `transliteration` (off by default): `Transliteration`, which rewrites a text to fit GSM 03.38 and lists each
//!   change. Needs `alloc`, and no dependency.

#![no_std]

#[cfg(feature = "transliteration")]
extern crate alloc;

mod count;
mod gsm;
mod preview;
mod split;
#[cfg(feature = "transliteration")]
mod transliterate;

pub use count::{Count, Encoding};
pub use gsm::{Code, char_to_gsm, gsm_to_char, is_gsm, not_gsm, septets};
pub use preview::Preview;
pub use split::parts;
#[cfg(feature = "transliteration")]
pub use transliterate::{Change, Transliteration};
