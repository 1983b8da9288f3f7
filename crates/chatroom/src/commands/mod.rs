//! What each command does: one module per verb group, one function per command.

mod agent;
mod api;
mod artifact;
pub(crate) mod auth;
mod backlog;
mod context;
pub(crate) mod daemon;
mod doctor;
pub(crate) mod echo;
mod machine;
mod mcp;
mod messages;
mod permission;
mod room;
mod room_agents;
mod task;
mod team;
mod user;
pub(crate) mod wait;
mod watch;
mod work;

use crate::cli::Command;
use crate::context::Context;
use anyhow::Result;

#[cfg(test)]
pub(crate) use agent::tests::agent as an_agent;

/// Runs a command of the command line: everything but the long-running processes.
pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Auth(command) => auth::run(context, command).await,
        Command::User(command) => user::run(context, command).await,
        Command::Machine(command) => machine::run(context, command).await,
        Command::Agent(command) => agent::run(context, command).await,
        Command::Permission(command) => permission::run(context, command).await,
        Command::Room(command) => room::run(context, command).await,
        Command::Team(command) => team::run(context, command).await,
        Command::Send(args) => messages::send(context, args).await,
        Command::TaskStarted(args) => work::started(context, args).await,
        Command::TaskComplete(args) => work::complete(context, args).await,
        Command::Handoff(args) => work::handoff(context, args).await,
        Command::ReportProgress(args) => work::report_progress(context, args).await,
        Command::Context(command) => self::context::run(context, command).await,
        Command::Artifact(command) => artifact::run(context, command).await,
        Command::Backlog(command) => backlog::run(context, command).await,
        Command::Mcp(args) => mcp::run(context, args).await,
        Command::Task(command) => task::run(context, command).await,
        Command::Messages(command) => messages::run(context, command).await,
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Api(args) => api::run(context, args).await,
        Command::GenerateTypescript { into } => api::generate_typescript(context, &into),
        // Dispatched in main, with a runtime of their own or none.
        Command::Up(_)
        | Command::Server(_)
        | Command::WaitForTask(_)
        | Command::DaemonRun
        | Command::AgentHost(_)
        | Command::EchoAgent => Ok(()),
    }
}
