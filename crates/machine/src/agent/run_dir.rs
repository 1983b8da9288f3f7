//! The directory of one agent's life: what the daemon prepares, what the host tells, what is left at the end.
//!
//! Facts are files that appear once and as a whole. Whoever creates `claim` is the only one that may ever start the
//! agent's tool; a daemon that wants to be sure that nobody will start it takes the claim itself. The secrets of a run
//! (`spec.json`, the prompt, the credential) are gone when it has ended.

use super::process::ProcessId;
use crate::home::create_private_dir;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::command::{CommandFailure, FailureCode};
use chatroom_protocol::id::{AgentId, ChatroomId, CommandId};
use chatroom_protocol::tool::{PermissionMode, ToolName};
use chatroom_protocol::transcript::DriverKind;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// How much output is kept unless the spec says otherwise: this many bytes in each of two files.
pub const LOG_LIMIT_BYTES: u64 = 2 * 1024 * 1024;

/// What the host is to start. Holds the agent's whole environment, so it is private and its `Debug` is redacted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Whom this is for; also the run id in the environment.
    pub agent_id: AgentId,
    /// Absolute path of the tool.
    pub program: PathBuf,
    /// Its arguments; never a prompt or a token.
    pub args: Vec<String>,
    /// The complete environment.
    pub env: BTreeMap<String, String>,
    /// Absolute path of the directory to work in.
    pub cwd: PathBuf,
    /// Bytes kept in each of the two output files.
    pub log_limit_bytes: u64,
    /// How the tool is spoken to.
    pub session: SessionSpec,
}

/// How a tool is spoken to. No secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionSpec {
    /// By which protocol.
    pub driver: DriverKind,
    /// What a run prints, when the driver is one shot.
    #[serde(default)]
    pub output: OutputFormat,
    /// Arguments that take an earlier session up again, added to the others; `{session}` stands for its name.
    pub resume_args: Vec<String>,
    /// The tool's own name of the session to take up again.
    pub resume: Option<String>,
    /// The model to choose over the protocol; none when the arguments choose it or the default is meant.
    pub model: Option<String>,
    /// Whether the tool takes no other models than those that it lists over the protocol.
    pub lists_all_models: bool,
    /// What the agent may do without asking.
    pub permission_mode: PermissionMode,
    /// Absolute path of our own program, which the agent may always use.
    pub cli: PathBuf,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
    /// Whether the session is given our MCP server.
    pub mcp: bool,
    /// The command that signs in to the tool.
    pub login_repair: Option<String>,
    /// How long the tool may take until it can be spoken to, in milliseconds.
    pub start_limit_ms: i64,
}

/// What one run of a one-shot tool prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputFormat {
    /// Text for people.
    #[default]
    Plain,
    /// `codex exec --json`.
    Codex,
    /// The stream of JSON lines of `claude -p --output-format=stream-json`, which Qwen and Cursor print alike.
    StreamJson,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("agent_id", &self.agent_id)
            .field("program", &self.program)
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

/// What the daemon remembers of an agent that it prepared; no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prepared {
    /// Which agent.
    pub agent_id: AgentId,
    /// The command that starts it.
    pub command_id: CommandId,
    /// Its room.
    pub chatroom_id: ChatroomId,
    /// Its role.
    pub role: String,
    /// Its tool.
    pub tool: ToolName,
    /// Where it works.
    pub working_dir: String,
    /// When it was prepared, by the machine's clock.
    pub prepared_at: UnixMs,
}

/// The tool was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The tool's process.
    pub tool: ProcessId,
    /// When, by the machine's clock.
    pub started_at: UnixMs,
}

/// The tool was not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Which failure.
    pub code: FailureCode,
    /// What happened, for a person.
    pub message: String,
}

impl Refused {
    /// As the failure of a command.
    #[must_use]
    pub fn to_failure(&self) -> CommandFailure {
        CommandFailure::new(self.code, self.message.clone())
    }
}

