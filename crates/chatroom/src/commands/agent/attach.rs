//! `chatroom agent attach`: what an agent does as it does it, and at a terminal also what is said to it and answered.
//!
//! What is typed is done by a task of its own, one thing after the other, so that the stream goes on while the server is asked.

mod console;

use super::stream::Stream;
use super::{find, talk, why};
use crate::cli::AgentAttach;
use crate::context::{Context, link};
use crate::error::{refused, report};
use crate::retry;
use crate::stop::{Interrupts, on_end, on_signal};
use crate::transcript::{Answering, choice_in_words};
use crate::ui::{Style, one_line};
use anyhow::Result;
use chatroom_machine::{Client, clock};
use chatroom_protocol::agent::{Agent, InputState};
use chatroom_protocol::api::{Empty, machines, permissions};
use chatroom_protocol::transcript::Choice;
use console::{HELP, Interrupted, Typed, parse};
use std::io::{self, BufRead as _, IsTerminal as _};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Lines and deeds that may wait.
const QUEUE: usize = 100;

/// What was asked for and takes a call to the server.
enum Deed {
    Say(String),
    Answer(Choice, Option<String>),
    Cancel,
    Why,
}

/// Runs `agent attach`.
pub(super) async fn run(context: &Context, args: AgentAttach) -> Result<()> {
    let client = context.client()?;
    let agent = find(&client, &args.target).await?;
    if io::stdin().is_terminal() {
        talk(context, client, agent, args.history).await
    } else {
        listen(context, client, agent, args.history).await
    }
}

/// Only streams.
async fn listen(context: &Context, client: Client, agent: Agent, history: i64) -> Result<()> {
    let stopped = on_signal(true)?;
    let link = link(&client, &stopped)?;
    let mut stream = Stream::open(context.ui, &client, link, agent, history, Answering::Elsewhere).await?;
    loop {
        let more = tokio::select! {
            () = stopped.cancelled() => return Ok(()),
            more = stream.next() => more?,
        };
        if !more {
            return Ok(());
        }
    }
}

/// Streams and listens to the terminal.
async fn talk(context: &Context, client: Client, agent: Agent, history: i64) -> Result<()> {
    let stopped = on_end()?;
    let mut interrupts = Interrupts::listen()?;
    let link = link(&client, &stopped)?;
    let machines = client.call::<machines::ListMachines>(&Empty {}).await?;
    let machine = machines
        .into_iter()
        .find(|machine| machine.machine_id == agent.machine_id)
        .map_or_else(|| agent.machine_id.to_string(), |machine| machine.name);
    let about = format!(
        "- {} ({} on {}); a line is said to it, /help tells more, Ctrl-D leaves it alone",
        one_line(&agent.role),
        agent.tool,
        one_line(&machine)
    );
    context.ui.say(&about)?;
    let mut stream = Stream::open(context.ui, &client, link, agent.clone(), history, Answering::Here).await?;
    let mut lines = typed_lines();
    let (deeds, waiting) = mpsc::channel(QUEUE);
    let (told, mut tellings) = mpsc::channel(QUEUE);
    let width = context.ui.width();
    let _worker = AbortOnDropHandle::new(tokio::spawn(work(client, agent, width, waiting, told)));
    let mut interrupted = Interrupted::default();
    loop {
        let typed = tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            () = interrupts.next() => match interrupted.press(std::time::Instant::now(), stream.has_turn()) {
                console::Press::Cancel => {
                    stream.note(Style::Dim, "- cancelling the turn; Ctrl-C again leaves it alone")?;
                    Typed::Cancel
                }
                console::Press::Leave => Typed::Leave,
            },
            line = lines.recv() => line.map_or(Typed::Leave, |line| parse(&line)),
            Some((style, text)) = tellings.recv() => {
                stream.note(style, &text)?;
                continue;
            }
            more = stream.next() => {
                if more? {
                    continue;
                }
                return Ok(());
            }
        };
        let deed = match typed {
            Typed::Nothing => continue,
            Typed::Leave => {
                stream.note(Style::Dim, &format!("- left; {} goes on", one_line(&stream.agent().role)))?;
                return Ok(());
            }
            Typed::Help => {
                stream.note(Style::Plain, HELP)?;
                continue;
            }
            Typed::Unknown(word) => {
                let text = format!("! there is no {}; /help tells what there is", one_line(&word));
                stream.note(Style::Alert, &text)?;
                continue;
            }
            Typed::Say(text) => {
                if stream.has_turn() {
                    stream.note(Style::Dim, "- a turn runs: it is said when that is over")?;
                }
                Deed::Say(text)
            }
            Typed::Answer(choice, None) => Deed::Answer(choice, None),
            Typed::Answer(choice, Some(number)) => match stream.request(number).map(str::to_owned) {
                Some(request_id) => Deed::Answer(choice, Some(request_id)),
                None => {
                    stream.note(Style::Alert, &format!("! there is no request {number}"))?;
                    continue;
                }
            },
            Typed::Cancel => Deed::Cancel,
            Typed::Why => Deed::Why,
        };
        if deeds.try_send(deed).is_err() {
            stream.note(Style::Alert, "! too much waits for the server; try again in a little while")?;
        }
    }
}

/// Lines of the terminal, on a thread of their own: a read that waits cannot be ended.
fn typed_lines() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if typed.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Does one thing after the other, and tells what there is to tell.
async fn work(
    client: Client,
    agent: Agent,
    width: usize,
    mut waiting: mpsc::Receiver<Deed>,
    told: mpsc::Sender<(Style, String)>,
) {
    while let Some(deed) = waiting.recv().await {
        let telling = match carry_out(&client, &agent, width, deed).await {
            Ok(None) => continue,
            Ok(Some(telling)) => telling,
            Err(error) => (Style::Alert, format!("! {}", report(&error).0.trim_start_matches("Error: ").trim_end())),
        };
        if told.send(telling).await.is_err() {
            return;
        }
    }
}

async fn carry_out(client: &Client, agent: &Agent, width: usize, deed: Deed) -> Result<Option<(Style, String)>> {
    match deed {
        // Its end is seen in the transcript.
        Deed::Say(text) => Ok(refusal(talk::say(client, agent, text).await?.state)),
        Deed::Cancel => Ok(refusal(talk::cancel_turn(client, agent).await?.state)),
        Deed::Answer(choice, request_id) => {
            let args = permissions::ListArgs { agent_id: Some(agent.agent_id.clone()), ..Default::default() };
            let open = client.call::<permissions::List>(&args).await?;
            let found = match &request_id {
                Some(id) => open.iter().find(|asked| asked.request_id == *id),
                None => open.first(),
            };
            let Some(found) = found else {
                let message = if request_id.is_some() { "the request has its end" } else { "nothing is asked" };
                return Err(refused(message).into());
            };
            let args = permissions::AnswerArgs { permission_id: found.permission_id.clone(), choice };
            retry::idempotent::<permissions::Answer>(client, &args).await?;
            Ok(Some((Style::Dim, format!("- {}: {}", one_line(&found.title), choice_in_words(choice)))))
        }
        Deed::Why => {
            let looked = why::look(client, &agent.chatroom_id, &agent.role).await?;
            Ok(Some((Style::Plain, why::describe(&looked, width, clock::now()))))
        }
    }
}

fn refusal(state: InputState) -> Option<(Style, String)> {
    match state {
        InputState::Refused { reason, .. } => Some((Style::Alert, format!("! not taken: {}", one_line(&reason)))),
        InputState::Queued | InputState::Delivered { .. } => None,
    }
}
