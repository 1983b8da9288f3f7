//! The function registry: every function of the API as one typed item, from which HTTP, the live channel and the CLI are made.

use crate::app::App;
use crate::caller::Caller;
use crate::fail::{Fail, Result};
use crate::live::Topic;
use crate::store::{Tx, idempotency, retried};
use crate::{clock, secret};
use chatroom_protocol::{Callers, ErrorCode, Function, Kind, Refusal, UnixMs, value};
use futures_util::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a query has at hand: one snapshot, the caller, and no clock.
#[derive(Debug)]
pub struct QueryCx {
    /// The snapshot.
    pub tx: Tx,
    /// Who asks.
    pub caller: Caller,
    /// Everything that outlives the call.
    pub app: Arc<App>,
}

/// What a mutation has at hand: one serialisable transaction, the caller and the time.
#[derive(Debug)]
pub struct MutationCx {
    /// The transaction; the registry commits it when the function answers, and rolls it back when it refuses.
    pub tx: Tx,
    /// Who asks.
    pub caller: Caller,
    /// The server's clock at the start of the call.
    pub now: UnixMs,
    /// From where, when known.
    pub address: Option<IpAddr>,
    /// Everything that outlives the call.
    pub app: Arc<App>,
}

/// A query's code.
pub type QueryHandler<A, O> = for<'a> fn(&'a mut QueryCx, A) -> BoxFuture<'a, Result<O>>;
/// A mutation's code.
pub type MutationHandler<A, O> = for<'a> fn(&'a mut MutationCx, A) -> BoxFuture<'a, Result<O>>;
/// Adds a type and what it is made of to a document's schemas.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;
/// What a query's answer depends on, told before it is read.
pub type Topics<A> = fn(&Caller, &A) -> Vec<Topic>;

/// A subscription that is evidence: that a socket holds it means that somebody is there.
pub trait Presence: Send + Sync {
    /// A socket begins to hold the subscription (or holds it again after its credential was confirmed).
    fn opened<'a>(
        &'a self,
        app: &'a Arc<App>,
        caller: &'a Caller,
        args: &'a Value,
        socket: &'a str,
    ) -> BoxFuture<'a, Result<()>>;
    /// The socket has let go.
    fn closed<'a>(
        &'a self,
        app: &'a Arc<App>,
        caller: &'a Caller,
        args: &'a Value,
        socket: &'a str,
        why: Closed,
    ) -> BoxFuture<'a, Result<()>>;
}

/// Why a socket let go of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The peer closed or unsubscribed, or the connection broke.
    Gone,
    /// The peer sent no frame for 30 seconds.
    Silent,
    /// This server stops.
    ServerStops,
}

type Erased<Cx> = Box<dyn for<'a> Fn(&'a mut Cx, Value) -> BoxFuture<'a, Result<Value>> + Send + Sync>;
type ErasedTopics = Box<dyn Fn(&Caller, &Value) -> Result<Vec<Topic>> + Send + Sync>;

enum Code {
    Query { run: Erased<QueryCx>, topics: ErasedTopics, presence: Option<Box<dyn Presence>> },
    Mutation { run: Erased<MutationCx> },
}

/// One function.
pub struct Entry {
    /// `module.function`.
    pub name: &'static str,
    /// Query or mutation.
    pub kind: Kind,
    /// Who may call it.
    pub callers: Callers,
    /// Whether its answer holds a secret.
    pub secret: bool,
    /// One sentence.
    pub summary: &'static str,
    /// The schema of the arguments.
    pub args_schema: SchemaOf,
    /// The schema of the answer.
    pub output_schema: SchemaOf,
    executions: AtomicU64,
    parse: fn(Value) -> Result<()>,
    code: Code,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Every function, by name.
#[derive(Debug, Default)]
pub struct Registry {
    entries: BTreeMap<&'static str, Entry>,
}

/// One call, however it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub caller: Caller,
    /// From where, when known.
    pub address: Option<IpAddr>,
    /// The arguments as they came.
    pub args: Value,
    /// For a mutation over the live channel.
    pub replay_key: Option<SocketCall>,
}

/// What a mutation over the live channel has besides: it may come again after the socket broke, and other messages go on.
#[derive(Clone, Debug)]
pub struct SocketCall {
    /// Names the call for replays: session and request number.
    pub key: String,
    /// Set before the commit begins: what is read from then on may hold the mutation's effects.
    pub committing: Arc<AtomicBool>,
}

impl Registry {
    /// Adds a query.
    pub fn query<F: Function>(&mut self, topics: Topics<F::Args>, handler: QueryHandler<F::Args, F::Output>) {
        self.add_query::<F>(topics, handler, None);
    }

