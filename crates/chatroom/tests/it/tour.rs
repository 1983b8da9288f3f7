//! The README's tour, run as it stands there.

use crate::world::{World, eventually};

/// The lines of the shell block under a heading of the README.
fn block(heading: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let section = readme.split_once(&format!("\n## {heading}\n")).expect("the heading stands in the README").1;
    let block = section.split_once("```sh\n").expect("a shell block").1.split_once("```").unwrap().0;
    block.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()).collect()
}

#[test]
fn the_tour_of_the_readme_works_as_it_stands_there() {
    let world = World::new();
    let up = world.up();
    let lines = block("Five-minute tour");
    // One shell for all lines, as in a terminal; the answer may be a moment away, so its line is asked again.
    let (last, first) =
        lines.iter().position(|line| line.contains("messages list")).map(|at| (at, &lines[..at])).unwrap();
    let begin = format!("set -e\n{}\n", first.join("\n"));
    world.command("/bin/sh", ["-c", &format!("{begin}echo ROOM=$ROOM > room")]).ok();
    let room = std::fs::read_to_string(world.work().join("room")).unwrap();
    let answer = eventually("the answer of the tour", || {
        let said = world.command("/bin/sh", ["-c", &format!("{room}{}", lines[last])]).ok().stdout;
        said.contains("echo: ").then_some(said)
    });
    assert!(answer.contains("builder to user"), "{answer}");
    let rest = lines[last + 1..].join("\n");
    world.command("/bin/sh", ["-c", &format!("set -e\n{room}{rest}")]).ok();
    let stopped = up.stop();
    assert_eq!(stopped.code, 0, "{stopped:?}");
}

#[test]
fn the_readme_has_exactly_two_commands_to_begin_with() {
    assert_eq!(
        block("Two commands").iter().map(|line| line.split('#').next().unwrap().trim()).collect::<Vec<_>>(),
        ["make up", "make test"]
    );
}
