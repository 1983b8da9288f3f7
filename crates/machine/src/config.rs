//! `config.toml`: what the owner of the machine decides. This program only reads it.

use crate::home::Home;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The owner's settings. Everything has a default; a missing file is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Names of environment variables that agents get beside the default ones; `PREFIX_*` means all that begin so.
    #[serde(default)]
    pub env_pass: Vec<String>,
    /// Settings by tool name.
    #[serde(default)]
    pub tools: BTreeMap<String, ToolConfig>,
    /// Directories that agents may work in, with everything below; all when left out. Absolute.
    #[serde(default)]
    pub allowed_dirs: Option<Vec<PathBuf>>,
}

/// The owner's settings for one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolConfig {
    /// Absolute path of the program; then no other place is searched.
    #[serde(default)]
    pub path: Option<PathBuf>,
}

/// Why the settings cannot be used. The message names file and line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there, but cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not say what it should.
    #[error("{}:{line}: {message}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

impl Config {
    /// Reads `config.toml`; a missing file is the default.
    ///
    /// # Errors
    /// [`ConfigError`] with file and line.
    pub fn load(home: &Home) -> Result<Self, ConfigError> {
        let path = home.config_toml();
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    /// Reads the text of a `config.toml`; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] with file and line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let wrong = |offset: usize, message: String| ConfigError::Wrong {
            path: path.to_owned(),
            line: text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1,
            message,
        };
        let config: Self = toml::from_str(text)
            .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message().trim().to_owned()))?;
        // What the types cannot say. The value's own line is found by its text.
        let at = |needle: &str| text.find(needle).unwrap_or(0);
        for (name, tool) in &config.tools {
            if crate::tools::registry::find(name).is_none() {
                let known: Vec<_> = crate::tools::registry::all().iter().map(|spec| spec.name.as_str()).collect();
                return Err(wrong(at(name), format!("there is no tool `{name}`; known are {}", known.join(", "))));
            }
            if let Some(path) = tool.path.as_ref().filter(|path| !path.is_absolute()) {
                let path = path.display().to_string();
                return Err(wrong(at(&path), format!("the path `{path}` of {name} must be absolute")));
            }
        }
        if let Some(path) = config.allowed_dirs.iter().flatten().find(|path| !path.is_absolute()) {
            let path = path.display().to_string();
            return Err(wrong(at(&path), format!("the directory `{path}` in allowed_dirs must be absolute")));
        }
        let bad_name = |name: &&String| {
            let stem = name.strip_suffix('*').unwrap_or(name);
            stem.is_empty() || !stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if let Some(name) = config.env_pass.iter().find(bad_name) {
            let message = format!("`{name}` in env_pass is neither the name of a variable nor a beginning like `MY_*`");
            return Err(wrong(at(name), message));
        }
        Ok(config)
    }

    /// The path that the owner set for a tool.
    #[must_use]
    pub fn tool_path(&self, tool: &str) -> Option<&Path> {
        self.tools.get(tool).and_then(|tool| tool.path.as_deref())
    }

    /// Whether agents may work in `directory`: it is one of `allowed_dirs` or below one, after following links. Asks the file
    /// system; a directory that cannot be found is not allowed.
    #[must_use]
    pub fn allows_dir(&self, directory: &Path) -> bool {
        let Some(allowed) = &self.allowed_dirs else { return true };
        let Ok(directory) = directory.canonicalize() else { return false };
        allowed.iter().any(|allowed| allowed.canonicalize().is_ok_and(|allowed| directory.starts_with(allowed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/h/config.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_missing_file_is_the_default_and_a_full_one_is_read() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        assert_eq!(Config::load(&home).unwrap(), Config::default());
        let text = "env_pass = [\"DATABASE_URL\", \"MY_*\"]\nallowed_dirs = [\"/home/me\"]\n[tools.claude]\npath = \"/opt/claude\"\n";
        std::fs::write(home.config_toml(), text).unwrap();
        let config = Config::load(&home).unwrap();
        assert_eq!(config.env_pass, ["DATABASE_URL", "MY_*"]);
        assert_eq!(config.allowed_dirs, Some(vec![PathBuf::from("/home/me")]));
        assert_eq!(config.tool_path("claude"), Some(Path::new("/opt/claude")));
        assert_eq!(config.tool_path("opencode"), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        for (text, place, words) in [
            ("\nenv_pas = []\n", "/h/config.toml:2: ", "env_pas"),
            ("env_pass = [\n", "/h/config.toml:", ""),
            ("env_pass = 3\n", "/h/config.toml:1: ", "invalid type"),
            ("\n\n[tools.claude]\npaht = \"/x\"\n", "/h/config.toml:4: ", "paht"),
            (
                "[tools.clod]\npath = \"/x\"\n",
                "/h/config.toml:1: ",
                "there is no tool `clod`; known are opencode, claude",
            ),
            ("[tools.claude]\npath = \"bin/claude\"\n", "/h/config.toml:2: ", "must be absolute"),
            ("\nallowed_dirs = [\"src\"]\n", "/h/config.toml:2: ", "must be absolute"),
            ("env_pass = [\"A\",\n\"B=1\"]\n", "/h/config.toml:2: ", "`B=1`"),
            ("env_pass = [\"*\"]\n", "/h/config.toml:1: ", "`*`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(place) && error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn agents_work_only_below_the_allowed_directories() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for name in ["work/project", "work-private"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        std::os::unix::fs::symlink(path("work-private"), path("work/link")).unwrap();
        assert!(Config::default().allows_dir(&path("work-private")));
        let config = Config { allowed_dirs: Some(vec![path("work")]), ..Config::default() };
        assert!(config.allows_dir(&path("work")) && config.allows_dir(&path("work/project")));
        for name in ["work-private", "work/link", "work/../work-private", "work/missing"] {
            assert!(!config.allows_dir(&path(name)), "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_a_missing_one() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        std::fs::create_dir(home.config_toml()).unwrap();
        assert!(matches!(Config::load(&home), Err(ConfigError::Unreadable { .. })));
    }
}
