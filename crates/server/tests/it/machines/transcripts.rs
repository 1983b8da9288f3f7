//! What is derived from the events of a transcript, and how it is read.

use super::{World, asks, events, exited, on_each, says, turn_ended};
use chatroom_protocol::ErrorCode;
use chatroom_protocol::transcript::{APPEND_BYTES, APPEND_EVENTS, EVENT_BYTES};
use chatroom_server::live::Topic;
use chatroom_server::store::models;
use serde_json::{Value, json};

/// Texts that break what does not expect them.
const HOSTILE: &[&str] = &[
    "a\0b",
    "\u{202e}gnp.exe",
    "\u{1b}[2J\u{7}",
    "'; DROP TABLE agents; --",
    "$1 %s {} \\ \" \n\r\t",
    "\u{10ffff}\u{feff}\u{fffd}",
    "<script>alert(1)</script>",
];

fn started(models: Value) -> Value {
    json!({"kind": "session_started", "driver": "acp", "sessionId": "s-1", "resumed": false, "models": models})
}

fn prompt(task: &str, delivery: i64) -> Value {
    json!({"kind": "prompt", "source": {"by": "task", "taskId": task, "delivery": delivery}, "text": "do it"})
}

async fn task(world: &World, id: &Value) -> Value {
    let list = |state: Value| world.ok(&world.ada, "tasks.list", json!({"chatroomId": world.room, "state": state}));
    for state in [Value::Null, json!("completed")] {
        let tasks = list(state).await;
        if let Some(task) = tasks.as_array().unwrap().iter().find(|task| task["taskId"] == *id) {
            return task.clone();
        }
    }
    panic!("the task {id} is not there");
}

/// A task in the hands of the builder's agent.
pub(super) async fn handed_over(world: &World, agent: &str) -> Value {
    let caller = world.machine.agent(world, agent);
    let sent = json!({"chatroomId": world.room, "role": "builder", "content": "work"});
    let id = world.ok(&world.ada, "messages.send", sent).await["taskId"].clone();
    let mut role = json!({"chatroomId": world.room, "role": "builder", "waiterId": "w"});
    world.ok(&caller, "participants.join", role.clone()).await;
    role["taskId"] = id.clone();
    assert_eq!(world.ok(&caller, "tasks.claim", role).await["outcome"], "claimed");
    id
}

#[tokio::test]
async fn how_a_session_stands_is_read_from_its_transcript() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        assert_eq!(world.agent(&agent).await["session"], json!({"openPermissions": 0, "lastSeq": 0}));
        let models = json!({"models": [{"id": "big", "name": "Big"}], "isComplete": true});
        let trouble = json!({"kind": "trouble", "trouble": {"kind": "quota", "message": "no more", "at": 1}});
        let entries = vec![started(models), prompt("t", 1), trouble, asks("r", "make")];
        assert_eq!(world.append(&world.machine, &agent, events(1, entries)).await, 4);
        let session = world.agent(&agent).await["session"].clone();
        assert_eq!(session["turn"], json!({"state": "waiting_for_permission", "since": 40, "taskId": "t"}));
        assert_eq!((&session["trouble"]["kind"], &session["sessionId"]), (&json!("quota"), &json!("s-1")));
        assert_eq!((&session["openPermissions"], &session["lastSeq"]), (&json!(1), &json!(4)));
        assert!(session["heardAt"].is_i64());
        let listed = world.ok(&world.ada, "agents.list", json!({"chatroomId": world.room})).await;
        assert_eq!(listed[0]["session"], session);
        assert_eq!(world.machine_row(&world.machine).await["agents"][0]["session"], session);
        assert_eq!(world.append(&world.machine, &agent, events(5, vec![turn_ended()])).await, 5);
        let session = world.agent(&agent).await["session"].clone();
        assert_eq!((&session["turn"]["state"], &session["openPermissions"]), (&json!("idle"), &json!(0)));
        assert_eq!(session["trouble"], Value::Null);
        assert_eq!(world.permissions().await[0]["state"], "withdrawn");
        let mut tx = world.app.store.read().await.unwrap();
        let known = models::known(&mut tx, &world.machine.id.as_str().into(), &"echo".into()).await.unwrap().unwrap();
        assert_eq!(known.models[0].id, "big");
    })
    .await;
}

