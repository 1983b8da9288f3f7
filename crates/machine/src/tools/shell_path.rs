//! The environment that the user's login shell makes.
//!
//! A daemon that a desktop or service manager started has a bare PATH; the user's tools are found only by what the user's shell
//! files say. So the shell is run once, as login and interactive shell, and told to print its environment between markers,
//! because shell files print, too. It has no terminal, a session of its own, and five seconds.

use super::run::{Ran, run};
use crate::clock;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// Variables of the login shell: PATH and those that some tool may get.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ShellEnvironment {
    variables: BTreeMap<String, String>,
}

impl ShellEnvironment {
    /// One variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The shell's PATH.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.get("PATH")
    }

    /// Every variable.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for ShellEnvironment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().collect() }
    }
}

impl fmt::Debug for ShellEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShellEnvironment([{} variables, redacted])", self.variables.len())
    }
}

/// Files that decide what the shell's environment is, relative to the user's home or absolute.
const FILES: &[&str] = &[
    ".profile",
    ".bash_profile",
    ".bash_login",
    ".bashrc",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".zlogin",
    ".config/fish/config.fish",
    ".config/fish/fish_variables",
    ".config/fish/conf.d",
    ".kshrc",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/bash.bashrc",
    "/etc/zsh/zshenv",
    "/etc/zsh/zprofile",
    "/etc/zsh/zshrc",
    "/etc/zprofile",
    "/etc/environment",
    "/etc/paths",
    "/etc/paths.d",
];

/// Variables that the shell itself starts with. Not our PATH: the answer must not depend on who asks.
const GIVEN: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "SSH_AUTH_SOCK",
    "ZDOTDIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// A login shell to ask.
#[derive(Clone, Debug)]
pub(crate) struct LoginShell {
    program: PathBuf,
    user_home: PathBuf,
    given: Vec<(OsString, OsString)>,
    limit: Duration,
}

impl LoginShell {
    /// The user's login shell: `SHELL` of the environment, else the one of the user's account.
    pub(crate) fn of(environment: &[(OsString, OsString)], user_home: &Path, limit: Duration) -> Self {
        let named = environment.iter().find(|(name, _)| name == "SHELL").map(|(_, value)| PathBuf::from(value));
        let program = named.filter(|path| path.is_absolute()).or_else(shell_of_account);
        let given = environment.iter().filter(|(name, _)| GIVEN.iter().any(|given| name == given)).cloned().collect();
        Self {
            program: program.unwrap_or_else(|| PathBuf::from("/bin/sh")),
            user_home: user_home.to_owned(),
            given,
            limit,
        }
    }

    /// Changes whenever the shell or one of its files changes.
    pub(crate) fn stamp(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.program.as_os_str().as_encoded_bytes());
        for file in FILES {
            let modified = std::fs::metadata(self.user_home.join(file)).and_then(|metadata| metadata.modified());
            let stamp = modified.map_or(0, |time| clock::unix_ms(time).0);
            digest.update(format!("\n{file} {stamp}"));
        }
        digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Runs the shell and keeps the variables that `wanted` names. An interactive login shell is asked first; when that does
    /// not end (some shell files wait for a terminal), a plain login shell.
    ///
    /// # Errors
    /// Why nothing was learnt, for the log.
    pub(crate) async fn capture(&self, wanted: impl Fn(&str) -> bool) -> Result<ShellEnvironment, String> {
        let name = self.program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let tries: &[(&Path, &str)] = match name {
            "bash" | "zsh" | "fish" | "ksh" | "mksh" => &[(&self.program, "-ilc"), (&self.program, "-lc")],
            "sh" | "dash" | "ash" => &[(&self.program, "-lc")],
            // A shell with a language of its own, or none at all (`nologin`).
            _ => &[(Path::new("/bin/sh"), "-lc")],
        };
        let mut reason = String::new();
        for (program, flags) in tries {
            match self.ask(program, flags).await {
                Ok(variables) => return Ok(variables.into_iter().filter(|(name, _)| wanted(name)).collect()),
                Err(why) => reason = format!("{} {flags}: {why}", program.display()),
            }
        }
        Err(reason)
    }

