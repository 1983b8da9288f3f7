//! `chatroom agent`: start, stop, see and talk to agents.

mod attach;
mod command;
mod logs;
mod start;
mod stream;
mod talk;
mod why;

pub(crate) use command::{outcome, send, wait_for_end, wait_over};
pub(crate) use start::{begun, configure, differing, runs_otherwise, settled, until_settled, warning};

use crate::cli::{Agent as AgentCommand, AgentList, AgentTarget};
use crate::context::Context;
use crate::duration::show;
use crate::error::refused;
use crate::ids::by_beginning;
use crate::machines::named;
use crate::program;
use crate::ui::{one_line, table};
use anyhow::Result;
use chatroom_machine::{Client, clock};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{Agent, AgentExit, AgentSession, AgentState, TurnState};
use chatroom_protocol::api::{Empty, agents, machines};
use chatroom_protocol::command::CommandRequest;
use chatroom_protocol::machine::{ConnectionState, Machine};
use std::fmt::Write as _;

/// Runs an `agent` command.
pub(crate) async fn run(context: &Context, command: AgentCommand) -> Result<()> {
    match command {
        AgentCommand::Start(start) => self::start::start(context, start).await,
        AgentCommand::Stop(slot) => self::start::command_slot(context, slot, CommandRequest::StopAgent).await,
        AgentCommand::Restart(slot) => self::start::command_slot(context, slot, CommandRequest::RestartAgent).await,
        AgentCommand::List(list) => self::list(context, list).await,
        AgentCommand::Attach(args) => attach::run(context, args).await,
        AgentCommand::Send(args) => talk::send(context, args).await,
        AgentCommand::Cancel(args) => talk::cancel(context, args).await,
        AgentCommand::Logs(logs) => self::logs::run(context, logs).await,
        AgentCommand::Why(args) => why::run(context, args).await,
    }
}

/// The agent that is meant: by its id or the beginning of it; or the one that holds the role, else the newest that held it.
pub(crate) async fn find(client: &Client, target: &AgentTarget) -> Result<Agent> {
    if let Some(id) = &target.agent {
        let list = client.call::<agents::List>(&agents::ListArgs { include_ended: true, ..Default::default() }).await?;
        let hint = "chatroom agent list --all";
        return Ok(by_beginning("agent", &list, id, |agent| agent.agent_id.as_str(), hint)?.clone());
    }
    let (Some(room), Some(role)) = (&target.chatroom_id, &target.role) else {
        return Err(refused("no agent is named").hint("give --chatroom-id and --role, or --agent").into());
    };
    let args = agents::ListArgs { chatroom_id: Some(room.as_str().into()), machine_id: None, include_ended: true };
    let list = client.call::<agents::List>(&args).await?;
    let role = role.trim().to_lowercase();
    match pick(list, &role) {
        Some(agent) => Ok(agent),
        None => {
            let start =
                format!("chatroom agent start --chatroom-id={} --role={}", program::quote(room), program::quote(&role));
            Err(refused(format!("no agent of {} was ever started in this room", one_line(&role))).hint(start).into())
        }
    }
}

/// Of agents that stand newest first: the one that holds the role, else the newest that held it.
fn pick(list: Vec<Agent>, role: &str) -> Option<Agent> {
    let mut of_role: Vec<Agent> = list.into_iter().filter(|agent| agent.role == role).collect();
    let at = of_role.iter().position(|agent| agent.state.is_active()).unwrap_or(0);
    (at < of_role.len()).then(|| of_role.swap_remove(at))
}

/// How an agent ended, in words.
pub(crate) fn ended(exit: &AgentExit) -> String {
    match exit {
        AgentExit::Code { code } => format!("exit code {code}"),
        AgentExit::Signal { signal } => format!("ended by signal {signal}"),
        AgentExit::Stopped => "stopped".to_owned(),
        AgentExit::ShutDown => "ended with its machine".to_owned(),
        AgentExit::Unusable { trouble } => format!("cannot work: {}", trouble.message),
        AgentExit::Lost => "lost".to_owned(),
    }
}

