//! `chatrooms.*`: rooms, and the two questions that every function of a room asks first: whose it is, and which role is meant.

use super::lifecycle::{Slot, want_stopped};
use super::starts::start_for_task;
use super::{teams, text};
use crate::caller::Caller;
use crate::fail::{Result, refuse};
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::{Tx, agents, chatrooms, desired, participants, tasks};
use chatroom_protocol::agent::DesiredBy;
use chatroom_protocol::api::chatrooms::{
    Archive, Create, CreateArgs, Get, List, RemovedRoleTasks, TeamUpdated, UpdateTeam, UpdateTeamArgs,
};
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::room::{Chatroom, Team, TeamRole};
use chatroom_protocol::{ErrorCode, Refusal, UnixMs};

/// Rooms of one user that are not archived.
pub const MAX_ROOMS: i64 = 1000;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Create>(|cx, args| Box::pin(create(cx, args)));
    registry.query::<List>(
        |caller, _| caller.user_id().map(|id| vec![Topic::Chatrooms(id.clone())]).unwrap_or_default(),
        |cx, _| Box::pin(list(cx)),
    );
    registry
        .query::<Get>(|_, args| vec![Topic::Chatroom(args.chatroom_id.clone())], |cx, args| Box::pin(get(cx, args)));
    registry.mutation::<UpdateTeam>(|cx, args| Box::pin(update_team(cx, args)));
    registry.mutation::<Archive>(|cx, args| Box::pin(archive(cx, args)));
}

/// The room of this id, archived or not, if the caller may know of it.
///
/// # Errors
/// `not_found` when there is none, or it is somebody else's, or not the calling agent's.
pub async fn find_own(tx: &mut Tx, caller: &Caller, id: &ChatroomId) -> Result<Chatroom> {
    caller.may_name_chatroom(id)?;
    match chatrooms::find(tx, caller.user_id()?, id).await? {
        Some(room) => Ok(room),
        None => Err(Refusal::not_found("chatroom").into()),
    }
}

/// The role of this name in a room's team.
///
/// # Errors
/// `unknown_role`, with the roles that there are.
pub fn find_role<'a>(room: &'a Chatroom, name: &str) -> Result<&'a TeamRole> {
    match room.team.role(name) {
        Some(role) => Ok(role),
        None => Err(Refusal::new(
            ErrorCode::UnknownRole,
            format!("the team of this room has no role {:?}", name.trim().to_lowercase()),
        )
        .hint(format!("its roles are: {}", room.team.role_names()))
        .into()),
    }
}

/// Refuses what an archived room does not take any more.
///
/// # Errors
/// `conflict` when the room is archived.
pub fn refuse_archived(room: &Chatroom) -> Result<()> {
    match room.archived_at {
        None => Ok(()),
        Some(_) => refuse(
            ErrorCode::Conflict,
            "this chatroom is archived; it takes no more messages and hands out no more tasks",
        ),
    }
}

async fn create(cx: &mut MutationCx, args: CreateArgs) -> Result<Chatroom> {
    let user_id = cx.caller.user_id()?.clone();
    let name = text::name(&args.name)?;
    let team = teams::find(&mut cx.tx, &cx.caller, &args.team).await?;
    if chatrooms::count(&mut cx.tx, &user_id).await? >= MAX_ROOMS {
        return Err(Refusal::new(ErrorCode::LimitReached, format!("there are {MAX_ROOMS} chatrooms already"))
            .hint("archive one that is not needed any more: `chatroom room archive --chatroom-id=ID`")
            .into());
    }
    let room = Chatroom { chatroom_id: secret::new_id(), name, team, created_at: cx.now, archived_at: None };
    chatrooms::insert(&mut cx.tx, &user_id, &room).await?;
    Ok(room)
}

async fn list(cx: &mut QueryCx) -> Result<Vec<Chatroom>> {
    Ok(chatrooms::list(&mut cx.tx, cx.caller.user_id()?).await?)
}

async fn get(cx: &mut QueryCx, args: ChatroomArgs) -> Result<Chatroom> {
    find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await
}

async fn archive(cx: &mut MutationCx, args: ChatroomArgs) -> Result<Chatroom> {
    find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    // Archived already is as good as archived now.
    chatrooms::archive(&mut cx.tx, cx.caller.user_id()?, &args.chatroom_id, cx.now).await?;
    desired::stop_of_room(&mut cx.tx, &args.chatroom_id, cx.now).await?;
    find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await
}

