//! What every store has to do. The macro owns the one list of cases and makes a test of each for an adapter.

mod concurrent;
mod killed;

use std::collections::BTreeMap;

use super::{Error, Flush, Partition, Store};
use crate::domain::{Ledger, Received, Report, Rules, SessionKey, State, fold};

pub(crate) use concurrent::*;
pub(crate) use killed::*;

/// A place of a test's own for a store.
pub(crate) trait Fixture: Sized + Send + Sync {
    type Store: Store;

    async fn new() -> Self;

    /// What another process needs to open the same store.
    fn place(&self) -> String;

    /// Opens the store; more than once only when the one before is dropped.
    async fn open(place: &str) -> Self::Store;
}

/// Tests of every case. With `ignore = "needs mongodb"` they run only when they are asked for.
macro_rules! suite {
    ($fixture:ty $(, ignore = $why:literal)?) => {
        crate::store::suite::cases! { $fixture, [$($why)?],
            sums_and_offset_move_together,
            a_flush_from_elsewhere_than_expected_changes_nothing,
            a_ledger_that_does_not_add_up_is_refused,
            sessions_come_back_as_they_were,
            a_batch_of_a_thousand_sessions_is_taken_over,
            a_viewer_is_unique_once_per_event,
            partitions_add_up,
            a_peak_only_rises,
            sessions_are_found_by_when_they_were_heard_of,
            a_position_is_where_and_when,
            silent_starts_are_exits_once_they_are_closed,
            a_swept_session_is_gone_and_its_sums_stay,
            a_sweep_takes_so_many_at_once_the_oldest_first,
            a_sweep_leaves_other_partitions_alone,
            a_topic_made_anew_begins_at_zero_and_keeps_the_sums,
            only_who_knows_the_position_makes_it_begin_anew,
            expired_messages_are_accounted_for,
            a_channels_owner_is_the_newest,
            an_event_is_known_once_it_was_put,
            viewers_and_sessions_may_have_any_characters,
            concurrent_flushes_of_different_partitions_all_count,
            of_two_owners_of_a_partition_one_flushes,
            a_flush_of_nothing_leaves_the_partition_where_it_is,
            a_stale_owners_flush_changes_nothing,
            a_flush_repeated_after_an_unknown_outcome_counts_once,
            a_flush_given_up_in_the_middle_is_there_or_not,
            a_session_that_was_swept_since_it_was_read_is_stale,
            sweeps_and_flushes_at_once_lose_nothing,
            peaks_raised_at_once_leave_the_highest,
            what_was_flushed_is_there_after_a_restart,
        }
        #[tokio::test]
        $(#[ignore = $why])?
        async fn sums_equal_what_the_offsets_say_whenever_a_process_is_killed() {
            crate::store::suite::kill_again_and_again::<$fixture>(module_path!()).await;
        }

        /// The process that is killed.
        #[tokio::test]
        #[ignore = "is a child process of another test"]
        async fn victim() {
            crate::store::suite::victim::<$fixture>().await;
        }
    };
}

macro_rules! cases {
    ($fixture:ty, $why:tt, $($case:ident,)+) => {
        $(crate::store::suite::case!($fixture, $why, $case);)+
    };
}

macro_rules! case {
    ($fixture:ty, [$($why:literal)?], $case:ident) => {
        #[tokio::test]
        $(#[ignore = $why])?
        async fn $case() {
            let fixture = <$fixture as crate::store::suite::Fixture>::new().await;
            crate::store::suite::$case(&fixture).await;
        }
    };
}

pub(crate) use {case, cases, suite};

pub(crate) fn partition(number: u32) -> Partition {
    Partition {
        topic: "t".into(),
        number,
    }
}

pub(crate) fn received(viewer: &str, session: &str, sequence: u64, seconds: i64, state: State) -> Received {
    let event = "channels/c/events/e".parse().unwrap();
    Received {
        report: Report {
            key: SessionKey {
                viewer: viewer.into(),
                session: session.into(),
                event,
            },
            sequence,
            time_ms: seconds * 1000,
            state,
            startup_ms: Some(250),
            device: "tv".into(),
            country: "NL".into(),
            platform: "web".into(),
        },
        at_ms: seconds * 1000,
    }
}

/// What a batch of reports on an empty store changes.
fn flush_of(batch: &[Received]) -> Flush {
    let folded = fold(&Rules::default(), |_| None, batch);
    Flush {
        sessions: folded.sessions,
        totals: folded.totals,
        ledger: folded.ledger,
        received_ms: batch.iter().map(|received| received.at_ms).max(),
        ..Flush::default()
    }
}

fn ten_seconds(viewer: &str) -> Flush {
    flush_of(&[
        received(viewer, "s", 1, 0, State::Playing),
        received(viewer, "s", 2, 10, State::Ended),
    ])
}

fn event() -> marquee_proto::name::EventName {
    "channels/c/events/e".parse().unwrap()
}

pub(crate) async fn sums_and_offset_move_together<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store.flush(partition(0), 0, 2, ten_seconds("v")).await.unwrap();
    let summary = store.summary(&event(), 0).await.unwrap();
    assert_eq!(
        (
            summary.totals.views,
            summary.totals.watched_ms,
            summary.unique_viewers
        ),
        (1, 10_250, 1)
    );
    assert_eq!(store.positions().await.unwrap()[&partition(0)].next, 2);
    assert_eq!(
        store.ledger().await.unwrap(),
        (
            Ledger {
                counted: 2,
                ..Ledger::default()
            },
            2
        )
    );
}

pub(crate) async fn a_flush_from_elsewhere_than_expected_changes_nothing<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store.flush(partition(0), 0, 2, ten_seconds("v")).await.unwrap();
    let again = store.flush(partition(0), 0, 2, ten_seconds("v")).await;
    assert!(matches!(
        again,
        Err(Error::Conflict {
            expected: 0,
            found: 2
        })
    ));
    assert_eq!(store.summary(&event(), 0).await.unwrap().totals.views, 1);
}

