//! `auth.*`: device login, sessions and credentials.

use crate::caller::Caller;
use crate::fail::{Result, refuse};
use crate::limit::{POLL_INTERVAL_S, network};
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::audit::{self, Deed};
use crate::store::credentials::{self, Holder, NewCredential, OpenedBy};
use crate::store::{Tx, device_logins, users};
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::auth::{
    ApproveDeviceLogin, CreateSignInLink, CreateToken, CreateTokenArgs, DenyDeviceLogin, DeviceLogin, DeviceLoginDone,
    DeviceLoginStarted, DeviceLoginStatus, GetDeviceLogin, ListCredentials, Logout, PollDeviceLogin,
    PollDeviceLoginArgs, RevokeCredential, RevokeCredentialArgs, SessionToken, SignInLink, StartDeviceLogin,
    StartDeviceLoginArgs, TokenCreated, UserCodeArgs, Whoami,
};
use chatroom_protocol::id::{CredentialId, UserId};
use chatroom_protocol::user::{Credential, Identity, TokenScope};
use chatroom_protocol::{ErrorCode, Refusal, UnixMs};
use std::net::IpAddr;

const MINUTE_MS: i64 = 60_000;
/// A device login waits for a person this long.
const DEVICE_LOGIN_MS: i64 = 10 * MINUTE_MS;
/// A one-time link works this long.
const LINK_MS: i64 = 30 * MINUTE_MS;
/// A browser session lives this long.
const BROWSER_MS: i64 = 90 * 24 * 60 * MINUTE_MS;
/// A page may hold a session token this long.
const SESSION_TOKEN_MS: i64 = 10 * MINUTE_MS;
/// Device logins that may wait for a person at once.
const PENDING_LOGINS: i64 = 1000;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<StartDeviceLogin>(|cx, args| Box::pin(start_device_login(cx, args)));
    registry.mutation::<PollDeviceLogin>(|cx, args| Box::pin(poll_device_login(cx, args)));
    registry.query::<GetDeviceLogin>(own_credentials, |cx, args| Box::pin(get_device_login(cx, args)));
    registry.mutation::<ApproveDeviceLogin>(|cx, args| {
        Box::pin(decide_device_login(cx, args, DeviceLoginStatus::Approved))
    });
    registry.mutation::<DenyDeviceLogin>(|cx, args| Box::pin(decide_device_login(cx, args, DeviceLoginStatus::Denied)));
    registry.query::<Whoami>(|_, _| Vec::new(), |cx, _| Box::pin(async move { whoami(&cx.caller) }));
    registry.mutation::<Logout>(|cx, _| Box::pin(logout(cx)));
    registry.mutation::<CreateToken>(|cx, args| Box::pin(create_token(cx, args)));
    registry.mutation::<CreateSignInLink>(|cx, _| Box::pin(create_sign_in_link(cx)));
    registry.query::<ListCredentials>(own_credentials, |cx, _| Box::pin(list_credentials(cx)));
    registry.mutation::<RevokeCredential>(|cx, args| Box::pin(revoke_credential(cx, args)));
}

fn own_credentials<A>(caller: &Caller, _: &A) -> Vec<Topic> {
    caller.user_id().map(|id| vec![Topic::Credentials(id.clone())]).unwrap_or_default()
}

/// Signs a browser in with a one-time link: gives the session's secret, or nothing when the link is used or too old.
///
/// # Errors
/// When the store fails.
pub async fn redeem_link(tx: &mut Tx, token: &str, address: Option<IpAddr>, now: UnixMs) -> Result<Option<String>> {
    let Some(user_id) = credentials::redeem_link(tx, &secret::hash(token), now).await? else { return Ok(None) };
    let (_, secret) = open_browser_session(tx, &user_id, OpenedBy::Link, address, now).await?;
    Ok(Some(secret))
}

