use std::time::Duration;

use bytes::Bytes;
use marquee_hls::{AudioConfig, Config, Frame, MediaConfig, Output, Packager, UtcMicros, part_name};

use super::*;

/// Sound at 48 kHz, packaged and shown.
struct Show {
    packager: Packager,
    window: Window,
    frames: u32,
}

impl Show {
    fn new(keeps: Duration) -> Self {
        let config = Config {
            target_duration: Some(1),
            segment_target: Duration::from_secs(1),
            ..Config::default()
        };
        let mut packager = Packager::new(config);
        packager.expect(marquee_hls::Expected {
            video: false,
            audio: true,
        });
        let audio = AudioConfig::aac(Bytes::from_static(&[0x11, 0x90])).unwrap();
        packager.push_config(MediaConfig::Audio(audio));
        Self {
            packager,
            window: Window::new(Duration::from_secs(8), keeps),
            frames: 0,
        }
    }

    fn play(&mut self, frames: u32) {
        for output in self.package(frames) {
            self.show(output);
        }
    }

    fn show(&self, output: Output) {
        match output {
            Output::Init(init) => self.window.init(&init),
            Output::Part(part) => self.window.part(part, None),
            Output::Segment(segment) => self.window.segment(segment.record),
            Output::Warning(_) => {}
        }
    }

    fn package(&mut self, frames: u32) -> Vec<Output> {
        let mut outputs = Vec::new();
        for _ in 0..frames {
            let frame = Frame::audio(self.frames * 64 / 3, Bytes::from(vec![7; 50]));
            let now = UtcMicros(1_767_225_600_000_000 + i64::from(self.frames) * 64_000 / 3);
            outputs.extend(self.packager.push_frame(frame, now).unwrap());
            self.frames += 1;
        }
        outputs
    }

    /// Asks for the part after the newest.
    fn next(&self) -> Query {
        let edge = self.window.edge().unwrap();
        Query {
            msn: Some(edge.last_msn + 1),
            part: Some(edge.parts),
            skip: false,
        }
    }
}

#[tokio::test]
async fn the_same_bytes_are_given_to_all() {
    let mut show = Show::new(Duration::from_secs(8));
    show.play(200);
    let [first, second] = [(), ()].map(|()| show.window.playlist(false, Vec::new).unwrap());
    assert_eq!(first.plain().as_ptr(), second.plain().as_ptr());
    assert_eq!(first.gzip().as_ptr(), second.gzip().as_ptr());
    let part = Name::Part { run: 0, number: 3 };
    let [first, second] = [(), ()].map(|()| show.window.media(part).unwrap().into_bytes());
    assert_eq!(first.as_ptr(), second.as_ptr());
    let segment = show.window.media(Name::Segment(0)).unwrap().into_pieces();
    assert!(segment.iter().any(|piece| piece.as_ptr() == first.as_ptr()));
}

#[tokio::test]
async fn whoever_waits_is_answered_by_the_next_part() {
    let mut show = Show::new(Duration::from_secs(8));
    show.play(100);
    let (query, hint) = (show.next(), show.window.edge().unwrap().hint.unwrap());
    assert!(show.window.would_wait(&query) && show.window.is_hinted(hint.0, hint.1));
    // The first two are polled first.
    let outputs = show.package(12);
    let (playlist, part, ()) = tokio::join!(
        show.window.reached(&query),
        show.window.hinted(hint.0, hint.1),
        async { outputs.into_iter().for_each(|output| show.show(output)) }
    );
    assert_eq!(playlist, Ok(()));
    assert!(part.unwrap().len() > 400);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_is_given_up_after_three_target_durations() {
    let mut show = Show::new(Duration::from_secs(8));
    show.play(100);
    let query = show.next();
    let began = Instant::now();
    let ticking = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            show.window.tick();
        }
    };
    tokio::select! {
        answer = show.window.reached(&query) => assert_eq!(answer, Err(Missing::NotInTime)),
        () = ticking => {}
    }
    let waited = began.elapsed();
    assert!(
        waited > Duration::from_secs(3) && waited <= Duration::from_secs(5),
        "{waited:?}"
    );
}

#[tokio::test]
async fn a_stop_sends_away_who_waits_and_the_playlist_stays() {
    let mut show = Show::new(Duration::from_secs(8));
    show.play(100);
    let before = show.window.playlist(false, Vec::new).unwrap();
    show.window.close();
    assert_eq!(show.window.reached(&show.next()).await, Err(Missing::NotInTime));
    let after = show.window.playlist(false, Vec::new).unwrap();
    assert_eq!(before.plain(), after.plain());
}

#[tokio::test]
async fn the_end_answers_all_who_wait() {
    let mut show = Show::new(Duration::from_secs(8));
    show.play(100);
    let query = show.next();
    show.window.end();
    assert_eq!(show.window.reached(&query).await, Ok(()));
    let text = show.window.playlist(true, Vec::new).unwrap().plain();
    assert!(text.ends_with(b"#EXT-X-ENDLIST\n"));
}

#[tokio::test]
async fn a_hinted_part_that_will_not_come_is_missing() {
    let mut show = Show::new(Duration::from_secs(8));
    show.play(100);
    let (run, number) = show.window.edge().unwrap().hint.unwrap();
    show.window.interrupt();
    assert_eq!(show.window.hinted(run, number).await, Err(Missing::NotThere));
    let text = show.window.playlist(false, Vec::new).unwrap().plain();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(!text.contains(&part_name(run, number)));
}

#[tokio::test]
async fn memory_holds_the_window_and_every_part_that_a_player_may_still_ask_for() {
    for keeps in [0, 8] {
        let mut show = Show::new(Duration::from_secs(keeps));
        // 30 s.
        show.play(1_406);
        let listed = |number| {
            let part = Name::Part { run: 0, number };
            show.window.media(part).is_some()
        };
        let newest = show.window.edge().unwrap().hint.unwrap().1 - 1;
        // Six target durations of five parts each.
        assert!(listed(newest) && listed(newest - 30), "{keeps}");
        assert!(!listed(newest - 60), "{keeps}");
        assert!(show.window.media(Name::Init(0)).is_some());
        assert!(show.window.media(Name::Segment(0)).is_none());
        let last = show.window.edge().unwrap().last_msn - marquee_hls::GAPS;
        assert!(show.window.media(Name::Segment(last)).is_some());
        assert!(
            show.window.media(Name::Segment(last + 1)).is_none(),
            "it is not whole"
        );
    }
}
