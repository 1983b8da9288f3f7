//! Live: who wants to hear of what. A wake carries no data; losing every wake costs latency, never correctness.
//!
//! Whoever watches first registers its topics, then reads, then waits: a commit in between leaves its topic in the waker.

pub mod postgres;

use chatroom_protocol::id::{AgentId, ChatroomId, CredentialId, MachineId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;

/// What a query depends on and a write touches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Topic {
    /// A user's machines: the list, their tools, their connection, their agents.
    Machines(UserId),
    /// A machine's commands and its daemon session.
    Machine(MachineId),
    /// A room: its team, agents, agent configs and archive state.
    Chatroom(ChatroomId),
    /// A user's list of rooms and teams.
    Chatrooms(UserId),
    /// A room's messages.
    Messages(ChatroomId),
    /// A room's tasks and who waits for them.
    Tasks(ChatroomId),
    /// A room's contexts, backlog and artifacts.
    Desk(ChatroomId),
    /// A user's credentials and pending device logins.
    Credentials(UserId),
    /// One credential: woken when it is revoked.
    Credential(CredentialId),
    /// Agents that the server is to start by itself: one is due, or a machine is connected where one may be.
    Restarts,
    /// An agent's transcript: woken by every batch of events, so nothing but its pages depends on it.
    Transcript(AgentId),
    /// What was sent into an agent's session.
    Inputs(AgentId),
    /// What waits to be taken into the sessions of a machine's agents.
    Inbox(MachineId),
    /// A user's permission requests and rules.
    Permissions(UserId),
}

/// Collects the topics that were woken since it was last asked.
#[derive(Debug, Default)]
pub struct Waker {
    woken: Mutex<HashSet<Arc<Topic>>>,
    notify: Notify,
}

impl Waker {
    /// Waits until some topic was woken; returns at once when one was woken before.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }

    /// Takes what was woken.
    #[must_use]
    pub fn take(&self) -> HashSet<Arc<Topic>> {
        std::mem::take(&mut self.woken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wake(&self, topic: &Arc<Topic>) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(topic));
        self.notify.notify_one();
    }
}

/// The watchers of this server process, by topic.
#[derive(Debug)]
pub struct Hub {
    replica: String,
    /// The watchers of each topic, sorted by their address: each stands there once.
    watchers: Mutex<HashMap<Arc<Topic>, Vec<Weak<Waker>>>>,
    generation: AtomicU64,
    deaf: AtomicBool,
}

/// What one replica tells the others.
#[derive(Debug, Serialize, Deserialize)]
struct Notification {
    from: String,
    topics: Vec<Topic>,
}

impl Hub {
    /// A hub for the replica of this name.
    #[must_use]
    pub fn new(replica: impl Into<String>) -> Self {
        Self {
            replica: replica.into(),
            watchers: Mutex::default(),
            generation: AtomicU64::new(0),
            deaf: AtomicBool::new(false),
        }
    }

