use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, AgentSession, Trouble, TroubleKind, Turn, TurnState};
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, UserId};
use chatroom_protocol::transcript::{Entry, Reading, TranscriptEvent};
use chatroom_server::live::Topic;
use chatroom_server::store::inputs::Bound;
use chatroom_server::store::transcripts::{self, Batch, Extent, KEPT_BYTES, KEPT_EVENTS, KEPT_MS, NewEvent};
use chatroom_server::store::{self, Tx, agents};
use std::borrow::Cow;
use std::sync::Arc;

super::cases! {
    events_are_read_back_in_order_with_how_the_session_stands: [
        "transcripts::append", "transcripts::find_head", "transcripts::find_extent", "transcripts::list_after",
        "transcripts::list_before",
    ];
    events_follow_the_newest_one_or_change_nothing: ["transcripts::append"];
    only_news_of_the_session_wakes_the_room: ["transcripts::append"];
    hostile_words_are_kept_and_cut_where_they_are_shown: ["transcripts::append", "transcripts::find_head"];
    a_page_is_bounded_by_rows_and_bytes: ["transcripts::list_after", "transcripts::list_before"];
    of_a_transcript_the_newest_events_are_kept: ["transcripts::append", "transcripts::find_extent"];
    of_a_transcript_the_newest_bytes_are_kept: ["transcripts::append", "transcripts::find_extent"];
    transcripts_of_ended_agents_are_forgotten: ["transcripts::delete_old"];
}

const ALL: Bound = Bound { rows: 100_000, bytes: i64::MAX };

struct Place {
    ada: UserId,
    room: ChatroomId,
    machine: MachineId,
    agent: AgentId,
}

impl Place {
    async fn new(world: &World) -> Self {
        let ada = world.user("Ada").await;
        let room = world.room(&ada).await.chatroom_id;
        let machine = world.machine(&ada).await;
        let agent = world.agent(&ada, &room, "builder", &machine).await;
        Self { ada, room, machine, agent }
    }

    async fn append_in(
        &self,
        tx: &mut Tx,
        events: &[TranscriptEvent],
        reading: &Reading,
        is_news: bool,
    ) -> store::Result<bool> {
        let new = events.iter().map(|event| NewEvent::new(Cow::Borrowed(event))).collect::<store::Result<Vec<_>>>()?;
        let batch = Batch {
            user_id: &self.ada,
            machine_id: &self.machine,
            agent_id: &self.agent,
            after: events.first().map_or(0, |event| event.seq - 1),
            events: &new,
            reading,
            turn_delivery: Some(2),
            is_news,
        };
        transcripts::append(tx, &batch, NOW + 1).await
    }

    async fn append(&self, world: &World, events: &[TranscriptEvent]) -> bool {
        let reading = Reading { last_seq: events.last().map_or(0, |event| event.seq), ..Reading::default() };
        world.write(async |tx| self.append_in(tx, events, &reading, false).await).await
    }

    async fn session(&self, world: &World) -> AgentSession {
        world.read(async |tx| agents::find(tx, &self.ada, &self.agent).await).await.unwrap().agent.session
    }

    async fn extent(&self, world: &World) -> Extent {
        world.read(async |tx| transcripts::find_extent(tx, &self.ada, &self.agent).await).await.unwrap()
    }

    async fn after(&self, world: &World, after: i64, bound: Bound) -> Vec<TranscriptEvent> {
        world.read(async |tx| transcripts::list_after(tx, &self.agent, after, bound).await).await
    }

    async fn before(&self, world: &World, before: i64, bound: Bound) -> Vec<TranscriptEvent> {
        world.read(async |tx| transcripts::list_before(tx, &self.agent, before, bound).await).await
    }
}

fn says(seq: i64, text: &str) -> TranscriptEvent {
    TranscriptEvent { seq, at: UnixMs(seq * 10), entry: Entry::Text { text: text.to_owned() } }
}

fn trouble(words: &str) -> Trouble {
    Trouble { kind: TroubleKind::Quota, message: words.to_owned(), repair: Some(words.to_owned()), at: NOW }
}

