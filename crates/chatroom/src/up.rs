//! `chatroom up`: server, this machine's daemon and a login, in one process. The daemon talks to the server over the loopback
//! socket only, as on any other machine.
//!
//! The first Ctrl-C stops the agents, then daemon and server; a second one does not wait for the agents, whose hosts stop them
//! all the same. TERM and HUP leave the agents to be found again.

use crate::cli;
use crate::commands::daemon::{check_files, told};
use crate::context::Context;
use crate::error::refused;
use crate::serve::first_user;
use crate::ui::{Ui, one_line};
use crate::{browser, log, program};
use anyhow::Result;
use chatroom_machine::daemon::{self, Connection, DaemonError, Holder, Options, Shutdown, Status, StopMode};
use chatroom_machine::{Secret, ServerUrl, credentials};
use chatroom_server::{Server, ServerOptions};
use serde_json::json;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long the daemon may take to stop its agents and itself.
const STOP: Duration = Duration::from_secs(10);
/// How long it may take when it is to leave at once.
const LEAVE: Duration = Duration::from_secs(1);

/// Runs until it is told to stop, or until server or daemon end by themselves.
pub(crate) async fn run(context: &Context, args: cli::Up) -> Result<()> {
    log::init(true);
    if let Status::Running { by, .. } = daemon::status(&context.home)? {
        let pid = by.map(|by| format!(" (pid {})", by.process.pid)).unwrap_or_default();
        return Err(refused(format!("a daemon of this machine is already running{pid}"))
            .hint("stop it first: chatroom machine daemon stop --keep-agents; or end the other `chatroom up`")
            .into());
    }
    check_files(context)?;
    let mut signals = Signals::register()?;
    let options = ServerOptions {
        listen: args.listen,
        data_dir: args.data_dir.unwrap_or_else(|| context.home.server_data()),
        database_url: None,
        public_url: None,
        trust_proxy: false,
        allowed_origins: args.allow_origin,
        first_user: first_user(),
    };
    let server = Server::bind(options).await?;
    let url = ServerUrl::parse(&server.local_url(), false)?;
    let link = server.sign_in_link().await?;
    let old = sign_in(context, &server, &url).await?;

    let server_end = CancellationToken::new();
    let mut serving = tokio::spawn(server.run(server_end.clone()));
    let daemon_end = Shutdown::default();
    let (told_connection, connection) = watch::channel(Connection::Connecting);
    let mut options = Options::new(Holder::Up, program::path()?);
    options.server = Some(url.clone());
    let mut working = tokio::spawn({
        let (home, daemon_end) = (context.home.clone(), daemon_end.clone());
        async move { daemon::run(&home, options, daemon_end, told_connection).await }
    });
    greet(context.ui, &url, &link)?;
    if !args.no_open {
        browser::open_secret(&context.home, &link)?;
    }
    let telling = tokio::spawn(tell_connection(context.ui, connection));
    // What fails here fails again at the next start, and costs a row.
    let forgetting = tokio::spawn(async move { crate::commands::auth::revoke(&url, old).await });

    let ended = tokio::select! {
        interrupted = signals.next() => {
            leave(context.ui, interrupted, &mut signals, &daemon_end, &mut working).await
        }
        done = &mut working => daemon_result(done),
        done = &mut serving => {
            daemon_end.request(StopMode::KeepAgents);
            let _ = tokio::time::timeout(LEAVE, &mut working).await;
            telling.abort();
            done??;
            return Err(refused("the server ended by itself").into());
        }
    };
    telling.abort();
    forgetting.abort();
    server_end.cancel();
    let served = serving.await?;
    ended.and(served)
}

/// Stops the agents and the daemon, or leaves the agents; a second signal while it stops them ends
/// the wait, not the stop: the hosts of the agents were told.
async fn leave(
    ui: Ui,
    first: Interrupt,
    signals: &mut Signals,
    daemon_end: &Shutdown,
    working: &mut JoinHandle<Result<(), DaemonError>>,
) -> Result<()> {
    if first == Interrupt::Stop {
        // The terminal may be gone already.
        let _ = ui.note("stopping agents, daemon and server; Ctrl-C again does not wait for the agents to end");
        daemon_end.request(StopMode::EndAgents);
        tokio::select! {
            done = &mut *working => return daemon_result(done),
            _ = signals.next() => {}
            () = tokio::time::sleep(STOP) => {}
        }
    }
    daemon_end.request(StopMode::KeepAgents);
    match tokio::time::timeout(LEAVE, working).await {
        Ok(done) => daemon_result(done),
        Err(_) => Ok(()),
    }
}

fn daemon_result(done: Result<Result<(), DaemonError>, tokio::task::JoinError>) -> Result<()> {
    done?.map_err(told)
}

/// Stores a fresh login of the first user; gives the one that it replaces.
async fn sign_in(context: &Context, server: &Server, url: &ServerUrl) -> Result<Option<Secret>> {
    let token = Secret::new(server.mint_cli_token("chatroom up").await?);
    let name = server.first_user().await?.name;
    Ok(credentials::update(&context.home, |credentials| {
        let old = credentials.login(url).and_then(|login| login.user_token.clone());
        credentials.sign_in(url, token, Some(name));
        old
    })?)
}

fn greet(ui: Ui, url: &ServerUrl, link: &str) -> Result<()> {
    if ui.is_json() {
        return Ok(ui.document(&json!({"url": url.as_str(), "signInLink": link}))?);
    }
    ui.say(&format!(
        "chatroom is up at {url}\n\nSign your browser in with this link; it works once:\n\n    {link}\n\nIn another terminal: chatroom machine list\nCtrl-C stops everything; data stays.\n"
    ))?;
    Ok(())
}

async fn tell_connection(ui: Ui, mut connection: watch::Receiver<Connection>) {
    let mut last = None;
    loop {
        let line = match &*connection.borrow_and_update() {
            Connection::Connected => Some("this machine is connected".to_owned()),
            Connection::Retrying { reason } => Some(format!("this machine is not connected: {}", one_line(reason))),
            Connection::WaitingForLogin { reason } => {
                Some(format!("this machine waits for a login: {}", one_line(reason)))
            }
            Connection::Connecting | Connection::Stopping => None,
        };
        if line.is_some() && line != last {
            let _ = ui.say(line.as_deref().unwrap_or_default());
            last = line;
        }
        if connection.changed().await.is_err() {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupt {
    /// Ctrl-C: stop the agents too.
    Stop,
    /// TERM or HUP: the agents go on.
    Leave,
}

struct Signals {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Signals {
    fn register() -> Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Cancel safe.
    async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.int.recv() => Interrupt::Stop,
            _ = self.term.recv() => Interrupt::Leave,
            _ = self.hup.recv() => Interrupt::Leave,
        }
    }
}
