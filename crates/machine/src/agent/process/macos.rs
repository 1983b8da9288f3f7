//! macOS: the `ps` and `sysctl` programs, written from their manual pages and **not tested**.
//!
//! There is no subreaper and no process descriptor here: an orphan is found by its run id, and there is an instant between
//! the comparison of the start time and the signal.

use super::{ProcessStat, Signalled};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

pub(super) fn boot_id() -> io::Result<String> {
    output("/usr/sbin/sysctl", &["-n", "kern.bootsessionuuid"]).map(|text| text.trim().to_owned())
}

pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

/// No program of the system tells this for one process without being root.
pub(super) fn memory(_pid: u32) -> Option<u64> {
    None
}

pub(super) fn stat(pid: u32) -> Option<ProcessStat> {
    let text = output("/bin/ps", &["-o", "pid=,ppid=,state=,lstart=", "-p", &pid.to_string()]).ok()?;
    text.lines().find_map(parse_line)
}

pub(super) fn all() -> Vec<ProcessStat> {
    let text = output("/bin/ps", &["-axo", "pid=,ppid=,state=,lstart="]).unwrap_or_default();
    text.lines().filter_map(parse_line).collect()
}

pub(super) fn with_environment_entry(name: &str, value: &str) -> Vec<ProcessStat> {
    // `-E` appends the environment to the command; only one's own processes show it.
    let text = output("/bin/ps", &["-axEww", "-o", "pid=,command="]).unwrap_or_default();
    let entry = format!("{name}={value}");
    text.lines()
        .filter(|line| line.split_ascii_whitespace().any(|word| word == entry))
        .filter_map(|line| stat(line.split_ascii_whitespace().next()?.parse().ok()?))
        .collect()
}

pub(super) fn signal_if(pid: u32, start_time: u64, signal: Signal) -> io::Result<Signalled> {
    if stat(pid).is_none_or(|stat| stat.start_time != start_time) {
        return Ok(Signalled::Gone);
    }
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(Signalled::Gone) };
    match kill_process(pid, signal) {
        Ok(()) => Ok(Signalled::Sent),
        Err(Errno::SRCH) => Ok(Signalled::Gone),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn watch(_pid: u32) -> io::Result<OwnedFd> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no process descriptors"))
}

fn output(program: &str, args: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(args).env("LC_ALL", "C").stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads `pid ppid state Wdy Mon dd hh:mm:ss yyyy`. The start becomes a number that only grows; its unit does not matter.
fn parse_line(line: &str) -> Option<ProcessStat> {
    let mut words = line.split_ascii_whitespace();
    let pid = words.next()?.parse().ok()?;
    let parent = words.next()?.parse().ok()?;
    let state = words.next()?;
    let (zombie, stopped) = (state.starts_with('Z'), state.starts_with('T'));
    let _weekday = words.next()?;
    let month = words.next()?;
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month)? as u64 / 3;
    let day: u64 = words.next()?.parse().ok()?;
    let mut seconds = 0;
    for part in words.next()?.split(':') {
        seconds = seconds * 60 + part.parse::<u64>().ok()?;
    }
    let year: u64 = words.next()?.parse().ok()?;
    Some(ProcessStat { pid, parent, start_time: ((year * 12 + month) * 31 + day) * 86_400 + seconds, zombie, stopped })
}
