//! Embeds the viewer of `/api/docs` when `scripts/api-viewer` has made it; a build without it works too.

use std::fs;
use std::path::Path;

const FILES: [(&str, &str); 3] =
    [("SCRIPT", "swagger-ui-bundle.js.gz"), ("STYLE", "swagger-ui.css.gz"), ("LICENSE", "LICENSE.txt")];

fn main() {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's directory");
    let out = std::env::var("OUT_DIR").expect("cargo names the directory for what is made");
    let viewer = Path::new(&root).join("viewer");
    // The directory is there in every clone: a dist that comes later is seen.
    println!("cargo::rerun-if-changed={}", viewer.display());
    let mut code = String::new();
    for (name, file) in FILES {
        let path = viewer.join("dist").join(file);
        let value = if path.is_file() { format!("Some(include_bytes!({path:?}))") } else { "None".to_owned() };
        code.push_str(&format!("pub(super) const {name}: Option<&[u8]> = {value};\n"));
    }
    fs::write(Path::new(&out).join("viewer.rs"), code).expect("cannot write what is embedded");
}
