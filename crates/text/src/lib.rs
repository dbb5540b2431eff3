//! What a text message costs, before it is sent and without a network.
//!
//! A text is billed per part, and how much fits into a part depends on its characters. Where all of
//! them are in the GSM 03.38 default alphabet, a text of up to 160 septets is one part; a single
//! character outside it (an emoji, a curly quote, a `ç`) makes the whole text UCS-2, of which a part
//! holds 70 code units. A text of more than one part gives some of each part to the header that joins
//! them on the phone.
//!
//! ```
//! use postduif_text::{Count, Encoding};
//!
//! let count = Count::of("Welkom! Je code is 482913.");
//! assert_eq!(count.encoding(), Encoding::Gsm7);
//! assert_eq!((count.units(), count.parts(), count.left()), (26, 1, 134));
//!
//! // One character can make all the others dearer.
//! let count = Count::of("Welkom! Je code is 482913. 🎉");
//! assert_eq!(count.encoding(), Encoding::Ucs2);
//! assert_eq!((count.units(), count.parts(), count.left()), (29, 1, 41));
//!
//! // Which one, and where?
//! let culprits: Vec<_> = postduif_text::not_gsm("Welkom! Je code is 482913. 🎉").collect();
//! assert_eq!(culprits, [(27, '🎉')]);
//! ```
//!
//! | encoding | units | one part alone | each of several parts |
//! |---|---|---|---|
//! | [`Gsm7`](Encoding::Gsm7) | septets; a character of the extension table takes two | 160 | 153 |
//! | [`Ucs2`](Encoding::Ucs2) | UTF-16 code units; a character beyond U+FFFF takes two | 70 | 67 |
//!
//! What takes two units is never cut: where it would straddle the edge of a part it starts the next
//! one, so a text can take a part more than a division says. [`parts`] shows where the cuts fall.
//!
//! # Limits
//!
//! - Tables and sizes are those of 3GPP TS 23.038 and TS 23.040. The national language tables (single
//!   shift and locking shift) are left out: a character that only they hold, such as `ğ`, counts as
//!   UCS-2. A vendor that uses them bills less than is said here.
//! - Parts are joined by a header with an 8-bit reference number, six octets long. A vendor that takes
//!   a 16-bit one, or adds ports, fits a little less into a part.
//! - Only pairs are kept whole. A vendor that also keeps together what a reader sees as one character
//!   (a flag, a family, a letter with a combining accent) may bill a part more, in a text with such a
//!   one at an edge.
//! - The text is counted exactly as it is given. Composing accents or turning CR LF into LF saves
//!   units, but changes the text: do it before, if at all. A vendor that replaces characters by
//!   itself (curly quotes by straight ones, say) may bill less.
//! - Where a vendor's answer tells how many parts it billed, believe the vendor.
//!
//! No allocation, no dependencies, no `std`; the cost of counting is linear in the text.
//!
//! # Features
//!
//! - `transliteration` (off): `Transliteration`, which rewrites a text to fit GSM 03.38 and tells each
//!   change. Brings `alloc`, and no dependency.

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
