use std::{
    num::NonZeroUsize,
    time::{Duration, SystemTime},
};

use postduif_core::{
    BatchTexts, ErrorKind, Message, Profile, Text,
    chrono::{DateTime, Utc},
};
use postduif_queue::{MessageStatus, OutboxErrorKind};

use super::{
    Store, Work, ended, message, number, on_each_store,
    vendor::{Mood, Vendor},
};

on_each_store!(
    a_message_is_sent_once_and_its_status_says_so,
    the_same_message_under_a_key_is_one,
    another_message_under_a_key_is_a_conflict,
    another_message_with_a_reference_is_a_conflict,
    a_message_is_not_sent_before_its_time,
    a_schedule_in_the_past_is_now,
    a_schedule_at_the_end_of_time_waits,
    what_expired_is_not_sent,
    a_message_that_cannot_be_sent_in_time_is_refused,
    a_key_out_of_range_is_refused,
    a_full_outbox_takes_no_more,
    messages_of_a_vendor_with_batches_go_together,
    a_refused_message_ends,
    the_current_call_ends_before_the_sender_does,
    nothing_shows_a_number_a_text_or_a_key,
    an_unknown_key_has_no_status,
);

async fn a_message_is_sent_once_and_its_status_says_so(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    let message = message("hello");
    let reference = message.reference().to_string();
    let enqueued = queue.send(message).await.unwrap();
    assert!(enqueued.is_new);
    assert!(matches!(enqueued.status, MessageStatus::Queued { .. }));
    let work = Work::of(&queue, vendor.provider());
    let status = ended(&queue, &reference).await;
    let MessageStatus::Accepted { provider, id, .. } = &status else {
        panic!("{status:?}");
    };
    assert_eq!(
        (provider.as_str(), id.clone()),
        ("wire", Some(format!("id-{reference}")))
    );
    work.end().await;
    assert_eq!(vendor.count(&reference), 1);
}

async fn the_same_message_under_a_key_is_one(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    // As a caller that builds it anew, with another random reference.
    let first = message("hello");
    let send = |message: Message| queue.send(message).with_key("order-42").into_future();
    assert!(send(first.clone()).await.unwrap().is_new);
    let again = send(message("hello")).await.unwrap();
    assert!(!again.is_new && !again.status.is_ended());
    let work = Work::of(&queue, vendor.provider());
    ended(&queue, "order-42").await;
    let again = send(message("hello")).await.unwrap();
    assert!(!again.is_new);
    assert!(matches!(again.status, MessageStatus::Accepted { .. }));
    work.end().await;
    assert_eq!(vendor.counts(), (1, 1));
    assert_eq!(vendor.count(first.reference().as_str()), 1);
}

async fn another_message_under_a_key_is_a_conflict(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    let key = "order-42";
    let refused = async |message: Message| {
        let sent = queue.send(message).with_key(key).await;
        assert_eq!(sent.unwrap_err().kind(), OutboxErrorKind::Conflict);
    };
    queue.send(message("hello")).with_key(key).await.unwrap();
    let others = || {
        let to = "+31687654321".parse().unwrap();
        [
            message("goodbye"),
            message("hello").with_recipient(to),
            message("hello").with_sender("Contoso".parse().unwrap()),
            message("hello").with_validity_where_possible(Duration::from_secs(60)),
        ]
    };
    for other in others() {
        refused(other).await;
    }
    let work = Work::of(&queue, vendor.provider());
    ended(&queue, key).await;
    // Its text is gone now.
    for other in others() {
        refused(other).await;
    }
    work.end().await;
    assert_eq!(vendor.counts(), (1, 1));
}

async fn another_message_with_a_reference_is_a_conflict(store: Store) {
    let queue = store.open().await;
    let reference = "order42".parse().unwrap();
    let first = message("hello").with_reference(reference);
    queue.send(first.clone()).with_key("a").await.unwrap();
    let sent = queue.send(first).with_key("b").await;
    assert_eq!(sent.unwrap_err().kind(), OutboxErrorKind::Conflict);
    assert_eq!(queue.message("b").await.unwrap(), None);
}

