//! Starting agents: a start is done when the tool can be spoken to, or when it is known why it cannot work.

use super::command::{outcome, send, wait_over};
use crate::cli::{AgentSlot, AgentStart};
use crate::context::{Context, link};
use crate::duration::show;
use crate::error::{Refused, refused};
use crate::machines::{default, known_here, named, this_machine};
use crate::program;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_machine::{Client, Link, LinkEvent};
use chatroom_protocol::agent::{Agent, AgentExit, AgentState, Trouble, TurnState};
use chatroom_protocol::api::{Empty, agents, machines};
use chatroom_protocol::command::{Command, CommandRequest, CommandResult, CommandStatus, RoleSlot, StartAgent};
use chatroom_protocol::id::{AgentId, ChatroomId};
use chatroom_protocol::machine::{AgentConfig, Machine};
use chatroom_protocol::tool::{PermissionMode, ToolStatus};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// What came of a command about an agent.
#[derive(Serialize)]
struct Came<'a> {
    #[serde(flatten)]
    command: &'a Command,
    /// The agent that it started, as far as it has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a Agent>,
    /// What a running agent has otherwise than a start would use now.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    differences: &'a [Difference],
    /// What may keep its tool from working.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

/// A setting that an agent was started with, and what stands for its role now.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    setting: &'static str,
    running: String,
    set: String,
}

/// Starts the agent of a role.
pub(super) async fn start(context: &Context, start: AgentStart) -> Result<()> {
    let client = context.client()?;
    let list = client.call::<machines::ListMachines>(&Empty {}).await?;
    let (this, machine) = match &start.slot.machine {
        Some(name) => (this_machine(context), named(&list, name)?),
        None => {
            let this = known_here(context)?;
            let machine = default(&list, this.as_ref())?;
            (this, machine)
        }
    };
    let chatroom_id = ChatroomId::from(start.slot.chatroom_id.clone());
    let is_here = this.as_ref() == Some(&machine.machine_id);
    configure(context, &client, &start, machine, is_here).await?;
    let request = CommandRequest::StartAgent(StartAgent {
        chatroom_id,
        role: start.slot.role.clone(),
        take_over: start.take_over,
    });
    command_and_ready(context, &client, machine, request, start.slot.timeout).await
}

/// Sets what "start" uses, when the command line says anything about it. The first time on this machine the directory is the
/// current one, unless said otherwise.
pub(crate) async fn configure(
    context: &Context,
    client: &Client,
    start: &AgentStart,
    machine: &Machine,
    is_here: bool,
) -> Result<()> {
    let chatroom_id = ChatroomId::from(start.slot.chatroom_id.clone());
    let is_silent = start.tool.is_none()
        && start.model.is_none()
        && start.dir.is_none()
        && start.permission_mode.is_none()
        && start.start_on_task.is_none();
    if is_silent {
        return Ok(());
    }
    let working_dir = match &start.dir {
        Some(dir) if dir == "~" || dir.starts_with("~/") => {
            let message =
                format!("`{}` was not expanded by your shell: `~` means nothing within a word", one_line(dir));
            let whole = dir.replacen('~', "$HOME", 1);
            return Err(refused(message).hint(format!("write $HOME: --dir=\"{}\"", one_line(&whole))).into());
        }
        Some(dir) if Path::new(dir).is_absolute() => Some(dir.clone()),
        Some(dir) if is_here => Some(text_of(&std::path::absolute(dir)?)?),
        Some(dir) => {
            let message = format!(
                "`{}` is not an absolute path, and the machine {} is another one",
                one_line(dir),
                one_line(&machine.name)
            );
            return Err(refused(message).hint("give the directory's whole path on that machine").into());
        }
        None => {
            let configs = client
                .call::<machines::GetAgentConfigs>(&machines::ChatroomArgs { chatroom_id: chatroom_id.clone() })
                .await?;
            let known = configs.iter().any(|known| {
                known.config.machine_id == machine.machine_id
                    && known.config.role == start.slot.role.trim().to_lowercase()
            });
            if is_here && !known { Some(text_of(&std::env::current_dir()?)?) } else { None }
        }
    };
    let args = machines::UpdateAgentConfigArgs {
        machine_id: machine.machine_id.clone(),
        chatroom_id,
        role: start.slot.role.clone(),
        tool: start.tool.as_deref().map(Into::into),
        model: start.model.clone(),
        working_dir,
        permission_mode: start.permission_mode.as_deref().and_then(PermissionMode::parse),
        start_on_task: start.start_on_task,
    };
    let config = client.call::<machines::UpdateAgentConfig>(&args).await?;
    if !context.ui.is_json() {
        context.ui.note(&format!(
            "set for {} on {}: {} in {}, permission mode {}{}",
            config.role,
            one_line(&machine.name),
            config.tool,
            one_line(&config.working_dir),
            config.permission_mode.as_str(),
            if config.start_on_task { ", started by its tasks" } else { "" }
        ))?;
    }
    Ok(())
}

