//! What a running daemon tells of itself in `daemon.json`, for `daemon status` and for whoever started it.

use super::lock::Holder;
use crate::home::{Home, write_private};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{AgentId, MachineId};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// How the daemon stands with its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Connection {
    /// It has not reached the server yet.
    Connecting,
    /// The server takes it as this machine's daemon.
    Connected,
    /// It tries again and again.
    Retrying {
        /// Why it is not connected.
        reason: String,
    },
    /// Its credential is revoked and nobody is signed in: it waits for a login.
    WaitingForLogin {
        /// What the server said.
        reason: String,
    },
    /// It ends.
    Stopping,
}

/// A running daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonState {
    /// Its process id.
    pub pid: u32,
    /// What it is.
    pub holder: Holder,
    /// Its version.
    pub version: String,
    /// When it began.
    pub started_at: UnixMs,
    /// Its server.
    pub server: String,
    /// This machine.
    pub machine_id: Option<MachineId>,
    /// How it stands with the server.
    #[serde(flatten)]
    pub connection: Connection,
    /// Since when that is so.
    pub since: UnixMs,
    /// The agents that run under it.
    pub agents: Vec<AgentId>,
}

impl DaemonState {
    /// Writes the state.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, home: &Home) -> io::Result<()> {
        write_private(&path(home), &serde_json::to_vec_pretty(self).map_err(io::Error::other)?)
    }

    /// Reads the last state that a daemon wrote; it may be dead since. None when there is none or it does not read.
    #[must_use]
    pub fn load(home: &Home) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path(home)).ok()?).ok()
    }
}

fn path(home: &Home) -> PathBuf {
    home.path().join("daemon.json")
}
