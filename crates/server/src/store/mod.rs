//! The store: SQL lives here and nowhere else, one file per noun, one text for SQLite and PostgreSQL.
//!
//! Everything goes through a [`Tx`]. A *read* is one snapshot; a *write* is serialisable on both databases, so a rule that reads
//! and then writes needs no further lock. Guards stand in the `WHERE` all the same: a lost race answers "no row", never an
//! overwrite. A write collects the topics that it wakes; they are sent when it has committed, and carry no data.

pub mod agent_configs;
pub mod agents;
pub mod artifacts;
pub mod audit;
pub mod backlog;
pub mod chatrooms;
pub mod commands;
pub mod commit_clock;
pub mod contexts;
pub mod credentials;
pub mod daemon_sessions;
pub mod desired;
pub mod device_logins;
pub mod idempotency;
pub mod inputs;
pub mod machines;
pub mod messages;
pub mod models;
pub mod participants;
pub mod passwords;
pub mod permissions;
pub mod replicas;
pub mod rules;
pub mod tasks;
pub mod teams;
pub mod transcripts;
pub mod users;

use crate::live::{Hub, Topic};
use anyhow::Context as _;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{Any, AnyConnection, AnyPool, Executor as _, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static SQLITE_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file of ours.
    Sqlite,
    /// A server, perhaps shared with other replicas.
    Postgres,
}

/// A failed access to the store.
#[derive(Debug, thiserror::Error)]
#[error("the database refused")]
pub struct StoreError(#[from] sqlx::Error);

impl StoreError {
    /// Whether the same transaction may succeed when it is run again: it lost a race that a serial order would not have.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let Some(error) = self.0.as_database_error() else { return false };
        // PostgreSQL: serialization_failure, deadlock_detected, and unique_violation, which a second run sees coming. SQLite: SQLITE_BUSY and its snapshot form.
        matches!(error.code().as_deref(), Some("40001" | "40P01" | "23505" | "5" | "517"))
    }

    /// Whether a text cannot be stored at all: PostgreSQL has no NUL in texts (character_not_in_repertoire).
    #[must_use]
    pub fn is_unstorable_text(&self) -> bool {
        self.0.as_database_error().is_some_and(|error| error.code().as_deref() == Some("22021"))
    }
}

/// Result of a store function.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How often a write that lost a race is run before the caller is told to try later.
const WRITE_ATTEMPTS: u32 = 8;

/// An error of a write that may only have lost a race.
pub trait MayBeRace {
    /// Whether the same write may succeed when it is run again.
    fn is_race(&self) -> bool;
}

impl MayBeRace for StoreError {
    fn is_race(&self) -> bool {
        self.is_retryable()
    }
}

/// Runs a write again while it only loses races, eight times at most. One run opens one transaction, and commits it.
///
/// # Errors
/// What the last run failed of.
pub async fn retried<T, E, F>(mut write: impl FnMut() -> F) -> std::result::Result<T, E>
where
    E: MayBeRace,
    F: Future<Output = std::result::Result<T, E>>,
{
    for _ in 1..WRITE_ATTEMPTS {
        match write().await {
            Err(error) if error.is_race() => tracing::debug!("lost a race in the database; run again"),
            ended => return ended,
        }
    }
    write().await
}

/// The open database.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Backend,
    /// SQLite has one writer at a time, so it gets one connection: waiting happens in the pool, not in the database.
    writers: AnyPool,
    readers: AnyPool,
    hub: Arc<Hub>,
    commits: Arc<Commits>,
    rows_read: Arc<AtomicU64>,
}

/// Counts this process's commits that wrote something.
#[derive(Debug, Default)]
pub struct Commits {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Commits {
    /// How many have begun. The same number before and after a read: this process changed nothing that it has read.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// The number of commits, while none is under way.
    #[must_use]
    pub fn settled(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::SeqCst);
        (self.begun() == ended).then_some(ended)
    }

    fn begin(&self) -> Committing<'_> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Committing(self)
    }
}

/// A commit under way; ends also when its caller is cancelled.
struct Committing<'a>(&'a Commits);

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Store {
    /// Opens (and creates or migrates) the SQLite database in a file.
    ///
    /// # Errors
    /// When the file cannot be opened or was written by a newer version.
    pub async fn open_sqlite(path: &Path, hub: Arc<Hub>) -> anyhow::Result<Self> {
        let url = format!("sqlite://{}?mode=rwc", path.display());
        // The first connection switches the file to WAL and migrates it; readers come after.
        let writers = sqlite_pool(&url, 1).await?;
        SQLITE_MIGRATIONS.run(&writers).await.with_context(|| format!("cannot migrate {}", path.display()))?;
        let readers = sqlite_pool(&url, 4).await?;
        Ok(Self { backend: Backend::Sqlite, writers, readers, hub, commits: Arc::default(), rows_read: Arc::default() })
    }

    /// Opens (and migrates) a PostgreSQL database.
    ///
    /// # Errors
    /// When it cannot be reached or was migrated by a newer version.
    pub async fn open_postgres(url: &str, hub: Arc<Hub>) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(10))
            .connect(url)
            .await
            .context("cannot connect to PostgreSQL")?;
        POSTGRES_MIGRATIONS.run(&pool).await.context("cannot migrate the PostgreSQL database")?;
        Ok(Self {
            backend: Backend::Postgres,
            writers: pool.clone(),
            readers: pool,
            hub,
            commits: Arc::default(),
            rows_read: Arc::default(),
        })
    }

    /// Which database it is.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The count of this process's commits.
    #[must_use]
    pub fn commits(&self) -> &Commits {
        &self.commits
    }

    /// Begins a read: everything it reads is of one snapshot.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn read(&self) -> Result<Tx> {
        let begin = match self.backend {
            Backend::Sqlite => "BEGIN DEFERRED",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.begin(&self.readers, begin).await
    }

    /// Begins a write, serialisable with every other.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn write(&self) -> Result<Tx> {
        let begin = match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        };
        self.begin(&self.writers, begin).await
    }

    /// How many rows this process has read since it opened the database: tells what an answer costs.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    async fn begin(&self, pool: &AnyPool, statement: &'static str) -> Result<Tx> {
        let inner = pool.begin_with(statement).await?;
        Ok(Tx {
            inner,
            backend: self.backend,
            hub: Arc::clone(&self.hub),
            commits: Arc::clone(&self.commits),
            rows_read: Arc::clone(&self.rows_read),
            topics: Vec::new(),
            touched: false,
        })
    }

    /// Closes every connection; open transactions end first.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

