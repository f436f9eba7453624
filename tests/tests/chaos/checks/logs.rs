//! What the services say of it: no error without a reason.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;
use marquee_fleet::Kind;
use serde_json::Value;

use super::Ledgers;
use crate::kills::Killer;

/// An outage is heard of until so many seconds after it: calls and deadlines run out.
const AFTERWARDS: i64 = 15;
/// What no outage explains, by the beginning of the message.
const NEVER: [&str; 5] = [
    "panicked",
    "internal error",
    "to the dead letters",
    "a document was changed that cannot be read",
    "the follow-up of a write panicked",
];

pub(super) fn check(killer: &Killer, ledgers: &Ledgers, folder: &Path) -> Result<String> {
    let (mut explained, mut warnings) = (0, 0);
    for kind in Kind::ALL {
        let name = kind.name();
        let text = std::fs::read_to_string(folder.join("logs").join(format!("{name}.log")))?;
        let mut errors: BTreeMap<String, usize> = BTreeMap::new();
        for line in text.lines() {
            let Ok(json) = serde_json::from_str::<Value>(line) else {
                if line.contains("panicked at") {
                    killer.client.meter.fault(format!("{name}: {line}"));
                }
                continue;
            };
            match json["level"].as_str() {
                Some("ERROR") => {}
                Some("WARN") => {
                    warnings += 1;
                    continue;
                }
                _ => continue,
            }
            let at = json["timestamp"]
                .as_str()
                .and_then(|at| at.parse::<Timestamp>().ok());
            let at = at.map_or(0, Timestamp::as_second);
            let within = |span: (i64, i64)| (span.0..=span.1 + AFTERWARDS).contains(&at);
            let message = json["fields"]["message"].as_str().or(json["message"].as_str());
            let message = message.unwrap_or(line);
            let is_of_outage = !NEVER.iter().any(|never| message.starts_with(never));
            if is_of_outage && ledgers.rows.iter().any(|row| within(row.span)) {
                explained += 1;
                *errors.entry(message.to_owned()).or_default() += 1;
            } else {
                killer.client.meter.fault(format!("{name} logged: {line}"));
            }
        }
        for (message, count) in errors {
            println!("chaos: {name} logged {count} times during outages: {message}");
        }
    }
    Ok(format!(
        "{explained} errors and {warnings} warnings logged by the services; all errors while a part was away or at most {AFTERWARDS} s later"
    ))
}
