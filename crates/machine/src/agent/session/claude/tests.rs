//! Conversations with Claude Code, shortened.

use super::super::tests::spec;
use super::*;
use chatroom_protocol::tool::PermissionMode;
use chatroom_protocol::transcript::ToolKind;

fn claude(resume: Option<&str>) -> Claude {
    let mut spec = spec(PermissionMode::Ask);
    spec.resume = resume.map(str::to_owned);
    spec.resume_args = vec!["--resume={session}".to_owned()];
    Claude::new(&spec, &"agent-1".into(), &["-p".to_owned()])
}

fn tell(claude: &mut Claude, value: Value) -> Vec<Step> {
    claude.line(&value.to_string())
}

fn written(steps: &[Step]) -> Value {
    let [Step::Write(line)] = steps else { panic!("{steps:?}") };
    serde_json::from_str(line).unwrap()
}

fn ready(claude: &mut Claude) -> Vec<Step> {
    let initialize = written(&claude.begin());
    assert_eq!(initialize["request"]["subtype"], "initialize");
    let response = json!({"subtype": "success", "request_id": initialize["request_id"], "response": {
        "models": [{"value": "default", "displayName": "Default"}],
    }});
    tell(claude, json!({"type": "control_response", "response": response}))
}

fn prompted() -> Claude {
    let mut claude = claude(None);
    ready(&mut claude);
    claude.prompt("hello", &PromptSource::Person { input_id: "i".into() });
    claude
}

fn ask(claude: &mut Claude, tool: &str, input: Value, suggestions: Value) -> Ask {
    let request = json!({"subtype": "can_use_tool", "tool_name": tool, "input": input, "tool_use_id": "t1",
        "permission_suggestions": suggestions});
    let mut steps = tell(claude, json!({"type": "control_request", "request_id": "r1", "request": request}));
    let Some(Step::Asked(ask)) = steps.pop() else { panic!("{steps:?}") };
    ask
}

#[test]
fn a_session_has_the_name_of_its_agent_and_goes_on_by_it() {
    let mut new = claude(None);
    assert_eq!(new.opening().unwrap().args, ["-p", "--session-id=agent-1"]);
    let steps = ready(&mut new);
    let Step::Ready { session_id, resumed, models, .. } = &steps[0] else { panic!("{steps:?}") };
    assert_eq!((session_id.as_deref(), *resumed), (Some("agent-1"), false));
    let models = models.as_ref().unwrap();
    assert_eq!((models.models[0].id.as_str(), models.is_complete), ("default", false));
    let prompt = written(&new.prompt("hello", &PromptSource::Person { input_id: "i".into() }));
    assert_eq!(prompt["message"]["content"][0]["text"], "hello");

    let mut resumed = claude(Some("earlier"));
    assert_eq!(resumed.opening().unwrap().args, ["-p", "--resume=earlier"]);
    assert!(
        matches!(&ready(&mut resumed)[0], Step::Ready { session_id: Some(id), resumed: true, .. } if id == "earlier")
    );
}

#[test]
fn a_session_that_is_not_known_any_more_begins_anew() {
    let mut claude = claude(Some("earlier"));
    claude.begin();
    let steps = claude.run_ended(&AgentExit::Code { code: 1 });
    let [Step::Forgot, Step::Run(run), Step::Write(_)] = &steps[..] else { panic!("{steps:?}") };
    assert!(run.args[1].starts_with("--session-id="), "{:?}", run.args);
    assert!(matches!(&ready(&mut claude)[0], Step::Ready { resumed: false, .. }));
    assert_eq!(claude.run_ended(&AgentExit::Code { code: 1 }), [Step::Gone]);
}

#[test]
fn a_permission_is_answered_with_the_input_that_was_asked_about() {
    let mut claude = prompted();
    let input = json!({"command": "ls", "description": "look"});
    let asked = ask(&mut claude, "Bash", input.clone(), json!([{"type": "addRules"}]));
    assert_eq!((asked.command.as_deref(), asked.tool_kind, asked.is_ours), (Some("ls"), ToolKind::Execute, false));
    assert_eq!((asked.call_id.as_deref(), asked.options.len()), (Some("t1"), 3));
    let always = Choice::AllowAlways.find(&asked.options).unwrap();
    let response = &written(&claude.answer(&asked.request_id, Some(always)))["response"];
    assert_eq!((&response["request_id"], &response["response"]["behavior"]), (&json!("r1"), &json!("allow")));
    assert_eq!(response["response"]["updatedInput"], input);
    assert_eq!(response["response"]["updatedPermissions"], json!([{"type": "addRules"}]));

    let asked = ask(&mut claude, "Write", json!({"file_path": "/a", "content": "x"}), Value::Null);
    assert_eq!((asked.tool_kind, asked.paths.len(), asked.options.len()), (ToolKind::Edit, 1, 2));
    let no = Choice::RejectAlways.find(&asked.options).unwrap();
    let response = written(&claude.answer(&asked.request_id, Some(no)));
    assert_eq!(response["response"]["response"]["behavior"], "deny");
    assert_eq!(claude.answer(&asked.request_id, Some(no)), []);

    let own = json!({"command": "/opt/chatroom handoff --chatroom-id=room"});
    assert!(ask(&mut claude, "Bash", own.clone(), Value::Null).is_ours);
    assert!(!ask(&mut claude, "Other", own, Value::Null).is_ours);
    assert!(ask(&mut claude, "mcp__chatroom__handoff", json!({}), Value::Null).is_ours);
    let cancel = tell(&mut claude, json!({"type": "control_cancel_request", "request_id": "r1"}));
    assert!(matches!(cancel[0], Step::Withdrawn(_)));
    let other = json!({"type": "control_request", "request_id": "r2", "request": {"subtype": "hook_callback"}});
    assert_eq!(written(&tell(&mut claude, other))["response"]["subtype"], "error");
}

