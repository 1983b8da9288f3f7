use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, PermissionId, UserId};
use chatroom_protocol::permission::{Permission, PermissionState};
use chatroom_protocol::transcript::{Choice, Decider, PermissionOption, PermissionOutcome, ToolKind};
use chatroom_server::live::Topic;
use chatroom_server::secret;
use chatroom_server::store::agents;
use chatroom_server::store::inputs::Bound;
use chatroom_server::store::permissions::{self, Filter, KEPT_MS, Row};
use std::sync::Arc;

super::cases! {
    a_request_is_read_back_whole_by_its_owner: [
        "permissions::insert", "permissions::find", "permissions::list_pending", "permissions::list_unsettled",
    ];
    the_same_request_is_stored_once: ["permissions::insert"];
    the_first_answer_counts: ["permissions::answer", "permissions::list_ended", "permissions::list_unsettled"];
    what_the_agent_settles_has_its_end: ["permissions::settle", "permissions::list_unsettled"];
    an_agent_that_waits_no_more_withdraws_its_requests: ["permissions::withdraw_of_agent"];
    an_answer_and_a_withdrawal_exclude_each_other: ["permissions::answer", "permissions::withdraw_of_agent"];
    requests_expire_in_order: ["permissions::list_expired", "permissions::next_deadline"];
    requests_are_listed_by_room_and_agent_and_bounded: [
        "permissions::list_pending", "permissions::list_ended", "permissions::list_pending_after",
    ];
    settled_requests_are_forgotten: ["permissions::delete_old"];
}

const ALL: Bound = Bound { rows: 1000, bytes: i64::MAX };

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

    fn request(&self, request_id: &str) -> Row {
        let permission = Permission {
            permission_id: secret::new_id(),
            agent_id: self.agent.clone(),
            chatroom_id: self.room.clone(),
            role: "builder".to_owned(),
            machine_id: self.machine.clone(),
            request_id: request_id.to_owned(),
            title: "run \0 it".to_owned(),
            tool_kind: ToolKind::Execute,
            command: Some("make".to_owned()),
            paths: vec!["/srv/a\0b".to_owned()],
            options: vec![PermissionOption {
                option_id: "yes".to_owned(),
                name: "Yes".to_owned(),
                kind: Choice::AllowOnce,
            }],
            asked_at: NOW,
            expires_at: NOW + 100,
            state: PermissionState::Pending,
        };
        Row { permission, user_id: self.ada.clone() }
    }

    async fn ask(&self, world: &World, request_id: &str) -> Row {
        let row = self.request(request_id);
        assert!(world.write(async |tx| permissions::insert(tx, &row).await).await);
        row
    }

    async fn state(&self, world: &World, row: &Row) -> PermissionState {
        let id = &row.permission.permission_id;
        world.read(async |tx| permissions::find(tx, &self.ada, id).await).await.unwrap().permission.state
    }

    async fn pending(&self, world: &World) -> Vec<Row> {
        world.read(async |tx| permissions::list_pending(tx, &self.ada, Filter::default(), ALL).await).await
    }

    async fn unsettled(&self, world: &World) -> Vec<String> {
        world.read(async |tx| permissions::list_unsettled(tx, &self.agent).await).await
    }

    async fn settle(&self, world: &World, request_id: &str, outcome: &PermissionOutcome) -> bool {
        world.write(async |tx| permissions::settle(tx, &self.agent, request_id, outcome, NOW + 2).await).await
    }

    fn topics(&self) -> [Topic; 3] {
        [Topic::Permissions(self.ada.clone()), Topic::Machines(self.ada.clone()), Topic::Chatroom(self.room.clone())]
    }
}

async fn answer(world: &World, row: &Row, choice: Choice) -> bool {
    let id = &row.permission.permission_id;
    world.write(async |tx| permissions::answer(tx, id, choice, Decider::Person, NOW + 1).await).await
}

const fn answered(choice: Choice, by: Decider, at: UnixMs) -> PermissionState {
    PermissionState::Answered { choice, by, at }
}

async fn a_request_is_read_back_whole_by_its_owner(world: Arc<World>) {
    let place = Place::new(&world).await;
    let bob = world.user("Bob").await;
    let waker = world.watch(&place.topics());
    let row = place.ask(&world, "r\0").await;
    assert_eq!(waker.take().len(), 3);
    let id = &row.permission.permission_id;
    assert_eq!(world.read(async |tx| permissions::find(tx, &place.ada, id).await).await, Some(row.clone()));
    assert_eq!(world.read(async |tx| permissions::find(tx, &bob, id).await).await, None);
    assert_eq!(place.pending(&world).await, [row]);
    assert_eq!(place.unsettled(&world).await, ["r\0"]);
    let agent = world.read(async |tx| agents::find(tx, &place.ada, &place.agent).await).await.unwrap();
    assert_eq!(agent.agent.session.open_permissions, 1);
}

