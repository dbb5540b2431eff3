//! What surrounds the examples, so that each shows its API and little else.

pub mod cli;
