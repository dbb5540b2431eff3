//! Messages that another program puts into the table, in its own transaction.

use std::fmt::Write as _;

use postduif_queue::{MessageStatus, Queue, SealedMessage};

use super::{
    Store, Work, ended, message, on_each_store,
    vendor::{Mood, Vendor},
};

on_each_store!(
    a_message_of_a_committed_transaction_is_sent_once,
    a_message_of_a_transaction_that_was_rolled_back_is_not_there,
    a_message_that_another_language_sealed_is_sent,
    a_row_that_makes_no_sense_hinders_nobody,
    a_schedule_of_another_program_in_the_past_is_now,
);

/// The statement of `docs/outbox.md` for both databases.
fn insert(sealed: &SealedMessage) -> String {
    let page = include_str!("../../../../../docs/outbox.md");
    let begins = page.find("INSERT INTO postduif_message").unwrap();
    let statement = page[begins..].split(';').next().unwrap();
    with_values(statement, sealed)
}

/// The call of `docs/outbox.md` for PostgreSQL.
#[cfg(feature = "postgres")]
fn call(sealed: &SealedMessage) -> String {
    let page = include_str!("../../../../../docs/outbox.md");
    let begins = page.find("SELECT postduif_enqueue(").unwrap();
    let statement = page[begins..].split(';').next().unwrap();
    with_values(statement, sealed)
}

fn with_values(statement: &str, sealed: &SealedMessage) -> String {
    let bytes = sealed
        .sealed()
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
    statement
        .replace(":key_id", &format!("'{}'", sealed.key_id()))
        .replace(":key", &format!("'{}'", sealed.key()))
        .replace(":reference", &format!("'{}'", sealed.reference()))
        .replace(":sealed", &format!("@{bytes}@"))
}

/// Writes bytes as the database of the store does.
fn bytes_for(store: &Store, statement: &str) -> String {
    let (opening, closing) = if store.file.is_some() {
        ("X'", "'")
    } else {
        ("'\\x", "'::bytea")
    };
    let mut parts = statement.split('@');
    let mut text = parts.next().unwrap().to_owned();
    while let (Some(bytes), Some(rest)) = (parts.next(), parts.next()) {
        write!(text, "{opening}{bytes}{closing}{rest}").unwrap();
    }
    text
}

fn statements(store: &Store, queue: &Queue, keys: [&str; 2]) -> String {
    let seal = |key: &str| queue.send(message("hello")).with_key(key).seal().unwrap();
    let [one, other] = keys.map(seal);
    #[cfg(feature = "postgres")]
    let second = if store.file.is_some() {
        insert(&other)
    } else {
        call(&other)
    };
    #[cfg(not(feature = "postgres"))]
    let second = insert(&other);
    bytes_for(
        store,
        &format!(
            "INSERT INTO orders (number) VALUES ('42'); {}; {second};",
            insert(&one)
        ),
    )
}

async fn a_message_of_a_committed_transaction_is_sent_once(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    let work = Work::of(&queue, vendor.provider());
    store.run("CREATE TABLE orders (number TEXT)").await;
    let statements = statements(&store, &queue, ["one", "other"]);
    store.run(&format!("BEGIN; {statements} COMMIT")).await;
    for key in ["one", "other"] {
        let status = ended(&queue, key).await;
        assert!(
            matches!(status, MessageStatus::Accepted { .. }),
            "{status:?}"
        );
        assert!(
            !queue
                .send(message("hello"))
                .with_key(key)
                .await
                .unwrap()
                .is_new
        );
    }
    work.end().await;
    assert_eq!(vendor.counts(), (2, 1));
}

async fn a_message_of_a_transaction_that_was_rolled_back_is_not_there(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    let work = Work::of(&queue, vendor.provider());
    store.run("CREATE TABLE orders (number TEXT)").await;
    let statements = statements(&store, &queue, ["one", "other"]);
    store.run(&format!("BEGIN; {statements} ROLLBACK")).await;
    for key in ["one", "other"] {
        assert_eq!(queue.message(key).await.unwrap(), None);
    }
    queue
        .send(message("later"))
        .with_key("later")
        .await
        .unwrap();
    ended(&queue, "later").await;
    work.end().await;
    assert_eq!(vendor.counts(), (1, 1));
}

/// Sealed by `tests/tools/seal.py` with the key of bytes 0 to 31.
const FOREIGN: &str = "01101112131415161718191a1b06dcec796bf31a91e146392b3e4b5a67e266793639ee7793939c9a137c6e74f909862271d5c91c8b1b44b239ebeb337776da33519e78dba5bb9b664b09ab90511bf9225768";

