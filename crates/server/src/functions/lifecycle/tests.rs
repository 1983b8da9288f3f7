use super::{DELAYS_MS, End, Next, TOO_MANY, WINDOW_MS, after_end, take};
use crate::store::desired::{Resume, Row};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, Desired, DesiredBy, Trouble, TroubleKind};
use chatroom_protocol::command::{CommandFailure, FailureCode};
use proptest::prelude::*;

const NOW: UnixMs = UnixMs(1_000_000_000);

fn row(running: bool, exits: &[UnixMs]) -> Row {
    Row {
        chatroom_id: "c".into(),
        role: "builder".to_owned(),
        user_id: "u".into(),
        desired: Desired {
            running,
            by: DesiredBy::Owner,
            since: UnixMs(1),
            machine_id: "m".into(),
            restart_at: None,
            given_up: None,
        },
        agent_id: Some("a".into()),
        exits: exits.to_vec(),
        restart_id: None,
        repair: None,
        resume: Some(Resume {
            machine_id: "m".into(),
            tool: "echo".into(),
            working_dir: "/".to_owned(),
            session_id: "s".to_owned(),
        }),
        revision: 1,
    }
}

fn code(code: i32) -> AgentExit {
    AgentExit::Code { code }
}

fn unusable(kind: TroubleKind) -> AgentExit {
    let trouble =
        Trouble { kind, message: "nobody is signed in".to_owned(), repair: Some("tool login".to_owned()), at: NOW };
    AgentExit::Unusable { trouble }
}

fn failed(code: FailureCode, by_server: bool, now: UnixMs) -> Next {
    let failure = CommandFailure::new(code, "because").hint("do this");
    after_end(&row(true, &[]), End::Failed { failure: &failure, by_server }, now)
}

#[test]
fn ends_by_itself_wait_longer_each_time_and_the_fifth_is_given_up() {
    let mut wanted = row(true, &[]);
    for delay_ms in [0, 30_000, 60_000, 60_000] {
        match after_end(&wanted, End::Exited(&code(3)), NOW) {
            Next::Restart { at, exits } => {
                assert_eq!(at, NOW + delay_ms);
                wanted.exits = exits;
            }
            other => panic!("{other:?}"),
        }
    }
    let next = after_end(&wanted, End::Exited(&AgentExit::Signal { signal: 9 }), NOW);
    take(&mut wanted, next, NOW);
    assert_eq!(
        wanted.desired.given_up.as_deref(),
        Some(
            "it has ended by itself 5 times within 10 minutes and is not started again; the last time, signal 9 ended it"
        )
    );
    assert_eq!(wanted.desired.restart_at, None);
    assert_eq!(wanted.resume, None, "a session that may be the reason is not taken up again");
    assert!(wanted.desired.running, "its owner still wants it");
    assert_eq!(after_end(&wanted, End::Exited(&code(0)), NOW), Next::Leave);
}

#[test]
fn ends_of_long_ago_do_not_count() {
    let long_ago = [NOW - WINDOW_MS, NOW - WINDOW_MS - 1, NOW - WINDOW_MS - 2, NOW - WINDOW_MS - 3];
    let next = after_end(&row(true, &long_ago), End::Exited(&code(0)), NOW);
    assert_eq!(next, Next::Restart { at: NOW, exits: vec![NOW] });
}

#[test]
fn what_was_stopped_is_never_started_again() {
    for exit in [code(0), AgentExit::Stopped, AgentExit::Lost, AgentExit::ShutDown, unusable(TroubleKind::Quota)] {
        assert_eq!(after_end(&row(false, &[]), End::Exited(&exit), NOW), Next::Leave, "{exit:?}");
    }
    let mut wanted = row(true, &[]);
    let next = after_end(&wanted, End::Exited(&AgentExit::Stopped), NOW);
    take(&mut wanted, next, NOW);
    assert!(!wanted.desired.running);
    assert_eq!((wanted.desired.by, wanted.desired.since), (DesiredBy::Machine, NOW));
}

