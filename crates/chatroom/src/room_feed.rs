//! What happens in a room, made from the newest answers of its queries: pure, and each thing is told once.
//!
//! Queries give states, not events; after a cut the same state comes again. The feed keeps what was told and tells the
//! difference.

use chatroom_protocol::agent::{Agent, TroubleKind, TurnState};
use chatroom_protocol::api::participants::Participant;
use chatroom_protocol::id::{AgentId, PermissionId, TaskId};
use chatroom_protocol::permission::{Permission, PermissionState};
use chatroom_protocol::room::Message;
use chatroom_protocol::task::{Task, TaskState};
use serde::Serialize;
use std::collections::BTreeMap;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Happened {
    /// A message was written.
    Message {
        /// Which.
        message: Box<Message>,
    },
    /// A task is new, or stands elsewhere than before.
    Task {
        /// As it is now.
        task: Box<Task>,
    },
    /// An agent is new, or in another state than before.
    Agent {
        /// As it is now.
        agent: Box<Agent>,
    },
    /// The turn of an agent stands elsewhere than before, or its tool has another trouble.
    Turn {
        /// As it is now.
        agent: Box<Agent>,
    },
    /// An agent asks for a permission, or a request that waited has its end.
    Permission {
        /// As it is now.
        permission: Box<Permission>,
    },
    /// A role began to wait for a task, or waits no more.
    Waiter {
        /// As it is now.
        participant: Participant,
    },
    /// The connection to the server was lost.
    Down {
        /// Why.
        reason: String,
    },
    /// The server is there again.
    Up,
}

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Sequence number of the newest message; none before the first answer.
    newest: Option<i64>,
    tasks: Option<BTreeMap<TaskId, Task>>,
    agents: Option<BTreeMap<AgentId, Agent>>,
    permissions: Option<BTreeMap<PermissionId, &'static str>>,
    waiters: BTreeMap<String, bool>,
    is_down: bool,
}

impl Feed {
    /// Takes in the newest messages, oldest first. Of the first answer the last `history` are told. When messages are missing
    /// between what was told and these, nothing is taken in and the number is given after which to read on.
    pub(crate) fn messages(&mut self, list: Vec<Message>, history: usize) -> Result<Vec<Happened>, i64> {
        let newest = list.last().map_or(0, |message| message.sequence);
        let skip = match self.newest {
            None => list.len().saturating_sub(history),
            Some(told) => {
                if list.first().is_some_and(|first| first.sequence > told + 1) {
                    return Err(told);
                }
                list.iter().take_while(|message| message.sequence <= told).count()
            }
        };
        self.newest = Some(newest.max(self.newest.unwrap_or(0)));
        Ok(list.into_iter().skip(skip).map(|message| Happened::Message { message: Box::new(message) }).collect())
    }

    /// Takes in the tasks that have not ended. The tasks that were among them and are no more have ended: how is to be asked,
    /// and told to [`Feed::ended`].
    pub(crate) fn tasks(&mut self, list: Vec<Task>) -> (Vec<Happened>, Vec<TaskId>) {
        let before = self.tasks.take().unwrap_or_default();
        let now: BTreeMap<TaskId, Task> = list.into_iter().map(|task| (task.task_id.clone(), task)).collect();
        let stands = |task: &Task| (task.state, task.delivery, task.confirmed, task.role.clone());
        let changed = now
            .values()
            .filter(|task| before.get(&task.task_id).is_none_or(|known| stands(known) != stands(task)))
            .map(|task| Happened::Task { task: Box::new(task.clone()) })
            .collect();
        let gone = before.into_keys().filter(|id| !now.contains_key(id)).collect();
        self.tasks = Some(now);
        (changed, gone)
    }

    /// Tells of tasks that have ended, from lists that hold them.
    pub(crate) fn ended(gone: &[TaskId], lists: Vec<Task>) -> Vec<Happened> {
        let mut ended: Vec<Task> = lists
            .into_iter()
            .filter(|task| {
                matches!(task.state, TaskState::Completed | TaskState::Cancelled) && gone.contains(&task.task_id)
            })
            .collect();
        ended.sort_by_key(|task| task.updated_at);
        ended.into_iter().map(|task| Happened::Task { task: Box::new(task) }).collect()
    }

