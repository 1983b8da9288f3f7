use super::*;
use std::os::unix::fs::PermissionsExt as _;

const FIXTURE: &str = r#"{
  "version": 1,
  "defaultServer": "https://rooms.example.org",
  "servers": {
    "https://rooms.example.org": {
      "userToken": "ctl_o_user", "userName": "ada", "machineToken": "ctl_m_machine",
      "machineId": "5f0c3a52-3f0e-4c1c-9a44-0d3c7c2f8a11"
    },
    "http://127.0.0.1:7420": { "userToken": "ctl_o_local" }
  }
}"#;

fn temporary() -> (tempfile::TempDir, Home) {
    let root = tempfile::tempdir().unwrap();
    let home = Home::at(root.path().join("home"));
    (root, home)
}

fn home_with(content: &str) -> (tempfile::TempDir, Home) {
    let (root, home) = temporary();
    home.create().unwrap();
    std::fs::write(home.credentials_json(), content).unwrap();
    (root, home)
}

fn url(text: &str) -> ServerUrl {
    ServerUrl::parse(text, true).unwrap()
}

/// Resolves with these variables; gives server, token and where it came from.
fn resolved(home: &Home, variables: &[(&str, &str)]) -> Result<(String, Option<String>, Source), CredentialsError> {
    let env = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let Resolved { server, token, source } = resolve(home, &env)?;
    Ok((server.to_string(), token.map(|token| token.expose().to_owned()), source))
}

#[test]
fn a_login_to_another_server_is_kept() {
    let (_root, home) = temporary();
    for (server, token) in [("https://a.example.org/", "1"), ("https://b.example.org", "2")] {
        update(&home, |all| all.sign_in(&url(server), token.into(), Some("ada".to_owned()))).unwrap();
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(home.path()), mode(&home.credentials_json())), (0o700, 0o600));
    let login = Source::Login { user_name: Some("ada".to_owned()) };
    assert_eq!(
        resolved(&home, &[]).unwrap(),
        ("https://b.example.org".to_owned(), Some("2".to_owned()), login.clone())
    );
    let named = resolved(&home, &[("CHATROOM_SERVER", "https://a.example.org")]).unwrap();
    assert_eq!(named, ("https://a.example.org".to_owned(), Some("1".to_owned()), login));

    let gone = update(&home, |all| all.sign_out(&url("https://b.example.org"))).unwrap().unwrap();
    assert_eq!(gone.user_token, Some("2".into()));
    assert!(matches!(resolved(&home, &[]), Err(CredentialsError::NoServer)));
    assert!(load(&home).unwrap().login(&url("https://a.example.org")).is_some());
}

#[test]
fn version_one_stays_readable() {
    let (_root, home) = home_with(FIXTURE);
    let all = load(&home).unwrap();
    let login = all.login(&url("https://rooms.example.org")).unwrap();
    assert_eq!(login.machine_token, Some("ctl_m_machine".into()));
    assert_eq!(login.machine_id, Some("5f0c3a52-3f0e-4c1c-9a44-0d3c7c2f8a11".into()));
    assert_eq!(serde_json::to_value(&all).unwrap(), serde_json::from_str::<serde_json::Value>(FIXTURE).unwrap());
}

