//! Joining and leaving plans.
//!
//! ```text
//!   begin (intent in the store) ──► charge (provider, under the intent's id) ──► record (membership, payment, events)
//!        │                              │                                           │
//!        └ whatever dies in between: the same request id goes on from where it was, or the sweep does
//! ```

use bytes::Bytes;
use jiff::Timestamp;
use marquee_error::invalid;
use marquee_proto::name::{MembershipName, PaymentName, PlanName, TicketName, new_id};
use marquee_proto::subscriptions::v1::{
    CreateMembershipRequest, CreateMembershipResponse, CreateTicketResponse,
};
use prost::Message as _;

use super::replay::fingerprint;
use super::{App, Owner};
use crate::domain::membership::{Cancellation, Membership};
use crate::domain::page::{Page, Rows};
use crate::domain::payment::{Intent, IntentState, Payment, PaymentResult, Purchase};
use crate::domain::ticket::Ticket;
use crate::error::{Error, Resource};
use crate::payment::{Charge, Outcome, PATIENCE, PaymentError};
use crate::store::{self, Begun, Settlement};
use crate::{publish, wire};

/// What is needed to join a plan.
pub(crate) struct Order {
    pub(crate) plan: PlanName,
    pub(crate) payment_token: String,
    pub(crate) request_id: String,
}

/// How often something that others change too is tried again.
const TRIES: usize = 5;

impl App {
    /// Joins a plan and pays for the first period, or gives the first answer to the same request.
    pub(crate) async fn create_membership(
        &self,
        owner: &Owner,
        order: Order,
    ) -> Result<CreateMembershipResponse, Error> {
        let plan = self.plan(&order.plan).await?;
        let intent = Intent {
            id: new_id(),
            account: owner.name().clone(),
            request_id: order.request_id,
            fingerprint: fingerprint(&CreateMembershipRequest {
                plan: order.plan.to_string(),
                payment_token: order.payment_token.clone(),
                ..CreateMembershipRequest::default()
            }),
            purchase: Purchase::Plan(plan.name),
            amount: plan.price,
            state: IntentState::Pending,
            create_time: self.clock.now(),
        };
        for _ in 0..TRIES {
            match self.store.begin_payment(intent.clone()).await? {
                Begun::New(intent) => return answer(self.charge(intent, order.payment_token).await?),
                Begun::Existing(existing) if existing.fingerprint != intent.fingerprint => {
                    return Err(Error::RequestIdReused);
                }
                Begun::Existing(existing) => {
                    return match existing.state {
                        IntentState::Pending => answer(self.charge(existing, order.payment_token).await?),
                        settled => answer(settled),
                    };
                }
                // Two charges of an account at a time could be one too many. Either this one is being charged in
                // another request, which then finds it called off unless it was faster, or it was left behind.
                Begun::Blocked(other) => {
                    self.call_off(other).await?;
                }
                Begun::Member(membership) => {
                    if !self.expire(&membership).await? {
                        return Err(Error::MembershipExists {
                            name: membership.name,
                            until: membership.period_end,
                        });
                    }
                }
                Begun::Ticket(ticket) => {
                    return Err(Error::internal(
                        "a ticket instead of a membership",
                        ticket.name.to_string(),
                    ));
                }
            }
        }
        Err(Error::Contended)
    }

    /// Charges, and says how far the intent has come then.
    pub(super) async fn charge(&self, intent: Intent, token: String) -> Result<IntentState, Error> {
        let charge = Charge {
            idempotency_key: intent.id.clone(),
            amount: intent.amount,
            token,
        };
        let outcome = tokio::time::timeout(PATIENCE, self.provider.charge(&charge))
            .await
            .unwrap_or_else(|late| Err(PaymentError::Unavailable(late.into())));
        match outcome {
            Ok(outcome) => Ok(self.record(intent, outcome).await?.state),
            Err(PaymentError::UnknownToken) => {
                self.store.discard_payment(&intent.id).await?;
                Err(invalid("payment_token", "is not known to the payment provider").into())
            }
            Err(error @ (PaymentError::Cancelled | PaymentError::Unavailable(_))) => {
                tracing::warn!(intent = intent.id, error = %error, "a charge has no outcome");
                Err(Error::PaymentUnavailable)
            }
        }
    }

    /// Makes sure that a pending intent is never charged, or records how the charge went.
    pub(super) async fn call_off(&self, intent: Intent) -> Result<(), Error> {
        let found = tokio::time::timeout(PATIENCE, self.provider.cancel(&intent.id))
            .await
            .unwrap_or_else(|late| Err(PaymentError::Unavailable(late.into())));
        match found {
            Ok(Some(outcome)) => self.record(intent, outcome).await.map(drop),
            Ok(None) => Ok(self.store.discard_payment(&intent.id).await?),
            Err(error) => {
                tracing::warn!(intent = intent.id, error = %error, "a charge can't be called off");
                Err(Error::PaymentUnavailable)
            }
        }
    }

