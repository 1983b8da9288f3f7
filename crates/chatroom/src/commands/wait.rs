//! `chatroom wait-for-task`: blocks until there is a task of a role, prints it with the exact next commands, and ends.
//!
//! This is the wait without a daemon, or what is left of it when the daemon is gone; see `local_wait`. Agent tools limit how long
//! one shell command may run, so the wait is bounded and says how to go on. By hand (not started by the daemon) it registers the
//! machine and remembers tool and directory. A task that was claimed is either printed whole or
//! given back.

use crate::cli::WaitForTask;
use crate::context::{Context, link, signed_in};
use crate::duration::show;
use crate::error::Said;
use crate::local_wait::{LINE_EVERY, Wait};
use crate::program;
use crate::stop::{is_output_closed, on_signal};
use crate::ui::{Ui, one_line};
use anyhow::Result;
use chatroom_machine::config::Config;
use chatroom_machine::identity::{self, Fingerprint, MachineFile};
use chatroom_machine::tools::Detector;
use chatroom_machine::waiter::{self, Notice, UNKNOWN_TOOL, Waited, Waiter};
use chatroom_machine::{Client, clock};
use chatroom_protocol::api::machines::Register;
use chatroom_protocol::api::tasks::WaiterArgs;
use chatroom_protocol::local::ByHand;
use chatroom_protocol::task::Delivery;
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How long to wait by default; most tools allow a command two minutes.
const WAIT: Duration = Duration::from_secs(100);
/// How long to wait by default where the tool lets go of a command sooner.
const SHORT_WAIT: Duration = Duration::from_secs(25);
/// Tools that let go of a command after 30 seconds or less.
const IMPATIENT: &[&str] = &["copilot", "codex"];
/// Pause between tries to reach the server at the beginning.
const RETRY: Duration = Duration::from_secs(1);

/// Runs what is left of a wait without the daemon.
pub(crate) async fn run(context: &Context, wait: Wait) -> Result<()> {
    let stopped = on_signal(true)?;
    let client = signed_in(&wait.resolved)?;
    let args = WaiterArgs {
        chatroom_id: wait.args.chatroom_id.as_str().into(),
        role: wait.args.role.clone(),
        waiter_id: wait.waiter_id.clone(),
    };
    let machine_id = wait.by_hand.as_ref().map(|(_, machine)| machine.machine_id.clone());
    if let Some((by_hand, machine)) = wait.by_hand.clone() {
        introduce(context, &client, *machine, &args, by_hand).await?;
    }
    wait_and_print(context, wait, Waiter::new(client, args, machine_id), stopped).await
}

async fn wait_and_print(context: &Context, wait: Wait, waiter: Waiter, stopped: CancellationToken) -> Result<()> {
    let end = Instant::from_std(wait.end);
    let link_end = CancellationToken::new();
    let _link_ends_here = link_end.clone().drop_guard();
    let link = link(waiter.client(), &link_end)?;
    let joined = loop {
        match waiter.join().await {
            Ok(joined) => break joined,
            Err(error) if error.is_retryable() && Instant::now() + RETRY < end => {}
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = stopped.cancelled() => return Err(Said.into()),
            () = tokio::time::sleep(RETRY) => {}
        }
    };
    let ui = context.ui;
    if !wait.is_joined {
        ui.say(&format!("waiting for a task of {} in {}", one_line(&joined.role), one_line(&joined.chatroom_name)))?;
    }

    let over = stopped.child_token();
    let state = Arc::new(Mutex::new(State::default()));
    let lines = print_lines(ui, Arc::clone(&state), end, over.clone());
    let notice = |notice| {
        if let Ok(mut state) = state.lock() {
            state.hear(notice);
        }
    };
    let waiting = async {
        let waited = waiter.next(&link, &over, notice).await;
        over.cancel();
        waited
    };
    let (waited, ()) = tokio::join!(waiting, lines);
    match waited? {
        Waited::Task(delivery) => hand_out(ui, &waiter, *delivery, &stopped).await,
        Waited::Superseded(reason) => Ok(superseded(ui, &reason)?),
        Waited::Over if stopped.is_cancelled() => Err(Said.into()),
        Waited::Over => {
            let state = state.lock().map(|state| state.clone()).unwrap_or_default();
            Ok(no_task_yet(ui, &wait.args, &state)?)
        }
    }
}

/// Prints a task whole, or gives it back.
async fn hand_out(ui: Ui, waiter: &Waiter, delivery: Delivery, stopped: &CancellationToken) -> Result<()> {
    if stopped.is_cancelled() || is_output_closed() {
        waiter.give_back(&delivery).await;
        return Err(Said.into());
    }
    let shown = delivery.clone();
    // On a thread of its own: a reader that does not read would block it for ever.
    let print = tokio::task::spawn_blocking(move || ui.answer(&shown, |delivery| delivery.brief.clone()));
    let printed = tokio::select! {
        printed = print => printed.is_ok_and(|printed| printed.is_ok()),
        () = stopped.cancelled() => false,
    };
    if printed {
        return Ok(());
    }
    waiter.give_back(&delivery).await;
    Err(Said.into())
}

