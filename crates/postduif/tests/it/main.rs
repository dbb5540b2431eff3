//! What the face answers with the features that it was built with: run it without any, with one, with all.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod features;
