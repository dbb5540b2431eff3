//! `cargo bench -p postduif-benches --bench layers_ns`: what six layers cost for one message, over a provider that
//! does nothing, in microseconds of CPU time and in allocations.

mod figures;

use std::{num::NonZeroU32, time::Instant};

use figures::{Goal, cpu_time, median, report};
use postduif::{
    Message, Null, Prefix, SmsProvider, Text,
    layers::{AllowDestinations, Failover, Member, RateLimit, Retry, Timeout, Traced},
};

const ROUNDS: usize = 15;
const MESSAGES: u32 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
    let bare = Null::new();
    let layers = six_layers()?;
    let (mut alone, mut layered) = (Vec::new(), Vec::new());
    // Interleaved, so that what else the machine does meets both alike.
    for _ in 0..ROUNDS {
        alone.push(runtime.block_on(micros(&bare, &message)));
        layered.push(runtime.block_on(micros(&layers, &message)));
    }
    report(
        "layers_us",
        median(layered) - median(alone),
        Goal::AtMost(1.0),
    );
    let count = |provider: &dyn SmsProvider| {
        let counted = allocation_counter::measure(|| runtime.block_on(send(provider, &message)));
        f64::from(u32::try_from(counted.count_total).unwrap_or(u32::MAX))
    };
    report(
        "layers_allocations",
        count(&layers) - count(&bare),
        Goal::AtMost(20.0),
    );
    Ok(())
}

/// The recommended stack, and one more layer that changes nothing.
fn six_layers() -> Result<impl SmsProvider, Box<dyn std::error::Error>> {
    let rate = NonZeroU32::new(1_000_000).ok_or("above zero")?;
    let vendor = Timeout::new(Null::new(), std::time::Duration::from_secs(20));
    let vendor = Retry::new(RateLimit::new(vendor, rate));
    let netherlands: Prefix = "+31".parse()?;
    let failover = Failover::new([Member::new("null", vendor)])?;
    Ok(Traced::new(AllowDestinations::new(failover, [netherlands])))
}

async fn send(provider: &dyn SmsProvider, message: &Message) {
    provider.send(message).await.expect("it takes everything");
}

/// Microseconds a message: of CPU time, or of the clock where the system does not tell it.
async fn micros(provider: &dyn SmsProvider, message: &Message) -> f64 {
    let (start, begun) = (cpu_time(), Instant::now());
    for _ in 0..MESSAGES {
        send(provider, message).await;
    }
    let spent = match (start, cpu_time()) {
        (Some(start), Some(end)) => end.saturating_sub(start),
        _ => begun.elapsed(),
    };
    spent.as_secs_f64() * 1e6 / f64::from(MESSAGES)
}
