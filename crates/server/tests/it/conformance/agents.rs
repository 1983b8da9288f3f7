use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, AgentState};
use chatroom_protocol::command::{
    Command, CommandFailure, CommandRequest, CommandResult, CommandStatus, FailureCode, NoPayload,
};
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, UserId};
use chatroom_server::live::Topic;
use chatroom_server::store::agents::{self, Filter, KEPT_MS, Row};
use chatroom_server::store::commands::{self, Guard};
use chatroom_server::store::{Tx, chatrooms};
use std::sync::Arc;

super::cases! {
    an_agent_is_read_back_whole_by_its_owner: ["agents::insert", "agents::find"];
    a_role_has_one_agent_however_many_start_it: ["agents::insert", "agents::list_of_role"];
    agents_are_listed_by_room_and_machine: ["agents::list"];
    of_each_role_the_agent_that_counts_is_shown: ["agents::list_of_roles"];
    an_agent_moves_through_its_states_and_never_back: [
        "agents::set_running", "agents::set_stopping", "agents::set_exited", "agents::set_failed",
    ];
    an_agent_ends_once: ["agents::set_exited", "agents::set_failed"];
    a_stop_that_did_not_happen_is_taken_back_while_the_role_is_free: ["agents::resume", "agents::list_of_role"];
    an_agent_given_up_comes_back_while_the_role_is_free: ["agents::revive", "agents::set_exited"];
    a_role_is_resumed_or_started_anew_but_not_both: ["agents::resume", "agents::insert"];
    an_agent_keeps_the_version_of_its_prompt: ["agents::set_prompt_version"];
    being_heard_wakes_nobody: ["agents::set_heard"];
    the_open_agents_of_a_machine_come_with_their_room_and_start: ["agents::list_open"];
    ended_agents_are_forgotten: ["agents::delete_old"];
}

/// Ada's room and machine.
struct Place {
    ada: UserId,
    room: ChatroomId,
    machine: MachineId,
}

impl Place {
    async fn new(world: &World) -> Self {
        let ada = world.user("Ada").await;
        let room = world.room(&ada).await.chatroom_id;
        let machine = world.machine(&ada).await;
        Self { ada, room, machine }
    }

    async fn start(&self, world: &World) -> AgentId {
        world.agent(&self.ada, &self.room, "builder", &self.machine).await
    }

    async fn get(&self, world: &World, id: &AgentId) -> Row {
        world.read(async |tx| agents::find(tx, &self.ada, id).await).await.expect("the agent is there")
    }

    async fn state(&self, world: &World, id: &AgentId) -> AgentState {
        self.get(world, id).await.agent.state
    }
}

fn lost() -> CommandFailure {
    CommandFailure::new(FailureCode::OutcomeUnknown, "nobody knows")
}

async fn run(world: &World, id: &AgentId, pid: u32, at: UnixMs) -> bool {
    world.write(async |tx| agents::set_running(tx, id, pid, at).await).await
}

async fn stop(world: &World, id: &AgentId, at: UnixMs) -> bool {
    world.write(async |tx| agents::set_stopping(tx, id, at).await).await
}

async fn fail(world: &World, id: &AgentId, at: UnixMs) -> bool {
    world.write(async |tx| agents::set_failed(tx, id, &lost(), at).await).await
}

async fn exit(world: &World, id: &AgentId, even_failed: bool, at: UnixMs) -> bool {
    world.write(async |tx| agents::set_exited(tx, id, &AgentExit::Code { code: 3 }, even_failed, at).await).await
}

async fn an_agent_is_read_back_whole_by_its_owner(world: Arc<World>) {
    let place = Place::new(&world).await;
    let bea = world.user("Bea").await;
    let waker = world.watch(&[Topic::Chatroom(place.room.clone()), Topic::Machines(place.ada.clone())]);
    let id = place.start(&world).await;
    assert_eq!(waker.take().len(), 2);
    let row = place.get(&world, &id).await;
    assert_eq!(row.agent.state, AgentState::Starting { since: NOW });
    assert_eq!((row.agent.role.as_str(), row.agent.working_dir.as_str()), ("builder", "/"));
    assert_eq!((&row.user_id, &row.agent.machine_id), (&place.ada, &place.machine));
    assert_eq!((row.agent.heard_at, row.agent.model, row.failure), (None, None, None));
    assert_eq!(world.read(async |tx| agents::find(tx, &bea, &id).await).await, None);
}

