//! The daemon's journal: what it set out to do and what came of it, durable before the world can notice.
//!
//! An append-only file of records, each with a mark, its length and a checksum; an append is one write and one sync. A
//! torn end is cut off. A damaged middle is skipped over and the file kept aside; a lost record costs an answer sent again,
//! never a second start, because the claim in the agent's run directory decides on that.

use crate::agent::process::ProcessId;
use crate::home::write_private;
use chatroom_protocol::UnixMs;
use chatroom_protocol::command::{Ack, StartOrder};
use chatroom_protocol::id::{AgentId, ChatroomId, CommandId};
use chatroom_protocol::tool::ToolName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Begins every record; the digit is the version of the form.
const MARK: [u8; 4] = *b"CRJ1";
/// Mark, length of the content, checksum of the content.
const HEAD: usize = 12;
/// A longer record is damage.
const MAX_CONTENT: usize = 1024 * 1024;
/// From this size on the file is rewritten without what is settled.
const COMPACT_BYTES: u64 = 256 * 1024;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Record {
    /// A claimed command is about to be carried out.
    Intent(Intent),
    /// The host of an agent was started.
    Spawned {
        /// Which agent.
        agent_id: AgentId,
        /// Its host.
        host: ProcessId,
    },
    /// A command has its end, which the server does not know yet.
    Outcome {
        /// Which command.
        command_id: CommandId,
        /// What to tell the server.
        ack: Ack,
    },
    /// The server has answered the end of a command: nothing is left to do.
    Recorded {
        /// Which command.
        command_id: CommandId,
    },
}

/// What a command is about to do. No secrets, no prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Which command.
    pub command_id: CommandId,
    /// Its type.
    pub kind: String,
    /// The agent that is started or stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// What is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<StartSummary>,
    /// This life of the kernel.
    pub boot_id: String,
    /// The daemon session that claimed it.
    pub epoch: i64,
    /// When, by the machine's clock.
    pub at: UnixMs,
}

/// A start order without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartSummary {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
    /// The tool.
    pub tool: ToolName,
    /// Where.
    pub working_dir: String,
    /// Version of the prompt.
    pub prompt_version: String,
}

impl From<&StartOrder> for StartSummary {
    fn from(order: &StartOrder) -> Self {
        Self {
            chatroom_id: order.chatroom_id.clone(),
            role: order.role.clone(),
            tool: order.tool.clone(),
            working_dir: order.working_dir.clone(),
            prompt_version: order.prompt_version.clone(),
        }
    }
}

/// What the journal knows of a command that is not settled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// What it was about to do.
    pub intent: Option<Intent>,
    /// How it ended, when it has.
    pub outcome: Option<Ack>,
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    live: BTreeMap<CommandId, Entry>,
    /// A write or sync failed: what stands in the file is not known, so it is rewritten before the next append.
    suspect: bool,
}

/// What was wrong with the file when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// How many bytes were skipped.
    pub skipped_bytes: usize,
    /// Where the damaged file was put.
    pub kept: PathBuf,
}

impl Journal {
    /// Opens the journal, making it if needed. Gives also what was damaged, if anything was.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<(Self, Option<Damage>)> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let reading = read(&bytes);
        let mut live = BTreeMap::new();
        for record in &reading.records {
            apply(&mut live, record);
        }
        let damage = if reading.skipped_bytes > 0 {
            let kept = path.with_extension("damaged");
            write_private(&kept, &bytes)?;
            Some(Damage { skipped_bytes: reading.skipped_bytes, kept })
        } else {
            None
        };
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let mut journal = Self { path: path.to_owned(), file, size_bytes: bytes.len() as u64, live, suspect: false };
        if damage.is_some() || reading.torn_bytes > 0 || journal.size_bytes > COMPACT_BYTES {
            journal.rewrite()?;
        }
        Ok((journal, damage))
    }

    /// Every command that is not settled.
    #[must_use]
    pub fn live(&self) -> &BTreeMap<CommandId, Entry> {
        &self.live
    }

    /// Appends records and returns when they are durable. Blocks the thread.
    ///
    /// # Errors
    /// They may or may not be in the file; then they must be taken as not written.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        if self.suspect || self.size_bytes > COMPACT_BYTES {
            self.rewrite()?;
        }
        let mut bytes = Vec::new();
        for record in records {
            encode(record, &mut bytes)?;
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.suspect = true;
            return Err(error);
        }
        self.size_bytes += bytes.len() as u64;
        for record in records {
            apply(&mut self.live, record);
        }
        Ok(())
    }

    /// Replaces the file by one that holds only what is not settled.
    fn rewrite(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (command_id, entry) in &self.live {
            if let Some(intent) = &entry.intent {
                encode(&Record::Intent(intent.clone()), &mut bytes)?;
            }
            if let Some(ack) = &entry.outcome {
                encode(&Record::Outcome { command_id: command_id.clone(), ack: ack.clone() }, &mut bytes)?;
            }
        }
        write_private(&self.path, &bytes)?;
        self.file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        self.size_bytes = bytes.len() as u64;
        self.suspect = false;
        Ok(())
    }
}

