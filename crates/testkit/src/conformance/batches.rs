//! The promises of batches, one function each, which panics if the promise is broken.

use postduif_core::{Acceptance, BatchTexts, Message, Profile, SendError, Text};

use super::{Verdict, World, accept_all, messages, send_at, validity};
use crate::{End, FakeVendor, Received, Reply};

/// Checks that a batch of any length, also of zero, has one outcome for each message, in order.
pub async fn a_batch_has_one_outcome_for_each_message_in_order(
    vendor: &impl FakeVendor,
) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    let size = world.provider.profile().batch_size().get();
    for count in [0, 1, 2, size, size + 1] {
        let messages = messages(count);
        let outcomes = world.provider.send_batch(&messages).await;
        assert_eq!(outcomes.len(), count);
        for (message, outcome) in messages.iter().zip(&outcomes) {
            assert_eq!(
                outcome.as_ref().expect("accepted").reference(),
                message.reference()
            );
        }
    }
    Verdict::kept()
}

/// Checks that different messages, two of them to the same number, arrive once each, in as few calls as possible.
pub async fn a_batch_sends_each_message_once(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    let size = world.provider.profile().batch_size().get();
    let mut messages = messages(7);
    messages[6] = Message::new(messages[0].to(), messages[6].text().clone());
    let outcomes = world.provider.send_batch(&messages).await;
    assert_eq!(outcomes.accepted(), 7);
    let mut arrived: Vec<_> = world
        .received()
        .into_iter()
        .map(|received| (received.to, received.text))
        .collect();
    let mut expected: Vec<_> = messages
        .iter()
        .map(|message| (message.to(), message.text().as_str().to_owned()))
        .collect();
    arrived.sort();
    expected.sort();
    assert_eq!(arrived, expected);
    // Seven different texts.
    let calls = match world.provider.profile().batch_texts() {
        BatchTexts::Mixed => 7_usize.div_ceil(size),
        _ => 7,
    };
    assert_eq!(world.sends().len(), calls, "calls");
    Verdict::kept()
}

/// Checks that a call holds one text if the vendor takes one, and that otherwise the texts share calls.
pub async fn a_call_holds_one_text_where_the_vendor_takes_one(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    let profile = world.provider.profile();
    let size = profile.batch_size().get();
    if size < 2 {
        return Verdict::skipped("a call takes one message");
    }
    let mut messages = messages(4);
    messages[2] = Message::new(messages[2].to(), messages[0].text().clone());
    messages[3] = Message::new(messages[3].to(), messages[1].text().clone());
    let outcomes = world.provider.send_batch(&messages).await;
    assert_eq!(outcomes.accepted(), 4);
    if profile.batch_texts() == BatchTexts::Mixed {
        assert_eq!(world.sends().len(), 4_usize.div_ceil(size), "calls");
        return Verdict::kept();
    }
    for request in world.sends() {
        let received = world.vendor.received(&request);
        let mut texts: Vec<_> = received.into_iter().map(|message| message.text).collect();
        texts.dedup();
        assert_eq!(texts.len(), 1, "one text in a call");
    }
    assert_eq!(world.sends().len(), 2, "a call for each text");
    Verdict::kept()
}

/// Checks that a call refused as a whole ends as not accepted for each of its messages.
pub async fn a_refused_batch_was_not_sent(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, |vendor, request| vendor.refuse(request, "no")).await;
    let outcomes = world.provider.send_batch(&messages(3)).await;
    assert_eq!(outcomes.len(), 3);
    for outcome in &outcomes {
        assert_eq!(
            outcome.as_ref().expect_err("refused").acceptance(),
            Acceptance::NotAccepted
        );
    }
    Verdict::kept()
}

/// Checks that a call whose response is lost leaves each of its messages in doubt, and that none is sent again.
pub async fn a_lost_response_to_a_batch_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    for reply in [
        Reply::Reset,
        Reply::Close,
        Reply::Stall,
        Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-".to_vec(), End::Reset),
    ] {
        assert_batch_in_doubt(vendor, reply).await;
    }
    Verdict::kept()
}

/// Checks that the response of a proxy or filter leaves each message of a call in doubt.
pub async fn a_response_from_a_proxy_leaves_a_batch_in_doubt(vendor: &impl FakeVendor) -> Verdict {
    for reply in [
        Reply::html(400),
        Reply::html(401),
        Reply::html(403),
        Reply::status(403),
        Reply::json(403, r#"{"message":"Forbidden"}"#),
        Reply::json(403, "[]"),
        Reply::html(409),
        Reply::html(422),
        Reply::status(302).with_header("location", "/elsewhere"),
    ] {
        assert_batch_in_doubt(vendor, reply).await;
    }
    Verdict::kept()
}

/// Checks that any status from 500 up leaves each message of a call in doubt, also in the vendor's own shape.
pub async fn a_failing_server_leaves_a_batch_in_doubt(vendor: &impl FakeVendor) -> Verdict {
    for status in [500, 502, 503] {
        assert_batch_in_doubt(vendor, Reply::html(status)).await;
        assert_batch_in_doubt(vendor, Reply::json(status, "{}")).await;
    }
    let mut verdict = Verdict::kept();
    for status in [500, 503] {
        let (world, skipped) = World::failing(vendor, status).await;
        let messages = messages(3);
        let outcomes = world.provider.send_batch(&messages).await;
        match skipped.get() {
            Some(why) => verdict.skip(why),
            None => world.assert_all_in_doubt(
                &outcomes,
                &messages,
                &format!("{status} in the vendor's shape"),
            ),
        }
    }
    verdict
}

/// Checks that a success whose body is not the vendor's leaves each message of a call in doubt.
pub async fn rubbish_in_a_success_leaves_a_batch_in_doubt(vendor: &impl FakeVendor) -> Verdict {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        r#"["x","y"]"#,
        r#"{"ok":true,"result":{"id":7}}"#,
        r#"{"id":"#,
        "<html>Sign in to the guest network</html>",
    ] {
        assert_batch_in_doubt(vendor, Reply::json(200, body)).await;
    }
    Verdict::kept()
}

