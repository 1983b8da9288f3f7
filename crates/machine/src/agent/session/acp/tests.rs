//! Conversations as tools hold them, shortened.

use super::super::tests::spec;
use super::*;
use chatroom_protocol::tool::PermissionMode;
use chatroom_protocol::transcript::{CallStatus, Entry};

fn acp(change: impl FnOnce(&mut SessionSpec)) -> Acp {
    let mut spec = spec(PermissionMode::Ask);
    change(&mut spec);
    let env = BTreeMap::from(
        [("CHATROOM_HOME", "/home/u/.chatroom"), ("CHATROOM_SERVER", "https://x"), ("SECRET", "no")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    Acp::new(&spec, &["acp".to_owned()], Path::new("/work"), &env)
}

/// What the steps write, as messages.
fn written(steps: &[Step]) -> Vec<Value> {
    let lines = steps.iter().filter_map(|step| if let Step::Write(line) = step { Some(line) } else { None });
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn one(steps: &[Step]) -> Value {
    assert_eq!(steps.len(), 1, "{steps:?}");
    written(steps).remove(0)
}

fn answer(acp: &mut Acp, to: &Value, result: Value) -> Vec<Step> {
    acp.line(&json!({"jsonrpc": "2.0", "id": to["id"], "result": result}).to_string())
}

fn fail(acp: &mut Acp, to: &Value, error: Value) -> Vec<Step> {
    acp.line(&json!({"jsonrpc": "2.0", "id": to["id"], "error": error}).to_string())
}

fn update(acp: &mut Acp, update: Value) -> Vec<Step> {
    let params = json!({"sessionId": "s1", "update": update});
    acp.line(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string())
}

/// A conversation up to its session.
fn ready(acp: &mut Acp) -> Vec<Step> {
    let initialize = one(&acp.begin());
    let new = one(&answer(acp, &initialize, json!({"protocolVersion": 1})));
    answer(acp, &new, json!({"sessionId": "s1"}))
}

fn prompting(acp: &mut Acp) -> Value {
    ready(acp);
    one(&acp.prompt("hello", &PromptSource::Task { task_id: "t".into(), delivery: 3 }))
}

#[test]
fn a_session_begins_with_our_server_and_no_secret() {
    let mut acp = acp(|_| ());
    let initialize = one(&acp.begin());
    assert_eq!((&initialize["method"], &initialize["params"]["protocolVersion"]), (&json!("initialize"), &json!(1)));
    assert_eq!(initialize["params"]["clientCapabilities"]["terminal"], false);
    let new = one(&answer(&mut acp, &initialize, json!({"agentCapabilities": {"loadSession": true}})));
    assert_eq!((&new["method"], &new["params"]["cwd"]), (&json!("session/new"), &json!("/work")));
    let server = &new["params"]["mcpServers"][0];
    assert_eq!(server["command"], "/opt/chatroom");
    assert_eq!(server["args"], json!(["mcp", "--chatroom-id=room", "--role=builder"]));
    assert_eq!(server["env"].as_array().unwrap().len(), 2);
    assert!(!new.to_string().contains("SECRET"));
    let steps = answer(
        &mut acp,
        &new,
        json!({"sessionId": "s1", "models": {
            "currentModelId": "m1", "availableModels": [{"modelId": "m1", "name": "One"}, "text that was cut"],
        }}),
    );
    let Step::Ready { session_id, resumed, model, models } = &steps[0] else { panic!("{steps:?}") };
    assert_eq!((session_id.as_deref(), *resumed, model.as_deref()), (Some("s1"), false, Some("m1")));
    assert_eq!(models.as_ref().unwrap().models.len(), 1);
    let prompt = one(&acp.prompt("hi", &PromptSource::Task { task_id: "t".into(), delivery: 3 }));
    assert_eq!(prompt["params"]["prompt"], json!([{"type": "text", "text": "hi"}]));
    assert_eq!(prompt["params"]["_meta"]["chatroom"], json!({"source": "task", "taskId": "t", "delivery": 3}));
}

#[test]
fn a_tool_that_wants_a_sign_in_is_not_signed_in() {
    for at in ["initialize", "session/new"] {
        let mut acp = acp(|_| ());
        let mut request = one(&acp.begin());
        if at == "session/new" {
            request = one(&answer(&mut acp, &request, json!({"authMethods": [{"id": "oauth-personal"}]})));
        }
        assert_eq!(request["method"], at);
        let steps = fail(&mut acp, &request, json!({"code": -32000, "message": "Authentication required"}));
        let expected = Step::Unusable { kind: TroubleKind::NotSignedIn, message: "Authentication required".into() };
        assert_eq!(steps, [expected]);
    }
    // One way to sign in needs no person.
    let mut acp = acp(|_| ());
    let initialize = one(&acp.begin());
    let authenticate = one(&answer(&mut acp, &initialize, json!({"authMethods": [{"id": "cursor_login"}]})));
    assert_eq!(authenticate["params"]["methodId"], "cursor_login");
    assert_eq!(one(&answer(&mut acp, &authenticate, json!({})))["method"], "session/new");
}

#[test]
fn an_earlier_session_is_loaded_quietly_or_a_new_one_begins() {
    let mut loads = acp(|spec| spec.resume = Some("old".to_owned()));
    let initialize = one(&loads.begin());
    let load = one(&answer(&mut loads, &initialize, json!({"agentCapabilities": {"loadSession": true}})));
    assert_eq!((&load["method"], &load["params"]["sessionId"]), (&json!("session/load"), &json!("old")));
    let told_again = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "old"}});
    assert_eq!(update(&mut loads, told_again), []);
    let steps = answer(&mut loads, &load, Value::Null);
    assert!(matches!(&steps[0], Step::Ready { session_id: Some(id), resumed: true, .. } if id == "old"), "{steps:?}");

    let mut fails = acp(|spec| spec.resume = Some("old".to_owned()));
    let initialize = one(&fails.begin());
    let load = one(&answer(&mut fails, &initialize, json!({"agentCapabilities": {"loadSession": true}})));
    let new = one(&fail(&mut fails, &load, json!({"code": -32603, "message": "No previous sessions found"})));
    assert_eq!(new["method"], "session/new");
    let steps = answer(&mut fails, &new, json!({"sessionId": "s2"}));
    assert!(matches!(&steps[0], Step::Ready { session_id: Some(id), resumed: false, .. } if id == "s2"), "{steps:?}");

    let mut cannot = acp(|spec| spec.resume = Some("old".to_owned()));
    let initialize = one(&cannot.begin());
    assert_eq!(one(&answer(&mut cannot, &initialize, json!({})))["method"], "session/new");
}

