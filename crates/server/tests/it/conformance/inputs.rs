use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentInput, Input, InputState};
use chatroom_protocol::api::agents::QueuedInput;
use chatroom_protocol::id::{AgentId, InputId, MachineId};
use chatroom_protocol::transcript::{Choice, Decider};
use chatroom_server::live::Topic;
use chatroom_server::secret;
use chatroom_server::store::inputs::{self, Bound, KEPT_MS};
use std::sync::Arc;

super::cases! {
    what_was_sent_waits_for_its_machine_in_order: [
        "inputs::insert", "inputs::list_queued", "inputs::list", "inputs::count_queued",
    ];
    an_input_ends_once_by_the_word_of_its_agent: ["inputs::finish"];
    what_waits_for_an_ended_agent_is_refused: ["inputs::refuse_of_agent"];
    lists_of_inputs_are_bounded_by_rows_and_bytes: ["inputs::list", "inputs::list_queued"];
    ended_inputs_are_forgotten_and_waiting_ones_are_not: ["inputs::delete_old"];
}

const ALL: Bound = Bound { rows: 1000, bytes: i64::MAX };

struct Place {
    machine: MachineId,
    agent: AgentId,
}

impl Place {
    async fn new(world: &World) -> Self {
        let ada = world.user("Ada").await;
        let room = world.room(&ada).await.chatroom_id;
        let machine = world.machine(&ada).await;
        let agent = world.agent(&ada, &room, "builder", &machine).await;
        Self { machine, agent }
    }

    async fn send(&self, world: &World, input: Input) -> AgentInput {
        let input = AgentInput {
            input_id: secret::new_id(),
            agent_id: self.agent.clone(),
            input,
            state: InputState::Queued,
            created_at: NOW,
        };
        world.write(async |tx| inputs::insert(tx, &self.machine, &input).await).await;
        input
    }

    async fn say(&self, world: &World, text: &str) -> AgentInput {
        self.send(world, Input::Say { text: text.to_owned() }).await
    }

    async fn finish(&self, world: &World, id: &InputId, end: &InputState) -> bool {
        world.write(async |tx| inputs::finish(tx, &self.agent, id, end).await).await
    }

    async fn list(&self, world: &World) -> Vec<AgentInput> {
        world.read(async |tx| inputs::list(tx, &self.agent, ALL).await).await
    }

    async fn queued(&self, world: &World) -> Vec<QueuedInput> {
        world.read(async |tx| inputs::list_queued(tx, &self.machine, ALL).await).await
    }

    async fn count(&self, world: &World) -> i64 {
        world.read(async |tx| inputs::count_queued(tx, &self.agent).await).await
    }
}

const fn delivered(at: UnixMs) -> InputState {
    InputState::Delivered { at }
}

async fn what_was_sent_waits_for_its_machine_in_order(world: Arc<World>) {
    let place = Place::new(&world).await;
    let waker = world.watch(&[Topic::Inbox(place.machine.clone()), Topic::Inputs(place.agent.clone())]);
    let answer = Input::Answer { request_id: "r\0".to_owned(), choice: Choice::AllowOnce, by: Decider::Person };
    let mut sent = vec![place.say(&world, "one").await];
    assert_eq!(waker.take().len(), 2);
    sent.push(place.send(&world, Input::Cancel).await);
    sent.push(place.send(&world, answer).await);
    assert_eq!(place.list(&world).await, sent);
    assert_eq!(place.count(&world).await, 3);
    let queued: Vec<_> = sent
        .into_iter()
        .map(|input| QueuedInput { input_id: input.input_id, agent_id: input.agent_id, input: input.input })
        .collect();
    assert_eq!(place.queued(&world).await, queued);
    let elsewhere = MachineId::from("elsewhere");
    assert!(world.read(async |tx| inputs::list_queued(tx, &elsewhere, ALL).await).await.is_empty());
}

