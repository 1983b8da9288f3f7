//! Ids as people write them: whole, or the beginning of one as long as no other begins so.

use crate::error::refused;
use crate::ui::one_line;
use anyhow::Result;

/// The thing whose id begins so.
///
/// # Errors
/// A refusal with the hint: none begins so, or more than one.
pub(crate) fn by_beginning<'a, T>(
    what: &str,
    all: &'a [T],
    beginning: &str,
    id: impl Fn(&T) -> &str,
    hint: &str,
) -> Result<&'a T> {
    if let Some(whole) = all.iter().find(|one| id(one) == beginning) {
        return Ok(whole);
    }
    let found: Vec<&T> = all.iter().filter(|one| !beginning.is_empty() && id(one).starts_with(beginning)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(refused(format!("there is no {what} {}", one_line(beginning))).hint(hint).into()),
        more => {
            let message = format!("{} ids of {what}s begin with {}", more.len(), one_line(beginning));
            Err(refused(message).hint(format!("write more of it: {hint}")).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::by_beginning;

    #[test]
    fn a_beginning_counts_when_it_names_one_thing() {
        let all = ["aa1", "aa2", "b", "bb"];
        let find = |beginning| by_beginning("rule", &all, beginning, |id| id, "list").copied();
        assert_eq!(find("aa2").unwrap(), "aa2");
        assert_eq!(find("b").unwrap(), "b", "a whole id is no beginning");
        assert_eq!(find("aa").unwrap_err().to_string(), "2 ids of rules begin with aa");
        assert!(find("c").is_err() && find("").is_err());
    }
}
