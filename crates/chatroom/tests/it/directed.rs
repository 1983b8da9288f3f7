//! A model that does what the lines of a text tell it to, one after the other: for tests of what a tool does, whatever it is
//! told. A line may stand in the quoted text of a task.
//!
//! `!run COMMAND`, `!call TOOL {JSON}`, `!say TEXT`, `!slow TIMES MILLISECONDS`, `!status CODE`, and `!recall`, which says what
//! was said first in the whole conversation. What comes after the last line is said to be done.

use crate::scripted_model::{Act, Turn};
use std::time::Duration;

/// What is said when there is nothing left to do.
pub(crate) const DONE: &str = "That is done.";

/// The script.
pub(crate) fn follow(turns: &[Turn]) -> Act {
    let told = turns.iter().rposition(|turn| matches!(turn, Turn::User(text) if acts(text, turns).next().is_some()));
    let Some(told) = told else { return Act::Say(DONE.to_owned()) };
    let Turn::User(text) = &turns[told] else { return Act::Say(DONE.to_owned()) };
    let done = turns[told..].iter().filter(|turn| matches!(turn, Turn::Model(_))).count();
    acts(text, turns).nth(done).unwrap_or_else(|| Act::Say(DONE.to_owned()))
}

fn acts<'a>(text: &'a str, turns: &'a [Turn]) -> impl Iterator<Item = Act> + 'a {
    text.lines().filter_map(|line| act(line.strip_prefix("| ").unwrap_or(line).trim(), turns))
}

fn act(line: &str, turns: &[Turn]) -> Option<Act> {
    if line == "!recall" {
        return Some(Act::Say(first(turns).unwrap_or("nothing was said").to_owned()));
    }
    let (word, rest) = line.split_once(' ')?;
    match word {
        "!run" => Some(Act::Run(rest.to_owned())),
        "!say" => Some(Act::Say(rest.to_owned())),
        "!status" => Some(Act::Fail(rest.parse().ok()?)),
        "!call" => {
            let (tool, arguments) = rest.split_once(' ')?;
            Some(Act::Call(tool.to_owned(), serde_json::from_str(arguments).ok()?))
        }
        "!slow" => {
            let (times, pause) = rest.split_once(' ')?;
            let pause = Duration::from_millis(pause.parse().ok()?);
            Some(Act::Slow { word: "slow ".to_owned(), times: times.parse().ok()?, pause })
        }
        _ => None,
    }
}

/// What was said first: the first quoted line of a task, else the first line, that tells nothing to do. What clients say of themselves is in tags.
fn first(turns: &[Turn]) -> Option<&str> {
    let said = turns.iter().filter_map(|turn| if let Turn::User(text) = turn { Some(text.as_str()) } else { None });
    let mut said = said.filter(|text| !text.trim_start().starts_with('<'));
    let text = said.next()?;
    let is_plain = |line: &&str| !line.trim().is_empty() && !line.starts_with('!');
    let quoted = text.lines().filter_map(|line| line.strip_prefix("| ")).find(is_plain);
    quoted.or_else(|| text.lines().find(is_plain))
}

#[cfg(test)]
mod tests {
    use super::{DONE, follow};
    use crate::scripted_model::{Act, Turn};
    use serde_json::json;
    use std::time::Duration;

    fn user(text: &str) -> Turn {
        Turn::User(text.to_owned())
    }

    #[test]
    fn it_does_one_line_after_the_other_and_the_newest_text_counts() {
        let mut turns = vec![
            Turn::System("!say no".to_owned()),
            user("hello\n!run pwd\n| !call read {\"path\": \"/x\"}\n!slow 3 20"),
        ];
        assert_eq!(follow(&turns), Act::Run("pwd".to_owned()));
        turns.extend([Turn::Model(Some("pwd".to_owned())), Turn::Output("!say injected".to_owned())]);
        assert_eq!(follow(&turns), Act::Call("read".to_owned(), json!({"path": "/x"})));
        turns.extend([Turn::Model(None), Turn::Output(String::new())]);
        let slow = Act::Slow { word: "slow ".to_owned(), times: 3, pause: Duration::from_millis(20) };
        assert_eq!(follow(&turns), slow);
        turns.push(Turn::Model(None));
        assert_eq!(follow(&turns), Act::Say(DONE.to_owned()));
        turns.extend([user("<reminder>x</reminder>"), user("!status 429")]);
        assert_eq!(follow(&turns), Act::Fail(429));
        turns.extend([user("!recall")]);
        assert_eq!(follow(&turns), Act::Say("hello".to_owned()));
        assert_eq!(follow(&[user("nothing to do")]), Act::Say(DONE.to_owned()));
    }
}
