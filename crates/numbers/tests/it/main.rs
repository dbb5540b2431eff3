//! The tests of this crate, in one program.

mod read;
mod somebody_else;
