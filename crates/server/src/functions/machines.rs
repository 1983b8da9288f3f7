//! `machines.*` as far as it is about machines themselves: registration, agent configs, names, removal.

use super::chatrooms::{find_own, find_role};
use super::daemon::own_machine;
use super::lifecycle;
use super::outcome::{By, exit_agent, fail_command};
use super::starts::check_model;
use crate::caller::Caller;
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::store::agents::{self, Filter};
use crate::store::commands::{self, Guard};
use crate::store::credentials::{self, Holder, NewCredential};
use crate::store::machines::{self, Facts};
use crate::store::{agent_configs, daemon_sessions, desired, models};
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::machines::{
    ChatroomArgs, GetAgentConfigs, ListMachines, MachineArgs, Register, RegisterArgs, Registered, Remove, Rename,
    RenameArgs, UpdateAgentConfig, UpdateAgentConfigArgs,
};
use chatroom_protocol::command::{CommandFailure, FailureCode};
use chatroom_protocol::id::UserId;
use chatroom_protocol::machine::{AgentConfig, Machine, MachineAgentConfig};
use chatroom_protocol::tool::{ToolName, ToolStatus};
use chatroom_protocol::user::TokenScope;
use chatroom_protocol::{ErrorCode, Refusal};

/// How many tools a machine may tell of.
const TOOLS: usize = 64;
/// How many running agents one list of machines shows.
const AGENTS: i64 = 2000;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Register>(|cx, args| Box::pin(register_machine(cx, args)));
    registry.mutation::<UpdateAgentConfig>(|cx, args| Box::pin(update_agent_config(cx, args)));
    registry.query::<ListMachines>(machines_and_credentials, |cx, _| Box::pin(list_machines(cx)));
    registry.query::<GetAgentConfigs>(
        |caller, args| {
            let mut topics = own_machines(caller, args);
            topics.push(Topic::Chatroom(args.chatroom_id.clone()));
            topics
        },
        |cx, args| Box::pin(get_agent_configs(cx, args)),
    );
    registry.mutation::<Rename>(|cx, args| Box::pin(rename(cx, args)));
    registry.mutation::<Remove>(|cx, args| Box::pin(remove(cx, args)));
}

/// The topic of everything that shows the caller's machines.
pub(crate) fn own_machines<A>(caller: &Caller, _: &A) -> Vec<Topic> {
    caller.user_id().map(|id| vec![Topic::Machines(id.clone())]).unwrap_or_default()
}

/// What is told of machines, and whether they are signed in.
pub(crate) fn machines_and_credentials<A>(caller: &Caller, _: &A) -> Vec<Topic> {
    let topics = |id: &UserId| vec![Topic::Machines(id.clone()), Topic::Credentials(id.clone())];
    caller.user_id().map(topics).unwrap_or_default()
}

async fn register_machine(cx: &mut MutationCx, args: RegisterArgs) -> Result<Registered> {
    let user_id = cx.caller.user_id()?.clone();
    cx.caller.may_name_machine(&args.machine_id)?;
    if !args.machine_id.is_uuid() {
        return Err(Refusal::bad_request("machineId is a UUID in lower case, as in machine.json").into());
    }
    let facts = facts(&args)?;
    let id = args.machine_id;
    let is_new = match machines::find_any(&mut cx.tx, &id).await? {
        None => {
            machines::insert(&mut cx.tx, &id, &user_id, &facts, cx.now).await?;
            true
        }
        Some(known) if known.removed_at.is_some() => {
            machines::revive(&mut cx.tx, &id, &user_id, &facts, cx.now).await?;
            true
        }
        Some(known) if known.user_id != user_id => {
            return Err(Refusal::new(
                ErrorCode::MachineOwnedByOther,
                "this machine is registered by another user of this server",
            )
            .hint("make it a machine of its own with `chatroom machine repair --new`, or let the other user run `chatroom machine remove`")
            .into());
        }
        Some(known) if known.facts == facts => {
            machines::set_last_seen(&mut cx.tx, &user_id, &id, cx.now).await?;
            false
        }
        Some(_) => {
            machines::set_facts(&mut cx.tx, &user_id, &id, &facts, cx.now).await?;
            false
        }
    };
    let credential = if args.issue_credential {
        credentials::revoke_of_machine(&mut cx.tx, &id, false, cx.now).await?;
        let new = NewCredential {
            user_id: &user_id,
            holder: Holder::Machine(id.clone()),
            name: &facts.hostname,
            scope: TokenScope::Full,
            expires_at: None,
        };
        Some(credentials::insert(&mut cx.tx, &new, cx.now).await?.1)
    } else {
        None
    };
    if is_new {
        By::caller(cx, "machines.register").note(&mut cx.tx, &user_id, id.as_str(), "registered", cx.now).await?;
        tracing::info!(machine.id = %id, "a machine was registered");
    }
    Ok(Registered { machine_id: id, is_new, credential })
}

