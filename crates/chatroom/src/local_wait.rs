//! `wait-for-task` over the daemon of this machine: one blocking thread, no runtime, no connection of its own.
//!
//! `chatroom mcp`, which has a runtime, waits so too, on a thread for blocking work; see [`Talk`].
//!
//! Many agents wait most of their time, so a waiting process is kept small. Whatever the daemon does not do, or cannot go on
//! doing, the process does by itself: the same waiter, with the same id, for the rest of the time. A signal ends the process
//! as signals do; the daemon gives back a task that was not printed.

use crate::cli::WaitForTask;
use crate::commands::wait::{State, default_wait, no_task_yet, superseded};
use crate::context::Context;
use crate::duration::show;
use crate::error::{Said, refused};
use crate::parent_tool;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_machine::credentials::{Resolved, Source};
use chatroom_machine::daemon::local;
use chatroom_machine::identity::{self, Fingerprint, MachineFile};
use chatroom_machine::waiter::Notice;
use chatroom_machine::{Home, clock};
use chatroom_protocol::id::WaiterId;
use chatroom_protocol::local::{ByHand, DaemonWord, VERSION, WaitRequest, WaiterWord};
use chatroom_protocol::tool::ToolName;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often a line is printed: some tools end a command that is silent.
pub(crate) const LINE_EVERY: Duration = Duration::from_secs(20);
/// For the daemon to say that it is there.
const ACCEPT: Duration = Duration::from_secs(2);
/// The longest line of the daemon, in bytes: a task has at most 100,000 characters, and its brief some of those before it.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// A wait, as far as it has come.
#[derive(Debug)]
pub(crate) struct Wait {
    /// What was asked for.
    pub(crate) args: WaitForTask,
    /// The server and the credential.
    pub(crate) resolved: Resolved,
    /// The waiting process, for as long as it waits.
    pub(crate) waiter_id: WaiterId,
    /// When it ends.
    pub(crate) end: Instant,
    /// When a person started the agent by hand: what to remember, and this machine.
    pub(crate) by_hand: Option<(ByHand, Box<MachineFile>)>,
    /// What is known of why nothing comes.
    pub(crate) state: State,
    /// Whether it was said that it waits.
    pub(crate) is_joined: bool,
}

/// Waits over the daemon, if one runs here. What is left to do without it is given back.
pub(crate) fn run(context: &Context, args: WaitForTask) -> Result<Option<Wait>> {
    if is_unread() {
        return Err(refused("what this command prints would reach nobody: its standard output is closed or /dev/null")
            .hint("run it with an output that is read; no task was taken")
            .into());
    }
    let begun = Instant::now();
    let guessed = parent_tool::guess();
    let tool = args.agent_type.as_deref().map(|tool| tool.trim().to_lowercase()).or_else(|| guessed.map(str::to_owned));
    let end = begun + args.timeout.unwrap_or_else(|| default_wait(tool.as_deref()));
    // An agent that the daemon started changes no config, and its credential cannot register a machine.
    let is_started = std::env::var_os("CHATROOM_AGENT_ID").is_some_and(|id| !id.is_empty());
    let machine = match is_started {
        true => None,
        false => Some(identity::load_or_create(&context.home, &Fingerprint::read(), clock::now())?.0),
    };
    let resolved = context.resolve()?;
    let by_hand = match machine.filter(|_| !matches!(resolved.source, Source::Agent(_))) {
        None => None,
        Some(machine) => {
            let dir = std::env::current_dir()?;
            let Some(working_dir) = dir.to_str().map(str::to_owned) else {
                return Err(refused(format!("the path {} is not UTF-8", dir.display())).into());
            };
            Some((ByHand { tool: tool.map(ToolName), working_dir }, Box::new(machine)))
        }
    };
    let waiter_id = WaiterId::from(uuid::Uuid::now_v7());
    let mut wait = Wait { args, resolved, waiter_id, end, by_hand, state: State::default(), is_joined: false };
    match over_daemon(context, &mut wait) {
        Ok(true) => Ok(None),
        Ok(false) => Ok(Some(wait)),
        Err(error) => Err(error),
    }
}

/// Whether standard output is the null device. A closed one is, too: the runtime opens the device in its place.
fn is_unread() -> bool {
    let (Ok(output), Ok(null)) = (rustix::fs::fstat(io::stdout()), rustix::fs::stat("/dev/null")) else { return false };
    let is_device = rustix::fs::FileType::from_raw_mode(output.st_mode).is_char_device();
    is_device && output.st_rdev == null.st_rdev
}

