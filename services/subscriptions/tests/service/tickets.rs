use std::time::Duration;

use marquee_proto::events::v1::{EventState, Visibility};
use marquee_proto::subscriptions::v1::{
    CheckEntitlementRequest, CheckEntitlementResponse, CreateTicketRequest, CreateTicketResponse,
    Entitlement, ListPaymentsRequest, ListTicketsRequest, Money,
};
use tonic::{Code, Status};

use crate::fixture::{Fixture, Person, refused, request_id, with_token, wrong_fields};
use crate::memberships::joined;

const SHOW: &str = "channels/c1/events/show";

async fn with_show(visibility: Visibility) -> (Fixture, Person) {
    let fixture = Fixture::start().await;
    fixture.events.add_channel("channels/c1");
    fixture.events.add_event(SHOW, EventState::Scheduled, visibility);
    if visibility == Visibility::PayPerView {
        fixture.events.price(SHOW, 1_250, "EUR");
    }
    let ada = fixture.person("ada").await;
    (fixture, ada)
}

async fn buy(
    fixture: &Fixture,
    person: &Person,
    card: &str,
    request_id: &str,
) -> Result<CreateTicketResponse, Status> {
    let request = person.asks(CreateTicketRequest {
        parent: "accounts/me".to_owned(),
        event: SHOW.to_owned(),
        payment_token: card.to_owned(),
        request_id: request_id.to_owned(),
    });
    Ok(fixture.tickets().create_ticket(request).await?.into_inner())
}

async fn check(fixture: &Fixture, person: &Person) -> Result<CheckEntitlementResponse, Status> {
    let request = person.asks(CheckEntitlementRequest {
        account: "accounts/me".to_owned(),
        event: SHOW.to_owned(),
    });
    Ok(fixture
        .entitlements()
        .check_entitlement(request)
        .await?
        .into_inner())
}

async fn entitlement(fixture: &Fixture, person: &Person) -> (bool, Entitlement) {
    let checked = check(fixture, person).await.unwrap();
    (checked.entitled, checked.entitlement())
}

#[tokio::test]
async fn a_ticket_costs_what_the_event_says_and_opens_it() {
    let (fixture, ada) = with_show(Visibility::PayPerView).await;
    assert_eq!(
        entitlement(&fixture, &ada).await,
        (false, Entitlement::TicketRequired)
    );
    let bought = buy(&fixture, &ada, "test-card-ok", &request_id()).await.unwrap();
    let (ticket, payment) = (bought.ticket.unwrap(), bought.payment.unwrap());
    assert_eq!((ticket.event.as_str(), &ticket.payment), (SHOW, &payment.name));
    let price = Money {
        currency: "EUR".to_owned(),
        minor_units: 1_250,
    };
    assert_eq!((payment.amount, payment.membership.as_str()), (Some(price), ""));
    assert_eq!(entitlement(&fixture, &ada).await, (true, Entitlement::Ticket));
    let list = ada.asks(ListTicketsRequest {
        parent: "accounts/me".to_owned(),
        ..ListTicketsRequest::default()
    });
    let listed = fixture.tickets().list_tickets(list).await.unwrap().into_inner();
    assert_eq!(listed.tickets, [ticket]);
    // Another account's ticket opens nothing.
    let grace = fixture.person("grace").await;
    assert_eq!(
        entitlement(&fixture, &grace).await,
        (false, Entitlement::TicketRequired)
    );
}

#[tokio::test]
async fn nobody_pays_twice_for_a_place() {
    let (fixture, ada) = with_show(Visibility::PayPerView).await;
    let id = request_id();
    let unavailable = refused(buy(&fixture, &ada, "test-card-retry", &id).await);
    assert_eq!(
        unavailable,
        (Code::Unavailable, "PAYMENT_PROVIDER_UNAVAILABLE".to_owned())
    );
    let first = buy(&fixture, &ada, "test-card-retry", &id).await.unwrap();
    assert_eq!(buy(&fixture, &ada, "test-card-retry", &id).await.unwrap(), first);
    let again = buy(&fixture, &ada, "test-card-ok", &request_id()).await.unwrap();
    assert_eq!((again.ticket, again.payment), (first.ticket, None));
    let payments = ada.asks(ListPaymentsRequest {
        parent: "accounts/me".to_owned(),
        ..ListPaymentsRequest::default()
    });
    let paid = fixture
        .payments()
        .list_payments(payments)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(paid.payments.len(), 1);
}

