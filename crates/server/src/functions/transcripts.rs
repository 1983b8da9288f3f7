//! `agents.appendTranscript`, `.transcript`: what agents say and do, as their daemons carry it here.
//!
//! Everything that is known of a session is derived from its events, in the transaction that stores them: turn, trouble and session
//! id by [`Reading`], permission requests, ends of inputs, first signs of work on tasks, models of tools. An event that was stored
//! before is passed over, so a replay changes nothing.

use super::daemon::own_machine;
use super::lifecycle::remember_session;
use super::permissions::apply_rules;
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::inputs::{self, Bound};
use crate::store::permissions::{self, Row as PermissionRow};
use crate::store::tasks::{self, Fence};
use crate::store::transcripts::{self, Batch, Head, NewEvent};
use crate::store::{self, Tx, models, rules};
use chatroom_protocol::agent::{Agent, InputState};
use chatroom_protocol::api::agents::{
    AppendTranscript, AppendTranscriptArgs, Appended, Transcript, TranscriptArgs, TranscriptPage,
};
use chatroom_protocol::id::TaskId;
use chatroom_protocol::permission::{EXPIRES_MS, Permission, PermissionState};
use chatroom_protocol::transcript::{
    APPEND_BYTES, APPEND_EVENTS, EVENT_BYTES, Entry, PromptSource, Reading, TranscriptEvent,
};
use chatroom_protocol::{Refusal, UnixMs};
use std::borrow::Cow;

/// Events of a page when nothing is said.
const PAGE: i64 = 100;
/// Events of a page at most.
const LONGEST_PAGE: i64 = 500;
/// Bytes of a page.
const PAGE_BYTES: i64 = 512 * 1024;
/// The largest number that every client reads as it is.
const EXACT: i64 = 1 << 53;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<AppendTranscript>(|cx, args| Box::pin(append(cx, args)));
    registry.query::<Transcript>(
        |_, args| vec![Topic::Transcript(args.agent_id.clone())],
        |cx, args| Box::pin(page(cx, args)),
    );
}

async fn page(cx: &mut QueryCx, args: TranscriptArgs) -> Result<TranscriptPage> {
    let user_id = cx.caller.user_id()?.clone();
    let limit = args.limit.unwrap_or(PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        return Err(Refusal::bad_request(format!("limit is between 1 and {LONGEST_PAGE}")).into());
    }
    let id = &args.agent_id;
    let extent =
        transcripts::find_extent(&mut cx.tx, &user_id, id).await?.ok_or_else(|| Refusal::not_found("agent"))?;
    let bound = Bound { rows: limit, bytes: PAGE_BYTES };
    let events = match (args.after, args.before) {
        (Some(_), Some(_)) => return Err(Refusal::bad_request("after and before exclude each other").into()),
        (Some(after), None) => transcripts::list_after(&mut cx.tx, id, after, bound).await?,
        (None, before) => transcripts::list_before(&mut cx.tx, id, before.unwrap_or(i64::MAX), bound).await?,
    };
    Ok(TranscriptPage { events, first_seq: extent.first_seq, last_seq: extent.last_seq })
}

