//! How things lie in their documents.

use marquee_proto::name::EventName;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};

use super::super::{Error, Heard, Partition, Position, Summary, state};
use super::signed;
use crate::domain::{Ledger, Session, SessionKey, Totals};

/// In place of a partition's number: what is of no partition.
pub(super) const ALL_PARTITIONS: i64 = -1;

pub(super) fn partition_id(partition: &Partition) -> Document {
    doc! { "topic": &partition.topic, "partition": i64::from(partition.number) }
}

pub(super) fn partition_of(found: &Document) -> Result<Partition, Error> {
    let damaged = || Error::Damaged("partition");
    let id = found.get_document("_id").map_err(|_| damaged())?;
    Ok(Partition {
        topic: id.get_str("topic").map_err(|_| damaged())?.to_owned(),
        number: number(id, "partition").ok_or_else(damaged)?,
    })
}

pub(super) fn position_of(found: &Document) -> Position {
    Position {
        next: unsigned(found, "next_offset"),
        received_ms: found.get_i64("received_ms").ok(),
    }
}

pub(super) fn ledger_of(found: &Document) -> Ledger {
    Ledger {
        counted: unsigned(found, "counted"),
        late: unsigned(found, "late"),
        malformed: unsigned(found, "malformed"),
        duplicate: unsigned(found, "duplicate"),
    }
}

pub(super) fn session_id(key: &SessionKey) -> Document {
    doc! { "event": key.event.to_string(), "viewer": &key.viewer, "session": &key.session }
}

/// The whole document of a session; what is queried lies beside its state.
pub(super) fn session(partition: u32, key: &SessionKey, session: &Session) -> Document {
    let progress = session.progress();
    let state = Binary {
        subtype: BinarySubtype::Generic,
        bytes: state::encode(session),
    };
    doc! {
        "_id": session_id(key),
        "event": key.event.to_string(),
        "partition": i64::from(partition),
        "last_received_ms": session.last_received_ms,
        "started": progress.started,
        "over": progress.ending.is_some(),
        "state": state,
    }
}

pub(super) fn heard(found: &Document) -> Result<Heard, Error> {
    let damaged = || Error::Damaged("session");
    let id = found.get_document("_id").map_err(|_| damaged())?;
    let text = |name| id.get_str(name).map_err(|_| damaged());
    let key = SessionKey {
        viewer: text("viewer")?.to_owned(),
        session: text("session")?.to_owned(),
        event: text("event")?.parse().map_err(|_| Error::Damaged("event name"))?,
    };
    let state = found.get_binary_generic("state").map_err(|_| damaged())?;
    Ok(Heard {
        partition: number(found, "partition").ok_or_else(damaged)?,
        key,
        session: state::decode(state)?,
    })
}

pub(super) fn totals_id(event: &EventName, partition: i64) -> Document {
    doc! { "event": event.to_string(), "partition": partition }
}

/// All sums of an event: documents compare field by field.
pub(super) fn event_range(event: &EventName) -> Document {
    let event = event.to_string();
    doc! {
        "$gte": { "event": &event, "partition": Bson::MinKey },
        "$lte": { "event": &event, "partition": Bson::MaxKey },
    }
}

/// What is added to the sums.
pub(super) fn increments(totals: &Totals, unique_viewers: i64) -> Document {
    doc! {
        "views": totals.views,
        "watched_ms": totals.watched_ms,
        "playing_ms": totals.playing_ms,
        "stalled_ms": totals.stalled_ms,
        "started": totals.started,
        "startups": totals.startups,
        "startup_ms": totals.startup_ms,
        "start_failures": totals.start_failures,
        "exits_before_start": totals.exits_before_start,
        "unique_viewers": unique_viewers,
    }
}

/// Adds the sums of one document to a summary.
pub(super) fn summed(found: &Document, summary: &mut Summary) {
    let count = |name| found.get_i64(name).unwrap_or_default();
    summary.totals += Totals {
        views: count("views"),
        watched_ms: count("watched_ms"),
        playing_ms: count("playing_ms"),
        stalled_ms: count("stalled_ms"),
        started: count("started"),
        startups: count("startups"),
        startup_ms: count("startup_ms"),
        start_failures: count("start_failures"),
        exits_before_start: count("exits_before_start"),
    };
    summary.unique_viewers += unsigned(found, "unique_viewers");
    summary.peak = summary.peak.max(unsigned(found, "peak"));
}

/// What a batch adds to the ledger of its partition.
pub(super) fn ledger_increments(ledger: &Ledger, skipped: u64) -> Document {
    doc! {
        "earlier": 0_i64,
        "skipped": signed(skipped),
        "counted": signed(ledger.counted),
        "late": signed(ledger.late),
        "malformed": signed(ledger.malformed),
        "duplicate": signed(ledger.duplicate),
    }
}

pub(super) fn unsigned(found: &Document, name: &str) -> u64 {
    u64::try_from(found.get_i64(name).unwrap_or_default()).unwrap_or_default()
}

fn number(found: &Document, name: &str) -> Option<u32> {
    u32::try_from(found.get_i64(name).ok()?).ok()
}
