//! The daemon.

pub mod failpoint;
pub mod journal;
