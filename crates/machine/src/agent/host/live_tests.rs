//! Live sessions against real processes: small scripts that speak as tools do, and a daemon that is this test.

use super::super::run_dir::{Facts, RunDir};
use super::super::transcript::Reader;
use super::tests::{Run, stop, until, wanted_stop};
use crate::socket_path::with_address;
use chatroom_protocol::agent::{AgentExit, TroubleKind, TurnState};
use chatroom_protocol::command::FailureCode;
use chatroom_protocol::host::{HostOrder, HostState};
use chatroom_protocol::transcript::{Choice, Decider, DriverKind, Entry, PermissionOutcome, TranscriptEvent, TurnEnd};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Duration;

/// A tool that speaks the Agent Client Protocol and does what its prompts say.
const ACP_TOOL: &str = r#"
echo "started in $PWD" >&2
say() { printf '%s\n' "$1"; }
text() { say '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s1","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"'"$1"'"}}}}'; }
while IFS= read -r line; do
  id=${line#*'"id":'}; id=${id%%[!0-9]*}
  case $line in
    *'"method":"initialize"'*) say 'a banner'; say '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":1}}' ;;
    *'"method":"session/new"'*) say '{"jsonrpc":"2.0","id":'$id',"result":{"sessionId":"s1"}}' ;;
    *'"method":"session/prompt"'*)
      echo prompt >> prompts
      case $line in
        *PERMIT*)
          say '{"jsonrpc":"2.0","id":77,"method":"session/request_permission","params":{"sessionId":"s1","toolCall":{"toolCallId":"c1","title":"make x","kind":"execute","rawInput":{"command":"make x"}},"options":[{"optionId":"yes","name":"Yes","kind":"allow_once"},{"optionId":"no","name":"No","kind":"reject_once"}]}}'
          IFS= read -r answer
          case $answer in *'"optionId":"yes"'*) text allowed ;; *) text refused ;; esac
          ;;
        *SLOW*)
          text slowly
          while IFS= read -r next; do case $next in *session/cancel*) break ;; esac; done
          say '{"jsonrpc":"2.0","id":'$id',"result":{"stopReason":"cancelled"}}'
          continue
          ;;
        *FLOOD*) yes 'some words that are not of the protocol' | head -c 30000000; head -c 20000000 /dev/zero | tr '\0' y; echo ;;
        *) text heard ;;
      esac
      say '{"jsonrpc":"2.0","id":'$id',"result":{"stopReason":"end_turn"}}'
      ;;
  esac
done
echo "input is closed" >&2
"#;

/// The other end of the host's socket.
struct Daemon {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Daemon {
    fn of(run: &Run) -> Self {
        let path = run.dir.control_socket();
        until("the socket is there", || path.exists());
        let stream = with_address(&path, |path| UnixStream::connect(path)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Self { stream, lines }
    }

    fn order(&mut self, order: &HostOrder) {
        let line = serde_json::to_string(order).unwrap() + "\n";
        self.stream.write_all(line.as_bytes()).unwrap();
    }

    fn task(&mut self, brief: &str, delivery: i64) {
        let (brief, reminder) = (brief.to_owned(), "remember".to_owned());
        self.order(&HostOrder::Task { task_id: "t".into(), delivery, brief, reminder });
    }

    fn say(&mut self, id: &str, text: &str) {
        self.order(&HostOrder::Say { input_id: id.into(), text: text.to_owned() });
    }

    /// Hears states until one fits.
    fn until(&mut self, fits: impl Fn(&HostState) -> bool) -> HostState {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the host has gone");
            let state: HostState = serde_json::from_str(&line).unwrap();
            if fits(&state) {
                return state;
            }
        }
    }

    fn until_idle(&mut self) -> HostState {
        self.until(|state| state.turn == TurnState::Idle)
    }

