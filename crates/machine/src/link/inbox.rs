//! What a subscription has not read yet: never more than three things, because only the newest answer counts.

use chatroom_protocol::Refusal;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How the link is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Status {
    /// Not known yet.
    Connecting,
    /// The server has taken the connection.
    Up,
    /// No connection.
    Down(String),
    /// The server does not take the credential.
    Refused(Refusal),
}

/// Something for the subscriber.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// The link changed.
    Link(Status),
    /// A new answer.
    Answer(Result<Value, Refusal>),
}

/// The queue between link and subscriber.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Item>,
    /// As last put into the queue.
    status: Status,
    ended: bool,
}

impl Inbox {
    /// An inbox that begins with how the link is now.
    pub(crate) fn new(status: &Status) -> Self {
        let state = State { items: VecDeque::new(), status: Status::Connecting, ended: false };
        let inbox = Self { state: Mutex::new(state), changed: Notify::new() };
        inbox.put_status(status);
        inbox
    }

    /// The link changed. A second Down or the same refusal again is not told; what was not read yet is out of date.
    pub(crate) fn put_status(&self, status: &Status) {
        let mut state = self.lock();
        let known = match (&state.status, status) {
            (Status::Down(_), Status::Down(_)) => true,
            (before, now) => before == now,
        };
        if known || *status == Status::Connecting {
            return;
        }
        if !matches!(status, Status::Up) {
            state.items.clear();
        }
        state.status = status.clone();
        state.items.push_back(Item::Link(status.clone()));
        self.changed.notify_one();
    }

    /// A new answer takes the place of one that was not read yet.
    pub(crate) fn put_answer(&self, answer: Result<Value, Refusal>) {
        let mut state = self.lock();
        state.items.retain(|item| !matches!(item, Item::Answer(_)));
        state.items.push_back(Item::Answer(answer));
        self.changed.notify_one();
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    /// The next item; `None` after the end. Cancel safe. For one reader.
    pub(crate) async fn next(&self) -> Option<Item> {
        loop {
            {
                let mut state = self.lock();
                if let Some(item) = state.items.pop_front() {
                    return Some(item);
                }
                if state.ended {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn rest(inbox: &Inbox) -> Vec<Item> {
        inbox.end();
        let mut items = Vec::new();
        while let Some(item) = inbox.next().await {
            items.push(item);
        }
        items
    }

    #[tokio::test]
    async fn only_the_newest_answer_is_kept() {
        let inbox = Inbox::new(&Status::Up);
        for number in 0..1000 {
            inbox.put_answer(Ok(json!(number)));
        }
        assert_eq!(rest(&inbox).await, [Item::Link(Status::Up), Item::Answer(Ok(json!(999)))]);
    }

    #[tokio::test]
    async fn a_lost_link_is_told_once_and_takes_old_answers_away() {
        let inbox = Inbox::new(&Status::Up);
        inbox.put_answer(Ok(json!(1)));
        inbox.put_status(&Status::Down("a".to_owned()));
        inbox.put_status(&Status::Down("b".to_owned()));
        inbox.put_status(&Status::Up);
        inbox.put_answer(Ok(json!(2)));
        assert_eq!(
            rest(&inbox).await,
            [Item::Link(Status::Down("a".to_owned())), Item::Link(Status::Up), Item::Answer(Ok(json!(2)))]
        );
    }
}
