//! `chatroom room start` and `room stop`: the agents of all roles of a room at once, one command for each, one line for each.

use crate::cli::{AgentSlot, AgentStart, RoomStart, RoomStop};
use crate::commands::agent;
use crate::context::{Context, link};
use crate::error::{Said, refused};
use crate::machines::{default, known_here, named};
use crate::ui::one_line;
use anyhow::Result;
use chatroom_machine::{Client, Link};
use chatroom_protocol::agent::Agent;
use chatroom_protocol::api::{Empty, agents, chatrooms, machines};
use chatroom_protocol::command::{Command, CommandRequest, RoleSlot, StartAgent};
use chatroom_protocol::id::{ChatroomId, MachineId};
use chatroom_protocol::machine::{ConnectionState, Machine, MachineAgentConfig};
use chatroom_protocol::room::Team;
use chatroom_protocol::tool::PermissionMode;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What came of one role.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Command>,
    /// The agent that it started, as far as it has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<Agent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What is known of the room and its machines.
struct Known {
    machines: Vec<Machine>,
    this: Option<MachineId>,
    configs: Vec<MachineAgentConfig>,
    agents: Vec<Agent>,
}

/// Starts the agent of every role.
pub(crate) async fn start(context: &Context, args: RoomStart) -> Result<()> {
    let client = context.client()?;
    let chatroom_id = ChatroomId::from(args.chatroom_id.clone());
    let room = client.call::<chatrooms::Get>(&machines::ChatroomArgs { chatroom_id: chatroom_id.clone() }).await?;
    for text in &args.permission_mode {
        let mode = split(text, &room.team).1;
        if PermissionMode::parse(mode).is_none() {
            let message = format!("`{}` is not a permission mode", one_line(mode));
            return Err(refused(message).hint("one of: ask, accept-edits, full").into());
        }
    }
    let known = Known::load(context, &client, &chatroom_id).await?;
    let mut sent = Vec::new();
    for role in &room.team.roles {
        let begun = start_role(context, &client, &args, &known, &room.team, &role.name).await;
        sent.push((role.name.clone(), begun));
    }
    finish(context, &client, &known.machines, sent, args.timeout).await
}

/// Stops every agent of a room.
pub(crate) async fn stop(context: &Context, args: RoomStop) -> Result<()> {
    let client = context.client()?;
    let chatroom_id = ChatroomId::from(args.chatroom_id);
    let known = Known::load(context, &client, &chatroom_id).await?;
    if known.agents.is_empty() && !context.ui.is_json() {
        return Ok(context.ui.say("no agent runs in this room")?);
    }
    let mut sent = Vec::new();
    for agent in &known.agents {
        let request =
            CommandRequest::StopAgent(RoleSlot { chatroom_id: chatroom_id.clone(), role: agent.role.clone() });
        let begun = match known.machines.iter().find(|machine| machine.machine_id == agent.machine_id) {
            Some(machine) => {
                agent::send(context, &client, machine, request).await.map(|command| (machine.name.clone(), command))
            }
            None => Err(refused("its machine is not registered any more").into()),
        };
        sent.push((agent.role.clone(), begun));
    }
    finish(context, &client, &known.machines, sent, args.timeout).await
}

async fn start_role(
    context: &Context,
    client: &Client,
    args: &RoomStart,
    known: &Known,
    team: &Team,
    role: &str,
) -> Result<(String, Command)> {
    let machine = match &args.machine {
        Some(name) => named(&known.machines, name)?,
        None => known.machine_of(role)?,
    };
    let is_configured = known.config(role, &machine.machine_id).is_some();
    let wish = |texts: &[String]| wish(texts, team, role, is_configured);
    let start = AgentStart {
        slot: AgentSlot {
            chatroom_id: args.chatroom_id.clone(),
            role: role.to_owned(),
            machine: None,
            timeout: args.timeout,
        },
        tool: wish(&args.tool),
        model: wish(&args.model),
        dir: wish(&args.dir),
        permission_mode: wish(&args.permission_mode),
        start_on_task: args.start_on_task,
        take_over: false,
    };
    if !is_configured && start.tool.is_none() {
        let message = format!("nothing says which tool it uses on {}", one_line(&machine.name));
        return Err(refused(message).hint(format!("give --tool={role}:TOOL and --dir={role}:DIR")).into());
    }
    let is_here = known.this.as_ref() == Some(&machine.machine_id);
    agent::configure(context, client, &start, machine, is_here).await?;
    let request = CommandRequest::StartAgent(StartAgent {
        chatroom_id: args.chatroom_id.clone().into(),
        role: role.to_owned(),
        take_over: false,
    });
    Ok((machine.name.clone(), agent::send(context, client, machine, request).await?))
}