#[tokio::test]
async fn a_gap_is_marked_once_and_the_answer_stays_honest() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        assert_eq!(world.append(&world.machine, &agent, json!([])).await, 0);
        assert_eq!(world.append(&world.machine, &agent, events(1, vec![says("one")])).await, 1);
        for _ in 0..2 {
            assert_eq!(world.append(&world.machine, &agent, events(5, vec![says("five")])).await, 5);
        }
        let told = events(6, vec![json!({"kind": "dropped", "events": 3})]);
        assert_eq!(world.append(&world.machine, &agent, told).await, 6);
        assert_eq!(world.append(&world.machine, &agent, events(9, vec![says("nine")])).await, 9);
        let page = world.transcript(&agent).await;
        let seqs: Vec<_> = page["events"].as_array().unwrap().iter().map(|event| event["seq"].clone()).collect();
        assert_eq!(seqs, [1, 2, 5, 6, 9]);
        assert_eq!(page["events"][1], json!({"seq": 2, "at": 50, "kind": "dropped", "events": 3}));
        assert_eq!((&page["firstSeq"], &page["lastSeq"]), (&json!(1), &json!(9)));
        assert_eq!(world.append(&world.machine, &agent, json!([])).await, 9);
    })
    .await;
}

#[tokio::test]
async fn a_transcript_is_written_by_the_agents_own_machine_and_read_by_its_owner() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let args =
            |host: &super::Host| json!({"machineId": host.id, "agentId": agent, "events": events(1, vec![says("x")])});
        for (caller, host) in [
            (&world.other.caller, &world.other),
            (&world.other.caller, &world.machine),
            (&world.machine.caller, &world.other),
        ] {
            assert_eq!(world.code(caller, "agents.appendTranscript", args(host)).await, ErrorCode::NotFound);
        }
        let caller = &world.machine.caller;
        let unknown = json!({"machineId": world.machine.id, "agentId": "none", "events": []});
        assert_eq!(world.code(caller, "agents.appendTranscript", unknown).await, ErrorCode::NotFound);
        assert_eq!(world.code(&world.bea, "agents.transcript", json!({"agentId": agent})).await, ErrorCode::NotFound);
        assert_eq!(world.transcript(&agent).await["events"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_transcript_is_read_in_pages() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let entries = (1..=120).map(|number| says(&number.to_string())).collect();
        assert_eq!(world.append(&world.machine, &agent, events(1, entries)).await, 120);
        let page = async |more: Value| {
            let mut args = json!({"agentId": agent});
            super::merge(&mut args, more);
            let page = world.ok(&world.ada, "agents.transcript", args).await;
            let events = page["events"].as_array().unwrap().clone();
            let seq = |event: Option<&Value>| event.map_or(0, |event| event["seq"].as_i64().unwrap());
            (seq(events.first()), seq(events.last()), events.len())
        };
        assert_eq!(page(json!({})).await, (21, 120, 100));
        assert_eq!(page(json!({"before": 21})).await, (1, 20, 20));
        assert_eq!(page(json!({"after": 0, "limit": 7})).await, (1, 7, 7));
        assert_eq!(page(json!({"after": 118})).await, (119, 120, 2));
        assert_eq!(page(json!({"after": 120})).await, (0, 0, 0));
        assert_eq!(page(json!({"after": -5, "limit": 1})).await, (1, 1, 1));
        for bad in [json!({"limit": 0}), json!({"limit": 501}), json!({"after": 1, "before": 5})] {
            let mut args = json!({"agentId": agent});
            super::merge(&mut args, bad);
            assert_eq!(world.code(&world.ada, "agents.transcript", args).await, ErrorCode::BadRequest);
        }
        // Large events end a page sooner than its rows.
        let large = (0..16).map(|_| says(&"x".repeat(60_000))).collect();
        world.append(&world.machine, &agent, events(121, large)).await;
        let (_, last, count) = page(json!({"after": 120})).await;
        assert!(last < 136 && count < 16, "{last} {count}");
        assert!(count * 60_000 < 600_000, "{count}");
    })
    .await;
}

