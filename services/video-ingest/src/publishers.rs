//! The encoders that publish in this process, and how they are sent away.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use marquee_proto::name::LiveStreamName;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::domain::IngestLimits;

/// An encoder that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publisher {
    pub(crate) stream: LiveStreamName,
    /// Resource name; empty when a webhook let it in.
    pub(crate) stream_key: String,
    pub(crate) address: IpAddr,
    /// What it calls itself.
    pub(crate) encoder: String,
    pub(crate) connect_time: Timestamp,
}

/// All of them, by their encoder's number: the newest of a stream is the one that publishes, one before it may still
/// fade away. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Publishers {
    entries: Arc<Mutex<BTreeMap<u64, Entry>>>,
}

struct Entry {
    publisher: Publisher,
    limits: watch::Sender<IngestLimits>,
    kick: Option<oneshot::Sender<String>>,
}

/// A place in the list, given back when it is dropped.
pub(crate) struct Registration {
    publishers: Publishers,
    encoder: u64,
    /// Completes with a reason when the encoder has to go.
    pub(crate) kicked: oneshot::Receiver<String>,
    /// It has completed.
    pub(crate) is_kicked: bool,
    /// What it is held to.
    pub(crate) limits: watch::Receiver<IngestLimits>,
}

impl Publishers {
    /// Adds an encoder for as long as the registration lives.
    pub(crate) fn register(&self, encoder: u64, publisher: Publisher, limits: IngestLimits) -> Registration {
        let (kick, kicked) = oneshot::channel();
        let (limits, held_to) = watch::channel(limits);
        let entry = Entry {
            publisher,
            limits,
            kick: Some(kick),
        };
        self.entries.lock().insert(encoder, entry);
        Registration {
            publishers: self.clone(),
            encoder,
            kicked,
            is_kicked: false,
            limits: held_to,
        }
    }

    /// Holds who publishes with this key to other limits.
    pub(crate) fn limit(&self, stream_key: &str, limits: IngestLimits) {
        for entry in self.entries.lock().values() {
            if entry.publisher.stream_key == stream_key {
                entry.limits.send_replace(limits);
            }
        }
    }

    /// Who publishes a stream.
    pub(crate) fn of(&self, stream: &LiveStreamName) -> Option<Publisher> {
        let entries = self.entries.lock();
        let newest = entries
            .values()
            .rev()
            .find(|entry| entry.publisher.stream == *stream && entry.kick.is_some());
        newest.map(|entry| entry.publisher.clone())
    }

    /// Sends all away that `wanted` names.
    pub(crate) fn send_away(&self, wanted: impl Fn(&Publisher) -> bool, reason: &str) -> Vec<Publisher> {
        let mut gone = Vec::new();
        for entry in self.entries.lock().values_mut() {
            if wanted(&entry.publisher)
                && let Some(kick) = entry.kick.take()
            {
                // Its connection may have ended by itself.
                if kick.send(reason.to_owned()).is_ok() {
                    gone.push(entry.publisher.clone());
                }
            }
        }
        gone
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.publishers.entries.lock().remove(&self.encoder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher(stream: &str, address: &str) -> Publisher {
        Publisher {
            stream: LiveStreamName::new("c", stream).unwrap(),
            stream_key: "channels/c/streamKeys/k".to_owned(),
            address: address.parse().unwrap(),
            encoder: "OBS".to_owned(),
            connect_time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_newest_publishes_until_it_is_gone() {
        let publishers = Publishers::default();
        let stream = LiveStreamName::new("c", "s").unwrap();
        let _first = publishers.register(1, publisher("s", "192.0.2.1"), IngestLimits::default());
        let second = publishers.register(2, publisher("s", "192.0.2.2"), IngestLimits::default());
        assert_eq!(publishers.of(&stream), Some(publisher("s", "192.0.2.2")));
        drop(second);
        assert_eq!(publishers.of(&stream), Some(publisher("s", "192.0.2.1")));
    }

    #[test]
    fn who_is_sent_away_learns_why_and_is_sent_away_once() {
        let publishers = Publishers::default();
        let mut near = publishers.register(1, publisher("s", "192.0.2.1"), IngestLimits::default());
        let mut far = publishers.register(2, publisher("t", "198.51.100.1"), IngestLimits::default());
        let is_near = |publisher: &Publisher| publisher.address.to_string() == "192.0.2.1";
        assert_eq!(publishers.send_away(is_near, "enough").len(), 1);
        assert_eq!(near.kicked.try_recv().unwrap(), "enough");
        assert!(far.kicked.try_recv().is_err());
        assert!(publishers.send_away(is_near, "enough").is_empty());
    }
}
