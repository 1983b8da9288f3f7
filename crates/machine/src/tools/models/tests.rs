use super::*;
use crate::tools::registry::find;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// A stand-in for a tool: a shell script in a directory of its own.
struct Stub {
    root: tempfile::TempDir,
    program: PathBuf,
    env: BTreeMap<String, String>,
}

impl Stub {
    fn new(script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("tool");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Self { root, program, env }
    }

    async fn models(&self, tool: &str, limit: Duration) -> Result<ModelList, CommandFailure> {
        let ask = Ask {
            tool: find(tool).unwrap(),
            program: &self.program,
            adapter: None,
            env: &self.env,
            dir: self.root.path(),
        };
        list_within(&ask, limit).await
    }
}

fn ids(list: &ModelList) -> Vec<&str> {
    list.models.iter().map(|model| model.id.as_str()).collect()
}

/// Speaks the Agent Client Protocol as far as a new session; `answer` is the result or error of that.
fn acp(answer: &str) -> Stub {
    Stub::new(&format!(
        r#"[ "$*" = acp ] || [ "$*" = --acp ] || exit 9
read hello
echo 'a banner'
echo '{{"jsonrpc":"2.0","method":"_auth/status_update","params":{{}}}}'
echo '{{"jsonrpc":"2.0","id":7,"method":"fs/read_text_file","params":{{}}}}'
read refused
case "$refused" in *-32601*) ;; *) exit 8 ;; esac
echo '{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":1}}}}'
read new
case "$new" in *session/new*) ;; *) exit 7 ;; esac
setsid sleep 1000 &
echo $! > left
echo '{{"jsonrpc":"2.0","id":2,{answer}}}'
cat > /dev/null"#
    ))
}

#[tokio::test]
async fn a_session_tells_its_models_and_leaves_no_process() {
    let stub = acp(
        r#""result":{"sessionId":"s","configOptions":[{"id":"mode","category":"mode","options":[]},{"id":"m","category":"model","currentValue":"p/b","options":[{"name":"P","options":[{"value":"p/a","name":"A"},{"value":"p/b","name":"B"}]},{"value":"q/c"}]}]}"#,
    );
    let found = stub.models("opencode", LIMIT).await.unwrap();
    assert_eq!(ids(&found), ["p/a", "p/b", "q/c"]);
    assert_eq!((found.models[0].name.as_str(), found.default.as_deref(), found.is_complete), ("A", Some("p/b"), true));
    // What it started in a session of its own is gone, too; it may be a zombie until the init of this machine reaps it.
    let left = fs::read_to_string(stub.root.path().join("left")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", left.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

#[tokio::test]
async fn an_older_list_is_read_and_a_flag_takes_other_names_too() {
    let stub = acp(
        r#""result":{"sessionId":"s","models":{"availableModels":[{"modelId":"auto","name":"Auto"}],"currentModelId":"auto"}}"#,
    );
    let found = stub.models("gemini", LIMIT).await.unwrap();
    assert_eq!((ids(&found), found.is_complete), (vec!["auto"], false));
}

#[tokio::test]
async fn who_is_not_signed_in_is_told_how_to() {
    let stub = acp(r#""error":{"code":-32000,"message":"Authentication required"}"#);
    let failure = stub.models("opencode", LIMIT).await.unwrap_err();
    assert_eq!((failure.code, failure.hint.as_deref()), (FailureCode::NotSignedIn, Some("opencode auth login")));
    let stub = acp(r#""error":{"code":-32603,"message":"Internal error","data":{"message":"no such model"}}"#);
    let failure = stub.models("opencode", LIMIT).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::SpawnFailed);
    assert!(failure.message.contains("no such model"), "{failure:?}");
}

#[tokio::test]
async fn a_tool_that_ends_hangs_or_is_not_there_is_said_so() {
    let failure = Stub::new("echo 'no config' >&2; exit 3").models("opencode", LIMIT).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ExitedAtOnce);
    assert!(failure.message.contains("exit status: 3") && failure.message.ends_with(": no config"), "{failure:?}");

    let begun = std::time::Instant::now();
    let hung = Stub::new("trap '' TERM; sleep 1000 & wait; wait").models("opencode", Duration::from_millis(300)).await;
    assert!(hung.unwrap_err().message.contains("has not told its models"));
    assert!(begun.elapsed() < LIMIT);

    let stub = Stub::new("");
    fs::remove_file(&stub.program).unwrap();
    assert_eq!(stub.models("opencode", LIMIT).await.unwrap_err().code, FailureCode::ToolMissing);
    assert_eq!(stub.models("echo", LIMIT).await.unwrap_err().code, FailureCode::Unsupported);
}

#[tokio::test]
async fn claude_codex_and_pi_are_asked_in_their_own_way() {
    let claude = Stub::new(
        r#"read hello
case "$hello" in *initialize*) ;; *) exit 8 ;; esac
echo '{"type":"system","subtype":"x"}'
echo '{"type":"control_response","response":{"subtype":"success","request_id":"models","response":{"models":[{"value":"default","displayName":"Default"},{"value":"opus","displayName":"Opus"}]}}}'
cat > /dev/null"#,
    );
    let found = claude.models("claude", LIMIT).await.unwrap();
    assert_eq!((ids(&found), found.is_complete), (vec!["default", "opus"], false));

    let codex = Stub::new(
        r#"[ "$*" = 'debug models' ] || exit 9
echo '{"models":[{"slug":"a","display_name":"A","visibility":"list"},{"slug":"b","display_name":"B","visibility":"hide"}]}'"#,
    );
    let found = codex.models("codex", LIMIT).await.unwrap();
    assert_eq!((ids(&found), found.is_complete), (vec!["a"], false));

    let pi = Stub::new(
        "[ \"$*\" = --list-models ] || exit 9\nprintf 'provider  model  context\\nscripted  model-1  100K\\n'",
    );
    assert_eq!(ids(&pi.models("pi", LIMIT).await.unwrap()), ["scripted/model-1"]);
}
