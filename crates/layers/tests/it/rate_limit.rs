use std::{sync::Arc, time::Duration};

use postduif_core::{ErrorKind, SmsProvider};
use postduif_layers::{RateLimit, Timeout};
use tokio::time::Instant;

use crate::help::*;

#[tokio::test(start_paused = true)]
async fn messages_keep_to_the_rate_after_the_burst() {
    let vendor = vendor("a", 1);
    let provider = RateLimit::new(vendor.clone(), count(10)).with_burst(count(5));
    let begun = Instant::now();
    for _ in 0..25 {
        provider.send(&message("x")).await.unwrap();
    }
    // Five at once, twenty at a tenth of a second each.
    let took = begun.elapsed().as_millis();
    assert!((1990..2050).contains(&took), "{took}");
    for (index, call) in vendor.log().iter().enumerate() {
        let earliest = Duration::from_millis(100) * u32::try_from(index).unwrap().saturating_sub(4);
        assert!(call.at - begun >= earliest, "{index}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_burst_is_split_and_sent_whole() {
    let vendor = vendor("a", 100);
    let provider = RateLimit::new(vendor.clone(), count(10)).with_burst(count(4));
    let begun = Instant::now();
    let outcomes = provider.send_batch(&messages(1000)).await;
    // Longer than any single call may wait.
    assert_eq!(outcomes.accepted(), 1000);
    assert!(begun.elapsed() >= 99 * SECOND && begun.elapsed() < 101 * SECOND);
    assert!(vendor.sizes().iter().all(|&size| size == 4));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_would_wait_too_long_is_throttled_at_once_and_not_accepted() {
    let vendor = vendor("a", 1);
    let provider = RateLimit::new(vendor.clone(), count(1)).with_max_wait(SECOND / 2);
    provider.send(&message("x")).await.unwrap();
    let begun = Instant::now();
    let outcome = provider.send(&message("x")).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Throttled));
    let hint = outcome.unwrap_err().retry_after().unwrap();
    assert!(hint > SECOND * 9 / 10 && hint <= SECOND, "{hint:?}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_bounded_and_a_dropped_one_makes_room() {
    let vendor = vendor("a", 1);
    vendor.script(vec![Scripted::stall(); 2]);
    let provider = Arc::new(
        RateLimit::new(vendor.clone(), count(1000))
            .with_in_flight(size(2))
            .with_max_wait(10 * SECOND),
    );
    let send = || {
        let provider = Arc::clone(&provider);
        tokio::spawn(async move { provider.send(&message("x")).await })
    };
    let stalled = [send(), send()];
    tokio::time::sleep(SECOND).await;
    let waiting = send();
    tokio::time::sleep(SECOND).await;
    assert_eq!((vendor.log().len(), waiting.is_finished()), (2, false));
    stalled[0].abort();
    waiting.await.unwrap().unwrap();
    assert_eq!(vendor.in_flight(), (1, 2));
    stalled[1].abort();
    vendor.script(vec![Scripted::stall(); 2]);
    let _again = [send(), send()];
    tokio::time::sleep(SECOND).await;
    let outcome = send().await.unwrap();
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Throttled));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_refuses_at_once() {
    let vendor = vendor("a", 1);
    let provider = Arc::new(RateLimit::new(vendor, count(1)).with_max_waiting(size(2)));
    let sends: Vec<_> = (0..6)
        .map(|_| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { provider.send(&message("x")).await })
        })
        .collect();
    let mut accepted = 0;
    for send in sends {
        accepted += u32::from(send.await.unwrap().is_ok());
    }
    // One at once, two that waited.
    assert_eq!(accepted, 3);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_not_part_of_the_deadline() {
    let vendor = vendor("a", 1);
    vendor.script(vec![Scripted::accept().after(SECOND / 2); 5]);
    let provider = RateLimit::new(Timeout::new(vendor, SECOND), count(1));
    assert_eq!(provider.send_batch(&messages(5)).await.accepted(), 5);
}

