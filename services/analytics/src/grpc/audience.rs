//! `AudienceService`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use marquee_auth::principal;
use marquee_error::invalid;
use marquee_proto::analytics::v1::audience_service_server::AudienceService;
use marquee_proto::analytics::v1::{
    Audience as ProtoAudience, EventSummary, GetAudienceRequest, GetAudienceResponse, GetEventSummaryRequest,
    GetEventSummaryResponse, WatchAudienceRequest, WatchAudienceResponse,
};
use marquee_proto::name::EventName;
use marquee_proto::time::{duration_to_proto, to_proto};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::Error;
use crate::app::{Audience, Board, Catalogue, Summaries};
use crate::store::Summary;

/// The least time between two messages of a watch.
const PACE: Duration = Duration::from_millis(100);

/// The gRPC face of the audience.
pub(crate) struct AudienceGrpc {
    board: Arc<Board>,
    catalogue: Catalogue,
    summaries: Summaries,
    shutdown: CancellationToken,
}

impl AudienceGrpc {
    pub(crate) fn new(
        board: Arc<Board>,
        catalogue: Catalogue,
        summaries: Summaries,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            board,
            catalogue,
            summaries,
            shutdown,
        }
    }
}

#[tonic::async_trait]
impl AudienceService for AudienceGrpc {
    async fn get_audience(
        &self,
        request: Request<GetAudienceRequest>,
    ) -> Result<Response<GetAudienceResponse>, Status> {
        let event = event(&request.get_ref().event)?;
        self.catalogue.require_event(&event).await?;
        let audience = self.board.audience(&event).await.map_err(Error::from)?;
        Ok(Response::new(GetAudienceResponse {
            audience: Some(encode(&audience)),
        }))
    }

    type WatchAudienceStream = Pin<Box<dyn Stream<Item = Result<WatchAudienceResponse, Status>> + Send>>;

    async fn watch_audience(
        &self,
        request: Request<WatchAudienceRequest>,
    ) -> Result<Response<Self::WatchAudienceStream>, Status> {
        let event = event(&request.get_ref().event)?;
        self.catalogue.require_event(&event).await?;
        let mut changes = self.board.watch(&event).await.map_err(Error::from)?;
        changes.mark_changed();
        let shutdown = self.shutdown.clone();
        // A slow reader finds the latest when it comes back; what was in between is not kept.
        let first = Some((changes, shutdown, None));
        let messages = stream::unfold(first, |watching| async move {
            let (mut changes, shutdown, last) = watching?;
            let next = async {
                if let Some(last) = last {
                    tokio::time::sleep_until(last + PACE).await;
                }
                changes.changed().await
            };
            let changed = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Some((Err(Error::ShuttingDown.into()), None)),
                changed = next => changed,
            };
            changed.ok()?;
            let audience = encode(&changes.borrow_and_update());
            let sent = Some(tokio::time::Instant::now());
            Some((
                Ok(WatchAudienceResponse {
                    audience: Some(audience),
                }),
                Some((changes, shutdown, sent)),
            ))
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn get_event_summary(
        &self,
        request: Request<GetEventSummaryRequest>,
    ) -> Result<Response<GetEventSummaryResponse>, Status> {
        let caller = principal(&request);
        let event = event(&request.get_ref().event)?;
        let summary = self.summaries.summary(&caller, &event).await?;
        Ok(Response::new(GetEventSummaryResponse {
            summary: Some(encode_summary(&event, &summary)),
        }))
    }
}

fn event(name: &str) -> Result<EventName, Error> {
    Ok(name
        .parse::<EventName>()
        .map_err(|wrong| invalid("event", wrong.to_string()))?)
}

fn encode(audience: &Audience) -> ProtoAudience {
    ProtoAudience {
        event: audience.event.to_string(),
        concurrent_viewers: count(audience.viewers),
        peak_concurrent_viewers: count(audience.peak),
        time: Some(to_proto(audience.time)),
    }
}

fn encode_summary(event: &EventName, summary: &Summary) -> EventSummary {
    let Summary {
        totals,
        unique_viewers,
        peak,
    } = summary;
    let duration = |ms: i64| {
        Some(duration_to_proto(Duration::from_millis(
            u64::try_from(ms).unwrap_or(0),
        )))
    };
    EventSummary {
        event: event.to_string(),
        views: totals.views,
        unique_viewers: count(*unique_viewers),
        watched_time: duration(totals.watched_ms),
        playing_time: duration(totals.playing_ms),
        peak_concurrent_viewers: count(*peak),
        average_view_duration: duration(totals.average_view_ms()),
        rebuffer_ratio: totals.rebuffer_ratio(),
        start_failures: totals.start_failures,
        exits_before_start: totals.exits_before_start,
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