async fn sqlite_pool(url: &str, connections: u32) -> anyhow::Result<AnyPool> {
    sqlx::any::install_default_drivers();
    AnyPoolOptions::new()
        .min_connections(1)
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(30))
        .after_connect(|connection, _| {
            Box::pin(async move {
                for pragma in [
                    "PRAGMA busy_timeout = 10000",
                    "PRAGMA journal_mode = WAL",
                    "PRAGMA synchronous = FULL",
                    "PRAGMA foreign_keys = ON",
                ] {
                    connection.execute(pragma).await?;
                }
                Ok(())
            })
        })
        .connect(url)
        .await
        .with_context(|| format!("cannot open {url}"))
}

/// One transaction. Dropped without [`Tx::commit`], it is rolled back and wakes nobody.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Any>,
    backend: Backend,
    hub: Arc<Hub>,
    commits: Arc<Commits>,
    rows_read: Arc<AtomicU64>,
    topics: Vec<Topic>,
    /// Whether a statement has touched or found a row: without one, nothing was written.
    touched: bool,
}

impl Tx {
    /// Which database it is, for the few statements that must differ.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Wakes everybody who watches the topic, once this has committed.
    pub fn wake(&mut self, topic: Topic) {
        if !self.topics.contains(&topic) {
            self.topics.push(topic);
        }
    }

    /// Makes it durable, then wakes.
    ///
    /// # Errors
    /// When it could not be made durable: then nothing has happened (or, when the connection died in this moment, nobody
    /// knows; the caller's idempotency key tells).
    pub async fn commit(mut self) -> Result<()> {
        if self.backend == Backend::Postgres && !self.topics.is_empty() {
            for payload in self.hub.notifications(&self.topics) {
                sqlx::query("SELECT pg_notify('chatroom', $1)").bind(payload).execute(&mut *self.inner).await?;
            }
        }
        let committing = self.touched.then(|| self.commits.begin());
        self.inner.commit().await?;
        drop(committing);
        self.hub.wake(&self.topics);
        Ok(())
    }

    /// The connection, for the store's own files.
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }
}

/// Shorthands for the store's own files: a statement is text and values, a row is read by column name.
pub(crate) mod sql {
    use super::{AnyRow, Ordering, Result, Tx};
    use sqlx::any::AnyArguments;
    use sqlx::query::Query;
    use sqlx::{Any, Row as _};

    pub(crate) type Statement = Query<'static, Any, AnyArguments>;

    /// A statement; bind its values with `.bind(...)`.
    pub(crate) fn statement(text: &'static str) -> Statement {
        sqlx::query(text)
    }

    /// Runs it and tells how many rows it touched.
    pub(crate) async fn execute(tx: &mut Tx, statement: Statement) -> Result<u64> {
        let touched = statement.execute(tx.connection()).await?.rows_affected();
        tx.touched |= touched > 0;
        Ok(touched)
    }

    /// The one row, if there is one.
    pub(crate) async fn one(tx: &mut Tx, statement: Statement) -> Result<Option<AnyRow>> {
        let row = statement.fetch_optional(tx.connection()).await?;
        tx.rows_read.fetch_add(u64::from(row.is_some()), Ordering::Relaxed);
        tx.touched |= row.is_some();
        Ok(row)
    }

    /// Every row.
    pub(crate) async fn all(tx: &mut Tx, statement: Statement) -> Result<Vec<AnyRow>> {
        let rows = statement.fetch_all(tx.connection()).await?;
        tx.rows_read.fetch_add(rows.len() as u64, Ordering::Relaxed);
        tx.touched |= !rows.is_empty();
        Ok(rows)
    }

    /// A text that every database can hold: PostgreSQL has no NUL in texts. For what tools name as they like; where the exact
    /// text counts, it stands in JSON besides.
    pub(crate) fn storable(text: &str) -> String {
        text.replace('\0', "\u{fffd}")
    }

    /// A text column.
    pub(crate) fn text(row: &AnyRow, column: &str) -> Result<String> {
        Ok(row.try_get(column)?)
    }

    /// A text column that may be NULL.
    pub(crate) fn opt_text(row: &AnyRow, column: &str) -> Result<Option<String>> {
        Ok(row.try_get(column)?)
    }

    /// A BIGINT column.
    pub(crate) fn int(row: &AnyRow, column: &str) -> Result<i64> {
        Ok(row.try_get(column)?)
    }

    /// A BIGINT column that may be NULL.
    pub(crate) fn opt_int(row: &AnyRow, column: &str) -> Result<Option<i64>> {
        Ok(row.try_get(column)?)
    }

    /// A JSON column; what we wrote ourselves we can read.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T> {
        let text = text(row, column)?;
        serde_json::from_str(&text)
            .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) }.into())
    }

    /// JSON for a column.
    pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
        serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)).into())
    }
}
