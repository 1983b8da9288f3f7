//! What is common to all tools, with a tool that does what the test says.

use super::super::run_dir::OutputFormat;
use super::super::run_dir::tests::session;
use super::protocol::Ask;
use super::*;
use chatroom_protocol::transcript::{Choice, Decider, ToolKind};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// What the session has told the protocol.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Prompt(String, PromptSource),
    Cancel,
    Answer(String, Option<Choice>),
}

/// A protocol whose lines are steps.
#[derive(Debug, Default)]
struct Puppet {
    told: Rc<RefCell<Vec<Told>>>,
    script: Rc<RefCell<VecDeque<Vec<Step>>>>,
}

impl Protocol for Puppet {
    fn kind(&self) -> DriverKind {
        DriverKind::Acp
    }
    fn opening(&self) -> Option<Run> {
        None
    }
    fn begin(&mut self) -> Vec<Step> {
        Vec::new()
    }
    fn line(&mut self, _line: &str) -> Vec<Step> {
        self.script.borrow_mut().pop_front().unwrap_or_default()
    }
    fn prompt(&mut self, text: &str, source: &PromptSource) -> Vec<Step> {
        self.told.borrow_mut().push(Told::Prompt(text.to_owned(), source.clone()));
        Vec::new()
    }
    fn cancel(&mut self) -> Vec<Step> {
        self.told.borrow_mut().push(Told::Cancel);
        Vec::new()
    }
    fn answer(&mut self, request_id: &str, option: Option<&PermissionOption>) -> Vec<Step> {
        self.told.borrow_mut().push(Told::Answer(request_id.to_owned(), option.map(|option| option.kind)));
        Vec::new()
    }
    fn run_ended(&mut self, _exit: &AgentExit) -> Vec<Step> {
        vec![Step::Gone]
    }
}

pub(super) fn spec(mode: PermissionMode) -> SessionSpec {
    SessionSpec { permission_mode: mode, mcp: true, start_limit_ms: 10_000, ..session(DriverKind::Acp) }
}

struct Stage {
    session: Session,
    told: Rc<RefCell<Vec<Told>>>,
    script: Rc<RefCell<VecDeque<Vec<Step>>>>,
    now: UnixMs,
    outs: Vec<Out>,
}

impl Stage {
    fn new(mode: PermissionMode) -> Self {
        let puppet = Puppet::default();
        let (told, script) = (Rc::clone(&puppet.told), Rc::clone(&puppet.script));
        let session = Session::with(&spec(mode), Box::new(puppet), "THE BRIEF".to_owned());
        let mut stage = Self { session, told, script, now: UnixMs(1), outs: Vec::new() };
        stage.handle(In::Begin);
        stage
    }

    fn ready(mode: PermissionMode) -> Self {
        let mut stage = Self::new(mode);
        stage.steps(vec![ready()]);
        stage
    }

    fn handle(&mut self, event: In) {
        self.now = self.now + 1;
        let outs = self.session.handle(event, self.now);
        self.outs.extend(outs);
    }

    fn steps(&mut self, steps: Vec<Step>) {
        self.script.borrow_mut().push_back(steps);
        self.handle(In::Line(String::new()));
    }

    fn order(&mut self, order: HostOrder) {
        self.handle(In::Order(order));
    }

    fn told(&self) -> Vec<Told> {
        self.told.borrow_mut().drain(..).collect()
    }

    fn records(&mut self) -> Vec<Entry> {
        self.outs.drain(..).filter_map(|out| if let Out::Record(entry) = out { Some(entry) } else { None }).collect()
    }
}

fn ready() -> Step {
    Step::Ready { session_id: Some("s".to_owned()), resumed: false, model: None, models: None }
}

fn task(delivery: i64) -> HostOrder {
    HostOrder::Task { task_id: "t".into(), delivery, brief: "do it".to_owned(), reminder: "still open".to_owned() }
}

fn open(delivery: i64) -> HostOrder {
    HostOrder::TaskOpen { task_id: "t".into(), delivery }
}

fn say(id: &str) -> HostOrder {
    HostOrder::Say { input_id: id.into(), text: format!("text of {id}") }
}

fn ended() -> Step {
    Step::TurnEnded { reason: TurnEnd::EndTurn, message: None }
}

