use marquee_proto::subscriptions::v1::{
    CancelMembershipRequest, CreateMembershipRequest, CreateMembershipResponse, GetMembershipRequest,
    GetPlanRequest, ListMembershipsRequest, ListPaymentsRequest, ListPlansRequest, Membership,
    MembershipState, Payment, PaymentChanged, PaymentState, payment_changed,
};
use tonic::{Code, Status};

use crate::bank::Bank;
use crate::fixture::{Fixture, Person, refused, request_id, with_token, wrong_fields};

pub(crate) fn order(plan: &str, card: &str) -> CreateMembershipRequest {
    CreateMembershipRequest {
        parent: "accounts/me".to_owned(),
        plan: plan.to_owned(),
        payment_token: card.to_owned(),
        request_id: request_id(),
    }
}

pub(crate) async fn join(
    fixture: &Fixture,
    person: &Person,
    order: CreateMembershipRequest,
) -> Result<CreateMembershipResponse, Status> {
    let answer = fixture
        .memberships()
        .create_membership(person.asks(order))
        .await?;
    Ok(answer.into_inner())
}

pub(crate) async fn joined(fixture: &Fixture, person: &Person) -> Membership {
    let answer = join(fixture, person, order("plans/basic", "test-card-ok"))
        .await
        .unwrap();
    answer.membership.unwrap()
}

pub(crate) async fn get(fixture: &Fixture, person: &Person, name: &str) -> Result<Membership, Status> {
    let request = person.asks(GetMembershipRequest {
        name: name.to_owned(),
    });
    Ok(fixture
        .memberships()
        .get_membership(request)
        .await?
        .into_inner()
        .membership
        .unwrap())
}

pub(crate) async fn cancel(
    fixture: &Fixture,
    person: &Person,
    name: &str,
    etag: &str,
) -> Result<Membership, Status> {
    let request = person.asks(CancelMembershipRequest {
        name: name.to_owned(),
        etag: etag.to_owned(),
    });
    Ok(fixture
        .memberships()
        .cancel_membership(request)
        .await?
        .into_inner()
        .membership
        .unwrap())
}

pub(crate) async fn payments(fixture: &Fixture, person: &Person) -> Vec<Payment> {
    let request = person.asks(ListPaymentsRequest {
        parent: "accounts/me".to_owned(),
        ..ListPaymentsRequest::default()
    });
    fixture
        .payments()
        .list_payments(request)
        .await
        .unwrap()
        .into_inner()
        .payments
}

pub(crate) async fn memberships(fixture: &Fixture, person: &Person) -> Vec<Membership> {
    let request = person.asks(ListMembershipsRequest {
        parent: "accounts/me".to_owned(),
        ..ListMembershipsRequest::default()
    });
    fixture
        .memberships()
        .list_memberships(request)
        .await
        .unwrap()
        .into_inner()
        .memberships
}

#[tokio::test]
async fn everybody_sees_four_plans_cheapest_first() {
    let fixture = Fixture::start().await;
    let plans = fixture
        .plans()
        .list_plans(ListPlansRequest {})
        .await
        .unwrap()
        .into_inner()
        .plans;
    let names: Vec<_> = plans.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(
        names,
        ["plans/basic", "plans/student", "plans/premium", "plans/family"]
    );
    let prices: Vec<_> = plans
        .iter()
        .map(|plan| plan.price.clone().unwrap().minor_units)
        .collect();
    assert!(prices.is_sorted() && prices[0] > 0, "{prices:?}");

    let get = |name: &str| GetPlanRequest {
        name: name.to_owned(),
    };
    let basic = fixture
        .plans()
        .get_plan(get("plans/basic"))
        .await
        .unwrap()
        .into_inner()
        .plan
        .unwrap();
    assert_eq!(basic, plans[0]);
    let answer = fixture.plans().get_plan(get("plans/gold")).await;
    assert_eq!(refused(answer), (Code::NotFound, "PLAN_NOT_FOUND".to_owned()));
    assert_eq!(
        wrong_fields(fixture.plans().get_plan(get("gold")).await),
        ["name"]
    );
}