/// Waits for the commands, which run at the same time and have one time to be done in, and tells what came of each.
async fn finish(
    context: &Context,
    client: &Client,
    machines: &[Machine],
    sent: Vec<(String, Result<(String, Command)>)>,
    limit: Duration,
) -> Result<()> {
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let link = link(client, &end)?;
    let until = Instant::now() + limit;
    let mut outcomes = Vec::new();
    for (role, begun) in sent {
        let mut outcome = Outcome { role, machine: None, command: None, agent: None, warning: None, error: None };
        let said = match begun {
            Ok((machine, command)) => {
                outcome.machine = Some(machine);
                follow(client, &link, command, until, limit, &mut outcome).await
            }
            Err(error) => Err(error),
        };
        let warning = outcome.agent.as_ref().and_then(|agent| {
            let machine = machines.iter().find(|machine| machine.machine_id == agent.machine_id)?;
            agent::warning(agent, machine)
        });
        outcome.warning = warning.filter(|_| said.is_ok());
        outcome.error = said.as_ref().err().map(|error| format!("{error:#}"));
        if !context.ui.is_json() {
            match said {
                Ok(text) => {
                    context.ui.say(&text)?;
                    if let Some(warning) = &outcome.warning {
                        context.ui.note(&format!("Warning: {}: {warning}", one_line(&outcome.role)))?;
                    }
                }
                Err(error) => {
                    let (text, _) = crate::error::report(&error);
                    let text = text.strip_prefix("Error: ").unwrap_or(&text).trim_end().to_owned();
                    context.ui.say(&format!("{}: {}", one_line(&outcome.role), text.replace('\n', "\n  ")))?;
                }
            }
        }
        outcomes.push(outcome);
    }
    if context.ui.is_json() {
        context.ui.document(&outcomes)?;
    }
    if outcomes.iter().any(|outcome| outcome.error.is_some()) { Err(Said.into()) } else { Ok(()) }
}

/// Follows one command to its end, and the agent that it started until that can be spoken to.
async fn follow(
    client: &Client,
    link: &Link,
    command: Command,
    until: Instant,
    limit: Duration,
    outcome: &mut Outcome,
) -> Result<String> {
    let command = if command.status.is_terminal() { command } else { agent::wait_over(link, command, until).await? };
    let command = outcome.command.insert(command);
    let said = agent::outcome(command, outcome.machine.as_deref().unwrap_or_default(), limit)?;
    if let Some((running, differences)) = agent::differing(client, command).await? {
        let refusal = agent::runs_otherwise(&running, &differences);
        outcome.agent = Some(running);
        return Err(refusal.into());
    }
    let Some(agent_id) = agent::begun(command) else { return Ok(said) };
    outcome.agent = agent::until_settled(link, agent_id, until).await?;
    let more = agent::settled(outcome.agent.as_ref(), limit)?;
    Ok(format!("{said}\n  {more}"))
}

impl Known {
    async fn load(context: &Context, client: &Client, chatroom_id: &ChatroomId) -> Result<Self> {
        let room = machines::ChatroomArgs { chatroom_id: chatroom_id.clone() };
        let of_room = agents::ListArgs { chatroom_id: Some(chatroom_id.clone()), ..Default::default() };
        Ok(Self {
            machines: client.call::<machines::ListMachines>(&Empty {}).await?,
            this: known_here(context)?,
            configs: client.call::<machines::GetAgentConfigs>(&room).await?,
            agents: client.call::<agents::List>(&of_room).await?,
        })
    }

    /// Where the role's agent is; else where it is configured (this machine, a connected one, the newest); else the default.
    fn machine_of(&self, role: &str) -> Result<&Machine> {
        let by_id = |id: &MachineId| self.machines.iter().find(|machine| machine.machine_id == *id);
        if let Some(machine) =
            self.agents.iter().find(|agent| agent.role == role).and_then(|agent| by_id(&agent.machine_id))
        {
            return Ok(machine);
        }
        let configured = self.configs.iter().filter(|known| known.config.role == role).max_by_key(|known| {
            let is_this = Some(&known.config.machine_id) == self.this.as_ref();
            (is_this, known.connection == ConnectionState::Connected, known.config.updated_at)
        });
        match configured.and_then(|known| by_id(&known.config.machine_id)) {
            Some(machine) => Ok(machine),
            None => default(&self.machines, self.this.as_ref()),
        }
    }

    fn config(&self, role: &str, machine: &MachineId) -> Option<&MachineAgentConfig> {
        self.configs.iter().find(|known| known.config.role == role && known.config.machine_id == *machine)
    }
}

/// What the flags say for a role: the last one that names it; one without a role only when it is not configured yet.
fn wish(texts: &[String], team: &Team, role: &str, is_configured: bool) -> Option<String> {
    let split = |text: &String| {
        let (of, value) = split(text, team);
        (of.map(str::to_owned), value.to_owned())
    };
    let all: Vec<_> = texts.iter().map(split).collect();
    let own = all.iter().rev().find(|(of, _)| of.as_deref() == Some(role));
    let general = || all.iter().rev().find(|(of, _)| of.is_none() && !is_configured);
    own.or_else(general).map(|(_, value)| value.clone())
}

/// Splits `ROLE:VALUE`; what stands before a colon counts only when it is a role of the team.
fn split<'a>(text: &'a str, team: &'a Team) -> (Option<&'a str>, &'a str) {
    match text.split_once(':') {
        Some((role, value)) => match team.role(role) {
            Some(role) => (Some(&role.name), value),
            None => (None, text),
        },
        None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::wish;
    use chatroom_protocol::room::{Team, TeamRole};

    #[test]
    fn a_flag_is_for_its_role_or_for_those_that_have_nothing() {
        let role = |name: &str| TeamRole {
            name: name.to_owned(),
            title: name.to_owned(),
            instructions: String::new(),
            hands_to: Vec::new(),
        };
        let team =
            Team { name: "duo".to_owned(), roles: vec![role("planner"), role("builder")], entry_role: String::new() };
        let dirs = ["/all".to_owned(), "Builder:/a:b".to_owned()];
        assert_eq!(wish(&dirs, &team, "builder", true).as_deref(), Some("/a:b"));
        assert_eq!(wish(&dirs, &team, "planner", false).as_deref(), Some("/all"));
        assert_eq!(wish(&dirs, &team, "planner", true), None);
        let model = ["vendor:model-1".to_owned()];
        assert_eq!(wish(&model, &team, "planner", false).as_deref(), Some("vendor:model-1"));
    }
}
