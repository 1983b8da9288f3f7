//! The daemon's session at its server: credential, registration, opening, subscription, and calls that are made again until
//! they are answered.
//!
//! What can pass by itself is waited for: a network that is away, a server that restarts. A credential that was revoked is
//! replaced when somebody signs in anew; until then the daemon waits and its agents go on.

use super::steady::SteadyClock;
use super::supervisor::{Event, Offer};
use super::{Connection, DaemonError};
use crate::identity::{self, MachineFile};
use crate::link::backoff::{self, Backoff};
use crate::link::fixed_token;
use crate::{CallError, Client, Home, Link, LinkEvent, Secret, ServerUrl, credentials};
use chatroom_protocol::agent::AgentReport;
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::machines::{
    AckCommand, AckCommandArgs, GetPendingCommands, GetPendingCommandsArgs, ListMachines, OpenDaemonSession,
    OpenDaemonSessionArgs, Register,
};
use chatroom_protocol::command::Ack;
use chatroom_protocol::id::{CommandId, DaemonSessionId, MachineId};
use chatroom_protocol::{ErrorCode, Function};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// First and longest pause between tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// Between looks whether somebody has signed in.
const LOGIN_LOOK: Duration = Duration::from_secs(1);
/// Between questions whether a machine whose credential is refused is still there.
const REMOVAL_LOOK: Duration = Duration::from_secs(30);
/// A session that ends sooner is not opened again at once.
const SHORT: Duration = Duration::from_secs(5);

/// An open session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) epoch: i64,
    /// The daemon's connection; it ends with the session.
    pub(super) link: Link,
    end: CancellationToken,
}

/// Keeps a session open.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) home: Home,
    pub(super) server: ServerUrl,
    pub(super) cli_path: PathBuf,
    pub(super) machine_id: MachineId,
    pub(super) session_id: DaemonSessionId,
    pub(super) boot_id: String,
    pub(super) clock: SteadyClock,
    pub(super) current: watch::Sender<Option<Session>>,
    pub(super) connection: watch::Sender<Connection>,
    pub(super) inventory: watch::Receiver<Vec<AgentReport>>,
    /// Whether detection has found tools in this life of the daemon.
    pub(super) detected: watch::Receiver<bool>,
    pub(super) events: mpsc::Sender<Event>,
    /// Woken when a call found out that the session is no good.
    pub(super) renew: Notify,
    /// Woken when a heartbeat is due at once.
    pub(super) beat: Notify,
}

/// What is known of credentials from one try to the next.
#[derive(Debug, Default)]
struct Memory {
    /// Whether a session was open before.
    opened: bool,
    /// The machine credential that the server refused.
    refused: Option<Secret>,
    /// The login of the user when the session was open: it does not register a machine again that its owner removed.
    login: Option<Secret>,
    /// Whether that login saw this machine among its own while the session was open.
    is_owners: bool,
    /// When it was asked last whether the machine is still there.
    asked: Option<Instant>,
    /// Whether the machine is not there any more.
    is_removed: bool,
}

/// Why there is no session yet.
enum Trouble {
    /// It passes by itself.
    Later(String),
    /// Somebody has to sign in.
    Login(String),
    /// The daemon cannot begin.
    Fatal(DaemonError),
}

/// Why a session is not followed any more.
enum Left {
    Renew,
    Superseded,
}

impl Sessions {
    /// Keeps a session open until the daemon ends. Returns only when it cannot begin.
    pub(super) async fn run(&self) -> DaemonError {
        let mut memory = Memory::default();
        loop {
            let session = match self.establish(&mut memory).await {
                Ok(session) => session,
                Err(error) => return error,
            };
            let begun = Instant::now();
            self.current.send_replace(Some(session.clone()));
            let owner = async {
                match memory.login.clone() {
                    Some(login) => self.is_listed(&login).await == Some(true),
                    None => false,
                }
            };
            let (left, is_owners) = tokio::join!(self.follow(&session), owner);
            memory.is_owners = is_owners;
            self.current.send_replace(None);
            match left {
                Left::Superseded => {
                    let _ = self.events.send(Event::Superseded).await;
                    std::future::pending::<()>().await;
                }
                Left::Renew if begun.elapsed() < SHORT => sleep(LOGIN_LOOK).await,
                Left::Renew => {}
            }
        }
    }