#[tokio::test]
async fn joining_pays_for_a_calendar_month() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let answer = join(&fixture, &ada, order("plans/premium", "test-card-ok"))
        .await
        .unwrap();
    let (membership, payment) = (answer.membership.unwrap(), answer.payment.unwrap());
    assert!(membership.name.starts_with(&format!("{}/memberships/", ada.name)));
    assert_eq!(membership.state(), MembershipState::Active);
    let days = |time: Option<prost_types::Timestamp>| time.unwrap().seconds / 86_400;
    let length = days(membership.period_end_time) - days(membership.period_start_time);
    assert!((28..=31).contains(&length), "{length}");

    assert_eq!(payment.state(), PaymentState::Succeeded);
    assert_eq!(payment.membership, membership.name);
    assert_eq!(payment.method, "card");
    let amount = payment.amount.clone().unwrap();
    assert_eq!((amount.minor_units, amount.currency.as_str()), (999, "EUR"));

    assert_eq!(get(&fixture, &ada, &membership.name).await.unwrap(), membership);
    assert_eq!(memberships(&fixture, &ada).await, [membership]);
    assert_eq!(payments(&fixture, &ada).await, [payment]);
}

#[tokio::test]
async fn every_field_of_an_order_that_is_wrong_is_named() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let wrong = CreateMembershipRequest {
        parent: "me".to_owned(),
        plan: "basic".to_owned(),
        payment_token: String::new(),
        request_id: String::new(),
    };
    let answer = join(&fixture, &ada, wrong).await;
    assert_eq!(
        wrong_fields(answer),
        ["parent", "plan", "payment_token", "request_id"]
    );
    let answer = join(&fixture, &ada, order("plans/gold", "test-card-ok")).await;
    assert_eq!(refused(answer), (Code::NotFound, "PLAN_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_token_that_the_provider_does_not_know_is_named_and_uses_nothing_up() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let wrong = order("plans/basic", "4111111111111111");
    assert_eq!(
        wrong_fields(join(&fixture, &ada, wrong.clone()).await),
        ["payment_token"]
    );
    let right = CreateMembershipRequest {
        payment_token: "test-card-ok".to_owned(),
        ..wrong
    };
    join(&fixture, &ada, right).await.unwrap();
}

#[tokio::test]
async fn an_order_that_is_sent_again_gets_the_first_answer_and_is_charged_once() {
    let bank = Bank::default();
    let fixture = Fixture::with({
        let bank = bank.clone();
        move |config| config.payment_provider = Some(std::sync::Arc::new(bank.clone()))
    })
    .await;
    let ada = fixture.person("ada").await;
    let order = order("plans/basic", "card");
    let all = futures::future::join_all((0..4).map(|_| join(&fixture, &ada, order.clone()))).await;
    let answers: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|one| *one == answers[0]), "{answers:?}");

    let name = answers[0].membership.clone().unwrap().name;
    cancel(&fixture, &ada, &name, "").await.unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(join(&fixture, &ada, order).await.unwrap(), answers[0]);
    assert_eq!(bank.charged(), 1);
    assert_eq!(payments(&fixture, &ada).await.len(), 1);
}

#[tokio::test]
async fn a_request_id_belongs_to_one_order() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let first = order("plans/basic", "test-card-ok");
    join(&fixture, &ada, first.clone()).await.unwrap();
    let other = CreateMembershipRequest {
        plan: "plans/family".to_owned(),
        ..first
    };
    let answer = join(&fixture, &ada, other).await;
    assert_eq!(
        refused(answer),
        (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned())
    );
}

#[tokio::test]
async fn a_card_that_is_declined_pays_for_nothing_and_another_one_does() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let declined = order("plans/basic", "test-card-declined");
    for _ in 0..2 {
        let answer = join(&fixture, &ada, declined.clone()).await;
        assert_eq!(
            refused(answer),
            (Code::FailedPrecondition, "PAYMENT_DECLINED".to_owned())
        );
    }
    assert!(memberships(&fixture, &ada).await.is_empty());
    let failed = payments(&fixture, &ada).await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].state(), PaymentState::Failed);
    assert_eq!(failed[0].membership, "");
    assert!(!failed[0].failure_reason.is_empty());

    joined(&fixture, &ada).await;
    assert_eq!(payments(&fixture, &ada).await.len(), 2);
}

