//! Sessions: what an agent host says to a tool and hears from it. Pure: no process, no file, no clock.
//!
//! What is common to all tools stands here, once: prompts one after another, the owner's sayings in order, the task and its
//! reminder, permissions by mode, orders that were heard before. A [`Protocol`] only translates between this and the words of
//! one kind of tool. Everything that happens leaves as an [`Out::Record`] for the transcript, from which the state of the
//! session is read.

mod acp;
mod claude;
mod noise;
mod one_shot;
mod own_program;
mod permissions;
mod protocol;
mod stream_json;
mod tool_use;

use super::run_dir::SessionSpec;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, Trouble, TroubleKind, TurnState};
use chatroom_protocol::host::{HostOrder, Work};
use chatroom_protocol::id::{AgentId, InputId, TaskId};
use chatroom_protocol::tool::PermissionMode;
use chatroom_protocol::transcript::{
    DriverKind, Entry, PermissionOption, PermissionOutcome, PromptSource, Reading, TranscriptEvent, TurnEnd,
};
use noise::Noise;
pub(super) use protocol::Run;
use protocol::{Protocol, Step};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

/// Sayings of the owner that wait at a time.
const MAX_SAYINGS: usize = 100;
/// Orders that are remembered, so that one which is said again does nothing.
const REMEMBERED: usize = 2_000;
/// Permission requests that are open at a time. A tool that asks for more gets no for an answer.
const MAX_OPEN: usize = 200;

/// How long the tool may take to end a turn that was cancelled, in milliseconds.
const CANCEL_LIMIT_MS: i64 = 30_000;

/// What happens to a session.
#[derive(Clone, Debug)]
pub(super) enum In {
    /// The tool was started; or, for a tool that is run for each prompt, could be.
    Begin,
    /// The tool has written a line on its standard output.
    Line(String),
    /// The daemon has said something.
    Order(HostOrder),
    /// Time has passed.
    Tick,
    /// A run of the tool is over.
    RunEnded(AgentExit),
    /// A run of the tool could not be started.
    RunFailed(String),
    /// The agent is about to be ended: the turn is to be cancelled.
    Stop,
    /// The agent has ended.
    End,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Out {
    /// Write this line to the tool.
    Write(String),
    /// Write this into the transcript.
    Record(Entry),
    /// Keep this line with the other output of the tool.
    Log(String),
    /// Run the tool (again).
    Run(Run),
    /// End the run of the tool.
    EndRun,
    /// The tool is gone, and with it the agent.
    Gone,
    /// The tool cannot be worked with: end the agent.
    End(Trouble),
}

/// A session of one agent with its tool.
#[derive(Debug)]
pub(super) struct Session {
    mode: PermissionMode,
    start_limit_ms: i64,
    login_repair: Option<String>,
    protocol: Box<dyn Protocol>,
    /// What the agent is, to be said before the first prompt and after its memory was shortened.
    brief: String,
    needs_brief: bool,
    phase: Phase,
    /// Whether the agent is about to be ended: nothing new is said.
    is_stopping: bool,
    turn: Option<Turn>,
    next: VecDeque<Next>,
    work: Option<Task>,
    ended_work: VecDeque<(TaskId, i64)>,
    heard: VecDeque<InputId>,
    open: BTreeMap<String, Open>,
    noise: Noise,
    reading: Reading,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Waiting,
    Starting { until: UnixMs },
    Ready,
    Over,
}

#[derive(Debug)]
struct Turn {
    /// Why it runs; none when the tool began by itself.
    source: Option<PromptSource>,
    /// Whether its transcript needs an end also when it had no beginning.
    asked: bool,
    /// Until when it has to end, since it was cancelled.
    ends_by: Option<UnixMs>,
}

impl Turn {
    fn is_cancelled(&self) -> bool {
        self.ends_by.is_some()
    }
}

/// What is said when no turn runs any more.
#[derive(Debug)]
enum Next {
    Task,
    Reminder,
    Say { input_id: InputId, text: String },
}

#[derive(Debug)]
struct Task {
    task_id: TaskId,
    delivery: i64,
    brief: String,
    reminder: String,
    /// Whether it was said to the tool.
    said: bool,
    turn_ended: bool,
    reminded: bool,
}

#[derive(Debug)]
struct Open {
    options: Vec<PermissionOption>,
}

impl Session {
    /// The session of `agent`, which works in `cwd`; `brief` is what the agent is told of its role.
    pub(super) fn new(
        spec: &SessionSpec,
        agent: &AgentId,
        args: &[String],
        cwd: &Path,
        env: Env<'_>,
        brief: String,
    ) -> Self {
        let protocol: Box<dyn Protocol> = match spec.driver {
            DriverKind::Acp => Box::new(acp::Acp::new(spec, args, cwd, env)),
            DriverKind::Claude => Box::new(claude::Claude::new(spec, agent, args)),
            DriverKind::OneShot => Box::new(one_shot::OneShot::new(spec, args)),
        };
        Self::with(spec, protocol, brief)
    }

