use std::time::Duration;

use postduif_core::{
    Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};
use postduif_queue::MessageStatus;

use super::{
    Store, Work, ended, message, number, on_each_store, until,
    vendor::{Mood, Vendor},
};

on_each_store!(
    a_vendor_that_was_away_gets_every_message_once,
    a_lost_response_is_a_doubt_that_nobody_repeats,
    a_call_without_an_end_is_cut_off_within_the_lease,
    a_message_that_waited_for_its_turn_is_not_in_doubt,
    a_panic_leaves_a_doubt,
);

async fn a_vendor_that_was_away_gets_every_message_once(store: Store) {
    let vendor = Vendor::start(Mood::Down).await;
    let queue = store.open().await;
    for index in 0..50 {
        let key = index.to_string();
        queue.send(message("hello")).with_key(key).await.unwrap();
    }
    let sender = queue.sender(vendor.provider()).with_calls(number(4));
    let work = Work::with(sender.build().unwrap());
    until(&queue, "0", |status| {
        matches!(
            status,
            MessageStatus::Queued {
                last_error: Some(_),
                ..
            }
        )
    })
    .await;
    // It does not try them all.
    assert!(vendor.calls() <= 8, "{}", vendor.calls());
    vendor.set(Mood::Accepts);
    for index in 0..50 {
        let status = ended(&queue, &index.to_string()).await;
        assert!(
            matches!(status, MessageStatus::Accepted { .. }),
            "{status:?}"
        );
    }
    work.end().await;
    assert_eq!(vendor.counts(), (50, 1));
}

async fn a_lost_response_is_a_doubt_that_nobody_repeats(store: Store) {
    let vendor = Vendor::start(Mood::Loses).await;
    let queue = store.open().await;
    queue.send(message("hello")).with_key("a").await.unwrap();
    let work = Work::of(&queue, vendor.provider());
    let status = ended(&queue, "a").await;
    assert!(
        matches!(status, MessageStatus::Unknown { error: Some(_), .. }),
        "{status:?}"
    );
    vendor.set(Mood::Accepts);
    work.end().await;
    let work = Work::of(&queue, vendor.provider());
    queue.send(message("other")).with_key("b").await.unwrap();
    ended(&queue, "b").await;
    assert!(
        !queue
            .send(message("hello"))
            .with_key("a")
            .await
            .unwrap()
            .is_new
    );
    work.end().await;
    assert_eq!(vendor.counts(), (2, 1));
}

async fn a_call_without_an_end_is_cut_off_within_the_lease(store: Store) {
    let vendor = Vendor::start(Mood::Holds).await;
    let queue = store.builder().with_lease(Duration::from_secs(1));
    let queue = queue.open().await.unwrap();
    queue.send(message("hello")).with_key("a").await.unwrap();
    let work = Work::of(&queue, vendor.provider());
    let status = ended(&queue, "a").await;
    assert!(
        matches!(status, MessageStatus::Unknown { error: Some(_), .. }),
        "{status:?}"
    );
    work.end().await;
    assert_eq!(vendor.counts(), (1, 1));
}

/// A provider whose first call waits for a turn that never comes.
#[derive(Debug)]
struct Waits<P>(P, std::sync::atomic::AtomicBool);

#[async_trait]
impl<P: SmsProvider> SmsProvider for Waits<P> {
    fn profile(&self) -> &Profile {
        self.0.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        if !self.1.swap(true, std::sync::atomic::Ordering::SeqCst) {
            postduif_core::departure::hold(std::future::pending::<()>()).await;
        }
        self.0.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.0.send_batch(messages).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.0.check().await
    }
}

async fn a_message_that_waited_for_its_turn_is_not_in_doubt(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.builder().with_lease(Duration::from_secs(1));
    let queue = queue.open().await.unwrap();
    queue.send(message("hello")).with_key("a").await.unwrap();
    let work = Work::of(&queue, Waits(vendor.provider(), false.into()));
    let status = ended(&queue, "a").await;
    assert!(
        matches!(status, MessageStatus::Accepted { .. }),
        "{status:?}"
    );
    work.end().await;
    assert_eq!(vendor.counts(), (1, 1));
}

/// A provider that panics after the vendor has the message.
#[derive(Debug)]
struct Panics<P>(P);

#[async_trait]
impl<P: SmsProvider> SmsProvider for Panics<P> {
    fn profile(&self) -> &Profile {
        self.0.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let sent = self.0.send(message).await;
        assert!(message.text().as_str() != "hello", "a defect");
        sent
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.0.send_batch(messages).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.0.check().await
    }
}

async fn a_panic_leaves_a_doubt(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.builder().with_lease(Duration::from_secs(1));
    let queue = queue.open().await.unwrap();
    queue.send(message("hello")).with_key("a").await.unwrap();
    queue.send(message("other")).with_key("b").await.unwrap();
    let work = Work::of(&queue, Panics(vendor.provider()));
    let status = ended(&queue, "a").await;
    assert!(
        matches!(status, MessageStatus::Unknown { error: None, .. }),
        "{status:?}"
    );
    ended(&queue, "b").await;
    work.end().await;
    assert_eq!(vendor.counts(), (2, 1));
}

#[test]
fn a_runtime_that_ended_fails_no_call_in_the_next() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let first = runtime();
    let mut stores = Vec::new();
    #[cfg(feature = "sqlite")]
    stores.push(Store::sqlite());
    #[cfg(feature = "postgres")]
    stores.extend(first.block_on(Store::postgres()));
    let queues: Vec<_> = stores
        .iter()
        .map(|store| first.block_on(store.open()))
        .collect();
    drop(first);
    let next = runtime();
    for queue in &queues {
        next.block_on(async { queue.send(message("hello")).await.unwrap() });
    }
}
