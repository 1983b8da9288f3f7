//! A thousand sockets that wait, and one change: who hears of it, and whether the others make it slower.

use super::probe::server;
use crate::support::{Socket, TestServer};
use futures_util::StreamExt as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use std::time::{Duration, Instant};

const IDLE: usize = 1000;
const CHANGES: u32 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_its_watchers_only_and_is_not_slowed_by_idle_sockets() {
    allow_open_files();
    let server = server().await;
    let mut idle = watch_others(&server, 0, 10).await;
    let mut watchers = Vec::new();
    for at in 0..3 {
        let mut socket = server.signed_in_socket(&format!("w{at}"), &server.token).await;
        socket.subscribe(0, 0, "probe:read", json!({"cell": "changing"})).await;
        socket.transition().await;
        watchers.push(socket);
    }
    let among_few = median_latency(&server, &mut watchers).await;
    idle.extend(watch_others(&server, 10, IDLE).await);
    let reads = server.executions("probe.read");
    let among_many = median_latency(&server, &mut watchers).await;
    assert_eq!(server.executions("probe.read") - reads, u64::from(CHANGES), "only what changed is read, and once");
    let heard = idle.iter_mut().map(|socket| socket.next_within(Duration::from_millis(1)));
    let heard = futures_util::future::join_all(heard).await;
    assert_eq!(heard.iter().flatten().filter(|message| message["type"] != "Ping").count(), 0, "others hear nothing");
    let ratio = among_many.as_secs_f64() / among_few.as_secs_f64();
    assert!(ratio < 4.0, "{among_few:?} among 10, {among_many:?} among {IDLE}: {ratio:.1} times");
    server.stop().await;
}

/// Both ends of every socket are here: more than many systems allow a process at first.
fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Sockets from one number to another, each with a cell of its own that never changes.
async fn watch_others(server: &TestServer, from: usize, to: usize) -> Vec<Socket> {
    let sockets = (from..to).map(async |at| {
        let mut socket = server.signed_in_socket(&format!("i{at}"), &server.token).await;
        socket.subscribe(0, 0, "probe:read", json!({"cell": format!("idle {at}")})).await;
        socket.transition().await;
        socket
    });
    futures_util::stream::iter(sockets).buffered(50).collect().await
}

/// From the call of the mutation to the last watcher's frame.
async fn median_latency(server: &TestServer, watchers: &mut [Socket]) -> Duration {
    let mut times = Vec::new();
    for _ in 0..CHANGES {
        let begin = Instant::now();
        server.raise("changing").await;
        for socket in &mut *watchers {
            assert_eq!(socket.transition().await.len(), 1);
        }
        times.push(begin.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}