/// The agent has ended, with all its processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// How.
    pub exit: AgentExit,
    /// When, by the machine's clock.
    pub exited_at: UnixMs,
    /// Whether it was told to.
    pub stopped: bool,
}

/// Who may start the tool of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The host; or a daemon that took the claim so that no host can.
    pub owner: ProcessId,
    /// Why nobody will start the tool, when a daemon has taken the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced: Option<Refused>,
}

/// Everything that a run directory tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What was prepared.
    pub prepared: Option<Prepared>,
    /// Who took the claim.
    pub claim: Option<Claim>,
    /// The start.
    pub started: Option<Started>,
    /// The refusal to start.
    pub refused: Option<Refused>,
    /// The end.
    pub ended: Option<Ended>,
    /// Whether its owner wants it to end.
    pub stop_wanted: bool,
    /// Whether the server has recorded the end.
    pub reported: bool,
}

impl Facts {
    /// Why the tool was never started, if that is so.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refused> {
        self.refused.as_ref().or_else(|| self.claim.as_ref()?.fenced.as_ref())
    }

    /// The host, when one has the claim.
    #[must_use]
    pub fn host(&self) -> Option<&ProcessId> {
        self.claim.as_ref().filter(|claim| claim.fenced.is_none()).map(|claim| &claim.owner)
    }
}

