use std::sync::Arc;

use futures_util::FutureExt as _;
use postduif_core::{ErrorKind, Message, Receipt, SendError, SmsProvider as _};
use postduif_layers::{Dedupe, RateLimit, Settlement};
use tokio::{
    task::yield_now,
    time::{advance, timeout},
};

use crate::help::*;

fn again(message: &Message, text: &str) -> Message {
    Message::new(message.to(), text.parse().unwrap()).with_reference(*message.reference())
}

#[tokio::test(start_paused = true)]
async fn a_reference_already_accepted_returns_its_first_receipt() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::accept_for("0.08 EUR".parse().unwrap())]);
    let provider = Dedupe::new(vendor.clone());
    let message = message("x");
    let first = provider.send(&message).await.unwrap();
    let second = provider.send(&message).await.unwrap();
    assert!(first.price().is_some() && second.price() == first.price());
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_at_once_send_one() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::accept().after(SECOND)]);
    let provider = Dedupe::new(vendor.clone());
    let message = message("x");
    let (one, two) = tokio::join!(provider.send(&message), provider.send(&message));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_caller_gets_the_outcome_though_the_first_one_gave_up() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::accept().after(2 * SECOND)]);
    let provider = Arc::new(Dedupe::new(vendor.clone()));
    let message = message("x");
    let send = || {
        let (provider, message) = (Arc::clone(&provider), message.clone());
        tokio::spawn(async move { provider.send(&message).await })
    };
    let first = send();
    yield_now().await;
    let second = send();
    yield_now().await;
    first.abort();
    second.await.unwrap().unwrap();
    send().await.unwrap().unwrap();
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gave_up_gets_the_outcome_when_it_sends_again() {
    let vendor = vendor("a", 1);
    let provider = Dedupe::new(RateLimit::new(vendor.clone(), count(1)));
    provider.send(&message("x")).await.unwrap();
    let message = message("y");
    timeout(SECOND / 10, provider.send(&message))
        .await
        .unwrap_err();
    tokio::time::sleep(5 * SECOND).await;
    provider.send(&message).await.unwrap();
    assert_eq!(vendor.log().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_first_caller_that_is_not_polled_delays_no_other() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::accept().after(2 * SECOND)]);
    let provider = Dedupe::new(vendor.clone());
    let message = message("x");
    let mut first = std::pin::pin!(provider.send(&message));
    timeout(SECOND, first.as_mut()).await.unwrap_err();
    timeout(HOUR, provider.send(&message))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(vendor.log().len(), 1);
}

