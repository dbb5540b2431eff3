//! `cargo bench -p postduif-benches --bench count`: what counting a text costs, beside copying its bytes.

mod figures;

use std::{hint::black_box, time::Instant};

use figures::{Goal, median, report};
use postduif_text::Count;

const ROUNDS: usize = 21;
const CALLS: u32 = 20_000;

fn main() {
    let of_160 = |text: &str, goal: f64, name: &str| {
        let mut buffer = vec![0_u8; text.len()];
        // Interleaved, so that what else the machine does meets both alike.
        let (mut copies, mut counts) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            copies.push(time(|| {
                black_box(&mut buffer).copy_from_slice(black_box(text.as_bytes()))
            }));
            counts.push(time(|| {
                black_box(Count::of(black_box(text)));
            }));
        }
        report(name, median(counts) / median(copies), Goal::AtMost(goal));
    };
    let extension: String = "{[~]}5€ a".repeat(18).chars().take(160).collect();
    of_160(
        &"Your code is 482913. ".repeat(8)[..160],
        12.0,
        "count_ascii",
    );
    of_160(&"Grüße aus Köln, ja! ".repeat(8), 40.0, "count_german");
    of_160(&extension, 40.0, "count_extension");
    of_160(&"Ваш код 482913. ".repeat(10), 40.0, "count_cyrillic");
    of_160(&format!("{}👋", "a".repeat(159)), 40.0, "count_emoji");
}

/// Nanoseconds a call.
fn time(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..CALLS).for_each(|_| call());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}
