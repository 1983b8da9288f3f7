//! Recorded answers of mutations, so that the same call asked again takes effect once.

use super::{Result, Tx, sql};
use chatroom_protocol::UnixMs;
use serde_json::Value;

/// How long an answer is kept: 14 days.
pub const KEPT_MS: i64 = 14 * 24 * 60 * 60_000;

/// A recorded answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// SHA-256 of the arguments.
    pub args_hash: String,
    /// The answer.
    pub result: Value,
}

/// Finds what was answered under a key.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, caller: &str, function: &str, key: &str) -> Result<Option<Record>> {
    let statement =
        sql::statement("SELECT args_hash, result FROM idempotency WHERE caller = $1 AND function = $2 AND key = $3")
            .bind(caller.to_owned())
            .bind(function.to_owned())
            .bind(key.to_owned());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(Some(Record { args_hash: sql::text(&row, "args_hash")?, result: sql::json(&row, "result")? }))
}

/// Records an answer. A key that is there already is a lost race: the transaction fails and is run again.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    tx: &mut Tx,
    caller: &str,
    function: &str,
    key: &str,
    args_hash: &str,
    result: &Value,
    now: UnixMs,
) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO idempotency (caller, function, key, args_hash, result, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(caller.to_owned())
    .bind(function.to_owned())
    .bind(key.to_owned())
    .bind(args_hash.to_owned())
    .bind(sql::to_json(result)?)
    .bind(now.0);
    sql::execute(tx, statement).await?;
    Ok(())
}

/// Forgets answers older than [`KEPT_MS`].
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement("DELETE FROM idempotency WHERE created_at < $1").bind((now - KEPT_MS).0);
    sql::execute(tx, statement).await
}
