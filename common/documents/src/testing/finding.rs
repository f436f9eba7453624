//! Cases about queries and reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::tools::{get, insert};
use super::{Fixture, Show, show};
use crate::{Error, Page, Query, Store, Transaction};

/// Ids and starts in the channel `c`, and one in another.
async fn filled<F: Fixture>(shows: &[(&str, Option<i64>)]) -> (F, Store) {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(
        &store,
        &Show {
            channel: "other".to_owned(),
            ..show("other", 3)
        },
    )
    .await;
    for (id, start) in shows {
        insert(&store, &show(id, *start)).await;
    }
    (fixture, store)
}

fn of_channel() -> Query {
    Query::by("channel_start").equals("c")
}

fn ids(page: &Page<Show>) -> Vec<&str> {
    page.items.iter().map(|stored| stored.value.id.as_str()).collect()
}

async fn found(store: &Store, query: Query) -> String {
    ids(&store.query::<Show>(query).await.unwrap()).join(" ")
}

/// All pages of so many, one after the other.
async fn paged(store: &Store, query: Query, limit: usize) -> String {
    let mut found: Vec<String> = Vec::new();
    let mut token = String::new();
    loop {
        let page = store
            .query::<Show>(query.clone().limit(limit).after(&token))
            .await
            .unwrap();
        found.extend(ids(&page).into_iter().map(str::to_owned));
        match page.next_page_token {
            Some(next) => token = next,
            None => return found.join(" "),
        }
    }
}

const SHOWS: &[(&str, Option<i64>)] = &[("d", Some(1)), ("c", Some(2)), ("b", Some(3)), ("a", Some(3))];

pub async fn a_query_finds_by_its_index_in_order<F: Fixture>() {
    let (_fixture, store) = filled::<F>(SHOWS).await;
    assert_eq!(found(&store, of_channel()).await, "d c a b");
    assert_eq!(found(&store, of_channel().equals(3)).await, "a b");
    assert_eq!(
        found(&store, Query::by("channel_start").equals("nobody's")).await,
        ""
    );
    assert_eq!(found(&store, Query::by("channel_start")).await, "d c a b other");
    assert_eq!(found(&store, Query::all()).await, "a b c d other");
}

pub async fn bounds_cut_the_next_field<F: Fixture>() {
    let (_fixture, store) = filled::<F>(SHOWS).await;
    assert_eq!(found(&store, of_channel().at_least(2)).await, "c a b");
    assert_eq!(found(&store, of_channel().above(2)).await, "a b");
    assert_eq!(found(&store, of_channel().at_most(2)).await, "d c");
    assert_eq!(found(&store, of_channel().below(2)).await, "d");
    assert_eq!(found(&store, of_channel().above(1).below(3)).await, "c");
}

pub async fn descending_is_the_other_way_round<F: Fixture>() {
    let (_fixture, store) = filled::<F>(SHOWS).await;
    assert_eq!(found(&store, of_channel().descending()).await, "b a c d");
    assert_eq!(paged(&store, of_channel().descending(), 1).await, "b a c d");
}

pub async fn text_sorts_by_its_bytes<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    // UTF-16 would have the last two the other way round, and a collation the first ones.
    let channels = ["", "\u{0}", "A", "B", "a", "b", "ä", "\u{ffff}", "😀"];
    for (n, channel) in channels.iter().enumerate().rev() {
        let show = Show {
            channel: (*channel).to_owned(),
            ..show(&n.to_string(), 1)
        };
        insert(&store, &show).await;
    }
    assert_eq!(
        found(&store, Query::by("channel_start")).await,
        "0 1 2 3 4 5 6 7 8"
    );
    let query = Query::by("channel_start").descending();
    assert_eq!(paged(&store, query, 2).await, "8 7 6 5 4 3 2 1 0");
    let between = Query::by("channel_start").above("B").at_most("ä");
    assert_eq!(found(&store, between.clone()).await, "4 5 6");
    assert_eq!(store.count::<Show>(between).await.unwrap(), 3);
}

pub async fn numbers_sort_as_numbers<F: Fixture>() {
    let numbers = [i64::MIN, -10, -9, 0, 2, 10, (1 << 53) + 1, i64::MAX - 1, i64::MAX];
    let ids: Vec<String> = (0..numbers.len()).map(|n| n.to_string()).collect();
    let shows: Vec<(&str, Option<i64>)> = ids
        .iter()
        .map(String::as_str)
        .zip(numbers.map(Some))
        .rev()
        .collect();
    let (_fixture, store) = filled::<F>(&shows).await;
    assert_eq!(paged(&store, of_channel(), 1).await, "0 1 2 3 4 5 6 7 8");
    assert_eq!(
        paged(&store, of_channel().descending(), 2).await,
        "8 7 6 5 4 3 2 1 0"
    );
    assert_eq!(
        found(&store, of_channel().above(1_i64 << 53).below(i64::MAX)).await,
        "6 7"
    );
}

pub async fn nothing_lies_between_bounds_that_cross<F: Fixture>() {
    let (_fixture, store) = filled::<F>(SHOWS).await;
    assert_eq!(found(&store, of_channel().above(2).below(2)).await, "");
    assert_eq!(found(&store, of_channel().at_least(3).at_most(1)).await, "");
    assert_eq!(
        found(&store, of_channel().at_least(1).above(2)).await,
        "a b",
        "the narrower counts"
    );
}