/// What a machine tells about itself, held to sizes that nothing honest exceeds.
fn facts(args: &RegisterArgs) -> Result<Facts> {
    for (field, text, longest) in [
        ("hostname", &args.hostname, 255),
        ("os", &args.os, 64),
        ("arch", &args.arch, 64),
        ("cliVersion", &args.cli_version, 100),
        ("cliPath", &args.cli_path, 4096),
    ] {
        check_text(field, text, longest)?;
    }
    if !args.cli_path.starts_with('/') {
        return Err(Refusal::bad_request("cliPath is an absolute path").into());
    }
    if args.available_tools.len() > TOOLS {
        return Err(Refusal::bad_request(format!("availableTools holds at most {TOOLS} tools")).into());
    }
    for (place, tool) in args.available_tools.iter().enumerate() {
        if !is_plausible(&tool.name) {
            return Err(Refusal::bad_request(format!("{:?} is no name of a tool", tool.name.as_str())).into());
        }
        if args.available_tools[..place].iter().any(|other| other.name == tool.name) {
            return Err(Refusal::bad_request(format!("availableTools names {} twice", tool.name)).into());
        }
        let texts = match &tool.status {
            ToolStatus::Ok { version } => [Some(version), None],
            ToolStatus::NotSignedIn { version, repair } => [Some(version), Some(repair)],
            ToolStatus::Broken { reason, repair } => [Some(reason), Some(repair)],
            ToolStatus::Missing { repair } => [Some(repair), None],
        };
        if texts.into_iter().flatten().chain(&tool.path).any(|text| text.len() > 4096) {
            return Err(Refusal::bad_request(format!("what is told of {} is longer than 4096 bytes", tool.name)).into());
        }
    }
    Ok(Facts {
        hostname: args.hostname.clone(),
        os: args.os.clone(),
        arch: args.arch.clone(),
        cli_version: args.cli_version.clone(),
        cli_path: args.cli_path.clone(),
        tools: args.available_tools.clone(),
    })
}

fn check_text(field: &str, text: &str, longest: usize) -> Result<()> {
    let count = text.chars().count();
    if count == 0 || count > longest || text.chars().any(char::is_control) {
        return Err(Refusal::bad_request(format!(
            "{field} is a text of 1 to {longest} characters without control characters"
        ))
        .into());
    }
    Ok(())
}