/// Starts an agent as a function would: looks, then writes.
async fn start_if_free(tx: &mut Tx, like: &Row) -> chatroom_server::store::Result<bool> {
    let of_role = agents::list_of_role(tx, &like.agent.chatroom_id, &like.agent.role).await?;
    if of_role.iter().any(|row| !matches!(row.agent.state, AgentState::Stopping { .. })) {
        return Ok(false);
    }
    let mut row = like.clone();
    row.agent.agent_id = chatroom_server::secret::new_id();
    agents::insert(tx, &row).await?;
    Ok(true)
}

async fn a_role_has_one_agent_however_many_start_it(world: Arc<World>) {
    let place = Place::new(&world).await;
    let first = place.start(&world).await;
    let like = place.get(&world, &first).await;
    assert!(exit(&world, &first, false, NOW).await);
    world.race_is_won_once(async |tx| start_if_free(tx, &like).await).await;
    let of_role = async || world.read(async |tx| agents::list_of_role(tx, &place.room, "builder").await).await;
    let holder = of_role().await;
    assert_eq!(holder.len(), 1);
    // One that is stopping has let go of the role; the one that holds it comes first.
    assert!(stop(&world, &holder[0].agent.agent_id, NOW).await);
    world.race_is_won_once(async |tx| start_if_free(tx, &like).await).await;
    let states: Vec<_> = of_role().await.iter().map(|row| row.agent.state.name()).collect();
    assert_eq!(states, ["starting", "stopping"]);
    assert!(world.read(async |tx| agents::list_of_role(tx, &place.room, "planner").await).await.is_empty());
    // The index holds even against somebody who does not look.
    let mut tx = world.store.write().await.unwrap();
    let mut blind = like.clone();
    blind.agent.agent_id = "blind".into();
    assert!(agents::insert(&mut tx, &blind).await.is_err());
}

async fn agents_are_listed_by_room_and_machine(world: Arc<World>) {
    let place = Place::new(&world).await;
    let bea = world.user("Bea").await;
    let (room, machine) = (world.room(&place.ada).await.chatroom_id, world.machine(&place.ada).await);
    let one = place.start(&world).await;
    let two = world.agent(&place.ada, &room, "builder", &machine).await;
    let ended = world.agent(&place.ada, &room, "planner", &machine).await;
    assert!(exit(&world, &ended, false, NOW).await);
    let list = async |user: &UserId, filter: Filter<'_>, limit| {
        let rows = world.read(async |tx| agents::list(tx, user, filter, limit).await).await;
        rows.into_iter().map(|row| row.agent.agent_id).collect::<Vec<_>>()
    };
    assert_eq!(list(&place.ada, Filter::default(), 9).await, [two.clone(), one.clone()]);
    assert_eq!(
        list(&place.ada, Filter { ended: true, ..Filter::default() }, 9).await,
        [ended.clone(), two.clone(), one.clone()]
    );
    assert_eq!(list(&place.ada, Filter { ended: true, ..Filter::default() }, 1).await, [ended]);
    let of_room = Filter { chatroom_id: Some(&place.room), ended: true, ..Filter::default() };
    assert_eq!(list(&place.ada, of_room, 9).await, [one]);
    let of_machine = Filter { machine_id: Some(&machine), ..Filter::default() };
    assert_eq!(list(&place.ada, of_machine, 9).await, [two]);
    assert!(list(&bea, Filter { ended: true, ..Filter::default() }, 9).await.is_empty());
}

async fn an_agent_moves_through_its_states_and_never_back(world: Arc<World>) {
    let place = Place::new(&world).await;
    let id = place.start(&world).await;
    let waker = world.watch(&[Topic::Chatroom(place.room.clone())]);
    assert!(run(&world, &id, 7, NOW + 1).await);
    assert!(!waker.take().is_empty());
    assert_eq!(place.state(&world, &id).await, AgentState::Running { since: NOW + 1, pid: 7 });
    assert!(run(&world, &id, 8, NOW + 2).await);
    assert_eq!(place.state(&world, &id).await, AgentState::Running { since: NOW + 1, pid: 8 });
    assert!(stop(&world, &id, NOW + 3).await);
    assert!(!stop(&world, &id, NOW + 4).await);
    assert!(run(&world, &id, 9, NOW + 5).await);
    assert_eq!(place.state(&world, &id).await, AgentState::Stopping { since: NOW + 3, pid: Some(9) });
    assert!(exit(&world, &id, false, NOW + 6).await);
    let end = AgentState::Exited { at: NOW + 6, exit: AgentExit::Code { code: 3 } };
    assert!(!run(&world, &id, 1, NOW).await && !stop(&world, &id, NOW).await);
    assert!(!fail(&world, &id, NOW).await && !exit(&world, &id, true, NOW).await);
    assert_eq!(place.state(&world, &id).await, end);

    let failed = place.start(&world).await;
    assert!(fail(&world, &failed, NOW + 1).await);
    let end = AgentState::Failed { at: NOW + 1, reason: "nobody knows".to_owned() };
    assert_eq!(place.state(&world, &failed).await, end);
    assert_eq!(place.get(&world, &failed).await.failure, Some(lost()));
    assert!(!run(&world, &failed, 1, NOW).await && !exit(&world, &failed, false, NOW).await);
    assert_eq!(place.state(&world, &failed).await, end);
}

