//! The complete environment of an agent: what its tool needs from the user's, and what makes it an agent.

use super::launch::Launch;
use super::process::RUN_ID_VARIABLE;
use super::run_dir::RunDir;
use crate::ServerUrl;
use crate::config::Config;
use crate::home::Home;
use crate::tools::{Detection, ToolSpec, spawn_path_for, tool_environment};
use chatroom_protocol::command::StartOrder;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What an agent's environment is made from.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The chatroom directory.
    pub home: &'a Home,
    /// The owner's settings.
    pub config: &'a Config,
    /// What detection found.
    pub detection: &'a Detection,
    /// The server that the agent talks to.
    pub server: &'a ServerUrl,
}

/// Makes the environment of the agent of `order`. `process` is the daemon's own environment; only what is on the allow
/// list passes. Variables that are not text are left out.
#[must_use]
pub fn agent_environment(
    surroundings: Surroundings<'_>,
    spec: &ToolSpec,
    order: &StartOrder,
    launch: &Launch,
    run: &RunDir,
    process: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<String, String> {
    let Surroundings { home, config, detection, server } = surroundings;
    let path = spawn_path_for(&detection.spawn_path, &launch.program);
    let passed = tool_environment(spec, config, process, &detection.environment, OsStr::new(&path));
    let mut environment: BTreeMap<String, String> = passed
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let ours = [
        // An editor would wait for a person.
        ("GIT_EDITOR", "true".to_owned()),
        ("GIT_SEQUENCE_EDITOR", "true".to_owned()),
        ("TMPDIR", text(&run.tmp())),
        (RUN_ID_VARIABLE, order.agent_id.to_string()),
        ("CHATROOM_AGENT_ID", order.agent_id.to_string()),
        ("CHATROOM_HOME", text(home.path())),
        ("CHATROOM_SERVER", server.to_string()),
        ("CHATROOM_CREDENTIAL_FILE", text(&run.credential())),
    ];
    let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value));
    for (name, value) in ours.chain(launch.env.iter().cloned()) {
        environment.insert(name, value);
    }
    environment
}
