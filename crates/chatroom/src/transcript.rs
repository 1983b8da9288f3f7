//! A transcript for a person at a terminal: pure, event by event, lines that fit the terminal.
//!
//! Pieces of text are joined and printed line by line as they come; a thought is folded to one line; of long outputs and diffs
//! a few lines are shown. Every line is cleaned when it is printed.

mod diff;
mod follow;

pub(crate) use follow::Follow;

use crate::duration::show;
use crate::ui::{Line, Style, one_line, wrap};
use chatroom_protocol::UnixMs;
use chatroom_protocol::transcript::{
    CallStatus, Choice, Decider, Diff, Entry, PermissionOption, PermissionOutcome, PlanStep, PromptSource,
    TranscriptEvent, TurnEnd,
};
use diff::{Change, changes};
use std::collections::BTreeMap;

/// Lines of an output that are shown, the last ones.
const OUTPUT_LINES: usize = 8;
/// Lines of a diff that are shown.
const DIFF_LINES: usize = 6;
/// Lines of what was said to the agent that are shown.
const PROMPT_LINES: usize = 6;
/// Letters of a thought that are kept for its line.
const THOUGHT: usize = 400;
/// Calls and requests that are remembered: what an agent leaves open must not grow for ever.
const REMEMBERED: usize = 1_000;

/// How a person answers what the agent asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    /// By a line that is typed here.
    Here,
    /// By another command.
    Elsewhere,
}

/// A permission request, wherever it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The agent's name of it.
    pub(crate) request_id: &'a str,
    /// What it wants to do.
    pub(crate) title: &'a str,
    /// The shell command, when it is one.
    pub(crate) command: Option<&'a str>,
    /// The files that it touches.
    pub(crate) paths: &'a [String],
    /// What may be answered.
    pub(crate) options: &'a [PermissionOption],
}

/// Writes a transcript out.
#[derive(Debug)]
pub(crate) struct Scribe {
    width: usize,
    answering: Answering,
    /// The unfinished line of what the agent says.
    saying: String,
    thought: String,
    calls: BTreeMap<String, Call>,
    /// The call whose lines were written last.
    last_call: Option<String>,
    /// Requests as they were numbered: the first one is 1.
    requests: Vec<String>,
}

#[derive(Debug, Default)]
struct Call {
    title: String,
    output: String,
}

impl Scribe {
    /// One that writes lines of so many letters.
    pub(crate) fn new(width: usize, answering: Answering) -> Self {
        Self {
            width,
            answering,
            saying: String::new(),
            thought: String::new(),
            calls: BTreeMap::new(),
            last_call: None,
            requests: Vec::new(),
        }
    }

    /// Takes the next event in and gives the lines that are ready.
    pub(crate) fn event(&mut self, event: &TranscriptEvent) -> Vec<Line> {
        let mut out = Vec::new();
        match &event.entry {
            Entry::Text { text } => {
                self.end_thought(&mut out);
                self.text(text, &mut out);
            }
            Entry::Thought { text } => {
                self.end_text(&mut out);
                self.last_call = None;
                let room = THOUGHT.saturating_sub(self.thought.chars().count());
                self.thought.extend(text.chars().take(room));
            }
            // Comes in the middle of what the agent says.
            Entry::InputTaken { .. } => {}
            entry => {
                out = self.flush();
                self.entry(entry, &mut out);
            }
        }
        out
    }

    /// What is unfinished, as it stands.
    pub(crate) fn flush(&mut self) -> Vec<Line> {
        let mut out = Vec::new();
        self.end_thought(&mut out);
        self.end_text(&mut out);
        out
    }

    /// A request that waits and was not written yet; nothing when it was.
    pub(crate) fn waiting(&mut self, asked: Asked<'_>) -> Vec<Line> {
        if self.requests.iter().any(|known| known == asked.request_id) {
            return Vec::new();
        }
        let mut out = self.flush();
        self.asked(asked, &mut out);
        out
    }

    /// The agent's name of the request with this number.
    pub(crate) fn request(&self, number: usize) -> Option<&str> {
        self.requests.get(number.checked_sub(1)?).map(String::as_str)
    }

