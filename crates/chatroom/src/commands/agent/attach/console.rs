//! What is typed at the terminal of `agent attach`: pure.

use chatroom_protocol::transcript::Choice;
use std::time::{Duration, Instant};

/// Ctrl-C twice within this time leaves.
const TWICE: Duration = Duration::from_secs(2);

/// What there is to type.
pub(super) const HELP: &str = "\
  a line            is said to the agent (//line says a line that begins with /)
  /allow [N]        allow request N, or the oldest, this once
  /always [N]       allow it whenever this session asks for the like
  /deny [N]         deny it
  /never [N]        deny it whenever this session asks for the like
  /cancel, Ctrl-C   cancel the turn that runs
  /why              what keeps the agent from working
  Ctrl-D            leave; the agent goes on (also Ctrl-C twice, or while no turn runs)";

/// What a line means.
#[derive(Debug, PartialEq)]
pub(super) enum Typed {
    /// Nothing.
    Nothing,
    /// Say this.
    Say(String),
    /// Answer the request with this number, or the oldest.
    Answer(Choice, Option<usize>),
    /// Cancel the turn.
    Cancel,
    /// Tell what keeps the agent from working.
    Why,
    /// Tell what there is to type.
    Help,
    /// Leave the agent alone.
    Leave,
    /// No such thing.
    Unknown(String),
}

/// Reads a line.
pub(super) fn parse(line: &str) -> Typed {
    let line = line.trim();
    if line.is_empty() {
        return Typed::Nothing;
    }
    if let Some(text) = line.strip_prefix("//") {
        return Typed::Say(format!("/{text}"));
    }
    if !line.starts_with('/') {
        return Typed::Say(line.to_owned());
    }
    let mut words = line.split_whitespace();
    let word = words.next().unwrap_or_default();
    let number = match (words.next(), words.next()) {
        (None, _) => None,
        (Some(number), None) => match number.trim_start_matches('#').parse() {
            Ok(number) => Some(number),
            Err(_) => return Typed::Unknown(line.to_owned()),
        },
        (Some(_), Some(_)) => return Typed::Unknown(line.to_owned()),
    };
    let choice = match word {
        "/allow" => Choice::AllowOnce,
        "/always" => Choice::AllowAlways,
        "/deny" => Choice::RejectOnce,
        "/never" => Choice::RejectAlways,
        "/cancel" => return Typed::Cancel,
        "/why" => return Typed::Why,
        "/help" => return Typed::Help,
        "/quit" | "/exit" | "/detach" => return Typed::Leave,
        _ => return Typed::Unknown(word.to_owned()),
    };
    Typed::Answer(choice, number)
}

/// When Ctrl-C was pressed last.
#[derive(Debug, Default)]
pub(super) struct Interrupted {
    last: Option<Instant>,
}

/// What Ctrl-C means.
#[derive(Debug, PartialEq)]
pub(super) enum Press {
    /// Cancel the turn that runs.
    Cancel,
    /// Leave the agent alone.
    Leave,
}

impl Interrupted {
    /// Ctrl-C is pressed.
    pub(super) fn press(&mut self, now: Instant, has_turn: bool) -> Press {
        let is_again = self.last.replace(now).is_some_and(|last| now.saturating_duration_since(last) < TWICE);
        if has_turn && !is_again { Press::Cancel } else { Press::Leave }
    }
}

#[cfg(test)]
mod tests {
    use super::{Interrupted, Press, TWICE, Typed, parse};
    use chatroom_protocol::transcript::Choice;
    use std::time::{Duration, Instant};

    #[test]
    fn a_line_is_said_unless_it_is_one_of_ours() {
        assert_eq!(parse("  do it \n"), Typed::Say("do it".to_owned()));
        assert_eq!(parse("//ask ls"), Typed::Say("/ask ls".to_owned()));
        assert_eq!(parse("   "), Typed::Nothing);
        assert_eq!([parse("/why"), parse("/cancel"), parse("/help")], [Typed::Why, Typed::Cancel, Typed::Help]);
        assert_eq!(parse("/alow 1"), Typed::Unknown("/alow".to_owned()));
    }

    #[test]
    fn an_answer_is_for_the_oldest_request_or_for_the_one_with_the_number() {
        assert_eq!(parse("/allow"), Typed::Answer(Choice::AllowOnce, None));
        assert_eq!(parse("/deny 3"), Typed::Answer(Choice::RejectOnce, Some(3)));
        assert_eq!(parse("/always #2"), Typed::Answer(Choice::AllowAlways, Some(2)));
        assert_eq!(parse("/never"), Typed::Answer(Choice::RejectAlways, None));
        for wrong in ["/allow all", "/allow 1 2", "/deny -1"] {
            assert_eq!(parse(wrong), Typed::Unknown(wrong.to_owned()), "an answer must not be guessed");
        }
    }

    #[test]
    fn the_first_interrupt_cancels_a_turn_and_the_next_one_leaves() {
        let begun = Instant::now();
        let mut interrupted = Interrupted::default();
        assert_eq!(interrupted.press(begun, true), Press::Cancel);
        assert_eq!(interrupted.press(begun + Duration::from_secs(1), true), Press::Leave);
        let mut interrupted = Interrupted::default();
        assert_eq!(interrupted.press(begun, true), Press::Cancel);
        assert_eq!(interrupted.press(begun + TWICE, true), Press::Cancel, "long after, it is another turn's");
        assert_eq!(Interrupted::default().press(begun, false), Press::Leave);
    }
}