/// Takes events from whichever session of the machine: what happened stays true.
async fn append(cx: &mut MutationCx, args: AppendTranscriptArgs) -> Result<Appended> {
    let machine = own_machine(&mut cx.tx, &cx.caller, &args.machine_id).await?;
    let head = transcripts::find_head(&mut cx.tx, &machine.user_id, &machine.id, &args.agent_id)
        .await?
        .ok_or_else(|| Refusal::not_found("agent"))?;
    check(&args.events)?;
    let after = head.row.agent.session.last_seq;
    let fresh: Vec<&TranscriptEvent> = args.events.iter().filter(|event| event.seq > after).collect();
    let Some(first) = fresh.first() else { return Ok(Appended { through: after }) };
    let covered = if first.seq > after + 1 { covered_by_last(&mut cx.tx, &head.row.agent).await? } else { after };
    let events = with_gaps(&fresh, covered).into_iter().map(NewEvent::new).collect::<store::Result<Vec<_>>>()?;

    let mut session = Session::of(&mut cx.tx, &head).await?;
    let before = session.reading.clone();
    for new in &events {
        session.read(&mut cx.tx, new.event(), cx.now).await?;
    }
    let (agent, reading) = (&head.row.agent, &session.reading);
    let batch = Batch {
        user_id: &machine.user_id,
        machine_id: &machine.id,
        agent_id: &agent.agent_id,
        after,
        events: &events,
        reading,
        turn_delivery: session.delivery,
        is_news: (&before.turn, &before.trouble, &before.session_id, &before.open_permissions)
            != (&reading.turn, &reading.trouble, &reading.session_id, &reading.open_permissions),
    };
    if !transcripts::append(&mut cx.tx, &batch, cx.now).await? {
        // Serialisable writes do not get here; if one did, the daemon asks how far the server has come and sends the rest.
        return Err(Refusal::new(chatroom_protocol::ErrorCode::Conflict, "these events came from elsewhere just now")
            .hint("ask with no events how far the transcript goes")
            .into());
    }
    if !agent.state.is_active() {
        // Its end was told before its last words.
        permissions::withdraw_of_agent(&mut cx.tx, &agent.agent_id, cx.now).await?;
        if let Some(session_id) = &reading.session_id {
            remember_session(&mut cx.tx, agent, session_id).await?;
        }
    } else if !session.asked.is_empty() {
        let rules = rules::list(&mut cx.tx, &agent.chatroom_id).await?;
        apply_rules(&mut cx.tx, &rules, &session.asked, cx.now).await?;
        cx.app.deadline_set.notify_one();
    }
    Ok(Appended { through: session.reading.last_seq })
}

/// Refuses what no host writes.
fn check(events: &[TranscriptEvent]) -> Result<()> {
    if events.len() > APPEND_EVENTS {
        let message = format!("{} events came at once; at most {APPEND_EVENTS} are taken", events.len());
        return Err(Refusal::bad_request(message).hint("send the rest in a call of its own").into());
    }
    let (mut last, mut total) = (0, 0);
    for event in events {
        let seq = event.seq;
        if seq <= last || seq > EXACT {
            let message = format!("event {seq} follows event {last}; events are numbered from 1, in rising order");
            return Err(Refusal::bad_request(message).into());
        }
        if !(-EXACT..=EXACT).contains(&event.at.0) {
            return Err(Refusal::bad_request(format!("the time of event {seq} is none")).into());
        }
        let bytes = serde_json::to_string(&event.entry).map_err(anyhow::Error::from)?.len();
        if bytes > EVENT_BYTES {
            let message = format!("event {seq} has {bytes} bytes; at most {EVENT_BYTES} are taken");
            return Err(Refusal::bad_request(message).hint("cut its texts and say so in them").into());
        }
        (last, total) = (seq, total + bytes);
    }
    if total > APPEND_BYTES {
        let message = format!("the events have {total} bytes together; at most {APPEND_BYTES} are taken");
        return Err(Refusal::bad_request(message).hint("send the rest in a call of its own").into());
    }
    Ok(())
}

/// Up to which number an agent's newest event tells of events: that of a mark of dropped ones is the last that was dropped.
async fn covered_by_last(tx: &mut Tx, agent: &Agent) -> Result<i64> {
    let last_seq = agent.session.last_seq;
    let newest = Bound { rows: 1, bytes: i64::MAX };
    let last = transcripts::list_before(tx, &agent.agent_id, i64::MAX, newest).await?;
    Ok(last.last().map_or(last_seq, covered_by).max(last_seq))
}

/// Up to which number an event tells of events.
fn covered_by(event: &TranscriptEvent) -> i64 {
    match event.entry {
        Entry::Dropped { events } => event.seq.saturating_add(events.max(1) - 1),
        _ => event.seq,
    }
}

/// The events with a mark where some are missing that nothing tells of; `covered` is the last number before them that something
/// tells of.
fn with_gaps<'a>(events: &[&'a TranscriptEvent], mut covered: i64) -> Vec<Cow<'a, TranscriptEvent>> {
    let mut all = Vec::with_capacity(events.len());
    for event in events {
        let missing = event.seq - covered.saturating_add(1);
        if missing > 0 {
            let entry = Entry::Dropped { events: missing };
            all.push(Cow::Owned(TranscriptEvent { seq: covered + 1, at: event.at, entry }));
        }
        covered = covered.max(covered_by(event));
        all.push(Cow::Borrowed(*event));
    }
    all
}

