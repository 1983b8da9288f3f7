//! Every example of `docs/API.md` is run, and prints what the document says.

use super::{Stage, installed, node, node_dir, node_program, repository, script};
use crate::world::{Done, World};
use std::fs;
use std::path::PathBuf;

/// One fenced block.
struct Block {
    language: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let document = fs::read_to_string(repository().join("docs/API.md")).unwrap();
    let fenced = document.split("\n```").skip(1).step_by(2);
    let block = |fenced: &str| {
        let (language, text) = fenced.split_once('\n').unwrap();
        Block { language: language.to_owned(), text: format!("{text}\n") }
    };
    fenced.map(block).collect()
}

/// Whether a text is as the document says, where `…` stands for anything.
fn is_as_said(text: &str, said: &str) -> bool {
    let parts: Vec<&str> = said.trim().split('…').collect();
    let mut rest = text.trim();
    for (number, part) in parts.iter().enumerate() {
        let part = part.trim_matches('\n');
        let found = match number {
            0 => rest.starts_with(part).then_some(0),
            last if last == parts.len() - 1 => rest.ends_with(part).then(|| rest.len() - part.len()),
            _ => rest.find(part),
        };
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
    }
    parts.len() > 1 || rest.is_empty()
}

/// A world with a server, a token, and on PATH what a reader of the document has.
fn reader(world: &World) -> Stage<'_> {
    let stage = Stage::new(world);
    let link = |name: &str, program: PathBuf| {
        std::os::unix::fs::symlink(program, world.root().join("tools").join(name)).unwrap();
    };
    let path = std::env::var_os("PATH").unwrap();
    let find = |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.exists());
    for name in ["npx", "curl"] {
        link(name, find(name).unwrap_or_else(|| panic!("{name} is not installed")));
    }
    let program = node_program();
    link("node", if program.is_absolute() { program } else { find("node").unwrap() });
    fs::copy(repository().join("tests/clients/js/package.json"), node_dir(world).join("package.json")).unwrap();
    for name in ["api.ts", "types.ts"] {
        fs::copy(repository().join("clients/typescript").join(name), node_dir(world).join(name)).unwrap();
    }
    stage
}

fn run(world: &World, stage: &Stage<'_>, block: &Block) -> Done {
    let put = |name: &str| fs::write(node_dir(world).join(name), &block.text).unwrap();
    let run = match block.language.as_str() {
        "sh" => world.command("sh", ["-eu", "-c", &block.text]).dir(node_dir(world)),
        "js" => {
            put("example.mjs");
            node(world, &["example.mjs"])
        }
        "tsx" => {
            put("App.tsx");
            script(world, "react.mjs", &[])
        }
        "python" => {
            put("example.py");
            world.command(installed("python-new").join("bin/python"), ["example.py"]).dir(node_dir(world))
        }
        "rust" => {
            let built = repository().join("tests/clients/rust/src/bin/document.rs");
            assert_eq!(fs::read_to_string(built).unwrap(), block.text, "src/bin/document.rs is the document's example");
            world.command(installed("rust/debug/document"), [""; 0])
        }
        other => panic!("nobody runs {other}"),
    };
    let url = format!("http://{}", stage.address);
    // `npx` finds what is installed here, and asks nobody for news.
    let run = run.env("npm_config_offline", "true").env("npm_config_update_notifier", "false");
    let run = run.env("CHATROOM_URL", &url).env("CHATROOM_TOKEN", &stage.token);
    run.env("VITE_CHATROOM_URL", &url).env("VITE_CHATROOM_TOKEN", &stage.token).done()
}

#[test]
fn every_example_of_the_document_prints_what_stands_below_it() {
    let world = World::new();
    let stage = reader(&world);
    let mut ran = Vec::new();
    let mut last: Option<Done> = None;
    for block in blocks() {
        match block.language.as_str() {
            "text" => {
                let done = last.take().expect("an example before what it prints");
                assert!(is_as_said(&done.stdout, &block.text), "not as the document says:\n{}\n{done:?}", block.text);
            }
            "toml" => {}
            language => {
                let done = run(&world, &stage, &block);
                assert_eq!(done.code, 0, "{}\n{done:?}", block.text);
                ran.push(language.to_owned());
                last = Some(done);
            }
        }
    }
    ran.sort();
    ran.dedup();
    assert_eq!(ran, ["js", "python", "rust", "sh", "tsx"]);
}

#[test]
fn what_an_example_prints_is_compared_piece_by_piece() {
    assert!(is_as_said("a 5 b\n", "a … b") && is_as_said("x\n", "x\n") && is_as_said("[]\n[1]\n", "…[1]"));
    assert!(!is_as_said("a 5 b c", "a … b") && !is_as_said("xy", "x") && !is_as_said("b a", "…a…b"));
}