pub async fn documents_without_the_field_come_first<F: Fixture>() {
    let (_fixture, store) = filled::<F>(&[("b", Some(1)), ("a", None)]).await;
    assert_eq!(found(&store, of_channel()).await, "a b");
    assert_eq!(
        found(&store, of_channel().at_most(5)).await,
        "b",
        "no value is not a small value"
    );
    assert_eq!(
        found(&store, of_channel().equals(serde_json::Value::Null)).await,
        "a"
    );
}

pub async fn pages_are_stable_while_documents_are_inserted<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    for n in 0..30 {
        insert(&store, &show(&format!("{n:02}"), 10 * n)).await;
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    for round in 0.. {
        let page = store
            .query::<Show>(of_channel().limit(4).after(&token))
            .await
            .unwrap();
        seen.extend(
            ids(&page)
                .into_iter()
                .filter(|id| !id.starts_with('x'))
                .map(str::to_owned),
        );
        // One before what was seen and one after it.
        insert(&store, &show(&format!("x-{round}-before"), -1 - round)).await;
        insert(&store, &show(&format!("x-{round}-after"), 10_000 - round)).await;
        match page.next_page_token {
            Some(next) if round < 100 => token = next,
            Some(_) => panic!("the pages do not end"),
            None => break,
        }
        if seen.len() == 30 {
            break;
        }
    }
    assert_eq!(
        seen,
        (0..30).map(|n| format!("{n:02}")).collect::<Vec<_>>(),
        "each once, in order"
    );
}

pub async fn pages_go_through_equal_values_by_id<F: Fixture>() {
    let same: Vec<(&str, Option<i64>)> = ["e", "b", "d", "a", "c"]
        .into_iter()
        .map(|id| (id, Some(7)))
        .collect();
    let (_fixture, store) = filled::<F>(&same).await;
    for limit in 1..=6 {
        assert_eq!(paged(&store, of_channel(), limit).await, "a b c d e", "{limit}");
        assert_eq!(
            paged(&store, of_channel().equals(7), limit).await,
            "a b c d e",
            "{limit}"
        );
        assert_eq!(
            paged(&store, of_channel().descending(), limit).await,
            "e d c b a",
            "{limit}"
        );
    }
    assert_eq!(paged(&store, Query::all(), 2).await, "a b c d e other");
}

pub async fn pages_go_through_missing_values_both_ways<F: Fixture>() {
    let (_fixture, store) = filled::<F>(&[("b", Some(1)), ("a", None), ("d", Some(2)), ("c", None)]).await;
    for limit in 1..=4 {
        assert_eq!(paged(&store, of_channel(), limit).await, "a c b d", "{limit}");
        assert_eq!(
            paged(&store, of_channel().descending(), limit).await,
            "d b c a",
            "{limit}"
        );
    }
}

pub async fn a_page_token_of_another_query_is_refused<F: Fixture>() {
    let (_fixture, store) = filled::<F>(SHOWS).await;
    let page = store.query::<Show>(of_channel().limit(1)).await.unwrap();
    let token = page.next_page_token.unwrap();
    let of_another_limit = store
        .query::<Show>(of_channel().limit(2).after(&token))
        .await
        .unwrap();
    assert_eq!(ids(&of_another_limit), ["c", "a"]);
    for query in [
        Query::by("channel_start").equals("other").after(&token),
        of_channel().descending().after(&token),
        of_channel().at_least(1).after(&token),
        Query::all().after(&token),
        of_channel().after("nonsense"),
        of_channel().after(&token[1..]),
    ] {
        assert!(matches!(
            store.query::<Show>(query).await,
            Err(Error::InvalidPageToken)
        ));
    }
}

pub async fn a_count_is_of_all_pages<F: Fixture>() {
    let (_fixture, store) = filled::<F>(SHOWS).await;
    assert_eq!(store.count::<Show>(of_channel().limit(1)).await.unwrap(), 4);
    assert_eq!(store.count::<Show>(of_channel().at_least(3)).await.unwrap(), 2);
    assert_eq!(store.count::<Show>(Query::all()).await.unwrap(), 5);
}

pub async fn of_many_ids_those_that_are_there_are_found<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(&store, &show("a", 1)).await;
    insert(&store, &show("b", 2)).await;
    let ids = ["b", "missing", "a", "b"].map(ToOwned::to_owned);
    let found = store.get_many::<Show>(ids.to_vec()).await.unwrap();
    let mut shows: Vec<_> = found
        .iter()
        .map(|(id, stored)| (id.as_str(), &*stored.value))
        .collect();
    shows.sort_unstable_by_key(|(id, _)| *id);
    assert_eq!(shows, [("a", &show("a", 1)), ("b", &show("b", 2))]);
    assert!(store.get_many::<Show>(Vec::new()).await.unwrap().is_empty());
}

/// Many readers keep the document in whatever cache there is while it changes.
pub async fn a_read_after_a_write_sees_it<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(&store, &show("a", 0)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let (store, stop) = (store.clone(), stop.clone());
        readers.spawn(async move {
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                let start = get(&store, "a")
                    .await
                    .and_then(|show| show.time.start)
                    .unwrap_or(last);
                assert!(start >= last, "time went back from {last} to {start}");
                last = start;
                tokio::task::yield_now().await;
            }
        });
    }
    for n in 1..=200 {
        store
            .commit(Transaction::new().put(&show("a", n)).unwrap())
            .await
            .unwrap();
        assert_eq!(get(&store, "a").await, Some(show("a", n)));
        assert_eq!(found(&store, of_channel().equals(n)).await, "a");
    }
    stop.store(true, Ordering::Relaxed);
    readers.join_all().await;
}