pub(crate) async fn a_ledger_that_does_not_add_up_is_refused<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    assert!(store.flush(partition(0), 0, 3, ten_seconds("v")).await.is_err());
    assert_eq!(store.summary(&event(), 0).await.unwrap().totals.views, 0);
    assert!(store.positions().await.unwrap().is_empty());
}

pub(crate) async fn sessions_come_back_as_they_were<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let batch: Vec<_> = (1..100)
        .map(|n| received("v", "s", n * 2, n as i64, State::Rebuffering))
        .collect();
    let flush = flush_of(&batch);
    store.flush(partition(0), 0, 99, flush.clone()).await.unwrap();
    let keys: Vec<_> = flush.sessions.keys().cloned().collect();
    let found = store.sessions(keys).await.unwrap();
    assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), flush.sessions);
}

pub(crate) async fn a_viewer_is_unique_once_per_event<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store
        .flush(
            partition(0),
            0,
            1,
            flush_of(&[received("v", "s1", 1, 0, State::Playing)]),
        )
        .await
        .unwrap();
    store
        .flush(
            partition(0),
            1,
            2,
            flush_of(&[received("v", "s2", 1, 0, State::Playing)]),
        )
        .await
        .unwrap();
    store
        .flush(
            partition(0),
            2,
            3,
            flush_of(&[received("w", "s3", 1, 0, State::Playing)]),
        )
        .await
        .unwrap();
    let summary = store.summary(&event(), 0).await.unwrap();
    assert_eq!((summary.totals.views, summary.unique_viewers), (3, 2));
}

pub(crate) async fn partitions_add_up<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store.flush(partition(0), 0, 2, ten_seconds("v")).await.unwrap();
    store.flush(partition(1), 0, 2, ten_seconds("w")).await.unwrap();
    let summary = store.summary(&event(), 0).await.unwrap();
    assert_eq!((summary.totals.watched_ms, summary.unique_viewers), (20_500, 2));
}

pub(crate) async fn a_peak_only_rises<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    for peak in [3, 7, 5] {
        store.raise_peaks([(event(), peak)].into()).await.unwrap();
    }
    let flush = Flush {
        peaks: [(event(), 6)].into(),
        ..Flush::default()
    };
    store.flush(partition(0), 0, 0, flush).await.unwrap();
    assert_eq!(store.peak(&event()).await.unwrap(), 7);
    assert_eq!(store.summary(&event(), 0).await.unwrap().peak, 7);
}

