//! Permissions: what an agent asked for, who answered, and the rules that answer by themselves.

use crate::id::{AgentId, ChatroomId, MachineId, PermissionId, RuleId};
use crate::time::UnixMs;
use crate::transcript::{Choice, Decider, PermissionOption, ToolKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a request waits for an answer before it is refused, in milliseconds: 24 hours.
pub const EXPIRES_MS: i64 = 24 * 60 * 60_000;

/// A request of an agent for a permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    /// Its id.
    pub permission_id: PermissionId,
    /// The agent that asks.
    pub agent_id: AgentId,
    /// Its room.
    pub chatroom_id: ChatroomId,
    /// Its role.
    pub role: String,
    /// Its machine.
    pub machine_id: MachineId,
    /// The agent's name of the request.
    pub request_id: String,
    /// What it wants to do, for a person.
    pub title: String,
    /// What kind of deed it is.
    pub tool_kind: ToolKind,
    /// The shell command, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The files that it touches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// What may be answered.
    pub options: Vec<PermissionOption>,
    /// When it was asked, by the server's clock.
    pub asked_at: UnixMs,
    /// When it is refused if nobody has answered.
    pub expires_at: UnixMs,
    /// Where it stands.
    #[serde(flatten)]
    pub state: PermissionState,
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PermissionState {
    /// Nobody has answered.
    Pending,
    /// It is answered; the agent may not have heard yet.
    Answered {
        /// What the answer means.
        choice: Choice,
        /// Who answered.
        by: Decider,
        /// When.
        at: UnixMs,
    },
    /// Nobody waits for an answer any more: the turn was cancelled or the agent has ended.
    Withdrawn {
        /// When.
        at: UnixMs,
    },
}

impl PermissionState {
    /// The state's name as it stands on the wire and in the store.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Answered { .. } => "answered",
            Self::Withdrawn { .. } => "withdrawn",
        }
    }
}

/// A rule that answers requests of a room's agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its id.
    pub rule_id: RuleId,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Only this role; every role when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it answers. Of the rules that fit, one that refuses counts.
    pub allow: bool,
    /// To what.
    #[serde(flatten)]
    pub matches: RuleMatch,
    /// Until when it counts; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMs>,
    /// When it was made.
    pub created_at: UnixMs,
}

/// What a rule answers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "match", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum RuleMatch {
    /// Deeds of a kind.
    Kind {
        /// Which kind.
        tool_kind: ToolKind,
    },
    /// One shell command, or that command with more words after it.
    Command {
        /// Its words, for example `cargo test`.
        command: String,
    },
}

/// Characters that make more of a command than one program with its words. A command that holds one fits no rule: a rule for
/// `cargo test` must not allow `cargo test; rm -rf ~`.
const SHELL_MEANING: &[char] =
    &[';', '&', '|', '<', '>', '$', '`', '(', ')', '{', '}', '[', ']', '*', '?', '~', '#', '!', '\\', '\n', '\r', '\0'];

impl RuleMatch {
    /// Whether a request is what this rule is about.
    #[must_use]
    pub fn fits(&self, tool_kind: ToolKind, command: Option<&str>) -> bool {
        match self {
            Self::Kind { tool_kind: kind } => *kind == tool_kind,
            Self::Command { command: prefix } => command.is_some_and(|command| {
                let words = command.trim();
                !words.contains(SHELL_MEANING)
                    && words
                        .strip_prefix(prefix.trim())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
            }),
        }
    }

    /// Why this is no rule, if it is none.
    ///
    /// # Errors
    /// In one sentence.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Kind { .. } => Ok(()),
            Self::Command { command } if command.trim().is_empty() => Err("the command of a rule is empty".to_owned()),
            Self::Command { command } if command.len() > 500 => Err("the command of a rule has 500 bytes at most".to_owned()),
            Self::Command { command } if command.trim().contains(SHELL_MEANING) => Err(
                "the command of a rule is one program with its words: it has no `;`, `|`, `$`, quotes of commands or the like"
                    .to_owned(),
            ),
            Self::Command { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(rule: &str, command: &str) -> bool {
        RuleMatch::Command { command: rule.to_owned() }.fits(ToolKind::Execute, Some(command))
    }

    #[test]
    fn a_command_rule_fits_the_command_and_more_words_and_nothing_that_a_shell_reads_otherwise() {
        assert!(fits("cargo test", "cargo test"));
        assert!(fits("cargo test", " cargo test --workspace "));
        assert!(!fits("cargo test", "cargo testify"));
        assert!(!fits("cargo test", "cargo"));
        for more in ["; rm -rf x", " && x", " | sh", " $(x)", " `x`", " > /etc/passwd", "\nrm x", " &", " <(x)"] {
            assert!(!fits("cargo test", &format!("cargo test{more}")), "{more}");
        }
        assert!(!RuleMatch::Command { command: "x".to_owned() }.fits(ToolKind::Execute, None));
    }

    #[test]
    fn a_rule_that_could_never_fit_is_refused() {
        for command in ["", "  ", "a; b", "a | b", "a $B"] {
            assert!(RuleMatch::Command { command: command.to_owned() }.check().is_err(), "{command}");
        }
        assert!(RuleMatch::Command { command: "git status".to_owned() }.check().is_ok());
    }
}
