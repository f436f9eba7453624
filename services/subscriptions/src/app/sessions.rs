//! Signing in, staying signed in, signing out.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use marquee_auth::{Claims, Jwk};
use marquee_error::invalid;

use super::App;
use crate::domain::account::{Account, Password, Role};
use crate::domain::attempts::Guesser;
use crate::domain::email::Email;
use crate::domain::session::{RefreshToken, Rotation, Session};
use crate::error::Error;
use crate::store::Attempt;

/// The services that may have a service token.
const SERVICES: [&str; 6] = [
    "analytics",
    "events",
    "notifications",
    "search",
    "subscriptions",
    "video-ingest",
];

/// The tokens of a session.
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) expires_in: Duration,
    pub(crate) refresh_token: String,
}

/// Who signed in.
pub(crate) struct SignedIn {
    pub(crate) tokens: Tokens,
    pub(crate) account: Account,
}

impl App {
    /// Starts a session. `peer` is where the call comes from, when that is known.
    pub(crate) async fn login(
        &self,
        email: &Email,
        password: Password,
        peer: Option<IpAddr>,
    ) -> Result<SignedIn, Error> {
        let Some(account) = self.check_password(email, password, peer).await? else {
            return Err(Error::BadCredentials);
        };
        let now = self.clock.now();
        let token = RefreshToken::first();
        self.store
            .start_session(Session {
                family: token.family(),
                secret: token.secret(),
                account: account.name.clone(),
                create_time: now,
                expire_time: later(now, self.config.session_lifetime),
                ended: false,
            })
            .await?;
        Ok(SignedIn {
            tokens: self.tokens(&account, &token, now)?,
            account,
        })
    }

    /// Whose address and password these are. It takes the same time and the same attempts when the address is nobody's.
    pub(super) async fn check_password(
        &self,
        email: &Email,
        password: Password,
        peer: Option<IpAddr>,
    ) -> Result<Option<Account>, Error> {
        let guesser = Guesser::new(email.key(), peer);
        if let Attempt::Refused(retry_after) = self.store.take_attempt(guesser, self.clock.now()).await? {
            return Err(Error::TooManyAttempts { retry_after });
        }
        let (account, hash) = match self.store.credential(email).await? {
            Some(credential) => (Some(credential.account), Some(credential.password_hash)),
            None => (None, None),
        };
        if !self.passwords.verify(password, hash).await? {
            return Ok(None);
        }
        self.store.clear_attempts(guesser).await?;
        Ok(account)
    }

    /// Trades a refresh token for new tokens.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, Error> {
        let token = RefreshToken::decode(token).ok_or(Error::RefreshTokenInvalid)?;
        let now = self.clock.now();
        let next = token.next();
        let rotation = self
            .store
            .rotate_session(token.family(), token.secret(), next.secret(), now)
            .await?;
        match rotation {
            Rotation::Rotated(session) => {
                // The role is read again: who is no admin any more does not stay one until the session ends.
                let account = self.store.account(&session.account).await?;
                let account = account.ok_or(Error::RefreshTokenInvalid)?;
                self.tokens(&account, &next, now)
            }
            Rotation::Reused(session) => {
                tracing::warn!(account = %session.account, "a refresh token was used twice, its session is ended");
                Err(Error::RefreshTokenReused)
            }
            Rotation::Expired => Err(Error::SessionExpired),
            Rotation::Unknown => Err(Error::RefreshTokenInvalid),
        }
    }

    /// Ends the session of a token; what is no token has none.
    pub(crate) async fn logout(&self, token: &str) -> Result<(), Error> {
        if let Some(token) = RefreshToken::decode(token) {
            self.store.end_session(token.family(), self.clock.now()).await?;
        }
        Ok(())
    }

    /// The public keys, newest first.
    pub(crate) fn key_set(&self) -> Result<&[Jwk], Error> {
        Ok(&self.keys()?.public)
    }

    /// A token for a service that knows the installation's secret, and how long it is good for.
    pub(crate) fn service_token(&self, service: &str, secret: &str) -> Result<(String, Duration), Error> {
        if !SERVICES.contains(&service) {
            let allowed = format!("must be one of {}", SERVICES.join(", "));
            return Err(invalid("service", allowed).into());
        }
        if !self.config.service_secret.matches(secret) {
            return Err(Error::BadServiceSecret);
        }
        let lifetime = self.config.access_token_lifetime;
        let claims = Claims::service(service, self.clock.now(), lifetime);
        Ok((self.keys()?.signer.issue(&claims), lifetime))
    }

    fn tokens(
        &self,
        account: &Account,
        refresh_token: &RefreshToken,
        now: Timestamp,
    ) -> Result<Tokens, Error> {
        let role = match account.role {
            Role::Viewer => marquee_auth::Role::Viewer,
            Role::Admin => marquee_auth::Role::Admin,
        };
        let lifetime = self.config.access_token_lifetime;
        let claims = Claims::account(&account.name, role, now, lifetime);
        Ok(Tokens {
            access_token: self.keys()?.signer.issue(&claims),
            expires_in: lifetime,
            refresh_token: refresh_token.encode(),
        })
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}
