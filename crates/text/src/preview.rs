//! The count that an editor shows beside a text while it is written.

use core::fmt;

use crate::{Count, not_gsm};

/// The count of a text and the characters that force it into UCS-2, for an editor to show beside it.
///
/// ```
/// # mod postduif { pub use postduif_text as text; }
/// use postduif::text::{Encoding, Preview};
///
/// let preview = Preview::of("Je code: 482913 🎉");
/// let count = preview.count();
/// assert_eq!(count.encoding(), Encoding::Ucs2);
/// assert_eq!((count.units(), count.parts(), count.left()), (18, 1, 52));
/// assert_eq!(preview.forced_by().collect::<Vec<_>>(), [(16, '🎉')]);
/// ```
///
/// `Debug` shows the count and never the text.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Preview<'a> {
    text: &'a str,
    count: Count,
}

impl<'a> Preview<'a> {
    /// Counts a text exactly as it is given, without allocation: fast enough for every keystroke.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        Self {
            text,
            count: Count::of(text),
        }
    }

    /// Returns the encoding, the units, the parts, and the units left in the last part.
    #[must_use]
    pub const fn count(&self) -> Count {
        self.count
    }

    /// Returns the characters that force the text into UCS-2, in order, each with the index of its first byte.
    ///
    /// See [`not_gsm`].
    pub fn forced_by(&self) -> impl DoubleEndedIterator<Item = (usize, char)> + Clone + use<'a> {
        not_gsm(self.text)
    }
}

impl fmt::Debug for Preview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Preview").field(&self.count).finish()
    }
}
