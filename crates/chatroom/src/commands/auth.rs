//! `chatroom auth`: sign in, sign out, who am I, approve another machine, tokens for scripts.

use crate::browser;
use crate::cli::{Auth, Login, Token};
use crate::context::Context;
use crate::duration::show;
use crate::error::{Said, refused};
use crate::input;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_machine::credentials::{self, Choice, CredentialsError, Source};
use chatroom_machine::{CallError, Client, Secret, ServerUrl, clock};
use chatroom_protocol::api::{Empty, auth};
use chatroom_protocol::user::{Identity, TokenScope};
use chatroom_protocol::{ErrorCode, UnixMs};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// RFC 8628 section 3.5: what `slow_down` adds to the interval.
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// Runs an `auth` command.
pub(crate) async fn run(context: &Context, command: Auth) -> Result<()> {
    match command {
        Auth::Login(login) => sign_in(context, &login).await,
        Auth::Logout => sign_out(context).await,
        Auth::Status => status(context).await,
        Auth::Approve { code } => approve(context, code).await,
        Auth::Link => {
            let link = context.client()?.call::<auth::CreateSignInLink>(&Empty {}).await?;
            Ok(context.ui.answer(&link, |link| link.url.clone())?)
        }
        Auth::Token(token) => mint(context, token).await,
    }
}

async fn sign_in(context: &Context, login: &Login) -> Result<()> {
    let server = server(context)?;
    let token = if login.token {
        let text = input::read_text()?;
        Secret::new(text.trim())
    } else {
        device_login(context, &server, login.no_open).await?
    };
    let identity = Client::new(&server, Some(token.clone()))?.call::<auth::Whoami>(&Empty {}).await?;
    let Identity::User { user_name, .. } = &identity else {
        return Err(refused("this token is not a user's").hint("mint one with `chatroom auth token`").into());
    };
    let name = user_name.clone();
    let old = credentials::update(&context.home, |credentials| {
        let old = credentials.login(&server).and_then(|login| login.user_token.clone());
        credentials.sign_in(&server, token.clone(), Some(name));
        old.filter(|old| old.expose() != token.expose())
    })?;
    revoke(&server, old).await;
    Ok(context.ui.answer(&identity, |_| format!("signed in at {server} as {}", one_line(user_name)))?)
}

/// Ends the login that a new one has replaced, as far as the server can be reached.
pub(crate) async fn revoke(server: &ServerUrl, old: Option<Secret>) {
    if let Some(old) = old
        && let Ok(client) = Client::new(server, Some(old))
        && let Err(error) = client.call::<auth::Logout>(&Empty {}).await
    {
        tracing::debug!(%error, "the last login was not revoked");
    }
}

/// Shows a code and waits until a person has approved it.
async fn device_login(context: &Context, server: &ServerUrl, no_open: bool) -> Result<Secret> {
    let client = Client::new(server, None)?;
    let machine_name = hostname();
    let started = client.call::<auth::StartDeviceLogin>(&auth::StartDeviceLoginArgs { machine_name }).await?;
    context.ui.note(&format!(
        "To sign this machine in, open\n\n    {}\n\nand approve the code\n\n    {}\n\nor, where you are signed in already: chatroom auth approve {}\nThe code ends in {}.",
        started.verification_uri,
        started.user_code,
        started.user_code,
        show(started.expires_in * 1_000)
    ))?;
    if !no_open {
        browser::open(&started.verification_uri_complete);
    }
    let end = Instant::now() + seconds(started.expires_in);
    let mut interval = seconds(started.interval.max(1));
    let args = auth::PollDeviceLoginArgs { device_code: started.device_code };
    loop {
        tokio::time::sleep(interval).await;
        match client.call::<auth::PollDeviceLogin>(&args).await {
            Ok(done) => return Ok(done.token.into()),
            Err(error) => match error.code() {
                Some(ErrorCode::AuthorizationPending) => {}
                Some(ErrorCode::SlowDown) => interval += SLOW_DOWN,
                _ if error.is_retryable() => {}
                Some(ErrorCode::AccessDenied) => return Err(refused("the login was refused").into()),
                _ => return Err(error.into()),
            },
        }
        if Instant::now() > end {
            return Err(refused("nobody approved the code in time").hint("run `chatroom auth login` again").into());
        }
    }
}

