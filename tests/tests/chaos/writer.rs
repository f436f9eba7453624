//! Writes, one after the other, and the ledger of those that were acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use marquee_proto::analytics::v1::{Beacon, PlaybackState, SendBeaconsRequest};
use marquee_proto::events::v1::{Event, UpdateEventRequest};
use marquee_proto::subscriptions::v1::{CreateMembershipRequest, CreateReminderRequest};
use marquee_tests::uuid;
use tokio::time::MissedTickBehavior;

use crate::cast::Member;
use crate::client::Client;
use crate::random::Random;

/// Writers, and how often each writes: 50 times a second in sum.
pub(crate) const WRITERS: usize = 16;
const EVERY: Duration = Duration::from_millis(320);
/// Channels of a writer on which nothing happens but follows.
const QUIET: usize = 4;

/// A writer and what it was told is done. All that it writes to is its own, so that it knows what must be there.
pub(crate) struct Writer {
    pub(crate) number: usize,
    pub(crate) creator: Member,
    /// Where its events are.
    pub(crate) channel: String,
    /// The event that is watched.
    pub(crate) watched: String,
    pub(crate) quiet: Vec<String>,
    pub(crate) fans: Vec<Member>,
    /// By place of the fan and of the quiet channel.
    pub(crate) follows: BTreeMap<(usize, usize), bool>,
    /// By name, as they were acknowledged last.
    pub(crate) events: BTreeMap<String, Event>,
    /// By place of the fan: (reminder, event).
    pub(crate) reminders: BTreeMap<usize, BTreeMap<String, String>>,
    /// By place of the fan: (membership, payment).
    pub(crate) memberships: BTreeMap<usize, (String, String)>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) writes: usize,
    random: Random,
}

/// What was reported of one view.
pub(crate) struct Session {
    id: String,
    pub(crate) viewer: String,
    began: Timestamp,
    pub(crate) sent: i64,
    /// How long it was watched, once it has ended.
    pub(crate) watched: Option<SignedDuration>,
}

impl Writer {
    pub(crate) async fn new(client: &Client, tag: &str, number: usize, seed: u64) -> Result<Self> {
        let creator = client
            .register(&format!("writer{number}-{tag}@example.org"))
            .await?;
        let channel = client
            .channel(&creator, &format!("busy{number}-{tag}"))
            .await?
            .name;
        let mut quiet = Vec::new();
        for place in 0..QUIET {
            let handle = format!("quiet{number}-{place}-{tag}");
            quiet.push(client.channel(&creator, &handle).await?.name);
        }
        let mut writer = Self {
            number,
            creator,
            channel,
            watched: String::new(),
            quiet,
            fans: Vec::new(),
            follows: BTreeMap::new(),
            events: BTreeMap::new(),
            reminders: BTreeMap::new(),
            memberships: BTreeMap::new(),
            sessions: Vec::new(),
            writes: 0,
            random: Random::new(seed.wrapping_add(number as u64)),
        };
        writer.register(client).await?;
        writer.schedule(client).await?;
        writer.watched = writer.events.keys().next().context("no event")?.clone();
        Ok(writer)
    }

    /// Writes until the load is over. A writer whose write is refused stops: that is a fault already.
    pub(crate) async fn run(mut self, client: Client) -> Self {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !client.is_over() {
            ticks.tick().await;
            if self.write(&client).await.is_err() {
                return self;
            }
            self.writes += 1;
        }
        while self.sessions.iter().any(|session| session.watched.is_none()) {
            if self.report(&client, true).await.is_err() {
                return self;
            }
        }
        self
    }

    async fn write(&mut self, client: &Client) -> Result<()> {
        match self.random.below(50) {
            0 => self.register(client).await,
            1 => self.join(client).await,
            2..16 => self.follow(client).await,
            16..18 => self.schedule(client).await,
            18..28 => self.update(client).await,
            28..36 => self.remind(client).await,
            _ => self.report(client, false).await,
        }
    }

    async fn register(&mut self, client: &Client) -> Result<()> {
        let email = format!("fan-{}-{}@example.org", self.number, uuid());
        self.fans.push(client.register(&email).await?);
        Ok(())
    }

    async fn join(&mut self, client: &Client) -> Result<()> {
        let Some(fan) = (0..self.fans.len()).find(|fan| !self.memberships.contains_key(fan)) else {
            return self.register(client).await;
        };
        let request = CreateMembershipRequest {
            parent: "accounts/me".into(),
            plan: "plans/basic".into(),
            payment_token: "test-card-ok".into(),
            request_id: uuid(),
        };
        let person = &self.fans[fan].person;
        let answer = client
            .must("join", Some(person), &request, |api, request| async move {
                api.memberships().create_membership(request).await
            })
            .await?;
        let membership = answer.membership.context("no membership")?.name;
        let payment = answer.payment.context("no payment")?.name;
        self.memberships.insert(fan, (membership, payment));
        Ok(())
    }

    async fn follow(&mut self, client: &Client) -> Result<()> {
        let place = (self.random.below(self.fans.len()), self.random.below(QUIET));
        let follows = self.follows.get(&place).copied().unwrap_or(false);
        let (fan, channel) = (&self.fans[place.0], &self.quiet[place.1]);
        if follows {
            client.unfollow(fan, channel).await?;
        } else {
            client.follow(fan, channel).await?;
        }
        self.follows.insert(place, !follows);
        Ok(())
    }

