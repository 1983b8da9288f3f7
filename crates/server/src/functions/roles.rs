//! `agents.listRoles` and `.why`: of each role what is wanted, what is, and the one fact that keeps it from working. `why`
//! decides and touches nothing.

use super::chatrooms::{find_own, find_role};
use super::machines::machines_and_credentials;
use super::starts::{tool_trouble, works_by_hand};
use crate::caller::Caller;
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{QueryCx, Registry};
use crate::store::inputs::Bound;
use crate::store::permissions::{self, Filter};
use crate::store::{Tx, agent_configs, agents, credentials, desired, machines};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, AgentState, Blocked, BlockedBy, DesiredBy, RoleStatus, Trouble, TurnState};
use chatroom_protocol::api::agents::{ListRoles, RoleArgs, Why};
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::machine::{AgentConfig, ConnectionState};
use chatroom_protocol::permission::Permission;
use chatroom_protocol::room::Chatroom;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.query::<ListRoles>(
        |caller, args| topics(caller, &args.chatroom_id),
        |cx, args| Box::pin(list_roles(cx, args)),
    );
    registry.query::<Why>(|caller, args| topics(caller, &args.chatroom_id), |cx, args| Box::pin(why_role(cx, args)));
}

/// What stands there depends on machines, on the room's agents, what they ask and whether they may call, and on who works in it
/// by hand.
fn topics(caller: &Caller, chatroom_id: &ChatroomId) -> Vec<Topic> {
    let mut topics = machines_and_credentials(caller, &());
    topics.extend([Topic::Chatroom(chatroom_id.clone()), Topic::Tasks(chatroom_id.clone())]);
    topics.extend(caller.user_id().map(|id| Topic::Permissions(id.clone())));
    topics
}

async fn list_roles(cx: &mut QueryCx, args: ChatroomArgs) -> Result<Vec<RoleStatus>> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let roles: Vec<String> = room.team.roles.iter().map(|role| role.name.clone()).collect();
    statuses(cx, &room, &roles).await
}

async fn why_role(cx: &mut QueryCx, args: RoleArgs) -> Result<RoleStatus> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let role = find_role(&room, &args.role)?.name.clone();
    let mut statuses = statuses(cx, &room, &[role]).await?;
    statuses.pop().ok_or_else(|| anyhow::anyhow!("a role has no status").into())
}

async fn statuses(cx: &mut QueryCx, room: &Chatroom, roles: &[String]) -> Result<Vec<RoleStatus>> {
    let (user_id, id) = (cx.caller.user_id()?.clone(), &room.chatroom_id);
    let machines = machines::list(&mut cx.tx, &user_id).await?;
    let configs = agent_configs::list(&mut cx.tx, id).await?;
    let wanted = desired::list(&mut cx.tx, id).await?;
    let agents = agents::list_of_roles(&mut cx.tx, id).await?;
    let signed_in = credentials::list_machines(&mut cx.tx, &user_id).await?;
    let public_url = cx.app.public_url.clone();
    let is_connected = |config: &AgentConfig| {
        let machine = machines.iter().find(|machine| machine.id == config.machine_id);
        machine.is_some_and(|machine| machine.connection == ConnectionState::Connected)
    };
    let mut statuses = Vec::new();
    for role in roles {
        let desired = wanted.iter().find(|row| row.role == *role);
        let agent = agents.iter().find(|row| row.agent.role == *role);
        let active = agent.filter(|row| row.agent.state.is_active());
        let of_role = || configs.iter().filter(|config| config.role == *role);
        let machine_id = match (active, desired) {
            (Some(row), _) => Some(&row.agent.machine_id),
            (None, Some(row)) => Some(&row.desired.machine_id),
            (None, None) => None,
        };
        let there = of_role().find(|config| Some(&config.machine_id) == machine_id);
        // Where nothing is wanted yet, a start would go where it can.
        let config = there.or_else(|| of_role().max_by_key(|config| (is_connected(config), config.updated_at)));
        let machine_id = machine_id.or(config.map(|config| &config.machine_id));
        let permission = match active {
            Some(row) => oldest_permission(&mut cx.tx, row).await?,
            None => None,
        };
        let may_call = match active {
            Some(row) => credentials::has_agent(&mut cx.tx, &row.agent.agent_id).await?,
            None => true,
        };
        let facts = Facts {
            public_url: &public_url,
            room,
            role,
            config,
            machine: machines.iter().find(|machine| Some(&machine.id) == machine_id),
            signed_in: machine_id.is_some_and(|id| signed_in.contains(id)),
            may_call,
            desired,
            agent,
            permission: permission.as_ref().map(|row| &row.permission),
            by_hand: active.is_none() && works_by_hand(&mut cx.tx, room, role).await?,
        };
        statuses.push(RoleStatus {
            role: role.clone(),
            desired: desired.map(|row| row.desired.clone()),
            blocked: why(&facts),
            agent: agent.map(|row| row.agent.clone()),
        });
    }
    Ok(statuses)
}