async fn the_same_request_is_stored_once(world: Arc<World>) {
    let place = Place::new(&world).await;
    let (one, other) = (place.request("r"), place.request("r"));
    let won = world
        .race_two(async |tx| permissions::insert(tx, &one).await, async |tx| permissions::insert(tx, &other).await)
        .await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    assert_eq!(place.pending(&world).await.len(), 1);
    assert!(!world.write(async |tx| permissions::insert(tx, &place.request("r")).await).await);
    place.ask(&world, "another").await;
}

async fn the_first_answer_counts(world: Arc<World>) {
    let place = Place::new(&world).await;
    let row = place.ask(&world, "r").await;
    let id = &row.permission.permission_id;
    let waker = world.watch(&place.topics());
    world
        .race_is_won_once(async |tx| permissions::answer(tx, id, Choice::AllowAlways, Decider::Rule, NOW + 1).await)
        .await;
    drop(waker);
    let first = answered(Choice::AllowAlways, Decider::Rule, NOW + 1);
    assert!(!answer(&world, &row, Choice::RejectOnce).await);
    assert_eq!(place.state(&world, &row).await, first);
    assert!(place.pending(&world).await.is_empty());
    assert_eq!(place.unsettled(&world).await, ["r"], "the agent has not heard yet");
    // Nor does the agent's own word change it; it only tells that it has heard.
    assert!(place.settle(&world, "r", &PermissionOutcome::Withdrawn).await);
    assert_eq!(place.state(&world, &row).await, first);
    assert!(place.unsettled(&world).await.is_empty());
    let ended = world.read(async |tx| permissions::list_ended(tx, &place.ada, Filter::default(), ALL).await).await;
    assert_eq!(ended.len(), 1);
}

async fn what_the_agent_settles_has_its_end(world: Arc<World>) {
    let place = Place::new(&world).await;
    let (one, other) = (place.ask(&world, "a\0").await, place.ask(&world, "b").await);
    let selected = PermissionOutcome::Selected { choice: Choice::AllowOnce, by: Decider::Mode };
    let waker = world.watch(&place.topics());
    assert!(!place.settle(&world, "never asked", &selected).await);
    assert!(waker.take().is_empty());
    assert!(place.settle(&world, "a\0", &selected).await);
    assert_eq!(waker.take().len(), 3);
    assert!(!place.settle(&world, "a\0", &PermissionOutcome::Withdrawn).await);
    assert!(place.settle(&world, "b", &PermissionOutcome::Withdrawn).await);
    assert_eq!(place.state(&world, &one).await, answered(Choice::AllowOnce, Decider::Mode, NOW + 2));
    assert_eq!(place.state(&world, &other).await, PermissionState::Withdrawn { at: NOW + 2 });
    assert!(!answer(&world, &one, Choice::RejectOnce).await);
    assert!(place.unsettled(&world).await.is_empty());
}

async fn an_agent_that_waits_no_more_withdraws_its_requests(world: Arc<World>) {
    let place = Place::new(&world).await;
    let (open, told) = (place.ask(&world, "a").await, place.ask(&world, "b").await);
    assert!(answer(&world, &told, Choice::AllowOnce).await);
    let waker = world.watch(&place.topics());
    let withdraw = async |at| world.write(async |tx| permissions::withdraw_of_agent(tx, &place.agent, at).await).await;
    assert_eq!(withdraw(NOW + 5).await, 1);
    assert_eq!(waker.take().len(), 3);
    assert_eq!(withdraw(NOW + 6).await, 0);
    assert!(waker.take().is_empty());
    assert_eq!(place.state(&world, &open).await, PermissionState::Withdrawn { at: NOW + 5 });
    assert_eq!(place.state(&world, &told).await, answered(Choice::AllowOnce, Decider::Person, NOW + 1));
    assert!(place.unsettled(&world).await.is_empty());
}

async fn an_answer_and_a_withdrawal_exclude_each_other(world: Arc<World>) {
    let place = Place::new(&world).await;
    let row = place.ask(&world, "r").await;
    let id = &row.permission.permission_id;
    let won = world
        .race_two(
            async |tx| permissions::answer(tx, id, Choice::AllowOnce, Decider::Person, NOW).await,
            async |tx| Ok(permissions::withdraw_of_agent(tx, &place.agent, NOW).await? > 0),
        )
        .await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
    let is_answered = matches!(place.state(&world, &row).await, PermissionState::Answered { .. });
    assert_eq!(is_answered, won[0]);
}

