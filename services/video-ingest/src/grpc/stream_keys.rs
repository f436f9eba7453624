//! `StreamKeyService`.

use marquee_auth::principal;
use marquee_proto::video_ingest::v1 as proto;
use marquee_proto::video_ingest::v1::stream_key_service_server::StreamKeyService;
use tonic::{Request, Response, Status};

use crate::app::{Keys, PageRequest};

/// The RPCs of stream keys.
pub(crate) struct StreamKeys(pub(crate) Keys);

#[tonic::async_trait]
impl StreamKeyService for StreamKeys {
    async fn create_stream_key(
        &self,
        request: Request<proto::CreateStreamKeyRequest>,
    ) -> Result<Response<proto::CreateStreamKeyResponse>, Status> {
        let principal = principal(&request);
        Ok(Response::new(
            self.0.create(&principal, request.into_inner()).await?,
        ))
    }

    async fn list_stream_keys(
        &self,
        request: Request<proto::ListStreamKeysRequest>,
    ) -> Result<Response<proto::ListStreamKeysResponse>, Status> {
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

    async fn update_stream_key(
        &self,
        request: Request<proto::UpdateStreamKeyRequest>,
    ) -> Result<Response<proto::UpdateStreamKeyResponse>, Status> {
        let principal = principal(&request);
        Ok(Response::new(
            self.0.update(&principal, request.into_inner()).await?,
        ))
    }

    async fn rotate_stream_key(
        &self,
        request: Request<proto::RotateStreamKeyRequest>,
    ) -> Result<Response<proto::RotateStreamKeyResponse>, Status> {
        let principal = principal(&request);
        Ok(Response::new(
            self.0.rotate(&principal, &request.into_inner().name).await?,
        ))
    }

    async fn revoke_stream_key(
        &self,
        request: Request<proto::RevokeStreamKeyRequest>,
    ) -> Result<Response<proto::RevokeStreamKeyResponse>, Status> {
        let principal = principal(&request);
        Ok(Response::new(
            self.0.revoke(&principal, &request.into_inner().name).await?,
        ))
    }
}
