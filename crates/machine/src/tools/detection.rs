//! Finds tools and runs them to learn how they are.
//!
//! Order: the owner's path, the PATH of this process, the PATH of the login shell, known places. "On PATH" is not "installed":
//! only a program that told its version is ok. What was learnt is kept by file; nothing here waits without a limit,
//! and file systems are asked on threads that may block.

use super::cache::{Cache, FileMark, Said, key};
use super::environment::{is_wanted, join_paths};
use super::run::{Ran, run};
use super::search::{candidates, executable};
use super::shell_path::LoginShell;
use super::version::{find_version, is_calendar};
use super::{ShellEnvironment, ToolSpec, Tools, own_program, registry, spawn_path_for, tool_environment};
use crate::config::Config;
use crate::home::Home;
use crate::{VERSION, clock};
use chatroom_protocol::UnixMs;
use chatroom_protocol::tool::{ToolName, ToolReport, ToolStatus};
use futures_util::{FutureExt as _, StreamExt as _};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// How long a tool may take to tell its version.
const LIMIT: Duration = Duration::from_secs(20);
/// How long the login shell may take.
const SHELL_LIMIT: Duration = Duration::from_secs(5);
/// How many tools are run at once: some take half a second of processor time.
const AT_ONCE: usize = 2;

/// What a detection found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detection {
    /// Every built-in tool, missing ones included, in their order; then the owner's.
    pub reports: Vec<ToolReport>,
    /// The PATH to start tools with; see [`spawn_path_for`].
    pub spawn_path: String,
    /// What the login shell gives beside it. Only the PATH, unless asked for with [`Detector::with_environment`].
    pub environment: ShellEnvironment,
    /// Where the adapters of tools are, of those that are installed.
    pub adapters: BTreeMap<ToolName, PathBuf>,
    /// What is wrong with `tools.toml`, so that the owner's tools are not among the reports.
    pub fault: Option<String>,
}

/// Finds tools. One may be kept and asked again: what has not changed is not run again.
///
/// With `CHATROOM_NO_SHELL_PATH=1` only the owner's paths and the PATH of this process are searched: neither the login shell nor
/// known places.
#[derive(Debug)]
pub struct Detector {
    home: Home,
    config: Config,
    process: Vec<(OsString, OsString)>,
    user_home: Option<PathBuf>,
    shell: Option<LoginShell>,
    known_places: bool,
    limit: Duration,
    want_environment: bool,
    fresh: bool,
    /// The login shell's environment by the stamp of its files; never on disk, because it may hold keys.
    captured: Mutex<Option<(String, ShellEnvironment)>>,
}

/// What was learnt about one tool.
struct Learnt {
    report: ToolReport,
    adapter: Option<PathBuf>,
    notes: Vec<Note>,
}

/// What there is to ask a tool with, and where its answers go.
struct Asked<'a> {
    spawn_path: &'a str,
    shell: &'a ShellEnvironment,
    cache: &'a Cache,
    now: UnixMs,
    notes: &'a mut Vec<Note>,
}

/// Something to remember.
enum Note {
    Said(String, FileMark, Said),
    SignedIn(String),
}

/// What one program turned out to be.
enum Examined {
    This(ToolStatus),
    /// Something else of the same name.
    Other,
}

impl Detector {
    /// A detector with the owner's settings and this process's environment.
    #[must_use]
    pub fn new(home: &Home, config: &Config) -> Self {
        Self::with_process(home, config, std::env::vars_os().collect())
    }

