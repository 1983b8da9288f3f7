//! `machine.json`: read, made once, changed under a lock.

use super::Fingerprint;
use crate::home::Home;
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::machines::RegisterArgs;
use chatroom_protocol::id::{ChatroomId, MachineId};
use chatroom_protocol::tool::{ToolName, ToolReport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// `machine.json`: this machine's identity and what it last knew of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineFile {
    version: u32,
    /// The machine's id, a UUIDv4 made once.
    pub machine_id: MachineId,
    /// As the system says.
    pub hostname: String,
    /// `linux`, `macos`, ...
    pub os: String,
    /// `x86_64`, `aarch64`, ...
    pub arch: String,
    /// When this file was made.
    pub registered_at: UnixMs,
    /// When the server last had everything in this file.
    #[serde(default)]
    pub last_synced_at: Option<UnixMs>,
    /// The server that it was last registered at.
    #[serde(default)]
    pub server: Option<String>,
    /// [`Fingerprint::system`] of the machine that made it.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// [`Fingerprint::hardware`] of the machine that made it.
    #[serde(default)]
    pub hardware_fingerprint: Option<String>,
    /// What the last detection found, missing tools included.
    #[serde(default)]
    pub available_tools: Vec<ToolReport>,
    /// The PATH to start tools with.
    #[serde(default)]
    pub spawn_path: Option<String>,
    /// What was last used here, by room and role.
    #[serde(default)]
    pub agents: BTreeMap<ChatroomId, BTreeMap<String, AgentContext>>,
}

/// What a role in a room last used on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentContext {
    /// Which tool, if known.
    pub tool: Option<ToolName>,
    /// Absolute path.
    pub working_dir: String,
    /// When the role was last heard here.
    pub last_seen_at: UnixMs,
}

/// Whether [`load_or_create`] made the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    New,
    /// It was there.
    Existing,
}

/// Why the identity cannot be used. It is never replaced by a new one unless the user says so.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is none yet.
    #[error("this machine has no identity yet: there is no {}", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The file or its lock cannot be read or written.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not hold an identity.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The file was written by a newer version.
    #[error("{} was written by a newer version of chatroom (form {found})", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The file belongs to another computer.
    #[error("the identity in {} was copied or moved from another machine", path.display())]
    Mismatch {
        /// Which file.
        path: PathBuf,
    },
}

impl IdentityError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { .. } => "chatroom machine daemon start makes and registers it".to_owned(),
            Self::File { .. } => {
                "check owner and mode (directory 0700, file 0600) and that the disk is not full".to_owned()
            }
            Self::Damaged { path, .. } => {
                format!(
                    "restore {} from a backup, or make a new machine of this one: chatroom machine repair --new",
                    path.display()
                )
            }
            Self::Newer { .. } => {
                "use the newer version, or make a new machine of this one: chatroom machine repair --new".to_owned()
            }
            Self::Mismatch { .. } => "chatroom machine repair --moved (the old machine is gone or was renewed) or \
                                      chatroom machine repair --new (both are in use)"
                .to_owned(),
        }
    }
}

/// Reads the identity without comparing fingerprints, for showing it. `None`: there is none yet.
///
/// # Errors
/// [`IdentityError`] when it cannot be read or understood.
pub fn load(_home: &Home) -> Result<Option<MachineFile>, IdentityError> {
    unimplemented!()
}

/// Reads the identity of this machine or, when there is none, makes it. Blocks the thread for 10 s at most.
///
/// # Errors
/// [`IdentityError`]: an identity that is there, but cannot be used, is never replaced.
pub fn load_or_create(
    _home: &Home,
    _fingerprint: &Fingerprint,
    _now: UnixMs,
) -> Result<(MachineFile, Created), IdentityError> {
    unimplemented!()
}

/// Changes `machine.json` under its lock, after comparing fingerprints. The machine id cannot be changed by it. Blocks the
/// thread for 10 s at most.
///
/// # Errors
/// [`IdentityError`]; then the file is as before.
pub fn update<T>(
    _home: &Home,
    _fingerprint: &Fingerprint,
    _change: impl FnOnce(&mut MachineFile) -> T,
) -> Result<(MachineFile, T), IdentityError> {
    unimplemented!()
}

/// "The old machine is gone": keeps the id and takes the fingerprint of this computer.
///
/// # Errors
/// [`IdentityError`]; a damaged file cannot be moved.
pub fn repair_moved(_home: &Home, _fingerprint: &Fingerprint) -> Result<MachineFile, IdentityError> {
    unimplemented!()
}

/// "This is another machine": makes a new identity and keeps the old file, whatever is in it, as a backup beside it.
/// Gives the new identity and the path of the backup, if there was a file.
///
/// # Errors
/// [`IdentityError::File`] when the backup or the new file cannot be written.
pub fn repair_new(
    _home: &Home,
    _fingerprint: &Fingerprint,
    _now: UnixMs,
) -> Result<(MachineFile, Option<PathBuf>), IdentityError> {
    unimplemented!()
}

impl MachineFile {
    /// What `machines.register` wants to know. `cli_path` is the absolute path of this program.
    #[must_use]
    pub fn register_args(&self, cli_path: &Path, issue_credential: bool) -> RegisterArgs {
        RegisterArgs {
            machine_id: self.machine_id.clone(),
            hostname: self.hostname.clone(),
            os: self.os.clone(),
            arch: self.arch.clone(),
            available_tools: self.available_tools.clone(),
            cli_version: crate::VERSION.to_owned(),
            cli_path: cli_path.to_string_lossy().into_owned(),
            issue_credential,
        }
    }

    /// Remembers what a role in a room uses here. `tool`: `None` keeps the one known.
    pub fn remember_agent(
        &mut self,
        room: &ChatroomId,
        role: &str,
        tool: Option<ToolName>,
        working_dir: &str,
        now: UnixMs,
    ) {
        let roles = self.agents.entry(room.clone()).or_default();
        let tool = tool.or_else(|| roles.get(role).and_then(|context| context.tool.clone()));
        roles.insert(role.to_owned(), AgentContext { tool, working_dir: working_dir.to_owned(), last_seen_at: now });
    }
}
