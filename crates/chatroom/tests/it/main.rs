//! End-to-end tests: the real binary, an empty environment, a temporary home, everything on loopback.

mod browser;
mod commands;
mod daemon;
mod obedient;
mod real_agents;
mod scripted_model;
mod start;
mod tidy;
mod tour;
mod waiting;
mod world;