#[test]
fn a_shutdown_and_a_loss_start_again_at_once_and_only_the_loss_counts() {
    let before = [NOW - 1, NOW];
    let shut_down = after_end(&row(true, &before), End::Exited(&AgentExit::ShutDown), NOW);
    assert_eq!(shut_down, Next::Restart { at: NOW, exits: before.to_vec() });
    let lost = after_end(&row(true, &before), End::Exited(&AgentExit::Lost), NOW);
    assert_eq!(lost, Next::Restart { at: NOW, exits: vec![NOW - 1, NOW, NOW] });
    let once_more = [NOW; TOO_MANY - 1];
    assert!(matches!(after_end(&row(true, &once_more), End::Exited(&AgentExit::Lost), NOW), Next::GiveUp { .. }));
}

#[test]
fn a_tool_that_cannot_work_is_given_up_with_what_mends_it() {
    for (kind, keeps_session) in [
        (TroubleKind::NotSignedIn, true),
        (TroubleKind::Quota, true),
        (TroubleKind::UnknownModel, true),
        (TroubleKind::Protocol, false),
    ] {
        let mut wanted = row(true, &[]);
        let next = after_end(&wanted, End::Exited(&unusable(kind)), NOW);
        take(&mut wanted, next, NOW);
        assert_eq!(wanted.desired.given_up.as_deref(), Some("its tool cannot work: nobody is signed in"));
        assert_eq!(wanted.repair.as_deref(), Some("tool login"));
        assert_eq!(wanted.resume.is_some(), keeps_session, "{kind:?}");
    }
}

#[test]
fn a_start_that_failed_counts_gives_up_or_changes_nothing() {
    for code in
        [FailureCode::SpawnFailed, FailureCode::ExitedAtOnce, FailureCode::Internal, FailureCode::OutcomeUnknown]
    {
        assert_eq!(failed(code, false, NOW), Next::Restart { at: NOW, exits: vec![NOW] }, "{code:?}");
    }
    for code in [FailureCode::ToolMissing, FailureCode::WorkingDirMissing, FailureCode::WorkingDirDenied] {
        match failed(code, false, NOW) {
            Next::GiveUp { reason, exits, repair, .. } => {
                assert_eq!((reason.as_str(), exits.len()), ("because (do this)", 0), "{code:?}");
                let start = "chatroom agent start --chatroom-id=c --role=builder --dir=PATH";
                let is_about_dir = code != FailureCode::ToolMissing;
                assert_eq!(repair.as_deref(), is_about_dir.then_some(start), "{code:?}");
            }
            other => panic!("{code:?}: {other:?}"),
        }
    }
    for code in [FailureCode::Expired, FailureCode::Cancelled, FailureCode::MachineRemoved] {
        assert_eq!(failed(code, false, NOW), Next::Leave, "{code:?}");
    }
    assert_eq!(failed(FailureCode::Cancelled, true, NOW), Next::Leave);
    assert_eq!(failed(FailureCode::Expired, true, NOW), Next::Restart { at: NOW, exits: vec![] });
}

proptest! {
    #[test]
    fn however_it_ends_it_is_restarted_within_a_minute_or_stopped_or_given_up(
        ends in prop::collection::vec((0usize..7, 0i64..400_000), 1..40),
    ) {
        let mut wanted = row(true, &[]);
        let mut now = NOW;
        let mut counted: Vec<UnixMs> = Vec::new();
        for (end, pause_ms) in ends {
            now = now + pause_ms;
            let exit = match end {
                0 => code(0),
                1 => code(1),
                2 => AgentExit::Signal { signal: 11 },
                3 => AgentExit::Lost,
                4 => AgentExit::ShutDown,
                5 => AgentExit::Stopped,
                _ => unusable(TroubleKind::Quota),
            };
            let before = wanted.clone();
            let next = after_end(&before, End::Exited(&exit), now);
            take(&mut wanted, next.clone(), now);
            if !before.desired.running || before.desired.given_up.is_some() {
                prop_assert_eq!(&wanted, &before, "an end undoes neither a stop nor a giving up");
                continue;
            }
            if end <= 3 {
                counted.push(now);
            }
            counted.retain(|at| now.since(*at) < WINDOW_MS);
            match next {
                Next::Restart { at, exits } => {
                    prop_assert!(at >= now && at.since(now) <= DELAYS_MS[2]);
                    prop_assert!(exits.len() < TOO_MANY && exits == counted);
                    prop_assert!(end != 5 && end != 6);
                }
                Next::GiveUp { .. } => prop_assert!(end == 6 || counted.len() >= TOO_MANY),
                Next::Stopped => prop_assert_eq!(end, 5),
                Next::Leave => prop_assert!(false, "an end of a wanted agent means something"),
            }
        }
    }
}
