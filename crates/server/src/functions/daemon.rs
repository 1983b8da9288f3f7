//! `machines.openDaemonSession`, `.getPendingCommands`, `.updateDaemonStatus`: a machine's daemon and whether it is there.

use super::settle::{FRESH_MS, Inventory, settle};
use crate::app::App;
use crate::caller::Caller;
use crate::clock;
use crate::fail::{Fail, Result};
use crate::live::Topic;
use crate::registry::{Closed, MutationCx, Presence, QueryCx, Registry};
use crate::store::machines::{self, Socket};
use crate::store::{self, Tx, commands, daemon_sessions, retried};
use chatroom_protocol::agent::AgentReport;
use chatroom_protocol::api::machines::{
    DaemonSessionOpened, DaemonStatusOutcome, GetPendingCommands, GetPendingCommandsArgs, OpenDaemonSession,
    OpenDaemonSessionArgs, PendingCommands, UpdateDaemonStatus, UpdateDaemonStatusArgs,
};
use chatroom_protocol::id::{MachineId, UserId};
use chatroom_protocol::machine::ConnectionState;
use chatroom_protocol::{ErrorCode, Refusal};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;

/// How many agents one report may name.
const REPORTS: usize = 1000;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<OpenDaemonSession>(|cx, args| Box::pin(open_session(cx, args)));
    registry.mutation::<UpdateDaemonStatus>(|cx, args| Box::pin(update_status(cx, args)));
    registry.present_query::<GetPendingCommands>(
        |_, args| vec![Topic::Machine(args.machine_id.clone())],
        |cx, args| Box::pin(pending_commands(cx, args)),
        DaemonPresence,
    );
}

/// The calling machine, which may only be itself.
///
/// # Errors
/// `not_found` for another machine, and for one that was removed.
pub(crate) async fn own_machine(tx: &mut Tx, caller: &Caller, id: &MachineId) -> Result<machines::Row> {
    caller.may_name_machine(id)?;
    Ok(machines::find(tx, caller.user_id()?, id).await?.ok_or_else(|| Refusal::not_found("machine"))?)
}

/// Whether this epoch is the machine's newest.
///
/// # Errors
/// `bad_request` when it was never granted.
pub(crate) fn is_current(machine: &machines::Row, epoch: i64) -> Result<bool> {
    if epoch < 1 || epoch > machine.epoch {
        return Err(Refusal::bad_request(format!("the epoch {epoch} was never granted to this machine"))
            .hint("open a session with machines.openDaemonSession")
            .into());
    }
    Ok(epoch == machine.epoch)
}

/// Refuses reports that no daemon makes.
///
/// # Errors
/// `bad_request` when there are too many.
pub(crate) fn check_reports(reports: &[AgentReport]) -> Result<()> {
    if reports.len() > REPORTS {
        return Err(Refusal::bad_request(format!("at most {REPORTS} agents can be reported at once")).into());
    }
    Ok(())
}

async fn open_session(cx: &mut MutationCx, args: OpenDaemonSessionArgs) -> Result<DaemonSessionOpened> {
    let machine = own_machine(&mut cx.tx, &cx.caller, &args.machine_id).await?;
    check_reports(&args.agents)?;
    for (field, text) in [("sessionId", args.session_id.as_str()), ("bootId", &args.boot_id)] {
        if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
            return Err(Refusal::bad_request(format!("{field} is a text of 1 to 200 bytes")).into());
        }
    }
    let known = daemon_sessions::find(&mut cx.tx, &machine.id, &args.session_id).await?;
    let (epoch, inventory) = match known {
        // Asked again, after a lost answer perhaps: what it tells may be older than what has happened since.
        Some(session) => (session.epoch, Inventory::Heartbeat),
        None => {
            let epoch = machines::advance_epoch(&mut cx.tx, &machine.user_id, &machine.id, machine.epoch)
                .await?
                .ok_or_else(|| Refusal::new(ErrorCode::Conflict, "another session was opened at the same moment"))?;
            let session = daemon_sessions::Row {
                machine_id: machine.id.clone(),
                epoch,
                session_id: args.session_id,
                boot_id: args.boot_id,
                opened_at: cx.now,
            };
            daemon_sessions::insert(&mut cx.tx, &session).await?;
            tracing::info!(machine.id = %machine.id, epoch, "a daemon session was opened");
            (epoch, Inventory::Opening)
        }
    };
    let unwanted = if epoch >= machine.epoch {
        machines::set_last_seen(&mut cx.tx, &machine.user_id, &machine.id, cx.now).await?;
        settle(&mut cx.tx, &machine.user_id, &machine.id, &args.agents, inventory, cx.now).await?
    } else {
        Vec::new()
    };
    Ok(DaemonSessionOpened { epoch, server_time: cx.now, unwanted })
}

