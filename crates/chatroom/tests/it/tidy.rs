//! What holds for the tree as a whole: the edges between crates, where SQL and processes may be, what stands at the front door.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sources(dir: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut todo = vec![root().join(dir)];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn dependencies(krate: &str) -> String {
    let manifest = fs::read_to_string(root().join(format!("crates/{krate}/Cargo.toml"))).unwrap();
    let start = manifest.find("[dependencies]").unwrap();
    let end = manifest.find("[dev-dependencies]").unwrap_or(manifest.len());
    manifest[start..end].to_owned()
}

#[test]
fn server_and_machine_never_see_each_other_and_protocol_sees_nobody() {
    assert!(!dependencies("server").contains("chatroom-machine"));
    assert!(!dependencies("machine").contains("chatroom-server"));
    for forbidden in ["chatroom-", "tokio", "sqlx", "axum", "reqwest"] {
        assert!(!dependencies("protocol").contains(forbidden), "protocol depends on {forbidden}");
    }
    for forbidden in ["sqlx", "axum"] {
        assert!(!dependencies("machine").contains(forbidden), "machine depends on {forbidden}");
    }
}

#[test]
fn sql_stands_in_the_store_only() {
    for krate in ["protocol", "server", "machine", "chatroom"] {
        for (name, text) in sources(&format!("crates/{krate}/src")) {
            if name.starts_with("crates/server/src/store/") {
                continue;
            }
            for (number, line) in text.lines().enumerate() {
                let sql = ["SELECT ", "INSERT INTO ", "DELETE FROM "].iter().any(|word| line.contains(word))
                    || (line.contains("UPDATE ") && line.contains(" SET "));
                assert!(!sql, "{name}:{}: SQL outside the store: {line}", number + 1);
            }
        }
    }
}

#[test]
fn the_server_starts_no_process_and_protocol_asks_no_clock() {
    for (name, text) in sources("crates/server/src") {
        assert!(!text.contains("process::Command"), "{name} starts processes");
    }
    for (name, text) in sources("crates/protocol/src") {
        for forbidden in ["SystemTime", "Instant::now", "std::fs", "std::net", "async fn"] {
            assert!(!text.contains(forbidden), "{name} uses {forbidden}");
        }
    }
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |backend: &str| {
        let dir = root().join("crates/server/migrations").join(backend);
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    for krate in ["protocol", "server", "machine", "chatroom"] {
        for (name, text) in sources(&format!("crates/{krate}")) {
            assert!(text.lines().count() <= 800, "{name} has {} lines: split it", text.lines().count());
        }
    }
}

#[test]
fn the_front_door_is_there() {
    for file in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "Makefile", ".ci/run", "docs/adr"] {
        assert!(root().join(file).exists(), "{file} is missing");
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains("make up") && readme.contains("make test"));
    assert!(fs::read_to_string(root().join(".ci/run")).unwrap().contains("make test"));
}