#[tokio::test]
async fn a_declined_card_buys_nothing() {
    let (fixture, ada) = with_show(Visibility::PayPerView).await;
    let declined = refused(buy(&fixture, &ada, "test-card-declined", &request_id()).await);
    assert_eq!(
        declined,
        (Code::FailedPrecondition, "PAYMENT_DECLINED".to_owned())
    );
    assert_eq!(
        entitlement(&fixture, &ada).await,
        (false, Entitlement::TicketRequired)
    );
}

#[tokio::test]
async fn there_are_tickets_only_where_there_is_something_to_pay_for_and_to_see() {
    for (visibility, state) in [
        (Visibility::Public, EventState::Scheduled),
        (Visibility::Members, EventState::Live),
        (Visibility::PayPerView, EventState::Ended),
        (Visibility::PayPerView, EventState::Cancelled),
    ] {
        let (fixture, ada) = with_show(visibility).await;
        fixture.events.add_event(SHOW, state, visibility);
        fixture.events.price(SHOW, 1_250, "EUR");
        let none = refused(buy(&fixture, &ada, "test-card-ok", &request_id()).await);
        assert_eq!(
            none,
            (Code::FailedPrecondition, "EVENT_NOT_FOR_SALE".to_owned()),
            "{visibility:?} {state:?}"
        );
    }
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let missing = refused(buy(&fixture, &ada, "test-card-ok", &request_id()).await);
    assert_eq!(missing, (Code::NotFound, "EVENT_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_membership_opens_what_is_for_members_until_its_period_ends() {
    let (fixture, ada) = with_show(Visibility::Members).await;
    assert_eq!(
        entitlement(&fixture, &ada).await,
        (false, Entitlement::MembershipRequired)
    );
    let membership = joined(&fixture, &ada).await;
    let checked = check(&fixture, &ada).await.unwrap();
    assert_eq!(
        (checked.entitled, checked.entitlement()),
        (true, Entitlement::Member)
    );
    assert_eq!(checked.expire_time, membership.period_end_time);
    fixture.clock.advance(Duration::from_secs(32 * 24 * 3_600));
    assert_eq!(
        entitlement(&fixture, &ada).await,
        (false, Entitlement::MembershipRequired)
    );
}

#[tokio::test]
async fn everybody_is_entitled_to_what_is_open_and_an_owner_to_what_is_his() {
    let (fixture, ada) = with_show(Visibility::Unlisted).await;
    assert_eq!(entitlement(&fixture, &ada).await, (true, Entitlement::Open));
    fixture
        .events
        .add_event(SHOW, EventState::Scheduled, Visibility::Members);
    fixture.events.own("channels/c1", &ada.name);
    assert_eq!(entitlement(&fixture, &ada).await, (true, Entitlement::Owner));
}

#[tokio::test]
async fn only_the_account_itself_and_services_learn_what_it_may_watch() {
    let (fixture, ada) = with_show(Visibility::Members).await;
    let request = CheckEntitlementRequest {
        account: ada.name.clone(),
        event: SHOW.to_owned(),
    };
    let grace = fixture.person("grace").await;
    let denied = fixture
        .entitlements()
        .check_entitlement(grace.asks(request.clone()))
        .await;
    assert_eq!(refused(denied).0, Code::PermissionDenied);
    let service = with_token(request, &fixture.service_token().await);
    assert!(fixture.entitlements().check_entitlement(service).await.is_ok());
    let wrong = ada.asks(CheckEntitlementRequest {
        account: "accounts/me".to_owned(),
        event: "events/e".to_owned(),
    });
    assert_eq!(
        wrong_fields(fixture.entitlements().check_entitlement(wrong).await),
        ["event"]
    );
}
