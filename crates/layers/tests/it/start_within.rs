use std::sync::Arc;

use postduif_core::{ErrorKind, SendError, SmsProvider};
use postduif_layers::{Batch, Failover, Member, RateLimit, Retry, StartWithin, Timeout};
use tokio::time::Instant;

use crate::help::*;

#[tokio::test(start_paused = true)]
async fn a_message_that_only_waited_at_the_deadline_is_not_accepted() {
    let vendor = vendor("a", 2);
    let provider = StartWithin::new(slow(&vendor, HOUR), SECOND);
    let begun = Instant::now();
    let error = provider.send(&message("x")).await.unwrap_err();
    assert_eq!(kind_of(&Err(error.clone())), refused(ErrorKind::Timeout));
    assert!(error.is_local());
    assert_eq!(begun.elapsed(), SECOND);
    let outcomes = provider.send_batch(&messages(2)).await;
    assert_eq!(kinds(&outcomes), [refused(ErrorKind::Timeout); 2]);
    tokio::time::sleep(2 * HOUR).await;
    assert!(vendor.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_at_the_deadline_continues_to_its_outcome() {
    let vendor = vendor("a", 1);
    vendor.script([
        Scripted::accept().after(5 * SECOND),
        Scripted::doubt(ErrorKind::Unavailable).after(5 * SECOND),
    ]);
    let provider = StartWithin::new(Timeout::new(vendor, 20 * SECOND), SECOND);
    provider.send(&message("x")).await.unwrap();
    let outcome = provider.send(&message("x")).await;
    assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_after_the_deadline() {
    let (a, b) = (vendor("a", 1), vendor("b", 1));
    a.script([Scripted::refuse(ErrorKind::Unavailable).after(5 * SECOND)]);
    let members = [
        Member::new("a", Retry::new(a.clone())),
        Member::new("b", Retry::new(b.clone())),
    ];
    let provider = StartWithin::new(Failover::new(members).unwrap(), SECOND);
    let error = provider.send(&message("x")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.provider()),
        (ErrorKind::Unavailable, Some("a"))
    );
    assert_eq!((a.log().len(), b.log().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_a_batch_that_did_not_begin_are_not_accepted() {
    let vendor = vendor("a", 1);
    let provider = StartWithin::new(RateLimit::new(vendor.clone(), count(1)), 3 * SECOND);
    let outcomes = provider.send_batch(&messages(20)).await;
    let accepted = outcomes.accepted();
    assert_eq!(accepted, vendor.references().len());
    assert!((3..6).contains(&accepted), "{accepted}");
    let late = kinds(&outcomes).split_off(accepted);
    assert!(
        late.iter().all(|kind| *kind == refused(ErrorKind::Timeout)),
        "{late:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_ends_in_time_and_is_never_in_doubt() {
    let provider = StartWithin::new(slow(&vendor("a", 1), HOUR), SECOND);
    let error = provider.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(!error.to_string().contains("message"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_names_the_member_waited_for_and_those_not_tried() {
    let (a, b, c) = (vendor("a", 1), vendor("b", 1), vendor("c", 1));
    a.script([Scripted::refuse(ErrorKind::Unavailable)]);
    let members = [
        Member::new("a-shop", a),
        Member::new("b", slow(&b, HOUR)),
        Member::new("c", c.clone()),
    ];
    let provider = StartWithin::new(Failover::new(members).unwrap(), SECOND);
    let error = provider.send(&message("x")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a-shop,b,c: the deadline passed while waiting for b; c was not tried; \
         the message was not sent"
    );
    let tried: Vec<_> = error
        .attempts()
        .iter()
        .map(|tried| (tried.provider(), tried.error().kind()))
        .collect();
    assert_eq!(tried, [("a-shop", ErrorKind::Unavailable)]);
    assert!(c.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_a_pause_keeps_the_attempts_before_it() {
    let a = vendor("a", 1);
    a.script([Scripted::refuse(ErrorKind::Unavailable)]);
    let retry = Retry::new(a)
        .with_backoff(HOUR, HOUR)
        .with_deadline(2 * HOUR);
    let members = [Member::new("a-shop", retry)];
    let provider = StartWithin::new(Failover::new(members).unwrap(), SECOND / 1000);
    let error = provider.send(&message("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let tried: Vec<_> = error
        .attempts()
        .iter()
        .map(|tried| tried.provider())
        .collect();
    assert_eq!(tried, ["a-shop"]);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_returned_at_the_deadline_and_waits_for_no_repeat() {
    let busy = SendError::unknown(ErrorKind::Unavailable, "503").with_retry_after(25 * SECOND);
    let a = Recording::new(profile("a", 1).with_repeat_window(Some(HOUR)));
    a.script([Scripted::fail(busy)]);
    let stack = Retry::new(RateLimit::new(
        Timeout::new(a.clone(), 5 * SECOND),
        count(10),
    ));
    let provider = StartWithin::new(stack, 3 * SECOND);
    let begun = Instant::now();
    let outcome = provider.send(&message("x")).await;
    assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Unavailable));
    assert_eq!((begun.elapsed(), a.log().len()), (3 * SECOND, 1));
}

#[tokio::test(start_paused = true)]
async fn a_doubt_whose_repeat_waits_for_its_turn_is_returned_at_the_deadline() {
    let a = Recording::new(profile("a", 1).with_repeat_window(Some(HOUR)));
    a.script([Scripted::doubt(ErrorKind::Unavailable)]);
    let limit = RateLimit::new(Timeout::new(a.clone(), 5 * SECOND), count(1));
    let limit: Arc<dyn SmsProvider> = Arc::new(limit);
    let provider = StartWithin::new(Retry::new(Arc::clone(&limit)), 3 * SECOND);
    let begun = Instant::now();
    let send = tokio::spawn(async move { (provider.send(&message("x")).await, begun.elapsed()) });
    tokio::task::yield_now().await;
    for _ in 0..20 {
        let limit = Arc::clone(&limit);
        tokio::spawn(async move { limit.send(&message("other")).await });
    }
    let (outcome, took) = send.await.unwrap();
    assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Unavailable));
    assert_eq!(took, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_batch_returns_at_the_deadline_what_is_known_of_each_message() {
    let (a, b) = (vendor("a", 5), vendor("b", 5));
    let messages = messages(3);
    let busy = SendError::not_accepted(ErrorKind::Throttled, "slower");
    let busy = Scripted::fail(busy.with_retry_after(25 * SECOND));
    a.script_for(messages[1].reference(), [busy]);
    let stack = RateLimit::new(Timeout::new(a.clone(), 5 * SECOND), count(10));
    let provider = StartWithin::new(Retry::new(stack), 3 * SECOND);
    let begun = Instant::now();
    let outcomes = provider.send_batch(&messages).await;
    assert_eq!(
        kinds(&outcomes),
        [None, refused(ErrorKind::Throttled), None]
    );
    assert_eq!(begun.elapsed(), 3 * SECOND);

    // One is refused, and the turn of the other does not come in time.
    a.script_for(
        messages[1].reference(),
        [Scripted::refuse(ErrorKind::Unauthorized)],
    );
    let busy = Arc::new(RateLimit::new(b.clone(), count(1)));
    for _ in 0..20 {
        let busy = Arc::clone(&busy);
        tokio::spawn(async move { busy.send(&message("other")).await });
    }
    tokio::task::yield_now().await;
    let members = [Member::new("a", a), Member::new("b", Retry::new(busy))];
    let provider = StartWithin::new(Failover::new(members).unwrap(), 3 * SECOND);
    let begun = Instant::now();
    let outcomes = provider.send_batch(&messages).await;
    assert_eq!(kinds(&outcomes), [None, refused(ErrorKind::Timeout), None]);
    assert_eq!(begun.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_gathered_begins_no_later_than_the_deadline() {
    for size in [1, 10] {
        let a = vendor("a", size);
        let limit = RateLimit::new(Timeout::new(a.clone(), 5 * SECOND), count(1));
        let stack = Retry::new(Batch::new(limit.with_burst(count(3))));
        let provider = Arc::new(StartWithin::new(stack, 2 * SECOND));
        let begun = Instant::now();
        let sends: Vec<_> = messages(12)
            .into_iter()
            .map(|message| {
                let provider = Arc::clone(&provider);
                tokio::spawn(async move { (provider.send(&message).await, begun.elapsed()) })
            })
            .collect();
        let mut accepted = 0;
        for send in sends {
            let (outcome, at) = send.await.unwrap();
            assert!(at <= 2 * SECOND, "{at:?}");
            match outcome {
                Ok(_) => accepted += 1,
                outcome => assert_eq!(kind_of(&outcome), refused(ErrorKind::Timeout)),
            }
        }
        tokio::time::sleep(HOUR).await;
        assert!(accepted >= 3, "{accepted}");
        assert_eq!(a.references().len(), accepted);
        let late = |call: &crate::recording::Call| call.at - begun > 2 * SECOND;
        assert!(!a.log().iter().any(late));
    }
}
