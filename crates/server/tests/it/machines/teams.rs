//! Where teams, contexts and prompts meet agents that run.

use super::{merge, on_each};
use chatroom_protocol::ErrorCode;
use serde_json::json;

#[tokio::test]
async fn a_role_is_not_removed_while_its_agent_runs() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let role = json!({"name": "planner", "title": "Planner", "instructions": "Plan.", "handsTo": ["user"]});
        let team = json!({"name": "alone", "entryRole": "planner", "roles": [role]});
        world.ok(&world.ada, "teams.upsert", team).await;
        let update = json!({"chatroomId": world.room, "team": "alone", "removedRoleTasks": "cancel"});
        let refusal = world.refused(&world.ada, "chatrooms.updateTeam", update.clone()).await;
        assert_eq!(refusal.code, ErrorCode::Conflict);
        assert_eq!(
            refusal.message,
            format!("the new team has no role builder, and agent {agent} of that role is running")
        );
        let room = world.ok(&world.ada, "chatrooms.get", json!({"chatroomId": world.room})).await;
        assert_eq!(room["team"]["name"], "duo");
        // A team that keeps the role is taken at once.
        let squad = json!({"chatroomId": world.room, "team": "squad"});
        assert_eq!(world.ok(&world.ada, "chatrooms.updateTeam", squad).await["addedRoles"], json!(["reviewer"]));

        let stop = world.send(&world.machine, "stop-agent").await;
        world.claim(&world.machine, &stop).await;
        let stopped = json!({"kind": "stopped", "agentId": agent, "exit": {"how": "stopped"}});
        world.complete(&world.machine, &stop, stopped).await;
        let updated = world.ok(&world.ada, "chatrooms.updateTeam", update).await;
        assert_eq!(updated["removedRoles"], json!(["builder", "reviewer"]));
    })
    .await;
}

#[tokio::test]
async fn the_room_shows_which_version_of_the_prompt_each_agent_holds() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let list = json!({"chatroomId": world.room});
        assert!(world.ok(&world.ada, "agents.list", list.clone()).await[0]["promptVersion"].is_null());
        let order = world.claim(&world.machine, &command).await["order"].clone();
        let shown = world.ok(&world.ada, "agents.list", list).await[0]["promptVersion"].clone();
        assert_eq!(shown, chatroom_server::prompt::VERSION);
        assert_eq!(shown, order["promptVersion"]);
    })
    .await;
}

#[tokio::test]
async fn an_agent_reads_its_own_task_and_writes_in_its_own_name() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let caller = world.machine.agent(&world, &agent);
        let message = json!({"chatroomId": world.room, "role": "builder", "content": "paint it"});
        let sent = world.ok(&world.ada, "messages.send", message).await;
        let who = json!({"chatroomId": world.room, "role": "builder"});
        let wait = merged(&who, json!({"waiterId": "w"}));
        world.ok(&caller, "participants.join", wait.clone()).await;
        world.ok(&caller, "tasks.claim", merged(&wait, json!({"taskId": sent["taskId"]}))).await;
        let read = world.ok(&caller, "contexts.read", who.clone()).await;
        assert_eq!(read["task"]["taskId"], sent["taskId"]);
        assert!(read["brief"].as_str().unwrap().contains("\n/opt/chatroom handoff --chatroom-id="), "{read}");
        // Nobody names a role for an agent: it has its own.
        let file = json!({"chatroomId": world.room, "name": "report.md", "content": "painted"});
        assert_eq!(world.ok(&caller, "artifacts.put", file).await["authorRole"], "builder");
        let started = world.ok(&world.ada, "tasks.list", json!({"chatroomId": world.room})).await;
        assert_eq!(started[0]["state"], "in_progress");
        // What was handed to an agent that has ended is not another's.
        let stranger = world.machine.agent(&world, "another");
        assert!(world.ok(&stranger, "contexts.read", who).await["task"].is_null());
        let as_user = json!({"chatroomId": world.room, "role": "user", "content": "free beer"});
        assert_eq!(world.refused(&caller, "backlog.add", as_user).await.code, ErrorCode::NotFound);
    })
    .await;
}

fn merged(args: &serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    let mut args = args.clone();
    merge(&mut args, more);
    args
}