async fn a_message_is_not_sent_before_its_time(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    let work = Work::of(&queue, vendor.provider());
    let soon = SystemTime::now() + Duration::from_secs(2);
    let enqueue = queue.send(message("later")).with_key("later");
    enqueue.with_not_before(soon.into()).await.unwrap();
    queue.send(message("now")).with_key("now").await.unwrap();
    ended(&queue, "now").await;
    ended(&queue, "later").await;
    // The store's clock is that of this machine, in milliseconds.
    assert!(SystemTime::now() + Duration::from_millis(2) >= soon);
    work.end().await;
    assert_eq!(vendor.counts(), (2, 1));
}

async fn a_schedule_in_the_past_is_now(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    let long_ago = SystemTime::now() - Duration::from_secs(3 * 24 * 3600);
    let work = Work::of(&queue, vendor.provider());
    for (key, begins) in [("a", long_ago.into()), ("b", DateTime::<Utc>::MIN_UTC)] {
        let enqueue = queue.send(message(key)).with_key(key);
        let enqueue = enqueue.with_not_before(begins);
        assert!(enqueue.seal().unwrap().expires() > SystemTime::now().into());
        enqueue.await.unwrap();
        let status = ended(&queue, key).await;
        assert!(
            matches!(status, MessageStatus::Accepted { .. }),
            "{status:?}"
        );
    }
    work.end().await;
}

async fn a_schedule_at_the_end_of_time_waits(store: Store) {
    let queue = store.open().await;
    let enqueue = queue.send(message("a")).with_key("a");
    let enqueue = enqueue.with_not_before(DateTime::<Utc>::MAX_UTC);
    assert_eq!(enqueue.seal().unwrap().expires(), DateTime::<Utc>::MAX_UTC);
    enqueue.await.unwrap();
    let status = queue.message("a").await.unwrap().unwrap();
    assert!(matches!(status, MessageStatus::Queued { .. }), "{status:?}");
}

async fn what_expired_is_not_sent(store: Store) {
    let vendor = Vendor::start(Mood::Down).await;
    let queue = store.builder().with_lease(Duration::from_secs(2));
    let queue = queue.open().await.unwrap();
    let soon = SystemTime::now() + Duration::from_secs(2);
    let enqueue = queue.send(message("hello")).with_key("a");
    enqueue.with_expiry(soon.into()).await.unwrap();
    let work = Work::of(&queue, vendor.provider());
    let status = ended(&queue, "a").await;
    let MessageStatus::Expired { last_error, .. } = status else {
        panic!("{status:?}");
    };
    if let Some(error) = last_error {
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(error.code.as_deref(), Some("503"));
    }
    vendor.set(Mood::Accepts);
    queue.send(message("other")).with_key("b").await.unwrap();
    ended(&queue, "b").await;
    work.end().await;
    assert_eq!(vendor.counts(), (1, 1));
}

async fn a_message_that_cannot_be_sent_in_time_is_refused(store: Store) {
    let queue = store.open().await;
    let hour = Duration::from_secs(3600);
    let at = |ahead: Duration| DateTime::from(SystemTime::now() + ahead);
    let past = DateTime::from(SystemTime::now() - hour);
    for (begins, expires) in [(None, past), (Some(at(2 * hour)), at(hour))] {
        let enqueue = queue.send(message("hello")).with_expiry(expires);
        let sent = match begins {
            Some(begins) => enqueue.with_not_before(begins).await,
            None => enqueue.await,
        };
        assert_eq!(sent.unwrap_err().kind(), OutboxErrorKind::Invalid);
    }
}

async fn a_key_out_of_range_is_refused(store: Store) {
    let queue = store.open().await;
    for key in ["", "a\nb", "a\0b", &"x".repeat(201)] {
        let sent = queue.send(message("hello")).with_key(key).await;
        assert_eq!(sent.unwrap_err().kind(), OutboxErrorKind::Invalid);
    }
    let longest = "é".repeat(100);
    queue
        .send(message("hello"))
        .with_key(longest)
        .await
        .unwrap();
}