    fn until_over(&mut self) -> HostState {
        self.until(|state| state.work.as_ref().is_some_and(|work| work.turn_ended))
    }
}

fn start(run: &Run) -> (Child, Daemon) {
    run.prepare();
    let host = run.host();
    (host, Daemon::of(run))
}

fn events(run: &Run) -> Vec<TranscriptEvent> {
    Reader::at(&run.dir).read_after(0, usize::MAX, usize::MAX).unwrap()
}

fn entries(run: &Run) -> Vec<Entry> {
    events(run).into_iter().map(|event| event.entry).collect()
}

fn texts(run: &Run) -> String {
    let text = |entry| if let Entry::Text { text } = entry { Some(text) } else { None };
    entries(run).into_iter().filter_map(text).collect()
}

fn exit(facts: Facts) -> AgentExit {
    facts.ended.unwrap().exit
}

fn trouble(exit: AgentExit) -> TroubleKind {
    match exit {
        AgentExit::Unusable { trouble } => trouble.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tasks_and_sayings_are_told_in_one_session_and_its_end_is_complete() {
    let run = Run::of(DriverKind::Acp, ACP_TOOL);
    let (mut host, mut daemon) = start(&run);
    daemon.until_idle();
    assert!(!run.dir.prompt().exists());
    daemon.task("please PERMIT", 1);
    daemon.task("please PERMIT", 1);
    let asked = daemon.until(|state| state.turn == TurnState::WaitingForPermission);
    assert_eq!(asked.work.unwrap().delivery, 1);
    // The daemon goes, and another one comes.
    drop(daemon);
    let mut daemon = Daemon::of(&run);
    daemon.until(|state| state.turn == TurnState::WaitingForPermission);
    let (request_id, by) = ("p1".to_owned(), Decider::Person);
    daemon.order(&HostOrder::Answer { input_id: "i1".into(), request_id, choice: Choice::AllowAlways, by });
    daemon.until_over();
    assert_eq!(texts(&run), "allowed");
    daemon.order(&HostOrder::TaskOver { task_id: "t".into(), delivery: 1 });
    daemon.task("the next", 2);
    daemon.say("s1", "and this");
    daemon.until_over();
    until("the saying was heard", || texts(&run) == "allowedheardheard");
    assert_eq!(fs::read_to_string(run.work.join("prompts")).unwrap().lines().count(), 3);
    let took = wanted_stop(&run, &mut host);
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(exit(run.dir.facts()), AgentExit::Stopped);
    assert!(!run.dir.control_socket().exists() && !run.dir.tmp().exists());
    let output = run.output();
    assert!(output.contains("started in ") && output.contains("input is closed"), "{output}");

    let events = events(&run);
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    let settled = PermissionOutcome::Selected { choice: Choice::AllowOnce, by: Decider::Person };
    let settled = Entry::PermissionSettled { request_id: "p1".to_owned(), outcome: settled };
    let entries = entries(&run);
    assert!(matches!(&entries[0], Entry::Output { text } if text == "a banner\n"), "{entries:?}");
    assert!(matches!(&entries[1], Entry::SessionStarted { session_id: Some(id), .. } if id == "s1"));
    assert!(matches!(&entries[2], Entry::Prompt { text, .. } if text == "please PERMIT"));
    assert!(entries.contains(&settled), "{entries:?}");
}

#[test]
fn a_cancelled_turn_ends_and_the_next_one_runs() {
    let run = Run::of(DriverKind::Acp, ACP_TOOL);
    let (mut host, mut daemon) = start(&run);
    daemon.until_idle();
    daemon.say("a", "SLOW");
    daemon.say("b", "fast");
    daemon.until(|state| state.turn == TurnState::Working);
    daemon.order(&HostOrder::Cancel { input_id: "c".into() });
    until("the next one was heard", || texts(&run) == "slowlyheard");
    let cancelled = Entry::TurnEnded { reason: TurnEnd::Cancelled, message: None };
    assert!(entries(&run).contains(&cancelled), "{:?}", entries(&run));
    wanted_stop(&run, &mut host);
}

#[test]
fn a_stop_cancels_the_turn_and_refuses_what_waits() {
    let run = Run::of(DriverKind::Acp, ACP_TOOL);
    let (mut host, mut daemon) = start(&run);
    daemon.until_idle();
    daemon.say("a", "please PERMIT");
    daemon.say("b", "never said");
    daemon.until(|state| state.turn == TurnState::WaitingForPermission);
    let took = wanted_stop(&run, &mut host);
    assert!(took < Duration::from_secs(3), "{took:?}");
    let entries = entries(&run);
    let withdrawn = Entry::PermissionSettled { request_id: "p1".to_owned(), outcome: PermissionOutcome::Withdrawn };
    assert!(entries.contains(&withdrawn), "{entries:?}");
    assert!(entries.iter().any(|entry| matches!(entry, Entry::TurnEnded { .. })));
    assert!(
        entries.iter().any(|entry| matches!(entry, Entry::InputRefused { input_id, .. } if input_id.as_str() == "b"))
    );
}

#[test]
fn a_machine_that_shuts_down_is_no_stop() {
    let run = Run::of(DriverKind::Acp, ACP_TOOL);
    let (mut host, mut daemon) = start(&run);
    daemon.until_idle();
    stop(&mut host);
    assert_eq!(exit(run.dir.facts()), AgentExit::ShutDown);
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_directory_with_a_long_path_is_heard_too() {
    let mut run = Run::of(DriverKind::Acp, ACP_TOOL);
    run.dir = RunDir::of(&run.work.join("x".repeat(120)), &run.agent).unwrap();
    let (mut host, mut daemon) = start(&run);
    daemon.until_idle();
    wanted_stop(&run, &mut host);
    assert_eq!(exit(run.dir.facts()), AgentExit::Stopped);
}

#[test]
fn a_tool_that_cannot_work_ends_its_agent_with_the_reason() {
    let auth = r#"IFS= read -r line
        echo '{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"Authentication required"}}'; cat >/dev/null"#;
    let signs = Run::of(DriverKind::Acp, auth);
    let facts = signs.to_its_end();
    assert_eq!(trouble(exit(facts)), TroubleKind::NotSignedIn);
    let Some(Entry::Trouble { trouble: told }) = entries(&signs).pop() else { panic!() };
    assert_eq!(told.repair.as_deref(), Some("tool login"));

    let mut hangs = Run::of(DriverKind::Acp, "exec sleep 60");
    hangs.spec.session.start_limit_ms = 200;
    assert_eq!(trouble(exit(hangs.to_its_end())), TroubleKind::Silent);
    assert_eq!(hangs.left(), 0);

    let closes = Run::of(DriverKind::Acp, "exec >&- 2>&-; sleep 60");
    assert_eq!(trouble(exit(closes.to_its_end())), TroubleKind::Protocol);

    let deaf = Run::of(DriverKind::Acp, &ACP_TOOL.replace("echo prompt >> prompts", "exec <&-; sleep 60"));
    let (mut host, mut daemon) = start(&deaf);
    daemon.until_idle();
    daemon.say("a", "this is heard");
    daemon.until(|state| state.turn == TurnState::Working);
    daemon.order(&HostOrder::Cancel { input_id: "c".into() });
    assert!(host.wait().unwrap().success());
    let AgentExit::Unusable { trouble: of_deaf } = exit(deaf.dir.facts()) else { panic!() };
    assert_eq!(of_deaf.message, "the tool has closed its input or output and did not end");

    let ends = Run::of(DriverKind::Acp, "echo 'no such model' >&2; exit 3");
    assert_eq!(exit(ends.to_its_end()), AgentExit::Code { code: 3 });
    assert_eq!(ends.output(), "no such model\n");
}

#[test]
fn a_tool_that_ends_in_its_turn_leaves_a_complete_transcript() {
    let script = ACP_TOOL.replace("*SLOW*)", "*DIE*) exit 5 ;; *SLOW*)");
    let run = Run::of(DriverKind::Acp, &script);
    let (mut host, mut daemon) = start(&run);
    daemon.until_idle();
    daemon.task("DIE", 1);
    assert!(host.wait().unwrap().success());
    assert_eq!(exit(run.dir.facts()), AgentExit::Code { code: 5 });
    assert!(
        matches!(entries(&run).last(), Some(Entry::TurnEnded { reason: TurnEnd::Error, .. })),
        "{:?}",
        entries(&run)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_flood_costs_neither_memory_nor_the_session() {
    let run = Run::of(DriverKind::Acp, ACP_TOOL);
    let (mut host, mut daemon) = start(&run);
    daemon.until_idle();
    let peak = || {
        let status = fs::read_to_string(format!("/proc/{}/status", host.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = peak();
    daemon.task("FLOOD", 1);
    daemon.until_over();
    let grown = peak() - before;
    assert!(grown < 48 * 1024, "{grown} KiB");
    daemon.say("a", "still there?");
    until("it was heard", || texts(&run) == "heard");
    let noise = entries(&run).iter().filter(|entry| matches!(entry, Entry::Output { .. })).count();
    assert!(noise < 100, "{noise}");
    let log = fs::metadata(run.dir.output()).unwrap().len();
    assert!(log <= run.spec.log_limit_bytes + 64 * 1024);
    wanted_stop(&run, &mut host);
}

#[test]
fn a_tool_that_heeds_nothing_is_killed_with_its_children_in_time() {
    let run = Run::of(
        DriverKind::Acp,
        "trap '' TERM INT HUP; (setsid sh -c 'trap \"\" TERM; echo a >> up; while :; do sleep 60; done' &); \
         (setsid setsid sh -c 'echo b >> up; exec sleep 60' &); while :; do sleep 60; done",
    );
    let (mut host, _daemon) = start(&run);
    until("all run", || fs::read_to_string(run.work.join("up")).is_ok_and(|up| up.lines().count() == 2));
    let took = wanted_stop(&run, &mut host);
    assert!(took < Duration::from_millis(6_400), "{took:?}");
    assert_eq!((run.left(), exit(run.dir.facts())), (0, AgentExit::Stopped));
}

#[test]
fn a_tool_of_one_shot_is_run_for_each_prompt() {
    // What a run leaves behind ends with it.
    let script = "setsid sleep 60 >/dev/null 2>&1 & cat; echo; test ! -e hang || exec sleep 60";
    let run = Run::of(DriverKind::OneShot, script);
    let (mut host, mut daemon) = start(&run);
    daemon.until_idle();
    assert_eq!(run.dir.facts().started.unwrap().tool.pid, host.id());
    daemon.task("one", 1);
    daemon.until_over();
    // Without a session the brief is said each time.
    assert_eq!((texts(&run).as_str(), run.left()), ("the prompt\n\none\n", 0));
    daemon.order(&HostOrder::TaskOpen { task_id: "t".into(), delivery: 1 });
    daemon.until_over();
    assert_eq!(texts(&run), "the prompt\n\none\nthe prompt\n\nremember\n");
    fs::write(run.work.join("hang"), "").unwrap();
    daemon.say("a", "two");
    daemon.until(|state| state.turn == TurnState::Working);
    until("it has begun", || texts(&run).ends_with("two\n"));
    daemon.order(&HostOrder::Cancel { input_id: "c".into() });
    daemon.until_idle();
    assert_eq!(run.left(), 0);
    let took = wanted_stop(&run, &mut host);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_program_that_is_not_there_is_refused_whichever_way_it_is_spoken_to() {
    for driver in [DriverKind::Acp, DriverKind::OneShot] {
        let mut run = Run::of(driver, "exit 0");
        run.spec.program = run.work.join("no-tool");
        let facts = run.to_its_end();
        assert_eq!(facts.refused.unwrap().code, FailureCode::ToolMissing);
        assert!(!run.dir.control_socket().exists() && !run.dir.tmp().exists() && facts.started.is_none());
    }
}

#[test]
fn claude_goes_on_with_an_earlier_session_or_begins_anew() {
    // The name of an argument that was added to a script of the shell is its first parameter.
    let script = r#"
        case $0 in --resume=gone) echo 'No conversation found' >&2; exit 1 ;; esac
        while IFS= read -r line; do
          case $line in
            *'"subtype":"initialize"'*) echo '{"type":"control_response","response":{"subtype":"success","request_id":"initialize","response":{}}}' ;;
            *'"type":"user"'*)
              echo '{"type":"system","subtype":"init","session_id":"x","model":"m"}'
              echo '{"type":"assistant","message":{"content":[{"type":"text","text":"I am '"$0"'"}]}}'
              echo '{"type":"result","subtype":"success","is_error":false,"result":"done"}' ;;
          esac
        done"#;
    let mut known = Run::of(DriverKind::Claude, script);
    let mut gone = Run::of(DriverKind::Claude, script);
    for (run, resume) in [(&mut known, "known"), (&mut gone, "gone")] {
        let session = &mut run.spec.session;
        session.resume = Some(resume.to_owned());
        session.resume_args = vec!["--resume={session}".to_owned()];
    }
    for (run, expected) in [(&known, "I am --resume=known"), (&gone, "I am --session-id=")] {
        let (mut host, mut daemon) = start(run);
        daemon.until_idle();
        daemon.task("hello", 1);
        daemon.until_over();
        assert!(texts(run).starts_with(expected), "{}", texts(run));
        wanted_stop(run, &mut host);
        assert_eq!(exit(run.dir.facts()), AgentExit::Stopped);
    }
}

#[test]
fn a_stop_does_not_start_a_tool_anew_that_has_not_taken_its_earlier_session_up_yet() {
    let script = r#"
        echo start >> starts
        while IFS= read -r line; do
          case $line in
            *'"subtype":"initialize"'*) echo '{"type":"control_response","response":{"subtype":"success","request_id":"initialize","response":{}}}' ;;
          esac
        done"#;
    let mut run = Run::of(DriverKind::Claude, script);
    run.spec.session.resume = Some("earlier".to_owned());
    let (mut host, mut daemon) = start(&run);
    daemon.until_idle();
    let took = wanted_stop(&run, &mut host);
    assert_eq!(fs::read_to_string(run.work.join("starts")).unwrap(), "start\n");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(exit(run.dir.facts()), AgentExit::Stopped);
}
