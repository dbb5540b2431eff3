//! An empty store of each kind, for one test.

use std::{env, fs, path::PathBuf, time::Duration};

use postduif_core::Guid;
use postduif_queue::Queue;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _,
    sqlite::SqliteConnectOptions,
};

use crate::schema::Schema;

/// A folder that is removed with everything in it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("postduif-queue-{}", Guid::random());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) enum Store {
    /// A file, which one queue at a time has.
    Sqlite {
        folder: Folder,
    },
    Postgres(Schema),
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        let folder = Folder::new();
        Self::Sqlite { folder }
    }

    /// `None` if no server answers.
    pub(crate) async fn postgres() -> Option<Self> {
        Schema::new().await.map(Self::Postgres)
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite { folder } => format!("sqlite://{}/flows.db", folder.0.display()),
            Self::Postgres(schema) => schema.url(),
        }
    }

    pub(crate) async fn open(&self) -> Queue {
        Queue::open(&self.url()).await.unwrap()
    }

    pub(crate) async fn open_with(&self, lease: Duration) -> Queue {
        let builder = Queue::builder(self.url()).with_lease(lease);
        builder.open().await.unwrap()
    }

    /// Opens what stands for another process: in SQLite the same queue, which keeps nothing of a flow in memory.
    pub(crate) async fn another(&self, queue: &Queue) -> Queue {
        match self {
            Self::Sqlite { .. } => queue.clone(),
            Self::Postgres(_) => {
                let builder = Queue::builder(self.url());
                builder.open().await.unwrap()
            }
        }
    }

    /// Executes statements, as an administrator would.
    pub(crate) async fn run(&self, statements: &str) {
        self.try_run(statements).await.unwrap();
    }

    pub(crate) async fn try_run(&self, statements: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite { folder } => {
                let options = SqliteConnectOptions::new()
                    .filename(folder.0.join("flows.db"))
                    .create_if_missing(true);
                let mut connection = options.connect().await?;
                let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
                connection.execute(statements).await?;
                connection.close().await
            }
            Self::Postgres(schema) => schema.run(statements).await,
        }
    }
}

/// Makes a test of each function for each kind of store.
macro_rules! on_each_store {
    ($($promise:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::$promise(crate::store::Store::sqlite()).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    if let Some(store) = crate::store::Store::postgres().await {
                        super::$promise(store).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use on_each_store;