    fn with(spec: &SessionSpec, protocol: Box<dyn Protocol>, brief: String) -> Self {
        Self {
            mode: spec.permission_mode,
            start_limit_ms: spec.start_limit_ms,
            login_repair: spec.login_repair.clone(),
            protocol,
            needs_brief: !brief.trim().is_empty(),
            brief,
            phase: Phase::Waiting,
            is_stopping: false,
            turn: None,
            next: VecDeque::new(),
            work: None,
            ended_work: VecDeque::new(),
            heard: VecDeque::new(),
            open: BTreeMap::new(),
            noise: Noise::default(),
            reading: Reading::default(),
        }
    }

    /// The run with which the tool is started; none when it is run for each prompt.
    pub(super) fn opening(&self) -> Option<Run> {
        self.protocol.opening()
    }

    /// Takes in what happened and tells what is to be done, in order.
    pub(super) fn handle(&mut self, event: In, now: UnixMs) -> Vec<Out> {
        let mut out = Vec::new();
        if self.phase == Phase::Over && !matches!(event, In::End) {
            if let In::Line(line) = event {
                out.push(Out::Log(line));
            }
            return out;
        }
        match event {
            In::Begin => {
                self.phase = Phase::Starting { until: now + self.start_limit_ms.max(1) };
                let steps = self.protocol.begin();
                self.follow(steps, now, &mut out);
            }
            In::Line(line) => {
                let steps = self.protocol.line(&line);
                self.follow(steps, now, &mut out);
            }
            In::Order(order) => self.obey(order, now, &mut out),
            In::Tick => {}
            In::RunEnded(exit) => {
                let steps = self.protocol.run_ended(&exit);
                self.follow(steps, now, &mut out);
            }
            In::RunFailed(why) => {
                let message = format!("the tool could not be run: {why}");
                let failed = Step::Trouble { kind: TroubleKind::ServiceFailed, message: message.clone() };
                let ended = Step::TurnEnded { reason: TurnEnd::Error, message: Some(message) };
                self.follow(vec![failed, ended], now, &mut out);
            }
            In::Stop => {
                self.is_stopping = true;
                self.cancel(now, &mut out);
            }
            In::End => self.end(now, &mut out),
        }
        if let Phase::Starting { until } = self.phase
            && now >= until
        {
            let seconds = self.start_limit_ms / 1000;
            let message = format!("the tool could not be spoken to within {seconds} seconds of its start");
            self.give_up(TroubleKind::Silent, message, now, &mut out);
        }
        if self.turn.as_ref().and_then(|turn| turn.ends_by).is_some_and(|by| now >= by) {
            let seconds = CANCEL_LIMIT_MS / 1000;
            let message = format!("the tool did not end its turn within {seconds} seconds after it was cancelled");
            self.give_up(TroubleKind::Protocol, message, now, &mut out);
        }
        self.say_next(now, &mut out);
        out.extend(self.noise.tick(now).map(|entry| self.note(entry, now)));
        out
    }

    /// When time alone changes something.
    pub(super) fn deadline(&self) -> Option<UnixMs> {
        let start = match self.phase {
            Phase::Starting { until } => Some(until),
            Phase::Waiting | Phase::Ready => None,
            Phase::Over => return None,
        };
        let cancelled = self.turn.as_ref().and_then(|turn| turn.ends_by);
        [start, cancelled, self.noise.deadline()].into_iter().flatten().min()
    }

    /// Where the turn stands, as everybody reads it from the transcript.
    pub(super) fn turn(&self) -> TurnState {
        self.reading.turn.as_ref().map_or(TurnState::Starting, |turn| turn.state)
    }

    /// Whether the tool is at work, with or without a prompt.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.is_some()
    }

    /// The task that the session holds.
    pub(super) fn work(&self) -> Option<Work> {
        self.work.as_ref().map(|work| Work {
            task_id: work.task_id.clone(),
            delivery: work.delivery,
            turn_ended: work.turn_ended,
            reminded: work.reminded,
        })
    }

