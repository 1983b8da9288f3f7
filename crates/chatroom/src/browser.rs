//! Opens links in the person's browser, where there is one. A link that signs in never stands in a process list: the browser
//! gets the path of a private file that leads on.

use chatroom_machine::Home;
use chatroom_machine::home::write_private;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Opens a link that holds no secret. Does nothing without a screen or a terminal.
pub(crate) fn open(link: &str) {
    if !has_screen() {
        return;
    }
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    // Failure leaves the person with the printed link.
    let _ = Command::new(program).arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

/// Opens a link that signs in. The file that leads to it is private; the link in it works once.
pub(crate) fn open_secret(home: &Home, link: &str) -> io::Result<()> {
    if !has_screen() {
        return Ok(());
    }
    let file = home.path().join("sign-in.html");
    write_private(&file, redirect_page(link).as_bytes())?;
    open_file(&file);
    Ok(())
}

fn open_file(file: &Path) {
    open(&format!("file://{}", file.display()));
}

fn redirect_page(link: &str) -> String {
    let link = link.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    format!(
        "<!doctype html><meta charset=\"utf-8\"><title>chatroom</title><meta http-equiv=\"refresh\" content=\"0; url={link}\">\n"
    )
}

fn has_screen() -> bool {
    let screen =
        cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    screen && io::stdout().is_terminal() && std::env::var_os("CI").is_none()
}

#[cfg(test)]
mod tests {
    use super::redirect_page;

    #[test]
    fn a_link_cannot_leave_its_attribute() {
        let page = redirect_page("http://127.0.0.1/\"><script>&");
        assert!(page.contains("url=http://127.0.0.1/&quot;>&lt;script>&amp;\""));
    }
}
