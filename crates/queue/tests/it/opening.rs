//! How a store is opened, and by whom.

use std::{env, fs, path::Path};

use postduif_core::{Guid, directory::Callout};
use postduif_onboarding::Taken;
use postduif_queue::Queue;

use crate::{
    schema::Schema,
    store::{Folder, Store, on_each_store},
};

on_each_store! {
    a_flow_outlives_its_process
    tables_that_only_a_newer_version_can_use_are_refused
    migrating_twice_changes_nothing
}

fn callout() -> Callout {
    let received_at = std::time::SystemTime::now().into();
    Callout::new(
        Guid::random().into(),
        Guid::random().into(),
        None,
        received_at,
    )
}

async fn refused(url: &str) -> String {
    Queue::open(url).await.unwrap_err().to_string()
}

async fn a_flow_outlives_its_process(store: Store) {
    let callout = callout();
    for expected in [Taken::New, Taken::Known] {
        let queue = store.open().await;
        assert_eq!(queue.enqueue(&callout).await.unwrap(), expected);
    }
}

async fn tables_that_only_a_newer_version_can_use_are_refused(store: Store) {
    drop(store.open().await);
    store.run("UPDATE postduif_schema SET version = 9").await;
    drop(store.open().await);
    store
        .run("UPDATE postduif_schema SET version = 9, oldest = 9")
        .await;
    let error = refused(&store.url()).await;
    assert!(error.contains("run the newer version"), "{error}");
    let error = Queue::builder(store.url()).migrate().await.unwrap_err();
    assert!(
        error.to_string().contains("run the newer version"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_openings_create_the_tables_once() {
    let Some(store) = Store::postgres().await else {
        return;
    };
    let openings = [store.open(), store.open(), store.open(), store.open()];
    let [one, two, three, four] = openings;
    let queues = tokio::join!(one, two, three, four);
    let callout = callout();
    assert_eq!(queues.0.enqueue(&callout).await.unwrap(), Taken::New);
    assert_eq!(queues.3.enqueue(&callout).await.unwrap(), Taken::Known);
}

async fn migrating_twice_changes_nothing(store: Store) {
    let callout = callout();
    Queue::builder(store.url()).migrate().await.unwrap();
    let queue = store.open().await;
    queue.enqueue(&callout).await.unwrap();
    drop(queue);
    Queue::builder(store.url()).migrate().await.unwrap();
    let queue = store.open().await;
    assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::Known);
}

#[tokio::test]
async fn a_file_belongs_to_one_queue_at_a_time() {
    let store = Store::sqlite();
    let queue = store.open().await;
    let error = refused(&store.url()).await;
    assert!(error.contains("another process has the store"), "{error}");
    // By another name neither.
    let folder = Folder::new();
    let Store::Sqlite { folder: file } = &store else {
        unreachable!()
    };
    #[cfg(unix)]
    {
        let link = folder.0.join("link.db");
        std::os::unix::fs::symlink(file.0.join("flows.db"), &link).unwrap();
        let error = refused(&format!("sqlite://{}", link.display())).await;
        assert!(error.contains("another process has the store"), "{error}");
    }
    drop(queue);
    store.open().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_can_read_a_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let store = Store::sqlite();
    let queue = store.open().await;
    queue.enqueue(&callout()).await.unwrap();
    let Store::Sqlite { folder } = &store else {
        unreachable!()
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort_unstable();
    let known = ["flows.db", "flows.db-shm", "flows.db-wal", "flows.db.lock"];
    assert_eq!(names, known);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_found_by_a_relative_path() {
    let folder = Folder::new();
    let here = env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let path = folder.0.join("flows.db");
    let relative = Path::new(&up).join(path.strip_prefix("/").unwrap());
    let url = format!("sqlite://{}", relative.display());
    assert!(url.starts_with("sqlite://.."));
    Queue::open(&url).await.unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = Folder::new();
    let path = folder.0.join("flows.db");
    fs::write(
        &path,
        "not a database, and longer than a header of one".repeat(100),
    )
    .unwrap();
    let error = refused(&format!("sqlite://{}", path.display())).await;
    assert!(error.contains("damaged, or is no database"), "{error}");
}

#[tokio::test]
async fn a_store_in_memory_is_forgotten() {
    let callout = callout();
    for _ in 0..2 {
        let queue = Queue::open("memory").await.unwrap();
        assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::New);
    }
}

#[tokio::test]
async fn a_role_that_may_create_no_tables_opens_them() {
    let Some(schema) = Schema::new().await else {
        return;
    };
    let role = schema.role().await;
    let error = refused(&role).await;
    assert!(error.contains("QueueBuilder::migrate"), "{error}");
    Queue::builder(schema.url()).migrate().await.unwrap();
    let queue = Queue::open(&role).await.unwrap();
    let callout = callout();
    assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::New);
    let lease = queue.engine().next().await.unwrap().unwrap();
    lease.extend().await.unwrap();
}
