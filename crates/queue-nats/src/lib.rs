//! The durable queue of Postduif on NATS JetStream, for workers on several machines.
//!
//! ```no_run
//! # mod postduif { pub use postduif_onboarding as onboarding; }
//! use postduif::onboarding::OnboardingBuilder;
//!
//! async fn work(onboarding: OnboardingBuilder) -> Result<(), Box<dyn std::error::Error>> {
//!     let queue = postduif_queue_nats::open("tls://user:password@nats-1,nats-2,nats-3").await?;
//!     let worker = queue.worker(onboarding)?.build();
//!     worker.run_until(std::future::pending()).await;
//!     Ok(())
//! }
//! ```
//!
//! # The URL
//!
//! `nats://USER:PASSWORD@HOST:PORT,HOST…?OPTION=VALUE&…`, with `tls://` for TLS. Use TLS wherever the network is not your
//! own: `nats://` sends the password as it is. List every server of a cluster: a worker connects to no other. The port
//! defaults to 4222. User and password are percent-decoded.
//!
//! | option | meaning |
//! |---|---|
//! | `single=sync_always` | states that the one server has `sync_interval: always` in its `jetstream` block |
//! | `monitor=http://127.0.0.1:PORT` | the monitoring port of the one server, on this machine, where that is read instead |
//! | `credentials=PATH` | a file of credentials (`.creds`) in place of user and password |
//! | `ca=PATH` | a file of certificates (PEM) to trust in place of the system's |
//! | `name=NAME` | the name of the store, for several on one cluster. Defaults to `postduif` |
//!
//! # What the servers must be
//!
//! Version 2.10 or newer, with JetStream and a `max_payload` of 1 MiB, its default, or more. Three servers that keep three
//! replicas, which the store sets by itself; or a single one that syncs each write. Anything else is a
//! [`ConfigError`](postduif_core::ConfigError), since by default a server syncs to its disk only every two minutes and
//! acknowledges before. In a cluster a write counts once two servers have it: do not let them lose power together, or set
//! `sync_interval: always` there too.
//!
//! Leases and the locks of users count by the clock of the server that stores the value, so that the clocks of workers do
//! not matter. The clocks of the servers must agree to within a second. A server's clock that is set back delays a flow by
//! a lease at most.
//!
//! # What is stored
//!
//! A key-value bucket, `postduif`, has one value for each flow, with all its entries and reports, and keys by which a flow
//! is found. Every change of a flow is a compare-and-set of that value, and a claim raises a number in it, so that a former
//! holder writes nothing. What another key says about a flow is believed only where the flow's value says so too. A
//! stream, `postduif-wakes`, has a message for each open flow, which tells the workers when to look at it.
//!
//! A call-out is durable once [`enqueue`](postduif_queue::Queue::enqueue) returns: first the value is written, then the
//! message. A process that dies between the two has told Entra nothing. The repeated call-out publishes the message, or
//! else each worker does, which looks for open flows without a message when it starts and every 10 minutes.
//!
//! # Limits
//!
//! - A flow holds up to 4,096 entries and up to 700 KiB of them, more than two weeks of refusals need, and 256 reports in
//!   up to 192 KiB. A further entry is an error of kind [`Full`](postduif_onboarding::JournalErrorKind::Full).
//! - A user has up to 1,000 flows in 31 days. A further one is refused as `Full`.
//! - Values are removed 90 days after they were last written.
//! - [`Counts::due`](postduif_queue::Counts) counts flows that were never claimed. One whose pause has ended counts as
//!   open only, and [`Counts::oldest`](postduif_queue::Counts) may leave out a flow that a report has woken.
//! - A worker that dies, or loses its servers, while it gives a flow back may delay the flow by up to 10 minutes.
//! - There are no events, no audit and no exports ([`Engine::archive`](postduif_queue::Engine::archive)): a bucket has no
//!   search, and no transaction for what is written beside a flow.
//! - While the servers are away a call fails after about 8 seconds. A worker goes on trying.

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
