//! The fingerprint of the computer and system that a `machine.json` belongs to.
//!
//! A copied home directory (a disk image, a synchronised folder, a container volume) must not make two machines with one id.
//! Only hashes are kept, made for this purpose alone, so they say nothing about the machine elsewhere. Facts are compared one by
//! one, and only when both sides have them: the hardware's id is readable for root only, and the same user may run this program
//! with and without being root. **A fact that cannot be read locks nobody out**: without any fact the identity is trusted, because
//! a machine that cannot start its agents is worse than a copy that is noticed late (the server fences two daemons of one machine).

use sha2::{Digest as _, Sha256};

/// Hashes of what identifies this computer; facts that cannot be read are absent and never compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// SHA-256 (hex) of the installed system's own id.
    pub system: Option<String>,
    /// SHA-256 (hex) of the hardware's id, readable for root only on most systems.
    pub hardware: Option<String>,
}

impl Fingerprint {
    /// Reads this machine's fingerprint. `CHATROOM_TEST_FINGERPRINT` stands in for it in tests.
    #[must_use]
    pub fn read() -> Self {
        match std::env::var("CHATROOM_TEST_FINGERPRINT") {
            Ok(text) if !text.is_empty() => Self::of(Some(&text), None),
            _ => read_system(),
        }
    }

    /// The fingerprint of given facts; empty ones count as absent.
    #[must_use]
    pub fn of(system: Option<&str>, hardware: Option<&str>) -> Self {
        Self {
            system: system.and_then(|id| hash("system", id)),
            hardware: hardware.and_then(|id| hash("hardware", id)),
        }
    }

    /// Whether nothing says that the two are different machines.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        agree(&self.system, &other.system) && agree(&self.hardware, &other.hardware)
    }
}

/// The name of this computer, as the system says.
#[must_use]
pub fn hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().trim().to_owned();
    if name.is_empty() { "unnamed".to_owned() } else { name.chars().take(255).collect() }
}

fn hash(fact: &str, id: &str) -> Option<String> {
    let id = id.trim().to_ascii_lowercase();
    // What systems write before they have an id.
    if id.is_empty() || id == "uninitialized" {
        return None;
    }
    let digest = Sha256::digest(format!("chatroom machine fingerprint\n{fact}\n{id}"));
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(not(target_os = "macos"))]
fn read_system() -> Fingerprint {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let system = read("/etc/machine-id").or_else(|| read("/var/lib/dbus/machine-id"));
    Fingerprint::of(system.as_deref(), read("/sys/class/dmi/id/product_uuid").as_deref())
}

/// Untested: no such machine was at hand. The platform's UUID belongs to the board, so it stands for both facts.
#[cfg(target_os = "macos")]
fn read_system() -> Fingerprint {
    let output = std::process::Command::new("/usr/sbin/ioreg")
        .args(["-rd1", "-c", "IOPlatformExpertDevice"])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    Fingerprint::of(platform_uuid(&text), None)
}

/// Finds the platform's UUID in the output of `ioreg`.
#[cfg(any(target_os = "macos", test))]
fn platform_uuid(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.contains("\"IOPlatformUUID\""))?;
    line.split_once('=')?.1.trim().strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_compared_only_when_both_sides_have_them() {
        let user = Fingerprint::of(Some("a"), None);
        let root = Fingerprint::of(Some("a\n"), Some("B"));
        assert!(user.agrees_with(&root) && root.agrees_with(&user));
        assert!(!root.agrees_with(&Fingerprint::of(Some("a"), Some("c"))));
        assert!(!user.agrees_with(&Fingerprint::of(Some("b"), None)));
        assert!(Fingerprint::default().agrees_with(&root));
    }

    #[test]
    fn an_id_that_is_none_yet_is_absent_and_an_id_is_never_shown() {
        assert_eq!(Fingerprint::of(Some("uninitialized\n"), Some("  ")), Fingerprint::default());
        let system = Fingerprint::of(Some("secretid"), None).system.unwrap();
        assert_eq!(system.len(), 64);
        assert_ne!(Fingerprint::of(None, Some("secretid")).hardware.unwrap(), system);
    }

    #[test]
    fn the_platform_uuid_is_read_from_its_line() {
        let text = "+-o J <class IOPlatformExpertDevice>\n    {\n      \"IOPlatformUUID\" = \"AB-12\"\n    }\n";
        assert_eq!(platform_uuid(text), Some("AB-12"));
        assert_eq!(platform_uuid(""), None);
    }
}
