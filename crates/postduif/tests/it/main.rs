//! What the face answers with the features that it was built with: run it without any, with one, with all.

mod features;
#[cfg(feature = "testing")]
mod readme;
#[cfg(feature = "layers")]
mod runtimes;
