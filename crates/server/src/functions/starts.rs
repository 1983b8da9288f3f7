//! Starts: what the start of an agent needs and makes, whoever wants it: its owner by a command, a task that comes for its role,
//! or time, when an agent that ended by itself is due again.

use super::lifecycle::{self, Slot};
use super::outcome::By;
use crate::secret;
use crate::store::commands;
use crate::store::desired::{self, Row};
use crate::store::{Result, Tx, agent_configs, agents, chatrooms, machines, models, participants, tasks};
use chatroom_protocol::agent::{Agent, AgentSession, AgentState, DesiredBy};
use chatroom_protocol::command::{Command, CommandRequest, CommandStatus, StartAgent};
use chatroom_protocol::id::{AgentId, MachineId, UserId};
use chatroom_protocol::machine::{AgentConfig, ConnectionState};
use chatroom_protocol::room::Chatroom;
use chatroom_protocol::tool::{PermissionMode, ToolReport, ToolStatus};
use chatroom_protocol::transcript::ModelList;
use chatroom_protocol::{ErrorCode, Refusal, UnixMs};

/// How many commands may wait for a machine at once.
pub(crate) const PENDING: i64 = 1000;

/// What a check says: nothing, or why not.
type Check = std::result::Result<(), Refusal>;

/// A command that is not sent yet.
pub(crate) fn new_command(
    machine: &machines::Row,
    request: CommandRequest,
    deadline_ms: i64,
    now: UnixMs,
) -> commands::Row {
    commands::Row {
        command: Command {
            command_id: secret::new_id(),
            machine_id: machine.id.clone(),
            request,
            status: CommandStatus::Pending,
            created_at: now,
            expires_at: now + deadline_ms,
        },
        user_id: machine.user_id.clone(),
        agent_id: None,
        stop_agent_id: None,
        claimed_epoch: None,
    }
}

/// Sends a command.
pub(crate) async fn insert_command(tx: &mut Tx, row: &commands::Row, by: &By, now: UnixMs) -> Result<()> {
    let Command { command_id, machine_id, request, .. } = &row.command;
    commands::insert(tx, row).await?;
    by.note(tx, &row.user_id, command_id.as_str(), request.kind(), now).await?;
    tracing::info!(command.id = %command_id, machine.id = %machine_id, kind = request.kind(), "a command was sent");
    Ok(())
}

/// Makes the agent of a start: a copy of what its config says now, holding the role. Refuses before anything is written.
pub(crate) async fn make_agent(
    tx: &mut Tx,
    machine: &machines::Row,
    row: &mut commands::Row,
    room: &Chatroom,
    role: &str,
    now: UnixMs,
) -> Result<std::result::Result<AgentId, Refusal>> {
    let Some(config) = agent_configs::find(tx, &machine.id, &room.chatroom_id, role).await? else {
        return Ok(Err(no_config(machine, role)));
    };
    let known = models::known(tx, &machine.id, &config.tool).await?;
    if let Err(refusal) = check_config(machine, &config, known.as_ref()) {
        return Ok(Err(refusal));
    }
    let agent_id: AgentId = secret::new_id();
    row.agent_id = Some(agent_id.clone());
    let agent = Agent {
        agent_id: agent_id.clone(),
        chatroom_id: config.chatroom_id,
        role: role.to_owned(),
        machine_id: config.machine_id,
        tool: config.tool,
        model: config.model,
        working_dir: config.working_dir,
        permission_mode: config.permission_mode,
        session: AgentSession::default(),
        command_id: row.command.command_id.clone(),
        prompt_version: None,
        state: AgentState::Starting { since: now },
        created_at: now,
        heard_at: None,
    };
    agents::insert(tx, &agents::Row { agent, user_id: machine.user_id.clone(), failure: None }).await?;
    Ok(Ok(agent_id))
}

fn no_config(machine: &machines::Row, role: &str) -> Refusal {
    Refusal::new(
        ErrorCode::NoAgentConfig,
        format!("nothing says yet which tool and directory the role {role} uses on {}", machine.name),
    )
    .hint("say it with `chatroom agent start --tool=NAME --dir=PATH`, or run `chatroom wait-for-task` there once")
}

/// Whether a start with this config can come to anything.
fn check_config(machine: &machines::Row, config: &AgentConfig, known: Option<&ModelList>) -> Check {
    let report = startable(machine, config)?;
    check_permissions(report, config)?;
    check_model(machine, config, known)
}

