//! Everything chatroom does on a developer's machine.
//!
//! Identity (`machine.json`), credentials, configuration, tool detection, the API client and the live link to the server. On
//! these stand the daemon and the agent host. Nothing here knows SQL or serves HTTP; nothing here prints.

pub mod agent;
pub mod api;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod daemon;
pub mod home;
pub mod identity;
pub mod link;
pub mod secret;
pub mod server_url;
mod socket_path;
pub mod tools;
pub mod waiter;

pub use api::{CallError, Client};
pub use home::Home;
pub use link::{Link, LinkEvent, Subscription};
pub use secret::Secret;
pub use server_url::ServerUrl;

/// The version of this program, as reported to the server and sent as `User-Agent`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
