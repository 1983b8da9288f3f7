//! Tools: agent CLIs that a machine has.

use crate::transcript::DriverKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a tool: `opencode`, `claude`, `cursor`, `echo`, ... in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ToolName(pub String);

impl ToolName {
    /// The tool's name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ToolName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// What detection found out about one tool, by running it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolReport {
    /// Which tool.
    pub name: ToolName,
    /// Absolute path of the program that would be started; absent when the tool is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How it is spoken to when it is started as an agent; absent when this machine can only detect it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverKind>,
    /// Whether it can ask its owner for permissions: what the mode `ask` needs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
    /// How it is.
    #[serde(flatten)]
    pub status: ToolStatus,
}

/// The state of a tool on a machine. "On PATH" is not "installed": a stub without its postinstall step is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ToolStatus {
    /// It ran and told its version.
    Ok {
        /// As printed, for example `1.18.33`.
        version: String,
    },
    /// It runs, but says that nobody is signed in.
    NotSignedIn {
        /// As printed.
        version: String,
        /// The command that signs in.
        repair: String,
    },
    /// There is a file, but it does not run.
    Broken {
        /// What happened when it was run.
        reason: String,
        /// The command that mends it.
        repair: String,
    },
    /// Nowhere to be found.
    Missing {
        /// The command that installs it.
        repair: String,
    },
}

impl ToolReport {
    /// Whether an agent can be started with this tool: it runs (a tool that is not signed in may be signed in by its own
    /// environment, so it is not refused).
    #[must_use]
    pub fn is_available(&self) -> bool {
        matches!(self.status, ToolStatus::Ok { .. } | ToolStatus::NotSignedIn { .. })
    }

    /// The version as printed, when it ran.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match &self.status {
            ToolStatus::Ok { version } | ToolStatus::NotSignedIn { version, .. } => Some(version),
            ToolStatus::Broken { .. } | ToolStatus::Missing { .. } => None,
        }
    }
}

/// What an agent may do without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PermissionMode {
    /// Every permission is asked for. Needs a tool that can ask; one that is run one shot at a time is refused.
    #[default]
    Ask,
    /// May edit files and use chatroom; everything else is asked for, or refused where the tool cannot ask.
    AcceptEdits,
    /// May do everything that its user can.
    Full,
}

impl PermissionMode {
    /// The mode as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::AcceptEdits => "accept-edits",
            Self::Full => "full",
        }
    }

    /// Reads [`Self::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ask, Self::AcceptEdits, Self::Full].into_iter().find(|mode| mode.as_str() == text)
    }
}
