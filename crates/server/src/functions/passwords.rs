//! Passwords, the second way to sign a browser in beside one-time links: sign in with one; set, change, remove one's own.
//!
//! These are no functions of the API: a password gives and takes cookies, which only the server's own pages have. Of a name that
//! nobody has, one hears and waits for exactly what a wrong password brings.

use super::auth;
use crate::app::App;
use crate::caller::Caller;
use crate::fail::{Fail, Result, refuse};
use crate::limit::{Guesses, network};
use crate::store::audit::{self, Deed};
use crate::store::credentials::{self, OpenedBy};
use crate::store::{Tx, passwords, retried};
use crate::{password, secret};
use chatroom_protocol::api::auth::{ChangePassword, PasswordState, SignIn, SignedIn};
use chatroom_protocol::id::{CredentialId, UserId};
use chatroom_protocol::{ErrorCode, Refusal, UnixMs};
use std::net::IpAddr;

/// Wrong passwords that one address may try within a minute.
const PER_ADDRESS: usize = 5;
/// And all addresses together for one account: more, so that a single one cannot keep its owner out.
const PER_ACCOUNT: usize = 20;
/// A session that a link has opened needs no current password for this long: so a forgotten one is replaced.
const FRESH_MS: i64 = 30 * 60_000;

/// Signs a browser in by name and password: gives the session and its secret.
///
/// # Errors
/// `unauthenticated` when the name or the password is wrong, `rate_limited` after too many wrong ones, `unavailable` when too
/// many sign in at once.
pub async fn sign_in(app: &App, args: &SignIn, address: Option<IpAddr>, now: UnixMs) -> Result<(SignedIn, String)> {
    let name = args.name.trim();
    let tried = Try::begin(&app.guesses, name, address, now)?;
    let kept = passwords::find_by_name(&mut app.store.read().await?, name).await?;
    let is_right = tried.outcome(app.passwords.is_right(&args.password, kept.as_ref().map(|kept| &kept.hash)).await)?;
    let opened = retried(|| async {
        let mut tx = app.store.write().await?;
        let opened = match &kept {
            // What was compared meanwhile may have been replaced.
            Some(kept) if is_right && passwords::find(&mut tx, &kept.user_id).await?.as_ref() == Some(kept) => {
                let user_id = kept.user_id.clone();
                let opened = auth::open_browser_session(&mut tx, &user_id, OpenedBy::Password, address, now).await?;
                let (credential_id, secret) = opened;
                Some((SignedIn { user_id, credential_id }, secret))
            }
            kept => {
                let user_id = kept.as_ref().map(|kept| &kept.user_id);
                // Not the name as it was typed: people type passwords there.
                write_down(&mut tx, user_id, "public", address, "auth.signIn", "refused", now).await?;
                None
            }
        };
        tx.commit().await?;
        Ok::<_, Fail>(opened)
    });
    opened.await?.ok_or_else(|| {
        Refusal::new(ErrorCode::Unauthenticated, "the name or the password is wrong, or no password was set")
            .hint("sign in by a link of `chatroom auth link`; then you can set a new password in the settings")
            .into()
    })
}

/// How it stands with the caller's password.
///
/// # Errors
/// `forbidden` when the caller is no browser session.
pub async fn state(app: &App, caller: &Caller, now: UnixMs) -> Result<PasswordState> {
    let mut tx = app.store.read().await?;
    let browser = Browser::find(&mut tx, caller, now).await?;
    Ok(browser.state(passwords::find(&mut tx, browser.user_id).await?.map(|kept| kept.set_at)))
}

/// Sets, changes or removes the caller's password. A change ends every other browser session of theirs, and their unused links.
///
/// # Errors
/// `bad_request` when the new one breaks a rule, `forbidden` when the current one is wrong or missing or the caller is no browser
/// session, `not_found` when there is none to remove, `conflict` when it was changed meanwhile, and as [`sign_in`] otherwise.
pub async fn change(
    app: &App,
    caller: &Caller,
    change: &ChangePassword,
    address: Option<IpAddr>,
    now: UnixMs,
) -> Result<PasswordState> {
    let (current, wanted, action) = match change {
        ChangePassword::Set { password, current } => (current.as_deref(), Some(password), "auth.setPassword"),
        ChangePassword::Remove { current } => (current.as_deref(), None, "auth.removePassword"),
    };
    if let Some(wanted) = wanted {
        password::check(wanted)?;
    }
    let mut tx = app.store.read().await?;
    let browser = Browser::find(&mut tx, caller, now).await?;
    let kept = passwords::find(&mut tx, browser.user_id).await?;
    drop(tx);
    match (&kept, current) {
        (Some(kept), Some(current)) => {
            let tried = Try::begin(&app.guesses, browser.user_name, address, now)?;
            if !tried.outcome(app.passwords.is_right(current, Some(&kept.hash)).await)? {
                return refuse_current(app, caller, browser.user_id, address, action, now).await;
            }
        }
        (Some(_), None) if !browser.is_fresh => {
            return Err(Refusal::new(ErrorCode::Forbidden, "the current password is missing").hint(FORGOTTEN).into());
        }
        _ => {}
    }
    let new = match wanted {
        Some(wanted) => Some(app.passwords.hash(wanted).await?),
        None => None,
    };
    retried(|| async {
        let mut tx = app.store.write().await?;
        let browser = Browser::find(&mut tx, caller, now).await?;
        let is_done = match (&kept, &new) {
            (old, Some(new)) => {
                let old = old.as_ref().map(|old| &old.hash);
                passwords::set(&mut tx, browser.user_id, old, new, now).await?
            }
            (Some(old), None) => passwords::delete(&mut tx, browser.user_id, &old.hash).await?,
            (None, None) => return Err(Refusal::not_found("password").into()),
        };
        if !is_done {
            return refuse(ErrorCode::Conflict, "the password was changed elsewhere in this moment; look again");
        }
        if kept.is_some() {
            credentials::revoke_other_browsers(&mut tx, browser.user_id, browser.id, now).await?;
            credentials::revoke_links(&mut tx, browser.user_id, now).await?;
        }
        write_down(&mut tx, Some(browser.user_id), &caller.actor(), address, action, "done", now).await?;
        tx.commit().await?;
        Ok(browser.state(new.as_ref().map(|_| now)))
    })
    .await
}

