//! `ForwardingService`.

use marquee_auth::principal;
use marquee_proto::video_ingest::v1 as proto;
use marquee_proto::video_ingest::v1::forwarding_service_server::ForwardingService;
use tonic::{Request, Response, Status};

use crate::app::{Forwarding as App, PageRequest};

/// The RPCs of forwarding.
pub(crate) struct Forwarding(pub(crate) App);

#[tonic::async_trait]
impl ForwardingService for Forwarding {
    async fn create_forwarding_target(
        &self,
        request: Request<proto::CreateForwardingTargetRequest>,
    ) -> Result<Response<proto::CreateForwardingTargetResponse>, Status> {
        let principal = principal(&request);
        Ok(Response::new(
            self.0.create(&principal, request.into_inner()).await?,
        ))
    }

    async fn get_forwarding_target(
        &self,
        request: Request<proto::GetForwardingTargetRequest>,
    ) -> Result<Response<proto::GetForwardingTargetResponse>, Status> {
        let principal = principal(&request);
        let target = self.0.get(&principal, &request.into_inner().name).await?;
        Ok(Response::new(proto::GetForwardingTargetResponse {
            forwarding_target: Some(target),
        }))
    }

    async fn list_forwarding_targets(
        &self,
        request: Request<proto::ListForwardingTargetsRequest>,
    ) -> Result<Response<proto::ListForwardingTargetsResponse>, Status> {
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

    async fn update_forwarding_target(
        &self,
        request: Request<proto::UpdateForwardingTargetRequest>,
    ) -> Result<Response<proto::UpdateForwardingTargetResponse>, Status> {
        let principal = principal(&request);
        let target = self.0.update(&principal, request.into_inner()).await?;
        Ok(Response::new(proto::UpdateForwardingTargetResponse {
            forwarding_target: Some(target),
        }))
    }

    async fn delete_forwarding_target(
        &self,
        request: Request<proto::DeleteForwardingTargetRequest>,
    ) -> Result<Response<proto::DeleteForwardingTargetResponse>, Status> {
        let principal = principal(&request);
        self.0.delete(&principal, &request.into_inner().name).await?;
        Ok(Response::new(proto::DeleteForwardingTargetResponse {}))
    }
}