    fn obey(&mut self, order: HostOrder, now: UnixMs, out: &mut Vec<Out>) {
        match order {
            HostOrder::Task { task_id, delivery, brief, reminder } => {
                let was_ended = self.ended_work.iter().any(|(task, number)| *task == task_id && *number == delivery);
                if self.work.is_none() && !was_ended {
                    let (said, turn_ended, reminded) = (false, false, false);
                    self.work = Some(Task { task_id, delivery, brief, reminder, said, turn_ended, reminded });
                    self.next.push_back(Next::Task);
                }
            }
            HostOrder::TaskOver { task_id, delivery } => {
                if self.holds(&task_id, delivery) {
                    self.work = None;
                    self.next.retain(|next| matches!(next, Next::Say { .. }));
                    if self.turn() == TurnState::NeedsYou {
                        // Nobody is needed any more, and the session may take another task.
                        let message = Some("somebody else has ended its task".to_owned());
                        out.push(self.note(Entry::TurnEnded { reason: TurnEnd::EndTurn, message }, now));
                    }
                }
                remember(&mut self.ended_work, (task_id, delivery));
            }
            HostOrder::TaskOpen { task_id, delivery } => {
                let busy = self.turn.is_some();
                let holds = self.holds(&task_id, delivery);
                let Some(work) = self.work.as_mut().filter(|work| holds && work.turn_ended && !busy) else { return };
                work.turn_ended = false;
                if std::mem::replace(&mut work.reminded, true) {
                    out.push(self.note(Entry::NeedsYou { task_id, delivery }, now));
                } else {
                    self.next.push_back(Next::Reminder);
                }
            }
            HostOrder::Say { input_id, text } => {
                if !self.hears(&input_id) {
                    return;
                }
                let waiting = self.next.iter().filter(|next| matches!(next, Next::Say { .. })).count();
                if waiting < MAX_SAYINGS {
                    self.next.push_back(Next::Say { input_id, text });
                } else {
                    let reason =
                        format!("{MAX_SAYINGS} messages wait for this agent already; wait until it has read some");
                    out.push(self.note(Entry::InputRefused { input_id, reason }, now));
                }
            }
            HostOrder::Cancel { input_id } => {
                if !self.hears(&input_id) {
                    return;
                }
                if self.turn.is_some() {
                    out.push(self.note(Entry::InputTaken { input_id }, now));
                    self.cancel(now, out);
                } else {
                    let reason = "no turn runs that could be cancelled".to_owned();
                    out.push(self.note(Entry::InputRefused { input_id, reason }, now));
                }
            }
            HostOrder::Answer { input_id, request_id, choice, by } => {
                if self.hears(&input_id) {
                    self.take_answer(input_id, request_id, choice, by, now, out);
                }
            }
        }
    }

    fn cancel(&mut self, now: UnixMs, out: &mut Vec<Out>) {
        let Some(turn) = &mut self.turn else { return };
        turn.ends_by.get_or_insert(now + CANCEL_LIMIT_MS);
        // The cancel first: the tool must not take a withdrawn request for a refusal and go on with something else.
        let steps = self.protocol.cancel();
        self.follow(steps, now, out);
        self.withdraw_all(now, out);
    }

    fn follow(&mut self, steps: Vec<Step>, now: UnixMs, out: &mut Vec<Out>) {
        for step in steps {
            match step {
                Step::Write(line) => out.push(Out::Write(line)),
                Step::Run(run) => out.push(Out::Run(run)),
                Step::EndRun => out.push(Out::EndRun),
                Step::Gone => out.push(Out::Gone),
                Step::Ready { session_id, resumed, model, models } => {
                    let driver = self.protocol.kind();
                    if self.phase != Phase::Over {
                        self.phase = Phase::Ready;
                    }
                    out.push(self.note(Entry::SessionStarted { driver, session_id, resumed, model, models }, now));
                }
                Step::Forgot => self.needs_brief = !self.brief.trim().is_empty(),
                Step::Entry(entry) => {
                    if entry == Entry::Compacted {
                        self.needs_brief = !self.brief.trim().is_empty();
                    }
                    out.push(self.note(entry, now));
                }
                Step::Asked(ask) => self.ask(ask, now, out),
                Step::Withdrawn(request_id) => {
                    if self.open.remove(&request_id).is_some() {
                        let outcome = PermissionOutcome::Withdrawn;
                        out.push(self.note(Entry::PermissionSettled { request_id, outcome }, now));
                    }
                }
                Step::TurnBegan => {
                    self.turn.get_or_insert(Turn { source: None, asked: false, ends_by: None });
                }
                Step::TurnEnded { reason, message } => self.end_turn(reason, message, now, out),
                Step::Trouble { kind, message } => {
                    let trouble = self.trouble(kind, message, now);
                    out.push(self.note(Entry::Trouble { trouble }, now));
                }
                Step::Unusable { kind, message } => self.give_up(kind, message, now, out),
                Step::Noise(line) => {
                    if let Some(entry) = self.noise.hear(&line, now) {
                        out.push(self.note(entry, now));
                    }
                    out.push(Out::Log(line));
                }
            }
        }
    }

