//! A bare tonic server, to compare with: hello-world, and GetEvent with an answer that is always the same.
//!
//! `hello FILE TITLE` listens on a free port of 127.0.0.1 and writes the address to FILE.

use anyhow::{Context as _, Result};
use marquee_proto::events::v1::event_service_server::{EventService, EventServiceServer};
use marquee_proto::events::v1::{
    CancelEventRequest, CancelEventResponse, CreateEventRequest, CreateEventResponse, Event, EventState,
    GetEventRequest, GetEventResponse, ListEventsRequest, ListEventsResponse, UpdateEventRequest,
    UpdateEventResponse, Visibility, WatchEventRequest, WatchEventResponse,
};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use helloworld::greeter_server::{Greeter, GreeterServer};
use helloworld::{HelloReply, HelloRequest};

#[allow(unreachable_pub, reason = "generated")]
mod helloworld {
    tonic::include_proto!("helloworld");
}

struct Hello;

#[tonic::async_trait]
impl Greeter for Hello {
    async fn say_hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let message = format!("Hello {}!", request.into_inner().name);
        Ok(Response::new(HelloReply { message }))
    }
}

struct Events(Event);

fn absent<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("this server has GetEvent only"))
}

#[tonic::async_trait]
impl EventService for Events {
    async fn get_event(
        &self,
        request: Request<GetEventRequest>,
    ) -> Result<Response<GetEventResponse>, Status> {
        let event = Event {
            name: request.into_inner().name,
            ..self.0.clone()
        };
        Ok(Response::new(GetEventResponse { event: Some(event) }))
    }
    async fn create_event(
        &self,
        _: Request<CreateEventRequest>,
    ) -> Result<Response<CreateEventResponse>, Status> {
        absent()
    }
    async fn list_events(
        &self,
        _: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        absent()
    }
    async fn update_event(
        &self,
        _: Request<UpdateEventRequest>,
    ) -> Result<Response<UpdateEventResponse>, Status> {
        absent()
    }
    async fn cancel_event(
        &self,
        _: Request<CancelEventRequest>,
    ) -> Result<Response<CancelEventResponse>, Status> {
        absent()
    }
    type WatchEventStream = tokio_stream::Empty<Result<WatchEventResponse, Status>>;
    async fn watch_event(
        &self,
        _: Request<WatchEventRequest>,
    ) -> Result<Response<Self::WatchEventStream>, Status> {
        absent()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments
        .next()
        .context("the first argument is the file for the address")?;
    let title = arguments
        .next()
        .context("the second argument is the event's title")?;
    let now = Some(marquee_proto::time::to_proto(
        "2026-01-01T00:00:00.123456Z".parse()?,
    ));
    let event = Event {
        title,
        description: "A camera in a barn. ".repeat(10).trim_end().to_owned(),
        scheduled_start_time: now,
        visibility: Visibility::Public.into(),
        state: EventState::Scheduled.into(),
        create_time: now,
        update_time: now,
        etag: "1".to_owned(),
        ..Event::default()
    };
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?.with_nodelay(Some(true));
    std::fs::write(file, format!("{}\n", incoming.local_addr()?))?;
    tonic::transport::Server::builder()
        .add_service(GreeterServer::new(Hello))
        .add_service(EventServiceServer::new(Events(event)))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