/// Stops or restarts the agent of a role.
pub(super) async fn command_slot(
    context: &Context,
    slot: AgentSlot,
    request: fn(RoleSlot) -> CommandRequest,
) -> Result<()> {
    let client = context.client()?;
    let list = client.call::<machines::ListMachines>(&Empty {}).await?;
    let chatroom_id = ChatroomId::from(slot.chatroom_id.clone());
    let role = slot.role.trim().to_lowercase();
    let machine = match &slot.machine {
        Some(name) => named(&list, name)?,
        // Where the agent is; else where it would be started.
        None => match list
            .iter()
            .find(|machine| machine.agents.iter().any(|agent| agent.chatroom_id == chatroom_id && agent.role == role))
        {
            Some(machine) => machine,
            None => default(&list, known_here(context)?.as_ref())?,
        },
    };
    let request = request(RoleSlot { chatroom_id, role: slot.role });
    command_and_ready(context, &client, machine, request, slot.timeout).await
}

async fn command_and_ready(
    context: &Context,
    client: &Client,
    machine: &Machine,
    request: CommandRequest,
    limit: Duration,
) -> Result<()> {
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let link = link(client, &end)?;
    let until = Instant::now() + limit;
    let mut command = send(context, client, machine, request).await?;
    if !command.status.is_terminal() {
        command = wait_over(&link, command, until).await?;
    }
    let (mut agent, mut differences) = (None, Vec::new());
    let outcome = match outcome(&command, &machine.name, limit) {
        Ok(said) => {
            if let Some((running, found)) = differing(client, &command).await? {
                let refusal = runs_otherwise(&running, &found);
                (agent, differences) = (Some(running), found);
                Err(refusal)
            } else if let Some(agent_id) = begun(&command) {
                agent = until_settled(&link, agent_id, until).await?;
                settled(agent.as_ref(), limit).map(|more| format!("{said}\n{more}"))
            } else {
                Ok(said)
            }
        }
        Err(refused) => Err(refused),
    };
    let warning = agent.as_ref().filter(|_| outcome.is_ok()).and_then(|agent| warning(agent, machine));
    let came =
        Came { command: &command, agent: agent.as_ref(), differences: &differences, warning: warning.as_deref() };
    if outcome.is_err() && context.ui.is_json() {
        context.ui.document(&came)?;
    }
    let said = outcome?;
    context.ui.answer(&came, |_| said)?;
    if let Some(warning) = &warning {
        context.ui.note(&format!("Warning: {warning}"))?;
    }
    Ok(())
}

/// The agent that a start found running, when it was started with other settings than those that stand for its role now, and which
/// those are.
pub(crate) async fn differing(client: &Client, command: &Command) -> Result<Option<(Agent, Vec<Difference>)>> {
    let CommandStatus::Completed { result: CommandResult::AlreadyRunning { agent_id }, .. } = &command.status else {
        return Ok(None);
    };
    let agent = client.call::<agents::Get>(&agents::AgentArgs { agent_id: agent_id.clone() }).await?;
    let of_room = machines::ChatroomArgs { chatroom_id: agent.chatroom_id.clone() };
    let configs = client.call::<machines::GetAgentConfigs>(&of_room).await?;
    let config = configs
        .into_iter()
        .map(|known| known.config)
        .find(|config| config.machine_id == agent.machine_id && config.role == agent.role);
    let found = config.map(|config| differences(&agent, &config)).unwrap_or_default();
    Ok(if agent.state.is_active() && !found.is_empty() { Some((agent, found)) } else { None })
}

fn differences(agent: &Agent, config: &AgentConfig) -> Vec<Difference> {
    let model = |name: &Option<String>| name.clone().unwrap_or_else(|| "the tool's own".to_owned());
    [
        ("tool", agent.tool.to_string(), config.tool.to_string()),
        ("model", model(&agent.model), model(&config.model)),
        ("directory", agent.working_dir.clone(), config.working_dir.clone()),
        ("permission mode", agent.permission_mode.as_str().to_owned(), config.permission_mode.as_str().to_owned()),
    ]
    .into_iter()
    .filter(|(_, running, set)| running != set)
    .map(|(setting, running, set)| Difference { setting, running, set })
    .collect()
}

/// That a running agent does not have the settings that its role has now.
pub(crate) fn runs_otherwise(agent: &Agent, differences: &[Difference]) -> Refused {
    let changes: Vec<String> = differences
        .iter()
        .map(|one| format!("{} {} -> {}", one.setting, one_line(&one.running), one_line(&one.set)))
        .collect();
    let restart =
        format!("chatroom agent restart --chatroom-id={} --role={}", agent.chatroom_id, program::quote(&agent.role));
    refused(format!(
        "{} runs already, and goes on with the settings that it was started with; set since then: {}",
        one_line(&agent.role),
        changes.join("; ")
    ))
    .hint(format!("they count from its next start: {restart}"))
}