    fn end_turn(&mut self, reason: TurnEnd, message: Option<String>, now: UnixMs, out: &mut Vec<Out>) {
        let Some(turn) = self.turn.take() else { return };
        self.withdraw_all(now, out);
        if turn.source.is_some() || turn.asked {
            out.push(self.note(Entry::TurnEnded { reason, message }, now));
        }
        if let Some(work) = &mut self.work
            && work.said
            && turn.source.is_some()
        {
            work.turn_ended = true;
        }
    }

    /// Says what waits, when the tool waits too.
    fn say_next(&mut self, now: UnixMs, out: &mut Vec<Out>) {
        while self.phase == Phase::Ready
            && !self.is_stopping
            && self.turn.is_none()
            && let Some(next) = self.next.pop_front()
        {
            let (source, text) = match (next, &mut self.work) {
                (Next::Say { input_id, text }, _) => {
                    out.push(self.note(Entry::InputTaken { input_id: input_id.clone() }, now));
                    (PromptSource::Person { input_id }, text)
                }
                (Next::Task, Some(work)) => {
                    work.said = true;
                    let source = PromptSource::Task { task_id: work.task_id.clone(), delivery: work.delivery };
                    (source, std::mem::take(&mut work.brief))
                }
                (Next::Reminder, Some(work)) => {
                    let source = PromptSource::Reminder { task_id: work.task_id.clone(), delivery: work.delivery };
                    (source, work.reminder.clone())
                }
                (Next::Task | Next::Reminder, None) => continue,
            };
            out.push(self.note(Entry::Prompt { source: source.clone(), text: text.clone() }, now));
            let said = if std::mem::take(&mut self.needs_brief) {
                format!("{}\n\n{text}", self.brief.trim_end())
            } else {
                text
            };
            self.turn = Some(Turn { source: Some(source.clone()), asked: false, ends_by: None });
            let steps = self.protocol.prompt(&said, &source);
            self.follow(steps, now, out);
        }
    }

    fn give_up(&mut self, kind: TroubleKind, message: String, now: UnixMs, out: &mut Vec<Out>) {
        let trouble = self.trouble(kind, message, now);
        out.push(self.note(Entry::Trouble { trouble: trouble.clone() }, now));
        self.end_turn(TurnEnd::Error, None, now, out);
        self.phase = Phase::Over;
        out.push(Out::End(trouble));
    }

    /// Completes the transcript of an agent that has ended.
    fn end(&mut self, now: UnixMs, out: &mut Vec<Out>) {
        self.phase = Phase::Over;
        let was_cancelled = self.turn.as_ref().is_some_and(Turn::is_cancelled);
        let reason = if was_cancelled { TurnEnd::Cancelled } else { TurnEnd::Error };
        self.end_turn(reason, Some("the agent has ended".to_owned()), now, out);
        self.withdraw_all(now, out);
        out.extend(self.noise.rest().map(|entry| self.note(entry, now)));
        for next in std::mem::take(&mut self.next) {
            if let Next::Say { input_id, .. } = next {
                let reason = "the agent ended before it could be told".to_owned();
                out.push(self.note(Entry::InputRefused { input_id, reason }, now));
            }
        }
    }

    fn trouble(&self, kind: TroubleKind, message: String, at: UnixMs) -> Trouble {
        let repair = self.login_repair.clone().filter(|_| kind == TroubleKind::NotSignedIn);
        Trouble { kind, message, repair, at }
    }

    /// Everything that is recorded goes through here, so that this session reads of itself what everybody reads.
    fn note(&mut self, entry: Entry, at: UnixMs) -> Out {
        let event = TranscriptEvent { seq: self.reading.last_seq + 1, at, entry };
        self.reading.read(&event);
        Out::Record(event.entry)
    }

    fn holds(&self, task_id: &TaskId, delivery: i64) -> bool {
        self.work.as_ref().is_some_and(|work| work.task_id == *task_id && work.delivery == delivery)
    }

    /// Whether an input is heard for the first time.
    fn hears(&mut self, input_id: &InputId) -> bool {
        let is_new = !self.heard.contains(input_id);
        if is_new {
            remember(&mut self.heard, input_id.clone());
        }
        is_new
    }
}

/// The variables of the agent's environment, for a server that a tool is told to start.
pub(super) type Env<'a> = &'a BTreeMap<String, String>;

fn remember<T: PartialEq>(memory: &mut VecDeque<T>, item: T) {
    if memory.contains(&item) {
        return;
    }
    if memory.len() == REMEMBERED {
        memory.pop_front();
    }
    memory.push_back(item);
}

#[cfg(test)]
mod tests;
