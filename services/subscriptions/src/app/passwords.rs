//! Hashing passwords without letting it take all memory or all processors.

use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Hashing;
use crate::domain::account::Password;
use crate::error::{BoxError, Error};

/// Hashes and checks passwords: argon2id with what OWASP's password storage cheat sheet asks for at least (19 MiB, two
/// passes, one lane).
pub(super) struct Passwords {
    running: Arc<Semaphore>,
    /// Running and waiting, at most `places`.
    admitted: Arc<Semaphore>,
    places: usize,
    /// Memory of those who are done, for those who wait.
    spare: Arc<Mutex<Vec<Memory>>>,
    /// The hash of a password that nobody has: checking it takes as long as checking a real one.
    decoy: Arc<str>,
}

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// A salt of 16 bytes and a hash of 32, as RFC 9106 4 recommends.
const SALT: usize = 16;
const HASH: usize = 32;

/// What a hash is worked out in.
type Memory = Vec<Block>;

/// Blocks that are reserved, of which 19 MiB are touched. glibc gives what is larger than 32 MiB a mapping of its own and
/// gives it back when it is freed; anything smaller stays with the arena of the thread that asked for it, which came to
/// 350 MB after sixty logins.
const RESERVED: usize = 33 << 10;

impl Passwords {
    pub(super) async fn new(limits: Hashing) -> Result<Self, Error> {
        let places = limits.concurrency.saturating_add(limits.waiting);
        let this = Self {
            running: Arc::new(Semaphore::new(limits.concurrency)),
            admitted: Arc::new(Semaphore::new(places)),
            places,
            spare: Arc::default(),
            decoy: Arc::from(""),
        };
        let nobodys = Password::claimed(&STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let decoy = this.hash(nobodys).await?;
        Ok(Self {
            decoy: decoy.into(),
            ..this
        })
    }

    /// The password's hash as a PHC string, with a salt of its own.
    pub(super) async fn hash(&self, password: Password) -> Result<String, Error> {
        self.run(move |memory| {
            let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH)).map_err(broken)?;
            let salt: [u8; SALT] = rand::random();
            let hash = PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&params).map_err(broken)?,
                salt: Some(Salt::new(&salt).map_err(broken)?),
                hash: Some(work_out(memory, params, &password, &salt)?),
            };
            Ok(hash.to_string())
        })
        .await
    }

    /// True when `hash` is there and the password's. It takes the same time when it is not there.
    pub(super) async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Error> {
        let decoy = Arc::clone(&self.decoy);
        self.run(move |memory| {
            let parsed = PasswordHash::new(hash.as_deref().unwrap_or(&decoy)).map_err(broken)?;
            let (Some(salt), Some(right)) = (&parsed.salt, &parsed.hash) else {
                return Err(broken("a stored hash has no salt or no hash"));
            };
            if parsed.algorithm != Algorithm::Argon2id.ident() {
                return Err(broken("a stored hash is not argon2id"));
            }
            // With the parameters of its own time, should they be raised one day.
            let params = Params::try_from(&parsed).map_err(broken)?;
            // The comparison takes the same time whatever differs.
            let same = work_out(memory, params, &password, salt)? == *right;
            Ok(same && hash.is_some())
        })
        .await
    }

    /// Runs the work off the runtime's threads. The permits go with it: a caller who leaves does not make room for
    /// another one while the work goes on.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let admission = Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map_err(|_| Error::Crowded)?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| Error::Crowded)?;
        let permits: [OwnedSemaphorePermit; 2] = [running, admission];
        let (spare, admitted, places) = (Arc::clone(&self.spare), Arc::clone(&self.admitted), self.places);
        tokio::task::spawn_blocking(move || {
            let memory = spare.lock().pop();
            let mut memory = memory.unwrap_or_else(|| Memory::with_capacity(RESERVED));
            let result = work(&mut memory);
            spare.lock().push(memory);
            drop(permits);
            // The last one out leaves nothing behind.
            if admitted.available_permits() == places {
                spare.lock().clear();
            }
            result
        })
        .await
        .map_err(|error| Error::internal("hashing a password did not end", error))?
    }
}

fn work_out(memory: &mut Memory, params: Params, password: &Password, salt: &[u8]) -> Result<Output, Error> {
    memory.resize(params.block_count(), Block::default());
    let mut hash = [0; HASH];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut hash, memory)
        .map_err(broken)?;
    Output::new(&hash).map_err(broken)
}

fn broken(error: impl Into<BoxError>) -> Error {
    Error::internal("a password can't be hashed", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    async fn passwords(concurrency: usize, waiting: usize) -> Passwords {
        Passwords::new(Hashing { concurrency, waiting }).await.unwrap()
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_the_recommended_parameters_and_a_salt_of_its_own() {
        let passwords = passwords(1, 1).await;
        let first = passwords.hash(password("correct horse")).await.unwrap();
        let second = passwords.hash(password("correct horse")).await.unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_hash_is_the_one_that_others_work_out() {
        use argon2::PasswordVerifier as _;
        let hash = passwords(1, 1)
            .await
            .hash(password("correct horse"))
            .await
            .unwrap();
        let parsed = PasswordHash::new(&hash).unwrap();
        Argon2::default()
            .verify_password(b"correct horse", &parsed)
            .unwrap();
    }

    #[tokio::test]
    async fn nothing_is_kept_when_nobody_waits() {
        let passwords = passwords(2, 10).await;
        let all =
            futures::future::join_all((0..8).map(|_| passwords.verify(password("correct horse"), None)))
                .await;
        assert!(all.iter().all(Result::is_ok));
        assert!(passwords.spare.lock().is_empty());
    }

    #[tokio::test]
    async fn only_the_right_password_of_somebody_is_good() {
        let passwords = passwords(1, 1).await;
        let hash = passwords.hash(password("correct horse")).await.unwrap();
        assert!(
            passwords
                .verify(password("correct horse"), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify(password("battery staple"), Some(hash))
                .await
                .unwrap()
        );
        assert!(!passwords.verify(password("correct horse"), None).await.unwrap());
    }

    #[tokio::test]
    async fn more_than_may_wait_are_refused_at_once() {
        let passwords = passwords(1, 2).await;
        let all =
            futures::future::join_all((0..10).map(|_| passwords.verify(password("correct horse"), None)))
                .await;
        let refused = all
            .iter()
            .filter(|one| matches!(one, Err(Error::Crowded)))
            .count();
        assert_eq!(refused, 7);
    }

    #[tokio::test]
    async fn who_leaves_while_hashing_does_not_make_room() {
        let passwords = passwords(1, 0).await;
        let mut left = Box::pin(passwords.verify(password("correct horse"), None));
        assert!(futures::poll!(&mut left).is_pending());
        drop(left);
        let next = passwords.verify(password("correct horse"), None).await;
        assert!(matches!(next, Err(Error::Crowded)));
    }
}
