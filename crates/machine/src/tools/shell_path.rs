//! The environment that the user's login shell makes, captured between markers.

use std::collections::BTreeMap;
use std::fmt;

/// Variables of the login shell: PATH and those on an allow list.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ShellEnvironment {
    variables: BTreeMap<String, String>,
}

impl ShellEnvironment {
    /// One variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The shell's PATH.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.get("PATH")
    }
}

impl fmt::Debug for ShellEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShellEnvironment([{} variables, redacted])", self.variables.len())
    }
}
