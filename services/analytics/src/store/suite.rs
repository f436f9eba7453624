//! What every store has to do. The macro owns the one list of cases and makes a test of each for an adapter.

use std::collections::BTreeMap;

use super::{Error, Flush, Partition, Store};
use crate::domain::{Ledger, Received, Report, SessionKey, State, fold};

/// Tests of every case. The block makes a fresh store and something that is kept until the test is over.
macro_rules! suite {
    ($open:block) => {
        crate::store::suite::cases! { $open,
            sums_and_offset_move_together,
            a_flush_from_elsewhere_than_expected_changes_nothing,
            a_ledger_that_does_not_add_up_is_refused,
            sessions_come_back_as_they_were,
            a_viewer_is_unique_once_per_event,
            partitions_add_up,
            a_peak_only_rises,
            open_sessions_are_found_by_when_they_were_heard_of,
            silent_starts_are_exits_once_they_are_closed,
            a_swept_session_is_gone_and_its_sums_stay,
            a_sweep_takes_so_many_at_once_the_oldest_first,
            a_topic_made_anew_begins_at_zero_and_keeps_the_sums,
            expired_messages_are_accounted_for,
            a_channels_owner_is_the_newest,
            an_event_is_known_once_it_was_put,
        }
    };
}

macro_rules! cases {
    ($open:block, $($case:ident,)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (store, _kept) = $open;
                crate::store::suite::$case(&store).await;
            }
        )+
    };
}

pub(crate) use {cases, suite};

fn partition(number: u32) -> Partition {
    Partition {
        topic: "t".into(),
        number,
    }
}

fn received(viewer: &str, session: &str, sequence: u64, seconds: i64, state: State) -> Received {
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
    let folded = fold(|_| None, batch);
    Flush {
        sessions: folded.sessions,
        totals: folded.totals,
        ledger: folded.ledger,
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

pub(crate) async fn sums_and_offset_move_together(store: &impl Store) {
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
    assert_eq!(store.next_offsets().await.unwrap()[&partition(0)], 2);
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

pub(crate) async fn a_flush_from_elsewhere_than_expected_changes_nothing(store: &impl Store) {
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

pub(crate) async fn a_ledger_that_does_not_add_up_is_refused(store: &impl Store) {
    assert!(store.flush(partition(0), 0, 3, ten_seconds("v")).await.is_err());
    assert_eq!(store.summary(&event(), 0).await.unwrap().totals.views, 0);
    assert!(store.next_offsets().await.unwrap().is_empty());
}

pub(crate) async fn sessions_come_back_as_they_were(store: &impl Store) {
    let batch: Vec<_> = (1..100)
        .map(|n| received("v", "s", n * 2, n as i64, State::Rebuffering))
        .collect();
    let flush = flush_of(&batch);
    store.flush(partition(0), 0, 99, flush.clone()).await.unwrap();
    let keys: Vec<_> = flush.sessions.keys().cloned().collect();
    let found = store.sessions(keys).await.unwrap();
    assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), flush.sessions);
}

pub(crate) async fn a_viewer_is_unique_once_per_event(store: &impl Store) {
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

pub(crate) async fn partitions_add_up(store: &impl Store) {
    store.flush(partition(0), 0, 2, ten_seconds("v")).await.unwrap();
    store.flush(partition(1), 0, 2, ten_seconds("w")).await.unwrap();
    let summary = store.summary(&event(), 0).await.unwrap();
    assert_eq!((summary.totals.watched_ms, summary.unique_viewers), (20_500, 2));
}

pub(crate) async fn a_peak_only_rises(store: &impl Store) {
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

pub(crate) async fn open_sessions_are_found_by_when_they_were_heard_of(store: &impl Store) {
    let batch = [
        received("old", "s", 1, 10, State::Playing),
        received("new", "s", 1, 20, State::Playing),
        received("over", "s", 1, 20, State::Ended),
    ];
    store.flush(partition(0), 0, 3, flush_of(&batch)).await.unwrap();
    let open = store.open_since(20_000).await.unwrap();
    assert_eq!(
        open.iter()
            .map(|(key, _)| key.viewer.as_str())
            .collect::<Vec<_>>(),
        ["new"]
    );
}

pub(crate) async fn silent_starts_are_exits_once_they_are_closed(store: &impl Store) {
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

pub(crate) async fn a_swept_session_is_gone_and_its_sums_stay(store: &impl Store) {
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

    assert_eq!(store.sweep(20_000, 10).await.unwrap(), 2);
    let left = store.sessions(keys).await.unwrap();
    assert_eq!(
        left.keys().map(|key| key.viewer.as_str()).collect::<Vec<_>>(),
        ["stays"]
    );
    assert_eq!(store.summary(&event(), 20_000).await.unwrap(), before);
    assert_eq!(store.last_received().await.unwrap(), Some(20_000));
}

pub(crate) async fn a_sweep_takes_so_many_at_once_the_oldest_first(store: &impl Store) {
    let batch = [
        received("second", "s", 1, 11, State::Ended),
        received("first", "s", 1, 10, State::Playing),
        received("third", "s", 1, 12, State::Playing),
    ];
    store.flush(partition(0), 0, 3, flush_of(&batch)).await.unwrap();
    assert_eq!(store.sweep(20_000, 2).await.unwrap(), 2);
    assert_eq!(store.open_since(0).await.unwrap()[0].0.viewer, "third");
    assert_eq!(store.sweep(20_000, 2).await.unwrap(), 1);
}

pub(crate) async fn a_topic_made_anew_begins_at_zero_and_keeps_the_sums(store: &impl Store) {
    store.flush(partition(0), 0, 2, ten_seconds("v")).await.unwrap();
    store.restart(partition(0)).await.unwrap();
    assert_eq!(store.next_offsets().await.unwrap()[&partition(0)], 0);
    store.flush(partition(0), 0, 2, ten_seconds("w")).await.unwrap();
    assert_eq!(store.summary(&event(), 0).await.unwrap().totals.views, 2);
    let (ledger, produced) = store.ledger().await.unwrap();
    assert_eq!((ledger.sum(), produced), (4, 4));
}

pub(crate) async fn expired_messages_are_accounted_for(store: &impl Store) {
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

pub(crate) async fn a_channels_owner_is_the_newest(store: &impl Store) {
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

pub(crate) async fn an_event_is_known_once_it_was_put(store: &impl Store) {
    assert!(!store.has_event(&event()).await.unwrap());
    for _ in 0..2 {
        store.put_event(event()).await.unwrap();
    }
    assert!(store.has_event(&event()).await.unwrap());
}
