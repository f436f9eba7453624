//! Playback sessions: open, list, revoke.

use std::collections::HashSet;
use std::net::IpAddr;

use jiff::Timestamp;
use marquee_auth::{PlaybackClaims, Principal};
use marquee_documents::{Query, Transaction, sortable_time};
use marquee_error::invalid;
use marquee_proto::name::{
    AccountName, ChannelName, EventName, LiveStreamName, PlaybackSessionName, RecordingName,
};
use marquee_proto::time::to_proto;
use marquee_proto::video_ingest::v1 as proto;
use tokio::sync::Mutex;

use super::Owners;
use crate::domain::{Audience, LiveStream, PlaybackSession, Recording, Sighting};
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::playback::{Playback, Rule, Visitor};
use crate::webhooks::PlayCall;
use crate::wire;

/// Sessions of other replicas that a list looks at.
const LOOKED_AT: usize = 1_000;
/// Accounts whose sessions are opened at the same time.
const LANES: usize = 64;

/// Use cases of playback sessions.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) playback: Playback,
    pub(crate) owners: Owners,
    pub(crate) hub: Hub,
    /// One of an account's at a time, so that two do not both find the last free place.
    lanes: std::sync::Arc<Vec<Mutex<()>>>,
}

/// What is to be watched.
struct Wanted {
    stream: LiveStreamName,
    /// Path of the multivariant playlist, without a token.
    path: String,
}

/// A page of viewers.
pub(crate) struct Watching {
    pub(crate) sessions: Vec<proto::PlaybackSession>,
    pub(crate) next_page_token: String,
    pub(crate) count: usize,
}

/// A viewer, wherever the requests arrive.
struct Viewer {
    session: PlaybackSession,
    anonymous: bool,
    last_seen: Timestamp,
    bytes: u64,
}

impl Sessions {
    pub(crate) fn new(playback: Playback, owners: Owners, hub: Hub) -> Self {
        let lanes = (0..LANES).map(|_| Mutex::new(())).collect();
        Self {
            playback,
            owners,
            hub,
            lanes: std::sync::Arc::new(lanes),
        }
    }

    /// Opens a session for the caller and signs its token.
    pub(crate) async fn open(
        &self,
        principal: &Principal,
        parent: &str,
        visitor: Visitor<'_>,
    ) -> Result<proto::CreatePlaybackSessionResponse> {
        let wanted = self.wanted(parent).await?;
        let now = Timestamp::now();
        let account = principal.account();
        let account_text = account.map(ToString::to_string).unwrap_or_default();
        let channel = &wanted.stream.channel;
        let playback = &self.playback;
        playback.refuse_banned(channel, visitor.address, &account_text, now)?;
        let rule = playback.rules.of(&wanted.stream).await?;
        self.require(principal, &wanted.stream.channel(), &rule).await?;

        let id = uuid::Uuid::now_v7();
        let after = |span| now.saturating_add(span).unwrap_or(Timestamp::MAX);
        let session = PlaybackSession {
            id: id.simple().to_string(),
            channel: channel.clone(),
            stream: wanted.stream.live_stream.clone(),
            account: account_text,
            event: rule.event,
            audience: rule.audience,
            address: visitor.address.to_string(),
            user_agent: visitor.cut(),
            create_time: now,
            expire_time: after(playback.config.session_lifetime),
            revoke_time: None,
        };
        let call = PlayCall {
            stream: &wanted.stream,
            address: visitor.address,
            account: &session.account,
            session: &session.name().to_string(),
        };
        playback.webhooks.play(&call).await?;
        let token_expires = after(playback.config.token_lifetime);
        let claims = PlaybackClaims::new(id.into_bytes(), &wanted.stream.to_string(), token_expires);
        let token = playback.tokens.sign(&claims).await?;
        self.keep(&session, account).await?;
        Ok(proto::CreatePlaybackSessionResponse {
            playback_session: Some(wire::playback_session(&session, false, now, 0, true)),
            playback_path: format!("/play/{token}{}", wanted.path),
            token,
            token_expire_time: Some(to_proto(token_expires)),
        })
    }

