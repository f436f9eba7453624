//! Registering, and looking after a profile.

use std::net::IpAddr;

use bytes::Bytes;
use marquee_error::invalid;
use marquee_proto::name::{AccountName, new_id};
use marquee_proto::subscriptions::v1::{self, CreateAccountResponse};
use prost::Message as _;

use super::replay::fingerprint;
use super::{App, Owner};
use crate::domain::account::{Account, Password, Profile, ProfileChange, Role};
use crate::domain::email::Email;
use crate::domain::version::Version;
use crate::error::{Error, Resource};
use crate::store::{self, NewAccount, Reply, RequestKey, Unique};
use crate::{publish, wire};

/// What is needed to register.
pub(crate) struct Registration {
    pub(crate) email: Email,
    pub(crate) profile: Profile,
    pub(crate) password: Password,
    /// Where the call comes from, when that is known.
    pub(crate) peer: Option<IpAddr>,
    /// When the client wants to be able to ask again: its request id, and its id.
    pub(crate) request: Option<(String, String)>,
}

/// How often an update without an etag is tried again when others update too.
const TRIES: usize = 5;

impl App {
    /// Registers an account, or gives the first answer to the same request.
    pub(crate) async fn create_account(&self, new: Registration) -> Result<CreateAccountResponse, Error> {
        let now = self.clock.now();
        let account = Account {
            name: AccountName { account: new_id() },
            email: new.email,
            profile: new.profile,
            role: Role::Viewer,
            create_time: now,
            version: Version::FIRST,
        };
        let message = wire::account(&account);
        let question = v1::Account {
            name: String::new(),
            create_time: None,
            etag: String::new(),
            ..message.clone()
        };
        let question = fingerprint(&question);
        let key = new.request.map(|(request_id, caller)| RequestKey {
            rpc: "CreateAccount",
            caller,
            request_id,
        });
        if let Some(key) = &key
            && let Some(reply) = self.store.reply(key).await?
        {
            return self
                .replay_account(reply, question, &account.email, new.password, new.peer)
                .await;
        }
        // Hashing is the dear part, so an address that is taken is found before it. The store decides in the end.
        if self.store.credential(&account.email).await?.is_some() {
            return Err(Error::EmailTaken);
        }
        let answer = CreateAccountResponse {
            account: Some(message),
        };
        let reply = key.clone().map(|key| Reply {
            key,
            fingerprint: question,
            answer: Bytes::from(answer.encode_to_vec()),
            create_time: now,
        });
        let created = self
            .store
            .create_account(NewAccount {
                password_hash: self.passwords.hash(new.password.clone()).await?,
                reply,
                events: vec![publish::account_created(&account)],
                account: account.clone(),
            })
            .await;
        match (created, key) {
            (Ok(()), _) => Ok(answer),
            (Err(store::Error::AlreadyExists(Unique::Email)), _) => Err(Error::EmailTaken),
            // The same request ran at the same time and was faster.
            (Err(store::Error::AlreadyExists(Unique::RequestId)), Some(key)) => {
                match self.store.reply(&key).await? {
                    Some(reply) => {
                        self.replay_account(reply, question, &account.email, new.password, new.peer)
                            .await
                    }
                    None => Err(Error::Contended),
                }
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// The first answer. The password is part of the question, but no digest of it is kept that could be searched for
    /// quickly: it is checked as a login checks it, and as seldom.
    async fn replay_account(
        &self,
        reply: Reply,
        question: [u8; 32],
        email: &Email,
        password: Password,
        peer: Option<IpAddr>,
    ) -> Result<CreateAccountResponse, Error> {
        if reply.fingerprint != question || self.check_password(email, password, peer).await?.is_none() {
            return Err(Error::RequestIdReused);
        }
        CreateAccountResponse::decode(reply.answer)
            .map_err(|error| Error::internal("a first answer can't be read", error))
    }

    /// One account.
    pub(crate) async fn account(&self, owner: &Owner) -> Result<Account, Error> {
        let account = self.store.account(owner.name()).await?;
        account.ok_or_else(|| Error::not_found(Resource::Account, owner.name()))
    }

    /// Changes a profile if `etag` is empty or the current one.
    ///
    /// `email` is what the client sent for the address; it can't be changed this way.
    pub(crate) async fn update_account(
        &self,
        owner: &Owner,
        change: ProfileChange,
        email: Option<&str>,
        etag: &str,
    ) -> Result<Account, Error> {
        for _ in 0..TRIES {
            let account = self.account(owner).await?;
            if email.is_some_and(|email| Email::parse(email).ok().as_ref() != Some(&account.email)) {
                return Err(invalid("account.email", "can't be changed by an update").into());
            }
            if !account.version.matches(etag) {
                return Err(Error::EtagMismatch(account.name.to_string()));
            }
            let Some(changed) = account.changed(change.clone()) else {
                return Ok(account);
            };
            let events = vec![publish::account_updated(&changed)];
            match self
                .store
                .update_account(changed.clone(), account.version, events)
                .await
            {
                Ok(()) => return Ok(changed),
                // With an etag the next look says that it is stale; without one the change is made to what is there.
                Err(store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended)
    }
}
