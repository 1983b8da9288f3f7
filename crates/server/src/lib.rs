//! The chatroom server: function registry, HTTP, live channel, identity and store.
//!
//! `http` and `sync` take calls in, `registry` finds the function, `functions` holds the rules, `store` holds the SQL, `live`
//! tells watchers, `ui` holds the page. It never spawns a process.

pub mod app;
pub mod caller;
pub mod clock;
pub mod fail;
pub mod functions;
pub mod http;
pub mod limit;
pub mod live;
pub mod password;
pub mod prompt;
pub mod reconcile;
pub mod reference;
pub mod registry;
pub mod secret;
pub mod server;
pub mod store;
pub mod sync;
mod ui;

pub use server::{Server, ServerOptions};
