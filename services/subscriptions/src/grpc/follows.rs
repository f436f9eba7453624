use std::sync::Arc;

use marquee_auth::principal;
use marquee_proto::name::FollowName;
use marquee_proto::subscriptions::v1::follow_service_server::FollowService;
use marquee_proto::subscriptions::v1::{
    CreateFollowRequest, CreateFollowResponse, DeleteFollowRequest, DeleteFollowResponse, ListFollowsRequest,
    ListFollowsResponse,
};
use tonic::{Request, Response, Status};

use super::decode::Fields;
use crate::app::App;
use crate::wire;

pub(super) struct Follows(pub(super) Arc<App>);

#[tonic::async_trait]
impl FollowService for Follows {
    async fn create_follow(
        &self,
        request: Request<CreateFollowRequest>,
    ) -> Result<Response<CreateFollowResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let parent = fields.owned("parent", &request.parent);
        let owner = fields.owner(&self.0, parent).await?;
        let channel = fields.name("channel", &request.channel);
        let (Some(owner), Some(channel)) = (owner, channel) else {
            return Err(fields.refuse().into());
        };
        let follow = self.0.create_follow(&owner, &channel).await?;
        Ok(Response::new(CreateFollowResponse {
            follow: Some(wire::follow(&follow)),
        }))
    }

    async fn delete_follow(
        &self,
        request: Request<DeleteFollowRequest>,
    ) -> Result<Response<DeleteFollowResponse>, Status> {
        let caller = principal(&request);
        let mut fields = Fields::new(&caller);
        let name: Option<FollowName> = fields.owned("name", &request.get_ref().name);
        let owner = fields
            .owner(&self.0, name.as_ref().map(FollowName::account))
            .await?;
        let (Some(owner), Some(name)) = (owner, name) else {
            return Err(fields.refuse().into());
        };
        self.0.delete_follow(&owner, &name).await?;
        Ok(Response::new(DeleteFollowResponse {}))
    }

    async fn list_follows(
        &self,
        request: Request<ListFollowsRequest>,
    ) -> Result<Response<ListFollowsResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let parent = fields.owned("parent", &request.parent);
        let owner = fields.owner(&self.0, parent).await?;
        let list = owner.as_ref().map(|owner| format!("{}/follows", owner.name()));
        let page = fields.page(list.as_deref(), request.page_size, &request.page_token);
        let (Some(owner), Some(list), Some(page)) = (owner, list, page) else {
            return Err(fields.refuse().into());
        };
        let found = self.0.follows(&owner, page).await?;
        Ok(Response::new(ListFollowsResponse {
            follows: found.rows.iter().map(wire::follow).collect(),
            next_page_token: found.next.map(|next| next.token(&list)).unwrap_or_default(),
        }))
    }
}