fn startable<'a>(machine: &'a machines::Row, config: &AgentConfig) -> std::result::Result<&'a ToolReport, Refusal> {
    match tool_trouble(machine, config) {
        Ok(report) => Ok(report),
        Err(trouble) => Err(Refusal::new(
            ErrorCode::ToolNotAvailable,
            format!("the tool {} is not available on {}: it {}", config.tool, machine.name, trouble.state),
        )
        .hint(format!("run `{}` on that machine, or choose another tool", trouble.repair))),
    }
}

/// What keeps a tool from being started.
pub(crate) struct ToolTrouble<'a> {
    /// How it is, after "it".
    pub(crate) state: String,
    /// The command that mends it.
    pub(crate) repair: &'a str,
}

/// The report of a config's tool, if its machine can start it.
pub(crate) fn tool_trouble<'a>(
    machine: &'a machines::Row,
    config: &AgentConfig,
) -> std::result::Result<&'a ToolReport, ToolTrouble<'a>> {
    const DETECT: &str = "chatroom machine detect";
    let Some(report) = machine.tool(&config.tool) else {
        return Err(ToolTrouble { state: "was not found there".to_owned(), repair: DETECT });
    };
    match &report.status {
        ToolStatus::Ok { .. } | ToolStatus::NotSignedIn { .. } if report.driver.is_some() => Ok(report),
        ToolStatus::Ok { .. } | ToolStatus::NotSignedIn { .. } => {
            Err(ToolTrouble { state: "is there, but that machine has no way to start it".to_owned(), repair: DETECT })
        }
        ToolStatus::Broken { reason, repair } => {
            Err(ToolTrouble { state: format!("does not run there: {reason}"), repair })
        }
        ToolStatus::Missing { repair } => Err(ToolTrouble { state: "is not installed there".to_owned(), repair }),
    }
}

fn check_permissions(report: &ToolReport, config: &AgentConfig) -> Check {
    if config.permission_mode == PermissionMode::Ask && !report.asks {
        return Err(Refusal::new(
            ErrorCode::PermissionModeUnsupported,
            format!("{} cannot ask for permissions on that machine", config.tool),
        )
        .hint("choose the permission mode accept-edits or full for this role"));
    }
    Ok(())
}

/// Refuses a model that the tool does not have, when the tool has told all that it has.
pub(crate) fn check_model(machine: &machines::Row, config: &AgentConfig, known: Option<&ModelList>) -> Check {
    let (Some(model), Some(known)) = (&config.model, known) else { return Ok(()) };
    if known.allows(model) {
        return Ok(());
    }
    const SHOWN: usize = 40;
    let mut names: Vec<&str> = known.models.iter().take(SHOWN).map(|model| model.id.as_str()).collect();
    let more = format!("and {} more", known.models.len().saturating_sub(SHOWN));
    if known.models.len() > SHOWN {
        names.push(&more);
    }
    Err(Refusal::new(
        ErrorCode::UnknownModel,
        format!("the tool {} has no model {model:?} on {}", config.tool, machine.name),
    )
    .hint(format!("choose one of: {}", names.join(", "))))
}

/// How a role stands to a start on a machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// Nobody is in the way.
    Free,
    /// The role's agent is on this machine.
    Here(&'a agents::Row),
    /// The role's agent is on another machine, and holds the role there.
    Elsewhere(&'a agents::Row),
    /// The role's agent is being stopped on another machine.
    LeavingElsewhere(&'a agents::Row),
}

/// Looks at the agents of a role as [`agents::list_of_role`] gives them.
pub(crate) fn standing<'a>(of_role: &'a [agents::Row], here: &MachineId) -> Standing<'a> {
    let is_here = |row: &&agents::Row| row.agent.machine_id == *here;
    let holds = |row: &&agents::Row| !matches!(row.agent.state, AgentState::Stopping { .. });
    if let Some(holder) = of_role.iter().find(holds) {
        return if is_here(&holder) { Standing::Here(holder) } else { Standing::Elsewhere(holder) };
    }
    of_role.iter().find(|row| !is_here(row)).map_or(Standing::Free, Standing::LeavingElsewhere)
}

/// Starts agents that are due, at most `limit` of them. Gives how many rows were looked at and will not be due again.
pub(crate) async fn start_due(tx: &mut Tx, now: UnixMs, limit: i64) -> Result<bool> {
    let rows = desired::list_due(tx, now, limit).await?;
    let (count, mut settled) = (rows.len(), 0);
    for row in rows {
        if start_by_server(tx, row, now).await? {
            settled += 1;
        }
    }
    // Rows that wait for something else would be read for ever.
    Ok(settled > 0 && count as i64 == limit)
}

