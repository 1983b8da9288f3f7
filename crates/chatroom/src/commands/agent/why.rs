//! `chatroom agent why`: the one fact that keeps a role from working, and below it the four facts that it was chosen from, each
//! with whose word it is and how old that is.

use super::{ended, state_in_words};
use crate::cli::AgentWhy;
use crate::context::Context;
use crate::duration::show;
use crate::error::Said;
use crate::transcript::ago;
use crate::ui::{one_line, table, wrap};
use anyhow::Result;
use chatroom_machine::{Client, clock};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{Agent, AgentState, RoleStatus};
use chatroom_protocol::api::{Empty, agents, machines};
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::machine::{Machine, MachineAgentConfig};
use chatroom_protocol::tool::{ToolName, ToolStatus};
use serde::Serialize;

/// What was found out about a role.
#[derive(Debug, Serialize)]
pub(super) struct Looked {
    #[serde(flatten)]
    status: RoleStatus,
    facts: [Fact; 4],
}

/// One of the facts.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Fact {
    what: &'static str,
    found: String,
    /// Since when it is so, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<UnixMs>,
    /// Whose word it is.
    source: &'static str,
    /// When that was last said, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_at: Option<UnixMs>,
}

/// Runs `agent why`.
pub(super) async fn run(context: &Context, args: AgentWhy) -> Result<()> {
    let looked = look(&context.client()?, &args.chatroom_id.into(), &args.role).await?;
    context.ui.answer(&looked, |looked| describe(looked, context.ui.width(), clock::now()))?;
    if looked.status.blocked.is_some() { Err(Said.into()) } else { Ok(()) }
}

/// Asks the server about a role.
pub(super) async fn look(client: &Client, room: &ChatroomId, role: &str) -> Result<Looked> {
    let of_role = agents::RoleArgs { chatroom_id: room.clone(), role: role.to_owned() };
    let status = client.call::<agents::Why>(&of_role).await?;
    let machines = client.call::<machines::ListMachines>(&Empty {}).await?;
    let of_room = machines::ChatroomArgs { chatroom_id: room.clone() };
    let configs = client.call::<machines::GetAgentConfigs>(&of_room).await?;
    let facts = facts(&status, &machines, &configs);
    Ok(Looked { status, facts })
}

/// The four facts, from what the server knows.
fn facts(status: &RoleStatus, machines: &[Machine], configs: &[MachineAgentConfig]) -> [Fact; 4] {
    let holder = status.agent.as_ref().filter(|agent| agent.state.is_active());
    let machine_id = holder
        .map(|agent| &agent.machine_id)
        .or_else(|| status.desired.as_ref().map(|desired| &desired.machine_id))
        .or_else(|| status.agent.as_ref().map(|agent| &agent.machine_id));
    let config = configs
        .iter()
        .filter(|known| known.config.role == status.role)
        .filter(|known| machine_id.is_none_or(|id| *id == known.config.machine_id))
        .max_by_key(|known| known.config.updated_at);
    let machine_id = machine_id.or_else(|| config.map(|known| &known.config.machine_id));
    let machine = machine_id.and_then(|id| machines.iter().find(|machine| machine.machine_id == *id));
    let tool = holder
        .map(|agent| &agent.tool)
        .or_else(|| config.map(|known| &known.config.tool))
        .or_else(|| status.agent.as_ref().map(|agent| &agent.tool));
    [
        machine_fact(machine),
        process_fact(status.agent.as_ref()),
        turn_fact(holder),
        tool_fact(holder.or(status.agent.as_ref()), machine, tool),
    ]
}

fn machine_fact(machine: Option<&Machine>) -> Fact {
    Fact {
        what: "machine",
        found: machine.map_or_else(
            || "none is chosen".to_owned(),
            |machine| format!("{} is {}", one_line(&machine.name), machine.connection.as_str()),
        ),
        since: machine.map(|machine| machine.connection_since),
        source: "its connection to the server",
        heard_at: machine.map(|machine| machine.last_seen_at),
    }
}

fn process_fact(agent: Option<&Agent>) -> Fact {
    let mode = agent.map_or("", |agent| agent.permission_mode.as_str());
    let (found, since) = match agent.map(|agent| &agent.state) {
        None => ("never started".to_owned(), None),
        Some(AgentState::Starting { since }) => ("being started".to_owned(), Some(*since)),
        Some(AgentState::Running { since, pid }) => (format!("runs, pid {pid}, permission mode {mode}"), Some(*since)),
        Some(AgentState::Stopping { since, .. }) => ("being stopped".to_owned(), Some(*since)),
        Some(AgentState::Exited { at, exit }) => (format!("ended: {}", one_line(&ended(exit))), Some(*at)),
        Some(AgentState::Failed { at, reason }) => (format!("did not start: {}", one_line(reason)), Some(*at)),
    };
    Fact {
        what: "process",
        found,
        since,
        source: "the daemon of its machine",
        heard_at: agent.and_then(|agent| agent.heard_at),
    }
}

fn turn_fact(holder: Option<&Agent>) -> Fact {
    let session = holder.map(|agent| &agent.session);
    let turn = session.and_then(|session| session.turn.as_ref());
    let open = session.map_or(0, |session| session.open_permissions);
    let mut found = match (holder, turn) {
        (None, _) => "no session".to_owned(),
        (Some(_), None) => "nothing was heard of its session".to_owned(),
        (Some(_), Some(turn)) => state_in_words(turn.state).to_owned(),
    };
    match open {
        ..=0 => {}
        1 => found.push_str(", 1 open request"),
        more => found.push_str(&format!(", {more} open requests")),
    }
    Fact {
        what: "turn",
        found,
        since: turn.map(|turn| turn.since),
        source: "the transcript of its session",
        heard_at: session.and_then(|session| session.heard_at),
    }
}

