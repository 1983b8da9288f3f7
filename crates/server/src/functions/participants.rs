//! `participants.*`: who waits for work in a room.

use super::chatrooms::{find_own, find_role, refuse_archived};
use super::messages::cli_path;
use crate::caller::Caller;
use crate::fail::{Result, refuse};
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::store::participants::{self, Joining, Waiter};
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::api::participants::{Join, JoinArgs, Joined, List, Participant};
use chatroom_protocol::id::AgentId;
use chatroom_protocol::{ErrorCode, Refusal};

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Join>(|cx, args| Box::pin(join(cx, args)));
    registry.query::<List>(|_, args| vec![Topic::Tasks(args.chatroom_id.clone())], |cx, args| Box::pin(list(cx, args)));
}

/// The agent that calls, when one does.
#[must_use]
pub fn agent_of(caller: &Caller) -> Option<&AgentId> {
    match caller {
        Caller::Agent { agent_id, .. } => Some(agent_id),
        _ => None,
    }
}

/// What a waiter is told that was taken over from.
#[must_use]
pub fn superseded(role: &str) -> String {
    format!("another `wait-for-task` was started for the role {role}; only the newest one gets tasks")
}

async fn join(cx: &mut MutationCx, args: JoinArgs) -> Result<Joined> {
    cx.caller.may_name_role(&args.chatroom_id, &args.role)?;
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let role = find_role(&room, &args.role)?;
    refuse_archived(&room)?;
    if args.waiter_id.as_str().is_empty() || args.waiter_id.as_str().len() > 100 {
        return Err(Refusal::bad_request("waiterId is a text of 1 to 100 bytes").into());
    }
    let machine_id = match (&args.machine_id, &cx.caller) {
        (Some(machine_id), caller) => {
            // Also tells whether it is the caller's.
            cli_path(&mut cx.tx, caller, Some(machine_id)).await?;
            Some(machine_id.clone())
        }
        (None, Caller::Agent { machine_id, .. }) => Some(machine_id.clone()),
        (None, _) => None,
    };
    let waiter = Waiter { waiter_id: args.waiter_id, agent_id: agent_of(&cx.caller).cloned(), machine_id };
    match participants::join(&mut cx.tx, &room.chatroom_id, &role.name, &waiter, cx.now).await? {
        Joining::Joined => Ok(Joined { chatroom_name: room.name.clone(), role: role.name.clone() }),
        Joining::Superseded => refuse(ErrorCode::Superseded, superseded(&role.name)),
    }
}

async fn list(cx: &mut QueryCx, args: ChatroomArgs) -> Result<Vec<Participant>> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    Ok(participants::list(&mut cx.tx, &room.chatroom_id).await?)
}
