//! Plans: what one can subscribe to.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use marquee_proto::name::PlanName;

use super::money::{Currency, Money};

/// What one can subscribe to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) name: PlanName,
    pub(crate) display_name: String,
    /// Price of one period.
    pub(crate) price: Money,
    pub(crate) period: Period,
    /// What it gives, for people to read.
    pub(crate) features: Vec<String>,
    /// A higher tier includes the lower ones.
    pub(crate) tier: i32,
}

/// How long a paid period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Period {
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Period {
    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The period of that name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Month, Self::Year]
            .into_iter()
            .find(|period| period.as_str() == text)
    }

    /// When a period that starts at `start` is over: the same day of the next month or year at the same time of day in
    /// UTC, or the last day of that month when it has no such day.
    ///
    /// Only a start within a year of the end of time (9999) has no end; it then ends at once, and nobody is charged for
    /// a time that can't be written down.
    pub(crate) fn end(self, start: Timestamp) -> Timestamp {
        let span: Span = match self {
            Self::Month => 1.month(),
            Self::Year => 1.year(),
        };
        start
            .to_zoned(TimeZone::UTC)
            .checked_add(span)
            .map_or(start, |end| end.timestamp())
    }
}

/// The plans of a new installation.
pub(crate) fn defaults() -> Vec<Plan> {
    let plan = |id: &str, display_name: &str, cents: i64, tier: i32, features: &[&str]| {
        Some(Plan {
            name: PlanName::new(id).ok()?,
            display_name: display_name.to_owned(),
            price: Money::new(cents, Currency::EUR)?,
            period: Period::Month,
            features: features.iter().map(|&feature| feature.to_owned()).collect(),
            tier,
        })
    };
    [
        plan(
            "basic",
            "Basic",
            499,
            1,
            &["All public events", "HD (720p)", "One screen at a time"],
        ),
        plan(
            "student",
            "Student",
            599,
            2,
            &["Everything in Basic", "Full HD (1080p)", "Recordings for 30 days"],
        ),
        plan(
            "premium",
            "Premium",
            999,
            2,
            &[
                "Everything in Basic",
                "Full HD (1080p)",
                "Two screens at a time",
                "Recordings without limit",
            ],
        ),
        plan(
            "family",
            "Family",
            1_499,
            3,
            &[
                "Everything in Premium",
                "Six screens at a time",
                "Profiles for children",
            ],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_ends_on_the_same_day_of_the_next_month() {
        assert_eq!(
            Period::Month.end(time("2026-04-15T10:20:30Z")),
            time("2026-05-15T10:20:30Z")
        );
    }

    #[test]
    fn a_month_from_the_31st_ends_on_the_last_day_there_is() {
        assert_eq!(
            Period::Month.end(time("2026-01-31T08:00:00Z")),
            time("2026-02-28T08:00:00Z")
        );
        assert_eq!(
            Period::Month.end(time("2028-01-31T08:00:00Z")),
            time("2028-02-29T08:00:00Z")
        );
    }

    #[test]
    fn a_year_from_a_leap_day_ends_on_the_28th() {
        assert_eq!(
            Period::Year.end(time("2028-02-29T00:00:00Z")),
            time("2029-02-28T00:00:00Z")
        );
    }

    #[test]
    fn there_are_four_plans_with_a_price_each() {
        let plans = defaults();
        let names: Vec<_> = plans.iter().map(|plan| plan.display_name.as_str()).collect();
        assert_eq!(names, ["Basic", "Student", "Premium", "Family"]);
        assert!(
            plans
                .iter()
                .all(|plan| plan.price.minor_units() > 0 && !plan.features.is_empty())
        );
    }

    proptest! {
        #[test]
        fn a_month_is_28_to_31_days(seconds in 0_i64..4_000_000_000) {
            let start = Timestamp::from_second(seconds).unwrap();
            let days = (Period::Month.end(start).as_second() - seconds) / 86_400;
            prop_assert!((28..=31).contains(&days), "{days}");
        }
    }
}
