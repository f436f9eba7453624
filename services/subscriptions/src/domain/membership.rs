//! Memberships and their states.
//!
//! ```text
//!   active ──cancel──► cancelled ──period over──► expired
//!      └────────────────period over──────────────────▲
//! ```

use jiff::Timestamp;
use marquee_proto::name::{MembershipName, PlanName};

use super::plan::Plan;
use super::version::Version;

/// An account's subscription to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) name: MembershipName,
    pub(crate) plan: PlanName,
    pub(crate) state: State,
    /// The period that is paid for.
    pub(crate) period_start: Timestamp,
    /// Its end, exclusive.
    pub(crate) period_end: Timestamp,
    pub(crate) create_time: Timestamp,
    pub(crate) version: Version,
}

/// The states of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Paid for.
    Active,
    /// Paid for until the period ends, not renewed.
    Cancelled,
    /// Over.
    Expired,
}

impl State {
    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The state of that name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Cancelled, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What a cancellation comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cancellation {
    /// The membership after it.
    Cancelled(Membership),
    /// It was cancelled before: nothing to do.
    Already,
    /// It is over: there is nothing left to cancel.
    Over,
}

impl Membership {
    /// Joins `plan` with the first period paid from `now` on.
    pub(crate) fn start(name: MembershipName, plan: &Plan, now: Timestamp) -> Self {
        Self {
            name,
            plan: plan.name.clone(),
            state: State::Active,
            period_start: now,
            period_end: plan.period.end(now),
            create_time: now,
            version: Version::FIRST,
        }
    }

    /// Cancels at the end of the period.
    pub(crate) fn cancel(&self, now: Timestamp) -> Cancellation {
        match self.state {
            _ if self.is_over(now) => Cancellation::Over,
            State::Expired => Cancellation::Over,
            State::Cancelled => Cancellation::Already,
            State::Active => Cancellation::Cancelled(self.with(State::Cancelled)),
        }
    }

    /// The membership as expired when its period is over and it is not expired yet.
    pub(crate) fn expire(&self, now: Timestamp) -> Option<Self> {
        (self.is_over(now) && self.state != State::Expired).then(|| self.with(State::Expired))
    }

    /// True when the period that was paid for is over.
    fn is_over(&self, now: Timestamp) -> bool {
        self.period_end <= now
    }

    fn with(&self, state: State) -> Self {
        Self {
            state,
            version: self.version.next(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn membership() -> Membership {
        let name = MembershipName::new("ada", "m1").unwrap();
        Membership::start(name, &plan::defaults()[0], time("2026-01-10T00:00:00Z"))
    }

    #[test]
    fn joining_pays_for_one_period() {
        let membership = membership();
        assert_eq!(membership.state, State::Active);
        assert_eq!(membership.period_end, time("2026-02-10T00:00:00Z"));
    }

    #[test]
    fn cancelling_keeps_the_period_that_was_paid_for() {
        let Cancellation::Cancelled(cancelled) = membership().cancel(time("2026-01-11T00:00:00Z")) else {
            panic!("not cancelled");
        };
        assert_eq!(cancelled.state, State::Cancelled);
        assert_eq!(cancelled.period_end, membership().period_end);
        assert_eq!(cancelled.version, Version::FIRST.next());
    }

    #[test]
    fn cancelling_twice_changes_nothing() {
        let now = time("2026-01-11T00:00:00Z");
        let Cancellation::Cancelled(cancelled) = membership().cancel(now) else {
            panic!("not cancelled");
        };
        assert_eq!(cancelled.cancel(now), Cancellation::Already);
    }

    #[test]
    fn what_is_over_cannot_be_cancelled_even_before_the_scheduler_came_by() {
        assert_eq!(
            membership().cancel(time("2026-02-10T00:00:00Z")),
            Cancellation::Over
        );
    }

    #[test]
    fn a_membership_expires_once_when_its_period_is_over() {
        let last = time("2026-02-09T23:59:59.999999Z");
        assert_eq!(membership().expire(last), None);
        let expired = membership().expire(time("2026-02-10T00:00:00Z")).unwrap();
        assert_eq!(expired.state, State::Expired);
        assert_eq!(expired.expire(time("2026-03-10T00:00:00Z")), None);
    }
}
