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
//! # For operators and auditors
//!
//! [`Queue::archive`] lists flows and shows one with its entries, retries a flow that has failed, exports and forgets a
//! user, and has an [audit](AuditLine). [`Queue::events`] are the [events](FlowEvent) that a poster sends to another
//! system. A worker removes what is kept no longer: see [`Retention`].
//!
//! A store of another kind implements [`Engine`] and [`Lease`].

mod archive;
mod count;
mod engine;
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
pub use queue::{Queue, QueueBuilder};
pub use status::{Counts, Status};
pub use worker::{Worker, WorkerBuilder};
