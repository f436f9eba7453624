use marquee_proto::subscriptions::v1::{
    Account, AccountChanged, CreateAccountRequest, CreateAccountResponse, GetAccountRequest,
    UpdateAccountRequest, account_changed,
};
use prost_types::FieldMask;
use tonic::{Code, Response, Status};

use crate::fixture::{Fixture, PASSWORD, Person, profile, refused, request_id, with_token, wrong_fields};

fn registration(id: &str) -> CreateAccountRequest {
    CreateAccountRequest {
        account: Some(profile(id)),
        password: PASSWORD.to_owned(),
        ..CreateAccountRequest::default()
    }
}

async fn register(
    fixture: &Fixture,
    request: CreateAccountRequest,
) -> Result<Response<CreateAccountResponse>, Status> {
    fixture.accounts().create_account(request).await
}

async fn get(fixture: &Fixture, person: &Person, name: &str) -> Result<Account, Status> {
    let request = person.asks(GetAccountRequest {
        name: name.to_owned(),
    });
    Ok(fixture
        .accounts()
        .get_account(request)
        .await?
        .into_inner()
        .account
        .unwrap())
}

async fn update(
    fixture: &Fixture,
    person: &Person,
    account: Account,
    mask: &[&str],
) -> Result<Account, Status> {
    let request = person.asks(UpdateAccountRequest {
        account: Some(account),
        update_mask: Some(FieldMask {
            paths: mask.iter().map(|&path| path.to_owned()).collect(),
        }),
    });
    Ok(fixture
        .accounts()
        .update_account(request)
        .await?
        .into_inner()
        .account
        .unwrap())
}

#[tokio::test]
async fn an_account_is_what_was_registered() {
    let fixture = Fixture::start().await;
    let given = Account {
        email: " Ada@Example.org ".to_owned(),
        display_name: "Ada Lovelace".to_owned(),
        country: "gb".to_owned(),
        birth_date: "1915-12-10".to_owned(),
        gender: "woman".to_owned(),
        ..Account::default()
    };
    let request = CreateAccountRequest {
        account: Some(given),
        ..registration("ada")
    };
    let created = register(&fixture, request)
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    assert_eq!(created.email, "Ada@Example.org");
    assert_eq!(created.country, "GB");
    assert_eq!(created.birth_date, "1915-12-10");
    assert!(created.create_time.is_some() && !created.etag.is_empty());

    let ada = fixture.login("ada@example.org", PASSWORD).await.unwrap();
    assert_eq!(get(&fixture, &ada, &created.name).await.unwrap(), created);
    assert_eq!(get(&fixture, &ada, "accounts/me").await.unwrap(), created);
}

#[tokio::test]
async fn every_field_of_a_registration_that_is_wrong_is_named() {
    let fixture = Fixture::start().await;
    let request = CreateAccountRequest {
        account: Some(Account {
            email: "nobody".to_owned(),
            display_name: " ".to_owned(),
            country: "XX".to_owned(),
            birth_date: "tomorrow".to_owned(),
            gender: "x".repeat(41),
            ..Account::default()
        }),
        password: "short".to_owned(),
        request_id: "1".to_owned(),
    };
    assert_eq!(
        wrong_fields(register(&fixture, request).await),
        [
            "account.email",
            "account.display_name",
            "account.country",
            "account.birth_date",
            "account.gender",
            "password",
            "request_id"
        ]
    );
}

#[tokio::test]
async fn an_address_is_taken_whatever_its_case() {
    let fixture = Fixture::start().await;
    register(&fixture, registration("ada")).await.unwrap();
    let answer = register(&fixture, registration("ADA")).await;
    assert_eq!(refused(answer), (Code::AlreadyExists, "EMAIL_TAKEN".to_owned()));
}

#[tokio::test]
async fn of_many_who_want_an_address_at_once_one_gets_it() {
    let fixture = Fixture::start().await;
    let all = futures::future::join_all((0..8).map(|_| register(&fixture, registration("ada")))).await;
    assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1);
    for other in all.into_iter().filter(Result::is_err) {
        assert_eq!(refused(other).1, "EMAIL_TAKEN");
    }
}

#[tokio::test]
async fn a_registration_that_is_sent_again_gets_the_first_answer() {
    let fixture = Fixture::start().await;
    let request = CreateAccountRequest {
        request_id: request_id(),
        ..registration("ada")
    };
    let all = futures::future::join_all((0..4).map(|_| register(&fixture, request.clone()))).await;
    let answers: Vec<_> = all.into_iter().map(|one| one.unwrap().into_inner()).collect();
    assert!(answers.iter().all(|one| *one == answers[0]), "{answers:?}");
    let fixture = fixture.restart().await;
    let again = register(&fixture, request).await.unwrap().into_inner();
    assert_eq!(again, answers[0]);
}

#[tokio::test]
async fn a_request_id_belongs_to_one_registration() {
    let fixture = Fixture::start().await;
    let first = CreateAccountRequest {
        request_id: request_id(),
        ..registration("ada")
    };
    register(&fixture, first.clone()).await.unwrap();
    let other_body = CreateAccountRequest {
        account: Some(profile("grace")),
        ..first.clone()
    };
    let other_password = CreateAccountRequest {
        password: "another password".to_owned(),
        ..first
    };
    for request in [other_body, other_password] {
        let answer = register(&fixture, request).await;
        assert_eq!(
            refused(answer),
            (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned())
        );
    }
}