/// The request that its agent waits for longest.
async fn oldest_permission(tx: &mut Tx, row: &agents::Row) -> Result<Option<permissions::Row>> {
    if row.agent.session.open_permissions == 0 {
        return Ok(None);
    }
    let filter = Filter { chatroom_id: None, agent_id: Some(&row.agent.agent_id) };
    let bound = Bound { rows: 1, bytes: i64::MAX };
    Ok(permissions::list_pending(tx, &row.user_id, filter, bound).await?.pop())
}

/// Everything that decides whether a role works.
#[derive(Clone, Copy, Debug)]
struct Facts<'a> {
    /// Where this server is reached.
    public_url: &'a str,
    room: &'a Chatroom,
    role: &'a str,
    /// The config that a start would use.
    config: Option<&'a AgentConfig>,
    /// The machine of its agent, or where it is wanted, or of its config.
    machine: Option<&'a machines::Row>,
    /// Whether that machine has a credential.
    signed_in: bool,
    /// Whether the agent that holds the role has one.
    may_call: bool,
    desired: Option<&'a desired::Row>,
    /// The agent that holds the role, or else the newest one that has ended.
    agent: Option<&'a agents::Row>,
    /// The oldest permission request of its agent that waits for an answer.
    permission: Option<&'a Permission>,
    /// Whether somebody works in it without a started agent.
    by_hand: bool,
}

/// The one fact that keeps a role from working: the first that applies, in the order of [`BlockedBy`].
fn why(facts: &Facts<'_>) -> Option<Blocked> {
    let active = facts.agent.filter(|row| row.agent.state.is_active());
    if active.is_none() && facts.by_hand {
        return None;
    }
    if active.is_none() && facts.config.is_none() {
        return Some(facts.blocked(
            BlockedBy::NotConfigured,
            "nothing says which tool and directory this role uses",
            facts.room.created_at,
            Some(format!("{} --tool=NAME --dir=PATH", facts.agent_command("start"))),
        ));
    }
    if let Some(machine) = facts.machine
        && machine.connection != ConnectionState::Connected
    {
        let how = match machine.connection {
            ConnectionState::Silent => "has fallen silent",
            ConnectionState::Unknown => "has not been heard since the server was started",
            ConnectionState::Disconnected | ConnectionState::Connected => "is not connected",
        };
        if !facts.signed_in {
            return Some(facts.blocked(
                BlockedBy::Machine,
                &format!("its machine {} is not signed in any more: its credential was revoked", machine.name),
                machine.connection_since,
                Some(format!("chatroom auth login --server={}", facts.public_url)),
            ));
        }
        return Some(facts.blocked(
            BlockedBy::Machine,
            &format!("its machine {} {how}", machine.name),
            machine.connection_since,
            Some("chatroom machine daemon start".to_owned()),
        ));
    }
    match active {
        Some(row) => facts.why_not_working(row),
        None => facts.why_not_running(),
    }
}

