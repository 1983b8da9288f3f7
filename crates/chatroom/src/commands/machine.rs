//! `chatroom machine`: machines, and the identity and tools of this one.

use crate::cli::{Machine as MachineCommand, MachineModels, Repair};
use crate::commands::agent::{outcome, send, wait_for_end};
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
use chatroom_protocol::command::{Command, CommandRequest, CommandResult, CommandStatus, ToolRef};
use chatroom_protocol::machine::Machine;
use chatroom_protocol::tool::{ToolName, ToolReport, ToolStatus};
use chatroom_protocol::transcript::{Model, ModelList};
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
        MachineCommand::Models(args) => models(context, args).await,
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
        let _ = write!(text, "\n{}", super::agent::describe(&machine.agents, std::slice::from_ref(machine), now));
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

/// Asks a tool of a machine for its models.
async fn models(context: &Context, args: MachineModels) -> Result<()> {
    let client = context.client()?;
    let list = all(&client).await?;
    let machine = match &args.machine {
        Some(name) => named(&list, name)?,
        None => default(&list, known_here(context)?.as_ref())?,
    };
    let tool = ToolName(args.tool.trim().to_lowercase());
    let request = CommandRequest::ListModels(ToolRef { tool: tool.clone() });
    let command = send(context, &client, machine, request).await?;
    let command =
        if command.status.is_terminal() { command } else { wait_for_end(&client, command, args.timeout).await? };
    outcome(&command, &machine.name, args.timeout)?;
    let CommandStatus::Completed { result: CommandResult::Models(models), .. } = &command.status else {
        return Err(refused(format!("{} did not tell the models of {tool}", one_line(&machine.name)))
            .hint("is chatroom on that machine an older one? chatroom machine show")
            .into());
    };
    Ok(context.ui.answer(models, |models| describe_models(models, &tool))?)
}

fn describe_models(list: &ModelList, tool: &ToolName) -> String {
    if list.models.is_empty() {
        return format!("{tool} does not tell its models; any name may be given with --model");
    }
    let row = |model: &Model| {
        let mark = if list.default.as_ref() == Some(&model.id) { "*" } else { "" };
        let name = if model.name == model.id { "" } else { &model.name };
        [mark.to_owned(), model.id.clone(), name.to_owned()]
    };
    let mut text = table(["", "MODEL", "NAME"], &list.models.iter().map(row).collect::<Vec<_>>());
    match &list.default {
        Some(default) if list.models.iter().any(|model| model.id == *default) => {
            text.push_str("\n* is used when none is chosen\n");
        }
        Some(default) => text.push_str(&format!("\n{} is used when none is chosen\n", one_line(default))),
        None => {}
    }
    if !list.is_complete {
        text.push_str("\nthere may be others; any name may be given with --model\n");
    }
    text
}

/// Tools with their versions and how they are spoken to, or what is wrong and the repair.
pub(crate) fn tools(reports: &[ToolReport]) -> String {
    let row = |report: &ToolReport| {
        let (state, note) = match &report.status {
            ToolStatus::Ok { version } => (format!("ok {version}"), String::new()),
            ToolStatus::NotSignedIn { version, repair } => (format!("not signed in, {version}"), repair.clone()),
            ToolStatus::Broken { reason, repair } => ("broken".to_owned(), format!("{reason}; {repair}")),
            ToolStatus::Missing { repair } => ("missing".to_owned(), repair.clone()),
        };
        let (driver, asks) = match report.driver {
            Some(driver) => (driver.as_str(), if report.asks { "yes" } else { "no" }),
            None => ("", ""),
        };
        let path = report.path.clone().unwrap_or_default();
        [report.name.to_string(), state, driver.to_owned(), asks.to_owned(), path, note]
    };
    table(["TOOL", "STATE", "DRIVER", "ASKS", "PATH", "REPAIR"], &reports.iter().map(row).collect::<Vec<_>>())
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

#[cfg(test)]
mod tests {
    use super::{describe_models, tools};
    use chatroom_protocol::tool::{ToolReport, ToolStatus};
    use chatroom_protocol::transcript::{DriverKind, Model, ModelList};

    #[test]
    fn models_are_listed_with_the_one_that_is_used_when_none_is_chosen() {
        let model = |id: &str, name: &str| Model { id: id.to_owned(), name: name.to_owned() };
        let list = ModelList {
            models: vec![model("vendor/big", "Big"), model("small", "small")],
            is_complete: true,
            default: Some("vendor/big".to_owned()),
        };
        let text = describe_models(&list, &"opencode".into());
        assert_eq!(text, "   MODEL       NAME\n*  vendor/big  Big\n   small\n\n* is used when none is chosen\n");
        let open = ModelList { is_complete: false, default: None, ..list };
        assert!(describe_models(&open, &"opencode".into()).ends_with("any name may be given with --model\n"));
        let none = ModelList { models: Vec::new(), is_complete: false, default: None };
        assert!(describe_models(&none, &"pi".into()).starts_with("pi does not tell its models"));
    }

    #[test]
    fn a_tool_is_shown_with_how_it_is_spoken_to_and_whether_it_can_ask() {
        let tool = |name: &str, driver, asks| ToolReport {
            name: name.into(),
            path: None,
            driver,
            asks,
            status: ToolStatus::Ok { version: "1".to_owned() },
        };
        let reports = [
            tool("opencode", Some(DriverKind::Acp), true),
            tool("pi", Some(DriverKind::OneShot), false),
            tool("seen", None, false),
        ];
        let text = tools(&reports);
        assert!(text.contains("opencode  ok 1   acp       yes"), "{text}");
        assert!(text.contains("pi        ok 1   one-shot  no"), "{text}");
        assert!(text.contains("seen      ok 1\n"), "{text}");
    }
}
