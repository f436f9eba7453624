//! Kafka: one node that is broker and controller.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::{Result, files, tools, wire};

pub(crate) const VERSION: &str = "4.3.1";

/// Every jar that `pom` brings, with those that they need.
pub(crate) const PINNED: &str = include_str!("../pinned/kafka.sha256");

/// The broker, and the programs that come with it (`kafka.tools.StorageTool`, `org.apache.kafka.tools.*`).
pub(crate) fn pom() -> String {
    format!(
        "<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version>
<exclusions><exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId></exclusion></exclusions></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>"
    )
}

/// For clients, and for the controller.
pub(crate) const PORTS: usize = 2;
pub(crate) const STOP: Signal = Signal::TERM;

pub(crate) fn address(ports: &[u16]) -> String {
    format!("127.0.0.1:{}", ports[0])
}

/// The settings. What is not said here is Kafka's default.
///
/// Nothing is said about `log.flush.*`: a record is acknowledged when it is in the kernel's page cache, which outlives the
/// process however it is killed. Only the machine's own end could lose it, and against that Kafka has replicas.
fn properties(place: &Place) -> String {
    let (broker, controller) = (place.ports[0], place.ports[1]);
    let logs = place.data.join("logs");
    format!(
        "process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={}
# Topics are declared in Marquee's code; one that is not is a mistake that must show.
auto.create.topics.enable=false
num.partitions=3
# One node: nothing can be replicated.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
# As long as dead letters are kept: where a replay of them stands must not be forgotten before.
offsets.retention.minutes=43200
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=3
# A test's group does not wait for members that will not come, and may give up a dead one soon.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=200
# After a SIGKILL the node's own registration has to expire before it is let in again.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# A small installation: small segments, and buffers that fit a small heap.
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=16777216
",
        logs.display()
    )
}

fn java(place: &Place) -> Result<Command> {
    let mut java = Command::new(tools::java()?);
    java.args([
        "-Xms128m",
        "-Xmx512m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    ])
    .args(["-Dorg.slf4j.simpleLogger.showDateTime=true"])
    .env("CLASSPATH", place.software.join("lib").join("*"))
    .current_dir(&place.data);
    Ok(java)
}

fn settings(place: &Place) -> PathBuf {
    place.data.join("server.properties")
}

/// Formats the storage.
pub(crate) fn prepare(place: &Place) -> Result<()> {
    files::write(&settings(place), properties(place))?;
    let mut format = java(place)?;
    format
        .args([
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "marquee-000000000000000",
            "-c",
        ])
        .arg(settings(place));
    tools::run(&mut format).map(drop)
}

pub(crate) fn command(place: &Place) -> Result<Command> {
    files::write(&settings(place), properties(place))?;
    let mut command = java(place)?;
    command.arg("kafka.Kafka").arg(settings(place));
    Ok(command)
}

/// It answers which requests it takes, and knows itself as a broker that is let in: topics can then be made.
pub(crate) fn ready(place: &Place) -> Result<(), String> {
    const API_VERSIONS: i16 = 18;
    const METADATA: i16 = 3;
    let mut stream = wire::connect(place.ports[0])?;
    let mut ask = |key: i16, version: i16, body: &[u8]| {
        wire::send(&mut stream, &request(key, version, body))?;
        let length = wire::receive(&mut stream, 4)?;
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        wire::receive(&mut stream, length as usize)
    };
    let answer = ask(API_VERSIONS, 0, &[])?;
    let mut answer = Answer(&answer[..]).after_header()?;
    match answer.i16()? {
        0 => {}
        code => return Err(format!("ApiVersions: error {code}")),
    }
    // No topic, and none may be made by asking.
    let body = [&0_i32.to_be_bytes()[..], &[0]].concat();
    let answer = ask(METADATA, 4, &body)?;
    let mut answer = Answer(&answer[..]).after_header()?;
    let _throttled = answer.i32()?;
    match answer.i32()? {
        1.. => Ok(()),
        _ => Err("the broker is not let in yet".into()),
    }
}

/// A request with header version 1 (Kafka protocol guide, "Request Header v1").
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    const CLIENT: &[u8] = b"marquee";
    let mut message = Vec::new();
    message.extend(key.to_be_bytes());
    message.extend(version.to_be_bytes());
    message.extend(CORRELATION.to_be_bytes());
    message.extend([0, CLIENT.len() as u8]);
    message.extend(CLIENT);
    message.extend(body);
    let length = message.len() as u32;
    [&length.to_be_bytes()[..], &message].concat()
}

const CORRELATION: i32 = 0x4d51;

/// What is left of an answer.
struct Answer<'a>(&'a [u8]);

impl Answer<'_> {
    fn after_header(mut self) -> Result<Self, String> {
        match self.i32()? {
            CORRELATION => Ok(self),
            other => Err(format!("an answer to another question ({other})")),
        }
    }

    fn i16(&mut self) -> Result<i16, String> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, String> {
        self.take().map(i32::from_be_bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or("an answer that is too short")?;
        self.0 = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_length_its_kind_and_a_client() {
        let bytes = request(18, 0, &[9]);
        assert_eq!(bytes[..4], [0, 0, 0, 18]);
        assert_eq!(bytes[4..8], [0, 18, 0, 0]);
        assert_eq!(&bytes[12..21], b"\0\x07marquee");
        assert_eq!(bytes[21..], [9]);
    }

    #[test]
    fn an_answer_to_something_else_is_no_answer() {
        assert!(Answer(&[0, 0, 0, 1, 0, 0]).after_header().is_err());
        assert!(Answer(&[0, 0]).after_header().is_err());
        let answer = Answer(&[0, 0, 0x4d, 0x51, 0, 35]);
        assert_eq!(answer.after_header().unwrap().i16(), Ok(35));
    }
}
