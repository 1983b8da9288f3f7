//! What agents ask for: answered by their owner, by rules, by time, or by themselves.

use super::{World, asks, events, later, on_each, turn_ended};
use chatroom_protocol::ErrorCode;
use chatroom_server::live::Topic;
use chatroom_server::reconcile::settle;
use serde_json::{Value, json};

const HOUR_MS: i64 = 60 * 60_000;

/// The builder asks to run these commands; gives its agent.
async fn asking(world: &World, commands: &[&str]) -> String {
    let (agent, _) = world.run_builder(&world.machine).await;
    let entries = commands.iter().map(|command| asks(command, command)).collect();
    world.append(&world.machine, &agent, events(1, entries)).await;
    agent
}

async fn answer(world: &World, place: usize, choice: &str) -> Value {
    let id = world.permissions().await[place]["permissionId"].clone();
    world.ok(&world.ada, "permissions.answer", json!({"permissionId": id, "choice": choice})).await
}

fn command_rule(world: &World, allow: bool, command: &str) -> Value {
    json!({"chatroomId": world.room, "allow": allow, "match": "command", "command": command})
}

/// State, choice and decider of each request.
async fn ends(world: &World) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    world
        .permissions()
        .await
        .iter()
        .map(|request| [&request["state"], &request["choice"], &request["by"]].map(text).join(" "))
        .collect()
}

/// Request, choice and decider of each answer that waits for the machine.
async fn answers(world: &World) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    world
        .inbox(&world.machine)
        .await
        .iter()
        .map(|input| [&input["requestId"], &input["choice"], &input["by"]].map(text).join(" "))
        .collect()
}

#[tokio::test]
async fn a_request_is_listed_and_its_first_answer_counts() {
    on_each(async |world| {
        let agent = asking(&world, &["make"]).await;
        let waiting = world.ok(&world.ada, "permissions.list", json!({"chatroomId": world.room})).await;
        let request = &waiting[0];
        assert_eq!((&request["role"], &request["agentId"]), (&json!("builder"), &json!(agent)));
        assert_eq!((&request["command"], &request["toolKind"]), (&json!("make"), &json!("execute")));
        let asked = request["askedAt"].as_i64().unwrap();
        assert_eq!(request["expiresAt"], asked + 24 * HOUR_MS);
        let permissions = world.watch(&Topic::Permissions(world.user_id()));
        let answered = answer(&world, 0, "allow_once").await;
        assert!(!permissions.take().is_empty());
        assert_eq!((&answered["state"], &answered["by"]), (&json!("answered"), &json!("person")));
        assert_eq!(answer(&world, 0, "allow_once").await, answered, "said again, it is the same answer");
        let other = json!({"permissionId": answered["permissionId"], "choice": "reject_once"});
        let refused = world.refused(&world.ada, "permissions.answer", other).await;
        assert_eq!(refused.code, ErrorCode::Conflict);
        assert!(refused.message.contains("allow_once"), "{refused}");
        assert_eq!(answers(&world).await, ["make allow_once person"]);
        assert_eq!(world.ok(&world.ada, "permissions.list", json!({})).await, json!([]));
        // The agent hears of it.
        let outcome = json!({"how": "selected", "choice": "allow_once", "by": "person"});
        let input = world.inbox(&world.machine).await[0]["inputId"].clone();
        let told = vec![
            json!({"kind": "input_taken", "inputId": input}),
            json!({"kind": "permission_settled", "requestId": "make", "outcome": outcome}),
        ];
        assert_eq!(world.agent(&agent).await["session"]["turn"]["state"], "waiting_for_permission");
        world.append(&world.machine, &agent, events(2, told)).await;
        assert_eq!(world.agent(&agent).await["session"]["turn"]["state"], "working");
        assert_eq!(world.permissions().await, [answered]);
    })
    .await;
}

