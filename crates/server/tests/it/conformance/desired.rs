use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{Desired, DesiredBy};
use chatroom_protocol::id::{ChatroomId, MachineId, UserId};
use chatroom_server::live::Topic;
use chatroom_server::store::desired::{self, Resume, Row};
use chatroom_server::store::machines::Socket;
use chatroom_server::store::{chatrooms, machines};
use std::sync::Arc;

super::cases! {
    what_is_wanted_is_read_back_whole_and_by_role: ["desired::put", "desired::find", "desired::list"];
    who_read_an_older_row_changes_nothing: ["desired::put"];
    only_a_row_that_is_due_tells_of_it: ["desired::put"];
    a_row_is_due_at_its_time_where_its_machine_is_connected_and_its_room_lives: [
        "desired::list_due", "desired::next_restart",
    ];
    a_room_or_a_machine_that_goes_stops_what_was_wanted_there: ["desired::stop_of_room", "desired::stop_of_machine"];
}

struct Place {
    ada: UserId,
    room: ChatroomId,
    machine: MachineId,
}

impl Place {
    async fn new(world: &World) -> Self {
        let ada = world.user("Ada").await;
        let (room, machine) = (world.room(&ada).await.chatroom_id, world.machine(&ada).await);
        Self { ada, room, machine }
    }

    fn row(&self, role: &str, restart_at: Option<UnixMs>) -> Row {
        Row {
            chatroom_id: self.room.clone(),
            role: role.to_owned(),
            user_id: self.ada.clone(),
            desired: Desired {
                running: true,
                by: DesiredBy::Owner,
                since: NOW,
                machine_id: self.machine.clone(),
                restart_at,
                given_up: None,
            },
            agent_id: None,
            exits: Vec::new(),
            restart_id: None,
            repair: None,
            resume: None,
            revision: 0,
        }
    }

    async fn put(&self, world: &World, row: &Row) -> bool {
        world.write(async |tx| desired::put(tx, row).await).await
    }

    async fn find(&self, world: &World, role: &str) -> Option<Row> {
        world.read(async |tx| desired::find(tx, &self.room, role).await).await
    }
}

async fn what_is_wanted_is_read_back_whole_and_by_role(world: Arc<World>) {
    let place = Place::new(&world).await;
    assert_eq!(place.find(&world, "builder").await, None);
    let mut row = place.row("builder", Some(NOW + 5));
    row.desired.by = DesiredBy::Task;
    row.desired.given_up = Some("too often".to_owned());
    row.agent_id = Some("a".into());
    row.exits = vec![NOW - 1, NOW];
    row.restart_id = Some("k".into());
    row.repair = Some("tool login".to_owned());
    row.resume = Some(Resume {
        machine_id: place.machine.clone(),
        tool: "echo".into(),
        working_dir: "/srv/ä b".to_owned(),
        session_id: "s".to_owned(),
    });
    let planner = place.row("planner", None);
    assert!(place.put(&world, &row).await && place.put(&world, &planner).await);
    let stored = Row { revision: 1, ..row };
    assert_eq!(place.find(&world, "builder").await, Some(stored.clone()));
    let list = world.read(async |tx| desired::list(tx, &place.room).await).await;
    assert_eq!(list, [stored, Row { revision: 1, ..planner }]);
    let elsewhere = world.room(&place.ada).await.chatroom_id;
    assert_eq!(world.read(async |tx| desired::list(tx, &elsewhere).await).await, []);
}

async fn who_read_an_older_row_changes_nothing(world: Arc<World>) {
    let place = Place::new(&world).await;
    let row = place.row("builder", None);
    world.race_is_won_once(async |tx| desired::put(tx, &row).await).await;
    let read = place.find(&world, "builder").await.unwrap();
    let mut next = read.clone();
    next.desired.running = false;
    world.race_is_won_once(async |tx| desired::put(tx, &next).await).await;
    assert!(!place.put(&world, &read).await, "it was written since");
    assert_eq!(place.find(&world, "builder").await, Some(Row { revision: 2, ..next }));
}

