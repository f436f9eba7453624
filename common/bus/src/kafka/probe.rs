//! Whether Kafka answers, asked every other second, for readiness.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rdkafka::producer::Producer as _;

use super::producer::Producer;
use crate::Error;

/// The answer is so old at most, and a moment older while it is asked for.
const EVERY: Duration = Duration::from_secs(2);
/// A server that is down is asked more often.
const RETRY: Duration = Duration::from_millis(500);
/// One that takes longer to answer is not there.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct Probe {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    stop: Condvar,
}

struct State {
    ready: Result<(), String>,
    stopped: bool,
}

impl Probe {
    pub(super) fn start(producer: Arc<Producer>) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                ready: Err("kafka: not reached yet".to_owned()),
                stopped: false,
            }),
            stop: Condvar::new(),
        });
        let probing = shared.clone();
        // It ends with the bus, within the time of one question.
        std::thread::Builder::new()
            .name("kafka-probe".to_owned())
            .spawn(move || probing.run(&producer))
            .map_err(|error| Error::Unavailable(format!("kafka: no thread: {error}")))?;
        Ok(Self { shared })
    }

    pub(super) fn state(&self) -> Result<(), String> {
        self.shared.state.lock().ready.clone()
    }
}

impl Shared {
    fn run(&self, producer: &Producer) {
        let mut told = None;
        loop {
            let answer = producer
                .client()
                .client()
                .fetch_metadata(None, PATIENCE)
                .map_err(|error| format!("kafka: {error}"));
            let answer = answer.map(drop);
            if told != Some(answer.is_ok()) {
                match &answer {
                    Ok(()) => tracing::info!("kafka answers"),
                    Err(reason) => tracing::warn!(reason, "kafka does not answer, trying again"),
                }
                told = Some(answer.is_ok());
            }
            let pause = if answer.is_ok() { EVERY } else { RETRY };
            let mut state = self.state.lock();
            state.ready = answer;
            if !state.stopped {
                self.stop.wait_for(&mut state, pause);
            }
            if state.stopped {
                return;
            }
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.shared.state.lock().stopped = true;
        self.shared.stop.notify_all();
    }
}