fn ask(id: &str, tool_kind: ToolKind, is_ours: bool) -> Step {
    let option = |kind: Choice| PermissionOption { option_id: kind.as_str().to_owned(), name: String::new(), kind };
    Step::Asked(Ask {
        request_id: id.to_owned(),
        call_id: None,
        title: "x".to_owned(),
        tool_kind,
        command: None,
        paths: Vec::new(),
        options: vec![option(Choice::AllowAlways), option(Choice::AllowOnce), option(Choice::RejectOnce)],
        is_ours,
    })
}

fn answer(input: &str, request: &str, choice: Choice) -> HostOrder {
    HostOrder::Answer { input_id: input.into(), request_id: request.to_owned(), choice, by: Decider::Person }
}

#[test]
fn the_brief_comes_with_the_first_prompt_and_again_after_the_memory_was_shortened() {
    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.order(task(1));
    let source = PromptSource::Task { task_id: "t".into(), delivery: 1 };
    assert_eq!(stage.told(), [Told::Prompt("THE BRIEF\n\ndo it".to_owned(), source)]);
    stage.steps(vec![ended()]);
    stage.order(say("a"));
    let person = |id: &str| PromptSource::Person { input_id: id.into() };
    assert_eq!(stage.told(), [Told::Prompt("text of a".to_owned(), person("a"))]);
    stage.steps(vec![Step::Entry(Entry::Compacted), ended()]);
    stage.order(say("b"));
    assert_eq!(stage.told(), [Told::Prompt("THE BRIEF\n\ntext of b".to_owned(), person("b"))]);
}

#[test]
fn a_task_is_reminded_of_once_and_then_needs_its_owner() {
    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.order(task(1));
    stage.order(task(1));
    stage.order(task(2));
    assert_eq!(stage.told().len(), 1);
    stage.order(open(1));
    assert!(!stage.session.work().unwrap().turn_ended);
    stage.steps(vec![ended()]);
    let work = stage.session.work().unwrap();
    assert!(work.turn_ended && !work.reminded);
    stage.order(open(7));
    stage.order(open(1));
    let reminder = PromptSource::Reminder { task_id: "t".into(), delivery: 1 };
    assert_eq!(stage.told(), [Told::Prompt("still open".to_owned(), reminder)]);
    let work = stage.session.work().unwrap();
    assert!(!work.turn_ended && work.reminded);
    stage.order(open(1));
    stage.steps(vec![ended()]);
    stage.records();
    stage.order(open(1));
    stage.order(open(1));
    assert_eq!(stage.records(), [Entry::NeedsYou { task_id: "t".into(), delivery: 1 }]);
    assert_eq!(stage.session.turn(), TurnState::NeedsYou);
    stage.order(HostOrder::TaskOver { task_id: "t".into(), delivery: 1 });
    // Nobody is needed for what somebody has ended.
    assert_eq!(stage.session.turn(), TurnState::Idle);
    stage.order(task(1));
    assert_eq!(stage.session.work(), None);
    stage.order(task(2));
    assert_eq!(stage.session.work().unwrap().delivery, 2);
    assert_eq!(stage.told().len(), 1);
}

#[test]
fn sayings_wait_for_the_turn_in_their_order_and_are_taken_once() {
    let mut stage = Stage::new(PermissionMode::Ask);
    for id in ["a", "b", "a"] {
        stage.order(say(id));
    }
    assert!(stage.told().is_empty());
    stage.steps(vec![ready()]);
    assert_eq!(stage.told().len(), 1);
    stage.steps(vec![ended(), ended()]);
    stage.steps(vec![ended()]);
    assert_eq!(stage.told().len(), 1);
    let taken: Vec<_> = stage.records().into_iter().filter(|entry| matches!(entry, Entry::InputTaken { .. })).collect();
    assert_eq!(taken.len(), 2);
    for number in 0..=MAX_SAYINGS + 1 {
        stage.order(say(&format!("n{number}")));
    }
    let records = stage.records();
    assert!(matches!(records.last(), Some(Entry::InputRefused { .. })), "{:?}", records.last());
    assert_eq!(records.iter().filter(|entry| matches!(entry, Entry::InputRefused { .. })).count(), 1);
}

