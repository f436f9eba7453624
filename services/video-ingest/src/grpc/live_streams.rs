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
        Ok(Response::new(proto::GetLiveStreamResponse {
            live_stream: Some(wire::live_stream(&stream)),
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
            Followed::Over(stream) => stream::iter([message(&stream)]).boxed(),
            Followed::Running(receiver) => until_ended(WatchStream::new(receiver)).boxed(),
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
        _request: Request<proto::WatchLiveStreamStatisticsRequest>,
    ) -> Result<Response<Self::WatchLiveStreamStatisticsStream>, Status> {
        Err(Status::unimplemented("not offered yet"))
    }

    async fn get_publisher(
        &self,
        _request: Request<proto::GetPublisherRequest>,
    ) -> Result<Response<proto::GetPublisherResponse>, Status> {
        Err(Status::unimplemented("not offered yet"))
    }

    async fn disconnect_publisher(
        &self,
        _request: Request<proto::DisconnectPublisherRequest>,
    ) -> Result<Response<proto::DisconnectPublisherResponse>, Status> {
        Err(Status::unimplemented("not offered yet"))
    }
}

/// Every change, up to the one that says it has ended.
fn until_ended(
    changes: WatchStream<Option<LiveStream>>,
) -> impl futures::Stream<Item = Result<proto::WatchLiveStreamResponse, Status>> {
    let started = Box::pin(changes.filter_map(std::future::ready));
    stream::unfold(Some(started), async |changes| {
        let mut changes = changes?;
        let stream = changes.next().await?;
        let rest = (stream.state != State::Ended).then_some(changes);
        Some((message(&stream), rest))
    })
}

fn message(stream: &LiveStream) -> Result<proto::WatchLiveStreamResponse, Status> {
    Ok(proto::WatchLiveStreamResponse {
        live_stream: Some(wire::live_stream(stream)),
    })
}