#[test]
fn a_model_is_chosen_where_it_is_offered_and_refused_with_the_list() {
    let wanted = |model: &str| acp(|spec| spec.model = Some(model.to_owned()));
    let begin = |acp: &mut Acp, session: Value| {
        let initialize = one(&acp.begin());
        let new = one(&answer(acp, &initialize, json!({})));
        answer(acp, &new, session)
    };
    let models = json!({"sessionId": "s1", "models": {
        "currentModelId": "a", "availableModels": [{"modelId": "a", "name": "A"}, {"modelId": "b", "name": "B"}],
    }});
    let mut chosen = wanted("b");
    let set = one(&begin(&mut chosen, models.clone()));
    assert_eq!(set["method"], "session/set_model");
    assert_eq!(set["params"], json!({"sessionId": "s1", "modelId": "b"}));
    let steps = answer(&mut chosen, &set, json!({}));
    assert!(matches!(&steps[0], Step::Ready { model: Some(model), .. } if model == "b"), "{steps:?}");

    let groups = json!({"sessionId": "s1", "configOptions": [
        {"id": "mode", "category": "mode", "options": []},
        {"id": "the-model", "category": "model", "currentValue": "a", "options": [
            {"group": "g", "name": "G", "options": [{"value": "a", "name": "A"}]}, {"value": "b", "name": "B"},
        ]},
    ]});
    let mut option = wanted("b");
    let set = one(&begin(&mut option, groups));
    assert_eq!(set["method"], "session/set_config_option");
    assert_eq!(set["params"], json!({"sessionId": "s1", "configId": "the-model", "value": "b"}));
    let refused = fail(&mut option, &set, json!({"code": -32602, "message": "no access"}));
    assert!(matches!(&refused[0], Step::Unusable { kind: TroubleKind::UnknownModel, .. }));

    assert!(matches!(begin(&mut wanted("a"), models.clone())[0], Step::Ready { .. }));
    let steps = begin(&mut wanted("z"), models);
    let Step::Unusable { kind: TroubleKind::UnknownModel, message } = &steps[0] else { panic!("{steps:?}") };
    assert!(message.contains("the model z; it knows a, b"), "{message}");
    assert!(matches!(
        begin(&mut wanted("z"), json!({"sessionId": "s1"}))[0],
        Step::Unusable { kind: TroubleKind::UnknownModel, .. }
    ));
}

