//! Beacons as they come over the wire, checked: at the door, and again when they come from the bus.

use marquee_error::{Invalid, Violations};
use marquee_proto::analytics::v1::{Beacon, PlaybackReported, PlaybackState};
use marquee_proto::name::EventName;
use marquee_proto::time::from_proto;
use uuid::Uuid;

use crate::domain::{Received, Report, SessionKey, State};

const VIEWER_CHARACTERS: usize = 64;
const LABEL_CHARACTERS: usize = 40;

/// Longer startups are a mistake of the player: an hour.
const LONGEST_STARTUP_MS: i64 = 60 * 60 * 1000;

/// The report in a beacon, or everything that is wrong with it. `path` is where the beacon is in the request.
pub(crate) fn report(beacon: &Beacon, path: &str) -> Result<Report, Invalid> {
    let mut violations = Violations::default();
    let field = |name: &str| format!("{path}{name}");
    let session = Uuid::try_parse(&beacon.session_id).ok().filter(|id| !id.is_nil());
    violations.check(session.is_some(), &field("session_id"), || {
        "must be a UUID".to_owned()
    });
    let sequence = u64::try_from(beacon.sequence_number)
        .ok()
        .filter(|number| *number >= 1);
    violations.check(sequence.is_some(), &field("sequence_number"), || {
        "must be 1 or more".to_owned()
    });
    let event = violations.take(&field("event"), beacon.event.parse::<EventName>());
    let viewer =
        (1..=VIEWER_CHARACTERS).contains(&beacon.viewer_id.chars().count()) && is_plain(&beacon.viewer_id);
    violations.check(viewer, &field("viewer_id"), || {
        format!("must have 1 to {VIEWER_CHARACTERS} characters, none of them a control character")
    });
    let time = beacon.time.as_ref().and_then(from_proto);
    violations.check(time.is_some(), &field("time"), || "must be a time".to_owned());
    let state = match PlaybackState::try_from(beacon.state) {
        Ok(PlaybackState::Starting) => Some(State::Starting),
        Ok(PlaybackState::Playing) => Some(State::Playing),
        Ok(PlaybackState::Paused) => Some(State::Paused),
        Ok(PlaybackState::Rebuffering) => Some(State::Rebuffering),
        Ok(PlaybackState::Ended) => Some(State::Ended),
        Ok(PlaybackState::Failed) => Some(State::Failed),
        Ok(PlaybackState::Unspecified) | Err(_) => None,
    };
    violations.check(state.is_some(), &field("state"), || {
        "must be one of PlaybackState's values".to_owned()
    });
    violations.check(beacon.position_ms >= 0, &field("position_ms"), || {
        "must be 0 or more".to_owned()
    });
    violations.check(
        (0..=LONGEST_STARTUP_MS).contains(&beacon.startup_ms),
        &field("startup_ms"),
        || format!("must be 0 to {LONGEST_STARTUP_MS}"),
    );
    for (name, label) in [("device", &beacon.device), ("platform", &beacon.platform)] {
        let valid = label.chars().count() <= LABEL_CHARACTERS && is_plain(label);
        violations.check(valid, &field(name), || {
            format!("must have at most {LABEL_CHARACTERS} characters, none of them a control character")
        });
    }
    let country = beacon.country.is_empty()
        || (beacon.country.len() == 2 && beacon.country.bytes().all(|byte| byte.is_ascii_alphabetic()));
    violations.check(country, &field("country"), || {
        "must be an ISO 3166-1 alpha-2 code such as `NL`, or not set".to_owned()
    });

    match (session, sequence, event, time, state) {
        (Some(session), Some(sequence), Some(event), Some(time), Some(state)) if violations.is_empty() => {
            Ok(Report {
                key: SessionKey {
                    viewer: beacon.viewer_id.clone(),
                    session: session.to_string(),
                    event,
                },
                sequence,
                time_ms: time.as_millisecond(),
                state,
                startup_ms: u32::try_from(beacon.startup_ms)
                    .ok()
                    .filter(|startup| *startup > 0),
                device: beacon.device.trim().to_lowercase(),
                country: beacon.country.to_uppercase(),
                platform: beacon.platform.trim().to_lowercase(),
            })
        }
        _ => Err(violations.finish().err().unwrap_or(Invalid(Vec::new()))),
    }
}

/// The report in a message of the topic.
pub(crate) fn received(message: &PlaybackReported) -> Result<Received, String> {
    let beacon = message.beacon.as_ref().ok_or("no beacon in it")?;
    let report = report(beacon, "beacon.").map_err(|invalid| invalid.to_string())?;
    let at = message
        .receive_time
        .as_ref()
        .and_then(from_proto)
        .ok_or("no receive time in it")?;
    Ok(Received {
        report,
        at_ms: at.as_millisecond(),
    })
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacon() -> Beacon {
        Beacon {
            session_id: "6F9619FF-8B86-D011-B42D-00CF4FC964FF".into(),
            sequence_number: 1,
            event: "channels/c/events/e".into(),
            viewer_id: "v".into(),
            time: Some(prost_types::Timestamp {
                seconds: 12,
                nanos: 500_000_000,
            }),
            state: PlaybackState::Playing.into(),
            startup_ms: 300,
            country: "nl".into(),
            ..Beacon::default()
        }
    }

    #[test]
    fn a_well_formed_beacon_is_a_report() {
        let report = report(&beacon(), "").unwrap();
        assert_eq!(
            (report.time_ms, report.sequence, report.startup_ms),
            (12_500, 1, Some(300))
        );
        assert_eq!(
            report.key.session, "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
            "one session has one spelling"
        );
        assert_eq!(report.country, "NL");
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let Invalid(violations) = report(
            &Beacon {
                position_ms: -1,
                startup_ms: -1,
                device: "x".repeat(41),
                platform: "a\u{7}".into(),
                country: "NLD".into(),
                ..Beacon::default()
            },
            "beacon.",
        )
        .unwrap_err();
        let fields: Vec<_> = violations
            .iter()
            .map(|violation| violation.field.trim_start_matches("beacon."))
            .collect();
        let expected = [
            "session_id",
            "sequence_number",
            "event",
            "viewer_id",
            "time",
            "state",
            "position_ms",
            "startup_ms",
            "device",
            "platform",
            "country",
        ];
        assert_eq!(fields, expected);
    }
}
