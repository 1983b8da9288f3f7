//! Agent configs: what "start" uses for a role of a room on a machine.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{ChatroomId, MachineId};
use chatroom_protocol::machine::AgentConfig;
use chatroom_protocol::tool::{PermissionMode, ToolName};
use sqlx::any::AnyRow;

/// Finds the config of a role on a machine. Whose they are is for the caller to have checked.
///
/// # Errors
/// When the database fails.
pub async fn find(
    tx: &mut Tx,
    machine_id: &MachineId,
    chatroom_id: &ChatroomId,
    role: &str,
) -> Result<Option<AgentConfig>> {
    let statement =
        sql::statement("SELECT * FROM agent_configs WHERE machine_id = $1 AND chatroom_id = $2 AND role = $3")
            .bind(machine_id.0.clone())
            .bind(chatroom_id.0.clone())
            .bind(role.to_owned());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// The configs of a room, in the order of roles.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, chatroom_id: &ChatroomId) -> Result<Vec<AgentConfig>> {
    let statement = sql::statement("SELECT * FROM agent_configs WHERE chatroom_id = $1 ORDER BY role, machine_id")
        .bind(chatroom_id.0.clone());
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// Writes a config.
///
/// # Errors
/// When the database fails.
pub async fn upsert(tx: &mut Tx, config: &AgentConfig) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO agent_configs (machine_id, chatroom_id, role, tool, model, working_dir, permission_mode,
                                    start_on_task, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (machine_id, chatroom_id, role) DO UPDATE
         SET tool = excluded.tool, model = excluded.model, working_dir = excluded.working_dir,
             permission_mode = excluded.permission_mode, start_on_task = excluded.start_on_task,
             updated_at = excluded.updated_at",
    )
    .bind(config.machine_id.0.clone())
    .bind(config.chatroom_id.0.clone())
    .bind(config.role.clone())
    .bind(config.tool.0.clone())
    .bind(config.model.clone())
    .bind(config.working_dir.clone())
    .bind(config.permission_mode.as_str().to_owned())
    .bind(i64::from(config.start_on_task))
    .bind(config.updated_at.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Chatroom(config.chatroom_id.clone()));
    Ok(())
}

/// Deletes every config of a machine.
///
/// # Errors
/// When the database fails.
pub async fn delete_of_machine(tx: &mut Tx, machine_id: &MachineId) -> Result<u64> {
    let statement = sql::statement("DELETE FROM agent_configs WHERE machine_id = $1 RETURNING chatroom_id")
        .bind(machine_id.0.clone());
    let rows = sql::all(tx, statement).await?;
    for row in &rows {
        tx.wake(Topic::Chatroom(sql::text(row, "chatroom_id")?.into()));
    }
    Ok(rows.len() as u64)
}

fn read(row: &AnyRow) -> Result<AgentConfig> {
    Ok(AgentConfig {
        machine_id: sql::text(row, "machine_id")?.into(),
        chatroom_id: sql::text(row, "chatroom_id")?.into(),
        role: sql::text(row, "role")?,
        tool: ToolName(sql::text(row, "tool")?),
        model: sql::opt_text(row, "model")?,
        working_dir: sql::text(row, "working_dir")?,
        permission_mode: PermissionMode::parse(&sql::text(row, "permission_mode")?).unwrap_or_default(),
        start_on_task: sql::int(row, "start_on_task")? == 1,
        updated_at: UnixMs(sql::int(row, "updated_at")?),
    })
}
