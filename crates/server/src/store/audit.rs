//! Who did what, kept for 90 days.

use super::{Result, Tx, sql};
use crate::secret;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::UserId;

/// How long a record is kept: 90 days.
pub const KEPT_MS: i64 = 90 * 24 * 60 * 60_000;

/// One deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed<'a> {
    /// Whose things it touches, when known.
    pub user_id: Option<&'a UserId>,
    /// Who did it, in the words of [`crate::caller::Caller::actor`].
    pub actor: &'a str,
    /// From where.
    pub address: Option<String>,
    /// What, for example `auth.approveDeviceLogin`.
    pub action: &'a str,
    /// To what, by id. Never a secret.
    pub subject: &'a str,
    /// How it went, for example `done`.
    pub outcome: &'a str,
}

/// Writes a deed down.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, deed: &Deed<'_>, now: UnixMs) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO audit (id, at, user_id, actor, address, action, subject, outcome)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(secret::new_id::<String>())
    .bind(now.0)
    .bind(deed.user_id.map(|id| id.0.clone()))
    .bind(deed.actor.to_owned())
    .bind(deed.address.clone())
    .bind(deed.action.to_owned())
    .bind(deed.subject.to_owned())
    .bind(deed.outcome.to_owned());
    sql::execute(tx, statement).await?;
    Ok(())
}

/// Forgets deeds older than [`KEPT_MS`].
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement("DELETE FROM audit WHERE at < $1").bind((now - KEPT_MS).0);
    sql::execute(tx, statement).await
}
