//! What a person sees of each event.

use super::{Answering, OUTPUT_LINES, Scribe};
use crate::ui::Line;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{Trouble, TroubleKind};
use chatroom_protocol::transcript::{
    CallStatus, Choice, Decider, Diff, Entry, PermissionOption, PermissionOutcome, PlanStep, PromptSource, ToolKind,
    TranscriptEvent, TurnEnd,
};

fn write(scribe: &mut Scribe, entries: Vec<Entry>) -> Vec<Line> {
    let event = |(seq, entry)| TranscriptEvent { seq, at: UnixMs(0), entry };
    (1..).zip(entries).map(event).flat_map(|event| scribe.event(&event)).collect()
}

fn shown(lines: &[Line], is_styled: bool) -> String {
    lines.iter().map(|line| line.show(is_styled) + "\n").collect()
}

/// What is printed of these events, without looks.
fn told(entries: Vec<Entry>) -> String {
    let mut scribe = Scribe::new(40, Answering::Here);
    let mut lines = write(&mut scribe, entries);
    lines.extend(scribe.flush());
    let text = shown(&lines, false);
    assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
    text
}

fn text(text: &str) -> Entry {
    Entry::Text { text: text.to_owned() }
}

fn call(id: &str, title: &str, command: Option<&str>) -> Entry {
    Entry::ToolCall {
        call_id: id.to_owned(),
        title: title.to_owned(),
        tool_kind: ToolKind::Execute,
        command: command.map(str::to_owned),
        paths: Vec::new(),
    }
}

fn update(id: &str, status: CallStatus, output: Option<&str>) -> Entry {
    Entry::ToolUpdate {
        call_id: id.to_owned(),
        status: Some(status),
        title: None,
        output: output.map(str::to_owned),
        diffs: Vec::new(),
    }
}

fn ask(id: &str, command: Option<&str>) -> Entry {
    let option = |name: &str, kind| PermissionOption { option_id: name.to_owned(), name: name.to_owned(), kind };
    Entry::PermissionAsked {
        request_id: id.to_owned(),
        call_id: None,
        title: "Run a command".to_owned(),
        tool_kind: ToolKind::Execute,
        command: command.map(str::to_owned),
        paths: Vec::new(),
        options: vec![option("Yes", Choice::AllowOnce), option("No", Choice::RejectOnce)],
    }
}

#[test]
fn pieces_of_text_are_joined_and_printed_by_whole_lines_as_they_come() {
    let mut scribe = Scribe::new(40, Answering::Here);
    let first = write(&mut scribe, vec![text("I loo"), text("k at it.\nThen "), text("I mend")]);
    assert_eq!(shown(&first, false), "I look at it.\n");
    let long = write(&mut scribe, vec![text(" it, which takes quite a while to tell")]);
    assert_eq!(shown(&long, false), "Then I mend it, which takes quite a\n");
    let ended = write(&mut scribe, vec![Entry::TurnEnded { reason: TurnEnd::EndTurn, message: None }]);
    assert_eq!(shown(&ended, false), "while to tell\n- the turn is over\n");
}

#[test]
fn what_the_owner_sent_does_not_break_a_word_in_two() {
    let taken = Entry::InputTaken { input_id: "i".into() };
    assert_eq!(told(vec![text("one w"), taken, text("ord")]), "one word\n");
}

#[test]
fn a_thought_is_one_dim_line() {
    let mut scribe = Scribe::new(40, Answering::Here);
    let thought = |text: &str| Entry::Thought { text: text.to_owned() };
    let lines = write(&mut scribe, vec![thought("first\n\nthen "), thought(&"more ".repeat(90)), text("Said.\n")]);
    let first = "~ first then more more more more more...";
    assert_eq!(shown(&lines, true), format!("\x1b[2m{first}\x1b[0m\nSaid.\n"));
}

#[test]
fn a_call_shows_its_command_its_last_lines_and_how_it_ended() {
    let output: String = (1..=20).map(|line| format!("line {line}\n")).collect();
    let begun = vec![
        call("1", "Run the tests", Some("cargo test")),
        update("1", CallStatus::InProgress, Some("line 1\n")),
        update("1", CallStatus::Failed, Some(&output)),
    ];
    let text = told(begun);
    assert!(text.starts_with("* Run the tests\n  $ cargo test\n  | ... 12 more above\n  | line 13\n"), "{text}");
    assert!(text.ends_with("  | line 20\n  failed\n"), "{text}");
    assert_eq!(text.matches("  | line").count(), OUTPUT_LINES);
}

#[test]
fn a_call_that_ends_behind_another_one_is_named() {
    let text = told(vec![
        call("1", "Read a", None),
        call("2", "Read b", None),
        update("1", CallStatus::Completed, None),
        update("2", CallStatus::Completed, None),
    ]);
    assert_eq!(text, "* Read a\n* Read b\n  done: Read a\n  done: Read b\n");
}

#[test]
fn an_output_is_shown_without_its_colours_and_of_a_line_written_anew_the_last_one() {
    let output = "\x1b[1;31mred\x1b[0m\n10%\r50%\rdone\r\n\x1b[2Jx\n";
    let text = told(vec![call("1", "x", None), update("1", CallStatus::Completed, Some(output))]);
    assert_eq!(text, "* x\n  | red\n  | done\n  | \\u{1b}[2Jx\n  done\n");
}

