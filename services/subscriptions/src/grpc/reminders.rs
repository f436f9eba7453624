use std::sync::Arc;

use marquee_auth::principal;
use marquee_proto::name::ReminderName;
use marquee_proto::subscriptions::v1::reminder_service_server::ReminderService;
use marquee_proto::subscriptions::v1::{
    CreateReminderRequest, CreateReminderResponse, DeleteReminderRequest, DeleteReminderResponse,
    ListRemindersRequest, ListRemindersResponse,
};
use marquee_proto::time::duration_from_proto;
use tonic::{Request, Response, Status};

use super::decode::Fields;
use crate::app::App;
use crate::domain::reminder::LeadTime;
use crate::wire;

pub(super) struct Reminders(pub(super) Arc<App>);

#[tonic::async_trait]
impl ReminderService for Reminders {
    async fn create_reminder(
        &self,
        request: Request<CreateReminderRequest>,
    ) -> Result<Response<CreateReminderResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let parent = fields.owned("parent", &request.parent);
        let owner = fields.owner(&self.0, parent).await?;
        let event = fields.name("event", &request.event);
        let lead_time = match request.lead_time {
            None => Some(LeadTime::default()),
            Some(duration) => {
                let duration = duration_from_proto(&duration).ok_or("must not be negative");
                fields.take("lead_time", duration.and_then(LeadTime::new))
            }
        };
        let (Some(owner), Some(event), Some(lead_time)) = (owner, event, lead_time) else {
            return Err(fields.refuse().into());
        };
        let reminder = self.0.create_reminder(&owner, event, lead_time).await?;
        Ok(Response::new(CreateReminderResponse {
            reminder: Some(wire::reminder(&reminder)),
        }))
    }

    async fn delete_reminder(
        &self,
        request: Request<DeleteReminderRequest>,
    ) -> Result<Response<DeleteReminderResponse>, Status> {
        let caller = principal(&request);
        let mut fields = Fields::new(&caller);
        let name: Option<ReminderName> = fields.owned("name", &request.get_ref().name);
        let owner = fields
            .owner(&self.0, name.as_ref().map(ReminderName::account))
            .await?;
        let (Some(owner), Some(name)) = (owner, name) else {
            return Err(fields.refuse().into());
        };
        self.0.delete_reminder(&owner, &name).await?;
        Ok(Response::new(DeleteReminderResponse {}))
    }

    async fn list_reminders(
        &self,
        request: Request<ListRemindersRequest>,
    ) -> Result<Response<ListRemindersResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let parent = fields.owned("parent", &request.parent);
        let owner = fields.owner(&self.0, parent).await?;
        let list = owner.as_ref().map(|owner| format!("{}/reminders", owner.name()));
        let page = fields.page(list.as_deref(), request.page_size, &request.page_token);
        let (Some(owner), Some(list), Some(page)) = (owner, list, page) else {
            return Err(fields.refuse().into());
        };
        let found = self.0.reminders(&owner, page).await?;
        Ok(Response::new(ListRemindersResponse {
            reminders: found.rows.iter().map(wire::reminder).collect(),
            next_page_token: found.next.map(|next| next.token(&list)).unwrap_or_default(),
        }))
    }
}
