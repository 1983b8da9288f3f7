//! A model that understands nothing and obeys: it knows no id, no path and no command of ours. It looks for the fixed lines of
//! the server's prompts ("To wait for a task, run:") and runs the fenced block after them, and it does what the quoted text of
//! a task asks for. If one of those lines is missing, it does not know what to do and says so.

use crate::scripted_model::{Act, Turn};

/// What the text of a task says before the shell command that it wants.
pub(crate) const ASK: &str = "Please run: ";

/// What the text of a task says before the role that is to get the rest of the line.
pub(crate) const PASS: &str = "Please pass on to ";

/// What a person asks for what the model remembers.
pub(crate) const RECALL: &str = "What was the first task?";

/// What it says when nothing tells it what to do.
pub(crate) const LOST: &str = "I do not know what to do.";

/// The script.
pub(crate) fn obey(turns: &[Turn]) -> Act {
    obey_or_lost(turns).unwrap_or_else(|| Act::Say(LOST.to_owned()))
}

fn obey_or_lost(turns: &[Turn]) -> Option<Act> {
    // Without its role nobody works.
    let prompt = turns.iter().find_map(|turn| match turn {
        Turn::System(text) | Turn::User(text) if text.contains("# You are `") => Some(text.as_str()),
        _ => None,
    })?;
    // What a tool tells its model besides is no turn of the conversation.
    let is_aside = |turn: &&Turn| match turn {
        Turn::System(_) => true,
        Turn::User(text) => text.starts_with("<system-reminder>"),
        Turn::Model(_) | Turn::Output(_) => false,
    };
    let turns: Vec<&Turn> = turns.iter().filter(|turn| !is_aside(turn)).collect();
    match turns.last()? {
        Turn::Output(last) => go_on(&turns, last),
        Turn::User(said) => listen(prompt, &turns, said),
        Turn::System(_) | Turn::Model(_) => None,
    }
}

/// Somebody has spoken: the program that started the agent, the one that brings tasks, or a person.
fn listen(prompt: &str, turns: &[&Turn], said: &str) -> Option<Act> {
    if said.contains("# Task for `") {
        return work(said, 1, "");
    }
    if said.contains("# Your task is still open") {
        return hand(said, "user", "I was reminded.");
    }
    if said.contains(RECALL) {
        let first = turns.iter().find_map(|turn| match turn {
            Turn::User(text) if text.contains("# Task for `") => first_line(text),
            _ => None,
        });
        return Some(Act::Say(format!("The first task was: {}", first.unwrap_or_else(|| "none".to_owned()))));
    }
    // The first turn of an agent that waits by itself: the prompt says what comes first.
    match block_after(prompt, "To wait for a task, run:") {
        Some(wait) if turns.iter().all(|turn| !matches!(turn, Turn::Output(_))) => Some(Act::Run(wait)),
        None if said != prompt => Some(Act::Say("As you say.".to_owned())),
        _ => None,
    }
}

/// A command was run.
fn go_on(turns: &[&Turn], last: &str) -> Option<Act> {
    if last.contains("no longer waiting") {
        return Some(Act::Say("Another one waits in my place.".to_owned()));
    }
    let is_brief =
        |turn: &&Turn| matches!(turn, Turn::Output(text) | Turn::User(text) if text.contains("# Task for `"));
    let Some(briefed) = turns.iter().rposition(is_brief) else {
        return last
            .contains("No task yet")
            .then(|| block_after(last, "To wait for a task, run:"))
            .flatten()
            .map(Act::Run);
    };
    let (brief, is_live) = match turns[briefed] {
        Turn::Output(brief) => (brief, false),
        Turn::User(brief) => (brief, true),
        Turn::System(_) | Turn::Model(_) => return None,
    };
    let outputs = turns[briefed + 1..].iter().filter(|turn| matches!(turn, Turn::Output(_))).count();
    if is_live {
        // Work in a session begins without a word.
        return work(brief, outputs + 1, last).or_else(|| Some(Act::Say("I have handed it on.".to_owned())));
    }
    match outputs {
        // The task was just printed.
        0 => block_after(brief, "To say that you began, run:").map(Act::Run),
        // Handed on; or waited again, without a task.
        _ => work(brief, outputs, last).or_else(|| block_after(last, "To wait for a task, run:").map(Act::Run)),
    }
}

