//! Declared indexes.

use marquee_documents::testing::{Show, show};
use marquee_documents::{Collection, Document, Error, Index, Query, Store, Transaction};
use serde::{Deserialize, Serialize};

use super::Database;

/// The same documents as a later version of the program declares them.
#[derive(Debug, Serialize, Deserialize)]
struct Later(Show);

impl Document for Later {
    const COLLECTION: &'static str = Show::COLLECTION;
    const INDEXES: &'static [Index] = &[Index {
        name: "channel_unique",
        fields: &["channel"],
        unique: true,
    }];

    fn id(&self) -> &str {
        self.0.id()
    }
}

async fn insert(store: &Store, id: &str, channel: &str, handle: Option<&str>) -> Result<(), Error> {
    let show = Show {
        channel: channel.to_owned(),
        handle: handle.map(str::to_owned),
        ..show(id, 1)
    };
    store.commit(Transaction::new().insert(&show)?).await.map(drop)
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn indexes_follow_what_is_declared_while_the_version_before_still_runs() {
    let database = Database::new();
    let before = database.store().await;
    insert(&before, "a", "c1", Some("x")).await.unwrap();
    insert(&before, "b", "c2", None).await.unwrap();
    let later = Store::open(&database.location(), &[Collection::of::<Later>()])
        .await
        .unwrap();
    let found = later
        .query::<Later>(Query::by("channel_unique").equals("c2"))
        .await
        .unwrap();
    assert_eq!(found.items[0].value.id(), "b");
    let taken = insert(&before, "c", "c1", None).await;
    assert!(matches!(taken, Err(Error::AlreadyExists { index, .. }) if index == "channel_unique"));
    // What is unique no more refuses nothing.
    insert(&before, "d", "c4", Some("x")).await.unwrap();
    let found = before
        .query::<Show>(Query::by("channel_start").equals("c2"))
        .await
        .unwrap();
    assert_eq!(
        found.items.len(),
        1,
        "the version before still finds by its index"
    );
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn a_unique_index_over_values_that_are_not_is_a_clear_error() {
    let database = Database::new();
    let store = database.store().await;
    insert(&store, "a", "c", None).await.unwrap();
    insert(&store, "b", "c", None).await.unwrap();
    let later = Store::open(&database.location(), &[Collection::of::<Later>()])
        .await
        .unwrap();
    let said = later.ready().await.unwrap_err();
    assert!(
        said.contains("channel_unique") && said.contains("shows"),
        "{said}"
    );
    let refused = later.get::<Later>("a").await.unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused:?}");
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn a_query_enters_its_index_at_the_place_of_the_page() {
    let database = Database::new();
    let store = database.store().await;
    for n in 0..100 {
        let transaction = Transaction::new().insert(&show(&format!("{n:02}"), n)).unwrap();
        store.commit(transaction).await.unwrap();
    }
    for query in [
        Query::by("channel_start").equals("c"),
        Query::by("channel_start").equals("c").descending(),
    ] {
        let mut token = String::new();
        for _ in 0..10 {
            let page = store
                .query::<Show>(query.clone().limit(5).after(&token))
                .await
                .unwrap();
            token = page.next_page_token.unwrap();
        }
        let plan = store.explain::<Show>(query.limit(5).after(&token)).await.unwrap();
        assert!(!plan.contains("SORT\""), "the index gives the order: {plan}");
        let examined = plan.split_once("\"totalKeysExamined\": ").and_then(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse::<u32>()
                .ok()
        });
        assert!(examined.is_some_and(|keys| keys <= 8), "{examined:?} {plan}");
    }
}