    async fn ask(&self, program: &Path, flags: &str) -> Result<Vec<(String, String)>, String> {
        let marker = format!("chatroom{}", uuid::Uuid::new_v4().simple());
        let script = format!("printf %s {marker}; /usr/bin/env -0; printf %s {marker}");
        // An interactive shell that shares our terminal would stop as a background job: give it a session of its own.
        let setsid = ["/usr/bin/setsid", "/bin/setsid"].into_iter().find(|path| Path::new(path).exists());
        let mut command = match setsid {
            Some(setsid) => {
                let mut command = Command::new(setsid);
                command.arg(program);
                command
            }
            None => {
                let mut command = Command::new(program);
                command.process_group(0);
                command
            }
        };
        command
            .arg(flags)
            .arg(script)
            .current_dir(if self.user_home.is_dir() { &self.user_home } else { Path::new("/") })
            .env_clear()
            .envs(self.given.iter().cloned())
            .env("HOME", &self.user_home)
            .env("SHELL", program)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
            .env("TERM", "dumb")
            .env("CHATROOM_SHELL_CAPTURE", "1")
            .env("ZSH_TMUX_AUTOSTART", "false")
            .env("DISABLE_AUTO_UPDATE", "true");
        match run(command, self.limit).await {
            Ran::Exited { stdout, .. } => {
                between(&stdout, &marker).ok_or_else(|| "it printed no environment".to_owned())
            }
            Ran::TimedOut => Err(format!("no answer within {} ms", self.limit.as_millis())),
            Ran::NotStarted(error) => Err(error.to_string()),
        }
    }
}

/// The variables between the markers; those that are not text are left out.
fn between(output: &[u8], marker: &str) -> Option<Vec<(String, String)>> {
    let find = |bytes: &[u8]| bytes.windows(marker.len()).position(|window| window == marker.as_bytes());
    let begin = find(output)? + marker.len();
    let length = find(&output[begin..])?;
    let variables = output[begin..begin + length].split(|byte| *byte == 0).filter_map(|variable| {
        let (name, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    Some(variables.collect())
}

/// The shell of this user's account. Accounts that are not in the file (macOS, directories) have none here.
fn shell_of_account() -> Option<PathBuf> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let shell = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&&*uid))?;
    shell.get(6).filter(|shell| shell.starts_with('/')).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell with this home whose files are as given.
    fn shell(program: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, LoginShell) {
        let home = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(home.path().join(name), content).unwrap();
        }
        let environment = [(OsString::from("SHELL"), OsString::from(program))];
        let shell = LoginShell::of(&environment, home.path(), Duration::from_secs(10));
        (home, shell)
    }

    #[tokio::test]
    async fn what_shell_files_print_does_not_disturb() {
        let noise =
            "echo hello; echo A=from-noise; echo problem >&2; export PATH=\"/from/profile:$PATH\" TOKEN='a\nb'\n";
        let (_home, shell) = shell("/bin/sh", &[(".profile", noise)]);
        let captured = shell.capture(|name| ["PATH", "TOKEN", "A"].contains(&name)).await.unwrap();
        assert!(captured.path().unwrap().starts_with("/from/profile:"), "{:?}", captured.path());
        assert_eq!((captured.get("TOKEN"), captured.get("A")), (Some("a\nb"), None));
        assert!(!format!("{captured:?}").contains("from"));
    }

    #[tokio::test]
    async fn an_interactive_login_shell_reads_both_kinds_of_files() {
        let login = "export SEEN_LOGIN=1 CAPTURE=$CHATROOM_SHELL_CAPTURE; . ~/.bashrc\n";
        let interactive = "case $- in *i*) ;; *) return;; esac\nexport PATH=\"/from/bashrc:$PATH\"\n";
        let (_home, shell) = shell("/bin/bash", &[(".bash_profile", login), (".bashrc", interactive)]);
        let captured = shell.capture(|_| true).await.unwrap();
        assert!(captured.path().unwrap().contains("/from/bashrc:"), "{:?}", captured.path());
        assert_eq!((captured.get("SEEN_LOGIN"), captured.get("CAPTURE")), (Some("1"), Some("1")));
    }

    #[tokio::test]
    async fn a_shell_file_that_never_ends_is_given_up_and_killed() {
        let home = tempfile::tempdir().unwrap();
        let pid_file = home.path().join("pid");
        let content = format!("echo $$ > {}; sleep 1000 & wait\n", pid_file.display());
        std::fs::write(home.path().join(".profile"), content).unwrap();
        let environment = [(OsString::from("SHELL"), OsString::from("/bin/sh"))];
        let shell = LoginShell::of(&environment, home.path(), Duration::from_millis(700));
        let reason = shell.capture(|_| true).await.unwrap_err();
        assert!(reason.contains("no answer within"), "{reason}");
        let pid: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        let group = rustix::process::Pid::from_raw(pid).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while rustix::process::test_kill_process_group(group).is_ok() {
            assert!(std::time::Instant::now() < deadline, "something of the shell lives on");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_shell_that_is_none_falls_back_to_the_plain_one() {
        let (_home, shell) = shell("/usr/sbin/nologin", &[(".profile", "export A=1\n")]);
        assert_eq!(shell.capture(|_| true).await.unwrap().get("A"), Some("1"));
    }

    #[test]
    fn the_stamp_changes_with_the_files_of_the_shell() {
        let (home, shell) = shell("/bin/sh", &[]);
        let before = shell.stamp();
        assert_eq!(before, shell.stamp());
        std::fs::write(home.path().join(".bashrc"), "x").unwrap();
        assert_ne!(before, shell.stamp());
    }
}
