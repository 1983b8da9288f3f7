//! Tools that do one thing and end: one run for each prompt, which takes up the session of the run before where the tool can.
//! They cannot ask; what they may do is decided by their arguments.

mod codex;

use super::super::run_dir::{OutputFormat, SessionSpec};
use super::protocol::{Protocol, Run, Step};
use super::stream_json::{self, Word};
use chatroom_protocol::agent::{AgentExit, TroubleKind};
use chatroom_protocol::transcript::{DriverKind, Entry, PermissionOption, PromptSource, TurnEnd};

/// Bytes of plain output that one run tells in the transcript.
const PLAIN_BYTES: usize = 1024 * 1024;

/// The state of the runs.
#[derive(Debug)]
pub(super) struct OneShot {
    args: Vec<String>,
    resume_args: Vec<String>,
    output: OutputFormat,
    session_id: Option<String>,
    model: Option<String>,
    run: Option<This>,
    /// Runs so far.
    runs: u64,
    calls: codex::Calls,
}

/// What is known of the run that goes on.
#[derive(Debug, Default)]
struct This {
    plain_bytes: usize,
    cancelled: bool,
    has_spoken: bool,
    session_id: Option<String>,
    ended: Option<(TurnEnd, Option<String>)>,
    trouble: Option<TroubleKind>,
}

impl OneShot {
    pub(super) fn new(spec: &SessionSpec, args: &[String]) -> Self {
        Self {
            args: args.to_vec(),
            resume_args: spec.resume_args.clone(),
            output: spec.output,
            session_id: spec.resume.clone(),
            model: spec.model.clone(),
            run: None,
            runs: 0,
            calls: codex::Calls::default(),
        }
    }

    fn ready(&self, resumed: bool) -> Step {
        Step::Ready { session_id: self.session_id.clone(), resumed, model: self.model.clone(), models: None }
    }

    fn plain(&mut self, line: &str) -> Vec<Step> {
        let Some(run) = &mut self.run else { return vec![Step::Noise(line.to_owned())] };
        run.plain_bytes += line.len() + 1;
        if run.plain_bytes > PLAIN_BYTES {
            return vec![Step::Noise(line.to_owned())];
        }
        vec![Step::Entry(Entry::Text { text: format!("{line}\n") })]
    }

    fn stream_json(&mut self, line: &str) -> Option<Vec<Step>> {
        let words = stream_json::read(line)?;
        let Some(run) = &mut self.run else { return Some(Vec::new()) };
        let mut steps = Vec::new();
        for word in words {
            match word {
                Word::Init { session_id, model } => {
                    run.session_id = session_id;
                    self.model = model.or_else(|| self.model.take());
                }
                Word::Said(said) => steps.extend(said),
                Word::Failed(kind) => run.trouble = Some(kind),
                Word::Ended(ended) => {
                    run.trouble = ended.trouble.or(run.trouble);
                    run.ended = Some((ended.reason, ended.message));
                }
                // Every piece is told whole later.
                Word::Piece(_) | Word::Other(_) => {}
            }
        }
        Some(steps)
    }

    fn codex(&mut self, line: &str) -> Option<Vec<Step>> {
        let words = self.calls.read(line)?;
        let Some(run) = &mut self.run else { return Some(Vec::new()) };
        let mut steps = Vec::new();
        for word in words {
            match word {
                codex::Word::Session(id) => run.session_id = Some(id),
                codex::Word::Said(entry) => steps.push(Step::Entry(entry)),
                codex::Word::Ended => run.ended = Some((TurnEnd::EndTurn, None)),
                codex::Word::Failed(message, kind) => {
                    run.ended = Some((TurnEnd::Error, Some(message)));
                    run.trouble = Some(kind);
                }
            }
        }
        Some(steps)
    }
}

impl Protocol for OneShot {
    fn kind(&self) -> DriverKind {
        DriverKind::OneShot
    }

    fn opening(&self) -> Option<Run> {
        None
    }

    fn begin(&mut self) -> Vec<Step> {
        vec![self.ready(self.session_id.is_some())]
    }

    fn line(&mut self, line: &str) -> Vec<Step> {
        let known = match self.output {
            OutputFormat::Plain => Some(self.plain(line)),
            OutputFormat::StreamJson => self.stream_json(line),
            OutputFormat::Codex => self.codex(line),
        };
        if let Some(run) = &mut self.run {
            run.has_spoken |= known.is_some();
        }
        match known {
            Some(steps) => steps,
            None if line.trim().is_empty() => Vec::new(),
            None => vec![Step::Noise(line.to_owned())],
        }
    }

    fn prompt(&mut self, text: &str, _source: &PromptSource) -> Vec<Step> {
        self.run = Some(This::default());
        self.runs += 1;
        self.calls = codex::Calls::of_run(self.runs);
        let mut args = self.args.clone();
        if let Some(session) = &self.session_id {
            args.extend(self.resume_args.iter().map(|arg| arg.replace("{session}", session)));
        }
        vec![Step::Run(Run { args, stdin: Some(text.to_owned()) })]
    }

    fn cancel(&mut self) -> Vec<Step> {
        match &mut self.run {
            Some(run) => {
                run.cancelled = true;
                vec![Step::EndRun]
            }
            None => Vec::new(),
        }
    }

    fn answer(&mut self, _request_id: &str, _option: Option<&PermissionOption>) -> Vec<Step> {
        Vec::new()
    }

    fn run_ended(&mut self, exit: &AgentExit) -> Vec<Step> {
        let Some(run) = self.run.take() else { return Vec::new() };
        let mut steps = Vec::new();
        if let Some(session) = run.session_id.filter(|session| self.session_id.as_ref() != Some(session)) {
            let was_known = self.session_id.replace(session).is_some();
            if was_known {
                steps.push(Step::Forgot);
            }
            steps.push(self.ready(false));
        } else if !run.has_spoken && *exit != (AgentExit::Code { code: 0 }) && !run.cancelled {
            // It may not know the session that was to go on; the next run begins anew.
            self.session_id = None;
        }
        if self.session_id.is_none() || self.resume_args.is_empty() {
            steps.push(Step::Forgot);
        }
        let (reason, message) = match (run.ended, exit) {
            _ if run.cancelled => (TurnEnd::Cancelled, None),
            (Some((reason @ TurnEnd::Error, message)), _) => (reason, message),
            (Some(ended), _) => ended,
            (None, AgentExit::Code { code: 0 }) => (TurnEnd::EndTurn, None),
            (None, exit) => (TurnEnd::Error, Some(how(exit))),
        };
        let trouble = run.trouble.filter(|_| reason == TurnEnd::Error);
        let text = message.clone().unwrap_or_default();
        match trouble {
            Some(kind @ (TroubleKind::NotSignedIn | TroubleKind::UnknownModel)) => {
                steps.push(Step::Unusable { kind, message: text });
            }
            Some(kind) => steps.push(Step::Trouble { kind, message: text }),
            None => {}
        }
        steps.push(Step::TurnEnded { reason, message });
        steps
    }
}

fn how(exit: &AgentExit) -> String {
    match exit {
        AgentExit::Code { code } => format!("the tool ended with exit code {code}"),
        AgentExit::Signal { signal } => format!("the tool was ended by signal {signal}"),
        _ => "the tool is gone".to_owned(),
    }
}

#[cfg(test)]
mod tests;
