use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use marquee_proto::topic::Topic;
use parking_lot::Mutex;

use crate::{Message, Outgoing, Record};

/// How long dead letters wait for somebody to look at them.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the name of a topic of dead letters ends with.
pub(crate) const DEAD_LETTERS: &str = ".dlq";

/// Bytes that a dead letter may be larger than the largest message: the largest must find its place too.
pub(crate) const DEAD_LETTER_ROOM: usize = 16 << 10;

/// Bytes of a dead letter's reason; well within [`DEAD_LETTER_ROOM`] with the coordinates.
pub(crate) const MAX_REASON: usize = 4 << 10;

/// The topic `<topic>.dlq` that messages go to which cannot be handled.
pub fn dead_letters(topic: &Topic) -> Topic {
    static NAMES: LazyLock<Mutex<HashMap<&'static str, &'static str>>> = LazyLock::new(Mutex::default);
    // A topic's name is static, since topics are declared in code; there are as many of these as topics.
    let mut names = NAMES.lock();
    let name = *names
        .entry(topic.name)
        .or_insert_with(|| format!("{}{DEAD_LETTERS}", topic.name).leak());
    Topic {
        name,
        retention: DEAD_LETTER_RETENTION,
        ..*topic
    }
}

/// The letter that tells of a record that `group` cannot handle: the message as it was, with the reason and its
/// coordinates as attributes. [`Consumer`](crate::Consumer) sends them by itself; who polls a subscription sends this.
pub fn dead_letter(record: &Record, group: &str, reason: &str) -> Outgoing {
    let mut attributes = record.message.attributes.clone();
    attributes.extend([
        ("dead_letter_reason".to_owned(), cut(reason).to_owned()),
        ("dead_letter_topic".to_owned(), record.topic.to_string()),
        ("dead_letter_partition".to_owned(), record.partition.to_string()),
        ("dead_letter_offset".to_owned(), record.offset.to_string()),
        ("dead_letter_group".to_owned(), group.to_owned()),
    ]);
    Outgoing {
        topic: Cow::Owned(format!("{}{DEAD_LETTERS}", record.topic)),
        message: Message {
            attributes,
            ..record.message.clone()
        },
    }
}

fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MAX_REASON)]
}
