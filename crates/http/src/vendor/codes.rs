use postduif_core::ErrorKind;

use crate::{Proof, Refusal};

/// A row of a vendor's table of codes: what a code means, and what it proves.
///
/// The macro [`codes!`](crate::codes) creates such tables, one row a line.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Code {
    /// The code as the vendor writes it.
    pub code: &'static str,
    /// The kind of error that it means.
    pub kind: ErrorKind,
    /// Whether it proves that the message was not accepted.
    pub proof: Proof,
    /// The error text. Never the vendor's, which may repeat the message's text.
    pub message: &'static str,
}

impl Code {
    /// Creates a row.
    #[must_use]
    pub const fn new(
        code: &'static str,
        kind: ErrorKind,
        proof: Proof,
        message: &'static str,
    ) -> Self {
        Self {
            code,
            kind,
            proof,
            message,
        }
    }

    /// Returns the row of `code`. `None` if the table does not list it.
    #[must_use]
    pub fn find(table: &'static [Self], code: &str) -> Option<&'static Self> {
        table.iter().find(|row| row.code == code)
    }

    /// Creates the refusal of this code.
    pub fn refusal(&self) -> Refusal {
        Refusal::new(self.kind, self.message)
            .with_code(self.code)
            .with_proof(self.proof)
    }
}

/// Creates a table of [`Code`](crate::vendor::Code)s: code, [`ErrorKind`](postduif_core::ErrorKind),
/// [`Proof`](crate::Proof), and the error text. Codes with the same meaning share a row.
///
/// ```
/// # mod postduif { pub use postduif_http as http; }
/// use postduif::http::{codes, vendor::Code};
///
/// static CODES: &[Code] = codes! {
///     "101" => Unauthorized, Below500, "the token was refused";
///     "500" | "999" => Unavailable, Nothing, "the vendor failed";
/// };
/// assert!(Code::find(CODES, "999").is_some());
/// ```
#[macro_export]
macro_rules! codes {
    ($($($code:tt)|+ => $kind:ident, $proof:ident, $message:expr;)+) => {
        &[$($($crate::vendor::Code::new(
            $code,
            $crate::ErrorKind::$kind,
            $crate::Proof::$proof,
            $message,
        ),)+)+]
    };
}