async fn update_status(cx: &mut MutationCx, args: UpdateDaemonStatusArgs) -> Result<DaemonStatusOutcome> {
    let machine = own_machine(&mut cx.tx, &cx.caller, &args.machine_id).await?;
    check_reports(&args.agents)?;
    if !is_current(&machine, args.epoch)? {
        return Ok(DaemonStatusOutcome::Superseded);
    }
    if cx.now.since(machine.last_seen_at) >= FRESH_MS {
        machines::set_last_seen(&mut cx.tx, &machine.user_id, &machine.id, cx.now).await?;
    }
    let unwanted =
        settle(&mut cx.tx, &machine.user_id, &machine.id, &args.agents, Inventory::Heartbeat, cx.now).await?;
    Ok(DaemonStatusOutcome::Applied { unwanted })
}

async fn pending_commands(cx: &mut QueryCx, args: GetPendingCommandsArgs) -> Result<PendingCommands> {
    let machine = own_machine(&mut cx.tx, &cx.caller, &args.machine_id).await?;
    if !is_current(&machine, args.epoch)? {
        return Ok(PendingCommands::Superseded);
    }
    let commands = commands::list_claimable(&mut cx.tx, &machine.id, args.epoch).await?;
    Ok(PendingCommands::Current { commands })
}

/// A socket that subscribes the pending commands of the newest session is what "connected" means.
struct DaemonPresence;

impl Presence for DaemonPresence {
    fn opened<'a>(
        &'a self,
        app: &'a Arc<App>,
        caller: &'a Caller,
        args: &'a Value,
        socket: &'a str,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let args = read_args(args)?;
            caller.may_name_machine(&args.machine_id)?;
            let user_id = caller.user_id()?;
            if retried(|| connect(app, user_id, &args, socket)).await? {
                return Ok(());
            }
            Err(Refusal::new(ErrorCode::Superseded, "a newer daemon session of this machine has taken over").into())
        })
    }

    fn closed<'a>(
        &'a self,
        app: &'a Arc<App>,
        _: &'a Caller,
        args: &'a Value,
        socket: &'a str,
        why: Closed,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let args = read_args(args)?;
            let state = match why {
                Closed::Gone => ConnectionState::Disconnected,
                Closed::Silent => ConnectionState::Silent,
                Closed::ServerStops => ConnectionState::Unknown,
            };
            retried(|| leave(app, &args.machine_id, socket, state)).await?;
            Ok(())
        })
    }
}

fn read_args(args: &Value) -> Result<GetPendingCommandsArgs> {
    serde_json::from_value(args.clone()).map_err(|error| Fail::Refused(Refusal::bad_request(error.to_string())))
}

async fn connect(app: &App, user_id: &UserId, args: &GetPendingCommandsArgs, socket: &str) -> store::Result<bool> {
    let mut tx = app.store.write().await?;
    let socket = Socket { socket, replica: &app.replica };
    let connected =
        machines::set_connected(&mut tx, user_id, &args.machine_id, args.epoch, socket, clock::now()).await?;
    tx.commit().await?;
    Ok(connected)
}

async fn leave(app: &App, id: &MachineId, socket: &str, state: ConnectionState) -> store::Result<bool> {
    let mut tx = app.store.write().await?;
    let left = machines::set_left(&mut tx, id, socket, state, clock::now()).await?;
    tx.commit().await?;
    Ok(left)
}
