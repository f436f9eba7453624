//! Several owners, sweeps and repeats at once.

use std::time::Duration;

use futures::future::join_all;

use super::*;

/// A batch of one beacon of a new viewer, as it would be folded at this offset.
pub(crate) fn visit(partition: u32, offset: u64) -> Flush {
    let viewer = format!("v{partition}-{offset}");
    Flush {
        peaks: [(event(), offset + 1)].into(),
        ..flush_of(&[received(&viewer, "s", 1, 10, State::Playing)])
    }
}

/// Sums, sessions, viewers, ledger and offsets tell the same: one view of one viewer for each message.
pub(crate) async fn check(store: &impl Store) -> u64 {
    let positions = store.positions().await.unwrap();
    let messages: u64 = positions.values().map(|position| position.next).sum();
    let peak = positions.values().map(|position| position.next).max();
    let summary = store.summary(&event(), 0).await.unwrap();
    assert_eq!(summary.totals.views, i64::try_from(messages).unwrap());
    assert_eq!(
        (summary.unique_viewers, Some(summary.peak)),
        (messages, peak.or(Some(0)))
    );
    let (ledger, produced) = store.ledger().await.unwrap();
    assert_eq!((ledger.counted, produced), (messages, messages));
    let sessions = store.heard_since(0, 1_000_000).await.unwrap();
    assert_eq!(sessions.len() as u64, messages);
    messages
}

pub(crate) async fn concurrent_flushes_of_different_partitions_all_count<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let owners = (0..8).map(|number| async move {
        for offset in 0..10 {
            let flush = visit(number, offset);
            store
                .flush(partition(number), offset, offset + 1, flush)
                .await
                .unwrap();
        }
    });
    join_all(owners).await;
    assert_eq!(check(store).await, 80);
}

pub(crate) async fn of_two_owners_of_a_partition_one_flushes<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    for offset in 0..10 {
        let owner = || store.flush(partition(0), offset, offset + 1, visit(0, offset));
        let flushed = join_all((0..4).map(|_| owner())).await;
        assert_eq!(flushed.iter().filter(|flushed| flushed.is_ok()).count(), 1);
        for refused in flushed.iter().filter_map(|flushed| flushed.as_ref().err()) {
            let found = offset + 1;
            assert!(
                matches!(refused, Error::Conflict { found: at, .. } if *at == found),
                "{refused:?}"
            );
        }
    }
    assert_eq!(check(store).await, 10);
}

pub(crate) async fn a_stale_owners_flush_changes_nothing<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    for offset in 0..3 {
        store
            .flush(partition(0), offset, offset + 1, visit(0, offset))
            .await
            .unwrap();
    }
    // It had folded the first two as one, with others in them.
    let stale = Flush {
        peaks: [(event(), 99)].into(),
        ..ten_seconds("stale")
    };
    for expected in [0, 1] {
        let refused = store
            .flush(partition(0), expected, expected + 2, stale.clone())
            .await;
        assert!(matches!(refused, Err(Error::Conflict { found: 3, .. })));
    }
    // One that is ahead of what is stored is as wrong.
    let refused = store.flush(partition(0), 7, 9, stale).await;
    assert!(matches!(refused, Err(Error::Conflict { found: 3, .. })));
    assert_eq!(check(store).await, 3);
}

/// Which is how the fold asks whether the store takes anything.
pub(crate) async fn a_flush_of_nothing_leaves_the_partition_where_it_is<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let nothing = |at| store.flush(partition(0), at, at, Flush::default());
    nothing(0).await.unwrap();
    store.flush(partition(0), 0, 1, visit(0, 0)).await.unwrap();
    nothing(1).await.unwrap();
    let elsewhere = nothing(0).await;
    assert!(
        matches!(elsewhere, Err(Error::Conflict { found: 1, .. })),
        "{elsewhere:?}"
    );
    assert_eq!(check(store).await, 1);
}

