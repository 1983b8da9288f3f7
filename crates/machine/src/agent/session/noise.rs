//! What a tool writes outside of its protocol, bounded: a tool that floods must not fill its transcript.

use chatroom_protocol::UnixMs;
use chatroom_protocol::transcript::Entry;

/// Bytes of one line that are kept.
const LINE_BYTES: usize = 2 * 1024;
/// Bytes of one entry.
const ENTRY_BYTES: usize = 8 * 1024;
/// Entries of one session.
const ENTRIES: u32 = 200;
/// One entry in so many milliseconds at most.
const PAUSE_MS: i64 = 1_000;

/// Gathers lines to a few entries.
#[derive(Debug, Default)]
pub(super) struct Noise {
    text: String,
    left_out: u64,
    entries: u32,
    /// When the next entry may be told.
    not_before: Option<UnixMs>,
}

impl Noise {
    /// A line. Gives an entry when one may be told now.
    pub(super) fn hear(&mut self, line: &str, now: UnixMs) -> Option<Entry> {
        if self.entries >= ENTRIES {
            return None;
        }
        let kept = &line[..line.floor_char_boundary(LINE_BYTES)];
        if self.text.len() + kept.len() > ENTRY_BYTES {
            self.left_out += 1;
        } else {
            self.text.push_str(kept);
            if kept.len() < line.len() {
                self.text.push('…');
            }
            self.text.push('\n');
        }
        self.tick(now)
    }

    /// Gives what was gathered, when its time has come.
    pub(super) fn tick(&mut self, now: UnixMs) -> Option<Entry> {
        let waits = self.not_before.is_some_and(|time| now < time && time.since(now) <= PAUSE_MS);
        if waits { None } else { self.take(now) }
    }

    /// When [`Self::tick`] has something to give.
    pub(super) fn deadline(&self) -> Option<UnixMs> {
        self.not_before.filter(|_| !self.text.is_empty())
    }

    /// Gives what is left.
    pub(super) fn rest(&mut self) -> Option<Entry> {
        self.take(UnixMs(0))
    }

    fn take(&mut self, now: UnixMs) -> Option<Entry> {
        if self.text.is_empty() {
            return None;
        }
        let mut text = std::mem::take(&mut self.text);
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            text.push_str(&format!("[{left_out} lines were left out]\n"));
        }
        self.entries += 1;
        if self.entries == ENTRIES {
            text.push_str("[what else it writes like this is in its log alone]\n");
        }
        self.not_before = Some(now + PAUSE_MS);
        Some(Entry::Output { text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_one_entry_a_second_and_ends() {
        let mut noise = Noise::default();
        let mut told = 0;
        let mut bytes = 0;
        for now in 0..1_000_000 {
            if let Some(Entry::Output { text }) = noise.hear(&"x".repeat(300), UnixMs(now)) {
                told += 1;
                bytes += text.len();
            }
        }
        assert_eq!(told, ENTRIES);
        assert!(bytes < 200 * 9 * 1024);
        assert_eq!(noise.deadline(), None);
    }

    #[test]
    fn a_line_is_told_at_once_and_the_next_after_its_pause() {
        let mut noise = Noise::default();
        let told = |text: &str| Some(Entry::Output { text: text.to_owned() });
        assert_eq!(noise.hear("one", UnixMs(5)), told("one\n"));
        assert_eq!(noise.hear("two", UnixMs(6)), None);
        assert_eq!(noise.deadline(), Some(UnixMs(1005)));
        assert_eq!(noise.tick(UnixMs(1005)), told("two\n"));
        assert_eq!(noise.deadline(), None);
    }
}
