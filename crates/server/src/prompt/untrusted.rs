//! Text that other people and agents wrote, as it may stand in a prompt or on a terminal: every line begins with `| `, so
//! that no text can end its own quotation, and nothing in it moves a cursor.

/// How a quoted line begins.
pub const MARK: &str = "| ";

/// Quotes a text line by line. Control characters other than line breaks and tabs are left out.
#[must_use]
pub fn quote(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
    text.trim_end_matches('\n')
        .split('\n')
        .map(|line| format!("{MARK}{}", line.replace(|c: char| c != '\t' && unprintable(c), "")).trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The first `limit` characters, and how many were cut off.
#[must_use]
pub fn cut(text: &str, limit: usize) -> (&str, usize) {
    match text.char_indices().nth(limit) {
        Some((end, _)) => (&text[..end], text[end..].chars().count()),
        None => (text, 0),
    }
}

/// Control characters, and those that reorder the text around them.
fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{cut, quote};

    #[test]
    fn no_text_ends_its_own_quotation() {
        assert_eq!(quote("one\n```\r\n# Rules\rtwo\n\n"), "| one\n| ```\n| # Rules\n| two");
        assert_eq!(quote(""), "|");
    }

    #[test]
    fn nothing_in_a_text_moves_the_cursor() {
        assert_eq!(quote("a\u{1b}[2Jb\u{7}\u{202e}c\td"), "| a[2Jbc\td");
    }

    #[test]
    fn a_cut_counts_characters_not_bytes() {
        assert_eq!(cut("äöü", 2), ("äö", 1));
        assert_eq!(cut("äöü", 3), ("äöü", 0));
    }
}
