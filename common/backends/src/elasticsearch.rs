//! Elasticsearch, twice: a node in a JVM of ours (7.17), and the stock distribution (8).
//!
//! Elastic publishes the server and some of its modules as Maven artifacts, but neither the module with the analysers nor, for
//! 8, that with `GET /`. `java/` brings what is missing, as a plugin over the Lucene parts that are there.

use rustix::process::Signal;

use crate::place::Place;
use crate::wire;

pub(crate) mod embedded;
pub(crate) mod stock;

/// For clients, and for other nodes, of which there are none.
pub(crate) const PORTS: usize = 2;
pub(crate) const STOP: Signal = Signal::TERM;

/// The Lucene parts, by the names that Elasticsearch gives them: the same source for both.
pub(crate) const PARTS: (&str, &str) = ("Parts.java", include_str!("../java/Parts.java"));

pub(crate) fn address(ports: &[u16]) -> String {
    format!("http://127.0.0.1:{}", ports[0])
}

/// All shards of all indices that it has can be searched and written.
pub(crate) fn ready(place: &Place) -> Result<(), String> {
    let (status, body) = wire::get(
        place.ports[0],
        "/_cluster/health?wait_for_status=yellow&timeout=2s",
    )?;
    if status == 200 {
        Ok(())
    } else {
        Err(format!("its health is {status}: {body}"))
    }
}
