//! Device logins (RFC 8628): a machine asks, a person approves, the machine fetches its token once.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::auth::{DeviceLogin, DeviceLoginStatus};
use chatroom_protocol::id::UserId;

/// A device login as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// What people see of it.
    pub login: DeviceLogin,
    /// Who approved or refused.
    pub user_id: Option<UserId>,
}

/// Stores a new device login.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, device_code_hash: &str, login: &DeviceLogin) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO device_logins
             (id, device_code_hash, user_code, machine_name, address, status, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(crate::secret::new_id::<String>())
    .bind(device_code_hash.to_owned())
    .bind(login.user_code.clone())
    .bind(login.machine_name.clone())
    .bind(login.address.clone())
    .bind(login.status.as_str().to_owned())
    .bind(login.requested_at.0)
    .bind(login.expires_at.0);
    sql::execute(tx, statement).await?;
    Ok(())
}

/// How many device logins wait for a person.
///
/// # Errors
/// When the database fails.
pub async fn count_pending(tx: &mut Tx, now: UnixMs) -> Result<i64> {
    let statement =
        sql::statement("SELECT COUNT(*) AS waiting FROM device_logins WHERE status = 'pending' AND expires_at > $1")
            .bind(now.0);
    sql::one(tx, statement).await?.map_or(Ok(0), |row| sql::int(&row, "waiting"))
}

/// Finds a device login by what a person types.
///
/// # Errors
/// When the database fails.
pub async fn find_by_user_code(tx: &mut Tx, user_code: &str) -> Result<Option<Row>> {
    let statement = sql::statement("SELECT * FROM device_logins WHERE user_code = $1").bind(user_code.to_owned());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Finds a device login by what the machine polls with.
///
/// # Errors
/// When the database fails.
pub async fn find_by_device_code(tx: &mut Tx, device_code_hash: &str) -> Result<Option<Row>> {
    let statement =
        sql::statement("SELECT * FROM device_logins WHERE device_code_hash = $1").bind(device_code_hash.to_owned());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Moves a pending, live login to approved or denied. Tells whether it did.
///
/// # Errors
/// When the database fails.
pub async fn decide(tx: &mut Tx, id: &str, user_id: &UserId, status: DeviceLoginStatus, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE device_logins SET status = $3, user_id = $2 WHERE id = $1 AND status = 'pending' AND expires_at > $4",
    )
    .bind(id.to_owned())
    .bind(user_id.0.clone())
    .bind(status.as_str().to_owned())
    .bind(now.0);
    tx.wake(Topic::Credentials(user_id.clone()));
    Ok(sql::execute(tx, statement).await? == 1)
}

/// Moves an approved, live login to redeemed. Tells whether it did: it can be true once only.
///
/// # Errors
/// When the database fails.
pub async fn redeem(tx: &mut Tx, id: &str, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE device_logins SET status = 'redeemed' WHERE id = $1 AND status = 'approved' AND expires_at > $2",
    )
    .bind(id.to_owned())
    .bind(now.0);
    Ok(sql::execute(tx, statement).await? == 1)
}

/// Forgets logins that ended more than a day ago.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement("DELETE FROM device_logins WHERE expires_at < $1").bind((now - 24 * 60 * 60_000).0);
    sql::execute(tx, statement).await
}

fn read(row: &sqlx::any::AnyRow) -> Result<Row> {
    Ok(Row {
        id: sql::text(row, "id")?,
        login: DeviceLogin {
            user_code: sql::text(row, "user_code")?,
            machine_name: sql::text(row, "machine_name")?,
            address: sql::text(row, "address")?,
            requested_at: UnixMs(sql::int(row, "created_at")?),
            expires_at: UnixMs(sql::int(row, "expires_at")?),
            status: DeviceLoginStatus::parse(&sql::text(row, "status")?).unwrap_or(DeviceLoginStatus::Denied),
        },
        user_id: sql::opt_text(row, "user_id")?.map(UserId),
    })
}