/// The step of this number of the work on a task, counted from one; none when it is done. `last` is what the step before printed.
fn work(brief: &str, step: usize, last: &str) -> Option<Act> {
    match (step, wanted_command(brief)) {
        (1, Some(command)) => Some(Act::Run(command)),
        // Nothing to run: what is asked for is passed on, and an answer goes to the person.
        (1, None) => {
            let (to, message) = pass_on(brief).or_else(|| Some(("user".to_owned(), first_line(brief)?)))?;
            hand(brief, &to, &message)
        }
        // The command of the task was just run: its output goes to whoever asked.
        (2, Some(_)) => hand(brief, between(brief, "\nFrom: `", "`")?, &format!("done: {}", last.trim())),
        _ => None,
    }
}

fn hand(brief: &str, to: &str, message: &str) -> Option<Act> {
    let handoff = block_after(brief, &format!("To hand your work to `{to}`, run:"))?;
    Some(Act::Run(handoff.replace("REPLACE THIS LINE WITH YOUR MESSAGE", message)))
}

/// The shell command that the quoted text of a task asks for.
fn wanted_command(brief: &str) -> Option<String> {
    if pass_on(brief).is_some() {
        return None;
    }
    quoted(brief).find_map(|line| line.split_once(ASK)).map(|(_, command)| command.to_owned())
}

/// To whom the quoted text of a task is to be passed on, and what of it.
fn pass_on(brief: &str) -> Option<(String, String)> {
    let rest = quoted(brief).find_map(|line| line.split_once(PASS))?.1;
    let (to, message) = rest.split_once(": ")?;
    Some((to.to_owned(), message.to_owned()))
}

fn first_line(brief: &str) -> Option<String> {
    quoted(brief).next().map(|line| line.trim_start_matches("| ").to_owned())
}

fn quoted(brief: &str) -> impl Iterator<Item = &str> {
    let lines = brief.lines().skip_while(|line| !line.starts_with("The text of the task")).skip(1);
    lines.take_while(|line| line.starts_with('|'))
}

/// The fenced block that follows a line.
fn block_after(text: &str, line: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|found| found.trim() != line).skip(1);
    if lines.next()?.trim() != "```sh" {
        return None;
    }
    Some(lines.take_while(|line| line.trim() != "```").collect::<Vec<_>>().join("\n"))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::{LOST, block_after, obey};
    use crate::scripted_model::{Act, Turn};

    const PROMPT: &str = "# You are `builder`\n\nTo wait for a task, run:\n```sh\n/opt/x wait --role=builder\n```\n";
    const BRIEF: &str = "waiting\n# Task for `builder`\nTask id: 7\nFrom: `user`\n\nThe text of the task (each line begins with `|`):\n\
        | Please run: pwd; echo hi\n\nTo say that you began, run:\n```sh\nstart 7\n```\n\nTo hand your work to `user`, run:\n```sh\n\
        hand <<'E'\nREPLACE THIS LINE WITH YOUR MESSAGE\nE\n```\n";

    fn run(command: &str) -> Act {
        Act::Run(command.to_owned())
    }

    #[test]
    fn it_goes_from_line_to_line() {
        let mut turns = vec![Turn::System("other words".to_owned()), Turn::User(PROMPT.to_owned())];
        let mut tell = |output: &str| {
            turns.extend([Turn::Model(None), Turn::Output(output.to_owned())]);
            obey(&turns)
        };
        assert_eq!(tell("No task yet\n\nTo wait for a task, run:\n```sh\nwait\n```"), run("wait"));
        assert_eq!(tell(BRIEF), run("start 7"));
        assert_eq!(tell("task 7 is in progress"), run("pwd; echo hi"));
        assert_eq!(tell("/work\nhi\n"), run("hand <<'E'\ndone: /work\nhi\nE"));
        assert_eq!(tell("handed on\n\nTo wait for a task, run:\n```sh\nwait again\n```\n"), run("wait again"));
        assert_eq!(tell(BRIEF), run("start 7"));
    }

    #[test]
    fn without_its_line_it_is_lost() {
        for line in PROMPT.lines().filter(|line| !line.is_empty()) {
            let broken = PROMPT.replacen(line, "", 1);
            let act = obey(&[Turn::User(broken)]);
            let expected = if line.starts_with("/opt") { run("") } else { Act::Say(LOST.to_owned()) };
            if line != "```" {
                assert_eq!(act, expected, "without {line:?}");
            }
        }
        assert_eq!(block_after("To x:\nno fence", "To x:"), None);
    }
}
