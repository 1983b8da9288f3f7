//! Chatrooms, teams and messages.

use crate::id::{AgentId, BacklogItemId, ChatroomId, ContextId, MessageId, TaskId};
use crate::time::UnixMs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name by which a person takes part in a room.
pub const USER_ROLE: &str = "user";

/// A named list of roles with an entry role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Team {
    /// For example `duo`.
    pub name: String,
    /// In order of rank.
    pub roles: Vec<TeamRole>,
    /// The role that gets messages without one.
    pub entry_role: String,
}

impl Team {
    /// Finds a role without regard to case.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&TeamRole> {
        let name = name.trim().to_lowercase();
        self.roles.iter().find(|role| role.name == name)
    }

    /// To whom the work of a task of `role` may go: where the role hands to, and back to whoever gave the task (`from`) while
    /// that is in the team.
    #[must_use]
    pub fn targets<'a>(&self, role: &'a TeamRole, from: &'a str) -> Vec<&'a str> {
        let mut targets: Vec<&str> = role.hands_to.iter().map(String::as_str).collect();
        let is_here = from == USER_ROLE || self.roles.iter().any(|other| other.name == from);
        if is_here && from != role.name && !targets.contains(&from) {
            targets.push(from);
        }
        targets
    }

    /// `planner, builder`, for messages.
    #[must_use]
    pub fn role_names(&self) -> String {
        self.roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// One role of a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamRole {
    /// In lower case.
    pub name: String,
    /// For people.
    pub title: String,
    /// What the role does, in words for the agent.
    pub instructions: String,
    /// Roles (or `user`) that it may hand to.
    pub hands_to: Vec<String>,
}

/// A chatroom as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chatroom {
    /// Its id.
    pub chatroom_id: ChatroomId,
    /// Its name.
    pub name: String,
    /// The room's own copy of its team.
    pub team: Team,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<UnixMs>,
}

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Written by a person.
    Message,
    /// Work handed on.
    Handoff,
    /// A note about work that goes on.
    Progress,
}

impl MessageKind {
    /// As it stands on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Handoff => "handoff",
            Self::Progress => "progress",
        }
    }

    /// Reads [`Self::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Message, Self::Handoff, Self::Progress].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A message in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id.
    pub message_id: MessageId,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Its place in the room, counted from 1 without gaps.
    pub sequence: i64,
    /// What kind.
    pub kind: MessageKind,
    /// Who wrote it: a role, or `user`.
    pub sender_role: String,
    /// For whom: a role, or `user`.
    pub target_role: String,
    /// The text.
    pub content: String,
    /// The task that it made, if any; of a progress note, the task that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The artifacts that go with it, each in the version that was meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactRef>,
    /// What became of it; none for a progress note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// When it was written.
    pub created_at: UnixMs,
}

/// How far a message has come. A message to a role follows its task; one to the user is queued until the person has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStage {
    /// Nobody has it (or whoever had it has let go of it).
    Queued,
    /// Handed to the role, which has not been heard of since.
    Delivered,
    /// The role (or the person) has it, by a later call.
    Seen,
    /// The role works on it.
    Started,
    /// The role is done with it.
    Done,
    /// Its task was cancelled.
    Cancelled,
}

/// What became of a message, of which stage since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// How far it has come.
    pub stage: ReceiptStage,
    /// By whom: the role that has its task, or `user`.
    pub role: String,
    /// The agent that was handed it last, when a started agent was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// How often it was handed to somebody.
    pub delivery: i64,
    /// When it was written.
    pub queued_at: UnixMs,
    /// When it was handed out last. Still told while it is queued again because nobody confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<UnixMs>,
    /// When that hand-over was confirmed, or when the person saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<UnixMs>,
    /// When work on it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<UnixMs>,
    /// When it was done or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<UnixMs>,
}

/// One version of an artifact, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactRef {
    /// Its name, for example `plan.md`.
    pub name: String,
    /// Counted from 1.
    pub version: i64,
}

/// A markdown file of a room, in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Its name, for example `plan.md`.
    pub name: String,
    /// Counted from 1; the same name written again is the next version.
    pub version: i64,
    /// Size of the text in bytes (UTF-8).
    pub bytes: i64,
    /// Who wrote this version: a role, or `user`.
    pub author_role: String,
    /// For which user.
    pub author_name: String,
    /// When.
    pub created_at: UnixMs,
}

/// A point from which a room's conversation counts anew: what was said before is left out of what roles are given to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// Its id.
    pub context_id: ContextId,
    /// What it is about, in one line.
    pub title: String,
    /// What one must know.
    pub content: String,
    /// The last message before it.
    pub after_sequence: i64,
    /// Who made it: a role, or `user`.
    pub author_role: String,
    /// When.
    pub created_at: UnixMs,
}

/// Where a backlog item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BacklogState {
    /// To be done some day.
    Open,
    /// A task of it was made.
    Started,
    /// Done.
    Completed,
}

impl BacklogState {
    /// As it stands on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Started => "started",
            Self::Completed => "completed",
        }
    }

    /// Reads [`Self::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Started, Self::Completed].into_iter().find(|state| state.as_str() == text)
    }
}

/// Something to be done in a room some day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacklogItem {
    /// Its id.
    pub item_id: BacklogItemId,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// What is to be done.
    pub content: String,
    /// Where it stands.
    pub state: BacklogState,
    /// Who added it: a role, or `user`.
    pub author_role: String,
    /// The task that its start made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The role that got that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_role: Option<String>,
    /// When it was added.
    pub created_at: UnixMs,
    /// When its state last changed.
    pub updated_at: UnixMs,
}
