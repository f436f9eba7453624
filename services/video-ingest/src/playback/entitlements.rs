//! What an account may watch: the subscriptions service knows.

use marquee_client::Peers;
use marquee_proto::name::AccountName;
use marquee_proto::subscriptions::v1::entitlement_service_client::EntitlementServiceClient;
use marquee_proto::subscriptions::v1::{CheckEntitlementRequest, Entitlement};
use tonic::Code;

use crate::error::{Error, Result};

/// Asks the subscriptions service.
#[derive(Clone)]
pub(crate) struct Entitlements {
    peers: Peers,
}

impl Entitlements {
    pub(crate) fn new(peers: Peers) -> Self {
        Self { peers }
    }

    /// Passes an account that may watch the event; otherwise the error says what it lacks.
    pub(crate) async fn require(&self, account: &AccountName, event: &str) -> Result<()> {
        let request = CheckEntitlementRequest {
            account: account.to_string(),
            event: event.to_owned(),
        };
        let answer = EntitlementServiceClient::new(self.peers.subscriptions())
            .check_entitlement(request)
            .await;
        let answer = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::NotFound => {
                return Err(Error::NotEntitled {
                    event: event.to_owned(),
                    ticket: false,
                });
            }
            Err(status) => {
                return Err(Error::SubscriptionsPeer(status.message().to_owned()));
            }
        };
        if answer.entitled {
            return Ok(());
        }
        Err(Error::NotEntitled {
            event: event.to_owned(),
            ticket: answer.entitlement() == Entitlement::TicketRequired,
        })
    }
}