/// The directory of one agent's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// The directory of `agent` below `agents`. None when the id is no name for a directory.
    #[must_use]
    pub fn of(agents: &Path, agent: &AgentId) -> Option<Self> {
        let name = agent.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (!name.is_empty() && name.len() <= 64 && name.bytes().all(plain)).then(|| Self::at(agents.join(name)))
    }

    /// A directory by its path.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The agent's credential, for our CLI inside the agent.
    #[must_use]
    pub fn credential(&self) -> PathBuf {
        self.path.join("credential.json")
    }

    /// What the agent is told of its role.
    #[must_use]
    pub fn prompt(&self) -> PathBuf {
        self.path.join("prompt.txt")
    }

    /// The agent's own directory for temporary files.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// The newer output of the tool.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.path.join("output.log")
    }

    /// The older output of the tool.
    #[must_use]
    pub fn older_output(&self) -> PathBuf {
        self.path.join("output.1.log")
    }

    /// The socket on which the host of a live session listens.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.path.join("host.sock")
    }

    /// What the host itself has to say when it fails.
    #[must_use]
    pub fn host_log(&self) -> PathBuf {
        self.path.join("host.log")
    }

    /// Makes the directory (0700) and writes what was prepared, the spec and the prompt (0600). May be repeated: the
    /// claim decides who uses it.
    ///
    /// # Errors
    /// Something cannot be written.
    pub fn prepare(&self, prepared: &Prepared, spec: &Spec, prompt: &str) -> io::Result<()> {
        create_private_dir(&self.path)?;
        self.put("agent.json", prepared)?;
        self.put("spec.json", spec)?;
        replace(&self.prompt(), prompt.as_bytes())
    }

    /// Reads the spec.
    ///
    /// # Errors
    /// It is not there or does not read.
    pub fn spec(&self) -> io::Result<Spec> {
        let bytes = fs::read(self.path.join("spec.json"))?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }

    /// Takes the claim for the host `owner`. False: somebody has it already.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn take_claim(&self, owner: &ProcessId) -> io::Result<bool> {
        self.claim(&Claim { owner: owner.clone(), fenced: None })
    }

    /// Takes the claim so that no host ever starts the tool, and says why. False: a host has it.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn fence(&self, owner: &ProcessId, why: &Refused) -> io::Result<bool> {
        create_private_dir(&self.path)?;
        let fenced = self.claim(&Claim { owner: owner.clone(), fenced: Some(why.clone()) })?;
        if fenced {
            self.remove_secrets();
        }
        Ok(fenced)
    }

    fn claim(&self, content: &Claim) -> io::Result<bool> {
        let owner = &content.owner;
        let bytes = serde_json::to_vec(content).map_err(io::Error::other)?;
        let claim = self.path.join("claim");
        // A link to a file with its content appears as a whole, where a file created in place is empty for an instant.
        let whole = self.path.join(format!(".claim.{}", owner.pid));
        replace(&whole, &bytes)?;
        let linked = fs::hard_link(&whole, &claim);
        let _ = fs::remove_file(&whole);
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // A file system without links.
            Err(_) => match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&claim) {
                Ok(mut file) => file.write_all(&bytes).map(|()| true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    /// Whether somebody has the claim.
    #[must_use]
    pub fn is_claimed(&self) -> bool {
        self.path.join("claim").symlink_metadata().is_ok()
    }

    /// Writes that the tool was started.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_started(&self, started: &Started) -> io::Result<()> {
        self.put("started.json", started)
    }

    /// Writes that the tool was not started, and why.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_refused(&self, refused: &Refused) -> io::Result<()> {
        self.put("refused.json", refused)
    }

    /// Removes the secrets and temporary files of the run, then writes its end.
    ///
    /// # Errors
    /// The end cannot be written.
    pub fn finish(&self, ended: &Ended) -> io::Result<()> {
        self.remove_secrets();
        // Best effort: what is left is removed with the directory.
        let _ = fs::remove_dir_all(self.tmp());
        self.put("exit.json", ended)
    }

    /// Removes the spec, the prompt and the credential.
    pub fn remove_secrets(&self) {
        self.remove_used();
        let _ = fs::remove_file(self.credential());
    }

    /// Removes what is of no use once the tool was started: the spec with its environment, and the prompt.
    pub fn remove_used(&self) {
        for path in [self.path.join("spec.json"), self.prompt()] {
            let _ = fs::remove_file(path);
        }
    }

    /// Notes that its owner wants it to end, before anything is done about it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_stop_wanted(&self) -> io::Result<()> {
        self.put("stop", &true)
    }

    /// Notes that the server has recorded the end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_reported(&self) -> io::Result<()> {
        self.put("reported", &true)
    }

    /// Notes that the server has the whole transcript.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_told(&self) -> io::Result<()> {
        self.put("told", &true)
    }

    /// Whether the server has the whole transcript.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.path.join("told").exists()
    }

    /// Reads everything that the directory tells. A file that does not read counts as not there: it was cut off by a
    /// loss of power, after which nothing of the run is alive.
    #[must_use]
    pub fn facts(&self) -> Facts {
        // Read against the order of writing, so that what is missing here cannot be followed by what is found.
        let ended = self.get("exit.json");
        let refused = self.get("refused.json");
        let started = self.get("started.json");
        let claim = self.get("claim");
        Facts {
            prepared: self.get("agent.json"),
            claim,
            started,
            refused,
            ended,
            stop_wanted: self.path.join("stop").exists(),
            reported: self.path.join("reported").exists(),
        }
    }

    /// The last line of the tool's output that is not empty, at most 300 characters, control characters removed.
    #[must_use]
    pub fn last_line(&self) -> Option<String> {
        let bytes = fs::read(self.output()).ok()?;
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4096)..]).into_owned();
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
    }

    fn put<T: Serialize>(&self, name: &str, fact: &T) -> io::Result<()> {
        replace(&self.path.join(name), &serde_json::to_vec(fact).map_err(io::Error::other)?)
    }

    fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.path.join(name)).ok()?).ok()
    }
}