pub(crate) async fn a_flush_repeated_after_an_unknown_outcome_counts_once<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    for offset in 0..20 {
        let flush = || store.flush(partition(0), offset, offset + 1, visit(0, offset));
        // The answer is not waited for: whether it came through is not known.
        let wait = Duration::from_micros(offset * 300);
        drop(tokio::time::timeout(wait, flush()).await);
        match flush().await {
            Ok(()) => {}
            Err(Error::Conflict { found, .. }) => assert_eq!(found, offset + 1),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(check(store).await, 20);
}

pub(crate) async fn a_flush_given_up_in_the_middle_is_there_or_not<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    for attempt in 0..40 {
        let next = store
            .positions()
            .await
            .unwrap()
            .get(&partition(0))
            .map_or(0, |position| position.next);
        let flush = store.flush(partition(0), next, next + 1, visit(0, next));
        match tokio::time::timeout(Duration::from_micros(attempt * 150), flush).await {
            Ok(Ok(())) | Err(_) | Ok(Err(Error::Conflict { .. })) => {}
            Ok(Err(error)) => panic!("{error}"),
        }
    }
    // One more, which waits for what is still on its way.
    loop {
        let next = store
            .positions()
            .await
            .unwrap()
            .get(&partition(0))
            .map_or(0, |position| position.next);
        match store.flush(partition(0), next, next + 1, visit(0, next)).await {
            Err(Error::Conflict { .. }) => {}
            result => break result.unwrap(),
        }
    }
    assert!(check(store).await >= 1);
}

pub(crate) async fn a_session_that_was_swept_since_it_was_read_is_stale<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let first = flush_of(&[received("v", "s", 1, 10, State::Starting)]);
    store.flush(partition(0), 0, 1, first.clone()).await.unwrap();
    let mut known = store
        .sessions(first.sessions.keys().cloned().collect())
        .await
        .unwrap();
    let there = known.keys().cloned().collect();
    let folded = fold(
        &Rules::default(),
        |key| known.remove(key),
        &[received("v", "s", 2, 12, State::Playing)],
    );
    assert_eq!(store.sweep(vec![0], 11_000, 10).await.unwrap(), 1);
    let flush = Flush {
        sessions: folded.sessions,
        known: there,
        totals: folded.totals,
        ledger: folded.ledger,
        ..Flush::default()
    };
    let refused = store.flush(partition(0), 1, 2, flush).await;
    assert!(matches!(refused, Err(Error::Stale)), "{refused:?}");

    // Folded again, it is another view; the first was left before it began.
    let again = flush_of(&[received("v", "s", 2, 12, State::Playing)]);
    store.flush(partition(0), 1, 2, again.clone()).await.unwrap();
    let summary = store.summary(&event(), 0).await.unwrap();
    assert_eq!(
        (
            summary.totals.views,
            summary.totals.exits_before_start,
            summary.unique_viewers
        ),
        (2, 1, 1)
    );
    // And one that is there is not new.
    let refused = store.flush(partition(0), 2, 3, again).await;
    assert!(matches!(refused, Err(Error::Stale)), "{refused:?}");
}

pub(crate) async fn sweeps_and_flushes_at_once_lose_nothing<F: Fixture>(fixture: &F) {
    const EACH: u64 = 30;
    let store = &F::open(&fixture.place()).await;
    let owners = (0..3).map(|number| async move {
        for offset in 0..EACH {
            let viewer = format!("v{number}-{offset}");
            let flush = flush_of(&[received(&viewer, "s", 1, 10, State::Starting)]);
            store
                .flush(partition(number), offset, offset + 1, flush)
                .await
                .unwrap();
        }
        0
    });
    let sweepers = (0..2).map(|_| async move {
        let mut swept = 0;
        for _ in 0..20 {
            swept += store.sweep(vec![0, 1, 2], 11_000, 7).await.unwrap_or_default();
            tokio::task::yield_now().await;
        }
        swept
    });
    let (_, swept) = tokio::join!(join_all(owners), join_all(sweepers));
    let left = store.heard_since(0, 1_000).await.unwrap().len();
    assert_eq!(swept.iter().sum::<usize>() + left, 3 * EACH as usize);
    let summary = store.summary(&event(), 11_000).await.unwrap();
    assert_eq!(
        (summary.totals.views, summary.totals.exits_before_start),
        (3 * EACH as i64, 3 * EACH as i64),
        "swept or silent, each left before it began, once"
    );
}

pub(crate) async fn peaks_raised_at_once_leave_the_highest<F: Fixture>(fixture: &F) {
    let store = &F::open(&fixture.place()).await;
    let raise = |peak| async move { store.raise_peaks([(event(), peak)].into()).await.unwrap() };
    join_all((1..=20).map(raise)).await;
    assert_eq!(store.peak(&event()).await.unwrap(), 20);
}

pub(crate) async fn what_was_flushed_is_there_after_a_restart<F: Fixture>(fixture: &F) {
    let place = fixture.place();
    for round in 0..3 {
        let store = F::open(&place).await;
        for offset in [round * 2, round * 2 + 1] {
            store
                .flush(partition(0), offset, offset + 1, visit(0, offset))
                .await
                .unwrap();
        }
    }
    assert_eq!(check(&F::open(&place).await).await, 6);
}
