//! Who this program speaks for: logins in `credentials.json`, an agent's own credential, or a script's environment.
//!
//! A login to another server is kept beside the new one. An agent's credential, named by `CHATROOM_CREDENTIAL_FILE`, is
//! preferred to everything else: a damaged one is an error, never a fall back to the user's login.

use crate::home::{FileLock, Home, write_private};
use crate::{Secret, ServerUrl, server_url::ServerUrlError};
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of the files' form that is written, and the newest that is read.
const VERSION: u32 = 1;
/// How long to wait for another process that writes.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// `credentials.json`: every login of this user on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    version: u32,
    /// The server that is meant when none is named: the one of the last login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_server: Option<String>,
    /// Logins by the server's URL (as [`ServerUrl::as_str`]).
    #[serde(default)]
    pub servers: BTreeMap<String, Login>,
}

/// What is kept of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The user's CLI token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_token: Option<Secret>,
    /// The user's name, to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The machine's own credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_token: Option<Secret>,
    /// The machine id that `machine_token` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
    /// Plain `http://` to this server was allowed at the login.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_http: bool,
}

/// The credential of one agent: a private file that the daemon writes and `CHATROOM_CREDENTIAL_FILE` names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCredential {
    version: u32,
    /// The server.
    pub server: String,
    /// The agent's token.
    pub token: Secret,
    /// Which agent.
    pub agent_id: AgentId,
    /// Its room.
    pub chatroom_id: ChatroomId,
    /// Its role.
    pub role: String,
}

/// Where a credential came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `CHATROOM_CREDENTIAL_FILE`: this process was started by an agent.
    Agent(AgentCredential),
    /// `CHATROOM_TOKEN`.
    Environment,
    /// The user's login in `credentials.json`.
    Login {
        /// The user's name, if known.
        user_name: Option<String>,
    },
    /// Nobody is signed in at this server.
    Nobody,
}

/// Which server to talk to, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The server.
    pub server: ServerUrl,
    /// The token, unless [`Source::Nobody`].
    pub token: Option<Secret>,
    /// Where the token came from.
    pub source: Source,
}

/// What the command line said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// `--server`.
    pub server: Option<String>,
    /// `--insecure-http`.
    pub insecure_http: bool,
}

/// Why there is no usable credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file is there, but cannot be read, locked or written.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where; never the content.
        reason: String,
    },
    /// A file was written by a newer version.
    #[error("{} was written by a newer version of chatroom (form {found}, this one knows {VERSION})", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The server's address is not acceptable.
    #[error(transparent)]
    Server(#[from] ServerUrlError),
    /// No server is known.
    #[error("not signed in, and no server is known")]
    NoServer,
}

impl CredentialsError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::File { .. } => "check its owner and mode (0600) and that the disk is not full".to_owned(),
            Self::Damaged { path, .. } if path.file_name() != Some("credentials.json".as_ref()) => {
                "an agent's credential is made when it is started: chatroom agent restart".to_owned()
            }
            Self::Damaged { path, .. } => {
                format!(
                    "restore {} or move it away, then sign in again: chatroom auth login --server URL",
                    path.display()
                )
            }
            Self::Newer { .. } => "use the newer version".to_owned(),
            Self::Server(error) => error.hint().to_owned(),
            Self::NoServer => "chatroom auth login --server URL, or start everything here: chatroom up".to_owned(),
        }
    }
}

/// The environment of this process, for [`resolve`].
#[must_use]
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Finds server and credential for a command that named none: [`resolve_choice`] with the default choice.
///
/// # Errors
/// As [`resolve_choice`].
pub fn resolve(home: &Home, env: &dyn Fn(&str) -> Option<String>) -> Result<Resolved, CredentialsError> {
    resolve_choice(home, env, &Choice::default())
}

/// Finds server and credential: an agent's credential file; else the server named by flag, `CHATROOM_SERVER` or the last
/// login, with `CHATROOM_TOKEN` or the login at that server. A server without a login gives [`Source::Nobody`].
///
/// # Errors
/// [`CredentialsError`] when a file is damaged, the address is not acceptable or no server is known.
pub fn resolve_choice(
    home: &Home,
    env: &dyn Fn(&str) -> Option<String>,
    choice: &Choice,
) -> Result<Resolved, CredentialsError> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(path) = env("CHATROOM_CREDENTIAL_FILE") {
        let credential = AgentCredential::load(Path::new(&path))?;
        // The daemon that wrote the file talks to this server already: its decision about plain http stands.
        let server = ServerUrl::parse(&credential.server, true)?;
        return Ok(Resolved { server, token: Some(credential.token.clone()), source: Source::Agent(credential) });
    }
    let credentials = load(home)?;
    let allowed = choice.insecure_http || env("CHATROOM_INSECURE_HTTP").is_some_and(|value| value == "1");
    let text = choice.server.clone().or_else(|| env("CHATROOM_SERVER")).or_else(|| credentials.default_server.clone());
    let text = text.ok_or(CredentialsError::NoServer)?;
    let server = match ServerUrl::parse(&text, allowed) {
        // Allowed once, at the login.
        Err(ServerUrlError::Insecure(url))
            if credentials.servers.get(&url).is_some_and(|login| login.insecure_http) =>
        {
            ServerUrl::parse(&url, true)?
        }
        other => other?,
    };
    if let Some(token) = env("CHATROOM_TOKEN") {
        return Ok(Resolved { server, token: Some(token.into()), source: Source::Environment });
    }
    let login = credentials.login(&server);
    let token = login.and_then(|login| login.user_token.clone());
    let source = match (&token, login) {
        (Some(_), Some(login)) => Source::Login { user_name: login.user_name.clone() },
        _ => Source::Nobody,
    };
    Ok(Resolved { server, token, source })
}