/// A session that is being read on.
struct Session<'a> {
    head: &'a Head,
    reading: Reading,
    /// The number of the hand-over of the turn's task.
    delivery: Option<i64>,
    /// The requests of these events.
    asked: Vec<PermissionRow>,
    /// The hand-over of which a sign of work was seen.
    worked: Option<(TaskId, i64)>,
}

impl<'a> Session<'a> {
    async fn of(tx: &mut Tx, head: &'a Head) -> store::Result<Self> {
        let known = &head.row.agent.session;
        let reading = Reading {
            last_seq: known.last_seq,
            turn: known.turn.clone(),
            trouble: known.trouble.clone(),
            session_id: known.session_id.clone(),
            open_permissions: permissions::list_unsettled(tx, &head.row.agent.agent_id).await?.into_iter().collect(),
        };
        Ok(Self { head, reading, delivery: head.turn_delivery, asked: Vec::new(), worked: None })
    }

    /// Takes in the next event, and does what follows from it.
    async fn read(&mut self, tx: &mut Tx, event: &TranscriptEvent, now: UnixMs) -> store::Result<()> {
        self.reading.read(event);
        let agent = &self.head.row.agent;
        match &event.entry {
            Entry::SessionStarted { models, .. } => {
                permissions::withdraw_of_agent(tx, &agent.agent_id, now).await?;
                if let Some(list) = models.as_ref().filter(|list| !list.models.is_empty()) {
                    models::put(tx, &agent.machine_id, &agent.tool, list, now).await?;
                }
            }
            Entry::TurnEnded { .. } => drop(permissions::withdraw_of_agent(tx, &agent.agent_id, now).await?),
            Entry::Prompt { source, .. } => match source {
                PromptSource::Task { task_id, delivery } | PromptSource::Reminder { task_id, delivery } => {
                    self.delivery = Some(*delivery);
                    sign_of_work(tx, agent, task_id, *delivery, Sign::Taken, now).await?;
                }
                PromptSource::Person { .. } => {}
            },
            Entry::NeedsYou { delivery, .. } => self.delivery = Some(*delivery),
            Entry::Text { .. } | Entry::ToolCall { .. } => self.working(tx, now).await?,
            Entry::PermissionAsked { .. } => {
                if let Some(row) = request(self.head, &event.entry, now)
                    && permissions::insert(tx, &row).await?
                {
                    self.asked.push(row);
                }
            }
            Entry::PermissionSettled { request_id, outcome } => {
                permissions::settle(tx, &agent.agent_id, request_id, outcome, now).await?;
            }
            Entry::InputTaken { input_id } => {
                inputs::finish(tx, &agent.agent_id, input_id, &InputState::Delivered { at: now }).await?;
            }
            Entry::InputRefused { input_id, reason } => {
                let end = InputState::Refused { at: now, reason: reason.clone() };
                inputs::finish(tx, &agent.agent_id, input_id, &end).await?;
            }
            Entry::Thought { .. }
            | Entry::ToolUpdate { .. }
            | Entry::Plan { .. }
            | Entry::Retrying { .. }
            | Entry::Trouble { .. }
            | Entry::Compacted
            | Entry::Output { .. }
            | Entry::Dropped { .. } => {}
        }
        Ok(())
    }

    /// The agent says or does something: it works on the task of its turn.
    async fn working(&mut self, tx: &mut Tx, now: UnixMs) -> store::Result<()> {
        let task_id = self.reading.turn.as_ref().and_then(|turn| turn.task_id.clone());
        let (Some(task_id), Some(delivery)) = (task_id, self.delivery) else { return Ok(()) };
        let work = (task_id, delivery);
        if self.worked.as_ref() != Some(&work) {
            sign_of_work(tx, &self.head.row.agent, &work.0, delivery, Sign::Works, now).await?;
            self.worked = Some(work);
        }
        Ok(())
    }
}

/// The permission request that an event is.
fn request(head: &Head, entry: &Entry, now: UnixMs) -> Option<PermissionRow> {
    let Entry::PermissionAsked { request_id, title, tool_kind, command, paths, options, .. } = entry else {
        return None;
    };
    let agent = &head.row.agent;
    let permission = Permission {
        permission_id: secret::new_id(),
        agent_id: agent.agent_id.clone(),
        chatroom_id: agent.chatroom_id.clone(),
        role: agent.role.clone(),
        machine_id: agent.machine_id.clone(),
        request_id: request_id.clone(),
        title: title.clone(),
        tool_kind: *tool_kind,
        command: command.clone(),
        paths: paths.clone(),
        options: options.clone(),
        asked_at: now,
        expires_at: now + EXPIRES_MS,
        state: PermissionState::Pending,
    };
    Some(PermissionRow { permission, user_id: head.row.user_id.clone() })
}

