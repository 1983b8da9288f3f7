//! The store, held to the same cases on SQLite and on PostgreSQL.
//!
//! A case is an `async fn(Arc<World>)` in the file of its store module, listed there by `cases!` with the functions that it
//! proves; each runs once per database as a test of its own, in a database of its own. A public store function without a case
//! fails `every_public_store_function_has_a_case`. Writes with a guard are raced from two pools by [`World::race`].

mod world;

mod agent_configs;
mod agents;
mod artifacts;
mod audit;
mod backlog;
mod chatrooms;
mod commands;
mod commit_clock;
mod contexts;
mod credentials;
mod daemon_sessions;
mod desired;
mod device_logins;
mod idempotency;
mod inputs;
mod machines;
mod messages;
mod models;
mod participants;
mod passwords;
mod permissions;
mod queue;
mod replicas;
mod rules;
mod tasks;
mod teams;
mod transcripts;
mod users;

pub(crate) use world::{NOW, World};

/// Lists the cases of a file and the store functions that each proves, and makes a test of each for each database.
macro_rules! cases {
    ($($case:ident: [$($function:literal),+ $(,)?];)+) => {
        /// Functions that the cases of this file prove.
        pub(super) const PROVED: &[&str] = &[$($($function),+),+];

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::super::world::run(chatroom_server::store::Backend::Sqlite, super::$case).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::super::world::run(chatroom_server::store::Backend::Postgres, super::$case).await;
            })+
        }
    };
}
use cases;

/// What the cases prove, file by file.
const PROVED: &[&[&str]] = &[
    agent_configs::PROVED,
    agents::PROVED,
    artifacts::PROVED,
    audit::PROVED,
    backlog::PROVED,
    chatrooms::PROVED,
    commands::PROVED,
    commit_clock::PROVED,
    contexts::PROVED,
    credentials::PROVED,
    daemon_sessions::PROVED,
    desired::PROVED,
    device_logins::PROVED,
    idempotency::PROVED,
    inputs::PROVED,
    machines::PROVED,
    messages::PROVED,
    models::PROVED,
    participants::PROVED,
    passwords::PROVED,
    permissions::PROVED,
    queue::PROVED,
    replicas::PROVED,
    rules::PROVED,
    tasks::PROVED,
    teams::PROVED,
    transcripts::PROVED,
    users::PROVED,
];

#[test]
fn every_public_store_function_has_a_case() {
    let store = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut functions = Vec::new();
    for entry in std::fs::read_dir(store).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // `mod.rs` opens and begins; every case does.
        if path.extension().is_none_or(|extension| extension != "rs") || module == "mod" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        functions.extend(text.lines().filter_map(|line| {
            let name = line.trim_start().strip_prefix("pub async fn ")?;
            Some(format!("{module}::{}", name.split(['(', '<']).next().unwrap()))
        }));
    }
    assert!(functions.len() > 40, "the scan finds hardly anything: {functions:?}");
    let proved: Vec<&str> = PROVED.iter().copied().flatten().copied().collect();
    let without: Vec<&String> = functions.iter().filter(|function| !proved.contains(&function.as_str())).collect();
    assert!(without.is_empty(), "store functions without a case in tests/it/conformance: {without:?}");
    let gone: Vec<&&str> = proved.iter().filter(|name| !functions.iter().any(|function| function == **name)).collect();
    assert!(gone.is_empty(), "cases name store functions that are not there: {gone:?}");
}

#[test]
fn both_databases_have_the_same_migrations() {
    let migrations = |backend: &str| {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(backend);
        let mut files: Vec<(String, String)> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    assert_eq!(migrations("sqlite"), migrations("postgres"));
}