async fn update_team(cx: &mut MutationCx, args: UpdateTeamArgs) -> Result<TeamUpdated> {
    let user_id = cx.caller.user_id()?.clone();
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    refuse_archived(&room)?;
    let team = teams::find(&mut cx.tx, &cx.caller, &args.team).await?;
    let (removed, added) = (missing(&room.team, &team), missing(&team, &room.team));
    refuse_running(&mut cx.tx, &room, &removed).await?;
    let what = decide_tasks(&mut cx.tx, &room, &removed, args.removed_role_tasks).await?;
    let (mut moved_tasks, mut cancelled_tasks, mut superseded_waiters) = (Vec::new(), Vec::new(), Vec::new());
    for role in &removed {
        let id = &room.chatroom_id;
        match what {
            RemovedRoleTasks::Move => {
                moved_tasks.extend(tasks::move_to_role(&mut cx.tx, id, role, &team.entry_role, cx.now).await?);
            }
            RemovedRoleTasks::Cancel => {
                cancelled_tasks.extend(tasks::cancel_of_role(&mut cx.tx, id, role, cx.now).await?);
            }
        }
        if participants::supersede(&mut cx.tx, id, role, cx.now).await? {
            superseded_waiters.push(role.clone());
        }
        unwant(&mut cx.tx, &room, role, cx.now).await?;
    }
    chatrooms::set_team(&mut cx.tx, &user_id, &room.chatroom_id, &team).await?;
    let chatroom = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    if !moved_tasks.is_empty() {
        start_for_task(&mut cx.tx, &user_id, &chatroom, &team.entry_role, cx.now).await?;
    }
    Ok(TeamUpdated {
        chatroom,
        removed_roles: removed,
        added_roles: added,
        moved_tasks,
        cancelled_tasks,
        superseded_waiters,
    })
}

/// No agent is wanted any more in a role that is removed.
async fn unwant(tx: &mut Tx, room: &Chatroom, role: &str, now: UnixMs) -> Result<()> {
    if let Some(row) = desired::find(tx, &room.chatroom_id, role).await?
        && row.desired.running
    {
        let slot =
            Slot { user_id: &row.user_id, chatroom_id: &row.chatroom_id, role, machine_id: &row.desired.machine_id };
        want_stopped(tx, slot, DesiredBy::Server, now).await?;
    }
    Ok(())
}

/// The roles of one team that another does not have.
fn missing(of: &Team, other: &Team) -> Vec<String> {
    of.roles.iter().filter(|role| other.role(&role.name).is_none()).map(|role| role.name.clone()).collect()
}

async fn refuse_running(tx: &mut Tx, room: &Chatroom, removed: &[String]) -> Result<()> {
    for role in removed {
        if let Some(row) = agents::list_of_role(tx, &room.chatroom_id, role).await?.first() {
            let (id, state) = (&row.agent.agent_id, row.agent.state.name());
            return Err(Refusal::new(
                ErrorCode::Conflict,
                format!("the new team has no role {role}, and agent {id} of that role is {state}"),
            )
            .hint(format!("stop it first: `chatroom agent stop --chatroom-id={} --role={role}`", room.chatroom_id))
            .into());
        }
    }
    Ok(())
}

/// What becomes of open tasks of removed roles: somebody has to say it when there are any.
async fn decide_tasks(
    tx: &mut Tx,
    room: &Chatroom,
    removed: &[String],
    told: Option<RemovedRoleTasks>,
) -> Result<RemovedRoleTasks> {
    if let Some(told) = told {
        return Ok(told);
    }
    let mut open = Vec::new();
    for role in removed {
        let count = tasks::count_open_of_role(tx, &room.chatroom_id, role).await?;
        if count > 0 {
            open.push(format!("{role} ({count})"));
        }
    }
    if open.is_empty() {
        return Ok(RemovedRoleTasks::Move);
    }
    Err(Refusal::new(
        ErrorCode::Conflict,
        format!("the new team has no such role, and there are open tasks of: {}", open.join(", ")),
    )
    .hint("say what becomes of them: `--removed-role-tasks=move` (to the entry role of the new team) or `=cancel`; over the API, `removedRoleTasks`")
    .into())
}
