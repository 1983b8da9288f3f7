use super::{NOW, World};
use chatroom_server::store::idempotency::{self, KEPT_MS, Record};
use serde_json::json;
use std::sync::Arc;

super::cases! {
    an_answer_is_found_under_its_caller_function_and_key: ["idempotency::insert", "idempotency::find"];
    the_same_key_takes_effect_once: ["idempotency::insert", "idempotency::find"];
    answers_are_kept_for_their_time: ["idempotency::delete_old"];
}

async fn an_answer_is_found_under_its_caller_function_and_key(world: Arc<World>) {
    let result = json!({"commandId": "c", "text": "ä\n\"", "n": 1.5});
    world.write(async |tx| idempotency::insert(tx, "user:1", "f", "k", "hash", &result, NOW).await).await;
    let record = Record { args_hash: "hash".into(), result };
    for (caller, function, key, found) in [
        ("user:1", "f", "k", Some(record)),
        ("user:2", "f", "k", None),
        ("user:1", "g", "k", None),
        ("user:1", "f", "K", None),
    ] {
        assert_eq!(world.read(async |tx| idempotency::find(tx, caller, function, key).await).await, found);
    }
}

async fn the_same_key_takes_effect_once(world: Arc<World>) {
    for key in ["a", "b", "c", "d"] {
        world
            .race_is_won_once(async |tx| {
                if idempotency::find(tx, "user:1", "f", key).await?.is_some() {
                    return Ok(false);
                }
                idempotency::insert(tx, "user:1", "f", key, "hash", &json!(1), NOW).await?;
                Ok(true)
            })
            .await;
    }
}

async fn answers_are_kept_for_their_time(world: Arc<World>) {
    world.write(async |tx| idempotency::insert(tx, "user:1", "f", "k", "hash", &json!(null), NOW).await).await;
    assert_eq!(world.write(async |tx| idempotency::delete_old(tx, NOW + KEPT_MS).await).await, 0);
    assert_eq!(world.write(async |tx| idempotency::delete_old(tx, NOW + KEPT_MS + 1).await).await, 1);
    assert_eq!(world.read(async |tx| idempotency::find(tx, "user:1", "f", "k").await).await, None);
}
