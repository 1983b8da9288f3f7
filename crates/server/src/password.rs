//! Passwords: which are taken, how they are kept, how one is compared with what is kept.
//!
//! Argon2id makes every guess cost 19 MiB and some hundredths of a second, ours too: a few are worked on at once, apart from the
//! tasks that serve everybody else, in memory that is kept: what a thread allocates and gives back may stay with that thread. A comparison with nothing costs what any other does, so that nobody can tell who is there.

use crate::fail::Result;
use anyhow::Context as _;
use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use chatroom_protocol::{ErrorCode, Refusal};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// A password has at least this many characters.
pub const SHORTEST: usize = 12;
/// And at most this many.
pub const LONGEST: usize = 128;
/// And this many different ones.
const DIFFERENT: usize = 5;
/// So many are worked on at once, at 19 MiB each.
const AT_ONCE: usize = 2;
/// Whoever waits longer than this for their turn is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is compared with where nothing is kept: random bytes, at the same cost as every other hash.
const OF_NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$EL7p9CZRST8BUrvWfWPaUQ$YvPKev2ZLR93bjXv0YfrsehQSbs3G6WF1aangF+D+fg";

/// What is kept of a password: argon2id in PHC form, with salt and cost. Not a secret as such, but food for guessing.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash(String);

impl Hash {
    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Hash {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

/// Whether this may become a password: long rather than strange, as it is what a person can remember that resists guessing.
///
/// # Errors
/// `bad_request` with the rule that it breaks.
pub fn check(password: &str) -> std::result::Result<(), Refusal> {
    let length = password.chars().count();
    let advice = "several words that do not belong together are easy to remember and hard to guess";
    if !(SHORTEST..=LONGEST).contains(&length) {
        let message = format!("a password has {SHORTEST} to {LONGEST} characters, this one has {length}");
        return Err(Refusal::bad_request(message).hint(advice));
    }
    if password.chars().collect::<BTreeSet<_>>().len() < DIFFERENT {
        let message = format!("a password has at least {DIFFERENT} different characters");
        return Err(Refusal::bad_request(message).hint(advice));
    }
    Ok(())
}

/// Works on passwords, a few at once.
#[derive(Clone, Debug)]
pub struct Hasher {
    turns: Arc<Semaphore>,
    patience: Duration,
    memories: Arc<Mutex<Vec<Memory>>>,
}

type Memory = Vec<Block>;

impl Default for Hasher {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), patience: PATIENCE, memories: Arc::default() }
    }
}

impl Hasher {
    /// What to keep of a password.
    ///
    /// # Errors
    /// `unavailable` when too many others wait.
    pub async fn hash(&self, password: &str) -> Result<Hash> {
        let password = password.to_owned();
        let hashed = self.work(move |memory| hash(&password, memory).context("cannot hash a password")).await??;
        Ok(Hash(hashed))
    }

    /// Whether this is the password of which `hash` was kept; never when none was, and that takes as long to say.
    ///
    /// # Errors
    /// `unavailable` when too many others wait.
    pub async fn is_right(&self, password: &str, hash: Option<&Hash>) -> Result<bool> {
        let (password, is_known) = (password.to_owned(), hash.is_some());
        let kept = hash.map_or(OF_NOBODY, Hash::as_str).to_owned();
        let compared =
            self.work(move |memory| is_of(&password, &kept, memory).context("a password cannot be compared")).await??;
        Ok(compared && is_known)
    }

    /// The turn ends with the work, not with whoever waits for it: they may be gone before.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce(&mut Memory) -> T + Send + 'static) -> Result<T> {
        let turn = tokio::time::timeout(self.patience, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(turn) = turn else {
            return Err(Refusal::new(ErrorCode::Unavailable, "too many passwords are being checked now")
                .hint("try again in a minute")
                .into());
        };
        let turn = turn.context("there are no turns any more")?;
        let memories = Arc::clone(&self.memories);
        let worked = tokio::task::spawn_blocking(move || {
            let kept = || memories.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = kept().pop().unwrap_or_default();
            let done = work(&mut memory);
            kept().push(memory);
            drop(turn);
            done
        });
        Ok(worked.await.context("the work on a password was given up")?)
    }
}

/// The hash of a password with a salt of its own, at today's cost.
fn hash(password: &str, memory: &mut Memory) -> anyhow::Result<String> {
    let (params, salt) = (Params::default(), Salt::generate());
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt),
        hash: Some(derive(password, salt, params, memory)?),
    };
    Ok(hash.to_string())
}