async fn a_message_that_another_language_sealed_is_sent(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let secret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f".into();
    let keys = postduif_queue::Keys::new("2026-01", &secret).unwrap();
    let queue = store.builder().with_keys(keys).open().await.unwrap();
    let insert = "INSERT INTO postduif_message (key, reference, key_id, sealed)
        VALUES ('order-42', 'order42', '2026-01', ";
    store
        .run(&bytes_for(&store, &format!("{insert}@{FOREIGN}@)")))
        .await;
    let work = Work::of(&queue, vendor.provider());
    let status = ended(&queue, "order-42").await;
    assert!(
        matches!(status, MessageStatus::Accepted { .. }),
        "{status:?}"
    );
    work.end().await;
    assert_eq!(vendor.count("order42"), 1);
    // Its members are in another order, and it is the same message.
    let same = message("Your order has left");
    assert!(!queue.send(same).with_key("order-42").await.unwrap().is_new);
}

async fn a_row_that_makes_no_sense_hinders_nobody(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    for (key, reference, key_id, bytes) in [
        ("1", "r1", "a", ""),
        ("2", "r2", "a", "02"),
        ("3", "r3", "?", "00"),
        ("4", "no reference", "a", "01ff"),
    ] {
        let insert = format!(
            "INSERT INTO postduif_message (key, reference, key_id, sealed)
            VALUES ('{key}', '{reference}', '{key_id}', @{bytes}@)"
        );
        store.run(&bytes_for(&store, &insert)).await;
    }
    queue.send(message("hello")).with_key("5").await.unwrap();
    let work = Work::of(&queue, vendor.provider());
    ended(&queue, "5").await;
    work.end().await;
    for key in ["1", "2", "3", "4"] {
        let status = queue.message(key).await.unwrap().unwrap();
        assert!(matches!(status, MessageStatus::Queued { .. }), "{status:?}");
    }
    assert_eq!(vendor.counts(), (1, 1));
}

/// SQLite takes a value of any type for any column.
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_other_types_hinders_nobody() {
    let store = Store::sqlite();
    let vendor = Vendor::start(Mood::Accepts).await;
    let lease = std::time::Duration::from_secs(1);
    let queue = store.builder().with_lease(lease).open().await.unwrap();
    // Each waits, and another one like it has expired.
    for (number, expires) in [("1", "9e12"), ("2", "1")] {
        for row in [
            "X'61#', 'a#', 'a', X'01', 0",
            "'b#', X'62#', 'a', X'01', 0",
            "'c#', 'c#', X'61', X'01', 0",
            "'d#', 'd#', 'a', '01', 0",
            "'e#', 'e#', CAST(X'ff' AS TEXT), X'01', 0",
            "'f#', 'f#', 'a', X'01', 'none'",
            "'g#', 'g#', 'a', 1.5, 1.5",
        ] {
            let row = row.replace("61#'", "613#'").replace("62#'", "623#'");
            let row = row.replace('#', number);
            let insert =
                "INSERT INTO postduif_message (key, reference, key_id, sealed, tries, expires_at)";
            store
                .run(&format!("{insert} VALUES ({row}, {expires})"))
                .await;
        }
    }
    queue.send(message("hello")).with_key("good").await.unwrap();
    let work = Work::of(&queue, vendor.provider());
    ended(&queue, "good").await;
    // Past the lease under which the rows were taken.
    let later = std::time::SystemTime::now() + 3 * lease;
    let enqueue = queue.send(message("later")).with_key("later");
    enqueue.with_not_before(later.into()).await.unwrap();
    ended(&queue, "later").await;
    work.end().await;
    assert_eq!(vendor.counts(), (2, 1));
}

async fn a_schedule_of_another_program_in_the_past_is_now(store: Store) {
    if store.file.is_some() {
        // The function is PostgreSQL's.
        return;
    }
    let queue = store.open().await;
    store
        .run("SELECT postduif_enqueue('a', 'ra', 'a', '\\x01'::bytea, now() - interval '3 days')")
        .await;
    let vendor = Vendor::start(Mood::Accepts).await;
    let work = Work::of(&queue, vendor.provider());
    queue.send(message("hello")).with_key("b").await.unwrap();
    ended(&queue, "b").await;
    work.end().await;
    let status = queue.message("a").await.unwrap().unwrap();
    assert!(matches!(status, MessageStatus::Queued { .. }), "{status:?}");
}

/// A worker goes on polling what shuts it down: it may hold what the worker waits for.
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_that_has_a_transaction_of_its_own_delays_no_sender() {
    use sqlx::{ConnectOptions as _, Executor as _};

    let store = Store::sqlite();
    let vendor = Vendor::start(Mood::Accepts).await;
    let queue = store.open().await;
    queue.send(message("hello")).with_key("a").await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store.file.as_ref().unwrap());
    let sender = queue.sender(vendor.provider()).build().unwrap();
    let begun = std::time::Instant::now();
    sender
        .run_until(async {
            let mut own = options.connect().await.unwrap();
            own.execute("BEGIN IMMEDIATE").await.unwrap();
            // Longer than a sender waits before it asks the store.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            own.execute("COMMIT").await.unwrap();
            ended(&queue, "a").await;
        })
        .await;
    // The store waits for 5 seconds for another program.
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}
