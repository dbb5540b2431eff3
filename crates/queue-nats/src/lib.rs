//! The durable queue of Postduif on NATS JetStream.
//!
//! TODO

mod claim;
mod engine;
mod jetstream;
mod lease;
mod monitor;
mod options;
mod queue;
mod server;
mod store;
mod value;

pub use queue::{NatsQueueBuilder, builder, open};
