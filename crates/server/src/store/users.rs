//! Users.

use super::{Result, Tx, sql};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::UserId;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub name: String,
    /// Whether it is the first user.
    pub is_admin: bool,
    /// When they first signed in.
    pub signed_in_at: Option<UnixMs>,
}

/// Makes a user. Names differ without regard to case.
///
/// # Errors
/// When the database fails, or the name is in use (see [`find_by_name`]).
pub async fn insert(tx: &mut Tx, user: &User, now: UnixMs) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO users (id, name, name_key, is_admin, created_at, signed_in_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(user.id.0.clone())
    .bind(user.name.clone())
    .bind(user.name.to_lowercase())
    .bind(i64::from(user.is_admin))
    .bind(now.0)
    .bind(user.signed_in_at.map(|at| at.0));
    sql::execute(tx, statement).await?;
    Ok(())
}

/// The first user, who may invite others.
///
/// # Errors
/// When the database fails.
pub async fn find_admin(tx: &mut Tx) -> Result<Option<User>> {
    let statement = sql::statement("SELECT * FROM users WHERE is_admin = 1 ORDER BY created_at LIMIT 1");
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Finds a user by name, without regard to case.
///
/// # Errors
/// When the database fails.
pub async fn find_by_name(tx: &mut Tx, name: &str) -> Result<Option<User>> {
    let statement = sql::statement("SELECT * FROM users WHERE name_key = $1").bind(name.to_lowercase());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Finds a user by id.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, id: &UserId) -> Result<Option<User>> {
    let statement = sql::statement("SELECT * FROM users WHERE id = $1").bind(id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Remembers that a user has signed in.
///
/// # Errors
/// When the database fails.
pub async fn set_signed_in(tx: &mut Tx, id: &UserId, now: UnixMs) -> Result<()> {
    let statement = sql::statement("UPDATE users SET signed_in_at = $2 WHERE id = $1 AND signed_in_at IS NULL")
        .bind(id.0.clone())
        .bind(now.0);
    sql::execute(tx, statement).await?;
    Ok(())
}

fn read(row: &sqlx::any::AnyRow) -> Result<User> {
    Ok(User {
        id: sql::text(row, "id")?.into(),
        name: sql::text(row, "name")?,
        is_admin: sql::int(row, "is_admin")? != 0,
        signed_in_at: sql::opt_int(row, "signed_in_at")?.map(UnixMs),
    })
}
