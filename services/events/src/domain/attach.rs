//! Which scheduled event a stream carries.

use jiff::{SignedDuration, Timestamp};

use super::event::{Details, LiveEvent, State};

/// How early before the announced start a stream is taken for the event.
pub(crate) const EARLY: SignedDuration = SignedDuration::from_hours(2);
/// How long after its start an event without an announced end is waited for.
const WITHOUT_END: SignedDuration = SignedDuration::from_hours(12);
/// The longest that an event is announced for.
pub(crate) const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// True when a stream that starts at `at` can be the event: it is announced to start within two hours, or is due and
/// not yet past its announced end (twelve hours after its start when it has none).
fn fits(details: &Details, at: Timestamp) -> bool {
    let start = details.scheduled_start_time;
    if start > at {
        return start.duration_since(at) <= EARLY;
    }
    match details.scheduled_end_time {
        Some(end) => at < end,
        None => at.duration_since(start) < WITHOUT_END,
    }
}

/// The nearest of the scheduled events that fit; of two equally near ones the earlier. `event` is what an item holds.
pub(crate) fn nearest<T>(items: Vec<T>, at: Timestamp, event: impl Fn(&T) -> &LiveEvent) -> Option<T> {
    let rank = |item: &T| {
        let event = event(item);
        let start = event.details.scheduled_start_time;
        (start.duration_since(at).abs(), start, event.name.clone())
    };
    items
        .into_iter()
        .filter(|item| event(item).state == State::Scheduled && fits(&event(item).details, at))
        .min_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::{at, sample};
    use super::*;

    const HOUR: i64 = 3_600;
    const NOW: i64 = 1_000 * HOUR;

    fn takes(event: &LiveEvent) -> bool {
        nearest(vec![event], at(NOW), |event| event).is_some()
    }

    #[test]
    fn an_event_is_taken_from_two_hours_before_its_start() {
        assert!(takes(&sample("e", NOW + 2 * HOUR)));
        assert!(!takes(&sample("e", NOW + 2 * HOUR + 1)));
    }

    #[test]
    fn an_event_without_an_end_waits_twelve_hours() {
        assert!(takes(&sample("e", NOW - 12 * HOUR + 1)));
        assert!(!takes(&sample("e", NOW - 12 * HOUR)));
    }

    #[test]
    fn an_event_with_an_end_waits_until_then() {
        let mut event = sample("e", NOW - 24 * HOUR);
        event.details.scheduled_end_time = Some(at(NOW + 1));
        assert!(takes(&event));
        event.details.scheduled_end_time = Some(at(NOW));
        assert!(!takes(&event));
    }

    #[test]
    fn the_nearest_is_taken_whether_before_or_after() {
        let events = [
            sample("late", NOW - 3 * HOUR),
            sample("soon", NOW + HOUR),
            sample("later", NOW + 2 * HOUR),
        ];
        let nearest = nearest(events.to_vec(), at(NOW), |event| event).unwrap();
        assert_eq!(nearest.name, "channels/c/events/soon");
    }

    #[test]
    fn an_event_that_is_not_scheduled_is_never_taken() {
        for state in [State::Live, State::Ended, State::Cancelled] {
            assert!(!takes(&LiveEvent {
                state,
                ..sample("e", NOW)
            }));
        }
    }
}
