use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use marquee_proto::analytics::v1::audience_service_client::AudienceServiceClient;
use marquee_proto::analytics::v1::beacon_service_client::BeaconServiceClient;
use marquee_proto::events::v1::channel_service_client::ChannelServiceClient;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::{
    Channel, CreateChannelRequest, CreateEventRequest, Event, EventState, GetEventRequest, WatchEventRequest,
    WatchEventResponse,
};
use marquee_proto::notifications::v1::inbox_service_client::InboxServiceClient;
use marquee_proto::search::v1::search_service_client::SearchServiceClient;
use marquee_proto::subscriptions::v1::account_service_client::AccountServiceClient;
use marquee_proto::subscriptions::v1::follow_service_client::FollowServiceClient;
use marquee_proto::subscriptions::v1::membership_service_client::MembershipServiceClient;
use marquee_proto::subscriptions::v1::payment_service_client::PaymentServiceClient;
use marquee_proto::subscriptions::v1::reminder_service_client::ReminderServiceClient;
use marquee_proto::subscriptions::v1::session_service_client::SessionServiceClient;
use marquee_proto::subscriptions::v1::{Account, CreateAccountRequest, LoginRequest};
use marquee_proto::video_ingest::v1::CreateStreamKeyRequest;
use marquee_proto::video_ingest::v1::live_stream_service_client::LiveStreamServiceClient;
use marquee_proto::video_ingest::v1::recording_service_client::RecordingServiceClient;
use marquee_proto::video_ingest::v1::stream_key_service_client::StreamKeyServiceClient;
use marquee_testkit::{Marquee, Person, Ready};
use tonic::Streaming;
use tonic::transport::Channel as Transport;

/// A new request id.
pub fn uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Every API, over one connection.
#[derive(Clone)]
pub struct Api {
    transport: Transport,
}

macro_rules! clients {
    ($($(#[$doc:meta])* $method:ident: $client:ident),+ $(,)?) => {
        impl Api {
            $($(#[$doc])* pub fn $method(&self) -> $client<Transport> {
                $client::new(self.transport.clone())
            })+
        }
    };
}

clients! {
    /// Accounts.
    accounts: AccountServiceClient,
    /// Log in and out.
    sessions: SessionServiceClient,
    /// Memberships.
    memberships: MembershipServiceClient,
    /// Payments.
    payments: PaymentServiceClient,
    /// Follows.
    follows: FollowServiceClient,
    /// Reminders.
    reminders: ReminderServiceClient,
    /// Channels.
    channels: ChannelServiceClient,
    /// Live events.
    events: EventServiceClient,
    /// Stream keys.
    stream_keys: StreamKeyServiceClient,
    /// Live streams.
    live_streams: LiveStreamServiceClient,
    /// Recordings.
    recordings: RecordingServiceClient,
    /// The inbox.
    inbox: InboxServiceClient,
    /// Search.
    search: SearchServiceClient,
    /// Beacons.
    beacons: BeaconServiceClient,
    /// The audience.
    audience: AudienceServiceClient,
}

impl Api {
    /// Connects to a running Marquee.
    pub async fn of(marquee: &Marquee) -> Result<Self> {
        Self::at(&marquee.ready).await
    }

    /// Connects to what is at that place.
    pub async fn at(place: &Ready) -> Result<Self> {
        Ok(Self {
            transport: Transport::from_shared(place.grpc.clone())?.connect().await?,
        })
    }

    /// Registers an account and signs in.
    pub async fn register(&self, email: &str, display_name: &str) -> Result<Person> {
        let account = Account {
            email: email.into(),
            display_name: display_name.into(),
            ..Account::default()
        };
        let password = "correct horse battery".to_owned();
        let create = CreateAccountRequest {
            account: Some(account),
            password,
            request_id: uuid(),
        };
        self.accounts().create_account(create).await?;
        self.login(email).await
    }

    /// Signs in somebody whom [`register`](Self::register) has made.
    pub async fn login(&self, email: &str) -> Result<Person> {
        let password = "correct horse battery".to_owned();
        let login = LoginRequest {
            email: email.into(),
            password: password.clone(),
        };
        let tokens = self
            .sessions()
            .login(login)
            .await?
            .into_inner()
            .tokens
            .context("no tokens")?;
        Ok(Person {
            email: email.into(),
            password,
            access_token: tokens.access_token,
        })
    }

    /// Creates a channel.
    pub async fn channel(&self, owner: &Person, handle: &str, display_name: &str) -> Result<Channel> {
        let channel = Channel {
            handle: handle.into(),
            display_name: display_name.into(),
            ..Channel::default()
        };
        let create = CreateChannelRequest {
            channel: Some(channel),
            request_id: uuid(),
        };
        let created = self
            .channels()
            .create_channel(owner.request(create))
            .await?
            .into_inner();
        created.channel.context("no channel")
    }

    /// Schedules an event that starts in five minutes.
    pub async fn event(&self, owner: &Person, channel: &Channel, title: &str) -> Result<Event> {
        let start = marquee_proto::time::to_proto(Timestamp::now() + SignedDuration::from_mins(5));
        let event = Event {
            title: title.into(),
            scheduled_start_time: Some(start),
            ..Event::default()
        };
        let create = CreateEventRequest {
            parent: channel.name.clone(),
            event: Some(event),
            request_id: uuid(),
        };
        let created = self
            .events()
            .create_event(owner.request(create))
            .await?
            .into_inner();
        created.event.context("no event")
    }

    /// Creates a stream key and returns its secret.
    pub async fn stream_key(&self, owner: &Person, channel: &Channel) -> Result<String> {
        let create = CreateStreamKeyRequest {
            parent: channel.name.clone(),
            ..CreateStreamKeyRequest::default()
        };
        let created = self
            .stream_keys()
            .create_stream_key(owner.request(create))
            .await?
            .into_inner();
        Ok(created.secret)
    }

    /// The event as it is now.
    pub async fn get_event(&self, name: &str) -> Result<Event> {
        let get = GetEventRequest {
            name: name.to_owned(),
        };
        self.events()
            .get_event(get)
            .await?
            .into_inner()
            .event
            .context("no event")
    }

    /// Follows an event.
    pub async fn watch_event(&self, name: &str) -> Result<Streaming<WatchEventResponse>> {
        let watch = WatchEventRequest {
            name: name.to_owned(),
        };
        Ok(self.events().watch_event(watch).await?.into_inner())
    }
}

/// Reads an event's changes until it is in a state, and returns it.
pub async fn until_state(changes: &mut Streaming<WatchEventResponse>, state: EventState) -> Result<Event> {
    while let Some(change) = changes.message().await? {
        let event = change.event.context("no event")?;
        if event.state() == state {
            return Ok(event);
        }
    }
    anyhow::bail!("the stream of changes ended before {state:?}")
}
