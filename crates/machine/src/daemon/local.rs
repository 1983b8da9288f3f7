//! The daemon's socket for processes of this user that wait for a task: one connection is one wait.
//!
//! The daemon waits for all of them over its own connection to the server; a waiter costs the server a subscription and no
//! socket. It never lends its own authority: what a waiter joins, claims and gives back is called with the credential that the
//! waiting process presents, and the socket knows no other request. What it cannot do, the process does itself, with the same
//! waiter id. A task that the process has not said to have printed is given back.

use super::session::{Session, Sessions};
use crate::home::Home;
use crate::socket_path::with_address;
use crate::tools::Detection;
use crate::waiter::{self, Notice, UNKNOWN_TOOL, Waited, Waiter};
use crate::{Secret, ServerUrl};
use chatroom_protocol::ErrorCode;
use chatroom_protocol::api::tasks::WaiterArgs;
use chatroom_protocol::id::MachineId;
use chatroom_protocol::local::{ByHand, DaemonWord, VERSION, WaitRequest, WaiterWord};
use chatroom_protocol::task::Delivery;
use chatroom_protocol::tool::ToolStatus;
use rustix::process::geteuid;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Waits at a time. The server bounds the subscriptions of one connection by 1,000.
pub(super) const MAX_WAITS: usize = 900;
/// What a process may say in all, in bytes.
const MAX_SAID: u64 = 64 * 1024;
/// For the request to come.
const ASK: Duration = Duration::from_secs(5);
/// Without a session for so long, a waiter is better off by itself.
const NO_SESSION: Duration = Duration::from_secs(3);
/// Pause before a join that found no server is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// What waits are served with.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) home: Home,
    pub(super) server: ServerUrl,
    pub(super) machine_id: MachineId,
    pub(super) sessions: Arc<Sessions>,
    pub(super) detection: watch::Receiver<Option<Arc<Detection>>>,
    pub(super) detect_again: Arc<Notify>,
    pub(super) free: Arc<Semaphore>,
}

/// How a wait ended.
enum Ended {
    Task(Box<Delivery>, Waiter),
    Superseded(String),
    Direct(String),
    /// The process is gone.
    Gone,
}

/// Connects to the daemon of `home`, if one listens there. The directory and the process at the other end are this user's.
///
/// # Errors
/// Nobody listens, or somebody who is not this user.
pub fn connect(home: &Home) -> io::Result<BlockingStream> {
    let directory = fs::metadata(home.path())?;
    if directory.uid() != geteuid().as_raw() || directory.permissions().mode() & 0o022 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the chatroom directory is open to others"));
    }
    let stream = with_address(&home.daemon_socket(), |path| BlockingStream::connect(path))?;
    #[cfg(target_os = "linux")]
    if rustix::net::sockopt::socket_peercred(&stream)?.uid != geteuid() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the socket belongs to another user"));
    }
    Ok(stream)
}