    /// From now on, `waker` hears of `topic`. Watching twice is watching once. Gives the topic as it is kept here.
    pub fn watch(&self, topic: &Topic, waker: &Arc<Waker>) -> Arc<Topic> {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match watchers.get_key_value(topic) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(topic.clone()),
        };
        let list = watchers.entry(Arc::clone(&known)).or_default();
        if let Err(place) = list.binary_search_by_key(&Arc::as_ptr(waker), Weak::as_ptr) {
            list.insert(place, Arc::downgrade(waker));
        }
        known
    }

    /// From now on, `waker` hears no more of `topic`.
    pub fn unwatch(&self, topic: &Topic, waker: &Arc<Waker>) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = watchers.get_mut(topic) {
            if let Ok(place) = list.binary_search_by_key(&Arc::as_ptr(waker), Weak::as_ptr) {
                list.remove(place);
            }
            if list.is_empty() {
                watchers.remove(topic);
            }
        }
    }

    /// Wakes the watchers of these topics in this process.
    pub fn wake(&self, topics: &[Topic]) {
        if topics.is_empty() || self.deaf.load(Ordering::SeqCst) {
            return;
        }
        // Before anybody wakes: whoever wakes must not take a snapshot of before for one of now.
        self.generation.fetch_add(1, Ordering::SeqCst);
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in topics {
            let Some((topic, _)) = watchers.get_key_value(topic) else { continue };
            let topic = Arc::clone(topic);
            let Some(list) = watchers.get_mut(&topic) else { continue };
            list.retain(|waker| {
                waker.upgrade().is_some_and(|waker| {
                    waker.wake(&topic);
                    true
                })
            });
        }
    }

    /// Wakes every watcher of every topic: after wakes may have been lost.
    pub fn wake_all(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        let topics: Vec<Topic> = {
            let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
            watchers.keys().map(|topic| Topic::clone(topic)).collect()
        };
        self.wake(&topics);
    }

    /// How many times something was woken: while it stays the same, nothing that is watched has changed (as far as is known).
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// From now on, every wake is lost (or not any more): what the tests of the fallback are made of.
    pub fn lose_wakes(&self, lose: bool) {
        self.deaf.store(lose, Ordering::SeqCst);
    }

    /// The texts that tell other replicas of these topics, each short enough for one PostgreSQL notification (8000 bytes).
    #[must_use]
    pub fn notifications(&self, topics: &[Topic]) -> Vec<String> {
        topics
            .chunks(40)
            .filter_map(|chunk| {
                serde_json::to_string(&Notification { from: self.replica.clone(), topics: chunk.to_vec() }).ok()
            })
            .collect()
    }

    /// Wakes what another replica told of; its own words are passed over.
    pub fn heard(&self, notification: &str) {
        match serde_json::from_str::<Notification>(notification) {
            Ok(notification) if notification.from == self.replica => {}
            Ok(notification) => self.wake(&notification.topics),
            // A newer replica may know topics that we do not: waking everybody is slow, but never wrong.
            Err(_) => self.wake_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Hub, Topic, Waker};
    use std::sync::Arc;

    fn topic() -> Topic {
        Topic::Machine("m".into())
    }

    #[test]
    fn a_wake_before_the_wait_is_not_lost() {
        let (hub, waker) = (Hub::new("a"), Arc::new(Waker::default()));
        hub.watch(&topic(), &waker);
        hub.wake(&[topic()]);
        assert!(waker.take().contains(&topic()));
        assert!(waker.take().is_empty());
    }

    #[test]
    fn other_topics_and_left_topics_do_not_wake() {
        let (hub, waker) = (Hub::new("a"), Arc::new(Waker::default()));
        hub.watch(&topic(), &waker);
        hub.wake(&[Topic::Machine("other".into())]);
        hub.unwatch(&topic(), &waker);
        hub.wake(&[topic()]);
        assert!(waker.take().is_empty());
    }

    #[test]
    fn each_of_many_watchers_hears_once_and_the_gone_are_forgotten() {
        let hub = Hub::new("a");
        let mut wakers: Vec<Arc<Waker>> = std::iter::repeat_with(Arc::default).take(100).collect();
        for _ in 0..2 {
            wakers.iter().for_each(|waker| drop(hub.watch(&topic(), waker)));
        }
        let gone = wakers.split_off(50);
        gone.iter().take(25).for_each(|waker| hub.unwatch(&topic(), waker));
        drop(gone);
        let before = hub.generation();
        hub.wake(&[topic()]);
        assert!(hub.generation() > before);
        assert!(wakers.iter().all(|waker| waker.take().len() == 1));
        assert_eq!(hub.watchers.lock().unwrap()[&topic()].len(), 50);
    }

    #[test]
    fn another_replica_is_heard_and_oneself_is_not() {
        let (here, there, waker) = (Hub::new("here"), Hub::new("there"), Arc::new(Waker::default()));
        here.watch(&topic(), &waker);
        for text in here.notifications(&[topic()]) {
            here.heard(&text);
        }
        assert!(waker.take().is_empty());
        for text in there.notifications(&[topic()]) {
            here.heard(&text);
        }
        assert!(waker.take().contains(&topic()));
        here.heard("{\"from\":\"there\",\"topics\":[\"unheardOf\"]}");
        assert!(waker.take().contains(&topic()));
    }
}
