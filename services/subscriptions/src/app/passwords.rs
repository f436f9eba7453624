//! Hashing passwords without letting it take all memory or all processors.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Hashing;
use crate::domain::account::Password;
use crate::error::{BoxError, Error};

/// Hashes and checks passwords: argon2id with what OWASP's password storage cheat sheet asks for at least (19 MiB, two
/// passes, one lane).
pub(super) struct Passwords {
    running: Arc<Semaphore>,
    /// Running and waiting.
    admitted: Arc<Semaphore>,
    /// The hash of a password that nobody has: checking it takes as long as checking a real one.
    decoy: Arc<str>,
}

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

impl Passwords {
    pub(super) async fn new(limits: Hashing) -> Result<Self, Error> {
        let this = Self {
            running: Arc::new(Semaphore::new(limits.concurrency)),
            admitted: Arc::new(Semaphore::new(limits.concurrency.saturating_add(limits.waiting))),
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
        self.run(move || {
            let hash: PasswordHash = argon2()?.hash_password(password.as_bytes()).map_err(broken)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// True when `hash` is there and the password's. It takes the same time when it is not there.
    pub(super) async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Error> {
        let decoy = Arc::clone(&self.decoy);
        self.run(move || {
            let known = hash.is_some();
            let parsed = PasswordHash::new(hash.as_deref().unwrap_or(&decoy)).map_err(broken)?;
            match argon2()?.verify_password(password.as_bytes(), &parsed) {
                Ok(()) => Ok(known),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(broken(error)),
            }
        })
        .await
    }

    /// Runs the work off the runtime's threads. The permits go with it: a caller who leaves does not make room for
    /// another one while the work goes on.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let admitted = Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map_err(|_| Error::Crowded)?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| Error::Crowded)?;
        let permits: [OwnedSemaphorePermit; 2] = [admitted, running];
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permits);
            result
        })
        .await
        .map_err(|error| Error::internal("hashing a password did not end", error))?
    }
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(broken)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
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
