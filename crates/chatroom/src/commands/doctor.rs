//! `chatroom doctor`: checks what everything stands on, with the repair for each fault; `--e2e` does a whole round trip.

use crate::cli::Doctor;
use crate::commands::agent::{begun, settled, until_settled, wait_for_end};
use crate::context::{Context, link, signed_in};
use crate::error::{Said, refused};
use crate::machines::default;
use crate::retry;
use crate::ui::{one_line, table};
use anyhow::Result;
use chatroom_machine::agent::process::memory_of_parent;
use chatroom_machine::config::Config;
use chatroom_machine::identity::{self, Fingerprint};
use chatroom_machine::tools::Detector;
use chatroom_machine::{Client, LinkEvent};
use chatroom_protocol::api::{Empty, auth, chatrooms, machines, messages};
use chatroom_protocol::command::{Command, CommandRequest, CommandResult, CommandStatus, RoleSlot, StartAgent};
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::machine::{ConnectionState, Machine};
use chatroom_protocol::room::USER_ROLE;
use rustix::fs::Access;
use serde::Serialize;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long each step of the round trip may take.
const STEP: Duration = Duration::from_secs(30);

/// What was looked at, and how it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    what: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<String>,
}

/// A step of the round trip.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    what: &'static str,
    /// In milliseconds.
    took_ms: u128,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip: Option<Vec<Step>>,
    /// Of the process that keeps the agent, in bytes (PSS); absent where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_memory: Option<u64>,
}

/// Runs `doctor`.
pub(crate) async fn run(context: &Context, args: Doctor) -> Result<()> {
    let mut report =
        Report { checks: vec![directory(context), machine_file(context)], round_trip: None, host_memory: None };
    let client = login(context, &mut report.checks).await;
    if let Some(client) = &client {
        report.checks.push(connection(context, client).await);
    }
    report.checks.push(tools(context).await);
    let is_well = report.checks.iter().all(|check| check.ok);
    if !context.ui.is_json() {
        context.ui.say(&describe(&report.checks))?;
    }
    if args.e2e
        && let (true, Some(client)) = (is_well, &client)
    {
        let StepClock { steps, host_memory, .. } = round_trip(context, client).await?;
        if !context.ui.is_json() {
            let rows: Vec<_> =
                steps.iter().map(|step| [step.what.to_owned(), format!("{} ms", step.took_ms)]).collect();
            context.ui.say(table(["STEP", "TOOK"], &rows).trim_end())?;
            if let Some(bytes) = host_memory {
                let megabytes = bytes as f64 / 1e6;
                context.ui.say(&format!("\nThe process that kept the agent took {megabytes:.1} MB of memory."))?;
            }
        }
        report.round_trip = Some(steps);
        report.host_memory = host_memory;
    }
    if context.ui.is_json() {
        context.ui.document(&report)?;
    }
    if is_well { Ok(()) } else { Err(Said.into()) }
}

fn describe(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = if check.ok { "ok  " } else { "FAIL" };
        text.push_str(&format!("{mark}  {}: {}\n", check.what, check.found));
        if let Some(repair) = &check.repair {
            text.push_str(&format!("      repair: {repair}\n"));
        }
    }
    text.trim_end().to_owned()
}

fn well(what: &'static str, found: impl Into<String>) -> Check {
    Check { what, ok: true, found: found.into(), repair: None }
}

fn fault(what: &'static str, found: impl Into<String>, repair: impl Into<String>) -> Check {
    Check { what, ok: false, found: found.into(), repair: Some(repair.into()) }
}

fn directory(context: &Context) -> Check {
    let path = context.home.path();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            well("directory", format!("{} is not there yet", path.display()))
        }
        Err(error) => fault("directory", format!("{}: {error}", path.display()), "make it readable for yourself"),
        Ok(about) if about.permissions().mode() & 0o077 != 0 => {
            fault("directory", format!("{} is open to others", path.display()), format!("chmod 700 {}", path.display()))
        }
        Ok(_) => match rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => well("directory", path.display().to_string()),
            Err(error) => fault(
                "directory",
                format!("{} cannot be written: {error}", path.display()),
                "make it your own: check its owner, its mode (0700) and that its disk is not read-only",
            ),
        },
    }
}

