//! The subscriptions service, as far as video-ingest asks it: what an account may watch.

use std::collections::HashSet;
use std::sync::Arc;

use marquee_proto::subscriptions::v1::entitlement_service_server::{
    EntitlementService, EntitlementServiceServer,
};
use marquee_proto::subscriptions::v1::{CheckEntitlementRequest, CheckEntitlementResponse, Entitlement};
use parking_lot::Mutex;
use tonic::{Request, Response, Status};

/// Who has what: `accounts/{account}` for a membership, `accounts/{account} {event}` for a ticket.
#[derive(Clone, Default)]
pub(crate) struct Subscribers(Arc<Mutex<HashSet<String>>>);

impl Subscribers {
    pub(crate) fn joins(&self, account: &str) {
        self.0.lock().insert(account.to_owned());
    }

    pub(crate) fn buys(&self, account: &str, event: &str) {
        self.0.lock().insert(format!("{account} {event}"));
    }

    pub(crate) fn server(&self) -> EntitlementServiceServer<Self> {
        EntitlementServiceServer::new(self.clone())
    }
}

#[tonic::async_trait]
impl EntitlementService for Subscribers {
    async fn check_entitlement(
        &self,
        request: Request<CheckEntitlementRequest>,
    ) -> Result<Response<CheckEntitlementResponse>, Status> {
        let request = request.into_inner();
        let known = self.0.lock();
        let is_sold = request.event.contains("/paid");
        let (entitled, entitlement) = if is_sold {
            let has = known.contains(&format!("{} {}", request.account, request.event));
            (
                has,
                if has {
                    Entitlement::Ticket
                } else {
                    Entitlement::TicketRequired
                },
            )
        } else {
            let has = known.contains(&request.account);
            (
                has,
                if has {
                    Entitlement::Member
                } else {
                    Entitlement::MembershipRequired
                },
            )
        };
        Ok(Response::new(CheckEntitlementResponse {
            entitled,
            entitlement: entitlement.into(),
            expire_time: None,
        }))
    }
}
