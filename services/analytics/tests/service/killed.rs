//! A process that is killed with SIGKILL loses no acknowledged beacon and counts none twice.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use marquee_analytics::domain::Rules;
use marquee_bus::EventBus as _;
use marquee_proto::analytics::v1::PlaybackState::Playing;
use marquee_proto::topic::PLAYBACK;

use crate::fixture::{Fixture, beacon};

const FOLDER: &str = "MARQUEE_TEST_KILLED_FOLDER";
const ROUND: &str = "MARQUEE_TEST_KILLED_ROUND";

/// The process that is killed: sends beacons, each of its own session, and says when one is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn victim() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else {
        return;
    };
    let round: u128 = round.parse().unwrap();
    let fixture = Fixture::start_in(Path::new(&folder), Rules::default()).await;
    for n in 0.. {
        let session = round * 1_000_000 + n;
        assert_eq!(
            fixture.send(vec![beacon(session, 1, 0, Playing)]).await.accepted,
            1
        );
        println!("acknowledged {session}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_no_acknowledged_beacon_and_counts_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::victim", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines
            .map_while(Result::ok)
            .filter(|line| line.contains("acknowledged"))
            .take(25 * round)
            .count();
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged += told as i64;
    }
    assert_eq!(acknowledged, 25 + 50 + 75);

    let fixture = Fixture::start_in(folder.path(), Rules::default()).await;
    let produced: u64 = fixture
        .bus
        .end_offsets(&PLAYBACK)
        .await
        .unwrap()
        .into_iter()
        .sum();
    let produced = i64::try_from(produced).unwrap();
    let summary = fixture.summary_when(|summary| summary.views >= produced).await;
    assert!(produced >= acknowledged, "{produced} of {acknowledged}");
    assert_eq!((summary.views, summary.unique_viewers), (produced, produced));
    let (ledger, accounted) = fixture.ledger_of(produced as u64).await;
    assert_eq!(
        (ledger.counted, ledger.sum(), accounted),
        (produced as u64, produced as u64, produced as u64)
    );
}
