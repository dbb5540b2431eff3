//! `cargo bench -p postduif-benches --bench count`: what counting a text costs, beside copying its bytes.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::{hint::black_box, time::Instant};

use postduif_text::Count;

const ROUNDS: usize = 21;
const CALLS: u32 = 20_000;

fn main() {
    println!(
        "{:24} {:>10} {:>10} {:>8}",
        "160 characters", "copy ns", "count ns", "ratio"
    );
    for (name, text) in [
        ("ASCII", "Your code is 482913. ".repeat(8)[..160].to_owned()),
        ("German, 1 in 10 outside", "Grüße aus Köln, ja! ".repeat(8)),
        (
            "extension characters",
            "{[~]}5€ a".repeat(18).chars().take(160).collect(),
        ),
        ("Cyrillic", "Ваш код 482913. ".repeat(10)),
        ("one emoji at the end", format!("{}👋", "a".repeat(159))),
    ] {
        let mut buffer = vec![0_u8; text.len()];
        // Interleaved, so that what else the machine does meets both alike.
        let (mut copies, mut counts) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            copies.push(time(|| {
                black_box(&mut buffer).copy_from_slice(black_box(text.as_bytes()))
            }));
            counts.push(time(|| {
                black_box(Count::of(black_box(&text)));
            }));
        }
        let (copy, count) = (median(copies), median(counts));
        println!("{name:24} {copy:10.1} {count:10.1} {:8.1}", count / copy);
    }
}

/// Nanoseconds a call.
fn time(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..CALLS).for_each(|_| call());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
