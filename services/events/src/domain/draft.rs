//! An event's details as a caller wrote them, and what makes them good.

use jiff::Timestamp;
use marquee_error::{Invalid, Violations};

use super::attach::LONGEST;
use super::event::{Details, Price, Visibility};
use super::text;

const VISIBILITIES: &str = "must be VISIBILITY_PUBLIC, _UNLISTED, _MEMBERS or _PAY_PER_VIEW";

/// A moment in a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Moment {
    #[default]
    Unset,
    /// Not a time, or outside the years 1970 to 9999.
    IllFormed,
    At(Timestamp),
}

/// Details as a caller wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) scheduled_start_time: Moment,
    pub(crate) scheduled_end_time: Moment,
    pub(crate) genre: String,
    pub(crate) tags: Vec<String>,
    pub(crate) language: String,
    pub(crate) maturity_rating: String,
    /// `None` when it is not set; the number when it is none that there is.
    pub(crate) visibility: Result<Option<Visibility>, i32>,
    pub(crate) price: Option<Price>,
}

/// The fields that an update may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Title,
    Description,
    ScheduledStartTime,
    ScheduledEndTime,
    Genre,
    Tags,
    Language,
    MaturityRating,
    Visibility,
    Price,
}

impl Field {
    pub(crate) const ALL: &'static [(&'static str, Self)] = &[
        ("title", Self::Title),
        ("description", Self::Description),
        ("scheduled_start_time", Self::ScheduledStartTime),
        ("scheduled_end_time", Self::ScheduledEndTime),
        ("genre", Self::Genre),
        ("tags", Self::Tags),
        ("language", Self::Language),
        ("maturity_rating", Self::MaturityRating),
        ("visibility", Self::Visibility),
        ("price", Self::Price),
    ];
}

impl From<&Details> for Draft {
    fn from(details: &Details) -> Self {
        Self {
            title: details.title.clone(),
            description: details.description.clone(),
            scheduled_start_time: Moment::At(details.scheduled_start_time),
            scheduled_end_time: details.scheduled_end_time.map_or(Moment::Unset, Moment::At),
            genre: details.genre.clone(),
            tags: details.tags.clone(),
            language: details.language.clone(),
            maturity_rating: details.maturity_rating.clone(),
            visibility: Ok(Some(details.visibility)),
            price: details.price.clone(),
        }
    }
}

impl Draft {
    /// The details; everything that is wrong with them is noted in `violations`.
    pub(crate) fn check(&self, violations: &mut Violations) -> Option<Details> {
        let title = text::line(violations, "event.title", &self.title, 1, 200);
        let description = text::paragraphs(violations, "event.description", &self.description, 5_000);
        let start = match self.scheduled_start_time {
            Moment::At(start) => Some(start),
            Moment::Unset | Moment::IllFormed => None,
        };
        violations.check(start.is_some(), "event.scheduled_start_time", || {
            "is required, a time of the years 1970 to 9999".to_owned()
        });
        let end = match self.scheduled_end_time {
            Moment::At(end) => {
                let good = start.is_none_or(|start| end > start && end.duration_since(start) <= LONGEST);
                violations.check(good, "event.scheduled_end_time", || {
                    "must be after scheduled_start_time, at most 7 days later".to_owned()
                });
                Some(end)
            }
            Moment::Unset => None,
            Moment::IllFormed => {
                violations.check(false, "event.scheduled_end_time", || {
                    "must be a time of the years 1970 to 9999".to_owned()
                });
                None
            }
        };
        let genre = text::line(violations, "event.genre", &self.genre, 0, 40);
        let tags = text::tags(violations, "event.tags", &self.tags);
        let language = text::language(violations, "event.language", &self.language);
        let maturity_rating = text::line(violations, "event.maturity_rating", &self.maturity_rating, 0, 20);
        violations.check(self.visibility.is_ok(), "event.visibility", || {
            VISIBILITIES.to_owned()
        });
        self.check_price(violations);
        Some(Details {
            title,
            description,
            scheduled_start_time: start?,
            scheduled_end_time: end,
            genre,
            tags,
            language,
            maturity_rating,
            visibility: self.visibility.ok()?.unwrap_or(Visibility::Public),
            price: self.price.clone(),
        })
    }

    fn check_price(&self, violations: &mut Violations) {
        let sold = self.visibility == Ok(Some(Visibility::PayPerView));
        let good = match &self.price {
            Some(price) => {
                let is_code =
                    price.currency.len() == 3 && price.currency.bytes().all(|b| b.is_ascii_uppercase());
                sold && price.minor_units > 0 && is_code
            }
            None => !sold,
        };
        violations.check(good, "event.price", || {
            "is required for VISIBILITY_PAY_PER_VIEW, more than 0 in an ISO 4217 currency, and for nothing else"
                .to_owned()
        });
    }

