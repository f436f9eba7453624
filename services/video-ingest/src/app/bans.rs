//! Bans: create, list, delete.

use std::time::Duration;

use jiff::Timestamp;
use marquee_auth::Principal;
use marquee_config::Network;
use marquee_documents::{Query, Transaction};
use marquee_error::{Violations, invalid};
use marquee_proto::name::{AccountName, ChannelName, PlaybackSessionName, is_valid_id, new_id};
use marquee_proto::time::duration_from_proto;
use marquee_proto::video_ingest::v1 as proto;
use marquee_proto::video_ingest::v1::ban::Subject;

use super::{Owners, PageRequest, Sessions};
use crate::domain::{Ban, EVERY_CHANNEL, Scope};
use crate::error::{Error, Result};
use crate::playback::BAN_CHANGES;
use crate::publishers::{Publisher, Publishers};
use crate::wire;

const DEFAULT_TTL: Duration = Duration::from_secs(24 * 3_600);
const LONGEST_TTL: Duration = Duration::from_secs(366 * 24 * 3_600);
const REASON_MAX: usize = 200;

/// Use cases of bans.
#[derive(Clone)]
pub(crate) struct BanList {
    pub(crate) sessions: Sessions,
    pub(crate) owners: Owners,
    pub(crate) publishers: Publishers,
}

/// Who is banned, with what is stored of them.
struct Target {
    account: String,
    address: String,
    hidden: bool,
}

impl BanList {
    /// Bans somebody and ends what they watch and publish here. Returns the ban and how much was ended.
    pub(crate) async fn create(
        &self,
        principal: &Principal,
        request: proto::CreateBanRequest,
    ) -> Result<(Ban, usize)> {
        let channel = self.require(principal, "parent", &request.parent).await?;
        let ban = request.ban.unwrap_or_default();
        let mut violations = Violations::default();
        let scope = match proto::BanScope::try_from(ban.scope) {
            Ok(proto::BanScope::Unspecified | proto::BanScope::All) => Scope::All,
            Ok(proto::BanScope::Watch) => Scope::Watch,
            Ok(proto::BanScope::Publish) => Scope::Publish,
            Err(_) => {
                violations.push("ban.scope", format!("{} is no scope", ban.scope));
                Scope::All
            }
        };
        let reason = ban.reason.trim();
        violations.check(
            reason.chars().count() <= REASON_MAX && !reason.chars().any(char::is_control),
            "ban.reason",
            || format!("must have at most {REASON_MAX} characters, on one line"),
        );
        let ttl = match &request.ttl {
            None => Some(DEFAULT_TTL),
            Some(ttl) => duration_from_proto(ttl).map(|ttl| if ttl.is_zero() { DEFAULT_TTL } else { ttl }),
        };
        violations.check(ttl.is_some_and(|ttl| ttl <= LONGEST_TTL), "ttl", || {
            "must be from 0 to 366 days".to_owned()
        });
        let target = self.target(ban.subject, &channel, &mut violations).await?;
        violations.finish()?;
        let (Some(target), Some(ttl)) = (target, ttl) else {
            return Err(invalid("ban", "is required").into());
        };
        let now = Timestamp::now();
        let ban = Ban {
            id: new_id(),
            channel,
            account: target.account,
            address: target.address,
            address_hidden: target.hidden,
            scope,
            reason: reason.to_owned(),
            create_time: now,
            expire_time: now.saturating_add(ttl).unwrap_or(Timestamp::MAX),
        };
        let transaction = Transaction::new().insert(&ban)?.increment(BAN_CHANGES, 1);
        self.sessions.playback.store.commit(transaction).await?;
        let ended = self.apply(&ban, now).await?;
        Ok((ban, ended))
    }

