use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use marquee_proto::topic::Topic;
use parking_lot::Mutex;

use crate::message::DAMAGE;
use crate::{Error, EventBus, Message, Outgoing, Record, Retries};

/// How long dead letters wait for somebody to look at them.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the name of a topic of dead letters ends with.
pub(crate) const DEAD_LETTERS: &str = ".dlq";

/// Bytes that a dead letter may be larger than the largest message: the largest must find its place too.
pub(crate) const DEAD_LETTER_ROOM: usize = 16 << 10;

/// What the names of the attributes begin with that a dead letter has more than its message.
pub(crate) const COORDINATES: &str = "dead_letter_";

/// Bytes of a dead letter's reason; well within [`DEAD_LETTER_ROOM`] with the coordinates.
pub(crate) const MAX_REASON: usize = 4 << 10;

/// Declares topics; waits for a bus that cannot be reached. For what runs in the background and has nobody to tell:
/// [`EventBus::ready`] says what is the matter meanwhile.
///
/// # Errors
/// What waiting does not mend.
pub async fn declare_when_reachable(bus: &dyn EventBus, topics: &[Topic]) -> Result<(), Error> {
    let retries = Retries {
        max: Duration::from_secs(2),
        ..Retries::default()
    };
    let mut failures = 0;
    loop {
        match bus.declare(topics).await {
            Err(error @ Error::Unavailable(_)) => {
                failures += 1;
                tracing::debug!(%error, failures, "cannot declare topics yet");
                tokio::time::sleep(retries.backoff(failures)).await;
            }
            result => return result,
        }
    }
}

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
    // The reason tells of it.
    attributes.retain(|(name, _)| name != DAMAGE);
    attributes.extend([
        (format!("{COORDINATES}reason"), cut(reason).to_owned()),
        (format!("{COORDINATES}topic"), record.topic.to_string()),
        (format!("{COORDINATES}partition"), record.partition.to_string()),
        (format!("{COORDINATES}offset"), record.offset.to_string()),
        (format!("{COORDINATES}group"), group.to_owned()),
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