async fn an_agent_ends_once(world: Arc<World>) {
    let place = Place::new(&world).await;
    for _ in 0..5 {
        let id = place.start(&world).await;
        let ended = world
            .race_two(
                async |tx| agents::set_exited(tx, &id, &AgentExit::Lost, false, NOW).await,
                async |tx| agents::set_failed(tx, &id, &lost(), NOW).await,
            )
            .await;
        assert_eq!(ended.iter().filter(|won| **won).count(), 1, "{ended:?}");
    }
}

async fn a_stop_that_did_not_happen_is_taken_back_while_the_role_is_free(world: Arc<World>) {
    let place = Place::new(&world).await;
    let id = place.start(&world).await;
    let resume = async |at| world.write(async |tx| agents::resume(tx, &id, at).await).await;
    assert!(!resume(NOW).await, "it is not stopping");
    assert!(stop(&world, &id, NOW + 1).await);
    assert!(resume(NOW + 2).await);
    assert_eq!(place.state(&world, &id).await, AgentState::Starting { since: NOW + 2 });
    assert!(run(&world, &id, 7, NOW + 3).await && stop(&world, &id, NOW + 4).await);
    assert!(resume(NOW + 5).await);
    assert_eq!(place.state(&world, &id).await, AgentState::Running { since: NOW + 5, pid: 7 });
    assert!(stop(&world, &id, NOW + 6).await);
    place.start(&world).await;
    assert!(!resume(NOW + 7).await, "another holds the role");
    assert_eq!(place.state(&world, &id).await.name(), "stopping");
}

async fn an_agent_given_up_comes_back_while_the_role_is_free(world: Arc<World>) {
    let place = Place::new(&world).await;
    let id = place.start(&world).await;
    let revive = async |at| world.write(async |tx| agents::revive(tx, &id, 5, at).await).await;
    assert!(!revive(NOW).await, "it was not given up");
    assert!(fail(&world, &id, NOW + 1).await);
    let other = place.start(&world).await;
    assert!(!revive(NOW + 2).await, "another holds the role");
    assert!(exit(&world, &other, false, NOW + 2).await);
    assert!(revive(NOW + 3).await);
    let row = place.get(&world, &id).await;
    assert_eq!((row.agent.state, row.failure), (AgentState::Running { since: NOW + 3, pid: 5 }, None));
    assert!(fail(&world, &id, NOW + 4).await);
    assert!(exit(&world, &id, true, NOW + 5).await);
    let row = place.get(&world, &id).await;
    assert_eq!((row.agent.state.name(), row.failure), ("exited", None));
    assert!(!revive(NOW + 6).await);
}

async fn a_role_is_resumed_or_started_anew_but_not_both(world: Arc<World>) {
    let place = Place::new(&world).await;
    let id = place.start(&world).await;
    let like = place.get(&world, &id).await;
    assert!(stop(&world, &id, NOW).await);
    let won =
        world.race_two(async |tx| agents::resume(tx, &id, NOW).await, async |tx| start_if_free(tx, &like).await).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
}

async fn being_heard_wakes_nobody(world: Arc<World>) {
    let place = Place::new(&world).await;
    let id = place.start(&world).await;
    let waker = world.watch(&[Topic::Chatroom(place.room.clone()), Topic::Machines(place.ada.clone())]);
    world.write(async |tx| agents::set_heard(tx, &id, NOW + 1).await).await;
    assert_eq!(place.get(&world, &id).await.agent.heard_at, Some(NOW + 1));
    assert!(waker.take().is_empty());
    assert!(exit(&world, &id, false, NOW + 2).await);
    world.write(async |tx| agents::set_heard(tx, &id, NOW + 3).await).await;
    assert_eq!(place.get(&world, &id).await.agent.heard_at, Some(NOW + 1), "of the dead nothing is heard");
}