    /// The fields that are set; what an update without a mask changes.
    pub(crate) fn set_fields(&self) -> Vec<Field> {
        let set = |field: Field| match field {
            Field::Title => !self.title.is_empty(),
            Field::Description => !self.description.is_empty(),
            Field::ScheduledStartTime => self.scheduled_start_time != Moment::Unset,
            Field::ScheduledEndTime => self.scheduled_end_time != Moment::Unset,
            Field::Genre => !self.genre.is_empty(),
            Field::Tags => !self.tags.is_empty(),
            Field::Language => !self.language.is_empty(),
            Field::MaturityRating => !self.maturity_rating.is_empty(),
            Field::Visibility => self.visibility != Ok(None),
            Field::Price => self.price.is_some(),
        };
        Field::ALL
            .iter()
            .map(|(_, field)| *field)
            .filter(|field| set(*field))
            .collect()
    }

    /// `details` with the named fields of this draft laid over them.
    pub(crate) fn over(&self, details: &Details, fields: &[Field]) -> Result<Details, Invalid> {
        let mut merged = Self::from(details);
        self.lay_over(&mut merged, fields);
        let mut violations = Violations::default();
        let checked = merged.check_update(&mut violations);
        violations.finish()?;
        Ok(checked.unwrap_or_else(|| details.clone()))
    }

    /// Notes what is wrong with the named fields, whatever the event is that they are for. Whether a new end fits a start
    /// that is not named is known only beside the event.
    pub(crate) fn check_named(&self, fields: &[Field], violations: &mut Violations) {
        let mut merged = Self {
            title: "any".to_owned(),
            description: String::new(),
            scheduled_start_time: Moment::At(Timestamp::UNIX_EPOCH),
            scheduled_end_time: Moment::Unset,
            genre: String::new(),
            tags: Vec::new(),
            language: String::new(),
            maturity_rating: String::new(),
            visibility: Ok(Some(Visibility::Public)),
            price: None,
        };
        self.lay_over(&mut merged, fields);
        // A price and the visibility that it belongs to need not be named together.
        match (
            fields.contains(&Field::Visibility),
            fields.contains(&Field::Price),
        ) {
            (true, false) if merged.visibility == Ok(Some(Visibility::PayPerView)) => {
                merged.visibility = Ok(Some(Visibility::Members));
            }
            (false, true) if merged.price.is_some() => merged.visibility = Ok(Some(Visibility::PayPerView)),
            _ => {}
        }
        if !fields.contains(&Field::ScheduledStartTime) && matches!(merged.scheduled_end_time, Moment::At(_))
        {
            merged.scheduled_end_time = Moment::Unset;
        }
        merged.check_update(violations);
    }

    /// Only a new event is public without saying so: an unlisted one is not made public by leaving something out.
    fn check_update(&self, violations: &mut Violations) -> Option<Details> {
        violations.check(self.visibility != Ok(None), "event.visibility", || {
            VISIBILITIES.to_owned()
        });
        self.check(violations)
    }

