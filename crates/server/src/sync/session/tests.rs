//! Examples; `properties` holds what is true of every sequence.

use super::*;
use crate::sync::result::Written;
use serde_json::json;

mod properties;

const NOW: UnixMs = UnixMs(1_000);

pub(super) fn message(json: Value) -> ClientMessage {
    serde_json::from_value(json).unwrap()
}

fn connected() -> Session {
    let mut session = Session::default();
    let connect = json!({"type": "Connect", "sessionId": "s", "connectionCount": 0, "lastCloseReason": null});
    assert!(session.receive(message(connect), NOW).is_empty());
    session
}

fn modify(session: &mut Session, base: u32, modification: Value) -> Vec<Effect> {
    let modify = json!({"type": "ModifyQuerySet", "baseVersion": base, "newVersion": base + 1,
        "modifications": [modification]});
    session.receive(message(modify), NOW)
}

fn add(session: &mut Session, base: u32, query_id: u32) -> Vec<Effect> {
    let add = json!({"type": "Add", "queryId": query_id, "udfPath": "machines:listMachines", "args": [{}]});
    modify(session, base, add)
}

fn written(value: Value) -> Arc<Written> {
    Written::new("machines.listMachines", &Ok(value))
}

fn modifications(text: &str) -> Vec<Value> {
    let transition: Value = serde_json::from_str(text).unwrap();
    transition["modifications"].as_array().unwrap().clone()
}

#[test]
fn nothing_is_taken_before_connect() {
    let effects = Session::default().receive(ClientMessage::Event {}, NOW);
    assert!(matches!(effects[..], [Effect::Close { .. }]));
}

#[test]
fn an_unchanged_result_is_not_sent_again_and_alone_makes_no_transition() {
    let mut session = connected();
    add(&mut session, 0, 0);
    assert_eq!(session.due(), Some(vec![0]));
    let first = session.transition(SyncTs(1), &[(0, written(json!(1)))], NOW).unwrap();
    assert_eq!(modifications(&first).len(), 1);
    session.invalidate_all();
    assert_eq!(session.due(), Some(vec![0]));
    assert_eq!(session.transition(SyncTs(2), &[(0, written(json!(1)))], NOW), None);
    assert_eq!(session.due(), None);
}

#[test]
fn only_what_depends_on_a_topic_is_read_again() {
    let mut session = connected();
    let topic = |name: &str| Arc::new(Topic::Machine(name.into()));
    for (base, name) in [(0, "a"), (1, "b")] {
        add(&mut session, base, base);
        session.set_topics(base, [topic(name)].into());
    }
    let results = [(0, written(json!(0))), (1, written(json!(1)))];
    assert!(session.transition(SyncTs(1), &results, NOW).is_some());
    session.invalidate(&HashSet::from([topic("c")]));
    assert_eq!(session.due(), None);
    session.invalidate(&HashSet::from([topic("b")]));
    assert_eq!(session.due(), Some(vec![1]));
}

#[test]
fn a_version_that_does_not_fit_ends_the_socket_and_changes_nothing() {
    let mut session = connected();
    assert!(matches!(add(&mut session, 7, 0)[..], [Effect::Close { .. }]));
    assert!(session.queries().is_empty());
}

#[test]
fn a_transition_is_due_after_every_answer_and_is_not_older() {
    let mut session = connected();
    let refused = session.answered(3, Err(Refusal::not_found("machine")), SyncTs(5));
    let ServerMessage::MutationResponse { success: false, ts: None, error_data, .. } = refused else {
        panic!("a refusal")
    };
    assert_eq!(error_data.unwrap()["code"], "not_found");
    assert_eq!((session.due(), session.shown()), (Some(Vec::new()), SyncTs(5)));
    assert!(session.transition(SyncTs(6), &[], NOW).is_some());
    assert_eq!(session.due(), None);
    let ServerMessage::ActionResponse { success: false, .. } =
        session.action_answered(4, Err(Refusal::not_found("action")))
    else {
        panic!("a refusal")
    };
    assert_eq!(session.due(), Some(Vec::new()));
}

#[test]
fn clocks_are_told_both_or_not_at_all() {
    for (client_ts, told) in [(Value::Null, None), (json!(0), None), (json!(1_253.0), Some(253))] {
        let mut session = Session::default();
        let mut connect = json!({"type": "Connect", "sessionId": "s"});
        if !client_ts.is_null() {
            connect["clientTs"] = client_ts;
        }
        drop(session.receive(message(connect), NOW));
        session.authenticated();
        let text = session.transition(SyncTs(1), &[], NOW).unwrap();
        let ServerMessage::Transition { client_clock_skew, server_ts, .. } = serde_json::from_str(&text).unwrap()
        else {
            panic!("a transition")
        };
        assert_eq!((client_clock_skew, server_ts), (told, told.map(|_| 1_000_000_000)));
    }
}

#[test]
fn a_subscription_that_came_and_went_unsent_leaves_nothing_to_remove() {
    let mut session = connected();
    add(&mut session, 0, 4);
    let remove = || json!({"type": "Remove", "queryId": 4});
    assert!(matches!(modify(&mut session, 1, remove())[..], [Effect::Unsubscribe(_)]));
    assert!(modifications(&session.transition(SyncTs(1), &[], NOW).unwrap()).is_empty());
    add(&mut session, 2, 4);
    session.transition(SyncTs(2), &[(4, written(json!(1)))], NOW).unwrap();
    modify(&mut session, 3, remove());
    let text = session.transition(SyncTs(3), &[], NOW).unwrap();
    assert_eq!(modifications(&text), [json!({"type": "QueryRemoved", "queryId": 4})]);
    assert!(matches!(modify(&mut session, 4, remove())[..], [Effect::Close { .. }]));
}

#[test]
fn what_makes_a_transition_too_long_comes_with_the_next() {
    let mut session = connected();
    let long = |letter: &str| written(json!(letter.repeat(3_500_000)));
    for query_id in 0..5 {
        add(&mut session, query_id, query_id);
    }
    let results: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().map(long).collect();
    let mut seen = Vec::new();
    for ts in 1..4 {
        let Some(due) = session.due() else { break };
        let results: Vec<_> = due.into_iter().map(|id| (id, Arc::clone(&results[id as usize]))).collect();
        let text = session.transition(SyncTs(ts), &results, NOW).unwrap();
        assert!(text.len() < 16 * 1024 * 1024);
        seen.extend(modifications(&text).iter().map(|one| one["queryId"].as_u64().unwrap()));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(session.due(), None);
}

#[test]
fn a_key_acts_for_nobody_else_and_too_much_is_refused() {
    let mut session = connected();
    let acting = json!({"type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": "k", "acting_as": {}});
    assert!(matches!(session.receive(message(acting), NOW)[..], [Effect::Send(ServerMessage::AuthError { .. })]));
    let many: Vec<Value> =
        (0..10_000).map(|id| json!({"type": "Add", "queryId": id, "udfPath": "a:b", "args": [{}]})).collect();
    let many = json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": many});
    assert!(matches!(session.receive(message(many), NOW)[..], [Effect::Close { .. }]));
    let mut session = connected();
    let long = json!({"type": "Add", "queryId": 0, "udfPath": "a:b", "args": [{"x": "x".repeat(MAX_ARGS)}]});
    assert!(matches!(modify(&mut session, 0, long)[..], [Effect::Close { .. }]));
}
