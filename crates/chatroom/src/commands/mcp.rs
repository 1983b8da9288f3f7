//! `chatroom mcp`: the agent of one role over the Model Context Protocol (stdio): the same functions as its shell commands.
//!
//! The server is bound to one room and one role; no tool takes them as an argument. A wait is bounded, because clients limit
//! how long a call may take, and says to call again; where a daemon runs, it waits over the daemon's connection. The process is one waiter: when the answer to a wait was lost, the next
//! wait gives the same hand-over again.

mod tools;

use crate::cli::Mcp;
use crate::commands::wait::State;
use crate::context::{Context, is_live, link, signed_in};
use crate::error::{refused, report};
use crate::local_wait::{Heard, Talk};
use anyhow::Result;
use chatroom_machine::credentials::Source;
use chatroom_machine::waiter::{Notice, Waited, Waiter};
use chatroom_machine::{Client, Home, Link};
use chatroom_protocol::api::tasks::WaiterArgs;
use chatroom_protocol::id::{ChatroomId, WaiterId};
use chatroom_protocol::local::{DaemonWord, VERSION, WaitRequest, WaiterWord};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, ServerInitializeError};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _};
use serde_json::Value;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Pause before a join that found no server is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Serves until the client closes standard input.
pub(crate) async fn run(context: &Context, args: Mcp) -> Result<()> {
    let resolved = context.resolve()?;
    let (room, role) = match (&resolved.source, args.chatroom_id, args.role) {
        (_, Some(room), Some(role)) => (room.into(), role),
        (Source::Agent(agent), room, role) => {
            (room.map_or_else(|| agent.chatroom_id.clone(), Into::into), role.unwrap_or_else(|| agent.role.clone()))
        }
        _ => {
            return Err(refused("no room and role are given, and this is no agent that the daemon started")
                .hint("chatroom mcp --chatroom-id=ID --role=ROLE")
                .into());
        }
    };
    let client = signed_in(&resolved)?;
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let slot = Slot {
        home: context.home.clone(),
        link: OnceLock::new(),
        end,
        is_of_person: !is_live(&resolved),
        client,
        room,
        role,
        waiter: Mutex::new(fresh()),
    };
    match (Server { slot: Arc::new(slot) }).serve(rmcp::transport::stdio()).await {
        Ok(running) => {
            running.waiting().await?;
        }
        // A client that has thought better of it.
        Err(ServerInitializeError::ConnectionClosed(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// One role of one room, and who calls for it.
struct Slot {
    home: Home,
    client: Client,
    /// A connection of its own, for as long as no daemon waits for it; opened when it is first needed.
    link: OnceLock<Link>,
    end: CancellationToken,
    /// Whether it calls with a person's credential, not an agent's.
    is_of_person: bool,
    room: ChatroomId,
    role: String,
    /// The waiter of this process; another one once it was superseded.
    waiter: Mutex<WaiterId>,
}

/// What came of a bounded wait.
enum Wait {
    Task(String),
    Superseded(String),
    NoTask(Option<String>),
}

impl Slot {
    /// Whether this is an agent that the daemon started: it brings the tasks.
    fn is_live(&self) -> bool {
        !self.is_of_person
    }

    /// Waits for a task, at most so long or until the call is cancelled. A task that came too late for the caller is given
    /// back.
    async fn wait(&self, limit: Duration, cancelled: &CancellationToken) -> Result<Wait> {
        let until = Instant::now() + limit;
        let waiter_id = self.waiter.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(done) = self.over_daemon(waiter_id.clone(), until, cancelled).await? {
            return Ok(done);
        }
        let args = WaiterArgs { chatroom_id: self.room.clone(), role: self.role.clone(), waiter_id };
        let waiter = Waiter::new(self.client.clone(), args, None);
        let over = cancelled.child_token();
        let timer = over.clone();
        let _timer = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep_until(until.into()).await;
            timer.cancel();
        }));
        let mut why = None;
        while let Err(error) = waiter.join().await {
            if error.code() == Some(chatroom_protocol::ErrorCode::Superseded) {
                return Ok(self.superseded(error.to_string()));
            }
            if !error.is_retryable() {
                return Err(error.into());
            }
            why = Some(error.to_string());
            tokio::select! {
                () = over.cancelled() => return Ok(Wait::NoTask(why)),
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        let mut state = State::default();
        let waited = waiter.next(self.link()?, &over, |notice| state.hear(notice)).await?;
        match waited {
            Waited::Task(delivery) if cancelled.is_cancelled() => {
                waiter.give_back(&delivery).await;
                Ok(Wait::NoTask(None))
            }
            Waited::Task(delivery) => Ok(Wait::Task(delivery.brief)),
            Waited::Superseded(reason) => Ok(self.superseded(reason)),
            Waited::Over => Ok(Wait::NoTask(state.reason().or(why))),
        }
    }

    /// Waits over the connection of this machine's daemon. None: there is no daemon, it does not do it, or it is gone; what is left
    /// of the wait is done without it, by the same waiter.
    async fn over_daemon(
        &self,
        waiter_id: WaiterId,
        until: Instant,
        cancelled: &CancellationToken,
    ) -> Result<Option<Wait>> {
        let Some(token) = self.client.token() else { return Ok(None) };
        let request = WaitRequest {
            version: VERSION,
            server: self.client.server().as_str().to_owned(),
            token: token.expose().to_owned(),
            chatroom_id: self.room.clone(),
            role: self.role.clone(),
            waiter_id,
            by_hand: None,
            of_person: self.is_of_person,
        };
        let home = self.home.clone();
        let begun = spawn_blocking(move || Talk::begin(&home, &request)).await?;
        let Ok(Some(talk)) = begun else { return Ok(None) };
        let connection = talk.connection()?;
        let mut listening = spawn_blocking(move || listen(talk, until));
        let heard = tokio::select! {
            heard = &mut listening => heard?,
            () = cancelled.cancelled() => {
                // The daemon gives back what nobody has said to have got.
                let _ = connection.shutdown(Shutdown::Both);
                let _ = listening.await;
                return Ok(Some(Wait::NoTask(None)));
            }
        };
        Ok(match heard? {
            Daemon::Task(mut talk, brief) => {
                let _ = talk.tell(&WaiterWord::Printed);
                Some(Wait::Task(brief))
            }
            Daemon::Superseded(reason) => Some(self.superseded(reason)),
            Daemon::Nothing(why) => Some(Wait::NoTask(why)),
            Daemon::Gone => None,
        })
    }

    fn link(&self) -> Result<&Link> {
        if let Some(link) = self.link.get() {
            return Ok(link);
        }
        let link = link(&self.client, &self.end)?;
        Ok(self.link.get_or_init(|| link))
    }

    fn superseded(&self, reason: String) -> Wait {
        *self.waiter.lock().unwrap_or_else(PoisonError::into_inner) = fresh();
        Wait::Superseded(reason)
    }
}

/// What came of a wait over the daemon.
enum Daemon {
    /// A task; it is given back unless the daemon is told that it was printed.
    Task(Talk, String),
    Superseded(String),
    /// None within the time, and why, if that is known.
    Nothing(Option<String>),
    Gone,
}

/// Listens to the daemon until there is something to tell. Blocks.
fn listen(mut talk: Talk, until: Instant) -> std::io::Result<Daemon> {
    let mut state = State::default();
    loop {
        match talk.hear(until)? {
            Heard::Word(DaemonWord::Task { delivery }) => return Ok(Daemon::Task(talk, delivery.brief)),
            Heard::Word(DaemonWord::Superseded { reason }) => return Ok(Daemon::Superseded(reason)),
            Heard::Word(DaemonWord::Down { reason }) => state.hear(Notice::Down(reason)),
            Heard::Word(DaemonWord::Up) => state.hear(Notice::Up),
            Heard::Word(DaemonWord::Held { reason }) => state.hear(Notice::Held(reason)),
            Heard::Word(DaemonWord::Accepted | DaemonWord::Joined { .. } | DaemonWord::Note { .. }) => {}
            Heard::Word(DaemonWord::Direct { .. }) | Heard::End => return Ok(Daemon::Gone),
            Heard::Nothing | Heard::NoReader => return Ok(Daemon::Nothing(state.reason())),
        }
    }
}

fn fresh() -> WaiterId {
    WaiterId::from(uuid::Uuid::now_v7())
}

#[derive(Clone)]
struct Server {
    slot: Arc<Slot>,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("chatroom", chatroom_machine::VERSION);
        info.instructions = Some(tools::instructions(&self.slot));
        info
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::list(self.slot.is_live())))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let args = Value::Object(request.arguments.unwrap_or_default());
        let Some(call) = tools::call(&self.slot, &request.name, args, &context.ct) else {
            return Err(ErrorData::invalid_params(format!("there is no tool {}", request.name), None));
        };
        Ok(match call.await {
            Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
            // For the model to read, and to do something about.
            Err(error) => CallToolResult::error(vec![ContentBlock::text(report(&error).0)]),
        }
        .into())
    }
}
