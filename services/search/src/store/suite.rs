//! What every store has to do. The macro owns the one list of cases and makes a test of each for an adapter.

use std::future::Future;

use jiff::Timestamp;

use super::{Batch, Positions, Store};
use crate::domain::{ChannelDocument, Document, EventDocument, Filter, Kind, Prefix, Query, State, Version};

mod keeping;
mod together;

pub(crate) use keeping::*;
pub(crate) use together::*;

/// A store of its own for one test.
pub(crate) trait Fixture: Sized {
    /// The adapter.
    type Store: Store + Clone;

    /// An empty one.
    fn start() -> impl Future<Output = Self>;

    /// The store.
    fn store(&self) -> &Self::Store;

    /// Another writer of the same index: another process where there may be one, else another task.
    fn another(&self) -> Self::Store;

    /// The process ends and starts again.
    fn reopen(&mut self);
}

/// Tests of every case for one adapter, perhaps ignored with a reason.
macro_rules! suite {
    ($fixture:ty $(, ignore = $reason:literal)?) => {
        crate::store::suite::cases! { $fixture, [$($reason)?], store(),
            a_word_finds_what_has_it,
            case_and_accents_do_not_matter,
            one_mistake_is_forgiven_from_four_characters_and_two_from_eight,
            a_short_word_has_to_be_right,
            a_swap_of_two_letters_is_one_mistake,
            the_last_word_may_be_unfinished,
            inflected_words_are_found,
            channel_name_handle_tags_genre_and_description_are_searched,
            the_title_counts_most_and_a_misspelling_least,
            both_of_two_words_are_required,
            an_empty_query_finds_everything_live_first,
            signs_alone_find_nothing,
            filters_narrow_the_results,
            a_language_finds_its_variants,
            pages_are_complete_and_stable_while_documents_come,
            a_newer_version_replaces_and_an_older_is_ignored,
            an_unlisted_event_is_not_found_by_anything,
            an_event_that_becomes_unlisted_disappears_and_an_older_version_does_not_bring_it_back,
            a_cancelled_event_is_found_with_its_state,
            a_renamed_channel_reaches_its_events,
            an_event_with_an_older_channel_keeps_the_newer_name,
            positions_add_up,
            a_cleared_store_is_empty,
            suggestions_begin_as_typed_and_come_live_first,
            a_text_is_suggested_once,
            a_mistaken_prefix_is_forgiven_from_four_characters,
            suggestions_complete_channels,
            the_matched_text_is_shown_escaped_and_marked,
            a_query_of_many_long_words_is_answered,
            a_batch_applied_again_changes_nothing,
        }
        crate::store::suite::cases! { $fixture, [$($reason)?], whole(),
            two_writers_of_different_partitions_lose_nothing,
            the_newest_version_wins_whichever_of_two_writers_has_it,
            an_event_and_its_renamed_channel_meet_when_two_writers_bring_them_at_once,
            pages_are_stable_while_another_writer_is_at_work,
            documents_and_positions_survive_a_restart,
            a_new_index_is_searched_when_it_is_promoted_and_not_before,
            no_search_comes_back_empty_while_the_index_is_rebuilt,
            a_second_rebuild_changes_nothing_while_one_goes_on,
            an_index_that_is_being_filled_goes_on_after_a_restart,
            clearing_forgets_the_index_that_is_being_filled_too,
            an_index_without_a_rebuild_stays_as_it_is,
        }
    };
}

macro_rules! cases {
    ($fixture:ty, $ignore:tt, $of:ident(), $($case:ident,)+) => {
        $( crate::store::suite::case! { $fixture, $ignore, $of, $case } )+
    };
}

