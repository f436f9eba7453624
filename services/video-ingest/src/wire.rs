//! The service's types as the protos have them.

use std::time::Duration;

use marquee_proto::time::{duration_to_proto, to_proto};
use marquee_proto::video_ingest::v1 as proto;

use crate::domain::{
    Ban, Figures, ForwardingState, ForwardingStatus, ForwardingTarget, IngestLimits, LiveStream, Pause,
    PlaybackSession, Recording, RecordingState, RecordingStorage, Sample, Scope, State, StreamKey,
};
use crate::publishers::Publisher;

pub(crate) fn stream_key(key: &StreamKey) -> proto::StreamKey {
    proto::StreamKey {
        name: key.name().to_string(),
        display_name: key.display_name.clone(),
        hint: key.hint.clone(),
        revoked: key.revoked,
        create_time: Some(to_proto(key.create_time)),
        last_used_time: key.last_used_time.map(to_proto),
        limits: (key.limits != IngestLimits::default()).then(|| ingest_limits(&key.limits)),
        recording: policy(key.record).into(),
    }
}

fn ingest_limits(limits: &IngestLimits) -> proto::IngestLimits {
    proto::IngestLimits {
        max_bitrate: i64::try_from(limits.max_bitrate).unwrap_or(i64::MAX),
        max_width: i32::try_from(limits.max_width).unwrap_or(i32::MAX),
        max_height: i32::try_from(limits.max_height).unwrap_or(i32::MAX),
        max_frame_rate: limits.max_frame_rate,
        max_keyframe_interval: (limits.max_keyframe_interval_ms > 0)
            .then(|| duration_to_proto(Duration::from_millis(limits.max_keyframe_interval_ms))),
        max_frame_bytes: i64::try_from(limits.max_frame_bytes).unwrap_or(i64::MAX),
    }
}

/// Limits as an owner wrote them; negative numbers are noted.
pub(crate) fn read_ingest_limits(
    limits: &proto::IngestLimits,
    violations: &mut marquee_error::Violations,
) -> IngestLimits {
    let mut count = |field: &str, value: i64| {
        violations.check(value >= 0, &format!("stream_key.limits.{field}"), || {
            "must not be negative; 0 is no limit".to_owned()
        });
        u64::try_from(value).unwrap_or(0)
    };
    let side = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let read = IngestLimits {
        max_bitrate: count("max_bitrate", limits.max_bitrate),
        max_width: side(count("max_width", limits.max_width.into())),
        max_height: side(count("max_height", limits.max_height.into())),
        max_frame_rate: limits.max_frame_rate,
        max_keyframe_interval_ms: match &limits.max_keyframe_interval {
            None => 0,
            Some(interval) => marquee_proto::time::duration_from_proto(interval)
                .map_or(u64::MAX, |interval| {
                    u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)
                }),
        },
        max_frame_bytes: count("max_frame_bytes", limits.max_frame_bytes),
    };
    read.check(violations);
    read
}

fn policy(record: Option<bool>) -> proto::RecordingPolicy {
    match record {
        None => proto::RecordingPolicy::Unspecified,
        Some(true) => proto::RecordingPolicy::Record,
        Some(false) => proto::RecordingPolicy::DoNotRecord,
    }
}

/// What a request says of it.
pub(crate) fn record(policy: i32) -> crate::error::Result<Option<bool>> {
    match proto::RecordingPolicy::try_from(policy) {
        Ok(proto::RecordingPolicy::Unspecified) => Ok(None),
        Ok(proto::RecordingPolicy::Record) => Ok(Some(true)),
        Ok(proto::RecordingPolicy::DoNotRecord) => Ok(Some(false)),
        Err(_) => {
            Err(marquee_error::invalid("stream_key.recording", format!("{policy} is no policy")).into())
        }
    }
}

pub(crate) fn live_stream(stream: &LiveStream) -> proto::LiveStream {
    proto::LiveStream {
        name: stream.name().to_string(),
        state: state(stream.state).into(),
        start_time: Some(to_proto(stream.start_time)),
        end_time: stream.end_time.map(to_proto),
        playback_path: stream.playback_path(),
        reconnects: i32::try_from(stream.reconnects).unwrap_or(i32::MAX),
        figures: Some(figures(&stream.figures)),
        recording: Some(live_recording(stream.recording)),
    }
}