fn apply(live: &mut BTreeMap<CommandId, Entry>, record: &Record) {
    match record {
        Record::Intent(intent) => {
            live.entry(intent.command_id.clone()).or_default().intent = Some(intent.clone());
        }
        // For people who read the file: the host tells of itself in the run directory.
        Record::Spawned { .. } => {}
        Record::Outcome { command_id, ack } => {
            live.entry(command_id.clone()).or_default().outcome = Some(ack.clone());
        }
        Record::Recorded { command_id } => {
            live.remove(command_id);
        }
    }
}

fn encode(record: &Record, bytes: &mut Vec<u8>) -> io::Result<()> {
    let content = serde_json::to_vec(record).map_err(io::Error::other)?;
    let length = u32::try_from(content.len()).ok().filter(|_| content.len() <= MAX_CONTENT);
    let length = length.ok_or_else(|| io::Error::other("a record of the journal is too long"))?;
    bytes.extend_from_slice(&MARK);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&checksum(&content).to_le_bytes());
    bytes.extend_from_slice(&content);
    Ok(())
}

/// What the bytes of a journal hold.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    records: Vec<Record>,
    /// Bytes that are no record, with a record after them.
    skipped_bytes: usize,
    /// Bytes at the end that are no whole record.
    torn_bytes: usize,
}

fn read(bytes: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let mut at = 0;
    let mut gap = 0;
    while at < bytes.len() {
        match decode(&bytes[at..]) {
            Some((record, length)) => {
                reading.skipped_bytes += std::mem::take(&mut gap);
                reading.records.push(record);
                at += length;
            }
            None => {
                // On to the next mark; there may be a record.
                let next = bytes[at + 1..].windows(MARK.len()).position(|window| window == MARK);
                let end = next.map_or(bytes.len(), |offset| at + 1 + offset);
                gap += end - at;
                at = end;
            }
        }
    }
    reading.torn_bytes = gap;
    reading
}

fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
    let head = bytes.get(..HEAD)?;
    if head[..4] != MARK {
        return None;
    }
    let number = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let length = usize::try_from(number(4)?).ok().filter(|length| *length <= MAX_CONTENT)?;
    let content = bytes.get(HEAD..HEAD + length)?;
    if checksum(content) != number(8)? {
        return None;
    }
    Some((serde_json::from_slice(content).ok()?, HEAD + length))
}

