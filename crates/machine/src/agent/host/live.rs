//! The host of a live session: one loop over the tool's pipes, signals, the clock and the daemons that are connected. What is
//! said to the tool and what it means is decided by the session, which does nothing itself.

use super::child::Child;
use super::control::Control;
use super::{Signals, enter, refuse, tell_started, usable_program};
use crate::agent::output_log::OutputLog;
use crate::agent::process::{descendants, kill_until_none};
use crate::agent::run_dir::{Ended, Refused, RunDir, Spec};
use crate::agent::session::{In, Out, Run, Session};
use crate::agent::transcript::Writer;
use crate::clock;
use crate::home::create_private_dir;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, Trouble, TroubleKind};
use chatroom_protocol::command::FailureCode;
use chatroom_protocol::host::HostState;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::WaitOptions;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a cancelled turn may take to end before the tool's input is closed.
const CANCEL_GRACE: Duration = Duration::from_millis(700);
/// How long a tool that has closed its input or output may take to end, before its end is wanted.
const CLOSED_GRACE: Duration = Duration::from_millis(1_000);
/// How long the tool may take to end by itself once its end is wanted.
const CLOSE_GRACE: Duration = Duration::from_millis(1_500);
/// How long it may take after a signal, then.
const TERM_GRACE: Duration = Duration::from_millis(2_500);
/// How long killing may take before it is given up. With the others it fits into what a daemon waits for a stop.
const KILL_LIMIT: Duration = Duration::from_millis(2_000);
/// How long what a run left behind may take to end by itself once the tool is gone.
const LEFTOVER_GRACE: Duration = Duration::from_millis(200);
/// Bytes of lines that are written to the log together.
const LOG_PIECE_BYTES: usize = 32 * 1024;
/// Rounds of output that are read after the end of a run; somebody who escaped may hold the pipe and write for ever.
const LAST_ROUNDS: usize = 512;

/// Runs a live session to its end.
pub(super) fn host(run: &RunDir, spec: &Spec, signals: &mut Signals) -> io::Result<()> {
    let (mut live, opening) = match prepare(run, spec, signals) {
        Ok(prepared) => prepared,
        Err(refused) => return refuse(run, &refused),
    };
    let tool = match opening.map(|opening| Child::start(run, spec, opening)).transpose() {
        Ok(child) => {
            live.child = child;
            live.child.as_ref().map(|child| child.pid)
        }
        Err(refused) => {
            live.control.close();
            return refuse(run, &refused);
        }
    };
    let started = tell_started(run, tool);
    run.remove_used();
    // A host that cannot tell of its tool must not let it run unseen.
    if started.is_err() {
        live.signals.stop.store(true, Ordering::SeqCst);
    }
    live.happen(In::Begin);
    live.attend()?;
    live.finish(started.is_err())?;
    started
}

/// Makes everything but the tool's process, and tells what to start it with.
fn prepare<'a>(run: &'a RunDir, spec: &'a Spec, signals: &'a mut Signals) -> Result<(Live<'a>, Option<Run>), Refused> {
    let storage = |error: io::Error| Refused {
        code: FailureCode::StorageFailed,
        message: format!("the run directory cannot be used: {error}"),
    };
    enter(&spec.cwd)?;
    create_private_dir(&run.tmp()).map_err(storage)?;
    let brief = fs::read_to_string(run.prompt()).map_err(storage)?;
    let session = Session::new(&spec.session, &spec.agent_id, &spec.args, &spec.cwd, &spec.env, brief);
    let opening = session.opening();
    if opening.is_none() {
        usable_program(&spec.program)?;
    }
    let live = Live {
        run,
        spec,
        signals,
        is_kept_running: opening.is_some(),
        session,
        journal: Writer::new(run),
        log: OutputLog::new(run.clone(), spec.log_limit_bytes),
        unlogged: Vec::new(),
        child: None,
        control: Control::bind(run).map_err(storage)?,
        tell_in: None,
        closing: None,
        gone: None,
    };
    Ok((live, opening))
}

