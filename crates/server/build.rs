//! Embeds what other programs made, when it is there: the page (`scripts/web`) and the viewer of `/api/docs` (`scripts/api-viewer`).
//! A build without them works too.

use std::fs;
use std::path::{Path, PathBuf};

const VIEWER: [(&str, &str); 3] =
    [("SCRIPT", "swagger-ui-bundle.js.gz"), ("STYLE", "swagger-ui.css.gz"), ("LICENSE", "LICENSE.txt")];

fn main() {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's directory"));
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo names the directory for what is made"));
    fs::write(out.join("viewer.rs"), viewer(&root.join("viewer"))).expect("cannot write what is embedded");
    fs::write(out.join("page.rs"), page(&root.join("../../web/dist"))).expect("cannot write what is embedded");
}

// Both directories are there in every clone: what comes into them later is seen.

fn viewer(viewer: &Path) -> String {
    println!("cargo::rerun-if-changed={}", viewer.display());
    let mut code = String::new();
    for (name, file) in VIEWER {
        let path = viewer.join("dist").join(file);
        let value = if path.is_file() { format!("Some(include_bytes!({path:?}))") } else { "None".to_owned() };
        code.push_str(&format!("pub(super) const {name}: Option<&[u8]> = {value};\n"));
    }
    code
}

/// Every file of the page by its path below the server, without the `.gz` of compressed ones.
fn page(dist: &Path) -> String {
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut paths = Vec::new();
    for directory in [dist.to_owned(), dist.join("assets")] {
        let entries = fs::read_dir(directory).into_iter().flatten();
        paths.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()));
    }
    paths.sort();
    let mut code = "pub(super) const FILES: &[(&str, bool, &[u8])] = &[\n".to_owned();
    for path in paths {
        let name = path.strip_prefix(dist).ok().and_then(Path::to_str).unwrap_or_default().replace('\\', "/");
        if name.starts_with('.') || name == "stamp" {
            continue;
        }
        let plain = name.strip_suffix(".gz");
        code.push_str(&format!("    ({:?}, {}, include_bytes!({path:?})),\n", plain.unwrap_or(&name), plain.is_some()));
    }
    code + "];\n"
}
