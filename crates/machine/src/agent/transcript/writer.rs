//! The host's end of a journal.

use super::super::run_dir::RunDir;
use super::cut::{shorten, to_size};
use super::{SEGMENT_BYTES, SEGMENTS, segment};
use chatroom_protocol::UnixMs;
use chatroom_protocol::transcript::{CallStatus, Entry, TranscriptEvent};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// Pieces of a saying are joined up to so many bytes.
const JOINED_BYTES: usize = 4 * 1024;
/// The first piece of a saying waits no longer for others, in milliseconds.
const PIECE_WAIT_MS: i64 = 200;
/// The news of a running call waits no longer for newer ones, in milliseconds.
const UPDATE_WAIT_MS: i64 = 1_000;
/// Bytes kept of the output of a call that still runs: it is told again, whole, when the call has ended.
const RUNNING_OUTPUT_BYTES: usize = 8 * 1024;

/// Writes the journal of one session, from its first event on.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    /// The number of the last event that was given one.
    given_seq: i64,
    /// The number of the last event that stands in the journal.
    last_seq: i64,
    /// Events that could not be written since the last one that could.
    lost: i64,
    kept: VecDeque<i64>,
    file: Option<Segment>,
    waiting: Option<Waiting>,
    segment_bytes: u64,
}

#[derive(Debug)]
struct Segment {
    file: File,
    bytes: u64,
}

/// What waits a little for more of its kind.
#[derive(Debug)]
struct Waiting {
    entry: Entry,
    at: UnixMs,
    until: UnixMs,
}

impl Writer {
    /// A journal that begins.
    #[must_use]
    pub fn new(run: &RunDir) -> Self {
        Self::with_segments_of(run, SEGMENT_BYTES)
    }

    pub(super) fn with_segments_of(run: &RunDir, segment_bytes: u64) -> Self {
        Self {
            dir: run.path().to_owned(),
            given_seq: 0,
            last_seq: 0,
            lost: 0,
            kept: VecDeque::new(),
            file: None,
            waiting: None,
            segment_bytes,
        }
    }

    /// Takes the next entry in. Pieces of a saying, and the news of a running call, may wait until [`Self::deadline`].
    pub fn record(&mut self, entry: Entry, now: UnixMs) {
        if let Some(waiting) = &mut self.waiting
            && join(&mut waiting.entry, &entry)
        {
            if is_ripe(&waiting.entry) {
                self.flush();
            }
            return;
        }
        self.flush();
        let wait_ms = match &entry {
            Entry::Text { .. } | Entry::Thought { .. } => PIECE_WAIT_MS,
            Entry::ToolUpdate { .. } => UPDATE_WAIT_MS,
            _ => return self.append(entry, now),
        };
        let ripe = is_ripe(&entry);
        self.waiting = Some(Waiting { entry, at: now, until: now + wait_ms });
        if ripe {
            self.flush();
        }
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<UnixMs> {
        self.waiting.as_ref().map(|waiting| waiting.until)
    }

    /// Writes what has waited long enough.
    pub fn tick(&mut self, now: UnixMs) {
        // A clock that was set back must not hold an event.
        if self.waiting.as_ref().is_some_and(|waiting| now >= waiting.until || now < waiting.at) {
            self.flush();
        }
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        if let Some(Waiting { entry, at, .. }) = self.waiting.take() {
            self.append(entry, at);
        }
    }

    /// The number of the last event that stands in the journal; zero before the first.
    #[must_use]
    pub fn last_seq(&self) -> i64 {
        self.last_seq
    }

    fn append(&mut self, mut entry: Entry, at: UnixMs) {
        if let Entry::ToolUpdate { status, output: Some(output), .. } = &mut entry
            && !has_ended(*status)
        {
            shorten(output, RUNNING_OUTPUT_BYTES);
        }
        if self.lost > 0 {
            let seq = self.given_seq + 1;
            if self.write(&TranscriptEvent { seq, at, entry: Entry::Dropped { events: self.lost } }).is_ok() {
                self.given_seq = seq;
                self.lost = 0;
            }
        }
        self.given_seq += 1;
        let event = TranscriptEvent { seq: self.given_seq, at, entry: to_size(entry) };
        if self.write(&event).is_err() {
            self.lost += 1;
        }
    }

    fn write(&mut self, event: &TranscriptEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let bytes = line.len() as u64;
        if self.file.as_ref().is_some_and(|open| open.bytes + bytes > self.segment_bytes) {
            self.file = None;
        }
        let open = match &mut self.file {
            Some(open) => open,
            none => {
                let file =
                    OpenOptions::new().append(true).create(true).mode(0o600).open(segment(&self.dir, event.seq))?;
                if self.kept.back() != Some(&event.seq) {
                    self.kept.push_back(event.seq);
                }
                while self.kept.len() > SEGMENTS
                    && let Some(oldest) = self.kept.pop_front()
                {
                    let _ = fs::remove_file(segment(&self.dir, oldest));
                }
                let bytes = file.metadata()?.len();
                none.insert(Segment { file, bytes })
            }
        };
        if let Err(error) = open.file.write_all(&line) {
            // Half a line must not stand before a whole one. Where it cannot be taken back, another segment begins.
            if open.file.set_len(open.bytes).is_err() {
                self.file = None;
            }
            return Err(error);
        }
        open.bytes += bytes;
        self.last_seq = event.seq;
        Ok(())
    }
}

/// Whether an entry that could wait for more waits no longer.
fn is_ripe(entry: &Entry) -> bool {
    match entry {
        Entry::Text { text } | Entry::Thought { text } => text.len() >= JOINED_BYTES,
        Entry::ToolUpdate { status, .. } => has_ended(*status),
        _ => true,
    }
}

fn has_ended(status: Option<CallStatus>) -> bool {
    matches!(status, Some(CallStatus::Completed | CallStatus::Failed))
}

/// Joins `next` to the entry that waits, if they are pieces of one thing.
fn join(waiting: &mut Entry, next: &Entry) -> bool {
    match (waiting, next) {
        (Entry::Text { text }, Entry::Text { text: more })
        | (Entry::Thought { text }, Entry::Thought { text: more }) => {
            text.push_str(more);
            true
        }
        (
            Entry::ToolUpdate { call_id, status, title, output, diffs },
            Entry::ToolUpdate { call_id: same, status: newer, title: name, output: whole, diffs: changes },
        ) if call_id == same => {
            *status = newer.or(*status);
            *title = name.clone().or_else(|| title.take());
            *output = whole.clone().or_else(|| output.take());
            if !changes.is_empty() {
                diffs.clone_from(changes);
            }
            true
        }
        _ => false,
    }
}
