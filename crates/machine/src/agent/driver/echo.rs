//! The built-in agent: our own program, which needs no model. It takes a task, answers and hands it back.

use super::{CommandFailure, Driver, Launch, Request, Stdin};

/// The hidden subcommand that is the agent.
const SUBCOMMAND: &str = "echo-agent";

pub(super) struct Echo;

impl Driver for Echo {
    fn tool(&self) -> &'static str {
        crate::tools::registry::ECHO
    }

    fn launch(&self, request: &Request<'_>) -> Result<Launch, CommandFailure> {
        // It asks for nothing and touches no file, so every permission mode fits.
        Ok(Launch {
            program: request.cli.to_owned(),
            args: vec![SUBCOMMAND.to_owned()],
            env: Vec::new(),
            stdin: Stdin::Prompt,
        })
    }
}
