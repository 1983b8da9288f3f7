//! `machine.json`: read, made once, changed under a lock.
//!
//! A missing file is a machine that has no identity yet; everything else that cannot be read as an identity is an error that
//! names the file and the repair. A new id is made only for a machine that was registered nowhere or when the user says so. Fields that this version
//! does not know (a newer one may have written them) survive a change.

use super::fingerprint::{Fingerprint, hostname};
use crate::credentials::{self, CredentialsError};
use crate::home::{FileLock, Home, write_private};
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::machines::RegisterArgs;
use chatroom_protocol::id::{ChatroomId, MachineId};
use chatroom_protocol::tool::{ToolName, ToolReport};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of the file's form that is written, and the newest that is read.
const VERSION: u64 = 1;
/// How long to wait for another process that writes.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// `machine.json`: this machine's identity and what it last knew of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineFile {
    version: u64,
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
    #[serde(default, deserialize_with = "known_reports")]
    pub available_tools: Vec<ToolReport>,
    /// The PATH to start tools with.
    #[serde(default)]
    pub spawn_path: Option<String>,
    /// What was last used here, by room and role.
    #[serde(default)]
    pub agents: BTreeMap<ChatroomId, BTreeMap<String, AgentContext>>,
    /// Fields of a newer version.
    #[serde(flatten)]
    other: Map<String, Value>,
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
    /// There was one: this machine is registered, and a new one would be another machine.
    #[error("{} is gone, but this machine is registered at {server} as {machine_id}", path.display())]
    Lost {
        /// Where it was.
        path: PathBuf,
        /// Where it is registered.
        server: String,
        /// Its id there.
        machine_id: MachineId,
    },
    /// Whether this machine is registered cannot be told.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
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
            Self::Lost { path, .. } => {
                format!(
                    "restore {} from a backup, or make a new machine of this one: chatroom machine repair --new",
                    path.display()
                )
            }
            Self::Credentials(error) => error.hint(),
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
pub fn load(home: &Home) -> Result<Option<MachineFile>, IdentityError> {
    let path = home.machine_json();
    match std::fs::read(&path) {
        Ok(bytes) => parse(&bytes, &path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::File { path, source }),
    }
}

/// Reads the identity of this machine or, when there is none and no login names this machine, makes it. Blocks the thread for 10 s at most.
///
/// # Errors
/// [`IdentityError`]: an identity that is there, but cannot be used, is never replaced.
pub fn load_or_create(
    home: &Home,
    fingerprint: &Fingerprint,
    now: UnixMs,
) -> Result<(MachineFile, Created), IdentityError> {
    if let Some(file) = load(home)? {
        file.check(fingerprint, home)?;
        return Ok((file, Created::Existing));
    }
    let _lock = lock(home)?;
    // Somebody else may have made it while we waited for the lock.
    if let Some(file) = load(home)? {
        file.check(fingerprint, home)?;
        return Ok((file, Created::Existing));
    }
    if let Some((server, machine_id)) = credentials::load(home)?.known_machine() {
        let (server, machine_id) = (server.to_owned(), machine_id.clone());
        return Err(IdentityError::Lost { path: home.machine_json(), server, machine_id });
    }
    let file = MachineFile::new(fingerprint, now);
    save(home, &file)?;
    Ok((file, Created::New))
}

/// Changes `machine.json` under its lock, after comparing fingerprints. The machine id cannot be changed by it. Blocks the
/// thread for 10 s at most.
///
/// # Errors
/// [`IdentityError`]; then the file is as before.
pub fn update<T>(
    home: &Home,
    fingerprint: &Fingerprint,
    change: impl FnOnce(&mut MachineFile) -> T,
) -> Result<(MachineFile, T), IdentityError> {
    let _lock = lock(home)?;
    let before = load(home)?.ok_or_else(|| IdentityError::Missing { path: home.machine_json() })?;
    before.check(fingerprint, home)?;
    let mut file = before.clone();
    file.hostname = hostname();
    file.fingerprint = file.fingerprint.or_else(|| fingerprint.system.clone());
    file.hardware_fingerprint = file.hardware_fingerprint.or_else(|| fingerprint.hardware.clone());
    let answer = change(&mut file);
    file.machine_id.clone_from(&before.machine_id);
    if file != before {
        save(home, &file)?;
    }
    Ok((file, answer))
}

