//! Lengths of time as people write them: `90`, `90s`, `5m`, `12h`, `30d`.

use std::time::Duration;

/// Reads a length of time; a bare number is seconds.
///
/// # Errors
/// A sentence for the person who wrote it.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let wrong = || format!("`{text}` is not a length of time: write it like 90s, 5m, 12h or 30d");
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "ms" => return Ok(Duration::from_millis(number)),
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

/// Writes a length of time in milliseconds in one unit, rounded down: `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`.
pub(crate) fn show(ms: i64) -> String {
    match ms.max(0) {
        ms @ ..1_000 => format!("{ms} ms"),
        ms @ ..120_000 => format!("{} s", ms / 1_000),
        ms @ ..7_200_000 => format!("{} min", ms / 60_000),
        ms @ ..172_800_000 => format!("{} h", ms / 3_600_000),
        ms => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, show};
    use std::time::Duration;

    #[test]
    fn units_are_understood() {
        assert_eq!(parse("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("2d"), Ok(Duration::from_secs(172_800)));
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in ["", "s", "-1", "5 weeks", "1.5h", "99999999999999999999d", "9999999999999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_shown_in_one_unit() {
        assert_eq!(
            [show(-5), show(850), show(119_999), show(120_000), show(90_000_000)].join(", "),
            "0 ms, 850 ms, 119 s, 2 min, 25 h"
        );
    }
}
