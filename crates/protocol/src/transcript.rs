//! What an agent says and does in its session, event by event.
//!
//! The agent host writes every event into a journal before anybody hears of it; the daemon carries the journal to the server.
//! It is the one ordered stream of facts about a session: turn state, permission requests and troubles are read from it
//! ([`Reading`]), stored nowhere else first, so that a replay changes nothing.

mod reading;

pub use reading::Reading;

use crate::agent::Trouble;
use crate::id::{InputId, TaskId};
use crate::time::UnixMs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Events of one call of `agents.appendTranscript` at most.
pub const APPEND_EVENTS: usize = 500;
/// Bytes of JSON of the events of one call at most; one event alone may be as large as [`EVENT_BYTES`].
pub const APPEND_BYTES: usize = 1024 * 1024;
/// Bytes of JSON of one event at most; the host cuts longer texts and says so in them.
pub const EVENT_BYTES: usize = 64 * 1024;

/// One thing that happened in an agent's session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptEvent {
    /// Its number: the first event of an agent is 1, and there are no gaps but where events were dropped.
    pub seq: i64,
    /// When, by the machine's clock.
    pub at: UnixMs,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Entry {
    /// The tool is ready to be spoken to.
    SessionStarted {
        /// How the tool is spoken to.
        driver: DriverKind,
        /// The tool's own name of the session, with which it can be taken up again; absent when it has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_id: Option<String>,
        /// Whether an earlier session goes on, with its memory.
        resumed: bool,
        /// The model, when the tool tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The models that the tool offers, when it tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        models: Option<ModelList>,
    },
    /// Something was said to the agent; a turn begins.
    Prompt {
        /// By whom, and why.
        source: PromptSource,
        /// What.
        text: String,
    },
    /// The agent's turn is over.
    TurnEnded {
        /// Why.
        reason: TurnEnd,
        /// More about it, for a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The agent says something. Pieces of one saying follow each other and are joined as they are.
    Text {
        /// Markdown.
        text: String,
    },
    /// The agent thinks aloud. Pieces are joined as those of a text.
    Thought {
        /// Markdown.
        text: String,
    },
    /// The agent begins to use one of its tools.
    ToolCall {
        /// Names the call among those of the session.
        call_id: String,
        /// For a person.
        title: String,
        /// What kind of deed it is.
        tool_kind: ToolKind,
        /// The shell command, when it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        /// The files that it touches.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        paths: Vec<String>,
    },
    /// A call goes on or has ended.
    ToolUpdate {
        /// Which call.
        call_id: String,
        /// Where it stands, when that changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<CallStatus>,
        /// A better title, when there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Its output so far, whole; it replaces what was told before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        /// What it changes in files.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        diffs: Vec<Diff>,
    },
    /// The agent's plan; it replaces the one before.
    Plan {
        /// Its steps.
        steps: Vec<PlanStep>,
    },
    /// The agent asks whether it may.
    PermissionAsked {
        /// Names the request among those of the agent.
        request_id: String,
        /// The call that it is about, when there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call_id: Option<String>,
        /// For a person.
        title: String,
        /// What kind of deed it is.
        tool_kind: ToolKind,
        /// The shell command, when it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        /// The files that it touches.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        paths: Vec<String>,
        /// What may be answered.
        options: Vec<PermissionOption>,
    },
    /// A permission request has its end.
    PermissionSettled {
        /// Which request.
        request_id: String,
        /// How it ended.
        outcome: PermissionOutcome,
    },
    /// The tool tries again by itself.
    Retrying {
        /// What failed, for a person.
        message: String,
        /// Which try, when the tool counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<i64>,
    },
    /// The tool cannot work; its own structured word, never guessed from a log.
    Trouble {
        /// What is wrong.
        trouble: Trouble,
    },
    /// The tool has shortened its memory of the session.
    Compacted,
    /// A turn ended, was reminded, and still has not ended its task: a person has to look.
    NeedsYou {
        /// The task.
        task_id: TaskId,
        /// The number of its hand-over.
        delivery: i64,
    },
    /// What the owner sent has reached the session.
    InputTaken {
        /// Which input.
        input_id: InputId,
    },
    /// What the owner sent has come too late or does not fit.
    InputRefused {
        /// Which input.
        input_id: InputId,
        /// Why, for a person.
        reason: String,
    },
    /// The tool wrote something outside of its protocol.
    Output {
        /// As written, cut to size.
        text: String,
    },
    /// Events are missing here: they were dropped for their age or size before they were told.
    Dropped {
        /// How many.
        events: i64,
    },
}

/// How a tool is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DriverKind {
    /// The Agent Client Protocol on standard input and output.
    Acp,
    /// Claude Code's stream of JSON lines, both ways.
    Claude,
    /// One run of the tool for each prompt, which takes up the session of the run before.
    OneShot,
}

impl DriverKind {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acp => "acp",
            Self::Claude => "claude",
            Self::OneShot => "one-shot",
        }
    }
}

/// Why something was said to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PromptSource {
    /// A task was delivered.
    Task {
        /// Which.
        task_id: TaskId,
        /// The number of the hand-over.
        delivery: i64,
    },
    /// The task of an earlier turn is still open.
    Reminder {
        /// Which.
        task_id: TaskId,
        /// The number of the hand-over.
        delivery: i64,
    },
    /// Its owner speaks to it.
    Person {
        /// Which input.
        input_id: InputId,
    },
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnEnd {
    /// The agent is done.
    EndTurn,
    /// It was cancelled.
    Cancelled,
    /// The model refused.
    Refusal,
    /// A limit of tokens or of requests was reached.
    Limit,
    /// The tool failed; a trouble may tell more.
    Error,
}