    /// Adds a query whose subscription is evidence that somebody is there.
    pub fn present_query<F: Function>(
        &mut self,
        topics: Topics<F::Args>,
        handler: QueryHandler<F::Args, F::Output>,
        presence: impl Presence + 'static,
    ) {
        self.add_query::<F>(topics, handler, Some(Box::new(presence)));
    }

    fn add_query<F: Function>(
        &mut self,
        topics: Topics<F::Args>,
        handler: QueryHandler<F::Args, F::Output>,
        presence: Option<Box<dyn Presence>>,
    ) {
        debug_assert_eq!(F::KIND, Kind::Query, "{}", F::NAME);
        self.add::<F>(Code::Query {
            run: Box::new(move |cx, args| Box::pin(async move { to_value(handler(cx, typed::<F>(args)?).await?) })),
            topics: Box::new(move |caller, args| Ok(topics(caller, &typed::<F>(args.clone())?))),
            presence,
        });
    }

    /// Adds a mutation.
    pub fn mutation<F: Function>(&mut self, handler: MutationHandler<F::Args, F::Output>) {
        debug_assert_eq!(F::KIND, Kind::Mutation, "{}", F::NAME);
        self.add::<F>(Code::Mutation {
            run: Box::new(move |cx, args| Box::pin(async move { to_value(handler(cx, typed::<F>(args)?).await?) })),
        });
    }

    fn add<F: Function>(&mut self, code: Code) {
        let entry = Entry {
            name: F::NAME,
            kind: F::KIND,
            callers: F::CALLERS,
            secret: F::SECRET,
            summary: F::SUMMARY,
            args_schema: SchemaGenerator::subschema_for::<F::Args>,
            output_schema: SchemaGenerator::subschema_for::<F::Output>,
            parse: |args| typed::<F>(args).map(drop),
            executions: AtomicU64::new(0),
            code,
        };
        let before = self.entries.insert(F::NAME, entry);
        debug_assert!(before.is_none(), "{} is registered twice", F::NAME);
    }

    /// Every function, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Finds a function by its canonical name.
    ///
    /// # Errors
    /// `not_found` when there is none.
    pub fn find(&self, name: &str) -> std::result::Result<&Entry, Refusal> {
        self.entries.get(name).ok_or_else(|| {
            Refusal::new(ErrorCode::NotFound, format!("there is no function {name:?}"))
                .hint("`chatroom api` without arguments lists every function")
        })
    }
}

impl Registry {
    /// Why a function cannot be called as an action: there are none, or this is something else.
    #[must_use]
    pub fn no_action(&self, name: &str) -> Refusal {
        match self.find(name) {
            Ok(entry) => {
                let kind = if entry.kind == Kind::Query { "a query" } else { "a mutation" };
                Refusal::bad_request(format!("{name} is {kind}, not an action; this server has no actions"))
            }
            Err(refusal) => refusal,
        }
    }
}

impl Entry {
    /// Whether this caller may call it at all.
    ///
    /// # Errors
    /// `unauthenticated` without a credential, `forbidden` for the wrong kind of caller.
    pub fn admit(&self, caller: &Caller) -> std::result::Result<(), Refusal> {
        if self.callers.contains(Callers::PUBLIC) || self.callers.contains(caller.kind()) {
            if let Caller::User { scope: chatroom_protocol::user::TokenScope::Read, .. } = caller
                && self.kind == Kind::Mutation
                && self.name != "auth.logout"
            {
                return Err(Refusal::new(
                    ErrorCode::Forbidden,
                    format!("this token may only read; {} writes", self.name),
                ));
            }
            return Ok(());
        }
        match caller {
            Caller::Public => Err(Refusal::new(ErrorCode::Unauthenticated, "no valid credential came with this call")
                .hint("sign in with `chatroom auth login`")),
            _ => Err(Refusal::new(ErrorCode::Forbidden, format!("this kind of credential may not call {}", self.name))),
        }
    }

    /// Whether these arguments have the function's form.
    ///
    /// # Errors
    /// `bad_request` with what is wrong.
    pub fn check_args(&self, args: Value) -> Result<()> {
        (self.parse)(args)
    }

    /// How often it was run as a query.
    #[must_use]
    pub fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    /// What a query's answer to these arguments depends on.
    ///
    /// # Errors
    /// `bad_request` for arguments of the wrong form, or when it is no query.
    pub fn topics(&self, caller: &Caller, args: &Value) -> Result<Vec<Topic>> {
        match &self.code {
            Code::Query { topics, .. } => topics(caller, args),
            Code::Mutation { .. } => Err(wrong_kind(self.name, "a mutation", "a query").into()),
        }
    }