/// Replaces a file as a whole, mode 0600. Not made durable: after a loss of power nothing of a run is alive, and what was
/// journalled before it says so.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A session in which the agent asks for everything.
    pub(in crate::agent) fn session(driver: DriverKind) -> SessionSpec {
        SessionSpec {
            driver,
            output: OutputFormat::Plain,
            resume_args: Vec::new(),
            resume: None,
            model: None,
            lists_all_models: true,
            permission_mode: PermissionMode::Ask,
            cli: "/opt/chatroom".into(),
            chatroom_id: "room".into(),
            role: "builder".to_owned(),
            mcp: false,
            login_repair: Some("tool login".to_owned()),
            start_limit_ms: 20_000,
        }
    }

    fn spec() -> Spec {
        Spec {
            agent_id: AgentId::from("a1"),
            program: PathBuf::from("/bin/true"),
            args: vec![],
            env: BTreeMap::from([("KEY".to_owned(), "secret-value".to_owned())]),
            cwd: PathBuf::from("/"),
            log_limit_bytes: LOG_LIMIT_BYTES,
            session: session(DriverKind::Acp),
        }
    }

    fn prepared() -> Prepared {
        Prepared {
            agent_id: AgentId::from("a1"),
            command_id: CommandId::from("c1"),
            chatroom_id: ChatroomId::from("r1"),
            role: "builder".to_owned(),
            tool: ToolName::from("echo"),
            working_dir: "/".to_owned(),
            prepared_at: UnixMs(1),
        }
    }

    #[test]
    fn an_id_that_would_leave_the_directory_is_no_run() {
        for id in ["", ".", "..", "../x", "a/b", "a\0b", "a b", &"x".repeat(65)] {
            assert_eq!(RunDir::of(Path::new("/agents"), &AgentId::from(id)), None, "{id:?}");
        }
        let id = "0199f0a0-7c4e-7000-8000-000000000001";
        let run = RunDir::of(Path::new("/agents"), &AgentId::from(id)).unwrap();
        assert_eq!(run.path(), Path::new("/agents").join(id));
    }

    #[test]
    fn one_of_many_takes_the_claim() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::at(root.path().join("a1"));
        run.prepare(&prepared(), &spec(), "hello").unwrap();
        assert!(!run.is_claimed());
        let won = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|pid| {
                    let run = run.clone();
                    scope.spawn(move || {
                        run.take_claim(&ProcessId { pid, start_time: 1, boot_id: "b".to_owned() }).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
        assert!(run.is_claimed());
        assert!(run.facts().claim.is_some());
    }

    #[test]
    fn a_fence_is_a_claim_that_says_why() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::at(root.path().join("a1"));
        let daemon = ProcessId { pid: 1, start_time: 1, boot_id: "b".to_owned() };
        let why = Refused { code: FailureCode::Expired, message: "too late".to_owned() };
        assert!(run.fence(&daemon, &why).unwrap());
        assert!(!run.take_claim(&daemon).unwrap());
        let facts = run.facts();
        assert_eq!((facts.refusal(), facts.host()), (Some(&why), None));
    }

    #[test]
    fn secrets_are_private_and_gone_at_the_end() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::at(root.path().join("a1"));
        run.prepare(&prepared(), &spec(), "a prompt").unwrap();
        for entry in fs::read_dir(run.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        }
        assert!(!format!("{:?}", run.spec().unwrap()).contains("secret-value"));
        let ended = Ended { exit: AgentExit::Stopped, exited_at: UnixMs(5), stopped: true };
        run.finish(&ended).unwrap();
        let facts = run.facts();
        assert_eq!((facts.ended, facts.prepared), (Some(ended), Some(prepared())));
        let left: Vec<_> = fs::read_dir(run.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn a_torn_fact_counts_as_not_there() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::at(root.path());
        fs::write(root.path().join("exit.json"), "{\"exit\":").unwrap();
        assert_eq!(run.facts(), Facts::default());
    }

    #[test]
    fn the_last_line_is_cleaned_of_what_a_terminal_would_obey() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::at(root.path());
        assert_eq!(run.last_line(), None);
        fs::write(run.output(), "first\n\u{1b}[31mno key\u{7}\n\n").unwrap();
        assert_eq!(run.last_line().unwrap(), "[31mno key");
    }
}
