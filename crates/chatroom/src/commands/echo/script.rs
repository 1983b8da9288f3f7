//! What the lines of a text make the built-in agent do. Pure.

/// A text, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Script {
    /// What is done before the answer, in this order.
    pub(crate) steps: Vec<Step>,
    /// What is echoed: the text without the lines that were understood.
    pub(crate) text: String,
    /// Whether the turn ends as failed.
    pub(crate) fails: bool,
    /// Whether the task is kept instead of being handed off.
    pub(crate) keeps: bool,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Ask for the permission to run a command.
    Ask(String),
    /// Take so many seconds.
    Slow(f64),
    /// Think aloud.
    Think(String),
    /// Tell a plan.
    Plan(Vec<String>),
    /// Tell of a changed file.
    Edit(String),
    /// Say what was said first in this session.
    Recall,
}

impl Script {
    /// Reads a text. A line that is not understood, is echoed.
    pub(crate) fn read(text: &str) -> Self {
        let mut script = Self::default();
        let mut echoed = Vec::new();
        for line in text.lines() {
            if !script.understand(line.trim()) {
                echoed.push(line);
            }
        }
        // Unchanged, down to its blank lines, when there was nothing to understand.
        let is_plain = script.steps.is_empty() && !script.fails && !script.keeps;
        script.text = if is_plain { text.to_owned() } else { echoed.join("\n") };
        script
    }

    fn understand(&mut self, line: &str) -> bool {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let step = match (word, rest) {
            ("/fail", "") => {
                self.fails = true;
                return true;
            }
            ("/keep", "") => {
                self.keeps = true;
                return true;
            }
            ("/recall", "") => Step::Recall,
            (_, "") => return false,
            ("/ask", command) => Step::Ask(command.to_owned()),
            ("/think", text) => Step::Think(text.to_owned()),
            ("/edit", path) => Step::Edit(path.to_owned()),
            ("/plan", steps) => {
                let steps = steps.split(';').map(str::trim).filter(|step| !step.is_empty());
                Step::Plan(steps.map(str::to_owned).collect())
            }
            ("/slow", seconds) => match seconds.parse() {
                Ok(seconds) if f64::is_finite(seconds) => Step::Slow(seconds),
                _ => return false,
            },
            _ => return false,
        };
        self.steps.push(step);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Script, Step};

    #[test]
    fn a_plain_text_is_echoed_as_it_is() {
        let text = "two lines\n\n/unknown thing\n/slow down\n/ask\n";
        assert_eq!(Script::read(text), Script { text: text.to_owned(), ..Script::default() });
    }

    #[test]
    fn lines_that_are_understood_are_done_and_not_echoed() {
        let script = Script::read(
            "hello\n/think hm, well\n/plan a; b;\n /ask rm -rf x\n/slow 0.5\n/edit src/a.rs\n/recall\n/keep\n/fail\nbye",
        );
        let expected = [
            Step::Think("hm, well".to_owned()),
            Step::Plan(vec!["a".to_owned(), "b".to_owned()]),
            Step::Ask("rm -rf x".to_owned()),
            Step::Slow(0.5),
            Step::Edit("src/a.rs".to_owned()),
            Step::Recall,
        ];
        assert_eq!((script.steps.as_slice(), script.text.as_str()), (&expected[..], "hello\nbye"));
        assert!(script.keeps && script.fails);
    }
}
