//! Flows outside of a tokio runtime, and in one without a timer.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use postduif_core::{DeliveryReport, DeliveryStatus};
use postduif_onboarding::{Intake as _, JournalError, JournalErrorKind, Runner};
use tokio::runtime::Builder;

use crate::world::{World, reference};

fn without_a_runtime<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for something that never comes"),
    }
}

fn without_time<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

fn assert_misconfigured<T>(result: Result<T, JournalError>, what_to_do: &str) {
    let Err(error) = result else {
        panic!("it did something");
    };
    assert_eq!(error.kind(), JournalErrorKind::Misconfigured);
    assert!(error.to_string().contains(what_to_do), "{error}");
}

#[test]
fn a_flow_without_a_timer_is_an_error_before_anything_is_done() {
    let world = World::new();
    let onboarding = world.onboarding();
    let callout = world.callout();
    let ended = without_a_runtime(onboarding.run(callout.clone()));
    assert_misconfigured(ended, "no tokio runtime");
    let ended = without_time(onboarding.run(callout));
    assert_misconfigured(ended, "build it with enable_all");
    assert!(world.state().log.is_empty(), "{:?}", world.state().log);
}

#[test]
fn a_runner_without_a_timer_takes_no_call_out() {
    let world = World::new();
    let runner = Runner::new(world.onboarding());
    let taken = without_a_runtime(runner.take(world.callout()));
    assert_misconfigured(taken, "no tokio runtime");
    let taken = without_time(runner.take(world.callout()));
    assert_misconfigured(taken, "build it with enable_all");
    assert_eq!(runner.open(), 0);
    assert!(world.state().log.is_empty(), "{:?}", world.state().log);
}

#[test]
fn a_step_without_a_timer_is_an_error_before_anything_is_done() {
    let world = World::new();
    let onboarding = world.onboarding();
    let mut run = without_time(world.start(&onboarding, &world.callout()));
    let entries = world.state().log.len();
    let step = without_a_runtime(onboarding.step(&mut run));
    assert_misconfigured(step, "no tokio runtime");
    let step = without_time(onboarding.step(&mut run));
    assert_misconfigured(step, "build it with enable_all");
    assert_eq!(world.state().log.len(), entries);
}

#[test]
fn a_report_without_a_timer_is_an_error() {
    let world = World::new();
    let onboarding = world.onboarding();
    let mut report = DeliveryReport::new("kpn", DeliveryStatus::Delivered);
    report.reference = Some(reference("order42"));
    let kept = without_a_runtime(onboarding.report(&report));
    assert_misconfigured(kept, "no tokio runtime");
    let kept = without_time(onboarding.report(&report));
    assert_misconfigured(kept, "build it with enable_all");
}
