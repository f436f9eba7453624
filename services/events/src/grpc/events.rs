//! EventService.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use marquee_auth::principal;
use marquee_error::Violations;
use marquee_proto::events::v1 as proto;
use marquee_proto::events::v1::event_service_server::EventService;
use marquee_proto::name::EventName;
use marquee_proto::time::from_proto;
use tonic::{Request, Response, Status};

use super::decode;
use crate::app::{App, EventUpdate, ListEvents, NewEvent};
use crate::config::micros;
use crate::domain::draft::{Draft, Field, Moment};
use crate::domain::event::{Price, Visibility};
use crate::error::Result;
use crate::wire;

pub(crate) struct Events(pub(crate) Arc<App>);

/// The last second of the year 9999, up to which protobuf's times go.
const LAST_SECOND: i64 = 253_402_300_799;

fn moment(time: Option<&prost_types::Timestamp>) -> Moment {
    let Some(time) = time else { return Moment::Unset };
    match from_proto(time) {
        Some(time) if time >= Timestamp::UNIX_EPOCH && time.as_second() <= LAST_SECOND => {
            Moment::At(micros(time))
        }
        _ => Moment::IllFormed,
    }
}

fn draft(event: proto::Event) -> Draft {
    let visibility = match proto::Visibility::try_from(event.visibility) {
        Ok(proto::Visibility::Unspecified) => Ok(None),
        Ok(proto::Visibility::Public) => Ok(Some(Visibility::Public)),
        Ok(proto::Visibility::Unlisted) => Ok(Some(Visibility::Unlisted)),
        Ok(proto::Visibility::Members) => Ok(Some(Visibility::Members)),
        Ok(proto::Visibility::PayPerView) => Ok(Some(Visibility::PayPerView)),
        Err(_) => Err(event.visibility),
    };
    Draft {
        title: event.title,
        description: event.description,
        scheduled_start_time: moment(event.scheduled_start_time.as_ref()),
        scheduled_end_time: moment(event.scheduled_end_time.as_ref()),
        genre: event.genre,
        tags: event.tags,
        language: event.language,
        maturity_rating: event.maturity_rating,
        visibility,
        price: event.price.map(|price| Price {
            currency: price.currency,
            minor_units: price.minor_units,
        }),
    }
}

impl Events {
    async fn create(
        &self,
        request: Request<proto::CreateEventRequest>,
    ) -> Result<proto::CreateEventResponse> {
        let caller = principal(&request);
        let mut request = request.into_inner();
        let request_id = std::mem::take(&mut request.request_id);
        let mut violations = Violations::default();
        let key = decode::request_key(&mut violations, &caller, "CreateEvent", &request_id, &request);
        let channel = violations.take("parent", request.parent.parse());
        let draft = draft(request.event.unwrap_or_default());
        self.0
            .create_event(
                &caller,
                NewEvent {
                    channel,
                    draft,
                    key,
                    violations,
                },
            )
            .await
    }

    async fn list(&self, request: Request<proto::ListEventsRequest>) -> Result<proto::ListEventsResponse> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut violations = Violations::default();
        let size = decode::page_size(&mut violations, request.page_size);
        let channel = match request.parent.as_str() {
            "" | "channels/-" => None,
            parent => violations.take("parent", parent.parse()),
        };
        let list = ListEvents {
            channel,
            filter: request.filter,
            order_by: request.order_by,
            size,
            token: request.page_token,
            violations,
        };
        let (events, next_page_token) = self.0.list_events(&caller, list).await?;
        let now = self.0.clock.now();
        let events = events
            .iter()
            .map(|event| wire::event(&event.value, now))
            .collect();
        Ok(proto::ListEventsResponse {
            events,
            next_page_token,
        })
    }

    async fn update(
        &self,
        request: Request<proto::UpdateEventRequest>,
    ) -> Result<proto::UpdateEventResponse> {
        let caller = principal(&request);
        let request = request.into_inner();
        let event = request.event.unwrap_or_default();
        let mut violations = Violations::default();
        let name = violations.take("event.name", event.name.parse());
        let etag = event.etag.clone();
        let draft = draft(event);
        let fields = decode::update_mask(&mut violations, request.update_mask.as_ref(), Field::ALL);
        let fields = fields.unwrap_or_else(|| draft.set_fields());
        draft.check_named(&fields, &mut violations);
        violations.finish()?;
        let name = name.ok_or_else(|| marquee_error::invalid("event.name", "is required"))?;
        let event = self
            .0
            .update_event(
                &caller,
                EventUpdate {
                    name,
                    draft,
                    fields,
                    etag,
                },
            )
            .await?;
        Ok(proto::UpdateEventResponse {
            event: Some(wire::event(&event, self.0.clock.now())),
        })
    }

    async fn cancel(
        &self,
        request: Request<proto::CancelEventRequest>,
    ) -> Result<proto::CancelEventResponse> {
        let caller = principal(&request);
        let request = request.into_inner();
        let name: EventName = decode::name("name", &request.name)?;
        let event = self.0.cancel_event(&caller, &name, &request.etag).await?;
        Ok(proto::CancelEventResponse {
            event: Some(wire::event(&event, self.0.clock.now())),
        })
    }

    async fn get(&self, name: &str) -> Result<proto::GetEventResponse> {
        decode::name::<EventName>("name", name)?;
        let event = self.0.get_event(name).await?;
        Ok(proto::GetEventResponse {
            event: Some(wire::event(&event.value, self.0.clock.now())),
        })
    }
}

#[tonic::async_trait]
impl EventService for Events {
    type WatchEventStream = Pin<Box<dyn Stream<Item = Result<proto::WatchEventResponse, Status>> + Send>>;

    async fn create_event(
        &self,
        request: Request<proto::CreateEventRequest>,
    ) -> Result<Response<proto::CreateEventResponse>, Status> {
        Ok(Response::new(self.create(request).await?))
    }

    async fn get_event(
        &self,
        request: Request<proto::GetEventRequest>,
    ) -> Result<Response<proto::GetEventResponse>, Status> {
        Ok(Response::new(self.get(&request.get_ref().name).await?))
    }

    async fn list_events(
        &self,
        request: Request<proto::ListEventsRequest>,
    ) -> Result<Response<proto::ListEventsResponse>, Status> {
        Ok(Response::new(self.list(request).await?))
    }

    async fn update_event(
        &self,
        request: Request<proto::UpdateEventRequest>,
    ) -> Result<Response<proto::UpdateEventResponse>, Status> {
        Ok(Response::new(self.update(request).await?))
    }

    async fn cancel_event(
        &self,
        request: Request<proto::CancelEventRequest>,
    ) -> Result<Response<proto::CancelEventResponse>, Status> {
        Ok(Response::new(self.cancel(request).await?))
    }

    async fn watch_event(
        &self,
        request: Request<proto::WatchEventRequest>,
    ) -> Result<Response<Self::WatchEventStream>, Status> {
        let name: EventName =
            decode::name("name", &request.get_ref().name).map_err(crate::error::Error::from)?;
        let events = self.0.watch_event(&name.to_string()).await?;
        let messages = events.map(|event| {
            Ok(proto::WatchEventResponse {
                event: Some(event.map_err(Status::from)?),
            })
        });
        Ok(Response::new(Box::pin(messages)))
    }
}
