//! The models that the tools of a machine told of: by the newest word of each tool.

use super::{Result, Tx, sql};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::MachineId;
use chatroom_protocol::tool::ToolName;
use chatroom_protocol::transcript::ModelList;

/// Records what a tool told of its models.
///
/// # Errors
/// When the database fails.
pub async fn upsert(
    tx: &mut Tx,
    machine_id: &MachineId,
    tool: &ToolName,
    models: &ModelList,
    now: UnixMs,
) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO tool_models (machine_id, tool, models, heard_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (machine_id, tool) DO UPDATE SET models = excluded.models, heard_at = excluded.heard_at",
    )
    .bind(machine_id.0.clone())
    .bind(tool.0.clone())
    .bind(sql::to_json(models)?)
    .bind(now.0);
    sql::execute(tx, statement).await.map(drop)
}

/// What a tool told of its models last, and when; nothing when it never did.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, machine_id: &MachineId, tool: &ToolName) -> Result<Option<(ModelList, UnixMs)>> {
    let statement = sql::statement("SELECT models, heard_at FROM tool_models WHERE machine_id = $1 AND tool = $2")
        .bind(machine_id.0.clone())
        .bind(tool.0.clone());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(Some((sql::json(&row, "models")?, UnixMs(sql::int(&row, "heard_at")?))))
}

/// Forgets what the tools of a machine told.
///
/// # Errors
/// When the database fails.
pub async fn delete_of_machine(tx: &mut Tx, machine_id: &MachineId) -> Result<u64> {
    let statement = sql::statement("DELETE FROM tool_models WHERE machine_id = $1").bind(machine_id.0.clone());
    sql::execute(tx, statement).await
}
