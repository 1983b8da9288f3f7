//! The transcript of one agent as it grows, through restarts of the server, until the agent has ended: for `attach` and `logs -f`.

use super::ended;
use crate::commands::watch::is_passing;
use crate::transcript::{Answering, Asked, Follow, Scribe};
use crate::ui::{Line, Style, Ui, one_line};
use anyhow::Result;
use chatroom_machine::{Client, Link, LinkEvent, Subscription};
use chatroom_protocol::agent::{Agent, AgentState, TurnState};
use chatroom_protocol::api::{agents, permissions};
use chatroom_protocol::transcript::{Reading, TranscriptEvent};
use std::time::Duration;
use tokio::time::Instant;

/// Events of a live page at most.
const LIVE: i64 = 200;
/// Events of any page at most.
const MOST: i64 = 500;
/// For the rest of a transcript to come after the agent's end was heard.
const REST: Duration = Duration::from_secs(2);

/// The transcript of one agent as it grows.
pub(super) struct Stream {
    ui: Ui,
    link: Link,
    agent: Agent,
    follow: Follow,
    scribe: Scribe,
    reading: Reading,
    events: Subscription<agents::Transcript>,
    state: Subscription<agents::Get>,
    is_down: bool,
    /// When the stream ends, once the agent's end was heard.
    over: Option<Instant>,
}

impl Stream {
    /// Prints the last `history` events, then follows.
    pub(super) async fn open(
        ui: Ui,
        client: &Client,
        link: Link,
        agent: Agent,
        history: i64,
        answering: Answering,
    ) -> Result<Self> {
        let (events, last_seq) = newest(client, &agent, history).await?;
        let told = last_seq.max(events.last().map_or(0, |event| event.seq));
        let mut stream = Self {
            ui,
            follow: Follow::after(told),
            scribe: Scribe::new(ui.width(), answering),
            reading: Reading { turn: agent.session.turn.clone(), ..Reading::default() },
            events: live(&link, &agent, told),
            state: link.subscribe::<agents::Get>(&agents::AgentArgs { agent_id: agent.agent_id.clone() }),
            link,
            agent,
            is_down: false,
            over: None,
        };
        stream.tell(&events)?;
        if answering == Answering::Here {
            let args = permissions::ListArgs { agent_id: Some(stream.agent.agent_id.clone()), ..Default::default() };
            for waits in client.call::<permissions::List>(&args).await? {
                let lines = stream.scribe.waiting(Asked {
                    request_id: &waits.request_id,
                    title: &waits.title,
                    command: waits.command.as_deref(),
                    paths: &waits.paths,
                    options: &waits.options,
                });
                ui.lines(&lines)?;
            }
        }
        Ok(stream)
    }

    /// The agent as it was last heard.
    pub(super) const fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The agent's name of the request with this number.
    pub(super) fn request(&self, number: usize) -> Option<&str> {
        self.scribe.request(number)
    }

    /// Whether a turn runs.
    pub(super) fn has_turn(&self) -> bool {
        let turn = self.reading.turn.as_ref().map(|turn| turn.state);
        matches!(turn, Some(TurnState::Working | TurnState::WaitingForPermission))
    }

    /// Prints a line between what the agent says and does.
    pub(super) fn note(&mut self, style: Style, text: &str) -> Result<()> {
        let mut lines = self.scribe.flush();
        lines.extend(text.lines().map(|line| Line::new(style, line)));
        Ok(self.ui.lines(&lines)?)
    }

    /// Takes in and prints what comes next. False: the agent has ended and everything is told, or the link has ended. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<bool> {
        let over = self.over;
        let rest = async move {
            match over {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = self.events.next() => match event {
                Some(LinkEvent::Value(page)) => self.page(page),
                event => self.other(event),
            },
            event = self.state.next() => match event {
                Some(LinkEvent::Value(agent)) => self.heard(agent),
                event => self.other(event),
            },
            () = rest => self.finish(),
        }
    }