#[tokio::test]
async fn a_turn_waits_until_its_last_request_is_settled_over_several_batches() {
    on_each(async |world| {
        let agent = asking(&world, &["a", "b"]).await;
        answer(&world, 0, "allow_once").await;
        let outcome = json!({"how": "selected", "choice": "allow_once", "by": "person"});
        let settled = |name: &str| json!({"kind": "permission_settled", "requestId": name, "outcome": outcome});
        world.append(&world.machine, &agent, events(3, vec![settled("a")])).await;
        assert_eq!(world.agent(&agent).await["session"]["turn"]["state"], "waiting_for_permission");
        world.append(&world.machine, &agent, events(4, vec![settled("b")])).await;
        assert_eq!(world.agent(&agent).await["session"]["turn"]["state"], "working");
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_the_nearest_that_is_offered_and_never_a_wider_yes() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let with = |name: &str, kinds: &[&str]| {
            let mut request = asks(name, name);
            request["options"] =
                kinds.iter().map(|kind| json!({"optionId": kind, "name": kind, "kind": kind})).collect();
            request
        };
        let requests = vec![with("a", &["allow_always"]), with("b", &["allow_once"]), with("c", &[])];
        world.append(&world.machine, &agent, events(1, requests)).await;
        for (place, choice) in [(0, "allow_once"), (2, "allow_always")] {
            let id = world.permissions().await[place]["permissionId"].clone();
            let args = json!({"permissionId": id, "choice": choice});
            let refused = world.refused(&world.ada, "permissions.answer", args).await;
            assert_eq!(refused.code, ErrorCode::BadRequest);
            assert!(refused.hint.is_some_and(|hint| hint.contains(["allow_always", "reject_once"][place / 2])));
        }
        assert_eq!(answer(&world, 0, "reject_always").await["choice"], "reject_once");
        assert_eq!(answer(&world, 1, "allow_always").await["choice"], "allow_once");
        assert_eq!(answer(&world, 2, "reject_once").await["choice"], "reject_once");
    })
    .await;
}

