//! Finds the version in what a tool prints about itself.

/// Words before a version of fewer than three numbers at most: `My Own Tool 1.0`.
const NAME_WORDS: usize = 3;

/// The first `1.2.3`, with what follows it without a space; trailing punctuation does not belong to it. Where there is none, a
/// `1.0` near the beginning, or one number that stands alone.
pub(crate) fn find_version(text: &str) -> Option<&str> {
    find_three(text).or_else(|| find_short(text))
}

fn find_three(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter(|start| bytes[*start].is_ascii_digit() && !starts_inside_a_number(bytes, *start)).find_map(
        |start| {
            let rest = &text[start..];
            let word = rest.split_whitespace().next()?;
            let mut parts = word.splitn(3, '.');
            let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let fits = is_number(parts.next()?)
                && is_number(parts.next()?)
                && parts.next()?.as_bytes().first()?.is_ascii_digit();
            fits.then(|| word.trim_end_matches(['.', ',', ';', ':', ')', ']']))
        },
    )
}

fn find_short(text: &str) -> Option<&str> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut words = line
        .split_whitespace()
        .take(NAME_WORDS + 1)
        .map(|word| bare(word.trim_start_matches(['(', '[']).trim_end_matches(['.', ',', ';', ':', ')', ']'])));
    let found = words.find(|word| {
        let numbers = &word[..word.find(['-', '+']).unwrap_or(word.len())];
        numbers.split_once('.').is_some_and(|(major, minor)| is_number(major) && is_number(minor))
    });
    found.or_else(|| Some(bare(text.trim())).filter(|word| is_number(word)))
}

fn bare(word: &str) -> &str {
    word.strip_prefix(['v', 'V']).unwrap_or(word)
}

/// Whether a version is a date, as Cursor's are: `2025.09.18-7ae6800`.
pub(crate) fn is_calendar(version: &str) -> bool {
    let mut parts = version.splitn(3, '.');
    let part = |part: Option<&str>| {
        part.and_then(|part| part.get(..part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len()))?.parse().ok())
    };
    let (year, month, day): (Option<u32>, Option<u32>, Option<u32>) =
        (part(parts.next()), part(parts.next()), part(parts.next()));
    year.is_some_and(|year| (2020..2100).contains(&year))
        && month.is_some_and(|month| (1..=12).contains(&month))
        && day.is_some_and(|day| (1..=31).contains(&day))
}

fn starts_inside_a_number(bytes: &[u8], start: usize) -> bool {
    start > 0 && (bytes[start - 1].is_ascii_digit() || bytes[start - 1] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_real_tools_print() {
        for (text, version) in [
            ("2.1.330 (Claude Code)\n", "2.1.330"),
            ("1.18.33\n", "1.18.33"),
            ("codex-cli 0.169.0\n", "0.169.0"),
            ("GitHub Copilot CLI 1.0.102.\nRun 'copilot update' to check for 2.0.0.\n", "1.0.102"),
            ("0.0.1790142911-g7618fb (released 2026-09-23, 2mo ago)", "0.0.1790142911-g7618fb"),
            ("welcome\n@agentclientprotocol/codex-acp v2.6.0\n", "2.6.0"),
            ("2025.09.18-7ae6800", "2025.09.18-7ae6800"),
            ("tool (1.2.3-beta.1+x)", "1.2.3-beta.1+x"),
            ("since 2024, node 20 1.2 3.4.5", "3.4.5"),
            ("1.0\n", "1.0"),
            ("1.2.", "1.2"),
            ("\nv1.0\n", "1.0"),
            ("mytool version 2.10 (built today)", "2.10"),
            ("My Own Tool (1.0-rc1)", "1.0-rc1"),
            ("7\n", "7"),
            ("v12", "12"),
        ] {
            assert_eq!(find_version(text), Some(version), "{text}");
        }
        for text in [
            "",
            "unknown",
            "1..2",
            "v1.x.3",
            "a.b.c",
            "1.",
            ".5",
            "é1.2é",
            "node 20",
            "this one does not run on 1.2",
            "hello\n1.2",
        ] {
            assert_eq!(find_version(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_date_is_a_calendar_version() {
        assert!(is_calendar("2025.09.18-7ae6800") && is_calendar("2026.1.2"));
        assert!(!is_calendar("1.18.33") && !is_calendar("2025.13.1") && !is_calendar("2025.1"));
    }
}
