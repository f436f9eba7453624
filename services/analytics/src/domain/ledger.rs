//! What became of every message of the topic.

use std::ops::{Add, AddAssign};

use super::session::Verdict;

/// Counts of messages by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// They count.
    pub counted: u64,
    /// They came after what follows them was summed up.
    pub late: u64,
    /// They could not be read; they are among the dead letters.
    pub malformed: u64,
    /// They were there before.
    pub duplicate: u64,
}

impl Ledger {
    /// Notes a verdict.
    pub fn note(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Counted => self.counted += 1,
            Verdict::Late => self.late += 1,
            Verdict::Duplicate => self.duplicate += 1,
        }
    }

    /// All of them: as many as were produced.
    pub fn sum(&self) -> u64 {
        self.counted + self.late + self.malformed + self.duplicate
    }
}

impl Add for Ledger {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            counted: self.counted + other.counted,
            late: self.late + other.late,
            malformed: self.malformed + other.malformed,
            duplicate: self.duplicate + other.duplicate,
        }
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