#[test]
fn a_turn_with_a_command_is_told_step_by_step() {
    let mut acp = acp(|_| ());
    let prompt = prompting(&mut acp);
    let call = json!({"sessionUpdate": "tool_call", "toolCallId": "c1", "title": "bash", "kind": "execute", "status": "pending",
        "locations": [{"path": "/work"}], "rawInput": {"cwd": "/work"}});
    let expected = Entry::ToolCall {
        call_id: "c1".into(),
        title: "bash".into(),
        tool_kind: ToolKind::Execute,
        command: None,
        paths: vec!["/work".into()],
    };
    assert_eq!(update(&mut acp, call), [Step::Entry(expected)]);
    let running = json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "in_progress", "title": "ls",
        "rawInput": {"command": "ls"}});
    let update_of = |status, title: Option<&str>, output: Option<&str>| {
        let (title, output) = (title.map(str::to_owned), output.map(str::to_owned));
        Step::Entry(Entry::ToolUpdate { call_id: "c1".into(), status, title, output, diffs: vec![] })
    };
    assert_eq!(update(&mut acp, running), [update_of(Some(CallStatus::InProgress), Some("ls"), None)]);

    // The call of this request was told before; what the request leaves out is known.
    let ask = json!({"jsonrpc": "2.0", "id": 0, "method": "session/request_permission", "params": {"sessionId": "s1",
    "toolCall": {"toolCallId": "c1"}, "options": [
        {"optionId": "x", "name": "Always", "kind": "allow_always"}, {"optionId": "y", "name": "Once", "kind": "allow_once"},
        {"optionId": "z", "name": "?", "kind": "of another version"}, {"optionId": "n", "name": "No", "kind": "reject_once"},
    ]}});
    let steps = acp.line(&ask.to_string());
    let Step::Asked(asked) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!(
        (asked.title.as_str(), asked.tool_kind, asked.command.as_deref()),
        ("ls", ToolKind::Execute, Some("ls"))
    );
    assert_eq!((asked.call_id.as_deref(), asked.options.len(), asked.is_ours), (Some("c1"), 3, false));
    let once = Choice::AllowOnce.find(&asked.options).unwrap().clone();
    let said = one(&acp.answer(&asked.request_id, Some(&once)));
    assert_eq!(
        said,
        json!({"jsonrpc": "2.0", "id": 0, "result": {"outcome": {"outcome": "selected", "optionId": "y"}}})
    );
    assert_eq!(acp.answer(&asked.request_id, Some(&once)), []);

    let done = json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "completed",
        "content": [{"type": "content", "content": {"type": "text", "text": "a\nb"}}], "rawOutput": {"output": "other"}});
    assert_eq!(update(&mut acp, done), [update_of(Some(CallStatus::Completed), None, Some("a\nb"))]);
    let text = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "all done"}});
    assert_eq!(update(&mut acp, text), [Step::Entry(Entry::Text { text: "all done".into() })]);
    let steps = answer(&mut acp, &prompt, json!({"stopReason": "end_turn", "usage": {}}));
    assert_eq!(steps, [Step::TurnEnded { reason: TurnEnd::EndTurn, message: None }]);
}

