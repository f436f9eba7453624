//! `RecordingService`.

use marquee_auth::principal;
use marquee_proto::video_ingest::v1 as proto;
use marquee_proto::video_ingest::v1::recording_service_server::RecordingService;
use tonic::{Request, Response, Status};

use crate::app::{self, PageRequest};
use crate::wire;

/// The RPCs of recordings.
pub(crate) struct Recordings(pub(crate) app::Recordings);

#[tonic::async_trait]
impl RecordingService for Recordings {
    async fn get_recording(
        &self,
        request: Request<proto::GetRecordingRequest>,
    ) -> Result<Response<proto::GetRecordingResponse>, Status> {
        let recording = self.0.get(&request.into_inner().name).await?;
        Ok(Response::new(proto::GetRecordingResponse {
            recording: Some(wire::recording(&recording)),
        }))
    }

    async fn list_recordings(
        &self,
        request: Request<proto::ListRecordingsRequest>,
    ) -> Result<Response<proto::ListRecordingsResponse>, Status> {
        let principal = principal(&request);
        let request = request.into_inner();
        let page = PageRequest {
            size: request.page_size,
            token: request.page_token,
        };
        Ok(Response::new(
            self.0.list(&principal, &request.parent, &page).await?,
        ))
    }

    async fn delete_recording(
        &self,
        request: Request<proto::DeleteRecordingRequest>,
    ) -> Result<Response<proto::DeleteRecordingResponse>, Status> {
        let principal = principal(&request);
        self.0.delete(&principal, &request.into_inner().name).await?;
        Ok(Response::new(proto::DeleteRecordingResponse {}))
    }
}
