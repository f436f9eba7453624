use marquee_proto::subscriptions::v1::{
    CreateMembershipRequest, ListMembershipsRequest, ListPaymentsRequest, ListPaymentsResponse,
};
use tonic::{Code, Status};

use crate::fixture::{Fixture, Person, refused, request_id, wrong_fields};

async fn list(
    fixture: &Fixture,
    person: &Person,
    parent: &str,
    page_size: i32,
    page_token: &str,
) -> Result<ListPaymentsResponse, Status> {
    let request = person.asks(ListPaymentsRequest {
        parent: parent.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    });
    Ok(fixture.payments().list_payments(request).await?.into_inner())
}

async fn pay(fixture: &Fixture, person: &Person, card: &str) {
    let request = CreateMembershipRequest {
        parent: "accounts/me".to_owned(),
        plan: "plans/basic".to_owned(),
        payment_token: card.to_owned(),
        request_id: request_id(),
    };
    let _ = fixture
        .memberships()
        .create_membership(person.asks(request))
        .await;
}

#[tokio::test]
async fn payments_are_listed_newest_first_in_pages() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    for card in ["test-card-declined", "test-card-declined", "test-card-ok"] {
        pay(&fixture, &ada, card).await;
    }
    let first = list(&fixture, &ada, "accounts/me", 2, "").await.unwrap();
    assert_eq!(first.payments.len(), 2);
    assert_eq!(
        first.payments[0].failure_reason, "",
        "the newest is the one that succeeded"
    );
    let last = list(&fixture, &ada, &ada.name, 2, &first.next_page_token)
        .await
        .unwrap();
    assert_eq!(last.payments.len(), 1);
    assert_eq!(last.next_page_token, "");
}

#[tokio::test]
async fn a_page_token_is_good_for_its_own_list_only() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let grace = fixture.person("grace").await;
    for _ in 0..2 {
        pay(&fixture, &ada, "test-card-declined").await;
    }
    let token = list(&fixture, &ada, "accounts/me", 1, "")
        .await
        .unwrap()
        .next_page_token;
    let answer = list(&fixture, &grace, "accounts/me", 1, &token).await;
    assert_eq!(wrong_fields(answer), ["page_token"]);
    let memberships = ada.asks(ListMembershipsRequest {
        parent: "accounts/me".to_owned(),
        page_size: 1,
        page_token: token,
    });
    let answer = fixture.memberships().list_memberships(memberships).await;
    assert_eq!(wrong_fields(answer), ["page_token"]);
}

#[tokio::test]
async fn a_bad_list_request_is_refused() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let grace = fixture.person("grace").await;
    let answer = list(&fixture, &ada, "me", -1, "").await;
    assert_eq!(wrong_fields(answer), ["parent", "page_size"]);
    let answer = list(&fixture, &ada, &grace.name, 0, "").await;
    assert_eq!(refused(answer).0, Code::PermissionDenied);
}
