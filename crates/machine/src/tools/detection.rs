//! Finds tools and runs them to learn how they are.

use super::ShellEnvironment;
use crate::config::Config;
use crate::home::Home;
use chatroom_protocol::tool::ToolReport;

/// What a detection found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// Every tool of the registry, missing ones included, in its order.
    pub reports: Vec<ToolReport>,
    /// The PATH to start tools with; see [`super::spawn_path_for`].
    pub spawn_path: String,
    /// What the login shell gives beside it. Empty when only a stored PATH was used.
    pub environment: ShellEnvironment,
}

/// Finds tools. One may be kept and asked again: what has not changed is not run again.
#[derive(Debug)]
pub struct Detector {
    home: Home,
    config: Config,
}

impl Detector {
    /// A detector with the owner's settings and this process's environment.
    #[must_use]
    pub fn new(home: &Home, config: &Config) -> Self {
        Self { home: home.clone(), config: config.clone() }
    }

    /// Captures the whole (allow-listed) environment of the login shell, not only a PATH stored earlier. For the daemon.
    #[must_use]
    pub fn with_environment(self) -> Self {
        self
    }

    /// Runs everything again, whatever is stored. For `chatroom machine detect`.
    #[must_use]
    pub fn fresh(self) -> Self {
        self
    }

    /// Finds every tool and learns how it is. Takes as long as the slowest tool: bounded by 10 s a tool, two at a time.
    pub async fn detect(&self) -> Detection {
        let _ = (&self.home, &self.config);
        unimplemented!()
    }
}
