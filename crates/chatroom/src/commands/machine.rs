//! `chatroom machine`: machines, and the identity and tools of this one.

use crate::cli::{Machine as MachineCommand, Repair};
use crate::commands::daemon;
use crate::context::{Context, signed_in};
use crate::duration::show;
use crate::error::refused;
use crate::machines::{default, known_here, named, this_machine};
use crate::program;
use crate::ui::{one_line, table};
use anyhow::Result;
use chatroom_machine::config::Config;
use chatroom_machine::credentials::Source;
use chatroom_machine::daemon::{Holder, Status, status};
use chatroom_machine::identity::{self, Fingerprint};
use chatroom_machine::tools::{Detection, Detector};
use chatroom_machine::{Client, clock};
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::{Empty, machines};
use chatroom_protocol::command::{Command, CommandStatus};
use chatroom_protocol::machine::Machine;
use chatroom_protocol::tool::{ToolReport, ToolStatus};
use serde::Serialize;
use std::fmt::Write as _;

/// Runs a `machine` command.
pub(crate) async fn run(context: &Context, command: MachineCommand) -> Result<()> {
    match command {
        MachineCommand::Daemon(command) => daemon::run(context, command).await,
        MachineCommand::List => list(context).await,
        MachineCommand::Show(which) => show_machine(context, which.machine.as_deref()).await,
        MachineCommand::Rename { machine, name } => rename(context, &machine, name).await,
        MachineCommand::Remove { machine } => remove(context, &machine).await,
        MachineCommand::Detect { refresh } => detect(context, refresh).await,
        MachineCommand::Repair(repair) => self::repair(context, &repair),
    }
}

async fn all(client: &Client) -> Result<Vec<Machine>> {
    Ok(client.call::<machines::ListMachines>(&Empty {}).await?)
}

async fn list(context: &Context) -> Result<()> {
    let list = all(&context.client()?).await?;
    let this = this_machine(context);
    let now = clock::now();
    Ok(context.ui.answer(&list, |list| {
        if list.is_empty() {
            return "no machines; on each one: chatroom machine daemon start".to_owned();
        }
        let row = |machine: &Machine| {
            let tools: Vec<&str> = machine
                .available_tools
                .iter()
                .filter(|tool| tool.is_available())
                .map(|tool| tool.name.as_str())
                .collect();
            [
                if this.as_ref() == Some(&machine.machine_id) { "*".to_owned() } else { String::new() },
                machine.name.clone(),
                format!("{} for {}", machine.connection.as_str(), show(now.since(machine.connection_since))),
                machine.agents.len().to_string(),
                tools.join(" "),
                machine.machine_id.to_string(),
            ]
        };
        table(["", "NAME", "CONNECTION", "AGENTS", "TOOLS", "MACHINE"], &list.iter().map(row).collect::<Vec<_>>())
    })?)
}

/// A machine with its newest commands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Overview {
    #[serde(flatten)]
    machine: Machine,
    commands: Vec<Command>,
}

async fn show_machine(context: &Context, name: Option<&str>) -> Result<()> {
    let client = context.client()?;
    let list = all(&client).await?;
    let machine = match name {
        Some(name) => named(&list, name)?,
        None => default(&list, known_here(context)?.as_ref())?,
    };
    let args = machines::ListCommandsArgs { machine_id: machine.machine_id.clone(), limit: Some(10) };
    let commands = client.call::<machines::ListCommands>(&args).await?;
    let overview = Overview { machine: machine.clone(), commands };
    Ok(context.ui.answer(&overview, |overview| describe(overview, clock::now()))?)
}

fn describe(overview: &Overview, now: UnixMs) -> String {
    let machine = &overview.machine;
    let mut text = format!(
        "machine {} ({})\n{} {}, host {}, chatroom {} at {}\n{} for {}, last call {} ago\n\n",
        one_line(&machine.name),
        machine.machine_id,
        one_line(&machine.os),
        one_line(&machine.arch),
        one_line(&machine.hostname),
        one_line(&machine.cli_version),
        one_line(&machine.cli_path),
        machine.connection.as_str(),
        show(now.since(machine.connection_since)),
        show(now.since(machine.last_seen_at)),
    );
    text.push_str(&tools(&machine.available_tools));
    if !machine.agents.is_empty() {
        let _ = write!(text, "\n{}", super::agent::describe(&machine.agents, &[], now));
    }
    if !overview.commands.is_empty() {
        let row = |command: &Command| {
            let outcome = match &command.status {
                CommandStatus::Pending => "pending".to_owned(),
                CommandStatus::Processing { .. } => "processing".to_owned(),
                CommandStatus::Completed { .. } => "completed".to_owned(),
                CommandStatus::Failed { failure, .. } => format!("failed: {}", failure.message),
            };
            [command.request.kind().to_owned(), show(now.since(command.created_at)), outcome]
        };
        let rows: Vec<_> = overview.commands.iter().map(row).collect();
        let _ = write!(text, "\n{}", table(["COMMAND", "AGE", "OUTCOME"], &rows));
    }
    text
}

