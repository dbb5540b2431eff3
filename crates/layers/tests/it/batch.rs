use std::{future::Future, sync::Arc, time::Duration};

use postduif_core::{BatchTexts, ErrorKind, Message, Profile, Receipt, SendError, SmsProvider};
use postduif_layers::{Batch, Retry, Timeout};
use tokio::{
    task::{JoinHandle, yield_now},
    time::{Instant, timeout},
};

use crate::help::*;

type Send = JoinHandle<Result<Receipt, SendError>>;

fn send<P: SmsProvider>(provider: &Arc<Batch<P>>, message: &Message) -> Send {
    let (provider, message) = (Arc::clone(provider), message.clone());
    tokio::spawn(async move { ends(provider.send(&message)).await })
}

/// Fails if the send hangs, instead of hanging the test.
async fn ends<T>(send: impl Future<Output = T>) -> T {
    timeout(HOUR, send).await.expect("it ends")
}

async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_batch_sends_at_once_and_gathers_what_comes_meanwhile() {
    let vendor = vendor("a", 4);
    vendor.close_gate();
    let provider = Arc::new(Batch::new(vendor.clone()));
    let messages = messages(8);
    let mut sends = vec![send(&provider, &messages[0])];
    settle().await;
    assert_eq!(vendor.sizes(), [1]);
    assert!(!vendor.log()[0].batch);
    sends.extend(messages[1..].iter().map(|message| send(&provider, message)));
    settle().await;
    assert_eq!(vendor.sizes(), [1]);
    vendor.let_through(1);
    settle().await;
    assert_eq!(vendor.sizes(), [1, 4]);
    vendor.let_through(2);
    for (send, message) in sends.into_iter().zip(&messages) {
        assert_eq!(
            send.await.unwrap().unwrap().reference(),
            message.reference()
        );
    }
    assert_eq!(vendor.sizes(), [1, 4, 3]);
}