/// What an agent's session tells of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// It was said to the agent.
    Taken,
    /// The agent works on it.
    Works,
}

/// Brings a task along with what its holder's session tells of it; a hand-over that counts no more changes nothing.
async fn sign_of_work(
    tx: &mut Tx,
    agent: &Agent,
    task_id: &TaskId,
    delivery: i64,
    sign: Sign,
    now: UnixMs,
) -> store::Result<()> {
    let (room, role, agent_id) = (&agent.chatroom_id, agent.role.as_str(), Some(&agent.agent_id));
    match tasks::find_held(tx, room, role).await? {
        Some(held) => {
            let is_this = held.task.task_id == *task_id
                && held.task.delivery == delivery
                && held.holder_agent.as_ref() == agent_id;
            match sign {
                Sign::Taken if is_this => drop(tasks::confirm(tx, room, role, agent_id, now).await?),
                Sign::Works if is_this => drop(tasks::mark_worked(tx, room, role, agent_id, now).await?),
                Sign::Taken | Sign::Works => {}
            }
        }
        // It went back into the queue before this was told, and nobody else has it: then the late word counts.
        None if !task_id.as_str().contains('\0') => {
            let fence = Fence { chatroom_id: room, role, task_id, delivery, agent_id };
            tasks::start(tx, &fence, now).await?;
        }
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: i64, entry: Entry) -> TranscriptEvent {
        TranscriptEvent { seq, at: UnixMs(seq), entry }
    }

    fn filled(events: &[TranscriptEvent], covered: i64) -> Vec<(i64, Option<i64>)> {
        let dropped = |entry: &Entry| match entry {
            Entry::Dropped { events } => Some(*events),
            _ => None,
        };
        let events: Vec<&TranscriptEvent> = events.iter().collect();
        with_gaps(&events, covered).iter().map(|event| (event.seq, dropped(&event.entry))).collect()
    }

    #[test]
    fn a_gap_is_marked_once_where_it_begins() {
        let compacted = |seq| event(seq, Entry::Compacted);
        assert_eq!(filled(&[compacted(1), compacted(2)], 0), [(1, None), (2, None)]);
        assert_eq!(filled(&[compacted(5), compacted(6)], 1), [(2, Some(3)), (5, None), (6, None)]);
        assert_eq!(filled(&[compacted(3)], 0), [(1, Some(2)), (3, None)]);
    }

    #[test]
    fn what_the_host_told_as_dropped_is_not_marked_again() {
        let events = [event(2, Entry::Dropped { events: 3 }), event(5, Entry::Compacted), event(7, Entry::Compacted)];
        assert_eq!(filled(&events, 1), [(2, Some(3)), (5, None), (6, Some(1)), (7, None)]);
        let nonsense = [event(1, Entry::Dropped { events: i64::MAX }), event(2, Entry::Dropped { events: i64::MIN })];
        assert_eq!(filled(&nonsense, 0), [(1, Some(i64::MAX)), (2, Some(i64::MIN))]);
    }

    #[test]
    fn events_out_of_order_or_beyond_every_size_are_refused() {
        let text = |seq, length| event(seq, Entry::Text { text: "x".repeat(length) });
        for good in [vec![], vec![text(1, 5), text(9, 5)], (1..=500).map(|seq| text(seq, 1)).collect()] {
            assert!(check(&good).is_ok());
        }
        for bad in [
            vec![text(0, 1)],
            vec![text(2, 1), text(2, 1)],
            vec![text(2, 1), text(1, 1)],
            vec![text(i64::MAX, 1)],
            vec![text(1, EVENT_BYTES)],
            (1..=501).map(|seq| text(seq, 1)).collect(),
            (1..=40).map(|seq| text(seq, 30_000)).collect(),
            vec![TranscriptEvent { at: UnixMs(i64::MIN), ..text(1, 1) }],
        ] {
            assert!(check(&bad).is_err(), "{}", bad.len());
        }
    }
}
