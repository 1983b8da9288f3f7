//! Credentials: what somebody can present, by its hash alone. One table for every kind, so that one look tells who calls.

use super::{Result, Tx, sql};
use crate::caller::Caller;
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{AgentId, CredentialId, MachineId, UserId};
use chatroom_protocol::user::{Credential, TokenScope};

/// What a credential is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A CLI that a user signed in.
    Cli,
    /// A browser session.
    Browser(OpenedBy),
    /// A token that a user made for scripts.
    Script,
    /// A one-time link that signs a browser in. It authenticates no call.
    Link,
    /// A page of a browser session, for some minutes: what script may hold in place of the cookie.
    Session(CredentialId),
    /// A machine, for itself.
    Machine(MachineId),
    /// An agent, for its room and role.
    Agent(MachineId, AgentId),
}

impl Holder {
    /// The kind as it stands in the store and in secrets.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Browser(_) => "browser",
            Self::Script => "script",
            Self::Link => "link",
            Self::Session(_) => "session",
            Self::Machine(_) => "machine",
            Self::Agent(..) => "agent",
        }
    }
}

/// How a browser session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    /// By a one-time link.
    Link,
    /// By name and password.
    Password,
}

impl OpenedBy {
    /// As it stands in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Password => "password",
        }
    }
}

/// A credential to store.
#[derive(Clone, Debug)]
pub struct NewCredential<'a> {
    /// Whose.
    pub user_id: &'a UserId,
    /// For what.
    pub holder: Holder,
    /// What it is called.
    pub name: &'a str,
    /// What it may do.
    pub scope: TokenScope,
    /// When it ends by itself.
    pub expires_at: Option<UnixMs>,
}

/// Mints a credential: stores its hash and gives the secret, which nobody can read again.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, new: &NewCredential<'_>, now: UnixMs) -> Result<(CredentialId, String)> {
    let (id, secret) = (crate::secret::new_id::<CredentialId>(), crate::secret::new_secret(new.holder.kind()));
    let (machine_id, agent_id, parent_id) = match &new.holder {
        Holder::Machine(machine) => (Some(machine.0.clone()), None, None),
        Holder::Agent(machine, agent) => (Some(machine.0.clone()), Some(agent.0.clone()), None),
        Holder::Session(parent) => (None, None, Some(parent.0.clone())),
        _ => (None, None, None),
    };
    let opened_by = match &new.holder {
        Holder::Browser(by) => Some(by.as_str().to_owned()),
        _ => None,
    };
    let statement = sql::statement(
        "INSERT INTO credentials (id, token_hash, kind, user_id, machine_id, agent_id, name, scope, created_at, expires_at,
                                  parent_id, opened_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(id.0.clone())
    .bind(crate::secret::hash(&secret))
    .bind(new.holder.kind().to_owned())
    .bind(new.user_id.0.clone())
    .bind(machine_id)
    .bind(agent_id)
    .bind(new.name.to_owned())
    .bind(new.scope.as_str().to_owned())
    .bind(now.0)
    .bind(new.expires_at.map(|at| at.0))
    .bind(parent_id)
    .bind(opened_by);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Credentials(new.user_id.clone()));
    Ok((id, secret))
}