#[test]
fn an_agent_speaks_for_itself_whatever_else_there_is() {
    let (root, home) = home_with(FIXTURE);
    let path = root.path().join("credential.json");
    let credential = AgentCredential::new(
        &url("http://10.0.0.1:7420"),
        "ctl_a_agent".into(),
        "agent".into(),
        "room".into(),
        "builder".to_owned(),
    );
    credential.save(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let file = path.to_str().unwrap();
    let variables = [("CHATROOM_CREDENTIAL_FILE", file), ("CHATROOM_TOKEN", "t"), ("CHATROOM_SERVER", "https://x")];
    let (server, token, source) = resolved(&home, &variables).unwrap();
    assert_eq!((server.as_str(), token.as_deref()), ("http://10.0.0.1:7420", Some("ctl_a_agent")));
    assert_eq!(source, Source::Agent(credential));

    // Gone or damaged: never the user's login instead.
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(resolved(&home, &variables), Err(CredentialsError::Damaged { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(resolved(&home, &variables), Err(CredentialsError::File { .. })));
}

#[test]
fn a_script_may_bring_its_token_and_an_empty_variable_is_none() {
    let (_root, home) = temporary();
    let variables = [("CHATROOM_SERVER", "https://x.example.org/"), ("CHATROOM_TOKEN", "t")];
    let expected = ("https://x.example.org".to_owned(), Some("t".to_owned()), Source::Environment);
    assert_eq!(resolved(&home, &variables).unwrap(), expected);
    let variables =
        [("CHATROOM_SERVER", "https://x.example.org"), ("CHATROOM_TOKEN", ""), ("CHATROOM_CREDENTIAL_FILE", "")];
    assert_eq!(resolved(&home, &variables).unwrap(), ("https://x.example.org".to_owned(), None, Source::Nobody));
    let error = resolved(&home, &[("CHATROOM_SERVER", "")]).unwrap_err();
    assert!(error.hint().contains("chatroom auth login"));
}

#[test]
fn plain_http_to_another_machine_is_refused_unless_it_was_allowed() {
    let (_root, home) = temporary();
    let server = ("CHATROOM_SERVER", "http://10.0.0.1:7420");
    let error = resolved(&home, &[server]).unwrap_err();
    assert!(error.hint().contains("--insecure-http"), "{error}");
    assert!(resolved(&home, &[server, ("CHATROOM_INSECURE_HTTP", "1")]).is_ok());
    assert!(resolved(&home, &[server, ("CHATROOM_INSECURE_HTTP", "0")]).is_err());
    // Allowed once, at the login.
    update(&home, |all| all.sign_in(&url(server.1), "t".into(), None)).unwrap();
    assert_eq!(resolved(&home, &[]).unwrap().1, Some("t".to_owned()));
    // The command line goes before the environment.
    let choice = Choice { server: Some("https://c.example.org".to_owned()), insecure_http: false };
    assert_eq!(resolve_choice(&home, &|_| None, &choice).unwrap().server.as_str(), "https://c.example.org");
}

#[test]
fn a_damaged_or_newer_file_is_refused_without_showing_it_and_left_untouched() {
    for content in ["", "{", r#"{"version":1,"servers":{"https://a":{"userToken":["hunter2"]}}}"#, r#"{"version":2}"#] {
        let (_root, home) = home_with(content);
        let error = resolved(&home, &[]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(update(&home, |all| all.default_server = None).is_err());
        assert_eq!(std::fs::read_to_string(home.credentials_json()).unwrap(), content);
    }
}

#[test]
fn tokens_are_not_in_debug_texts() {
    let (_root, home) = home_with(FIXTURE);
    let text = format!("{:?} {:?}", load(&home).unwrap(), resolve(&home, &|_| None).unwrap());
    assert!(!text.contains("ctl_"), "{text}");
}

#[test]
fn logins_at_the_same_time_are_all_kept() {
    let (_root, home) = temporary();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let home = &home;
            scope.spawn(move || {
                let server = url(&format!("https://{number}.example.org"));
                update(home, |all| all.sign_in(&server, "t".into(), None)).unwrap();
            });
        }
    });
    assert_eq!(load(&home).unwrap().servers.len(), 8);
}

#[test]
fn another_user_at_the_same_server_does_not_get_the_credential_of_the_machine() {
    let (_root, home) = home_with(FIXTURE);
    let server = url("https://rooms.example.org");
    let machine_token = |all: &Credentials| all.login(&server).and_then(|login| login.machine_token.clone());
    update(&home, |all| all.sign_in(&server, "again".into(), Some("Ada".to_owned()))).unwrap();
    assert_eq!(machine_token(&load(&home).unwrap()), Some("ctl_m_machine".into()));
    update(&home, |all| all.sign_in(&server, "other".into(), Some("bob".to_owned()))).unwrap();
    let stored = load(&home).unwrap();
    assert_eq!(machine_token(&stored), None);
    assert_eq!(stored.known_machine().map(|(server, _)| server), Some("https://rooms.example.org"));
}