async fn an_input_ends_once_by_the_word_of_its_agent(world: Arc<World>) {
    let place = Place::new(&world).await;
    let (taken, refused) = (place.say(&world, "one").await, place.say(&world, "two").await);
    let waker = world.watch(&[Topic::Inbox(place.machine.clone())]);
    let stranger = AgentId::from("stranger");
    let by_stranger =
        world.write(async |tx| inputs::finish(tx, &stranger, &taken.input_id, &delivered(NOW)).await).await;
    assert!(!by_stranger);
    assert!(!place.finish(&world, &"not\0there".into(), &delivered(NOW)).await);
    assert!(!place.finish(&world, &taken.input_id, &InputState::Queued).await);
    assert!(waker.take().is_empty());
    world
        .race_is_won_once(async |tx| inputs::finish(tx, &place.agent, &taken.input_id, &delivered(NOW + 1)).await)
        .await;
    let late = InputState::Refused { at: NOW + 2, reason: "late\0".to_owned() };
    assert!(!place.finish(&world, &taken.input_id, &late).await);
    assert!(place.finish(&world, &refused.input_id, &late).await);
    assert!(!waker.take().is_empty());
    let late = InputState::Refused { at: NOW + 2, reason: "late\u{fffd}".to_owned() };
    let ends: Vec<_> = place.list(&world).await.into_iter().map(|input| input.state).collect();
    assert_eq!(ends, [delivered(NOW + 1), late]);
    assert!(place.queued(&world).await.is_empty());
}

async fn what_waits_for_an_ended_agent_is_refused(world: Arc<World>) {
    let place = Place::new(&world).await;
    let first = place.say(&world, "one").await;
    place.say(&world, "two").await;
    assert!(place.finish(&world, &first.input_id, &delivered(NOW)).await);
    let won = world.race(async |tx| inputs::refuse_of_agent(tx, &place.agent, "it ended", NOW + 5).await).await;
    assert_eq!(won.iter().sum::<u64>(), 1);
    let list = place.list(&world).await;
    assert_eq!(list[0].state, delivered(NOW));
    assert_eq!(list[1].state, InputState::Refused { at: NOW + 5, reason: "it ended".to_owned() });
    assert_eq!(place.count(&world).await, 0);
}

async fn lists_of_inputs_are_bounded_by_rows_and_bytes(world: Arc<World>) {
    let place = Place::new(&world).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(place.say(&world, &"x".repeat(1000)).await);
    }
    let list = async |bound| world.read(async |tx| inputs::list(tx, &place.agent, bound).await).await;
    let queued = async |bound| world.read(async |tx| inputs::list_queued(tx, &place.machine, bound).await).await;
    assert_eq!(list(Bound { rows: 2, ..ALL }).await, sent[3..]);
    assert_eq!(list(Bound { bytes: 1500, ..ALL }).await, sent[3..]);
    assert_eq!(list(Bound { bytes: 1, ..ALL }).await, sent[4..]);
    let ids = |list: Vec<QueuedInput>| list.into_iter().map(|input| input.input_id).collect::<Vec<_>>();
    let first = |count: usize| sent[..count].iter().map(|input| input.input_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(queued(Bound { rows: 2, ..ALL }).await), first(2));
    assert_eq!(ids(queued(Bound { bytes: 2500, ..ALL }).await), first(3));
}

async fn ended_inputs_are_forgotten_and_waiting_ones_are_not(world: Arc<World>) {
    let place = Place::new(&world).await;
    let (old, new) = (place.say(&world, "old").await, place.say(&world, "new").await);
    let waiting = place.say(&world, "waiting").await;
    assert!(place.finish(&world, &old.input_id, &delivered(NOW - 1)).await);
    assert!(place.finish(&world, &new.input_id, &delivered(NOW)).await);
    assert_eq!(world.write(async |tx| inputs::delete_old(tx, NOW + KEPT_MS).await).await, 1);
    let left: Vec<_> = place.list(&world).await.into_iter().map(|input| input.input_id).collect();
    assert_eq!(left, [new.input_id, waiting.input_id]);
}
