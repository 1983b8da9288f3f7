use super::*;
use chatroom_protocol::tool::ToolStatus;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

const NOW: UnixMs = UnixMs(1_000);

fn fingerprint(text: &str) -> Fingerprint {
    Fingerprint::of(Some(text), None)
}

fn temporary() -> (tempfile::TempDir, Home) {
    let root = tempfile::tempdir().unwrap();
    let home = Home::at(root.path().join("home"));
    (root, home)
}

/// A home whose machine.json has this content.
fn home_with(content: &str) -> (tempfile::TempDir, Home) {
    let (root, home) = temporary();
    home.create().unwrap();
    std::fs::write(home.machine_json(), content).unwrap();
    (root, home)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_use_makes_a_private_file_and_the_second_keeps_its_id() {
    let (_root, home) = temporary();
    let (first, created) = load_or_create(&home, &fingerprint("a"), NOW).unwrap();
    assert_eq!(created, Created::New);
    assert!(first.machine_id.is_uuid());
    assert_eq!(uuid::Uuid::parse_str(first.machine_id.as_str()).unwrap().get_version_num(), 4);
    assert_eq!((mode(home.path()), mode(&home.machine_json())), (0o700, 0o600));
    let (second, created) = load_or_create(&home, &fingerprint("a"), NOW + 1).unwrap();
    assert_eq!((second, created), (first, Created::Existing));
}

#[test]
fn creation_by_eight_threads_gives_one_identity() {
    let (_root, home) = temporary();
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| load_or_create(&home, &fingerprint("a"), NOW).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|(_, created)| *created == Created::New).count(), 1);
    assert!(made.iter().all(|(file, _)| file.machine_id == made[0].0.machine_id));
}