#[test]
fn the_mode_answers_what_it_may_and_the_owner_the_rest() {
    let settled = |mode, kind, ours| {
        let mut stage = Stage::ready(mode);
        stage.order(say("a"));
        stage.told();
        stage.steps(vec![ask("p1", kind, ours)]);
        stage.told()
    };
    let yes = [Told::Answer("p1".to_owned(), Some(Choice::AllowOnce))];
    assert_eq!(settled(PermissionMode::Full, ToolKind::Execute, false), yes);
    assert_eq!(settled(PermissionMode::AcceptEdits, ToolKind::Edit, false), yes);
    assert_eq!(settled(PermissionMode::AcceptEdits, ToolKind::Read, false), yes);
    assert_eq!(settled(PermissionMode::Ask, ToolKind::Execute, true), yes);
    for kind in [ToolKind::Execute, ToolKind::Delete, ToolKind::Fetch, ToolKind::Other, ToolKind::Move] {
        assert_eq!(settled(PermissionMode::AcceptEdits, kind, false), []);
    }
    assert_eq!(settled(PermissionMode::Ask, ToolKind::Read, false), []);

    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.order(say("a"));
    stage.steps(vec![ask("p1", ToolKind::Execute, false)]);
    assert_eq!(stage.session.turn(), TurnState::WaitingForPermission);
    stage.told();
    stage.records();
    stage.order(answer("i1", "p1", Choice::RejectAlways));
    stage.order(answer("i1", "p1", Choice::AllowOnce));
    stage.order(answer("i2", "p1", Choice::AllowOnce));
    assert_eq!(stage.told(), [Told::Answer("p1".to_owned(), Some(Choice::RejectOnce))]);
    let outcome = PermissionOutcome::Selected { choice: Choice::RejectOnce, by: Decider::Person };
    let records = stage.records();
    assert_eq!(records[0], Entry::InputTaken { input_id: "i1".into() });
    assert_eq!(records[1], Entry::PermissionSettled { request_id: "p1".to_owned(), outcome });
    assert!(matches!(&records[2], Entry::InputRefused { input_id, .. } if input_id.as_str() == "i2"));
    assert_eq!((records.len(), stage.session.turn()), (3, TurnState::Working));
}

#[test]
fn a_cancel_withdraws_what_is_asked_and_leaves_what_waits() {
    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.order(HostOrder::Cancel { input_id: "c0".into() });
    assert!(matches!(stage.records().last(), Some(Entry::InputRefused { .. })));
    stage.order(say("a"));
    stage.order(say("b"));
    stage.steps(vec![ask("p1", ToolKind::Execute, false)]);
    stage.told();
    stage.order(HostOrder::Cancel { input_id: "c1".into() });
    stage.order(HostOrder::Cancel { input_id: "c1".into() });
    assert_eq!(stage.told(), [Told::Cancel, Told::Answer("p1".to_owned(), None)]);
    // Asked in the meantime: nobody answers that any more.
    stage.steps(vec![ask("p2", ToolKind::Execute, false)]);
    assert_eq!(stage.told(), [Told::Answer("p2".to_owned(), None)]);
    stage.steps(vec![Step::TurnEnded { reason: TurnEnd::Cancelled, message: None }]);
    assert_eq!(stage.told().len(), 1);
}

#[test]
fn a_turn_that_was_cancelled_gets_no_permission_by_the_mode() {
    let mut stage = Stage::ready(PermissionMode::Full);
    stage.order(say("a"));
    stage.order(HostOrder::Cancel { input_id: "c".into() });
    stage.told();
    stage.steps(vec![ask("p1", ToolKind::Execute, true)]);
    assert_eq!(stage.told(), [Told::Answer("p1".to_owned(), None)]);
}

#[test]
fn a_tool_that_does_not_end_a_cancelled_turn_is_given_up() {
    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.order(say("a"));
    assert_eq!(stage.session.deadline(), None);
    stage.order(HostOrder::Cancel { input_id: "c1".into() });
    let deadline = stage.now + CANCEL_LIMIT_MS;
    // It goes on, and is told again: the time has run since the first.
    stage.steps(vec![Step::Entry(Entry::Text { text: "never mind".to_owned() })]);
    stage.order(HostOrder::Cancel { input_id: "c2".into() });
    assert_eq!(stage.session.deadline(), Some(deadline));
    stage.now = deadline - 2;
    stage.handle(In::Tick);
    assert_eq!(stage.session.turn(), TurnState::Working);
    stage.records();
    stage.handle(In::Tick);
    assert!(matches!(stage.outs.last(), Some(Out::End(trouble)) if trouble.kind == TroubleKind::Protocol));
    let records = stage.records();
    assert!(matches!(&records[0], Entry::Trouble { trouble } if trouble.message.contains("within 30 seconds")));
    assert!(matches!(records[1..], [Entry::TurnEnded { reason: TurnEnd::Error, .. }]), "{records:?}");

    // One that ends its turn in time has none to keep.
    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.order(say("a"));
    stage.order(HostOrder::Cancel { input_id: "c".into() });
    stage.steps(vec![Step::TurnEnded { reason: TurnEnd::Cancelled, message: None }]);
    assert_eq!(stage.session.deadline(), None);
}