/// Checks that three messages, to whose calls the vendor replies with `reply`, are in doubt and sent once.
async fn assert_batch_in_doubt(vendor: &impl FakeVendor, reply: Reply) {
    let what = format!("{reply:?}");
    let world = World::new(vendor, move |_, _| reply.clone()).await;
    let messages = messages(3);
    let outcomes = world.provider.send_batch(&messages).await;
    world.assert_all_in_doubt(&outcomes, &messages, &what);
}

/// Checks that each message of a batch arrives with its own options, or is refused, as it would be alone.
pub async fn a_batch_carries_each_message_as_a_send_does(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, accept_all).await;
    let messages = optioned(&world);
    let mut alone = Vec::new();
    for message in &messages {
        alone.push(world.provider.send(message).await);
    }
    let arrived_alone = world.received();
    let outcomes = world.provider.send_batch(&messages).await;
    let arrived = world.received().split_off(arrived_alone.len());
    assert_eq!(outcomes.len(), messages.len());
    for (index, (message, alone)) in messages.iter().zip(&alone).enumerate() {
        let ending = |outcome: &Result<_, SendError>| {
            let ending = outcome.as_ref().map(|_| ());
            ending.map_err(|error| (error.kind(), error.acceptance()))
        };
        assert_eq!(
            ending(&outcomes[index]),
            ending(alone),
            "message {index}: its outcome in a batch, and alone"
        );
        let of = |arrived: &[Received]| -> Vec<_> {
            let of = arrived.iter().filter(|arrived| arrived.to == message.to());
            of.cloned().collect()
        };
        assert_eq!(
            of(&arrived),
            of(&arrived_alone),
            "message {index}: as it arrived in a batch, and alone"
        );
    }
    Verdict::kept()
}

/// Returns messages of the same text, each with one option, declared or not, between messages without any.
fn optioned<V: FakeVendor>(world: &World<'_, V>) -> Vec<Message> {
    let options: [fn(Message, &Profile) -> Message; 8] = [
        |message, _| message,
        |message, profile| message.with_validity(validity(profile)),
        |message, _| message,
        |message, profile| message.with_send_at(send_at(profile)),
        |message, _| message.with_sender("Contoso24".parse().expect("a sender")),
        |message, _| message.with_sender("+31687654321".parse().expect("a sender")),
        |message, _| message.with_sender("1008".parse().expect("a sender")),
        |message, _| message,
    ];
    let profile = world.provider.profile();
    let text = Text::new("Your code is 482910, keep it").expect("a text");
    let plain = messages(options.len())
        .into_iter()
        .map(|message| Message::new(message.to(), text.clone()));
    let messages = plain.zip(options);
    messages
        .map(|(message, option)| option(message, profile))
        .collect()
}

/// Checks that the entries of a response find their messages in any order, also when one is duplicate.
pub async fn shuffled_or_duplicate_entries_find_their_message(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, |vendor, request| {
        let count = vendor.received(request).len();
        let shuffled: Vec<_> = if count > 1 {
            (0..count).rev().chain([0]).collect()
        } else {
            vec![0]
        };
        vendor.accept(request, &shuffled)
    })
    .await;
    if world.provider.profile().batch_size().get() < 2 {
        return Verdict::skipped("a call takes one message");
    }
    let messages = messages(3);
    let outcomes = world.provider.send_batch(&messages).await;
    for (message, outcome) in messages.iter().zip(&outcomes) {
        assert_eq!(
            outcome.as_ref().expect("accepted").reference(),
            message.reference()
        );
    }
    Verdict::kept()
}

/// Checks that a message without an entry in the response is in doubt.
pub async fn a_missing_entry_is_unknown(vendor: &impl FakeVendor) -> Verdict {
    let world = World::new(vendor, |vendor, request| {
        let count = vendor.received(request).len();
        if count > 1 {
            vendor.accept(request, &[0, 2])
        } else {
            accept_all(vendor, request)
        }
    })
    .await;
    if world.provider.profile().batch_size().get() < 3 {
        return Verdict::skipped("a call takes fewer than three messages");
    }
    let outcomes = world.provider.send_batch(&messages(3)).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    let error = outcomes[1].as_ref().expect_err("it has no entry");
    assert_eq!(error.acceptance(), Acceptance::Unknown, "{error:?}");
    assert_eq!(world.sends().len(), 1);
    Verdict::kept()
}
