//! Everything that is logged while the tests run.

use std::io;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;

type Lines = Arc<Mutex<Vec<u8>>>;

fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        let lines = Lines::default();
        let sink = lines.clone();
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("marquee=trace"))
            .with_ansi(false)
            .with_writer(move || Sink(sink.clone()))
            .init();
        lines
    })
}

struct Sink(Lines);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to collect, at every level.
pub(crate) fn collect() {
    lines();
}

/// Whether a text was logged by any test so far.
pub(crate) fn contain(text: &str) -> bool {
    String::from_utf8_lossy(&lines().lock()).contains(text)
}
