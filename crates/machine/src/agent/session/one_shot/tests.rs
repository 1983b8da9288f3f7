//! Runs of tools, shortened.

use super::super::tests::spec;
use super::*;
use chatroom_protocol::tool::PermissionMode;
use chatroom_protocol::transcript::CallStatus;
use serde_json::{Value, json};

const GOOD: AgentExit = AgentExit::Code { code: 0 };

fn one_shot(output: OutputFormat, resume_args: &[&str]) -> OneShot {
    let mut spec = spec(PermissionMode::Full);
    spec.output = output;
    spec.resume_args = resume_args.iter().map(|arg| (*arg).to_owned()).collect();
    OneShot::new(&spec, &["run".to_owned()])
}

fn prompt(tool: &mut OneShot) -> Run {
    match &tool.prompt("do it", &PromptSource::Person { input_id: "i".into() })[..] {
        [Step::Run(run)] => run.clone(),
        other => panic!("{other:?}"),
    }
}

fn tell(tool: &mut OneShot, value: Value) -> Vec<Step> {
    tool.line(&value.to_string())
}

#[test]
fn a_codex_run_is_told_and_its_thread_taken_up_by_the_next() {
    let mut tool = one_shot(OutputFormat::Codex, &["resume", "{session}"]);
    assert!(matches!(tool.begin()[0], Step::Ready { session_id: None, resumed: false, .. }));
    let run = prompt(&mut tool);
    assert_eq!((run.args, run.stdin.as_deref()), (vec!["run".to_owned()], Some("do it")));
    assert_eq!(tell(&mut tool, json!({"type": "thread.started", "thread_id": "th1"})), []);
    let command = json!({"id": "item_1", "type": "command_execution", "command": "/bin/bash -lc 'ls; pwd'",
        "aggregated_output": "", "status": "in_progress"});
    let steps = tell(&mut tool, json!({"type": "item.started", "item": command}));
    let Step::Entry(Entry::ToolCall { call_id, command: Some(script), .. }) = &steps[0] else { panic!("{steps:?}") };
    // Each run of the tool counts from the beginning.
    assert_eq!((call_id.as_str(), script.as_str()), ("1.item_1", "ls; pwd"));
    let done =
        json!({"id": "item_1", "type": "command_execution", "aggregated_output": "/work\n", "status": "completed"});
    let steps = tell(&mut tool, json!({"type": "item.completed", "item": done}));
    let [Step::Entry(Entry::ToolUpdate { status, output, .. })] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!((*status, output.as_deref()), (Some(CallStatus::Completed), Some("/work\n")));
    let said = json!({"type": "item.completed", "item": {"id": "item_2", "type": "agent_message", "text": "done"}});
    assert_eq!(tell(&mut tool, said), [Step::Entry(Entry::Text { text: "done".into() })]);
    assert_eq!(tell(&mut tool, json!({"type": "turn.completed"})), []);
    assert_eq!(tool.line("warning: x"), [Step::Noise("warning: x".to_owned())]);
    let steps = tool.run_ended(&GOOD);
    assert!(matches!(&steps[0], Step::Ready { session_id: Some(id), .. } if id == "th1"), "{steps:?}");
    assert_eq!(steps[1..], [Step::TurnEnded { reason: TurnEnd::EndTurn, message: None }]);
    assert_eq!(prompt(&mut tool).args, ["run", "resume", "th1"]);
}

#[test]
fn a_failed_codex_turn_tells_what_is_wrong() {
    let failed = |message: &str| {
        let mut tool = one_shot(OutputFormat::Codex, &["resume", "{session}"]);
        prompt(&mut tool);
        tell(&mut tool, json!({"type": "thread.started", "thread_id": "th1"}));
        tell(&mut tool, json!({"type": "turn.failed", "error": {"message": message}}));
        tool.run_ended(&AgentExit::Code { code: 1 })
    };
    assert!(matches!(
        &failed("unexpected status 401 Unauthorized")[1],
        Step::Unusable { kind: TroubleKind::NotSignedIn, .. }
    ));
    assert!(matches!(&failed("You've hit your usage limit")[1], Step::Trouble { kind: TroubleKind::Quota, .. }));
    assert!(matches!(&failed("stream closed")[1], Step::Trouble { kind: TroubleKind::ServiceFailed, .. }));
}

#[test]
fn plain_output_is_text_and_without_a_session_the_brief_is_said_each_time() {
    let mut tool = one_shot(OutputFormat::Plain, &[]);
    prompt(&mut tool);
    assert_eq!(tool.line("hello"), [Step::Entry(Entry::Text { text: "hello\n".into() })]);
    let long = "x".repeat(PLAIN_BYTES);
    assert_eq!(tool.line(&long), [Step::Noise(long.clone())]);
    assert_eq!(tool.run_ended(&GOOD), [Step::Forgot, Step::TurnEnded { reason: TurnEnd::EndTurn, message: None }]);
    prompt(&mut tool);
    let steps = tool.run_ended(&AgentExit::Signal { signal: 9 });
    assert!(matches!(&steps[1], Step::TurnEnded { reason: TurnEnd::Error, message: Some(why) } if why.contains('9')));
}

#[test]
fn a_cancel_ends_the_run_and_a_session_that_is_not_known_is_forgotten() {
    let mut tool = one_shot(OutputFormat::StreamJson, &["--resume={session}"]);
    assert_eq!(tool.cancel(), []);
    prompt(&mut tool);
    tell(&mut tool, json!({"type": "system", "subtype": "init", "session_id": "s1", "model": "m"}));
    assert_eq!(tool.cancel(), [Step::EndRun]);
    let steps = tool.run_ended(&AgentExit::Signal { signal: 15 });
    assert!(matches!(&steps[0], Step::Ready { session_id: Some(id), model: Some(_), .. } if id == "s1"));
    assert_eq!(steps[1..], [Step::TurnEnded { reason: TurnEnd::Cancelled, message: None }]);
    assert_eq!(prompt(&mut tool).args, ["run", "--resume=s1"]);
    let steps = tool.run_ended(&AgentExit::Code { code: 1 });
    assert!(matches!(steps[..], [Step::Forgot, Step::TurnEnded { reason: TurnEnd::Error, .. }]), "{steps:?}");
    assert_eq!(prompt(&mut tool).args, ["run"]);
}
