//! Which events there are, as it was lately told: so that beacons do not ask the events service one by one.

use std::collections::HashMap;
use std::time::Duration;

use marquee_proto::name::EventName;
use tokio::time::Instant;

/// How long an answer is good for: an event that is made after its beacons were refused is taken soon after.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// Answers that are kept at most.
const MOST: usize = 1_024;

/// Answers of the events service.
#[derive(Debug, Default)]
pub(crate) struct Known {
    answers: HashMap<EventName, (bool, Instant)>,
}

impl Known {
    /// Whether there is such an event, if that was asked lately.
    pub(crate) fn get(&self, event: &EventName, now: Instant) -> Option<bool> {
        let (exists, until) = self.answers.get(event)?;
        (now < *until).then_some(*exists)
    }

    /// Keeps an answer.
    pub(crate) fn put(&mut self, event: EventName, exists: bool, now: Instant) {
        if self.answers.len() >= MOST {
            self.answers.retain(|_, (_, until)| now < *until);
        }
        if self.answers.len() >= MOST {
            self.answers.clear();
        }
        self.answers.insert(event, (exists, now + GOOD_FOR));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: usize) -> EventName {
        format!("channels/c/events/e{n}").parse().unwrap()
    }

    #[test]
    fn an_answer_is_good_for_five_seconds() {
        let (mut known, now) = (Known::default(), Instant::now());
        known.put(event(1), false, now);
        assert_eq!(
            known.get(&event(1), now + Duration::from_millis(4_999)),
            Some(false)
        );
        assert_eq!(known.get(&event(1), now + GOOD_FOR), None);
        assert_eq!(known.get(&event(2), now), None);
    }

    #[test]
    fn made_up_names_do_not_fill_the_memory() {
        let (mut known, now) = (Known::default(), Instant::now());
        for n in 0..MOST * 3 {
            known.put(event(n), false, now);
        }
        assert!(known.answers.len() <= MOST);
        assert_eq!(known.get(&event(MOST * 3 - 1), now), Some(false));
    }
}