/// Opens a browser session: gives its id and its secret, new each time, whatever the browser had before.
///
/// # Errors
/// When the store fails.
pub async fn open_browser_session(
    tx: &mut Tx,
    user_id: &UserId,
    opened_by: OpenedBy,
    address: Option<IpAddr>,
    now: UnixMs,
) -> Result<(CredentialId, String)> {
    users::set_signed_in(tx, user_id, now).await?;
    let new = NewCredential {
        user_id,
        holder: Holder::Browser(opened_by),
        name: "browser",
        scope: TokenScope::Full,
        expires_at: Some(now + BROWSER_MS),
    };
    let (id, secret) = credentials::insert(tx, &new, now).await?;
    let action = match opened_by {
        OpenedBy::Link => "auth.redeemLink",
        OpenedBy::Password => "auth.signIn",
    };
    let address = address.map(|address| address.to_string());
    audit(tx, Some(user_id), &format!("user:{user_id}"), address, action, id.as_str(), now).await?;
    Ok((id, secret))
}

/// Mints a one-time link for a user and revokes their unused ones.
///
/// # Errors
/// When the store fails.
pub async fn mint_link(tx: &mut Tx, public_url: &str, user_id: &UserId, now: UnixMs) -> Result<SignInLink> {
    credentials::revoke_links(tx, user_id, now).await?;
    let expires_at = now + LINK_MS;
    let new = NewCredential {
        user_id,
        holder: Holder::Link,
        name: "sign-in link",
        scope: TokenScope::Full,
        expires_at: Some(expires_at),
    };
    let (_, secret) = credentials::insert(tx, &new, now).await?;
    Ok(SignInLink { url: format!("{public_url}/link/{secret}"), expires_at })
}

/// Lends a browser session a token that its page may hold, for ten minutes or until the session ends.
///
/// # Errors
/// When the store fails.
pub async fn lend_session_token(
    tx: &mut Tx,
    user_id: &UserId,
    browser: &CredentialId,
    scope: TokenScope,
    now: UnixMs,
) -> Result<SessionToken> {
    let expires_at = now + SESSION_TOKEN_MS;
    let new = NewCredential {
        user_id,
        holder: Holder::Session(browser.clone()),
        name: "page",
        scope,
        expires_at: Some(expires_at),
    };
    Ok(SessionToken { token: credentials::insert(tx, &new, now).await?.1, expires_at })
}

/// Mints a CLI token for a user.
///
/// # Errors
/// When the store fails.
pub async fn mint_cli_token(tx: &mut Tx, user_id: &UserId, name: &str, now: UnixMs) -> Result<String> {
    let new = NewCredential { user_id, holder: Holder::Cli, name, scope: TokenScope::Full, expires_at: None };
    Ok(credentials::insert(tx, &new, now).await?.1)
}

async fn start_device_login(cx: &mut MutationCx, args: StartDeviceLoginArgs) -> Result<DeviceLoginStarted> {
    let machine_name = name("machineName", &args.machine_name)?;
    if device_logins::count_pending(&mut cx.tx, cx.now).await? >= PENDING_LOGINS {
        return Err(Refusal::new(ErrorCode::RateLimited, "too many device logins wait for approval")
            .hint("try again in ten minutes")
            .into());
    }
    let device_code = secret::new_secret("device");
    let login = DeviceLogin {
        user_code: secret::new_user_code(),
        machine_name,
        address: cx.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
        requested_at: cx.now,
        expires_at: cx.now + DEVICE_LOGIN_MS,
        status: DeviceLoginStatus::Pending,
    };
    device_logins::insert(&mut cx.tx, &secret::hash(&device_code), &login).await?;
    let verification_uri = format!("{}/device", cx.app.public_url);
    Ok(DeviceLoginStarted {
        verification_uri_complete: format!("{verification_uri}?code={}", login.user_code),
        verification_uri,
        device_code,
        user_code: login.user_code,
        expires_in: DEVICE_LOGIN_MS / 1000,
        interval: POLL_INTERVAL_S,
    })
}