/// False: the daemon is not there, is not there any more, or does not do it.
fn over_daemon(context: &Context, wait: &mut Wait) -> Result<bool> {
    let Some(token) = &wait.resolved.token else { return Ok(false) };
    let request = WaitRequest {
        version: VERSION,
        server: wait.resolved.server.as_str().to_owned(),
        token: token.expose().to_owned(),
        chatroom_id: wait.args.chatroom_id.as_str().into(),
        role: wait.args.role.clone(),
        waiter_id: wait.waiter_id.clone(),
        by_hand: wait.by_hand.as_ref().map(|(by_hand, _)| by_hand.clone()),
        of_person: false,
    };
    let Some(mut talk) = Talk::begin(&context.home, &request)? else { return Ok(false) };
    drop(request);
    // What is remembered for a later start is remembered now; without the daemon it is not asked for again.
    let ui = context.ui;
    let begun = Instant::now();
    let mut next_line = begun + LINE_EVERY;
    loop {
        match talk.hear(next_line.min(wait.end))? {
            Heard::Word(DaemonWord::Accepted) => {}
            Heard::Word(DaemonWord::Joined { chatroom_name, role }) => {
                wait.is_joined = true;
                ui.say(&format!("waiting for a task of {} in {}", one_line(&role), one_line(&chatroom_name)))?;
            }
            Heard::Word(DaemonWord::Note { text }) => ui.note(&text)?,
            Heard::Word(DaemonWord::Down { reason }) => wait.state.hear(Notice::Down(reason)),
            Heard::Word(DaemonWord::Up) => wait.state.hear(Notice::Up),
            Heard::Word(DaemonWord::Held { reason }) => wait.state.hear(Notice::Held(reason)),
            Heard::Word(DaemonWord::Superseded { reason }) => {
                superseded(ui, &reason)?;
                return Ok(true);
            }
            Heard::Word(DaemonWord::Task { delivery }) => {
                // Not printed whole, it is given back by the daemon, which sees this process end.
                ui.answer(&*delivery, |delivery| delivery.brief.clone())?;
                let _ = talk.tell(&WaiterWord::Printed);
                return Ok(true);
            }
            Heard::Word(DaemonWord::Direct { .. }) | Heard::End => return Ok(false),
            Heard::NoReader => return Err(Said.into()),
            Heard::Nothing if Instant::now() >= wait.end => {
                no_task_yet(ui, &wait.args, &wait.state)?;
                return Ok(true);
            }
            Heard::Nothing => {
                next_line += LINE_EVERY;
                let waited = show(i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX));
                ui.say(&wait.state.still_waiting(&waited))?;
            }
        }
    }
}

/// What came of listening to the daemon.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// It says this.
    Word(DaemonWord),
    /// Nothing in time.
    Nothing,
    /// The daemon is gone, or does not speak this language.
    End,
    /// Nobody reads what this process prints.
    NoReader,
}

/// A wait, as it is talked about with the daemon. Blocks.
pub(crate) struct Talk {
    stream: UnixStream,
    unread: Vec<u8>,
}

impl Talk {
    /// Asks the daemon of `home` to wait. None: no daemon is there, or it does not do it.
    pub(crate) fn begin(home: &Home, request: &WaitRequest) -> io::Result<Option<Self>> {
        let Ok(stream) = local::connect(home) else { return Ok(None) };
        let mut talk = Self { stream, unread: Vec::new() };
        if talk.tell(request).is_err() || talk.hear(Instant::now() + ACCEPT)? != Heard::Word(DaemonWord::Accepted) {
            return Ok(None);
        }
        Ok(Some(talk))
    }

    /// The connection, for another thread that may cut it.
    pub(crate) fn connection(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// Says something to the daemon.
    pub(crate) fn tell(&mut self, word: &impl serde::Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(word)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }

    /// The next word, until a time.
    pub(crate) fn hear(&mut self, until: Instant) -> io::Result<Heard> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let word = serde_json::from_slice(&self.unread[..end]);
                self.unread.drain(..=end);
                return Ok(word.map_or(Heard::End, Heard::Word));
            }
            if self.unread.len() > MAX_LINE {
                return Ok(Heard::End);
            }
            let left = until.saturating_duration_since(Instant::now());
            let stdout = io::stdout();
            let mut fds = [PollFd::new(&self.stream, PollFlags::IN), PollFd::new(&stdout, PollFlags::empty())];
            let left = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return Ok(Heard::Nothing),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let closed = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
            if fds[1].revents().intersects(closed) {
                return Ok(Heard::NoReader);
            }
            if !fds[0].revents().is_empty() {
                let mut bytes = [0; 4096];
                match self.stream.read(&mut bytes) {
                    Ok(0) | Err(_) => return Ok(Heard::End),
                    Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
                }
            }
        }
    }
}
