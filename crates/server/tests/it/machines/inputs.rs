//! What owners send into the sessions of their agents.

use super::{asks, events, exited, on_each, says, turn_ended};
use chatroom_protocol::ErrorCode;
use chatroom_server::live::Topic;
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_sent_waits_for_the_machine_and_ends_by_the_transcript() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let inbox = world.watch(&Topic::Inbox(world.machine.id.as_str().into()));
        let said = world.ok(&world.ada, "agents.send", json!({"agentId": agent, "text": "stop that"})).await;
        let cancel = world.ok(&world.ada, "agents.cancelTurn", json!({"agentId": agent})).await;
        assert!(!inbox.take().is_empty());
        assert_eq!(
            (&said["input"], &said["text"], &said["state"]),
            (&json!("say"), &json!("stop that"), &json!("queued"))
        );
        assert_eq!(cancel["input"], "cancel");
        assert_eq!(world.inputs(&agent).await, [said.clone(), cancel.clone()]);
        let waiting = world.inbox(&world.machine).await;
        let ids: Vec<_> = waiting.iter().map(|input| input["inputId"].clone()).collect();
        assert_eq!(ids, [said["inputId"].clone(), cancel["inputId"].clone()]);
        assert!(world.inbox(&world.other).await.is_empty());
        let told = vec![
            json!({"kind": "input_taken", "inputId": said["inputId"]}),
            json!({"kind": "input_refused", "inputId": cancel["inputId"], "reason": "no turn runs"}),
            json!({"kind": "input_refused", "inputId": said["inputId"], "reason": "too late"}),
        ];
        for _ in 0..2 {
            world.append(&world.machine, &agent, events(1, told.clone())).await;
            let inputs = world.inputs(&agent).await;
            assert_eq!(inputs[0]["state"], "delivered");
            assert_eq!((&inputs[1]["state"], &inputs[1]["reason"]), (&json!("refused"), &json!("no turn runs")));
            assert!(world.inbox(&world.machine).await.is_empty());
        }
        assert!(!inbox.take().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_task_cancels_the_turn_that_works_on_it_and_no_other() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let first = super::transcripts::handed_over(&world, &agent).await;
        let prompt = |id: &Value| {
            json!({"kind": "prompt", "text": "do it",
            "source": {"by": "task", "taskId": id, "delivery": 1}})
        };
        world.append(&world.machine, &agent, events(1, vec![prompt(&first)])).await;
        let inbox = world.watch(&Topic::Inbox(world.machine.id.as_str().into()));
        for _ in 0..2 {
            world.ok(&world.ada, "tasks.cancel", json!({"taskId": first})).await;
        }
        assert!(!inbox.take().is_empty());
        let inputs = world.inputs(&agent).await;
        assert_eq!(inputs.len(), 1, "asked again, nothing more is sent: {inputs:?}");
        assert_eq!((&inputs[0]["input"], &inputs[0]["state"]), (&json!("cancel"), &json!("queued")));
        let taken = json!({"kind": "input_taken", "inputId": inputs[0]["inputId"]});
        world.append(&world.machine, &agent, events(2, vec![taken, turn_ended()])).await;
        // Its turn is over, or it is about something else: there is nothing to end.
        let second = super::transcripts::handed_over(&world, &agent).await;
        world.ok(&world.ada, "tasks.cancel", json!({"taskId": second})).await;
        let third = super::transcripts::handed_over(&world, &agent).await;
        world.append(&world.machine, &agent, events(4, vec![prompt(&first)])).await;
        world.ok(&world.ada, "tasks.cancel", json!({"taskId": third})).await;
        assert_eq!(world.inputs(&agent).await.len(), 1);
        assert!(world.inbox(&world.machine).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_transcript_of_one_agent_ends_no_input_of_another() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let sent = world.ok(&world.ada, "agents.send", json!({"agentId": agent, "text": "hello"})).await;
        let config = json!({"machineId": world.other.id, "chatroomId": world.room, "role": "planner", "tool": "echo",
            "workingDir": "/srv"});
        world.ok(&world.ada, "machines.updateAgentConfig", config).await;
        let start = json!({"machineId": world.other.id, "type": "start-agent",
            "payload": {"chatroomId": world.room, "role": "planner"}});
        let start = world.ok(&world.ada, "machines.sendCommand", start).await;
        let planner = super::text(&world.claim(&world.other, &start).await["order"]["agentId"]);
        let told = events(1, vec![json!({"kind": "input_taken", "inputId": sent["inputId"]})]);
        world.append(&world.other, &planner, told).await;
        assert_eq!(world.inputs(&agent).await[0]["state"], "queued");
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_to_foreign_or_ended_agents_and_no_empty_or_endless_texts() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let send = |text: &str| json!({"agentId": agent, "text": text});
        for (name, args) in [
            ("agents.send", send("hello")),
            ("agents.cancelTurn", json!({"agentId": agent})),
            ("agents.listInputs", json!({"agentId": agent})),
        ] {
            assert_eq!(world.code(&world.bea, name, args).await, ErrorCode::NotFound, "{name}");
        }
        for bad in ["", " \n", "a\0b", &"x".repeat(100_001)] {
            assert_eq!(world.code(&world.ada, "agents.send", send(bad)).await, ErrorCode::BadRequest);
        }
        let longest = "ä".repeat(100_000);
        world.ok(&world.ada, "agents.send", send(&longest)).await;
        assert_eq!(world.inbox(&world.machine).await[0]["text"], longest.as_str());
        world.heartbeat(&world.machine, json!([exited(&agent)])).await;
        let refused = world.refused(&world.ada, "agents.send", send("hello")).await;
        assert_eq!(refused.code, ErrorCode::AgentEnded);
        assert!(refused.hint.is_some());
        let cancel = json!({"agentId": agent});
        assert_eq!(world.code(&world.ada, "agents.cancelTurn", cancel).await, ErrorCode::AgentEnded);
    })
    .await;
}

