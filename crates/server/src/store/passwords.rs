//! Passwords: the hash of each user who has set one. A write names the hash that it replaces, so that of two at once one is told.

use super::{Result, Tx, sql};
use crate::password::Hash;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::UserId;

/// The password of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password {
    /// Whose.
    pub user_id: UserId,
    /// What is kept of it.
    pub hash: Hash,
    /// When it was set.
    pub set_at: UnixMs,
}

/// Finds the password of a user.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, user_id: &UserId) -> Result<Option<Password>> {
    let statement = sql::statement("SELECT * FROM passwords WHERE user_id = $1").bind(user_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Finds the password of whoever has this name, without regard to case.
///
/// # Errors
/// When the database fails.
pub async fn find_by_name(tx: &mut Tx, name: &str) -> Result<Option<Password>> {
    let statement =
        sql::statement("SELECT p.* FROM passwords p JOIN users u ON u.id = p.user_id WHERE u.name_key = $1")
            .bind(name.to_lowercase());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Sets a password in place of `old`, which is none for a first one. Tells whether that was still so.
///
/// # Errors
/// When the database fails.
pub async fn set(tx: &mut Tx, user_id: &UserId, old: Option<&Hash>, new: &Hash, now: UnixMs) -> Result<bool> {
    let statement = match old {
        None => sql::statement(
            "INSERT INTO passwords (user_id, hash, set_at) VALUES ($1, $2, $3) ON CONFLICT (user_id) DO NOTHING",
        ),
        Some(_) => sql::statement("UPDATE passwords SET hash = $2, set_at = $3 WHERE user_id = $1 AND hash = $4"),
    };
    let mut statement = statement.bind(user_id.0.clone()).bind(new.as_str().to_owned()).bind(now.0);
    if let Some(old) = old {
        statement = statement.bind(old.as_str().to_owned());
    }
    Ok(sql::execute(tx, statement).await? > 0)
}

/// Removes the password `old`. Tells whether it was still this one.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut Tx, user_id: &UserId, old: &Hash) -> Result<bool> {
    let statement = sql::statement("DELETE FROM passwords WHERE user_id = $1 AND hash = $2")
        .bind(user_id.0.clone())
        .bind(old.as_str().to_owned());
    Ok(sql::execute(tx, statement).await? > 0)
}

fn read(row: &sqlx::any::AnyRow) -> Result<Password> {
    Ok(Password {
        user_id: sql::text(row, "user_id")?.into(),
        hash: sql::text(row, "hash")?.into(),
        set_at: UnixMs(sql::int(row, "set_at")?),
    })
}
