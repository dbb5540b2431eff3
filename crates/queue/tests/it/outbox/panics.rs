//! Code of the program that panics: its observer, and its provider.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};
use postduif_queue::MessageStatus;

use super::{
    Store, Work, ended, message, number, on_each_store,
    vendor::{Mood, Vendor},
};

on_each_store!(
    an_observer_that_panics_loses_no_outcome,
    a_provider_that_panics_holds_up_no_other_message,
);

async fn an_observer_that_panics_loses_no_outcome(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    let observed = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&observed);
    let sender = queue
        .sender(vendor.provider())
        .with_observer(move |key, _| {
            told.lock().unwrap().push(key.to_owned());
            assert_ne!(key, "a", "the observer of the test panics");
        });
    let work = Work::with(sender.build().unwrap());
    for key in ["a", "b"] {
        queue.send(message(key)).with_key(key).await.unwrap();
        let status = ended(&queue, key).await;
        assert!(
            matches!(status, MessageStatus::Accepted { .. }),
            "{key}: {status:?}"
        );
    }
    work.end().await;
    assert_eq!(*observed.lock().unwrap(), ["a", "b"]);
}

/// Accepts nothing, then panics, then accepts everything.
#[derive(Debug)]
struct Panics {
    profile: Profile,
    calls: AtomicUsize,
}

#[async_trait]
impl SmsProvider for Panics {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        match self.calls.fetch_add(1, Ordering::SeqCst) {
            0..3 => Err(SendError::not_accepted(ErrorKind::Unavailable, "down")),
            3 => panic!("the provider of the test panics"),
            _ => Ok(Receipt::new("panics", *message.reference())),
        }
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        Outcomes::in_doubt(messages)
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::verified())
    }
}

async fn a_provider_that_panics_holds_up_no_other_message(store: Store) {
    let queue = store.open().await;
    let provider = Panics {
        profile: Profile::new("panics"),
        calls: AtomicUsize::new(0),
    };
    for key in ["a", "b", "c", "d"] {
        queue.send(message(key)).with_key(key).await.unwrap();
    }
    let sender = queue.sender(provider).with_calls(number(1));
    let work = Work::with(sender.build().unwrap());
    let mut accepted = 0;
    let begun = std::time::Instant::now();
    while accepted < 3 {
        accepted = 0;
        for key in ["a", "b", "c", "d"] {
            let status = queue.message(key).await.unwrap();
            accepted += usize::from(matches!(status, Some(MessageStatus::Accepted { .. })));
        }
        assert!(
            begun.elapsed() < super::PATIENCE,
            "{accepted} were accepted"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    work.end().await;
}
