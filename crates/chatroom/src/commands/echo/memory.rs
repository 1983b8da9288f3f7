//! What the built-in agent remembers of a session: a file of JSON lines per session, so that it can be taken up again. Bounded,
//! and removed with age.

use chatroom_machine::Home;
use chatroom_machine::home::{create_private_dir, write_private};
use chatroom_protocol::UnixMs;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// How many sayings are remembered: the first one and the last.
const MOST: usize = 100;
/// How much of one saying is remembered, in characters.
const LONGEST: usize = 4_000;
/// How long a session is remembered that nobody takes up.
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// A person.
    Person,
    /// A task.
    Task,
    /// The agent.
    Echo,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) by: By,
    pub(crate) text: String,
}

/// The memory of one session. What cannot be written is not remembered; the agent goes on.
#[derive(Debug)]
pub(crate) struct Memory {
    file: PathBuf,
    said: Vec<Said>,
}

impl Memory {
    /// Begins a session, and forgets those that have become old.
    pub(crate) fn begin(home: &Home, session: &str, now: UnixMs) -> Self {
        let dir = home.echo_sessions();
        let _ = create_private_dir(&dir);
        forget_old(&dir, now);
        let memory = Self { file: dir.join(format!("{session}.jsonl")), said: Vec::new() };
        // It can be taken up although nothing was said.
        let _ = write_private(&memory.file, b"");
        memory
    }

    /// Takes a session up again; none when it is not remembered.
    pub(crate) fn take_up(home: &Home, session: &str) -> Option<Self> {
        // Its id is the name of a file, so nothing but an id is taken for one.
        let id = uuid::Uuid::parse_str(session).ok()?;
        let file = home.echo_sessions().join(format!("{id}.jsonl"));
        let text = fs::read_to_string(&file).ok()?;
        // The last line is cut off when the power was lost.
        let said = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Some(Self { file, said })
    }

    /// Everything that is remembered, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Said> {
        self.said.iter()
    }

    /// Remembers something.
    pub(crate) fn add(&mut self, by: By, text: &str) {
        let said = Said { by, text: text.chars().take(LONGEST).collect() };
        let line = serde_json::to_string(&said).unwrap_or_default();
        self.said.push(said);
        if self.said.len() > MOST {
            self.said.drain(1..=MOST / 2);
            let lines: Vec<String> = self.said.iter().filter_map(|said| serde_json::to_string(said).ok()).collect();
            let _ = write_private(&self.file, (lines.join("\n") + "\n").as_bytes());
            return;
        }
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file);
        let _ = opened.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    }
}

fn forget_old(dir: &Path, now: UnixMs) {
    let now = UNIX_EPOCH + Duration::from_millis(now.0.unsigned_abs());
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|about| about.modified());
        let is_old = modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > LIFE));
        if is_old {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{By, LIFE, LONGEST, MOST, Memory};
    use chatroom_machine::{Home, clock};

    #[test]
    fn a_session_is_remembered_bounded_and_forgotten_with_age() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        let now = clock::now();
        let id = "01a2022f-4d52-75b3-9727-6585a626981c";
        let mut memory = Memory::begin(&home, id, now);
        assert_eq!(Memory::take_up(&home, id).unwrap().all().count(), 0);
        memory.add(By::Task, "the first");
        for number in 0..MOST {
            memory.add(By::Echo, &format!("{number} {}", "x".repeat(2 * LONGEST)));
        }
        let again = Memory::take_up(&home, id).unwrap();
        let said: Vec<_> = again.all().collect();
        assert_eq!((said[0].by, said[0].text.as_str()), (By::Task, "the first"));
        assert!(said.len() <= MOST && said.last().unwrap().text.starts_with("99 "));
        assert!(said.iter().all(|said| said.text.len() <= LONGEST));

        assert!(Memory::take_up(&home, "../credentials").is_none());
        let later = now + i64::try_from(LIFE.as_millis()).unwrap() + 60_000;
        Memory::begin(&home, "01a2022f-4d52-75b3-9727-000000000000", later);
        assert!(Memory::take_up(&home, id).is_none());
    }
}
