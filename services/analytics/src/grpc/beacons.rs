//! `BeaconService`.

use futures::StreamExt as _;
use marquee_auth::principal;
use marquee_error::invalid;
use marquee_proto::analytics::v1::beacon_service_server::BeaconService;
use marquee_proto::analytics::v1::{
    Beacon, RejectedBeacon, SendBeaconsRequest, SendBeaconsResponse, StreamBeaconsRequest,
    StreamBeaconsResponse,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::Error;
use crate::app::Beacons;

/// Beacons of one request at most.
const MOST: usize = 500;

/// Beacons of a stream that are published together at most. While a group is on its way to the disk, the next gathers.
const GROUP: usize = 256;

/// The gRPC face of beacons.
pub(crate) struct BeaconGrpc {
    beacons: Beacons,
    shutdown: CancellationToken,
}

impl BeaconGrpc {
    pub(crate) fn new(beacons: Beacons, shutdown: CancellationToken) -> Self {
        Self { beacons, shutdown }
    }
}

#[tonic::async_trait]
impl BeaconService for BeaconGrpc {
    async fn stream_beacons(
        &self,
        request: Request<Streaming<StreamBeaconsRequest>>,
    ) -> Result<Response<StreamBeaconsResponse>, Status> {
        let caller = principal(&request);
        let mut groups = request.into_inner().ready_chunks(GROUP);
        let mut answer = StreamBeaconsResponse::default();
        loop {
            let group = tokio::select! {
                biased;
                // What came so far is acknowledged; the player goes on with another stream.
                () = self.shutdown.cancelled() => None,
                group = groups.next() => group,
            };
            let Some(group) = group else {
                return Ok(Response::new(answer));
            };
            let mut broken = None;
            let mut received: Vec<Beacon> = Vec::with_capacity(group.len());
            for message in group {
                match message {
                    Ok(message) => received.push(message.beacon.unwrap_or_default()),
                    Err(status) => broken = Some(status),
                }
            }
            let mut sorted = self.beacons.sort(received, caller.account()).await?;
            let accepted = sorted.accepted();
            self.beacons.publish(&mut sorted).await?;
            answer.accepted += count(accepted);
            answer.rejected += count(sorted.rejected.len());
            if let Some(status) = broken {
                return Err(status);
            }
        }
    }

    async fn send_beacons(
        &self,
        request: Request<SendBeaconsRequest>,
    ) -> Result<Response<SendBeaconsResponse>, Status> {
        let caller = principal(&request);
        let beacons = request.into_inner().beacons;
        if beacons.len() > MOST {
            let found = beacons.len();
            let invalid = invalid("beacons", format!("must be at most {MOST}, found {found}"));
            return Err(Error::from(invalid).into());
        }
        let mut sorted = self.beacons.sort(beacons, caller.account()).await?;
        let accepted = count(sorted.accepted());
        self.beacons.publish(&mut sorted).await?;
        let rejected = sorted
            .rejected
            .into_iter()
            .map(|(place, invalid)| RejectedBeacon {
                index: i32::try_from(place).unwrap_or(i32::MAX),
                reason: invalid
                    .0
                    .iter()
                    .map(|wrong| format!("{} {}", wrong.field, wrong.description))
                    .collect::<Vec<_>>()
                    .join("; "),
            });
        Ok(Response::new(SendBeaconsResponse {
            accepted,
            rejected: rejected.collect(),
        }))
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