    fn page(&mut self, page: agents::TranscriptPage) -> Result<bool> {
        self.up()?;
        let taken = self.follow.page(page);
        if taken.gone > 0 {
            self.note(Style::Dim, &format!("- {} events before these are no longer kept", taken.gone))?;
        }
        self.tell(&taken.events)?;
        if taken.anew {
            self.events = live(&self.link, &self.agent, self.follow.told());
        }
        if self.over.is_some() && !taken.events.is_empty() {
            self.over = Some(Instant::now() + REST);
        }
        Ok(true)
    }

    fn heard(&mut self, agent: Agent) -> Result<bool> {
        self.up()?;
        self.agent = agent;
        if !self.agent.state.is_active() && self.over.is_none() {
            self.over = Some(Instant::now() + REST);
        }
        Ok(true)
    }

    fn finish(&mut self) -> Result<bool> {
        let role = one_line(&self.agent.role);
        let how = match &self.agent.state {
            AgentState::Exited { exit, .. } => format!("{role} has ended: {}", one_line(&ended(exit))),
            AgentState::Failed { reason, .. } => format!("{role} did not start: {}", one_line(reason)),
            AgentState::Starting { .. } | AgentState::Running { .. } | AgentState::Stopping { .. } => {
                // It is there after all.
                self.over = None;
                return Ok(true);
            }
        };
        self.note(Style::Bold, &how)?;
        Ok(false)
    }

    /// What is not an answer. False: the link has ended.
    fn other<T>(&mut self, event: Option<LinkEvent<T>>) -> Result<bool> {
        match event {
            None => return Ok(false),
            Some(LinkEvent::Down { reason }) => {
                if !std::mem::replace(&mut self.is_down, true) {
                    let text = format!("- no connection to the server: {}; trying again", one_line(&reason));
                    self.note(Style::Alert, &text)?;
                }
                // Nothing can come now.
                self.over = self.over.map(|_| Instant::now() + REST);
            }
            Some(LinkEvent::Up) => self.up()?,
            Some(LinkEvent::Refused(refusal)) if is_passing(&refusal) => {}
            Some(LinkEvent::Refused(refusal)) => return Err(refusal.into()),
            Some(LinkEvent::Value(_)) => {}
        }
        Ok(true)
    }

    fn up(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_down, false) {
            self.note(Style::Dim, "- connected again")?;
        }
        Ok(())
    }

    fn tell(&mut self, events: &[TranscriptEvent]) -> Result<()> {
        for event in events {
            self.reading.read(event);
            if self.ui.is_json() {
                self.ui.json_line(event)?;
            } else {
                let lines = self.scribe.event(event);
                self.ui.lines(&lines)?;
            }
        }
        Ok(())
    }
}

fn live(link: &Link, agent: &Agent, after: i64) -> Subscription<agents::Transcript> {
    link.subscribe::<agents::Transcript>(&agents::TranscriptArgs {
        agent_id: agent.agent_id.clone(),
        after: Some(after),
        before: None,
        limit: Some(LIVE),
    })
}

/// The newest events of an agent, oldest first, and the number of the last one that there is.
pub(super) async fn newest(client: &Client, agent: &Agent, count: i64) -> Result<(Vec<TranscriptEvent>, i64)> {
    let mut events: Vec<TranscriptEvent> = Vec::new();
    let mut last_seq = None;
    loop {
        let missing = count - i64::try_from(events.len()).unwrap_or(i64::MAX);
        let args = agents::TranscriptArgs {
            agent_id: agent.agent_id.clone(),
            after: None,
            before: events.first().map(|event| event.seq),
            limit: Some(missing.clamp(1, MOST)),
        };
        let page = client.call::<agents::Transcript>(&args).await?;
        let last_seq = *last_seq.get_or_insert(page.last_seq);
        let first = page.events.first().map(|event| event.seq);
        if missing > 0 {
            events.splice(0..0, page.events);
        }
        let is_whole = first.is_none_or(|first| first <= page.first_seq);
        if is_whole || i64::try_from(events.len()).unwrap_or(i64::MAX) >= count {
            return Ok((events, last_seq));
        }
    }
}
