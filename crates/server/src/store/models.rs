//! Models: which models a tool of a machine has, as the tool told it last.

use super::{Result, Tx, sql};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::MachineId;
use chatroom_protocol::tool::ToolName;
use chatroom_protocol::transcript::ModelList;

/// Stores what a tool told, in place of what it told before.
///
/// # Errors
/// When the database fails.
pub async fn put(tx: &mut Tx, machine_id: &MachineId, tool: &ToolName, models: &ModelList, now: UnixMs) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO tool_models (machine_id, tool, models, told_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (machine_id, tool) DO UPDATE SET models = excluded.models, told_at = excluded.told_at
         WHERE tool_models.models <> excluded.models",
    )
    .bind(machine_id.0.clone())
    .bind(tool.0.clone())
    .bind(sql::to_json(models)?)
    .bind(now.0);
    sql::execute(tx, statement).await?;
    Ok(())
}

/// What a tool of a machine told last, if it ever told.
///
/// # Errors
/// When the database fails.
pub async fn known(tx: &mut Tx, machine_id: &MachineId, tool: &ToolName) -> Result<Option<ModelList>> {
    let statement = sql::statement("SELECT models FROM tool_models WHERE machine_id = $1 AND tool = $2")
        .bind(machine_id.0.clone())
        .bind(tool.0.clone());
    sql::one(tx, statement).await?.as_ref().map(|row| sql::json(row, "models")).transpose()
}

/// Forgets what the tools of a machine told.
///
/// # Errors
/// When the database fails.
pub async fn delete_of_machine(tx: &mut Tx, machine_id: &MachineId) -> Result<u64> {
    let statement = sql::statement("DELETE FROM tool_models WHERE machine_id = $1").bind(machine_id.0.clone());
    sql::execute(tx, statement).await
}
