//! Wakes between replicas over PostgreSQL `LISTEN`. A notification is a hint: after every (re)connect everybody is woken once.

use super::Hub;
use sqlx::postgres::PgListener;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Passes notifications of other replicas on to the hub until shutdown; reconnects by itself.
pub async fn run(url: String, hub: Arc<Hub>, shutdown: CancellationToken) {
    loop {
        let ended = tokio::select! {
            () = shutdown.cancelled() => return,
            ended = listen(&url, &hub) => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "lost the PostgreSQL listener; live updates from other replicas are late until it is back");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

async fn listen(url: &str, hub: &Hub) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen("chatroom").await?;
    hub.wake_all();
    loop {
        match listener.try_recv().await? {
            Some(notification) => hub.heard(notification.payload()),
            // The connection was lost and is restored by the next call: what was said in between is gone.
            None => hub.wake_all(),
        }
    }
}
