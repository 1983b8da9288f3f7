//! Rules that answer permission requests of a room's agents. They count until they are removed or their time is over; the
//! reconciler removes those, and whoever applies rules passes them over besides.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{ChatroomId, RuleId, UserId};
use chatroom_protocol::permission::Rule;
use sqlx::any::AnyRow;

/// Stores a rule of a user's room.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, user_id: &UserId, rule: &Rule) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO permission_rules (id, user_id, chatroom_id, role, allow, matches, ends_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(rule.rule_id.0.clone())
    .bind(user_id.0.clone())
    .bind(rule.chatroom_id.0.clone())
    .bind(rule.role.clone())
    .bind(i64::from(rule.allow))
    .bind(sql::to_json(&rule.matches)?)
    .bind(rule.until.map(|at| at.0))
    .bind(rule.created_at.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Permissions(user_id.clone()));
    Ok(())
}

/// The rules of a room, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, chatroom_id: &ChatroomId) -> Result<Vec<Rule>> {
    let statement = sql::statement("SELECT * FROM permission_rules WHERE chatroom_id = $1 ORDER BY id DESC")
        .bind(chatroom_id.0.clone());
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// Removes a user's rule and gives it. Nothing when there is no such rule.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut Tx, user_id: &UserId, id: &RuleId) -> Result<Option<Rule>> {
    let statement = sql::statement("DELETE FROM permission_rules WHERE id = $1 AND user_id = $2 RETURNING *")
        .bind(id.0.clone())
        .bind(user_id.0.clone());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    tx.wake(Topic::Permissions(user_id.clone()));
    read(&row).map(Some)
}

/// Removes rules whose time is over.
///
/// # Errors
/// When the database fails.
pub async fn delete_ended(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement("DELETE FROM permission_rules WHERE ends_at <= $1 RETURNING user_id").bind(now.0);
    let rows = sql::all(tx, statement).await?;
    for row in &rows {
        tx.wake(Topic::Permissions(sql::text(row, "user_id")?.into()));
    }
    Ok(rows.len() as u64)
}

/// When the next rule's time is over.
///
/// # Errors
/// When the database fails.
pub async fn next_end(tx: &mut Tx) -> Result<Option<UnixMs>> {
    let statement = sql::statement("SELECT MIN(ends_at) AS next FROM permission_rules WHERE ends_at IS NOT NULL");
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(sql::opt_int(&row, "next")?.map(UnixMs))
}

fn read(row: &AnyRow) -> Result<Rule> {
    Ok(Rule {
        rule_id: sql::text(row, "id")?.into(),
        chatroom_id: sql::text(row, "chatroom_id")?.into(),
        role: sql::opt_text(row, "role")?,
        allow: sql::int(row, "allow")? == 1,
        matches: sql::json(row, "matches")?,
        until: sql::opt_int(row, "ends_at")?.map(UnixMs),
        created_at: UnixMs(sql::int(row, "created_at")?),
    })
}
