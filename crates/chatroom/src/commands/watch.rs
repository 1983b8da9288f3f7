//! `chatroom room watch`: follows a room in the terminal, or as JSON lines, through restarts of the server, until Ctrl-C or
//! until nobody reads any more.

use crate::cli::Watch;
use crate::commands::agent::{ended, state_in_words};
use crate::commands::messages::{head, see};
use crate::commands::permission::{self, what};
use crate::context::{Context, link};
use crate::program::quote;
use crate::room_feed::{Feed, Happened};
use crate::stop::on_signal;
use crate::ui::{Ui, one_line, wrap};
use anyhow::Result;
use chatroom_machine::{Client, LinkEvent};
use chatroom_protocol::agent::{Agent, AgentState, TurnState};
use chatroom_protocol::api::{Empty, agents, chatrooms, machines, messages, participants, permissions, tasks};
use chatroom_protocol::id::{ChatroomId, TaskId};
use chatroom_protocol::machine::Machine;
use chatroom_protocol::permission::{Permission, PermissionState};
use chatroom_protocol::room::{Message, USER_ROLE};
use chatroom_protocol::task::{Task, TaskState};
use chatroom_protocol::{ErrorCode, Refusal};
use std::io::{self, IsTerminal as _};

/// Messages that the live head holds: more at once are read page by page.
const HEAD: i64 = 50;
/// Messages that a page holds.
const PAGE: i64 = 200;
/// Lines of one message that are shown.
const MESSAGE_LINES: usize = 40;

/// Follows a room.
pub(crate) async fn run(context: &Context, watch: Watch) -> Result<()> {
    let stopped = on_signal(true)?;
    let client = context.client()?;
    let link = link(&client, &stopped)?;
    let chatroom_id = ChatroomId::from(watch.chatroom_id);
    let of_room = machines::ChatroomArgs { chatroom_id: chatroom_id.clone() };
    let room = client.call::<chatrooms::Get>(&of_room).await?;
    let machines = client.call::<machines::ListMachines>(&Empty {}).await?;
    let mut follower = Follower {
        ui: context.ui,
        client,
        chatroom_id: chatroom_id.clone(),
        machines,
        feed: Feed::default(),
        history: usize::try_from(watch.history).unwrap_or(0),
        is_seen: !context.ui.is_json() && io::stdout().is_terminal(),
    };
    if !context.ui.is_json() {
        let names = room.team.role_names();
        context.ui.say(&format!("{}: {}; Ctrl-C ends", one_line(&room.name), one_line(&names)))?;
    }
    let mut messages = link.subscribe::<messages::List>(&messages::ListArgs {
        chatroom_id: chatroom_id.clone(),
        after: None,
        before: None,
        limit: Some(HEAD.max(watch.history)),
    });
    let mut tasks =
        link.subscribe::<tasks::List>(&tasks::ListArgs { chatroom_id: chatroom_id.clone(), state: None, role: None });
    let mut agents = link.subscribe::<agents::List>(&agents::ListArgs {
        chatroom_id: Some(chatroom_id),
        machine_id: None,
        include_ended: true,
    });
    let mut waiters = link.subscribe::<participants::List>(&of_room);
    let mut permissions = link.subscribe::<permissions::List>(&permissions::ListArgs {
        chatroom_id: Some(follower.chatroom_id.clone()),
        agent_id: None,
        include_ended: true,
    });
    loop {
        // A link that has ended ends all of them.
        let more = tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            event = messages.next() => match event {
                Some(LinkEvent::Value(list)) => follower.messages(list).await?,
                event => follower.link(event)?,
            },
            event = tasks.next() => match event {
                Some(LinkEvent::Value(list)) => follower.tasks(list).await?,
                event => follower.link(event)?,
            },
            event = agents.next() => match event {
                Some(LinkEvent::Value(list)) => follower.agents(list)?,
                event => follower.link(event)?,
            },
            event = permissions.next() => match event {
                Some(LinkEvent::Value(list)) => follower.permissions(list)?,
                event => follower.link(event)?,
            },
            event = waiters.next() => match event {
                Some(LinkEvent::Value(list)) => follower.waiters(list)?,
                event => follower.link(event)?,
            },
        };
        if !more {
            return Ok(());
        }
    }
}

struct Follower {
    ui: Ui,
    client: Client,
    chatroom_id: ChatroomId,
    machines: Vec<Machine>,
    feed: Feed,
    history: usize,
    /// Whether a person looks at this.
    is_seen: bool,
}