/// Opens the socket; what is left of an earlier daemon goes. The daemon's lock must be held.
pub(super) fn bind(home: &Home) -> io::Result<UnixListener> {
    let path = home.daemon_socket();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // In a directory that is closed to others: nobody comes in before the mode is set.
    let listener = with_address(&path, |path| UnixListener::bind(path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves waits until the daemon ends.
pub(super) async fn run(desk: Arc<Desk>, listener: UnixListener) {
    let mut waits = tokio::task::JoinSet::new();
    loop {
        while waits.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if !is_ours(&stream) => tracing::warn!("another user has tried the local socket"),
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                waits.spawn(async move {
                    if let Err(error) = attend(&desk, stream).await {
                        tracing::debug!(%error, "a waiting process is gone");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the local socket takes nobody in");
                sleep(RETRY).await;
            }
        }
    }
}

/// One connection from beginning to end.
async fn attend(desk: &Desk, stream: UnixStream) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader.take(MAX_SAID)).lines();
    let Ok(line) = timeout(ASK, lines.next_line()).await else { return Ok(()) };
    let Some(request) = line?.and_then(|line| serde_json::from_str::<WaitRequest>(&line).ok()) else {
        return say(&mut writer, &direct("the request is not one of this version")).await;
    };
    if request.version != VERSION || request.server != desk.server.as_str() {
        return say(&mut writer, &direct("this daemon is for another server or of another version")).await;
    }
    let Ok(_place) = Arc::clone(&desk.free).try_acquire_owned() else {
        return say(&mut writer, &direct("too many processes wait over this daemon")).await;
    };
    say(&mut writer, &DaemonWord::Accepted).await?;

    let over = CancellationToken::new();
    let (words, mut said) = mpsc::channel(16);
    let mut wait = pin!(desk.wait(request, &over, words));
    let mut heard = pin!(lines.next_line());
    let mut is_gone = false;
    let ended = loop {
        tokio::select! {
            ended = &mut wait => break ended,
            // Nothing is to be said before there is a task: the process has ended, however.
            _ = &mut heard, if !is_gone => {
                is_gone = true;
                over.cancel();
            }
            Some(word) = said.recv() => if say(&mut writer, &word).await.is_err() {
                over.cancel();
            }
        }
    };
    while let Ok(word) = said.try_recv() {
        // Whether it is there is seen below.
        let _ = say(&mut writer, &word).await;
    }
    match ended {
        Ended::Gone => Ok(()),
        Ended::Superseded(reason) => say(&mut writer, &DaemonWord::Superseded { reason }).await,
        Ended::Direct(reason) => say(&mut writer, &direct(&reason)).await,
        Ended::Task(delivery, waiter) => {
            let word = DaemonWord::Task { delivery };
            let is_told = !is_gone && say(&mut writer, &word).await.is_ok();
            // Its reader may be slow; its death is heard.
            let is_printed = is_told && heard.await.is_ok_and(|line| is_printed(line.as_deref()));
            if !is_printed && let DaemonWord::Task { delivery } = word {
                tracing::info!(task.id = %delivery.task.task_id, "a task was not printed and is given back");
                waiter.give_back(&delivery).await;
            }
            Ok(())
        }
    }
}

impl Desk {
    /// Waits for a process until there is a task, a newer waiter, or `over`.
    async fn wait(&self, request: WaitRequest, over: &CancellationToken, words: mpsc::Sender<DaemonWord>) -> Ended {
        let WaitRequest { token, chatroom_id, role, waiter_id, by_hand, of_person, .. } = request;
        let (token, is_of_person) = (Secret::from(token), of_person || by_hand.is_some());
        let args = WaiterArgs { chatroom_id, role, waiter_id };
        // Words in between may be left out: only the newest state counts.
        let tell = |word| drop(words.try_send(word));
        let mut by_hand = by_hand;
        let mut is_joined = false;
        loop {
            if over.is_cancelled() {
                return Ended::Gone;
            }
            let Some(session) = self.session().await else {
                return Ended::Direct("the daemon has no session at the server".to_owned());
            };
            let client = match session.client.with_token(token.clone()) {
                Ok(client) => client,
                Err(error) => return Ended::Direct(error.to_string()),
            };
            if let Some(known) = &by_hand {
                match self.remember(&client, &args, known.clone()).await {
                    Ok(true) => {}
                    Ok(false) => tell(DaemonWord::Note { text: UNKNOWN_TOOL.to_owned() }),
                    Err(error) if error.is_retryable() => {
                        tell(DaemonWord::Down { reason: error.to_string() });
                        pause(over).await;
                        continue;
                    }
                    Err(error) => return Ended::Direct(error.to_string()),
                }
                by_hand = None;
            }
            let waiter = Waiter::new(client, args.clone(), is_of_person.then(|| self.machine_id.clone()));
            match waiter.join().await {
                Ok(joined) => {
                    if !std::mem::replace(&mut is_joined, true) {
                        tell(DaemonWord::Joined { chatroom_name: joined.chatroom_name, role: joined.role });
                    }
                }
                Err(error) if error.is_retryable() => {
                    tell(DaemonWord::Down { reason: error.to_string() });
                    pause(over).await;
                    continue;
                }
                Err(error) if error.code() == Some(ErrorCode::Superseded) => {
                    return Ended::Superseded(error.to_string());
                }
                Err(error) => return Ended::Direct(error.to_string()),
            }
            let notice = |notice| {
                tell(match notice {
                    Notice::Down(reason) => DaemonWord::Down { reason },
                    Notice::Up => DaemonWord::Up,
                    Notice::Held(reason) => DaemonWord::Held { reason },
                });
            };
            match waiter.next(&session.link, over, notice).await {
                Ok(Waited::Task(delivery)) => return Ended::Task(delivery, waiter),
                Ok(Waited::Superseded(reason)) => return Ended::Superseded(reason),
                // The session has ended; there will be another one.
                Ok(Waited::Over) => {}
                Err(error) => return Ended::Direct(error.to_string()),
            }
        }
    }

    /// The session as it is, or as it will be soon.
    async fn session(&self) -> Option<Session> {
        let mut current = self.sessions.current.subscribe();
        let session = timeout(NO_SESSION, current.wait_for(Option::is_some)).await;
        session.ok()?.ok()?.clone()
    }

    async fn remember(
        &self,
        client: &crate::Client,
        args: &WaiterArgs,
        by_hand: ByHand,
    ) -> Result<bool, crate::CallError> {
        if let Some(tool) = &by_hand.tool {
            let detection = self.detection.borrow().clone();
            let is_known = detection.is_some_and(|found| {
                found
                    .reports
                    .iter()
                    .any(|report| report.name == *tool && !matches!(report.status, ToolStatus::Missing { .. }))
            });
            if !is_known {
                self.detect_again.notify_one();
            }
        }
        waiter::remember(&self.home, client, &self.machine_id, args, by_hand).await
    }
}

/// Whether the process at the other end is this user's.
fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw())
}

