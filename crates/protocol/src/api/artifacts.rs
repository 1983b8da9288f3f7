//! `artifacts.*`: markdown files of a room, every version of each.

use super::Empty;
use super::machines::ChatroomArgs;
use crate::id::ChatroomId;
use crate::room::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Writes an artifact: the next version of its name. The text that the newest version has makes no new one.
    Put(PutArgs) -> Artifact = "artifacts.put", Mutation, [USER AGENT];
    /// Reads an artifact: one version, by default the newest.
    Get(GetArgs) -> ArtifactText = "artifacts.get", Query, [USER AGENT];
    /// Lists a room's artifacts, each in its newest version, by name.
    List(ChatroomArgs) -> Vec<Artifact> = "artifacts.list", Query, [USER AGENT];
    /// Removes an artifact with all its versions.
    Remove(RemoveArgs) -> Empty = "artifacts.remove", Mutation, [USER];
}

/// Arguments of `artifacts.put`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Who writes: a role of the team; when absent, an agent's own role, or `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// 4 to 100 characters of a-z, A-Z, 0-9, `.`, `_` and `-`, with `.md` at the end and no dot at the beginning.
    pub name: String,
    /// The text: at most 262,144 bytes.
    pub content: String,
}

/// Arguments of `artifacts.get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Its name.
    pub name: String,
    /// Its version; the newest one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// Arguments of `artifacts.remove`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoveArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Its name.
    pub name: String,
}

/// An artifact with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactText {
    /// Which artifact.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// Its text.
    pub content: String,
}
