//! A process that is killed leaves its partitions to the others.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use marquee_bus::testing::{Fixture, collect, message};
use marquee_bus::{EventBus, Polled};
use marquee_proto::topic::Topic;

use super::OnKafka;

const PREFIX: &str = "MARQUEE_TEST_BUS_PREFIX";
const TOPIC: Topic = Topic {
    name: "marquee.test.takeover.v1",
    source: "test",
    partitions: 2,
    retention: std::time::Duration::from_secs(3600),
};

/// The child: takes part in the group, commits one record, and says so, until it is killed.
#[tokio::test]
#[ignore = "run by the test below in a process of its own"]
async fn doomed() {
    let Ok(prefix) = std::env::var(PREFIX) else { return };
    let mut settings = super::settings(marquee_backends::address(marquee_backends::Backend::Kafka));
    settings.prefix = prefix;
    let bus = marquee_bus::kafka::Kafka::open(settings).unwrap();
    let mut subscription = bus.subscribe("g", &[TOPIC]).await.unwrap();
    let records = collect(&mut *subscription, 20).await;
    let record = records.iter().find(|record| record.partition == 0).unwrap();
    subscription
        .commit(&record.topic_partition(), record.offset + 1)
        .await
        .unwrap();
    while bus.committed("g", &TOPIC).await.unwrap()[0] != Some(record.offset + 1) {}
    writeln!(std::io::stdout(), "\ncommitted").unwrap();
    std::future::pending().await
}

#[tokio::test]
#[ignore = "needs kafka"]
async fn what_a_killed_process_had_goes_to_the_others_from_where_it_committed() {
    let fixture = OnKafka::start().await;
    let bus = &fixture.bus;
    bus.declare(&[TOPIC]).await.unwrap();
    bus.publish((0..20).map(|n| message(&TOPIC, &n.to_string(), "v")).collect())
        .await
        .unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "takeover::doomed", "--ignored", "--nocapture"])
        .env(PREFIX, &fixture.settings.prefix)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let committed = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .any(|line| line.unwrap() == "committed");
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    assert!(committed, "the child took part");
    let killed = std::time::Instant::now();
    let mut subscription = bus.subscribe("g", &[TOPIC]).await.unwrap();
    let Polled::Assigned(partitions) = subscription.poll(1).await.unwrap() else {
        panic!("nothing comes before the assignment")
    };
    writeln!(std::io::stderr(), "taken over after {:?}", killed.elapsed()).unwrap();
    assert_eq!(partitions.len(), 2);
    let records = collect(&mut *subscription, 19).await;
    assert!(
        records
            .iter()
            .all(|record| (record.partition, record.offset) != (0, 0)),
        "that was committed"
    );
}
