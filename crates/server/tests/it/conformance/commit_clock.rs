use super::World;
use chatroom_protocol::sync::SyncTs;
use chatroom_server::store::commit_clock;
use std::sync::Arc;

super::cases! {
    the_clock_is_raised_and_never_put_back: ["commit_clock::find", "commit_clock::raise"];
}

async fn the_clock_is_raised_and_never_put_back(world: Arc<World>) {
    assert_eq!(world.write(async |tx| commit_clock::find(tx).await).await, SyncTs(0));
    for (to, then) in [(5, 5), (3, 5), (1 << 62, 1 << 62), (7, 1 << 62)] {
        world.write(async |tx| commit_clock::raise(tx, SyncTs(to)).await).await;
        assert_eq!(world.write(async |tx| commit_clock::find(tx).await).await, SyncTs(then));
    }
}
