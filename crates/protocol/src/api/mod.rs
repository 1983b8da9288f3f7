//! Every function of the API: its name, kind, callers, arguments and answer. One module here is one module of names.

macro_rules! functions {
    ($(
        #[doc = $doc:literal]
        $name:ident($args:ty) -> $output:ty = $text:literal, $kind:ident, [$($caller:ident)+] $($secret:ident)?;
    )*) => {
        $(
            #[doc = $doc]
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl $crate::Function for $name {
                const NAME: &'static str = $text;
                const KIND: $crate::Kind = $crate::Kind::$kind;
                const CALLERS: $crate::Callers = $crate::Callers::NONE$(.or($crate::Callers::$caller))+;
                const SECRET: bool = functions!(@secret $($secret)?);
                const SUMMARY: &'static str = $doc.trim_ascii();
                type Args = $args;
                type Output = $output;
            }
        )*

        /// The names of this module's functions.
        pub const NAMES: &[&str] = &[$($text),*];
    };
    (@secret) => { false };
    (@secret secret) => { true };
}

pub mod agents;
pub mod artifacts;
pub mod auth;
pub mod backlog;
pub mod chatrooms;
pub mod contexts;
pub mod machines;
pub mod messages;
pub mod participants;
pub mod permissions;
pub mod tasks;
pub mod teams;
pub mod users;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Arguments of a function that takes none, and the answer of one that has nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// Every function name, module by module.
pub fn all_names() -> impl Iterator<Item = &'static str> {
    [
        agents::NAMES,
        artifacts::NAMES,
        auth::NAMES,
        backlog::NAMES,
        chatrooms::NAMES,
        contexts::NAMES,
        machines::NAMES,
        messages::NAMES,
        participants::NAMES,
        permissions::NAMES,
        tasks::NAMES,
        teams::NAMES,
        users::NAMES,
    ]
    .into_iter()
    .flatten()
    .copied()
}
