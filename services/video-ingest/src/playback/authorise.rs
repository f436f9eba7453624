//! Whether a player gets what it asks for. Asked before anything is looked up.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use marquee_proto::name::{LiveStreamName, new_id};

use super::{Playback, Rule, Seen};
use crate::domain::{Audience, PlaybackSession, Scope, Sighting};
use crate::error::{Error, Result};
use crate::webhooks::PlayCall;

/// Longer names of players are cut.
const PLAYER_MAX: usize = 200;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor<'a> {
    pub(crate) address: IpAddr,
    /// What the player calls itself.
    pub(crate) player: &'a str,
}

impl Visitor<'_> {
    /// The player's name, cut.
    pub(crate) fn cut(&self) -> String {
        self.player.chars().take(PLAYER_MAX).collect()
    }
}

/// What a player asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlayRequest<'a> {
    /// The live stream; its recording is under the same rule.
    pub(crate) stream: &'a LiveStreamName,
    /// The token of the path.
    pub(crate) token: Option<&'a str>,
    pub(crate) visitor: Visitor<'a>,
}

/// The player gets it.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    seen: Option<Arc<Seen>>,
}

impl Grant {
    /// Counts what was sent to the viewer.
    pub(crate) fn sent(&self, bytes: u64) {
        if let Some(seen) = &self.seen {
            seen.sent(bytes);
        }
    }
}

impl Playback {
    /// Lets a player through, or says why not. A viewer who is known costs two look-ups.
    pub(crate) async fn authorise(&self, request: &PlayRequest<'_>) -> Result<Grant> {
        let now = Timestamp::now();
        let rule = self.rules.of(request.stream).await?;
        let seen = match request.token {
            Some(token) => Some(self.with_token(request, token, &rule, now).await?),
            None => self.without_token(request, &rule, now).await?,
        };
        if let Some(seen) = &seen {
            self.check(seen, request, now)?;
            seen.touch(now);
        }
        Ok(Grant { seen })
    }

    async fn with_token(
        &self,
        request: &PlayRequest<'_>,
        token: &str,
        rule: &Rule,
        now: Timestamp,
    ) -> Result<Arc<Seen>> {
        let seen = match self.viewers.by_token(token) {
            Some(seen) => seen,
            None => self.admit(request, token, now).await?,
        };
        if seen.session.channel != request.stream.channel || seen.session.stream != request.stream.live_stream
        {
            return Err(marquee_auth::Error::PlaybackTokenInvalid("it is for another stream").into());
        }
        // What was opened among more people is not good enough for fewer.
        if rule.audience > Audience::Everybody && seen.session.audience != rule.audience {
            return Err(Error::PlaybackTokenMissing {
                stream: request.stream.to_string(),
            });
        }
        Ok(seen)
    }

    /// Takes up a token that was not seen here before.
    async fn admit(&self, request: &PlayRequest<'_>, token: &str, now: Timestamp) -> Result<Arc<Seen>> {
        let claims = self.tokens.verify(token).await?;
        claims.require(&request.stream.to_string())?;
        let id = uuid::Uuid::from_bytes(claims.session).simple().to_string();
        let stored = self.store.get::<PlaybackSession>(&id).await?;
        let Some(stored) = stored.filter(|stored| !stored.value.is_over(now)) else {
            return Err(Error::PlaybackSessionEnded);
        };
        // Playback that goes on, here after a restart or on another replica, needs no fresh token.
        if claims.is_expired(now) {
            let sighting = self.store.get::<Sighting>(&id).await?;
            let is_used = sighting.is_some_and(|sighting| {
                now.duration_since(sighting.value.last_seen_time).unsigned_abs() < self.config.token_lifetime
            });
            if !is_used {
                return Err(Error::PlaybackTokenExpired);
            }
        }
        let seen = Seen::new((*stored.value).clone(), false, request.visitor.address, now);
        self.viewers.keep_token(token, seen).ok_or(Error::TooManyViewers)
    }

    /// A viewer whom nobody counts when there are as many as are kept, but who watches all the same.
    async fn without_token(
        &self,
        request: &PlayRequest<'_>,
        rule: &Rule,
        now: Timestamp,
    ) -> Result<Option<Arc<Seen>>> {
        if rule.audience > Audience::Everybody {
            return Err(Error::PlaybackTokenMissing {
                stream: request.stream.to_string(),
            });
        }
        let (stream, visitor) = (request.stream, request.visitor);
        let player = visitor.cut();
        if let Some(seen) = self.viewers.anonymous(stream, visitor.address, &player) {
            return Ok(Some(seen));
        }
        self.refuse_banned(&stream.channel, visitor.address, "", now)?;
        self.webhooks
            .play(&PlayCall {
                stream,
                address: visitor.address,
                account: "",
                session: "",
            })
            .await?;
        let lifetime = self.config.session_lifetime;
        let session = PlaybackSession {
            id: new_id(),
            channel: stream.channel.clone(),
            stream: stream.live_stream.clone(),
            account: String::new(),
            event: rule.event.clone(),
            audience: rule.audience,
            address: visitor.address.to_string(),
            user_agent: player,
            create_time: now,
            expire_time: now.saturating_add(lifetime).unwrap_or(Timestamp::MAX),
            revoke_time: None,
        };
        Ok(self
            .viewers
            .keep_anonymous(Seen::new(session, true, visitor.address, now)))
    }

    /// Whether somebody who was let in may go on.
    fn check(&self, seen: &Seen, request: &PlayRequest<'_>, now: Timestamp) -> Result<()> {
        let session = &seen.session;
        if seen.meets(self.bans.generation())
            && let Err(error) =
                self.refuse_banned(&session.channel, request.visitor.address, &session.account, now)
        {
            seen.end();
            return Err(error);
        }
        // One without a token lasts as long as it is used.
        if seen.is_ended() || !seen.anonymous && session.is_over(now) {
            return Err(Error::PlaybackSessionEnded);
        }
        Ok(())
    }

    /// [`Error::Banned`] when a ban keeps them from watching the channel.
    pub(crate) fn refuse_banned(
        &self,
        channel: &str,
        address: IpAddr,
        account: &str,
        now: Timestamp,
    ) -> Result<()> {
        match self.bans.hit(channel, Scope::Watch, address, account, now) {
            Some(ban) => Err(Error::Banned {
                until: ban.expire_time,
            }),
            None => Ok(()),
        }
    }
}
