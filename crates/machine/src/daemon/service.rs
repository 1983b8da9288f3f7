//! The daemon as a service of its user, so that it is there again after a reboot: systemd on Linux, launchd on macOS (written from
//! its documentation, not tested).
//!
//! A file is written and the service manager is told; nothing here needs to be root. Stopped by the service manager, the daemon
//! leaves its agents; a machine that shuts down ends them, and the server starts them again when it is back.

use crate::Home;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a service is made of.
#[derive(Clone, Debug)]
pub struct Service {
    /// The chatroom directory.
    pub home: Home,
    /// The user's home directory.
    pub user_home: PathBuf,
    /// Absolute path of this program.
    pub cli: PathBuf,
    /// What stands between the program and `machine daemon start --foreground`.
    pub args: Vec<String>,
}

/// Why a service could not be installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The file of the service cannot be written or removed.
    #[error("the file {} cannot be used: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The service manager is not there, or refused.
    #[error("`{command}` failed: {reason}")]
    Manager {
        /// What was run.
        command: String,
        /// What it said.
        reason: String,
    },
}

impl ServiceError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::File { .. } => "check owner and mode of that directory".to_owned(),
            Self::Manager { .. } => {
                "without a service manager of your own start the daemon at login, for example in ~/.profile: chatroom machine daemon start"
                    .to_owned()
            }
        }
    }
}

impl Service {
    /// The file that the service manager reads.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        if cfg!(target_os = "macos") {
            return self.user_home.join("Library/LaunchAgents").join(format!("{}.plist", self.name()));
        }
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let config = config.unwrap_or_else(|| self.user_home.join(".config"));
        config.join("systemd/user").join(format!("{}.service", self.name()))
    }

    /// Whether the service manager can be reached. Changes nothing. Blocks the thread.
    ///
    /// # Errors
    /// [`ServiceError::Manager`]: what it said.
    pub fn check(&self) -> Result<(), ServiceError> {
        if cfg!(target_os = "macos") {
            run("launchctl", &["list"])
        } else {
            run("systemctl", &["--user", "show-environment"])
        }
    }

    /// Writes the file and has the service manager start the daemon now and after every boot. Gives what could not be had, if
    /// something could not. Where it fails, the file is as it was before. Blocks the thread.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn install(&self) -> Result<Option<String>, ServiceError> {
        let file = self.file();
        let failed = |source| ServiceError::File { path: file.clone(), source };
        let before = match fs::read(&file) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let installed = self.begin(&file);
        if installed.is_err() {
            let undone = match &before {
                Some(before) => fs::write(&file, before),
                None => self.withdraw(&file),
            };
            if let Err(error) = undone {
                tracing::warn!(%error, file = %file.display(), "the file of a service that was not installed is left");
            }
        }
        installed
    }

    /// Forgets a service that did not begin.
    fn withdraw(&self, file: &Path) -> io::Result<()> {
        if !cfg!(target_os = "macos") {
            // It may be enabled already; where the manager is not there, nothing is.
            let _ = run("systemctl", &["--user", "disable", "--now", &format!("{}.service", self.name())]);
        }
        let removed = fs::remove_file(file);
        if !cfg!(target_os = "macos") {
            let _ = run("systemctl", &["--user", "daemon-reload"]);
        }
        removed
    }

    fn begin(&self, file: &Path) -> Result<Option<String>, ServiceError> {
        let failed = |source| ServiceError::File { path: file.to_owned(), source };
        if cfg!(target_os = "macos") {
            fs::write(file, self.launchd_plist()).map_err(failed)?;
            let path = file.to_string_lossy().into_owned();
            // One that is loaded already is loaded anew.
            let _ = run("launchctl", &["unload", &path]);
            return run("launchctl", &["load", "-w", &path]).map(|()| None);
        }
        fs::write(file, self.systemd_unit()).map_err(failed)?;
        run("systemctl", &["--user", "daemon-reload"])?;
        run("systemctl", &["--user", "enable", "--now", &format!("{}.service", self.name())])?;
        // Without it a user's services run only while the user is logged in.
        Ok(run("loginctl", &["enable-linger"]).err().map(|error| {
            format!("the daemon starts when you log in, not at boot: {error}; `sudo loginctl enable-linger $USER` changes that")
        }))
    }

    /// Has the service manager stop and forget the daemon and removes the file. False: it was not installed. Blocks the thread.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn uninstall(&self) -> Result<bool, ServiceError> {
        let file = self.file();
        if !file.exists() {
            return Ok(false);
        }
        if cfg!(target_os = "macos") {
            run("launchctl", &["unload", "-w", &file.to_string_lossy()])?;
        } else {
            run("systemctl", &["--user", "disable", "--now", &format!("{}.service", self.name())])?;
        }
        fs::remove_file(&file).map_err(|source| ServiceError::File { path: file.clone(), source })?;
        if !cfg!(target_os = "macos") {
            run("systemctl", &["--user", "daemon-reload"])?;
        }
        Ok(true)
    }

    /// The name of the service: another one for another chatroom directory.
    fn name(&self) -> String {
        if *self.home.path() == self.user_home.join(".chatroom") {
            return "chatroom".to_owned();
        }
        let digest = Sha256::digest(self.home.path().as_os_str().as_encoded_bytes());
        let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("chatroom-{digest}")
    }

    fn command(&self) -> Vec<String> {
        let mut command = vec![self.cli.to_string_lossy().into_owned()];
        command.extend(self.args.iter().cloned());
        command.extend(["machine", "daemon", "start", "--foreground"].map(str::to_owned));
        command
    }

    fn systemd_unit(&self) -> String {
        let command: Vec<String> = self.command().iter().map(|word| systemd_word(word)).collect();
        let home = systemd_word(&format!("CHATROOM_HOME={}", self.home.path().display()));
        format!(
            "\
[Unit]
Description=chatroom: runs AI coding agents on this machine
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
Environment={home}
Restart=on-failure
RestartSec=5
# The agents are not the service manager's to end: the daemon leaves them, and the next one finds them again.
KillMode=process
KillSignal=SIGUSR1

[Install]
WantedBy=default.target
",
            command = command.join(" "),
        )
    }

    fn launchd_plist(&self) -> String {
        let arguments: String =
            self.command().iter().map(|word| format!("    <string>{}</string>\n", xml_text(word))).collect();
        format!(
            "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\">
<dict>
  <key>Label</key>
  <string>{name}</string>
  <key>ProgramArguments</key>
  <array>
{arguments}  </array>
  <key>EnvironmentVariables</key>
  <dict>
    <key>CHATROOM_HOME</key>
    <string>{home}</string>
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>AbandonProcessGroup</key>
  <true/>
</dict>
</plist>
",
            name = xml_text(&self.name()),
            home = xml_text(&self.home.path().display().to_string()),
        )
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), ServiceError> {
    let failed = |reason| ServiceError::Manager { command: format!("{program} {}", args.join(" ")), reason };
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(if told.is_empty() { output.status.to_string() } else { told }))
}

