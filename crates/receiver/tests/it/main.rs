//! The service as a process, beside a sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod away;
mod crashes;
mod flows;
mod hostile;
#[expect(dead_code, reason = "the tests of that store use all of it")]
#[path = "../../../queue-nats/tests/it/server.rs"]
mod nats;
mod operating;
mod operators;
#[expect(dead_code, reason = "the tests of the queue use all of it")]
#[path = "../../../queue/tests/it/proxy.rs"]
mod proxy;
mod reports;
#[expect(dead_code, reason = "the tests of the queue use more of it")]
#[path = "../../../queue/tests/it/schema.rs"]
mod schema;
mod service;
mod stores;
mod usage;
