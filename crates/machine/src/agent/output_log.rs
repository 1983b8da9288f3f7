//! What a tool prints, kept in two files of bounded size. A disk that is full loses output, it never stops the tool.

use super::run_dir::RunDir;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

/// The output of one run.
#[derive(Debug)]
pub(super) struct OutputLog {
    run: RunDir,
    limit_bytes: u64,
    written_bytes: u64,
    file: Option<File>,
}

impl OutputLog {
    pub(super) fn new(run: RunDir, limit_bytes: u64) -> Self {
        Self { run, limit_bytes: limit_bytes.max(1), written_bytes: 0, file: None }
    }

    /// Keeps `bytes`; the oldest output goes when there is too much.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        // One line may be longer than everything that is kept.
        for piece in bytes.chunks(usize::try_from(self.limit_bytes).unwrap_or(usize::MAX)) {
            if self.try_write(piece).is_err() {
                self.file = None;
            }
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.written_bytes + bytes.len() as u64 > self.limit_bytes && self.written_bytes > 0 {
            self.file = None;
            self.written_bytes = 0;
            fs::rename(self.run.output(), self.run.older_output())?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().append(true).create(true).mode(0o600).open(self.run.output())?),
        };
        self.written_bytes += bytes.len() as u64;
        file.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_output_is_kept_in_two_files_of_bounded_size() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::at(root.path());
        let mut log = OutputLog::new(run.clone(), 10);
        for round in 0..100 {
            log.write(format!("{round:03}\n").as_bytes());
        }
        let kept = fs::read_to_string(run.older_output()).unwrap() + &fs::read_to_string(run.output()).unwrap();
        assert!(kept.ends_with("098\n099\n"), "{kept}");
        assert!(kept.len() <= 20);
        log.write(&[b'x'; 1_005]);
        let bytes = |path| fs::metadata(path).unwrap().len();
        assert_eq!((bytes(run.older_output()), bytes(run.output())), (10, 5));
    }

    #[test]
    fn output_that_cannot_be_kept_is_lost_quietly() {
        let root = tempfile::tempdir().unwrap();
        let mut log = OutputLog::new(RunDir::at(root.path().join("missing")), 10);
        log.write(b"anything");
    }
}
