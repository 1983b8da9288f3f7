//! Lines from bytes that a tool writes, of bounded length.

/// Bytes of a line at most; of a longer one the beginning is told, and how long it was.
const LINE_BYTES: usize = 8 * 1024 * 1024;
/// Bytes that are told of a line that is too long.
const TOLD_BYTES: usize = 1024;
/// Memory that is kept for the next line.
const KEPT_BYTES: usize = 64 * 1024;

/// Gathers lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    /// Bytes of a line that is too long, since it was that.
    skipped: usize,
}

impl Lines {
    /// Takes more bytes in and gives each line that is whole now.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_end) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            if self.skipped > 0 || self.partial.len() + text.len() > LINE_BYTES {
                if self.skipped == 0 {
                    self.skipped = self.partial.len();
                    self.partial.extend_from_slice(&text[..text.len().min(TOLD_BYTES)]);
                    self.partial.truncate(TOLD_BYTES);
                    self.partial.shrink_to_fit();
                }
                self.skipped += text.len();
            } else {
                self.partial.extend_from_slice(text);
            }
            if is_end {
                each(self.take());
            }
        }
    }

    /// Gives what was written without an end, when nothing more will come.
    pub(super) fn rest(&mut self) -> Option<String> {
        (!self.partial.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let mut line = String::from_utf8_lossy(&self.partial).into_owned();
        if self.skipped > 0 {
            line.push_str(&format!("… [a line of {} bytes was cut]", self.skipped));
            self.skipped = 0;
        }
        self.partial.clear();
        self.partial.shrink_to(KEPT_BYTES);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_the_bytes_come() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in ["a", "b\nc\n\nd", "\n", "é\n", "rest"] {
            lines.push(piece.as_bytes(), |line| found.push(line));
        }
        assert_eq!(found, ["ab", "c", "", "d", "é"]);
        assert_eq!(lines.rest().as_deref(), Some("rest"));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_end_is_cut_and_costs_no_memory() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..1000 {
            lines.push(&piece, |line| found.push(line));
            assert!(lines.partial.capacity() <= 2 * LINE_BYTES);
        }
        assert!(lines.partial.capacity() <= KEPT_BYTES);
        lines.push(b"\nnext\n", |line| found.push(line));
        assert_eq!(found.len(), 2);
        assert!(found[0].len() < 1200 && found[0].ends_with("[a line of 65536000 bytes was cut]"), "{}", found[0]);
        assert_eq!(found[1], "next");
    }
}