#[test]
fn a_diff_is_counted_and_its_first_lines_are_shown() {
    let new: String = (0..9).map(|line| format!("\tnew {line}\n")).collect();
    let diffs = vec![
        Diff {
            path: "src/a.rs".to_owned(),
            old_text: Some("same\nold\n".to_owned()),
            new_text: format!("same\n{new}"),
        },
        Diff { path: "b".to_owned(), old_text: None, new_text: "one\n".to_owned() },
    ];
    let text =
        told(vec![Entry::ToolUpdate { call_id: "1".to_owned(), status: None, title: None, output: None, diffs }]);
    assert!(text.starts_with("  src/a.rs +9 -1\n    - old\n    +     new 0\n"), "{text}");
    assert!(text.contains("    ... 4 more lines\n  b +1 -0 (new file)\n    + one\n"), "{text}");
}

#[test]
fn a_request_has_a_number_and_says_how_it_is_answered() {
    let settled = Entry::PermissionSettled {
        request_id: "b".to_owned(),
        outcome: PermissionOutcome::Selected { choice: Choice::AllowOnce, by: Decider::Rule },
    };
    let text = told(vec![ask("a", Some("ls")), ask("b", None), settled]);
    assert_eq!(
        text,
        "? request 1: Run a command\n  $ ls\n  /allow 1    Yes\n  /deny 1     No\n\
         ? request 2: Run a command\n  /allow 2    Yes\n  /deny 2     No\n- request 2: allowed once by a rule\n"
    );
    let mut elsewhere = Scribe::new(40, Answering::Elsewhere);
    let lines = write(&mut elsewhere, vec![ask("a", None)]);
    assert_eq!(shown(&lines, false), "? request 1: Run a command\n  answers: Yes | No\n");
}

#[test]
fn a_request_from_before_is_told_once_and_found_by_its_number() {
    let mut scribe = Scribe::new(40, Answering::Here);
    write(&mut scribe, vec![ask("a", None)]);
    let asked = |request_id| super::Asked { request_id, title: "x", command: None, paths: &[], options: &[] };
    assert_eq!(scribe.waiting(asked("a")), []);
    assert_eq!(scribe.waiting(asked("old")).len(), 1);
    assert_eq!((scribe.request(1), scribe.request(2), scribe.request(0)), (Some("a"), Some("old"), None));
}

#[test]
fn a_prompt_names_who_speaks_and_shows_its_first_lines() {
    let source = PromptSource::Task { task_id: "t1".into(), delivery: 2 };
    let text = told(vec![Entry::Prompt { source, text: "a\n\nb\nc\nd\ne\nf\ng\nh".to_owned() }]);
    assert_eq!(text, "> task t1, delivery 2:\n  a\n  b\n  c\n  d\n  e\n  f\n  ... 2 more lines\n");
    let source = PromptSource::Person { input_id: "i".into() };
    assert_eq!(told(vec![Entry::Prompt { source, text: "hello".to_owned() }]), "> you:\n  hello\n");
}

#[test]
fn a_plan_shows_where_each_step_stands() {
    let step = |content: &str, status| PlanStep { content: content.to_owned(), status };
    let steps = vec![
        step("look", CallStatus::Completed),
        step("mend", CallStatus::InProgress),
        step("test", CallStatus::Pending),
    ];
    assert_eq!(told(vec![Entry::Plan { steps }]), "# plan\n  [x] look\n  [>] mend\n  [ ] test\n");
}

#[test]
fn a_trouble_is_told_with_what_mends_it() {
    let trouble = Trouble {
        kind: TroubleKind::NotSignedIn,
        message: "nobody is signed in".to_owned(),
        repair: Some("claude auth login".to_owned()),
        at: UnixMs(0),
    };
    assert_eq!(told(vec![Entry::Trouble { trouble }]), "! nobody is signed in\n  to do: claude auth login\n");
}

#[test]
fn nothing_that_an_agent_says_can_steer_the_terminal() {
    let evil = "\x1b]0;title\x07\x1b[2J\r\u{202e}x";
    let entries = vec![
        text(&format!("{evil}\n")),
        Entry::Thought { text: evil.to_owned() },
        call(evil, evil, Some(evil)),
        update(evil, CallStatus::Completed, Some(evil)),
        ask(evil, Some(evil)),
        Entry::Output { text: evil.to_owned() },
        Entry::Plan { steps: vec![PlanStep { content: evil.to_owned(), status: CallStatus::Failed }] },
        Entry::TurnEnded { reason: TurnEnd::Error, message: Some(evil.to_owned()) },
        Entry::Retrying { message: evil.to_owned(), attempt: Some(2) },
        Entry::InputRefused { input_id: "i".into(), reason: evil.to_owned() },
    ];
    let text = told(entries);
    assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'), "{text:?}");
    assert!(!text.contains('\u{202e}'), "{text:?}");
}

#[test]
fn what_is_never_finished_is_not_kept_without_end() {
    let mut scribe = Scribe::new(40, Answering::Here);
    for piece in 0..10_000 {
        write(&mut scribe, vec![Entry::Thought { text: format!("thought {piece} ") }]);
    }
    assert!(scribe.thought.len() < 1_000);
    for piece in 0..2_000 {
        write(&mut scribe, vec![call(&piece.to_string(), "x", None)]);
    }
    assert!(scribe.calls.len() <= super::REMEMBERED);
}
