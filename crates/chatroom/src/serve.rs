//! `chatroom server`: only the server.

use crate::cli;
use crate::context::Context;
use crate::log;
use crate::ui::Ui;
use anyhow::Result;
use chatroom_server::{Server, ServerOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs a server until TERM, HUP or INT. While nobody has ever signed in, or when asked to, it prints a link for the first user.
pub(crate) async fn run(context: &Context, args: cli::Server) -> Result<()> {
    log::init(false);
    let options = ServerOptions {
        listen: args.listen,
        data_dir: args.data_dir.unwrap_or_else(|| context.home.server_data()),
        database_url: args.database_url,
        public_url: args.public_url,
        trust_proxy: args.trust_proxy,
        allowed_origins: args.allow_origin,
        first_user: first_user(),
    };
    let shutdown = stop_token()?;
    let server = Server::bind(options).await?;
    print_link(context.ui, &server, args.sign_in_link).await?;
    server.run(shutdown).await
}

async fn print_link(ui: Ui, server: &Server, is_wanted: bool) -> Result<()> {
    let first = server.first_user().await?;
    let is_wanted = is_wanted || first.signed_in_at.is_none();
    let link = if is_wanted { Some(server.sign_in_link().await?) } else { None };
    let answer = serde_json::json!({"url": server.local_url(), "signInLink": link});
    Ok(ui.answer(&answer, |_| {
        let greeting = format!("chatroom server at {}\n", server.local_url());
        match &link {
            Some(link) => {
                format!("{greeting}\nSign in as {} with this link; it works once:\n\n    {link}\n", first.name)
            }
            None => greeting,
        }
    })?)
}

/// What the first user is called: as on this machine.
pub(crate) fn first_user() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let name: String = named.unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(100).collect();
    if name.trim().is_empty() { "owner".to_owned() } else { name.trim().to_owned() }
}

fn stop_token() -> Result<CancellationToken> {
    let mut signals =
        [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?];
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let [term, hup, int] = &mut signals;
        tokio::select! {
            _ = term.recv() => {}
            _ = hup.recv() => {}
            _ = int.recv() => {}
        }
        token.cancel();
    });
    Ok(shutdown)
}
