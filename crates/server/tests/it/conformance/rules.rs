use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::permission::{Rule, RuleMatch};
use chatroom_protocol::transcript::ToolKind;
use chatroom_server::live::Topic;
use chatroom_server::secret;
use chatroom_server::store::rules;
use std::sync::Arc;

super::cases! {
    rules_are_read_back_whole_newest_first: ["rules::insert", "rules::list"];
    a_rule_is_removed_once_by_its_owner: ["rules::delete"];
    a_rule_ends_at_its_time: ["rules::delete_ended", "rules::next_end"];
}

fn rule(room: &ChatroomId, matches: RuleMatch, until: Option<UnixMs>) -> Rule {
    Rule {
        rule_id: secret::new_id(),
        chatroom_id: room.clone(),
        role: until.map(|_| "builder".to_owned()),
        allow: until.is_none(),
        matches,
        until,
        created_at: NOW,
    }
}

fn cargo(room: &ChatroomId, until: Option<UnixMs>) -> Rule {
    rule(room, RuleMatch::Command { command: "cargo test".to_owned() }, until)
}

async fn rules_are_read_back_whole_newest_first(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (room, other) = (world.room(&ada).await.chatroom_id, world.room(&ada).await.chatroom_id);
    let first = cargo(&room, None);
    let second = rule(&room, RuleMatch::Kind { tool_kind: ToolKind::Read }, Some(NOW + 5));
    let waker = world.watch(&[Topic::Permissions(ada.clone())]);
    for rule in [&first, &second] {
        world.write(async |tx| rules::insert(tx, &ada, rule).await).await;
    }
    assert!(!waker.take().is_empty());
    let list = async |of| world.read(async |tx| rules::list(tx, of).await).await;
    assert_eq!(list(&room).await, [second, first]);
    assert!(list(&other).await.is_empty());
}

async fn a_rule_is_removed_once_by_its_owner(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let room = world.room(&ada).await.chatroom_id;
    let rule = cargo(&room, None);
    world.write(async |tx| rules::insert(tx, &ada, &rule).await).await;
    let waker = world.watch(&[Topic::Permissions(ada.clone())]);
    assert_eq!(world.write(async |tx| rules::delete(tx, &bob, &rule.rule_id).await).await, None);
    assert!(waker.take().is_empty());
    let won = world.race(async |tx| rules::delete(tx, &ada, &rule.rule_id).await).await;
    assert_eq!(won.into_iter().flatten().collect::<Vec<_>>(), [rule]);
    assert!(world.read(async |tx| rules::list(tx, &room).await).await.is_empty());
}

async fn a_rule_ends_at_its_time(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    let (ever, short, long) = (cargo(&room, None), cargo(&room, Some(NOW + 10)), cargo(&room, Some(NOW + 20)));
    let next = async || world.read(async |tx| rules::next_end(tx).await).await;
    world.write(async |tx| rules::insert(tx, &ada, &ever).await).await;
    assert_eq!(next().await, None);
    for rule in [&long, &short] {
        world.write(async |tx| rules::insert(tx, &ada, rule).await).await;
    }
    assert_eq!(next().await, Some(NOW + 10));
    let end = async |at| world.write(async |tx| rules::delete_ended(tx, at).await).await;
    let waker = world.watch(&[Topic::Permissions(ada.clone())]);
    assert_eq!(end(NOW + 9).await, 0);
    assert!(waker.take().is_empty());
    assert_eq!(end(NOW + 10).await, 1);
    assert!(!waker.take().is_empty());
    assert_eq!(next().await, Some(NOW + 20));
    assert_eq!(end(NOW + 1000).await, 1);
    assert_eq!(world.read(async |tx| rules::list(tx, &room).await).await, [ever]);
}