/// What its machine found out about the tool of an agent that runs, if that may keep it from working.
pub(crate) fn warning(agent: &Agent, machine: &Machine) -> Option<String> {
    let report = machine.available_tools.iter().find(|report| report.name == agent.tool)?;
    match &report.status {
        ToolStatus::NotSignedIn { repair, .. } => Some(format!(
            "nobody was signed in to {} on {} when that looked for its tools last: its turns may fail; sign in there with `{}`, or \
             look again with `chatroom machine detect`",
            agent.tool,
            one_line(&machine.name),
            one_line(repair)
        )),
        ToolStatus::Ok { .. } | ToolStatus::Broken { .. } | ToolStatus::Missing { .. } => None,
    }
}

/// The agent that a command has started, or found running.
pub(crate) const fn begun(command: &Command) -> Option<&AgentId> {
    match &command.status {
        CommandStatus::Completed {
            result: CommandResult::Started { agent_id, .. } | CommandResult::AlreadyRunning { agent_id },
            ..
        } => Some(agent_id),
        _ => None,
    }
}

/// Follows an agent until it can be spoken to, or until it is known that it cannot work; gives it as it stands then, or when
/// the time is over.
pub(crate) async fn until_settled(link: &Link, agent_id: &AgentId, until: Instant) -> Result<Option<Agent>> {
    let mut live = link.subscribe::<agents::Get>(&agents::AgentArgs { agent_id: agent_id.clone() });
    let mut newest = None;
    let follow = async {
        while let Some(event) = live.next().await {
            match event {
                LinkEvent::Value(agent) => {
                    let is_settled = !matches!(standing(&agent), Standing::OnTheWay);
                    newest = Some(agent);
                    if is_settled {
                        break;
                    }
                }
                LinkEvent::Refused(refusal) => return Err(refusal),
                LinkEvent::Down { .. } | LinkEvent::Up => {}
            }
        }
        Ok(())
    };
    match timeout_at(until, follow).await {
        Ok(Err(refusal)) => Err(refusal.into()),
        Ok(Ok(())) | Err(_) => Ok(newest),
    }
}

/// Whether an agent that was started can be spoken to.
#[derive(Debug, PartialEq)]
enum Standing<'a> {
    /// It can.
    Ready,
    /// It was stopped, by somebody who wanted so.
    Stopped,
    /// Its tool cannot work, by its own word.
    Troubled(&'a Trouble),
    /// It has ended.
    Ended(String),
    /// Nobody can say yet.
    OnTheWay,
}

fn standing(agent: &Agent) -> Standing<'_> {
    match &agent.state {
        AgentState::Exited { exit: AgentExit::Unusable { trouble }, .. } => Standing::Troubled(trouble),
        AgentState::Exited { exit: AgentExit::Stopped, .. } => Standing::Stopped,
        AgentState::Exited { exit, .. } => Standing::Ended(super::ended(exit)),
        AgentState::Failed { reason, .. } => Standing::Ended(reason.clone()),
        AgentState::Starting { .. } | AgentState::Running { .. } | AgentState::Stopping { .. } => {
            let session = &agent.session;
            match (&session.trouble, &session.turn) {
                (Some(trouble), _) => Standing::Troubled(trouble),
                (None, Some(turn)) if turn.state != TurnState::Starting => Standing::Ready,
                (None, _) => Standing::OnTheWay,
            }
        }
    }
}

/// What came of a started agent, in one line; the refusal when it cannot work or is not ready in time.
pub(crate) fn settled(agent: Option<&Agent>, limit: Duration) -> Result<String, Refused> {
    let look = |verb: &str, agent: &Agent| {
        let role = program::quote(&agent.role);
        format!("chatroom agent {verb} --chatroom-id={} --role={role}", agent.chatroom_id)
    };
    let waited = show(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX));
    let Some(agent) = agent else {
        return Err(refused(format!("nothing was heard of the agent within {waited}")).hint("chatroom agent list"));
    };
    let role = one_line(&agent.role);
    match standing(agent) {
        Standing::Ready => Ok(format!("{role} is ready; see what it does and speak to it: {}", look("attach", agent))),
        Standing::Stopped => Ok(format!("{role} was stopped")),
        Standing::Troubled(trouble) => {
            let mended = trouble.repair.clone().unwrap_or_else(|| look("why", agent));
            Err(refused(format!("{role} cannot work: {}", trouble.message)).hint(mended))
        }
        Standing::Ended(how) => {
            Err(refused(format!("{role} has ended before it was ready: {how}")).hint(look("logs", agent)))
        }
        Standing::OnTheWay => {
            let message = format!("the tool of {role} ({}) is still starting after {waited}", agent.tool);
            Err(refused(message).hint(format!("it goes on; look with `{}`", look("why", agent))))
        }
    }
}

