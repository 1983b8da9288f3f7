//! What a protocol is: the translation between a session and the words of one kind of tool.

use chatroom_protocol::agent::{AgentExit, TroubleKind};
use chatroom_protocol::transcript::{DriverKind, Entry, ModelList, PermissionOption, PromptSource, ToolKind, TurnEnd};
use std::fmt;

/// A translator. It keeps what its protocol needs (numbers of requests, open calls) and decides nothing.
pub(super) trait Protocol: fmt::Debug {
    /// Which one it is.
    fn kind(&self) -> DriverKind;

    /// The run with which the tool is started; none when each prompt has its own.
    fn opening(&self) -> Option<Run>;

    /// The tool was started.
    fn begin(&mut self) -> Vec<Step>;

    /// The tool has written a line.
    fn line(&mut self, line: &str) -> Vec<Step>;

    /// Says something. No turn runs.
    fn prompt(&mut self, text: &str, source: &PromptSource) -> Vec<Step>;

    /// Cancels the turn that runs.
    fn cancel(&mut self) -> Vec<Step>;

    /// Answers a permission request with one of its options, or takes the request back. One that is not open is let be.
    fn answer(&mut self, request_id: &str, option: Option<&PermissionOption>) -> Vec<Step>;

    /// The run of the tool is over.
    fn run_ended(&mut self, exit: &AgentExit) -> Vec<Step>;
}

/// One run of the tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::agent) struct Run {
    /// Its arguments.
    pub(in crate::agent) args: Vec<String>,
    /// All of its standard input; none when more is written while it runs.
    pub(in crate::agent) stdin: Option<String>,
}

/// What follows from a word of the tool or for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Write this line.
    Write(String),
    /// Run the tool.
    Run(Run),
    /// End the run.
    EndRun,
    /// The tool is gone for good.
    Gone,
    /// The tool can be spoken to.
    Ready { session_id: Option<String>, resumed: bool, model: Option<String>, models: Option<ModelList> },
    /// What was said before is not remembered.
    Forgot,
    /// Something for the transcript that changes nothing here.
    Entry(Entry),
    /// A permission is asked for.
    Asked(Ask),
    /// Nobody waits for the answer to a request any more.
    Withdrawn(String),
    /// The tool has begun to work by itself.
    TurnBegan,
    /// The turn is over.
    TurnEnded { reason: TurnEnd, message: Option<String> },
    /// Something keeps the tool from working, for now.
    Trouble { kind: TroubleKind, message: String },
    /// The tool cannot be worked with.
    Unusable { kind: TroubleKind, message: String },
    /// A line that is no word of the protocol.
    Noise(String),
}

/// A permission request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    pub(super) request_id: String,
    pub(super) call_id: Option<String>,
    pub(super) title: String,
    pub(super) tool_kind: ToolKind,
    pub(super) command: Option<String>,
    pub(super) paths: Vec<String>,
    pub(super) options: Vec<PermissionOption>,
    /// Whether it is about our own program or server.
    pub(super) is_ours: bool,
}