async fn poll_device_login(cx: &mut MutationCx, args: PollDeviceLoginArgs) -> Result<DeviceLoginDone> {
    let ended = || Refusal::new(ErrorCode::ExpiredToken, "this device login has ended").hint("begin a new one");
    let found = device_logins::find_by_device_code(&mut cx.tx, &secret::hash(&args.device_code)).await?;
    let Some(row) = found.filter(|row| row.login.expires_at > cx.now) else { return Err(ended().into()) };
    match row.login.status {
        DeviceLoginStatus::Pending => {
            cx.app.polls.check(&row.id, cx.now)?;
            refuse(ErrorCode::AuthorizationPending, "nobody has approved this login yet")
        }
        DeviceLoginStatus::Denied => refuse(ErrorCode::AccessDenied, "the login was refused"),
        DeviceLoginStatus::Redeemed => Err(ended().into()),
        DeviceLoginStatus::Approved => {
            let user_id = row.user_id.ok_or_else(ended)?;
            let user = users::find(&mut cx.tx, &user_id).await?.ok_or_else(ended)?;
            if !device_logins::redeem(&mut cx.tx, &row.id, cx.now).await? {
                return Err(ended().into());
            }
            let token = mint_cli_token(&mut cx.tx, &user_id, &row.login.machine_name, cx.now).await?;
            let address = cx.address.map(|address| address.to_string());
            audit(&mut cx.tx, Some(&user_id), "public", address, "auth.pollDeviceLogin", &row.id, cx.now).await?;
            Ok(DeviceLoginDone { token, identity: Identity::User { user_id, user_name: user.name } })
        }
    }
}

async fn get_device_login(cx: &mut QueryCx, args: UserCodeArgs) -> Result<DeviceLogin> {
    let code = secret::normalise_user_code(&args.user_code);
    match device_logins::find_by_user_code(&mut cx.tx, &code).await? {
        // Whoever approved or refused it may see it again; for others it has ended.
        Some(row) if row.user_id.as_ref().is_none_or(|id| Ok(id) == cx.caller.user_id()) => Ok(row.login),
        _ => Err(unknown_code().into()),
    }
}

async fn decide_device_login(
    cx: &mut MutationCx,
    args: UserCodeArgs,
    status: DeviceLoginStatus,
) -> Result<DeviceLogin> {
    let user_id = cx.caller.user_id()?.clone();
    // Guessing is counted by user and by address: a code has 34 bits and lives ten minutes.
    let sources = [Some(cx.caller.actor()), cx.address.map(network)];
    for source in sources.iter().flatten() {
        cx.app.guesses.check(source, cx.now)?;
    }
    let code = secret::normalise_user_code(&args.user_code);
    let row = device_logins::find_by_user_code(&mut cx.tx, &code).await?;
    let row = row.filter(|row| row.login.expires_at > cx.now && row.user_id.as_ref().is_none_or(|id| *id == user_id));
    let Some(mut row) = row else {
        for source in sources.iter().flatten() {
            cx.app.guesses.missed(source, cx.now);
        }
        return Err(unknown_code().into());
    };
    if row.login.status == status {
        return Ok(row.login);
    }
    if !device_logins::decide(&mut cx.tx, &row.id, &user_id, status, cx.now).await? {
        return refuse(ErrorCode::Conflict, "this login was decided already");
    }
    row.login.status = status;
    let action = if status == DeviceLoginStatus::Approved { "auth.approveDeviceLogin" } else { "auth.denyDeviceLogin" };
    let (actor, address) = (cx.caller.actor(), cx.address.map(|address| address.to_string()));
    audit(&mut cx.tx, Some(&user_id), &actor, address, action, &row.id, cx.now).await?;
    Ok(row.login)
}

