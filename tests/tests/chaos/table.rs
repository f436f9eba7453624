//! The table: what was killed, and what it cost.

use std::fmt::Write as _;
use std::time::Duration;

use crate::kills::{Blow, Row};
use crate::meter::KINDS;

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        none if none < 0.1 => "·".to_owned(),
        some => format!("{some:.1}"),
    }
}

/// As Markdown.
pub(crate) fn table(rows: &[Row], sums: &[String]) -> String {
    let mut text = String::from("| # | part | away | ready | whole |");
    for kind in KINDS {
        let _ = write!(text, " {kind} |");
    }
    text.push_str(" failed | reopened | replayed | retried |\n|");
    text.push_str(&"---|".repeat(KINDS.len() + 9));
    text.push('\n');
    for (number, row) in rows.iter().enumerate() {
        let frozen = if row.blow == Blow::Freeze { " (frozen)" } else { "" };
        let _ = write!(
            text,
            "| {} | {}{frozen} | {} | {} | {} |",
            number + 1,
            row.part,
            seconds(row.away),
            seconds(row.ready),
            seconds(row.whole)
        );
        for kind in KINDS {
            let gap = row.cost.gaps.get(kind).copied().unwrap_or_default();
            let _ = write!(text, " {} |", seconds(gap));
        }
        let _ = writeln!(
            text,
            " {} | {} | {:.0} | {:.0} |",
            row.cost.failures, row.cost.reopened, row.replayed, row.retries
        );
    }
    let _ = write!(text, "\n{}", sums_of(rows));
    for sum in sums {
        let _ = writeln!(text, "- {sum}");
    }
    text
}

fn sums_of(rows: &[Row]) -> String {
    let mut text = String::new();
    let kills = rows.iter().filter(|row| row.blow == Blow::Kill).count();
    let failures: usize = rows.iter().map(|row| row.cost.failures).sum();
    let reopened: usize = rows.iter().map(|row| row.cost.reopened).sum();
    let replayed: f64 = rows.iter().map(|row| row.replayed).sum();
    let retries: f64 = rows.iter().map(|row| row.retries).sum();
    let _ = writeln!(
        text,
        "- {kills} killed, {} frozen; {failures} calls failed and were made again, {reopened} streams and publishers broke and \
         came back, {replayed:.0} messages were delivered again, handlers made {retries:.0} further attempts",
        rows.len() - kills
    );
    let mut parts: Vec<_> = rows.iter().map(|row| row.part).collect();
    parts.sort_unstable();
    parts.dedup();
    for part in parts {
        let of = |row: &&Row| row.part == part && row.blow == Blow::Kill;
        let longest = |pick: fn(&Row) -> Duration| rows.iter().filter(of).map(pick).max();
        let ready = longest(|row| row.ready).unwrap_or_default();
        let whole = longest(|row| row.whole).unwrap_or_default();
        let gap =
            longest(|row| row.cost.gaps.values().max().copied().unwrap_or_default()).unwrap_or_default();
        let count = rows.iter().filter(of).count();
        let _ = writeln!(
            text,
            "- {part}, {count} times: at worst ready in {} s, whole in {} s, one kind of call away {} s",
            seconds(ready),
            seconds(whole),
            seconds(gap)
        );
    }
    text
}
