//! The words of chatroom.
//!
//! Ids, the argument and result types of every function, states and their transitions, error codes and wire codecs.
//! Nothing here does I/O or asks the clock: a JSON shape that crosses a process is defined in this crate and only here.

pub mod agent;
pub mod api;
pub mod command;
pub mod error;
pub mod function;
pub mod host;
pub mod id;
pub mod local;
pub mod machine;
pub mod permission;
pub mod room;
pub mod sync;
pub mod task;
pub mod time;
pub mod tool;
pub mod transcript;
pub mod user;
pub mod value;

pub use error::{ErrorCode, Refusal};
pub use function::{Callers, Function, Kind};
pub use time::UnixMs;
