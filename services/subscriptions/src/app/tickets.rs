//! What an account may watch, and buying tickets.

use marquee_error::invalid;
use marquee_proto::events::v1::{Event, EventState, Visibility};
use marquee_proto::name::{EventName, new_id};
use marquee_proto::subscriptions::v1::{
    CheckEntitlementResponse, CreateTicketRequest, CreateTicketResponse, Entitlement,
};
use marquee_proto::time::to_proto;
use prost::Message as _;

use super::replay::fingerprint;
use super::{App, Owner};
use crate::domain::membership::State;
use crate::domain::money::{Currency, Money};
use crate::domain::page::{Page, Rows};
use crate::domain::payment::{Intent, IntentState, Purchase};
use crate::domain::ticket::Ticket;
use crate::error::{Error, Resource};
use crate::store::Begun;
use crate::wire;

/// What is needed to buy a ticket.
pub(crate) struct TicketOrder {
    pub(crate) event: EventName,
    pub(crate) payment_token: String,
    pub(crate) request_id: String,
}

/// How often something that others change too is tried again.
const TRIES: usize = 5;

impl App {
    /// Whether an account may watch an event, and why or why not.
    pub(crate) async fn entitlement(
        &self,
        owner: &Owner,
        name: &EventName,
    ) -> Result<CheckEntitlementResponse, Error> {
        let event = self.catalogue.event(name).await?;
        let yes = |entitlement: Entitlement| CheckEntitlementResponse {
            entitled: true,
            entitlement: entitlement.into(),
            expire_time: None,
        };
        let no = |lacks: Entitlement| CheckEntitlementResponse {
            entitled: false,
            entitlement: lacks.into(),
            expire_time: None,
        };
        let visibility = Visibility::try_from(event.visibility);
        if matches!(visibility, Ok(Visibility::Public | Visibility::Unlisted)) {
            return Ok(yes(Entitlement::Open));
        }
        if self.catalogue.owner(&name.channel()).await? == owner.name().to_string() {
            return Ok(yes(Entitlement::Owner));
        }
        match visibility {
            Ok(Visibility::Members) => {
                let now = self.clock.now();
                let newest = Page { size: 1, after: None };
                let membership = self.store.memberships(owner.name(), newest).await?.rows.pop();
                // One that was cancelled is paid for until its period ends, and one that nobody expired yet is over.
                let current = membership
                    .filter(|membership| membership.state != State::Expired && membership.period_end > now);
                Ok(current.map_or_else(
                    || no(Entitlement::MembershipRequired),
                    |membership| CheckEntitlementResponse {
                        expire_time: Some(to_proto(membership.period_end)),
                        ..yes(Entitlement::Member)
                    },
                ))
            }
            Ok(Visibility::PayPerView) => match self.store.ticket(owner.name(), name).await? {
                Some(_) => Ok(yes(Entitlement::Ticket)),
                None => Ok(no(Entitlement::TicketRequired)),
            },
            // Narrower than all that this version knows.
            _ => Err(Error::not_found(Resource::Event, name)),
        }
    }

    /// Buys a ticket, or gives the first answer to the same request.
    pub(crate) async fn create_ticket(
        &self,
        owner: &Owner,
        order: TicketOrder,
    ) -> Result<CreateTicketResponse, Error> {
        let intent = Intent {
            id: new_id(),
            account: owner.name().clone(),
            request_id: order.request_id,
            fingerprint: fingerprint(&CreateTicketRequest {
                event: order.event.to_string(),
                payment_token: order.payment_token.clone(),
                ..CreateTicketRequest::default()
            }),
            amount: price(&self.catalogue.event(&order.event).await?, &order.event)?,
            purchase: Purchase::Ticket(order.event),
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
                Begun::Blocked(other) => self.call_off(other).await?,
                Begun::Ticket(ticket) => {
                    return Ok(CreateTicketResponse {
                        ticket: Some(wire::ticket(&ticket)),
                        payment: None,
                    });
                }
                Begun::Member(membership) => {
                    return Err(Error::internal(
                        "a membership instead of a ticket",
                        membership.name.to_string(),
                    ));
                }
            }
        }
        Err(Error::Contended)
    }

    /// The tickets of an account, newest first.
    pub(crate) async fn tickets(&self, owner: &Owner, page: Page) -> Result<Rows<Ticket>, Error> {
        Ok(self.store.tickets(owner.name(), page).await?)
    }
}

/// What a ticket costs, as long as there is something to see.
fn price(event: &Event, name: &EventName) -> Result<Money, Error> {
    let is_sold = event.visibility() == Visibility::PayPerView
        && match event.state() {
            EventState::Scheduled | EventState::Live => true,
            EventState::Ended => !event.recording_path.is_empty(),
            EventState::Cancelled | EventState::Unspecified => false,
        };
    let price = event.price.as_ref().filter(|_| is_sold);
    let price = price.ok_or_else(|| Error::EventNotForSale(name.clone()))?;
    Currency::from_code(&price.currency)
        .and_then(|currency| Money::new(price.minor_units, currency))
        .ok_or_else(|| invalid("event", "has a price in a currency that is not known here").into())
}

/// The first answer of an intent that was settled.
fn answer(state: IntentState) -> Result<CreateTicketResponse, Error> {
    match state {
        IntentState::Succeeded { answer } => CreateTicketResponse::decode(answer)
            .map_err(|error| Error::internal("a first answer can't be read", error)),
        IntentState::Declined { reason } => Err(Error::PaymentDeclined { reason }),
        IntentState::Pending => Err(Error::PaymentUnavailable),
    }
}
