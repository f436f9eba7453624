//! Sums over views. They are additive, so that partitions and batches are summed up apart.

use std::ops::{Add, AddAssign, Sub};

use super::progress::Progress;

macro_rules! totals {
    ($($(#[$doc:meta])* $field:ident,)+) => {
        /// Sums over views; a difference of two may be negative.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $field: i64,)+
        }

        impl Add for Totals {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($field: self.$field.saturating_add(other.$field),)+ }
            }
        }

        impl Sub for Totals {
            type Output = Self;

            fn sub(self, other: Self) -> Self {
                Self { $($field: self.$field.saturating_sub(other.$field),)+ }
            }
        }
    };
}

totals! {
    /// Play attempts.
    views,
    /// Wall clock without pauses, milliseconds.
    watched_ms,
    /// Watched time without startup and stalls, milliseconds.
    playing_ms,
    /// Time in stalls, milliseconds.
    stalled_ms,
    /// Views that showed a frame.
    started,
    /// Views whose startup time is known.
    startups,
    /// The sum of those startup times, milliseconds.
    startup_ms,
    /// Views that failed before the first frame.
    start_failures,
    /// Views that were left before the first frame.
    exits_before_start,
}

impl Totals {
    /// What one view adds.
    pub fn of_view(view: &Progress) -> Self {
        Self {
            views: 1,
            watched_ms: view.watched_ms,
            playing_ms: view.playing_ms,
            stalled_ms: view.stalled_ms,
            started: i64::from(view.started),
            startups: i64::from(view.startup_ms.is_some()),
            startup_ms: view.startup_ms.unwrap_or_default(),
            start_failures: i64::from(view.failed_to_start()),
            exits_before_start: i64::from(view.left_before_start()),
        }
    }

    /// Time in stalls / watched time, 0 to 1.
    pub fn rebuffer_ratio(&self) -> f64 {
        if self.watched_ms <= 0 {
            0.0
        } else {
            self.stalled_ms as f64 / self.watched_ms as f64
        }
    }

    /// Playing time / views, milliseconds.
    pub fn average_view_ms(&self) -> i64 {
        if self.views <= 0 {
            0
        } else {
            self.playing_ms / self.views
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