    async fn schedule(&mut self, client: &Client) -> Result<()> {
        let title = format!("Busy {} number {} first", self.number, self.events.len());
        let event = client.schedule(&self.creator, &self.channel, &title).await?;
        self.events.insert(event.name.clone(), event);
        Ok(())
    }

    fn any_event(&mut self) -> Result<Event> {
        let at = self.random.below(self.events.len());
        self.events.values().nth(at).cloned().context("no event")
    }

    async fn update(&mut self, client: &Client) -> Result<()> {
        let before = self.any_event()?;
        let mut wanted = before.clone();
        let head = before.title.rsplit_once(' ').map_or("", |(head, _)| head);
        wanted.title = format!("{head} {}", &uuid()[..8]);
        let mask = prost_types::FieldMask {
            paths: vec!["title".into()],
        };
        let request = UpdateEventRequest {
            event: Some(wanted.clone()),
            update_mask: Some(mask),
        };
        let answer = client
            .insist(
                "update",
                Some(&self.creator.person),
                &request,
                |api, request| async move { api.events().update_event(request).await },
            )
            .await;
        let updated = match answer {
            Ok(answer) => answer.event.context("no event")?,
            // The first attempt did it, and its answer was lost: nobody else writes to it.
            Err(status) if status.code() == tonic::Code::Aborted => client.event(&before.name).await?,
            Err(status) => {
                client.meter.fault(format!("update was refused: {status}"));
                return Err(status.into());
            }
        };
        if updated.title != wanted.title {
            client.meter.fault(format!(
                "{} was to be {:?} after {:?} and is {:?}",
                before.name, wanted.title, before.title, updated.title
            ));
        }
        self.events.insert(updated.name.clone(), updated);
        Ok(())
    }

    async fn remind(&mut self, client: &Client) -> Result<()> {
        let fan = self.random.below(self.fans.len());
        let event = self.any_event()?.name;
        let request = CreateReminderRequest {
            parent: "accounts/me".into(),
            event: event.clone(),
            // Due at once: the event starts within the hour.
            lead_time: Some(prost_types::Duration {
                seconds: 7_200,
                nanos: 0,
            }),
        };
        let person = &self.fans[fan].person;
        let answer = client
            .must("remind", Some(person), &request, |api, request| async move {
                api.reminders().create_reminder(request).await
            })
            .await?;
        let reminder = answer.reminder.context("no reminder")?.name;
        self.reminders.entry(fan).or_default().insert(reminder, event);
        Ok(())
    }

    /// Begins a view or goes on with one; ends it, too, after its third report.
    async fn report(&mut self, client: &Client, end: bool) -> Result<()> {
        let open: Vec<usize> = (0..self.sessions.len())
            .rev()
            .take(20)
            .filter(|at| self.sessions[*at].watched.is_none())
            .collect();
        let at = if end || open.len() > 3 {
            let open = (0..self.sessions.len()).find(|at| self.sessions[*at].watched.is_none());
            open.context("no session")?
        } else {
            // Some viewers come again.
            let viewer = match self.sessions.len() {
                0 => uuid(),
                known if self.random.below(2) == 0 => self.sessions[self.random.below(known)].viewer.clone(),
                _ => uuid(),
            };
            self.sessions.push(Session {
                id: uuid(),
                viewer,
                began: Timestamp::now(),
                sent: 0,
                watched: None,
            });
            self.sessions.len() - 1
        };
        let session = &self.sessions[at];
        let now = Timestamp::now();
        let states: &[_] = match session.sent {
            0 => &[PlaybackState::Starting, PlaybackState::Playing],
            _ if session.sent >= 4 || end => &[PlaybackState::Ended],
            _ => &[PlaybackState::Playing],
        };
        let beacons = states
            .iter()
            .zip(session.sent + 1..)
            .map(|(state, number)| Beacon {
                session_id: session.id.clone(),
                sequence_number: number,
                event: self.watched.clone(),
                viewer_id: session.viewer.clone(),
                time: Some(marquee_proto::time::to_proto(if number == 1 {
                    session.began
                } else {
                    now
                })),
                state: (*state).into(),
                device: "tv".into(),
                platform: "test".into(),
                ..Beacon::default()
            });
        let beacons: Vec<_> = beacons.collect();
        let count = beacons.len() as i64;
        let request = SendBeaconsRequest { beacons };
        let answer = client
            .must("beacon", None, &request, |api, request| async move {
                api.beacons().send_beacons(request).await
            })
            .await?;
        if answer.accepted != count {
            client.meter.fault(format!("beacons were rejected: {answer:?}"));
        }
        let session = &mut self.sessions[at];
        session.sent += count;
        if states.contains(&PlaybackState::Ended) {
            session.watched = Some(now.duration_since(session.began));
        }
        Ok(())
    }

    /// Accounts that follow a quiet channel now.
    pub(crate) fn followers(&self, channel: usize) -> BTreeSet<&str> {
        let follows = self
            .follows
            .iter()
            .filter(|((_, at), now)| *at == channel && **now);
        follows
            .map(|((fan, _), _)| self.fans[*fan].name.as_str())
            .collect()
    }
}
