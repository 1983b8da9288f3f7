//! Claude Code, one run with the prompt on standard input.

use super::{CommandFailure, Driver, Launch, Request, SHELL_LIMIT_MS, Stdin, is_full, model_args};

pub(super) struct Claude;

impl Driver for Claude {
    fn tool(&self) -> &'static str {
        "claude"
    }

    fn launch(&self, request: &Request<'_>) -> Result<Launch, CommandFailure> {
        let mut args: Vec<String> =
            ["-p", "--output-format=stream-json", "--verbose"].into_iter().map(str::to_owned).collect();
        args.extend(model_args(request.order)?);
        if is_full(request.order)? {
            args.push("--dangerously-skip-permissions".to_owned());
        } else {
            args.push("--permission-mode=acceptEdits".to_owned());
            args.push(format!("--allowedTools=Bash({}:*)", request.cli.display()));
        }
        // Without them a shell command goes to the background after two minutes, and a wait for a task with it.
        let env = ["BASH_DEFAULT_TIMEOUT_MS", "BASH_MAX_TIMEOUT_MS"].map(|name| (name, SHELL_LIMIT_MS.to_owned()));
        Ok(Launch { program: request.program.to_owned(), args, env: env.into(), stdin: Stdin::Prompt })
    }
}