fn state(state: State) -> proto::LiveStreamState {
    match state {
        State::Live => proto::LiveStreamState::Live,
        State::Interrupted => proto::LiveStreamState::Interrupted,
        State::Ended => proto::LiveStreamState::Ended,
    }
}

fn live_recording(state: RecordingState) -> proto::LiveStreamRecording {
    use proto::{RecordingPauseReason as Reason, RecordingState as Wire};
    let (state, reason) = match state {
        RecordingState::Off => (Wire::Off, Reason::Unspecified),
        RecordingState::On => (Wire::On, Reason::Unspecified),
        RecordingState::Paused(pause) => (Wire::Paused, pause_reason(pause)),
    };
    proto::LiveStreamRecording {
        state: state.into(),
        pause_reason: reason.into(),
    }
}

fn pause_reason(pause: Pause) -> proto::RecordingPauseReason {
    use proto::RecordingPauseReason as Reason;
    match pause {
        Pause::DiskFull => Reason::DiskFull,
        Pause::Quota => Reason::Quota,
        Pause::ChannelQuota => Reason::ChannelQuota,
        Pause::UploadBacklog => Reason::UploadBacklog,
        Pause::DiskSlow => Reason::DiskSlow,
        Pause::DiskFailed => Reason::DiskFailed,
    }
}

fn figures(figures: &Figures) -> proto::LiveStreamFigures {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    proto::LiveStreamFigures {
        video_codec: figures.video_codec.clone(),
        audio_codec: figures.audio_codec.clone(),
        width: i32::try_from(figures.width).unwrap_or(i32::MAX),
        height: i32::try_from(figures.height).unwrap_or(i32::MAX),
        frame_rate: figures.frame_rate,
        bitrate: signed(figures.bitrate),
        keyframe_interval: Some(duration_to_proto(Duration::from_millis(
            figures.keyframe_interval_ms,
        ))),
        media_duration: Some(duration_to_proto(Duration::from_millis(
            figures.media_duration_ms,
        ))),
        bytes: signed(figures.bytes),
        video_bitrate: signed(figures.video_bitrate),
        audio_bitrate: signed(figures.audio_bitrate),
        dropped_frames: signed(figures.dropped_frames),
        repaired_frames: signed(figures.repaired_frames),
        clock_drift: Some(millis(figures.clock_drift_ms)),
        audio_offset: Some(millis(figures.audio_offset_ms)),
        // Who watches is known beside the stream.
        viewers: 0,
    }
}

/// A span that may be negative.
fn millis(span: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: span / 1_000,
        // Less than a second.
        nanos: i32::try_from(span % 1_000).unwrap_or(0) * 1_000_000,
    }
}

pub(crate) fn sample(sample: &Sample) -> proto::LiveStreamSample {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let small = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    proto::LiveStreamSample {
        time: Some(to_proto(sample.time)),
        video_bitrate: signed(sample.video_bitrate),
        audio_bitrate: signed(sample.audio_bitrate),
        frames: small(sample.frames),
        dropped_frames: small(sample.dropped_frames),
        repaired_frames: small(sample.repaired_frames),
        keyframes: small(sample.keyframes),
        clock_drift: Some(millis(sample.clock_drift_ms)),
        audio_offset: Some(millis(sample.audio_offset_ms)),
    }
}

/// The figures of a stream, with who watches it.
pub(crate) fn watched_figures(figures: &Figures, viewers: u32) -> proto::LiveStreamFigures {
    proto::LiveStreamFigures {
        viewers: i32::try_from(viewers).unwrap_or(i32::MAX),
        ..self::figures(figures)
    }
}

/// A stream, with who watches it.
pub(crate) fn watched(stream: &LiveStream, viewers: u32) -> proto::LiveStream {
    proto::LiveStream {
        figures: Some(watched_figures(&stream.figures, viewers)),
        ..live_stream(stream)
    }
}

