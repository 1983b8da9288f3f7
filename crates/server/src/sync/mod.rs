//! The live channel: the sync socket that our own daemon and official Convex clients subscribe over.
//!
//! `session` decides, `socket` does. Every result of one Transition is of one snapshot, whose time is taken before the read begins.

pub mod calls;
pub mod clock;
pub mod io;
pub mod result;
pub mod session;
pub mod snapshots;
pub mod socket;

pub use clock::CommitClock;
