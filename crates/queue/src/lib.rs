//! A durable queue: onboarding flows that survive a crash of any process, at any moment.
//!
//! A web service puts a call-out into the [`Queue`] and responds to Entra once it is stored. A [`Worker`], in the same
//! process or on another machine, claims the flow under a lease and runs it with an
//! [`Onboarding`](postduif_onboarding::Onboarding). When a worker dies, another one claims the flow after the lease has
//! expired, and continues it from its entries: nothing is lost, and no pass is sent twice.
//!
//! [`Queue::open`] opens the store of a URL:
//!
//! | URL | feature | for |
//! |---|---|---|
//! | `sqlite://FILE` | `sqlite` | one process: the file is locked |
//! | `postgres://…` | `postgres` | any number of workers, on any number of machines |
//! | `memory` | `sqlite` | tests: a restart forgets everything |
//!
//! [`Queue::send`] puts a single message into the same store, and a [`MessageSender`] sends it: what was enqueued survives
//! a crash, and no message is sent twice.
//!
//! # For operators and auditors
//!
//! [`Queue::archive`] lists flows and shows one with its entries, retries a flow that has failed, exports and forgets a
//! user, and has an [audit](AuditLine). [`Queue::events`] are the [events](FlowEvent) that a poster sends to another
//! system. A worker removes what is kept no longer: see [`Retention`].
//!
//! A store of another kind implements [`Engine`] and [`Lease`].
//!
//! # SQLite
//!
//! The path is taken as it stands: `sqlite://flows.db` is relative, `sqlite:///var/lib/postduif/flows.db` absolute. Each
//! write is synced to the disk before it counts. One process has the file, and keeps the file `FILE.lock` beside it locked
//! while it does; another one is refused. A file system of another machine is refused too, where Linux tells: SQLite
//! loses data there. A backup is made with `sqlite3 FILE ".backup COPY"`, or of the stopped service's files.
//!
//! # PostgreSQL
//!
//! The URL is that of `libpq`, with these options: `application_name`, `dbname`, `host`, `hostaddr`, `options`,
//! `password`, `port`, `sslcert`, `sslkey`, `sslmode`, `sslrootcert`, `user`, and one of our own: `schema`, the schema of
//! the tables, which is created if it is missing. Defaults to the role's own search path.
//!
//! Any other option is an error. Like `libpq`, the default `sslmode=prefer` encrypts if the server can, and verifies
//! nothing: use `sslmode=verify-full` over a network.
//!
//! A process has at most 10 connections and one that listens. A call ends within 8 seconds, also if the server has
//! vanished without a word, and connections are made anew after that, so that a failover needs no restart. Behind
//! PgBouncer, use its mode `session`: in the mode `transaction`, the limits and the search path of a connection get lost,
//! and so do its prepared statements.
//!
//! A role that creates the tables needs `CREATE` on the schema. With [`QueueBuilder::migrate`] another role does that, and
//! the service's own needs only `USAGE` on the schema and `SELECT`, `INSERT`, `UPDATE` and `DELETE` on the tables whose
//! names begin with `postduif_`.
//!
//! # Clocks
//!
//! Leases and pauses are measured by the database's clock. If it is set back, the stored times are moved along within
//! seconds, and nothing waits until it has caught up. If it is set forward, leases end early: a flow may then be claimed
//! while its holder still runs. The holder can write nothing more, but a text may be sent twice, so let the clock be
//! slewed, as time services do.

mod archive;
mod count;
mod engine;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod outbox;
mod queue;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
mod status;
mod worker;

pub use archive::{
    Archive, AuditAction, AuditLine, FlowDetails, FlowEvent, FlowEventData, FlowEventType,
    FlowFilter, FlowSummary, Forgotten, Operator, Retention, Retried, Swept, UserExport,
};
pub use engine::{Engine, Lease};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use outbox::{
    Enqueue, Enqueued, Keys, MessageReports, MessageSender, MessageSenderBuilder, MessageStatus,
    OutboxError, OutboxErrorKind, SealedMessage, SendFailure,
};
pub use queue::{Queue, QueueBuilder};
pub use status::{Counts, Status};
pub use worker::{Worker, WorkerBuilder};