    /// Tells how the daemon stands with its server.
    pub(super) fn set_connection(&self, connection: Connection) {
        self.connection.send_if_modified(|now| {
            if *now == connection || *now == Connection::Stopping {
                return false;
            }
            match &connection {
                Connection::Connected => tracing::info!(server = %self.server, "connected"),
                Connection::Retrying { reason } => tracing::warn!(server = %self.server, "not connected: {reason}"),
                Connection::WaitingForLogin { reason } => {
                    tracing::warn!(server = %self.server, "waiting for a login: {reason}");
                }
                Connection::Connecting | Connection::Stopping => {}
            }
            *now = connection;
            true
        });
    }

    /// Says something about a command until the server has answered it. None: it refuses to listen.
    pub(super) async fn ack(&self, command: &CommandId, ack: &Ack) -> Option<Value> {
        let answer = self
            .call(|session| {
                let args = AckCommandArgs {
                    machine_id: self.machine_id.clone(),
                    epoch: session.epoch,
                    command_id: command.clone(),
                    ack: ack.clone(),
                };
                async move {
                    let args = serde_json::to_value(&args).map_err(|error| CallError::Protocol(error.to_string()))?;
                    session.client.call_untyped(AckCommand::NAME, args).await
                }
            })
            .await;
        answer.inspect_err(|error| tracing::error!(command.id = %command, %error, "the server refuses an ack")).ok()
    }

    /// Makes a call in the session, again and again until it is answered. What it does must be idempotent.
    ///
    /// # Errors
    /// A refusal that will not pass.
    pub(super) async fn call<T, C>(&self, make: impl Fn(Session) -> C) -> Result<T, CallError>
    where
        C: Future<Output = Result<T, CallError>>,
    {
        let mut pauses = Backoff::new(PAUSES.0, PAUSES.1, backoff::random());
        let mut current = self.current.subscribe();
        loop {
            let session = current.wait_for(Option::is_some).await.ok().and_then(|session| session.clone());
            // Without a keeper there will be no session any more.
            let Some(session) = session else { std::future::pending().await };
            match make(session).await {
                Err(error) if error.is_retryable() => sleep(pauses.next()).await,
                Err(error) if error.code() == Some(ErrorCode::Unauthenticated) => {
                    self.renew.notify_one();
                    let _ = timeout(SHORT, current.changed()).await;
                }
                answer => return answer,
            }
        }
    }