/// "The old machine is gone": keeps the id and takes the fingerprint of this computer.
///
/// # Errors
/// [`IdentityError`]; a damaged file cannot be moved.
pub fn repair_moved(home: &Home, fingerprint: &Fingerprint) -> Result<MachineFile, IdentityError> {
    let _lock = lock(home)?;
    let mut file = load(home)?.ok_or_else(|| IdentityError::Missing { path: home.machine_json() })?;
    file.take_facts(fingerprint);
    save(home, &file)?;
    Ok(file)
}

/// "This is another machine": makes a new identity and keeps the old file, whatever is in it, as a backup beside it.
/// Gives the new identity and the path of the backup, if there was a file.
///
/// # Errors
/// [`IdentityError::File`] when the backup or the new file cannot be written.
pub fn repair_new(
    home: &Home,
    fingerprint: &Fingerprint,
    now: UnixMs,
) -> Result<(MachineFile, Option<PathBuf>), IdentityError> {
    let _lock = lock(home)?;
    let backup = home.path().join(format!("machine.json.replaced-{}", now.0));
    // A second name for the old file: at every instant there is an identity under the first.
    let backup = match std::fs::hard_link(home.machine_json(), &backup) {
        Ok(()) => Some(backup),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(IdentityError::File { path: backup, source }),
    };
    let file = MachineFile::new(fingerprint, now);
    save(home, &file)?;
    Ok((file, backup))
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

    fn new(fingerprint: &Fingerprint, now: UnixMs) -> Self {
        let mut file = Self {
            version: VERSION,
            machine_id: uuid::Uuid::new_v4().into(),
            hostname: String::new(),
            os: String::new(),
            arch: String::new(),
            registered_at: now,
            last_synced_at: None,
            server: None,
            fingerprint: None,
            hardware_fingerprint: None,
            available_tools: Vec::new(),
            spawn_path: None,
            agents: BTreeMap::new(),
            other: Map::new(),
        };
        file.take_facts(fingerprint);
        file
    }

    /// Makes it the file of this computer.
    fn take_facts(&mut self, fingerprint: &Fingerprint) {
        self.hostname = hostname();
        std::env::consts::OS.clone_into(&mut self.os);
        std::env::consts::ARCH.clone_into(&mut self.arch);
        self.fingerprint.clone_from(&fingerprint.system);
        self.hardware_fingerprint.clone_from(&fingerprint.hardware);
    }

    fn check(&self, fingerprint: &Fingerprint, home: &Home) -> Result<(), IdentityError> {
        let own = Fingerprint { system: self.fingerprint.clone(), hardware: self.hardware_fingerprint.clone() };
        if own.agrees_with(fingerprint) { Ok(()) } else { Err(IdentityError::Mismatch { path: home.machine_json() }) }
    }
}

fn parse(bytes: &[u8], path: &Path) -> Result<MachineFile, IdentityError> {
    let damaged = |reason: String| IdentityError::Damaged { path: path.to_owned(), reason };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    match value.get("version").and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(found) if found > VERSION => return Err(IdentityError::Newer { path: path.to_owned(), found }),
        _ => return Err(damaged("it has no valid version".to_owned())),
    }
    let file: MachineFile = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    if !file.machine_id.is_uuid() {
        return Err(damaged("its machineId is not a UUID".to_owned()));
    }
    Ok(file)
}

fn lock(home: &Home) -> Result<FileLock, IdentityError> {
    home.create().map_err(|source| IdentityError::File { path: home.path().to_owned(), source })?;
    let path = home.path().join("machine.lock");
    FileLock::acquire(&path, LOCK_WAIT).map_err(|source| IdentityError::File { path, source })
}

fn save(home: &Home, file: &MachineFile) -> Result<(), IdentityError> {
    let path = home.machine_json();
    let mut bytes = match serde_json::to_vec_pretty(file) {
        Ok(bytes) => bytes,
        Err(error) => return Err(IdentityError::File { path, source: error.into() }),
    };
    bytes.push(b'\n');
    write_private(&path, &bytes).map_err(|source| IdentityError::File { path, source })
}

/// Reports in a form of a newer version are left out: the next detection makes them anew.
fn known_reports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ToolReport>, D::Error> {
    let reports = Vec::<Value>::deserialize(deserializer)?;
    Ok(reports.into_iter().filter_map(|report| serde_json::from_value(report).ok()).collect())
}

#[cfg(test)]
mod tests;
