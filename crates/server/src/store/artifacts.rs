//! Artifacts: markdown files of a room in versions counted from 1. A version never changes; of each name the last
//! [`VERSIONS_KEPT`] are kept.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{ChatroomId, UserId};
use chatroom_protocol::room::Artifact;

/// How many versions of a name are kept.
pub const VERSIONS_KEPT: i64 = 100;

/// A version to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersion<'a> {
    /// The room.
    pub chatroom_id: &'a ChatroomId,
    /// Its name.
    pub name: &'a str,
    /// Its text.
    pub content: &'a str,
    /// Who writes: a role, or `user`.
    pub author_role: &'a str,
    /// For which user.
    pub author_id: &'a UserId,
}

/// What a room's artifacts come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Names.
    pub names: i64,
    /// Bytes of text of all versions.
    pub bytes: i64,
}

/// Columns of an artifact `a` of the author `u`, without its text.
macro_rules! head {
    () => {
        "a.name, a.version, a.bytes, a.author_role, u.name AS author_name, a.created_at"
    };
}

/// Stores the next version of a name and gives its number.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, new: &NewVersion<'_>, now: UnixMs) -> Result<i64> {
    let statement =
        sql::statement("SELECT COALESCE(MAX(version), 0) AS last FROM artifacts WHERE chatroom_id = $1 AND name = $2")
            .bind(new.chatroom_id.0.clone())
            .bind(new.name.to_owned());
    let version = 1 + sql::one(tx, statement).await?.map_or(Ok(0), |row| sql::int(&row, "last"))?;
    let statement =
        sql::statement("UPDATE artifacts SET newest = 0 WHERE chatroom_id = $1 AND name = $2 AND newest = 1")
            .bind(new.chatroom_id.0.clone())
            .bind(new.name.to_owned());
    sql::execute(tx, statement).await?;
    let statement = sql::statement(
        "INSERT INTO artifacts (chatroom_id, name, version, bytes, content, author_role, author_id, created_at, newest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1)",
    )
    .bind(new.chatroom_id.0.clone())
    .bind(new.name.to_owned())
    .bind(version)
    .bind(i64::try_from(new.content.len()).unwrap_or(i64::MAX))
    .bind(new.content.to_owned())
    .bind(new.author_role.to_owned())
    .bind(new.author_id.0.clone())
    .bind(now.0);
    sql::execute(tx, statement).await?;
    let statement = sql::statement("DELETE FROM artifacts WHERE chatroom_id = $1 AND name = $2 AND version <= $3")
        .bind(new.chatroom_id.0.clone())
        .bind(new.name.to_owned())
        .bind(version - VERSIONS_KEPT);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Desk(new.chatroom_id.clone()));
    Ok(version)
}

/// Finds a version (without one: the newest), without its text.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, chatroom_id: &ChatroomId, name: &str, version: Option<i64>) -> Result<Option<Artifact>> {
    let statement = sql::statement(concat!(
        "SELECT ",
        head!(),
        " FROM artifacts a JOIN users u ON u.id = a.author_id
         WHERE a.chatroom_id = $1 AND a.name = $2 AND a.removed_at IS NULL AND (a.version = $3 OR ($3 = 0 AND a.newest = 1))"
    ))
    .bind(chatroom_id.0.clone())
    .bind(name.to_owned())
    .bind(version.unwrap_or_default());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// The text of a version: its first `chars` characters.
///
/// # Errors
/// When the database fails.
pub async fn find_text(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    name: &str,
    version: i64,
    chars: i64,
) -> Result<Option<String>> {
    let statement = sql::statement(
        "SELECT SUBSTR(content, 1, CAST($4 AS INTEGER)) AS content FROM artifacts
         WHERE chatroom_id = $1 AND name = $2 AND version = $3 AND removed_at IS NULL",
    )
    .bind(chatroom_id.0.clone())
    .bind(name.to_owned())
    .bind(version)
    .bind(chars);
    sql::one(tx, statement).await?.map(|row| sql::text(&row, "content")).transpose()
}

/// A room's artifacts in their newest versions, by name.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, chatroom_id: &ChatroomId, limit: i64) -> Result<Vec<Artifact>> {
    let statement = sql::statement(concat!(
        "SELECT ",
        head!(),
        " FROM artifacts a JOIN users u ON u.id = a.author_id
         WHERE a.chatroom_id = $1 AND a.newest = 1 ORDER BY a.name LIMIT $2"
    ))
    .bind(chatroom_id.0.clone())
    .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// How many names a room has, and how many bytes they come to with all their versions.
///
/// # Errors
/// When the database fails.
pub async fn measure(tx: &mut Tx, chatroom_id: &ChatroomId) -> Result<Size> {
    let statement = sql::statement(
        "SELECT CAST(COALESCE(SUM(newest), 0) AS BIGINT) AS names, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
         FROM artifacts WHERE chatroom_id = $1",
    )
    .bind(chatroom_id.0.clone());
    match sql::one(tx, statement).await? {
        Some(row) => Ok(Size { names: sql::int(&row, "names")?, bytes: sql::int(&row, "bytes")? }),
        None => Ok(Size { names: 0, bytes: 0 }),
    }
}

/// Removes every version of a name; a row without text stays, so that no number is given twice. Tells whether there was one.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut Tx, chatroom_id: &ChatroomId, name: &str, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE artifacts SET newest = 0, removed_at = $3, content = '', bytes = 0
         WHERE chatroom_id = $1 AND name = $2 AND newest = 1",
    )
    .bind(chatroom_id.0.clone())
    .bind(name.to_owned())
    .bind(now.0);
    if sql::execute(tx, statement).await? == 0 {
        return Ok(false);
    }
    let statement = sql::statement("DELETE FROM artifacts WHERE chatroom_id = $1 AND name = $2 AND removed_at IS NULL")
        .bind(chatroom_id.0.clone())
        .bind(name.to_owned());
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Desk(chatroom_id.clone()));
    Ok(true)
}

fn read(row: &sqlx::any::AnyRow) -> Result<Artifact> {
    Ok(Artifact {
        name: sql::text(row, "name")?,
        version: sql::int(row, "version")?,
        bytes: sql::int(row, "bytes")?,
        author_role: sql::text(row, "author_role")?,
        author_name: sql::text(row, "author_name")?,
        created_at: UnixMs(sql::int(row, "created_at")?),
    })
}