fn tool_fact(agent: Option<&Agent>, machine: Option<&Machine>, tool: Option<&ToolName>) -> Fact {
    if let Some((agent, trouble)) = agent.and_then(|agent| Some((agent, agent.session.trouble.as_ref()?))) {
        return Fact {
            what: "tool",
            found: format!("{}: {}", agent.tool, one_line(&trouble.message)),
            since: Some(trouble.at),
            source: "the tool itself",
            heard_at: agent.session.heard_at,
        };
    }
    let report = tool.and_then(|tool| machine?.available_tools.iter().find(|report| report.name == *tool));
    let found = match (tool, report.map(|report| &report.status)) {
        (None, _) => "none is chosen".to_owned(),
        (Some(tool), None) => format!("{tool}: not detected"),
        (Some(tool), Some(ToolStatus::Ok { version })) => format!("{tool} {} runs", one_line(version)),
        (Some(tool), Some(ToolStatus::NotSignedIn { .. })) => format!("{tool}: nobody is signed in"),
        (Some(tool), Some(ToolStatus::Broken { reason, .. })) => format!("{tool} does not run: {}", one_line(reason)),
        (Some(tool), Some(ToolStatus::Missing { .. })) => format!("{tool} is not installed"),
    };
    Fact { what: "tool", found, since: None, source: "the last detection on its machine", heard_at: None }
}

/// For a person: the one fact, what mends it, and the four.
pub(super) fn describe(looked: &Looked, width: usize, now: UnixMs) -> String {
    let role = one_line(&looked.status.role);
    let mut text = match &looked.status.blocked {
        None => format!("nothing keeps {role} from working\n"),
        Some(blocked) => {
            let message = format!("{role}: {}", one_line(&blocked.message));
            let since = show(now.since(blocked.since));
            let repair = blocked.repair.as_ref().map(|repair| format!("to mend it: {}\n", one_line(repair)));
            format!("{}\nfor {since}\n{}", wrap(&message, width, "  "), repair.unwrap_or_default())
        }
    };
    if let Some(desired) = &looked.status.desired {
        if let Some(reason) = &desired.given_up {
            text.push_str(&format!("not started again by itself: {}\n", one_line(reason)));
        } else if let Some(at) = desired.restart_at {
            text.push_str(&format!("starts again in {}\n", show(at.since(now))));
        }
    }
    let row = |fact: &Fact| {
        [
            fact.what.to_owned(),
            fact.found.clone(),
            fact.since.map_or_else(String::new, |since| show(now.since(since))),
            fact.source.to_owned(),
            fact.heard_at.map_or_else(String::new, |at| ago(now, at)),
        ]
    };
    let rows: Vec<_> = looked.facts.iter().map(row).collect();
    text.push_str(&format!("\n{}", table(["FACT", "IS", "FOR", "BY", "HEARD"], &rows)));
    text
}

#[cfg(test)]
mod tests {
    use super::{Looked, describe, facts};
    use crate::commands::agent::tests::{agent, machine};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::agent::{
        AgentExit, AgentState, Blocked, BlockedBy, RoleStatus, Trouble, TroubleKind, Turn, TurnState,
    };

    fn status() -> RoleStatus {
        RoleStatus { role: "builder".to_owned(), desired: None, agent: Some(agent()), blocked: None }
    }

    fn found(status: &RoleStatus) -> Vec<String> {
        facts(status, &[machine()], &[]).into_iter().map(|fact| fact.found).collect()
    }

    #[test]
    fn each_fact_is_told_from_its_own_evidence() {
        let mut status = status();
        let agent = status.agent.as_mut().unwrap();
        agent.session.turn = Some(Turn { state: TurnState::WaitingForPermission, since: UnixMs(2), task_id: None });
        agent.session.open_permissions = 1;
        assert_eq!(
            found(&status),
            [
                "laptop is connected",
                "runs, pid 7, permission mode ask",
                "asks for a permission, 1 open request",
                "echo 1.2 runs"
            ]
        );
        status.agent.as_mut().unwrap().state = AgentState::Exited { at: UnixMs(3), exit: AgentExit::Lost };
        assert_eq!(found(&status)[1..3], ["ended: lost", "no session"]);
        status.agent = None;
        assert_eq!(found(&status), ["none is chosen", "never started", "no session", "none is chosen"]);
    }

    #[test]
    fn the_tools_own_word_counts_more_than_its_detection() {
        let mut status = status();
        let trouble =
            Trouble { kind: TroubleKind::Quota, message: "limit reached".to_owned(), repair: None, at: UnixMs(4) };
        status.agent.as_mut().unwrap().session.trouble = Some(trouble);
        let facts = facts(&status, &[machine()], &[]);
        assert_eq!((facts[3].found.as_str(), facts[3].source), ("echo: limit reached", "the tool itself"));
    }

    #[test]
    fn the_one_fact_stands_first_with_its_age_and_repair() {
        let mut status = status();
        status.blocked = Some(Blocked {
            by: BlockedBy::Permission,
            message: "it waits for the answer to a permission request".to_owned(),
            since: UnixMs(7_000),
            repair: Some("chatroom permission answer p1 allow".to_owned()),
        });
        let facts = facts(&status, &[machine()], &[]);
        let text = describe(&Looked { status, facts }, 80, UnixMs(10_000));
        let begin = "builder: it waits for the answer to a permission request\nfor 3 s\nto mend it: chatroom permission answer p1 allow\n\nFACT";
        assert!(text.starts_with(begin), "{text}");
        assert!(text.contains("\nmachine  laptop is connected ") && text.contains(" 9 s   its connection"), "{text}");
    }
}
