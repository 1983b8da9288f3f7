//! The only place that prints. Text that comes from elsewhere (names, messages, output of tools) cannot steer the terminal:
//! control characters, escape sequences and direction marks are written out visibly.

use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Where a command prints: text for people, or one JSON document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ui {
    json: bool,
}

impl Ui {
    /// A printer; `json` is the user's wish.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// How many letters fit into a line of the terminal; 80 when there is none, and never fewer than 40.
    pub(crate) fn width(self) -> usize {
        rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| match size.ws_col {
            0 => 80,
            columns => usize::from(columns).max(40),
        })
    }

    /// Whether the command is to print one JSON document.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints text for people, with a line end. With `--json` it goes to stderr: stdout is for the document.
    pub(crate) fn say(self, text: &str) -> io::Result<()> {
        if self.json { self.note(text) } else { write_out(&printable(text)) }
    }

    /// Prints text for people on stderr.
    pub(crate) fn note(self, text: &str) -> io::Result<()> {
        let mut err = io::stderr().lock();
        writeln!(err, "{}", printable(text))
    }

    /// Prints lines with their looks, as far as this terminal shows any. With `--json` they go to stderr.
    pub(crate) fn lines(self, lines: &[Line]) -> io::Result<()> {
        let is_styled = if self.json { is_styled(&io::stderr()) } else { is_styled(&io::stdout()) };
        let mut text = String::new();
        for line in lines {
            let _ = writeln!(text, "{}", line.show(is_styled));
        }
        if self.json {
            return io::stderr().lock().write_all(text.as_bytes());
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Prints the answer of a command: the document, or the text made from it.
    pub(crate) fn answer<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> io::Result<()> {
        if self.json { self.document(value) } else { write_out(&printable(text(value).trim_end_matches('\n'))) }
    }

    /// Prints one JSON document. Control characters are escaped by JSON itself.
    pub(crate) fn document<T: Serialize>(self, value: &T) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        write_out(&escape_directions(&text))
    }

    /// Prints one JSON document on one line: one of many.
    pub(crate) fn json_line<T: Serialize>(self, value: &T) -> io::Result<()> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        write_out(&escape_directions(&text))
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As the terminal writes.
    Plain,
    /// Of less weight.
    Dim,
    /// Of more weight.
    Bold,
    /// To be seen.
    Alert,
}

/// A line with its look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    style: Style,
    text: String,
}

impl Line {
    /// A line of text. It is cleaned when it is printed.
    pub(crate) fn new(style: Style, text: &str) -> Self {
        Self { style, text: text.to_owned() }
    }

    /// The text that a terminal gets: only the look steers it, never the text.
    pub(crate) fn show(&self, is_styled: bool) -> String {
        let text = one_line(&self.text);
        let code = match self.style {
            Style::Plain => return text,
            Style::Dim => "2",
            Style::Bold => "1",
            Style::Alert => "33",
        };
        if is_styled { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
    }
}

/// Whether what is written there is for a terminal that shows looks.
fn is_styled(output: &impl io::IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    output.is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Breaks a line into lines of at most `width` letters, at blanks where there are any; each but the first begins with `indent`.
pub(crate) fn wrap(line: &str, width: usize, indent: &str) -> String {
    let mut text = String::new();
    let mut rest: Vec<char> = line.chars().collect();
    while rest.len() > width {
        let begin = indent.chars().count().min(width / 2);
        let blank = rest[..=width].iter().rposition(|letter| *letter == ' ').filter(|at| *at > begin);
        let cut = blank.unwrap_or(width);
        text.extend(&rest[..cut]);
        text.push('\n');
        let more = rest[cut..].iter().skip_while(|letter| **letter == ' ').copied();
        rest = indent.chars().chain(more).collect();
    }
    text.extend(rest);
    text
}

/// Lays rows out under their headings; columns are as wide as their widest cell.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let cells: Vec<[String; N]> = rows.iter().map(|row| std::array::from_fn(|column| one_line(&row[column]))).collect();
    let width = |column: usize| {
        let widest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        widest.max(headings[column].len())
    };
    let mut text = String::new();
    let headings = headings.map(str::to_owned);
    for row in std::iter::once(&headings).chain(&cells) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(line, "{cell:<width$}  ", width = width(column));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text of several lines that cannot steer a terminal: everything but line ends and tabs is written out visibly.
pub(crate) fn printable(text: &str) -> String {
    escape(text, |letter| matches!(letter, '\n' | '\t'))
}

/// Text that stays on one line.
pub(crate) fn one_line(text: &str) -> String {
    escape(text, |_| false)
}

fn escape_directions(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
        if is_direction(letter) || matches!(letter, '\u{7f}'..='\u{9f}') {
            let _ = write!(out, "\\u{:04x}", u32::from(letter));
        } else {
            out.push(letter);
        }
        out
    })
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if (letter.is_control() || is_direction(letter)) && !keep(letter) {
            match letter {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                _ => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(letter));
                }
            }
        } else {
            out.push(letter);
        }
    }
    out
}

/// Marks that turn the direction of writing, and line ends that are not `\n`: they make text look like other text.
fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::{Line, Style, escape_directions, one_line, printable, table, wrap};

    #[test]
    fn a_line_is_steered_by_its_look_alone() {
        let line = Line::new(Style::Dim, "a\x1b[31mb\nc");
        assert_eq!(line.show(true), "\x1b[2ma\\u{1b}[31mb\\nc\x1b[0m");
        assert_eq!(line.show(false), "a\\u{1b}[31mb\\nc");
    }

    #[test]
    fn escape_sequences_are_written_out() {
        assert_eq!(printable("a\x1b[2Jb\x07\r\n\tc\u{9b}1m"), "a\\u{1b}[2Jb\\u{7}\\r\n\tc\\u{9b}1m");
        assert_eq!(one_line("two\nlines\u{202e}"), "two\\nlines\\u{202e}");
    }

    #[test]
    fn ordinary_text_of_any_script_is_left_alone() {
        assert_eq!(one_line("übergröße 作業 🤖"), "übergröße 作業 🤖");
    }

    #[test]
    fn a_json_document_stays_json() {
        let text = escape_directions(&serde_json::json!({"name": "a\u{202e}b\u{9b}\x1b"}).to_string());
        assert_eq!(text, "{\"name\":\"a\\u202eb\\u009b\\u001b\"}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn a_long_line_is_broken_at_blanks_and_a_long_word_anywhere() {
        assert_eq!(wrap("  one two three", 9, "  "), "  one two\n  three");
        assert_eq!(wrap("abcdefghij", 4, "  "), "abcd\n  ef\n  gh\n  ij");
        assert_eq!(wrap("short", 80, "  "), "short");
    }

    #[test]
    fn a_cell_cannot_break_its_table() {
        let text = table(
            ["NAME", "STATE"],
            &[["evil\nNAME".to_owned(), "ok".to_owned()], ["b".to_owned(), "gone".to_owned()]],
        );
        assert_eq!(text, "NAME        STATE\nevil\\nNAME  ok\nb           gone\n");
    }
}
