//! Unix sockets by path, however long the path is.

use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// The longest path that every system takes as the address of a socket.
const MAX_PATH: usize = 100;

/// Uses a path as the address of a socket, also when it is too long for one.
///
/// # Errors
/// The path is too long and this system knows no way round it, or whatever `with` fails with.
pub(crate) fn with_address<T>(path: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= MAX_PATH {
        return with(path);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    if !cfg!(target_os = "linux") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is too long for a socket"));
    }
    let directory = rustix::fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    with(&Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}
