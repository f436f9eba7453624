//! As much of the events service as this one asks: it looks channels and events up.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use http::Uri;
use marquee_proto::events::v1::channel_service_server::{ChannelService, ChannelServiceServer};
use marquee_proto::events::v1::event_service_server::{EventService, EventServiceServer};
use marquee_proto::events::v1::{
    CancelEventRequest, CancelEventResponse, Channel, CreateChannelRequest, CreateChannelResponse,
    CreateEventRequest, CreateEventResponse, Event, EventState, GetChannelRequest, GetChannelResponse,
    GetEventRequest, GetEventResponse, ListChannelsRequest, ListChannelsResponse, ListEventsRequest,
    ListEventsResponse, UpdateChannelRequest, UpdateChannelResponse, UpdateEventRequest, UpdateEventResponse,
    Visibility, WatchEventRequest, WatchEventResponse,
};
use marquee_proto::subscriptions::v1::Money;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

#[derive(Default)]
struct Catalogue {
    channels: HashMap<String, Channel>,
    events: HashMap<String, Event>,
    /// Tokens that the callers showed.
    tokens: Vec<String>,
}

/// A server with channels and events that a test puts there.
pub(crate) struct EventsPeer {
    pub(crate) address: Uri,
    catalogue: Arc<Mutex<Catalogue>>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl EventsPeer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let catalogue = Arc::new(Mutex::new(Catalogue::default()));
        let stop = CancellationToken::new();
        let served = Served(Arc::clone(&catalogue));
        let server = Server::builder()
            .add_service(ChannelServiceServer::new(served.clone()))
            .add_service(EventServiceServer::new(served))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.clone().cancelled_owned());
        let running = tokio::spawn(async move { server.await.unwrap() });
        Self {
            address,
            catalogue,
            stop,
            running,
        }
    }

    pub(crate) fn add_channel(&self, name: &str) {
        let channel = Channel {
            name: name.to_owned(),
            ..Channel::default()
        };
        self.catalogue.lock().channels.insert(name.to_owned(), channel);
    }

    pub(crate) fn add_event(&self, name: &str, state: EventState, visibility: Visibility) {
        let event = Event {
            name: name.to_owned(),
            state: state.into(),
            visibility: visibility.into(),
            ..Event::default()
        };
        self.catalogue.lock().events.insert(name.to_owned(), event);
    }

    /// What a ticket for an event costs.
    pub(crate) fn price(&self, name: &str, minor_units: i64, currency: &str) {
        let price = Money {
            currency: currency.to_owned(),
            minor_units,
        };
        if let Some(event) = self.catalogue.lock().events.get_mut(name) {
            event.price = Some(price);
        }
    }

    /// Whose channel it is.
    pub(crate) fn own(&self, channel: &str, account: &str) {
        if let Some(channel) = self.catalogue.lock().channels.get_mut(channel) {
            account.clone_into(&mut channel.owner);
        }
    }

    /// Tokens that the callers showed.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.catalogue.lock().tokens.clone()
    }

    /// From now on nobody answers.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        (&mut self.running).await.unwrap();
    }
}

impl Drop for EventsPeer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

#[derive(Clone)]
struct Served(Arc<Mutex<Catalogue>>);

impl Served {
    fn note<T>(&self, request: &Request<T>) {
        let token = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        self.0.lock().tokens.extend(token);
    }
}

fn unknown() -> Status {
    Status::not_found("no such thing")
}

fn other() -> Status {
    Status::unimplemented("nobody here asks that")
}

#[tonic::async_trait]
impl ChannelService for Served {
    async fn get_channel(
        &self,
        request: Request<GetChannelRequest>,
    ) -> Result<Response<GetChannelResponse>, Status> {
        self.note(&request);
        let channel = self
            .0
            .lock()
            .channels
            .get(&request.get_ref().name)
            .cloned()
            .ok_or_else(unknown)?;
        Ok(Response::new(GetChannelResponse {
            channel: Some(channel),
        }))
    }

    async fn create_channel(
        &self,
        _: Request<CreateChannelRequest>,
    ) -> Result<Response<CreateChannelResponse>, Status> {
        Err(other())
    }

    async fn list_channels(
        &self,
        _: Request<ListChannelsRequest>,
    ) -> Result<Response<ListChannelsResponse>, Status> {
        Err(other())
    }

    async fn update_channel(
        &self,
        _: Request<UpdateChannelRequest>,
    ) -> Result<Response<UpdateChannelResponse>, Status> {
        Err(other())
    }
}

#[tonic::async_trait]
impl EventService for Served {
    type WatchEventStream = Pin<Box<dyn Stream<Item = Result<WatchEventResponse, Status>> + Send>>;

    async fn get_event(
        &self,
        request: Request<GetEventRequest>,
    ) -> Result<Response<GetEventResponse>, Status> {
        self.note(&request);
        let event = self
            .0
            .lock()
            .events
            .get(&request.get_ref().name)
            .cloned()
            .ok_or_else(unknown)?;
        Ok(Response::new(GetEventResponse { event: Some(event) }))
    }

    async fn create_event(
        &self,
        _: Request<CreateEventRequest>,
    ) -> Result<Response<CreateEventResponse>, Status> {
        Err(other())
    }

    async fn list_events(
        &self,
        _: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        Err(other())
    }

    async fn update_event(
        &self,
        _: Request<UpdateEventRequest>,
    ) -> Result<Response<UpdateEventResponse>, Status> {
        Err(other())
    }

    async fn cancel_event(
        &self,
        _: Request<CancelEventRequest>,
    ) -> Result<Response<CancelEventResponse>, Status> {
        Err(other())
    }

    async fn watch_event(
        &self,
        _: Request<WatchEventRequest>,
    ) -> Result<Response<Self::WatchEventStream>, Status> {
        Err(other())
    }
}