/// Whether this may be the name of a tool.
fn is_plausible(name: &ToolName) -> bool {
    let text = name.as_str();
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

async fn update_agent_config(cx: &mut MutationCx, args: UpdateAgentConfigArgs) -> Result<AgentConfig> {
    let machine = own_machine(&mut cx.tx, &cx.caller, &args.machine_id).await?;
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let role = find_role(&room, &args.role)?.name.clone();
    check_patch(&args)?;
    if let Some(tool) = &args.tool
        && machine.tool(tool).is_none()
    {
        let known: Vec<&str> = machine.facts.tools.iter().map(|report| report.name.as_str()).collect();
        return Err(Refusal::new(
            ErrorCode::ToolNotAvailable,
            format!("{tool} is no tool that {} knows", machine.name),
        )
        .hint(format!(
            "it knows: {}; if the tool was just added there (its program, or its entry in tools.toml), run `chatroom machine detect` on \
             that machine",
            known.join(", ")
        ))
        .into());
    }
    let before = agent_configs::find(&mut cx.tx, &machine.id, &room.chatroom_id, &role).await?;
    let config = match &before {
        Some(before) => {
            let mut config = before.clone();
            apply(&mut config, &args);
            config
        }
        None => {
            let (Some(tool), Some(working_dir)) = (args.tool.clone(), args.working_dir.clone()) else {
                let missing = if args.tool.is_none() { "a tool" } else { "a directory" };
                let message = format!(
                    "the role {role} has no agent config on {} yet: the first one needs {missing}",
                    machine.name
                );
                return Err(Refusal::bad_request(message)
                    .hint("give both: `chatroom agent start --tool=NAME --dir=PATH`, or the fields `tool` and `workingDir`")
                    .into());
            };
            let mut config = AgentConfig {
                machine_id: machine.id.clone(),
                chatroom_id: room.chatroom_id.clone(),
                role,
                tool,
                model: None,
                working_dir,
                permission_mode: args.permission_mode.unwrap_or_default(),
                start_on_task: false,
                updated_at: cx.now,
            };
            apply(&mut config, &args);
            config
        }
    };
    if before.as_ref() == Some(&config) {
        return Ok(config);
    }
    if args.model.is_some() || args.tool.is_some() {
        let known = models::known(&mut cx.tx, &machine.id, &config.tool).await?;
        check_model(&machine, &config, known.as_ref())?;
    }
    let config = AgentConfig { updated_at: cx.now, ..config };
    agent_configs::upsert(&mut cx.tx, &config).await?;
    lifecycle::forget_failure(&mut cx.tx, &config).await?;
    Ok(config)
}

fn check_patch(args: &UpdateAgentConfigArgs) -> Result<()> {
    if let Some(tool) = &args.tool
        && !is_plausible(tool)
    {
        return Err(Refusal::bad_request(format!("{:?} is no name of a tool", tool.as_str()))
            .hint("names of tools are lower case letters, digits and hyphens, for example `opencode`")
            .into());
    }
    if let Some(model) = &args.model
        && !model.is_empty()
    {
        check_text("model", model, 200)?;
        if model.starts_with('-') {
            return Err(Refusal::bad_request("model does not begin with a hyphen").into());
        }
    }
    match &args.working_dir {
        Some(dir) if !dir.starts_with('/') || dir.contains('\0') || dir.len() > 4096 => Err(Refusal::new(
            ErrorCode::InvalidWorkingDir,
            "workingDir is an absolute path on the machine, of at most 4096 bytes and without NUL",
        )
        .hint("begin it with `/`; `~` is not understood here")
        .into()),
        _ => Ok(()),
    }
}

fn apply(config: &mut AgentConfig, args: &UpdateAgentConfigArgs) {
    if let Some(tool) = &args.tool {
        config.tool = tool.clone();
    }
    if let Some(model) = &args.model {
        config.model = Some(model.clone()).filter(|model| !model.is_empty());
    }
    if let Some(dir) = &args.working_dir {
        config.working_dir = dir.clone();
    }
    if let Some(mode) = args.permission_mode {
        config.permission_mode = mode;
    }
    if let Some(start_on_task) = args.start_on_task {
        config.start_on_task = start_on_task;
    }
}

async fn list_machines(cx: &mut QueryCx) -> Result<Vec<Machine>> {
    let user_id = cx.caller.user_id()?.clone();
    let rows = machines::list(&mut cx.tx, &user_id).await?;
    let agents = agents::list(&mut cx.tx, &user_id, Filter::default(), AGENTS).await?;
    let signed_in = credentials::list_machines(&mut cx.tx, &user_id).await?;
    Ok(rows
        .into_iter()
        .map(|row| Machine {
            name: row.name,
            hostname: row.facts.hostname,
            os: row.facts.os,
            arch: row.facts.arch,
            cli_version: row.facts.cli_version,
            cli_path: row.facts.cli_path,
            available_tools: row.facts.tools,
            connection: row.connection,
            connection_since: row.connection_since,
            signed_in: signed_in.contains(&row.id),
            registered_at: row.registered_at,
            last_seen_at: row.last_seen_at,
            agents: agents.iter().map(|row| &row.agent).filter(|agent| agent.machine_id == row.id).cloned().collect(),
            machine_id: row.id,
        })
        .collect())
}

async fn get_agent_configs(cx: &mut QueryCx, args: ChatroomArgs) -> Result<Vec<MachineAgentConfig>> {
    let user_id = cx.caller.user_id()?.clone();
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let machines = machines::list(&mut cx.tx, &user_id).await?;
    let configs = agent_configs::list(&mut cx.tx, &room.chatroom_id).await?;
    Ok(configs
        .into_iter()
        // A team that was changed since may have lost the role.
        .filter(|config| room.team.role(&config.role).is_some())
        .filter_map(|config| {
            let machine = machines.iter().find(|machine| machine.id == config.machine_id)?;
            Some(MachineAgentConfig {
                machine_name: machine.name.clone(),
                connection: machine.connection,
                connection_since: machine.connection_since,
                tool_available: machine
                    .tool(&config.tool)
                    .is_some_and(chatroom_protocol::tool::ToolReport::is_available),
                config,
            })
        })
        .collect())
}

async fn rename(cx: &mut MutationCx, args: RenameArgs) -> Result<Empty> {
    let user_id = cx.caller.user_id()?.clone();
    let name = args.name.trim();
    check_text("name", name, 100)?;
    if !machines::rename(&mut cx.tx, &user_id, &args.machine_id, name).await? {
        return Err(Refusal::not_found("machine").into());
    }
    Ok(Empty {})
}

async fn remove(cx: &mut MutationCx, args: MachineArgs) -> Result<Empty> {
    let user_id = cx.caller.user_id()?.clone();
    let id = args.machine_id;
    if !machines::remove(&mut cx.tx, &user_id, &id, cx.now).await? {
        return Err(Refusal::not_found("machine").into());
    }
    // Before its agents end: none of them is to be started again.
    desired::stop_of_machine(&mut cx.tx, &id, cx.now).await?;
    let by = By::caller(cx, "machines.remove");
    credentials::revoke_of_machine(&mut cx.tx, &id, true, cx.now).await?;
    let failure = CommandFailure::new(FailureCode::MachineRemoved, "its owner removed the machine");
    for command in commands::list_open(&mut cx.tx, &id).await? {
        fail_command(&mut cx.tx, &command, Guard::Open, &failure, &by, cx.now).await?;
    }
    for known in agents::list_open(&mut cx.tx, &id).await? {
        exit_agent(&mut cx.tx, &known.row, &AgentExit::Lost, cx.now, cx.now).await?;
    }
    agent_configs::delete_of_machine(&mut cx.tx, &id).await?;
    daemon_sessions::delete_of_machine(&mut cx.tx, &id).await?;
    models::delete_of_machine(&mut cx.tx, &id).await?;
    by.note(&mut cx.tx, &user_id, id.as_str(), "removed", cx.now).await?;
    Ok(Empty {})
}
