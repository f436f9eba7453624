//! Killed with SIGKILL while it publishes, the bus has everything that it acknowledged.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::testing::collect;
use marquee_bus::{EventBus, Message, Outgoing};
use marquee_proto::topic::Topic;

const FOLDER: &str = "MARQUEE_TEST_BUS_FOLDER";
const TOPIC: Topic = Topic {
    name: "marquee.test.kill.v1",
    source: "test",
    partitions: 4,
    retention: std::time::Duration::from_secs(3600),
};

fn message(id: &str) -> Outgoing {
    let message = Message {
        id: id.to_owned(),
        key: id.to_owned(),
        ..Message::default()
    };
    Outgoing {
        topic: TOPIC.name.into(),
        message,
    }
}

/// The child: publishes from eight tasks and prints each id after it was acknowledged, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test below in a process of its own"]
async fn publisher() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let bus: Arc<dyn EventBus> = Embedded::open(&folder, Options::default()).unwrap();
    bus.declare(&[TOPIC]).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let bus = bus.clone();
        tasks.spawn(async move {
            for n in 0.. {
                let ids = [format!("{task}-{n}-a"), format!("{task}-{n}-b")];
                bus.publish(ids.iter().map(|id| message(id)).collect())
                    .await
                    .unwrap();
                writeln!(std::io::stdout(), "\nacknowledged {} {}", ids[0], ids[1]).unwrap();
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "publisher", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ids = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            ids.extend(
                line.strip_prefix("acknowledged ")
                    .into_iter()
                    .flat_map(|ids| ids.split(' '))
                    .map(str::to_owned),
            );
            if ids.len() == 1000 {
                child.kill().unwrap(); // SIGKILL; what it has printed until then is still read
            }
        }
        child.wait().unwrap();
        assert!(ids.len() >= 1000, "the child published");
        // Ids come again in every round; each round's own are told apart by their number of occurrences.
        acknowledged.extend(ids.into_iter().map(|id| (id, round)));

        let bus = Embedded::open(folder.path(), Options::default()).unwrap();
        bus.declare(&[TOPIC]).await.unwrap();
        let ends = bus.end_offsets(&TOPIC).await.unwrap();
        let mut subscription = bus.subscribe(&format!("round-{round}"), &[TOPIC]).await.unwrap();
        let records = collect(&mut *subscription, ends.iter().sum::<u64>() as usize).await;
        for partition in 0..TOPIC.partitions {
            let offsets: Vec<_> = records
                .iter()
                .filter(|r| r.partition == partition)
                .map(|r| r.offset)
                .collect();
            assert_eq!(
                offsets,
                (0..ends[partition as usize]).collect::<Vec<_>>(),
                "no gaps"
            );
        }
        let mut there: Vec<&str> = records.iter().map(|record| record.message.id.as_str()).collect();
        for (id, _) in &acknowledged {
            let at = there.iter().position(|known| known == id);
            there.swap_remove(at.unwrap_or_else(|| panic!("{id} was acknowledged and is gone")));
        }
    }
}