/// Who a token speaks for, by its hash: [`Caller::Public`] when it is unknown, revoked or too old. One-time links speak for
/// nobody; a machine that was removed and an agent that has ended speak no more.
///
/// # Errors
/// When the database fails.
pub async fn find_caller(tx: &mut Tx, token_hash: &str, now: UnixMs) -> Result<Caller> {
    let statement = sql::statement(
        "SELECT c.id, c.kind, c.user_id, c.machine_id, c.agent_id, c.scope, u.name AS user_name, u.is_admin,
                a.chatroom_id, a.role
         FROM credentials c
         JOIN users u ON u.id = c.user_id
         LEFT JOIN machines m ON m.id = c.machine_id
         LEFT JOIN agents a ON a.id = c.agent_id
         WHERE c.token_hash = $1 AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > $2)
           AND c.kind <> 'link'
           AND (c.machine_id IS NULL OR m.removed_at IS NULL)
           AND (c.agent_id IS NULL OR a.state IN ('starting', 'running', 'stopping'))",
    )
    .bind(token_hash.to_owned())
    .bind(now.0);
    let Some(row) = sql::one(tx, statement).await? else { return Ok(Caller::Public) };
    let credential_id = sql::text(&row, "id")?.into();
    let user_id = sql::text(&row, "user_id")?.into();
    let machine_id = sql::opt_text(&row, "machine_id")?.map(MachineId);
    let agent_id = sql::opt_text(&row, "agent_id")?.map(AgentId);
    Ok(match (machine_id, agent_id) {
        (Some(machine_id), Some(agent_id)) => Caller::Agent {
            user_id,
            machine_id,
            agent_id,
            chatroom_id: sql::text(&row, "chatroom_id")?.into(),
            role: sql::text(&row, "role")?,
            credential_id,
        },
        (Some(machine_id), None) => Caller::Machine { user_id, machine_id, credential_id },
        _ => Caller::User {
            user_id,
            user_name: sql::text(&row, "user_name")?,
            is_admin: sql::int(&row, "is_admin")? != 0,
            credential_id,
            scope: TokenScope::parse(&sql::text(&row, "scope")?).unwrap_or(TokenScope::Read),
        },
    })
}

/// Redeems a one-time link: revokes it and tells whom it signs in. Nothing when it is unknown, used or too old.
///
/// # Errors
/// When the database fails.
pub async fn redeem_link(tx: &mut Tx, token_hash: &str, now: UnixMs) -> Result<Option<UserId>> {
    let statement = sql::statement(
        "UPDATE credentials SET revoked_at = $2
         WHERE token_hash = $1 AND kind = 'link' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
         RETURNING user_id",
    )
    .bind(token_hash.to_owned())
    .bind(now.0);
    let row = sql::one(tx, statement).await?;
    row.map(|row| Ok(sql::text(&row, "user_id")?.into())).transpose()
}

/// How and when a browser session was opened; nothing when this is no browser session, or one that has ended.
///
/// # Errors
/// When the database fails.
pub async fn find_browser(tx: &mut Tx, id: &CredentialId, now: UnixMs) -> Result<Option<(OpenedBy, UnixMs)>> {
    let statement = sql::statement(
        "SELECT opened_by, created_at FROM credentials
         WHERE id = $1 AND kind = 'browser' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
    )
    .bind(id.0.clone())
    .bind(now.0);
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    let by_link = sql::opt_text(&row, "opened_by")?.is_some_and(|by| by == OpenedBy::Link.as_str());
    let by = if by_link { OpenedBy::Link } else { OpenedBy::Password };
    Ok(Some((by, UnixMs(sql::int(&row, "created_at")?))))
}

/// The live credentials of a user, newest first, without one-time links and session tokens.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, user_id: &UserId) -> Result<Vec<Credential>> {
    let statement = sql::statement(
        "SELECT * FROM credentials WHERE user_id = $1 AND revoked_at IS NULL AND kind NOT IN ('link', 'session')
         ORDER BY created_at DESC, id",
    )
    .bind(user_id.0.clone());
    sql::all(tx, statement)
        .await?
        .iter()
        .map(|row| {
            Ok(Credential {
                credential_id: sql::text(row, "id")?.into(),
                kind: sql::text(row, "kind")?,
                name: sql::text(row, "name")?,
                scope: TokenScope::parse(&sql::text(row, "scope")?).unwrap_or(TokenScope::Read),
                created_at: UnixMs(sql::int(row, "created_at")?),
                expires_at: sql::opt_int(row, "expires_at")?.map(UnixMs),
                last_used_at: sql::opt_int(row, "last_used_at")?.map(UnixMs),
            })
        })
        .collect()
}

/// The machines of a user that have a credential of their own.
///
/// # Errors
/// When the database fails.
pub async fn list_machines(tx: &mut Tx, user_id: &UserId) -> Result<Vec<MachineId>> {
    let statement = sql::statement(
        "SELECT machine_id FROM credentials WHERE user_id = $1 AND kind = 'machine' AND revoked_at IS NULL",
    )
    .bind(user_id.0.clone());
    sql::all(tx, statement).await?.iter().map(|row| Ok(sql::text(row, "machine_id")?.into())).collect()
}

