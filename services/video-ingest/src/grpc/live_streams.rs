//! `LiveStreamService`.

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use marquee_auth::principal;
use marquee_error::invalid;
use marquee_proto::video_ingest::v1 as proto;
use marquee_proto::video_ingest::v1::live_stream_service_server::LiveStreamService;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::app::{Followed, PageRequest, Streams};
use crate::broadcast::Broadcast;
use crate::domain::{LiveStream, State};
use crate::error::Error;
use crate::wire;

/// The RPCs of live streams.
pub(crate) struct LiveStreams {
    pub(crate) app: Streams,
    pub(crate) shutdown: CancellationToken,
}

#[tonic::async_trait]
impl LiveStreamService for LiveStreams {
    type WatchLiveStreamStream = BoxStream<'static, Result<proto::WatchLiveStreamResponse, Status>>;
    type WatchLiveStreamStatisticsStream =
        BoxStream<'static, Result<proto::WatchLiveStreamStatisticsResponse, Status>>;

    async fn get_live_stream(
        &self,
        request: Request<proto::GetLiveStreamRequest>,
    ) -> Result<Response<proto::GetLiveStreamResponse>, Status> {
        let stream = self.app.get(&request.into_inner().name).await?;
        let viewers = self.app.watching(&stream);
        Ok(Response::new(proto::GetLiveStreamResponse {
            live_stream: Some(wire::watched(&stream, viewers)),
        }))
    }

    async fn list_live_streams(
        &self,
        request: Request<proto::ListLiveStreamsRequest>,
    ) -> Result<Response<proto::ListLiveStreamsResponse>, Status> {
        let principal = principal(&request);
        let request = request.into_inner();
        let state = proto::LiveStreamState::try_from(request.state)
            .map_err(|_| Error::from(invalid("state", format!("{} is no state", request.state))))?;
        let page = PageRequest {
            size: request.page_size,
            token: request.page_token,
        };
        Ok(Response::new(
            self.app.list(&principal, &request.parent, state, &page).await?,
        ))
    }

    async fn watch_live_stream(
        &self,
        request: Request<proto::WatchLiveStreamRequest>,
    ) -> Result<Response<Self::WatchLiveStreamStream>, Status> {
        let stream = match self.app.follow(&request.into_inner().name).await? {
            Followed::Over(stream) => stream::iter([message(&self.app, &stream)]).boxed(),
            Followed::Running(receiver) => until_ended(self.app.clone(), WatchStream::new(receiver)).boxed(),
        };
        Ok(Response::new(
            stream.take_until(self.shutdown.clone().cancelled_owned()).boxed(),
        ))
    }

    async fn stop_live_stream(
        &self,
        request: Request<proto::StopLiveStreamRequest>,
    ) -> Result<Response<proto::StopLiveStreamResponse>, Status> {
        let principal = principal(&request);
        let stream = self.app.stop(&principal, &request.into_inner().name).await?;
        Ok(Response::new(proto::StopLiveStreamResponse {
            live_stream: Some(wire::live_stream(&stream)),
        }))
    }

    async fn watch_live_stream_statistics(
        &self,
        request: Request<proto::WatchLiveStreamStatisticsRequest>,
    ) -> Result<Response<Self::WatchLiveStreamStatisticsStream>, Status> {
        let principal = principal(&request);
        let broadcast = self.app.measured(&principal, &request.into_inner().name).await?;
        let messages = statistics(self.app.clone(), broadcast);
        Ok(Response::new(
            messages
                .take_until(self.shutdown.clone().cancelled_owned())
                .boxed(),
        ))
    }

    async fn get_publisher(
        &self,
        request: Request<proto::GetPublisherRequest>,
    ) -> Result<Response<proto::GetPublisherResponse>, Status> {
        let principal = principal(&request);
        let publisher = self.app.publisher(&principal, &request.into_inner().name).await?;
        Ok(Response::new(proto::GetPublisherResponse {
            publisher: Some(wire::publisher(&publisher)),
        }))
    }

    async fn disconnect_publisher(
        &self,
        request: Request<proto::DisconnectPublisherRequest>,
    ) -> Result<Response<proto::DisconnectPublisherResponse>, Status> {
        let principal = principal(&request);
        let request = request.into_inner();
        let publisher = self
            .app
            .disconnect(&principal, &request.name, &request.reason)
            .await?;
        Ok(Response::new(proto::DisconnectPublisherResponse {
            publisher: Some(wire::publisher(&publisher)),
        }))
    }
}

/// First the last minute, then each second that is over, until the stream has ended.
fn statistics(
    app: Streams,
    broadcast: Broadcast,
) -> impl futures::Stream<Item = Result<proto::WatchLiveStreamStatisticsResponse, Status>> {
    let changes = Box::pin(WatchStream::new(broadcast.watch()).filter_map(std::future::ready));
    let begin = Some((changes, broadcast, app, None));
    stream::unfold(begin, async |state| {
        let (mut changes, broadcast, app, mut since) = state?;
        loop {
            let stream = changes.next().await?;
            let samples = broadcast.samples(since);
            let is_first = since.is_none();
            since = samples.last().map(|sample| sample.time).or(since);
            let is_over = stream.state == State::Ended;
            // What changed is the state: there is nothing new to tell.
            if samples.is_empty() && !is_first && !is_over {
                continue;
            }
            let message = proto::WatchLiveStreamStatisticsResponse {
                figures: Some(wire::watched_figures(&stream.figures, app.watching(&stream))),
                samples: samples.iter().map(wire::sample).collect(),
            };
            let rest = (!is_over).then_some((changes, broadcast, app, since));
            return Some((Ok(message), rest));
        }
    })
}

/// Every change, up to the one that says it has ended.
fn until_ended(
    app: Streams,
    changes: WatchStream<Option<LiveStream>>,
) -> impl futures::Stream<Item = Result<proto::WatchLiveStreamResponse, Status>> {
    let started = Box::pin(changes.filter_map(std::future::ready));
    stream::unfold(Some((app, started)), async |state| {
        let (app, mut changes) = state?;
        let stream = changes.next().await?;
        let message = message(&app, &stream);
        let rest = (stream.state != State::Ended).then_some((app, changes));
        Some((message, rest))
    })
}

fn message(app: &Streams, stream: &LiveStream) -> Result<proto::WatchLiveStreamResponse, Status> {
    Ok(proto::WatchLiveStreamResponse {
        live_stream: Some(wire::watched(stream, app.watching(stream))),
    })
}
