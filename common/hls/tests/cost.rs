//! What packaging costs, measured. `cargo test --release -p marquee-hls --test cost -- --ignored --nocapture`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod stage;

use std::time::Instant;

use marquee_hls::{Config, Output, Packager, UtcMicros};
use stage::{Message, NEW_YEAR, clip};

#[test]
#[ignore = "a measurement"]
fn packaging_costs_a_small_part_of_a_core() {
    let messages = clip(
        "-f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=sample_rate=44100 -t 20 \
         -c:v libx264 -preset veryfast -bf 2 -b:v 2540k -maxrate 2540k -bufsize 5M -g 60 -sc_threshold 0 -c:a aac -b:a 128k -ac 2",
    );
    let rounds = 200;
    let mut chunks = 0usize;
    let began = Instant::now();
    for _ in 0..rounds {
        let mut packager = Packager::new(Config::default());
        for message in &messages {
            match message {
                Message::Config(config) => packager.push_config(config.clone()),
                Message::Frame(frame) => {
                    for output in packager.push_frame(frame.clone(), UtcMicros(NEW_YEAR)).unwrap() {
                        if let Output::Part(part) = output {
                            chunks += part.chunks().len();
                        }
                    }
                }
            }
        }
    }
    let per_second = began.elapsed().as_secs_f64() / f64::from(rounds) / 20.0;
    println!(
        "{:.4} % of a core per stream, {chunks} chunks",
        per_second * 100.0
    );
    assert!(per_second < 0.000_1, "a fortieth of what a whole server may take");
}