#[tokio::test(start_paused = true)]
async fn each_caller_gets_its_own_outcome() {
    let vendor = vendor("a", 4);
    vendor.close_gate();
    let provider = Arc::new(Batch::new(vendor.clone()));
    let messages = messages(4);
    vendor.script_for(
        messages[2].reference(),
        [Scripted::doubt(ErrorKind::Timeout)],
    );
    vendor.script_for(
        messages[3].reference(),
        [Scripted::refuse(ErrorKind::Blocked)],
    );
    let mut sends = Vec::new();
    for message in &messages {
        sends.push(send(&provider, message));
        settle().await;
    }
    vendor.let_through(2);
    let mut kinds = Vec::new();
    for send in sends {
        kinds.push(kind_of(&send.await.unwrap()));
    }
    assert_eq!(
        kinds,
        [
            None,
            None,
            in_doubt(ErrorKind::Timeout),
            refused(ErrorKind::Blocked)
        ]
    );
    assert_eq!(vendor.sizes(), [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_ends_no_other_message() {
    let vendor = vendor("a", 4);
    vendor.close_gate();
    let provider = Arc::new(Batch::new(vendor.clone()));
    let messages = messages(6);
    let first = send(&provider, &messages[0]);
    settle().await;
    let rest: Vec<_> = messages[1..]
        .iter()
        .map(|message| send(&provider, message))
        .collect();
    settle().await;
    // One of them was under way, and the other waited in the queue.
    first.abort();
    rest[0].abort();
    settle().await;
    vendor.let_through(3);
    for send in rest.into_iter().skip(1) {
        send.await.unwrap().unwrap();
    }
    let sent = vendor.references();
    assert!(sent.contains(messages[0].reference()) && !sent.contains(messages[1].reference()));
    assert_eq!(vendor.log()[0].outcomes.as_ref().map(Vec::len), Some(1));
    assert_eq!(vendor.sizes(), [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn messages_to_one_recipient_keep_their_order() {
    for in_flight in [1, 3] {
        let vendor = vendor("a", 3);
        let provider = Batch::new(vendor.clone()).with_in_flight(size(in_flight));
        let provider = Arc::new(provider);
        let (ann, ben) = ("+31611111111", "+31622222222");
        let messages = [ann, ann, ben, ann, ben, ben, ann].map(|to| message_to(to, "x"));
        vendor.script(vec![Scripted::accept().after(SECOND); 7]);
        let sends: Vec<_> = messages
            .iter()
            .map(|message| send(&provider, message))
            .collect();
        for send in sends {
            send.await.unwrap().unwrap();
        }
        for to in [ann, ben] {
            let of = |message: &&Message| message.to() == to.parse().unwrap();
            let mut calls = vendor.log();
            for call in &calls {
                assert!(call.messages.iter().filter(of).count() <= 1);
            }
            calls.retain(|call| call.messages.iter().any(|message| of(&message)));
            let sent: Vec<_> = calls
                .iter()
                .flat_map(|call| call.messages.clone())
                .collect();
            let sent: Vec<_> = sent.iter().filter(of).map(Message::reference).collect();
            let asked: Vec<_> = messages.iter().filter(of).map(Message::reference).collect();
            assert_eq!(sent, asked);
            // Each has its outcome before the next one is sent.
            assert!(calls.windows(2).all(|two| two[1].at - two[0].at >= SECOND));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_callers_that_gave_up_make_room() {
    let vendor = vendor("a", 4);
    vendor.close_gate();
    let provider = Arc::new(Batch::new(vendor.clone()).with_max_waiting(size(2)));
    let messages = messages(5);
    let mut sends = Vec::new();
    for message in &messages[..3] {
        sends.push(send(&provider, message));
        settle().await;
    }
    let outcome = provider.send(&messages[3]).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Throttled));
    sends[2].abort();
    settle().await;
    sends.push(send(&provider, &messages[4]));
    settle().await;
    vendor.let_through(2);
    sends.pop().unwrap().await.unwrap().unwrap();
    assert_eq!(vendor.references().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn different_texts_do_not_gather_if_a_call_carries_one() {
    let vendor = Recording::new(Profile::new("a").with_batch(size(10), BatchTexts::Same));
    vendor.close_gate();
    let provider = Arc::new(Batch::new(vendor.clone()));
    let texts = ["first", "x", "y", "x", "y", "x"];
    let messages = texts
        .iter()
        .enumerate()
        .map(|(index, text)| message_to(&format!("+3161000000{index}"), text));
    let sends: Vec<_> = messages.map(|message| send(&provider, &message)).collect();
    settle().await;
    vendor.let_through(10);
    for send in sends {
        send.await.unwrap().unwrap();
    }
    assert_eq!(vendor.sizes(), [1, 3, 2]);
}

#[tokio::test(start_paused = true)]
async fn one_message_per_call_still_makes_progress() {
    let vendor = vendor("a", 1);
    vendor.script(vec![Scripted::accept().after(SECOND); 100]);
    let provider = Arc::new(Batch::new(vendor.clone()));
    let sends: Vec<_> = messages(100)
        .iter()
        .map(|message| send(&provider, message))
        .collect();
    for send in sends {
        send.await.unwrap().unwrap();
    }
    assert_eq!(vendor.in_flight(), (0, 16));
    assert!(vendor.log().iter().all(|call| !call.batch));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_leaves_no_caller_waiting() {
    let vendor = vendor("a", 4);
    vendor.close_gate();
    vendor.script([Scripted::panic()]);
    let provider = Arc::new(Batch::new(vendor.clone()));
    let messages = messages(3);
    let first = send(&provider, &messages[0]);
    settle().await;
    let second = send(&provider, &messages[1]);
    settle().await;
    vendor.let_through(3);
    assert_eq!(
        kind_of(&first.await.unwrap()),
        in_doubt(ErrorKind::Unavailable)
    );
    second.await.unwrap().unwrap();
    ends(provider.send(&messages[2])).await.unwrap();
}

#[test]
fn a_runtime_that_ends_leaves_it_usable_from_another() {
    let run = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let vendor = vendor("a", 4);
    vendor.close_gate();
    let provider = Arc::new(Batch::new(vendor.clone()));
    let runtime = run();
    runtime.block_on(async {
        for message in &messages(20) {
            drop(send(&provider, message));
            settle().await;
        }
    });
    drop(runtime);
    vendor.let_through(100);
    assert!(run().block_on(ends(provider.send(&message("x")))).is_ok());
    assert_eq!(vendor.sizes(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_message_to_repeat_delays_no_other() {
    for around in [true, false] {
        let vendor = vendor("a", 100);
        let messages = messages(400);
        let busy = SendError::not_accepted(ErrorKind::Throttled, "slower");
        let busy = Scripted::fail(busy.with_retry_after(25 * SECOND));
        vendor.script_for(messages[5].reference(), [busy]);
        vendor.close_gate();
        let provider: Arc<dyn SmsProvider> = if around {
            Arc::new(Retry::new(Batch::new(vendor.clone())))
        } else {
            Arc::new(Batch::new(Retry::new(vendor.clone())))
        };
        let begun = Instant::now();
        let sends: Vec<_> = messages
            .iter()
            .map(|message| {
                let (provider, message) = (Arc::clone(&provider), message.clone());
                tokio::spawn(async move { (provider.send(&message).await, begun.elapsed()) })
            })
            .collect();
        settle().await;
        vendor.let_through(1000);
        for (index, send) in sends.into_iter().enumerate() {
            let (outcome, at) = ends(send).await.unwrap();
            match index {
                5 => assert_eq!(outcome.is_ok(), around),
                _ => assert!(outcome.is_ok() && at < SECOND, "{index} {at:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_call_leaves_the_others_and_the_queue_alone() {
    let vendor = vendor("a", 2);
    vendor.script([
        Scripted::accept().after(5 * SECOND),
        Scripted::panic().after(SECOND),
    ]);
    let provider = Arc::new(Batch::new(vendor.clone()).with_in_flight(size(2)));
    let mut sends = Vec::new();
    for message in &messages(5) {
        sends.push(send(&provider, message));
        settle().await;
    }
    let mut outcomes = Vec::new();
    for send in sends {
        outcomes.push(send.await.unwrap());
    }
    let kinds: Vec<_> = outcomes.iter().map(kind_of).collect();
    let doubt = in_doubt(ErrorKind::Unavailable);
    assert_eq!(kinds, [None, doubt, None, None, None]);
    assert_eq!(outcomes[1].as_ref().unwrap_err().provider(), Some("a"));
}

#[test]
fn a_runtime_for_each_send_loses_no_outcome() {
    let vendor = vendor("a", 10);
    vendor.script(vec![
        Scripted::accept().after(Duration::from_millis(20));
        40
    ]);
    let provider = Arc::new(Batch::new(vendor));
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let provider = Arc::clone(&provider);
            std::thread::spawn(move || {
                let accepted = |message: &Message| {
                    let runtime = tokio::runtime::Builder::new_multi_thread()
                        .worker_threads(1)
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(provider.send(message)).is_ok()
                };
                let messages = (0..5).map(|n| message_to(&format!("+3161000{thread}00{n}"), "x"));
                messages.filter(|message| accepted(message)).count()
            })
        })
        .collect();
    let accepted: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
    assert_eq!(accepted, 40);
}

#[test]
fn a_stalled_runtime_delays_no_message_of_another() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let vendor = vendor("a", 10);
    vendor.close_gate();
    let provider = Arc::new(Batch::new(vendor.clone()));
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let (answered, is_answered) = std::sync::mpsc::channel();
    let idle = {
        let provider = Arc::clone(&provider);
        std::thread::spawn(move || {
            let runtime = runtime();
            let outcome = runtime.block_on(provider.send(&message("x")));
            answered.send(()).unwrap();
            // The runtime continues to exist, but is busy with something else.
            let _ = is_done.recv();
            outcome.is_ok()
        })
    };
    while vendor.log().is_empty() {
        std::thread::yield_now();
    }
    let other = message_to("+31687654321", "y");
    let runtime = runtime();
    let outcome = runtime.block_on(async {
        let mut send = std::pin::pin!(provider.send(&other));
        assert!(waits(send.as_mut()).await);
        vendor.let_through(1);
        is_answered.recv().unwrap();
        vendor.let_through(1);
        // Long enough for any machine. Only a hanging test takes this long.
        timeout(10 * SECOND, send).await
    });
    assert!(outcome.unwrap().is_ok());
    drop(done);
    assert!(idle.join().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_message_cut_off_in_the_queue_has_not_left_and_never_does() {
    let vendor = vendor("a", 4);
    vendor.script([Scripted::accept().after(HOUR)]);
    let batch = Batch::new(vendor.clone());
    let provider = Arc::new(Timeout::new(batch, SECOND));
    let (first, second) = (message("x"), message_to("+31687654321", "y"));
    let (first, second) = tokio::join!(provider.send(&first), provider.send(&second));
    assert_eq!(kind_of(&first), in_doubt(ErrorKind::Timeout));
    assert_eq!(kind_of(&second), refused(ErrorKind::Timeout));
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(vendor.references().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn debug_shows_how_many_wait_and_none_of_them() {
    let vendor = vendor("a", 4);
    vendor.close_gate();
    let provider = Arc::new(Batch::new(vendor));
    for message in &messages(3) {
        drop(send(&provider, message));
    }
    settle().await;
    let shown = format!("{provider:?}");
    assert!(shown.contains("waiting: 2"), "{shown}");
    assert!(
        !shown.split("queue").nth(1).unwrap().contains("Message"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_driver_stops_neither_its_callers_nor_the_queue() {
    let vendor = vendor("a", 1);
    vendor.script([Scripted::stall()]);
    let batch = Batch::new(vendor.clone()).with_in_flight(size(1));
    let provider = Arc::new(batch.with_max_wait(60 * SECOND));
    let messages = messages(2);
    let stalled = send(&provider, &messages[0]);
    tokio::time::sleep(30 * SECOND).await;
    let waiting = send(&provider, &messages[1]);
    assert_eq!(
        kind_of(&stalled.await.unwrap()),
        in_doubt(ErrorKind::Timeout)
    );
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_no_call_takes_in_time_is_not_accepted() {
    let vendor = vendor("a", 1);
    vendor.script(vec![Scripted::accept().after(50 * SECOND); 2]);
    let batch = Batch::new(vendor.clone()).with_in_flight(size(1));
    let provider = Arc::new(batch.with_max_wait(60 * SECOND));
    let messages = messages(3);
    let sends: Vec<_> = messages
        .iter()
        .map(|message| send(&provider, message))
        .collect();
    let mut outcomes = Vec::new();
    for send in sends {
        outcomes.push(kind_of(&send.await.unwrap()));
    }
    assert_eq!(outcomes, [None, None, refused(ErrorKind::Throttled)]);
    assert_eq!(vendor.log().len(), 2);
}

#[test]
fn a_call_that_had_not_left_begins_anew_if_its_runtime_stalls() {
    for (ends, together) in [(true, false), (false, false), (true, true), (false, true)] {
        let vendor = vendor("a", 4);
        let provider = Arc::new(Batch::new(slow(&vendor, 10 * SECOND)));
        let messages = messages(3);
        let (first, second) = (runtime(), runtime());
        if together {
            // Both wait for this call, and go together when it ends.
            let _enter = second.enter();
            let provider = Arc::clone(&provider);
            let message = messages[0].clone();
            second.spawn(async move { provider.send(&message).await });
            second.block_on(settle());
        }
        let (given_up, waits) = (messages[1].clone(), messages[2].clone());
        let mut sent = Box::pin(provider.send(&given_up));
        let mut waiting = Box::pin(provider.send(&waits));
        first.block_on(async { assert!(crate::help::waits(sent.as_mut()).await) });
        second.block_on(async {
            assert!(crate::help::waits(waiting.as_mut()).await);
            if together {
                tokio::time::sleep(10 * SECOND).await;
            }
        });
        first.block_on(async {
            assert!(crate::help::waits(sent.as_mut()).await);
            settle().await;
        });
        drop(sent);
        let _kept = if ends { None } else { Some(first) };
        let (outcome, took) = second.block_on(async {
            let begun = Instant::now();
            (waiting.await, begun.elapsed())
        });
        assert!(outcome.is_ok(), "{outcome:?}, {ends} {together}");
        assert!(took < 60 * SECOND, "{took:?}");
        assert!(!vendor.references().contains(given_up.reference()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_cut_off_is_taken_out_of_a_call_that_still_waits() {
    let vendor = vendor("a", 4);
    let provider = Arc::new(Batch::new(slow(&vendor, 10 * SECOND)));
    let messages = messages(4);
    let begun = Instant::now();
    let first = send(&provider, &messages[0]);
    settle().await;
    let hasty = {
        let (provider, message) = (Arc::clone(&provider), messages[1].clone());
        let provider = Timeout::new(provider, 15 * SECOND);
        tokio::spawn(async move { (provider.send(&message).await, Instant::now()) })
    };
    let others: Vec<_> = messages[2..].iter().map(|m| send(&provider, m)).collect();
    first.await.unwrap().unwrap();
    let (outcome, at) = hasty.await.unwrap();
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Timeout));
    assert_eq!(at - begun, 15 * SECOND);
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(vendor.sizes(), [1, 2]);
    assert_eq!(begun.elapsed(), 25 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_gathered_again_keeps_its_turn_for_its_recipient() {
    let vendor = vendor("a", 4);
    let provider = Arc::new(Batch::new(slow(&vendor, 10 * SECOND)));
    let (ann, ben) = ("+31611111111", "+31622222222");
    let hasty = {
        let provider = Timeout::new(Arc::clone(&provider), 15 * SECOND);
        tokio::spawn(async move { provider.send(&message_to("+31633333333", "x")).await })
    };
    let blocker = send(&provider, &message_to(ben, "blocks"));
    settle().await;
    let sends = [
        send(&provider, &message_to(ann, "1")),
        send(&provider, &message_to(ann, "2")),
        send(&provider, &message_to(ann, "3")),
    ];
    for send in sends {
        send.await.unwrap().unwrap();
    }
    blocker.await.unwrap().unwrap();
    let _ = hasty.await.unwrap();
    let sent: Vec<_> = vendor.log().into_iter().flat_map(|c| c.messages).collect();
    let texts = sent.iter().filter(|m| m.to() == ann.parse().unwrap());
    let texts: Vec<_> = texts.map(|m| m.text().as_str()).collect();
    assert_eq!(texts, ["1", "2", "3"]);
}

#[test]
fn callers_that_are_not_polled_delay_no_other_message() {
    let vendor = vendor("a", 1);
    let provider = Batch::new(slow(&vendor, 10 * SECOND)).with_in_flight(size(1));
    let provider = Arc::new(provider);
    let messages = messages(4);
    let idle = runtime();
    let sends: Vec<_> = idle.block_on(async {
        let sends = messages[..3].iter().map(|m| send(&provider, m)).collect();
        settle().await;
        sends
    });
    runtime().block_on(async {
        let begun = Instant::now();
        ends(provider.send(&messages[3])).await.unwrap();
        assert!(begun.elapsed() < 150 * SECOND, "{:?}", begun.elapsed());
    });
    idle.block_on(async {
        for send in sends {
            ends(send).await.unwrap().unwrap();
        }
    });
    assert_eq!(vendor.references().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_repeated_inside_of_it_delays_no_other_message() {
    let vendor = Recording::new(profile("a", 10).with_repeat_window(Some(HOUR)));
    let lost = SendError::unknown(ErrorKind::Unavailable, "lost").with_retry_after(25 * SECOND);
    vendor.script([Scripted::fail(lost)]);
    let provider = Arc::new(Batch::new(Retry::new(vendor.clone())));
    let messages = messages(2);
    let doubt = send(&provider, &messages[0]);
    settle().await;
    let begun = Instant::now();
    provider.send(&messages[1]).await.unwrap();
    assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
    assert_eq!(
        kind_of(&doubt.await.unwrap()),
        in_doubt(ErrorKind::Unavailable)
    );
}