    /// Passes whoever may watch: everybody, or the owner, or who is entitled.
    async fn require(&self, principal: &Principal, channel: &ChannelName, rule: &Rule) -> Result<()> {
        if rule.audience == Audience::Everybody {
            return Ok(());
        }
        if principal.is_admin() {
            return Ok(());
        }
        let account = principal.signed_in()?;
        match self.owners.require(principal, channel).await {
            Ok(()) => Ok(()),
            Err(Error::NotYours { .. }) if rule.audience < Audience::Nobody => {
                self.playback.entitlements.require(account, &rule.event).await
            }
            Err(error) => Err(error),
        }
    }

    /// Stores a session, unless its account has as many as it may.
    async fn keep(&self, session: &PlaybackSession, account: Option<&AccountName>) -> Result<()> {
        let limit = self.playback.config.sessions_per_account;
        let lane = account.map_or(0, |account| {
            account.account.bytes().fold(0_usize, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(byte.into())
            })
        });
        let _lane = match self.lanes.get(lane % LANES) {
            Some(lane) if account.is_some() => Some(lane.lock().await),
            _ => None,
        };
        if let Some(account) = account.filter(|_| limit > 0)
            && self.count(account, session.create_time).await? >= limit
        {
            return Err(Error::TooManySessions {
                account: account.to_string(),
                limit,
            });
        }
        let sighting = Sighting {
            id: session.id.clone(),
            stream: session.stream().to_string(),
            account: session.account.clone(),
            last_seen_time: session.create_time,
            bytes: 0,
        };
        let transaction = Transaction::new().insert(session)?.put(&sighting)?;
        self.playback.store.commit(transaction).await?;
        Ok(())
    }

    /// How many sessions of an account are used: those seen lately, here or elsewhere.
    async fn count(&self, account: &AccountName, now: Timestamp) -> Result<usize> {
        let account = account.to_string();
        let since = now.saturating_sub(self.seen_within()).unwrap_or(now);
        let query = Query::by("by_account")
            .equals(account.as_str())
            .at_least(sortable_time::text(since))
            .limit(LOOKED_AT);
        let sightings = self.playback.store.query::<Sighting>(query).await?.items;
        let mut used: HashSet<String> = sightings
            .iter()
            .map(|sighting| sighting.value.id.clone())
            .collect();
        let here = self
            .playback
            .viewers
            .select(|seen| seen.session.account == account);
        let idle = i64::try_from(self.playback.config.idle.as_millis()).unwrap_or(i64::MAX);
        for seen in here {
            if seen.is_watching(now, idle) && !seen.is_ended() {
                used.insert(seen.session.id.clone());
            } else {
                used.remove(&seen.session.id);
            }
        }
        // Those that were ended are not used, however lately they were seen.
        let sessions = self
            .playback
            .store
            .get_many::<PlaybackSession>(used.into_iter().collect())
            .await?;
        Ok(sessions
            .values()
            .filter(|session| !session.value.is_over(now))
            .count())
    }

    /// The store learns every ten seconds who was seen.
    fn seen_within(&self) -> std::time::Duration {
        self.playback.config.idle + std::time::Duration::from_secs(10)
    }

    /// The stream that a name leads to.
    async fn wanted(&self, parent: &str) -> Result<Wanted> {
        let live =
            |stream: &LiveStreamName| format!("/live/{}/{}/index.m3u8", stream.channel, stream.live_stream);
        if let Some(channel) = parent.strip_suffix("/liveStreams/-") {
            let channel: ChannelName = channel.parse().map_err(|error| Error::field("parent", &error))?;
            let current = self.hub.current(&channel.channel);
            let current = current.ok_or_else(|| Error::not_found("NOT_LIVE", &channel))?;
            let path = format!("/live/{}/index.m3u8", channel.channel);
            // One broadcast, even when the next one begins: the token is for this one.
            let stream = current.name().clone();
            return Ok(Wanted {
                path: if current.stream().is_some() {
                    live(&stream)
                } else {
                    path
                },
                stream,
            });
        }
        if let Ok(stream) = parent.parse::<LiveStreamName>() {
            let stored = self.playback.store.get::<LiveStream>(&stream.live_stream).await?;
            let known = stored.is_some_and(|stored| stored.value.channel == stream.channel);
            if !known && self.hub.find(&stream).is_none() {
                return Err(Error::not_found("LIVE_STREAM_NOT_FOUND", &stream));
            }
            let path = live(&stream);
            return Ok(Wanted { stream, path });
        }
        if let Ok(recording) = parent.parse::<RecordingName>() {
            let stored = self.playback.store.get::<Recording>(&recording.recording).await?;
            let stored = stored.filter(|stored| stored.value.channel == recording.channel);
            let stored = stored.ok_or_else(|| Error::not_found("RECORDING_NOT_FOUND", &recording))?;
            return Ok(Wanted {
                stream: stored.value.live_stream(),
                path: stored.value.playback_path(),
            });
        }
        if let Ok(event) = parent.parse::<EventName>() {
            return self.of_event(&event).await;
        }
        Err(invalid(
            "parent",
            "must be the name of a live stream, an event or a recording, for example `channels/c1/liveStreams/-`",
        )
        .into())
    }

    async fn of_event(&self, event: &EventName) -> Result<Wanted> {
        let known = self.playback.rules.event(&event.to_string()).await?;
        let known = known.ok_or_else(|| Error::not_found("EVENT_NOT_FOUND", event))?;
        let stream: LiveStreamName = known
            .live_stream
            .parse()
            .map_err(|_| Error::not_found("NOT_LIVE", event))?;
        // What is over is watched as a recording, if there is one.
        if self.hub.find(&stream).is_none()
            && let Some(recording) = self.playback.store.get::<Recording>(&stream.live_stream).await?
        {
            let path = recording.value.playback_path();
            return Ok(Wanted { stream, path });
        }
        let path = format!("/live/{}/{}/index.m3u8", stream.channel, stream.live_stream);
        Ok(Wanted { stream, path })
    }

    /// Who watches a stream, newest first.
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        parent: &str,
        size: i32,
        token: &str,
    ) -> Result<Watching> {
        if size < 0 {
            return Err(invalid("page_size", "must not be negative; 0 is the default of 50").into());
        }
        let stream = self.stream_of(parent)?;
        self.owners.require(principal, &stream.channel()).await?;
        let now = Timestamp::now();
        let mut viewers = self.viewers(&stream, now).await?;
        // Ids are UUIDv7: they sort by the time at which a session began.
        viewers.sort_by(|a, b| b.session.id.cmp(&a.session.id));
        let count = viewers.len();
        if !token.is_empty() {
            if !marquee_proto::name::is_valid_id(token) {
                return Err(marquee_documents::Error::InvalidPageToken.into());
            }
            viewers.retain(|viewer| viewer.session.id.as_str() < token);
        }
        let size = match size {
            0 => 50,
            size => usize::try_from(size.min(200)).unwrap_or(50),
        };
        let next_page_token = match viewers.get(size.saturating_sub(1)) {
            Some(last) if viewers.len() > size => last.session.id.clone(),
            _ => String::new(),
        };
        let is_admin = principal.is_admin();
        let sessions = viewers.iter().take(size).map(|viewer| {
            wire::playback_session(
                &viewer.session,
                viewer.anonymous,
                viewer.last_seen,
                viewer.bytes,
                is_admin,
            )
        });
        Ok(Watching {
            sessions: sessions.collect(),
            next_page_token,
            count,
        })
    }

    async fn viewers(&self, stream: &LiveStreamName, now: Timestamp) -> Result<Vec<Viewer>> {
        let idle = i64::try_from(self.playback.config.idle.as_millis()).unwrap_or(i64::MAX);
        let here = self.playback.viewers.select(|seen| {
            seen.session.stream == stream.live_stream
                && seen.session.channel == stream.channel
                && seen.is_watching(now, idle)
        });
        let known: HashSet<String> = here.iter().map(|seen| seen.session.id.clone()).collect();
        let mut viewers: Vec<Viewer> = here
            .iter()
            .filter(|seen| !seen.is_ended())
            .map(|seen| Viewer {
                session: seen.session.clone(),
                anonymous: seen.anonymous,
                last_seen: seen.last_seen(),
                bytes: seen.bytes(),
            })
            .collect();
        let since = now.saturating_sub(self.seen_within()).unwrap_or(now);
        let query = Query::by("by_stream")
            .equals(stream.to_string())
            .at_least(sortable_time::text(since))
            .limit(LOOKED_AT);
        let sightings = self.playback.store.query::<Sighting>(query).await?.items;
        let elsewhere: Vec<_> = sightings
            .into_iter()
            .filter(|sighting| !known.contains(&sighting.value.id))
            .collect();
        let ids = elsewhere
            .iter()
            .map(|sighting| sighting.value.id.clone())
            .collect();
        let sessions = self.playback.store.get_many::<PlaybackSession>(ids).await?;
        for sighting in elsewhere {
            // One that was opened and never used is nobody who watches.
            if let Some(session) = sessions.get(&sighting.value.id)
                && !session.value.is_over(now)
                && sighting.value.last_seen_time > session.value.create_time
            {
                viewers.push(Viewer {
                    session: (*session.value).clone(),
                    anonymous: false,
                    last_seen: sighting.value.last_seen_time,
                    bytes: sighting.value.bytes,
                });
            }
        }
        Ok(viewers)
    }

    fn stream_of(&self, parent: &str) -> Result<LiveStreamName> {
        if let Some(channel) = parent.strip_suffix("/liveStreams/-") {
            let channel: ChannelName = channel.parse().map_err(|error| Error::field("parent", &error))?;
            let current = self.hub.current(&channel.channel);
            return current
                .map(|broadcast| broadcast.name().clone())
                .ok_or_else(|| Error::not_found("LIVE_STREAM_NOT_FOUND", parent));
        }
        parent.parse().map_err(|error| Error::field("parent", &error))
    }

    /// Ends a session: one's own, or any of a channel that one owns.
    pub(crate) async fn revoke(&self, principal: &Principal, name: &str) -> Result<()> {
        let name: PlaybackSessionName = name.parse().map_err(|error| Error::field("name", &error))?;
        let found = self.find(&name).await?;
        let is_own = found.as_ref().is_some_and(|(session, _)| {
            principal
                .account()
                .is_some_and(|account| account.to_string() == session.account)
        });
        if !is_own {
            let channel = ChannelName {
                channel: name.channel.clone(),
            };
            self.owners.require(principal, &channel).await?;
        }
        if found.is_none() {
            return Err(Error::not_found("PLAYBACK_SESSION_NOT_FOUND", &name));
        }
        self.playback.revoke(&name.playback_session).await
    }

    /// A session and where it is watched from, when there is such a one.
    pub(crate) async fn find(&self, name: &PlaybackSessionName) -> Result<Option<(PlaybackSession, IpAddr)>> {
        let here = self
            .playback
            .viewers
            .select(|seen| seen.session.id == name.playback_session);
        let found = match here.into_iter().next() {
            Some(seen) => Some((seen.session.clone(), seen.address())),
            None => self
                .playback
                .store
                .get::<PlaybackSession>(&name.playback_session)
                .await?
                .and_then(|stored| Some(((*stored.value).clone(), stored.value.address.parse().ok()?))),
        };
        Ok(found.filter(|(session, _)| session.name() == *name))
    }
}
