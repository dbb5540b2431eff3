//! What the benches share: one line for each figure, medians, and the CPU time of this thread.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::{fs, time::Duration};

/// Whether a figure is good when it is large, or when it is small.
#[derive(Clone, Copy)]
#[allow(
    dead_code,
    reason = "each bench is a program of its own and uses one of the two"
)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// Prints `ratio NAME VALUE goal GOAL ok|short`.
pub(crate) fn report(name: &str, value: f64, goal: Goal) {
    let (goal, is_met) = match goal {
        Goal::AtLeast(goal) => (goal, value >= goal),
        Goal::AtMost(goal) => (goal, value <= goal),
    };
    let verdict = if is_met { "ok" } else { "short" };
    println!("ratio {name} {value:.2} goal {goal:.2} {verdict}");
}

/// Returns the middle one of the figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Returns for how long this thread has run on a processor. `None` on systems that do not tell it in `/proc`.
#[allow(
    dead_code,
    reason = "each bench is a program of its own, and one of them counts by the clock"
)]
pub(crate) fn cpu_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}
