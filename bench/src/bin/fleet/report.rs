//! Figures for people.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

/// Printed as Markdown by xtask.
#[derive(Serialize)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(title: impl Into<String>, head: [&str; N]) -> Self {
        Self {
            title: title.into(),
            rows: vec![head.map(ToOwned::to_owned).to_vec()],
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    pub(crate) fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// Delays of one thing.
#[derive(Default, Clone)]
pub(crate) struct Delays(Vec<Duration>);

impl Delays {
    pub(crate) fn add(&mut self, delay: Duration) {
        self.0.push(delay);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted
            .get(rank - 1)
            .map_or(f64::NAN, |delay| delay.as_secs_f64() * 1_000.0)
    }

    /// A row: what, how many, p50, p99, the longest; the target in milliseconds is for p99.
    pub(crate) fn cells(&self, what: &str, target: Option<f64>) -> [String; 7] {
        let at = |percent| format!("{:.1}", self.percentile(percent));
        let p99 = self.percentile(99);
        [
            what.to_owned(),
            self.len().to_string(),
            at(50),
            at(99),
            at(100),
            target.map_or_else(String::new, |target| format!("p99 < {target:.0}")),
            target.map_or_else(String::new, |target| met(p99 < target)),
        ]
    }
}

pub(crate) const DELAYS: [&str; 7] = [
    "from, to", "samples", "p50, ms", "p99, ms", "max, ms", "target", "met",
];

pub(crate) fn met(yes: bool) -> String {
    if yes { "yes" } else { "NO" }.to_owned()
}

pub(crate) fn mib(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mib = bytes as f64 / f64::from(1 << 20);
    format!("{mib:.0}")
}
