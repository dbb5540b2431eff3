#![doc = "A durable queue of onboarding flows and single messages."]

#[cfg(feature = "queue-nats")]
pub use postduif_queue_nats as nats;

#[doc(inline)]
pub use postduif_queue::*;
