//! The service's types as the protos have them.

use std::time::Duration;

use marquee_proto::time::{duration_to_proto, to_proto};
use marquee_proto::video_ingest::v1 as proto;

use crate::domain::{Figures, LiveStream, Pause, Recording, RecordingState, RecordingStorage, State, StreamKey};

pub(crate) fn stream_key(key: &StreamKey) -> proto::StreamKey {
    proto::StreamKey {
        name: key.name().to_string(),
        display_name: key.display_name.clone(),
        hint: key.hint.clone(),
        revoked: key.revoked,
        create_time: Some(to_proto(key.create_time)),
        last_used_time: key.last_used_time.map(to_proto),
        recording: policy(key.record).into(),
        ..proto::StreamKey::default()
    }
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
        Err(_) => Err(marquee_error::invalid("stream_key.recording", format!("{policy} is no policy")).into()),
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
        ..proto::LiveStreamFigures::default()
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