#[tokio::test]
async fn another_account_is_denied_whether_it_is_there_or_not() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let grace = fixture.person("grace").await;
    for name in [grace.name.as_str(), "accounts/nobody"] {
        let answer = get(&fixture, &ada, name).await;
        assert_eq!(
            refused(answer),
            (Code::PermissionDenied, "PERMISSION_DENIED".to_owned())
        );
        let other = Account {
            name: name.to_owned(),
            ..profile("x")
        };
        let answer = update(&fixture, &ada, other, &["display_name"]).await;
        assert_eq!(refused(answer).0, Code::PermissionDenied);
    }
}

#[tokio::test]
async fn a_service_may_look_at_any_account_and_learns_which_are_not_there() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let token = fixture.service_token().await;
    let ask = |name: &str| {
        with_token(
            GetAccountRequest {
                name: name.to_owned(),
            },
            &token,
        )
    };
    let found = fixture.accounts().get_account(ask(&ada.name)).await.unwrap();
    assert_eq!(found.into_inner().account.unwrap().email, ada.email);
    let answer = fixture.accounts().get_account(ask("accounts/nobody")).await;
    assert_eq!(refused(answer), (Code::NotFound, "ACCOUNT_NOT_FOUND".to_owned()));
    let answer = fixture.accounts().get_account(ask("accounts/me")).await;
    assert_eq!(wrong_fields(answer), ["name"]);
}

#[tokio::test]
async fn without_a_token_nobody_sees_an_account() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let answer = fixture
        .accounts()
        .get_account(GetAccountRequest { name: ada.name })
        .await;
    assert_eq!(refused(answer).0, Code::Unauthenticated);
}

#[tokio::test]
async fn a_malformed_name_is_named() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    assert_eq!(wrong_fields(get(&fixture, &ada, "people/ada").await), ["name"]);
}

#[tokio::test]
async fn an_update_changes_what_its_mask_names() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let new = Account {
        name: "accounts/me".to_owned(),
        display_name: "Countess".to_owned(),
        country: "GB".to_owned(),
        ..Account::default()
    };
    let updated = update(&fixture, &ada, new, &["country"]).await.unwrap();
    assert_eq!(
        (updated.country.as_str(), updated.display_name.as_str()),
        ("GB", "ada")
    );
    let clear = Account {
        name: ada.name.clone(),
        ..Account::default()
    };
    let updated = update(&fixture, &ada, clear, &["country"]).await.unwrap();
    assert_eq!(updated.country, "");
}

#[tokio::test]
async fn an_update_without_a_mask_changes_what_is_set() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let mut read = get(&fixture, &ada, "accounts/me").await.unwrap();
    read.gender = "woman".to_owned();
    let updated = update(&fixture, &ada, read.clone(), &[]).await.unwrap();
    assert_ne!(updated.etag, read.etag);
    read.etag.clone_from(&updated.etag);
    assert_eq!(updated, read);
}

#[tokio::test]
async fn what_can_not_be_updated_is_named() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let account = Account {
        name: ada.name.clone(),
        email: "other@example.org".to_owned(),
        display_name: "x".repeat(101),
        ..Account::default()
    };
    for path in ["name", "create_time", "etag", "nonsense", "*"] {
        let answer = update(&fixture, &ada, account.clone(), &[path]).await;
        assert_eq!(wrong_fields(answer), ["update_mask"], "{path}");
    }
    let answer = update(&fixture, &ada, account.clone(), &["display_name", "id"]).await;
    assert_eq!(wrong_fields(answer), ["account.display_name", "update_mask"]);
    let answer = update(&fixture, &ada, account, &["email"]).await;
    assert_eq!(wrong_fields(answer), ["account.email"]);
}

#[tokio::test]
async fn a_stale_etag_aborts_an_update() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let read = get(&fixture, &ada, "accounts/me").await.unwrap();
    let named = |name: &str| Account {
        display_name: name.to_owned(),
        ..read.clone()
    };
    update(&fixture, &ada, named("first"), &["display_name"])
        .await
        .unwrap();
    let answer = update(&fixture, &ada, named("second"), &["display_name"]).await;
    assert_eq!(refused(answer), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let without_etag = Account {
        etag: String::new(),
        ..named("third")
    };
    let updated = update(&fixture, &ada, without_etag, &["display_name"])
        .await
        .unwrap();
    assert_eq!(updated.display_name, "third");
}

#[tokio::test]
async fn changes_are_published_once_each_under_the_accounts_name() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let new = Account {
        name: ada.name.clone(),
        country: "GB".to_owned(),
        ..Account::default()
    };
    update(&fixture, &ada, new.clone(), &["country"]).await.unwrap();
    // Nothing changes, so nothing is told.
    update(&fixture, &ada, new, &["country"]).await.unwrap();
    let last = Account {
        name: ada.name.clone(),
        country: "NL".to_owned(),
        ..Account::default()
    };
    update(&fixture, &ada, last, &["country"]).await.unwrap();

    let mut published = fixture.published::<AccountChanged>().await;
    let told: Vec<_> = published
        .first(3)
        .await
        .iter()
        .map(|(key, event)| {
            assert_eq!(*key, ada.name);
            match event.change.clone().unwrap() {
                account_changed::Change::Created(created) => ("created", created.account.unwrap().country),
                account_changed::Change::Updated(updated) => ("updated", updated.account.unwrap().country),
            }
        })
        .collect();
    let told: Vec<_> = told
        .iter()
        .map(|(what, country)| (*what, country.as_str()))
        .collect();
    assert_eq!(told, [("created", ""), ("updated", "GB"), ("updated", "NL")]);
}

#[tokio::test]
async fn accounts_and_their_tokens_survive_a_restart() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let before = get(&fixture, &ada, "accounts/me").await.unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(get(&fixture, &ada, "accounts/me").await.unwrap(), before);
    fixture.login("ada@example.org", PASSWORD).await.unwrap();
}