async fn events_are_read_back_in_order_with_how_the_session_stands(world: Arc<World>) {
    let place = Place::new(&world).await;
    assert_eq!(place.session(&world).await, AgentSession::default());
    assert_eq!(place.extent(&world).await, Extent { first_seq: 0, last_seq: 0 });
    let events = [says(1, "one"), says(2, "two"), says(3, "three")];
    let turn = Turn { state: TurnState::Working, since: UnixMs(7), task_id: Some("task".into()) };
    let reading = Reading {
        last_seq: 3,
        turn: Some(turn.clone()),
        trouble: Some(trouble("no more")),
        session_id: Some("session".to_owned()),
        ..Reading::default()
    };
    assert!(world.write(async |tx| place.append_in(tx, &events, &reading, true).await).await);
    let session = AgentSession {
        turn: Some(turn),
        trouble: Some(trouble("no more")),
        session_id: Some("session".to_owned()),
        open_permissions: 0,
        last_seq: 3,
        heard_at: Some(NOW + 1),
    };
    assert_eq!(place.session(&world).await, session);
    let head = async |user: &UserId, machine: &MachineId| {
        world.read(async |tx| transcripts::find_head(tx, user, machine, &place.agent).await).await
    };
    let known = head(&place.ada, &place.machine).await.unwrap();
    assert_eq!((known.row.agent.session, known.turn_delivery), (session, Some(2)));
    let bob = world.user("Bob").await;
    assert_eq!(head(&bob, &place.machine).await, None);
    assert_eq!(head(&place.ada, &"elsewhere".into()).await, None);
    assert_eq!(world.read(async |tx| transcripts::find_extent(tx, &bob, &place.agent).await).await, None);
    assert_eq!(place.extent(&world).await, Extent { first_seq: 1, last_seq: 3 });
    assert_eq!(place.after(&world, 0, ALL).await, events);
    assert_eq!(place.after(&world, 1, ALL).await, events[1..]);
    assert_eq!(place.before(&world, 3, ALL).await, events[..2]);
}

async fn events_follow_the_newest_one_or_change_nothing(world: Arc<World>) {
    let place = Place::new(&world).await;
    let reading = Reading { last_seq: 1, ..Reading::default() };
    world.race_is_won_once(async |tx| place.append_in(tx, &[says(1, "one")], &reading, false).await).await;
    for events in [[says(1, "again")], [says(3, "too far")]] {
        assert!(!place.append(&world, &events).await);
    }
    assert!(place.append(&world, &[says(2, "two")]).await);
    assert_eq!(place.after(&world, 0, ALL).await, [says(1, "one"), says(2, "two")]);
}

async fn only_news_of_the_session_wakes_the_room(world: Arc<World>) {
    let place = Place::new(&world).await;
    let transcript = world.watch(&[Topic::Transcript(place.agent.clone())]);
    let room = world.watch(&[Topic::Chatroom(place.room.clone()), Topic::Machines(place.ada.clone())]);
    assert!(place.append(&world, &[says(1, "one")]).await);
    assert_eq!((transcript.take().len(), room.take().len()), (1, 0));
    let reading = Reading { last_seq: 2, ..Reading::default() };
    assert!(world.write(async |tx| place.append_in(tx, &[says(2, "two")], &reading, true).await).await);
    assert_eq!((transcript.take().len(), room.take().len()), (1, 2));
}

async fn hostile_words_are_kept_and_cut_where_they_are_shown(world: Arc<World>) {
    let place = Place::new(&world).await;
    let events = [says(1, "a\0b \u{202e} \u{1b}[2J '; DROP TABLE agents; --")];
    let reading = Reading {
        last_seq: 1,
        turn: Some(Turn { state: TurnState::NeedsYou, since: NOW, task_id: Some("t\0".into()) }),
        trouble: Some(trouble(&"\0ä".repeat(2000))),
        session_id: Some("x".repeat(5000)),
        ..Reading::default()
    };
    assert!(world.write(async |tx| place.append_in(tx, &events, &reading, true).await).await);
    assert_eq!(place.after(&world, 0, ALL).await, events);
    let session = place.session(&world).await;
    assert_eq!(session.turn.unwrap().task_id, Some("t\u{fffd}".into()));
    assert_eq!(session.trouble.unwrap().message.chars().count(), 1000);
    assert_eq!(session.session_id, None);
}

