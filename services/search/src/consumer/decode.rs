//! Bus events to documents.

use jiff::Timestamp;
use marquee_bus::Record;
use marquee_proto::events::v1::{
    Channel, ChannelChanged, Event, EventChanged, EventState, Visibility, channel_changed, event_changed,
};
use marquee_proto::name::{ChannelName, EventName};
use marquee_proto::time::from_proto;
use marquee_proto::topic;
use prost::Message as _;

use crate::domain::{ChannelDocument, Document, EventDocument, State, Version};

/// The document that a record carries, or why there is none in it.
pub(super) fn document(record: &Record) -> Result<Document, String> {
    if let Some(reason) = record.message.damage() {
        return Err(reason.to_owned());
    }
    let value = record.message.value.clone();
    let time = record.message.time;
    if *record.topic == *topic::CHANNEL.name {
        let changed = ChannelChanged::decode(value).map_err(|error| error.to_string())?;
        let channel = match changed.change {
            Some(channel_changed::Change::Created(created)) => created.channel,
            Some(channel_changed::Change::Updated(updated)) => updated.channel,
            None => None,
        };
        return Ok(Document::Channel(self::channel(
            channel.ok_or("no channel in it")?,
            time,
        )?));
    }
    let changed = EventChanged::decode(value).map_err(|error| error.to_string())?;
    let (event, channel) = match changed.change {
        Some(event_changed::Change::Scheduled(change)) => (change.event, change.channel),
        Some(event_changed::Change::Updated(change)) => (change.event, change.channel),
        Some(event_changed::Change::Live(change)) => (change.event, change.channel),
        Some(event_changed::Change::Ended(change)) => (change.event, change.channel),
        Some(event_changed::Change::Cancelled(change)) => (change.event, change.channel),
        None => (None, None),
    };
    Ok(Document::Event(self::event(
        event.ok_or("no event in it")?,
        channel,
        time,
    )?))
}

fn channel(channel: Channel, time: Timestamp) -> Result<ChannelDocument, String> {
    channel
        .name
        .parse::<ChannelName>()
        .map_err(|error| error.to_string())?;
    Ok(ChannelDocument {
        version: version(channel.update_time.as_ref(), time),
        name: channel.name,
        handle: channel.handle,
        display_name: channel.display_name,
        description: channel.description,
        language: channel.language,
        tags: channel.tags,
    })
}

fn event(event: Event, channel: Option<Channel>, time: Timestamp) -> Result<EventDocument, String> {
    let name: EventName = event.name.parse().map_err(|error| format!("{error}"))?;
    let state = match event.state() {
        EventState::Scheduled => State::Scheduled,
        EventState::Live => State::Live,
        EventState::Ended => State::Ended,
        EventState::Cancelled => State::Cancelled,
        EventState::Unspecified => return Err(format!("unknown state {}", event.state)),
    };
    // A visibility that this version does not know is not listed.
    let visibility = Visibility::try_from(event.visibility);
    let listed = match visibility {
        Ok(Visibility::Unlisted) | Err(_) => false,
        // What costs something has to be found to be bought.
        Ok(Visibility::Unspecified | Visibility::Public | Visibility::Members | Visibility::PayPerView) => {
            true
        }
    };
    let channel = match channel {
        Some(channel) if channel.name == name.channel().to_string() => self::channel(channel, time)?,
        Some(channel) => return Err(format!("an event of another channel than `{}`", channel.name)),
        None => ChannelDocument {
            name: name.channel().to_string(),
            handle: String::new(),
            display_name: String::new(),
            description: String::new(),
            language: String::new(),
            tags: Vec::new(),
            version: Version::default(),
        },
    };
    Ok(EventDocument {
        version: version(event.update_time.as_ref(), time),
        start: event.scheduled_start_time.as_ref().and_then(from_proto),
        name: event.name,
        title: event.title,
        description: event.description,
        genre: event.genre,
        language: event.language,
        tags: event.tags,
        state,
        listed,
        channel,
    })
}

/// The version by `update_time`, or by when the bus event was made where there is none.
fn version(update_time: Option<&prost_types::Timestamp>, time: Timestamp) -> Version {
    Version::at(update_time.and_then(from_proto).unwrap_or(time))
}

#[cfg(test)]
mod tests {
    use marquee_bus::{Message, event as bus_event};
    use marquee_proto::events::v1::{EventCancelled, EventUpdated};

    use super::*;

    fn record(topic: &str, message: Message) -> Record {
        Record {
            topic: topic.into(),
            partition: 0,
            offset: 0,
            message,
        }
    }

    fn updated(event: Event) -> Record {
        let channel = Channel {
            name: "channels/c".into(),
            ..Channel::default()
        };
        let change = event_changed::Change::Updated(EventUpdated {
            event: Some(event),
            channel: Some(channel),
        });
        let message = bus_event("e", &EventChanged { change: Some(change) }).message;
        record(topic::EVENT.name, message)
    }

    fn public() -> Event {
        Event {
            name: "channels/c/events/e".into(),
            state: EventState::Live.into(),
            visibility: Visibility::Public.into(),
            ..Event::default()
        }
    }

    #[test]
    fn only_events_that_everybody_may_find_are_listed() {
        let listed = |visibility: i32| {
            document(&updated(Event {
                visibility,
                ..public()
            }))
            .unwrap()
            .is_listed()
        };
        assert!(listed(Visibility::Public.into()) && listed(Visibility::Unspecified.into()));
        assert!(listed(Visibility::Members.into()) && listed(Visibility::PayPerView.into()));
        assert!(!listed(Visibility::Unlisted.into()));
        assert!(!listed(77), "a visibility of the future");
    }

    #[test]
    fn an_event_without_its_channel_is_taken_with_the_channels_name() {
        let change = event_changed::Change::Cancelled(EventCancelled {
            event: Some(public()),
            channel: None,
        });
        let message = bus_event("e", &EventChanged { change: Some(change) }).message;
        let document = document(&record(topic::EVENT.name, message)).unwrap();
        assert_eq!(document.channel().name, "channels/c");
    }

    #[test]
    fn what_cannot_be_indexed_says_why() {
        let garbage = Message {
            value: vec![0xff].into(),
            ..Message::default()
        };
        assert!(document(&record(topic::EVENT.name, garbage)).is_err());
        let empty = bus_event("e", &EventChanged { change: None }).message;
        assert_eq!(
            document(&record(topic::EVENT.name, empty)).unwrap_err(),
            "no event in it"
        );
        let stateless = updated(Event { state: 0, ..public() });
        assert_eq!(document(&stateless).unwrap_err(), "unknown state 0");
        let foreign = updated(Event {
            name: "channels/other/events/e".into(),
            ..public()
        });
        assert!(document(&foreign).is_err());
    }
}