async fn only_a_row_that_is_due_tells_of_it(world: Arc<World>) {
    let place = Place::new(&world).await;
    let (room, restarts) = (world.watch(&[Topic::Chatroom(place.room.clone())]), world.watch(&[Topic::Restarts]));
    place.put(&world, &place.row("builder", None)).await;
    assert_eq!((room.take().len(), restarts.take().len()), (1, 0));
    place.put(&world, &place.row("planner", Some(NOW))).await;
    assert_eq!((room.take().len(), restarts.take().len()), (1, 1));
}

async fn a_row_is_due_at_its_time_where_its_machine_is_connected_and_its_room_lives(world: Arc<World>) {
    let place = Place::new(&world).await;
    place.put(&world, &place.row("builder", Some(NOW + 10))).await;
    place.put(&world, &place.row("planner", Some(NOW + 20))).await;
    let mut stopped = place.row("reviewer", Some(NOW));
    stopped.desired.running = false;
    place.put(&world, &stopped).await;
    let due = async |now: UnixMs, limit: i64| -> Vec<String> {
        let rows = world.read(async |tx| desired::list_due(tx, now, limit).await).await;
        rows.into_iter().map(|row| row.role).collect()
    };
    let next = async |after: UnixMs| world.read(async |tx| desired::next_restart(tx, after).await).await;
    assert_eq!((next(NOW).await, next(NOW + 10).await, next(NOW + 20).await), (Some(NOW + 10), Some(NOW + 20), None));
    assert!(due(NOW + 20, 9).await.is_empty(), "its machine is not connected");
    let restarts = world.watch(&[Topic::Restarts]);
    world
        .write(async |tx| {
            let epoch = machines::advance_epoch(tx, &place.ada, &place.machine, 0).await?.unwrap_or_default();
            let socket = Socket { socket: "s", replica: "r" };
            machines::set_connected(tx, &place.ada, &place.machine, epoch, socket, NOW).await
        })
        .await;
    assert_eq!(restarts.take().len(), 1, "a machine that is back may have something to start");
    assert!(due(NOW + 9, 9).await.is_empty());
    assert_eq!(due(NOW + 10, 9).await, ["builder"]);
    assert_eq!(due(NOW + 20, 9).await, ["builder", "planner"]);
    assert_eq!(due(NOW + 20, 1).await, ["builder"]);
    world.write(async |tx| chatrooms::archive(tx, &place.ada, &place.room, NOW).await).await;
    assert!(due(NOW + 20, 9).await.is_empty(), "its room is archived");
}

async fn a_room_or_a_machine_that_goes_stops_what_was_wanted_there(world: Arc<World>) {
    let place = Place::new(&world).await;
    let mut builder = place.row("builder", Some(NOW));
    builder.desired.given_up = Some("too often".to_owned());
    place.put(&world, &builder).await;
    let mut stopped = place.row("planner", None);
    stopped.desired.running = false;
    place.put(&world, &stopped).await;
    let waker = world.watch(&[Topic::Chatroom(place.room.clone())]);
    assert_eq!(world.write(async |tx| desired::stop_of_room(tx, &place.room, NOW + 1).await).await, 1);
    assert_eq!(waker.take().len(), 1);
    let found = place.find(&world, "builder").await.unwrap();
    let server = Desired {
        running: false,
        by: DesiredBy::Server,
        since: NOW + 1,
        restart_at: None,
        given_up: None,
        ..builder.desired.clone()
    };
    assert_eq!((found.desired, found.revision), (server, 2));
    let planner = place.find(&world, "planner").await.unwrap();
    assert_eq!((planner.desired.by, planner.revision), (DesiredBy::Owner, 1), "what was stopped before stays");
    let again = Row { revision: 2, ..place.row("builder", None) };
    place.put(&world, &again).await;
    assert_eq!(world.write(async |tx| desired::stop_of_machine(tx, &place.machine, NOW + 2).await).await, 1);
    assert!(!place.find(&world, "builder").await.unwrap().desired.running);
    assert_eq!(world.write(async |tx| desired::stop_of_machine(tx, &place.machine, NOW + 3).await).await, 0);
}