/// CRC-32 (IEEE 802.3).
fn checksum(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum, byte| TABLE[((sum ^ u32::from(*byte)) & 0xFF) as usize] ^ (sum >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatroom_protocol::command::{CommandFailure, CommandResult, FailureCode};
    use proptest::prelude::*;

    fn intent(id: &str) -> Record {
        Record::Intent(Intent {
            command_id: CommandId::from(id),
            kind: "start-agent".to_owned(),
            agent_id: Some(AgentId::from("a1")),
            start: None,
            boot_id: "boot".to_owned(),
            epoch: 3,
            at: UnixMs(5),
        })
    }

    fn outcome(id: &str) -> Record {
        Record::Outcome { command_id: CommandId::from(id), ack: Ack::Completed { result: CommandResult::Pong } }
    }

    fn recorded(id: &str) -> Record {
        Record::Recorded { command_id: CommandId::from(id) }
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let id = "[a-c]";
        prop_oneof![
            id.prop_map(|id| intent(&id)),
            id.prop_map(|id| outcome(&id)),
            id.prop_map(|id| recorded(&id)),
            ("[a-c]", ".{0,40}").prop_map(|(id, message)| Record::Outcome {
                command_id: CommandId::from(id),
                ack: Ack::Failed { failure: CommandFailure::new(FailureCode::Internal, message) },
            }),
        ]
    }

    fn bytes_of(records: &[Record]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            encode(record, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn the_checksum_is_the_common_one() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart_until_it_is_settled() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("journal");
        let (mut journal, damage) = Journal::open(&path).unwrap();
        assert_eq!(damage, None);
        journal.append(&[intent("c1")]).unwrap();
        journal.append(&[intent("c2"), outcome("c2")]).unwrap();
        journal.append(&[outcome("c1"), recorded("c1")]).unwrap();
        let live = journal.live().clone();
        drop(journal);
        let (journal, damage) = Journal::open(&path).unwrap();
        assert_eq!((journal.live(), damage), (&live, None));
        assert_eq!(live.keys().map(CommandId::as_str).collect::<Vec<_>>(), ["c2"]);
        assert!(live[&CommandId::from("c2")].outcome.is_some());
    }

    #[test]
    fn a_torn_end_is_cut_off_and_the_journal_goes_on() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("journal");
        let whole = bytes_of(&[intent("c1")]);
        let mut bytes = whole.clone();
        bytes.extend_from_slice(&bytes_of(&[outcome("c1")])[..20]);
        fs::write(&path, &bytes).unwrap();
        let (mut journal, damage) = Journal::open(&path).unwrap();
        assert_eq!(damage, None);
        assert_eq!(fs::read(&path).unwrap(), whole);
        journal.append(&[outcome("c1")]).unwrap();
        drop(journal);
        let (journal, _) = Journal::open(&path).unwrap();
        assert!(journal.live()[&CommandId::from("c1")].outcome.is_some());
    }

    #[test]
    fn a_damaged_middle_is_skipped_and_kept_aside() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("journal");
        let first = bytes_of(&[intent("c1")]);
        let mut bytes = bytes_of(&[intent("c1"), intent("c2"), intent("c3")]);
        bytes[first.len() + 30] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let (journal, damage) = Journal::open(&path).unwrap();
        assert_eq!(journal.live().keys().map(CommandId::as_str).collect::<Vec<_>>(), ["c1", "c3"]);
        assert_eq!(fs::read(damage.unwrap().kept).unwrap(), bytes);
        drop(journal);
        assert_eq!(Journal::open(&path).unwrap().1, None);
    }

    #[test]
    fn the_file_stays_small_however_much_is_settled() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("journal");
        fs::write(&path, bytes_of(&[intent("open")])).unwrap();
        let (mut journal, _) = Journal::open(&path).unwrap();
        let round: Vec<_> = (0..2000).flat_map(|_| [intent("c"), outcome("c"), recorded("c")]).collect();
        for _ in 0..3 {
            journal.append(&round).unwrap();
        }
        journal.append(&[intent("last")]).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 2000);
        drop(journal);
        let (journal, _) = Journal::open(&path).unwrap();
        assert_eq!(journal.live().keys().map(CommandId::as_str).collect::<Vec<_>>(), ["last", "open"]);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let reading = read(&bytes);
            prop_assert!(reading.skipped_bytes + reading.torn_bytes <= bytes.len());
        }

        #[test]
        fn a_cut_leaves_a_prefix_of_what_was_written(
            records in proptest::collection::vec(any_record(), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = bytes_of(&records);
            let reading = read(&bytes[..cut.index(bytes.len() + 1)]);
            prop_assert_eq!(&reading.records[..], &records[..reading.records.len()]);
            prop_assert_eq!(reading.skipped_bytes, 0);
        }

        #[test]
        fn damage_loses_records_and_never_makes_one(
            records in proptest::collection::vec(any_record(), 1..8),
            hits in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
            inserted in (any::<prop::sample::Index>(), proptest::collection::vec(any::<u8>(), 0..30)),
        ) {
            let mut bytes = bytes_of(&records);
            for (at, flip) in hits {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            let at = inserted.0.index(bytes.len() + 1);
            bytes.splice(at..at, inserted.1);
            let reading = read(&bytes);
            let mut written = records.iter();
            for record in &reading.records {
                prop_assert!(written.any(|original| original == record), "{:?} was never written", record);
            }
        }
    }
}
