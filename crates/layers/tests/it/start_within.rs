use postduif_core::{ErrorKind, SmsProvider as _};
use postduif_layers::{Failover, Member, RateLimit, Retry, StartWithin, Timeout};
use tokio::time::Instant;

use crate::help::*;

#[tokio::test(start_paused = true)]
async fn what_only_waited_at_the_deadline_is_not_accepted() {
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
async fn what_is_under_way_at_the_deadline_ends_as_it_ends() {
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
async fn a_check_ends_in_time_and_speaks_of_no_message() {
    let provider = StartWithin::new(slow(&vendor("a", 1), HOUR), SECOND);
    let error = provider.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(!error.to_string().contains("message"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_names_who_was_waited_for_and_who_was_not_tried() {
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
        "a-shop,b,c: the deadline passed while b was waited for; c was not tried; \
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
async fn a_deadline_in_a_pause_keeps_what_failed_before() {
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
