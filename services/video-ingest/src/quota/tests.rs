use super::*;

const FREE: u64 = u64::MAX;

fn stream(channel: &str, id: &str) -> LiveStreamName {
    LiveStreamName::new(channel, id).unwrap()
}

fn room(total: Option<u64>, per_channel: Option<u64>, reserve: u64, backlog: Option<u64>) -> Room {
    Room::new(&Quota {
        disk: Limits { total, per_channel },
        disk_reserve: reserve,
        backlog,
        ..Quota::default()
    })
}

#[test]
fn without_limits_everything_fits_but_what_the_disk_does_not_hold() {
    let room = room(None, None, 100, None);
    let a = stream("c", "a");
    assert_eq!(
        room.take(&a, 1 << 40),
        Ok(()),
        "nobody has looked at the disk yet"
    );
    assert_eq!(room.measured(250), None);
    assert_eq!(room.take(&a, 100), Ok(()));
    assert_eq!(room.take(&a, 51), Err(Pause::DiskFull));
    assert_eq!(room.of(&a), (1 << 40) + 100);
    assert_eq!(
        room.measured(150),
        Some(Pause::DiskFull),
        "what did not fit would not fit now"
    );
    assert_eq!(room.measured(151), None);
    assert_eq!(room.take(&a, 51), Ok(()));
}

#[test]
fn a_pause_holds_until_there_is_room_again_and_not_just_for_a_moment() {
    let room = room(Some(1_000), None, 0, None);
    let a = stream("c", "a");
    assert_eq!(room.take(&a, 900), Ok(()));
    assert_eq!(room.take(&a, 200), Err(Pause::Quota));
    assert_eq!(room.take(&a, 1), Err(Pause::Quota), "even what would fit");
    room.found(&a, 90);
    assert_eq!(room.measured(FREE), Some(Pause::Quota));
    room.freed(&a, 190);
    assert_eq!(room.measured(FREE), None);
    assert_eq!(room.take(&a, 50), Ok(()));
}

#[test]
fn one_full_channel_does_not_hold_up_another() {
    let room = room(None, Some(1_000), 0, None);
    let (a, b) = (stream("c", "a"), stream("d", "b"));
    assert_eq!(room.take(&a, 1_000), Ok(()));
    assert_eq!(room.take(&a, 1), Err(Pause::ChannelQuota));
    assert_eq!(room.take(&b, 1_000), Ok(()));
    room.forget(&a);
    assert_eq!(room.take(&a, 1), Err(Pause::ChannelQuota));
    assert_eq!(room.measured(FREE), None);
    assert_eq!(room.take(&a, 1), Ok(()));
}

#[test]
fn what_waits_to_be_uploaded_is_bounded() {
    let room = room(None, None, 0, Some(500));
    let a = stream("c", "a");
    room.waits(&a, 500);
    assert_eq!(room.take(&a, 1), Err(Pause::UploadBacklog));
    room.waits_no_more(&a, 400);
    assert_eq!(room.measured(FREE), None);
    assert_eq!(room.take(&a, 1), Ok(()));
}

#[test]
fn room_is_made_before_a_limit_is_reached() {
    let room = room(Some(1_000), Some(600), 0, None);
    room.found(&stream("c", "a"), 590);
    room.found(&stream("d", "b"), 400);
    let excess = room.excess(FREE);
    assert_eq!(excess.total, 40);
    assert_eq!(excess.channels, HashMap::from([("c".to_owned(), 20)]));
    assert_eq!(
        room.measured(FREE),
        None,
        "it is not paused before a writer finds no room"
    );
}

#[test]
fn what_did_not_fit_is_made_room_for_however_small_the_limit() {
    let room = room(Some(1_000), None, 0, None);
    let a = stream("c", "a");
    room.found(&a, 700);
    assert_eq!(room.take(&a, 400), Err(Pause::Quota));
    assert_eq!(room.excess(FREE).total, 100);
    assert_eq!(room.measured(FREE), Some(Pause::Quota));
    room.freed(&a, 100);
    assert_eq!(room.measured(FREE), None);
    assert_eq!(room.take(&a, 400), Ok(()));
}

#[test]
fn a_disk_that_others_fill_has_to_be_freed_too() {
    let room = room(None, None, 1_000, None);
    assert_eq!(room.excess(1_050).total, 0);
    assert_eq!(room.excess(400).total, 650);
}

#[test]
fn the_oldest_go_first_and_only_those_that_help() {
    let candidate = |channel: &str, bytes, what| Candidate {
        channel: channel.to_owned(),
        bytes,
        what,
    };
    let all = || {
        [
            candidate("c", 10, 1),
            candidate("d", 10, 2),
            candidate("c", 10, 3),
            candidate("d", 10, 4),
        ]
    };
    let chosen = |total, channel: &[(&str, u64)]| -> Vec<i32> {
        let channels = channel
            .iter()
            .map(|(name, excess)| ((*name).to_owned(), *excess))
            .collect();
        order(all(), Excess { total, channels })
            .into_iter()
            .map(|c| c.what)
            .collect()
    };
    assert_eq!(chosen(0, &[]), [0; 0]);
    assert_eq!(chosen(15, &[]), [1, 2]);
    assert_eq!(chosen(0, &[("d", 11)]), [2, 4]);
    assert_eq!(
        chosen(5, &[("d", 11)]),
        [1, 2, 4],
        "what helps all may be of any channel"
    );
    assert_eq!(chosen(1_000, &[]), [1, 2, 3, 4]);
}
