//! What changed between two texts, line by line, for a person who looks at a terminal.

/// Lines of both sides that are compared one with each other at most; what differs in more is shown as replaced.
const MAX_COMPARED: usize = 250_000;

/// One line that is gone or new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// It stood in the old text.
    Gone(&'a str),
    /// It stands in the new one.
    New(&'a str),
}

/// The lines that are gone and those that are new, in order.
pub(crate) fn changes<'a>(old: &'a str, new: &'a str) -> Vec<Change<'a>> {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let before = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[before..], &new[before..]);
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - after], &new[..new.len() - after]);
    if old.len().saturating_mul(new.len()) > MAX_COMPARED {
        return old.iter().map(|line| Change::Gone(line)).chain(new.iter().map(|line| Change::New(line))).collect();
    }
    // common[i][j]: the longest row of lines that `old[i..]` and `new[j..]` have in common.
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut changes = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || common[i + 1][j] >= common[i][j + 1]) {
            changes.push(Change::Gone(old[i]));
            i += 1;
        } else {
            changes.push(Change::New(new[j]));
            j += 1;
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::{Change, changes};

    #[test]
    fn only_lines_that_differ_are_told() {
        let old = "use a;\nfn one() {}\nfn two() {}\nend\n";
        let new = "use a;\nfn zero() {}\nfn one() {}\nfn three() {}\nend\n";
        assert_eq!(
            changes(old, new),
            [Change::New("fn zero() {}"), Change::Gone("fn two() {}"), Change::New("fn three() {}")]
        );
        assert_eq!(changes("same\n", "same\n"), []);
        assert_eq!(changes("", "new\n"), [Change::New("new")]);
    }

    #[test]
    fn texts_that_are_too_long_to_compare_are_told_as_replaced() {
        let old: String = (0..1000).map(|line| format!("old {line}\n")).collect();
        let new: String = (0..1000).map(|line| format!("new {line}\n")).collect();
        let changes = changes(&old, &new);
        assert_eq!(changes.len(), 2000);
        assert_eq!(changes[0], Change::Gone("old 0"));
    }
}
