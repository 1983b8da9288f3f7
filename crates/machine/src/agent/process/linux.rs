//! Linux: `/proc`, process descriptors and the subreaper.

use super::{ProcessStat, Signalled};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

pub(super) fn stat(pid: u32) -> Option<ProcessStat> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

pub(super) fn all() -> Vec<ProcessStat> {
    pids().filter_map(stat).collect()
}

pub(super) fn with_environment_entry(name: &str, value: &str) -> Vec<ProcessStat> {
    let entry = format!("{name}={value}");
    pids()
        .filter(|pid| {
            // Unreadable ones belong to other users.
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|found| found == entry.as_bytes()))
        })
        .filter_map(stat)
        .collect()
}

pub(super) fn signal_if(pid: u32, start_time: u64, signal: Signal) -> io::Result<Signalled> {
    let descriptor = match open(pid) {
        Ok(descriptor) => descriptor,
        Err(Errno::SRCH) => return Ok(Signalled::Gone),
        Err(error) => return Err(error.into()),
    };
    // The descriptor holds the process: if the start time fits now, the signal cannot reach another one.
    if stat(pid).is_none_or(|stat| stat.start_time != start_time) {
        return Ok(Signalled::Gone);
    }
    match pidfd_send_signal(&descriptor, signal) {
        Ok(()) => Ok(Signalled::Sent),
        Err(Errno::SRCH) => Ok(Signalled::Gone),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn memory(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

pub(super) fn watch(pid: u32) -> io::Result<OwnedFd> {
    Ok(open(pid)?)
}

fn open(pid: u32) -> Result<OwnedFd, Errno> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    pidfd_open(pid, PidfdFlags::empty())
}

fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Reads `/proc/PID/stat`. The second field is the program's name in parentheses and may itself hold any character.
fn parse_stat(pid: u32, text: &str) -> Option<ProcessStat> {
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the line: the fields after the name begin with field 3, two of which are read.
    let start_time = fields.nth(17)?.parse().ok()?;
    Some(ProcessStat { pid, parent, start_time, zombie: matches!(state, "Z" | "X" | "x"), stopped: state == "T" })
}

#[cfg(test)]
mod tests {
    use super::parse_stat;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) Z 1 (b)) S 7 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 10 11";
        let stat = parse_stat(42, line).unwrap();
        assert_eq!((stat.parent, stat.start_time, stat.zombie), (7, 123_456, false));
        assert_eq!(parse_stat(1, "1 (short) S 1"), None);
        assert_eq!(parse_stat(1, ""), None);
    }
}
