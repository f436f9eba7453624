use std::sync::Arc;

use marquee_auth::principal;
use marquee_proto::subscriptions::v1::payment_service_server::PaymentService;
use marquee_proto::subscriptions::v1::{ListPaymentsRequest, ListPaymentsResponse};
use tonic::{Request, Response, Status};

use super::decode::Fields;
use crate::app::App;
use crate::wire;

pub(super) struct Payments(pub(super) Arc<App>);

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let parent = fields.owned("parent", &request.parent);
        let owner = fields.owner(&self.0, parent).await?;
        let list = owner.as_ref().map(|owner| format!("{}/payments", owner.name()));
        let page = fields.page(list.as_deref(), request.page_size, &request.page_token);
        let (Some(owner), Some(list), Some(page)) = (owner, list, page) else {
            return Err(fields.refuse().into());
        };
        let found = self.0.payments(&owner, page).await?;
        Ok(Response::new(ListPaymentsResponse {
            payments: found.rows.iter().map(wire::payment).collect(),
            next_page_token: found.next.map(|next| next.token(&list)).unwrap_or_default(),
        }))
    }
}
