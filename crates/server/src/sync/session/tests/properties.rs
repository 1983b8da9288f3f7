//! What is true of every order of messages, wakes and answers: 100,000 random sequences against a model of a client that checks
//! everything that official clients check, and more.

use super::Session;
use crate::live::Topic;
use crate::sync::result::{Fingerprint, Written};
use crate::sync::session::Effect;
use chatroom_protocol::sync::{
    Call, ClientMessage, QuerySetModification, ServerMessage, StateModification, StateVersion, SyncTs,
};
use chatroom_protocol::{Refusal, UnixMs};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

const SEQUENCES: u32 = 100_000;

/// Something that happens to a socket.
#[derive(Clone, Debug)]
enum Step {
    /// A message of the client; `0` fits what was said before, anything else does not.
    Add {
        query_id: u32,
        topic: u8,
        off: u32,
    },
    Remove {
        query_id: u32,
        off: u32,
    },
    Authenticate {
        is_valid: bool,
        off: u32,
    },
    Connect,
    Mutation,
    Action,
    Noise,
    /// A commit that touches a topic (and, without `wakes`, is heard of only at the next poll).
    Commit {
        topic: u8,
        wakes: bool,
    },
    /// The mutation that has waited longest ends.
    Answer {
        is_refused: bool,
    },
    /// Everything that waits was sent: the socket does what is due.
    Settle,
    /// The fallback poll.
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    let off = prop_oneof![40 => Just(0u32), 1 => 1u32..3];
    prop_oneof![
        4 => (0u32..5, 0u8..3, off.clone()).prop_map(|(query_id, topic, off)| Step::Add { query_id, topic, off }),
        2 => (0u32..5, off.clone()).prop_map(|(query_id, off)| Step::Remove { query_id, off }),
        1 => (any::<bool>(), off).prop_map(|(is_valid, off)| Step::Authenticate { is_valid, off }),
        2 => Just(Step::Mutation),
        1 => Just(Step::Action),
        1 => Just(Step::Noise),
        4 => (0u8..3, prop::bool::weighted(0.8)).prop_map(|(topic, wakes)| Step::Commit { topic, wakes }),
        2 => any::<bool>().prop_map(|is_refused| Step::Answer { is_refused }),
        8 => Just(Step::Settle),
        1 => Just(Step::Poll),
    ]
}

/// The database: one value per topic. The result of a subscription is the value of its topic.
#[derive(Default)]
struct World {
    values: [u32; 3],
    clock: u64,
}

/// What the client believes, from what it has said and heard.
#[derive(Default)]
struct Client {
    version: StateVersion,
    said_query_set: u32,
    said_identity: u32,
    heard: BTreeMap<u32, Fingerprint>,
    /// Numbers that it holds some result of, also of a subscription that it has ended.
    held: HashSet<u32>,
    /// Answers after which no Transition has come.
    uncovered: Vec<SyncTs>,
}

struct Run {
    session: Session,
    world: World,
    client: Client,
    topics: BTreeMap<u32, u8>,
    waiting: Vec<u32>,
    next_request: u32,
    is_closed: bool,
}

impl Run {
    fn new() -> Self {
        let mut session = Session::default();
        assert!(session.receive(connect(), UnixMs(0)).is_empty());
        Self {
            session,
            world: World::default(),
            client: Client::default(),
            topics: BTreeMap::new(),
            waiting: Vec::new(),
            next_request: 0,
            is_closed: false,
        }
    }

    /// Says it, and notes whether the socket closes: exactly when what was said did not fit.
    fn say_fitting(&mut self, message: ClientMessage, fits: bool) -> Vec<Effect> {
        let effects = self.session.receive(message, UnixMs(0));
        self.is_closed = effects.iter().any(|effect| matches!(effect, Effect::Close { .. }));
        assert_eq!(self.is_closed, !fits, "{effects:?}");
        effects
    }