#[test]
fn the_end_of_the_first_callers_runtime_leads_to_an_outcome() {
    let run = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let vendor = vendor("a", 1);
    vendor.script([Scripted::accept().after(2 * SECOND)]);
    let provider = Arc::new(Dedupe::new(vendor.clone()));
    let message = message("x");
    let runtime = run();
    runtime.block_on(async {
        timeout(SECOND, provider.send(&message)).await.unwrap_err();
    });
    drop(runtime);
    let outcome = run().block_on(async { timeout(HOUR, provider.send(&message)).await });
    assert_eq!(kind_of(&outcome.unwrap()), in_doubt(ErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_leaves_a_doubt() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::panic()]);
    let provider = Dedupe::new(vendor.clone());
    let message = message("x");
    for _ in 0..2 {
        let outcome = provider.send(&message).await;
        assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Unavailable));
    }
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_stays_one_however_much_time_passes() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::doubt(ErrorKind::Timeout)]);
    let provider = Dedupe::new(vendor.clone()).with_memory(SECOND);
    let message = message("x");
    for _ in 0..3 {
        let outcome = provider.send(&message).await;
        assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Timeout));
        advance(1000 * HOUR).await;
    }
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_accepted_may_be_sent_again() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::refuse(ErrorKind::Unavailable)]);
    let provider = Dedupe::new(vendor.clone());
    let message = message("x");
    provider.send(&message).await.unwrap_err();
    provider.send(&message).await.unwrap();
    assert_eq!(vendor.log().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_text_or_number_under_the_same_reference_is_refused() {
    for scripted in [Scripted::accept(), Scripted::doubt(ErrorKind::Timeout)] {
        let vendor = vendor("a", 1);
        vendor.script([scripted]);
        let provider = Dedupe::new(vendor.clone());
        let message = message("x");
        let _ = provider.send(&message).await;
        let elsewhere = message_to("+31687654321", "x").with_reference(*message.reference());
        for other in [again(&message, "y"), elsewhere] {
            let outcome = provider.send(&other).await;
            assert_eq!(kind_of(&outcome), refused(ErrorKind::Blocked));
        }
        assert_eq!(vendor.log().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_in_one_batch_is_sent_once() {
    let vendor = vendor("a", 10);
    let provider = Dedupe::new(vendor.clone());
    let (one, two) = (message("x"), message("y"));
    let batch = [one.clone(), two, one.clone(), again(&one, "z")];
    let outcomes = provider.send_batch(&batch).await;
    assert_eq!(
        kinds(&outcomes),
        [None, None, None, refused(ErrorKind::Blocked)]
    );
    assert_eq!(vendor.sizes(), [2]);
}

#[tokio::test(start_paused = true)]
async fn two_batches_that_wait_for_each_other_both_end() {
    let vendor = vendor("a", 10);
    let provider = Dedupe::new(vendor.clone());
    let messages: Vec<_> = messages(4);
    vendor.script(vec![Scripted::accept().after(SECOND); 4]);
    let one = [
        messages[0].clone(),
        messages[1].clone(),
        messages[2].clone(),
    ];
    let other = [
        messages[2].clone(),
        messages[3].clone(),
        messages[0].clone(),
    ];
    let both = async { tokio::join!(provider.send_batch(&one), provider.send_batch(&other)) };
    let (one, other) = timeout(HOUR, both).await.unwrap();
    assert_eq!((one.accepted(), other.accepted()), (3, 3));
    assert_eq!(vendor.references().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn acceptances_are_forgotten_by_age_and_for_space_and_doubts_are_not() {
    let vendor = vendor("a", 1);
    let provider = Dedupe::new(vendor.clone())
        .with_memory(HOUR)
        .with_max_references(size(2));
    let messages = messages(4);
    provider.send(&messages[0]).await.unwrap();
    advance(HOUR).await;
    provider.send(&messages[0]).await.unwrap();
    assert_eq!(vendor.log().len(), 2);

    vendor.script([
        Scripted::doubt(ErrorKind::Timeout),
        Scripted::doubt(ErrorKind::Timeout),
    ]);
    for message in &messages[1..3] {
        provider.send(message).await.unwrap_err();
    }
    let outcome = provider.send(&messages[3]).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Misconfigured));
    for message in &messages[1..3] {
        let outcome = provider.send(message).await;
        assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Timeout));
    }
    assert_eq!(vendor.log().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn debug_shows_no_text_and_no_key() {
    let provider = Dedupe::new(vendor("a", 1));
    provider
        .send(&message("Your code is 482913"))
        .await
        .unwrap();
    let shown = format!("{provider:?}");
    assert!(
        shown.contains("known: 1") && !shown.contains("key"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_ended_by_settling_it() {
    let vendor = vendor("a", 1);
    vendor.script(vec![Scripted::doubt(ErrorKind::Timeout); 2]);
    let provider = Dedupe::new(vendor.clone()).with_max_references(size(2));
    let messages = messages(3);
    for message in &messages[..2] {
        provider.send(message).await.unwrap_err();
    }
    assert_eq!(provider.doubts(), 2);
    let full = provider.send(&messages[2]).await.unwrap_err();
    assert!(
        !full.may_resend() && full.to_string().contains("settle"),
        "{full}"
    );

    let (delivered, lost) = (*messages[0].reference(), *messages[1].reference());
    let doubt = Err(SendError::unknown(ErrorKind::Timeout, "x"));
    assert_eq!(
        provider.settle(&delivered, doubt),
        Settlement::OutcomeInDoubt
    );
    let settled = provider.settle(&delivered, Ok(Receipt::new("a", delivered)));
    assert_eq!(settled, Settlement::Settled);
    let again = provider.settle(&delivered, Ok(Receipt::new("a", delivered)));
    assert_eq!(again, Settlement::NotInDoubt);
    let refusal = SendError::not_accepted(ErrorKind::Other, "the vendor says that it has none");
    assert_eq!(
        provider.settle(&lost, Err(refusal.clone())),
        Settlement::Settled
    );
    assert_eq!(provider.settle(&lost, Err(refusal)), Settlement::NotKnown);
    assert_eq!(provider.doubts(), 0);

    assert_eq!(
        provider.send(&messages[0]).await.unwrap().reference(),
        &delivered
    );
    assert_eq!(vendor.log().len(), 2);
    provider.send(&messages[1]).await.unwrap();
    assert_eq!(vendor.log().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_caller_waits_without_end() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::accept().after(2 * HOUR)]);
    let provider = Dedupe::new(vendor.clone()).with_max_wait(HOUR);
    let message = message("x");
    let outcome = provider.send(&message).await;
    assert_eq!(kind_of(&outcome), in_doubt(ErrorKind::Timeout));
    tokio::time::sleep(HOUR).await;
    provider.send(&message).await.unwrap();
    assert_eq!(vendor.log().len(), 1);
}

#[test]
fn without_a_runtime_a_waiting_caller_drives_the_send() {
    let vendor = vendor("a", 1);
    let provider = Dedupe::new(vendor.clone());
    let message = message("x");
    for _ in 0..2 {
        provider.send(&message).now_or_never().unwrap().unwrap();
    }
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_doubts_are_listed_with_their_age_the_oldest_first() {
    let vendor = vendor("a", 1);
    vendor.script(vec![Scripted::doubt(ErrorKind::Timeout); 2]);
    let provider = Dedupe::new(vendor);
    let messages = messages(3);
    for message in &messages {
        let _ = provider.send(message).await;
        advance(SECOND).await;
    }
    let listed: Vec<_> = provider
        .doubtful()
        .into_iter()
        .map(|doubt| (doubt.reference, doubt.age, doubt.error.kind()))
        .collect();
    let expected = [
        (*messages[0].reference(), 3 * SECOND, ErrorKind::Timeout),
        (*messages[1].reference(), 2 * SECOND, ErrorKind::Timeout),
    ];
    assert_eq!(listed, expected);
}

#[tokio::test(start_paused = true)]
async fn the_list_of_doubts_is_bounded() {
    let vendor = vendor("a", 1);
    vendor.script(vec![Scripted::doubt(ErrorKind::Timeout); 1001]);
    let provider = Dedupe::new(vendor);
    let outcomes = provider.send_batch(&messages(1001)).await;
    assert_eq!(outcomes.accepted(), 0);
    assert_eq!((provider.doubts(), provider.doubtful().len()), (1001, 1000));
}

#[test]
fn a_send_that_had_not_left_begins_anew_if_its_runtime_stalls() {
    for (ends, batch) in [(true, false), (false, false), (true, true), (false, true)] {
        let vendor = vendor("a", 2);
        let provider = Arc::new(Dedupe::new(slow(&vendor, 10 * SECOND)));
        let messages = messages(2);
        let first = runtime();
        first.block_on(async {
            let send = provider.send_batch(&messages);
            timeout(SECOND, send).await.unwrap_err();
        });
        let _kept = if ends { None } else { Some(first) };
        runtime().block_on(async {
            let begun = tokio::time::Instant::now();
            if batch {
                assert_eq!(provider.send_batch(&messages).await.accepted(), 2)
            } else {
                assert!(provider.send(&messages[1]).await.is_ok())
            }
            assert!(begun.elapsed() < 20 * SECOND, "{:?}", begun.elapsed());
        });
        assert_eq!(vendor.references().len(), if batch { 2 } else { 1 });
        assert_eq!(provider.doubts(), 0);
    }
}

#[test]
fn a_send_that_had_left_is_in_doubt_if_its_runtime_stalls() {
    for ends in [true, false] {
        let vendor = vendor("a", 1);
        vendor.script([Scripted::accept().after(HOUR)]);
        let provider = Arc::new(Dedupe::new(vendor.clone()));
        let message = message("x");
        let first = runtime();
        first.block_on(async {
            timeout(SECOND, provider.send(&message)).await.unwrap_err();
        });
        let _kept = if ends { None } else { Some(first) };
        let outcome = runtime().block_on(provider.send(&message));
        let error = outcome.unwrap_err();
        assert_eq!(error.acceptance(), postduif_core::Acceptance::Unknown);
        assert_eq!(vendor.log().len(), 1);
    }
}
