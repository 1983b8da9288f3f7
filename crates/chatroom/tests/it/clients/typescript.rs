//! The generated TypeScript: kept current, and fit for `convex/react`.

use super::{node, node_dir, repository};
use crate::world::World;
use std::fs;
use std::path::Path;

#[test]
fn the_typescript_files_are_those_of_this_version() {
    let world = World::new();
    let made = world.root().join("typescript");
    world.chatroom(["generate-typescript", made.to_str().unwrap()]).ok();
    for name in ["types.ts", "api.ts"] {
        let read = |dir: &Path| fs::read_to_string(dir.join(name)).unwrap_or_default();
        let (made, kept) = (read(&made), read(&repository().join("clients/typescript")));
        assert!(made == kept, "{name} is old: run `chatroom generate-typescript clients/typescript`");
    }
}

#[test]
fn the_typescript_files_type_check_with_convex_react() {
    let world = World::new();
    let dir = node_dir(&world);
    for (from, names) in
        [("clients/typescript", ["api.ts", "types.ts"]), ("tests/clients/js", ["page.tsx", "tsconfig.json"])]
    {
        for name in names {
            fs::copy(repository().join(from).join(name), dir.join(name)).unwrap();
        }
    }
    let checked = node(&world, &["node_modules/typescript/bin/tsc", "--project", "tsconfig.json"]).done();
    assert_eq!(checked.code, 0, "{checked:?}");
    // The check sees what is wrong: without the expected errors it fails.
    let page = fs::read_to_string(dir.join("page.tsx")).unwrap();
    fs::write(dir.join("page.tsx"), page.replace("// @ts-expect-error", "// ")).unwrap();
    let checked = node(&world, &["node_modules/typescript/bin/tsc", "--project", "tsconfig.json"]).done();
    assert_eq!(checked.stdout.matches("error TS").count(), page.matches("@ts-expect-error").count(), "{checked:?}");
}