#[test]
fn time_changes_nothing_in_a_session_that_is_over() {
    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.steps(vec![Step::Noise("one".to_owned())]);
    stage.steps(vec![Step::Noise("two".to_owned())]);
    assert!(stage.session.deadline().is_some());
    stage.steps(vec![Step::Unusable { kind: TroubleKind::Protocol, message: "no".to_owned() }]);
    assert_eq!(stage.session.deadline(), None);
    stage.records();
    stage.handle(In::End);
    assert_eq!(stage.records(), [Entry::Output { text: "two\n".to_owned() }]);
}

#[test]
fn a_tool_that_is_not_ready_in_time_is_given_up() {
    let mut stage = Stage::new(PermissionMode::Ask);
    let deadline = stage.session.deadline().unwrap();
    stage.now = deadline - 2;
    stage.handle(In::Tick);
    assert!(!stage.outs.iter().any(|out| matches!(out, Out::End(_))));
    stage.handle(In::Tick);
    assert!(matches!(stage.outs.last(), Some(Out::End(trouble)) if trouble.kind == TroubleKind::Silent));
    assert_eq!(stage.session.deadline(), None);
    stage.steps(vec![ready()]);
    stage.order(say("a"));
    assert!(stage.told().is_empty());
}

#[test]
fn a_trouble_with_the_sign_in_names_its_repair() {
    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.order(say("a"));
    stage.records();
    stage.steps(vec![Step::Unusable { kind: TroubleKind::NotSignedIn, message: "no".to_owned() }]);
    let Some(Out::End(trouble)) = stage.outs.last().cloned() else { panic!() };
    assert_eq!(trouble.repair.as_deref(), Some("tool login"));
    let records = stage.records();
    assert!(matches!(records[..], [Entry::Trouble { .. }, Entry::TurnEnded { reason: TurnEnd::Error, .. }]));
}

#[test]
fn a_tool_that_begins_by_itself_is_waited_for() {
    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.records();
    stage.steps(vec![Step::TurnBegan]);
    stage.order(say("a"));
    assert!(stage.told().is_empty());
    stage.steps(vec![ended()]);
    assert_eq!(stage.told().len(), 1);
    assert!(!stage.records().iter().any(|entry| matches!(entry, Entry::TurnEnded { .. })));
}

#[test]
fn the_end_completes_the_transcript() {
    let mut stage = Stage::ready(PermissionMode::Ask);
    stage.order(say("a"));
    stage.order(say("b"));
    stage.steps(vec![ask("p1", ToolKind::Execute, false)]);
    stage.records();
    stage.handle(In::Stop);
    stage.handle(In::End);
    let records = stage.records();
    assert_eq!(
        records[0],
        Entry::PermissionSettled { request_id: "p1".to_owned(), outcome: PermissionOutcome::Withdrawn }
    );
    assert!(matches!(records[1], Entry::TurnEnded { reason: TurnEnd::Cancelled, .. }));
    assert!(matches!(&records[2], Entry::InputRefused { input_id, .. } if input_id.as_str() == "b"));
    assert_eq!(records.len(), 3);
}