pub(crate) fn recording(recording: &Recording) -> proto::Recording {
    proto::Recording {
        name: recording.name().to_string(),
        live_stream: recording.live_stream().to_string(),
        start_time: Some(to_proto(recording.start_time)),
        duration: Some(duration_to_proto(Duration::from_millis(recording.duration_ms))),
        size_bytes: i64::try_from(recording.size_bytes).unwrap_or(i64::MAX),
        playback_path: recording.playback_path(),
        storage: match recording.stored {
            RecordingStorage::Disk => proto::RecordingStorage::Disk,
            RecordingStorage::Uploading => proto::RecordingStorage::Uploading,
            RecordingStorage::Objects => proto::RecordingStorage::Objects,
        }
        .into(),
    }
}

/// Where a viewer is, only admins are shown.
pub(crate) fn playback_session(
    session: &PlaybackSession,
    anonymous: bool,
    last_seen: jiff::Timestamp,
    bytes: u64,
    is_admin: bool,
) -> proto::PlaybackSession {
    proto::PlaybackSession {
        name: session.name().to_string(),
        account: session.account.clone(),
        address: if is_admin {
            session.address.clone()
        } else {
            String::new()
        },
        user_agent: session.user_agent.clone(),
        anonymous,
        create_time: Some(to_proto(session.create_time)),
        last_seen_time: Some(to_proto(last_seen)),
        expire_time: (!anonymous).then(|| to_proto(session.expire_time)),
        bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
    }
}

/// An address that the owner does not know stays unknown.
pub(crate) fn ban(ban: &Ban, is_admin: bool) -> proto::Ban {
    use proto::ban::Subject;
    let subject = match (ban.account.is_empty(), ban.address_hidden && !is_admin) {
        (false, _) => Some(Subject::Account(ban.account.clone())),
        (true, false) => Some(Subject::Address(ban.address.clone())),
        (true, true) => None,
    };
    proto::Ban {
        name: ban.name(),
        subject,
        scope: match ban.scope {
            Scope::All => proto::BanScope::All,
            Scope::Watch => proto::BanScope::Watch,
            Scope::Publish => proto::BanScope::Publish,
        }
        .into(),
        reason: ban.reason.clone(),
        create_time: Some(to_proto(ban.create_time)),
        expire_time: Some(to_proto(ban.expire_time)),
    }
}

pub(crate) fn publisher(publisher: &Publisher) -> proto::Publisher {
    proto::Publisher {
        stream_key: publisher.stream_key.clone(),
        address: publisher.address.to_string(),
        encoder: publisher.encoder.clone(),
        connect_time: Some(to_proto(publisher.connect_time)),
    }
}

/// A target of forwarding without its key; without a status it was never forwarded to.
pub(crate) fn forwarding_target(
    target: &ForwardingTarget,
    status: Option<&ForwardingStatus>,
) -> proto::ForwardingTarget {
    let state = match status.map(|status| status.state) {
        _ if target.disabled => proto::ForwardingState::Disabled,
        None | Some(ForwardingState::Idle) => proto::ForwardingState::Idle,
        Some(ForwardingState::Connecting) => proto::ForwardingState::Connecting,
        Some(ForwardingState::Live) => proto::ForwardingState::Live,
        Some(ForwardingState::Retrying) => proto::ForwardingState::Retrying,
    };
    let shown = status.filter(|_| !target.disabled);
    proto::ForwardingTarget {
        name: target.name().to_string(),
        display_name: target.display_name.clone(),
        url: target.url.shown(),
        stream_key: target.stream_key.clone(),
        disabled: target.disabled,
        create_time: Some(to_proto(target.create_time)),
        state: state.into(),
        state_reason: shown.map(|status| status.reason.clone()).unwrap_or_default(),
        state_time: shown.map(|status| to_proto(status.time)),
        failures: shown.map_or(0, |status| i32::try_from(status.failures).unwrap_or(i32::MAX)),
        live_stream: status
            .map(|status| status.live_stream.clone())
            .unwrap_or_default(),
    }
}
