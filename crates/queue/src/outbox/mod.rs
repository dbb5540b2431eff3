//! Single messages that survive a crash: "nothing lost, nothing twice".
//!
//! A message is a row. It is marked as being sent, in a transaction of its own, before its first byte leaves. A process
//! that dies after that leaves a doubt, and a message in doubt is never sent again.

mod body;
mod enqueue;
mod keys;
mod metered;
mod reports;
mod schema;
mod sender;
mod status;
mod store;

pub use enqueue::{Enqueue, SealedMessage};
pub use keys::Keys;
pub use reports::MessageReports;
pub(crate) use schema::create_tables;
pub use sender::{MessageSender, MessageSenderBuilder};
pub use status::{Enqueued, MessageStatus, OutboxError, OutboxErrorKind, SendFailure};
pub(crate) use store::{Options, Outbox};
