//! What each layer promises, and the laws that hold for every stack of them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

use postduif_testkit as recording;

mod batch;
mod brakes;
mod catch;
mod dedupe;
mod failover;
mod help;
mod laws;
mod rate_limit;
mod retry;
mod round_robin;
mod senders;
mod start_within;
mod text_policy;
mod timeout;
mod traced;
