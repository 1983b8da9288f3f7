//! The host's socket: daemons of this user give orders and hear how the session stands.

use super::super::run_dir::RunDir;
use crate::socket_path::with_address;
use chatroom_protocol::host::{HostOrder, HostState};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Daemons that are connected at a time. One is usual; one that has died may still be there.
const MAX_CONNECTIONS: usize = 4;
/// Bytes of one order at most.
const MAX_ORDER: usize = 4 * 1024 * 1024;
/// New events alone are told so seldom at most.
const EVENTS_PAUSE: Duration = Duration::from_millis(100);

/// The socket with everybody who is connected.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    told: Option<HostState>,
    told_at: Instant,
    is_over: bool,
}

impl Control {
    /// Opens the socket of `run`, for this user alone.
    pub(super) fn bind(run: &RunDir) -> io::Result<Self> {
        let path = run.control_socket();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // In a directory that is closed to others: nobody comes in before the mode is set.
        let listener = with_address(&path, |path| UnixListener::bind(path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path, connections: Vec::new() })
    }

    /// What to wait for: the listener, then each connection, with whether there is something to be written to it.
    pub(super) fn watched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, bool)> {
        let connections = self.connections.iter().map(|open| (open.stream.as_fd(), !open.outgoing.is_empty()));
        std::iter::once((self.listener.as_fd(), false)).chain(connections)
    }

    /// Takes in who knocks and what is said. Orders that do not read are let be: they are of another version.
    pub(super) fn hear(&mut self) -> Vec<HostOrder> {
        let mut orders = Vec::new();
        for connection in &mut self.connections {
            connection.hear(&mut orders);
            connection.send();
        }
        self.connections.retain(|connection| !connection.is_over);
        while let Ok((stream, _)) = self.listener.accept() {
            let fits = self.connections.len() < MAX_CONNECTIONS && is_ours(&stream);
            if fits && stream.set_nonblocking(true).is_ok() {
                self.connections.push(Connection {
                    stream,
                    incoming: Vec::new(),
                    outgoing: Vec::new(),
                    told: None,
                    told_at: Instant::now(),
                    is_over: false,
                });
            }
        }
        orders
    }

    /// Tells everybody how the session stands, where that is news. Gives how long news of events alone has to wait.
    pub(super) fn tell(&mut self, state: &HostState) -> Option<Duration> {
        self.connections.iter_mut().filter_map(|connection| connection.tell(state)).min()
    }

    /// Closes the socket.
    pub(super) fn close(self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Connection {
    fn hear(&mut self, orders: &mut Vec<HostOrder>) {
        let mut buffer = [0; 16 * 1024];
        // A little each round, so that nobody keeps the others waiting.
        for _ in 0..16 {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.is_over = true;
                    break;
                }
                Ok(count) => self.incoming.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.is_over = true;
                    break;
                }
            }
        }
        while let Some(end) = self.incoming.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.incoming.drain(..=end).collect();
            orders.extend(serde_json::from_slice::<HostOrder>(&line).ok());
        }
        self.is_over |= self.incoming.len() > MAX_ORDER;
    }

    fn tell(&mut self, state: &HostState) -> Option<Duration> {
        if !self.outgoing.is_empty() || self.told.as_ref() == Some(state) {
            return None;
        }
        let events_alone = self.told.as_ref().is_some_and(|told| told.turn == state.turn && told.work == state.work);
        if events_alone && let Some(left) = EVENTS_PAUSE.checked_sub(self.told_at.elapsed()) {
            return Some(left);
        }
        if let Ok(mut line) = serde_json::to_vec(state) {
            line.push(b'\n');
            self.outgoing = line;
        }
        self.told = Some(state.clone());
        self.told_at = Instant::now();
        self.send();
        None
    }

    fn send(&mut self) {
        while !self.outgoing.is_empty() && !self.is_over {
            match self.stream.write(&self.outgoing) {
                Ok(0) => self.is_over = true,
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.is_over = true,
            }
        }
    }
}

/// Whether the process at the other end is this user's. Where the system does not tell, the directory keeps others out.
fn is_ours(stream: &UnixStream) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::geteuid());
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        true
    }
}