pub(crate) async fn a_batch_of_a_thousand_sessions_is_taken_over<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let batch: Vec<_> = (0..2_500)
        .map(|n| received(&format!("v{n}"), "s", 1, n, State::Playing))
        .collect();
    let mut flush = flush_of(&batch);
    store.flush(partition(0), 0, 2_500, flush.clone()).await.unwrap();
    let keys: Vec<_> = flush.sessions.keys().cloned().collect();
    assert_eq!(store.sessions(keys.clone()).await.unwrap().len(), 2_500);
    flush.known = keys.into_iter().collect();
    flush.totals.clear();
    store.flush(partition(0), 2_500, 5_000, flush).await.unwrap();
    let summary = store.summary(&event(), 0).await.unwrap();
    assert_eq!((summary.totals.views, summary.unique_viewers), (2_500, 2_500));
}

pub(crate) async fn sessions_are_found_by_when_they_were_heard_of<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let batch = [
        received("old", "s", 1, 10, State::Playing),
        received("new", "s", 1, 20, State::Playing),
        received("over", "s", 1, 21, State::Ended),
    ];
    let flush = flush_of(&batch);
    store.flush(partition(7), 0, 3, flush.clone()).await.unwrap();
    let heard = store.heard_since(20_000, 10).await.unwrap();
    let found: Vec<_> = heard.iter().map(|heard| heard.key.viewer.as_str()).collect();
    assert_eq!(found, ["over", "new"], "the latest first");
    for heard in &heard {
        assert_eq!(
            (heard.partition, &heard.session),
            (7, &flush.sessions[&heard.key])
        );
    }
    let heard = store.heard_since(0, 1).await.unwrap();
    assert_eq!((heard.len(), heard[0].key.viewer.as_str()), (1, "over"));
}

pub(crate) async fn a_position_is_where_and_when<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store.flush(partition(0), 0, 2, ten_seconds("v")).await.unwrap();
    let malformed = Flush {
        ledger: Ledger {
            malformed: 1,
            ..Ledger::default()
        },
        ..Flush::default()
    };
    store.flush(partition(0), 2, 3, malformed).await.unwrap();
    let position = store.positions().await.unwrap()[&partition(0)];
    assert_eq!((position.next, position.received_ms), (3, Some(10_000)));
}

pub(crate) async fn silent_starts_are_exits_once_they_are_closed<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store
        .flush(
            partition(0),
            0,
            1,
            flush_of(&[received("v", "s", 1, 10, State::Starting)]),
        )
        .await
        .unwrap();
    assert_eq!(
        store
            .summary(&event(), 10_000)
            .await
            .unwrap()
            .totals
            .exits_before_start,
        0
    );
    assert_eq!(
        store
            .summary(&event(), 10_001)
            .await
            .unwrap()
            .totals
            .exits_before_start,
        1
    );
}

pub(crate) async fn a_swept_session_is_gone_and_its_sums_stay<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let batch = [
        received("left", "s", 1, 10, State::Starting),
        received("played", "s", 1, 10, State::Playing),
        received("stays", "s", 1, 20, State::Starting),
    ];
    let flush = flush_of(&batch);
    let keys: Vec<_> = flush.sessions.keys().cloned().collect();
    store.flush(partition(3), 0, 3, flush).await.unwrap();
    let before = store.summary(&event(), 20_000).await.unwrap();
    assert_eq!(before.totals.exits_before_start, 1);

    assert_eq!(store.sweep(vec![3], 20_000, 10).await.unwrap(), 2);
    let left = store.sessions(keys).await.unwrap();
    assert_eq!(
        left.keys().map(|key| key.viewer.as_str()).collect::<Vec<_>>(),
        ["stays"]
    );
    assert_eq!(store.summary(&event(), 20_000).await.unwrap(), before);
}