#[test]
fn creation_by_eight_processes_gives_one_identity() {
    // Each process runs this very test with the variable set and tells what it got in a file of its own.
    if let Some(directory) = std::env::var_os("CHATROOM_TEST_CREATE_IN") {
        let directory = PathBuf::from(directory);
        let (file, _) = load_or_create(&Home::at(directory.join("home")), &fingerprint("a"), NOW).unwrap();
        std::fs::write(directory.join(std::process::id().to_string()), file.machine_id.as_str()).unwrap();
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let processes: Vec<_> = (0..8)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "identity::storage::tests::creation_by_eight_processes_gives_one_identity"])
                .env("CHATROOM_TEST_CREATE_IN", root.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    let expected = load(&Home::at(root.path().join("home"))).unwrap().unwrap().machine_id.0;
    let told: Vec<_> = std::fs::read_dir(root.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert_eq!(told, vec![expected; 8]);
}

#[test]
fn a_damaged_file_is_refused_with_the_repair_and_left_untouched() {
    let id = "5f0c3a52-3f0e-4c1c-9a44-0d3c7c2f8a11";
    let rest = r#""hostname":"h","os":"linux","arch":"x","registeredAt":1"#;
    for content in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"version":0,"machineId":"{id}",{rest}}}"#),
        format!(r#"{{"version":"1","machineId":"{id}",{rest}}}"#),
        format!(r#"{{"version":1,"machineId":"not-a-uuid",{rest}}}"#),
        format!(r#"{{"version":1,{rest}}}"#),
    ] {
        let (_root, home) = home_with(&content);
        let error = load_or_create(&home, &fingerprint("a"), NOW).unwrap_err();
        assert!(matches!(error, IdentityError::Damaged { .. }), "{content}: {error}");
        assert!(error.to_string().contains("machine.json") && error.hint().contains("chatroom machine repair --new"));
        assert!(update(&home, &fingerprint("a"), |_| ()).is_err());
        assert!(repair_moved(&home, &fingerprint("a")).is_err());
        assert_eq!(std::fs::read_to_string(home.machine_json()).unwrap(), content);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_a_missing_file() {
    let (_root, home) = temporary();
    std::fs::create_dir_all(home.machine_json()).unwrap();
    let error = load_or_create(&home, &fingerprint("a"), NOW).unwrap_err();
    assert!(matches!(error, IdentityError::File { .. }), "{error}");
}

#[test]
fn a_newer_version_is_refused_and_left_untouched() {
    let (_root, home) = home_with(r#"{"version":2,"identity":{}}"#);
    let error = load_or_create(&home, &fingerprint("a"), NOW).unwrap_err();
    assert!(matches!(error, IdentityError::Newer { found: 2, .. }), "{error}");
    assert!(error.hint().contains("chatroom machine repair --new"));
    assert_eq!(std::fs::read_to_string(home.machine_json()).unwrap(), r#"{"version":2,"identity":{}}"#);
}

#[test]
fn version_one_stays_readable() {
    let (_root, home) = home_with(include_str!("../fixtures/machine-v1.json"));
    let file = load(&home).unwrap().unwrap();
    assert_eq!(file.machine_id.as_str(), "5f0c3a52-3f0e-4c1c-9a44-0d3c7c2f8a11");
    assert_eq!(file.registered_at, UnixMs(1_795_332_324_886));
    assert_eq!(file.last_synced_at, Some(UnixMs(1_795_332_999_000)));
    assert_eq!(file.available_tools.len(), 3);
    assert_eq!(file.available_tools[0].status, ToolStatus::Ok { version: "1.18.33".to_owned() });
    let context = &file.agents[&ChatroomId::from("0199c1f0-7a2b-7cc0-8000-000000000001")]["builder"];
    assert_eq!(context.working_dir, "/home/me/project");
    // What is written is the same document.
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/machine-v1.json")).unwrap();
    assert_eq!(serde_json::to_value(&file).unwrap(), fixture);
}

#[test]
fn what_a_newer_program_added_survives_a_change() {
    let mut document: Value = serde_json::from_str(include_str!("../fixtures/machine-v1.json")).unwrap();
    document["colour"] = Value::from("green");
    document["availableTools"][0]["status"] = Value::from("asleep");
    let (_root, home) = home_with(&document.to_string());
    let (file, ()) = update(&home, &fingerprint("a"), |file| file.server = Some("https://b".to_owned())).unwrap();
    assert_eq!(file.available_tools.len(), 2);
    let written: Value = serde_json::from_slice(&std::fs::read(home.machine_json()).unwrap()).unwrap();
    assert_eq!((&written["colour"], &written["server"]), (&Value::from("green"), &Value::from("https://b")));
}

#[test]
fn an_update_keeps_the_id_and_learns_a_fingerprint_that_was_unknown() {
    let (_root, home) = temporary();
    assert!(matches!(update(&home, &fingerprint("a"), |_| ()).unwrap_err(), IdentityError::Missing { .. }));
    let (made, _) = load_or_create(&home, &Fingerprint::default(), NOW).unwrap();
    let (changed, ()) = update(&home, &fingerprint("a"), |file| {
        file.machine_id = "other".into();
        file.last_synced_at = Some(UnixMs(5));
        file.remember_agent(&"room".into(), "builder", Some("echo".into()), "/tmp", UnixMs(6));
    })
    .unwrap();
    assert_eq!((&changed.machine_id, changed.last_synced_at), (&made.machine_id, Some(UnixMs(5))));
    assert_eq!(load(&home).unwrap().unwrap(), changed);
    // From now on it is known, and a machine that cannot tell is trusted.
    assert!(matches!(update(&home, &fingerprint("b"), |_| ()).unwrap_err(), IdentityError::Mismatch { .. }));
    update(&home, &Fingerprint::default(), |file| file.remember_agent(&"room".into(), "builder", None, "/", NOW))
        .unwrap();
    let context = load(&home).unwrap().unwrap().agents[&"room".into()]["builder"].clone();
    assert_eq!((context.tool, context.working_dir.as_str()), (Some("echo".into()), "/"));
}

#[test]
fn a_copied_identity_is_refused_until_the_user_says_which_it_is() {
    let (_root, home) = temporary();
    let (made, _) = load_or_create(&home, &fingerprint("a"), NOW).unwrap();
    let error = load_or_create(&home, &fingerprint("b"), NOW).unwrap_err();
    assert!(error.to_string().contains("copied or moved"), "{error}");
    assert!(error.hint().contains("chatroom machine repair --moved"), "{}", error.hint());
    assert_eq!(load(&home).unwrap().unwrap(), made);

    assert_eq!(repair_moved(&home, &fingerprint("b")).unwrap().machine_id, made.machine_id);
    load_or_create(&home, &fingerprint("b"), NOW).unwrap();
}

#[test]
fn a_new_identity_keeps_the_old_file_as_a_backup() {
    for content in [include_str!("../fixtures/machine-v1.json"), "garbage"] {
        let (_root, home) = home_with(content);
        let (file, backup) = repair_new(&home, &fingerprint("b"), NOW).unwrap();
        assert_ne!(file.machine_id.as_str(), "5f0c3a52-3f0e-4c1c-9a44-0d3c7c2f8a11");
        assert!(file.agents.is_empty());
        assert_eq!(std::fs::read_to_string(backup.unwrap()).unwrap(), content);
        assert_eq!(load_or_create(&home, &fingerprint("b"), NOW).unwrap().0, file);
    }
    let (_root, home) = temporary();
    assert_eq!(repair_new(&home, &fingerprint("b"), NOW).unwrap().1, None);
}

#[test]
fn a_registered_machine_that_lost_its_file_becomes_no_other_machine_by_itself() {
    let (_root, home) = temporary();
    let (made, _) = load_or_create(&home, &fingerprint("a"), NOW).unwrap();
    let server = crate::ServerUrl::parse("https://rooms.example.org", false).unwrap();
    let registered = made.machine_id.clone();
    credentials::update(&home, |all| all.login_mut(&server).machine_id = Some(registered)).unwrap();
    std::fs::remove_file(home.machine_json()).unwrap();
    let error = load_or_create(&home, &fingerprint("a"), NOW).unwrap_err();
    assert!(matches!(&error, IdentityError::Lost { machine_id, .. } if *machine_id == made.machine_id), "{error}");
    assert!(error.hint().contains("machine repair --new"), "{error}");
    assert!(!home.machine_json().exists());
    let (repaired, backup) = repair_new(&home, &fingerprint("a"), NOW).unwrap();
    assert_eq!(backup, None);
    assert_eq!(load_or_create(&home, &fingerprint("a"), NOW).unwrap(), (repaired, Created::Existing));
}