    fn tick(&mut self) -> SyncTs {
        self.world.clock += 1;
        SyncTs(self.world.clock)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Add { query_id, topic, off } => {
                let base = self.client.said_query_set;
                let fits = off == 0 && !self.topics.contains_key(&query_id);
                let add = QuerySetModification::Add { query_id, udf_path: "a:b".into(), args: vec![json!({})] };
                self.modify(base + off, add, fits);
                if fits {
                    self.topics.insert(query_id, topic);
                    // A number that is used again is a new subscription: nothing is known of it.
                    self.client.heard.remove(&query_id);
                    self.session.set_topics(query_id, [topic_of(topic)].into());
                }
            }
            Step::Remove { query_id, off } => {
                let base = self.client.said_query_set;
                let fits = off == 0 && self.topics.contains_key(&query_id);
                self.modify(base + off, QuerySetModification::Remove { query_id }, fits);
                if fits {
                    self.topics.remove(&query_id);
                }
            }
            Step::Authenticate { is_valid, off } => {
                let says = ClientMessage::Authenticate {
                    base_version: self.client.said_identity + off,
                    token_type: "User".into(),
                    value: Some("t".into()),
                    impersonating: None,
                };
                self.say_fitting(says, off == 0);
                if off == 0 && is_valid {
                    self.session.authenticated();
                    self.client.said_identity += 1;
                }
            }
            Step::Connect => drop(self.say_fitting(connect(), false)),
            Step::Mutation => {
                let request_id = self.next_request;
                self.next_request += 1;
                let call = ClientMessage::Mutation(call(request_id));
                assert!(matches!(self.say_fitting(call, true)[..], [Effect::Mutation(_)]));
                self.waiting.push(request_id);
            }
            Step::Action => {
                assert!(matches!(self.say_fitting(ClientMessage::Action(call(7)), true)[..], [Effect::Action(_)]));
                drop(self.session.action_answered(7, Err(Refusal::not_found("action"))));
                let ts = self.tick();
                self.client.uncovered.push(ts);
            }
            Step::Noise => {
                assert!(self.say_fitting(ClientMessage::Event {}, true).is_empty());
                assert!(self.say_fitting(ClientMessage::Unknown, true).is_empty());
            }
            Step::Commit { topic, wakes } => {
                self.world.values[usize::from(topic)] += 1;
                if wakes {
                    self.session.invalidate(&HashSet::from([topic_of(topic)]));
                }
            }
            Step::Answer { is_refused } => {
                if self.waiting.is_empty() {
                    return;
                }
                let request_id = self.waiting.remove(0);
                let ts = self.tick();
                let outcome = if is_refused { Err(Refusal::not_found("x")) } else { Ok(json!(request_id)) };
                let answer = self.session.answered(request_id, outcome, ts);
                let ServerMessage::MutationResponse { request_id: answered, success, ts: told, .. } = answer else {
                    panic!("an answer")
                };
                assert_eq!((answered, success, told), (request_id, !is_refused, (!is_refused).then_some(ts)));
                self.client.uncovered.push(ts);
            }
            Step::Settle => self.settle(),
            Step::Poll => {
                self.session.invalidate_all();
                self.settle();
                self.check_is_current();
            }
        }
    }

    fn modify(&mut self, base_version: u32, modification: QuerySetModification, fits: bool) {
        let (new_version, modifications) = (base_version + 1, vec![modification]);
        let says = ClientMessage::ModifyQuerySet { base_version, new_version, modifications };
        self.say_fitting(says, fits);
        if fits {
            self.client.said_query_set += 1;
        }
    }

    /// What the socket does when everything has been sent: one snapshot, one Transition.
    fn settle(&mut self) {
        let Some(due) = self.session.due() else {
            assert!(self.client.uncovered.is_empty(), "a Transition follows every answer");
            assert_eq!(self.client.said_query_set, self.client.version.query_set);
            assert_eq!(self.client.said_identity, self.client.version.identity);
            return;
        };
        let ts = self.tick();
        let values = self.world.values;
        let of = |query_id: &u32| (*query_id, result(values[usize::from(self.topics[query_id])]));
        let results: Vec<_> = due.iter().map(of).collect();
        if let Some(text) = self.session.transition(ts, &results, UnixMs(0)) {
            self.hear(&text, &results);
        }
        assert_eq!(self.session.due(), None, "what was due is done");
    }

    fn hear(&mut self, text: &str, results: &[(u32, Arc<Written>)]) {
        let ServerMessage::Transition { start_version, end_version, modifications, .. } =
            serde_json::from_str(text).unwrap()
        else {
            panic!("a Transition")
        };
        let client = &mut self.client;
        assert_eq!(start_version, client.version, "versions chain");
        assert!(end_version.ts > start_version.ts, "time goes on");
        assert_eq!((end_version.query_set, end_version.identity), (client.said_query_set, client.said_identity));
        assert!(client.uncovered.iter().all(|ts| *ts <= end_version.ts), "a Transition is not older than an answer");
        client.uncovered.clear();
        client.version = end_version;
        let mut named = HashSet::new();
        for modification in modifications {
            match modification {
                StateModification::QueryUpdated { query_id, .. } => {
                    assert!(named.insert(query_id) && self.topics.contains_key(&query_id));
                    let (_, result) = results.iter().find(|(id, _)| *id == query_id).unwrap();
                    client.held.insert(query_id);
                    let before = client.heard.insert(query_id, result.fingerprint());
                    assert_ne!(before, Some(result.fingerprint()), "no result is sent twice");
                }
                StateModification::QueryRemoved { query_id } => {
                    assert!(named.insert(query_id) && !self.topics.contains_key(&query_id));
                    assert!(client.held.remove(&query_id), "only what was there is removed");
                }
                StateModification::QueryFailed { .. } => panic!("nothing fails here"),
            }
        }
        client.heard.retain(|query_id, _| self.topics.contains_key(query_id));
        assert!(client.held.iter().all(|query_id| self.topics.contains_key(query_id)), "nothing is left behind");
    }

    /// After a poll the client knows everything as it is.
    fn check_is_current(&self) {
        for (query_id, topic) in &self.topics {
            let now = result(self.world.values[usize::from(*topic)]).fingerprint();
            assert_eq!(self.client.heard.get(query_id), Some(&now), "subscription {query_id}");
        }
        assert_eq!(self.client.heard.len(), self.topics.len());
    }
}

