//! What a function is: one typed item from which HTTP, the live channel, the CLI and the documentation are made.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use std::ops::BitOr;

/// Whether a function reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads one snapshot; may be subscribed over the live channel.
    Query,
    /// Writes in one transaction.
    Mutation,
}

/// Which kinds of caller may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callers(u8);

impl Callers {
    /// Nobody: where a union begins.
    pub const NONE: Callers = Callers(0);
    /// Anybody, without a credential.
    pub const PUBLIC: Callers = Callers(1);
    /// A user: browser session or CLI token.
    pub const USER: Callers = Callers(2);
    /// A machine, for itself only.
    pub const MACHINE: Callers = Callers(4);
    /// An agent, for its own room and role only.
    pub const AGENT: Callers = Callers(8);

    /// Whether every kind of caller in `other` is in `self`.
    #[must_use]
    pub const fn contains(self, other: Callers) -> bool {
        self.0 & other.0 == other.0
    }

    /// Union, usable in constants.
    #[must_use]
    pub const fn or(self, other: Callers) -> Callers {
        Callers(self.0 | other.0)
    }
}

impl BitOr for Callers {
    type Output = Callers;
    fn bitor(self, other: Callers) -> Callers {
        self.or(other)
    }
}

/// The signature of one function of the API.
pub trait Function: Send + Sync + 'static {
    /// `module.function`, as in documents and the CLI; clients of the sync socket write `module:function`.
    const NAME: &'static str;
    /// Query or mutation.
    const KIND: Kind;
    /// Who may call it.
    const CALLERS: Callers;
    /// Whether the answer holds a secret: then it goes over HTTP only and is never recorded for replay.
    const SECRET: bool = false;
    /// One sentence for the reference.
    const SUMMARY: &'static str;
    /// The arguments: a JSON object.
    type Args: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// The answer.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;
}

/// Splits `module.function`, `module:function` or `module.js:function` (as the crates.io client writes after a reconnect)
/// and gives the canonical `module.function`. A bare `module` means its `default` function.
#[must_use]
pub fn canonical_name(path: &str) -> String {
    let (module, function) = match path.split_once(':') {
        Some((module, function)) => (module, function),
        None => match path.rsplit_once('.') {
            Some((module, function)) if function != "js" => (module, function),
            _ => (path, "default"),
        },
    };
    format!("{}.{}", module.strip_suffix(".js").unwrap_or(module), function)
}

#[cfg(test)]
mod tests {
    use super::canonical_name;

    #[test]
    fn every_spelling_of_a_name_is_the_same_function() {
        for path in ["machines.listMachines", "machines:listMachines", "machines.js:listMachines"] {
            assert_eq!(canonical_name(path), "machines.listMachines");
        }
        assert_eq!(canonical_name("getUsers"), "getUsers.default");
        assert_eq!(canonical_name("getUsers.js"), "getUsers.default");
    }
}