#[tokio::test]
async fn a_task_is_confirmed_when_it_is_said_and_started_by_the_first_sign_of_work() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let id = handed_over(&world, &agent).await;
        let text = id.as_str().unwrap();
        let receipt = async || {
            let list = world.ok(&world.ada, "messages.list", json!({"chatroomId": world.room})).await;
            list[0]["receipt"]["stage"].clone()
        };
        // What is told of another hand-over, or before any task was said, is not a sign of this one.
        let other = vec![says("hello"), prompt(text, 7), says("at work"), prompt("another", 1), says("at work")];
        world.append(&world.machine, &agent, events(1, other)).await;
        assert_eq!(
            (task(&world, &id).await["state"].clone(), receipt().await),
            (json!("acknowledged"), json!("delivered"))
        );
        world.append(&world.machine, &agent, events(6, vec![prompt(text, 1)])).await;
        assert_eq!((task(&world, &id).await["state"].clone(), receipt().await), (json!("acknowledged"), json!("seen")));
        let thought = json!({"kind": "thought", "text": "hm"});
        world.append(&world.machine, &agent, events(7, vec![thought])).await;
        assert_eq!(task(&world, &id).await["state"], "acknowledged");
        let call = json!({"kind": "tool_call", "callId": "c", "title": "ls", "toolKind": "execute"});
        world.append(&world.machine, &agent, events(8, vec![call])).await;
        assert_eq!(
            (task(&world, &id).await["state"].clone(), receipt().await),
            (json!("in_progress"), json!("started"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_task_that_was_queued_again_meanwhile_is_started_by_its_holders_late_word() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let id = handed_over(&world, &agent).await;
        chatroom_server::reconcile::settle(&world.app, super::later(10 * 60_000)).await;
        assert_eq!(task(&world, &id).await["state"], "pending");
        let late = vec![prompt(id.as_str().unwrap(), 1), says("at work")];
        world.append(&world.machine, &agent, events(1, late)).await;
        assert_eq!(task(&world, &id).await["state"], "in_progress");
        // Put back by its owner, it is nobody's.
        world.ok(&world.ada, "tasks.requeue", json!({"taskId": id})).await;
        world.append(&world.machine, &agent, events(3, vec![says("still at work")])).await;
        assert_eq!(task(&world, &id).await["state"], "pending");
    })
    .await;
}

#[tokio::test]
async fn a_streaming_text_wakes_the_transcript_and_not_the_room() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        world.append(&world.machine, &agent, events(1, vec![prompt("t", 1), says("a")])).await;
        let room = world.watch(&Topic::Chatroom(world.chatroom_id()));
        let machines = world.watch(&Topic::Machines(world.user_id()));
        let transcript = world.watch(&Topic::Transcript(agent.as_str().into()));
        world.append(&world.machine, &agent, events(3, vec![says("b"), json!({"kind": "compacted"})])).await;
        assert_eq!((room.take().len(), machines.take().len(), transcript.take().len()), (0, 0, 1));
        world.append(&world.machine, &agent, events(3, vec![says("b")])).await;
        assert_eq!(transcript.take().len(), 0, "a replay wakes nobody");
        world.append(&world.machine, &agent, events(5, vec![turn_ended()])).await;
        assert_eq!((room.take().len(), machines.take().len(), transcript.take().len()), (1, 1, 1));
    })
    .await;
}