    async fn establish(&self, memory: &mut Memory) -> Result<Session, DaemonError> {
        let mut pauses = Backoff::new(PAUSES.0, PAUSES.1, backoff::random());
        loop {
            match self.try_establish(memory).await {
                Ok(session) => return Ok(session),
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Later(reason)) => {
                    self.set_connection(Connection::Retrying { reason });
                    sleep(pauses.next()).await;
                }
                Err(Trouble::Login(reason)) => {
                    self.set_connection(Connection::WaitingForLogin { reason });
                    sleep(LOGIN_LOOK).await;
                }
            }
        }
    }

    async fn try_establish(&self, memory: &mut Memory) -> Result<Session, Trouble> {
        let home = self.home.clone();
        let stored = match spawn_blocking(move || credentials::load(&home)).await {
            Ok(Ok(stored)) => stored,
            Ok(Err(error)) if memory.opened => return Err(Trouble::Login(error.to_string())),
            Ok(Err(error)) => return Err(fatal(error.to_string(), Some(error.hint()))),
            Err(error) => return Err(Trouble::Later(error.to_string())),
        };
        let login = stored.login(&self.server).cloned().unwrap_or_default();
        let from_env = credentials::process_env("CHATROOM_TOKEN").filter(|token| !token.is_empty());
        let user_token = from_env.map(Secret::from).or(login.user_token);
        let own = login.machine_token.filter(|_| login.machine_id.as_ref() == Some(&self.machine_id));
        let token = match own.filter(|token| memory.refused.as_ref() != Some(token)) {
            Some(token) => token,
            None => self.register(memory, user_token.as_ref()).await?,
        };
        let (client, credential) = (self.client(&token)?, token.clone());
        let args = OpenDaemonSessionArgs {
            machine_id: self.machine_id.clone(),
            session_id: self.session_id.clone(),
            boot_id: self.boot_id.clone(),
            agents: self.inventory.borrow().clone(),
        };
        let asked = self.clock.now();
        let opened = match client.call::<OpenDaemonSession>(&args).await {
            Ok(opened) => opened,
            Err(error) => {
                if matches!(error.code(), Some(ErrorCode::Unauthenticated | ErrorCode::NotFound)) {
                    memory.refused = Some(token);
                    return Err(Trouble::Later(
                        "the server does not take this machine's credential any more".to_owned(),
                    ));
                }
                return Err(passing(memory, error));
            }
        };
        // The server's clock was read somewhere between question and answer.
        let answered = self.clock.now();
        let between = asked + answered.since(asked) / 2;
        *memory = Memory { opened: true, login: user_token, ..Memory::default() };
        let opened_event =
            Event::SessionOpened { clock_offset_ms: opened.server_time.0 - between.0, unwanted: opened.unwanted };
        let _ = self.events.send(opened_event).await;
        tracing::info!(machine.id = %self.machine_id, epoch = opened.epoch, "daemon session opened");
        let end = CancellationToken::new();
        let link = Link::open(&self.server, fixed_token(credential), end.clone());
        Ok(Session { client, epoch: opened.epoch, link, end })
    }

    /// Registers this machine as the user who is signed in; gives the machine's new credential.
    async fn register(&self, memory: &mut Memory, login: Option<&Secret>) -> Result<Secret, Trouble> {
        let Some(login) = login else {
            return Err(not_signed_in(memory, "nobody is signed in on this machine", &self.server));
        };
        if memory.opened && memory.login.as_ref() == Some(login) {
            self.look_for_removal(memory, login).await;
            let reason = match memory.is_removed {
                true => "its owner has removed this machine",
                false => "the server does not take this machine's credential any more",
            };
            return Err(Trouble::Login(reason.to_owned()));
        }
        let machine = self.machine().await?;
        let client = self.client(login)?;
        let registered = match client.call::<Register>(&machine.register_args(&self.cli_path, true)).await {
            Ok(registered) => registered,
            Err(error) if error.code() == Some(ErrorCode::Unauthenticated) => {
                return Err(not_signed_in(memory, "the login on this machine is not valid any more", &self.server));
            }
            Err(error) => return Err(passing(memory, error)),
        };
        let Some(token) = registered.credential.map(Secret::from) else {
            return Err(fatal("the server gave this machine no credential".to_owned(), None));
        };
        let (home, server, machine_id, kept) =
            (self.home.clone(), self.server.clone(), self.machine_id.clone(), token.clone());
        let stored = spawn_blocking(move || {
            credentials::update(&home, |credentials| {
                let login = credentials.login_mut(&server);
                login.machine_token = Some(kept);
                login.machine_id = Some(machine_id);
            })
        });
        match stored.await {
            Ok(Ok(())) => {}
            // It works for this life of the daemon.
            Ok(Err(error)) => tracing::error!(%error, "this machine's credential cannot be stored"),
            Err(error) => tracing::error!(%error, "this machine's credential cannot be stored"),
        }
        Ok(token)
    }

    /// A credential that is refused may be no more than revoked. Only when the user whose machine this is does not have it any
    /// more, the agents of it end: nobody could stop them from the server.
    async fn look_for_removal(&self, memory: &mut Memory, login: &Secret) {
        let is_due = memory.asked.is_none_or(|asked| asked.elapsed() >= REMOVAL_LOOK);
        if !memory.is_owners || memory.is_removed || !is_due {
            return;
        }
        memory.asked = Some(Instant::now());
        if self.is_listed(login).await == Some(false) {
            memory.is_removed = true;
            let agents: Vec<_> = self.inventory.borrow().iter().map(|agent| agent.agent_id.clone()).collect();
            tracing::warn!(agents = agents.len(), "this machine is removed; its agents end");
            let _ = self.events.send(Event::Unwanted(agents)).await;
        }
    }

    /// Whether this machine is one of those of the user who is signed in; none when the server does not say.
    async fn is_listed(&self, login: &Secret) -> Option<bool> {
        let client = self.client(login).ok()?;
        let machines = timeout(SHORT, client.call::<ListMachines>(&Empty {})).await.ok()?.ok()?;
        Some(machines.iter().any(|machine| machine.machine_id == self.machine_id))
    }

    /// This machine as `machine.json` tells it. The first time it waits for the tools to be found, so that they are known
    /// when the machine is.
    async fn machine(&self) -> Result<MachineFile, Trouble> {
        for _ in 0..2 {
            let home = self.home.clone();
            let machine = match spawn_blocking(move || identity::load(&home)).await {
                Ok(Ok(Some(machine))) => machine,
                Ok(Ok(None)) => {
                    return Err(fatal("machine.json is gone".to_owned(), Some("start the daemon again".to_owned())));
                }
                Ok(Err(error)) => return Err(fatal(error.to_string(), Some(error.hint()))),
                Err(error) => return Err(Trouble::Later(error.to_string())),
            };
            if !machine.available_tools.is_empty() || *self.detected.borrow() {
                return Ok(machine);
            }
            let _ = timeout(Duration::from_secs(30), self.detected.clone().wait_for(|detected| *detected)).await;
        }
        Err(Trouble::Later("the tools of this machine are still being looked for".to_owned()))
    }

    fn client(&self, token: &Secret) -> Result<Client, Trouble> {
        Client::new(&self.server, Some(token.clone())).map_err(|error| Trouble::Later(error.to_string()))
    }

    /// Follows the commands of a session until it is no good any more.
    async fn follow(&self, session: &Session) -> Left {
        let _ends = session.end.clone().drop_guard();
        let args = GetPendingCommandsArgs { machine_id: self.machine_id.clone(), epoch: session.epoch };
        let args = serde_json::to_value(&args).unwrap_or(Value::Null);
        // As it comes: a command of an unknown type must not hide the others.
        let mut subscription = session.link.subscribe_untyped(GetPendingCommands::NAME, args);
        loop {
            let event = tokio::select! {
                event = subscription.next() => event,
                () = self.renew.notified() => return Left::Renew,
            };
            match event {
                None => return Left::Renew,
                Some(LinkEvent::Up) => self.beat.notify_one(),
                Some(LinkEvent::Down { reason }) => self.set_connection(Connection::Retrying { reason }),
                Some(LinkEvent::Refused(refusal)) => match refusal.code {
                    ErrorCode::Superseded => return Left::Superseded,
                    ErrorCode::Unauthenticated | ErrorCode::NotFound | ErrorCode::BadRequest => return Left::Renew,
                    _ => self.set_connection(Connection::Retrying { reason: refusal.message }),
                },
                Some(LinkEvent::Value(value)) => {
                    let Some(offers) = read_offers(&value) else { return Left::Superseded };
                    self.set_connection(Connection::Connected);
                    if self.events.send(Event::Offers(offers)).await.is_err() {
                        return Left::Renew;
                    }
                }
            }
        }
    }
}