#[test]
fn of_very_many_calls_in_one_turn_the_oldest_are_forgotten() {
    let mut acp = acp(|_| ());
    prompting(&mut acp);
    let name = |number: usize| format!("c{:05}", 99_999 - number);
    for number in 0..1_100 {
        let call = json!({"sessionUpdate": "tool_call", "toolCallId": name(number), "title": "look"});
        assert_eq!(update(&mut acp, call).len(), 1);
    }
    let done = |number| json!({"sessionUpdate": "tool_call_update", "toolCallId": name(number), "status": "completed"});
    for number in [1_098, 1_099, 100] {
        let told = update(&mut acp, done(number));
        assert!(matches!(told[..], [Step::Entry(Entry::ToolUpdate { .. })]), "{told:?}");
    }
    // A command that is too long to be kept is told all the same.
    let long = "x".repeat(100_000);
    let call = json!({"sessionUpdate": "tool_call", "toolCallId": "long", "rawInput": {"command": long}});
    let told = update(&mut acp, call);
    assert!(matches!(&told[0], Step::Entry(Entry::ToolCall { command: Some(command), .. }) if *command == long));
}

#[test]
fn shapes_of_other_tools_are_read_too() {
    let mut acp = acp(|_| ());
    prompting(&mut acp);
    // A call that is told for the first time by its end.
    let late = json!({"sessionUpdate": "tool_call_update", "toolCallId": "late", "status": "completed", "title": "ls",
        "kind": "execute", "content": []});
    let steps = update(&mut acp, late);
    assert!(
        matches!(&steps[..], [Step::Entry(Entry::ToolCall { .. }), Step::Entry(Entry::ToolUpdate { .. })]),
        "{steps:?}"
    );
    // Output that stands beside the content.
    for piece in ["one\n", "two\n"] {
        let terminal = json!({"sessionUpdate": "tool_call_update", "toolCallId": "t",
            "content": [{"type": "terminal", "terminalId": "t"}], "_meta": {"terminal_output": {"data": piece}}});
        update(&mut acp, terminal);
    }
    let raw = json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "_meta": {"terminal_output_delta": {"data": "3"}}});
    let steps = update(&mut acp, raw);
    assert!(
        matches!(&steps[0], Step::Entry(Entry::ToolUpdate { output: Some(all), .. }) if all == "one\ntwo\n3"),
        "{steps:?}"
    );
    let edit = json!({"sessionUpdate": "tool_call", "toolCallId": "e", "kind": "edit", "title": "Edit", "content": [
        {"type": "diff", "path": "/a", "oldText": null, "newText": "new"}]});
    let steps = update(&mut acp, edit);
    assert!(
        matches!(&steps[1], Step::Entry(Entry::ToolUpdate { diffs, .. }) if diffs[0].new_text == "new"),
        "{steps:?}"
    );
    let plan = json!({"sessionUpdate": "plan", "entries": [{"content": "look", "status": "completed", "priority": "high"}, 5]});
    let steps = update(&mut acp, plan);
    assert!(matches!(&steps[0], Step::Entry(Entry::Plan { steps }) if steps.len() == 1), "{steps:?}");
    // A request whose title is the command, and requests that are about ourselves.
    let ask = |acp: &mut Acp, call: Value| {
        let params = json!({"toolCall": call, "options": [{"optionId": "y", "kind": "allow_once"}]});
        let steps = acp.line(&json!({"id": "r", "method": "session/request_permission", "params": params}).to_string());
        let Step::Asked(ask) = &steps[0] else { panic!("{steps:?}") };
        (ask.command.clone(), ask.is_ours)
    };
    let titled = json!({"toolCallId": "g", "title": "rm x", "kind": "execute"});
    assert_eq!(ask(&mut acp, titled), (Some("rm x".to_owned()), false));
    let ours = json!({"toolCallId": "o", "title": "finish", "kind": "execute",
        "rawInput": {"command": "/opt/chatroom task-complete --chatroom-id=room"}});
    assert!(ask(&mut acp, ours).1);
    assert!(ask(&mut acp, json!({"toolCallId": "m", "title": "chatroom_handoff", "kind": "other"})).1);
    assert!(!ask(&mut acp, json!({"toolCallId": "m", "title": "chatroom_handoff", "kind": "execute"})).1);
}