/// Anything that can happen, in any order.
fn event() -> impl Strategy<Value = Event> {
    let request = 0..6u8;
    prop_oneof![
        3 => Just(Event::Steps(vec![Step::TurnEnded { reason: TurnEnd::EndTurn, message: None }])),
        1 => Just(Event::Steps(vec![ready()])),
        1 => Just(Event::Steps(vec![Step::TurnBegan])),
        1 => Just(Event::Steps(vec![Step::Entry(Entry::Compacted)])),
        1 => Just(Event::Steps(vec![Step::Trouble { kind: TroubleKind::Quota, message: "q".to_owned() }])),
        1 => Just(Event::Steps(vec![Step::Noise("noise".to_owned())])),
        3 => any::<bool>().prop_map(Event::Ask),
        1 => request.clone().prop_map(|id| Event::Steps(vec![Step::Withdrawn(format!("p{id}"))])),
        2 => (0..4u8).prop_map(|id| Event::Order(say(&format!("s{id}")))),
        2 => (0..4u8).prop_map(|id| Event::Order(HostOrder::Cancel { input_id: format!("c{id}").into() })),
        3 => (0..6u8, request, any::<bool>()).prop_map(|(id, request, yes)| {
            let choice = if yes { Choice::AllowOnce } else { Choice::RejectAlways };
            Event::Order(answer(&format!("a{id}"), &format!("p{request}"), choice))
        }),
        2 => (1..3i64).prop_map(|delivery| Event::Order(task(delivery))),
        2 => (1..3i64).prop_map(|delivery| Event::Order(open(delivery))),
        1 => (1..3i64).prop_map(|delivery| Event::Order(HostOrder::TaskOver { task_id: "t".into(), delivery })),
        1 => Just(Event::Tick),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    Steps(Vec<Step>),
    Ask(bool),
    Order(HostOrder),
    Tick,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_prompts_alternate_with_ends_and_nothing_is_answered_twice(
        events in proptest::collection::vec(event(), 0..80)
    ) {
        let mut stage = Stage::ready(PermissionMode::Ask);
        let mut inputs = std::collections::BTreeSet::new();
        let mut asked = 0;
        for event in events {
            match event {
                Event::Steps(steps) => stage.steps(steps),
                Event::Ask(ours) => {
                    asked += 1;
                    stage.steps(vec![ask(&format!("p{asked}"), ToolKind::Execute, ours)]);
                }
                Event::Order(order) => {
                    if let HostOrder::Say { input_id, .. }
                        | HostOrder::Cancel { input_id }
                        | HostOrder::Answer { input_id, .. } = &order
                    {
                        inputs.insert(input_id.clone());
                    }
                    stage.order(order);
                }
                Event::Tick => stage.handle(In::Tick),
            }
        }
        stage.handle(In::End);
        let told = stage.told();
        let answers: Vec<_> = told.iter().filter_map(|told| match told {
            Told::Answer(id, _) => Some(id.clone()),
            _ => None,
        }).collect();
        let mut once = answers.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), answers.len(), "answered twice");

        let records = stage.records();
        let (mut runs, mut began_asked, mut prompts, mut open) = (false, false, 0, std::collections::BTreeSet::new());
        let mut needs_you = false;
        let mut ended_inputs = Vec::new();
        for entry in &records {
            match entry {
                Entry::Prompt { .. } => {
                    prop_assert!(!runs, "a prompt during a turn");
                    runs = true;
                    prompts += 1;
                }
                Entry::TurnEnded { .. } => {
                    prop_assert!(runs || began_asked || needs_you, "an end without a turn");
                    prop_assert!(open.is_empty(), "a turn ended with open requests");
                    runs = false;
                    began_asked = false;
                    needs_you = false;
                }
                Entry::NeedsYou { .. } => needs_you = true,
                Entry::PermissionAsked { request_id, .. } => {
                    began_asked = true;
                    prop_assert!(open.insert(request_id.clone()));
                }
                Entry::PermissionSettled { request_id, .. } => prop_assert!(open.remove(request_id), "settled twice"),
                Entry::InputTaken { input_id } | Entry::InputRefused { input_id, .. } => ended_inputs.push(input_id.clone()),
                _ => {}
            }
        }
        prop_assert!(!runs && open.is_empty(), "the transcript is not complete");
        prop_assert_eq!(prompts, told.iter().filter(|told| matches!(told, Told::Prompt(..))).count());
        ended_inputs.sort();
        prop_assert_eq!(ended_inputs, inputs.into_iter().collect::<Vec<_>>());
    }
}

