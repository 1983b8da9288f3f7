use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::command::{
    Command, CommandFailure, CommandRequest, CommandResult, CommandStatus, FailureCode, NoPayload,
};
use chatroom_protocol::id::{AgentId, CommandId, MachineId, UserId};
use chatroom_server::live::Topic;
use chatroom_server::store::commands::{self, Guard, KEPT_MS, KEPT_PER_MACHINE, Row};
use chatroom_server::store::machines::{self, Socket};
use std::sync::Arc;

super::cases! {
    a_command_is_read_back_whole_by_its_owner: ["commands::insert", "commands::find", "commands::list"];
    a_command_finished_at_once_keeps_its_result: ["commands::insert", "commands::find"];
    what_waits_for_a_session_comes_oldest_first: [
        "commands::list_claimable", "commands::list_open", "commands::count_pending",
    ];
    a_claim_is_for_pending_ones_and_for_newer_sessions: ["commands::claim"];
    a_command_past_its_deadline_is_not_claimed: ["commands::claim", "commands::list_expired", "commands::next_deadline"];
    a_command_ends_under_its_guard_and_never_again: ["commands::finish"];
    a_command_ends_once: ["commands::finish"];
    an_end_and_a_claim_do_not_both_win: ["commands::finish", "commands::claim"];
    of_two_sessions_the_newer_keeps_a_claim: ["commands::claim"];
    open_stops_of_an_agent_are_counted: ["commands::count_open_stops"];
    lost_commands_are_those_of_machines_that_are_gone: ["commands::list_lost"];
    finished_commands_are_forgotten_by_age_and_number: ["commands::delete_old"];
}

fn ping(user: &UserId, machine: &MachineId, id: &str) -> Row {
    Row {
        command: Command {
            command_id: id.into(),
            machine_id: machine.clone(),
            request: CommandRequest::Ping(NoPayload {}),
            status: CommandStatus::Pending,
            created_at: NOW,
            expires_at: NOW + 1000,
        },
        user_id: user.clone(),
        agent_id: None,
        stop_agent_id: None,
        claimed_epoch: None,
    }
}

async fn insert(world: &World, row: &Row) {
    world.write(async |tx| commands::insert(tx, row).await).await;
}

async fn send(world: &World, user: &UserId, machine: &MachineId, id: &str) -> CommandId {
    insert(world, &ping(user, machine, id)).await;
    id.into()
}

async fn claim(world: &World, machine: &MachineId, id: &CommandId, epoch: i64, at: UnixMs) -> bool {
    world.write(async |tx| commands::claim(tx, machine, id, epoch, at).await).await
}

async fn finish(world: &World, id: &CommandId, guard: Guard, end: &CommandStatus) -> bool {
    world.write(async |tx| commands::finish(tx, id, guard, end).await).await
}

async fn get(world: &World, user: &UserId, id: &CommandId) -> Row {
    world.read(async |tx| commands::find(tx, user, id).await).await.expect("the command is there")
}

fn pong(at: UnixMs) -> CommandStatus {
    CommandStatus::Completed { finished_at: at, result: CommandResult::Pong }
}

fn failed(at: UnixMs) -> CommandStatus {
    CommandStatus::Failed { finished_at: at, failure: CommandFailure::new(FailureCode::Expired, "late").hint("hurry") }
}

async fn a_command_is_read_back_whole_by_its_owner(world: Arc<World>) {
    let (ada, bea) = (world.user("Ada").await, world.user("Bea").await);
    let machine = world.machine(&ada).await;
    let mut row = ping(&ada, &machine, "c1");
    row.agent_id = Some("a".into());
    row.stop_agent_id = Some("b".into());
    let waker = world.watch(&[Topic::Machine(machine.clone())]);
    insert(&world, &row).await;
    assert!(!waker.take().is_empty());
    assert_eq!(get(&world, &ada, &"c1".into()).await, row);
    assert_eq!(world.read(async |tx| commands::find(tx, &bea, &"c1".into()).await).await, None);
    let mut newer = ping(&ada, &machine, "c0");
    newer.command.created_at = NOW + 1;
    insert(&world, &newer).await;
    let list =
        async |user: &UserId, limit| world.read(async |tx| commands::list(tx, user, &machine, limit).await).await;
    assert_eq!(list(&ada, 9).await, [newer.clone(), row]);
    assert_eq!(list(&ada, 1).await, [newer]);
    assert!(list(&bea, 9).await.is_empty());
}

async fn a_command_finished_at_once_keeps_its_result(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let machine = world.machine(&ada).await;
    for (id, status) in [("done", pong(NOW)), ("not", failed(NOW))] {
        let mut row = ping(&ada, &machine, id);
        row.command.status = status;
        insert(&world, &row).await;
        assert_eq!(get(&world, &ada, &id.into()).await, row);
    }
}

