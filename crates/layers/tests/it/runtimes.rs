//! Layers outside of a tokio runtime, and in one without a timer.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use postduif_core::{Acceptance, ErrorKind, Receipt, SendError, SmsProvider};
use postduif_layers::{
    AllowDestinations, Batch, Budget, Dedupe, Failover, Member, RateLimit, Retry, RoundRobin,
    StartWithin, Suppress, SuppressedNumbers, TextPolicy, Timeout, Traced,
};
use tokio::runtime::Builder;

use crate::help::{
    Recording, SECOND, Scripted, count, kind_of, kinds, message, messages, refused, vendor,
};

/// What drives a future here.
#[derive(Clone, Copy, Debug)]
enum Drive {
    Nothing,
    RuntimeWithoutTime,
}

const DRIVES: [(Drive, &str); 2] = [
    (Drive::Nothing, "no tokio runtime: send from within one"),
    (Drive::RuntimeWithoutTime, "build it with enable_all"),
];

impl Drive {
    fn run<F: Future>(self, future: F) -> F::Output {
        match self {
            Self::Nothing => match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => output,
                Poll::Pending => panic!("it waits for something that never comes"),
            },
            Self::RuntimeWithoutTime => {
                let runtime = Builder::new_current_thread().enable_io().build().unwrap();
                runtime.block_on(future)
            }
        }
    }
}

/// Asserts that messages are refused before the vendor gets any, with what to do.
fn assert_refused(layer: impl Fn(Recording) -> Box<dyn SmsProvider>) {
    for (drive, what_to_do) in DRIVES {
        let vendor = vendor("a", 10);
        let provider = layer(vendor.clone());
        let sent = drive.run(provider.send(&message("x")));
        assert_eq!(
            kind_of(&sent),
            refused(ErrorKind::Misconfigured),
            "{drive:?}"
        );
        let error = sent.unwrap_err();
        assert!(error.to_string().contains(what_to_do), "{error}");
        let sent = drive.run(provider.send_batch(&messages(3)));
        assert_eq!(
            kinds(&sent),
            [refused(ErrorKind::Misconfigured); 3],
            "{drive:?}"
        );
        assert!(vendor.log().is_empty(), "{drive:?}");
    }
}

/// Asserts that a check of a layer that waits for nothing works.
fn assert_checks(layer: impl Fn(Recording) -> Box<dyn SmsProvider>) {
    for (drive, _) in DRIVES {
        let provider = layer(vendor("a", 10));
        assert!(drive.run(provider.check()).is_ok(), "{drive:?}");
    }
}

