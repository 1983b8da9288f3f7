//! The journal of a session: every event of its transcript, appended to files in the run directory before anybody hears of it.
//!
//! A journal is segments named by the number of their first event (`transcript.1.jsonl`), of which the oldest goes when there
//! are too many. The host alone writes, once from its beginning to its end; the daemon reads what is new, again and again. A
//! host may be killed in the middle of a line: a line without its end was never said. A full disk loses events, with a mark
//! where they would stand, and never the agent.

mod cut;
mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of one segment at most.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// Segments of one journal at most.
const SEGMENTS: usize = 16;

/// The segment whose first event has the number `first`.
fn segment(dir: &Path, first: i64) -> PathBuf {
    dir.join(format!("transcript.{first}.jsonl"))
}

/// The first numbers of all segments, in order.
fn segments(dir: &Path) -> io::Result<Vec<i64>> {
    let number = |name: &str| name.strip_prefix("transcript.")?.strip_suffix(".jsonl")?.parse().ok();
    let mut found: Vec<i64> = match fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|entry| number(entry.ok()?.file_name().to_str()?)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests;