async fn what_waits_for_a_session_comes_oldest_first(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (machine, other) = (world.machine(&ada).await, world.machine(&ada).await);
    for id in ["c3", "c1", "c2", "c4"] {
        send(&world, &ada, &machine, id).await;
    }
    send(&world, &ada, &other, "x").await;
    assert!(claim(&world, &machine, &"c2".into(), 5, NOW).await);
    assert!(finish(&world, &"c4".into(), Guard::Pending, &failed(NOW)).await);
    let claimable = async |epoch| {
        let list = world.read(async |tx| commands::list_claimable(tx, &machine, epoch).await).await;
        list.into_iter().map(|command| (command.command_id.0, command.claimed_before)).collect::<Vec<_>>()
    };
    assert_eq!(claimable(5).await, [("c1".to_owned(), false), ("c3".to_owned(), false)]);
    assert_eq!(claimable(6).await, [("c1".to_owned(), false), ("c2".to_owned(), true), ("c3".to_owned(), false)]);
    let open = world.read(async |tx| commands::list_open(tx, &machine).await).await;
    assert_eq!(open.iter().map(|row| row.command.command_id.as_str()).collect::<Vec<_>>(), ["c1", "c2", "c3"]);
    assert_eq!(world.read(async |tx| commands::count_pending(tx, &machine).await).await, 2);
}

async fn a_claim_is_for_pending_ones_and_for_newer_sessions(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (machine, other) = (world.machine(&ada).await, world.machine(&ada).await);
    let id = send(&world, &ada, &machine, "c").await;
    assert!(!claim(&world, &other, &id, 1, NOW).await, "of another machine");
    assert!(!claim(&world, &machine, &"none".into(), 1, NOW).await);
    let waker = world.watch(&[Topic::Machine(machine.clone()), Topic::Machines(ada.clone())]);
    assert!(claim(&world, &machine, &id, 2, NOW).await);
    assert_eq!(waker.take().len(), 2);
    assert!(claim(&world, &machine, &id, 2, NOW + 1).await, "the same session, after a lost answer");
    assert!(!claim(&world, &machine, &id, 1, NOW + 1).await, "an older session");
    assert!(claim(&world, &machine, &id, 3, NOW + 9999).await, "a newer session, even past the deadline");
    let row = get(&world, &ada, &id).await;
    assert_eq!(row.claimed_epoch, Some(3));
    assert_eq!(row.command.status, CommandStatus::Processing { claimed_at: NOW });
}

async fn a_command_past_its_deadline_is_not_claimed(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let machine = world.machine(&ada).await;
    let deadline = async || world.read(async |tx| commands::next_deadline(tx).await).await;
    assert_eq!(deadline().await, None);
    let id = send(&world, &ada, &machine, "c").await;
    let mut later = ping(&ada, &machine, "later");
    later.command.expires_at = NOW + 2000;
    insert(&world, &later).await;
    assert_eq!(deadline().await, Some(NOW + 1000));
    let expired = async |at| {
        let rows = world.read(async |tx| commands::list_expired(tx, at, 10).await).await;
        rows.into_iter().map(|row| row.command.command_id).collect::<Vec<_>>()
    };
    assert!(expired(NOW + 999).await.is_empty());
    assert_eq!(expired(NOW + 1000).await, std::slice::from_ref(&id));
    assert_eq!(expired(NOW + 5000).await, [id.clone(), later.command.command_id]);
    assert_eq!(world.read(async |tx| commands::list_expired(tx, NOW + 5000, 1).await).await.len(), 1);
    assert!(!claim(&world, &machine, &id, 1, NOW + 1000).await);
    assert!(claim(&world, &machine, &id, 1, NOW + 999).await);
    assert_eq!(deadline().await, Some(NOW + 2000));
}

async fn a_command_ends_under_its_guard_and_never_again(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let machine = world.machine(&ada).await;
    let id = send(&world, &ada, &machine, "c").await;
    assert!(!finish(&world, &id, Guard::ClaimedUpTo { epoch: 9 }, &pong(NOW)).await, "nobody has claimed it");
    assert!(claim(&world, &machine, &id, 4, NOW).await);
    assert!(!finish(&world, &id, Guard::Pending, &failed(NOW)).await);
    assert!(!finish(&world, &id, Guard::ClaimedUpTo { epoch: 3 }, &pong(NOW)).await, "an older session");
    let waker = world.watch(&[Topic::Machine(machine.clone())]);
    assert!(finish(&world, &id, Guard::ClaimedUpTo { epoch: 4 }, &pong(NOW + 3)).await);
    assert!(!waker.take().is_empty());
    for guard in [Guard::Pending, Guard::Open, Guard::ClaimedUpTo { epoch: i64::MAX }] {
        assert!(!finish(&world, &id, guard, &failed(NOW)).await);
    }
    assert!(!claim(&world, &machine, &id, 9, NOW).await);
    assert_eq!(get(&world, &ada, &id).await.command.status, pong(NOW + 3));
    let pending = send(&world, &ada, &machine, "d").await;
    assert!(finish(&world, &pending, Guard::Open, &failed(NOW)).await);
    assert_eq!(get(&world, &ada, &pending).await.command.status, failed(NOW));
}