    fn text(&mut self, text: &str, out: &mut Vec<Line>) {
        self.last_call = None;
        self.saying.push_str(text);
        while let Some(end) = self.saying.find('\n') {
            let rest = self.saying.split_off(end + 1);
            let line = std::mem::replace(&mut self.saying, rest);
            self.lines(Style::Plain, line.trim_end_matches(['\n', '\r']), "", out);
        }
        // What fills whole lines already need not wait for the end of the paragraph.
        if self.saying.chars().count() > self.width {
            let wrapped = wrap(&visible(&self.saying), self.width, "");
            if let Some((full, rest)) = wrapped.rsplit_once('\n') {
                out.extend(full.lines().map(|line| Line::new(Style::Plain, line)));
                self.saying = rest.to_owned();
            }
        }
    }

    fn end_text(&mut self, out: &mut Vec<Line>) {
        let line = std::mem::take(&mut self.saying);
        if !line.trim().is_empty() {
            self.lines(Style::Plain, &line, "", out);
        }
    }

    fn end_thought(&mut self, out: &mut Vec<Line>) {
        let thought = std::mem::take(&mut self.thought);
        let words: Vec<&str> = thought.split_whitespace().collect();
        if !words.is_empty() {
            out.push(Line::new(Style::Dim, &cut(&format!("~ {}", words.join(" ")), self.width)));
        }
    }

    fn entry(&mut self, entry: &Entry, out: &mut Vec<Line>) {
        if !matches!(entry, Entry::ToolUpdate { .. }) {
            self.last_call = None;
        }
        match entry {
            Entry::SessionStarted { driver, resumed, model, .. } => {
                let begun = if *resumed { "goes on where it was" } else { "begins" };
                let model = model.as_ref().map(|model| format!(", model {model}")).unwrap_or_default();
                self.note(&format!("the session {begun} ({}{model})", driver.as_str()), out);
            }
            Entry::Prompt { source, text } => self.prompt(source, text, out),
            Entry::TurnEnded { reason, message } => {
                let said = message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                let (style, text) = match reason {
                    TurnEnd::EndTurn => (Style::Dim, "the turn is over"),
                    TurnEnd::Cancelled => (Style::Dim, "the turn was cancelled"),
                    TurnEnd::Refusal => (Style::Alert, "the model refused"),
                    TurnEnd::Limit => (Style::Alert, "the turn ended at a limit of tokens or requests"),
                    TurnEnd::Error => (Style::Alert, "the turn failed"),
                };
                self.lines(style, &format!("- {text}{said}"), "  ", out);
            }
            Entry::ToolCall { call_id, title, command, paths, .. } => {
                self.lines(Style::Bold, &format!("* {title}"), "  ", out);
                self.what(title, command.as_deref(), paths, out);
                if self.calls.len() < REMEMBERED {
                    self.calls.insert(call_id.clone(), Call { title: title.clone(), output: String::new() });
                }
                self.last_call = Some(call_id.clone());
            }
            Entry::ToolUpdate { call_id, status, title, output, diffs } => {
                if let Some(call) = self.calls.get_mut(call_id) {
                    if let Some(title) = title {
                        call.title.clone_from(title);
                    }
                    if let Some(output) = output {
                        call.output.clone_from(output);
                    }
                }
                for diff in diffs {
                    self.diff(diff, out);
                }
                match status {
                    Some(CallStatus::Completed | CallStatus::Failed) => {
                        let call = self.calls.remove(call_id).unwrap_or_else(|| Call {
                            title: title.clone().unwrap_or_default(),
                            output: output.clone().unwrap_or_default(),
                        });
                        let is_last = self.last_call.take().as_ref() == Some(call_id);
                        self.call_ended(&call, is_last, *status == Some(CallStatus::Completed), out);
                    }
                    Some(CallStatus::Pending | CallStatus::InProgress) | None => {}
                }
            }
            Entry::Plan { steps } => self.plan(steps, out),
            Entry::PermissionAsked { request_id, title, command, paths, options, .. } => {
                let command = command.as_deref();
                self.asked(Asked { request_id, title, command, paths, options }, out);
            }
            Entry::PermissionSettled { request_id, outcome } => {
                let number = self.number(request_id).map(|number| format!(" {number}")).unwrap_or_default();
                self.note(&format!("request{number}: {}", outcome_in_words(outcome)), out);
            }
            Entry::Retrying { message, attempt } => {
                let attempt = attempt.map(|attempt| format!(" (try {attempt})")).unwrap_or_default();
                self.note(&format!("the tool tries again{attempt}: {message}"), out);
            }
            Entry::Trouble { trouble } => {
                self.lines(Style::Alert, &format!("! {}", trouble.message), "  ", out);
                if let Some(repair) = &trouble.repair {
                    self.lines(Style::Plain, &format!("  to do: {repair}"), "  ", out);
                }
            }
            Entry::Compacted => self.note("the tool has shortened its memory of this session", out),
            Entry::NeedsYou { task_id, .. } => {
                let text = format!("! it needs you: its turn is over and task {task_id} is still open");
                self.lines(Style::Alert, &text, "  ", out);
            }
            Entry::InputTaken { .. } | Entry::Text { .. } | Entry::Thought { .. } => {}
            Entry::InputRefused { reason, .. } => {
                self.lines(Style::Alert, &format!("! not taken: {reason}"), "  ", out);
            }
            Entry::Output { text } => self.output(text, out),
            Entry::Dropped { events } => self.note(&format!("{events} events are missing here"), out),
        }
    }

