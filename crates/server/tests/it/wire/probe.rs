//! Functions that do what a test wants of them.
//!
//! A cell is a number in the database by its name (kept as a team of the caller): every change is a real commit that wakes the
//! cell's own topic, and every read is of a real snapshot.

use crate::support::TestServer;
use chatroom_protocol::function::Function;
use chatroom_protocol::room::Team;
use chatroom_protocol::{Callers, ErrorCode, Kind};
use chatroom_server::fail::{Result, refuse};
use chatroom_server::live::Topic;
use chatroom_server::registry::{MutationCx, QueryCx, Registry};
use chatroom_server::store::{Tx, teams};
use chatroom_server::{clock, functions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Mutex;
use tokio::sync::Semaphore;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Cell {
    pub(super) cell: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Large {
    cell: String,
    bytes: usize,
}

macro_rules! probes {
    ($($name:ident($args:ty) -> $output:ty = $text:literal, $kind:ident;)*) => {$(
        #[derive(Debug)]
        struct $name;
        impl Function for $name {
            const NAME: &'static str = $text;
            const KIND: Kind = Kind::$kind;
            const CALLERS: Callers = Callers::USER;
            const SUMMARY: &'static str = "For tests.";
            type Args = $args;
            type Output = $output;
        }
    )*};
}

probes! {
    Read(Cell) -> u64 = "probe.read", Query;
    ReadTwice(Cell) -> u64 = "probe.readWhileItChanges", Query;
    ReadLarge(Large) -> (u64, String) = "probe.readLarge", Query;
    Raise(Cell) -> u64 = "probe.raise", Mutation;
    RaiseGated(Cell) -> u64 = "probe.raiseGated", Mutation;
    RaiseAtSecondTry(Cell) -> u64 = "probe.raiseAtSecondTry", Mutation;
}

/// `probe.raiseGated` of a cell goes on when its test adds a permit. One server per test process would do without the name.
static GATES: Mutex<Vec<(String, &'static Semaphore)>> = Mutex::new(Vec::new());
static TRIED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The gate of a cell.
pub(super) fn gate(cell: &str) -> &'static Semaphore {
    let mut gates = GATES.lock().unwrap();
    if let Some((_, gate)) = gates.iter().find(|(name, _)| name == cell) {
        return gate;
    }
    let gate: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
    gates.push((cell.to_owned(), gate));
    gate
}

/// Every function of ours and those for tests.
pub(super) fn registry() -> Registry {
    let mut registry = functions::registry();
    registry.query::<Read>(|_, args| topics(&args.cell), |cx, args| Box::pin(read(cx, args)));
    registry.query::<ReadTwice>(|_, args| topics(&args.cell), |cx, args| Box::pin(read_while_it_changes(cx, args)));
    registry.query::<ReadLarge>(|_, args| topics(&args.cell), |cx, args| Box::pin(read_large(cx, args)));
    registry.mutation::<Raise>(|cx, args| Box::pin(raise(cx, args.cell)));
    registry.mutation::<RaiseGated>(|cx, args| {
        Box::pin(async move {
            gate(&args.cell).acquire().await.unwrap().forget();
            raise(cx, args.cell).await
        })
    });
    registry.mutation::<RaiseAtSecondTry>(|cx, args| {
        Box::pin(async move {
            let value = raise(cx, args.cell.clone()).await?;
            let mut tried = TRIED.lock().unwrap();
            if !tried.contains(&args.cell) {
                tried.push(args.cell);
                return refuse(ErrorCode::Conflict, "not at the first try");
            }
            Ok(value)
        })
    });
    registry
}

pub(super) async fn server() -> TestServer {
    TestServer::start_with(registry()).await
}

impl TestServer {
    /// Raises a cell by one, as the first user.
    pub(super) async fn raise(&self, cell: &str) {
        self.ok("probe.raise", json!({"cell": cell})).await;
    }

    /// How often a query was run.
    pub(super) fn executions(&self, name: &str) -> u64 {
        self.app.registry.find(name).unwrap().executions()
    }
}

fn topics(cell: &str) -> Vec<Topic> {
    vec![Topic::Machine(cell.into())]
}

async fn value(tx: &mut Tx, caller: &chatroom_server::caller::Caller, cell: &str) -> Result<u64> {
    let teams = teams::list(tx, caller.user_id()?).await?;
    Ok(teams.iter().find(|team| team.name == cell).map_or(0, |team| team.entry_role.parse().unwrap()))
}

async fn read(cx: &mut QueryCx, args: Cell) -> Result<u64> {
    value(&mut cx.tx, &cx.caller, &args.cell).await
}

/// Reads, and while nobody knows yet what was read, somebody else raises the cell; once.
async fn read_while_it_changes(cx: &mut QueryCx, args: Cell) -> Result<u64> {
    let read = value(&mut cx.tx, &cx.caller, &args.cell).await?;
    if read == 0 {
        let mut tx = cx.app.store.write().await?;
        write(&mut tx, &cx.caller, &args.cell, 1).await?;
        tx.commit().await?;
    }
    Ok(read)
}

async fn read_large(cx: &mut QueryCx, args: Large) -> Result<(u64, String)> {
    Ok((value(&mut cx.tx, &cx.caller, &args.cell).await?, "x".repeat(args.bytes)))
}

async fn raise(cx: &mut MutationCx, cell: String) -> Result<u64> {
    let value = value(&mut cx.tx, &cx.caller, &cell).await? + 1;
    write(&mut cx.tx, &cx.caller, &cell, value).await?;
    Ok(value)
}

async fn write(tx: &mut Tx, caller: &chatroom_server::caller::Caller, cell: &str, value: u64) -> Result<()> {
    let team = Team { name: cell.to_owned(), roles: Vec::new(), entry_role: value.to_string() };
    teams::upsert(tx, caller.user_id()?, &team, clock::now()).await?;
    tx.wake(Topic::Machine(cell.into()));
    Ok(())
}