/// Reads the answer of `machines.getPendingCommands`; none when the session is superseded.
fn read_offers(value: &Value) -> Option<Vec<Offer>> {
    if value.get("session").and_then(Value::as_str) == Some("superseded") {
        return None;
    }
    let commands = value.get("commands").and_then(Value::as_array);
    Some(commands.into_iter().flatten().filter_map(Offer::read).collect())
}

/// A call that failed: later, unless the daemon has never been connected and the server says why it never will be.
fn passing(memory: &Memory, error: CallError) -> Trouble {
    if error.is_retryable() || memory.opened || error.code() == Some(ErrorCode::Conflict) {
        return Trouble::Later(describe(&error));
    }
    fatal(describe(&error), error.hint())
}

fn not_signed_in(memory: &Memory, message: &str, server: &ServerUrl) -> Trouble {
    if memory.opened {
        return Trouble::Login(message.to_owned());
    }
    fatal(message.to_owned(), Some(format!("chatroom auth login --server={server}")))
}

fn fatal(message: String, hint: Option<String>) -> Trouble {
    Trouble::Fatal(DaemonError::Start { message, hint })
}

/// An error with what is behind it, on one line.
fn describe(error: &CallError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_of_an_unknown_type_does_not_hide_the_others() {
        let value = json!({"session": "current", "commands": [
            {"commandId": "c1", "type": "sing", "payload": {}, "claimedBefore": false, "createdAt": 1, "expiresAt": 2},
            {"commandId": "c2", "type": "ping", "payload": {}, "claimedBefore": true, "createdAt": 1, "expiresAt": 2},
            {"no": "id"},
        ]});
        let offers = read_offers(&value).unwrap();
        assert_eq!(offers.len(), 2);
        assert_eq!(offers[0].request, Err("sing".to_owned()));
        assert!(offers[1].claimed_before && offers[1].request.is_ok());
        assert_eq!(read_offers(&json!({"session": "superseded"})), None);
    }
}