async fn rename(context: &Context, machine: &str, name: String) -> Result<()> {
    let client = context.client()?;
    let list = all(&client).await?;
    let machine = named(&list, machine)?;
    client
        .call::<machines::Rename>(&machines::RenameArgs { machine_id: machine.machine_id.clone(), name: name.clone() })
        .await?;
    Ok(context.ui.say(&format!("{} is now called {}", one_line(&machine.name), one_line(&name)))?)
}

async fn remove(context: &Context, machine: &str) -> Result<()> {
    let client = context.client()?;
    let list = all(&client).await?;
    let machine = named(&list, machine)?;
    client.call::<machines::Remove>(&machines::MachineArgs { machine_id: machine.machine_id.clone() }).await?;
    Ok(context.ui.say(&format!("machine {} is removed", one_line(&machine.name)))?)
}

async fn detect(context: &Context, refresh: bool) -> Result<()> {
    let detector = Detector::new(&context.home, &Config::load(&context.home)?);
    let detector = if refresh { detector.fresh() } else { detector };
    let found = detector.detect().await;
    if let Some(fault) = &found.fault {
        context.ui.note(&format!("the tools that you have described cannot be used: {fault}"))?;
    }
    if let Err(error) = tell_server(context, &found).await {
        context.ui.note(&format!("the server was not told of these tools: {error:#}"))?;
    }
    Ok(context.ui.answer(&found.reports, |reports| tools(reports))?)
}

/// Registers what was found, where this user is signed in and this machine is registered.
async fn tell_server(context: &Context, found: &Detection) -> Result<()> {
    let Some(id) = this_machine(context) else { return Ok(()) };
    let resolved = match context.resolve() {
        Ok(resolved) if matches!(resolved.source, Source::Login { .. }) => resolved,
        _ => return Ok(()),
    };
    let client = signed_in(&resolved)?;
    if !all(&client).await?.iter().any(|machine| machine.machine_id == id) {
        return Ok(());
    }
    let found = found.clone();
    let (file, ()) = identity::update(&context.home, &Fingerprint::read(), |file| {
        file.available_tools = found.reports;
        file.spawn_path = Some(found.spawn_path);
    })?;
    client.call::<machines::Register>(&file.register_args(&program::path()?, false)).await?;
    Ok(())
}

/// Tools with their versions, or what is wrong and the repair.
pub(crate) fn tools(reports: &[ToolReport]) -> String {
    let row = |report: &ToolReport| {
        let (state, note) = match &report.status {
            ToolStatus::Ok { version } => (format!("ok {version}"), String::new()),
            ToolStatus::NotSignedIn { version, repair } => (format!("not signed in, {version}"), repair.clone()),
            ToolStatus::Broken { reason, repair } => ("broken".to_owned(), format!("{reason}; {repair}")),
            ToolStatus::Missing { repair } => ("missing".to_owned(), repair.clone()),
        };
        [report.name.to_string(), state, report.path.clone().unwrap_or_default(), note]
    };
    table(["TOOL", "STATE", "PATH", "REPAIR"], &reports.iter().map(row).collect::<Vec<_>>())
}

/// A running daemon would go on under the old identity.
fn refuse_beside_daemon(context: &Context) -> Result<()> {
    let Status::Running { by, .. } = status(&context.home)? else { return Ok(()) };
    let pid = by.as_ref().map(|by| format!(" (pid {})", by.process.pid)).unwrap_or_default();
    let hint = match by {
        Some(by) if by.holder == Holder::Up => "end `chatroom up` with Ctrl-C in its terminal, then repair again",
        _ => "stop it first: chatroom machine daemon stop; then repair again",
    };
    Err(refused(format!("the daemon of this machine is running{pid} and would keep the old identity"))
        .hint(hint)
        .into())
}

fn repair(context: &Context, repair: &Repair) -> Result<()> {
    let fingerprint = Fingerprint::read();
    let (file, said) = if repair.new {
        refuse_beside_daemon(context)?;
        let (file, backup) = identity::repair_new(&context.home, &fingerprint, clock::now())?;
        let kept = backup.map(|path| format!("; the old file is kept as {}", path.display())).unwrap_or_default();
        (file, format!("this is a new machine now{kept}"))
    } else if repair.moved {
        (identity::repair_moved(&context.home, &fingerprint)?, "this machine keeps its identity".to_owned())
    } else {
        return Err(refused("nothing to repair was named").hint("give --moved or --new").into());
    };
    Ok(context.ui.answer(&file.machine_id, |id| {
        format!("{said}\nmachine {id}; register it with `chatroom machine daemon start`")
    })?)
}