#[tokio::test(start_paused = true)]
async fn its_window_is_shorter_by_its_wait() {
    let vendor = Recording::new(profile("a", 1).with_repeat_window(Some(HOUR)));
    let provider = RateLimit::new(vendor, count(1)).with_max_wait(SECOND);
    assert_eq!(provider.profile().repeat_window(), Some(HOUR - SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_would_come_too_late_is_refused_at_once() {
    let vendor = vendor("a", 1);
    let provider = Arc::new(RateLimit::new(vendor.clone(), count(1)));
    let begun = Instant::now();
    let sends: Vec<_> = (0..200)
        .map(|_| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { (provider.send(&message("x")).await, begun.elapsed()) })
        })
        .collect();
    let mut accepted = 0;
    for send in sends {
        match send.await.unwrap() {
            (Ok(_), _) => accepted += 1,
            (Err(error), at) => {
                assert_eq!(at, Duration::ZERO);
                assert!(error.retry_after().unwrap() > 30 * SECOND);
            }
        }
    }
    assert_eq!(accepted, 31);
}

#[tokio::test(start_paused = true)]
async fn callers_that_gave_up_do_not_delay_later_ones() {
    let vendor = vendor("a", 1);
    let provider = Arc::new(RateLimit::new(vendor.clone(), count(1)));
    let send = || {
        let provider = Arc::clone(&provider);
        tokio::spawn(async move { provider.send(&message("x")).await })
    };
    let waiting: Vec<_> = (0..31).map(|_| send()).collect();
    tokio::task::yield_now().await;
    for send in waiting {
        send.abort();
    }
    tokio::task::yield_now().await;
    let begun = Instant::now();
    send().await.unwrap().unwrap();
    assert!(
        begun.elapsed() <= SECOND + SECOND / 10,
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_bound_it_waits_as_long_as_it_takes() {
    let provider = RateLimit::new(vendor("a", 1), count(1)).with_max_wait(Duration::MAX);
    provider.send(&message("x")).await.unwrap();
    provider.send(&message("x")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_not_polled_does_not_stop_the_others() {
    let vendor = vendor("a", 1);
    let provider = RateLimit::new(vendor.clone(), count(1));
    provider.send(&message("x")).await.unwrap();
    let (one, other) = (message("x"), message("y"));
    let mut forgotten = std::pin::pin!(provider.send(&one));
    assert!(waits(forgotten.as_mut()).await);
    let begun = Instant::now();
    provider.send(&other).await.unwrap();
    assert!(begun.elapsed() < 4 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_not_polled_costs_the_others_no_more_than_its_own_turn() {
    let vendor = vendor("a", 1);
    let provider = RateLimit::new(vendor.clone(), count(1));
    provider.send(&message("x")).await.unwrap();
    let (one, other) = (message("x"), message("y"));
    let mut forgotten = std::pin::pin!(provider.send(&one));
    assert!(waits(forgotten.as_mut()).await);
    let begun = Instant::now();
    provider.send(&other).await.unwrap();
    assert_eq!(begun.elapsed(), 2 * SECOND);
    // It is the first again once it is polled.
    forgotten.await.unwrap();
    assert_eq!(begun.elapsed(), 3 * SECOND);
    assert_eq!(vendor.log().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn its_calls_are_no_larger_than_its_burst() {
    let limit = |batch, burst| {
        let limit = RateLimit::new(vendor("a", batch), count(5)).with_burst(count(burst));
        limit.profile().batch_size().get()
    };
    assert_eq!(limit(100, 10), 10);
    assert_eq!(limit(4, 10), 4);
    let by_default = RateLimit::new(vendor("a", 100), count(5));
    assert_eq!(by_default.profile().batch_size().get(), 5);
}

#[tokio::test(start_paused = true)]
async fn its_own_refusals_differ_from_the_vendors() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::accept(), Scripted::refuse(ErrorKind::Throttled)]);
    let provider = RateLimit::new(vendor, count(1)).with_max_wait(SECOND / 2);
    provider.send(&message("x")).await.unwrap();
    assert!(provider.send(&message("x")).await.unwrap_err().is_local());
    tokio::time::advance(SECOND).await;
    assert!(!provider.send(&message("x")).await.unwrap_err().is_local());
}
