//! Where a program may be: on a search path, and in places that no search path names.

use super::ToolSpec;
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};

/// How many programs of one tool are looked at, at most.
const MOST: usize = 4;

/// Places of package managers, for every tool; `~/` is the user's home, one `*` a name.
const PLACES: &[&str] = &[
    "~/.local/bin",
    "~/bin",
    "~/.bun/bin",
    "~/.npm-global/bin",
    "~/.npm/bin",
    "~/.volta/bin",
    "~/.asdf/shims",
    "~/.local/share/mise/shims",
    "~/.nvm/versions/node/*/bin",
    "~/.local/share/fnm/node-versions/*/installation/bin",
    "~/.local/share/pnpm",
    "~/Library/pnpm",
    "~/.cargo/bin",
    "~/go/bin",
    "~/.deno/bin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "~/.nix-profile/bin",
    "/nix/var/nix/profiles/default/bin",
    "/run/current-system/sw/bin",
    "/snap/bin",
    "/usr/bin",
    "/bin",
];

/// Programs that may be the tool, best first: each file once, by the path that should be run (links are not resolved, because
/// some programs look at the name they were called by).
pub(crate) fn candidates(spec: &ToolSpec, path: &str, user_home: Option<&Path>, known_places: bool) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> =
        path.split(':').filter(|entry| entry.starts_with('/')).map(PathBuf::from).collect();
    if known_places {
        directories.extend(user_home.and_then(npm_prefix));
        let places = spec.places.iter().map(String::as_str).chain(PLACES.iter().copied());
        directories.extend(places.flat_map(|place| expand(place, user_home)));
    }
    let mut found: Vec<PathBuf> = Vec::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for binary in &spec.binaries {
        for directory in &directories {
            let program = directory.join(binary);
            let Some(file) = executable(&program) else { continue };
            if !files.contains(&file) && found.len() < MOST {
                files.push(file);
                found.push(program);
            }
        }
    }
    found
}

/// The real path of a program that this user may run.
pub(crate) fn executable(program: &Path) -> Option<PathBuf> {
    let is_file = std::fs::metadata(program).is_ok_and(|metadata| metadata.is_file());
    if is_file && access(program, Access::EXEC_OK).is_ok() { program.canonicalize().ok() } else { None }
}

/// The directories that a place stands for, newest version first.
fn expand(place: &str, user_home: Option<&Path>) -> Vec<PathBuf> {
    let place = match (place.strip_prefix("~/"), user_home) {
        (Some(rest), Some(home)) => home.join(rest),
        (Some(_), None) => return Vec::new(),
        (None, _) => PathBuf::from(place),
    };
    let place = place.to_string_lossy().into_owned();
    let Some((before, after)) = place.split_once("/*") else { return vec![PathBuf::from(place)] };
    let Ok(entries) = std::fs::read_dir(before) else { return Vec::new() };
    let mut directories: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    directories.sort_by_key(|path| std::cmp::Reverse(numbers(path)));
    directories.into_iter().map(|path| if after.is_empty() { path } else { path.join(&after[1..]) }).collect()
}

/// The numbers in the last name of a path, to order versions by.
fn numbers(path: &Path) -> Vec<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split(|character: char| !character.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// The directory of globally installed npm programs, when the user moved it.
fn npm_prefix(user_home: &Path) -> Option<PathBuf> {
    let settings = std::fs::read_to_string(user_home.join(".npmrc")).ok()?;
    let value = settings.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == "prefix")?.1;
    let value = value.trim().trim_matches('"').replace("${HOME}", "~");
    let prefix = match value.strip_prefix("~/") {
        Some(rest) => user_home.join(rest),
        None => PathBuf::from(value),
    };
    prefix.is_absolute().then(|| prefix.join("bin"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::registry::find;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn program(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_path_comes_before_known_places_and_each_file_counts_once() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        program(&home.join(".opencode/bin/opencode"));
        program(&home.join(".nvm/versions/node/v8.17.0/bin/opencode"));
        program(&home.join(".nvm/versions/node/v24.1.0/bin/opencode"));
        std::fs::create_dir_all(root.path().join("bin")).unwrap();
        symlink(home.join(".opencode/bin/opencode"), root.path().join("bin/opencode")).unwrap();
        let path = format!(".:{}:/nonexistent", root.path().join("bin").display());
        let found = candidates(find("opencode").unwrap(), &path, Some(&home), true);
        let expected = [
            root.path().join("bin/opencode"),
            home.join(".nvm/versions/node/v24.1.0/bin/opencode"),
            home.join(".nvm/versions/node/v8.17.0/bin/opencode"),
        ];
        assert_eq!(found[..3], expected);
        assert_eq!(candidates(find("opencode").unwrap(), &path, Some(&home), false), expected[..1]);
    }

    #[test]
    fn what_cannot_be_run_is_not_found() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("opencode"), "text").unwrap();
        std::fs::create_dir(root.path().join("claude")).unwrap();
        symlink("/nonexistent/codex", root.path().join("codex")).unwrap();
        for tool in ["opencode", "claude", "codex"] {
            let found = candidates(find(tool).unwrap(), &root.path().display().to_string(), None, false);
            assert!(found.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn the_npm_directory_of_the_user_is_searched() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(".npmrc"), "fund=false\nprefix = ~/npm\n").unwrap();
        program(&root.path().join("npm/bin/gemini"));
        let found = candidates(find("gemini").unwrap(), "", Some(root.path()), true);
        assert_eq!(found[0], root.path().join("npm/bin/gemini"));
    }
}
