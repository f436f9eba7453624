mod catalogue;
mod process;

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

pub use self::catalogue::{Described, METRICS, MetricKind};

/// Seconds; from half a millisecond to ten seconds, as OpenTelemetry advises for durations, with finer steps below.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

static INSTALLED: OnceLock<Metrics> = OnceLock::new();

/// The metrics of the process: whatever is recorded with the macros of the `metrics` crate, and what the operating
/// system knows of it.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// The recorder of the process, which is installed by the first call.
    pub fn install() -> Self {
        INSTALLED.get_or_init(start).clone()
    }

    /// Everything in the Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        process::render(&mut text);
        text
    }
}

fn start() -> Metrics {
    let builder = PrometheusBuilder::new();
    #[expect(clippy::expect_used, reason = "the only error is an empty list of buckets")]
    let builder = builder.set_buckets(SECONDS).expect("there are buckets");
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed: /metrics stays empty");
    }
    catalogue::describe();
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    metrics::gauge!("marquee_build_info", "version" => env!("CARGO_PKG_VERSION"), "profile" => profile)
        .set(1.0);
    // Histograms keep every sample until somebody folds them into buckets; nobody may ever scrape. The thread lives
    // as long as the recorder: until the process ends.
    let upkeep = handle.clone();
    let spawned = std::thread::Builder::new()
        .name("metrics-upkeep".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(5));
                upkeep.run_upkeep();
            }
        });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread for metrics: they grow until they are scraped");
    }
    Metrics(handle)
}