#[tokio::test]
async fn hostile_texts_come_back_as_they_were_told() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let mut entries = Vec::new();
        for text in HOSTILE {
            let mut session = started(Value::Null);
            session["sessionId"] = json!(text);
            session.as_object_mut().unwrap().remove("models");
            entries.extend([
                session,
                says(text),
                prompt(text, 1),
                json!({"kind": "tool_call", "callId": text, "title": text, "toolKind": "other", "command": text, "paths": [text]}),
                json!({"kind": "trouble", "trouble": {"kind": "protocol", "message": text, "repair": text, "at": 1}}),
                json!({"kind": "needs_you", "taskId": text, "delivery": 1}),
                json!({"kind": "input_taken", "inputId": text}),
                json!({"kind": "input_refused", "inputId": text, "reason": text}),
                asks(text, text),
            ]);
        }
        let told = events(1, entries);
        let count = told.as_array().unwrap().len() as i64;
        assert_eq!(world.append(&world.machine, &agent, told.clone()).await, count);
        assert_eq!(world.append(&world.machine, &agent, told.clone()).await, count);
        let page = world.ok(&world.ada, "agents.transcript", json!({"agentId": agent, "limit": 500})).await;
        assert_eq!(page["events"], told);
        // The last request waits; the answer names it exactly as its agent did.
        let last = *HOSTILE.last().unwrap();
        let requests = world.permissions().await;
        let names: Vec<_> = requests.iter().map(|request| request["requestId"].as_str().unwrap()).collect();
        assert_eq!(names, HOSTILE);
        assert_eq!(requests.iter().filter(|request| request["state"] == "pending").count(), 1);
        world.append(&world.machine, &agent, events(count + 1, vec![asks("nul \0 here", last)])).await;
        let id = world.permissions().await.last().unwrap()["permissionId"].clone();
        world.ok(&world.ada, "permissions.answer", json!({"permissionId": id, "choice": "allow_once"})).await;
        assert_eq!(world.inbox(&world.machine).await[0]["requestId"], "nul \0 here");
        assert_eq!(world.agent(&agent).await["session"]["sessionId"], last);
    })
    .await;
}

#[tokio::test]
async fn what_no_host_writes_is_refused_and_nothing_of_it_is_kept() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let many = |count: usize, size: usize| events(1, (0..count).map(|_| says(&"x".repeat(size))).collect());
        let mut backwards = events(1, vec![says("a"), says("b")]);
        backwards[1]["seq"] = json!(1);
        let bad = [
            events(0, vec![says("x")]),
            events(-3, vec![says("x")]),
            events(9_007_199_254_740_993, vec![says("x")]),
            backwards,
            many(APPEND_EVENTS + 1, 1),
            many(1, EVENT_BYTES),
            many(APPEND_BYTES / 60_000 + 1, 60_000),
            json!([{"seq": 1, "at": 1, "kind": "unheard_of"}]),
        ];
        for (place, events) in bad.into_iter().enumerate() {
            let args = json!({"machineId": world.machine.id, "agentId": agent, "events": events});
            let code = world.code(&world.machine.caller, "agents.appendTranscript", args).await;
            assert_eq!(code, ErrorCode::BadRequest, "{place}");
        }
        assert_eq!(world.append(&world.machine, &agent, many(APPEND_EVENTS, 1)).await, 500);
        assert_eq!(world.append(&world.machine, &agent, json!([])).await, 500);
    })
    .await;
}

#[tokio::test]
async fn the_last_words_of_an_agent_that_has_ended_are_taken_and_ask_nothing_any_more() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let rule = json!({"chatroomId": world.room, "allow": true, "match": "command", "command": "make"});
        world.ok(&world.ada, "permissions.addRule", rule).await;
        world.heartbeat(&world.machine, json!([exited(&agent)])).await;
        let last = vec![prompt("t", 1), says("bye"), asks("r", "make")];
        assert_eq!(world.append(&world.machine, &agent, events(1, last)).await, 3);
        assert_eq!(world.transcript(&agent).await["events"].as_array().unwrap().len(), 3);
        assert_eq!(world.permissions().await[0]["state"], "withdrawn");
        assert!(world.inbox(&world.machine).await.is_empty());
        assert_eq!(world.agent(&agent).await["session"]["openPermissions"], 0);
    })
    .await;
}
