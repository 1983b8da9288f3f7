//! End-to-end tests: the real binary, an empty environment, a temporary home, everything on loopback.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // Everything here is a test: a panic is its answer, stderr its log.

mod api;
mod browser;
mod clients;
mod commands;
mod connection;
mod crashes;
mod cursor;
mod daemon;
mod directed;
mod echo;
mod live;
mod mcp;
mod models;
mod obedient;
mod page;
mod proxy;
mod real_agents;
mod real_tools;
mod rooms;
mod scripted_model;
mod start;
mod teamwork;
mod tidy;
mod tour;
mod transcripts;
mod troubles;
mod up;
mod waiting;
mod waiting_over_daemon;
mod world;
