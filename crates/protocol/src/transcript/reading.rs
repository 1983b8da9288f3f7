//! Reads from a transcript how its session stands. Pure: the host, the daemon and the server read the same.

use super::{Entry, PromptSource, TranscriptEvent, TurnEnd};
use crate::agent::{Trouble, Turn, TurnState};
use crate::time::UnixMs;
use std::collections::BTreeSet;

/// How a session stands after the events that were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The number of the last event.
    pub last_seq: i64,
    /// Where the turn stands; none before the first event.
    pub turn: Option<Turn>,
    /// What keeps the tool from working.
    pub trouble: Option<Trouble>,
    /// The tool's name of the session.
    pub session_id: Option<String>,
    /// Permission requests without an end.
    pub open_permissions: BTreeSet<String>,
}

impl Reading {
    /// Takes in the next event. One that was read before changes nothing.
    pub fn read(&mut self, event: &TranscriptEvent) {
        if event.seq <= self.last_seq {
            return;
        }
        self.last_seq = event.seq;
        match &event.entry {
            Entry::SessionStarted { session_id, .. } => {
                self.session_id.clone_from(session_id);
                self.trouble = None;
                self.open_permissions.clear();
                self.set(TurnState::Idle, event.at);
            }
            Entry::Prompt { source, .. } => {
                self.set(TurnState::Working, event.at);
                if let Some(turn) = &mut self.turn {
                    turn.task_id = match source {
                        PromptSource::Task { task_id, .. } | PromptSource::Reminder { task_id, .. } => {
                            Some(task_id.clone())
                        }
                        PromptSource::Person { .. } => turn.task_id.take(),
                    };
                }
            }
            Entry::PermissionAsked { request_id, .. } => {
                self.open_permissions.insert(request_id.clone());
                self.set(TurnState::WaitingForPermission, event.at);
            }
            Entry::PermissionSettled { request_id, .. } => {
                let was_open = self.open_permissions.remove(request_id);
                let waits = self.turn.as_ref().is_some_and(|turn| turn.state == TurnState::WaitingForPermission);
                if was_open && waits && self.open_permissions.is_empty() {
                    self.set(TurnState::Working, event.at);
                }
            }
            Entry::TurnEnded { reason, .. } => {
                self.open_permissions.clear();
                if *reason != TurnEnd::Error {
                    self.trouble = None;
                }
                self.set(TurnState::Idle, event.at);
            }
            Entry::NeedsYou { task_id, .. } => {
                self.set(TurnState::NeedsYou, event.at);
                if let Some(turn) = &mut self.turn {
                    turn.task_id = Some(task_id.clone());
                }
            }
            Entry::Trouble { trouble } => self.trouble = Some(trouble.clone()),
            _ => {}
        }
    }

    fn set(&mut self, state: TurnState, at: UnixMs) {
        match &mut self.turn {
            Some(turn) if turn.state == state => {}
            Some(turn) => {
                turn.state = state;
                turn.since = at;
            }
            None => self.turn = Some(Turn { state, since: at, task_id: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Choice, Decider, PermissionOutcome, ToolKind};
    use super::*;

    fn read(entries: Vec<Entry>) -> Reading {
        let mut reading = Reading::default();
        for (entry, seq) in entries.into_iter().zip(1..) {
            reading.read(&TranscriptEvent { seq, at: UnixMs(seq * 10), entry });
        }
        reading
    }

    fn ask(id: &str) -> Entry {
        Entry::PermissionAsked {
            request_id: id.to_owned(),
            call_id: None,
            title: "run".to_owned(),
            tool_kind: ToolKind::Execute,
            command: None,
            paths: Vec::new(),
            options: Vec::new(),
        }
    }

    fn settle(id: &str) -> Entry {
        let outcome = PermissionOutcome::Selected { choice: Choice::AllowOnce, by: Decider::Person };
        Entry::PermissionSettled { request_id: id.to_owned(), outcome }
    }

    fn prompt() -> Entry {
        Entry::Prompt { source: PromptSource::Task { task_id: "t".into(), delivery: 1 }, text: "do it".to_owned() }
    }

    #[test]
    fn a_turn_waits_until_its_last_permission_is_settled() {
        let begun = vec![prompt(), ask("a"), ask("b"), settle("a")];
        let state = |entries| read(entries).turn.unwrap().state;
        assert_eq!(state(begun.clone()), TurnState::WaitingForPermission);
        let mut settled = begun;
        settled.push(settle("b"));
        let reading = read(settled.clone());
        assert_eq!(
            reading.turn,
            Some(Turn { state: TurnState::Working, since: UnixMs(50), task_id: Some("t".into()) })
        );
        settled.push(Entry::TurnEnded { reason: TurnEnd::EndTurn, message: None });
        assert_eq!(state(settled), TurnState::Idle);
    }

    #[test]
    fn an_event_that_was_read_before_changes_nothing() {
        let mut reading = read(vec![prompt(), Entry::TurnEnded { reason: TurnEnd::EndTurn, message: None }]);
        let before = reading.clone();
        reading.read(&TranscriptEvent { seq: 1, at: UnixMs(99), entry: prompt() });
        assert_eq!(reading, before);
    }

    #[test]
    fn a_turn_that_ends_well_ends_the_trouble() {
        let trouble = Entry::Trouble {
            trouble: Trouble {
                kind: crate::agent::TroubleKind::Quota,
                message: "no more".to_owned(),
                repair: None,
                at: UnixMs(1),
            },
        };
        let failed = Entry::TurnEnded { reason: TurnEnd::Error, message: None };
        assert!(read(vec![prompt(), trouble.clone(), failed]).trouble.is_some());
        let ended = Entry::TurnEnded { reason: TurnEnd::EndTurn, message: None };
        assert!(read(vec![prompt(), trouble, ended]).trouble.is_none());
    }
}