macro_rules! case {
    ($fixture:ty, [$($reason:literal)?], store, $case:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        $(#[ignore = $reason])?
        async fn $case() {
            let fixture = <$fixture as crate::store::suite::Fixture>::start().await;
            crate::store::suite::$case(crate::store::suite::Fixture::store(&fixture)).await;
        }
    };
    ($fixture:ty, [$($reason:literal)?], whole, $case:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        $(#[ignore = $reason])?
        async fn $case() {
            let mut fixture = <$fixture as crate::store::suite::Fixture>::start().await;
            crate::store::suite::$case(&mut fixture).await;
        }
    };
}

pub(crate) use {case, cases, suite};

/// A channel.
pub(crate) fn channel(id: &str, display_name: &str) -> ChannelDocument {
    ChannelDocument {
        name: format!("channels/{id}"),
        handle: format!("{id}_tv"),
        display_name: display_name.into(),
        description: String::new(),
        language: "en".into(),
        tags: vec![],
        version: Version(1),
    }
}

pub(crate) fn event(id: &str, title: &str) -> EventDocument {
    EventDocument {
        name: format!("channels/c/events/{id}"),
        title: title.into(),
        description: String::new(),
        genre: String::new(),
        language: String::new(),
        tags: vec![],
        state: State::Scheduled,
        start: None,
        listed: true,
        version: Version(1),
        channel: channel("c", "Blue Room"),
    }
}

/// A scheduled event of channel `c`.
pub(crate) fn concert(id: &str, title: &str) -> Document {
    Document::Event(event(id, title))
}

fn in_state(id: &str, title: &str, state: State) -> Document {
    Document::Event(EventDocument {
        state,
        ..event(id, title)
    })
}

pub(crate) async fn put(store: &impl Store, documents: impl IntoIterator<Item = Document>) {
    let documents = documents.into_iter().collect();
    store
        .apply(Batch {
            documents,
            positions: Positions::new(),
        })
        .await
        .unwrap();
}

fn query(text: &str) -> Query {
    Query {
        text: text.into(),
        ..Query::default()
    }
}

async fn find(store: &impl Store, query: &Query) -> Vec<String> {
    let page = store.search(query, None, 100).await.unwrap();
    assert_eq!(page.total, page.hits.len() as u64);
    page.hits
        .into_iter()
        .map(|hit| hit.document.name().to_owned())
        .collect()
}

/// Names of what a text finds, best first.
pub(crate) async fn names(store: &impl Store, text: &str) -> Vec<String> {
    find(store, &query(text)).await
}

pub(crate) async fn ids(store: &impl Store, text: &str) -> Vec<String> {
    names(store, text)
        .await
        .into_iter()
        .map(|name| name.rsplit('/').next().unwrap().to_owned())
        .collect()
}

async fn suggested(store: &impl Store, typed: &str) -> Vec<String> {
    let suggestions = store.suggest(&Prefix::parse(typed).unwrap(), 8).await.unwrap();
    suggestions
        .into_iter()
        .map(|suggestion| suggestion.text)
        .collect()
}

pub(crate) async fn a_word_finds_what_has_it(store: &impl Store) {
    put(store, [concert("e1", "Jazz Night"), concert("e2", "Rock Night")]).await;
    assert_eq!(ids(store, "jazz").await, ["e1"]);
    assert!(ids(store, "opera").await.is_empty());
}

pub(crate) async fn case_and_accents_do_not_matter(store: &impl Store) {
    put(
        store,
        [concert("e1", "Soirée à l'Opéra"), concert("e2", "Lodz Session")],
    )
    .await;
    assert_eq!(ids(store, "SOIREE").await, ["e1"]);
    assert_eq!(ids(store, "Łódź").await, ["e2"]);
}

pub(crate) async fn one_mistake_is_forgiven_from_four_characters_and_two_from_eight(store: &impl Store) {
    put(store, [concert("e1", "Jazz Symphony")]).await;
    for typed in ["jazs ", "jazzz ", "simphony ", "simphonny ", "symphnoi "] {
        assert_eq!(ids(store, typed).await, ["e1"], "{typed}");
    }
    assert!(ids(store, "jaz ").await.is_empty(), "it has three characters");
    assert!(ids(store, "simfonni ").await.is_empty());
    assert!(ids(store, "jbbz ").await.is_empty());
}

pub(crate) async fn a_short_word_has_to_be_right(store: &impl Store) {
    put(store, [concert("e1", "Pop Hits")]).await;
    assert!(ids(store, "pip ").await.is_empty());
}

pub(crate) async fn a_swap_of_two_letters_is_one_mistake(store: &impl Store) {
    put(store, [concert("e1", "Piano Recital")]).await;
    assert_eq!(ids(store, "paino ").await, ["e1"]);
}

pub(crate) async fn the_last_word_may_be_unfinished(store: &impl Store) {
    put(
        store,
        [concert("e1", "Electronic Music"), concert("e2", "Electronic Art")],
    )
    .await;
    assert_eq!(ids(store, "electronic mu").await, ["e1"]);
    assert!(
        ids(store, "elect music").await.is_empty(),
        "only the last word is open"
    );
}

pub(crate) async fn inflected_words_are_found(store: &impl Store) {
    put(store, [concert("e1", "Streaming Concerts")]).await;
    assert_eq!(ids(store, "concert stream ").await, ["e1"]);
}

pub(crate) async fn channel_name_handle_tags_genre_and_description_are_searched(store: &impl Store) {
    let mut one = event("e1", "Monday");
    one.tags = vec!["saxophone".into()];
    one.genre = "bebop".into();
    one.description = "An evening with the quintet".into();
    put(store, [Document::Event(one)]).await;
    for typed in ["blue room", "c_tv", "@c_tv", "saxophone", "bebop", "quintet"] {
        assert_eq!(ids(store, typed).await, ["e1"], "{typed}");
    }
}

pub(crate) async fn the_title_counts_most_and_a_misspelling_least(store: &impl Store) {
    let mut described = event("described", "Monday");
    described.description = "piano".into();
    let mut tagged = event("tagged", "Tuesday");
    tagged.tags = vec!["piano".into()];
    put(
        store,
        [
            concert("near", "Pianos and Piana"),
            concert("misspelt", "Pjano"),
            Document::Event(described),
            Document::Event(tagged),
            concert("titled", "Grand Piano"),
            concert("exact", "Piano"),
        ],
    )
    .await;
    assert_eq!(
        ids(store, "piano ").await,
        ["exact", "titled", "near", "tagged", "misspelt", "described"]
    );
}

pub(crate) async fn both_of_two_words_are_required(store: &impl Store) {
    put(
        store,
        [concert("e1", "Jazz Night"), concert("e2", "Jazz Morning")],
    )
    .await;
    assert_eq!(ids(store, "night jazz").await, ["e1"]);
}

pub(crate) async fn an_empty_query_finds_everything_live_first(store: &impl Store) {
    put(
        store,
        [
            in_state("off", "A", State::Cancelled),
            in_state("over", "B", State::Ended),
            in_state("soon", "C", State::Scheduled),
            in_state("on", "D", State::Live),
            Document::Channel(channel("c", "Blue Room")),
        ],
    )
    .await;
    assert_eq!(ids(store, "").await, ["on", "soon", "c", "over", "off"]);
}

pub(crate) async fn signs_alone_find_nothing(store: &impl Store) {
    put(store, [concert("e1", "What?!")]).await;
    assert!(ids(store, "?!").await.is_empty());
}

pub(crate) async fn filters_narrow_the_results(store: &impl Store) {
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let mut early = event("early", "Jazz");
    (early.genre, early.start) = ("Música".into(), at("2026-01-01T10:00:00Z"));
    let mut late = event("late", "Jazz");
    (late.state, late.start) = (State::Live, at("2026-01-02T10:00:00Z"));
    late.language = "de".into();
    put(
        store,
        [
            Document::Event(early),
            Document::Event(late),
            Document::Channel(channel("jazz", "Jazz")),
        ],
    )
    .await;

    let with = |filter: Filter| Query {
        text: "jazz".into(),
        filter,
    };
    let filter = Filter::default;
    for (filter, expected) in [
        (
            Filter {
                kind: Some(Kind::Channel),
                ..filter()
            },
            vec!["channels/jazz"],
        ),
        (
            Filter {
                kind: Some(Kind::Event),
                state: Some(State::Live),
                ..filter()
            },
            vec!["channels/c/events/late"],
        ),
        (
            Filter {
                genre: Some("musica".into()),
                ..filter()
            },
            vec!["channels/c/events/early"],
        ),
        (
            Filter {
                language: Some("DE".into()),
                ..filter()
            },
            vec!["channels/c/events/late"],
        ),
        (
            Filter {
                start_after: at("2026-01-02T10:00:00Z"),
                ..filter()
            },
            vec!["channels/c/events/late"],
        ),
        (
            Filter {
                start_before: at("2026-01-02T10:00:00Z"),
                ..filter()
            },
            vec!["channels/c/events/early"],
        ),
    ] {
        assert_eq!(find(store, &with(filter.clone())).await, expected, "{filter:?}");
    }
}

pub(crate) async fn a_language_finds_its_variants(store: &impl Store) {
    let mut one = event("e1", "Fado");
    one.language = "pt-BR".into();
    put(store, [Document::Event(one)]).await;
    let of = |language: &str| Query {
        filter: Filter {
            language: Some(language.into()),
            ..Filter::default()
        },
        ..Query::default()
    };
    assert_eq!(find(store, &of("pt")).await.len(), 1);
    assert_eq!(find(store, &of("pt-br")).await.len(), 1);
    assert!(find(store, &of("pt-PT")).await.is_empty());
}

pub(crate) async fn pages_are_complete_and_stable_while_documents_come(store: &impl Store) {
    put(
        store,
        (0..25).map(|n| concert(&format!("e{n:02}"), &format!("Jazz {n}"))),
    )
    .await;
    let query = query("jazz");
    let mut seen = Vec::new();
    let mut after = None;
    for n in 0.. {
        let page = store.search(&query, after.take(), 10).await.unwrap();
        assert_eq!(page.total, 25 + n);
        seen.extend(page.hits.into_iter().map(|hit| hit.document.name().to_owned()));
        // Each sorts before everything that is still to come.
        put(store, [concert(&format!("a{n}"), "Jazz again")]).await;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> = (0..25).map(|n| format!("channels/c/events/e{n:02}")).collect();
    assert_eq!(seen, expected);
}

pub(crate) async fn suggestions_begin_as_typed_and_come_live_first(store: &impl Store) {
    put(
        store,
        [
            in_state("e1", "Jazz Archive", State::Ended),
            in_state("e2", "Jazz Brunch", State::Scheduled),
            in_state("e3", "Late Jazz", State::Live),
            in_state("e4", "Rock", State::Live),
            Document::Channel(channel("j", "Jazz House")),
        ],
    )
    .await;
    assert_eq!(
        suggested(store, "ja").await,
        ["Late Jazz", "Jazz Brunch", "Jazz House", "Jazz Archive"]
    );
    assert_eq!(suggested(store, "late j").await, ["Late Jazz"]);
}

pub(crate) async fn a_text_is_suggested_once(store: &impl Store) {
    let mut documents: Vec<_> = (0..60)
        .map(|n| concert(&format!("e{n:02}"), "Jazz Night"))
        .collect();
    documents.push(in_state("live", "JAZZ night!", State::Live));
    documents.push(in_state("over", "Jazz Morning", State::Ended));
    put(store, documents).await;
    assert_eq!(suggested(store, "jazz").await, ["JAZZ night!", "Jazz Morning"]);
}

pub(crate) async fn a_mistaken_prefix_is_forgiven_from_four_characters(store: &impl Store) {
    put(store, [concert("e1", "Symphony")]).await;
    assert_eq!(suggested(store, "simp").await, ["Symphony"]);
    assert!(suggested(store, "sim").await.is_empty());
}

pub(crate) async fn suggestions_complete_channels(store: &impl Store) {
    put(store, [Document::Channel(channel("c", "Blue Room"))]).await;
    let suggestions = store.suggest(&Prefix::parse("blu").unwrap(), 8).await.unwrap();
    assert_eq!(
        (suggestions[0].name.as_str(), suggestions[0].kind),
        ("channels/c", Kind::Channel)
    );
}

pub(crate) async fn the_matched_text_is_shown_escaped_and_marked(store: &impl Store) {
    let mut one = event("e1", "Monday");
    one.description = "Rock & <b>jazz</b>".into();
    put(store, [Document::Event(one)]).await;
    let page = store.search(&query("jazz"), None, 10).await.unwrap();
    assert_eq!(
        page.hits[0].snippet,
        "Rock &amp; &lt;b&gt;<em>jazz</em>&lt;/b&gt;"
    );
}

pub(crate) async fn a_query_of_many_long_words_is_answered(store: &impl Store) {
    put(store, [concert("e1", "Jazz")]).await;
    let text: Vec<_> = (10..34).map(|n| format!("symphonieorchester{n}")).collect();
    assert!(ids(store, &text.join(" ")).await.is_empty());
    let mut one = event("e2", &text.join(" "));
    one.description = text.join(", ");
    put(store, [Document::Event(one)]).await;
    assert_eq!(ids(store, &text.join(" ")).await, ["e2"]);
    assert_eq!(suggested(store, &text.join(" ")).await, [text.join(" ")]);
}
