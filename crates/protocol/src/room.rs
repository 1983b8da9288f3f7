//! Chatrooms, teams and messages.

use crate::id::{ChatroomId, MessageId, TaskId};
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

impl TeamRole {
    /// To whom the work of a task may go: where the role hands to, and back to whoever gave the task.
    #[must_use]
    pub fn targets<'a>(&'a self, from: &'a str) -> Vec<&'a str> {
        let mut targets: Vec<&str> = self.hands_to.iter().map(String::as_str).collect();
        if from != self.name && !targets.contains(&from) {
            targets.push(from);
        }
        targets
    }
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
    /// The task that it made, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// When it was written.
    pub created_at: UnixMs,
}