/// Lines as tools write them, and halves of them.
fn line() -> impl Strategy<Value = String> {
    const LINES: [&str; 16] = [
        r#"{"jsonrpc":"2.0","id":1,"result":{"agentCapabilities":{"loadSession":true},"authMethods":[{"id":"cursor_login"}]}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{"sessionId":"s","models":{"currentModelId":"a","availableModels":[{"modelId":"a"}]}}}"#,
        r#"{"jsonrpc":"2.0","id":3,"result":{"stopReason":"end_turn"}}"#,
        r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"auth","data":{"status":429}}}"#,
        r#"{"jsonrpc":"2.0","id":9,"method":"session/request_permission","params":{"toolCall":{"toolCallId":"ünïcödé"},"options":[{"optionId":"o","kind":"allow_once"}]}}"#,
        r#"{"jsonrpc":"2.0","method":"session/update","params":{"update":{"sessionUpdate":"tool_call_update","toolCallId":"c","title":"é","content":[{"type":"diff","path":"p","newText":"n"}],"rawInput":{"command":["sh","-c","x"]},"rawOutput":{"output":5}}}}"#,
        r#"{"jsonrpc":"2.0","method":"session/update","params":{"update":{"sessionUpdate":"plan","entries":[{"content":"x","status":"?"}]}}}"#,
        r#"{"type":"control_response","response":{"request_id":"initialize","response":{"models":[{"value":"m"}]}}}"#,
        r#"{"type":"control_request","request_id":"r","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{"command":"ls"}}}"#,
        r#"{"type":"system","subtype":"init","session_id":"s","model":"m"}"#,
        r#"{"type":"assistant","error":"rate_limit","message":{"content":[{"type":"tool_use","id":"t","name":"Edit","input":{"file_path":"p","edits":[{"new_string":"n"}]}},{"type":"text","text":"t"}]}}"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":[{"text":"x"}]}]}}"#,
        r#"{"type":"result","subtype":"success","is_error":true,"result":"API Error: 429 x","permission_denials":[1]}"#,
        r#"{"type":"thread.started","thread_id":"th"}"#,
        r#"{"type":"item.completed","item":{"id":"i","type":"command_execution","command":"/bin/sh -lc 'é'","aggregated_output":"x"}}"#,
        r#"{"type":"turn.failed","error":{"message":"status 401"}}"#,
    ];
    let whole = (0..LINES.len()).prop_map(|index| LINES[index].to_owned());
    let cut = (0..LINES.len(), any::<prop::sample::Index>()).prop_map(|(index, at)| {
        let line = LINES[index];
        line[..line.floor_char_boundary(at.index(line.len()))].to_owned()
    });
    // A value of another kind where a known one is looked for.
    let odd = (0..LINES.len(), 0..5usize).prop_map(|(index, with)| {
        LINES[index].replacen(
            ":{",
            [":5,\"x\":{", ":null,\"x\":{", ":[],\"x\":{", ":\"\",\"x\":{", ":true,\"x\":{"][with],
            1,
        )
    });
    prop_oneof![4 => whole, 1 => cut, 1 => odd, 1 => ".*"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_driver_stumbles_over_any_line_and_all_complete_their_transcript(
        driver in 0..5usize,
        lines in proptest::collection::vec((line(), 0..6u8), 0..60)
    ) {
        let mut spec = spec(PermissionMode::AcceptEdits);
        let formats = [OutputFormat::Plain, OutputFormat::Codex, OutputFormat::StreamJson];
        spec.driver = [DriverKind::Acp, DriverKind::Claude, DriverKind::OneShot][driver.min(2)];
        spec.output = formats[driver.saturating_sub(2)];
        spec.resume = Some("earlier".to_owned());
        let mut session = Session::new(&spec, &"a".into(), &[], Path::new("/"), &BTreeMap::new(), "brief".to_owned());
        let mut outs = session.handle(In::Begin, UnixMs(0));
        for ((line, also), now) in lines.into_iter().zip(1..) {
            outs.extend(session.handle(In::Line(line), UnixMs(now)));
            let event = match also {
                0 => In::Order(say(&format!("s{now}"))),
                1 => In::Order(HostOrder::Cancel { input_id: format!("c{now}").into() }),
                2 => In::Order(answer(&format!("a{now}"), "p1", Choice::AllowOnce)),
                3 if outs.iter().any(|out| matches!(out, Out::Run(_))) => In::RunEnded(AgentExit::Code { code: 1 }),
                _ => In::Tick,
            };
            outs.extend(session.handle(event, UnixMs(now)));
        }
        outs.extend(session.handle(In::End, UnixMs(100)));
        let (mut runs, mut open) = (false, 0);
        for out in outs {
            match out {
                Out::Record(Entry::Prompt { .. }) => prop_assert!(!std::mem::replace(&mut runs, true)),
                Out::Record(Entry::TurnEnded { .. }) => runs = false,
                Out::Record(Entry::PermissionAsked { .. }) => open += 1,
                Out::Record(Entry::PermissionSettled { .. }) => open -= 1,
                Out::Write(line) => prop_assert!(!line.contains('\n')),
                _ => {}
            }
        }
        prop_assert!(!runs && open == 0);
    }
}