impl Follower {
    async fn messages(&mut self, list: Vec<Message>) -> Result<bool> {
        loop {
            let after = match self.feed.messages(list.clone(), self.history) {
                Ok(happened) => {
                    let newest = happened.iter().rev().find_map(for_user);
                    self.tell_all(&happened)?;
                    if let Some(newest) = newest.filter(|_| self.is_seen) {
                        // The next message says it again.
                        let _ = see(&self.client, &self.chatroom_id, newest).await;
                    }
                    return Ok(true);
                }
                Err(after) => after,
            };
            let args = messages::ListArgs {
                chatroom_id: self.chatroom_id.clone(),
                after: Some(after),
                before: None,
                limit: Some(PAGE),
            };
            match self.client.call::<messages::List>(&args).await {
                Ok(page) => {
                    let Ok(happened) = self.feed.messages(page, 0) else { return Ok(true) };
                    if happened.is_empty() {
                        return Ok(true);
                    }
                    self.tell_all(&happened)?;
                }
                // The next answer of the live query finds the same gap.
                Err(error) if error.is_retryable() => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn tasks(&mut self, list: Vec<Task>) -> Result<bool> {
        let (happened, gone) = self.feed.tasks(list);
        let ended = if gone.is_empty() { Vec::new() } else { self.ended(&gone).await? };
        self.tell_all(&ended)?;
        self.tell_all(&happened)
    }

    async fn ended(&self, gone: &[TaskId]) -> Result<Vec<Happened>> {
        let mut lists = Vec::new();
        for state in [TaskState::Completed, TaskState::Cancelled] {
            let args = tasks::ListArgs { chatroom_id: self.chatroom_id.clone(), state: Some(state), role: None };
            match self.client.call::<tasks::List>(&args).await {
                Ok(list) => lists.extend(list),
                // How they ended stands in the messages, too.
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Feed::ended(gone, lists))
    }

    fn agents(&mut self, list: Vec<Agent>) -> Result<bool> {
        let happened = self.feed.agents(list);
        self.tell_all(&happened)
    }

    fn permissions(&mut self, list: Vec<Permission>) -> Result<bool> {
        let happened = self.feed.permissions(list);
        self.tell_all(&happened)
    }

    fn waiters(&mut self, list: Vec<participants::Participant>) -> Result<bool> {
        let happened = self.feed.waiters(list);
        self.tell_all(&happened)
    }

    /// What is not an answer. False: the link has ended.
    fn link<T>(&mut self, event: Option<LinkEvent<T>>) -> Result<bool> {
        let happened = match event {
            None => return Ok(false),
            Some(LinkEvent::Down { reason }) => self.feed.down(reason),
            Some(LinkEvent::Up) => self.feed.up(),
            Some(LinkEvent::Refused(refusal)) if is_passing(&refusal) => None,
            Some(LinkEvent::Refused(refusal)) => return Err(refusal.into()),
            Some(LinkEvent::Value(_)) => None,
        };
        self.tell_all(happened.as_slice())
    }

    fn tell_all(&self, happened: &[Happened]) -> Result<bool> {
        for one in happened {
            if self.ui.is_json() {
                self.ui.json_line(one)?;
            } else if !says_its_request(one) {
                self.ui.say(&describe(one, &self.machines, self.ui.width()))?;
            }
        }
        Ok(true)
    }
}

/// Whether a person hears of it by the request that comes with it.
fn says_its_request(happened: &Happened) -> bool {
    let Happened::Turn { agent } = happened else { return false };
    let turn = agent.session.turn.as_ref().map(|turn| turn.state);
    turn == Some(TurnState::WaitingForPermission) && agent.session.trouble.is_none()
}

/// Whether a refused query may be answered a little later.
pub(crate) fn is_passing(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::Unavailable | ErrorCode::RateLimited | ErrorCode::Internal)
}

/// The number of a message to the person.
fn for_user(happened: &Happened) -> Option<i64> {
    match happened {
        Happened::Message { message } if message.target_role == USER_ROLE => Some(message.sequence),
        _ => None,
    }
}

fn describe(happened: &Happened, machines: &[Machine], width: usize) -> String {
    let line = match happened {
        Happened::Message { message } => return describe_message(message, width),
        Happened::Task { task } => format!("- task {} of {}: {}", task.task_id, one_line(&task.role), stands(task)),
        Happened::Agent { agent } => describe_agent(agent, machines),
        Happened::Turn { agent } => return describe_turn(agent, width),
        Happened::Permission { permission } => return describe_permission(permission, width),
        Happened::Waiter { participant } => {
            let role = one_line(&participant.role);
            if participant.waiting { format!("- {role} waits for a task") } else { format!("- {role} waits no more") }
        }
        Happened::Down { reason } => format!("- no connection: {}; trying again", one_line(reason)),
        Happened::Up => "- connected again".to_owned(),
    };
    wrap(&line, width, "  ")
}

fn describe_message(message: &Message, width: usize) -> String {
    let mut text = format!("\n{}\n", wrap(&head(message), width, "  "));
    let body: Vec<String> =
        message.content.lines().map(|line| wrap(&format!("  {}", one_line(line)), width, "  ")).collect();
    let lines: Vec<&str> = body.iter().flat_map(|part| part.lines()).collect();
    text.push_str(&lines[..lines.len().min(MESSAGE_LINES)].join("\n"));
    if lines.len() > MESSAGE_LINES {
        let more = lines.len() - MESSAGE_LINES;
        let after = message.sequence - 1;
        text.push_str(&format!("\n  ... {more} more lines: messages list --after={after} --limit=1"));
    }
    for artifact in &message.artifacts {
        text.push_str(&format!("\n  + {}@{}", one_line(&artifact.name), artifact.version));
    }
    text
}

fn stands(task: &Task) -> String {
    let again = if task.delivery > 1 { format!(" (delivery {})", task.delivery) } else { String::new() };
    match task.state {
        TaskState::Pending => format!("in the queue{again}"),
        TaskState::Acknowledged if task.confirmed => format!("taken{again}"),
        TaskState::Acknowledged => format!("handed out{again}"),
        TaskState::InProgress => format!("in progress{again}"),
        TaskState::Completed => "done".to_owned(),
        TaskState::Cancelled => "cancelled".to_owned(),
    }
}

fn describe_agent(agent: &Agent, machines: &[Machine]) -> String {
    let machine = machines.iter().find(|machine| machine.machine_id == agent.machine_id);
    let machine = machine.map_or("a machine", |machine| machine.name.as_str());
    let state = match &agent.state {
        AgentState::Starting { .. } => "starting".to_owned(),
        AgentState::Running { pid, .. } => format!("running, pid {pid}"),
        AgentState::Stopping { .. } => "stopping".to_owned(),
        AgentState::Exited { exit, .. } => format!("exited: {}", ended(exit)),
        AgentState::Failed { reason, .. } => format!("failed: {}", one_line(reason)),
    };
    format!("- agent of {} ({} on {}): {state}", one_line(&agent.role), agent.tool, one_line(machine))
}

/// What a session does now, with what a person can do about it.
fn describe_turn(agent: &Agent, width: usize) -> String {
    let role = one_line(&agent.role);
    let of_role = format!("--chatroom-id={} --role={}", agent.chatroom_id, quote(&agent.role));
    let (text, deed) = match (&agent.session.trouble, &agent.session.turn) {
        (Some(trouble), _) => {
            let repair = trouble.repair.as_deref().map(one_line);
            let text = format!("- {role} cannot work: {}", one_line(&trouble.message));
            (text, Some(repair.unwrap_or_else(|| format!("chatroom agent why {of_role}"))))
        }
        (None, Some(turn)) if turn.state == TurnState::NeedsYou => (
            format!("- {role} needs you: its turn is over and its task is still open"),
            Some(format!("chatroom agent attach {of_role}")),
        ),
        (None, Some(turn)) => (format!("- {role}: {}", state_in_words(turn.state)), None),
        (None, None) => (format!("- {role}: nothing is heard of its session"), None),
    };
    let text = wrap(&text, width, "  ");
    // On a line of its own, whole: to be copied.
    deed.map_or_else(|| text.clone(), |deed| format!("{text}\n  {deed}"))
}

fn describe_permission(asked: &Permission, width: usize) -> String {
    let role = one_line(&asked.role);
    let what = one_line(&what(asked));
    if asked.state != PermissionState::Pending {
        let ended = permission::stands(asked, asked.expires_at);
        return wrap(&format!("- request of {role} {ended}: {what}"), width, "  ");
    }
    let text = wrap(&format!("- {role} asks for a permission: {what}"), width, "  ");
    format!("{text}\n  chatroom permission answer {} allow", asked.permission_id)
}

#[cfg(test)]
mod tests {
    use super::describe;
    use crate::room_feed::Happened;
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::agent::{Turn, TurnState};
    use chatroom_protocol::room::{Message, MessageKind};

    #[test]
    fn an_agent_that_needs_its_owner_is_told_with_the_command_to_run() {
        let mut agent = crate::commands::an_agent();
        agent.session.turn = Some(Turn { state: TurnState::NeedsYou, since: UnixMs(1), task_id: None });
        let text = describe(&Happened::Turn { agent: Box::new(agent) }, &[], 80);
        assert_eq!(
            text,
            "- builder needs you: its turn is over and its task is still open\n  chatroom agent attach --chatroom-id=r1 --role=builder"
        );
    }

    #[test]
    fn what_is_shown_fits_the_terminal_and_cannot_steer_it() {
        let message = Message {
            message_id: "m".into(),
            chatroom_id: "r".into(),
            sequence: 7,
            kind: MessageKind::Handoff,
            sender_role: "planner".to_owned(),
            target_role: "builder".to_owned(),
            content: format!("{}\n\x1b[2Jshort\n{}", "word ".repeat(40), "line\n".repeat(60)),
            task_id: None,
            artifacts: Vec::new(),
            receipt: None,
            created_at: UnixMs(0),
        };
        let text = describe(&Happened::Message { message: Box::new(message) }, &[], 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.starts_with("\n#7 planner to builder\n  word word"), "{text}");
        assert!(text.contains("  \\u{1b}[2Jshort\n"), "{text}");
        assert!(text.ends_with("more lines: messages list --after=6 --limit=1"), "{text}");
    }
}
