//! The environment that tools are run with: an allow list, never everything.
//!
//! Agents pass their environment to every command that a model writes, so what is not needed must not be in it. Names come from
//! three lists: the common ones below, the tool's own, and the owner's `env_pass`. Nothing that begins with `CHATROOM_` passes:
//! what an agent needs of that, the daemon sets itself.

use super::{ShellEnvironment, ToolSpec, Tools};
use crate::config::Config;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What every tool may see: who and where the user is, language, proxies and certificates, and where developers' tools are kept.
/// Nothing that changes how programs are loaded (`LD_*`, `NODE_OPTIONS`, `BASH_ENV`).
const COMMON: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_*",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "GNUPGHOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "*_HOME",
    "NVM_DIR",
    "NVM_BIN",
    "FNM_DIR",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "MISE_DATA_DIR",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "BUN_INSTALL",
    "DENO_DIR",
    "GOPATH",
    "GOROOT",
    "GOPROXY",
    "NPM_CONFIG_*",
    "npm_config_*",
    "PIP_INDEX_URL",
];

/// The environment for a process of `spec`: common names, the tool's names and the owner's `env_pass`, from `process` (first)
/// or the login shell, with `PATH` set to `path`. Nothing that begins with `CHATROOM_` passes.
#[must_use]
pub fn tool_environment(
    spec: &ToolSpec,
    config: &Config,
    process: impl IntoIterator<Item = (OsString, OsString)>,
    shell: &ShellEnvironment,
    path: &OsStr,
) -> BTreeMap<OsString, OsString> {
    let passes = |name: &str| {
        passes(name, COMMON) || passes(name, &spec.env) || config.env_pass.iter().any(|pattern| matches(pattern, name))
    };
    let mut environment: BTreeMap<OsString, OsString> = shell
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    let process = process.into_iter().filter(|(name, _)| name.to_str().is_some_and(passes));
    environment.extend(process);
    environment.retain(|name, _| is_ours(name));
    environment.insert("PATH".into(), path.to_owned());
    environment
}

/// Whether a variable of the login shell is worth keeping: `PATH`, and what any tool may get.
pub(crate) fn is_wanted(name: &str, tools: &Tools, config: &Config) -> bool {
    name == "PATH"
        || is_ours(OsStr::new(name))
            && (passes(name, COMMON)
                || tools.iter().any(|spec| passes(name, &spec.env))
                || config.env_pass.iter().any(|pattern| matches(pattern, name)))
}

/// `base` with the directory of `program` in front: tools that are scripts must find the interpreter beside them, not another
/// one. A directory of the system stays where it is, so that it does not go before what the user has put before it.
#[must_use]
pub fn spawn_path_for(base: &str, program: &Path) -> String {
    const SYSTEM: &[&str] = &["/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin", "/usr/local/sbin"];
    let Some(directory) = program.parent().and_then(Path::to_str).filter(|directory| directory.starts_with('/')) else {
        return base.to_owned();
    };
    if SYSTEM.contains(&directory) && base.split(':').any(|entry| entry == directory) {
        return base.to_owned();
    }
    std::iter::once(directory).chain(base.split(':').filter(|entry| *entry != directory)).collect::<Vec<_>>().join(":")
}

/// Makes one search path of this process's and the login shell's: absolute entries only (a relative one means something else in
/// every directory), each once. The process goes first, because its user may have prepared it (a virtual environment); when
/// it has nothing of its own (started by a service manager), the order is the shell's.
pub(crate) fn join_paths(process: &str, shell: &str) -> String {
    let entries = |path: &str| -> Vec<String> {
        let entries = path.split(':').filter(|entry| entry.starts_with('/'));
        entries.map(|entry| if entry.len() > 1 { entry.trim_end_matches('/') } else { entry }.to_owned()).collect()
    };
    let (process, shell) = (entries(process), entries(shell));
    let prepared = process.iter().any(|entry| !shell.contains(entry));
    let mut joined: Vec<String> = Vec::new();
    for entry in if prepared { process.into_iter().chain(shell) } else { shell.into_iter().chain(process) } {
        if !joined.contains(&entry) {
            joined.push(entry);
        }
    }
    if joined.is_empty() { "/usr/local/bin:/usr/bin:/bin".to_owned() } else { joined.join(":") }
}

