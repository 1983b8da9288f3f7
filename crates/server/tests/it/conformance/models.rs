use super::{NOW, World};
use chatroom_protocol::transcript::{Model, ModelList};
use chatroom_server::store::models;
use std::sync::Arc;

super::cases! {
    the_newest_word_of_a_tool_about_its_models_holds_until_its_machine_goes: [
        "models::put", "models::known", "models::delete_of_machine",
    ];
}

async fn the_newest_word_of_a_tool_about_its_models_holds_until_its_machine_goes(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (machine, other) = (world.machine(&ada).await, world.machine(&ada).await);
    let list = |id: &str| ModelList {
        models: vec![Model { id: id.to_owned(), name: "A \0 name".to_owned() }],
        is_complete: true,
        default: None,
    };
    let known = async |of| world.read(async |tx| models::known(tx, of, &"opencode".into()).await).await;
    assert_eq!(known(&machine).await, None);
    for id in ["old", "new", "new"] {
        world.write(async |tx| models::put(tx, &machine, &"opencode".into(), &list(id), NOW).await).await;
    }
    world.race(async |tx| models::put(tx, &other, &"opencode".into(), &list("x"), NOW).await).await;
    assert_eq!(known(&machine).await, Some(list("new")));
    assert_eq!(known(&other).await, Some(list("x")));
    assert_eq!(world.write(async |tx| models::delete_of_machine(tx, &machine).await).await, 1);
    assert_eq!((known(&machine).await, known(&other).await), (None, Some(list("x"))));
}
