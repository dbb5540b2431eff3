use postduif_core::{ErrorKind, SmsProvider as _};
use postduif_layers::{Member, RoundRobin};

use crate::help::*;

fn weighted(weights: &[(&'static str, u32)]) -> (Vec<Recording>, RoundRobin) {
    let vendors: Vec<_> = weights.iter().map(|&(name, _)| vendor(name, 1)).collect();
    let members = vendors
        .iter()
        .zip(weights)
        .map(|(vendor, &(name, weight))| {
            Member::new(name, vendor.clone()).with_weight(count(weight))
        });
    let provider = RoundRobin::new(members.collect::<Vec<_>>()).unwrap();
    (vendors, provider)
}

async fn turns(provider: &RoundRobin, turns: usize) -> String {
    let mut shown = String::new();
    for _ in 0..turns {
        shown += provider.send(&message("x")).await.unwrap().provider();
    }
    shown
}

#[tokio::test(start_paused = true)]
async fn turns_follow_the_weights_smoothly() {
    // The sequence in nginx's own commit that introduced it.
    let (_, provider) = weighted(&[("a", 5), ("b", 1), ("c", 1)]);
    assert_eq!(turns(&provider, 14).await, "aabacaaaabacaa");
}

#[tokio::test(start_paused = true)]
async fn it_fails_over_and_shares_the_turns_of_one_set_aside() {
    let (vendors, provider) = weighted(&[("a", 2), ("b", 1), ("c", 1)]);
    vendors[0].script([Scripted::refuse(ErrorKind::Unavailable)]);
    let shown = turns(&provider, 9).await;
    assert!(!shown.contains('a'), "{shown}");
    let of = |name| shown.matches(name).count();
    assert!(of('b').abs_diff(of('c')) <= 1, "{shown}");
    tokio::time::advance(HOUR).await;
    assert!(turns(&provider, 4).await.contains('a'));
}

#[tokio::test(start_paused = true)]
async fn a_doubt_does_not_fail_over() {
    let (vendors, provider) = weighted(&[("a", 1), ("b", 1)]);
    vendors[0].script([Scripted::doubt(ErrorKind::Unavailable)]);
    let outcome = provider.send(&message("x")).await;
    assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Unavailable));
    assert!(vendors[1].log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_a_batch_take_turns() {
    let (vendors, provider) = weighted(&[("a", 2), ("b", 1)]);
    let messages = messages(9);
    let outcomes = provider.send_batch(&messages).await;
    for (message, outcome) in messages.iter().zip(&outcomes) {
        assert_eq!(outcome.as_ref().unwrap().reference(), message.reference());
    }
    assert_eq!(
        vendors.iter().map(|v| v.log().len()).collect::<Vec<_>>(),
        [6, 3]
    );
}
