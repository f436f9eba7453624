//! The real service behind real gRPC on a free port, on the embedded bus, in a folder of its own. The test speaks for
//! the other services on the bus.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use marquee_auth::{Claims, Role, Signer, StaticKeys, TokenSource, Verifier};
use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::{EventBus, Polled};
use marquee_documents::Location;
use marquee_notifications::{Clock, Config};
use marquee_proto::events::v1 as events;
use marquee_proto::name::AccountName;
use marquee_proto::notifications::v1 as proto;
use marquee_proto::notifications::v1::inbox_service_client::InboxServiceClient;
use marquee_proto::subscriptions::v1 as subscriptions;
use marquee_proto::time::{duration_to_proto, to_proto};
use marquee_proto::topic::BusEvent;
use marquee_server::{Limits, Listener, Platform, PublicAddresses};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt as _;

/// Nothing in here takes longer when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One key for all, so that what the audience does is handled in the order it is published in.
const ORDERED: &str = "ordered";

struct NoTokens;

#[async_trait]
impl TokenSource for NoTokens {
    async fn token(&self) -> Result<String, marquee_auth::Error> {
        Err(marquee_auth::Error::TokenMissing)
    }
}

/// What outlives a restart, and what replicas share.
#[derive(Clone)]
pub(crate) struct Home {
    folder: Arc<TempDir>,
    signer: Arc<Signer>,
    store: Location,
    /// How far the service's clock is ahead.
    ahead: Arc<Mutex<SignedDuration>>,
}

