//! The RPCs: decode, call the use case, encode. One file per service of the protos.

mod accounts;
mod decode;
mod entitlements;
mod follows;
mod memberships;
mod payments;
mod plans;
mod reminders;
mod sessions;

use std::sync::Arc;

use marquee_proto::subscriptions::v1::account_service_server::AccountServiceServer;
use marquee_proto::subscriptions::v1::entitlement_service_server::EntitlementServiceServer;
use marquee_proto::subscriptions::v1::follow_service_server::FollowServiceServer;
use marquee_proto::subscriptions::v1::membership_service_server::MembershipServiceServer;
use marquee_proto::subscriptions::v1::payment_service_server::PaymentServiceServer;
use marquee_proto::subscriptions::v1::plan_service_server::PlanServiceServer;
use marquee_proto::subscriptions::v1::reminder_service_server::ReminderServiceServer;
use marquee_proto::subscriptions::v1::session_service_server::SessionServiceServer;
use marquee_proto::subscriptions::v1::ticket_service_server::TicketServiceServer;
use marquee_server::Face;

use crate::app::App;

/// All RPCs of the service on a face.
pub(crate) fn face(app: &Arc<App>) -> Face {
    Face::new("subscriptions")
        .grpc(AccountServiceServer::new(accounts::Accounts(Arc::clone(app))))
        .grpc(SessionServiceServer::new(sessions::Sessions(Arc::clone(app))))
        .grpc(PlanServiceServer::new(plans::Plans(Arc::clone(app))))
        .grpc(MembershipServiceServer::new(memberships::Memberships(
            Arc::clone(app),
        )))
        .grpc(EntitlementServiceServer::new(entitlements::Entitlements(
            Arc::clone(app),
        )))
        .grpc(TicketServiceServer::new(entitlements::Tickets(Arc::clone(app))))
        .grpc(PaymentServiceServer::new(payments::Payments(Arc::clone(app))))
        .grpc(FollowServiceServer::new(follows::Follows(Arc::clone(app))))
        .grpc(ReminderServiceServer::new(reminders::Reminders(Arc::clone(app))))
}