pub(crate) async fn a_sweep_takes_so_many_at_once_the_oldest_first<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let batch = [
        received("second", "s", 1, 11, State::Ended),
        received("first", "s", 1, 10, State::Playing),
        received("third", "s", 1, 12, State::Playing),
    ];
    store.flush(partition(0), 0, 3, flush_of(&batch)).await.unwrap();
    assert_eq!(store.sweep(vec![0], 20_000, 2).await.unwrap(), 2);
    assert_eq!(store.heard_since(0, 10).await.unwrap()[0].key.viewer, "third");
    assert_eq!(store.sweep(vec![0], 20_000, 2).await.unwrap(), 1);
}

pub(crate) async fn a_sweep_leaves_other_partitions_alone<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store.flush(partition(0), 0, 2, ten_seconds("v")).await.unwrap();
    store.flush(partition(1), 0, 2, ten_seconds("w")).await.unwrap();
    assert_eq!(store.sweep(vec![], 20_000, 10).await.unwrap(), 0);
    assert_eq!(store.sweep(vec![1, 2], 20_000, 10).await.unwrap(), 1);
    assert_eq!(store.heard_since(0, 10).await.unwrap()[0].key.viewer, "v");
}

pub(crate) async fn only_who_knows_the_position_makes_it_begin_anew<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store.flush(partition(0), 0, 2, ten_seconds("v")).await.unwrap();
    let stale = store.restart(partition(0), 5).await;
    assert!(matches!(
        stale,
        Err(Error::Conflict {
            expected: 5,
            found: 2
        })
    ));
    assert_eq!(store.positions().await.unwrap()[&partition(0)].next, 2);
}

pub(crate) async fn a_topic_made_anew_begins_at_zero_and_keeps_the_sums<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store.flush(partition(0), 0, 2, ten_seconds("v")).await.unwrap();
    store.restart(partition(0), 2).await.unwrap();
    assert_eq!(store.positions().await.unwrap()[&partition(0)].next, 0);
    store.flush(partition(0), 0, 2, ten_seconds("w")).await.unwrap();
    assert_eq!(store.summary(&event(), 0).await.unwrap().totals.views, 2);
    let (ledger, produced) = store.ledger().await.unwrap();
    assert_eq!((ledger.sum(), produced), (4, 4));
}

pub(crate) async fn expired_messages_are_accounted_for<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    store
        .flush(
            partition(0),
            0,
            102,
            Flush {
                skipped: 100,
                ..ten_seconds("v")
            },
        )
        .await
        .unwrap();
    let (ledger, produced) = store.ledger().await.unwrap();
    assert_eq!((ledger.sum(), produced), (2, 2));
}

pub(crate) async fn a_channels_owner_is_the_newest<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let channel = "channels/c".parse().unwrap();
    assert_eq!(store.channel_owner(&channel).await.unwrap(), None);
    for (owner, version) in [("accounts/second", 2), ("accounts/first", 1)] {
        store
            .put_channel(channel.clone(), owner.parse().unwrap(), version)
            .await
            .unwrap();
    }
    assert_eq!(
        store.channel_owner(&channel).await.unwrap(),
        Some("accounts/second".parse().unwrap())
    );
}

pub(crate) async fn an_event_is_known_once_it_was_put<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    assert!(!store.has_event(&event()).await.unwrap());
    for _ in 0..2 {
        store.put_event(event()).await.unwrap();
    }
    assert!(store.has_event(&event()).await.unwrap());
}

pub(crate) async fn viewers_and_sessions_may_have_any_characters<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let names = [
        "$where",
        "a.b",
        "",
        "'; DROP TABLE session; --",
        "\u{1F37F}",
        "a\0b",
    ];
    let batch: Vec<_> = names
        .iter()
        .map(|name| received(name, name, 1, 10, State::Playing))
        .collect();
    let flush = flush_of(&batch);
    let count = names.len() as u64;
    store.flush(partition(0), 0, count, flush.clone()).await.unwrap();
    let keys: Vec<_> = flush.sessions.keys().cloned().collect();
    assert_eq!(store.sessions(keys).await.unwrap().len(), names.len());
    assert_eq!(store.summary(&event(), 0).await.unwrap().unique_viewers, count);
}