    fn lay_over(&self, merged: &mut Self, fields: &[Field]) {
        for field in fields {
            match field {
                Field::Title => merged.title.clone_from(&self.title),
                Field::Description => merged.description.clone_from(&self.description),
                Field::ScheduledStartTime => merged.scheduled_start_time = self.scheduled_start_time,
                Field::ScheduledEndTime => merged.scheduled_end_time = self.scheduled_end_time,
                Field::Genre => merged.genre.clone_from(&self.genre),
                Field::Tags => merged.tags.clone_from(&self.tags),
                Field::Language => merged.language.clone_from(&self.language),
                Field::MaturityRating => merged.maturity_rating.clone_from(&self.maturity_rating),
                Field::Visibility => {
                    merged.visibility = self.visibility;
                    // What is not sold any more has no price.
                    if self.visibility != Ok(Some(Visibility::PayPerView)) {
                        merged.price = None;
                    }
                }
                Field::Price => merged.price.clone_from(&self.price),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::{at, sample};
    use super::*;

    fn draft() -> Draft {
        Draft::from(&sample("e", 1_000).details)
    }

    fn wrong(draft: &Draft) -> Vec<String> {
        let mut violations = Violations::default();
        draft.check(&mut violations);
        violations.finish().map_or_else(
            |invalid| invalid.0.into_iter().map(|v| v.field).collect(),
            |()| vec![],
        )
    }

    #[test]
    fn everything_wrong_with_an_event_is_told_at_once() {
        let draft = Draft {
            title: "\n".into(),
            description: "x".repeat(5_001),
            scheduled_start_time: Moment::Unset,
            scheduled_end_time: Moment::IllFormed,
            genre: "g".repeat(41),
            tags: vec!["t".into(); 21],
            language: "_".into(),
            maturity_rating: "m".repeat(21),
            visibility: Err(77),
            price: None,
        };
        assert_eq!(
            wrong(&draft),
            [
                "event.title",
                "event.description",
                "event.scheduled_start_time",
                "event.scheduled_end_time",
                "event.genre",
                "event.tags",
                "event.language",
                "event.maturity_rating",
                "event.visibility"
            ]
        );
    }

    #[test]
    fn the_end_is_after_the_start_and_at_most_seven_days_later() {
        const WEEK: i64 = 7 * 24 * 3_600;
        let ending = |end| Draft {
            scheduled_end_time: Moment::At(at(end)),
            ..draft()
        };
        assert_eq!(wrong(&ending(1_000)), ["event.scheduled_end_time"]);
        assert!(wrong(&ending(1_001)).is_empty());
        assert!(wrong(&ending(1_000 + WEEK)).is_empty());
        assert_eq!(wrong(&ending(1_001 + WEEK)), ["event.scheduled_end_time"]);
    }

    #[test]
    fn an_update_that_moves_the_start_past_the_end_is_refused() {
        let mut details = sample("e", 1_000).details;
        details.scheduled_end_time = Some(at(2_000));
        let moved = Draft {
            scheduled_start_time: Moment::At(at(3_000)),
            ..draft()
        };
        let invalid = moved.over(&details, &[Field::ScheduledStartTime]).unwrap_err();
        assert_eq!(invalid.0[0].field, "event.scheduled_end_time");
    }

    #[test]
    fn an_end_alone_is_judged_beside_the_event() {
        let ending = Draft {
            scheduled_end_time: Moment::At(at(100_000_000)),
            ..draft()
        };
        for (fields, good) in [
            (vec![Field::ScheduledEndTime], true),
            (vec![Field::ScheduledStartTime, Field::ScheduledEndTime], false),
        ] {
            let mut violations = Violations::default();
            ending.check_named(&fields, &mut violations);
            assert_eq!(violations.is_empty(), good, "{fields:?}");
        }
    }

    #[test]
    fn a_price_goes_with_pay_per_view_and_with_nothing_else() {
        let price = |minor_units, currency: &str| {
            Some(Price {
                currency: currency.to_owned(),
                minor_units,
            })
        };
        let with = |visibility, price| Draft {
            visibility: Ok(Some(visibility)),
            price,
            ..draft()
        };
        let sold = with(Visibility::PayPerView, price(500, "EUR"));
        assert!(wrong(&sold).is_empty());
        for refused in [
            with(Visibility::PayPerView, None),
            with(Visibility::PayPerView, price(0, "EUR")),
            with(Visibility::PayPerView, price(-1, "EUR")),
            with(Visibility::PayPerView, price(500, "eur")),
            with(Visibility::PayPerView, price(500, "EURO")),
            with(Visibility::Members, price(500, "EUR")),
            with(Visibility::Public, price(500, "EUR")),
        ] {
            assert_eq!(wrong(&refused), ["event.price"], "{refused:?}");
        }
        // Named for itself, each is judged beside what the event has.
        let details = sold.check(&mut Violations::default()).unwrap();
        let free = with(Visibility::Public, None);
        let freed = free.over(&details, &[Field::Visibility]).unwrap();
        assert_eq!((freed.visibility, freed.price), (Visibility::Public, None));
        let dearer = with(Visibility::Public, price(900, "EUR"));
        let dearer = dearer.over(&details, &[Field::Price]).unwrap();
        assert_eq!(dearer.price, price(900, "EUR"));
        for fields in [&[Field::Visibility][..], &[Field::Price]] {
            let mut violations = Violations::default();
            sold.check_named(fields, &mut violations);
            assert!(violations.finish().is_ok(), "{fields:?}");
        }
    }

    #[test]
    fn an_unlisted_event_does_not_become_public_by_leaving_its_visibility_out() {
        let unlisted = Details {
            visibility: Visibility::Unlisted,
            ..sample("e", 1_000).details
        };
        let unset = Draft {
            visibility: Ok(None),
            ..draft()
        };
        let refused = unset.over(&unlisted, &[Field::Visibility]).unwrap_err();
        assert_eq!(refused.0[0].field, "event.visibility");
    }

    #[test]
    fn a_new_event_is_public_unless_it_says_otherwise() {
        let draft = Draft {
            visibility: Ok(None),
            ..draft()
        };
        let details = draft.check(&mut Violations::default()).unwrap();
        assert_eq!(details.visibility, Visibility::Public);
    }
}