async fn list(context: &Context, list: AgentList) -> Result<()> {
    let client = context.client()?;
    let machines = client.call::<machines::ListMachines>(&Empty {}).await?;
    let machine_id = match &list.machine {
        Some(name) => Some(named(&machines, name)?.machine_id.clone()),
        None => None,
    };
    let args = agents::ListArgs { chatroom_id: list.chatroom_id.map(Into::into), machine_id, include_ended: list.all };
    let found = client.call::<agents::List>(&args).await?;
    Ok(context.ui.answer(&found, |found| match found.as_slice() {
        [] => "no agents".to_owned(),
        found => describe(found, &machines, clock::now()),
    })?)
}

/// A table of agents; `machines` gives the names.
pub(crate) fn describe(agents: &[Agent], machines: &[Machine], now: UnixMs) -> String {
    let row = |agent: &Agent| {
        let machine = machines.iter().find(|machine| machine.machine_id == agent.machine_id);
        let is_known = machine.is_none_or(is_heard);
        let state = match &agent.state {
            AgentState::Running { .. } | AgentState::Stopping { .. } if !is_known => {
                let heard = agent.heard_at.map_or_else(String::new, |at| format!(", {} ago", show(now.since(at))));
                format!("unknown (was {} when last heard of{heard})", agent.state.name())
            }
            AgentState::Starting { since } | AgentState::Stopping { since, .. } => {
                format!("{} for {}", agent.state.name(), show(now.since(*since)))
            }
            AgentState::Running { since, pid } => format!("running for {}, pid {pid}", show(now.since(*since))),
            AgentState::Exited { at, exit } => format!("exited {} ago: {}", show(now.since(*at)), ended(exit)),
            AgentState::Failed { at, reason } => format!("failed {} ago: {reason}", show(now.since(*at))),
        };
        let turn = match (&agent.session.turn, agent.state.is_active()) {
            (Some(turn), true) if !is_known => format!("unknown (was {})", state_in_words(turn.state)),
            (_, true) => turn_in_words(&agent.session, now),
            (_, false) => String::new(),
        };
        [
            agent.role.clone(),
            agent.tool.to_string(),
            agent.permission_mode.as_str().to_owned(),
            state,
            turn,
            agent.heard_at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", show(now.since(at)))),
            machine.map_or_else(|| agent.machine_id.to_string(), |machine| machine.name.clone()),
            agent.working_dir.clone(),
            agent.agent_id.to_string(),
        ]
    };
    let mut text = table(
        ["ROLE", "TOOL", "MODE", "STATE", "TURN", "HEARD", "MACHINE", "DIRECTORY", "AGENT"],
        &agents.iter().map(row).collect::<Vec<_>>(),
    );
    for agent in agents.iter().filter(|agent| agent.state.is_active()) {
        if let Some(trouble) = &agent.session.trouble {
            let repair = trouble.repair.as_ref().map(|repair| format!("; {}", one_line(repair))).unwrap_or_default();
            let since = show(now.since(trouble.at));
            let _ = writeln!(
                text,
                "{} cannot work for {since}: {}{repair}",
                one_line(&agent.role),
                one_line(&trouble.message)
            );
        }
    }
    text
}

/// Whether its machine tells of its agents as it should: what is said of them is not older than a connection is silent.
pub(crate) fn is_heard(machine: &Machine) -> bool {
    !matches!(machine.connection, ConnectionState::Disconnected | ConnectionState::Unknown)
}

/// What a session does and for how long, with the requests that wait; nothing where nothing was heard of it.
pub(crate) fn turn_in_words(session: &AgentSession, now: UnixMs) -> String {
    let Some(turn) = &session.turn else { return String::new() };
    let since = show(now.since(turn.since));
    let open = match session.open_permissions {
        ..=0 => String::new(),
        1 => ", 1 request".to_owned(),
        more => format!(", {more} requests"),
    };
    format!("{} for {since}{open}", state_in_words(turn.state))
}

