//! The server as its clients meet it, in this process, on a free port.

mod auth;
mod http;
mod live;
mod support;
