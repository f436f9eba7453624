//! What is indexed: a channel, or a live event with what its channel lends it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Orders the versions of one resource: its `update_time` in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Version(pub i64);

impl Version {
    /// The version that was made at `time`.
    pub fn at(time: Timestamp) -> Self {
        Self(i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX))
    }
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A channel.
    Channel,
    /// A live event.
    Event,
}

impl Kind {
    /// The word for it in the index.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Event => "event",
        }
    }
}

/// The state of an event, as the events service tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Announced.
    Scheduled,
    /// On the air.
    Live,
    /// Over.
    Ended,
    /// Called off; still found, so that somebody who looks for it learns that.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Scheduled, Self::Live, Self::Ended, Self::Cancelled];

    /// The word for it in requests, answers and the index.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelDocument {
    /// `channels/{channel}`.
    pub name: String,
    /// Handle, without `@`.
    pub handle: String,
    /// Display name.
    pub display_name: String,
    /// Description.
    pub description: String,
    /// BCP 47 tag, or empty.
    pub language: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Which version of the channel this is.
    pub version: Version,
}

impl ChannelDocument {
    /// Whether events of the channel are found and shown with the other version as with this one.
    pub fn lends_the_same(&self, other: &Self) -> bool {
        (&self.handle, &self.display_name, &self.language)
            == (&other.handle, &other.display_name, &other.language)
    }
}

/// A live event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDocument {
    /// `channels/{channel}/events/{event}`.
    pub name: String,
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// Genre, or empty.
    pub genre: String,
    /// BCP 47 tag, or empty.
    pub language: String,
    /// Tags.
    pub tags: Vec<String>,
    /// State.
    pub state: State,
    /// When it is announced to start.
    pub start: Option<Timestamp>,
    /// False for events that only those find who have the name. Such a document is a tombstone: it keeps the version,
    /// so that an older, listed version that arrives again does not bring the event back.
    pub listed: bool,
    /// Which version of the event this is.
    pub version: Version,
    /// The channel as it was known then.
    pub channel: ChannelDocument,
}

/// One document of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Document {
    /// A channel.
    Channel(ChannelDocument),
    /// A live event.
    Event(EventDocument),
}

impl Document {
    /// The resource's name, which is the document's id.
    pub fn name(&self) -> &str {
        match self {
            Self::Channel(channel) => &channel.name,
            Self::Event(event) => &event.name,
        }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Channel(_) => Kind::Channel,
            Self::Event(_) => Kind::Event,
        }
    }

    /// Which version it is.
    pub fn version(&self) -> Version {
        match self {
            Self::Channel(channel) => channel.version,
            Self::Event(event) => event.version,
        }
    }

    /// False when no search may find it.
    pub fn is_listed(&self) -> bool {
        match self {
            Self::Channel(_) => true,
            Self::Event(event) => event.listed,
        }
    }

    /// Title of the event or display name of the channel.
    pub fn title(&self) -> &str {
        match self {
            Self::Channel(channel) => &channel.display_name,
            Self::Event(event) => &event.title,
        }
    }

    /// Description.
    pub fn description(&self) -> &str {
        match self {
            Self::Channel(channel) => &channel.description,
            Self::Event(event) => &event.description,
        }
    }

    /// Tags, and the genre of an event.
    pub fn labels(&self) -> Vec<&str> {
        match self {
            Self::Channel(channel) => channel.tags.iter().map(String::as_str).collect(),
            Self::Event(event) => event
                .tags
                .iter()
                .map(String::as_str)
                .chain([event.genre.as_str()])
                .collect(),
        }
    }

    /// The channel itself, or the event's.
    pub fn channel(&self) -> &ChannelDocument {
        match self {
            Self::Channel(channel) => channel,
            Self::Event(event) => &event.channel,
        }
    }

    /// Language of the event, or of its channel when the event names none.
    pub fn language(&self) -> &str {
        match self {
            Self::Event(event) if !event.language.is_empty() => &event.language,
            _ => &self.channel().language,
        }
    }

    /// Whether `self` takes the place of `present`: the same version again changes nothing, so it may.
    pub fn replaces(&self, present: Option<&Self>) -> bool {
        present.is_none_or(|present| self.version() >= present.version())
    }

    /// `self` in the place of `present`, with the newer channel of both; `None` when `present` is newer. Joining again, or
    /// in another order, comes to the same.
    #[must_use]
    pub fn join(&self, present: Option<&Self>) -> Option<Self> {
        if !self.replaces(present) {
            return None;
        }
        let mut joined = self.clone();
        if let (Self::Event(event), Some(Self::Event(present))) = (&mut joined, present) {
            event.take_channel(&present.channel);
        }
        Some(joined)
    }
}

impl EventDocument {
    /// Takes the channel's newer version over, if it shows on the event.
    pub fn take_channel(&mut self, channel: &ChannelDocument) {
        if channel.version > self.channel.version && !self.channel.lends_the_same(channel) {
            self.channel = channel.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_an_event_without_one_is_its_channels() {
        let channel = ChannelDocument {
            name: "channels/c".into(),
            handle: "c".into(),
            display_name: "C".into(),
            description: String::new(),
            language: "de".into(),
            tags: vec![],
            version: Version(1),
        };
        let event = EventDocument {
            name: "channels/c/events/e".into(),
            title: "E".into(),
            description: String::new(),
            genre: String::new(),
            language: String::new(),
            tags: vec![],
            state: State::Live,
            start: None,
            listed: true,
            version: Version(1),
            channel,
        };
        assert_eq!(Document::Event(event).language(), "de");
    }

    #[test]
    fn every_state_is_found_by_its_word_and_nothing_else_is() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("LIVE"), None);
    }
}
