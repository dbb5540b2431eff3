use std::time::Duration;

use postduif_core::{Acceptance, ErrorKind, SendError, SmsProvider as _};
use postduif_layers::{RateLimit, Retry, Timeout};
use tokio::time::Instant;

use crate::help::*;

use ErrorKind::{InvalidText, Throttled, Unauthorized, Unavailable};

fn with_window(window: Duration) -> Recording {
    Recording::new(profile("a", 3).with_repeat_window(Some(window)))
}

#[tokio::test(start_paused = true)]
async fn a_temporary_failure_is_repeated_and_the_receipt_lists_it() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::refuse(Throttled), Scripted::refuse(Unavailable)]);
    let receipt = Retry::new(vendor.clone())
        .send(&message("x"))
        .await
        .unwrap();
    let kinds: Vec<_> = receipt
        .attempts()
        .iter()
        .map(|a| (a.provider().to_owned(), a.error().kind()))
        .collect();
    assert_eq!(
        kinds,
        [("a".to_owned(), Throttled), ("a".to_owned(), Unavailable)]
    );
    let log = vendor.log();
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|call| call.messages == log[0].messages));
}

#[tokio::test(start_paused = true)]
async fn no_other_failure_is_repeated() {
    for scripted in [
        Scripted::refuse(InvalidText),
        Scripted::refuse(Unauthorized),
        Scripted::doubt(ErrorKind::Timeout),
        Scripted::doubt(Unavailable),
    ] {
        let vendor = vendor("a", 1);
        vendor.script([scripted]);
        let outcome = Retry::new(vendor.clone()).send(&message("x")).await;
        assert!(outcome.unwrap_err().attempts().is_empty());
        assert_eq!(vendor.log().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_the_last_failure_is_the_outcome() {
    let vendor = vendor("a", 1);
    vendor.script([Throttled, Unavailable, Throttled, ErrorKind::Timeout].map(Scripted::refuse));
    let provider = Retry::new(vendor.clone()).with_attempts(count(4));
    let outcome = provider.send(&message("x")).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Timeout));
    assert_eq!(outcome.unwrap_err().attempts().len(), 3);
    assert_eq!(vendor.log().len(), 4);
    let once = Retry::new(vendor.clone()).with_attempts(count(1));
    vendor.script([Scripted::refuse(Throttled)]);
    once.send(&message("x")).await.unwrap_err();
    assert_eq!(vendor.log().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_repeated_inside_the_window_only() {
    for (window, calls) in [(HOUR, 2), (SECOND / 2, 1)] {
        let vendor = with_window(window);
        vendor.script([Scripted::doubt(Unavailable).after(SECOND)]);
        let outcome = Retry::new(vendor.clone()).send(&message("x")).await;
        assert_eq!(outcome.is_ok(), calls == 2);
        assert_eq!(vendor.log().len(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_doubt_stays_one_whatever_the_repeats_return() {
    for after in [Throttled, Unauthorized, InvalidText, Unavailable] {
        let vendor = with_window(HOUR);
        vendor.script([Scripted::doubt(ErrorKind::Timeout)]);
        vendor.script(vec![Scripted::refuse(after); 5]);
        let error = Retry::new(vendor).send(&message("x")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (after, Acceptance::Unknown)
        );
        assert_eq!(error.attempts()[0].error().kind(), ErrorKind::Timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_our_own_limit_does_not_end_a_doubt() {
    let vendor = with_window(HOUR);
    vendor.script([Scripted::doubt(ErrorKind::Timeout)]);
    let limit = RateLimit::new(vendor.clone(), count(1)).with_max_wait(Duration::ZERO);
    let provider = Retry::new(limit).with_attempts(count(2));
    let error = provider.send(&message("x")).await.unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::Unknown);
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_never_repeats_a_doubt() {
    let vendor = with_window(HOUR);
    let messages = messages(3);
    vendor.script([
        Scripted::doubt(ErrorKind::Timeout),
        Scripted::refuse(Throttled),
        Scripted::accept(),
    ]);
    let outcomes = Retry::new(vendor.clone()).send_batch(&messages).await;
    assert_eq!(kinds(&outcomes), [in_doubt(ErrorKind::Timeout), None, None]);
    let log = vendor.log();
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].messages, messages[1..2]);
}

#[tokio::test(start_paused = true)]
async fn at_least_once_repeats_doubts_at_any_vendor_until_one_is_accepted() {
    let vendor = vendor("a", 3);
    vendor.script([
        Scripted::doubt(Unavailable),
        Scripted::doubt(ErrorKind::Protocol),
    ]);
    let alerts = Retry::new(vendor.clone()).at_least_once();
    let receipt = alerts.send(&message("x")).await.unwrap();
    assert_eq!(receipt.attempts().len(), 2);
    assert_eq!(vendor.log().len(), 3);

    let messages = messages(3);
    vendor.script([
        Scripted::accept(),
        Scripted::doubt(ErrorKind::Timeout),
        Scripted::refuse(InvalidText),
    ]);
    let outcomes = alerts.send_batch(&messages).await;
    assert_eq!(kinds(&outcomes), [None, None, refused(InvalidText)]);
    assert_eq!(vendor.log()[4].messages, messages[1..2]);
}

#[tokio::test(start_paused = true)]
async fn at_least_once_reports_a_doubt_that_no_acceptance_ended() {
    for after in [Scripted::refuse(InvalidText), Scripted::doubt(Unavailable)] {
        for batch in [false, true] {
            let vendor = vendor("a", 3);
            vendor.script([Scripted::doubt(Unavailable), after.clone(), after.clone()]);
            let alerts = Retry::new(vendor).at_least_once();
            let outcome = if batch {
                alerts.send_batch(&messages(1)).await.into_single()
            } else {
                alerts.send(&message("x")).await
            };
            assert_eq!(outcome.unwrap_err().acceptance(), Acceptance::Unknown);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_followed_in_full_or_the_message_is_not_repeated() {
    for (asked, most) in [(5, 6), (30, 31)] {
        let vendor = vendor("a", 1);
        vendor.script([throttled_for(asked)]);
        let begun = Instant::now();
        Retry::new(vendor).send(&message("x")).await.unwrap();
        let waited = begun.elapsed().as_secs();
        assert!((asked..most).contains(&waited), "{waited}");
    }
    let vendor = vendor("a", 1);
    vendor.script([throttled_for(31)]);
    let begun = Instant::now();
    let error = Retry::new(vendor.clone()).send(&message("x")).await;
    assert_eq!(error.unwrap_err().retry_after(), Some(31 * SECOND));
    assert_eq!((begun.elapsed(), vendor.log().len()), (Duration::ZERO, 1));
}

fn throttled_for(seconds: u64) -> Scripted {
    let hint = Duration::from_secs(seconds);
    Scripted::fail(SendError::not_accepted(Throttled, "slower").with_retry_after(hint))
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_a_layer_neither_costs_nor_is_repeated() {
    let vendor = vendor("a", 1);
    let limit = RateLimit::new(vendor.clone(), count(1)).with_max_wait(SECOND / 10);
    let provider = Retry::new(limit).with_budget(1);
    provider.send(&message("x")).await.unwrap();
    let begun = Instant::now();
    for _ in 0..60 {
        provider.send(&message("x")).await.unwrap_err();
    }
    assert_eq!((begun.elapsed(), vendor.log().len()), (Duration::ZERO, 1));
    tokio::time::advance(2 * SECOND).await;
    vendor.script([Scripted::refuse(Unavailable)]);
    let provider = provider.with_backoff(2 * SECOND, 2 * SECOND);
    let _ = provider.send(&message("x")).await;
    assert!(vendor.log().len() > 1);
}

#[tokio::test(start_paused = true)]
async fn time_fills_the_budget_again() {
    let vendor = vendor("a", 1);
    let provider = Retry::new(vendor.clone())
        .with_attempts(count(2))
        .with_budget(2);
    vendor.script(vec![Scripted::refuse(Unavailable); 6]);
    for _ in 0..3 {
        provider.send(&message("x")).await.unwrap_err();
    }
    assert_eq!(vendor.log().len(), 5);
    tokio::time::advance(300 * SECOND).await;
    provider.send(&message("x")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pause_before_a_repeat_is_no_doubt() {
    let vendor = vendor("a", 1);
    vendor.script([throttled_for(20)]);
    let provider = Timeout::new(Retry::new(vendor.clone()), SECOND);
    assert_eq!(
        kind_of(&provider.send(&message("x")).await),
        refused(ErrorKind::Timeout)
    );
    tokio::time::sleep(HOUR).await;
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_stays_one_if_its_repeat_is_cut_off() {
    let vendor = with_window(HOUR);
    vendor.script([Scripted::doubt(Unavailable), throttled_for(20)]);
    let provider = Timeout::new(Retry::new(vendor.clone()), 10 * SECOND);
    let outcome = provider.send(&message("x")).await;
    assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Timeout));
    assert_eq!(vendor.log().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_outcome_is_not_repeated() {
    let vendor = vendor("a", 10);
    vendor.script(vec![Scripted::refuse(Throttled); 3]);
    let messages = messages(3);
    let outcomes = Retry::new(Short(vendor.clone()))
        .send_batch(&messages)
        .await;
    assert_eq!(
        outcomes[2].as_ref().unwrap_err().acceptance(),
        Acceptance::Unknown
    );
    let times = vendor.references();
    let last = times.iter().filter(|r| *r == messages[2].reference());
    assert_eq!(last.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_end_after_the_deadline_does_not_begin() {
    let vendor = vendor("a", 1);
    let error = SendError::not_accepted(Throttled, "slower").with_retry_after(HOUR);
    vendor.script([Scripted::fail(error)]);
    let begun = Instant::now();
    let provider = Retry::new(vendor)
        .with_max_hint(HOUR)
        .with_deadline(60 * SECOND);
    provider.send(&message("x")).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn back_off_grows_has_a_bound_and_is_random() {
    let mut waits = Vec::new();
    for _ in 0..20 {
        let vendor = vendor("a", 1);
        vendor.script(vec![Scripted::refuse(Unavailable); 5]);
        let provider = Retry::new(vendor.clone())
            .with_attempts(count(6))
            .with_backoff(SECOND, 4 * SECOND);
        provider.send(&message("x")).await.unwrap();
        let log = vendor.log();
        waits.push(
            log.windows(2)
                .map(|two| two[1].at - two[0].at)
                .collect::<Vec<_>>(),
        );
    }
    let most = |index: usize| waits.iter().map(|waits| waits[index]).max().unwrap();
    assert!(most(0) <= SECOND && most(1) <= 2 * SECOND && most(4) <= 4 * SECOND + SECOND / 100);
    assert!(most(4) > SECOND);
    assert!(waits.iter().any(|w| w[0] != waits[0][0]));
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_is_down_gets_few_repeats() {
    let vendor = vendor("a", 1);
    vendor.script(vec![Scripted::refuse(Unavailable); 1000]);
    let provider = Retry::new(vendor.clone()).with_budget(20);
    for _ in 0..100 {
        provider.send(&message("x")).await.unwrap_err();
    }
    assert_eq!(vendor.log().len(), 120);
}

#[tokio::test(start_paused = true)]
async fn acceptances_fill_the_budget_again() {
    let vendor = vendor("a", 1);
    let provider = Retry::new(vendor.clone())
        .with_attempts(count(2))
        .with_budget(1);
    vendor.script(vec![Scripted::refuse(Unavailable); 3]);
    provider.send(&message("x")).await.unwrap_err();
    provider.send(&message("x")).await.unwrap_err();
    assert_eq!(vendor.log().len(), 3);
    for _ in 0..10 {
        provider.send(&message("x")).await.unwrap();
    }
    vendor.script([Scripted::refuse(Unavailable)]);
    provider.send(&message("x")).await.unwrap();
    // Accepted at the repeat, which is returned to the budget.
    vendor.script([Scripted::refuse(Unavailable)]);
    provider.send(&message("x")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_charged_by_call_and_repeats_no_more_than_the_budget() {
    let vendor = vendor("a", 2);
    vendor.script(vec![Scripted::refuse(Unavailable); 6]);
    let provider = Retry::new(vendor.clone()).with_budget(2);
    let outcomes = provider.send_batch(&messages(6)).await;
    assert_eq!(vendor.sizes(), [2, 2, 2, 2, 2]);
    assert_eq!(outcomes.accepted(), 4);
}

#[tokio::test(start_paused = true)]
async fn its_own_window_is_shorter_by_its_deadline() {
    let window = |provider: &dyn postduif_core::SmsProvider| provider.profile().repeat_window();
    let provider = Retry::new(with_window(HOUR));
    assert_eq!(window(&provider), Some(HOUR - 60 * SECOND));
    assert_eq!(
        window(&provider.with_deadline(10 * SECOND)),
        Some(HOUR - 10 * SECOND)
    );
    assert_eq!(window(&Retry::new(with_window(60 * SECOND))), None);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_that_waits_inside_leaves_within_the_window_or_not_at_all() {
    for (window, calls) in [(10, 2), (4, 1)] {
        let vendor = with_window(Duration::from_secs(window));
        vendor.script([Scripted::doubt(Unavailable)]);
        let provider = Retry::new(slow(&vendor, 3 * SECOND));
        let outcome = provider.send(&message("x")).await;
        assert_eq!(outcome.is_ok(), calls == 2);
        if let Err(error) = outcome {
            assert_eq!(error.acceptance(), Acceptance::Unknown);
            assert!(error.attempts().is_empty());
        }
        tokio::time::sleep(HOUR).await;
        assert_eq!(vendor.log().len(), calls);
    }
}
