//! The daemon's end of a journal.

use super::super::run_dir::RunDir;
use super::{segment, segments};
use chatroom_protocol::transcript::TranscriptEvent;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

/// Reads a journal while it is written, and after.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    place: Option<Place>,
}

/// Where the reading stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The segment.
    first: i64,
    /// Bytes of it that were read.
    offset: u64,
    /// The number of the last event before this place.
    seq: i64,
}

impl Reader {
    /// The journal of `run`, which need not have begun.
    #[must_use]
    pub fn at(run: &RunDir) -> Self {
        Self { dir: run.path().to_owned(), place: None }
    }

    /// The events after the one with the number `seq`, in order: `max_events` at most, and no more than `max_bytes` of JSON
    /// unless the first alone is larger. Empty when there is nothing new. Where old events are gone, they begin later.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn read_after(&mut self, seq: i64, max_events: usize, max_bytes: usize) -> io::Result<Vec<TranscriptEvent>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut place = match self.place.filter(|place| place.seq == seq) {
            Some(place) => place,
            None => match self.find(seq)? {
                Some(first) => Place { first, offset: 0, seq },
                None => return Ok(found),
            },
        };
        loop {
            let is_full = self.read_segment(&mut place, &mut found, &mut bytes, max_events, max_bytes)?;
            if is_full {
                break;
            }
            let Some(next) = segments(&self.dir)?.into_iter().find(|first| *first > place.first) else { break };
            // The last lines of a segment stand there before the next one does.
            if self.read_segment(&mut place, &mut found, &mut bytes, max_events, max_bytes)? {
                break;
            }
            place = Place { first: next, offset: 0, ..place };
        }
        self.place = Some(place);
        Ok(found)
    }

    /// The number of the last event; zero before the first.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn last_seq(&self) -> io::Result<i64> {
        let Some(first) = segments(&self.dir)?.pop() else { return Ok(0) };
        let bytes = fs::read(segment(&self.dir, first))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &bytes[..end]);
        let last = whole.split(|byte| *byte == b'\n').rev().find_map(parse);
        Ok(last.map_or(first - 1, |event| event.seq))
    }

    /// The segment in which the event after `seq` stands, or the first one that is still there.
    fn find(&self, seq: i64) -> io::Result<Option<i64>> {
        let all = segments(&self.dir)?;
        Ok(all.iter().rev().find(|first| **first <= seq + 1).or(all.first()).copied())
    }

    /// Reads on in one segment. Gives whether enough was found.
    fn read_segment(
        &self,
        place: &mut Place,
        found: &mut Vec<TranscriptEvent>,
        bytes: &mut usize,
        max_events: usize,
        max_bytes: usize,
    ) -> io::Result<bool> {
        let mut file = match File::open(segment(&self.dir, place.first)) {
            Ok(file) => file,
            // Too old by now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(place.offset))?;
        let mut file = BufReader::with_capacity(32 * 1024, file);
        let mut line = Vec::new();
        loop {
            if found.len() >= max_events {
                return Ok(true);
            }
            line.clear();
            file.read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                return Ok(false);
            }
            // A line that does not read is what is left of a failed write.
            if let Some(event) = parse(&line).filter(|event| event.seq > place.seq) {
                if !found.is_empty() && *bytes + line.len() > max_bytes {
                    return Ok(true);
                }
                *bytes += line.len();
                place.seq = event.seq;
                found.push(event);
            }
            place.offset += line.len() as u64 + 1;
        }
    }
}

fn parse(line: &[u8]) -> Option<TranscriptEvent> {
    serde_json::from_slice(line).ok()
}
