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
                let known: Vec<_> = crate::tools::registry::all().iter().map(|spec| spec.name).collect();
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
}