/// Asserts that a layer with a deadline refuses a check.
fn assert_check_refused(layer: impl Fn(Recording) -> Box<dyn SmsProvider>) {
    for (drive, what_to_do) in DRIVES {
        let error = drive.run(layer(vendor("a", 10)).check()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{drive:?}");
        assert_eq!(error.acceptance(), Acceptance::NotAccepted, "{drive:?}");
        assert!(error.to_string().contains(what_to_do), "{error}");
    }
}

fn timeout(vendor: Recording) -> Box<dyn SmsProvider> {
    Box::new(Timeout::new(vendor, SECOND))
}

fn start_within(vendor: Recording) -> Box<dyn SmsProvider> {
    Box::new(StartWithin::new(vendor, SECOND))
}

fn rate_limit(vendor: Recording) -> Box<dyn SmsProvider> {
    Box::new(RateLimit::new(vendor, count(5)))
}

fn retry(vendor: Recording) -> Box<dyn SmsProvider> {
    Box::new(Retry::new(vendor))
}

fn suppress(vendor: Recording) -> Box<dyn SmsProvider> {
    Box::new(Suppress::new(vendor, SuppressedNumbers::new()))
}

fn stack(vendor: Recording) -> Box<dyn SmsProvider> {
    let limited = RateLimit::new(Timeout::new(vendor.clone(), SECOND), count(5));
    let members = [
        Member::new("a", Retry::new(limited)),
        Member::new("b", Retry::new(Timeout::new(vendor, SECOND))),
    ];
    let stack = StartWithin::new(Failover::new(members).unwrap(), SECOND);
    Box::new(Traced::new(Dedupe::new(stack)))
}

#[test]
fn a_timeout_without_a_timer_refuses_before_anything_is_sent() {
    assert_refused(timeout);
    assert_check_refused(timeout);
}

#[test]
fn a_start_within_without_a_timer_refuses_before_anything_is_sent() {
    assert_refused(start_within);
    assert_check_refused(start_within);
}

#[test]
fn a_rate_limit_without_a_timer_refuses_before_anything_is_sent() {
    assert_refused(rate_limit);
    assert_checks(rate_limit);
}

#[test]
fn a_retry_without_a_timer_refuses_before_anything_is_sent() {
    assert_refused(retry);
    assert_checks(retry);
}

#[test]
fn a_suppression_without_a_timer_refuses_before_anything_is_sent() {
    assert_refused(suppress);
    assert_checks(suppress);
}

#[test]
fn a_stack_without_a_timer_refuses_before_anything_is_sent() {
    assert_refused(stack);
    assert_check_refused(stack);
}

#[test]
fn a_batch_without_a_timer_refuses_single_sends_before_anything_is_sent() {
    for (drive, what_to_do) in DRIVES {
        let vendor = vendor("a", 10);
        let provider = Batch::new(vendor.clone());
        let sent = drive.run(provider.send(&message("x")));
        assert_eq!(
            kind_of(&sent),
            refused(ErrorKind::Misconfigured),
            "{drive:?}"
        );
        let error = sent.unwrap_err();
        assert!(error.to_string().contains(what_to_do), "{error}");
        assert!(vendor.log().is_empty(), "{drive:?}");
    }
    assert_checks(|vendor| Box::new(Batch::new(vendor)));
}

#[test]
fn layers_that_wait_for_nothing_need_no_runtime() {
    type Layer = fn(Recording) -> Box<dyn SmsProvider>;
    let layers: [(&str, Layer); 7] = [
        ("AllowDestinations", |vendor| {
            Box::new(AllowDestinations::new(vendor, ["+31".parse().unwrap()]))
        }),
        ("Budget", |vendor| Box::new(Budget::new(vendor))),
        ("Dedupe", |vendor| Box::new(Dedupe::new(vendor))),
        ("Failover", |vendor| {
            Box::new(Failover::new([Member::new("a", vendor)]).unwrap())
        }),
        ("RoundRobin", |vendor| {
            Box::new(RoundRobin::new([Member::new("a", vendor)]).unwrap())
        }),
        ("TextPolicy", |vendor| Box::new(TextPolicy::new(vendor))),
        ("Traced", |vendor| Box::new(Traced::new(vendor))),
    ];
    for (name, layer) in layers {
        for (drive, _) in DRIVES {
            let vendor = vendor("a", 10);
            let provider = layer(vendor.clone());
            assert!(
                drive.run(provider.send(&message("x"))).is_ok(),
                "{name}, {drive:?}"
            );
            let sent = drive.run(provider.send_batch(&messages(3)));
            assert_eq!(sent.accepted(), 3, "{name}, {drive:?}");
            assert!(drive.run(provider.check()).is_ok(), "{name}, {drive:?}");
            assert_eq!(vendor.references().len(), 4, "{name}, {drive:?}");
        }
    }
}

#[test]
fn a_duplicate_without_a_timer_waits_for_the_first() {
    for (drive, _) in DRIVES {
        let vendor = vendor("a", 10);
        vendor.script([Scripted::stall()]);
        let provider = Dedupe::new(vendor.clone());
        let message = message("x");
        drive.run(async {
            let mut first = pin!(provider.send(&message));
            assert!(crate::help::waits(first.as_mut()).await, "{drive:?}");
            let mut second = pin!(provider.send(&message));
            assert!(crate::help::waits(second.as_mut()).await, "{drive:?}");
        });
        assert_eq!(vendor.log().len(), 1, "{drive:?}");
    }
}

/// Polls a send in a runtime, shuts that down, and polls the send again.
fn poll_after_the_end(provider: &dyn SmsProvider) -> Poll<Result<Receipt, SendError>> {
    let message = message("x");
    let mut sent = pin!(provider.send(&message));
    let mut context = Context::from_waker(Waker::noop());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    {
        let _entered = runtime.enter();
        assert!(sent.as_mut().poll(&mut context).is_pending());
    }
    runtime.shutdown_background();
    sent.as_mut().poll(&mut context)
}

#[test]
fn a_runtime_that_is_shut_down_leaves_a_message_under_way_in_doubt() {
    type Layer = fn(Recording) -> Box<dyn SmsProvider>;
    let layers: [(&str, Layer); 7] = [
        ("Timeout", timeout),
        ("StartWithin", start_within),
        ("RateLimit", rate_limit),
        ("Retry", retry),
        ("Batch", |vendor| Box::new(Batch::new(vendor))),
        ("Dedupe", |vendor| Box::new(Dedupe::new(vendor))),
        ("stack", stack),
    ];
    for (name, layer) in layers {
        let vendor = vendor("a", 10);
        vendor.script([Scripted::stall()]);
        // A layer without a deadline still waits.
        if let Poll::Ready(sent) = poll_after_the_end(&*layer(vendor.clone())) {
            let error = sent.unwrap_err();
            assert_eq!(error.acceptance(), Acceptance::Unknown, "{name}: {error}");
        }
        assert_eq!(vendor.log().len(), 1, "{name}");
    }
}

#[test]
fn a_runtime_that_is_shut_down_ends_the_pause_before_a_repeat() {
    let vendor = vendor("a", 10);
    vendor.script([Scripted::refuse(ErrorKind::Unavailable)]);
    let provider = Retry::new(vendor.clone()).with_backoff(9 * SECOND, 9 * SECOND);
    let Poll::Ready(sent) = poll_after_the_end(&provider) else {
        panic!("it waits for a timer that is gone");
    };
    assert_eq!(kind_of(&sent), refused(ErrorKind::Unavailable));
    assert_eq!(vendor.log().len(), 1);
}

#[test]
fn a_runtime_that_is_shut_down_ends_the_wait_for_a_turn() {
    type Layer = fn(RateLimit<Recording>) -> Box<dyn SmsProvider>;
    let layers: [(&str, Layer); 3] = [
        ("RateLimit", |limit| Box::new(limit)),
        ("Batch", |limit| Box::new(Batch::new(limit))),
        ("Dedupe", |limit| Box::new(Dedupe::new(Retry::new(limit)))),
    ];
    for (name, layer) in layers {
        let vendor = vendor("a", 10);
        let provider = layer(RateLimit::new(vendor.clone(), count(1)));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(provider.send(&message("first"))).unwrap();
        if let Poll::Ready(sent) = poll_after_the_end(&*provider) {
            let acceptance = sent.unwrap_err().acceptance();
            assert_eq!(acceptance, Acceptance::NotAccepted, "{name}");
        } else {
            panic!("{name} waits for a timer that is gone");
        }
        assert_eq!(vendor.log().len(), 1, "{name}");
    }
}

#[test]
fn a_batch_on_a_runtime_that_was_shut_down_refuses() {
    let vendor = vendor("a", 10);
    let provider = Batch::new(vendor.clone());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let sent = handle.block_on(provider.send(&message("x")));
    assert_eq!(kind_of(&sent), refused(ErrorKind::Misconfigured));
    assert!(vendor.log().is_empty());
}
