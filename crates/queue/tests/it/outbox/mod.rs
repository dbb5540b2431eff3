//! The promises of single messages: nothing lost, nothing twice.

mod deaths;
mod door;
mod keys;
mod messages;
mod outages;
mod panics;
mod reports;
mod vendor;

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use postduif_core::{Message, SecretString, SmsProvider, Text};
use postduif_queue::{Keys, MessageSender, MessageStatus, Queue, QueueBuilder};
use tokio::{sync::oneshot, task::JoinHandle};

/// Runs each function on every database.
macro_rules! on_each_store {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        #[cfg(feature = "sqlite")]
        mod sqlite {
            use crate::outbox::Store;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(Store::sqlite()).await;
                }
            )+
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            use crate::outbox::Store;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(store) = Store::postgres().await {
                        super::$name(store).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use on_each_store;

/// A place for a store, removed at the end.
pub(crate) struct Store {
    url: String,
    file: Option<PathBuf>,
    #[cfg(feature = "postgres")]
    schema: Option<crate::schema::Schema>,
}

impl Store {
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("outbox-{}-{number}.db", std::process::id());
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let store = Self {
            url: format!("sqlite://{}", file.display()),
            file: Some(file),
            #[cfg(feature = "postgres")]
            schema: None,
        };
        store.remove();
        store
    }

    #[cfg(feature = "postgres")]
    pub(crate) async fn postgres() -> Option<Self> {
        let schema = crate::schema::Schema::new().await?;
        Some(Self {
            url: schema.url(),
            file: None,
            schema: Some(schema),
        })
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let endings = ["", "-wal", "-shm", ".lock"];
        let file = self.file.clone();
        endings.into_iter().filter_map(move |ending| {
            let mut name = file.clone()?.into_os_string();
            name.push(ending);
            Some(name.into())
        })
    }

    fn remove(&self) {
        for file in self.files() {
            let _ = std::fs::remove_file(file);
        }
    }

    /// A queue with one key and a lease of a minute.
    pub(crate) fn builder(&self) -> QueueBuilder {
        Queue::builder(&self.url).with_keys(key("a"))
    }

    pub(crate) async fn open(&self) -> Queue {
        self.builder().open().await.unwrap()
    }

    /// Executes statements in the store, as another program would.
    pub(crate) async fn run(&self, statements: &str) {
        #[cfg(feature = "postgres")]
        if let Some(schema) = &self.schema {
            schema.run(statements).await.unwrap();
            return;
        }
        #[cfg(feature = "sqlite")]
        {
            use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
            let file = self.file.as_ref().unwrap();
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
            let mut connection = options.connect().await.unwrap();
            let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
            connection.execute(statements).await.unwrap();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.remove();
    }
}

const SECRET: &str = "6PDjC5CQXd5dXMZ6WmD2qyEtI1Hvgg4HkY+yuLxXcOM=";

pub(crate) fn key(id: &str) -> Keys {
    Keys::new(id, &SecretString::from(SECRET)).unwrap()
}

pub(crate) fn message(text: &str) -> Message {
    Message::new("+31612345678".parse().unwrap(), Text::new(text).unwrap())
}

/// A sender at work in this process.
pub(crate) struct Work {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Work {
    pub(crate) fn with(sender: MessageSender) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            sender
                .run_until(async {
                    let _ = stopped.await;
                })
                .await;
        });
        let stop = Some(stop);
        Self { stop, task }
    }

    pub(crate) fn of(queue: &Queue, provider: impl SmsProvider) -> Self {
        Self::with(queue.sender(provider).build().unwrap())
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take();
    }

    pub(crate) async fn end(mut self) {
        self.stop();
        self.task.await.unwrap();
    }
}

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until the message has ended.
pub(crate) async fn ended(queue: &Queue, key: &str) -> MessageStatus {
    let status = queue.message_outcome(key, PATIENCE).await.unwrap();
    let status = status.unwrap_or_else(|| panic!("{key} is not there"));
    assert!(status.is_ended(), "{key}: {status:?}");
    status
}

/// Waits until this is so of the message.
pub(crate) async fn until(queue: &Queue, key: &str, is_so: impl Fn(&MessageStatus) -> bool) {
    let begun = std::time::Instant::now();
    loop {
        let status = queue.message(key).await.unwrap().unwrap();
        if is_so(&status) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{key}: {status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) const fn number(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}