struct Live<'a> {
    run: &'a RunDir,
    spec: &'a Spec,
    signals: &'a mut Signals,
    /// Whether the tool is one process for the whole session.
    is_kept_running: bool,
    session: Session,
    journal: Writer,
    log: OutputLog,
    /// Lines for the log, kept together: a tool that floods must not cost a write for each.
    unlogged: Vec<u8>,
    child: Option<Child>,
    control: Control,
    /// After how long daemons have to hear something.
    tell_in: Option<Duration>,
    closing: Option<Closing>,
    /// How the tool has ended, when the session ends with it.
    gone: Option<AgentExit>,
}

/// The end of an agent, from when it is wanted.
struct Closing {
    why: Why,
    begun: Instant,
    has_closed: bool,
    has_asked: bool,
}

enum Why {
    Stop,
    Trouble(Trouble),
    /// The tool has closed its input or output.
    Closed,
}

impl Live<'_> {
    fn attend(&mut self) -> io::Result<()> {
        loop {
            self.reap();
            if self.child.as_ref().is_some_and(|child| child.status.is_some()) {
                self.run_ended();
            }
            if self.signals.stop.load(Ordering::SeqCst) && self.closing.is_none() {
                self.close(Why::Stop);
                self.happen(In::Stop);
            }
            let is_over = self.closing.is_some() && self.child.is_none();
            if is_over || self.gone.is_some() || self.is_past_closing() {
                return Ok(());
            }
            self.end_cancelled_run();
            if self.is_kept_running && self.closed_for().is_some_and(|passed| passed >= CLOSED_GRACE) {
                self.close(Why::Closed);
            }
            self.tell();
            let wait = self.wait();
            let is_knocking = self.poll(wait)?;
            self.hear_tool();
            if is_knocking {
                for order in self.control.hear() {
                    self.happen(In::Order(order));
                }
            }
            let now = clock::now();
            if self.session.deadline().is_some_and(|deadline| now >= deadline) {
                self.happen(In::Tick);
            }
            self.journal.tick(now);
        }
    }

    /// Ends what is left, completes the transcript, writes the end.
    fn finish(mut self, is_unseen: bool) -> io::Result<()> {
        let own = std::process::id();
        let mut reaped = None;
        let pid = self.child.as_ref().map(|child| child.pid);
        let killed = kill_until_none(|| descendants(own), || reap_into(pid, &mut reaped), KILL_LIMIT);
        reap_into(pid, &mut reaped);
        let by_itself = self.closing.as_ref().is_none_or(|closing| !closing.has_asked) && reaped.is_none();
        self.drain();
        let last = self.child.as_ref().map(Child::exit);
        self.happen(In::End);
        self.keep_log();
        self.journal.flush();
        let exit = match self.closing.take().map(|closing| closing.why) {
            Some(Why::Stop) if is_unseen || self.run.facts().stop_wanted => AgentExit::Stopped,
            Some(Why::Stop) => AgentExit::ShutDown,
            Some(Why::Trouble(trouble)) => AgentExit::Unusable { trouble },
            Some(Why::Closed) => match self.gone.take().or(last).filter(|_| by_itself) {
                Some(exit) => exit,
                None => {
                    let message = "the tool has closed its input or output and did not end".to_owned();
                    let trouble = Trouble { kind: TroubleKind::Protocol, message, repair: None, at: clock::now() };
                    AgentExit::Unusable { trouble }
                }
            },
            None => self.gone.take().unwrap_or(AgentExit::Lost),
        };
        self.control.close();
        let stopped = matches!(exit, AgentExit::Stopped | AgentExit::ShutDown);
        if !killed {
            return Err(io::Error::other("some processes of the agent would not end"));
        }
        self.run.finish(&Ended { exit, exited_at: clock::now(), stopped })
    }

    /// Lets something happen to the session and does what follows.
    fn happen(&mut self, event: In) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = clock::now();
            for out in self.session.handle(event, now) {
                match out {
                    Out::Record(entry) => self.journal.record(entry, now),
                    Out::Log(line) => {
                        self.unlogged.extend_from_slice(line.as_bytes());
                        self.unlogged.push(b'\n');
                        if self.unlogged.len() > LOG_PIECE_BYTES {
                            self.keep_log();
                        }
                    }
                    Out::Write(line) => {
                        if self.child.as_mut().is_some_and(|child| !child.say(&line)) {
                            self.close(Why::Trouble(Trouble {
                                kind: TroubleKind::Protocol,
                                message: "the tool does not read what is written to it".to_owned(),
                                repair: None,
                                at: now,
                            }));
                        }
                    }
                    // Nothing is started any more for an agent that is about to end.
                    Out::Run(_) if self.closing.is_some() => {}
                    Out::Run(wanted) => {
                        if let Err(refused) = self.start(wanted) {
                            events.push_back(In::RunFailed(refused.message));
                            if self.is_kept_running {
                                self.gone = Some(AgentExit::Lost);
                            }
                        }
                    }
                    Out::EndRun => {
                        if let Some(child) = &mut self.child {
                            child.ask_to_end();
                            child.ending.get_or_insert_with(Instant::now);
                        }
                    }
                    Out::Gone => self.gone = Some(self.child.as_ref().map_or(AgentExit::Lost, Child::exit)),
                    Out::End(trouble) => self.close(Why::Trouble(trouble)),
                }
            }
        }
    }

    fn start(&mut self, wanted: Run) -> Result<(), Refused> {
        enter(&self.spec.cwd)?;
        let child = Child::start(self.run, self.spec, wanted);
        // Left again so that it can be unmounted.
        let _ = rustix::process::chdir("/");
        self.child = Some(child?);
        Ok(())
    }

    /// The tool's process is gone: reads what it has left, ends what it has left, and tells the session.
    fn run_ended(&mut self) {
        self.drain();
        let own = std::process::id();
        let begun = Instant::now();
        while !descendants(own).is_empty() && begun.elapsed() < LEFTOVER_GRACE {
            std::thread::sleep(Duration::from_millis(10));
            self.reap();
        }
        kill_until_none(|| descendants(own), || reap_into(None, &mut None), KILL_LIMIT);
        self.drain();
        let Some(child) = self.child.take() else { return };
        let exit = child.exit();
        self.happen(In::RunEnded(exit.clone()));
        if self.gone.is_some() {
            self.gone = Some(exit);
        }
    }

    /// Reads everything that stands in the pipes of a run that has ended.
    fn drain(&mut self) {
        for _ in 0..LAST_ROUNDS {
            if !self.hear_tool() {
                break;
            }
        }
        if let Some(rest) = self.child.as_mut().and_then(Child::last_line) {
            self.happen(In::Line(rest));
        }
    }

    /// Reads a round of what the tool says, and writes what it takes. Gives whether it has said something.
    fn hear_tool(&mut self) -> bool {
        let Some(child) = &mut self.child else { return false };
        child.send();
        // Read first and kept last: what it has said before its last words stands before them, and these are its reason to end.
        let mut errors = Vec::new();
        let mut has_said = child.read_errors(|bytes| errors.extend_from_slice(bytes));
        let mut lines = Vec::new();
        has_said |= child.read_lines(|line| lines.push(line));
        for line in lines {
            self.happen(In::Line(line));
        }
        self.keep_log();
        if !errors.is_empty() {
            self.log.write(&errors);
        }
        has_said
    }

    /// Since how long the tool that still runs has had no output to write to, or does not take what is written to it.
    fn closed_for(&self) -> Option<Duration> {
        let child = self.child.as_ref().filter(|child| child.status.is_none())?;
        child.closed.map(|since| since.elapsed())
    }

    fn keep_log(&mut self) {
        if !self.unlogged.is_empty() {
            self.log.write(&self.unlogged);
            self.unlogged.clear();
            self.unlogged.shrink_to(LOG_PIECE_BYTES);
        }
    }

    fn close(&mut self, why: Why) {
        let (begun, has_closed, has_asked) = (Instant::now(), false, false);
        self.closing.get_or_insert(Closing { why, begun, has_closed, has_asked });
    }

    /// Goes on with the end of the agent. Gives whether the tool has had all of its time.
    fn is_past_closing(&mut self) -> bool {
        let Some(closing) = &mut self.closing else { return false };
        let Some(child) = &mut self.child else { return true };
        let passed = closing.begun.elapsed();
        if !closing.has_closed && (!self.session.is_busy() || passed >= CANCEL_GRACE) {
            closing.has_closed = true;
            child.close_stdin();
        }
        if !closing.has_asked && passed >= CLOSE_GRACE {
            closing.has_asked = true;
            child.ask_to_end();
        }
        passed >= CLOSE_GRACE + TERM_GRACE
    }

    /// Kills a run whose prompt was cancelled and that does not end.
    fn end_cancelled_run(&mut self) {
        let overdue = |child: &Child| child.ending.is_some_and(|since| since.elapsed() >= TERM_GRACE);
        if self.child.as_ref().is_some_and(overdue) {
            let own = std::process::id();
            let (pid, mut status) = (self.child.as_ref().map(|child| child.pid), None);
            kill_until_none(|| descendants(own), || reap_into(pid, &mut status), KILL_LIMIT);
            if let (Some(child), Some(status)) = (&mut self.child, status) {
                child.status = Some(status);
            }
        }
    }

    fn tell(&mut self) {
        let state =
            HostState { last_seq: self.journal.last_seq(), turn: self.session.turn(), work: self.session.work() };
        self.tell_in = self.control.tell(&state);
    }

    /// How long nothing has to be done; none when only something from outside changes anything.
    fn wait(&self) -> Option<Duration> {
        let ended = self.child.as_ref().is_some_and(|child| child.status.is_some());
        let now = clock::now();
        let until = |deadline: UnixMs| Duration::from_millis(u64::try_from(deadline.since(now)).unwrap_or(0));
        let closing = self.closing.as_ref().map(|closing| {
            let steps = [CANCEL_GRACE, CLOSE_GRACE, CLOSE_GRACE + TERM_GRACE];
            let passed = closing.begun.elapsed();
            steps.into_iter().find_map(|step| step.checked_sub(passed)).unwrap_or_default()
        });
        let ending = self.child.as_ref().and_then(|child| child.ending);
        [
            ended.then_some(Duration::ZERO),
            self.session.deadline().map(until),
            self.journal.deadline().map(until),
            closing,
            self.closed_for().and_then(|passed| CLOSED_GRACE.checked_sub(passed)),
            ending.map(|since| TERM_GRACE.saturating_sub(since.elapsed())),
            self.tell_in,
        ]
        .into_iter()
        .flatten()
        .min()
        // A hair longer, so that a deadline has passed when it is looked at.
        .map(|wait| if wait.is_zero() { wait } else { wait + Duration::from_millis(1) })
    }

    /// Waits until something happens. Gives whether that was at the socket.
    fn poll(&mut self, wait: Option<Duration>) -> io::Result<bool> {
        let wait =
            wait.map(|wait| Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() });
        let (is_signalled, is_knocking) = {
            let mut watched = vec![PollFd::new(&self.signals.wake, PollFlags::IN)];
            let control = self.control.watched().map(|(fd, writes)| {
                let flags = if writes { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
                PollFd::from_borrowed_fd(fd, flags)
            });
            watched.extend(control);
            let first_of_tool = watched.len();
            if let Some(child) = &self.child {
                let readable =
                    [child.stdout.as_ref().map(|pipe| pipe.as_fd()), child.stderr.as_ref().map(|pipe| pipe.as_fd())];
                watched.extend(readable.into_iter().flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
                if child.has_more_to_say()
                    && let Some(stdin) = &child.stdin
                {
                    watched.push(PollFd::new(stdin, PollFlags::OUT));
                }
            }
            match poll(&mut watched, wait.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let happened = |fd: &PollFd<'_>| !fd.revents().is_empty();
            (happened(&watched[0]), watched[1..first_of_tool].iter().any(happened))
        };
        if is_signalled {
            self.signals.clear();
        }
        Ok(is_knocking)
    }

    /// Reaps everything that has ended below this process; keeps the status of the tool.
    fn reap(&mut self) {
        let mut status = None;
        reap_into(self.child.as_ref().map(|child| child.pid), &mut status);
        if let (Some(child), Some(status)) = (&mut self.child, status) {
            child.status = Some(status);
        }
    }
}

fn reap_into(tool: Option<rustix::process::Pid>, status: &mut Option<rustix::process::WaitStatus>) {
    while let Ok(Some((pid, ended))) = rustix::process::wait(WaitOptions::NOHANG) {
        if Some(pid) == tool {
            *status = Some(ended);
        }
    }
}