/// Prints a short line every now and then, until the wait is over; ends the wait at its end.
async fn print_lines(ui: Ui, state: Arc<Mutex<State>>, end: Instant, over: CancellationToken) {
    let began = Instant::now();
    let mut ticks = tokio::time::interval_at(began + LINE_EVERY, LINE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = over.cancelled() => return,
            () = tokio::time::sleep_until(end) => return over.cancel(),
            _ = ticks.tick() => {}
        }
        let waited = show(i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX));
        let line = state.lock().map(|state| state.still_waiting(&waited)).unwrap_or_default();
        if ui.say(&line).is_err() {
            return over.cancel();
        }
    }
}

/// Says that the time is over, and what to do.
pub(crate) fn no_task_yet(ui: Ui, args: &WaitForTask, state: &State) -> io::Result<()> {
    let reason = state.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let again = program::wait_step(&same_command(args));
    let document = json!({"next": "wait", "reason": state.reason(), "command": same_command(args)});
    ui.answer(&document, |_| format!("No task yet{reason}: run the same command again.\n\n{again}"))
}

/// Says that another one waits now.
pub(crate) fn superseded(ui: Ui, reason: &str) -> io::Result<()> {
    let document = json!({"next": "superseded", "reason": reason});
    ui.answer(&document, |_| format!("no longer waiting: {}", one_line(reason)))
}

/// Why nothing comes, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    down: Option<String>,
    held: Option<String>,
}

impl State {
    /// Takes in what changed.
    pub(crate) fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Down(reason) => self.down = Some(reason),
            Notice::Up => self.down = None,
            Notice::Held(reason) => self.held = reason,
        }
    }

    /// A line for whoever waits.
    pub(crate) fn still_waiting(&self, waited: &str) -> String {
        match self.reason() {
            Some(reason) => format!("still waiting ({waited}): {reason}"),
            None => format!("still waiting ({waited})"),
        }
    }

    /// Why nothing comes, if that is known.
    pub(crate) fn reason(&self) -> Option<String> {
        match &self.down {
            Some(reason) => Some(format!("the server cannot be reached: {}", one_line(reason))),
            None => self.held.as_deref().map(one_line),
        }
    }
}

/// Registers this machine with the tools that it has now, and remembers tool and directory for (room, role).
async fn introduce(
    context: &Context,
    client: &Client,
    mut file: MachineFile,
    args: &WaiterArgs,
    by_hand: ByHand,
) -> Result<()> {
    let found = Detector::new(&context.home, &Config::load(&context.home)?).detect().await;
    file.available_tools = found.reports.clone();
    client.call::<Register>(&file.register_args(&program::path()?, false)).await?;
    let (server, now) = (client.server().to_string(), clock::now());
    identity::update(&context.home, &Fingerprint::read(), |file| {
        file.available_tools = found.reports;
        file.spawn_path = Some(found.spawn_path);
        file.server = Some(server);
        file.last_synced_at = Some(now);
    })?;
    if !waiter::remember(&context.home, client, &file.machine_id, args, by_hand).await? {
        context.ui.note(UNKNOWN_TOOL)?;
    }
    Ok(())
}

/// How long to wait when nobody said.
pub(crate) fn default_wait(tool: Option<&str>) -> Duration {
    if tool.is_some_and(|tool| IMPATIENT.contains(&tool)) { SHORT_WAIT } else { WAIT }
}

fn same_command(args: &WaitForTask) -> String {
    let mut command = program::wait_command(&args.chatroom_id, &args.role);
    if let Some(tool) = &args.agent_type {
        command.push_str(&format!(" --agent-type={}", program::quote(tool)));
    }
    if let Some(timeout) = args.timeout {
        command.push_str(&format!(" --timeout={}ms", timeout.as_millis()));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::{Notice, SHORT_WAIT, State, WAIT, default_wait, same_command};
    use crate::cli::WaitForTask;
    use std::time::Duration;

    #[test]
    fn the_wait_is_shorter_where_the_tool_lets_go_sooner() {
        assert_eq!(
            [default_wait(None), default_wait(Some("claude")), default_wait(Some("codex"))],
            [WAIT, WAIT, SHORT_WAIT]
        );
    }

    #[test]
    fn the_same_command_keeps_what_was_said() {
        let args = WaitForTask {
            chatroom_id: "r1".to_owned(),
            role: "the builder".to_owned(),
            agent_type: Some("pi".to_owned()),
            timeout: Some(Duration::from_secs(2)),
        };
        let command = same_command(&args);
        assert!(
            command.ends_with("wait-for-task --chatroom-id=r1 --role='the builder' --agent-type=pi --timeout=2000ms"),
            "{command}"
        );
    }

    #[test]
    fn a_lost_server_is_the_first_reason() {
        let mut state = State::default();
        assert_eq!(state.reason(), None);
        state.hear(Notice::Held(Some("the room is archived".to_owned())));
        state.hear(Notice::Down("refused".to_owned()));
        assert_eq!(state.reason().as_deref(), Some("the server cannot be reached: refused"));
        state.hear(Notice::Up);
        assert_eq!(state.reason().as_deref(), Some("the room is archived"));
    }
}