    async fn target(
        &self,
        subject: Option<Subject>,
        channel: &str,
        violations: &mut Violations,
    ) -> Result<Option<Target>> {
        let target = match subject {
            None => {
                violations.push(
                    "ban.account",
                    "one of account, address and playback_session is required",
                );
                None
            }
            Some(Subject::Account(name)) => match name.parse::<AccountName>() {
                Ok(account) => Some(Target {
                    account: account.to_string(),
                    address: String::new(),
                    hidden: false,
                }),
                Err(error) => {
                    violations.push("ban.account", error.to_string());
                    None
                }
            },
            Some(Subject::Address(address)) => match address.trim().parse::<Network>() {
                Ok(network) => Some(Target {
                    account: String::new(),
                    address: network.to_string(),
                    hidden: false,
                }),
                Err(error) => {
                    violations.push("ban.address", error);
                    None
                }
            },
            Some(Subject::PlaybackSession(name)) => {
                let name: PlaybackSessionName = match name.parse() {
                    Ok(name) => name,
                    Err(error) => {
                        violations.push("ban.playback_session", format!("{error}"));
                        return Ok(None);
                    }
                };
                // A session of another channel is not the owner's to look into.
                let found = if channel == EVERY_CHANNEL || channel == name.channel {
                    self.sessions.find(&name).await?
                } else {
                    None
                };
                let (session, address) =
                    found.ok_or_else(|| Error::not_found("PLAYBACK_SESSION_NOT_FOUND", &name))?;
                let is_account = !session.account.is_empty();
                Some(Target {
                    address: if is_account {
                        String::new()
                    } else {
                        address.to_string()
                    },
                    account: session.account,
                    hidden: !is_account,
                })
            }
        };
        Ok(target)
    }

    /// Lets the ban count here at once; other replicas learn of it within two seconds.
    async fn apply(&self, ban: &Ban, now: Timestamp) -> Result<usize> {
        let playback = &self.sessions.playback;
        playback.bans.load(&playback.store, now).await?;
        let hit = playback.viewers.select(|seen| {
            !seen.is_ended()
                && ban.hits(
                    &seen.session.channel,
                    Scope::Watch,
                    seen.address(),
                    &seen.session.account,
                )
        });
        for seen in &hit {
            playback.revoke(&seen.session.id).await?;
        }
        let mut ended = hit.len();
        if ban.account.is_empty() {
            let banned = |publisher: &Publisher| {
                ban.hits(&publisher.stream.channel, Scope::Publish, publisher.address, "")
            };
            ended += self
                .publishers
                .send_away(banned, "this address is banned from publishing")
                .len();
        }
        Ok(ended)
    }

    /// The bans of a channel, newest first.
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        parent: &str,
        page: &PageRequest,
    ) -> Result<proto::ListBansResponse> {
        let channel = self.require(principal, "parent", parent).await?;
        let query = page.apply(Query::by("by_channel").equals(channel.as_str()).descending())?;
        let page = self.sessions.playback.store.query::<Ban>(query).await?;
        let now = Timestamp::now();
        let is_admin = principal.is_admin();
        let bans = page.items.iter().filter(|stored| stored.value.expire_time > now);
        Ok(proto::ListBansResponse {
            bans: bans.map(|stored| wire::ban(&stored.value, is_admin)).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        })
    }

    /// Lifts a ban.
    pub(crate) async fn delete(&self, principal: &Principal, name: &str) -> Result<()> {
        let parts: Vec<&str> = name.split('/').collect();
        let ["channels", channel, "bans", ban] = parts.as_slice() else {
            return Err(invalid("name", "must be of the form `channels/{channel}/bans/{ban}`").into());
        };
        let channel = self
            .require(principal, "name", &format!("channels/{channel}"))
            .await?;
        let missing = || Error::not_found("BAN_NOT_FOUND", name);
        if !is_valid_id(ban) {
            return Err(missing());
        }
        let playback = &self.sessions.playback;
        let stored = playback.store.get::<Ban>(ban).await?;
        let stored = stored
            .filter(|stored| stored.value.channel == channel)
            .ok_or_else(missing)?;
        let transaction = Transaction::new()
            .delete::<Ban>(ban, Some(&stored.etag))
            .increment(BAN_CHANGES, 1);
        match playback.store.commit(transaction).await {
            Ok(_) => {}
            Err(marquee_documents::Error::NotFound { .. }) => return Err(missing()),
            Err(error) => return Err(error.into()),
        }
        playback.bans.load(&playback.store, Timestamp::now()).await
    }

    /// The channel's id, or `-` for all of them, for whoever may ban there.
    async fn require(&self, principal: &Principal, field: &str, parent: &str) -> Result<String> {
        if parent == "channels/-" {
            self.owners.require_list(principal, None).await?;
            return Ok(EVERY_CHANNEL.to_owned());
        }
        let channel: ChannelName = parent.parse().map_err(|error| Error::field(field, &error))?;
        self.owners.require(principal, &channel).await?;
        Ok(channel.channel)
    }
}