#[tokio::test]
async fn a_rule_answers_what_waits_and_what_is_asked_later() {
    on_each(async |world| {
        let agent = asking(&world, &["cargo test -q", "cargo test; rm -rf ~", "make"]).await;
        let rule = world.ok(&world.ada, "permissions.addRule", command_rule(&world, true, "cargo test")).await;
        assert_eq!(ends(&world).await, ["answered allow_once rule", "pending - -", "pending - -"]);
        assert_eq!(answers(&world).await, ["cargo test -q allow_once rule"]);
        world.append(&world.machine, &agent, events(4, vec![asks("later", "cargo test")])).await;
        assert_eq!(ends(&world).await[3], "answered allow_once rule");
        world.ok(&world.ada, "permissions.addRule", command_rule(&world, false, "cargo")).await;
        world.append(&world.machine, &agent, events(5, vec![asks("last", "cargo test")])).await;
        assert_eq!(ends(&world).await[4], "answered reject_once rule", "one that refuses counts");
        assert_eq!(ends(&world).await[1], "pending - -");
        let rules = world.ok(&world.ada, "permissions.listRules", json!({"chatroomId": world.room})).await;
        assert_eq!((rules.as_array().unwrap().len(), &rules[1]), (2, &rule));
        for rule in rules.as_array().unwrap() {
            world.ok(&world.ada, "permissions.removeRule", json!({"ruleId": rule["ruleId"]})).await;
        }
        world.append(&world.machine, &agent, events(6, vec![asks("after", "cargo test")])).await;
        assert_eq!(ends(&world).await[5], "pending - -");
        let gone = json!({"ruleId": rule["ruleId"]});
        assert_eq!(world.code(&world.ada, "permissions.removeRule", gone).await, ErrorCode::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_rule_is_for_its_role_and_its_time() {
    on_each(async |world| {
        let agent = asking(&world, &["make"]).await;
        let with = |more: Value| {
            let mut rule = command_rule(&world, true, "make");
            super::merge(&mut rule, more);
            rule
        };
        world.ok(&world.ada, "permissions.addRule", with(json!({"role": "Planner"}))).await;
        assert_eq!(ends(&world).await, ["pending - -"]);
        let until = later(HOUR_MS).0;
        let rule = world.ok(&world.ada, "permissions.addRule", with(json!({"role": "BUILDER", "until": until}))).await;
        assert_eq!((&rule["role"], &rule["until"]), (&json!("builder"), &json!(until)));
        assert_eq!(ends(&world).await, ["answered allow_once rule"]);
        settle(&world.app, later(2 * HOUR_MS)).await;
        world.append(&world.machine, &agent, events(2, vec![asks("later", "make")])).await;
        assert_eq!(ends(&world).await[1], "pending - -");
        let rules = world.ok(&world.ada, "permissions.listRules", json!({"chatroomId": world.room})).await;
        assert_eq!(rules.as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn rules_that_say_too_much_or_name_nobody_are_refused() {
    on_each(async |world| {
        let with = |more: Value| {
            let mut rule = command_rule(&world, true, "make");
            super::merge(&mut rule, more);
            rule
        };
        for (more, code) in [
            (json!({"command": ""}), ErrorCode::BadRequest),
            (json!({"command": "make; rm"}), ErrorCode::BadRequest),
            (json!({"command": "make\0"}), ErrorCode::BadRequest),
            (json!({"command": "x".repeat(501)}), ErrorCode::BadRequest),
            (json!({"until": 5}), ErrorCode::BadRequest),
            (json!({"role": "nobody"}), ErrorCode::UnknownRole),
            (json!({"chatroomId": "none"}), ErrorCode::NotFound),
        ] {
            assert_eq!(world.code(&world.ada, "permissions.addRule", with(more.clone())).await, code, "{more}");
        }
        let code = world.code(&world.bea, "permissions.addRule", command_rule(&world, true, "make")).await;
        assert_eq!(code, ErrorCode::NotFound);
        for number in 0..200 {
            world.ok(&world.ada, "permissions.addRule", command_rule(&world, true, &format!("make {number}"))).await;
        }
        let code = world.code(&world.ada, "permissions.addRule", command_rule(&world, true, "make")).await;
        assert_eq!(code, ErrorCode::LimitReached);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_refused_after_a_day() {
    on_each(async |world| {
        let agent = asking(&world, &["make"]).await;
        settle(&world.app, later(23 * HOUR_MS)).await;
        assert_eq!(ends(&world).await, ["pending - -"]);
        for _ in 0..2 {
            settle(&world.app, later(25 * HOUR_MS)).await;
            assert_eq!(ends(&world).await, ["answered reject_once expiry"]);
            assert_eq!(answers(&world).await, ["make reject_once expiry"]);
        }
        let id = world.permissions().await[0]["permissionId"].clone();
        let late = json!({"permissionId": id, "choice": "allow_once"});
        assert_eq!(world.code(&world.ada, "permissions.answer", late).await, ErrorCode::Conflict);
        assert_eq!(world.agent(&agent).await["session"]["openPermissions"], 0);
    })
    .await;
}

#[tokio::test]
async fn what_the_host_answers_by_its_mode_is_asked_of_nobody() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        world.ok(&world.ada, "permissions.addRule", command_rule(&world, true, "make")).await;
        let outcome = json!({"how": "selected", "choice": "allow_once", "by": "mode"});
        let told = vec![asks("r", "make"), json!({"kind": "permission_settled", "requestId": "r", "outcome": outcome})];
        world.append(&world.machine, &agent, events(1, told)).await;
        assert_eq!(ends(&world).await, ["answered allow_once mode"]);
        assert!(answers(&world).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_turn_withdraws_what_it_asked() {
    on_each(async |world| {
        let agent = asking(&world, &["a", "b"]).await;
        answer(&world, 0, "allow_once").await;
        world.append(&world.machine, &agent, events(3, vec![turn_ended()])).await;
        assert_eq!(ends(&world).await, ["answered allow_once person", "withdrawn - -"]);
        let id = world.permissions().await[1]["permissionId"].clone();
        let late = json!({"permissionId": id, "choice": "allow_once"});
        let refused = world.refused(&world.ada, "permissions.answer", late.clone()).await;
        assert_eq!(refused.code, ErrorCode::Conflict);
        assert_eq!(world.code(&world.bea, "permissions.answer", late).await, ErrorCode::NotFound);
    })
    .await;
}
