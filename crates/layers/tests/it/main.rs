//! The promises of each layer, and the laws of every stack.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use postduif_testkit as recording;

mod batch;
mod brakes;
mod catch;
mod dedupe;
mod failover;
mod help;
mod laws;
mod opt_outs;
mod rate_limit;
mod retry;
mod round_robin;
mod runtimes;
mod senders;
mod start_within;
mod suppress;
mod text_policy;
mod timeout;
mod traced;