/// Whether an agent has a credential.
///
/// # Errors
/// When the database fails.
pub async fn has_agent(tx: &mut Tx, agent_id: &AgentId) -> Result<bool> {
    let statement = sql::statement("SELECT id FROM credentials WHERE agent_id = $1 AND revoked_at IS NULL LIMIT 1")
        .bind(agent_id.0.clone());
    Ok(sql::one(tx, statement).await?.is_some())
}

/// Revokes one credential of a user and the session tokens that it lent; their sockets close. Tells whether there was one to revoke.
///
/// # Errors
/// When the database fails.
pub async fn revoke(tx: &mut Tx, user_id: &UserId, id: &CredentialId, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE credentials SET revoked_at = $3
         WHERE (id = $1 OR parent_id = $1) AND user_id = $2 AND revoked_at IS NULL RETURNING id, user_id",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(now.0);
    Ok(revoked(tx, statement).await? > 0)
}

/// Revokes a machine's own credential and those of its agents; their sockets close.
///
/// # Errors
/// When the database fails.
pub async fn revoke_of_machine(tx: &mut Tx, machine_id: &MachineId, with_agents: bool, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE credentials SET revoked_at = $2
         WHERE machine_id = $1 AND revoked_at IS NULL AND (kind = 'machine' OR $3 = 1) RETURNING id, user_id",
    )
    .bind(machine_id.0.clone())
    .bind(now.0)
    .bind(i64::from(with_agents));
    revoked(tx, statement).await
}

/// Revokes an agent's credential.
///
/// # Errors
/// When the database fails.
pub async fn revoke_of_agent(tx: &mut Tx, agent_id: &AgentId, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE credentials SET revoked_at = $2 WHERE agent_id = $1 AND revoked_at IS NULL RETURNING id, user_id",
    )
    .bind(agent_id.0.clone())
    .bind(now.0);
    revoked(tx, statement).await
}

/// Revokes a user's browser sessions except one, and the session tokens that they lent; their sockets close.
///
/// # Errors
/// When the database fails.
pub async fn revoke_other_browsers(tx: &mut Tx, user_id: &UserId, kept: &CredentialId, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE credentials SET revoked_at = $3
         WHERE user_id = $1 AND revoked_at IS NULL
           AND ((kind = 'browser' AND id <> $2) OR (kind = 'session' AND parent_id <> $2))
         RETURNING id, user_id",
    )
    .bind(user_id.0.clone())
    .bind(kept.0.clone())
    .bind(now.0);
    revoked(tx, statement).await
}

/// Revokes a user's unused one-time links.
///
/// # Errors
/// When the database fails.
pub async fn revoke_links(tx: &mut Tx, user_id: &UserId, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE credentials SET revoked_at = $2
         WHERE user_id = $1 AND kind = 'link' AND revoked_at IS NULL RETURNING id, user_id",
    )
    .bind(user_id.0.clone())
    .bind(now.0);
    revoked(tx, statement).await
}

/// Remembers when a credential was last used; never goes back.
///
/// # Errors
/// When the database fails.
pub async fn set_last_used(tx: &mut Tx, id: &CredentialId, at: UnixMs) -> Result<()> {
    let statement = sql::statement(
        "UPDATE credentials SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
    )
    .bind(id.0.clone())
    .bind(at.0);
    sql::execute(tx, statement).await?;
    Ok(())
}

/// Forgets credentials that ended more than 90 days ago, and session tokens as soon as they have ended.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "DELETE FROM credentials
         WHERE revoked_at < $1 OR expires_at < $1 OR (kind = 'session' AND expires_at < $2)",
    )
    .bind((now - super::audit::KEPT_MS).0)
    .bind(now.0);
    sql::execute(tx, statement).await
}

async fn revoked(tx: &mut Tx, statement: sql::Statement) -> Result<u64> {
    let rows = sql::all(tx, statement).await?;
    for row in &rows {
        tx.wake(Topic::Credential(sql::text(row, "id")?.into()));
        tx.wake(Topic::Credentials(sql::text(row, "user_id")?.into()));
    }
    Ok(rows.len() as u64)
}
