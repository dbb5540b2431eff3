use std::time::Duration;

use postduif_core::{ErrorKind, Price, SmsProvider as _};
use postduif_layers::{AllowDestinations, Budget, Country};
use tokio::time::{advance, timeout};

use crate::help::*;

const BLOCKED: ErrorKind = ErrorKind::Blocked;

fn euros(amount: &str) -> Price {
    Price::new(amount, "EUR").unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_allowed_destinations_that_are_not_blocked_get_a_text() {
    let vendor = vendor("a", 10);
    let prefix = |text: &str| text.parse().unwrap();
    let provider = AllowDestinations::new(vendor.clone(), [prefix("+31"), prefix("+3197001")])
        .with_blocked([prefix("+3197")])
        .with_blocked([prefix("+31900")]);
    let to = ["+31612345678", "+3197001234", "+319001234", "+32470123456"];
    let messages = to.map(|to| message_to(to, "x"));
    let outcomes = provider.send_batch(&messages).await;
    let blocked = refused(BLOCKED);
    assert_eq!(kinds(&outcomes), [None, blocked, blocked, blocked]);
    assert_eq!(kind_of(&provider.send(&messages[3]).await), blocked);
    assert_eq!(vendor.references(), [*messages[0].reference()]);
    assert!(
        AllowDestinations::new(vendor, [])
            .send(&messages[0])
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_of_too_many_parts_is_refused() {
    let vendor = vendor("a", 1);
    let provider = Budget::new(vendor.clone()).with_max_parts(2);
    provider.send(&message(&"x".repeat(306))).await.unwrap();
    let outcome = provider.send(&message(&"x".repeat(307))).await;
    assert_eq!(kind_of(&outcome), refused(BLOCKED));
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_window_of_a_recipient_holds_and_slides() {
    let vendor = vendor("a", 1);
    let minute = 60 * SECOND;
    let provider = Budget::new(vendor.clone())
        .with_recipient_limit(count(1), minute)
        .with_recipient_limit(count(3), 15 * minute);
    for (wait, passes) in [
        (0, true),
        (59, false),
        (1, true),
        (60, true),
        (60, false),
        (719, false),
        (1, true),
        (59, false),
        (1, true),
    ] {
        advance(Duration::from_secs(wait)).await;
        assert_eq!(provider.send(&message("x")).await.is_ok(), passes, "{wait}");
    }
    provider
        .send(&message_to("+31687654321", "x"))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_a_message_that_was_certainly_not_accepted_is_subtracted() {
    for (scripted, counts) in [
        (Scripted::accept(), true),
        (Scripted::doubt(ErrorKind::Timeout), true),
        (Scripted::stall(), true),
        (Scripted::refuse(ErrorKind::Unavailable), false),
    ] {
        let vendor = vendor("a", 1);
        vendor.script([scripted]);
        let provider = Budget::new(vendor)
            .with_recipient_limit(count(1), HOUR)
            .with_spend_limit(euros("0.1"), HOUR, euros("0.1"))
            .unwrap();
        let _ = timeout(SECOND, provider.send(&message("x"))).await;
        assert_eq!(provider.send(&message("x")).await.is_err(), counts);
        let other = message_to("+31687654321", "x");
        assert!(provider.send(&other).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_counted_message_by_message() {
    let vendor = vendor("a", 10);
    let provider = Budget::new(vendor.clone()).with_recipient_limit(count(2), HOUR);
    let messages: Vec<_> = (0..4).map(|_| message("x")).collect();
    let outcomes = provider.send_batch(&messages).await;
    assert_eq!(
        kinds(&outcomes),
        [None, None, refused(BLOCKED), refused(BLOCKED)]
    );
    assert_eq!(vendor.sizes(), [2]);
}

#[tokio::test(start_paused = true)]
async fn money_is_counted_by_the_receipt_or_else_by_the_part() {
    let vendor = vendor("a", 1);
    vendor.script([
        Scripted::accept_for(euros("0.3")),
        Scripted::accept_for("5 USD".parse().unwrap()),
    ]);
    let provider = Budget::new(vendor.clone())
        .with_spend_limit(euros("1"), HOUR, euros("0.1"))
        .unwrap();
    // 0.3 by the receipt, 0.2 and 0.4 by the part, and 0.1 left.
    provider.send(&message("x")).await.unwrap();
    provider.send(&message(&"x".repeat(161))).await.unwrap();
    provider.send(&message(&"x".repeat(500))).await.unwrap();
    let outcome = provider.send(&message(&"x".repeat(161))).await;
    assert_eq!(kind_of(&outcome), refused(BLOCKED));
    provider.send(&message("x")).await.unwrap();
    provider.send(&message("x")).await.unwrap_err();
    advance(HOUR - SECOND).await;
    provider.send(&message("x")).await.unwrap_err();
    advance(HOUR / 60 + 2 * SECOND).await;
    provider.send(&message("x")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn money_under_way_is_counted_before_it_is_spent() {
    let vendor = vendor("a", 10);
    vendor.script(vec![Scripted::accept_for(euros("0")); 10]);
    let provider = Budget::new(vendor.clone())
        .with_spend_limit(euros("0.25"), HOUR, euros("0.1"))
        .unwrap();
    assert_eq!(provider.send_batch(&messages(10)).await.accepted(), 2);
    // By their receipts, they cost nothing.
    assert_eq!(provider.send_batch(&messages(10)).await.accepted(), 2);
}

#[test]
fn a_spend_limit_that_could_not_hold_is_refused() {
    let limit = |limit: &str, per_part: &str| {
        let (limit, per_part) = (limit.parse().unwrap(), per_part.parse().unwrap());
        Budget::new(vendor("a", 1)).with_spend_limit(limit, HOUR, per_part)
    };
    assert!(limit("1 EUR", "0.1 EUR").is_ok());
    assert!(limit("1 EUR", "0.1 USD").is_err());
    assert!(limit("1 EUR", "0 EUR").is_err());
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_full_means_refused() {
    let vendor = vendor("a", 100);
    let provider = Budget::new(vendor)
        .with_recipient_limit(count(5), HOUR)
        .with_max_recipients(size(10));
    let messages = messages(12);
    assert_eq!(provider.send_batch(&messages).await.accepted(), 10);
    provider.send(&messages[3]).await.unwrap();
    provider.send(&messages[11]).await.unwrap_err();
    advance(HOUR).await;
    provider.send(&messages[11]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn there_is_room_as_soon_as_the_oldest_is_out_of_the_window() {
    let provider = Budget::new(vendor("a", 1))
        .with_recipient_limit(count(5), HOUR)
        .with_max_recipients(size(2));
    let messages = messages(5);
    provider.send(&messages[0]).await.unwrap();
    advance(SECOND).await;
    provider.send(&messages[1]).await.unwrap();
    advance(HOUR - SECOND).await;
    provider.send(&messages[2]).await.unwrap();
    provider.send(&messages[3]).await.unwrap_err();
    advance(SECOND).await;
    provider.send(&messages[3]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn debug_shows_how_many_are_counted_and_none_of_them() {
    let provider = Budget::new(vendor("a", 1)).with_recipient_limit(count(5), HOUR);
    provider.send(&message("x")).await.unwrap();
    let shown = format!("{provider:?}");
    let own = shown.rsplit("by_recipient").next().unwrap();
    assert!(
        own.contains("counted: 1") && !own.contains("+31"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_country_is_distinguished_from_those_that_share_its_code() {
    let vendor = vendor("a", 10);
    let provider = AllowDestinations::new(vendor.clone(), ["+31".parse().unwrap()])
        .with_countries([Country::UNITED_STATES, Country::UNITED_KINGDOM])
        .with_blocked(["+1212".parse().unwrap()]);
    let to = [
        "+31612345678",
        "+13055550100",
        "+12125550100",
        "+18765550100",
        "+447400123456",
        "+447012345678",
        "+447781123456",
    ];
    let messages = to.map(|to| message_to(to, "x"));
    let blocked = refused(BLOCKED);
    let outcomes = provider.send_batch(&messages).await;
    assert_eq!(
        kinds(&outcomes),
        [None, None, blocked, blocked, None, blocked, blocked]
    );
}
