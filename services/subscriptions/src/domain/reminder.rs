//! Reminders.

use std::time::Duration;

use jiff::Timestamp;
use marquee_proto::name::{EventName, ReminderName};

/// An account wants to be reminded of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reminder {
    pub(crate) name: ReminderName,
    pub(crate) event: EventName,
    pub(crate) lead_time: LeadTime,
    pub(crate) create_time: Timestamp,
}

/// How many reminders one account can have of one event: more lead times than anybody needs, few enough that nobody
/// fills the store with them.
pub(crate) const MAX_PER_EVENT: usize = 10;

/// How long before an event's scheduled start: whole seconds, 0 to 7 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeadTime(u32);

impl LeadTime {
    const MAX: u32 = 7 * 24 * 60 * 60;

    /// Takes whole seconds up to 7 days.
    pub(crate) fn new(duration: Duration) -> Result<Self, &'static str> {
        const ALLOWED: &str = "must be 0 to 7 days, in whole seconds";
        let seconds = u32::try_from(duration.as_secs()).map_err(|_| ALLOWED)?;
        if seconds > Self::MAX || duration.subsec_nanos() != 0 {
            return Err(ALLOWED);
        }
        Ok(Self(seconds))
    }

    /// A lead time that was read from the store.
    pub(crate) fn from_seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    pub(crate) fn as_seconds(self) -> u32 {
        self.0
    }

    pub(crate) fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

/// 10 minutes.
impl Default for LeadTime {
    fn default() -> Self {
        Self(600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_time_is_at_most_7_days_of_whole_seconds() {
        assert!(LeadTime::new(Duration::ZERO).is_ok());
        assert!(LeadTime::new(Duration::from_secs(604_800)).is_ok());
        assert!(LeadTime::new(Duration::from_secs(604_801)).is_err());
        assert!(LeadTime::new(Duration::from_millis(1_500)).is_err());
        assert!(LeadTime::new(Duration::MAX).is_err());
    }
}