#[test]
fn a_turn_ends_as_its_result_says() {
    let mut claude = prompted();
    tell(&mut claude, json!({"type": "system", "subtype": "init", "session_id": "agent-1", "model": "m"}));
    let retry =
        json!({"type": "system", "subtype": "api_retry", "attempt": 2, "error_status": 529, "error": "overloaded"});
    let steps = tell(&mut claude, retry);
    assert!(matches!(&steps[0], Step::Entry(Entry::Retrying { attempt: Some(2), message }) if message.contains("529")));
    assert_eq!(steps.len(), 1, "a service that is busy is no trouble yet");
    let refused = json!({"type": "system", "subtype": "api_retry", "attempt": 1, "error_status": 401, "error": "x"});
    assert!(matches!(&tell(&mut claude, refused)[1], Step::Trouble { kind: TroubleKind::NotSignedIn, .. }));
    let compacted = json!({"type": "system", "subtype": "compact_boundary"});
    assert_eq!(tell(&mut claude, compacted), [Step::Entry(Entry::Compacted)]);
    let good = json!({"type": "result", "subtype": "success", "is_error": false, "result": "done"});
    assert_eq!(tell(&mut claude, good), [Step::TurnEnded { reason: TurnEnd::EndTurn, message: None }]);

    let mut interrupted = prompted();
    assert_eq!(written(&interrupted.cancel())["request"]["subtype"], "interrupt");
    let steps =
        tell(&mut interrupted, json!({"type": "result", "subtype": "error_during_execution", "is_error": true}));
    assert_eq!(steps, [Step::TurnEnded { reason: TurnEnd::Cancelled, message: None }]);

    let mut quota = prompted();
    tell(&mut quota, json!({"type": "assistant", "error": "rate_limit", "message": {"content": []}}));
    let steps =
        tell(&mut quota, json!({"type": "result", "subtype": "success", "is_error": true, "result": "limit reached"}));
    assert!(matches!(steps[..], [Step::Trouble { kind: TroubleKind::Quota, .. }, Step::TurnEnded { .. }]), "{steps:?}");

    let mut signed_out = prompted();
    let result = "Not logged in · Please run /login";
    let steps =
        tell(&mut signed_out, json!({"type": "result", "subtype": "success", "is_error": true, "result": result}));
    assert_eq!(steps, [Step::Unusable { kind: TroubleKind::NotSignedIn, message: result.to_owned() }]);
}

#[test]
fn what_it_does_by_itself_is_a_turn_without_a_prompt() {
    let mut claude = prompted();
    let good = json!({"type": "result", "subtype": "success", "is_error": false});
    tell(&mut claude, good);
    let init = json!({"type": "system", "subtype": "init", "session_id": "agent-1"});
    assert_eq!(tell(&mut claude, init), [Step::TurnBegan]);
    assert_eq!(claude.line("a banner"), [Step::Noise("a banner".to_owned())]);
    assert_eq!(tell(&mut claude, json!({"type": "tool_progress", "heartbeat": true})), []);
}

#[test]
fn what_was_told_in_pieces_is_not_told_again() {
    let mut claude = prompted();
    let piece = |text: &str| {
        json!({"type": "stream_event", "event": {"type": "content_block_delta",
        "delta": {"type": "text_delta", "text": text}}})
    };
    let text = |text: &str| Step::Entry(Entry::Text { text: text.to_owned() });
    assert_eq!(tell(&mut claude, piece("all ")), [text("all ")]);
    assert_eq!(tell(&mut claude, piece("done")), [text("done")]);
    let whole = json!({"type": "assistant", "message": {"content": [{"type": "text", "text": "all done"}]}});
    assert_eq!(tell(&mut claude, whole.clone()), []);
    // Without pieces before it, it is news.
    assert_eq!(tell(&mut claude, whole), [text("all done")]);
}