fn whoami(caller: &Caller) -> Result<Identity> {
    Ok(match caller.clone() {
        Caller::Public => return Err(Refusal::new(ErrorCode::Unauthenticated, "nobody is signed in").into()),
        Caller::User { user_id, user_name, .. } => Identity::User { user_id, user_name },
        Caller::Machine { user_id, machine_id, .. } => Identity::Machine { user_id, machine_id },
        Caller::Agent { user_id, machine_id, agent_id, chatroom_id, role, .. } => {
            Identity::Agent { user_id, machine_id, agent_id, chatroom_id, role }
        }
    })
}

async fn logout(cx: &mut MutationCx) -> Result<Empty> {
    if let (Ok(user_id), Some(id)) = (cx.caller.user_id().cloned(), cx.caller.credential_id().cloned()) {
        credentials::revoke(&mut cx.tx, &user_id, &id, cx.now).await?;
        let (actor, address) = (cx.caller.actor(), cx.address.map(|address| address.to_string()));
        audit(&mut cx.tx, Some(&user_id), &actor, address, "auth.logout", id.as_str(), cx.now).await?;
    }
    Ok(Empty {})
}

async fn create_token(cx: &mut MutationCx, args: CreateTokenArgs) -> Result<TokenCreated> {
    let name = name("name", &args.name)?;
    if !(MINUTE_MS..=366 * 24 * 60 * MINUTE_MS).contains(&args.expires_in_ms) {
        return Err(Refusal::bad_request("expiresInMs is between one minute and one year").into());
    }
    let user_id = cx.caller.user_id()?.clone();
    let expires_at = cx.now + args.expires_in_ms;
    let new = NewCredential {
        user_id: &user_id,
        holder: Holder::Script,
        name: &name,
        scope: args.scope,
        expires_at: Some(expires_at),
    };
    let (credential_id, token) = credentials::insert(&mut cx.tx, &new, cx.now).await?;
    let (actor, address) = (cx.caller.actor(), cx.address.map(|address| address.to_string()));
    audit(&mut cx.tx, Some(&user_id), &actor, address, "auth.createToken", credential_id.as_str(), cx.now).await?;
    Ok(TokenCreated { token, credential_id, expires_at })
}

async fn create_sign_in_link(cx: &mut MutationCx) -> Result<SignInLink> {
    let user_id = cx.caller.user_id()?.clone();
    mint_link(&mut cx.tx, &cx.app.public_url, &user_id, cx.now).await
}

async fn list_credentials(cx: &mut QueryCx) -> Result<Vec<Credential>> {
    let user_id = cx.caller.user_id()?.clone();
    Ok(credentials::list(&mut cx.tx, &user_id).await?)
}

async fn revoke_credential(cx: &mut MutationCx, args: RevokeCredentialArgs) -> Result<Empty> {
    let user_id = cx.caller.user_id()?.clone();
    if !credentials::revoke(&mut cx.tx, &user_id, &args.credential_id, cx.now).await? {
        return Err(Refusal::not_found("credential").into());
    }
    let (actor, address) = (cx.caller.actor(), cx.address.map(|address| address.to_string()));
    let subject = args.credential_id.as_str();
    audit(&mut cx.tx, Some(&user_id), &actor, address, "auth.revokeCredential", subject, cx.now).await?;
    Ok(Empty {})
}

fn unknown_code() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no login with this code")
        .hint("codes live ten minutes; run `chatroom auth login` again for a new one")
}

/// Trims a name and refuses an empty, too long or invisible one.
fn name(field: &str, given: &str) -> Result<String> {
    let name = given.trim();
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Refusal::bad_request(format!(
            "{field} is a text of 1 to 200 characters without control characters"
        ))
        .into());
    }
    Ok(name.to_owned())
}

async fn audit(
    tx: &mut Tx,
    user_id: Option<&UserId>,
    actor: &str,
    address: Option<String>,
    action: &str,
    subject: &str,
    now: UnixMs,
) -> Result<()> {
    audit::insert(tx, &Deed { user_id, actor, address, action, subject, outcome: "done" }, now).await?;
    Ok(())
}