fn machine_file(context: &Context) -> Check {
    match identity::load(&context.home) {
        Ok(None) => well("identity", "this machine has none yet"),
        Ok(Some(file)) => {
            let fingerprint = Fingerprint::read();
            let is_other = matches!((&file.fingerprint, &fingerprint.system), (Some(old), Some(new)) if old != new);
            if is_other {
                fault(
                    "identity",
                    "machine.json was copied or moved from another machine",
                    "chatroom machine repair --moved, or --new",
                )
            } else {
                well("identity", format!("machine {}", file.machine_id))
            }
        }
        Err(error) => {
            let hint = error.hint();
            fault("identity", format!("{:#}", anyhow::Error::from(error)), hint)
        }
    }
}

async fn login(context: &Context, checks: &mut Vec<Check>) -> Option<Client> {
    let client = match context.resolve().and_then(|resolved| signed_in(&resolved)) {
        Ok(client) => client,
        Err(error) => {
            checks.push(fault(
                "login",
                format!("{error:#}"),
                "chatroom auth login --server=URL, or everything here: chatroom up",
            ));
            return None;
        }
    };
    match client.call::<auth::Whoami>(&Empty {}).await {
        Ok(_) => {
            checks.push(well("login", format!("signed in at {}", client.server())));
            Some(client)
        }
        Err(error) => {
            let repair = error.hint().unwrap_or_else(|| format!("chatroom auth login --server={}", client.server()));
            checks.push(fault("login", format!("{:#}", anyhow::Error::from(error)), repair));
            None
        }
    }
}

async fn connection(context: &Context, client: &Client) -> Check {
    match machine(context, client).await {
        Ok(machine) if machine.connection == ConnectionState::Connected => {
            well("machine", format!("{} is connected", one_line(&machine.name)))
        }
        Ok(machine) => fault(
            "machine",
            format!("{} is {}", one_line(&machine.name), machine.connection.as_str()),
            "on that machine: chatroom machine daemon start, then chatroom machine daemon logs",
        ),
        Err(error) => fault("machine", format!("{error:#}"), "chatroom machine daemon start"),
    }
}

async fn machine(context: &Context, client: &Client) -> Result<Machine> {
    let list = client.call::<machines::ListMachines>(&Empty {}).await?;
    Ok(default(&list, crate::machines::known_here(context)?.as_ref())?.clone())
}

async fn tools(context: &Context) -> Check {
    let config = match Config::load(&context.home) {
        Ok(config) => config,
        Err(error) => return fault("tools", error.to_string(), "correct config.toml"),
    };
    let found = Detector::new(&context.home, &config).detect().await;
    if let Some(wrong) = found.fault {
        return fault("tools", wrong, "correct the file; until then the tools that it describes are missing");
    }
    let available: Vec<&str> =
        found.reports.iter().filter(|report| report.is_available()).map(|report| report.name.as_str()).collect();
    well("tools", format!("{} (see `chatroom machine detect`)", available.join(", ")))
}

/// A room of its own, the `echo` agent, a message and its answer; leaves nothing running.
async fn round_trip(context: &Context, client: &Client) -> Result<StepClock> {
    let machine = machine(context, client).await?;
    let mut clock = StepClock::start();
    let args = chatrooms::CreateArgs { name: "doctor".to_owned(), team: "solo".to_owned() };
    let room = retry::idempotent::<chatrooms::Create>(client, &args).await?;
    clock.lap("make a room");
    let done = exchange(context, client, &machine, &room.chatroom_id, &room.team.entry_role, &mut clock).await;
    let stopped = stop(client, &machine, &room.chatroom_id, &room.team.entry_role).await;
    clock.lap("stop the agent");
    client.call::<chatrooms::Archive>(&machines::ChatroomArgs { chatroom_id: room.chatroom_id }).await?;
    clock.lap("archive the room");
    done?;
    stopped?;
    Ok(clock)
}