/// Reads `credentials.json`; a missing file is empty.
///
/// # Errors
/// [`CredentialsError`] when it cannot be read or understood.
pub fn load(home: &Home) -> Result<Credentials, CredentialsError> {
    let path = home.credentials_json();
    match read_versioned(&path)? {
        Some(credentials) => Ok(credentials),
        None => Ok(Credentials { version: VERSION, ..Credentials::default() }),
    }
}

/// Changes `credentials.json` under a lock; makes it, and the directory, if needed. Blocks the thread for 10 s at most.
///
/// # Errors
/// [`CredentialsError`]; then the file is as before.
pub fn update<T>(home: &Home, change: impl FnOnce(&mut Credentials) -> T) -> Result<T, CredentialsError> {
    let path = home.credentials_json();
    let failed = |source| CredentialsError::File { path: path.clone(), source };
    home.create().map_err(failed)?;
    let _lock = FileLock::acquire(&home.path().join("credentials.lock"), LOCK_WAIT).map_err(failed)?;
    let mut credentials = load(home)?;
    let before = credentials.clone();
    let answer = change(&mut credentials);
    if credentials != before || !path.exists() {
        let bytes = serde_json::to_vec_pretty(&credentials).map_err(io::Error::other).map_err(failed)?;
        write_private(&path, &bytes).map_err(failed)?;
    }
    Ok(answer)
}

impl Credentials {
    /// The login at a server.
    #[must_use]
    pub fn login(&self, server: &ServerUrl) -> Option<&Login> {
        self.servers.get(server.as_str())
    }

    /// A server where this machine is registered, and its id there; none before the first registration.
    #[must_use]
    pub fn known_machine(&self) -> Option<(&str, &MachineId)> {
        self.servers.iter().find_map(|(server, login)| Some((server.as_str(), login.machine_id.as_ref()?)))
    }

    /// The login at a server, made if there is none.
    pub fn login_mut(&mut self, server: &ServerUrl) -> &mut Login {
        self.servers.entry(server.as_str().to_owned()).or_default()
    }

    /// Keeps a user's login and makes its server the default. Logins to other servers stay. Another user than before does not
    /// get what the machine may do for the first one: its credential goes. Which machine this is stays known.
    pub fn sign_in(&mut self, server: &ServerUrl, token: Secret, user_name: Option<String>) {
        let insecure = server.is_plain_http() && !server.is_loopback();
        let login = self.login_mut(server);
        let same_user = match (&login.user_name, &user_name) {
            (Some(before), Some(now)) => before.to_lowercase() == now.to_lowercase(),
            (before, now) => before == now,
        };
        if !same_user {
            login.machine_token = None;
        }
        login.user_token = Some(token);
        login.user_name = user_name;
        login.insecure_http = insecure;
        self.default_server = Some(server.as_str().to_owned());
    }

    /// Forgets everything about a server; if it was the default, there is no default any more.
    pub fn sign_out(&mut self, server: &ServerUrl) -> Option<Login> {
        if self.default_server.as_deref() == Some(server.as_str()) {
            self.default_server = None;
        }
        self.servers.remove(server.as_str())
    }
}

impl AgentCredential {
    /// The credential of an agent at a server.
    #[must_use]
    pub fn new(server: &ServerUrl, token: Secret, agent_id: AgentId, chatroom_id: ChatroomId, role: String) -> Self {
        Self { version: VERSION, server: server.as_str().to_owned(), token, agent_id, chatroom_id, role }
    }

    /// Reads a credential file.
    ///
    /// # Errors
    /// [`CredentialsError`] when it is missing, cannot be read or is damaged.
    pub fn load(path: &Path) -> Result<Self, CredentialsError> {
        read_versioned(path)?.ok_or_else(|| CredentialsError::File {
            path: path.to_owned(),
            source: io::Error::new(io::ErrorKind::NotFound, "the agent's credential is gone; has the agent ended?"),
        })
    }

    /// Writes a credential file with mode 0600. The directory must exist.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        write_private(path, &serde_json::to_vec(self).map_err(io::Error::other)?)
    }
}

/// Reads a JSON file that carries a version; `None` when there is none. Messages never quote the content.
fn read_versioned<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, CredentialsError> {
    let damaged = |error: &serde_json::Error| CredentialsError::Damaged {
        path: path.to_owned(),
        reason: format!("line {}, column {}", error.line(), error.column()),
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CredentialsError::File { path: path.to_owned(), source }),
    };
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
    if version > VERSION {
        return Err(CredentialsError::Newer { path: path.to_owned(), found: version });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(&error))
}

#[cfg(test)]
mod tests;