    /// Takes in the room's agents, ended ones too. Those that had ended before the first answer are not told.
    pub(crate) fn agents(&mut self, list: Vec<Agent>) -> Vec<Happened> {
        let before = self.agents.take();
        let mut changed: Vec<&Agent> = list
            .iter()
            .filter(|agent| match &before {
                None => agent.state.is_active(),
                Some(before) => {
                    before.get(&agent.agent_id).is_none_or(|known| known.state.name() != agent.state.name())
                }
            })
            .collect();
        changed.sort_by_key(|agent| agent.created_at);
        let mut happened: Vec<Happened> =
            changed.into_iter().map(|agent| Happened::Agent { agent: Box::new(agent.clone()) }).collect();
        let mut turned: Vec<&Agent> = list
            .iter()
            .filter(|agent| {
                let known = before.as_ref().and_then(|before| before.get(&agent.agent_id));
                agent.state.is_active() && session(agent) != known.map_or((None, None), session)
            })
            .collect();
        turned.sort_by_key(|agent| agent.session.turn.as_ref().map(|turn| turn.since));
        happened.extend(turned.into_iter().map(|agent| Happened::Turn { agent: Box::new(agent.clone()) }));
        self.agents = Some(list.into_iter().map(|agent| (agent.agent_id.clone(), agent)).collect());
        happened
    }

    /// Takes in the permission requests, also those that have their end. Of the first answer those that wait are told.
    pub(crate) fn permissions(&mut self, list: Vec<Permission>) -> Vec<Happened> {
        let before = self.permissions.take();
        self.permissions = Some(list.iter().map(|asked| (asked.permission_id.clone(), asked.state.name())).collect());
        let is_told = |asked: &Permission| match &before {
            None => asked.state == PermissionState::Pending,
            Some(before) => before.get(&asked.permission_id).is_none_or(|known| *known != asked.state.name()),
        };
        // One that was asked and answered in between, by a rule for example, is told too: with its answer.
        list.into_iter().filter(is_told).map(|asked| Happened::Permission { permission: Box::new(asked) }).collect()
    }

    /// Takes in who waits.
    pub(crate) fn waiters(&mut self, list: Vec<Participant>) -> Vec<Happened> {
        let mut happened = Vec::new();
        for participant in list {
            let before = self.waiters.insert(participant.role.clone(), participant.waiting).unwrap_or(false);
            if before != participant.waiting {
                happened.push(Happened::Waiter { participant });
            }
        }
        happened
    }

    /// The connection was lost; told once.
    pub(crate) fn down(&mut self, reason: String) -> Option<Happened> {
        (!std::mem::replace(&mut self.is_down, true)).then_some(Happened::Down { reason })
    }

    /// The server is there; told when it was not.
    pub(crate) fn up(&mut self) -> Option<Happened> {
        std::mem::replace(&mut self.is_down, false).then_some(Happened::Up)
    }
}

/// What is told of a session when it changes.
fn session(agent: &Agent) -> (Option<TurnState>, Option<TroubleKind>) {
    let session = &agent.session;
    (session.turn.as_ref().map(|turn| turn.state), session.trouble.as_ref().map(|trouble| trouble.kind))
}

#[cfg(test)]
mod tests {
    use super::{Feed, Happened};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::agent::{AgentExit, AgentState, Turn, TurnState};
    use chatroom_protocol::api::participants::Participant;
    use chatroom_protocol::permission::{Permission, PermissionState};
    use chatroom_protocol::room::{Message, MessageKind};
    use chatroom_protocol::task::{Task, TaskState};
    use chatroom_protocol::transcript::ToolKind;

    fn messages(numbers: std::ops::RangeInclusive<i64>) -> Vec<Message> {
        numbers
            .map(|sequence| Message {
                message_id: format!("m{sequence}").into(),
                chatroom_id: "r".into(),
                sequence,
                kind: MessageKind::Message,
                sender_role: "user".to_owned(),
                target_role: "builder".to_owned(),
                content: "x".to_owned(),
                task_id: None,
                artifacts: Vec::new(),
                receipt: None,
                created_at: UnixMs(sequence),
            })
            .collect()
    }

    fn told(happened: Vec<Happened>) -> Vec<i64> {
        let number = |one| if let Happened::Message { message } = one { message.sequence } else { 0 };
        happened.into_iter().map(number).collect()
    }

    fn task(id: &str, state: TaskState, delivery: i64) -> Task {
        Task {
            task_id: id.into(),
            chatroom_id: "r".into(),
            role: "builder".to_owned(),
            state,
            delivery,
            confirmed: false,
            agent_id: None,
            message_id: "m".into(),
            from_role: "user".to_owned(),
            content: String::new(),
            created_at: UnixMs(0),
            updated_at: UnixMs(delivery),
        }
    }