async fn exchange(
    context: &Context,
    client: &Client,
    machine: &Machine,
    room: &ChatroomId,
    role: &str,
    clock: &mut StepClock,
) -> Result<()> {
    let config = machines::UpdateAgentConfigArgs {
        machine_id: machine.machine_id.clone(),
        chatroom_id: room.clone(),
        role: role.to_owned(),
        tool: Some("echo".into()),
        model: None,
        working_dir: Some(context.home.path().to_string_lossy().into_owned()),
        permission_mode: None,
        start_on_task: None,
    };
    client.call::<machines::UpdateAgentConfig>(&config).await?;
    clock.lap("choose the tool");
    let start =
        CommandRequest::StartAgent(StartAgent { chatroom_id: room.clone(), role: role.to_owned(), take_over: false });
    let started = command(client, machine, start).await?;
    clock.lap("start the agent");

    let shutdown = CancellationToken::new();
    let _end = shutdown.clone().drop_guard();
    let link = link(client, &shutdown)?;
    if let Some(agent_id) = begun(&started) {
        let agent = until_settled(&link, agent_id, Instant::now() + STEP).await?;
        settled(agent.as_ref(), STEP)?;
    }
    clock.lap("wait until it is ready");
    if let CommandStatus::Completed { result: CommandResult::Started { pid, .. }, .. } = &started.status {
        // Only where the agent runs on this machine; elsewhere the pid means nothing here.
        let here = crate::machines::known_here(context)?.is_some_and(|id| id == machine.machine_id);
        clock.host_memory = here.then(|| memory_of_parent(*pid)).flatten();
    }
    let mut live = link.subscribe::<messages::List>(&messages::ListArgs {
        chatroom_id: room.clone(),
        after: None,
        before: None,
        limit: None,
    });
    let send =
        messages::SendArgs { chatroom_id: room.clone(), role: None, content: "ping".to_owned(), artifacts: Vec::new() };
    retry::idempotent::<messages::Send>(client, &send).await?;
    clock.lap("send a message");
    let answered = async {
        while let Some(event) = live.next().await {
            match event {
                LinkEvent::Value(list) if list.iter().any(|message| message.target_role == USER_ROLE) => return Ok(()),
                LinkEvent::Refused(refusal) => return Err(anyhow::Error::from(refusal)),
                _ => {}
            }
        }
        Err(refused("the live link ended").into())
    };
    tokio::time::timeout(STEP, answered).await.map_err(|_| {
        refused("the echo agent did not answer in time").hint("chatroom agent logs --chatroom-id=ID --role=builder")
    })??;
    clock.lap("get the answer");
    Ok(())
}

async fn stop(client: &Client, machine: &Machine, room: &ChatroomId, role: &str) -> Result<()> {
    let slot = RoleSlot { chatroom_id: room.clone(), role: role.to_owned() };
    command(client, machine, CommandRequest::StopAgent(slot)).await.map(drop)
}

async fn command(client: &Client, machine: &Machine, request: CommandRequest) -> Result<Command> {
    let args = machines::SendCommandArgs { machine_id: machine.machine_id.clone(), request, deadline_ms: None };
    let sent = retry::idempotent::<machines::SendCommand>(client, &args).await?;
    let ended = wait_for_end(client, sent, STEP).await?;
    match &ended.status {
        CommandStatus::Completed { .. } => Ok(ended),
        CommandStatus::Failed { failure, .. } => Err(crate::error::Refused::from(failure.clone()).into()),
        CommandStatus::Pending | CommandStatus::Processing { .. } => {
            Err(refused("the machine did not do it in time").hint("chatroom machine daemon logs").into())
        }
    }
}

/// Times one step after the other.
struct StepClock {
    last: Instant,
    steps: Vec<Step>,
    /// Of the agent's host.
    host_memory: Option<u64>,
}

impl StepClock {
    fn start() -> Self {
        Self { last: Instant::now(), steps: Vec::new(), host_memory: None }
    }

    fn lap(&mut self, what: &'static str) {
        self.steps.push(Step { what, took_ms: self.last.elapsed().as_millis() });
        self.last = Instant::now();
    }
}