#[tokio::test]
async fn an_agent_is_sent_a_hundred_inputs_ahead_and_its_answers_always() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        for _ in 0..100 {
            world.ok(&world.ada, "agents.cancelTurn", json!({"agentId": agent})).await;
        }
        let send = json!({"agentId": agent, "text": "one more"});
        assert_eq!(world.code(&world.ada, "agents.send", send.clone()).await, ErrorCode::LimitReached);
        world.append(&world.machine, &agent, events(1, vec![asks("r", "make")])).await;
        let id = world.permissions().await[0]["permissionId"].clone();
        world.ok(&world.ada, "permissions.answer", json!({"permissionId": id, "choice": "allow_once"})).await;
        let waiting = world.inbox(&world.machine).await;
        assert_eq!((waiting.len(), &waiting[100]["input"]), (101, &json!("answer")));
        let taken = waiting[..2].iter().map(|input| json!({"kind": "input_taken", "inputId": input["inputId"]}));
        world.append(&world.machine, &agent, events(2, taken.collect())).await;
        world.ok(&world.ada, "agents.send", send).await;
        assert_eq!(world.inputs(&agent).await.len(), 100, "the newest hundred are listed");
    })
    .await;
}

#[tokio::test]
async fn a_send_that_comes_again_with_its_key_is_sent_once() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let send = json!({"agentId": agent, "text": "hello", "idempotencyKey": "k"});
        let first = world.ok(&world.ada, "agents.send", send.clone()).await;
        assert_eq!(world.ok(&world.ada, "agents.send", send).await, first);
        assert_eq!(world.inputs(&agent).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_an_agent_ends_with_it() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        world.ok(&world.ada, "agents.send", json!({"agentId": agent, "text": "hello"})).await;
        world.append(&world.machine, &agent, events(1, vec![asks("r", "make"), says("x")])).await;
        assert_eq!(world.agent(&agent).await["session"]["openPermissions"], 1);
        world.heartbeat(&world.machine, json!([exited(&agent)])).await;
        let input = world.inputs(&agent).await.remove(0);
        assert_eq!((&input["state"], &input["reason"]), (&json!("refused"), &json!("the agent has ended")));
        assert!(world.inbox(&world.machine).await.is_empty());
        assert_eq!(world.permissions().await[0]["state"], "withdrawn");
        assert_eq!(world.agent(&agent).await["session"]["openPermissions"], 0);
    })
    .await;
}

#[tokio::test]
async fn the_inbox_of_an_older_daemon_session_is_superseded() {
    on_each(async |world| {
        let args = |epoch: i64| json!({"machineId": world.machine.id, "epoch": epoch});
        let caller = &world.machine.caller;
        let newer = world.open(&world.machine, "s2", json!([])).await["epoch"].as_i64().unwrap();
        let answer = world.ok(caller, "agents.getInbox", args(world.machine.epoch)).await;
        assert_eq!(answer, json!({"session": "superseded"}));
        assert_eq!(world.ok(caller, "agents.getInbox", args(newer)).await, json!({"session": "current", "inputs": []}));
        assert_eq!(world.code(caller, "agents.getInbox", args(newer + 1)).await, ErrorCode::BadRequest);
        assert_eq!(world.code(&world.other.caller, "agents.getInbox", args(newer)).await, ErrorCode::NotFound);
    })
    .await;
}
