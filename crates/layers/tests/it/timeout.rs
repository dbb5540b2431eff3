use postduif_core::{BatchTexts, ErrorKind, Profile, SmsProvider as _, Text};
use postduif_layers::{RateLimit, Timeout};
use tokio::time::Instant;

use crate::help::*;

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_dropped_and_in_doubt() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::stall()]);
    let begun = Instant::now();
    let outcome = Timeout::new(vendor.clone(), SECOND)
        .send(&message("x"))
        .await;
    assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Timeout));
    assert_eq!(outcome.unwrap_err().provider(), Some("a"));
    assert_eq!(begun.elapsed(), SECOND);
    assert_eq!(vendor.in_flight(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn each_call_of_a_batch_has_its_own_deadline() {
    let vendor = vendor("a", 2);
    let messages = messages(10);
    for message in &messages {
        vendor.script_for(message.reference(), [Scripted::accept().after(SECOND / 2)]);
    }
    let provider = Timeout::new(vendor.clone(), SECOND).with_in_flight(size(1));
    // Two and a half seconds in all, half a second each.
    assert_eq!(provider.send_batch(&messages).await.accepted(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_call_leaves_the_other_calls_of_its_batch_alone() {
    let vendor = vendor("a", 2);
    let messages = messages(6);
    vendor.script_for(messages[3].reference(), [Scripted::stall()]);
    let outcomes = Timeout::new(vendor, SECOND).send_batch(&messages).await;
    let doubt = in_doubt(ErrorKind::Timeout);
    assert_eq!(kinds(&outcomes), [None, None, doubt, doubt, None, None]);
}

#[tokio::test(start_paused = true)]
async fn different_texts_go_singly_if_a_call_carries_one() {
    let profile = Profile::new("a").with_batch(size(10), BatchTexts::Same);
    let vendor = Recording::new(profile);
    let provider = Timeout::new(vendor.clone(), SECOND);
    let mut messages = messages(3);
    let _ = provider.send_batch(&messages).await;
    assert_eq!(vendor.sizes(), [1, 1, 1]);
    for message in &mut messages {
        *message = postduif_core::Message::new(message.to(), Text::new("same").unwrap());
    }
    let _ = provider.send_batch(&messages).await;
    assert_eq!(vendor.sizes(), [1, 1, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_single_send_stays_one_and_no_message_makes_no_call() {
    let vendor = vendor("a", 5);
    let provider = Timeout::new(vendor.clone(), SECOND);
    provider.send(&message("x")).await.unwrap();
    assert_eq!(provider.send_batch(&[]).await.len(), 0);
    let _ = provider.send_batch(&messages(1)).await;
    let log = vendor.log();
    assert_eq!((log.len(), log[0].batch, log[1].batch), (2, false, true));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_had_not_left_at_the_deadline_is_not_accepted() {
    let vendor = vendor("a", 2);
    let provider = Timeout::new(slow(&vendor, HOUR), SECOND);
    let timed_out = refused(ErrorKind::Timeout);
    assert_eq!(kind_of(&provider.send(&message("x")).await), timed_out);
    let outcomes = provider.send_batch(&messages(3)).await;
    assert_eq!(kinds(&outcomes), [timed_out; 3]);
    tokio::time::sleep(2 * HOUR).await;
    assert!(vendor.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_left_before_the_deadline_is_in_doubt() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::stall()]);
    let provider = Timeout::new(slow(&vendor, SECOND), 2 * SECOND);
    let outcome = provider.send(&message("x")).await;
    assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_around_a_queue_makes_no_doubt() {
    let vendor = vendor("a", 1);
    let limit = RateLimit::new(vendor.clone(), count(1));
    let provider = Timeout::new(limit, SECOND / 2);
    provider.send(&message("x")).await.unwrap();
    let outcome = provider.send(&message("x")).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Timeout));
    tokio::time::sleep(HOUR).await;
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_takes_too_long_is_never_in_doubt() {
    let provider = Timeout::new(slow(&vendor("a", 1), HOUR), SECOND);
    let error = provider.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(!error.to_string().contains("message"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_zero_sends_nothing() {
    let vendor = vendor("a", 2);
    let provider = Timeout::new(vendor.clone(), std::time::Duration::ZERO);
    let outcome = provider.send(&message("x")).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Misconfigured));
    let outcomes = provider.send_batch(&messages(3)).await;
    assert_eq!(kinds(&outcomes), [refused(ErrorKind::Misconfigured); 3]);
    let error = provider.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(vendor.log().is_empty());
}
