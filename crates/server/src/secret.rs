//! Random secrets, ids and hashes.
//!
//! A secret is 256 random bits, so a plain SHA-256 of it is enough at rest: there is nothing to guess.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Letters of a user code: no vowels (no words), nothing that looks like another (RFC 8628 section 6.1).
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A new secret with a prefix that tells people (and secret scanners) what it is, for example `crt_cli_`.
///
/// # Panics
/// When the operating system has no randomness; nothing could be kept safe then.
#[must_use]
pub fn new_secret(kind: &str) -> String {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    format!("crt_{kind}_{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// What is stored of a secret.
#[must_use]
pub fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new id, ordered by time.
#[must_use]
pub fn new_id<T: From<String>>() -> T {
    uuid::Uuid::now_v7().to_string().into()
}

/// A new user code, `XXXX-XXXX`: 20^8 possibilities, about 34 bits.
///
/// # Panics
/// When the operating system has no randomness.
#[must_use]
pub fn new_user_code() -> String {
    let mut letters = String::with_capacity(9);
    while letters.len() < 9 {
        if letters.len() == 4 {
            letters.push('-');
            continue;
        }
        let mut byte = [0u8; 1];
        getrandom::fill(&mut byte).expect("the operating system gives randomness");
        // 240 is the largest multiple of 20 in a byte: above it the letters would not be equally likely.
        if byte[0] < 240 {
            letters.push(char::from(USER_CODE_LETTERS[usize::from(byte[0] % 20)]));
        }
    }
    letters
}

/// The canonical form of a user code as a person typed it: `bcdf ghjk` is `BCDF-GHJK`.
#[must_use]
pub fn normalise_user_code(typed: &str) -> String {
    let letters: String = typed.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_uppercase()).collect();
    match letters.split_at_checked(4) {
        Some((head, tail)) => format!("{head}-{tail}"),
        None => letters,
    }
}

#[cfg(test)]
mod tests {
    use super::{hash, new_secret, new_user_code, normalise_user_code};

    #[test]
    fn a_user_code_survives_how_people_type_it() {
        let code = new_user_code();
        assert_eq!(code.len(), 9);
        assert_eq!(normalise_user_code(&code.to_lowercase().replace('-', " ")), code);
        assert_eq!(normalise_user_code("ab"), "AB");
    }

    #[test]
    fn a_secret_is_not_its_hash() {
        let secret = new_secret("cli");
        assert!(secret.starts_with("crt_cli_") && secret.len() > 48);
        assert_eq!(hash(&secret).len(), 64);
        assert_ne!(hash(&secret), hash(&new_secret("cli")));
    }
}
