//! OpenCode, one run with the prompt on standard input.

use super::{CommandFailure, Driver, Launch, Request, SHELL_LIMIT_MS, Stdin, is_full, model_args};
use serde_json::json;

pub(super) struct OpenCode;

impl Driver for OpenCode {
    fn tool(&self) -> &'static str {
        "opencode"
    }

    fn launch(&self, request: &Request<'_>) -> Result<Launch, CommandFailure> {
        let mut args: Vec<String> = ["run", "--format=json"].into_iter().map(str::to_owned).collect();
        args.extend(model_args(request.order)?);
        // Merged over the user's own configuration, which stays in force for everything else. What would be asked for in
        // a run without a person is refused by the tool itself.
        let permission = if is_full(request.order)? {
            json!({"*": "allow"})
        } else {
            let cli = request.cli.display().to_string();
            // The order counts: the last rule that fits holds. "*" sorts before any path.
            json!({
                "edit": "allow",
                "bash": {"*": "deny", (cli.clone()): "allow", (format!("{cli} *")): "allow"},
                "external_directory": "deny",
                "webfetch": "deny",
                "websearch": "deny",
            })
        };
        let env = vec![
            ("OPENCODE_PERMISSION", permission.to_string()),
            ("OPENCODE_EXPERIMENTAL_BASH_DEFAULT_TIMEOUT_MS", SHELL_LIMIT_MS.to_owned()),
        ];
        Ok(Launch { program: request.program.to_owned(), args, env, stdin: Stdin::Prompt })
    }
}