async fn requests_expire_in_order(world: Arc<World>) {
    let place = Place::new(&world).await;
    let next = async || world.read(async |tx| permissions::next_deadline(tx).await).await;
    assert_eq!(next().await, None);
    let mut rows = Vec::new();
    for (name, at) in [("late", 300), ("soon", 100), ("middle", 200)] {
        let mut row = place.request(name);
        row.permission.expires_at = NOW + at;
        world.write(async |tx| permissions::insert(tx, &row).await).await;
        rows.push(row);
    }
    assert_eq!(next().await, Some(NOW + 100));
    let expired = async |at, limit| {
        let rows = world.read(async |tx| permissions::list_expired(tx, at, limit).await).await;
        rows.into_iter().map(|row| row.permission.request_id).collect::<Vec<_>>()
    };
    assert!(expired(NOW + 99, 10).await.is_empty());
    assert_eq!(expired(NOW + 200, 10).await, ["soon", "middle"]);
    assert_eq!(expired(NOW + 999, 1).await, ["soon"]);
    assert!(answer(&world, &rows[1], Choice::RejectOnce).await);
    assert_eq!(expired(NOW + 200, 10).await, ["middle"]);
    assert_eq!(next().await, Some(NOW + 200));
}

async fn requests_are_listed_by_room_and_agent_and_bounded(world: Arc<World>) {
    let place = Place::new(&world).await;
    let mut rows = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        rows.push(place.ask(&world, name).await);
    }
    let names = |rows: Vec<Row>| rows.into_iter().map(|row| row.permission.request_id).collect::<Vec<_>>();
    let pending = async |filter, bound| {
        names(world.read(async |tx| permissions::list_pending(tx, &place.ada, filter, bound).await).await)
    };
    let ended = async |filter, bound| {
        names(world.read(async |tx| permissions::list_ended(tx, &place.ada, filter, bound).await).await)
    };
    let (room, agent) = (ChatroomId::from("elsewhere"), AgentId::from("elsewhere"));
    let here = Filter { chatroom_id: Some(&place.room), agent_id: Some(&place.agent) };
    assert_eq!(pending(here, ALL).await.len(), 5);
    assert!(pending(Filter { chatroom_id: Some(&room), ..here }, ALL).await.is_empty());
    assert!(pending(Filter { agent_id: Some(&agent), ..here }, ALL).await.is_empty());
    assert_eq!(pending(here, Bound { rows: 2, ..ALL }).await, ["a", "b"]);
    assert_eq!(pending(here, Bound { bytes: 1, ..ALL }).await, ["a"]);
    let after = |id: &PermissionId, limit| {
        let (ada, room, id) = (place.ada.clone(), place.room.clone(), id.clone());
        let world = Arc::clone(&world);
        async move { names(world.read(async |tx| permissions::list_pending_after(tx, &ada, &room, &id, limit).await).await) }
    };
    assert_eq!(after(&PermissionId::from(""), 3).await, ["a", "b", "c"]);
    assert_eq!(after(&rows[2].permission.permission_id, 3).await, ["d", "e"]);
    for row in &rows[..3] {
        assert!(answer(&world, row, Choice::AllowOnce).await);
    }
    assert_eq!(pending(here, ALL).await, ["d", "e"]);
    assert_eq!(ended(here, ALL).await, ["a", "b", "c"]);
    assert_eq!(ended(here, Bound { rows: 2, ..ALL }).await, ["b", "c"]);
    assert_eq!(after(&PermissionId::from(""), 3).await, ["d", "e"]);
    let bob = world.user("Bob").await;
    assert!(world.read(async |tx| permissions::list_pending(tx, &bob, here, ALL).await).await.is_empty());
    assert!(world.read(async |tx| permissions::list_ended(tx, &bob, here, ALL).await).await.is_empty());
}

async fn settled_requests_are_forgotten(world: Arc<World>) {
    let place = Place::new(&world).await;
    place.ask(&world, "settled").await;
    let told = place.ask(&world, "told").await;
    place.ask(&world, "waiting").await;
    assert!(answer(&world, &told, Choice::AllowOnce).await);
    assert!(place.settle(&world, "settled", &PermissionOutcome::Withdrawn).await);
    let forget = async |at| world.write(async |tx| permissions::delete_old(tx, at).await).await;
    assert_eq!(forget(NOW + 2 + KEPT_MS).await, 0);
    assert_eq!(forget(NOW + 3 + KEPT_MS).await, 1);
    assert_eq!(forget(NOW + 10 * KEPT_MS).await, 0);
    let mut left = place.unsettled(&world).await;
    left.sort();
    assert_eq!(left, ["told", "waiting"]);
}