fn connect() -> ClientMessage {
    ClientMessage::Connect {
        session_id: "s".into(),
        connection_count: 0,
        last_close_reason: None,
        max_observed_timestamp: None,
        client_ts: None,
    }
}

fn call(request_id: u32) -> Call {
    Call { request_id, udf_path: "a:c".into(), args: Vec::new() }
}

fn topic_of(topic: u8) -> Arc<Topic> {
    Arc::new(Topic::Machine(topic.to_string().into()))
}

fn result(value: u32) -> Arc<Written> {
    Written::new("a.b", &Ok(json!(value)))
}

/// A quarter of them: the quarters run beside each other.
fn quarter() {
    let config = ProptestConfig { cases: SEQUENCES / 4, failure_persistence: None, ..ProptestConfig::default() };
    let steps = (prop::collection::vec(step(), 1..16), prop::bool::weighted(0.02));
    let held = TestRunner::new(config).run(&steps, |(steps, again)| {
        let mut run = Run::new();
        for step in steps.into_iter().chain(again.then_some(Step::Connect)) {
            run.step(step);
            if run.is_closed {
                return Ok(());
            }
        }
        run.step(Step::Settle);
        run.step(Step::Poll);
        Ok(())
    });
    held.unwrap();
}

#[test]
fn every_sequence_ends_in_a_valid_state_or_a_clean_close_first_quarter() {
    quarter();
}

#[test]
fn every_sequence_ends_in_a_valid_state_or_a_clean_close_second_quarter() {
    quarter();
}

#[test]
fn every_sequence_ends_in_a_valid_state_or_a_clean_close_third_quarter() {
    quarter();
}

#[test]
fn every_sequence_ends_in_a_valid_state_or_a_clean_close_fourth_quarter() {
    quarter();
}