impl Facts<'_> {
    /// Why nothing runs.
    fn why_not_running(&self) -> Option<Blocked> {
        let start = || Some(self.agent_command("start"));
        if let (Some(machine), Some(config)) = (self.machine, self.config)
            && let Err(trouble) = tool_trouble(machine, config)
        {
            let message =
                format!("its tool {} cannot be started on {}: it {}", config.tool, machine.name, trouble.state);
            return Some(self.blocked(BlockedBy::Tool, &message, config.updated_at, Some(trouble.repair.to_owned())));
        }
        if let Some(archived_at) = self.room.archived_at {
            let message = "its room is archived: it starts no more agents";
            return Some(self.blocked(BlockedBy::NotStarted, message, archived_at, None));
        }
        let wanted = self.desired.filter(|row| row.desired.running);
        let Some(row) = wanted else {
            let (message, since) = match self.desired {
                Some(row) => (stopped_by(row.desired.by), row.desired.since),
                None => ("it was never started", self.config.map_or(self.room.created_at, |config| config.updated_at)),
            };
            return Some(self.blocked(BlockedBy::NotStarted, message, since, start()));
        };
        let ended_at = self.agent.map_or(row.desired.since, |agent| since(&agent.agent.state));
        if let Some(reason) = &row.desired.given_up {
            let repair = row.repair.clone().or_else(start);
            return Some(self.blocked(BlockedBy::Ended, reason, ended_at.max(row.desired.since), repair));
        }
        if row.desired.restart_at.is_some() {
            let message = match self.agent.filter(|agent| since(&agent.agent.state) >= row.desired.since) {
                Some(agent) => format!("{}; it will be started again", how_it_ended(&agent.agent.state)),
                None => "it will be started in a moment".to_owned(),
            };
            return Some(self.blocked(BlockedBy::Restarting, &message, ended_at.max(row.desired.since), start()));
        }
        if let (Some(agent), Some(config)) = (self.agent, self.config)
            && config.updated_at > ended_at
        {
            let how = how_it_ended(&agent.agent.state);
            let message = format!("{how}; what it is started with was changed since, and it was not started again");
            return Some(self.blocked(BlockedBy::NotStarted, &message, config.updated_at, start()));
        }
        let message = self.agent.map_or_else(
            || "it has ended, and it is not started again by itself".to_owned(),
            |agent| format!("{}, and it is not started again by itself", how_it_ended(&agent.agent.state)),
        );
        Some(self.blocked(BlockedBy::Ended, &message, ended_at, start()))
    }

    /// Why an agent that is there does not work.
    fn why_not_working(&self, row: &agents::Row) -> Option<Blocked> {
        let (agent, session) = (&row.agent, &row.agent.session);
        let passing = |message: &str, since| Some(self.blocked(BlockedBy::Passing, message, since, None));
        let attach = || self.agent_command("attach");
        match &agent.state {
            AgentState::Starting { since } => return passing("it is being started", *since),
            AgentState::Stopping { since, .. } => return passing("it is being stopped", *since),
            _ => {}
        }
        if !self.may_call {
            let message = "its credential was revoked: it gets no task and can end none";
            return Some(self.blocked(
                BlockedBy::Trouble,
                message,
                since(&agent.state),
                Some(self.agent_command("restart")),
            ));
        }
        // A turn that has begun since then works, or finds out anew.
        let is_over = |trouble: &&Trouble| {
            session.turn.as_ref().is_some_and(|turn| {
                matches!(turn.state, TurnState::Working | TurnState::WaitingForPermission) && turn.since > trouble.at
            })
        };
        if let Some(trouble) = session.trouble.as_ref().filter(|trouble| !is_over(trouble)) {
            let message = format!("its tool cannot work: {}", trouble.message);
            return Some(self.blocked(BlockedBy::Trouble, &message, trouble.at, trouble.repair.clone()));
        }
        let Some(turn) = &session.turn else {
            return passing("its tool is not ready yet", since(&agent.state));
        };
        match turn.state {
            TurnState::Starting => passing("its tool is not ready yet", turn.since),
            TurnState::WaitingForPermission => {
                let (message, since, repair) = match self.permission {
                    Some(asked) => (
                        format!("it waits for the answer to a permission request: {}", asked.title),
                        asked.asked_at,
                        format!("chatroom permission answer {} allow", asked.permission_id),
                    ),
                    // It is answered, and the agent has not heard of it yet.
                    None => ("it waits for the answer to a permission request".to_owned(), turn.since, attach()),
                };
                Some(self.blocked(BlockedBy::Permission, &message, since, Some(repair)))
            }
            TurnState::NeedsYou => {
                let message = "its turn has ended and its task is still open: somebody has to look";
                Some(self.blocked(BlockedBy::NeedsYou, message, turn.since, Some(attach())))
            }
            TurnState::Idle | TurnState::Working => None,
        }
    }

    fn agent_command(&self, verb: &str) -> String {
        format!("chatroom agent {verb} --chatroom-id={} --role={}", self.room.chatroom_id, self.role)
    }

    fn blocked(&self, by: BlockedBy, message: &str, since: UnixMs, repair: Option<String>) -> Blocked {
        Blocked { by, message: message.to_owned(), since, repair }
    }
}

const fn stopped_by(by: DesiredBy) -> &'static str {
    match by {
        DesiredBy::Owner => "its owner stopped it",
        DesiredBy::Machine => "it was stopped together with the daemon of its machine",
        DesiredBy::Task | DesiredBy::Server => {
            "the server stopped it: its room was archived, or its role or its machine was removed"
        }
    }
}

const fn since(state: &AgentState) -> UnixMs {
    match state {
        AgentState::Starting { since } | AgentState::Running { since, .. } | AgentState::Stopping { since, .. } => {
            *since
        }
        AgentState::Exited { at, .. } | AgentState::Failed { at, .. } => *at,
    }
}

fn how_it_ended(state: &AgentState) -> String {
    match state {
        AgentState::Failed { reason, .. } => format!("its start failed: {reason}"),
        AgentState::Exited { exit, .. } => match exit {
            AgentExit::Code { code } => format!("it ended with exit code {code}"),
            AgentExit::Signal { signal } => format!("signal {signal} ended it"),
            AgentExit::Stopped => "it was stopped".to_owned(),
            AgentExit::ShutDown => "it ended with its machine".to_owned(),
            AgentExit::Unusable { trouble } => format!("its tool cannot work: {}", trouble.message),
            AgentExit::Lost => "it was lost: nobody saw how it ended".to_owned(),
        },
        AgentState::Starting { .. } | AgentState::Running { .. } | AgentState::Stopping { .. } => "it runs".to_owned(),
    }
}

#[cfg(test)]
mod tests;
