//! `PlaybackService` and `BanService`.

use std::net::{IpAddr, Ipv4Addr};

use marquee_auth::principal;
use marquee_proto::video_ingest::v1 as proto;
use marquee_proto::video_ingest::v1::ban_service_server::BanService;
use marquee_proto::video_ingest::v1::playback_service_server::PlaybackService;
use tonic::{Request, Response, Status};

use crate::app::{BanList, PageRequest, Sessions};
use crate::playback::Visitor;
use crate::wire;

/// The RPCs of playback sessions.
pub(crate) struct Playback(pub(crate) Sessions);

/// The RPCs of bans.
pub(crate) struct Bans(pub(crate) BanList);

#[tonic::async_trait]
impl PlaybackService for Playback {
    async fn create_playback_session(
        &self,
        request: Request<proto::CreatePlaybackSessionRequest>,
    ) -> Result<Response<proto::CreatePlaybackSessionResponse>, Status> {
        let principal = principal(&request);
        let address = request
            .remote_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let player = request.metadata().get("user-agent");
        let player = player.and_then(|player| player.to_str().ok()).unwrap_or_default();
        let visitor = Visitor {
            address: address.to_canonical(),
            player,
        };
        Ok(Response::new(
            self.0
                .open(&principal, &request.get_ref().parent, visitor)
                .await?,
        ))
    }

    async fn list_playback_sessions(
        &self,
        request: Request<proto::ListPlaybackSessionsRequest>,
    ) -> Result<Response<proto::ListPlaybackSessionsResponse>, Status> {
        let principal = principal(&request);
        let request = request.into_inner();
        let watching = self
            .0
            .list(
                &principal,
                &request.parent,
                request.page_size,
                &request.page_token,
            )
            .await?;
        Ok(Response::new(proto::ListPlaybackSessionsResponse {
            playback_sessions: watching.sessions,
            next_page_token: watching.next_page_token,
            watching: i32::try_from(watching.count).unwrap_or(i32::MAX),
        }))
    }

    async fn revoke_playback_session(
        &self,
        request: Request<proto::RevokePlaybackSessionRequest>,
    ) -> Result<Response<proto::RevokePlaybackSessionResponse>, Status> {
        let principal = principal(&request);
        self.0.revoke(&principal, &request.into_inner().name).await?;
        Ok(Response::new(proto::RevokePlaybackSessionResponse {}))
    }
}

#[tonic::async_trait]
impl BanService for Bans {
    async fn create_ban(
        &self,
        request: Request<proto::CreateBanRequest>,
    ) -> Result<Response<proto::CreateBanResponse>, Status> {
        let principal = principal(&request);
        let (ban, ended) = self.0.create(&principal, request.into_inner()).await?;
        Ok(Response::new(proto::CreateBanResponse {
            ban: Some(wire::ban(&ban, principal.is_admin())),
            ended: i32::try_from(ended).unwrap_or(i32::MAX),
        }))
    }

    async fn list_bans(
        &self,
        request: Request<proto::ListBansRequest>,
    ) -> Result<Response<proto::ListBansResponse>, Status> {
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

    async fn delete_ban(
        &self,
        request: Request<proto::DeleteBanRequest>,
    ) -> Result<Response<proto::DeleteBanResponse>, Status> {
        let principal = principal(&request);
        self.0.delete(&principal, &request.into_inner().name).await?;
        Ok(Response::new(proto::DeleteBanResponse {}))
    }
}
