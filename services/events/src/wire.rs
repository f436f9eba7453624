//! Channels and events as they travel: in answers and on the bus.

use jiff::Timestamp;
use marquee_proto::events::v1 as proto;
use marquee_proto::subscriptions::v1::Money;
use marquee_proto::time::to_proto;

use crate::domain::channel::Channel;
use crate::domain::event::{Change, LiveEvent, State, Visibility};

pub(crate) fn channel(channel: &Channel) -> proto::Channel {
    proto::Channel {
        name: channel.name.clone(),
        handle: channel.profile.handle.to_string(),
        display_name: channel.profile.display_name.clone(),
        description: channel.profile.description.clone(),
        owner: channel.owner.clone(),
        language: channel.profile.language.clone(),
        tags: channel.profile.tags.clone(),
        create_time: Some(to_proto(channel.create_time)),
        update_time: Some(to_proto(channel.version.update_time())),
        etag: channel.version.etag(),
    }
}

/// The event as it is at `now`, which decides whether it is overdue.
pub(crate) fn event(event: &LiveEvent, now: Timestamp) -> proto::Event {
    let details = &event.details;
    proto::Event {
        name: event.name.clone(),
        title: details.title.clone(),
        description: details.description.clone(),
        scheduled_start_time: Some(to_proto(details.scheduled_start_time)),
        scheduled_end_time: details.scheduled_end_time.map(to_proto),
        genre: details.genre.clone(),
        tags: details.tags.clone(),
        language: details.language.clone(),
        maturity_rating: details.maturity_rating.clone(),
        visibility: visibility(details.visibility).into(),
        state: state(event.state).into(),
        overdue: event.is_overdue(now),
        start_time: event.start_time.map(to_proto),
        end_time: event.end_time.map(to_proto),
        live_stream: event.live_stream.clone(),
        playback_path: event.playback_path.clone(),
        recording_path: event.recording_path.clone(),
        create_time: Some(to_proto(event.create_time)),
        update_time: Some(to_proto(event.version.update_time())),
        etag: event.version.etag(),
        price: details.price.as_ref().map(|price| Money {
            currency: price.currency.clone(),
            minor_units: price.minor_units,
        }),
    }
}

const fn visibility(visibility: Visibility) -> proto::Visibility {
    match visibility {
        Visibility::Public => proto::Visibility::Public,
        Visibility::Unlisted => proto::Visibility::Unlisted,
        Visibility::Members => proto::Visibility::Members,
        Visibility::PayPerView => proto::Visibility::PayPerView,
    }
}

const fn state(state: State) -> proto::EventState {
    match state {
        State::Scheduled => proto::EventState::Scheduled,
        State::Live => proto::EventState::Live,
        State::Ended => proto::EventState::Ended,
        State::Cancelled => proto::EventState::Cancelled,
    }
}

pub(crate) fn channel_created(created: &Channel) -> proto::ChannelChanged {
    let created = proto::ChannelCreated {
        channel: Some(channel(created)),
    };
    proto::ChannelChanged {
        change: Some(proto::channel_changed::Change::Created(created)),
    }
}

pub(crate) fn channel_updated(updated: &Channel) -> proto::ChannelChanged {
    let updated = proto::ChannelUpdated {
        channel: Some(channel(updated)),
    };
    proto::ChannelChanged {
        change: Some(proto::channel_changed::Change::Updated(updated)),
    }
}

/// What is published of a change of an event; its channel travels with it.
pub(crate) fn event_changed(
    change: Change,
    changed: &LiveEvent,
    its: &Channel,
    now: Timestamp,
) -> proto::EventChanged {
    use proto::event_changed::Change as Kind;
    let event = Some(event(changed, now));
    let channel = Some(channel(its));
    let change = match change {
        Change::Scheduled => Kind::Scheduled(proto::EventScheduled { event, channel }),
        Change::Updated => Kind::Updated(proto::EventUpdated { event, channel }),
        Change::Live => Kind::Live(proto::EventLive { event, channel }),
        Change::Ended => Kind::Ended(proto::EventEnded { event, channel }),
        Change::Cancelled => Kind::Cancelled(proto::EventCancelled { event, channel }),
    };
    proto::EventChanged { change: Some(change) }
}