async fn sign_out(context: &Context) -> Result<()> {
    let resolved = context.resolve()?;
    match &resolved.source {
        Source::Login { .. } => {}
        Source::Nobody => return Ok(context.ui.say(&format!("not signed in at {}", resolved.server))?),
        Source::Environment => {
            return Err(refused("the credential comes from the environment").hint("unset CHATROOM_TOKEN").into());
        }
        Source::Agent(_) => {
            return Err(refused("the credential is an agent's, which ends with the agent")
                .hint("unset CHATROOM_CREDENTIAL_FILE to sign yourself out")
                .into());
        }
    }
    // This machine's own credential was given because of the login: it ends with it.
    let login = credentials::load(&context.home)?.login(&resolved.server).cloned().unwrap_or_default();
    for token in [login.machine_token, login.user_token].into_iter().flatten() {
        match Client::new(&resolved.server, Some(token))?.call::<auth::Logout>(&Empty {}).await {
            Err(error) if error.code() != Some(ErrorCode::Unauthenticated) => {
                return Err(anyhow::Error::from(error).context("the login was not revoked, and is kept"));
            }
            _ => {}
        }
    }
    credentials::update(&context.home, |credentials| credentials.sign_out(&resolved.server))?;
    Ok(context.ui.say(&format!("signed out of {}", resolved.server))?)
}

/// Who is signed in, and where.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    server: String,
    signed_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Identity>,
}

async fn status(context: &Context) -> Result<()> {
    let resolved = match context.resolve() {
        Err(error) if matches!(error.downcast_ref(), Some(CredentialsError::NoServer)) => {
            return Err(refused("not signed in anywhere")
                .hint("chatroom auth login --server=URL, or everything here: chatroom up")
                .into());
        }
        other => other?,
    };
    let identity = if resolved.source == Source::Nobody {
        None
    } else {
        match Client::new(&resolved.server, resolved.token.clone())?.call::<auth::Whoami>(&Empty {}).await {
            Ok(identity) => Some(identity),
            Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::Unauthenticated => None,
            Err(error) => return Err(error.into()),
        }
    };
    let status = Status { server: resolved.server.to_string(), signed_in: identity.is_some(), identity };
    context.ui.answer(&status, |status| match &status.identity {
        None => format!("not signed in at {}; chatroom auth login --server={}", status.server, status.server),
        Some(Identity::User { user_name, .. }) => format!("signed in at {} as {}", status.server, one_line(user_name)),
        Some(Identity::Machine { machine_id, .. }) => format!("at {} as machine {machine_id}", status.server),
        Some(Identity::Agent { agent_id, role, .. }) => {
            format!("at {} as agent {agent_id}, role {}", status.server, one_line(role))
        }
    })?;
    if status.signed_in { Ok(()) } else { Err(Said.into()) }
}

async fn approve(context: &Context, code: String) -> Result<()> {
    let client = context.client()?;
    let code = auth::UserCodeArgs { user_code: code };
    let login = client.call::<auth::GetDeviceLogin>(&code).await?;
    let age = show(clock::now().since(login.requested_at));
    context.ui.note(&format!(
        "{} at {} asked {age} ago to act as you",
        one_line(&login.machine_name),
        one_line(&login.address)
    ))?;
    if !input::confirm("Approve?")? {
        client.call::<auth::DenyDeviceLogin>(&code).await?;
        return Err(refused("the login is refused, as you said").into());
    }
    let login = client.call::<auth::ApproveDeviceLogin>(&code).await?;
    Ok(context.ui.answer(&login, |login| format!("approved: {} is signed in", one_line(&login.machine_name)))?)
}

async fn mint(context: &Context, token: Token) -> Result<()> {
    let args = auth::CreateTokenArgs {
        name: token.name,
        scope: TokenScope::parse(&token.scope).unwrap_or_default(),
        expires_in_ms: i64::try_from(token.expires_in.as_millis()).unwrap_or(i64::MAX),
    };
    let created = context.client()?.call::<auth::CreateToken>(&args).await?;
    if !context.ui.is_json() {
        let UnixMs(left) = created.expires_at - clock::now().0;
        context.ui.note(&format!("token {} ends in {}; it is shown only now:", created.credential_id, show(left)))?;
    }
    Ok(context.ui.answer(&created, |created| created.token.clone())?)
}

/// The server to sign in at: a login is not needed for that.
fn server(context: &Context) -> Result<ServerUrl> {
    let choice = Choice { server: context.global.server.clone(), insecure_http: context.global.insecure_http };
    // An agent's credential is of no use for a person's login.
    let env = |name: &str| if name == "CHATROOM_CREDENTIAL_FILE" { None } else { credentials::process_env(name) };
    match credentials::resolve_choice(&context.home, &env, &choice) {
        Ok(resolved) => Ok(resolved.server),
        Err(CredentialsError::NoServer) => {
            Err(refused("no server is known").hint("chatroom auth login --server=URL").into())
        }
        Err(error) => Err(error.into()),
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().chars().take(200).collect()
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}