    /// The evidence that a subscription of this query is, if it is one.
    #[must_use]
    pub fn presence(&self) -> Option<&dyn Presence> {
        match &self.code {
            Code::Query { presence, .. } => presence.as_deref(),
            Code::Mutation { .. } => None,
        }
    }

    /// Runs a query in the snapshot of `cx`.
    ///
    /// # Errors
    /// What the function refuses.
    pub async fn run_query(&self, cx: &mut QueryCx, args: Value) -> Result<Value> {
        self.admit(&cx.caller)?;
        match &self.code {
            Code::Query { run, .. } => {
                self.executions.fetch_add(1, Ordering::Relaxed);
                run(cx, args).await
            }
            Code::Mutation { .. } => Err(wrong_kind(self.name, "a mutation", "a query").into()),
        }
    }

    /// Runs a mutation in its own transaction, once per idempotency key; a lost race is run again.
    ///
    /// # Errors
    /// What the function refuses: then nothing has changed.
    pub async fn run_mutation(&self, app: &Arc<App>, request: &Request) -> Result<Value> {
        self.admit(&request.caller)?;
        let Code::Mutation { run } = &self.code else {
            return Err(wrong_kind(self.name, "a query", "a mutation").into());
        };
        let (args, key) = take_idempotency_key(request)?;
        let args_hash = secret::hash(&value::canonical_text(&args));
        retried(|| self.attempt(app, request, run, &args, key.as_deref(), &args_hash)).await
    }

    async fn attempt(
        &self,
        app: &Arc<App>,
        request: &Request,
        run: &Erased<MutationCx>,
        args: &Value,
        key: Option<&str>,
        args_hash: &str,
    ) -> Result<Value> {
        let now = clock::now();
        let actor = request.caller.actor();
        let mut cx = MutationCx {
            tx: app.store.write().await?,
            caller: request.caller.clone(),
            now,
            address: request.address,
            app: Arc::clone(app),
        };
        // An answer with a secret is never stored: asking again makes a new one, which revokes the lost one.
        let key = key.filter(|_| !self.secret);
        if let Some(key) = key
            && let Some(record) = idempotency::find(&mut cx.tx, &actor, self.name, key).await?
        {
            if record.args_hash != args_hash {
                return Err(Refusal::new(
                    ErrorCode::IdempotencyKeyReused,
                    format!("the idempotency key {key:?} was used before with other arguments"),
                )
                .hint("use a new key for a new call")
                .into());
            }
            return Ok(record.result);
        }
        let answer = run(&mut cx, args.clone()).await?;
        if let Some(key) = key {
            idempotency::insert(&mut cx.tx, &actor, self.name, key, args_hash, &answer, now).await?;
        }
        if let Some(call) = &request.replay_key {
            call.committing.store(true, Ordering::SeqCst);
        }
        cx.tx.commit().await?;
        Ok(answer)
    }
}

/// `idempotencyKey` belongs to the call, not to the function's own arguments.
fn take_idempotency_key(request: &Request) -> Result<(Value, Option<String>)> {
    let mut args = request.args.clone();
    let given = args.as_object_mut().and_then(|fields| fields.remove("idempotencyKey"));
    let key = match given {
        None | Some(Value::Null) => request.replay_key.as_ref().map(|call| call.key.clone()),
        Some(Value::String(key)) if !key.is_empty() && key.len() <= 200 => Some(key),
        Some(_) => return Err(Refusal::bad_request("idempotencyKey is a text of 1 to 200 bytes").into()),
    };
    Ok((args, key))
}

fn typed<F: Function>(args: Value) -> Result<F::Args> {
    let bad = |error: String| Fail::from(Refusal::bad_request(format!("arguments of {}: {error}", F::NAME)));
    // Serde would take a list of values for a struct.
    if !args.is_object() {
        return Err(bad("they are one object".to_owned()));
    }
    let args = value::from_encoded(&args).map_err(|error| bad(error.to_string()))?;
    serde_json::from_value(args).map_err(|error| bad(error.to_string()))
}

/// An answer that could not stand on the wire is our fault; a mutation with one is rolled back.
fn to_value<T: serde::Serialize>(answer: T) -> Result<Value> {
    let answer = serde_json::to_value(answer).map_err(|error| Fail::Internal(error.into()))?;
    value::to_encoded(&answer).map_err(|error| Fail::Internal(error.into()))?;
    Ok(answer)
}

fn wrong_kind(name: &str, is: &str, wanted: &str) -> Refusal {
    Refusal::bad_request(format!("{name} is {is}, not {wanted}"))
}