async fn a_full_outbox_takes_no_more(store: Store) {
    let queue = store.builder().with_max_waiting(number(2)).open().await;
    let queue = queue.unwrap();
    for key in ["a", "b"] {
        queue.send(message(key)).with_key(key).await.unwrap();
    }
    let sent = queue.send(message("c")).with_key("c").await;
    assert_eq!(sent.unwrap_err().kind(), OutboxErrorKind::Full);
    // One that is there needs no room.
    assert!(queue.send(message("a")).with_key("a").await.is_ok());
}

async fn messages_of_a_vendor_with_batches_go_together(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    for index in 0..40 {
        let text = if index % 2 == 0 { "even" } else { "odd" };
        let key = index.to_string();
        queue.send(message(text)).with_key(key).await.unwrap();
    }
    let profile = Profile::new("wire").with_batch(number(10), BatchTexts::Same);
    let work = Work::of(&queue, vendor.provider().with_profile(profile));
    for index in 0..40 {
        ended(&queue, &index.to_string()).await;
    }
    work.end().await;
    assert_eq!(vendor.counts(), (40, 1));
    assert_eq!(vendor.calls(), 4);
}

async fn a_refused_message_ends(store: Store) {
    let vendor = Vendor::start(Mood::Refuses).await;
    let queue = store.open().await;
    queue.send(message("hello")).with_key("a").await.unwrap();
    let work = Work::of(&queue, vendor.provider());
    let status = ended(&queue, "a").await;
    let MessageStatus::NotAccepted { error, .. } = status else {
        panic!("{status:?}");
    };
    assert_eq!(error.kind, ErrorKind::InvalidRecipient);
    assert_eq!(error.code.as_deref(), Some("7"));
    assert_eq!(error.provider.as_deref(), Some("wire"));
    work.end().await;
    assert_eq!(vendor.calls(), 1);
}

async fn the_current_call_ends_before_the_sender_does(store: Store) {
    let vendor = Vendor::start(Mood::Holds).await;
    let queue = store.open().await;
    queue.send(message("hello")).with_key("a").await.unwrap();
    let mut work = Work::of(&queue, vendor.provider());
    vendor.until_received(1).await;
    work.stop();
    vendor.set(Mood::Accepts);
    work.end().await;
    let status = queue.message("a").await.unwrap().unwrap();
    assert!(
        matches!(status, MessageStatus::Accepted { .. }),
        "{status:?}"
    );
}

async fn nothing_shows_a_number_a_text_or_a_key(store: Store) {
    let vendor = Vendor::start(Mood::Refuses).await;
    let queue = store.open().await;
    let secret = Message::new(
        "+31612345678".parse().unwrap(),
        Text::new("Code 482913").unwrap(),
    );
    let enqueue = queue.send(secret.clone()).with_key("+31687654321");
    let mut shown = format!(
        "{queue:?} {:?} {enqueue:?} {:?}",
        store.builder(),
        enqueue.seal()
    );
    shown += &format!("{:?}", enqueue.await);
    let other = queue.send(message("other")).with_key("+31687654321").await;
    shown += &format!("{other:?} {}", other.as_ref().unwrap_err());
    let sender = queue.sender(vendor.provider());
    shown += &format!("{sender:?}");
    let sender = sender.with_calls(NonZeroUsize::MIN).build().unwrap();
    shown += &format!("{sender:?} {:?}", queue.message_reports());
    let work = Work::with(sender);
    let status = ended(&queue, "+31687654321").await;
    shown += &format!("{status:?}");
    work.end().await;
    for secret in ["612345678", "687654321", "482913", super::SECRET] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

async fn an_unknown_key_has_no_status(store: Store) {
    let queue = store.open().await;
    assert_eq!(queue.message("a").await.unwrap(), None);
    let outcome = queue.message_outcome("a", Duration::from_secs(9));
    assert_eq!(outcome.await.unwrap(), None);
}