fn text_of(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(refused(format!("the path {} is not UTF-8", path.display())).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Standing, differences, runs_otherwise, settled, standing, warning};
    use crate::commands::agent::tests::{agent, machine};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::agent::{AgentExit, AgentState, Trouble, TroubleKind, Turn, TurnState};
    use chatroom_protocol::machine::AgentConfig;
    use chatroom_protocol::tool::{PermissionMode, ToolStatus};
    use std::time::Duration;

    fn trouble() -> Trouble {
        Trouble {
            kind: TroubleKind::NotSignedIn,
            message: "nobody is signed in".to_owned(),
            repair: Some("claude auth login".to_owned()),
            at: UnixMs(5),
        }
    }

    #[test]
    fn an_agent_is_ready_when_its_turn_is_known_and_not_starting() {
        let mut agent = agent();
        assert_eq!(standing(&agent), Standing::OnTheWay);
        agent.session.turn = Some(Turn { state: TurnState::Starting, since: UnixMs(1), task_id: None });
        assert_eq!(standing(&agent), Standing::OnTheWay);
        let late = settled(Some(&agent), Duration::from_secs(90)).unwrap_err().to_string();
        assert_eq!(late, "the tool of builder (echo) is still starting after 90 s");
        agent.session.turn = Some(Turn { state: TurnState::Idle, since: UnixMs(2), task_id: None });
        assert_eq!(standing(&agent), Standing::Ready);
        assert!(settled(Some(&agent), Duration::ZERO).unwrap().starts_with("builder is ready"));
    }

    #[test]
    fn a_tool_that_cannot_work_is_told_with_its_repair_whether_it_runs_or_has_ended() {
        let mut running = agent();
        running.session.trouble = Some(trouble());
        let mut ended = agent();
        ended.state = AgentState::Exited { at: UnixMs(9), exit: AgentExit::Unusable { trouble: trouble() } };
        for agent in [running, ended] {
            let error = anyhow::Error::from(settled(Some(&agent), Duration::ZERO).unwrap_err());
            assert_eq!(
                crate::error::report(&error),
                ("Error: builder cannot work: nobody is signed in\nHint: claude auth login\n".to_owned(), 1)
            );
        }
    }

    #[test]
    fn settings_that_a_running_agent_does_not_have_are_named_with_the_restart() {
        let agent = agent();
        let mut config = AgentConfig {
            machine_id: "m1".into(),
            chatroom_id: "r1".into(),
            role: "builder".to_owned(),
            tool: "echo".into(),
            model: None,
            working_dir: "/work".to_owned(),
            permission_mode: PermissionMode::Ask,
            start_on_task: true,
            updated_at: UnixMs(0),
        };
        assert_eq!(differences(&agent, &config), []);
        config.tool = "claude".into();
        config.model = Some("big".to_owned());
        config.permission_mode = PermissionMode::Full;
        let error = anyhow::Error::from(runs_otherwise(&agent, &differences(&agent, &config)));
        let (text, code) = crate::error::report(&error);
        let changes = "tool echo -> claude; model the tool's own -> big; permission mode ask -> full\n";
        assert!(code == 1 && text.contains(changes), "{text}");
        assert!(text.contains("chatroom agent restart --chatroom-id=r1 --role=builder"), "{text}");
    }

    #[test]
    fn a_tool_that_nobody_is_signed_in_to_is_warned_of_with_its_repair() {
        let mut machine = machine();
        assert_eq!(warning(&agent(), &machine), None);
        let (version, repair) = ("1".to_owned(), "echo login".to_owned());
        machine.available_tools[0].status = ToolStatus::NotSignedIn { version, repair };
        let text = warning(&agent(), &machine).unwrap();
        assert!(text.starts_with("nobody was signed in to echo on laptop") && text.contains("`echo login`"), "{text}");
    }

    #[test]
    fn an_agent_that_ended_by_itself_is_no_success_and_one_that_was_stopped_is_no_failure() {
        let mut agent = agent();
        agent.state = AgentState::Exited { at: UnixMs(9), exit: AgentExit::Code { code: 3 } };
        assert!(settled(Some(&agent), Duration::ZERO).unwrap_err().to_string().contains("exit code 3"));
        agent.state = AgentState::Exited { at: UnixMs(9), exit: AgentExit::Stopped };
        assert!(settled(Some(&agent), Duration::ZERO).is_ok());
        assert!(settled(None, Duration::ZERO).is_err());
    }
}
