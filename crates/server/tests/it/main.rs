//! The server as its clients meet it, in this process, on a free port.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod auth;
mod authorization;
mod conformance;
mod database;
mod http;
mod live;
mod long_room;
mod machines;
mod passwords;
mod reference;
mod rooms;
mod support;
mod teamwork;
mod wire;