async fn a_command_ends_once(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let machine = world.machine(&ada).await;
    let id = send(&world, &ada, &machine, "c").await;
    world.race_is_won_once(async |tx| commands::finish(tx, &id, Guard::Open, &failed(NOW)).await).await;
}

async fn an_end_and_a_claim_do_not_both_win(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let machine = world.machine(&ada).await;
    for round in 0..10 {
        let id = send(&world, &ada, &machine, &format!("c{round}")).await;
        let won = world
            .race_two(
                async |tx| commands::finish(tx, &id, Guard::Pending, &failed(NOW)).await,
                async |tx| commands::claim(tx, &machine, &id, 1, NOW).await,
            )
            .await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
    }
}

async fn of_two_sessions_the_newer_keeps_a_claim(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let machine = world.machine(&ada).await;
    for round in 0..10 {
        let id = send(&world, &ada, &machine, &format!("c{round}")).await;
        let won = world
            .race_two(
                async |tx| commands::claim(tx, &machine, &id, 1, NOW).await,
                async |tx| commands::claim(tx, &machine, &id, 2, NOW).await,
            )
            .await;
        assert!(won[1]);
        assert_eq!(get(&world, &ada, &id).await.claimed_epoch, Some(2));
    }
}

async fn open_stops_of_an_agent_are_counted(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (machine, other) = (world.machine(&ada).await, world.machine(&ada).await);
    let agent = AgentId::from("a");
    for (id, machine) in [("c1", &machine), ("c2", &machine), ("c3", &other)] {
        let mut row = ping(&ada, machine, id);
        row.stop_agent_id = Some(agent.clone());
        insert(&world, &row).await;
    }
    let count = async || world.read(async |tx| commands::count_open_stops(tx, &machine, &agent).await).await;
    assert_eq!(count().await, 2);
    assert!(claim(&world, &machine, &"c1".into(), 1, NOW).await);
    assert_eq!(count().await, 2);
    assert!(finish(&world, &"c1".into(), Guard::Open, &pong(NOW)).await);
    assert!(finish(&world, &"c2".into(), Guard::Open, &failed(NOW)).await);
    assert_eq!(count().await, 0);
}

async fn lost_commands_are_those_of_machines_that_are_gone(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (gone, there) = (world.machine(&ada).await, world.machine(&ada).await);
    let socket = Socket { socket: "s", replica: "r" };
    assert!(world.write(async |tx| machines::set_connected(tx, &ada, &there, 0, socket, NOW).await).await);
    for (id, machine) in [("gone", &gone), ("there", &there), ("pending", &gone)] {
        let id = send(&world, &ada, machine, id).await;
        if id.as_str() != "pending" {
            assert!(claim(&world, machine, &id, 1, NOW).await);
        }
    }
    let lost = async |since_gone: UnixMs, since_hung: UnixMs| {
        let rows = world.read(async |tx| commands::list_lost(tx, since_gone, since_hung, 10).await).await;
        rows.into_iter().map(|row| row.command.command_id.0).collect::<Vec<_>>()
    };
    assert!(lost(NOW + 999, NOW).await.is_empty(), "before the deadline");
    assert_eq!(lost(NOW + 1000, NOW).await, ["gone"]);
    assert_eq!(lost(NOW + 2000, NOW + 1000).await, ["gone", "there"]);
    assert_eq!(world.read(async |tx| commands::list_lost(tx, NOW + 2000, NOW + 1000, 1).await).await.len(), 1);
}

async fn finished_commands_are_forgotten_by_age_and_number(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (machine, other) = (world.machine(&ada).await, world.machine(&ada).await);
    world
        .write(async |tx| {
            for number in 0..KEPT_PER_MACHINE + 2 {
                let mut row = ping(&ada, &machine, &format!("c{number:04}"));
                row.command.created_at = NOW + number;
                row.command.status = pong(NOW + number);
                commands::insert(tx, &row).await?;
            }
            commands::insert(tx, &ping(&ada, &machine, "open")).await?;
            let mut row = ping(&ada, &other, "other");
            row.command.status = failed(NOW);
            commands::insert(tx, &row).await
        })
        .await;
    let forget = async |at| world.write(async |tx| commands::delete_old(tx, at).await).await;
    assert_eq!(forget(NOW + 10).await, 2, "the oldest two are beyond the number");
    let find = async |id: &str| world.read(async |tx| commands::find(tx, &ada, &id.into()).await).await;
    assert!(find("c0001").await.is_none() && find("c0002").await.is_some() && find("other").await.is_some());
    assert_eq!(forget(NOW + KEPT_MS).await, 0);
    assert_eq!(forget(NOW + KEPT_MS + 3).await, 2, "c0002 and the other machine's");
    assert!(find("open").await.is_some(), "what is not finished stays");
}
