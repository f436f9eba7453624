//! What publishers cost. To be run in release: `cargo test --release -p marquee-video-ingest --test ingest -- --ignored
//! --nocapture cost::publishers`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::restart::spawn;

/// Stock ffmpeg publishers at once.
const COUNTS: [usize; 2] = [20, 60];
const WARM_UP: Duration = Duration::from_secs(8);
const WINDOW: Duration = Duration::from_secs(20);
/// As the yardsticks: 720p30 H.264 and AAC, 2.67 Mbit/s, a keyframe every 2 s.
const CLIP: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-pix_fmt",
    "yuv420p",
    "-g",
    "60",
    "-b:v",
    "2540k",
    "-minrate",
    "2540k",
    "-maxrate",
    "2540k",
    "-bufsize",
    "2540k",
    "-x264-params",
    "nal-hrd=cbr",
    "-c:a",
    "aac",
    "-b:a",
    "128k",
];

fn clip(folder: &Path) -> String {
    let file = folder.join("clip.mp4").display().to_string();
    let made = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-f", "lavfi"])
        .args([
            "-i",
            "testsrc2=size=1280x720:rate=30",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:sample_rate=48000",
        ])
        .args(CLIP)
        .args(["-t", "20", &file])
        .status()
        .unwrap();
    assert!(made.success());
    file
}

/// User and system time of a process so far, and its resident memory in KiB.
fn usage(pid: u32) -> (Duration, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let memory = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib = memory.trim().trim_end_matches(" kB").parse().unwrap();
    // USER_HZ is 100 on Linux.
    (Duration::from_millis(ticks * 10), kib)
}

struct Publishers(Vec<Child>);

impl Drop for Publishers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for two minutes; of use in release only"]
async fn publishers() {
    let folder = tempfile::tempdir().unwrap();
    let file = clip(folder.path());
    for count in COUNTS {
        let data = tempfile::tempdir().unwrap();
        let (mut server, clients) = spawn(data.path());
        let mut publishers = Publishers(Vec::new());
        let idle = usage(server.0.id()).1;
        for n in 0..count {
            let (_, secret) = clients.key(&format!("c{n}")).await;
            let child = Command::new("ffmpeg")
                .args([
                    "-hide_banner",
                    "-loglevel",
                    "error",
                    "-nostdin",
                    "-re",
                    "-stream_loop",
                    "-1",
                ])
                .args([
                    "-i",
                    &file,
                    "-c",
                    "copy",
                    "-f",
                    "flv",
                    &format!("rtmp://{}/live/{secret}", clients.rtmp),
                ])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            publishers.0.push(child);
        }
        tokio::time::sleep(WARM_UP).await;
        for window in 1..=2 {
            let (began, before) = (Instant::now(), usage(server.0.id()).0);
            tokio::time::sleep(WINDOW).await;
            let (after, memory) = usage(server.0.id());
            let cpu = (after - before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let (each, kib) = (cpu / count as f64, (memory - idle) as f64 / count as f64);
            println!("{count} publishers, window {window}: {each:.3} % of a core and {kib:.0} KiB each");
        }
        drop(publishers);
        server.kill();
    }
}
