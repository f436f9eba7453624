use std::sync::Arc;

use marquee_auth::principal;
use marquee_proto::name::MembershipName;
use marquee_proto::subscriptions::v1::membership_service_server::MembershipService;
use marquee_proto::subscriptions::v1::{
    CancelMembershipRequest, CancelMembershipResponse, CreateMembershipRequest, CreateMembershipResponse,
    GetMembershipRequest, GetMembershipResponse, ListMembershipsRequest, ListMembershipsResponse,
};
use tonic::{Request, Response, Status};

use super::decode::Fields;
use crate::app::{App, Order};
use crate::domain::text;
use crate::wire;

pub(super) struct Memberships(pub(super) Arc<App>);

#[tonic::async_trait]
impl MembershipService for Memberships {
    async fn create_membership(
        &self,
        request: Request<CreateMembershipRequest>,
    ) -> Result<Response<CreateMembershipResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let parent = fields.owned("parent", &request.parent);
        let owner = fields.owner(&self.0, parent).await?;
        let plan = fields.name("plan", &request.plan);
        let payment_token = fields.take("payment_token", text::line(&request.payment_token, 1..=500));
        let request_id = fields.request_id(&request.request_id);
        let (Some(owner), Some(plan), Some(payment_token), Some(request_id)) =
            (owner, plan, payment_token, request_id)
        else {
            return Err(fields.refuse().into());
        };
        let order = Order {
            plan,
            payment_token,
            request_id,
        };
        Ok(Response::new(self.0.create_membership(&owner, order).await?))
    }

    async fn get_membership(
        &self,
        request: Request<GetMembershipRequest>,
    ) -> Result<Response<GetMembershipResponse>, Status> {
        let caller = principal(&request);
        let mut fields = Fields::new(&caller);
        let name: Option<MembershipName> = fields.owned("name", &request.get_ref().name);
        let owner = fields
            .owner(&self.0, name.as_ref().map(MembershipName::account))
            .await?;
        let (Some(owner), Some(name)) = (owner, name) else {
            return Err(fields.refuse().into());
        };
        let membership = self.0.membership(&owner, &name).await?;
        Ok(Response::new(GetMembershipResponse {
            membership: Some(wire::membership(&membership)),
        }))
    }

    async fn list_memberships(
        &self,
        request: Request<ListMembershipsRequest>,
    ) -> Result<Response<ListMembershipsResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let parent = fields.owned("parent", &request.parent);
        let owner = fields.owner(&self.0, parent).await?;
        let list = owner
            .as_ref()
            .map(|owner| format!("{}/memberships", owner.name()));
        let page = fields.page(list.as_deref(), request.page_size, &request.page_token);
        let (Some(owner), Some(list), Some(page)) = (owner, list, page) else {
            return Err(fields.refuse().into());
        };
        let found = self.0.memberships(&owner, page).await?;
        Ok(Response::new(ListMembershipsResponse {
            memberships: found.rows.iter().map(wire::membership).collect(),
            next_page_token: found.next.map(|next| next.token(&list)).unwrap_or_default(),
        }))
    }

    async fn cancel_membership(
        &self,
        request: Request<CancelMembershipRequest>,
    ) -> Result<Response<CancelMembershipResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let name: Option<MembershipName> = fields.owned("name", &request.name);
        let owner = fields
            .owner(&self.0, name.as_ref().map(MembershipName::account))
            .await?;
        let (Some(owner), Some(name)) = (owner, name) else {
            return Err(fields.refuse().into());
        };
        let membership = self.0.cancel_membership(&owner, &name, &request.etag).await?;
        Ok(Response::new(CancelMembershipResponse {
            membership: Some(wire::membership(&membership)),
        }))
    }
}
