//! What people do, over gRPC.

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use marquee_proto::events::v1::channel_service_client::ChannelServiceClient;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::{
    Channel, CreateChannelRequest, CreateEventRequest, Event, UpdateEventRequest,
};
use marquee_proto::name::new_id;
use marquee_proto::notifications::v1::inbox_service_client::InboxServiceClient;
use marquee_proto::notifications::v1::{WatchNotificationsRequest, WatchNotificationsResponse};
use marquee_proto::search::v1::search_service_client::SearchServiceClient;
use marquee_proto::search::v1::{ResultKind, SearchRequest};
use marquee_proto::subscriptions::v1::account_service_client::AccountServiceClient;
use marquee_proto::subscriptions::v1::follow_service_client::FollowServiceClient;
use marquee_proto::subscriptions::v1::session_service_client::SessionServiceClient;
use marquee_proto::subscriptions::v1::{Account, CreateAccountRequest, CreateFollowRequest, LoginRequest};
use marquee_proto::video_ingest::v1::CreateStreamKeyRequest;
use marquee_proto::video_ingest::v1::stream_key_service_client::StreamKeyServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel as Transport;
use tonic::{Request, Streaming};

const PASSWORD: &str = "correct horse battery";

/// Somebody who is signed in, on a connection.
#[derive(Clone)]
pub(crate) struct Person {
    transport: Transport,
    authorization: MetadataValue<Ascii>,
}

impl Person {
    pub(crate) fn new(transport: Transport, token: &str) -> Result<Self> {
        Ok(Self {
            transport,
            authorization: format!("Bearer {token}").parse()?,
        })
    }

    /// Registers an account and signs in.
    pub(crate) async fn register(transport: Transport) -> Result<Self> {
        let email = format!("{}@example.org", new_id());
        let create = CreateAccountRequest {
            account: Some(Account {
                email: email.clone(),
                display_name: "Bench".to_owned(),
                ..Account::default()
            }),
            password: PASSWORD.to_owned(),
            ..CreateAccountRequest::default()
        };
        AccountServiceClient::new(transport.clone())
            .create_account(create)
            .await?;
        let login = LoginRequest {
            email,
            password: PASSWORD.to_owned(),
        };
        let answer = SessionServiceClient::new(transport.clone()).login(login).await?;
        let tokens = answer.into_inner().tokens.context("no tokens")?;
        Self::new(transport, &tokens.access_token)
    }

    /// The same one on another connection.
    pub(crate) fn over(&self, transport: &Transport) -> Self {
        Self {
            transport: transport.clone(),
            authorization: self.authorization.clone(),
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.authorization.clone());
        request
    }

    /// Creates a channel and returns its name.
    pub(crate) async fn channel(&self) -> Result<String> {
        let id = new_id();
        let create = CreateChannelRequest {
            channel: Some(Channel {
                // The end of an id is random.
                handle: format!("bench{}", &id[id.len() - 12..]),
                display_name: "Owls at night".to_owned(),
                ..Channel::default()
            }),
            ..CreateChannelRequest::default()
        };
        let answer = ChannelServiceClient::new(self.transport.clone())
            .create_channel(self.request(create))
            .await?;
        Ok(answer.into_inner().channel.context("no channel")?.name)
    }

    /// Schedules an event that starts in five minutes.
    pub(crate) async fn event(&self, channel: &str, title: &str) -> Result<Event> {
        let start = Timestamp::now() + SignedDuration::from_mins(5);
        let create = CreateEventRequest {
            parent: channel.to_owned(),
            event: Some(Event {
                title: title.to_owned(),
                description: "A camera in a barn. ".repeat(10),
                scheduled_start_time: Some(marquee_proto::time::to_proto(start)),
                ..Event::default()
            }),
            ..CreateEventRequest::default()
        };
        let answer = EventServiceClient::new(self.transport.clone())
            .create_event(self.request(create))
            .await?;
        answer.into_inner().event.context("no event")
    }

    /// Gives an event another title.
    pub(crate) async fn rename(&self, name: &str, title: &str) -> Result<Event> {
        let update = UpdateEventRequest {
            event: Some(Event {
                name: name.to_owned(),
                title: title.to_owned(),
                ..Event::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["title".to_owned()],
            }),
        };
        let answer = EventServiceClient::new(self.transport.clone())
            .update_event(self.request(update))
            .await?;
        answer.into_inner().event.context("no event")
    }

    /// Creates a stream key and returns its secret.
    pub(crate) async fn stream_key(&self, channel: &str) -> Result<String> {
        let create = CreateStreamKeyRequest {
            parent: channel.to_owned(),
            ..CreateStreamKeyRequest::default()
        };
        let answer = StreamKeyServiceClient::new(self.transport.clone())
            .create_stream_key(self.request(create))
            .await?;
        Ok(answer.into_inner().secret)
    }

    pub(crate) async fn follow(&self, channel: &str) -> Result<()> {
        let follow = CreateFollowRequest {
            parent: "accounts/me".to_owned(),
            channel: channel.to_owned(),
        };
        FollowServiceClient::new(self.transport.clone())
            .create_follow(self.request(follow))
            .await?;
        Ok(())
    }

    /// The inbox from now on; the first message of the stream was received.
    pub(crate) async fn watch(&self) -> Result<Streaming<WatchNotificationsResponse>> {
        let watch = WatchNotificationsRequest {
            parent: "accounts/me".to_owned(),
            ..WatchNotificationsRequest::default()
        };
        let mut inbox = InboxServiceClient::new(self.transport.clone())
            .watch_notifications(self.request(watch))
            .await?
            .into_inner();
        inbox.message().await?.context("the stream ended")?;
        Ok(inbox)
    }

    /// Whether an event is found as live.
    pub(crate) async fn finds_live(&self, title: &str, event: &str) -> Result<bool> {
        let search = SearchRequest {
            query: title.to_owned(),
            state: "live".to_owned(),
            kind: ResultKind::Event.into(),
            ..SearchRequest::default()
        };
        let answer = SearchServiceClient::new(self.transport.clone())
            .search(search)
            .await?;
        let results = answer.into_inner().results;
        Ok(results.iter().any(|result| result.name == event))
    }
}
