//! The directory of everything that chatroom keeps on a machine, and how files in it are written.
//!
//! `~/.chatroom`, moved by `CHATROOM_HOME`. Directories are 0700, files 0600; a file is replaced as a whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The chatroom directory of a user on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

/// Why there is no chatroom directory.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither `CHATROOM_HOME` nor the user's home directory is known.
    #[error("the home directory is not known; set CHATROOM_HOME to an absolute path")]
    Unknown,
    /// The path cannot be made absolute.
    #[error("the path `{}` of CHATROOM_HOME cannot be used", path.display())]
    Unusable {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Home {
    /// The directory that the environment names: `CHATROOM_HOME`, else `~/.chatroom`.
    ///
    /// # Errors
    /// [`HomeError`] when neither is known or the path cannot be made absolute.
    pub fn from_env() -> Result<Self, HomeError> {
        match std::env::var_os("CHATROOM_HOME").filter(|value| !value.is_empty()) {
            Some(path) => std::path::absolute(&path)
                .map(Self::at)
                .map_err(|source| HomeError::Unusable { path: PathBuf::from(path), source }),
            None => std::env::home_dir()
                .filter(|path| path.is_absolute())
                .map(|path| Self::at(path.join(".chatroom")))
                .ok_or(HomeError::Unknown),
        }
    }

    /// A directory by its absolute path.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This machine's identity.
    #[must_use]
    pub fn machine_json(&self) -> PathBuf {
        self.path.join("machine.json")
    }

    /// The logins of this machine's user.
    #[must_use]
    pub fn credentials_json(&self) -> PathBuf {
        self.path.join("credentials.json")
    }

    /// The owner's settings; never written by this program.
    #[must_use]
    pub fn config_toml(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The tools that the owner has described; never written by this program.
    #[must_use]
    pub fn tools_toml(&self) -> PathBuf {
        self.path.join("tools.toml")
    }

    /// What the built-in agent remembers of its sessions.
    #[must_use]
    pub fn echo_sessions(&self) -> PathBuf {
        self.path.join("echo-sessions")
    }

    /// What tools said about themselves, by path and file.
    #[must_use]
    pub fn tools_cache(&self) -> PathBuf {
        self.path.join("tools-cache.json")
    }

    /// The file whose lock a daemon holds for its life.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.path.join("daemon.lock")
    }

    /// The daemon's process id, for people; nothing decides on it.
    #[must_use]
    pub fn daemon_pid(&self) -> PathBuf {
        self.path.join("daemon.pid")
    }

    /// The socket over which waiting processes of this user reach the daemon.
    #[must_use]
    pub fn daemon_socket(&self) -> PathBuf {
        self.path.join("daemon.sock")
    }

    /// The daemon's log.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.path.join("daemon.log")
    }

    /// One directory per agent.
    #[must_use]
    pub fn agents_dir(&self) -> PathBuf {
        self.path.join("agents")
    }

    /// The daemon's journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// The data of a server that runs on this machine.
    #[must_use]
    pub fn server_data(&self) -> PathBuf {
        self.path.join("server")
    }

    /// Makes the directory with mode 0700; one that is there is closed to others.
    ///
    /// # Errors
    /// When the directory cannot be made or its mode cannot be set.
    pub fn create(&self) -> io::Result<()> {
        create_private_dir(&self.path)
    }
}

/// Makes a directory (and its parents) with mode 0700. One that is there and open to others is closed.
///
/// # Errors
/// When it cannot be made, is not a directory, or its mode cannot be set.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = fs::metadata(path)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Replaces a file by `bytes` with mode 0600: after a crash either the old content is there or the new, never a part. The
/// directory must exist.
///
/// # Errors
/// When the new content cannot be made durable; then the old file is untouched.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("a file needs a directory"))?;
    let name = path.file_name().ok_or_else(|| io::Error::other("a file needs a name"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
    let temporary = directory.join(temporary);

    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        // Best effort: what counts is the first error; after the rename there is nothing left to remove.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// An exclusive lock of a file, held until dropped or until the process ends, however it ends. Child processes do not
/// inherit it.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock when nobody holds it, making the file with mode 0600 if needed. `None`: somebody holds it.
    ///
    /// # Errors
    /// When the file cannot be opened or the file system has no locks.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock, waiting at most `wait` for others to let go. Blocks the thread.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when it is still held after `wait`; else as [`FileLock::try_acquire`].
    pub fn acquire(path: &Path, wait: Duration) -> io::Result<Self> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(lock);
            }
            if begun.elapsed() >= wait {
                let message = format!("another process holds the lock of {}", path.display());
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// The locked file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_directory_is_closed_to_others_even_if_it_was_open() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path().join("a/b"));
        home.create().unwrap();
        assert_eq!(mode(home.path()), 0o700);
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        home.create().unwrap();
        assert_eq!(mode(home.path()), 0o700);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, "old").unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write_private(&path, b"new").is_err());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_is_held_by_one_and_free_after_drop() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let first = FileLock::try_acquire(&path).unwrap().unwrap();
        assert!(FileLock::try_acquire(&path).unwrap().is_none());
        let error = FileLock::acquire(&path, Duration::from_millis(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(first);
        FileLock::acquire(&path, Duration::from_secs(5)).unwrap();
        assert_eq!(mode(&path), 0o600);
    }
}