async fn the_open_agents_of_a_machine_come_with_their_room_and_start(world: Arc<World>) {
    let place = Place::new(&world).await;
    let elsewhere = world.machine(&place.ada).await;
    let id = place.start(&world).await;
    world.agent(&place.ada, &place.room, "planner", &elsewhere).await;
    let known = async || {
        let mut list = world.read(async |tx| agents::list_open(tx, &place.machine).await).await;
        assert_eq!(list.len(), 1);
        list.remove(0)
    };
    let first = known().await;
    assert_eq!(first.row, place.get(&world, &id).await);
    assert!(!first.room_archived && !first.start_open, "its command is not there");
    let command = Command {
        command_id: first.row.agent.command_id.clone(),
        machine_id: place.machine.clone(),
        request: CommandRequest::Ping(NoPayload {}),
        status: CommandStatus::Pending,
        created_at: NOW,
        expires_at: NOW + 1000,
    };
    let command_id = command.command_id.clone();
    let row = commands::Row {
        command,
        user_id: place.ada.clone(),
        agent_id: Some(id.clone()),
        stop_agent_id: None,
        claimed_epoch: None,
    };
    world.write(async |tx| commands::insert(tx, &row).await).await;
    assert!(known().await.start_open);
    let end = CommandStatus::Completed { finished_at: NOW, result: CommandResult::Pong };
    assert!(world.write(async |tx| commands::finish(tx, &command_id, Guard::Open, &end).await).await);
    world.write(async |tx| chatrooms::archive(tx, &place.ada, &place.room, NOW).await).await;
    let last = known().await;
    assert!(last.room_archived && !last.start_open);
    assert!(exit(&world, &id, false, NOW).await);
    assert!(world.read(async |tx| agents::list_open(tx, &place.machine).await).await.is_empty());
}

async fn ended_agents_are_forgotten(world: Arc<World>) {
    let place = Place::new(&world).await;
    let ended = place.start(&world).await;
    assert!(exit(&world, &ended, false, NOW).await);
    let running = place.start(&world).await;
    let forget = async |at| world.write(async |tx| agents::delete_old(tx, at).await).await;
    assert_eq!(forget(NOW + KEPT_MS).await, 0);
    assert_eq!(forget(NOW + KEPT_MS + 1).await, 1);
    assert_eq!(world.read(async |tx| agents::find(tx, &place.ada, &ended).await).await, None);
    assert_eq!(place.state(&world, &running).await.name(), "starting");
}

async fn an_agent_keeps_the_version_of_its_prompt(world: Arc<World>) {
    let place = Place::new(&world).await;
    let id = place.start(&world).await;
    assert_eq!(place.get(&world, &id).await.agent.prompt_version, None);
    let waker = world.watch(&[Topic::Chatroom(place.room.clone())]);
    world.write(async |tx| agents::set_prompt_version(tx, &id, "7").await).await;
    assert!(!waker.take().is_empty());
    assert_eq!(place.get(&world, &id).await.agent.prompt_version.as_deref(), Some("7"));
}

async fn of_each_role_the_agent_that_counts_is_shown(world: Arc<World>) {
    let place = Place::new(&world).await;
    let shown = async || -> Vec<(String, AgentId)> {
        let rows = world.read(async |tx| agents::list_of_roles(tx, &place.room).await).await;
        rows.into_iter().map(|row| (row.agent.role, row.agent.agent_id)).collect()
    };
    assert!(shown().await.is_empty());
    let add = async |role: &str| world.agent(&place.ada, &place.room, role, &place.machine).await;
    let exit = async |id: &AgentId, at: UnixMs| {
        world.write(async |tx| agents::set_exited(tx, id, &AgentExit::Lost, false, at).await).await;
    };
    let first = add("builder").await;
    exit(&first, NOW + 9).await;
    let second = add("builder").await;
    assert_eq!(shown().await, [("builder".to_owned(), second.clone())]);
    world.write(async |tx| agents::set_stopping(tx, &second, NOW).await).await;
    let third = add("builder").await;
    let planner = add("planner").await;
    assert_eq!(shown().await, [("builder".to_owned(), third.clone()), ("planner".to_owned(), planner.clone())]);
    exit(&third, NOW + 1).await;
    assert_eq!(shown().await[0].1, second, "one that is being stopped counts before one that has ended");
    exit(&second, NOW + 2).await;
    assert_eq!(shown().await[0].1, third, "the newest of those that ended");
}