    /// Writes down what the provider said, unless somebody has: the intent as it is then.
    async fn record(&self, intent: Intent, outcome: Outcome) -> Result<Intent, Error> {
        let now = self.clock.now();
        let account = intent.account.account.clone();
        let payment = |membership: Option<MembershipName>, result, method| Payment {
            name: PaymentName {
                account: account.clone(),
                payment: new_id(),
            },
            membership,
            amount: intent.amount,
            result,
            method,
            create_time: now,
        };
        let settlement = match outcome {
            Outcome::Succeeded { method, reference } => {
                let result = PaymentResult::Succeeded { reference };
                self.settlement(&intent, |membership| payment(membership, result, method), now)
                    .await?
            }
            Outcome::Declined { method, reason } => {
                let result = PaymentResult::Failed {
                    reason: reason.clone(),
                };
                let payment = payment(None, result, method);
                Settlement {
                    intent: intent.id.clone(),
                    state: IntentState::Declined { reason },
                    events: vec![publish::payment(&payment)],
                    payment,
                    membership: None,
                    ticket: None,
                }
            }
        };
        Ok(self.store.settle_payment(settlement).await?)
    }

    /// What a charge that went well bought.
    async fn settlement(
        &self,
        intent: &Intent,
        payment: impl FnOnce(Option<MembershipName>) -> Payment,
        now: Timestamp,
    ) -> Result<Settlement, Error> {
        let account = intent.account.account.clone();
        match &intent.purchase {
            Purchase::Plan(plan) => {
                let plan = self.plan(plan).await?;
                let name = MembershipName {
                    account,
                    membership: new_id(),
                };
                let membership = Membership::start(name, &plan, now);
                let payment = payment(Some(membership.name.clone()));
                let answer = CreateMembershipResponse {
                    membership: Some(wire::membership(&membership)),
                    payment: Some(wire::payment(&payment)),
                };
                Ok(Settlement {
                    intent: intent.id.clone(),
                    state: IntentState::Succeeded {
                        answer: Bytes::from(answer.encode_to_vec()),
                    },
                    events: vec![publish::membership(&membership), publish::payment(&payment)],
                    payment,
                    membership: Some(membership),
                    ticket: None,
                })
            }
            Purchase::Ticket(event) => {
                let payment = payment(None);
                let ticket = Ticket {
                    name: TicketName {
                        account,
                        ticket: new_id(),
                    },
                    event: event.clone(),
                    payment: payment.name.clone(),
                    create_time: now,
                };
                let answer = CreateTicketResponse {
                    ticket: Some(wire::ticket(&ticket)),
                    payment: Some(wire::payment(&payment)),
                };
                Ok(Settlement {
                    intent: intent.id.clone(),
                    state: IntentState::Succeeded {
                        answer: Bytes::from(answer.encode_to_vec()),
                    },
                    events: vec![publish::payment(&payment)],
                    payment,
                    membership: None,
                    ticket: Some(ticket),
                })
            }
        }
    }

    /// One membership.
    pub(crate) async fn membership(&self, owner: &Owner, name: &MembershipName) -> Result<Membership, Error> {
        debug_assert_eq!(&name.account(), owner.name());
        let membership = self.store.membership(name).await?;
        membership.ok_or_else(|| Error::not_found(Resource::Membership, name))
    }

    /// The memberships of an account, newest first.
    pub(crate) async fn memberships(&self, owner: &Owner, page: Page) -> Result<Rows<Membership>, Error> {
        Ok(self.store.memberships(owner.name(), page).await?)
    }

    /// The payments of an account, newest first.
    pub(crate) async fn payments(&self, owner: &Owner, page: Page) -> Result<Rows<Payment>, Error> {
        Ok(self.store.payments(owner.name(), page).await?)
    }

    /// Cancels at the end of the period if `etag` is empty or the current one. Doing it twice changes nothing.
    pub(crate) async fn cancel_membership(
        &self,
        owner: &Owner,
        name: &MembershipName,
        etag: &str,
    ) -> Result<Membership, Error> {
        for _ in 0..TRIES {
            let membership = self.membership(owner, name).await?;
            if !membership.version.matches(etag) {
                return Err(Error::EtagMismatch(name.to_string()));
            }
            let cancelled = match membership.cancel(self.clock.now()) {
                Cancellation::Cancelled(cancelled) => cancelled,
                Cancellation::Already => return Ok(membership),
                Cancellation::Over => return Err(Error::MembershipExpired(name.clone())),
            };
            let events = vec![publish::membership(&cancelled)];
            let written = self
                .store
                .update_membership(cancelled.clone(), membership.version, events);
            match written.await {
                Ok(()) => return Ok(cancelled),
                Err(store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended)
    }

    /// Expires a membership whose period is over. True when it is expired afterwards, or was changed by somebody else:
    /// look again.
    pub(super) async fn expire(&self, membership: &Membership) -> Result<bool, Error> {
        let Some(expired) = membership.expire(self.clock.now()) else {
            return Ok(false);
        };
        let events = vec![publish::membership(&expired)];
        match self
            .store
            .update_membership(expired, membership.version, events)
            .await
        {
            Ok(()) | Err(store::Error::Conflict) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// The first answer of an intent that was settled.
fn answer(state: IntentState) -> Result<CreateMembershipResponse, Error> {
    match state {
        IntentState::Succeeded { answer } => CreateMembershipResponse::decode(answer)
            .map_err(|error| Error::internal("a first answer can't be read", error)),
        IntentState::Declined { reason } => Err(Error::PaymentDeclined { reason }),
        IntentState::Pending => Err(Error::PaymentUnavailable),
    }
}
