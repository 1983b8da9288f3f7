//! Cursor CLI, one run with the prompt on standard input. Written from its documentation; tested with a stand-in only.

use super::{CommandFailure, Driver, Launch, Request, Stdin, is_full, model_args};

pub(super) struct Cursor;

impl Driver for Cursor {
    fn tool(&self) -> &'static str {
        "cursor"
    }

    fn launch(&self, request: &Request<'_>) -> Result<Launch, CommandFailure> {
        let mut args: Vec<String> = ["-p", "--output-format=stream-json"].into_iter().map(str::to_owned).collect();
        args.extend(model_args(request.order)?);
        if is_full(request.order)? {
            args.push("--force".to_owned());
        }
        Ok(Launch { program: request.program.to_owned(), args, env: Vec::new(), stdin: Stdin::Prompt })
    }
}
