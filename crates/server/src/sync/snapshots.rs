//! Shared snapshots: what many sockets watch is read and written once per change.
//!
//! All results of one Transition come from one snapshot. A snapshot is used again only while nothing was woken and nothing
//! committed since it was taken, and for a short time; its transaction ends as soon as nobody waits for it.

use super::result::{Outcome, Written};
use crate::app::App;
use crate::caller::Caller;
use crate::fail::Fail;
use crate::registry::QueryCx;
use crate::store::StoreError;
use chatroom_protocol::sync::SyncTs;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::MutexGuard;
use tokio::time::Instant;

/// How long a snapshot is used again, at most.
const KEPT: Duration = Duration::from_secs(1);
/// Results that one snapshot keeps, and their bytes.
const MAX_RESULTS: usize = 4096;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// One query to read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Canonical name of the function.
    pub name: &'a str,
    /// Its arguments, as canonical text.
    pub args: &'a str,
}

/// Who reads, and how new the answer must be.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The same in words: equal for callers who get equal answers.
    pub identity: &'a str,
    /// The snapshot is later than this.
    pub after: SyncTs,
    /// Whether to distrust that no wake means no change.
    pub fresh: bool,
}

/// The words for a caller: equal for callers who get equal answers.
#[must_use]
pub fn identity(caller: &Caller) -> String {
    format!("{:?}", caller.without_credential())
}

/// The snapshot that is used again.
#[derive(Debug, Default)]
pub struct Snapshots {
    current: Mutex<Option<Arc<Snapshot>>>,
}

#[derive(Debug)]
struct Snapshot {
    ts: SyncTs,
    generation: u64,
    commits: u64,
    taken: Instant,
    /// Begun by the first who reads, ended when nobody waits.
    transaction: tokio::sync::Mutex<Transaction>,
    /// How many wait for it.
    waiting: AtomicUsize,
    results: Mutex<Results>,
}

#[derive(Debug)]
enum Transaction {
    New,
    Open(Box<QueryCx>),
    Ended,
}

#[derive(Debug, Default)]
struct Results {
    by_query: HashMap<String, Arc<Written>>,
    /// Queries that somebody has begun to read.
    begun: HashSet<String>,
    bytes: usize,
}

impl Snapshots {
    /// Reads these queries from one snapshot; gives its time, which was taken before the read began.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(
        &self,
        app: &Arc<App>,
        reader: Reader<'_>,
        wanted: &[Wanted<'_>],
    ) -> Result<(SyncTs, Vec<Arc<Written>>), StoreError> {
        let keys: Vec<String> =
            wanted.iter().map(|query| format!("{}\n{}\n{}", query.name, reader.identity, query.args)).collect();
        let mut fresh = reader.fresh;
        loop {
            let snapshot = self.take(app, reader.after, fresh);
            let is_awaited = match snapshot.claim(&keys) {
                Claim::Known(results) => return Ok((snapshot.ts, results)),
                Claim::Begun => true,
                Claim::Ours => false,
            };
            let own;
            let (snapshot, mut transaction) = match snapshot.transaction.try_lock() {
                Ok(transaction) => (&snapshot, transaction),
                Err(_) if is_awaited => (&snapshot, snapshot.wait().await),
                // Others read other things: we need not wait for them.
                Err(_) => {
                    own = Snapshot::new(app);
                    (&own, own.wait().await)
                }
            };
            // Taken out while it is used: when that fails or is given up, the transaction ends.
            let open = std::mem::replace(&mut *transaction, Transaction::Ended);
            // Whoever had it before us may have read the same.
            if let Some(results) = snapshot.all(&keys) {
                snapshot.put_back(open, &mut transaction);
                return Ok((snapshot.ts, results));
            }
            let mut cx = match open {
                Transaction::New => {
                    Box::new(QueryCx { tx: app.store.read().await?, caller: Caller::Public, app: Arc::clone(app) })
                }
                Transaction::Open(cx) => cx,
                Transaction::Ended => {
                    fresh = true;
                    continue;
                }
            };
            cx.caller = reader.caller.without_credential();
            let mut results = Vec::with_capacity(keys.len());
            for (query, key) in wanted.iter().zip(&keys) {
                let result = match snapshot.one(key) {
                    Some(known) => known,
                    None => {
                        let read = Written::new(query.name, &run(app, &mut cx, query).await?);
                        snapshot.keep(key, &read);
                        read
                    }
                };
                results.push(result);
            }
            snapshot.put_back(Transaction::Open(cx), &mut transaction);
            return Ok((snapshot.ts, results));
        }
    }

    /// The snapshot of before when it still shows what is there now, else a new one.
    fn take(&self, app: &App, after: SyncTs, fresh: bool) -> Arc<Snapshot> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (generation, commits) = (app.hub.generation(), app.store.commits().begun());
        if let Some(known) = &*current
            && !fresh
            && known.generation == generation
            && known.commits == commits
            && known.ts > after
            && known.taken.elapsed() < KEPT
        {
            return Arc::clone(known);
        }
        let new = Snapshot::new(app);
        *current = Some(Arc::clone(&new));
        new
    }
}

/// What is known of the queries that somebody wants.
enum Claim {
    /// All results.
    Known(Vec<Arc<Written>>),
    /// Somebody reads some of them already.
    Begun,
    /// It is on us.
    Ours,
}

impl Snapshot {
    fn new(app: &App) -> Arc<Self> {
        // First what tells of changes, then the time, then (later) the read: a change in between is in the read as well.
        let (generation, commits) = (app.hub.generation(), app.store.commits().begun());
        Arc::new(Self {
            ts: app.commits.tick(),
            generation,
            commits,
            taken: Instant::now(),
            transaction: tokio::sync::Mutex::new(Transaction::New),
            waiting: AtomicUsize::new(0),
            results: Mutex::default(),
        })
    }

    async fn wait(&self) -> MutexGuard<'_, Transaction> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let transaction = self.transaction.lock().await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        transaction
    }

    /// Leaves the transaction for whoever waits for it; else it ends: an open one keeps the database from tidying up.
    fn put_back(&self, open: Transaction, place: &mut Transaction) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            *place = open;
        }
    }

    fn claim(&self, keys: &[String]) -> Claim {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.iter().map(|key| results.by_query.get(key).cloned()).collect() {
            return Claim::Known(known);
        }
        let mut is_begun = false;
        for key in keys {
            is_begun |= !results.begun.insert(key.clone());
        }
        if is_begun { Claim::Begun } else { Claim::Ours }
    }

    fn one(&self, key: &str) -> Option<Arc<Written>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).by_query.get(key).cloned()
    }

    fn all(&self, keys: &[String]) -> Option<Vec<Arc<Written>>> {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| results.by_query.get(key).cloned()).collect()
    }

    fn keep(&self, key: &str, result: &Arc<Written>) {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = key.len() + result.size();
        if results.by_query.len() < MAX_RESULTS && results.bytes + bytes <= MAX_BYTES {
            results.bytes += bytes;
            results.by_query.insert(key.to_owned(), Arc::clone(result));
        }
    }
}

/// A database that fails is nobody's result: it fails the whole read.
async fn run(app: &App, cx: &mut QueryCx, query: &Wanted<'_>) -> Result<Outcome, StoreError> {
    let entry = match app.registry.find(query.name) {
        Ok(entry) => entry,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let args: Value = serde_json::from_str(query.args).unwrap_or_default();
    match entry.run_query(cx, args).await {
        Err(Fail::Store(error)) => Err(error),
        ended => Ok(ended.map_err(|fail| fail.into_refusal(entry.name))),
    }
}