#[tokio::test]
async fn a_card_that_needs_a_retry_works_with_the_same_request() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let order = order("plans/basic", "test-card-retry");
    let first = join(&fixture, &ada, order.clone()).await;
    assert_eq!(
        refused(first),
        (Code::Unavailable, "PAYMENT_PROVIDER_UNAVAILABLE".to_owned())
    );
    join(&fixture, &ada, order).await.unwrap();
    assert_eq!(payments(&fixture, &ada).await.len(), 1);
}

#[tokio::test]
async fn whoever_gives_up_on_an_order_can_send_another() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let first = join(&fixture, &ada, order("plans/basic", "test-card-retry")).await;
    assert_eq!(refused(first).0, Code::Unavailable);
    joined(&fixture, &ada).await;
    assert_eq!(payments(&fixture, &ada).await.len(), 1);
}

#[tokio::test]
async fn there_is_one_membership_at_a_time() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let all =
        futures::future::join_all((0..6).map(|_| join(&fixture, &ada, order("plans/basic", "test-card-ok"))))
            .await;
    // Those that were overtaken are told to ask again; none is charged.
    assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1, "{all:?}");
    let answer = join(&fixture, &ada, order("plans/family", "test-card-ok")).await;
    assert_eq!(
        refused(answer),
        (Code::FailedPrecondition, "MEMBERSHIP_EXISTS".to_owned())
    );
    assert_eq!(payments(&fixture, &ada).await.len(), 1);
}

#[tokio::test]
async fn good_and_bad_payments_are_published() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let _ = join(&fixture, &ada, order("plans/basic", "test-card-declined")).await;
    joined(&fixture, &ada).await;
    let mut published = fixture.published::<PaymentChanged>().await;
    let told = published.first(2).await;
    assert!(told.iter().all(|(key, _)| *key == ada.name));
    let [(_, failed), (_, succeeded)] = told else {
        panic!("{told:?}");
    };
    assert!(matches!(failed.change, Some(payment_changed::Change::Failed(_))));
    assert!(matches!(
        succeeded.change,
        Some(payment_changed::Change::Succeeded(_))
    ));
}

#[tokio::test]
async fn anothers_memberships_are_denied_and_unknown_ones_are_not_found() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let grace = fixture.person("grace").await;
    let membership = joined(&fixture, &ada).await;
    for name in [membership.name.clone(), format!("{}/memberships/none", ada.name)] {
        assert_eq!(
            refused(get(&fixture, &grace, &name).await).0,
            Code::PermissionDenied
        );
        assert_eq!(
            refused(cancel(&fixture, &grace, &name, "").await).0,
            Code::PermissionDenied
        );
    }
    let on_ada = CreateMembershipRequest {
        parent: ada.name.clone(),
        ..order("plans/basic", "test-card-ok")
    };
    assert_eq!(
        refused(join(&fixture, &grace, on_ada).await).0,
        Code::PermissionDenied
    );
    let list = grace.asks(ListMembershipsRequest {
        parent: ada.name.clone(),
        ..ListMembershipsRequest::default()
    });
    assert_eq!(
        refused(fixture.memberships().list_memberships(list).await).0,
        Code::PermissionDenied
    );

    let unknown = get(&fixture, &ada, "accounts/me/memberships/none").await;
    assert_eq!(
        refused(unknown),
        (Code::NotFound, "MEMBERSHIP_NOT_FOUND".to_owned())
    );
    let unknown = cancel(&fixture, &ada, "accounts/me/memberships/none", "").await;
    assert_eq!(
        refused(unknown),
        (Code::NotFound, "MEMBERSHIP_NOT_FOUND".to_owned())
    );

    let token = fixture.service_token().await;
    let request = with_token(
        GetMembershipRequest {
            name: membership.name,
        },
        &token,
    );
    assert!(fixture.memberships().get_membership(request).await.is_ok());
}

#[tokio::test]
async fn malformed_names_and_pages_are_named() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    assert_eq!(wrong_fields(get(&fixture, &ada, "memberships/m").await), ["name"]);
    assert_eq!(wrong_fields(cancel(&fixture, &ada, "", "").await), ["name"]);
    let list = ada.asks(ListMembershipsRequest {
        parent: "accounts/me".to_owned(),
        page_size: -1,
        page_token: "nonsense".to_owned(),
    });
    let answer = fixture.memberships().list_memberships(list).await;
    assert_eq!(wrong_fields(answer), ["page_size", "page_token"]);
}
