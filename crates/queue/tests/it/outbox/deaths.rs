//! Processes that die or stand still while they send.

use std::{
    env,
    process::{Child, Command, Stdio},
    time::Duration,
};

use postduif_core::{
    BatchTexts, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};
use postduif_queue::{MessageStatus, Queue};

use super::{
    Store, Work, ended, key, message, number, on_each_store,
    vendor::{Mood, Vendor, Wire},
};

on_each_store!(
    no_death_loses_or_repeats_a_message,
    a_process_that_stood_still_sends_nothing_under_its_old_lease,
);

const MESSAGES: usize = 12;
const LEASE: Duration = Duration::from_secs(1);

fn key_of(index: usize) -> String {
    format!("m{index}")
}

fn reference_of(index: usize) -> String {
    format!("reference{index}")
}

/// The process that dies: `VICTIM` is when, and the others are where.
fn victim(store: &Store, vendor: &Vendor, death: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "outbox::deaths::the_victim",
            "--ignored",
            "--nocapture",
        ])
        .env("VICTIM", death)
        .env("VICTIM_STORE", &store.url)
        .env("VICTIM_VENDOR", vendor.address().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Dies at a boundary of its first message.
#[derive(Debug)]
struct Dies {
    wire: Wire,
    before: bool,
    after: bool,
}

#[async_trait]
impl SmsProvider for Dies {
    fn profile(&self) -> &Profile {
        self.wire.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        if self.before {
            std::process::abort();
        }
        let sent = self.wire.send(message).await;
        if self.after {
            std::process::abort();
        }
        sent
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.wire.send_batch(messages).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.wire.check().await
    }
}

async fn open(url: &str) -> Queue {
    let builder = Queue::builder(url).with_keys(key("a")).with_lease(LEASE);
    builder.open().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other tests start it, and let it die"]
async fn the_victim() {
    let Ok(death) = env::var("VICTIM") else {
        return;
    };
    let queue = open(&env::var("VICTIM_STORE").unwrap()).await;
    let address = env::var("VICTIM_VENDOR").unwrap().parse().unwrap();
    let stands_still = death == "still";
    let texts = if stands_still { 2 } else { MESSAGES };
    for index in 0..texts {
        let message = message(&format!("text {index}"));
        let message = message.with_reference(reference_of(index).parse().unwrap());
        let enqueue = queue.send(message).with_key(key_of(index));
        enqueue.await.unwrap();
        if death == "enqueued" && index == 2 {
            std::process::abort();
        }
    }
    let mut profile = Profile::new("wire");
    if stands_still {
        // Two texts are taken for one call, and fit only into two.
        profile = profile.with_batch(number(2), BatchTexts::Same);
    }
    let provider = Dies {
        wire: Wire::new(address, profile),
        before: death == "before",
        after: death == "after",
    };
    let dies_when_recorded = death == "recorded";
    let sender = queue
        .sender(provider)
        .with_calls(number(if stands_still { 1 } else { 3 }))
        .with_observer(move |_, _| {
            if dies_when_recorded {
                std::process::abort();
            }
        });
    let work = Work::with(sender.build().unwrap());
    for index in 0..texts {
        ended(&queue, &key_of(index)).await;
    }
    work.end().await;
}

async fn no_death_loses_or_repeats_a_message(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    for death in ["enqueued", "before", "after", "recorded"] {
        let status = victim(&store, &vendor, death).status().unwrap();
        assert!(status.code().is_none(), "{death}: it was to die: {status}");
    }
    let mut last = victim(&store, &vendor, "never").spawn().unwrap();
    let status = tokio::task::spawn_blocking(move || last.wait()).await;
    assert!(status.unwrap().unwrap().success());
    let queue = open(&store.url).await;
    let mut doubts = 0;
    for index in 0..MESSAGES {
        let status = ended(&queue, &key_of(index)).await;
        let count = vendor.count(&reference_of(index));
        match status {
            MessageStatus::Accepted { .. } => assert_eq!(count, 1, "{index}"),
            MessageStatus::Unknown { .. } => {
                assert!(count <= 1, "{index}");
                doubts += 1;
            }
            status => panic!("{index}: {status:?}"),
        }
    }
    // At most three calls at a time, and three deaths in the middle of them.
    assert!((2..=9).contains(&doubts), "{doubts}");
}

/// A process that is stopped and killed.
struct Stopped(Child);

impl Stopped {
    fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn a_process_that_stood_still_sends_nothing_under_its_old_lease(store: Store) {
    let vendor = Vendor::start(Mood::Holds).await;
    let mut child = Stopped(victim(&store, &vendor, "still").spawn().unwrap());
    // The first call is under way, and the second waits for it.
    vendor.until_received(1).await;
    let first = vendor.count(&reference_of(0));
    let (first, second) = if first == 1 { (0, 1) } else { (1, 0) };
    child.signal("-STOP");
    let is_shared = store.file.is_none();
    // Its leases have to run out, by the clock of the store.
    tokio::time::sleep(3 * LEASE).await;
    if is_shared {
        // Another process finds both, and knows nothing of them.
        let queue = open(&store.url).await;
        let work = Work::of(&queue, vendor.provider());
        for index in [first, second] {
            let status = ended(&queue, &key_of(index)).await;
            assert!(
                matches!(status, MessageStatus::Unknown { error: None, .. }),
                "{status:?}"
            );
        }
        work.end().await;
    }
    vendor.set(Mood::Accepts);
    child.signal("-CONT");
    let begun = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < super::PATIENCE, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(status.success(), "{status}");
    let queue = open(&store.url).await;
    let status = ended(&queue, &key_of(second)).await;
    if is_shared {
        // It was told to be in doubt, so that it is not sent any more; its former holder knows that it was not sent.
        assert!(
            matches!(status, MessageStatus::NotAccepted { .. }),
            "{status:?}"
        );
        assert_eq!(vendor.count(&reference_of(second)), 0);
    } else {
        assert!(
            matches!(status, MessageStatus::Accepted { .. }),
            "{status:?}"
        );
        assert_eq!(vendor.count(&reference_of(second)), 1);
    }
    assert_eq!(vendor.count(&reference_of(first)), 1);
}