pub(crate) struct Fixture {
    pub(crate) home: Home,
    pub(crate) bus: Arc<Embedded>,
    channel: Channel,
    stop: CancellationToken,
    served: JoinHandle<()>,
    page: usize,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_with_page(500).await
    }

    /// With so many followers a page.
    pub(crate) async fn start_with_page(page: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Location::Sqlite(folder.path().join("notifications/notifications.sqlite"));
        Self::start_in(Home::new(folder, store), page).await
    }

    /// Another replica on the same store and bus.
    #[cfg(feature = "mongodb")]
    pub(crate) async fn replica(&self) -> Self {
        Self::start_on(self.home.clone(), self.bus.clone(), self.page).await
    }

    pub(crate) async fn start_in(home: Home, page: usize) -> Self {
        let bus = open_bus(&home.folder.path().join("bus")).await;
        Self::start_on(home, bus, page).await
    }

    async fn start_on(home: Home, bus: Arc<Embedded>, page: usize) -> Self {
        let verifier = Arc::new(Verifier::new(Arc::new(StaticKeys(vec![home.signer.jwk()]))));
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr();
        let stop = CancellationToken::new();
        let mut config = Config::new("");
        config.store = home.store.clone();
        config.fanout_page = page;
        config.sweep_interval = Duration::from_millis(50);
        let ahead = home.ahead.clone();
        config.clock = Clock::new(move || Timestamp::now() + *ahead.lock());
        let service = eventually(async || {
            // A killed service may hold its files for a moment.
            let platform = Platform {
                bus: bus.clone(),
                peers: marquee_client::Peers::all_at(address, Arc::new(NoTokens)),
                verifier: verifier.clone(),
                shutdown: CancellationToken::new(),
                public: PublicAddresses {
                    http: format!("http://{address}"),
                    rtmp: String::new(),
                },
            };
            marquee_notifications::build(config.clone(), platform).await.ok()
        })
        .await;
        let run = marquee_server::run(listener, vec![service], verifier, Limits::default(), stop.clone());
        let served = tokio::spawn(async { run.await.unwrap() });
        let channel = marquee_client::channel(format!("http://{address}").parse().unwrap());
        Self {
            home,
            bus,
            channel,
            stop,
            served,
            page,
        }
    }

    /// Tells the service to stop; streams end.
    pub(crate) fn shut_down(&self) {
        self.stop.cancel();
    }

    /// Stops in order.
    pub(crate) async fn stop(self) -> Home {
        self.stop.cancel();
        self.served.await.unwrap();
        self.home
    }

    /// Drops everything where it stands and starts again on the same folder.
    pub(crate) async fn kill_and_restart(self) -> Self {
        self.served.abort();
        let _ = self.served.await;
        drop(self.bus);
        Self::start_in(self.home, self.page).await
    }

    pub(crate) fn inbox(&self) -> InboxServiceClient<Channel> {
        InboxServiceClient::new(self.channel.clone())
    }

    /// A request of an account.
    pub(crate) fn of<T>(&self, account: &str, message: T) -> Request<T> {
        let name = AccountName::new(account).unwrap();
        let claims = Claims::account(&name, Role::Viewer, Timestamp::now(), Duration::from_secs(600));
        let mut request = Request::new(message);
        let token = format!("Bearer {}", self.home.signer.issue(&claims));
        request
            .metadata_mut()
            .insert("authorization", token.parse().unwrap());
        request
    }

    pub(crate) async fn list(&self, account: &str) -> Vec<proto::Notification> {
        let mut notifications = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = proto::ListNotificationsRequest {
                parent: "accounts/me".into(),
                page_size: 200,
                page_token,
                unread_only: false,
            };
            let page = self
                .inbox()
                .list_notifications(self.of(account, request))
                .await
                .unwrap()
                .into_inner();
            notifications.extend(page.notifications);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return notifications;
            }
        }
    }

    /// The titles in an account's inbox once there are so many, newest first.
    pub(crate) async fn titles(&self, account: &str, count: usize) -> Vec<String> {
        let list =
            eventually(async || Some(self.list(account).await).filter(|list| list.len() >= count)).await;
        list.into_iter().map(|notification| notification.title).collect()
    }

    pub(crate) async fn unread(&self, account: &str) -> i64 {
        let request = proto::GetUnreadCountRequest {
            parent: "accounts/me".into(),
        };
        self.inbox()
            .get_unread_count(self.of(account, request))
            .await
            .unwrap()
            .into_inner()
            .unread_count
    }

    pub(crate) async fn watch(
        &self,
        account: &str,
        cursor: &str,
    ) -> Result<Streaming<proto::WatchNotificationsResponse>, Status> {
        let request = proto::WatchNotificationsRequest {
            parent: "accounts/me".into(),
            cursor: cursor.to_owned(),
        };
        Ok(self
            .inbox()
            .watch_notifications(self.of(account, request))
            .await?
            .into_inner())
    }

    pub(crate) async fn publish<E: BusEvent>(&self, key: &str, event: &E) {
        self.bus
            .publish(vec![marquee_bus::event(key, event)])
            .await
            .unwrap();
    }

    /// Publishes that the accounts follow `channels/c`, and waits until the service knows.
    pub(crate) async fn follow(&self, accounts: &[&str]) {
        let probe = format!("probe-{}", uuid::Uuid::new_v4().simple());
        let mut messages: Vec<_> = accounts
            .iter()
            .map(|account| marquee_bus::event(ORDERED, &followed(account, "c")))
            .collect();
        messages.push(marquee_bus::event(ORDERED, &followed(&probe, &probe)));
        self.bus.publish(messages).await.unwrap();
        self.followers_known(&probe).await;
    }

    /// Publishes that the accounts follow `channels/c`.
    pub(crate) async fn announce_follows(&self, accounts: &[String]) {
        let follows = accounts
            .iter()
            .map(|account| marquee_bus::event(ORDERED, &followed(account, "c")));
        self.bus.publish(follows.collect()).await.unwrap();
    }

    pub(crate) async fn unfollow(&self, account: &str) {
        let probe = format!("probe-{}", uuid::Uuid::new_v4().simple());
        let messages = [unfollowed(account), followed(&probe, &probe)];
        let messages = messages.iter().map(|change| marquee_bus::event(ORDERED, change));
        self.bus.publish(messages.collect()).await.unwrap();
        self.followers_known(&probe).await;
    }

    /// Waits until the probe is told of an event on the channel that it alone follows: it was the last in its partition.
    async fn followers_known(&self, probe: &str) {
        let mut tries = 0;
        eventually(async || {
            tries += 1;
            let event = events::Event {
                name: format!("channels/{probe}/events/e{tries}"),
                ..event("probe", 3_600)
            };
            self.publish(&event.name, &changed(&event)).await;
            (!self.list(probe).await.is_empty()).then_some(())
        })
        .await;
    }

    /// Publishes that the account wants to be reminded, and waits until the service knows.
    pub(crate) async fn remind(&self, account: &str, id: &str, event: &str, lead: Duration) {
        let probe = format!("probe-{}", uuid::Uuid::new_v4().simple());
        // Due a minute ago, so that it fires as soon as it is known.
        let probed = events::Event {
            name: format!("channels/{probe}/events/e"),
            ..self::event("probe", self.home.ahead.lock().as_secs() - 60)
        };
        self.publish(&probed.name, &changed(&probed)).await;
        let messages = vec![
            reminder_set(account, id, event, lead),
            reminder_set(&probe, "r", &probed.name, Duration::ZERO),
        ];
        self.bus.publish(messages).await.unwrap();
        eventually(async || (!self.list(&probe).await.is_empty()).then_some(())).await;
    }

    /// Publishes that the account wants to be reminded.
    pub(crate) async fn announce_reminder(&self, account: &str, id: &str, event: &str, lead: Duration) {
        let message = reminder_set(account, id, event, lead);
        self.bus.publish(vec![message]).await.unwrap();
    }

    /// The notifications that were published, until there are so many.
    pub(crate) async fn published(&self, count: usize) -> Vec<proto::Notification> {
        let group = format!("test.{}", uuid::Uuid::new_v4());
        let topic = marquee_proto::topic::NOTIFICATION;
        let mut subscription = self.bus.subscribe(&group, &[topic]).await.unwrap();
        let mut notifications = Vec::new();
        let mut seen = HashSet::new();
        let read = async {
            while notifications.len() < count {
                let Polled::Records(records) = subscription.poll(100).await.unwrap() else {
                    continue;
                };
                for record in records {
                    use prost::Message as _;
                    let changed = proto::NotificationChanged::decode(record.message.value).unwrap();
                    let Some(proto::notification_changed::Change::Created(created)) = changed.change else {
                        panic!("{changed:?}")
                    };
                    let notification = created.notification.unwrap();
                    // The relay publishes at least once; who consumes dedupes by the id.
                    let is_new = seen.insert(record.message.id);
                    if is_new && !notification.name.starts_with("accounts/probe") {
                        notifications.push(notification);
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("published within patience");
        notifications
    }
}

impl Home {
    pub(crate) fn new(folder: TempDir, store: Location) -> Self {
        Self {
            folder: Arc::new(folder),
            signer: Arc::new(Signer::generate()),
            store,
            ahead: Arc::new(Mutex::new(SignedDuration::ZERO)),
        }
    }

    /// Sets the service's clock so far ahead.
    pub(crate) fn ahead(&self, by: SignedDuration) {
        *self.ahead.lock() = by;
    }
}

fn reminder_set(account: &str, id: &str, event: &str, lead: Duration) -> marquee_bus::Outgoing {
    let reminder = subscriptions::Reminder {
        name: format!("accounts/{account}/reminders/{id}"),
        event: event.to_owned(),
        lead_time: Some(duration_to_proto(lead)),
        create_time: Some(to_proto(Timestamp::now())),
    };
    let created = subscriptions::ReminderCreated {
        reminder: Some(reminder),
    };
    let change = Some(subscriptions::reminder_changed::Change::Created(created));
    marquee_bus::event(ORDERED, &subscriptions::ReminderChanged { change })
}

async fn open_bus(folder: &Path) -> Arc<Embedded> {
    eventually(async || Embedded::open(folder, Options::default()).ok()).await
}

/// Asks until the answer is there.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("true within patience")
}

/// The next message of a watch.
pub(crate) async fn next(
    watch: &mut Streaming<proto::WatchNotificationsResponse>,
) -> proto::WatchNotificationsResponse {
    let message = tokio::time::timeout(PATIENCE, watch.message())
        .await
        .expect("a message within patience");
    message.unwrap().unwrap()
}

fn follow(account: &str, channel: &str) -> Option<subscriptions::Follow> {
    Some(subscriptions::Follow {
        name: format!("accounts/{account}/follows/{channel}"),
        channel: format!("channels/{channel}"),
        create_time: None,
    })
}

fn followed(account: &str, channel: &str) -> subscriptions::FollowChanged {
    let created = subscriptions::FollowCreated {
        follow: follow(account, channel),
    };
    subscriptions::FollowChanged {
        change: Some(subscriptions::follow_changed::Change::Created(created)),
    }
}

fn unfollowed(account: &str) -> subscriptions::FollowChanged {
    let deleted = subscriptions::FollowDeleted {
        follow: follow(account, "c"),
    };
    subscriptions::FollowChanged {
        change: Some(subscriptions::follow_changed::Change::Deleted(deleted)),
    }
}

/// A scheduled event of `channels/c` that starts so many seconds from now.
pub(crate) fn event(id: &str, seconds: i64) -> events::Event {
    let now = Timestamp::now();
    events::Event {
        name: format!("channels/c/events/{id}"),
        title: format!("Event {id}"),
        scheduled_start_time: Some(to_proto(now + SignedDuration::from_secs(seconds))),
        visibility: events::Visibility::Public.into(),
        state: events::EventState::Scheduled.into(),
        update_time: Some(to_proto(now)),
        ..events::Event::default()
    }
}

/// The event a moment later, in a state.
pub(crate) fn then(event: &events::Event, state: events::EventState) -> events::Event {
    let mut event = event.clone();
    event.set_state(state);
    let updated = marquee_proto::time::from_proto(&event.update_time.unwrap()).unwrap();
    event.update_time = Some(to_proto(updated + SignedDuration::from_millis(1)));
    event
}

/// The message that says that the event is now this.
pub(crate) fn changed(event: &events::Event) -> events::EventChanged {
    use events::event_changed::Change;
    let channel = events::Channel {
        name: "channels/c".into(),
        display_name: "Jazz".into(),
        ..Default::default()
    };
    let (event, channel) = (Some(event.clone()), Some(channel));
    let change = match event.as_ref().unwrap().state() {
        events::EventState::Live => Change::Live(events::EventLive { event, channel }),
        events::EventState::Ended => Change::Ended(events::EventEnded { event, channel }),
        events::EventState::Cancelled => Change::Cancelled(events::EventCancelled { event, channel }),
        _ => Change::Updated(events::EventUpdated { event, channel }),
    };
    events::EventChanged { change: Some(change) }
}

/// The reason in the status.
pub(crate) fn reason(status: &Status) -> String {
    marquee_error::reason(status).unwrap_or_default()
}

/// The fields that the status names as wrong.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let bad = status.get_details_bad_request().unwrap();
    bad.field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}
