use std::sync::Arc;

use marquee_auth::principal;
use marquee_proto::subscriptions::v1::entitlement_service_server::EntitlementService;
use marquee_proto::subscriptions::v1::ticket_service_server::TicketService;
use marquee_proto::subscriptions::v1::{
    CheckEntitlementRequest, CheckEntitlementResponse, CreateTicketRequest, CreateTicketResponse,
    ListTicketsRequest, ListTicketsResponse,
};
use tonic::{Request, Response, Status};

use super::decode::Fields;
use crate::app::{App, TicketOrder};
use crate::domain::text;
use crate::wire;

pub(super) struct Entitlements(pub(super) Arc<App>);

pub(super) struct Tickets(pub(super) Arc<App>);

#[tonic::async_trait]
impl EntitlementService for Entitlements {
    async fn check_entitlement(
        &self,
        request: Request<CheckEntitlementRequest>,
    ) -> Result<Response<CheckEntitlementResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let account = fields.owned("account", &request.account);
        let owner = fields.owner(&self.0, account).await?;
        let event = fields.name("event", &request.event);
        let (Some(owner), Some(event)) = (owner, event) else {
            return Err(fields.refuse().into());
        };
        Ok(Response::new(self.0.entitlement(&owner, &event).await?))
    }
}

#[tonic::async_trait]
impl TicketService for Tickets {
    async fn create_ticket(
        &self,
        request: Request<CreateTicketRequest>,
    ) -> Result<Response<CreateTicketResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let parent = fields.owned("parent", &request.parent);
        let owner = fields.owner(&self.0, parent).await?;
        let event = fields.name("event", &request.event);
        let payment_token = fields.take("payment_token", text::line(&request.payment_token, 1..=500));
        let request_id = fields.request_id(&request.request_id);
        let (Some(owner), Some(event), Some(payment_token), Some(request_id)) =
            (owner, event, payment_token, request_id)
        else {
            return Err(fields.refuse().into());
        };
        let order = TicketOrder {
            event,
            payment_token,
            request_id,
        };
        Ok(Response::new(self.0.create_ticket(&owner, order).await?))
    }

    async fn list_tickets(
        &self,
        request: Request<ListTicketsRequest>,
    ) -> Result<Response<ListTicketsResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let parent = fields.owned("parent", &request.parent);
        let owner = fields.owner(&self.0, parent).await?;
        let list = owner.as_ref().map(|owner| format!("{}/tickets", owner.name()));
        let page = fields.page(list.as_deref(), request.page_size, &request.page_token);
        let (Some(owner), Some(list), Some(page)) = (owner, list, page) else {
            return Err(fields.refuse().into());
        };
        let found = self.0.tickets(&owner, page).await?;
        Ok(Response::new(ListTicketsResponse {
            tickets: found.rows.iter().map(wire::ticket).collect(),
            next_page_token: found.next.map(|next| next.token(&list)).unwrap_or_default(),
        }))
    }
}
