//! The `chatroom` binary: server, page, command line, daemon and agent host in one program.
//!
//! Here is decided only what runs in which runtime. The agent host has none (it is one thread for its whole life), nor has a
//! process that waits for a task over the daemon; commands have a single-threaded one; only the long-running processes have more threads.

mod agent_log;
mod browser;
mod cli;
mod commands;
mod context;
mod duration;
mod error;
mod ids;
mod input;
mod local_wait;
mod log;
mod machines;
mod parent_tool;
mod program;
mod retry;
mod room_feed;
mod serve;
mod stop;
mod team_file;
mod transcript;
mod ui;
mod up;

use crate::cli::{Cli, Command};
use crate::context::Context;
use clap::Parser as _;
use clap::error::ErrorKind;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nobody there to read it: nothing to do about that.
            let _ = error.print();
            return ExitCode::from(if is_answer { 0 } else { error::USAGE });
        }
    };
    // Before anything that could start a thread.
    if let Command::AgentHost(host) = &cli.command {
        return exit_code(chatroom_machine::agent::host::run_host(&host.dir));
    }
    match catch_unwind(AssertUnwindSafe(|| run(cli))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let (text, code) = error::report(&error);
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(code)
        }
        // The panic's own message is on stderr already.
        Err(_) => {
            let text =
                "Error: internal error\nHint: this is a fault of chatroom; please report it with the message above\n";
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(error::INTERNAL)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let context = Context::from_env(cli.global)?;
    match cli.command {
        Command::Up(args) => on_threads(up::run(&context, args)),
        Command::Server(args) => on_threads(serve::run(&context, args)),
        Command::DaemonRun => on_threads(commands::daemon::run_daemon(&context)),
        // It has a runtime only while it talks to the server.
        Command::EchoAgent => commands::echo::run(&context),
        // Where a daemon runs, a process that waits has no runtime: there may be hundreds of them.
        Command::WaitForTask(args) => match local_wait::run(&context, args)? {
            Some(wait) => on_this_thread(commands::wait::run(&context, wait)),
            None => Ok(()),
        },
        command => on_this_thread(commands::run(&context, command)),
    }
}

fn on_this_thread(short: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(short);
    // A thread may stand in a read or write that never ends; the process ends without it.
    runtime.shutdown_timeout(Duration::ZERO);
    done
}

fn on_threads(long: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(long);
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(error::FAILED))
}
