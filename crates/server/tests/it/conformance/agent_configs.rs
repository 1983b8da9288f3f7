use super::{NOW, World};
use chatroom_protocol::id::{ChatroomId, MachineId};
use chatroom_protocol::machine::AgentConfig;
use chatroom_protocol::tool::{PermissionMode, ToolName};
use chatroom_server::live::Topic;
use chatroom_server::store::agent_configs;
use std::sync::Arc;

super::cases! {
    a_config_is_written_over_and_read_back_whole: ["agent_configs::upsert", "agent_configs::find"];
    configs_are_listed_by_room_and_go_with_their_machine: ["agent_configs::list", "agent_configs::delete_of_machine"];
    two_who_write_the_first_config_leave_one: ["agent_configs::upsert"];
}

fn config(machine: &MachineId, room: &ChatroomId, role: &str) -> AgentConfig {
    AgentConfig {
        machine_id: machine.clone(),
        chatroom_id: room.clone(),
        role: role.to_owned(),
        tool: ToolName::from("echo"),
        model: None,
        working_dir: "/srv/ä b".to_owned(),
        permission_mode: PermissionMode::AcceptEdits,
        start_on_task: false,
        updated_at: NOW,
    }
}

async fn a_config_is_written_over_and_read_back_whole(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (machine, room) = (world.machine(&ada).await, world.room(&ada).await.chatroom_id);
    let find = async || world.read(async |tx| agent_configs::find(tx, &machine, &room, "builder").await).await;
    assert_eq!(find().await, None);
    let first = config(&machine, &room, "builder");
    let waker = world.watch(&[Topic::Chatroom(room.clone())]);
    world.write(async |tx| agent_configs::upsert(tx, &first).await).await;
    assert!(!waker.take().is_empty());
    assert_eq!(find().await, Some(first.clone()));
    let second = AgentConfig {
        tool: ToolName::from("claude"),
        model: Some("big".to_owned()),
        working_dir: "/".to_owned(),
        permission_mode: PermissionMode::Full,
        start_on_task: true,
        updated_at: NOW + 1,
        ..first
    };
    world.write(async |tx| agent_configs::upsert(tx, &second).await).await;
    assert_eq!(find().await, Some(second));
    assert_eq!(world.read(async |tx| agent_configs::find(tx, &machine, &room, "planner").await).await, None);
}

async fn configs_are_listed_by_room_and_go_with_their_machine(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (one, two) = (world.machine(&ada).await, world.machine(&ada).await);
    let (room, other_room) = (world.room(&ada).await.chatroom_id, world.room(&ada).await.chatroom_id);
    let planner = config(&one, &room, "planner");
    let builder = config(&two, &room, "builder");
    let elsewhere = config(&one, &other_room, "builder");
    for config in [&planner, &builder, &elsewhere] {
        world.write(async |tx| agent_configs::upsert(tx, config).await).await;
    }
    let list = async || world.read(async |tx| agent_configs::list(tx, &room).await).await;
    assert_eq!(list().await, [builder.clone(), planner]);
    let waker = world.watch(&[Topic::Chatroom(room.clone()), Topic::Chatroom(other_room.clone())]);
    assert_eq!(world.write(async |tx| agent_configs::delete_of_machine(tx, &one).await).await, 2);
    assert_eq!(waker.take().len(), 2);
    assert_eq!(list().await, [builder]);
    assert_eq!(world.write(async |tx| agent_configs::delete_of_machine(tx, &one).await).await, 0);
}

async fn two_who_write_the_first_config_leave_one(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (machine, room) = (world.machine(&ada).await, world.room(&ada).await.chatroom_id);
    let config = config(&machine, &room, "builder");
    world.race(async |tx| agent_configs::upsert(tx, &config).await).await;
    assert_eq!(world.read(async |tx| agent_configs::list(tx, &room).await).await, [config]);
}
