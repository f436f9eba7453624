//! The events service, as far as video-ingest asks it: who owns a channel.

use std::net::SocketAddr;

use marquee_proto::events::v1::channel_service_server::{ChannelService, ChannelServiceServer};
use marquee_proto::events::v1::*;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::stage::{OWNER, STRANGER};
use crate::subscribers::Subscribers;

/// `channels/theirs` is the stranger's, `channels/missing` does not exist, all others are the owner's.
struct Channels;

fn no<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("nobody asks this"))
}

#[tonic::async_trait]
impl ChannelService for Channels {
    async fn get_channel(
        &self,
        request: Request<GetChannelRequest>,
    ) -> Result<Response<GetChannelResponse>, Status> {
        let name = request.into_inner().name;
        let owner = match name.as_str() {
            "channels/missing" => return Err(Status::not_found("no such channel")),
            "channels/theirs" => STRANGER,
            _ => OWNER,
        };
        let channel = Channel {
            name,
            owner: owner.to_owned(),
            ..Channel::default()
        };
        Ok(Response::new(GetChannelResponse {
            channel: Some(channel),
        }))
    }

    async fn create_channel(
        &self,
        _: Request<CreateChannelRequest>,
    ) -> Result<Response<CreateChannelResponse>, Status> {
        no()
    }

    async fn list_channels(
        &self,
        _: Request<ListChannelsRequest>,
    ) -> Result<Response<ListChannelsResponse>, Status> {
        no()
    }

    async fn update_channel(
        &self,
        _: Request<UpdateChannelRequest>,
    ) -> Result<Response<UpdateChannelResponse>, Status> {
        no()
    }
}

/// Serves until the token is cancelled.
pub(crate) async fn serve(subscribers: &Subscribers, shutdown: CancellationToken) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tonic::transport::Server::builder()
        .add_service(ChannelServiceServer::new(Channels))
        .add_service(subscribers.server())
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown.cancelled_owned());
    tokio::spawn(serving);
    address
}
