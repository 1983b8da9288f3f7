//! What texts of people may be.

use crate::fail::Result;
use chatroom_protocol::Refusal;

/// Characters of a name.
const NAME_CHARS: usize = 100;
/// Characters of a message.
const CONTENT_CHARS: usize = 100_000;

/// A name without the space around it.
///
/// # Errors
/// `bad_request` unless it has 1 to 100 characters, none of them a control character.
pub fn name(given: &str) -> Result<String> {
    let name = given.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
        let message = format!("a name is a text of 1 to {NAME_CHARS} characters without control characters");
        return Err(Refusal::bad_request(message).into());
    }
    Ok(name.to_owned())
}

/// Checks the text of a message.
///
/// # Errors
/// `bad_request` unless it has 1 to 100,000 characters, not only space and no NUL.
pub fn check_content(content: &str) -> Result<()> {
    check(content, CONTENT_CHARS, "message")
}

/// Checks a text of at most `limit` characters; `noun` is what it is, for example "message".
///
/// # Errors
/// `bad_request` unless it has 1 to `limit` characters, not only space and no NUL.
pub fn check(content: &str, limit: usize, noun: &str) -> Result<()> {
    if content.trim().is_empty() {
        return Err(Refusal::bad_request(format!("the {noun} is empty"))
            .hint("write what the reader is to know")
            .into());
    }
    if content.contains('\0') {
        return Err(Refusal::bad_request(format!("the {noun} contains a NUL character"))
            .hint("take it out; texts only are taken")
            .into());
    }
    let length = content.chars().count();
    if length > limit {
        return Err(Refusal::bad_request(format!("the {noun} has {length} characters; at most {limit} are taken"))
            .hint("put long texts into a file and name the file in the message")
            .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CONTENT_CHARS, NAME_CHARS, check_content, name};

    #[test]
    fn names_have_a_length_and_no_control_characters() {
        assert_eq!(name("  Shop ").unwrap(), "Shop");
        assert!(name(&"ä".repeat(NAME_CHARS)).is_ok());
        for bad in ["", "  ", "a\nb", "a\u{1b}[2J", &"a".repeat(NAME_CHARS + 1)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn messages_have_a_length_and_no_nul() {
        assert!(check_content(&"ä".repeat(CONTENT_CHARS)).is_ok());
        for bad in ["", " \n", "a\0b", &"a".repeat(CONTENT_CHARS + 1)] {
            assert!(check_content(bad).is_err());
        }
    }
}