/// What kind of deed a tool call is; the words of the Agent Client Protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// Reads a file.
    Read,
    /// Changes a file.
    Edit,
    /// Deletes a file.
    Delete,
    /// Moves a file.
    Move,
    /// Searches.
    Search,
    /// Runs a command.
    Execute,
    /// Thinks.
    Think,
    /// Fetches something from elsewhere.
    Fetch,
    /// Anything else.
    #[default]
    Other,
}

impl ToolKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Read,
        Self::Edit,
        Self::Delete,
        Self::Move,
        Self::Search,
        Self::Execute,
        Self::Think,
        Self::Fetch,
        Self::Other,
    ];

    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Move => "move",
            Self::Search => "search",
            Self::Execute => "execute",
            Self::Think => "think",
            Self::Fetch => "fetch",
            Self::Other => "other",
        }
    }

    /// Reads [`Self::as_str`] back; anything else is other.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).unwrap_or_default()
    }
}

/// Where a tool call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// Not begun: its arguments are still being written, or a permission is asked for.
    Pending,
    /// It runs.
    InProgress,
    /// It has ended well.
    Completed,
    /// It has failed, or was refused.
    Failed,
}

/// A change of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// The file.
    pub path: String,
    /// What stood there; absent for a new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_text: Option<String>,
    /// What stands there then.
    pub new_text: String,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// What is to be done.
    pub content: String,
    /// Where it stands.
    pub status: CallStatus,
}

/// One of the answers that a permission request takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionOption {
    /// The tool's name of it; means nothing to us.
    pub option_id: String,
    /// For a person.
    pub name: String,
    /// What it means. Options are chosen by this, never by name or place.
    pub kind: Choice,
}

/// What an answer to a permission request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// This once.
    AllowOnce,
    /// Whenever the session asks for the like.
    AllowAlways,
    /// Not this once.
    RejectOnce,
    /// Never in this session.
    RejectAlways,
}

impl Choice {
    /// Whether it lets the agent go on with what it asked for.
    #[must_use]
    pub const fn allows(self) -> bool {
        matches!(self, Self::AllowOnce | Self::AllowAlways)
    }

    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowOnce => "allow_once",
            Self::AllowAlways => "allow_always",
            Self::RejectOnce => "reject_once",
            Self::RejectAlways => "reject_always",
        }
    }

    /// Reads [`Self::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::AllowOnce, Self::AllowAlways, Self::RejectOnce, Self::RejectAlways]
            .into_iter()
            .find(|choice| choice.as_str() == text)
    }

    /// The option that comes nearest to this choice: the same meaning; else the same yes or no, of which the narrower is
    /// taken. None when the request has no such answer: then a yes cannot be given, and a no is a cancel.
    #[must_use]
    pub fn find(self, options: &[PermissionOption]) -> Option<&PermissionOption> {
        let narrow = if self.allows() { Self::AllowOnce } else { Self::RejectOnce };
        let by = |kind| options.iter().find(|option| option.kind == kind);
        // A wider yes than was meant is never given.
        let wider =
            if self == Self::AllowOnce { None } else { options.iter().find(|o| o.kind.allows() == self.allows()) };
        by(self).or_else(|| by(narrow)).or(wider)
    }
}

/// How a permission request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PermissionOutcome {
    /// It was answered.
    Selected {
        /// What the answer means.
        choice: Choice,
        /// Who answered.
        by: Decider,
    },
    /// Nobody answers any more: the turn was cancelled or the session has ended.
    Withdrawn,
}

/// Who answered a permission request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decider {
    /// The permission mode of the agent.
    Mode,
    /// A rule of its owner.
    Rule,
    /// Its owner.
    Person,
    /// Time: nobody had answered.
    Expiry,
}

impl Decider {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mode => "mode",
            Self::Rule => "rule",
            Self::Person => "person",
            Self::Expiry => "expiry",
        }
    }
}

/// A model of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The tool's name of it: what a config says.
    pub id: String,
    /// For a person.
    pub name: String,
}

/// The models of a tool on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelList {
    /// The models.
    pub models: Vec<Model>,
    /// Whether there are no others: then a name that is not in the list is refused.
    pub is_complete: bool,
    /// The one that is used when none is chosen, when the tool tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

impl ModelList {
    /// Whether `model` may be chosen, as far as this list knows.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        !self.is_complete || self.models.iter().any(|known| known.id == model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(option_id: &str, kind: Choice) -> PermissionOption {
        PermissionOption { option_id: option_id.to_owned(), name: "a name".to_owned(), kind }
    }

    #[test]
    fn an_answer_is_found_by_its_meaning_and_never_gets_wider() {
        let options =
            [option("b", Choice::RejectAlways), option("x", Choice::AllowAlways), option("a", Choice::AllowOnce)];
        let found = |choice: Choice| choice.find(&options).map(|option| option.option_id.as_str());
        assert_eq!(found(Choice::AllowOnce), Some("a"));
        assert_eq!(found(Choice::AllowAlways), Some("x"));
        assert_eq!(found(Choice::RejectOnce), Some("b"));
        assert_eq!(Choice::AllowOnce.find(&options[..2]), None);
        assert_eq!(Choice::AllowAlways.find(&options[2..]).map(|option| option.option_id.as_str()), Some("a"));
        assert_eq!(Choice::RejectOnce.find(&options[1..]), None);
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let event = TranscriptEvent { seq: 3, at: UnixMs(5), entry: Entry::Text { text: "hi".to_owned() } };
        assert_eq!(serde_json::to_string(&event).unwrap(), r#"{"seq":3,"at":5,"kind":"text","text":"hi"}"#);
        let compacted: TranscriptEvent = serde_json::from_str(r#"{"seq":4,"at":6,"kind":"compacted"}"#).unwrap();
        assert_eq!(compacted.entry, Entry::Compacted);
    }
}
