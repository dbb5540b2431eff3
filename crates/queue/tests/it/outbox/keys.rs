use postduif_core::SecretString;
use postduif_queue::{Keys, MessageStatus, OutboxErrorKind};

use super::{
    SECRET, Store, Work, ended, key, message, on_each_store, until,
    vendor::{Mood, Vendor},
};

on_each_store!(
    a_message_of_an_older_key_is_sent,
    a_message_without_its_key_stays_and_others_go_on,
    without_keys_nothing_is_enqueued_or_sent,
    the_store_has_neither_text_nor_number,
);

const OTHER: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn other(id: &str) -> Keys {
    Keys::new(id, &SecretString::from(OTHER)).unwrap()
}

async fn a_message_of_an_older_key_is_sent(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    queue.send(message("hello")).with_key("old").await.unwrap();
    drop(queue);
    let both = other("b")
        .with_older("a", &SecretString::from(SECRET))
        .unwrap();
    let queue = store.builder().with_keys(both).open().await.unwrap();
    // The same message is recognized, whichever key is the current one.
    let again = queue.send(message("hello")).with_key("old").await.unwrap();
    assert!(!again.is_new);
    queue.send(message("hello")).with_key("new").await.unwrap();
    let work = Work::of(&queue, vendor.provider());
    for key in ["old", "new"] {
        let status = ended(&queue, key).await;
        assert!(
            matches!(status, MessageStatus::Accepted { .. }),
            "{status:?}"
        );
        let again = queue.send(message("hello")).with_key(key).await.unwrap();
        assert!(!again.is_new);
    }
    work.end().await;
    assert_eq!(vendor.counts(), (2, 1));
}

async fn a_message_without_its_key_stays_and_others_go_on(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    queue.send(message("hello")).with_key("old").await.unwrap();
    drop(queue);
    // Once without its key, once with another one under its id.
    for keys in [other("b"), other("a")] {
        let queue = store.builder().with_keys(keys).open().await.unwrap();
        let again = queue.send(message("hello")).with_key("old").await;
        assert_eq!(again.unwrap_err().kind(), OutboxErrorKind::Sealed);
        let reference = message("x").reference().to_string();
        queue.send(message("x")).with_key(&reference).await.unwrap();
        let work = Work::of(&queue, vendor.provider());
        ended(&queue, &reference).await;
        until(&queue, "old", |status| {
            matches!(status, MessageStatus::Queued { .. })
        })
        .await;
        work.end().await;
        drop(queue);
        store
            .run("UPDATE postduif_message SET due_at = 0 WHERE key = 'old'")
            .await;
    }
    let queue = store.open().await;
    let work = Work::of(&queue, vendor.provider());
    let status = ended(&queue, "old").await;
    assert!(
        matches!(status, MessageStatus::Accepted { .. }),
        "{status:?}"
    );
    work.end().await;
    assert_eq!(vendor.counts(), (3, 1));
}

async fn without_keys_nothing_is_enqueued_or_sent(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    queue.send(message("hello")).with_key("a").await.unwrap();
    drop(queue);
    let queue = postduif_queue::Queue::open(&store.url).await.unwrap();
    let sent = queue.send(message("hello")).await;
    assert_eq!(sent.unwrap_err().kind(), OutboxErrorKind::Misconfigured);
    assert!(queue.sender(vendor.provider()).build().is_err());
    // A status needs no key.
    let status = queue.message("a").await.unwrap().unwrap();
    assert!(matches!(status, MessageStatus::Queued { .. }), "{status:?}");
    let _ = key("a");
}

async fn the_store_has_neither_text_nor_number(store: Store) {
    let vendor = Vendor::start(Mood::Loses).await;
    let queue = store.open().await;
    let secret = message("Your code is 482913").with_sender("+31687654321".parse().unwrap());
    queue.send(secret).with_key("doubt").await.unwrap();
    let work = Work::of(&queue, vendor.provider());
    ended(&queue, "doubt").await;
    work.end().await;
    let secret = message("Your code is 482913").with_sender("Contoso".parse().unwrap());
    queue.send(secret).with_key("waits").await.unwrap();
    let secrets = ["482913", "Your code", "612345678", "687654321", "Contoso"];
    if store.file.is_none() {
        for secret in secrets {
            let found = format!(
                "DO $$ BEGIN ASSERT NOT EXISTS (
                    SELECT FROM postduif_message AS m
                    WHERE row_to_json(m)::text || encode(coalesce(sealed, ''), 'escape') LIKE '%{secret}%'
                ), 'found'; END $$"
            );
            store.run(&found).await;
        }
        return;
    }
    let mut stored = Vec::new();
    for file in store.files().filter(|file| file.exists()) {
        stored.extend(std::fs::read(file).unwrap());
    }
    assert!(find(&stored, b"doubt") && find(&stored, b"waits"));
    for secret in secrets {
        assert!(!find(&stored, secret.as_bytes()), "{secret}");
    }
}

fn find(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