    fn with_process(home: &Home, config: &Config, process: Vec<(OsString, OsString)>) -> Self {
        let variable = |name: &str| process.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let user_home =
            variable("HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(std::env::home_dir);
        let only_path = variable("CHATROOM_NO_SHELL_PATH").is_some_and(|value| value == "1");
        let shell = user_home.as_deref().filter(|_| !only_path).map(|home| LoginShell::of(&process, home, SHELL_LIMIT));
        Self {
            home: home.clone(),
            config: config.clone(),
            process,
            user_home,
            shell,
            known_places: !only_path,
            limit: LIMIT,
            want_environment: false,
            fresh: false,
            captured: Mutex::new(None),
        }
    }

    /// Captures the whole (allow-listed) environment of the login shell, not only a PATH stored earlier. For the daemon.
    #[must_use]
    pub fn with_environment(mut self) -> Self {
        self.want_environment = true;
        self
    }

    /// Runs everything again, whatever is stored. For `chatroom machine detect`.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// Finds every tool and learns how it is. Takes as long as the slowest tools: bounded by 20 s a program, two at a time.
    pub async fn detect(&self) -> Detection {
        let now = clock::now();
        let home = self.home.clone();
        let mut cache = spawn_blocking(move || Cache::load(&home)).await.unwrap_or_default();
        let before = cache.clone();

        let home = self.home.clone();
        let tools = spawn_blocking(move || Tools::load(&home)).await.unwrap_or_default();

        let environment = self.ask_shell(&tools, &mut cache, now).await;
        let own = self.process.iter().find(|(name, _)| name == "PATH").and_then(|(_, path)| path.to_str());
        let spawn_path = join_paths(own.unwrap_or_default(), environment.path().unwrap_or_default());

        // A list of boxed futures, not a closure: so a task that awaits this may move between threads.
        let mut asked = Vec::new();
        for spec in tools.iter() {
            asked.push(self.learn(spec, &spawn_path, &environment, &cache, now).boxed());
        }
        let learnt: Vec<Learnt> = futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
        let mut reports = Vec::with_capacity(learnt.len());
        let mut adapters = BTreeMap::new();
        for Learnt { report, adapter, notes } in learnt {
            adapters.extend(adapter.map(|adapter| (report.name.clone(), adapter)));
            reports.push(report);
            for note in notes {
                match note {
                    Note::Said(key, file, said) => cache.put(key, file, said, now),
                    Note::SignedIn(key) => cache.put_signed_in(&key, now),
                }
            }
        }
        if cache != before {
            let home = self.home.clone();
            let saved = spawn_blocking(move || cache.save(&home, now)).await;
            // A machine that was never registered has no directory yet; next time everything is run again.
            if let Ok(Err(error)) = saved {
                tracing::debug!(%error, "the answers of tools cannot be kept");
            }
        }
        Detection { reports, spawn_path, environment, adapters, fault: tools.fault().map(str::to_owned) }
    }

    /// The login shell's environment, or only its PATH from an earlier time when that is enough.
    async fn ask_shell(&self, tools: &Tools, cache: &mut Cache, now: UnixMs) -> ShellEnvironment {
        let Some(shell) = &self.shell else { return ShellEnvironment::default() };
        let stamped = shell.clone();
        let stamp = spawn_blocking(move || stamped.stamp()).await.unwrap_or_default();
        // What was captured before the owner described another tool lacks that tool's variables.
        let names: Vec<&str> = tools.own().iter().flat_map(|spec| &spec.env).map(String::as_str).collect();
        let captured_stamp = format!("{stamp} {}", names.join(" "));
        let mut captured = self.captured.lock().await;
        if !self.fresh {
            if let Some((_, environment)) = captured.as_ref().filter(|(known, _)| *known == captured_stamp) {
                return environment.clone();
            }
            if let Some(path) = cache.shell_path(&stamp, now).filter(|path| !self.want_environment || path.is_none()) {
                return path.into_iter().map(|path| ("PATH".to_owned(), path)).collect();
            }
        }
        match shell.capture(|name| is_wanted(name, tools, &self.config)).await {
            Ok(environment) => {
                cache.put_shell_path(stamp, environment.path().map(str::to_owned), now);
                *captured = Some((captured_stamp, environment.clone()));
                environment
            }
            Err(reason) => {
                tracing::warn!(reason, "the login shell does not tell its PATH; tools are searched without it");
                cache.put_shell_path(stamp, None, now);
                ShellEnvironment::default()
            }
        }
    }

    async fn learn(
        &self,
        spec: &ToolSpec,
        spawn_path: &str,
        shell: &ShellEnvironment,
        cache: &Cache,
        now: UnixMs,
    ) -> Learnt {
        let mut notes = Vec::new();
        let mut asked = Asked { spawn_path, shell, cache, now, notes: &mut notes };
        let (path, status) = self.find(spec, &mut asked).await;
        let mut adapter = None;
        if let (ToolStatus::Ok { .. } | ToolStatus::NotSignedIn { .. }, Some(described)) = (&status, &spec.adapter) {
            // One that does not run is as good as none: the tool is started by itself.
            let (path, status) = self.find(&described.spec, &mut asked).await;
            adapter = path.filter(|_| matches!(status, ToolStatus::Ok { .. }));
        }
        let way = spec.way(adapter.is_some());
        let report = ToolReport {
            name: ToolName::from(spec.name.as_str()),
            path: path.map(|path| path.to_string_lossy().into_owned()),
            driver: way.map(|way| way.driver),
            asks: way.is_some_and(|way| way.asks),
            status,
        };
        Learnt { report, adapter, notes }
    }

    /// Finds the program of a tool and learns how it is.
    async fn find(&self, spec: &ToolSpec, asked: &mut Asked<'_>) -> (Option<PathBuf>, ToolStatus) {
        if spec.name == registry::ECHO {
            return (own_program(), ToolStatus::Ok { version: VERSION.to_owned() });
        }
        let mut broken = None;
        for program in self.programs(spec, asked.spawn_path).await {
            match self.examine(spec, &program, asked).await {
                Examined::This(status @ (ToolStatus::Ok { .. } | ToolStatus::NotSignedIn { .. })) => {
                    return (Some(program), status);
                }
                // Perhaps another one further on works; if not, the first is the one to mend.
                Examined::This(status) => {
                    broken.get_or_insert((Some(program), status));
                }
                Examined::Other => {}
            }
        }
        broken.unwrap_or_else(|| (None, ToolStatus::Missing { repair: self.repair(spec) }))
    }

    /// What mends a tool that is missing or does not run.
    fn repair(&self, spec: &ToolSpec) -> String {
        let file = || self.home.tools_toml().display().to_string();
        match (&spec.program, spec.is_own) {
            (Some(program), _) => format!("install {}, or correct its command in {}", program.display(), file()),
            (None, true) => format!("install {}, or correct its command in {}", spec.binaries.join(" or "), file()),
            (None, false) => spec.install.clone(),
        }
    }

    /// Programs that may be the tool, best first.
    async fn programs(&self, spec: &ToolSpec, spawn_path: &str) -> Vec<PathBuf> {
        if let Some(path) = self.config.tool_path(&spec.name).or(spec.program.as_deref()) {
            return vec![path.to_owned()];
        }
        let (path, user_home, known_places) = (spawn_path.to_owned(), self.user_home.clone(), self.known_places);
        let spec = spec.clone();
        let found = spawn_blocking(move || candidates(&spec, &path, user_home.as_deref(), known_places)).await;
        found.unwrap_or_default().into_iter().filter(|program| program.to_str().is_some()).collect()
    }

    async fn examine(&self, spec: &ToolSpec, program: &Path, asked: &mut Asked<'_>) -> Examined {
        let Asked { spawn_path, shell, cache, now, notes } = asked;
        let (shell, cache, now) = (*shell, *cache, *now);
        let path = spawn_path_for(spawn_path, program);
        let looked_at = program.to_owned();
        let file = spawn_blocking(move || {
            let file = executable(&looked_at)?;
            Some((FileMark::of(&file)?, file))
        });
        let Ok(Some((mark, file))) = file.await else {
            return Examined::This(ToolStatus::Broken {
                reason: format!("{} is not a program that this user can run", program.display()),
                repair: if self.config.tool_path(&spec.name).is_some() {
                    format!("correct tools.{}.path in {}", spec.name, self.home.config_toml().display())
                } else {
                    self.repair(spec)
                },
            });
        };
        let key = key(&file, &path);
        let process = || self.process.iter().cloned();
        let environment = || tool_environment(spec, &self.config, process(), shell, OsStr::new(&path));
        let command = |args: &[String]| {
            let mut command = Command::new(program);
            command.args(args).current_dir("/").process_group(0).env_clear().envs(environment()).env("TERM", "dumb");
            command
        };

        if spec.version_args.is_empty() {
            // Its owner says that it has no version to print, so it is not run to find out.
            return Examined::This(ToolStatus::Ok { version: "unknown".to_owned() });
        }
        let said = match cache.said(&key, &mark, now).filter(|_| !self.fresh) {
            Some(said) => said,
            None => {
                match version_of(spec, run(command(&spec.version_args), self.limit).await, program, &self.repair(spec))
                {
                    Ok(said) => {
                        notes.push(Note::Said(key.clone(), mark, said.clone()));
                        said
                    }
                    Err(status) => {
                        return if is_somebody_elses(spec, program, &file, None) {
                            Examined::Other
                        } else {
                            Examined::This(status)
                        };
                    }
                }
            }
        };
        let version = match said {
            Said::Version(version) => version,
            Said::Nothing => {
                return Examined::This(ToolStatus::Broken {
                    reason: format!("{} gave no answer within {} ms", question(spec, program), self.limit.as_millis()),
                    repair: self.repair(spec),
                });
            }
        };
        if is_somebody_elses(spec, program, &file, Some(&version)) {
            return Examined::Other;
        }
        let Some(login) = &spec.login_check else { return Examined::This(ToolStatus::Ok { version }) };
        let environment = environment();
        let by_environment =
            login.env.iter().any(|name| environment.get(OsStr::new(name)).is_some_and(|value| !value.is_empty()));
        if by_environment || (!self.fresh && cache.is_signed_in(&key, now)) {
            return Examined::This(ToolStatus::Ok { version });
        }
        match run(command(&login.args), self.limit).await {
            Ran::Exited { status, .. } if status.code() == Some(1) => {
                Examined::This(ToolStatus::NotSignedIn { version, repair: spec.login.clone().unwrap_or_default() })
            }
            Ran::Exited { status, .. } if status.success() => {
                notes.push(Note::SignedIn(key));
                Examined::This(ToolStatus::Ok { version })
            }
            // It does not know the question, or cannot tell now: that is not "not signed in".
            _ => Examined::This(ToolStatus::Ok { version }),
        }
    }
}

/// Makes of a run what is to be remembered, or why the program is broken (never remembered: it may be mended at any time).
fn version_of(spec: &ToolSpec, ran: Ran, program: &Path, repair: &str) -> Result<Said, ToolStatus> {
    let broken = |reason: String, repair: String| Err(ToolStatus::Broken { reason, repair });
    let asked = question(spec, program);
    match ran {
        Ran::TimedOut => Ok(Said::Nothing),
        Ran::NotStarted(error) if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => broken(
            format!("{} is not a program but a placeholder: its install step was not run", program.display()),
            repair.replace("npm install -g ", "npm install -g --ignore-scripts=false "),
        ),
        Ran::NotStarted(error) => {
            broken(format!("{} cannot be started: {error}", program.display()), repair.to_owned())
        }
        Ran::Exited { status, stdout, stderr } if !status.success() => {
            let words =
                last_line(&stderr).or_else(|| last_line(&stdout)).map(|line| format!(": {line}")).unwrap_or_default();
            broken(format!("{asked} {}{words}", ended(status)), repair.to_owned())
        }
        Ran::Exited { stdout, .. } => match find_version(&String::from_utf8_lossy(&stdout)) {
            Some(version) => {
                Ok(Said::Version(version.chars().filter(|character| !character.is_control()).take(100).collect()))
            }
            None => broken(format!("{asked} printed no version"), repair.to_owned()),
        },
    }
}

/// `agent` is a very general name: it is Cursor's only if its file says so or its version is a date.
fn is_somebody_elses(spec: &ToolSpec, program: &Path, file: &Path, version: Option<&str>) -> bool {
    spec.name == "cursor"
        && program.file_name() == Some(OsStr::new("agent"))
        && !file.to_string_lossy().contains("cursor-agent")
        && !version.is_some_and(is_calendar)
}

fn question(spec: &ToolSpec, program: &Path) -> String {
    format!("`{} {}`", program.display(), spec.version_args.join(" "))
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended badly".to_owned(),
    }
}

/// The last line with something in it, fit to be shown.
fn last_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.trim().chars().filter(|character| !character.is_control()).take(200).collect())
}

#[cfg(test)]
#[path = "detection_tests.rs"]
mod tests;
