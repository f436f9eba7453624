use super::*;
use crate::Message;

fn partition(number: u32) -> TopicPartition {
    TopicPartition {
        topic: "t".into(),
        partition: number,
    }
}

fn record(number: u32, offset: u64) -> Record {
    Record {
        topic: "t".into(),
        partition: number,
        offset,
        message: Message::default(),
    }
}

/// A member that reads partitions 0 and 1.
fn reading() -> Group {
    let mut group = Group::default();
    let news = group.assigned(vec![partition(0), partition(1)]);
    assert!(matches!(group.next(9), Some(Polled::Assigned(_))));
    assert!(!group.heeded(news), "it may still say where to begin");
    group.polled();
    assert!(group.heeded(news));
    group.begin(&partition(0));
    group.begin(&partition(1));
    group
}

fn offsets(polled: Option<Polled>) -> Vec<u64> {
    match polled {
        Some(Polled::Records(records)) => records.iter().map(|record| record.offset).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reading_begins_where_the_member_says_right_after_it_was_told() {
    let mut group = Group::default();
    group.assigned(vec![partition(0), partition(1)]);
    group.next(9);
    group.seek(&partition(0), 7);
    group.polled();
    assert_eq!(group.begin(&partition(0)), Some(7));
    assert_eq!(group.begin(&partition(1)), None, "where the group committed");
}

#[test]
fn partitions_take_turns() {
    let mut group = reading();
    for offset in 0..4 {
        group.arrived(1, record(0, offset));
        group.arrived(1, record(1, offset + 100));
    }
    let order: Vec<_> = (0..4).map(|_| offsets(group.next(2))).collect();
    assert_eq!(order, [[0, 1], [100, 101], [2, 3], [102, 103]]);
}

#[test]
fn a_partition_is_the_members_until_it_was_told_and_polled_again() {
    let mut group = reading();
    let news = group.revoked(vec![partition(0)]);
    group.polled();
    assert!(
        !group.heeded(news) && group.commit(&partition(0), 1),
        "it does not know yet"
    );
    assert!(matches!(group.next(9), Some(Polled::Revoked(_))));
    assert!(
        !group.heeded(news) && group.commit(&partition(0), 2),
        "it may be busy with it"
    );
    group.polled();
    assert!(group.heeded(news) && !group.commit(&partition(0), 3));
    assert!(group.commit(&partition(1), 1), "the other is still its own");
    assert_eq!(group.take_commits(Some(&[partition(0)])), [(partition(0), 2)]);
}

#[test]
fn nothing_is_delivered_of_a_partition_that_goes() {
    let mut group = reading();
    group.arrived(1, record(0, 0));
    group.revoked(vec![partition(0)]);
    assert!(matches!(group.next(9), Some(Polled::Revoked(_))));
    assert!(!group.arrived(1, record(0, 1)));
    assert!(group.next(9).is_none());
}

#[test]
fn what_came_after_a_partition_came_back_is_delivered_though_its_loss_is_told_late() {
    let mut group = reading();
    group.revoked(vec![partition(0)]);
    group.forget(&[partition(0)]);
    group.assigned(vec![partition(0)]);
    // The member is too busy to say where to begin: reading begins without it.
    group.begin(&partition(0));
    assert!(group.arrived(1, record(0, 5)));
    assert!(matches!(group.next(9), Some(Polled::Revoked(_))));
    assert!(matches!(group.next(9), Some(Polled::Assigned(_))));
    assert_eq!(offsets(group.next(9)), [5]);
}

#[test]
fn the_lag_of_a_partition_of_which_nothing_came_is_told_by_the_groups_place() {
    let mut group = reading();
    let place = |committed| Place {
        start: 2,
        end: 10,
        committed,
    };
    let places = HashMap::from([
        (("t".to_owned(), 0), place(Some(7))),
        (("t".to_owned(), 1), place(None)),
    ]);
    let lag = |group: &Group| group.lag(&places, str::to_owned)["t"];
    assert_eq!(lag(&group), 3 + 8);
    group.arrived(1, record(0, 8));
    group.next(9);
    assert_eq!(
        lag(&group),
        1 + 8,
        "what was delivered counts before it is committed"
    );
}

#[test]
fn what_is_lost_is_told_once_and_cannot_be_committed() {
    let mut group = reading();
    group.arrived(1, record(0, 0));
    group.revoked(vec![partition(1)]);
    group.lost();
    assert!(!group.commit(&partition(0), 1) && !group.commit(&partition(1), 1));
    let told: Vec<_> = std::iter::from_fn(|| group.next(9)).collect();
    assert!(
        matches!(&told[..], [Polled::Revoked(first), Polled::Revoked(second)]
            if *first == [partition(1)] && *second == [partition(0)]),
        "{told:?}"
    );
    group.assigned(vec![partition(0)]);
    assert!(matches!(group.next(9), Some(Polled::Assigned(_))));
    group.polled();
    group.begin(&partition(0));
    assert!(group.arrived(1, record(0, 0)), "it begins anew");
}

#[test]
fn after_a_seek_nothing_of_the_old_place_is_delivered() {
    let mut group = reading();
    group.arrived(1, record(0, 5));
    group.seek(&partition(0), 2);
    assert!(
        !group.arrived(1, record(0, 6)),
        "the consumer has not gone there yet"
    );
    assert_eq!(group.work().seeks, [(partition(0), 2)]);
    group.sought(&partition(0), 2);
    assert!(group.arrived(1, record(0, 2)));
    assert_eq!(offsets(group.next(9)), [2]);
}

#[test]
fn a_full_partition_is_held_until_most_of_it_was_delivered() {
    let mut group = reading();
    for offset in 0..=FULL_RECORDS as u64 {
        group.arrived(1, record(0, offset));
    }
    assert_eq!(group.work().hold, [partition(0)]);
    assert!(!group.has_work());
    group.next(FULL_RECORDS / 2);
    assert!(!group.has_work(), "not for every batch");
    group.next(FULL_RECORDS / 3);
    assert!(group.has_work());
    assert_eq!(group.work().release, [partition(0)]);
}

#[test]
fn a_record_that_comes_again_from_the_server_is_delivered_once() {
    let mut group = reading();
    for offset in [3, 4, 3, 4, 5] {
        group.arrived(1, record(0, offset));
    }
    assert_eq!(offsets(group.next(9)), [3, 4, 5]);
}

#[test]
fn a_failed_commit_is_tried_again_unless_there_is_a_later_one() {
    let mut group = reading();
    group.commit(&partition(0), 1);
    group.commit(&partition(1), 1);
    assert_eq!(group.take_commits(None).len(), 2);
    group.commit(&partition(0), 5);
    group.commit_failed(partition(0), 1);
    group.commit_failed(partition(1), 1);
    let mut again = group.take_commits(None);
    again.sort();
    assert_eq!(again, [(partition(0), 5), (partition(1), 1)]);
}