/// Whether a kept hash is of this password, at the cost that it was made with.
fn is_of(password: &str, kept: &str, memory: &mut Memory) -> anyhow::Result<bool> {
    let kept = PasswordHash::new(kept)?;
    let is_ours = kept.algorithm == Algorithm::Argon2id.ident() && kept.version == Some(Version::V0x13.into());
    anyhow::ensure!(is_ours, "it was hashed by another algorithm");
    let (salt, hash) = kept.salt.zip(kept.hash).context("it has no salt or no hash")?;
    // Outputs are compared in constant time.
    Ok(derive(password, salt, Params::try_from(&kept)?, memory)? == hash)
}

fn derive(password: &str, salt: Salt, params: Params, memory: &mut Memory) -> anyhow::Result<Output> {
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::new());
    }
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, memory)?;
    Ok(Output::new(&output)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "correct horse battery staple";

    #[test]
    fn long_ones_are_taken_and_short_or_uniform_ones_are_told_why() {
        for good in [GOOD, "größer als zwölf", "            a b c d e", &"abcde".repeat(25)] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        for bad in ["", "elevenchars", "aaaaaaaaaaaaaaaa", "121212121212", &"abcde".repeat(26)] {
            let refusal = check(bad).unwrap_err();
            assert!(refusal.code == ErrorCode::BadRequest && refusal.hint.is_some(), "{bad:?}");
            assert!(bad.is_empty() || !refusal.message.contains(bad), "{refusal:?}");
        }
    }

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_only() {
        let hasher = Hasher::default();
        let (one, two) = (hasher.hash(GOOD).await.unwrap(), hasher.hash(GOOD).await.unwrap());
        assert_ne!(one, two, "each has its own salt");
        assert!(hasher.is_right(GOOD, Some(&one)).await.unwrap());
        assert!(hasher.is_right(GOOD, Some(&two)).await.unwrap());
        for wrong in ["", "Correct horse battery staple", "correct horse battery staple "] {
            assert!(!hasher.is_right(wrong, Some(&one)).await.unwrap(), "{wrong:?}");
        }
        assert!(!hasher.is_right(GOOD, None).await.unwrap());
        assert!(hasher.is_right(GOOD, Some(&Hash("plain".into()))).await.is_err());
        assert!(!format!("{one:?}").contains("argon2"), "{one:?}");
    }

    #[tokio::test]
    async fn every_hash_costs_the_same_also_that_of_nobody() {
        let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        let hash = Hasher::default().hash(GOOD).await.unwrap();
        assert_eq!(cost(hash.as_str()), "$argon2id$v=19$m=19456,t=2,p=1");
        assert_eq!(cost(OF_NOBODY), cost(hash.as_str()));
        assert_eq!(OF_NOBODY.len(), hash.as_str().len());
    }

    #[tokio::test]
    async fn many_at_once_take_the_memory_of_two() {
        let hasher = Hasher::default();
        let all = (0..8).map(|_| hasher.is_right(GOOD, None));
        for outcome in futures_util::future::join_all(all).await {
            assert!(!outcome.unwrap());
        }
        assert!(hasher.memories.lock().unwrap().len() <= AT_ONCE);
    }

    /// The parts are put together here for the sake of the memory: into what the library itself would make.
    #[tokio::test]
    async fn the_library_understands_what_is_kept_and_is_understood() {
        use argon2::PasswordHasher as _;
        let theirs = Argon2::default().hash_password(GOOD.as_bytes()).unwrap().to_string();
        let hasher = Hasher::default();
        assert!(hasher.is_right(GOOD, Some(&Hash(theirs.clone()))).await.unwrap());
        assert!(!hasher.is_right("another", Some(&Hash(theirs))).await.unwrap());
        let ours = hasher.hash(GOOD).await.unwrap();
        argon2::PasswordVerifier::verify_password(&Argon2::default(), GOOD.as_bytes(), ours.as_str()).unwrap();
    }

    #[tokio::test]
    async fn who_waits_too_long_for_their_turn_is_told_to_come_again() {
        let hasher = Hasher { patience: Duration::from_millis(1), ..Hasher::default() };
        let taken = hasher.turns.acquire_many(2).await.unwrap();
        let refused = hasher.is_right(GOOD, None).await.unwrap_err().into_refusal("test");
        assert_eq!(refused.code, ErrorCode::Unavailable);
        drop(taken);
    }
}
