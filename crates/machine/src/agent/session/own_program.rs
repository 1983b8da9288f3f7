//! Tells the agent's own errands from everything else: commands of our program, and tools of our server, that it may always use.
//!
//! A command is read as a shell would read the plainest of commands: one program, words in quotes, a heredoc whose end is in
//! quotes. Whatever means more to a shell is not ours, and is asked for.

use std::path::Path;

/// What an agent does in its role. Everything else (answering permissions, starting agents, signing in) is its owner's.
const ERRANDS: [&[&str]; 14] = [
    &["wait-for-task"],
    &["task-started"],
    &["task-complete"],
    &["handoff"],
    &["report-progress"],
    &["context", "read"],
    &["context", "new"],
    &["context", "list"],
    &["artifact", "put"],
    &["artifact", "get"],
    &["artifact", "list"],
    &["backlog", "add"],
    &["backlog", "list"],
    &["messages", "list"],
];
/// Options that lead elsewhere: to another server, or into a file.
const ELSEWHERE: [&str; 4] = ["--server", "--insecure-http", "--output", "-o"];
/// How tools name the tools of our MCP server, which a session gets under the name `chatroom`.
const MCP_PREFIXES: [&str; 2] = ["mcp__chatroom__", "chatroom_"];

/// Whether `command` is an errand with the program `cli`.
pub(super) fn is_own_command(cli: &Path, command: &str) -> bool {
    let Some(words) = words(command) else { return false };
    let Some((program, words)) = words.split_first() else { return false };
    let is_errand = ERRANDS
        .iter()
        .any(|errand| words.len() >= errand.len() && errand.iter().zip(words).all(|(errand, word)| errand == word));
    let leads_elsewhere = words.iter().any(|word| ELSEWHERE.iter().any(|option| word.starts_with(option)));
    // What is put into a room is of the directory that the agent works in.
    let puts = words.first().is_some_and(|word| word == "artifact") && words.get(1).is_some_and(|word| word == "put");
    let reaches_out = puts && words.iter().any(|word| word.starts_with(['/', '~']) || word.contains(".."));
    Path::new(program) == cli && cli.is_absolute() && is_errand && !leads_elsewhere && !reaches_out
}

/// Whether a tool with this name is one of our MCP server.
pub(super) fn is_own_mcp_tool(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-';
    MCP_PREFIXES
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(|tool| !tool.is_empty() && tool.bytes().all(plain)))
}

/// The words of a plain command; none when it is more than that.
fn words(command: &str) -> Option<Vec<String>> {
    let mut rest = command.trim().chars().peekable();
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '"' => break,
                        '$' | '`' | '\\' | '!' => return None,
                        c => word.push(c),
                    }
                }
            }
            '\\' => match rest.next()? {
                '\n' | '\r' => return None,
                c => word.get_or_insert_default().push(c),
            },
            '<' if word.is_none() => {
                return is_quoted_heredoc(&rest.collect::<String>()).then_some(words);
            }
            c if c.is_ascii_alphanumeric() || "_-./@%+:,=".contains(c) => word.get_or_insert_default().push(c),
            c if !c.is_ascii() && c.is_alphanumeric() => word.get_or_insert_default().push(c),
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

/// Whether this is what follows the first `<` of a heredoc with a quoted end, and nothing after it.
fn is_quoted_heredoc(rest: &str) -> bool {
    let Some((first, body)) = rest.split_once('\n') else { return false };
    let Some(end) = first.strip_prefix('<') else { return false };
    let end = end.trim();
    let quoted = end
        .strip_prefix('\'')
        .and_then(|end| end.strip_suffix('\''))
        .or_else(|| end.strip_prefix('"').and_then(|end| end.strip_suffix('"')));
    let Some(end) = quoted else { return false };
    if end.is_empty() || !end.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return false;
    }
    let mut lines = body.lines();
    lines.by_ref().any(|line| line == end) && lines.all(|line| line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ours(command: &str) -> bool {
        is_own_command(Path::new("/opt/chat room/chatroom"), command)
    }

    #[test]
    fn the_commands_of_the_prompts_are_ours() {
        let cli = "'/opt/chat room/chatroom'";
        let who = "--chatroom-id=room-1 --role='the builder' --task-id=t --delivery=2";
        for command in [
            format!("{cli} task-complete {who}"),
            format!("  {cli} wait-for-task --chatroom-id=r --role=\"a b\"\n"),
            format!("{cli} handoff {who} --next-role=user <<'CHATROOM_END'\nwas; $(reboot) `x` > y\n\nCHATROOM_END"),
            format!("{cli} report-progress {who} << \"E\"\nhello\nE\n"),
            format!("{cli} artifact put {who} FILE.md"),
            format!("{cli} context read {who}"),
            "/opt/chat\\ room/chatroom messages list --chatroom-id=r".to_owned(),
        ] {
            assert!(is_ours(&command), "{command}");
        }
    }

    #[test]
    fn whatever_means_more_to_a_shell_or_is_its_owners_is_not_ours() {
        let cli = "'/opt/chat room/chatroom'";
        for more in [
            "handoff; rm -rf x",
            "handoff && x",
            "handoff | sh",
            "handoff > /etc/passwd",
            "handoff $(x)",
            "handoff \"$(x)\"",
            "handoff `x`",
            "handoff\nrm x",
            "handoff <<E\n$(x)\nE",
            "handoff <<'E'\nE\nrm x",
            "handoff <<'E'\nbody without its end",
            "handoff <<'E' ; rm x\nE",
            "handoff <<'E'\nE\n ; x",
            "handoff <<-'E'\nE",
            "handoff < /etc/shadow",
            "handoff 'never closed",
            "handoff --server=http://elsewhere",
            "artifact get --output=/home/u/.bashrc",
            "artifact put --name=x.md /etc/shadow",
            "artifact put --name=x.md ../../.ssh/id_rsa",
            "agent start",
            "permission answer",
            "task cancel x",
            "api agents.list",
            "",
        ] {
            assert!(!is_ours(&format!("{cli} {more}")), "{more}");
        }
        assert!(!is_ours("chatroom handoff"));
        assert!(!is_ours("X=1 '/opt/chat room/chatroom' handoff"));
        assert!(!is_ours("/opt/other/chatroom handoff"));
        assert!(!is_ours(""));
    }

    #[test]
    fn tools_of_our_server_are_known_by_their_whole_name() {
        assert!(is_own_mcp_tool("mcp__chatroom__handoff"));
        assert!(is_own_mcp_tool("chatroom_report_progress"));
        for name in ["mcp__chatroom__", "mcp__other__handoff", "chatroom handoff", "chatroom_x; rm", "Bash", "chatroom"]
        {
            assert!(!is_own_mcp_tool(name), "{name}");
        }
    }
}