const FORGOTTEN: &str = "forgotten? open a link of `chatroom auth link` in this browser: for half an hour after that the current \
    password is not asked for";

/// Writes a wrong current password down, and says so.
async fn refuse_current<T>(
    app: &App,
    caller: &Caller,
    user_id: &UserId,
    address: Option<IpAddr>,
    action: &str,
    now: UnixMs,
) -> Result<T> {
    retried(|| async {
        let mut tx = app.store.write().await?;
        write_down(&mut tx, Some(user_id), &caller.actor(), address, action, "refused", now).await?;
        tx.commit().await?;
        Ok::<_, Fail>(())
    })
    .await?;
    Err(Refusal::new(ErrorCode::Forbidden, "the current password is wrong").hint(FORGOTTEN).into())
}

async fn write_down(
    tx: &mut Tx,
    user_id: Option<&UserId>,
    actor: &str,
    address: Option<IpAddr>,
    action: &str,
    outcome: &str,
    now: UnixMs,
) -> Result<()> {
    let subject = user_id.map_or("unknown", |id| id.as_str());
    let address = address.map(|address| address.to_string());
    audit::insert(tx, &Deed { user_id, actor, address, action, subject, outcome }, now).await?;
    Ok(())
}

/// The browser session that asks.
struct Browser<'a> {
    id: &'a CredentialId,
    user_id: &'a UserId,
    user_name: &'a str,
    /// Whether a link has opened it a short while ago.
    is_fresh: bool,
}

impl<'a> Browser<'a> {
    async fn find(tx: &mut Tx, caller: &'a Caller, now: UnixMs) -> Result<Self> {
        if let Caller::User { user_id, user_name, credential_id: id, .. } = caller
            && let Some((opened_by, at)) = credentials::find_browser(tx, id, now).await?
        {
            let is_fresh = opened_by == OpenedBy::Link && now.since(at) < FRESH_MS;
            return Ok(Self { id, user_id, user_name, is_fresh });
        }
        refuse(ErrorCode::Forbidden, "only a signed-in browser may look after a password")
    }

    fn state(&self, set_at: Option<UnixMs>) -> PasswordState {
        PasswordState { set_at, needs_current: set_at.is_some() && !self.is_fresh }
    }
}

/// One try of a password: counted against its address and its account until it has proved to be right.
struct Try<'a> {
    guesses: &'a Guesses,
    sources: Vec<String>,
    at: UnixMs,
}

impl<'a> Try<'a> {
    fn begin(guesses: &'a Guesses, name: &str, address: Option<IpAddr>, now: UnixMs) -> Result<Self> {
        let account = format!("password of {}", secret::hash(&name.to_lowercase()));
        let address = address.map(|address| format!("password from {}", network(address)));
        let limits = address.into_iter().map(|source| (source, PER_ADDRESS)).chain([(account, PER_ACCOUNT)]);
        let mut tried = Self { guesses, sources: Vec::with_capacity(2), at: now };
        for (source, most) in limits {
            if !guesses.count(&source, most, now) {
                return Err(Refusal::new(ErrorCode::RateLimited, "too many wrong passwords within a minute")
                    .hint("wait a minute, then try again; a link of `chatroom auth link` signs in at once")
                    .into());
            }
            tried.sources.push(source);
        }
        Ok(tried)
    }

    /// Only a wrong one counts: what was not compared tells nobody anything.
    fn outcome(self, is_right: Result<bool>) -> Result<bool> {
        if !matches!(is_right, Ok(false)) {
            self.sources.iter().for_each(|source| self.guesses.forgive(source, self.at));
        }
        is_right
    }
}
