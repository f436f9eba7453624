//! Ten minutes of silence, sent faster than real time: frames of equal size, for which ffmpeg writes headers of type 3.

use std::process::Stdio;

use marquee_testkit::ffmpeg;
use tokio::process::Command;
use tokio::time::timeout;

use crate::stage::Stage;
use crate::story::Story;

const SECONDS: u32 = 600;
const FRAME: f64 = 1_024.0 / 44_100.0;

#[tokio::test]
async fn ten_minutes_of_silence_do_not_drift_by_a_frame() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut recordings = Story::of_recordings(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let encoder = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(["-f", "lavfi", "-i", "color=size=64x48:rate=5"])
        .args(["-f", "lavfi", "-i", "anullsrc=sample_rate=44100"])
        .args([
            "-t",
            &SECONDS.to_string(),
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "10",
        ])
        .args(["-c:a", "aac", "-f", "flv"])
        .arg(format!("rtmp://{}/live/{secret}", clients.rtmp))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(std::time::Duration::from_secs(90), encoder)
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let recording = recordings.expect_recording().await;
    let url = format!("http://{}{}", clients.http, recording.playback_path);
    let played = ffmpeg::play(&url, None).await.unwrap();
    assert_eq!(played.video.len(), 5 * SECONDS as usize);
    assert!((played.video_seconds() - f64::from(SECONDS) + 0.2).abs() < 1e-3);
    let (first, last) = (played.audio[0], played.audio[played.audio.len() - 1]);
    let count = played.audio.len();
    assert!(
        (f64::from(SECONDS) / FRAME - count as f64).abs() < 3.0,
        "{count} frames of sound"
    );
    // Against its own count, and against the pictures that ended with it.
    assert!(
        (last - first - (count - 1) as f64 * FRAME).abs() < FRAME,
        "{first} to {last}"
    );
    let apart = last + FRAME - (played.video[played.video.len() - 1] + 0.2);
    assert!(
        apart.abs() < 2.0 * FRAME,
        "sound ends {apart} s after the pictures"
    );
}
