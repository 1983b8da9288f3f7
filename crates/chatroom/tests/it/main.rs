//! End-to-end tests: the real binary, an empty environment, a temporary home, everything on loopback.

mod scripted_model;
mod tidy;
