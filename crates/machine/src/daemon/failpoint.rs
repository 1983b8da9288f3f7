//! Named points at which a test can end this process: `CHATROOM_FAILPOINT=name` kills it there as SIGKILL would,
//! `CHATROOM_FAILPOINT=name:panic` panics there.
//!
//! Read once; without the variable a point costs one comparison.

use std::sync::OnceLock;

/// The environment variable that names the point.
pub const VARIABLE: &str = "CHATROOM_FAILPOINT";

/// Every point, in the order in which a start passes them.
pub const POINTS: [&str; 8] = [
    "after_claim",
    "after_intent",
    "before_spawn",
    "after_spawn",
    "after_host_claim",
    "after_started",
    "before_ack",
    "after_ack",
];

/// Ends this process if it was asked to end at the point `name`.
///
/// # Panics
/// When it was asked to panic there.
pub fn hit(name: &str) {
    static ASKED: OnceLock<Option<(String, bool)>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let value = std::env::var(VARIABLE).ok()?;
        let (point, how) = value.split_once(':').unwrap_or((&value, "kill"));
        Some((point.to_owned(), how == "panic"))
    });
    match asked {
        Some((point, panics)) if point == name => {
            assert!(!panics, "failpoint {name}");
            // SIGKILL runs no destructors and no handlers, as in a real crash.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        _ => {}
    }
}