fn is_ours(name: &OsStr) -> bool {
    !name.as_encoded_bytes().starts_with(b"CHATROOM_")
}

fn passes(name: &str, patterns: &[impl AsRef<str>]) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_ref(), name))
}

/// `NAME`, `BEGINNING_*` or `*_END`.
fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(beginning), _) => name.starts_with(beginning),
        (None, Some(end)) => name.ends_with(end),
        (None, None) => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::registry;

    fn environment(
        tool: &str,
        config: &Config,
        process: &[(&str, &str)],
        shell: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let process = process.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let shell = shell.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        tool_environment(registry::find(tool).unwrap(), config, process, &shell, OsStr::new("/p"))
            .into_iter()
            .map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap()))
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_tool_gets_its_own_names_and_nothing_dangerous() {
        let process = [
            ("HOME", "/home/me"),
            ("LC_ALL", "C"),
            ("JAVA_HOME", "/java"),
            ("PATH", "/evil"),
            ("LD_PRELOAD", "x"),
            ("NODE_OPTIONS", "x"),
            ("BASH_ENV", "x"),
            ("CHATROOM_TOKEN", "x"),
            ("CHATROOM_HOME", "/x"),
            ("ANTHROPIC_API_KEY", "k"),
            ("DATABASE_URL", "x"),
            ("OPENAI_API_KEY", "o"),
        ];
        let config = Config::default();
        assert_eq!(
            environment("claude", &config, &process, &[]),
            pairs(&[
                ("ANTHROPIC_API_KEY", "k"),
                ("HOME", "/home/me"),
                ("JAVA_HOME", "/java"),
                ("LC_ALL", "C"),
                ("PATH", "/p")
            ])
        );
        let names: Vec<_> = environment("codex", &config, &process, &[]).into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"OPENAI_API_KEY".to_owned()) && !names.contains(&"ANTHROPIC_API_KEY".to_owned()));
    }

    #[test]
    fn the_owner_may_pass_more_and_the_process_goes_before_the_shell() {
        let config = Config { env_pass: vec!["DATABASE_URL".into(), "MY_*".into()], ..Config::default() };
        let shell = [("MY_KEY", "shell"), ("HOME", "/shell"), ("OTHER", "x")];
        assert_eq!(
            environment("echo", &config, &[("HOME", "/home/me"), ("DATABASE_URL", "d")], &shell),
            pairs(&[("DATABASE_URL", "d"), ("HOME", "/home/me"), ("MY_KEY", "shell"), ("PATH", "/p")])
        );
        let wanted = |name| is_wanted(name, &Tools::default(), &config);
        assert!(wanted("MY_KEY") && wanted("PATH") && wanted("CURSOR_API_KEY"));
        assert!(!wanted("OTHER") && !wanted("CHATROOM_HOME"));
    }

    #[test]
    fn the_tools_directory_comes_first_unless_it_is_the_systems() {
        assert_eq!(spawn_path_for("/usr/bin:/opt/x:/bin", Path::new("/opt/x/tool")), "/opt/x:/usr/bin:/bin");
        assert_eq!(spawn_path_for("/home/me/bin:/usr/bin", Path::new("/usr/bin/tool")), "/home/me/bin:/usr/bin");
        assert_eq!(spawn_path_for("/home/me/bin", Path::new("/usr/bin/tool")), "/usr/bin:/home/me/bin");
        assert_eq!(spawn_path_for("/bin", Path::new("tool")), "/bin");
    }

    #[test]
    fn a_prepared_path_goes_before_the_shells_and_a_bare_one_takes_the_shells_order() {
        assert_eq!(join_paths("/venv/bin:/usr/bin", "/nvm:/usr/bin"), "/venv/bin:/usr/bin:/nvm");
        assert_eq!(join_paths("/usr/bin:/bin", "/nvm:/bin:/usr/bin"), "/nvm:/bin:/usr/bin");
    }

    #[test]
    fn relative_and_repeated_entries_are_left_out() {
        assert_eq!(join_paths("/a:.:/b/::bin:/a", "/c:/:"), "/a:/b:/c:/");
        assert_eq!(join_paths("", "."), "/usr/local/bin:/usr/bin:/bin");
    }
}
