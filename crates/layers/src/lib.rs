//! Layers over any SMS provider: deadlines, retries, fail-over, rate limits, batching, spending limits and traces.
//!
//! Each layer wraps an [`SmsProvider`](postduif_core::SmsProvider) and is one itself, so layers stack in any order;
//! there is no trait for layers. Each layer's page states what it does to a message, and the table
//! below where it belongs.
//!
//! Most programs want `postduif::failover`, which builds the recommended stack from connection URLs.
//!
//! No layer repeats a message that may have been sent, with one exception: inside the [repeat
//! window](postduif_core::Profile::repeat_window), in which the vendor recognizes the idempotency key, [`Retry`] may
//! repeat the same single send. A layer that waits (for a turn, a pause, a call to join) declares through a
//! [`Departure`](postduif_core::departure::Departure) that nothing has left. A layer that cuts a call off asks the departure
//! whether the message is in doubt.
//!
//! Limits go innermost, tracing outermost:
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
//! use std::{num::NonZeroU32, time::Duration};
//! use postduif::{layers::{Failover, Member, RateLimit, Retry, Timeout, Traced}, ConfigError, SmsProvider};
//!
//! fn stack(
//!     kpn: impl SmsProvider,
//!     cm: impl SmsProvider,
//! ) -> Result<impl SmsProvider, ConfigError> {
//!     let (five, fifty) = (NonZeroU32::new(5).unwrap(), NonZeroU32::new(50).unwrap());
//!     let kpn = Retry::new(RateLimit::new(Timeout::new(kpn, Duration::from_secs(10)), five));
//!     let cm = Retry::new(RateLimit::new(Timeout::new(cm, Duration::from_secs(10)), fifty));
//!     Ok(Traced::new(Failover::new([Member::new("kpn", kpn), Member::new("cm", cm)])?))
//! }
//! ```
//!
//! | layer | purpose | where it belongs |
//! |---|---|---|
//! | [`Timeout`] | a deadline for each vendor call | next to the vendor |
//! | [`RateLimit`] | the vendor's limits: messages per second, calls under way | around `Timeout` |
//! | [`Batch`] | few vendor calls for many tasks | around `RateLimit`, of one vendor |
//! | [`Retry`] | temporary failures | around `RateLimit` or `Batch` |
//! | [`Failover`], [`RoundRobin`] | more than one vendor | around the stack of each |
//! | [`StartWithin`] | a deadline for the whole stack, after which no call begins | around `Failover`, inside of `Dedupe` |
//! | [`Senders`] | the sender, by destination | around the above, or a vendor's stack |
//! | [`TextPolicy`] | the encoding and the number of parts of a text | outside of `Dedupe` |
//! | [`Dedupe`] | one text per reference | around everything that sends |
//! | [`OnlyTo`], [`RedirectTo`] | test systems that must text no strangers | `RedirectTo(OnlyTo(..))`, around all of them or around a vendor |
//! | [`AllowDestinations`], [`Budget`] | protection against toll fraud | inside of `Dedupe`, outside of `Failover` |
//! | [`Suppress`] | numbers that want no more texts | inside of `StartWithin`, outside of `Failover` |
//! | [`Traced`] | spans, events, metrics | outermost |
//!
//! [`OptOuts`] wraps no provider: it is a sink of inbound texts that fills the list of [`Suppress`].
//!
//! # Two deadlines
//!
//! [`Timeout`] is for one vendor call. It drops the call at its deadline, and puts the message in doubt if the request
//! had left. [`StartWithin`] is for a whole stack. It drops no call that may have left: after its deadline no call
//! begins, a message that had not begun is not accepted, and a call under way continues to its outcome. That outcome
//! comes at the latest after both deadlines together. [`StartWithin`] says how long each should be.
//!
//! # Runtime
//!
//! Layers use tokio's clock, so a test can pause it. [`Batch`], [`RateLimit`], [`Retry`], [`StartWithin`] and
//! [`Timeout`] wait, so they need a tokio runtime with time enabled, as `#[tokio::main]` and `enable_all` provide. In
//! its absence they refuse every message as `Misconfigured`, not accepted, before anything is sent. If there is a
//! runtime without time, tokio also writes a message to standard error, and a program built with `panic = "abort"` ends.
//!
//! If the runtime is shut down during a send, the wait ends: the message is in doubt, or not accepted if nothing had
//! left.

mod allow_destinations;
mod batch;
mod budget;
mod clock;
mod country;
mod dedupe;
mod dispatch;
mod failover;
mod only_to;
mod opt_outs;
mod pool;
mod rate_limit;
mod redirect_to;
mod retry;
mod round_robin;
mod scope;
mod senders;
mod shared;
mod start_within;
mod suppress;
mod text_policy;
mod timeout;
mod traced;

pub use postduif_core::Prefix;

pub use allow_destinations::AllowDestinations;
pub use batch::Batch;
pub use budget::Budget;
pub use country::Country;
pub use dedupe::{Dedupe, Doubt, Settlement};
pub use failover::Failover;
pub use only_to::OnlyTo;
pub use opt_outs::{OptOutList, OptOuts};
pub use pool::Member;
pub use rate_limit::RateLimit;
pub use redirect_to::RedirectTo;
pub use retry::Retry;
pub use round_robin::RoundRobin;
pub use senders::Senders;
pub use start_within::StartWithin;
pub use suppress::{Suppress, SuppressedNumbers, SuppressionList};
pub use text_policy::TextPolicy;
pub use timeout::Timeout;
pub use traced::Traced;
