//! What every command has at hand: the printer, the chatroom directory, and the server with a login.

use crate::cli::Global;
use crate::error::refused;
use crate::ui::Ui;
use anyhow::Result;
use chatroom_machine::credentials::{self, Choice, Resolved, Source};
use chatroom_machine::link::fixed_token;
use chatroom_machine::{Client, Home, Link};
use tokio_util::sync::CancellationToken;

/// One run of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Where to print.
    pub(crate) ui: Ui,
    /// The chatroom directory.
    pub(crate) home: Home,
    /// What every command takes.
    pub(crate) global: Global,
}

impl Context {
    /// The run that this process was started for.
    pub(crate) fn from_env(global: Global) -> Result<Self> {
        Ok(Self { ui: Ui::new(global.json), home: Home::from_env()?, global })
    }

    /// The server and the credential, whoever it speaks for.
    pub(crate) fn resolve(&self) -> Result<Resolved> {
        let choice = Choice { server: self.global.server.clone(), insecure_http: self.global.insecure_http };
        Ok(credentials::resolve_choice(&self.home, &credentials::process_env, &choice)?)
    }

    /// A client that calls with the credential at hand.
    pub(crate) fn client(&self) -> Result<Client> {
        signed_in(&self.resolve()?)
    }
}

/// A client for a resolved server; refused when nobody is signed in there.
pub(crate) fn signed_in(resolved: &Resolved) -> Result<Client> {
    if resolved.source == Source::Nobody {
        let login = format!("chatroom auth login --server={}", resolved.server);
        return Err(refused(format!("not signed in at {}", resolved.server)).hint(login).into());
    }
    Ok(Client::new(&resolved.server, resolved.token.clone())?)
}

/// Whether this is an agent that the daemon started: its tasks are said into its session, and it waits for none.
pub(crate) const fn is_live(resolved: &Resolved) -> bool {
    matches!(resolved.source, Source::Agent(_))
}

/// A live link with the credential of a client. Ends with the token that is given.
pub(crate) fn link(client: &Client, shutdown: &CancellationToken) -> Result<Link> {
    let token = client.token().ok_or_else(|| refused("a live link needs a login"))?.clone();
    Ok(Link::open(client.server(), fixed_token(token), shutdown.clone()))
}
