//! Everything that outlives a call.

use crate::caller::Caller;
use crate::live::Hub;
use crate::registry::{QueryCx, Registry, Request};
use crate::store::{Store, credentials};
use crate::{clock, secret};
use chatroom_protocol::id::CredentialId;
use chatroom_protocol::sync::SyncTs;
use chatroom_protocol::{Kind, Refusal, UnixMs};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The server's state, shared by every request and socket.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Store,
    /// Who watches what.
    pub hub: Arc<Hub>,
    /// Every function.
    pub registry: Registry,
    /// This server process among its replicas.
    pub replica: String,
    /// The base of links for people, without a trailing slash.
    pub public_url: String,
    /// Slows down those who guess codes.
    pub guesses: crate::limit::Guesses,
    /// Works on passwords.
    pub passwords: crate::password::Hasher,
    /// Slows down device logins that poll too often.
    pub polls: crate::limit::Polls,
    /// The commit clock of the live channel.
    pub commits: crate::sync::CommitClock,
    /// What sockets read together.
    pub snapshots: crate::sync::snapshots::Snapshots,
    /// How often a socket reads everything again in case a wake was lost, in milliseconds (give or take a fifth).
    pub fallback_ms: AtomicU64,
    /// Tells the reconciler that a deadline was set that may be the next.
    pub deadline_set: Notify,
    last_used: Mutex<HashMap<CredentialId, UnixMs>>,
    /// Times that were handed out to read at, with the number of commits before them.
    issued: Mutex<VecDeque<(SyncTs, u64)>>,
}

/// How many handed out times are remembered.
const ISSUED: usize = 256;

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(store: Store, hub: Arc<Hub>, registry: Registry, replica: String, public_url: String) -> Self {
        Self {
            store,
            hub,
            registry,
            replica,
            public_url,
            guesses: crate::limit::Guesses::default(),
            passwords: crate::password::Hasher::default(),
            polls: crate::limit::Polls::default(),
            commits: crate::sync::CommitClock::default(),
            snapshots: crate::sync::snapshots::Snapshots::default(),
            fallback_ms: AtomicU64::new(30_000),
            deadline_set: Notify::new(),
            last_used: Mutex::new(HashMap::new()),
            issued: Mutex::new(VecDeque::new()),
        }
    }

    /// Who a token speaks for; [`Caller::Public`] when it is not valid (any more).
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn caller(&self, token: &str) -> crate::store::Result<Caller> {
        let now = clock::now();
        let caller = self.still_caller(token).await?;
        if let Some(id) = caller.credential_id() {
            self.last_used.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), now);
        }
        Ok(caller)
    }

    /// The same, for a look that is no use of the credential.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn still_caller(&self, token: &str) -> crate::store::Result<Caller> {
        let mut tx = self.store.read().await?;
        credentials::find_caller(&mut tx, &secret::hash(token), clock::now()).await
    }

    /// Takes when which credential was last used, to be written down now and then.
    #[must_use]
    pub fn take_last_used(&self) -> HashMap<CredentialId, UnixMs> {
        std::mem::take(&mut self.last_used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A time to read at, for as long as nothing is written.
    #[must_use]
    pub fn issue_ts(&self) -> SyncTs {
        let ts = self.commits.tick();
        if let Some(commits) = self.store.commits().settled() {
            let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
            issued.truncate(ISSUED - 1);
            issued.push_front((ts, commits));
        }
        ts
    }

    /// Whether what was read until now is what a read at this time would have found (as far as this process knows).
    #[must_use]
    pub fn is_still(&self, ts: SyncTs) -> bool {
        let commits = self.store.commits().begun();
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.iter().any(|(known, before)| *known == ts && *before == commits)
    }

    /// Calls a function of whichever kind.
    ///
    /// # Errors
    /// What the function refuses, in the caller's words.
    pub async fn call(self: &Arc<Self>, name: &str, wanted: Option<Kind>, request: &Request) -> Result<Value, Refusal> {
        let entry = self.registry.find(name)?;
        if let Some(wanted) = wanted
            && wanted != entry.kind
        {
            let kind = |kind| if kind == Kind::Query { "query" } else { "mutation" };
            return Err(Refusal::bad_request(format!("{name} is a {}, not a {}", kind(entry.kind), kind(wanted))));
        }
        let answer = match entry.kind {
            Kind::Mutation => entry.run_mutation(self, request).await,
            Kind::Query => match self.store.read().await {
                Ok(tx) => {
                    let mut cx = QueryCx { tx, caller: request.caller.clone(), app: Arc::clone(self) };
                    entry.run_query(&mut cx, request.args.clone()).await
                }
                Err(error) => Err(error.into()),
            },
        };
        answer.map_err(|fail| fail.into_refusal(name))
    }
}