/// The pause before another try, unless the process is gone.
async fn pause(over: &CancellationToken) {
    tokio::select! {
        () = over.cancelled() => {}
        () = sleep(RETRY) => {}
    }
}

async fn say(writer: &mut OwnedWriteHalf, word: &DaemonWord) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

fn direct(reason: &str) -> DaemonWord {
    DaemonWord::Direct { reason: reason.to_owned() }
}

fn is_printed(line: Option<&str>) -> bool {
    line.is_some_and(|line| serde_json::from_str::<WaiterWord>(line).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{bind, connect, is_ours};
    use crate::Home;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    const HOME_VARIABLE: &str = "TEST_LOCAL_HOME";
    const NOBODY: u32 = 65_534;

    /// Not a test: connects as another user, past the client's own look at the directory.
    #[test]
    fn other_user() {
        let Some(home) = std::env::var_os(HOME_VARIABLE) else { return };
        let home = Home::at(home);
        assert!(connect(&home).is_err(), "the directory is somebody else's");
        let _stream = std::os::unix::net::UnixStream::connect(home.daemon_socket()).unwrap();
    }

    #[tokio::test]
    async fn only_processes_of_this_user_are_taken_in() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        let listener = bind(&home).unwrap();
        assert_eq!(fs::metadata(home.daemon_socket()).unwrap().permissions().mode() & 0o777, 0o600);
        let _own = connect(&home).unwrap();
        assert!(is_ours(&listener.accept().await.unwrap().0));
        if !rustix::process::geteuid().is_root() {
            // Nobody but root can become somebody else.
            return;
        }
        // Even with the doors open.
        for path in [root.path().to_owned(), home.daemon_socket()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let program = root.path().join("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut other = Command::new(program);
        other.args(["--exact", "daemon::local::tests::other_user"]).env(HOME_VARIABLE, home.path()).uid(NOBODY);
        let mut other = other.spawn().unwrap();
        assert!(!is_ours(&listener.accept().await.unwrap().0));
        assert!(other.wait().unwrap().success());
        // A directory that others can write into is not trusted by our own processes either.
        assert!(connect(&home).is_err());
    }
}
