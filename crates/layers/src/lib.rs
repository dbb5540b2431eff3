//! What wraps any SMS provider: deadlines, retries, fail-over, rate limits, batching, brakes and traces.
//!
//! Each layer is a plain wrapper over an [`SmsProvider`](postduif_core::SmsProvider) and one itself, so that
//! they stack in any order; there is no trait for layers. Each says at the top of its file what it does, what it
//! never does and where it belongs.
//!
//! None of them repeats a message that may have gone out, with one exception: inside a vendor's
//! [repeat window](postduif_core::Profile::repeat_window) the vendor knows our key, and [`Retry`] may repeat the
//! same single send there. A message of which nothing has left is another matter: a layer that waits (for a
//! turn, a pause, a call to join) says so through a [`Departure`](postduif_core::Departure), and a layer that cuts
//! a call off asks it.
//!
//! Limits go innermost, tracing outermost:
//!
//! ```
//! use std::{num::NonZeroU32, time::Duration};
//! use postduif_core::SmsProvider;
//! use postduif_layers::{Failover, Member, RateLimit, Retry, Timeout, Traced};
//!
//! fn stack(
//!     kpn: impl SmsProvider,
//!     cm: impl SmsProvider,
//! ) -> Result<impl SmsProvider, postduif_core::ConfigError> {
//!     let (five, fifty) = (NonZeroU32::new(5).unwrap(), NonZeroU32::new(50).unwrap());
//!     let kpn = Retry::new(RateLimit::new(Timeout::new(kpn, Duration::from_secs(10)), five));
//!     let cm = Retry::new(RateLimit::new(Timeout::new(cm, Duration::from_secs(10)), fifty));
//!     Ok(Traced::new(Failover::new([Member::new("kpn", kpn), Member::new("cm", cm)])?))
//! }
//! ```
//!
//! | layer | what it is for | where it belongs |
//! |---|---|---|
//! | [`Timeout`] | a deadline for each vendor call | next to the vendor |
//! | [`RateLimit`] | what the vendor allows: messages a second, calls under way | around `Timeout` |
//! | [`Batch`] | few vendor calls for many tasks | around `RateLimit`, of one vendor |
//! | [`Retry`] | what passes by itself | around `RateLimit` or `Batch` |
//! | [`Failover`], [`RoundRobin`] | more than one vendor | around the stack of each |
//! | [`StartWithin`] | a deadline for the whole, after which nothing begins | around `Failover`, inside of `Dedupe` |
//! | [`Senders`] | who the text is from, by destination | around the above, or a vendor's stack |
//! | [`TextPolicy`] | the encoding and the parts that a text may take | outside of `Dedupe` |
//! | [`Dedupe`] | one text for one reference | around everything that sends |
//! | [`OnlyTo`], [`RedirectTo`] | the safety catch of systems that are not production | `RedirectTo(OnlyTo(..))`, around all of them or around a vendor |
//! | [`AllowDestinations`], [`Budget`] | the brakes against toll fraud | inside of `Dedupe`, outside of `Failover` |
//! | [`Traced`] | spans, events, metrics | outermost |
//!
//! # Two deadlines
//!
//! [`Timeout`] drops a call when its time is up: it is for one vendor call, and a call whose request had left is in
//! doubt then. [`StartWithin`] drops nothing that may have left: after its time nothing begins any more, what had
//! not begun is not accepted, and what is under way ends as it ends. A whole stack gets `StartWithin`, and its answer
//! comes after both deadlines together at the latest. Of several vendors each gets a `Timeout` of at most the
//! deadline divided by their number: otherwise the first may use up the time of the others.
//!
//! Time is tokio's clock everywhere, so that a test may pause it; a layer that waits needs a tokio runtime
//! with its timer on.

mod allow_destinations;
mod batch;
mod budget;
mod country;
mod dedupe;
mod dispatch;
mod failover;
mod only_to;
mod pool;
mod rate_limit;
mod redirect_to;
mod retry;
mod round_robin;
mod scope;
mod senders;
mod shared;
mod start_within;
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
pub use pool::Member;
pub use rate_limit::RateLimit;
pub use redirect_to::RedirectTo;
pub use retry::Retry;
pub use round_robin::RoundRobin;
pub use senders::Senders;
pub use start_within::StartWithin;
pub use text_policy::TextPolicy;
pub use timeout::Timeout;
pub use traced::Traced;
