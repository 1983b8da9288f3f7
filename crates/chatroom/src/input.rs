//! What is read from standard input: messages, tokens, JSON.

use crate::error::refused;
use anyhow::Result;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

/// More than any message may have.
const MAX: u64 = 4 * 1024 * 1024;

/// Reads all of standard input as text. At a terminal it says how to end.
pub(crate) fn read_text() -> Result<String> {
    if io::stdin().is_terminal() {
        crate::ui::Ui::new(false).note("reading standard input; end with Ctrl-D on a line of its own")?;
    }
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX {
        return Err(refused(format!("standard input is longer than {MAX} bytes")).into());
    }
    String::from_utf8(bytes).map_err(|error| refused("standard input is not UTF-8 text").caused_by(error).into())
}

/// Reads all of a file as text.
pub(crate) fn read_file(path: &Path) -> Result<String> {
    let name = path.display();
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(MAX + 1).read_to_end(&mut bytes));
    file.map_err(|error| refused(format!("the file {name} cannot be read")).caused_by(error))?;
    if bytes.len() as u64 > MAX {
        return Err(refused(format!("the file {name} is longer than {MAX} bytes")).into());
    }
    String::from_utf8(bytes)
        .map_err(|error| refused(format!("the file {name} is not UTF-8 text")).caused_by(error).into())
}

/// Reads a message: text that is not empty, without line ends behind it.
pub(crate) fn read_message(what: &str) -> Result<String> {
    let text = read_text()?;
    let text = text.trim_end();
    if text.trim().is_empty() {
        return Err(refused(format!("{what} is empty")).hint("write it to the command's standard input").into());
    }
    Ok(text.to_owned())
}

/// Asks a person for yes or no; without a terminal the answer is yes.
pub(crate) fn confirm(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    crate::ui::Ui::new(false).note(&format!("{question} [y/N]"))?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}