#[test]
fn what_is_unknown_is_answered_or_let_be() {
    let mut acp = acp(|_| ());
    prompting(&mut acp);
    let request = json!({"jsonrpc": "2.0", "id": "x7", "method": "craft/drainMidTurnQueue", "params": {}});
    let said = one(&acp.line(&request.to_string()));
    assert_eq!((&said["id"], &said["error"]["code"]), (&json!("x7"), &json!(-32601)));
    for quiet in [
        json!({"jsonrpc": "2.0", "method": "_auth/status_update", "params": {}}),
        json!({"jsonrpc": "2.0", "id": 999, "result": {}}),
        json!({"jsonrpc": "2.0", "method": "session/update", "params": {"update": {"sessionUpdate": "usage_update"}}}),
        json!({"jsonrpc": "2.0", "method": "session/update", "params": 5}),
    ] {
        assert_eq!(acp.line(&quiet.to_string()), [], "{quiet}");
    }
    for noise in ["Welcome!", "[1,2]", "{}", "{\"jsonrpc\":\"2.0\"}", "{\"id\":"] {
        assert_eq!(acp.line(noise), [Step::Noise(noise.to_owned())]);
    }
    assert_eq!(acp.line("  "), []);
}

#[test]
fn a_turn_that_fails_or_is_cancelled_says_so() {
    let mut cancelled = acp(|_| ());
    let prompt = prompting(&mut cancelled);
    let note = one(&cancelled.cancel());
    assert_eq!((&note["method"], note.get("id")), (&json!("session/cancel"), None));
    let steps = answer(&mut cancelled, &prompt, json!({"stopReason": "cancelled"}));
    assert_eq!(steps, [Step::TurnEnded { reason: TurnEnd::Cancelled, message: None }]);
    // A request that comes late is taken back at once.
    let late = json!({"id": 5, "method": "session/request_permission", "params": {"toolCall": {}, "options": []}});
    assert_eq!(one(&cancelled.line(&late.to_string()))["result"]["outcome"]["outcome"], "cancelled");

    let failing = |error: Value| {
        let mut acp = acp(|_| ());
        let prompt = prompting(&mut acp);
        fail(&mut acp, &prompt, error)
    };
    let quota = failing(json!({"code": 429, "message": "slow down"}));
    assert!(matches!(
        quota[..],
        [Step::Trouble { kind: TroubleKind::Quota, .. }, Step::TurnEnded { reason: TurnEnd::Error, .. }]
    ));
    let service = failing(json!({"code": -32603, "message": "Internal error", "data": {"details": "no route"}}));
    let Step::Trouble { kind: TroubleKind::ServiceFailed, message } = &service[0] else { panic!("{service:?}") };
    assert_eq!(message, "Internal error: no route");
    let auth = failing(json!({"code": -32000, "message": "auth_required"}));
    assert!(matches!(auth[..], [Step::Unusable { kind: TroubleKind::NotSignedIn, .. }]));
}

#[test]
fn a_request_that_the_tool_takes_back_is_withdrawn() {
    let mut acp = acp(|_| ());
    prompting(&mut acp);
    let ask =
        json!({"id": 5, "method": "session/request_permission", "params": {"toolCall": {"title": "x"}, "options": []}});
    acp.line(&ask.to_string());
    let back = json!({"method": "$/cancel_request", "params": {"requestId": 5}});
    let steps = acp.line(&back.to_string());
    assert_eq!(steps[1], Step::Withdrawn("p1".to_owned()));
    assert_eq!(acp.answer("p1", None), []);
}