async fn a_page_is_bounded_by_rows_and_bytes(world: Arc<World>) {
    let place = Place::new(&world).await;
    let events: Vec<_> = (1..=6).map(|seq| says(seq, &"x".repeat(1000))).collect();
    assert!(place.append(&world, &events).await);
    assert_eq!(place.after(&world, 1, Bound { rows: 2, ..ALL }).await, events[1..3]);
    assert_eq!(place.before(&world, 6, Bound { rows: 2, ..ALL }).await, events[3..5]);
    assert_eq!(place.after(&world, 1, Bound { bytes: 1500, ..ALL }).await, events[1..3]);
    assert_eq!(place.before(&world, 6, Bound { bytes: 1, ..ALL }).await, events[4..5]);
}

async fn of_a_transcript_the_newest_events_are_kept(world: Arc<World>) {
    let place = Place::new(&world).await;
    let most = KEPT_EVENTS - 2;
    let events: Vec<_> = (1..=most).map(|seq| says(seq, "x")).collect();
    assert!(place.append(&world, &events).await);
    assert_eq!(place.extent(&world).await.first_seq, 1);
    let events: Vec<_> = (most + 1..=most + 5).map(|seq| says(seq, "x")).collect();
    assert!(place.append(&world, &events).await);
    assert_eq!(place.extent(&world).await, Extent { first_seq: 4, last_seq: most + 5 });
    assert!(place.append(&world, &[says(most + 6, "x")]).await);
    assert_eq!(place.extent(&world).await.first_seq, 5);
    let count = place.after(&world, 0, ALL).await.len();
    assert_eq!(i64::try_from(count).unwrap(), KEPT_EVENTS);
}

async fn of_a_transcript_the_newest_bytes_are_kept(world: Arc<World>) {
    let place = Place::new(&world).await;
    let large = "x".repeat(4 * 1024 * 1024);
    for seq in 1..=9 {
        assert!(place.append(&world, &[says(seq, &large)]).await);
    }
    let kept = KEPT_BYTES / (4 * 1024 * 1024) - 1;
    assert_eq!(place.extent(&world).await, Extent { first_seq: 9 - kept + 1, last_seq: 9 });
}

async fn transcripts_of_ended_agents_are_forgotten(world: Arc<World>) {
    let place = Place::new(&world).await;
    assert!(place.append(&world, &[says(1, "one")]).await);
    let forget = async |at| world.write(async |tx| transcripts::delete_old(tx, at, 10).await).await;
    assert_eq!(forget(NOW + 10 * KEPT_MS).await, 0);
    let exit = AgentExit::Lost;
    assert!(world.write(async |tx| agents::set_exited(tx, &place.agent, &exit, false, NOW).await).await);
    assert_eq!(world.write(async |tx| agents::delete_old(tx, NOW + 10 * KEPT_MS).await).await, 0);
    assert_eq!(forget(NOW + KEPT_MS).await, 0);
    let waker = world.watch(&[Topic::Transcript(place.agent.clone())]);
    assert_eq!(forget(NOW + KEPT_MS + 1).await, 1);
    assert!(!waker.take().is_empty());
    assert_eq!(forget(NOW + KEPT_MS + 1).await, 0);
    assert_eq!(place.extent(&world).await, Extent { first_seq: 0, last_seq: 1 });
    // Last words that come late go on from there, and are forgotten as well.
    assert!(place.append(&world, &[says(2, "two")]).await);
    assert_eq!(forget(NOW + KEPT_MS + 1).await, 1);
    assert_eq!(world.write(async |tx| agents::delete_old(tx, NOW + 10 * KEPT_MS).await).await, 1);
}