/// A word as systemd reads it back; see systemd.service(5), "Command lines".
fn systemd_word(word: &str) -> String {
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(home: &str) -> Service {
        Service {
            home: Home::at(home),
            user_home: PathBuf::from("/home/ada"),
            cli: PathBuf::from("/opt/my tools/100%/chatroom"),
            args: vec!["--server=http://127.0.0.1:7420".to_owned()],
        }
    }

    #[test]
    fn a_unit_names_the_program_whatever_stands_in_its_path() {
        let unit = service("/home/ada/.chatroom").systemd_unit();
        let command = r#"ExecStart="/opt/my tools/100%%/chatroom" "--server=http://127.0.0.1:7420" "machine" "daemon" "start" "--foreground""#;
        assert!(unit.contains(command), "{unit}");
        assert!(unit.contains("Environment=\"CHATROOM_HOME=/home/ada/.chatroom\"\n"), "{unit}");
        assert!(unit.contains("KillMode=process\n"));
    }

    #[test]
    fn another_chatroom_directory_is_another_service() {
        assert_eq!(service("/home/ada/.chatroom").name(), "chatroom");
        let other = service("/srv/chatroom").name();
        assert!(other.starts_with("chatroom-") && other != service("/srv/chatroom2").name(), "{other}");
    }

    #[test]
    fn a_plist_escapes_what_xml_would_read() {
        let mut service = service("/home/ada/.chatroom");
        service.args = vec!["--server=http://h/?a&b<c>".to_owned()];
        assert!(service.launchd_plist().contains("<string>--server=http://h/?a&amp;b&lt;c&gt;</string>"));
    }
}