/// Sends the start that a row waits for, if nothing is in the way now. False when it goes on waiting.
async fn start_by_server(tx: &mut Tx, mut row: Row, now: UnixMs) -> Result<bool> {
    let room = chatrooms::find(tx, &row.user_id, &row.chatroom_id).await?;
    let machine = machines::find(tx, &row.user_id, &row.desired.machine_id).await?;
    let room = room.filter(|room| room.archived_at.is_none() && room.team.role(&row.role).is_some());
    let (Some(room), Some(machine)) = (room, machine) else {
        row.desired.running = false;
        row.desired.by = DesiredBy::Server;
        row.desired.since = now;
        row.desired.restart_at = None;
        return desired::put(tx, &row).await;
    };
    let of_role = agents::list_of_role(tx, &row.chatroom_id, &row.role).await?;
    match standing(&of_role, &machine.id) {
        Standing::Free => {}
        Standing::Here(agent) | Standing::Elsewhere(agent) => {
            row.agent_id = Some(agent.agent.agent_id.clone());
            row.desired.restart_at = None;
            return desired::put(tx, &row).await;
        }
        Standing::LeavingElsewhere(_) => return Ok(false),
    }
    if machine.connection != ConnectionState::Connected || commands::count_pending(tx, &machine.id).await? >= PENDING {
        return Ok(false);
    }
    let start = StartAgent { chatroom_id: row.chatroom_id.clone(), role: row.role.clone(), take_over: false };
    let request = CommandRequest::StartAgent(start);
    let deadline_ms = request.default_deadline_ms();
    let mut command = new_command(&machine, request, deadline_ms, now);
    match make_agent(tx, &machine, &mut command, &room, &row.role, now).await? {
        Ok(agent_id) => {
            insert_command(tx, &command, &By::server("reconcile.start"), now).await?;
            row.agent_id = Some(agent_id);
            row.restart_id = Some(command.command.command_id);
            row.desired.restart_at = None;
        }
        Err(refusal) => {
            let reason = lifecycle::in_full(&refusal.message, refusal.hint.as_deref());
            lifecycle::give_up(&mut row, reason, None);
        }
    }
    desired::put(tx, &row).await
}

/// A task waits for a role: starts its agent, when its owner has allowed that and nobody works in the role. Where the machine is
/// not connected, the agent is started when it is.
pub(crate) async fn start_for_task(
    tx: &mut Tx,
    user_id: &UserId,
    room: &Chatroom,
    role: &str,
    now: UnixMs,
) -> Result<()> {
    let id = &room.chatroom_id;
    let configs = agent_configs::list(tx, id).await?;
    let allowed: Vec<&AgentConfig> =
        configs.iter().filter(|config| config.role == role && config.start_on_task).collect();
    if allowed.is_empty() {
        return Ok(());
    }
    let before = desired::find(tx, id, role).await?;
    let wanted_on = before.as_ref().map(|row| &row.desired.machine_id);
    let preferred = allowed.iter().find(|config| Some(&config.machine_id) == wanted_on);
    let Some(config) = preferred.or_else(|| allowed.iter().max_by_key(|config| config.updated_at)) else {
        return Ok(());
    };
    let is_cared_for = before
        .as_ref()
        .is_some_and(|row| row.desired.running && (row.desired.given_up.is_some() || row.desired.restart_at.is_some()));
    let of_role = agents::list_of_role(tx, id, role).await?;
    let is_held = of_role.iter().any(|row| !matches!(row.agent.state, AgentState::Stopping { .. }));
    if is_cared_for || is_held || works_by_hand(tx, room, role).await? {
        return Ok(());
    }
    let slot = Slot { user_id, chatroom_id: id, role, machine_id: &config.machine_id };
    let mut row = lifecycle::wanted(tx, slot, DesiredBy::Task, now).await?;
    row.exits = before.map(|row| row.exits).unwrap_or_default();
    row.desired.restart_at = Some(now);
    if !start_by_server(tx, row.clone(), now).await? {
        desired::put(tx, &row).await?;
    }
    Ok(())
}

/// Whether somebody waits or works in the role without a started agent.
pub(crate) async fn works_by_hand(tx: &mut Tx, room: &Chatroom, role: &str) -> Result<bool> {
    let waiters = participants::list(tx, &room.chatroom_id).await?;
    if waiters.iter().any(|waiter| waiter.role == role && waiter.waiting && waiter.agent_id.is_none()) {
        return Ok(true);
    }
    let held = tasks::find_held(tx, &room.chatroom_id, role).await?;
    Ok(held.is_some_and(|row| row.holder_agent.is_none()))
}