/// What a session does, in words.
pub(crate) const fn state_in_words(state: TurnState) -> &'static str {
    match state {
        TurnState::Starting => "starting",
        TurnState::Idle => "idle",
        TurnState::Working => "working",
        TurnState::WaitingForPermission => "asks for a permission",
        TurnState::NeedsYou => "needs you",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{describe, pick, turn_in_words};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::agent::{Agent, AgentExit, AgentSession, AgentState, Trouble, TroubleKind, Turn, TurnState};
    use chatroom_protocol::machine::{ConnectionState, Machine};
    use chatroom_protocol::tool::{PermissionMode, ToolReport, ToolStatus};

    /// The machine of that agent, connected, where its tool runs.
    pub(crate) fn machine() -> Machine {
        Machine {
            machine_id: "m1".into(),
            name: "laptop".to_owned(),
            hostname: "laptop".to_owned(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            cli_version: "1".to_owned(),
            cli_path: "/chatroom".to_owned(),
            available_tools: vec![ToolReport {
                name: "echo".into(),
                path: None,
                driver: None,
                asks: true,
                status: ToolStatus::Ok { version: "1.2".to_owned() },
            }],
            connection: ConnectionState::Connected,
            connection_since: UnixMs(1_000),
            signed_in: true,
            registered_at: UnixMs(0),
            last_seen_at: UnixMs(8_000),
            agents: Vec::new(),
        }
    }

    /// An agent of which only its process is known.
    pub(crate) fn agent() -> Agent {
        Agent {
            agent_id: "a1".into(),
            chatroom_id: "r1".into(),
            role: "builder".to_owned(),
            machine_id: "m1".into(),
            tool: "echo".into(),
            model: None,
            working_dir: "/work".to_owned(),
            permission_mode: PermissionMode::Ask,
            command_id: "c1".into(),
            session: AgentSession::default(),
            state: AgentState::Running { since: UnixMs(0), pid: 7 },
            prompt_version: None,
            created_at: UnixMs(0),
            heard_at: None,
        }
    }

    #[test]
    fn the_agent_of_a_role_is_the_one_that_holds_it_else_the_newest() {
        let ended = Agent {
            agent_id: "new".into(),
            state: AgentState::Exited { at: UnixMs(1), exit: AgentExit::Lost },
            ..agent()
        };
        let other = Agent { role: "planner".to_owned(), ..agent() };
        let found = |list: Vec<Agent>| pick(list, "builder").map(|agent| agent.agent_id.to_string());
        assert_eq!(found(vec![other.clone(), ended.clone(), agent()]).as_deref(), Some("a1"));
        assert_eq!(
            found(vec![other.clone(), ended.clone(), Agent { agent_id: "old".into(), ..ended }]).as_deref(),
            Some("new")
        );
        assert_eq!(found(vec![other]), None);
    }

    #[test]
    fn the_list_shows_the_turn_with_its_age_open_requests_and_trouble() {
        let mut agent = agent();
        assert_eq!(turn_in_words(&agent.session, UnixMs(9)), "");
        agent.session.turn = Some(Turn { state: TurnState::WaitingForPermission, since: UnixMs(1_000), task_id: None });
        agent.session.open_permissions = 2;
        agent.session.trouble = Some(Trouble {
            kind: TroubleKind::Quota,
            message: "no more\ntoday".to_owned(),
            repair: Some("wait".to_owned()),
            at: UnixMs(2_000),
        });
        let text = describe(&[agent], &[], UnixMs(4_000));
        assert!(text.contains("asks for a permission for 3 s, 2 requests"), "{text}");
        assert!(text.ends_with("builder cannot work for 2 s: no more\\ntoday; wait\n"), "{text}");
    }

    #[test]
    fn what_is_not_heard_of_is_unknown_and_an_ended_agent_has_no_turn() {
        let mut agent = agent();
        agent.session.turn = Some(Turn { state: TurnState::Idle, since: UnixMs(0), task_id: None });
        agent.heard_at = Some(UnixMs(5_000));
        let mut machine = machine();
        let told = |agent: &Agent, machine: &Machine| {
            describe(std::slice::from_ref(agent), std::slice::from_ref(machine), UnixMs(50_000))
        };
        let text = told(&agent, &machine);
        assert!(text.contains(" ask ") && text.contains("running for") && text.contains("idle for"), "{text}");
        machine.connection = ConnectionState::Disconnected;
        let text = told(&agent, &machine);
        assert!(text.contains("unknown (was running when last heard of, 45 s ago)"), "{text}");
        assert!(text.contains("unknown (was idle)") && !text.contains("idle for"), "{text}");
        agent.state = AgentState::Exited { at: UnixMs(6_000), exit: AgentExit::Stopped };
        let text = told(&agent, &machine);
        assert!(!text.contains("idle") && !text.contains("unknown"), "{text}");
    }
}