    fn prompt(&self, source: &PromptSource, text: &str, out: &mut Vec<Line>) {
        let who = match source {
            PromptSource::Task { task_id, delivery } => format!("task {task_id}, delivery {delivery}"),
            PromptSource::Reminder { task_id, .. } => format!("a reminder of task {task_id}"),
            PromptSource::Person { .. } => "you".to_owned(),
        };
        self.lines(Style::Bold, &format!("> {who}:"), "  ", out);
        let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        // A reminder says the same each time.
        let shown = if matches!(source, PromptSource::Reminder { .. }) { 1 } else { PROMPT_LINES };
        for line in all.iter().take(shown) {
            out.push(Line::new(Style::Plain, &cut(&format!("  {}", visible(line)), self.width)));
        }
        if all.len() > shown {
            out.push(Line::new(Style::Dim, &format!("  ... {} more lines", all.len() - shown)));
        }
    }

    /// The command and the files of a deed, as far as its title does not name them.
    fn what(&self, title: &str, command: Option<&str>, paths: &[String], out: &mut Vec<Line>) {
        if let Some(command) = command {
            for (number, line) in command.lines().enumerate() {
                let begin = if number == 0 { "  $ " } else { "    " };
                self.lines(Style::Plain, &format!("{begin}{line}"), "    ", out);
            }
        }
        for path in paths.iter().filter(|path| !title.contains(path.as_str())).take(DIFF_LINES) {
            self.lines(Style::Plain, &format!("  {path}"), "    ", out);
        }
    }

    fn call_ended(&self, call: &Call, is_last: bool, is_well: bool, out: &mut Vec<Line>) {
        let name = if is_last || call.title.is_empty() { String::new() } else { format!(": {}", call.title) };
        self.output(&call.output, out);
        let (style, text) = if is_well { (Style::Dim, "done") } else { (Style::Alert, "failed") };
        self.lines(style, &format!("  {text}{name}"), "    ", out);
    }

    /// The last lines of an output.
    fn output(&self, text: &str, out: &mut Vec<Line>) {
        let text = without_colours(text);
        // Of a line that was written again and again, the last one.
        let newest = |line: &str| line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
        let all: Vec<String> = text.lines().map(newest).collect();
        let end = all.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        let begin = end.saturating_sub(OUTPUT_LINES);
        if begin > 0 {
            out.push(Line::new(Style::Dim, &format!("  | ... {begin} more above")));
        }
        for line in &all[begin..end] {
            out.push(Line::new(Style::Dim, &cut(&format!("  | {}", visible(line)), self.width)));
        }
    }

    fn diff(&self, diff: &Diff, out: &mut Vec<Line>) {
        let changes = changes(diff.old_text.as_deref().unwrap_or_default(), &diff.new_text);
        let new = changes.iter().filter(|change| matches!(change, Change::New(_))).count();
        let kind = if diff.old_text.is_none() { " (new file)" } else { "" };
        let head = format!("  {} +{new} -{}{kind}", diff.path, changes.len() - new);
        self.lines(Style::Plain, &head, "    ", out);
        for change in changes.iter().take(DIFF_LINES) {
            let (mark, line) = match change {
                Change::Gone(line) => ('-', line),
                Change::New(line) => ('+', line),
            };
            out.push(Line::new(Style::Dim, &cut(&format!("    {mark} {}", visible(line)), self.width)));
        }
        if changes.len() > DIFF_LINES {
            out.push(Line::new(Style::Dim, &format!("    ... {} more lines", changes.len() - DIFF_LINES)));
        }
    }

