//! What tools said about themselves, by file: asking takes up to seconds and some tools leave files at every call.
//!
//! An entry counts while the file behind it is the same one (inode, time, size) and is run with the same PATH (a script's
//! interpreter comes from there). The file is a cache: it may be lost, and a damaged one is empty.

use crate::home::{Home, write_private};
use chatroom_protocol::UnixMs;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const VERSION: u32 = 1;
/// A version counts for a day: a shim may run another program tomorrow.
const VERSION_LIFE_MS: i64 = 24 * 60 * 60_000;
/// A tool that hangs is not asked again for ten minutes.
const HANG_LIFE_MS: i64 = 10 * 60_000;
/// A login counts for ten minutes; a missing one is asked for each time.
const LOGIN_LIFE_MS: i64 = 10 * 60_000;
/// Entries that are kept, at most.
const MOST: usize = 256;

/// The stored answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cache {
    version: u32,
    #[serde(default)]
    shell: Option<ShellPath>,
    #[serde(default)]
    entries: BTreeMap<String, Entry>,
}

/// The PATH of the login shell: never more of its environment, which may hold keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShellPath {
    stamp: String,
    at: UnixMs,
    path: Option<String>,
}

/// One stored answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    file: FileMark,
    at: UnixMs,
    said: Said,
    #[serde(default)]
    signed_in_at: Option<UnixMs>,
}

/// Which file it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileMark {
    inode: u64,
    device: u64,
    modified_ns: i64,
    size: u64,
}

/// What is worth remembering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Said {
    /// Its version.
    Version(String),
    /// Nothing, within the limit.
    Nothing,
}

impl FileMark {
    /// The mark of a file as it is now.
    pub(crate) fn of(file: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(file).ok()?;
        let modified_ns = metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec());
        Some(Self { inode: metadata.ino(), device: metadata.dev(), modified_ns, size: metadata.size() })
    }
}

impl Cache {
    /// Reads the cache; whatever is wrong with it, it is empty.
    pub(crate) fn load(home: &Home) -> Self {
        let read = std::fs::read(home.tools_cache()).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        read.filter(|cache| cache.version == VERSION).unwrap_or(Self { version: VERSION, ..Self::default() })
    }

    /// Writes the cache without entries that count no more.
    pub(crate) fn save(mut self, home: &Home, now: UnixMs) -> std::io::Result<()> {
        self.entries.retain(|_, entry| now.since(entry.at) < VERSION_LIFE_MS);
        while self.entries.len() > MOST {
            self.entries.pop_first();
        }
        write_private(&home.tools_cache(), &serde_json::to_vec(&self).map_err(std::io::Error::other)?)
    }

    /// What the program said, if that still counts.
    pub(crate) fn said(&self, key: &str, file: &FileMark, now: UnixMs) -> Option<Said> {
        let entry = self.entries.get(key)?;
        let life = match entry.said {
            Said::Version(_) => VERSION_LIFE_MS,
            Said::Nothing => HANG_LIFE_MS,
        };
        (entry.file == *file && is_fresh(entry.at, now, life)).then(|| entry.said.clone())
    }

    /// Remembers what the program said.
    pub(crate) fn put(&mut self, key: String, file: FileMark, said: Said, now: UnixMs) {
        self.entries.insert(key, Entry { file, at: now, said, signed_in_at: None });
    }

    /// Whether somebody was signed in a short while ago.
    pub(crate) fn is_signed_in(&self, key: &str, now: UnixMs) -> bool {
        let at = self.entries.get(key).and_then(|entry| entry.signed_in_at);
        at.is_some_and(|at| is_fresh(at, now, LOGIN_LIFE_MS))
    }

    /// Remembers that somebody is signed in.
    pub(crate) fn put_signed_in(&mut self, key: &str, now: UnixMs) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.signed_in_at = Some(now);
        }
    }

    /// The login shell's PATH, if its files are the same: `Some(None)` when the shell would not tell.
    pub(crate) fn shell_path(&self, stamp: &str, now: UnixMs) -> Option<Option<String>> {
        let shell = self.shell.as_ref().filter(|shell| shell.stamp == stamp)?;
        let life = if shell.path.is_some() { VERSION_LIFE_MS } else { HANG_LIFE_MS };
        is_fresh(shell.at, now, life).then(|| shell.path.clone())
    }

    /// Remembers the login shell's PATH.
    pub(crate) fn put_shell_path(&mut self, stamp: String, path: Option<String>, now: UnixMs) {
        self.shell = Some(ShellPath { stamp, at: now, path });
    }
}

/// Names the answer of a program (by its real path) run with a PATH.
pub(crate) fn key(file: &Path, path: &str) -> String {
    let digest = Sha256::digest(path.as_bytes());
    let short: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{} {short}", file.display())
}

/// Whether something of `at` still counts; what comes from the future (a clock that was set back) does not.
fn is_fresh(at: UnixMs, now: UnixMs, life_ms: i64) -> bool {
    at <= now && now.since(at) < life_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_000_000_000);

    fn mark(size: u64) -> FileMark {
        FileMark { inode: 1, device: 1, modified_ns: 1, size }
    }

    #[test]
    fn an_answer_counts_for_the_same_file_for_its_life() {
        let mut cache = Cache::default();
        cache.put("a".to_owned(), mark(1), Said::Version("1.0.0".to_owned()), NOW);
        cache.put("b".to_owned(), mark(1), Said::Nothing, NOW);
        assert!(cache.said("a", &mark(1), NOW + VERSION_LIFE_MS - 1).is_some());
        assert!(cache.said("a", &mark(1), NOW + VERSION_LIFE_MS).is_none());
        assert!(cache.said("a", &mark(1), NOW - 1).is_none());
        assert!(cache.said("a", &mark(2), NOW).is_none());
        assert!(cache.said("b", &mark(1), NOW + HANG_LIFE_MS).is_none());
        assert!(!cache.is_signed_in("a", NOW));
        cache.put_signed_in("a", NOW);
        assert!(cache.is_signed_in("a", NOW) && !cache.is_signed_in("a", NOW + LOGIN_LIFE_MS));
    }

    #[test]
    fn a_damaged_cache_is_empty() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        let mut cache = Cache::load(&home);
        cache.put_shell_path("s".to_owned(), Some("/bin".to_owned()), NOW);
        cache.clone().save(&home, NOW).unwrap();
        assert_eq!(Cache::load(&home), cache);
        assert_eq!(Cache::load(&home).shell_path("s", NOW), Some(Some("/bin".to_owned())));
        assert_eq!(Cache::load(&home).shell_path("t", NOW), None);
        std::fs::write(home.tools_cache(), "{").unwrap();
        assert_eq!(Cache::load(&home).shell_path("s", NOW), None);
    }
}
