//! `chatroom room`: rooms.

use crate::cli::{Room, RoomRef, SetTeam};
use crate::commands::agent::is_heard;
use crate::commands::{room_agents, task, team, watch};
use crate::context::Context;
use crate::duration::show;
use crate::ui::{one_line, table};
use anyhow::Result;
use chatroom_machine::clock;
use chatroom_protocol::agent::{Agent, AgentState};
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::api::participants::Participant;
use chatroom_protocol::api::{Empty, agents, chatrooms, machines, participants, tasks};
use chatroom_protocol::machine::Machine;
use chatroom_protocol::room::Chatroom;
use chatroom_protocol::task::Task;
use serde::Serialize;
use std::fmt::Write as _;

/// Runs a `room` command.
pub(crate) async fn run(context: &Context, command: Room) -> Result<()> {
    match command {
        Room::Create { name, team } => create(context, name, team).await,
        Room::List => list(context).await,
        Room::Show(room) => show_room(context, room).await,
        Room::SetTeam(set) => set_team(context, set).await,
        Room::Start(start) => room_agents::start(context, start).await,
        Room::Stop(stop) => room_agents::stop(context, stop).await,
        Room::Watch(watch) => watch::run(context, watch).await,
        Room::Archive(room) => {
            let room = context.client()?.call::<chatrooms::Archive>(&named(room)).await?;
            Ok(context.ui.answer(&room, |room| format!("room {} is archived", room.name))?)
        }
    }
}

/// Prints the id alone on stdout, so that a script can keep it; what to do next goes to stderr.
async fn create(context: &Context, name: String, team: String) -> Result<()> {
    let room = crate::retry::idempotent::<chatrooms::Create>(&context.client()?, &chatrooms::CreateArgs { name, team })
        .await?;
    if !context.ui.is_json() {
        let (name, team) = (one_line(&room.name), one_line(&room.team.name));
        context.ui.note(&format!("room {name} with team {team} ({}); its id:", room.team.role_names()))?;
    }
    Ok(context.ui.answer(&room, |room| room.chatroom_id.to_string())?)
}

async fn list(context: &Context) -> Result<()> {
    let rooms = context.client()?.call::<chatrooms::List>(&Empty {}).await?;
    let now = clock::now();
    Ok(context.ui.answer(&rooms, |rooms| {
        let row = |room: &Chatroom| {
            [room.chatroom_id.to_string(), room.name.clone(), room.team.name.clone(), show(now.since(room.created_at))]
        };
        table(["ROOM", "NAME", "TEAM", "AGE"], &rooms.iter().map(row).collect::<Vec<_>>())
    })?)
}

/// Gives a room another team, and says what happened to what stood in it.
async fn set_team(context: &Context, set: SetTeam) -> Result<()> {
    let args = chatrooms::UpdateTeamArgs {
        chatroom_id: set.chatroom_id.into(),
        team: set.team,
        removed_role_tasks: set.removed_role_tasks.map(|what| match what.as_str() {
            "move" => chatrooms::RemovedRoleTasks::Move,
            _ => chatrooms::RemovedRoleTasks::Cancel,
        }),
    };
    let updated = crate::retry::idempotent::<chatrooms::UpdateTeam>(&context.client()?, &args).await?;
    Ok(context.ui.answer(&updated, |updated| {
        let team = &updated.chatroom.team;
        let mut text = format!(
            "room {} has team {} now ({})\n",
            one_line(&updated.chatroom.name),
            one_line(&team.name),
            team.role_names()
        );
        for (what, names) in [("added", &updated.added_roles), ("removed", &updated.removed_roles)] {
            if !names.is_empty() {
                let _ = writeln!(text, "{what}: {}", one_line(&names.join(", ")));
            }
        }
        for (count, what) in [
            (updated.moved_tasks.len(), format!("moved into the queue of {}", one_line(&team.entry_role))),
            (updated.cancelled_tasks.len(), "cancelled".to_owned()),
        ] {
            if count > 0 {
                let _ = writeln!(text, "open tasks {what}: {count}");
            }
        }
        if !updated.superseded_waiters.is_empty() {
            let _ = writeln!(text, "no longer waiting: {}", one_line(&updated.superseded_waiters.join(", ")));
        }
        text
    })?)
}

/// A room with what happens in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Overview {
    room: Chatroom,
    agents: Vec<Agent>,
    participants: Vec<Participant>,
    tasks: Vec<Task>,
    /// Where the agents are; not told again.
    #[serde(skip)]
    machines: Vec<Machine>,
}

async fn show_room(context: &Context, room: RoomRef) -> Result<()> {
    let client = context.client()?;
    let room = named(room);
    let overview = Overview {
        agents: client
            .call::<agents::List>(&agents::ListArgs {
                chatroom_id: Some(room.chatroom_id.clone()),
                ..Default::default()
            })
            .await?,
        participants: client.call::<participants::List>(&room).await?,
        tasks: client
            .call::<tasks::List>(&tasks::ListArgs { chatroom_id: room.chatroom_id.clone(), state: None, role: None })
            .await?,
        machines: client.call::<machines::ListMachines>(&Empty {}).await?,
        room: client.call::<chatrooms::Get>(&room).await?,
    };
    let now = clock::now();
    Ok(context.ui.answer(&overview, |overview| {
        let room = &overview.room;
        let mut text = format!("room {} ({})\n", one_line(&room.name), room.chatroom_id);
        if room.archived_at.is_some() {
            text.push_str("archived\n");
        }
        text.push_str(&team::describe(&room.team));
        text.push('\n');
        let roles: Vec<_> = room
            .team
            .roles
            .iter()
            .map(|role| {
                let agent = overview.agents.iter().find(|agent| agent.role == role.name);
                let waiter = overview.participants.iter().find(|waiter| waiter.role == role.name);
                [
                    role.name.clone(),
                    agent.map_or_else(|| "-".to_owned(), |agent| in_short(agent, &overview.machines)),
                    match waiter {
                        Some(waiter) if waiter.waiting => format!("for {}", show(now.since(waiter.since))),
                        _ => "no".to_owned(),
                    },
                ]
            })
            .collect();
        text.push_str(&table(["ROLE", "AGENT", "WAITS FOR A TASK"], &roles));
        if !overview.tasks.is_empty() {
            let _ = write!(text, "\n{}", task::describe(&overview.tasks, now));
        }
        text
    })?)
}

fn in_short(agent: &Agent, machines: &[Machine]) -> String {
    let machine = machines.iter().find(|machine| machine.machine_id == agent.machine_id);
    let is_out = matches!(agent.state, AgentState::Running { .. } | AgentState::Stopping { .. });
    if is_out && !machine.is_none_or(is_heard) {
        return format!("unknown, was {} when last heard of ({})", agent.state.name(), agent.tool);
    }
    format!("{} ({})", agent.state.name(), agent.tool)
}

fn named(room: RoomRef) -> ChatroomArgs {
    ChatroomArgs { chatroom_id: room.chatroom_id.into() }
}