    #[test]
    fn each_message_is_told_once_and_none_is_left_out() {
        let mut feed = Feed::default();
        assert_eq!(told(feed.messages(messages(1..=9), 2).unwrap()), [8, 9]);
        assert!(feed.messages(messages(1..=9), 2).unwrap().is_empty());
        assert_eq!(told(feed.messages(messages(5..=11), 2).unwrap()), [10, 11]);
        assert_eq!(feed.messages(messages(80..=90), 2), Err(11));
        assert_eq!(told(feed.messages(messages(12..=79), 2).unwrap()).len(), 68);
        assert_eq!(told(feed.messages(messages(80..=90), 2).unwrap()).len(), 11);
    }

    #[test]
    fn the_first_message_of_an_empty_room_is_told_without_history() {
        let mut feed = Feed::default();
        assert!(feed.messages(Vec::new(), 0).unwrap().is_empty());
        assert_eq!(told(feed.messages(messages(1..=1), 0).unwrap()), [1]);
    }

    #[test]
    fn a_task_is_told_when_it_stands_elsewhere_and_when_it_has_ended() {
        let mut feed = Feed::default();
        let pending = task("t", TaskState::Pending, 0);
        assert_eq!(feed.tasks(vec![pending.clone()]).0.len(), 1);
        assert_eq!(feed.tasks(vec![pending]), (Vec::new(), Vec::new()));
        assert_eq!(feed.tasks(vec![task("t", TaskState::Acknowledged, 1)]).0.len(), 1);
        let (changed, gone) = feed.tasks(Vec::new());
        assert_eq!((changed.len(), gone.as_slice()), (0, ["t".into()].as_slice()));
        let lists = vec![task("other", TaskState::Completed, 1), task("t", TaskState::Completed, 2)];
        assert_eq!(Feed::ended(&gone, lists).len(), 1);
    }

    #[test]
    fn a_turn_is_told_when_it_changes_and_not_when_the_agent_ended() {
        let mut feed = Feed::default();
        let mut agent = crate::commands::an_agent();
        let turn = |state| Some(Turn { state, since: UnixMs(1), task_id: None });
        assert!(matches!(feed.agents(vec![agent.clone()]).as_slice(), [Happened::Agent { .. }]));
        agent.session.turn = turn(TurnState::Working);
        assert!(matches!(feed.agents(vec![agent.clone()]).as_slice(), [Happened::Turn { .. }]));
        assert_eq!(feed.agents(vec![agent.clone()]), []);
        agent.session.turn = turn(TurnState::NeedsYou);
        assert!(matches!(feed.agents(vec![agent.clone()]).as_slice(), [Happened::Turn { .. }]));
        agent.session.turn = turn(TurnState::Idle);
        agent.state = AgentState::Exited { at: UnixMs(2), exit: AgentExit::Stopped };
        assert!(matches!(feed.agents(vec![agent]).as_slice(), [Happened::Agent { .. }]));
    }

    #[test]
    fn a_request_is_told_when_it_is_asked_and_when_it_has_its_end() {
        let asked = |id: &str, state| Permission {
            permission_id: id.into(),
            agent_id: "a".into(),
            chatroom_id: "r".into(),
            role: "builder".to_owned(),
            machine_id: "m".into(),
            request_id: id.to_owned(),
            title: "x".to_owned(),
            tool_kind: ToolKind::Execute,
            command: None,
            paths: Vec::new(),
            options: Vec::new(),
            asked_at: UnixMs(0),
            expires_at: UnixMs(9),
            state,
        };
        let ended = || PermissionState::Withdrawn { at: UnixMs(1) };
        let mut feed = Feed::default();
        assert_eq!(feed.permissions(vec![asked("old", ended()), asked("a", PermissionState::Pending)]).len(), 1);
        assert_eq!(feed.permissions(vec![asked("old", ended()), asked("a", PermissionState::Pending)]), []);
        assert_eq!(feed.permissions(vec![asked("a", ended()), asked("b", PermissionState::Pending)]).len(), 2);
        assert_eq!(feed.permissions(vec![asked("a", ended()), asked("b", PermissionState::Pending)]), []);
    }

    #[test]
    fn who_waits_and_the_connection_are_told_when_they_change() {
        let waits = |waiting| Participant {
            role: "builder".to_owned(),
            waiting,
            since: UnixMs(0),
            agent_id: None,
            machine_id: None,
        };
        let mut feed = Feed::default();
        let count = [false, true, true, false].map(|waiting| feed.waiters(vec![waits(waiting)]).len());
        assert_eq!(count, [0, 1, 0, 1]);
        assert_eq!(feed.up(), None);
        assert!(feed.down("cut".to_owned()).is_some() && feed.down("cut".to_owned()).is_none());
        assert_eq!((feed.up(), feed.up()), (Some(Happened::Up), None));
    }
}
