use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use marquee_proto::topic::Topic;
use parking_lot::Mutex;

/// How long dead letters wait for somebody to look at them.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The topic `<topic>.dlq` that messages go to which cannot be handled.
pub fn dead_letters(topic: &Topic) -> Topic {
    static NAMES: LazyLock<Mutex<HashMap<&'static str, &'static str>>> = LazyLock::new(Mutex::default);
    // A topic's name is static, since topics are declared in code; there are as many of these as topics.
    let mut names = NAMES.lock();
    let name = *names
        .entry(topic.name)
        .or_insert_with(|| format!("{}.dlq", topic.name).leak());
    Topic {
        name,
        retention: DEAD_LETTER_RETENTION,
        ..*topic
    }
}