    fn plan(&self, steps: &[PlanStep], out: &mut Vec<Line>) {
        out.push(Line::new(Style::Bold, "# plan"));
        for step in steps {
            let (style, mark) = match step.status {
                CallStatus::Pending => (Style::Plain, ' '),
                CallStatus::InProgress => (Style::Bold, '>'),
                CallStatus::Completed => (Style::Dim, 'x'),
                CallStatus::Failed => (Style::Alert, '!'),
            };
            self.lines(style, &format!("  [{mark}] {}", step.content), "      ", out);
        }
    }

    fn asked(&mut self, asked: Asked<'_>, out: &mut Vec<Line>) {
        let number = match self.number(asked.request_id) {
            Some(number) => number,
            None => {
                self.requests.push(asked.request_id.to_owned());
                self.requests.len()
            }
        };
        self.lines(Style::Alert, &format!("? request {number}: {}", asked.title), "  ", out);
        self.what(asked.title, asked.command, asked.paths, out);
        match self.answering {
            Answering::Here => {
                for option in asked.options {
                    let word = match option.kind {
                        Choice::AllowOnce => "allow",
                        Choice::AllowAlways => "always",
                        Choice::RejectOnce => "deny",
                        Choice::RejectAlways => "never",
                    };
                    let key = format!("/{word} {number}");
                    self.lines(Style::Plain, &format!("  {key:<11} {}", option.name), "              ", out);
                }
            }
            Answering::Elsewhere => {
                let names: Vec<&str> = asked.options.iter().map(|option| option.name.as_str()).collect();
                self.lines(Style::Plain, &format!("  answers: {}", names.join(" | ")), "    ", out);
            }
        }
    }

    fn number(&self, request_id: &str) -> Option<usize> {
        self.requests.iter().rposition(|known| known == request_id).map(|at| at + 1)
    }

    fn note(&self, text: &str, out: &mut Vec<Line>) {
        self.lines(Style::Dim, &format!("- {text}"), "  ", out);
    }

    /// One line of text as lines that fit.
    fn lines(&self, style: Style, text: &str, indent: &str, out: &mut Vec<Line>) {
        let wrapped = wrap(&visible(text), self.width, indent);
        let lines = wrapped.split('\n');
        out.extend(lines.map(|line| Line::new(style, line)));
    }
}

/// How a request ended, in words.
pub(crate) fn outcome_in_words(outcome: &PermissionOutcome) -> String {
    match outcome {
        PermissionOutcome::Selected { choice, by } => format!("{} {}", choice_in_words(*choice), by_in_words(*by)),
        PermissionOutcome::Withdrawn => "nobody waits for an answer any more".to_owned(),
    }
}

/// What was answered, in words.
pub(crate) const fn choice_in_words(choice: Choice) -> &'static str {
    match choice {
        Choice::AllowOnce => "allowed once",
        Choice::AllowAlways => "allowed for this session",
        Choice::RejectOnce => "denied",
        Choice::RejectAlways => "denied for this session",
    }
}

/// Who answered, in words.
pub(crate) const fn by_in_words(by: Decider) -> &'static str {
    match by {
        Decider::Mode => "by its permission mode",
        Decider::Rule => "by a rule",
        Decider::Person => "by you",
        Decider::Expiry => "because nobody had answered in time",
    }
}

/// How long ago something was, in words.
pub(crate) fn ago(now: UnixMs, at: UnixMs) -> String {
    format!("{} ago", show(now.since(at)))
}

/// A text without the colours that programs write for terminals. What else steers a terminal stays, to be written out.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split("\x1b[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, ';' | ':'));
        match end {
            Some(end) if part[end..].starts_with('m') => plain.push_str(&part[end + 1..]),
            _ => {
                plain.push_str("\x1b[");
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Text on one line as it will be printed, so that its letters can be counted; a tab is blanks.
fn visible(text: &str) -> String {
    one_line(&text.replace('\t', "    "))
}

/// The beginning of a line, where it is longer.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width.saturating_sub(3)).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests;
