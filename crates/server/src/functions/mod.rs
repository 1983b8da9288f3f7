//! The rules: one file per module of function names. A function checks who may, then what may be, then writes through the store.
//!
//! Each file has `register(&mut Registry)`, which lists its functions with their topics; each function is one
//! `async fn(&mut QueryCx | &mut MutationCx, Args) -> Result<Output>`.

pub mod acks;
pub mod agents;
pub mod artifacts;
pub mod auth;
pub mod backlog;
pub mod chatrooms;
pub mod commands;
pub mod contexts;
pub mod daemon;
pub mod inputs;
pub mod machines;
pub mod messages;
pub mod participants;
pub mod passwords;
pub mod permissions;
pub mod roles;
pub mod tasks;
pub mod teams;
pub mod text;
pub mod transcripts;
pub mod users;

mod author;
mod lifecycle;
pub(crate) mod outcome;
mod settle;
pub(crate) mod starts;

use crate::registry::Registry;

/// The registry with every function of the API.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    for register in MODULES {
        register(&mut registry);
    }
    registry
}

const MODULES: &[fn(&mut Registry)] = &[
    acks::register,
    agents::register,
    artifacts::register,
    auth::register,
    backlog::register,
    chatrooms::register,
    commands::register,
    contexts::register,
    daemon::register,
    inputs::register,
    machines::register,
    messages::register,
    participants::register,
    permissions::register,
    roles::register,
    tasks::register,
    teams::register,
    transcripts::register,
    users::register,
];
