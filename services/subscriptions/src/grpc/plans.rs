use std::sync::Arc;

use marquee_auth::principal;
use marquee_proto::subscriptions::v1::plan_service_server::PlanService;
use marquee_proto::subscriptions::v1::{
    GetPlanRequest, GetPlanResponse, ListPlansRequest, ListPlansResponse,
};
use tonic::{Request, Response, Status};

use super::decode::Fields;
use crate::app::App;
use crate::wire;

pub(super) struct Plans(pub(super) Arc<App>);

#[tonic::async_trait]
impl PlanService for Plans {
    async fn list_plans(&self, _: Request<ListPlansRequest>) -> Result<Response<ListPlansResponse>, Status> {
        let plans = self.0.plans().await?.iter().map(wire::plan).collect();
        Ok(Response::new(ListPlansResponse { plans }))
    }

    async fn get_plan(&self, request: Request<GetPlanRequest>) -> Result<Response<GetPlanResponse>, Status> {
        let caller = principal(&request);
        let mut fields = Fields::new(&caller);
        let Some(name) = fields.name("name", &request.get_ref().name) else {
            return Err(fields.refuse().into());
        };
        let plan = self.0.plan(&name).await?;
        Ok(Response::new(GetPlanResponse {
            plan: Some(wire::plan(&plan)),
        }))
    }
}
